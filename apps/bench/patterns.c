/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* What lcores do with a mempool. An object counts once, when it was taken and given back. */

#include <errno.h>
#include <string.h>
#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_mempool.h>
#include "bench.h"
#include "queue.h"

/* Objects between two looks at the clock. */
#define OBJECTS_PER_LOOK 2048u

struct job {
	struct rte_mempool *mp; /* NULL: the bare queue */
	unsigned int bulk;
	unsigned int n_queues;
	struct queue *queue[BENCH_LCORES_MAX];
	/* pushed into each queue in all, and that this is the last word; stored with release by the
	 * producer */
	_Atomic uint64_t total[BENCH_LCORES_MAX];
	_Atomic uint64_t faults; /* what was read is not what was written */
	void **held;		 /* drained objects, one part for each lcore */
	unsigned int held_each;
};

#define TOTAL_UNKNOWN UINT64_MAX

static inline unsigned int
rounds_per_look(unsigned int bulk)
{
	return bulk >= OBJECTS_PER_LOOK ? 1 : OBJECTS_PER_LOOK / bulk;
}

/* The payload's first line, as an application writes and reads headers: the reader knows what has
 * to be there. */
static inline void
touch_write(void *const *objs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		*(uintptr_t *)objs[i] = (uintptr_t)objs[i] ^ 0x5aa5;
}

static inline uint64_t
touch_read(void *const *objs, unsigned int n)
{
	uint64_t wrong = 0;

	for (unsigned int i = 0; i < n; i++)
		wrong += *(const uintptr_t *)objs[i] != ((uintptr_t)objs[i] ^ 0x5aa5);
	return wrong;
}

/* ---- get and put on each lcore ---- */

static inline __attribute__((always_inline)) uint64_t
getput(struct bench_team *team, bool touch)
{
	struct job *job = team->arg;
	struct rte_mempool *mp = job->mp;
	unsigned int bulk = job->bulk, rounds = rounds_per_look(bulk), spins = 0;
	void **objs = bench_buffer();
	uint64_t count = 0, wrong = 0;

	do {
		for (unsigned int i = 0; i < rounds; i++) {
			if (rte_mempool_get_bulk(mp, objs, bulk) != 0) {
				bench_wait(team, &spins);
				continue;
			}
			if (touch) {
				touch_write(objs, bulk);
				wrong += touch_read(objs, bulk);
			}
			rte_mempool_put_bulk(mp, objs, bulk);
			count += bulk;
		}
	} while (rte_rdtsc() < team->deadline);
	job->faults += wrong;
	return count;
}

static uint64_t
getput_plain(struct bench_team *team, unsigned int me)
{
	RTE_SET_USED(me);
	return getput(team, false);
}

static uint64_t
getput_touch(struct bench_team *team, unsigned int me)
{
	RTE_SET_USED(me);
	return getput(team, true);
}

/* ---- one takes, others give ---- */

static inline __attribute__((always_inline)) uint64_t
taker(struct bench_team *team, bool touch)
{
	struct job *job = team->arg;
	unsigned int bulk = job->bulk, rounds = rounds_per_look(bulk), q = 0, spins = 0;
	uint64_t total[BENCH_LCORES_MAX] = {0};
	void **objs = bench_buffer();

	memset(objs, 0, bulk * sizeof(objs[0]));
	do {
		for (unsigned int i = 0; i < rounds; i++) {
			if (job->mp != NULL && rte_mempool_get_bulk(job->mp, objs, bulk) != 0) {
				bench_wait(team, &spins);
				continue;
			}
			if (touch)
				touch_write(objs, bulk);
			/* a queue that is full is passed over: its reader may not be running */
			while (!queue_push(job->queue[q], objs, bulk)) {
				q = q + 1 < job->n_queues ? q + 1 : 0;
				bench_wait(team, &spins);
			}
			total[q] += bulk;
			q = q + 1 < job->n_queues ? q + 1 : 0;
		}
	} while (rte_rdtsc() < team->deadline);
	for (q = 0; q < job->n_queues; q++)
		atomic_store_explicit(&job->total[q], total[q], memory_order_release);
	return 0;
}

