/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Random workers are stopped wherever they are, processes by SIGSTOP, threads by a signal whose
 * handler does not return. Each of the others must go on meanwhile: the stop lasts until every one
 * of them has done so many more operations, and fails the test if that does not come to pass.
 */

#include "stress.h"

enum {
	SECONDS = 3,
	CASES = 4,
	/* operations of each worker that is not stopped, during each stop */
	PROGRESS = 30,
	PROGRESS_MS = 10000,
};

/*
 * Blocks for everybody, whatever is stopped: 6 workers that keep up to 32 and have 7 magazines of 8
 * each, and two lanes of 64, are 656.
 */
static const struct stress_plan mixed = {
	.n_blocks = 700,
	.magazine_size = 8,
	.hold = 32,
	.n_workers = 6,
	.n_lanes = 2,
	.part = {{STRESS_ROAM, 0, 0}, {STRESS_ROAM, 0, 0}, {STRESS_SOURCE, 0, 1},
		{STRESS_SOURCE, 1, 1}, {STRESS_SINK, 0, 2}, {STRESS_ROAM, 0, 0}},
};

/*
 * Five want up to 160 of 50, so that they steal from each other, and one is stopped in it. That one
 * has at most 32, and 7 magazines of 2: some blocks are with the others, who give again what they
 * take.
 */
static const struct stress_plan scarce = {
	.n_blocks = 50,
	.magazine_size = 2,
	.hold = 32,
	.n_workers = 5,
};

static unsigned int stops;

static void
stop_worker(struct stress *s, unsigned int id)
{
	uint64_t end = stress_now() + PROGRESS_MS;
	int status = 0;

	if (s->plan->processes) {
		if (kill(s->pid[id], SIGSTOP) != 0 ||
			waitpid(s->pid[id], &status, WUNTRACED) != s->pid[id] ||
			!WIFSTOPPED(status))
			stress_fault(s->board, "worker %u ended with status %#x", id + 1, status);
		return;
	}
	atomic_store(&s->board->park[id], true);
	assert_int_equal(pthread_kill(s->thread[id], STRESS_PARK_SIGNAL), 0);
	while (!atomic_load(&s->board->worker[id].parked)) {
		if (stress_now() > end) {
			stress_fault(s->board, "worker %u does not take the signal", id + 1);
			return;
		}
		usleep(20);
	}
}

static void
continue_worker(struct stress *s, unsigned int id)
{
	if (s->plan->processes) {
		kill(s->pid[id], SIGCONT);
		return;
	}
	atomic_store(&s->board->park[id], false);
	while (atomic_load(&s->board->worker[id].parked))
		usleep(20);
}

static void
others_must_go_on(struct stress *s, const bool *stopped)
{
	uint64_t before[STRESS_WORKERS_MAX], end = stress_now() + PROGRESS_MS;

	for (unsigned int id = 0; id < s->plan->n_workers; id++)
		before[id] = atomic_load(&s->board->worker[id].ops);
	for (unsigned int id = 0; id < s->plan->n_workers; id++) {
		while (!stopped[id] && !atomic_load(&s->board->stop) &&
			atomic_load(&s->board->worker[id].ops) < before[id] + PROGRESS) {
			if (stress_now() > end)
				stress_fault(s->board,
					"worker %u did %llu operations in %u s while others were "
					"stopped",
					id + 1,
					(unsigned long long)(atomic_load(
								     &s->board->worker[id].ops) -
							     before[id]),
					PROGRESS_MS / 1000);
			usleep(50);
		}
	}
}

static void
stop_some(struct stress *s)
{
	uint64_t end = stress_now() + s->plan->millis;
	unsigned int seed = s->seed;

	do {
		bool stopped[STRESS_WORKERS_MAX] = {false};
		/* one to all but one, or only one, so that blocks are left to the others */
		unsigned int most =
			s->plan->n_blocks == scarce.n_blocks ? 1 : s->plan->n_workers - 1;
		unsigned int n = 1 + (unsigned int)rand_r(&seed) % most;

		usleep((useconds_t)rand_r(&seed) % 500);
		for (unsigned int i = 0; i < n; i++) {
			unsigned int id = (unsigned int)rand_r(&seed) % s->plan->n_workers;

			if (!stopped[id])
				stop_worker(s, id);
			stopped[id] = true;
		}
		others_must_go_on(s, stopped);
		usleep((useconds_t)rand_r(&seed) % 1000);
		for (unsigned int id = 0; id < s->plan->n_workers; id++)
			if (stopped[id])
				continue_worker(s, id);
		stops++;
	} while (stress_now() < end && !atomic_load(&s->board->stop));
}

static void
stop(const char *test, bool processes, bool one_cpu)
{
	static const struct {
		const struct stress_plan *plan;
		enum stress_kind kind;
	} runs[] = {
		{&mixed, STRESS_HANDLES},
		{&mixed, STRESS_FEW_SHARDS},
		{&mixed, STRESS_ADDRESSES},
		{&scarce, STRESS_HANDLES},
		{&scarce, STRESS_FEW_SHARDS},
		{&scarce, STRESS_ADDRESSES},
		{&scarce, STRESS_EXACT},
	};
	const unsigned int n = sizeof(runs) / sizeof(runs[0]);

	stops = 0;
	for (unsigned int i = 0; i < n; i++) {
		struct stress_plan plan = *runs[i].plan;

		plan.name = test;
		plan.kind = runs[i].kind;
		plan.processes = processes;
		plan.keep_shards = !processes;
		plan.one_cpu = one_cpu;
		plan.millis = stress_budget(SECONDS) / CASES / n;
		plan.meddle = stop_some;
		stress_run(&plan);
	}
	printf("%u stops\n", stops);
}

static void
stopped_processes_hold_nobody_up(void **state)
{
	(void)state;
	stop(__func__, true, false);
}

static void
stopped_processes_hold_nobody_up_on_one_cpu(void **state)
{
	(void)state;
	stop(__func__, true, true);
}

static void
stopped_threads_hold_nobody_up(void **state)
{
	(void)state;
	stop(__func__, false, false);
}

static void
stopped_threads_hold_nobody_up_on_one_cpu(void **state)
{
	(void)state;
	stop(__func__, false, true);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stopped_processes_hold_nobody_up),
		cmocka_unit_test(stopped_processes_hold_nobody_up_on_one_cpu),
		cmocka_unit_test(stopped_threads_hold_nobody_up),
		cmocka_unit_test(stopped_threads_hold_nobody_up_on_one_cpu),
	};

	_Static_assert(sizeof(tests) / sizeof(tests[0]) == CASES, "they share the time");
	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
