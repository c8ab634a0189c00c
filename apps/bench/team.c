/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* The lcores of one run: who they are, a common start and a common end. */

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_pause.h>
#include "bench.h"

/* A thread that shares its CPU lets others run after so many looks. */
#define LOOKS_BEFORE_YIELD 64u

unsigned int bench_cpus;
unsigned int bench_lcores;

static unsigned int lcore_ids[BENCH_LCORES_MAX];

static void
add_lcore(unsigned int id, rte_cpuset_t *used, bool alone)
{
	rte_cpuset_t cpus = rte_lcore_cpuset(id), both;

	CPU_AND(&both, &cpus, used);
	if ((CPU_COUNT(&both) == 0) != alone || bench_lcores >= BENCH_LCORES_MAX)
		return;
	if (alone) {
		CPU_OR(used, used, &cpus);
		bench_cpus++;
	}
	lcore_ids[bench_lcores++] = id;
}

unsigned int
bench_lcore_id(unsigned int i)
{
	return lcore_ids[i];
}

int
bench_pin(unsigned int i)
{
	rte_cpuset_t set = rte_lcore_cpuset(bench_lcore_id(i));

	return sched_setaffinity(0, sizeof(set), &set) == 0 ? 0 : -errno;
}

static bool
listed(unsigned int id)
{
	for (unsigned int i = 0; i < bench_lcores; i++)
		if (lcore_ids[i] == id)
			return true;
	return false;
}

/* The main lcore first, then those with a CPU that no earlier one has, then the rest. */
void
bench_team_init(void)
{
	rte_cpuset_t used;
	unsigned int id;

	CPU_ZERO(&used);
	add_lcore(rte_get_main_lcore(), &used, true);
	RTE_LCORE_FOREACH_WORKER(id)
	add_lcore(id, &used, true);
	RTE_LCORE_FOREACH_WORKER(id)
	if (!listed(id))
		add_lcore(id, &used, false);
}

void
bench_wait(const struct bench_team *team, unsigned int *spins)
{
	if (team->crowded && ++*spins % LOOKS_BEFORE_YIELD == 0)
		sched_yield();
	else
		rte_pause();
}

static void
member(struct bench_team *team, unsigned int me)
{
	unsigned int spins = 0;
	uint64_t cpu_ns, began;

	bench_first(team->crowded);
	/* acq_rel: the last one sees that all are here; partner: the others' additions */
	if (atomic_fetch_add_explicit(&team->arrived, 1, memory_order_acq_rel) + 1 == team->n) {
		uint64_t us = team->us != 0 ? team->us : bench_options.ms * UINT64_C(1000);

		team->began = rte_rdtsc();
		team->deadline = team->began + rte_get_tsc_hz() / 1000000 * us;
		/* release: the deadline; partner: the acquire below */
		atomic_store_explicit(&team->go, true, memory_order_release);
	}
	while (!atomic_load_explicit(&team->go, memory_order_acquire))
		bench_wait(team, &spins);
	cpu_ns = bench_cpu_ns();
	began = rte_rdtsc();
	team->member[me].count = team->work(team, me);
	team->member[me].ended = rte_rdtsc();
	team->member[me].cpu_ns = bench_cpu_ns() - cpu_ns;
	team->member[me].began = began;
	bench_as_others();
}

struct start {
	struct bench_team *team;
	unsigned int me;
};

static int
worker(void *arg)
{
	struct start *start = arg;

	member(start->team, start->me);
	return 0;
}

int
bench_team_run(struct bench_team *team)
{
	struct start start[BENCH_LCORES_MAX];
	uint64_t last = 0;
	int ret = 0;

	if (team->n == 0 || team->n > bench_lcores)
		return -EINVAL;
	atomic_store_explicit(&team->arrived, 0, memory_order_relaxed);
	atomic_store_explicit(&team->go, false, memory_order_relaxed);
	team->crowded = team->n > bench_cpus;
	for (unsigned int i = 1; i < team->n && ret == 0; i++) {
		start[i] = (struct start){.team = team, .me = i};
		ret = rte_eal_remote_launch(worker, &start[i], lcore_ids[i]);
	}
	if (ret != 0) {
		/* those that started would wait for the others for ever: this is no state to go on
		 * from */
		bench_error("an lcore is busy that should be idle");
		return ret;
	}
	member(team, 0);
	team->count = 0;
	for (unsigned int i = 0; i < team->n; i++) {
		if (i > 0)
			rte_eal_wait_lcore(lcore_ids[i]);
		team->count += team->member[i].count;
		if (team->member[i].ended > last)
			last = team->member[i].ended;
		/* more threads than CPUs: that they interrupt each other is what is measured */
		if (!team->crowded)
			bench_lost_add(
				(uint64_t)((double)(team->member[i].ended - team->member[i].began) *
					   1e9 / (double)rte_get_tsc_hz()),
				team->member[i].cpu_ns);
	}
	team->seconds = (double)(last - team->began) / (double)rte_get_tsc_hz();
	return 0;
}
