/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * What the recovery of a dead member costs those who work on: rounds, each with a member that dies,
 * are taken together, and how long bursts took from the beginning of a recovery on is compared with
 * how long they took before it.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_log.h>
#include "bench.h"
#include "histogram.h"
#include "recovery.h"

#define PAIRS_MORE 5u /* times as many pairs, of fewer rounds: one that was disturbed weighs less */
#define ROUNDS(ms) (1 + (ms) / 20)
#define AGAIN	   2u /* times as many rounds in all */
#define IDLE_MAX   50u
#define BAR_NS	   50e6
#define BAR_BURSTS (1 / 1.1)

static const char *const burst_names[] = {[GETPUT] = "getput", [SWINGS] = "swing"};

/* What is compared with the control. */
enum view { IN_ALL, WHILE_RUNNING, VIEWS };

static const double parts[] = {0.5, 0.99, 0.999, 0.9999};
static const char *const part_names[] = {"p50", "p99", "p99.9", "p99.99"};
#define PARTS	 (sizeof(parts) / sizeof(parts[0]))
#define BAR_PART 2

struct job {
	struct round round;
	/* results of a run of several rounds */
	struct histogram histogram[WINDOWS];
	double control[PARTS]; /* ns */
	double part[VIEWS][PARTS];
	double ns;	 /* of one recovery */
	uint64_t failed; /* bursts that found too few blocks */
};

/* ---- rounds ---- */

/* True if all of the others had a CPU at some time of each window. */
static bool
all_worked(const struct round *round)
{
	for (unsigned int i = 0; i < round->workers; i++)
		for (unsigned int w = 0; w < WINDOWS; w++)
			if (histogram_part(&round->shared->worker[i].histogram[w], 1) == 0)
				return false;
	return true;
}

/*
 * A round that is worth something: in which no other program had a CPU; else again, a few times.
 * One that says nothing at all does not count.
 */
static int
quiet_round(struct job *job, unsigned int *again, unsigned int *disturbed)
{
	struct round *round = &job->round;
	unsigned int idle = 0;
	bool worked;
	int ret;

	for (;;) {
		bench_lost = 0;
		ret = recovery_round(round);
		if (ret != 0)
			return ret;
		worked = all_worked(round);
		if (worked && (bench_lost <= BENCH_LOST_TOLERATED || *again == 0))
			break;
		if (!worked && ++idle == IDLE_MAX)
			return -EBUSY;
		*again -= worked;
	}
	*disturbed += bench_lost > BENCH_LOST_TOLERATED;
	for (unsigned int i = 0; i < round->workers; i++) {
		for (unsigned int w = 0; w < WINDOWS; w++)
			histogram_sum(&job->histogram[w], &round->shared->worker[i].histogram[w]);
		job->failed += round->shared->worker[i].failed;
	}
	return 0;
}

static void
parts_of(const struct histogram *h, double part[PARTS])
{
	for (unsigned int i = 0; i < PARTS; i++)
		part[i] = histogram_part(h, parts[i]) * 1e9 / (double)rte_get_tsc_hz();
}

/* Some rounds, taken together. */
static int
run(struct job *job, unsigned int rounds, unsigned int *disturbed)
{
	unsigned int again = (AGAIN - 1) * rounds;
	double ns[ROUNDS(10000)];
	int ret = 0;

	memset(job->histogram, 0, sizeof(job->histogram));
	for (unsigned int i = 0; i < rounds && ret == 0; i++) {
		ret = quiet_round(job, &again, disturbed);
		ns[i] = (double)job->round.report.ns;
	}
	if (ret != 0)
		return ret;
	parts_of(&job->histogram[CONTROL], job->control);
	parts_of(&job->histogram[DURING], job->part[WHILE_RUNNING]);
	histogram_sum(&job->histogram[DURING], &job->histogram[AFTER]);
	parts_of(&job->histogram[DURING], job->part[IN_ALL]);
	job->ns = bench_spread_of(ns, rounds).median;
	return 0;
}

/* ---- results ---- */

struct series {
	double subject[VIEWS][PARTS][BENCH_PAIRS_MAX], rival[PARTS][BENCH_PAIRS_MAX];
	double ns[BENCH_PAIRS_MAX], line[BENCH_PAIRS_MAX];
	unsigned int disturbed;
};

static unsigned int
pairs_wanted(void)
{
	return RTE_MIN(bench_options.pairs * PAIRS_MORE, BENCH_PAIRS_MAX);
}

/* Of values that are used again, as they are ordered. */
static struct bench_spread
spread_of(const double *values, unsigned int n)
{
	double copy[BENCH_PAIRS_MAX];

	memcpy(copy, values, n * sizeof(*values));
	return bench_spread_of(copy, n);
}

static const char *
kind_of(const struct job *job)
{
	return job->round.exact ? "exact" : "conservative";
}

