/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* The figures that the design asks for, each against a rival named beforehand. */

#include <string.h>
#include "bench.h"

struct bar {
	const char *pattern;
	const char *subject;
	const char *rival;
	unsigned int bulk;
	bool touch;
	double ratio;
};

static const struct bar mempool_bars[] = {
	{"getput", "slab+0", "ring_mp_mc+0", 32, false, 2.0},
	{"getput", "slab+0", "ring_mp_mc+256", 32, false, 0.9},
	{"getput2", "slab+0", "ring_mp_mc+0", 32, false, 25.0},
	{"getput2", "slab+0", "ring_mp_mc+256", 32, false, 0.9},
	{"getput", "slab+0", "ring_mp_mc+0", 1, false, 1.4},
	{"pipeline", "slab+0", "ring_mp_mc+0", 32, false, 2.0},
	{"pipeline", "slab+0", "ring_mt_rts+256", 32, false, 0.95},
	{"pipeline", "slab+0", "ring_mp_mc+0", 32, true, 1.3},
	{"pipeline", "slab+0", "ring_mp_mc+256", 32, true, 0.95},
};

/* With a cache in front, in any pattern. */
static const struct bar cache_bars[] = {
	{"getput", "slab+256", "ring_mp_mc+256", 1, false, 0.97},
	{"getput", "slab+256", "ring_mp_mc+256", 32, false, 0.97},
	{"getput2", "slab+256", "ring_mp_mc+256", 1, false, 0.97},
	{"getput2", "slab+256", "ring_mp_mc+256", 32, false, 0.97},
	{"pipeline", "slab+256", "ring_mp_mc+256", 1, false, 0.97},
	{"pipeline", "slab+256", "ring_mp_mc+256", 32, false, 0.97},
	{"pipeline", "slab+256", "ring_mp_mc+256", 32, true, 0.97},
	{"fanout", "slab+256", "ring_mp_mc+256", 32, false, 0.97},
	{"oversub", "slab+256", "ring_mp_mc+256", 32, false, 0.97},
	{"exhaust", "slab+256", "ring_mp_mc+256", 1, false, 0.97},
	{"exhaust", "slab+256", "ring_mp_mc+256", 8, false, 0.97},
	{"exhaust", "slab+256", "ring_mp_mc+256", 32, false, 0.97},
};

static int
bars(const struct bar *bar, unsigned int n)
{
	int ret = 0;

	for (unsigned int i = 0; i < n && ret == 0; i++)
		ret = bench_mempool_case(bench_pattern_find(bar[i].pattern), bar[i].subject,
			bar[i].rival, bar[i].bulk, bar[i].touch, bar[i].ratio);
	return ret;
}

/* Million messages per second of the system that this pool replaces; from measurements elsewhere.
 */
#define FIXED_RIVAL "ouroboros (fixed)"
#define FIXED_POOL  3.6
#define FIXED_RING  5.3

static int
ring_bars(void)
{
	int ret;

	bench_heading("bars of the ring");
	ret = bench_ring_case("rte_ring_spsc", 8, 1, 2.0);
	if (ret == 0)
		ret = bench_ring_case("rte_ring_spsc", 8, 32, 1.3);
	if (ret == 0)
		ret = bench_ring_blocks(16, 32, 0.6);
	if (ret == 0)
		ret = bench_ring_blocks(16, 1, 0.6);
	if (ret == 0)
		/* at most 1.5 times a bare line */
		ret = bench_ring_trip("rbuff", "line", 1 / 1.5);
	if (ret == 0)
		ret = bench_ring_fixed(32, FIXED_RIVAL, FIXED_RING, 40);
	return ret;
}

int
bench_bars(void)
{
	int ret = 0;

	if (bench_options.suite_mempool) {
		bench_heading("bars of the pool, no cache in front of it");
		ret = bars(mempool_bars, sizeof(mempool_bars) / sizeof(mempool_bars[0]));
		bench_heading("bars of the pool behind a cache of 256");
		if (ret == 0)
			ret = bars(cache_bars, sizeof(cache_bars) / sizeof(cache_bars[0]));
	}
	if (ret == 0 && bench_options.suite_pool) {
		bench_heading("bars of the pool between two processes");
		ret = bench_pool_fixed(1, FIXED_RIVAL, FIXED_POOL, 20);
		if (ret == 0)
			ret = bench_pool_fixed(32, FIXED_RIVAL, FIXED_POOL, 100);
	}
	if (ret == 0 && bench_options.suite_ring)
		ret = ring_bars();
	if (ret == 0 && bench_options.suite_recovery)
		ret = bench_recovery();
	if (ret == 0 && bench_options.suite_recovery)
		ret = bench_members();
	return ret;
}
