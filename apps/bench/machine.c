/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * What this machine's cache lines, locked instructions and barriers cost: the units in which
 * figures of pools and rings are to be read.
 */

#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/membarrier.h>
#include <rte_cycles.h>
#include <rte_pause.h>
#include "bench.h"

static struct {
	_Alignas(128) _Atomic uint64_t there;
	_Alignas(128) _Atomic uint64_t back;
	_Alignas(128) _Atomic uint64_t shared;
	_Alignas(128) _Atomic uint64_t stop;
} lines;

/* ---- a line goes there, another comes back ---- */

static uint64_t
ping_pong(struct bench_team *team, unsigned int me)
{
	uint64_t i = 0, seen;

	if (me == 0) {
		do {
			i++;
			atomic_store_explicit(&lines.there, i, memory_order_release);
			while (atomic_load_explicit(&lines.back, memory_order_acquire) != i)
				rte_pause();
		} while (i % 64 != 0 || rte_rdtsc() < team->deadline);
		atomic_store_explicit(&lines.there, UINT64_MAX, memory_order_release);
		return i;
	}
	for (;;) {
		while ((seen = atomic_load_explicit(&lines.there, memory_order_acquire)) == i)
			rte_pause();
		if (seen == UINT64_MAX)
			return 0;
		i = seen;
		atomic_store_explicit(&lines.back, i, memory_order_release);
	}
}

/* ---- locked read-modify-write ---- */

static uint64_t
locked_rmw(struct bench_team *team, unsigned int me)
{
	uint64_t count = 0;

	(void)me;
	do {
		for (unsigned int i = 0; i < 1024; i++)
			atomic_fetch_add_explicit(&lines.shared, 1, memory_order_relaxed);
		count += 1024;
	} while (rte_rdtsc() < team->deadline);
	return count;
}

/* ---- barrier on all CPUs, as a thief issues it ---- */

static uint64_t
barrier(struct bench_team *team, unsigned int me)
{
	uint64_t count = 0;

	if (me != 0) {
		/* another CPU of this process at work, which the barrier has to reach */
		while (atomic_load_explicit(&lines.stop, memory_order_relaxed) == 0)
			rte_pause();
		return 0;
	}
	do {
		if (syscall(__NR_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0)
			break;
		count++;
	} while (rte_rdtsc() < team->deadline);
	atomic_store_explicit(&lines.stop, 1, memory_order_relaxed);
	return count;
}

struct job {
	bench_work work;
	unsigned int lcores;
	uint64_t us;
};

static int
one_run(void *arg, double *ns)
{
	struct job *job = arg;
	struct bench_team team = {.n = job->lcores, .work = job->work, .us = job->us};
	int ret;

	atomic_store(&lines.there, 0);
	atomic_store(&lines.back, 0);
	atomic_store(&lines.stop, 0);
	ret = bench_team_run(&team);
	if (ret == 0)
		*ns = team.count == 0 ? -1 : team.seconds * 1e9 / (double)team.count;
	return ret;
}

int
bench_line(double *ns)
{
	struct job job = {.work = ping_pong, .lcores = 2, .us = 500};
	unsigned int disturbed = 0;

	*ns = 0;
	return bench_cpus < 2 ? 0 : bench_run_quietly(one_run, &job, ns, &disturbed);
}

static int
fact(const char *name, bench_work work, unsigned int lcores)
{
	struct job job = {.work = work, .lcores = lcores};
	double ns[BENCH_PAIRS_MAX];
	unsigned int disturbed = 0;
	int ret = 0;

	if (lcores > bench_cpus) {
		bench_report_skip(name, "it needs two lcores with a CPU each");
		return 0;
	}
	for (unsigned int i = 0; i < bench_options.pairs && ret == 0; i++)
		ret = bench_run_quietly(one_run, &job, &ns[i], &disturbed);
	if (ret != 0)
		return ret;
	if (ns[0] < 0) {
		bench_report_skip(name, "the kernel refuses it");
		return 0;
	}
	bench_report_fact(
		"machine", name, "ns", bench_spread_of(ns, bench_options.pairs), disturbed);
	return 0;
}

static int
queue_fact(unsigned int bulk)
{
	double mops[BENCH_PAIRS_MAX];
	char name[BENCH_NAME_LEN];
	unsigned int disturbed = 0;
	int ret = 0;

	snprintf(name, sizeof(name), "bare hand-over queue, bulk %u", bulk);
	if (bench_cpus < 2) {
		bench_report_skip(name, "it needs two lcores with a CPU each");
		return 0;
	}
	for (unsigned int i = 0; i < bench_options.pairs && ret == 0; i++)
		ret = bench_run_quietly(bench_queue_run, &bulk, &mops[i], &disturbed);
	if (ret == 0)
		bench_report_fact("machine", name, "M/s",
			bench_spread_of(mops, bench_options.pairs), disturbed);
	return ret;
}

int
bench_machine(void)
{
	static const struct {
		const char *name;
		bench_work work;
		unsigned int lcores;
	} facts[] = {
		{"cache-line ping-pong, round trip", ping_pong, 2},
		{"locked RMW, own line", locked_rmw, 1},
		{"locked RMW, line of two lcores", locked_rmw, 2},
		{"membarrier, other CPUs idle", barrier, 1},
		{"membarrier, another CPU at work", barrier, 2},
	};
	int ret = 0;

	bench_heading("this machine");
	/* the barrier reaches processes that registered */
	(void)syscall(__NR_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
	for (unsigned int i = 0; i < sizeof(facts) / sizeof(facts[0]) && ret == 0; i++)
		ret = fact(facts[i].name, facts[i].work, facts[i].lcores);
	for (unsigned int b = 0; b < bench_options.bulks.n && ret == 0; b++)
		ret = queue_fact(bench_options.bulks.at[b]);
	return ret;
}