static void
result(const struct job *job, const struct series *s, const char *pattern, const double *subject,
	const double *rival, const char *name, double bar)
{
	const unsigned int pairs = pairs_wanted();
	struct bench_result r = {
		.of = {.suite = "recovery",
			.lcores = job->round.workers,
			.bulk = BULK,
			.size = BLOCK_SIZE,
			.unit = BENCH_NS,
			.bar = bar},
		.pairs = pairs,
		.disturbed = s->disturbed,
	};
	double ratio[BENCH_PAIRS_MAX];

	snprintf(r.of.pattern, sizeof(r.of.pattern), "%s", pattern);
	snprintf(r.of.subject, sizeof(r.of.subject), "%s", kind_of(job));
	snprintf(r.of.rival, sizeof(r.of.rival), "%s", name);
	for (unsigned int i = 0; i < pairs; i++)
		ratio[i] = rival[i] / subject[i];
	r.ratio = bench_spread_of(ratio, pairs);
	r.subject = spread_of(subject, pairs);
	r.rival = spread_of(rival, pairs);
	r.line = spread_of(s->line, pairs);
	bench_report(&r);
}

static void
fact(const struct job *job, const char *what, double value)
{
	struct bench_spread spread = {value, value, value};
	char name[BENCH_NAME_LEN];

	snprintf(name, sizeof(name), "%s: %s", kind_of(job), what);
	bench_report_fact("recovery", name, "", spread, 0);
}

static void
report_time(const struct job *job, const struct series *s)
{
	double bar[BENCH_PAIRS_MAX];

	for (unsigned int i = 0; i < BENCH_PAIRS_MAX; i++)
		bar[i] = BAR_NS;
	result(job, s, "recover", s->ns, bar, "50 ms", 1);
	fact(job, "free blocks of its shards", job->round.report.blocks_shards);
	fact(job, "blocks in its hands, free again", job->round.report.blocks_hands);
	fact(job, "blocks queued in its ring, saved", job->round.report.queued);
	fact(job, "blocks in quarantine", job->round.report.quarantined);
	fact(job, "bursts that found no blocks", (double)job->failed);
}

static int
measure(struct shared *shared, bool exact, enum burst burst)
{
	struct job job = {.round = {.exact = exact, .burst = burst, .shared = shared}};
	static struct series s;
	char pattern[BENCH_NAME_LEN];
	int ret = 0;

	job.round.workers = RTE_MIN(bench_cpus - 1, WORKERS_MAX);
	s.disturbed = 0;
	/* one more, of one round: it warms up */
	for (unsigned int i = 0; i <= pairs_wanted() && ret == 0; i++) {
		const unsigned int rounds = i > 0 ? ROUNDS(bench_options.ms) : 1;
		const unsigned int at = i > 0 ? i - 1 : 0;

		ret = run(&job, rounds, &s.disturbed);
		if (ret == 0)
			ret = bench_line(&s.line[at]);
		if (i == 0)
			s.disturbed = 0;
		for (unsigned int p = 0; p < PARTS; p++) {
			s.subject[IN_ALL][p][at] = job.part[IN_ALL][p];
			s.subject[WHILE_RUNNING][p][at] = job.part[WHILE_RUNNING][p];
			s.rival[p][at] = job.control[p];
		}
		s.ns[at] = job.ns;
	}
	if (ret == -EBUSY) {
		bench_report_skip("recovery", "other programs have the CPUs");
		return 0;
	}
	if (ret != 0)
		return ret;
	for (unsigned int p = 0; p < PARTS; p++) {
		snprintf(pattern, sizeof(pattern), "%s %s", burst_names[burst], part_names[p]);
		result(&job, &s, pattern, s.subject[IN_ALL][p], s.rival[p], "no recovery",
			p == BAR_PART && burst == GETPUT ? BAR_BURSTS : 0);
	}
	snprintf(pattern, sizeof(pattern), "%s during", burst_names[burst]);
	result(&job, &s, pattern, s.subject[WHILE_RUNNING][BAR_PART], s.rival[BAR_PART],
		"no recovery", 0);
	if (burst == GETPUT)
		report_time(&job, &s);
	return 0;
}

int
bench_recovery(void)
{
	struct shared *shared;
	int ret = 0;

	if (bench_cpus < 2) {
		bench_report_skip("recovery", "it needs two CPUs");
		return 0;
	}
	/* it says at each recovery what came back */
	(void)rte_log_set_level_pattern("mempool.slab", RTE_LOG_WARNING);
	shared = mmap(
		NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return -ENOMEM;
	for (unsigned int exact = 2; exact-- > 0 && ret == 0;) {
		bench_heading(
			exact ? "a member of an exact pool dies with 65536 blocks: bursts of the "
				"others meanwhile"
			      : "a member of a conservative pool dies with 65536 blocks");
		ret = measure(shared, exact, GETPUT);
		if (ret == 0 && (exact || bench_options.preset != BENCH_SHORT))
			ret = measure(shared, exact, SWINGS);
	}
	munmap(shared, sizeof(*shared));
	return ret;
}
