/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The libslabio pool between processes that know nothing of EAL: each run starts its processes
 * anew, they attach, meet, work until the deadline, and leave; afterwards every block must be in
 * the pool again.
 */

#include <errno.h>
#include <stdatomic.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <rte_pause.h>
#include <slabio/pool.h>
#include <slabio/rbuff.h>
#include "bench.h"

#define BLOCKS		8192u
#define BLOCKS_PER_LOOK 1024u
#define PROCESSES_MAX	2u
#define LIMIT_SECONDS	30u /* a process that takes longer hangs */

enum kind {
	GETPUT,
	PIPELINE,
	QUEUE_ONLY, /* the pipeline's ring without a pool */
};

struct job {
	enum kind kind;
	bool exact;
	unsigned int processes;
	unsigned int bulk;
	char pool_name[SIO_NAME_LEN];
	char ring_name[SIO_NAME_LEN];
};

/* What the processes of one run share. */
struct meeting {
	_Atomic unsigned int arrived;
	_Atomic uint64_t deadline; /* ns; 0: not yet */
	_Atomic uint64_t total;	   /* of the pipeline; UINT64_MAX: not known yet */
	uint64_t began;
	struct {
		_Alignas(128) uint64_t count;
		uint64_t ended;
		uint64_t wrong;
		uint64_t wall_ns, cpu_ns;
	} process[PROCESSES_MAX];
};

static struct meeting *meeting;

static uint64_t
meet(const struct job *job)
{
	uint64_t deadline;

	/* acq_rel: the last one writes what the others then read; partner: their acquire below */
	if (atomic_fetch_add_explicit(&meeting->arrived, 1, memory_order_acq_rel) + 1 ==
		job->processes) {
		meeting->began = sio_now_ns();
		atomic_store_explicit(&meeting->deadline,
			meeting->began + bench_options.ms * UINT64_C(1000000),
			memory_order_release);
	}
	while ((deadline = atomic_load_explicit(&meeting->deadline, memory_order_acquire)) == 0)
		rte_pause();
	return deadline;
}

/* ---- what one process does ---- */

static uint64_t
getput(struct sio_pool *pool, unsigned int bulk, uint64_t deadline)
{
	uint32_t handles[BENCH_BULK_MAX];
	uint64_t count = 0;

	do {
		for (unsigned int i = 0; i < BLOCKS_PER_LOOK; i += bulk) {
			if (sio_pool_take(pool, handles, bulk) != 0)
				continue;
			sio_pool_give(pool, handles, bulk);
			count += bulk;
		}
	} while (sio_now_ns() < deadline);
	return count;
}

static uint64_t
produce(struct sio_pool *pool, struct sio_rbuff *ring, unsigned int bulk, uint64_t deadline)
{
	uint32_t handles[BENCH_BULK_MAX] = {0};
	uint64_t count = 0;

	do {
		for (unsigned int i = 0; i < BLOCKS_PER_LOOK; i += bulk) {
			if (pool != NULL && sio_pool_take(pool, handles, bulk) != 0) {
				rte_pause();
				continue;
			}
			while (sio_rbuff_write_bulk(ring, handles, bulk) == 0)
				rte_pause();
			count += bulk;
		}
	} while (sio_now_ns() < deadline);
	atomic_store_explicit(&meeting->total, count, memory_order_release);
	return 0;
}

static uint64_t
consume(struct sio_pool *pool, struct sio_rbuff *ring, unsigned int bulk, uint64_t *wrong)
{
	uint32_t handles[BENCH_BULK_MAX];
	uint64_t count = 0;

	for (;;) {
		int n = sio_rbuff_read_burst(ring, handles, bulk);

		if (n <= 0) {
			if (atomic_load_explicit(&meeting->total, memory_order_acquire) == count)
				return count;
			rte_pause();
			continue;
		}
		if (pool != NULL && sio_pool_give(pool, handles, (unsigned int)n) != 0)
			*wrong += (unsigned int)n;
		count += (unsigned int)n;
	}
}

