/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

/*
 * How often something took how long, to less than one part in a hundred. One writer; others read
 * when it is done.
 */

#include <stdint.h>

#define HISTOGRAM_EXACT	 256u /* values below have a bucket each */
#define HISTOGRAM_SUB	 128u /* buckets for each further power of two */
#define HISTOGRAM_POWERS 32u
#define HISTOGRAM_SIZE	 (HISTOGRAM_EXACT + HISTOGRAM_POWERS * HISTOGRAM_SUB)

struct histogram {
	uint32_t count[HISTOGRAM_SIZE];
};

static inline void
histogram_add(struct histogram *h, uint64_t value)
{
	uint64_t at = value;

	if (value >= HISTOGRAM_EXACT) {
		/* of the leading one: at least 8 */
		unsigned int power = 63 - (unsigned int)__builtin_clzll(value);

		at = HISTOGRAM_EXACT + (power - 8) * HISTOGRAM_SUB +
		     (value >> (power - 7) & (HISTOGRAM_SUB - 1));
	}
	h->count[at < HISTOGRAM_SIZE ? at : HISTOGRAM_SIZE - 1]++;
}

/* The middle of a bucket. */
static inline double
histogram_value(uint32_t bucket)
{
	uint32_t power, sub;

	if (bucket < HISTOGRAM_EXACT)
		return bucket;
	power = (bucket - HISTOGRAM_EXACT) / HISTOGRAM_SUB + 8;
	sub = (bucket - HISTOGRAM_EXACT) % HISTOGRAM_SUB;
	return ((double)(HISTOGRAM_SUB + sub) + 0.5) * (double)(UINT64_C(1) << (power - 7));
}

/*
 * The value that a part of all are below; 0 if there are none. What is in a bucket lies evenly between
 * it and the one below that has something: so it is for values of a clock that moves in steps.
 */
static inline double
histogram_part(const struct histogram *h, double part)
{
	uint64_t all = 0, seen = 0;
	double low = 0, high, wanted;

	for (uint32_t i = 0; i < HISTOGRAM_SIZE; i++)
		all += h->count[i];
	wanted = part * (double)all;
	for (uint32_t i = 0; i < HISTOGRAM_SIZE; i++) {
		if (h->count[i] == 0)
			continue;
		high = histogram_value(i);
		if ((double)(seen + h->count[i]) >= wanted)
			return low + (high - low) * (wanted - (double)seen) / h->count[i];
		seen += h->count[i];
		low = high;
	}
	return 0;
}

static inline void
histogram_sum(struct histogram *to, const struct histogram *from)
{
	for (uint32_t i = 0; i < HISTOGRAM_SIZE; i++)
		to->count[i] += from->count[i];
}

#endif /* BENCH_HISTOGRAM_H */
