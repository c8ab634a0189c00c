/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SIO_POOL_BARRIER_H
#define SIO_POOL_BARRIER_H

/**
 * @file
 * The barrier that one side pays for: a full memory barrier on every CPU that runs a thread of a
 * process that registered for it (membarrier(2), global expedited).
 */

#include <stdbool.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

/** Makes this process one that sio_barrier() reaches, whoever calls it. */
static inline bool
sio_barrier_register(void)
{
	return syscall(__NR_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
}

/** The barrier. @return false if the kernel refuses: nothing may be concluded then */
static inline bool
sio_barrier(void)
{
	return syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) == 0;
}

#endif /* SIO_POOL_BARRIER_H */