static int
attach(const struct job *job, unsigned int me, struct sio_pool **pool, struct sio_rbuff **ring)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts), .no_payload = true};
	int ret = 0;

	if (job->kind != QUEUE_ONLY)
		ret = sio_pool_attach(job->pool_name, &opts, pool);
	if (ret == 0 && job->kind != GETPUT)
		ret = sio_rbuff_attach(
			job->ring_name, me == 0 ? SIO_RBUFF_PRODUCER : SIO_RBUFF_CONSUMER, ring);
	return ret;
}

static int
child(const struct job *job, unsigned int me)
{
	struct sio_pool *pool = NULL;
	struct sio_rbuff *ring = NULL;
	uint64_t deadline, wrong = 0;
	uint64_t began, cpu_ns;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(LIMIT_SECONDS);
	if (bench_pin(me) != 0 || attach(job, me, &pool, &ring) != 0)
		return 1;
	deadline = meet(job);
	began = sio_now_ns();
	cpu_ns = bench_cpu_ns();
	if (job->kind == GETPUT)
		meeting->process[me].count = getput(pool, job->bulk, deadline);
	else if (me == 0)
		meeting->process[me].count = produce(pool, ring, job->bulk, deadline);
	else
		meeting->process[me].count = consume(pool, ring, job->bulk, &wrong);
	meeting->process[me].ended = sio_now_ns();
	meeting->process[me].wrong = wrong;
	meeting->process[me].cpu_ns = bench_cpu_ns() - cpu_ns;
	meeting->process[me].wall_ns = meeting->process[me].ended - began;
	if (pool != NULL)
		sio_pool_detach(pool);
	if (ring != NULL)
		sio_rbuff_detach(ring);
	return 0;
}

/* ---- runs ---- */

/* Starts the processes and waits for them; one that fails takes the others with it. */
static int
start_all(const struct job *job)
{
	pid_t pids[PROCESSES_MAX] = {0}, pid;
	unsigned int left = 0;
	bool failed = false;
	int status;

	fflush(NULL);
	for (unsigned int i = 0; i < job->processes && !failed; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(child(job, i));
		failed = pids[i] < 0;
		left += !failed;
	}
	for (; left > 0; left--) {
		if (failed)
			for (unsigned int i = 0; i < job->processes; i++)
				if (pids[i] > 0)
					kill(pids[i], SIGKILL);
		pid = wait(&status);
		for (unsigned int i = 0; i < job->processes; i++)
			if (pids[i] == pid)
				pids[i] = 0;
		failed = failed || status != 0;
	}
	return failed ? -ECHILD : 0;
}

static int
pool_open(struct job *job, struct sio_pool **pool)
{
	struct sio_pool_opts opts = {
		.sz = sizeof(opts),
		.name = job->pool_name,
		.n_blocks = BLOCKS,
		.block_size = bench_options.object_size,
		.flags = job->exact ? SIO_POOL_EXACT : 0,
		.backing = SIO_BACKING_FILE,
	};

	return sio_pool_create(&opts, pool);
}

static int
ring_open(struct job *job, struct sio_rbuff **ring)
{
	struct sio_rbuff_opts opts = {
		.sz = sizeof(opts),
		.name = job->ring_name,
		.capacity = bench_options.queue,
		.element_size = 4,
		.role = SIO_RBUFF_OBSERVER,
	};

	return sio_rbuff_create(&opts, ring);
}

