/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SIO_SEGMENT_MEMBER_H
#define SIO_SEGMENT_MEMBER_H

/**
 * @file
 * What other modules ask about members without a system call.
 */

#include <stdbool.h>
#include <slabio/segment.h>

/** Whether a slot has this name: its process lives, or is dead and yet unburied. */
bool sio__member_is_named(const struct sio_segment *seg, sio_member_t member);

#endif /* SIO_SEGMENT_MEMBER_H */
