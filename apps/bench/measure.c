/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* Interleaved pairs, medians and spreads. */

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "bench.h"

/* A number without a short cycle, in cache lines. */
#define BUFFER_STEP  (13 * 64u)
#define BUFFER_BYTES (BENCH_BULK_MAX * 16u)

double bench_lost;

static unsigned int pair_number;

void *
bench_buffer(void)
{
	static _Thread_local _Alignas(4096) unsigned char space[4096 + BUFFER_BYTES];

	return &space[pair_number * BUFFER_STEP % 4096];
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

struct bench_spread
bench_spread_of(double *values, unsigned int n)
{
	qsort(values, n, sizeof(values[0]), compare);
	return (struct bench_spread){
		.median = n % 2 != 0 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2,
		.min = values[0],
		.max = values[n - 1],
	};
}

uint64_t
bench_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

/* Above all that is not of real time; the kernel leaves the others a twentieth of each second. */
#define FIRST_PRIORITY 50

static int
schedule(int policy, int priority)
{
	const struct sched_param param = {.sched_priority = priority};

	return sched_setscheduler(0, policy, &param);
}

void
bench_first(bool crowded)
{
	if (crowded)
		schedule(SCHED_OTHER, 0);
	else if (bench_options.realtime)
		schedule(SCHED_FIFO, FIRST_PRIORITY);
}

void
bench_as_others(void)
{
	if (bench_options.realtime)
		schedule(SCHED_OTHER, 0);
}

bool
bench_first_possible(void)
{
	if (schedule(SCHED_FIFO, FIRST_PRIORITY) == 0)
		return schedule(SCHED_OTHER, 0) == 0;
	bench_error("--realtime: %s; it needs root or CAP_SYS_NICE, and a real-time budget in its "
		    "control group",
		strerror(errno));
	return false;
}

void
bench_lost_add(uint64_t wall_ns, uint64_t cpu_ns)
{
	double lost = cpu_ns < wall_ns ? 1 - (double)cpu_ns / (double)wall_ns : 0;

	if (lost > bench_lost)
		bench_lost = lost;
}

int
bench_run_quietly(bench_run run, void *arg, double *value, unsigned int *disturbed)
{
	int ret = 0;

	for (unsigned int i = 0; i < BENCH_TRIES; i++) {
		bench_lost = 0;
		ret = run(arg, value);
		if (ret != 0 || bench_lost <= BENCH_LOST_TOLERATED)
			return ret;
	}
	*disturbed += 1;
	return 0;
}

static int
run_pair(const struct bench_case *c, double *subject, double *rival, unsigned int *disturbed)
{
	int ret = bench_run_quietly(c->run, c->subject_arg, subject, disturbed);

	if (ret != 0)
		return ret;
	*rival = c->fixed;
	if (c->fixed == 0)
		ret = bench_run_quietly(c->run, c->rival_arg, rival, disturbed);
	return ret;
}

int
bench_measure(const struct bench_case *c)
{
	double subject[BENCH_PAIRS_MAX], rival[BENCH_PAIRS_MAX], ratio[BENCH_PAIRS_MAX];
	double line[BENCH_PAIRS_MAX];
	struct bench_result result = {.of = *c, .pairs = bench_options.pairs};
	int ret;

	/* the first pair warms up: caches, branch predictors, blocks on their way to where they are
	 * used */
	ret = run_pair(c, &subject[0], &rival[0], &result.disturbed);
	result.disturbed = 0;
	for (unsigned int i = 0; ret == 0 && i < result.pairs; i++) {
		pair_number++;
		ret = run_pair(c, &subject[i], &rival[i], &result.disturbed);
		if (ret == 0)
			ret = bench_line(&line[i]);
		if (ret == 0)
			ratio[i] = c->unit == BENCH_MOPS ? subject[i] / rival[i]
							 : rival[i] / subject[i];
	}
	if (ret != 0)
		return ret;
	result.subject = bench_spread_of(subject, result.pairs);
	result.rival = bench_spread_of(rival, result.pairs);
	result.ratio = bench_spread_of(ratio, result.pairs);
	result.line = bench_spread_of(line, result.pairs);
	bench_report(&result);
	return 0;
}
