/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef UNIT_RBUFF_H
#define UNIT_RBUFF_H

/**
 * @file
 * Short forms that the tests of the ring share.
 */

#include "unit_env.h"
#include <sched.h>
#include <slabio/rbuff.h>
#include "rbuff/rbuff_private.h"

#define MS UINT64_C(1000000)

static const uint32_t unit_element_sizes[] = {4, 8, 16};

static inline struct sio_rbuff_opts
ring_opts(const char *name, uint32_t capacity, uint32_t element_size, enum sio_rbuff_role role)
{
	return (struct sio_rbuff_opts){.sz = sizeof(struct sio_rbuff_opts),
		.name = name,
		.capacity = capacity,
		.element_size = element_size,
		.role = role};
}

/** A ring of that name with a pool's blocks: 16 elements of 16 bytes. */
static inline struct sio_rbuff *
ring_of(struct sio_pool *pool, const char *name, enum sio_rbuff_role role)
{
	struct sio_rbuff_opts opts = ring_opts(name, 16, 16, role);
	struct sio_rbuff *ring;

	opts.carries = pool;
	assert_int_equal(sio_rbuff_create(&opts, &ring), 0);
	return ring;
}

/** A ring and both of its ends in this process. */
struct ring_pair {
	struct sio_rbuff *out;
	struct sio_rbuff *in;
};

static inline struct ring_pair
ring_pair(uint32_t capacity, uint32_t element_size)
{
	struct sio_rbuff_opts opts = ring_opts("pair", capacity, element_size, SIO_RBUFF_PRODUCER);
	struct ring_pair p;

	assert_int_equal(sio_rbuff_create(&opts, &p.out), 0);
	assert_int_equal(sio_rbuff_attach("pair", SIO_RBUFF_CONSUMER, &p.in), 0);
	return p;
}

static inline void
ring_pair_end(struct ring_pair *p)
{
	sio_rbuff_detach(p->in);
	sio_rbuff_destroy(p->out);
}

/** The element that belongs to a position, of any size: every byte depends on it. */
static inline void
element_make(void *element, uint32_t size, uint64_t position)
{
	uint64_t x = (position + 1) * UINT64_C(0x9e3779b97f4a7c15);
	uint64_t both[2] = {x ^ x >> 29, ~x * UINT64_C(0xbf58476d1ce4e5b9)};

	if (size == 4)
		both[0] = (uint32_t)position * 2654435761u;
	memcpy(element, both, size);
}

static inline void
elements_make(void *elements, uint32_t size, uint64_t position, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		element_make((unsigned char *)elements + (size_t)i * size, size, position + i);
}

/** @return how many of the elements are what belongs to their positions, from the first on */
static inline uint32_t
elements_right(const void *elements, uint32_t size, uint64_t position, uint32_t n)
{
	unsigned char want[16];
	uint32_t i;

	for (i = 0; i < n; i++) {
		element_make(want, size, position + i);
		if (memcmp((const unsigned char *)elements + (size_t)i * size, want, size) != 0)
			break;
	}
	return i;
}

/** Small pseudo-random numbers that are the same in every run. */
static inline uint32_t
next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 33);
}

/** Puts the calling thread on one processor, where there is that processor. */
static inline void
pin_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

#endif /* UNIT_RBUFF_H */
