/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SIO_SEGMENT_BARRIER_H
#define SIO_SEGMENT_BARRIER_H

/**
 * @file
 * The barrier that one side pays for: a full memory barrier on every CPU that runs a thread of a
 * process that joined (membarrier(2), expedited).
 */

#include <stdbool.h>

/**
 * Makes this process one that everybody's barriers reach. The first call of a process takes some
 * milliseconds, see barrier.c; any thread may call it, at any time.
 *
 * @return false if that cannot be relied on: this process must fence itself
 */
bool sio_barrier_join(void);

/**
 * A barrier on all threads of all processes that joined, this one's included.
 * @return false if the kernel refuses: nothing may be concluded then
 */
bool sio_barrier(void);

/**
 * The same for the threads of this process alone, which must have joined.
 * @return false if the kernel refuses: nothing may be concluded then
 */
bool sio_barrier_own(void);

#endif /* SIO_SEGMENT_BARRIER_H */