static inline __attribute__((always_inline)) uint64_t
giver(struct bench_team *team, unsigned int q, bool touch)
{
	struct job *job = team->arg;
	unsigned int bulk = job->bulk, spins = 0;
	void **objs = bench_buffer();
	uint64_t count = 0, wrong = 0;

	for (;;) {
		if (!queue_pop(job->queue[q], objs, bulk)) {
			/* acquire: what was pushed before the total was stated; partner: taker() */
			if (count == atomic_load_explicit(&job->total[q], memory_order_acquire))
				break;
			bench_wait(team, &spins);
			continue;
		}
		if (touch)
			wrong += touch_read(objs, bulk);
		if (job->mp != NULL)
			rte_mempool_put_bulk(job->mp, objs, bulk);
		count += bulk;
	}
	job->faults += wrong;
	return count;
}

static uint64_t
pass_plain(struct bench_team *team, unsigned int me)
{
	return me == 0 ? taker(team, false) : giver(team, me - 1, false);
}

static uint64_t
pass_touch(struct bench_team *team, unsigned int me)
{
	return me == 0 ? taker(team, true) : giver(team, me - 1, true);
}

/* ---- until nothing is left ---- */

static uint64_t
exhaust(struct bench_team *team, unsigned int me)
{
	struct job *job = team->arg;
	void **held = &job->held[(size_t)me * job->held_each];
	unsigned int bulk = job->bulk, n;
	uint64_t count = 0;

	do {
		for (n = 0; n + bulk <= job->held_each; n += bulk)
			if (rte_mempool_get_bulk(job->mp, &held[n], bulk) != 0)
				break;
		for (unsigned int i = 0; i < n; i += bulk)
			rte_mempool_put_bulk(job->mp, &held[i], bulk);
		count += n;
	} while (rte_rdtsc() < team->deadline);
	return count;
}

/* Every call finds the mempool dry. */
static uint64_t
dry(struct bench_team *team, unsigned int me)
{
	struct job *job = team->arg;
	void **objs = bench_buffer();
	uint64_t calls = 0;

	RTE_SET_USED(me);
	do {
		for (unsigned int i = 0; i < 16; i++)
			if (rte_mempool_get_bulk(job->mp, objs, job->bulk) == 0) {
				rte_mempool_put_bulk(job->mp, objs, job->bulk);
				job->faults++;
			}
		calls += 16;
	} while (rte_rdtsc() < team->deadline);
	return calls;
}

/* ---- runs ---- */

static int
conserved(const struct rte_mempool *mp)
{
	unsigned int there = rte_mempool_avail_count(mp);

	if (there == mp->size)
		return 0;
	bench_error("%u of %u objects are in the mempool after the run", there, mp->size);
	return -ENODATA;
}

static int
run_job(struct job *job, bench_work work, unsigned int lcores, double *mops)
{
	struct bench_team team = {.n = lcores, .work = work, .arg = job};
	int ret = bench_team_run(&team);

	if (ret != 0)
		return ret;
	*mops = (double)team.count / team.seconds / 1e6;
	if (job->faults != 0) {
		bench_error("%llu objects were not what they should be",
			(unsigned long long)job->faults);
		return -EIO;
	}
	return job->mp == NULL ? 0 : conserved(job->mp);
}

static int
run_getput(struct rte_mempool *mp, unsigned int lcores, unsigned int bulk, bool touch, double *mops)
{
	struct job job = {.mp = mp, .bulk = bulk};

	return run_job(&job, touch ? getput_touch : getput_plain, lcores, mops);
}

