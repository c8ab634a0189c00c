/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef RING_TAIL_H
#define RING_TAIL_H

/**
 * @file
 * What a writer leaves that dies in a write just before it publishes: elements, and the end words
 * of all lines but the first.
 */

#include <string.h>
#include "rbuff/rbuff_private.h"

/** As the producer of an opened ring: does all of the write of n elements, which fit, but w2. */
static inline void
ring_leave_tail(struct sio_rbuff *ring, const void *elements, uint32_t n)
{
	const unsigned char *from = elements;
	uint64_t position = sio_rbuff_published(ring), first = position / ring->per_line;

	for (uint32_t i = 0; i < n; i++, position++, from += ring->element_size) {
		uint64_t number = position / ring->per_line;
		struct rbuff_line *line = &ring->shared->lines[number % ring->lines];

		memcpy((unsigned char *)line + rbuff_offset(ring->element_size,
						       (uint32_t)(position % ring->per_line)),
			from, ring->element_size);
		if (number != first)
			atomic_store(&line->end, position + 1);
	}
}

#endif /* RING_TAIL_H */
