/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Patterns of use, by threads (PROCESSES is 0) or by processes (1), on all processors and on one
 * only. The time of the program is shared equally among its cases.
 */

#include "stress.h"

enum {
	SECONDS = 4,
	CASES = 8,
	ROUNDS = STRESS_KINDS, /* of a case: each with another kind of pool */
};

static const struct stress_plan roaming = {
	/* five that keep up to 64 each, now and then all of it */
	.n_blocks = 180,
	.magazine_size = 8,
	.hold = 64,
	.n_workers = 5,
};

static const struct stress_plan pipeline = {
	.n_blocks = 400,
	.magazine_size = 16,
	.hold = 64,
	.n_workers = 4,
	.n_lanes = 2,
	.part = {{STRESS_SOURCE, 0, 1}, {STRESS_SINK, 0, 1}, {STRESS_SOURCE, 1, 1},
		{STRESS_SINK, 1, 1}},
};

static const struct stress_plan fan_out = {
	.n_blocks = 300,
	.magazine_size = 8,
	.hold = 64,
	.n_workers = 5,
	.n_lanes = 4,
	.part = {{STRESS_SOURCE, 0, 4}, {STRESS_SINK, 0, 1}, {STRESS_SINK, 1, 1},
		{STRESS_SINK, 2, 1}, {STRESS_SINK, 3, 1}},
};

static const struct stress_plan exhaustion = {
	/* four that want up to 128 of 60 */
	.n_blocks = 60,
	.magazine_size = 4,
	.hold = 128,
	.n_workers = 4,
	.part = {{STRESS_DRAIN, 0, 0}, {STRESS_DRAIN, 0, 0}, {STRESS_DRAIN, 0, 0},
		{STRESS_DRAIN, 0, 0}},
};

static void
every_kind(const char *test, const struct stress_plan *pattern, bool one_cpu)
{
	for (unsigned int round = 0; round < ROUNDS; round++) {
		struct stress_plan plan = *pattern;

		plan.name = test;
		plan.kind = (enum stress_kind)round;
		plan.processes = PROCESSES;
		plan.one_cpu = one_cpu;
		plan.millis = stress_budget(SECONDS) / CASES / ROUNDS;
		/* an exact pool must see its blocks cross between members */
		if (plan.kind == STRESS_EXACT && plan.processes && plan.n_lanes > 0)
			plan.kind = STRESS_HANDLES;
		stress_run(&plan);
	}
}

static void
random_takes_and_gives_keep_every_block_once(void **state)
{
	(void)state;
	every_kind(__func__, &roaming, false);
}

static void
random_takes_and_gives_on_one_cpu_keep_every_block_once(void **state)
{
	(void)state;
	every_kind(__func__, &roaming, true);
}

static void
blocks_cross_a_pipeline_in_order_and_come_back(void **state)
{
	(void)state;
	every_kind(__func__, &pipeline, false);
}

static void
blocks_cross_a_pipeline_on_one_cpu_in_order_and_come_back(void **state)
{
	(void)state;
	every_kind(__func__, &pipeline, true);
}

static void
blocks_fan_out_in_order_and_come_back(void **state)
{
	(void)state;
	every_kind(__func__, &fan_out, false);
}

static void
blocks_fan_out_on_one_cpu_in_order_and_come_back(void **state)
{
	(void)state;
	every_kind(__func__, &fan_out, true);
}

static void
an_exhausted_pool_has_every_block_once(void **state)
{
	(void)state;
	every_kind(__func__, &exhaustion, false);
}

static void
an_exhausted_pool_on_one_cpu_has_every_block_once(void **state)
{
	(void)state;
	every_kind(__func__, &exhaustion, true);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_takes_and_gives_keep_every_block_once),
		cmocka_unit_test(random_takes_and_gives_on_one_cpu_keep_every_block_once),
		cmocka_unit_test(blocks_cross_a_pipeline_in_order_and_come_back),
		cmocka_unit_test(blocks_cross_a_pipeline_on_one_cpu_in_order_and_come_back),
		cmocka_unit_test(blocks_fan_out_in_order_and_come_back),
		cmocka_unit_test(blocks_fan_out_on_one_cpu_in_order_and_come_back),
		cmocka_unit_test(an_exhausted_pool_has_every_block_once),
		cmocka_unit_test(an_exhausted_pool_on_one_cpu_has_every_block_once),
	};

	_Static_assert(sizeof(tests) / sizeof(tests[0]) == CASES, "they share the time");
	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