static int
run_pass(struct rte_mempool *mp, unsigned int lcores, unsigned int bulk, bool touch, double *mops)
{
	static struct job job;
	int ret = 0;

	memset(&job, 0, sizeof(job));
	job.mp = mp;
	job.bulk = bulk;
	job.n_queues = lcores - 1;
	for (unsigned int q = 0; q < job.n_queues; q++) {
		job.queue[q] = queue_new(bench_options.queue);
		job.total[q] = TOTAL_UNKNOWN;
		if (job.queue[q] == NULL)
			ret = -ENOMEM;
	}
	if (ret == 0)
		ret = run_job(&job, touch ? pass_touch : pass_plain, lcores, mops);
	for (unsigned int q = 0; q < job.n_queues; q++)
		free(job.queue[q]);
	return ret;
}

int
bench_queue_run(void *bulk, double *mops)
{
	return run_pass(NULL, 2, *(unsigned int *)bulk, false, mops);
}

static int
run_exhaust(
	struct rte_mempool *mp, unsigned int lcores, unsigned int bulk, bool touch, double *mops)
{
	struct job job = {.mp = mp, .bulk = bulk, .held_each = mp->size};
	int ret;

	RTE_SET_USED(touch);
	job.held = calloc((size_t)job.held_each * lcores, sizeof(void *));
	if (job.held == NULL)
		return -ENOMEM;
	ret = run_job(&job, exhaust, lcores, mops);
	free(job.held);
	return ret;
}

/* The main lcore takes everything and looks for more; what others may keep for themselves they
 * never had. */
static int
run_dry(struct rte_mempool *mp, unsigned int lcores, unsigned int bulk, bool touch, double *ns)
{
	struct job job = {.bulk = bulk, .mp = mp};
	struct bench_team team = {.n = lcores, .work = dry, .arg = &job};
	void **held = calloc(mp->size, sizeof(void *));
	unsigned int n = 0;
	int ret;

	RTE_SET_USED(touch);
	if (held == NULL)
		return -ENOMEM;
	while (n < mp->size && rte_mempool_get(mp, &held[n]) == 0)
		n++;
	ret = bench_team_run(&team);
	for (unsigned int i = 0; i < n; i++)
		rte_mempool_put(mp, held[i]);
	free(held);
	if (ret != 0)
		return ret;
	*ns = team.seconds * 1e9 / (double)team.count;
	if (n < mp->size || job.faults != 0) {
		bench_error("mempool %s: %u of %u objects could be taken, one after another",
			mp->name, n, mp->size);
		return -EIO;
	}
	return conserved(mp);
}

const struct bench_pattern bench_patterns[] = {
	{
		.name = "getput",
		.what = "one lcore takes and gives back",
		.lcores = 1,
		.touches = true,
		.run = run_getput,
	},
	{
		.name = "getput2",
		.what = "two lcores, each takes and gives back",
		.lcores = 2,
		.touches = true,
		.run = run_getput,
	},
	{
		.name = "pipeline",
		.what = "one lcore takes, another gives back",
		.lcores = 2,
		.touches = true,
		.run = run_pass,
	},
	{
		.name = "fanout",
		.what = "one lcore takes, all others give back",
		.touches = true,
		.run = run_pass,
	},
	{
		.name = "oversub",
		.what = "get and put by more threads than there are CPUs",
		.crowded = true,
		.touches = true,
		.run = run_getput,
	},
	{
		.name = "exhaust",
		.what = "two lcores take until nothing is left, then give back",
		.lcores = 2,
		.drains = true,
		.run = run_exhaust,
	},
	{
		.name = "dry",
		.what = "one lcore asks a mempool that has nothing left",
		.lcores = 1,
		.drains = true,
		.unit = BENCH_NS,
		.run = run_dry,
	},
	{.name = NULL},
};

const struct bench_pattern *
bench_pattern_find(const char *name)
{
	const struct bench_pattern *pattern = bench_patterns;

	while (pattern->name != NULL && strcmp(pattern->name, name) != 0)
		pattern++;
	return pattern->name != NULL ? pattern : NULL;
}