static int
result(const struct job *job, struct sio_pool *pool, double *mops)
{
	uint64_t count = 0, last = 0, wrong = 0;

	for (unsigned int i = 0; i < job->processes; i++) {
		count += meeting->process[i].count;
		wrong += meeting->process[i].wrong;
		bench_lost_add(meeting->process[i].wall_ns, meeting->process[i].cpu_ns);
		if (meeting->process[i].ended > last)
			last = meeting->process[i].ended;
	}
	*mops = (double)count * 1e3 / (double)(last - meeting->began);
	if (wrong == 0 && (pool == NULL || sio_pool_free_count(pool) == BLOCKS))
		return 0;
	bench_conserved = false;
	bench_error("pool between processes: %u of %u blocks are there after the run, %llu were "
		    "refused",
		pool == NULL ? 0 : sio_pool_free_count(pool), BLOCKS, (unsigned long long)wrong);
	return -EIO;
}

static int
run(void *arg, double *mops)
{
	static unsigned int number;
	struct job *job = arg;
	struct sio_pool *pool = NULL;
	struct sio_rbuff *ring = NULL;
	int ret = 0;

	memset(meeting, 0, sizeof(*meeting));
	meeting->total = UINT64_MAX;
	snprintf(job->pool_name, SIO_NAME_LEN, "bench-%d.p%u", (int)getpid(), number);
	snprintf(job->ring_name, SIO_NAME_LEN, "bench-%d.r%u", (int)getpid(), number++);
	if (job->kind != QUEUE_ONLY)
		ret = pool_open(job, &pool);
	if (ret == 0 && job->kind != GETPUT)
		ret = ring_open(job, &ring);
	if (ret == 0)
		ret = start_all(job);
	if (ret == 0)
		ret = result(job, pool, mops);
	else
		bench_error("pool between processes: %s", strerror(-ret));
	if (pool != NULL)
		sio_pool_destroy(pool);
	if (ring != NULL)
		sio_rbuff_destroy(ring);
	return ret;
}

static int
pair(const char *pattern, const char *subject, struct job *a, const char *rival, struct job *b,
	double fixed, double bar)
{
	struct bench_case c = {
		.suite = "pool",
		.lcores = a->processes,
		.bulk = a->bulk,
		.size = bench_options.object_size,
		.run = run,
		.subject_arg = a,
		.rival_arg = b,
		.fixed = fixed,
		.bar = bar,
	};

	if (bench_cpus < 2) {
		bench_report_skip(pattern, "it needs two CPUs");
		return 0;
	}
	if (meeting == NULL) {
		meeting = mmap(NULL, sizeof(*meeting), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (meeting == MAP_FAILED) {
			meeting = NULL;
			return -ENOMEM;
		}
	}
	snprintf(c.pattern, sizeof(c.pattern), "%s", pattern);
	snprintf(c.subject, sizeof(c.subject), "%s", subject);
	snprintf(c.rival, sizeof(c.rival), "%s", rival);
	return bench_measure(&c);
}

int
bench_pool_fixed(unsigned int bulk, const char *rival, double figure, double bar)
{
	struct job a = {.kind = GETPUT, .processes = 2, .bulk = bulk};

	return pair("getput2", "pool", &a, rival, NULL, figure, bar);
}

int
bench_pool(void)
{
	const struct bench_options *o = &bench_options;
	int ret = 0;

	bench_heading("libslabio pool: processes that take and give back");
	for (unsigned int b = 0; b < o->bulks.n && ret == 0; b++) {
		struct job two = {.kind = GETPUT, .processes = 2, .bulk = o->bulks.at[b]};
		struct job one = {.kind = GETPUT, .processes = 1, .bulk = o->bulks.at[b]};

		ret = pair("getput2", "two processes", &two, "one process", &one, 0, 0);
	}
	bench_heading("libslabio pool: one process takes, another gives back, over an rbuff");
	for (unsigned int b = 0; b < o->bulks.n && ret == 0; b++) {
		struct job open = {.kind = PIPELINE, .processes = 2, .bulk = o->bulks.at[b]};
		struct job bare = {.kind = QUEUE_ONLY, .processes = 2, .bulk = o->bulks.at[b]};

		ret = pair("pipeline", "pool", &open, "rbuff alone", &bare, 0, 0);
	}
	return ret;
}
