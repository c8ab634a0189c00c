/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * A round: a new pool; processes that take and give bursts, each with a CPU of its own; a member
 * that comes by 65 536 blocks, in its shards, in a ring and in its hands, and is killed. For ten
 * milliseconds the others note how long their bursts take while this process, a member as well,
 * keeps its own CPU busy: the control. Then it recovers, and from the beginning of that they note
 * it for ten milliseconds again, those while the recovery runs and those after it apart.
 * Afterwards every block has to be where it belongs.
 */

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <rte_pause.h>
#include <slabio/pool.h>
#include <slabio/rbuff.h>
#include "bench.h"
#include "recovery.h"

#define OTHERS	      16384u /* for those who go on */
#define BLOCKS	      (HELD + OTHERS)
#define LIMIT_SECONDS 30u /* a process that takes longer hangs */
#define REST_US	      2000u
#define NEAR_NS	      UINT64_C(100000000) /* for the others to see that it begins */
#define WINDOW_NS     UINT64_C(10000000)

struct scene {
	struct sio_pool *pool;
	struct sio_rbuff *ring;
	char pool_name[SIO_NAME_LEN], ring_name[SIO_NAME_LEN];
	pid_t pids[WORKERS_MAX + 1]; /* not waited for yet; the last one started dies */
	unsigned int n;
};

static int
scene_open(struct scene *s, bool exact)
{
	static unsigned int number;
	const struct sio_pool_opts opts = {
		.sz = sizeof(opts),
		.name = s->pool_name,
		.n_blocks = BLOCKS,
		.block_size = BLOCK_SIZE,
		.flags = exact ? SIO_POOL_EXACT : 0,
		.backing = SIO_BACKING_FILE,
	};
	struct sio_rbuff_opts ring = {
		.sz = sizeof(ring),
		.name = s->ring_name,
		.capacity = QUEUED,
		.element_size = sizeof(struct sio_desc),
		.role = SIO_RBUFF_OBSERVER,
	};
	int ret;

	snprintf(s->pool_name, SIO_NAME_LEN, "bench-%d.v%u", (int)getpid(), number);
	snprintf(s->ring_name, SIO_NAME_LEN, "bench-%d.q%u", (int)getpid(), number++);
	ret = sio_pool_create(&opts, &s->pool);
	if (ret != 0)
		return ret;
	ring.carries = s->pool;
	return sio_rbuff_create(&ring, &s->ring);
}

/* Once waited for, its id may be another process's: it is no longer in the list. */
static void
kill_last(struct scene *s)
{
	pid_t pid = s->pids[--s->n];

	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void
scene_close(struct scene *s)
{
	while (s->n > 0)
		kill_last(s);
	if (s->ring != NULL)
		sio_rbuff_destroy(s->ring);
	if (s->pool != NULL)
		sio_pool_destroy(s->pool);
}

/* Starts another one and waits until it is at work. */
static int
start(struct scene *s, const struct round *round, bool dies)
{
	const uint64_t until = sio_now_ns() + LIMIT_SECONDS * UINT64_C(1000000000);
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(LIMIT_SECONDS);
		_exit(dies ? recovery_victim(round->shared, s->pool_name, s->ring_name)
			   : recovery_worker(round->shared, s->pool_name, s->n, round->burst));
	}
	if (pid < 0)
		return -errno;
	s->pids[s->n++] = pid;
	while (atomic_load_explicit(&round->shared->ready, memory_order_acquire) < s->n) {
		if (waitpid(pid, NULL, WNOHANG) == pid) {
			s->n--;
			return -ECHILD;
		}
		if (sio_now_ns() > until)
			return -ECHILD;
		usleep(200);
	}
	return 0;
}

static int
start_all(struct scene *s, const struct round *round)
{
	int ret = 0;

	for (unsigned int i = 0; i < round->workers && ret == 0; i++)
		ret = start(s, round, false);
	return ret == 0 ? start(s, round, true) : ret;
}

static void
enter(const struct round *round, enum window window)
{
	atomic_store_explicit(&round->shared->window, window, memory_order_release);
}

static void
busy_until(uint64_t ns)
{
	while (sio_now_ns() < ns)
		rte_pause();
}

/* The others are told, and know: each of them has a CPU just now. Or they have none for long. */
static void
tell(const struct round *round, enum window window)
{
	uint64_t until = sio_now_ns() + NEAR_NS;
	unsigned int n = 0;

	enter(round, window);
	while (n < round->workers && sio_now_ns() < until)
		if (atomic_load_explicit(&round->shared->worker[n].window, memory_order_acquire) ==
			window)
			n++;
}

/* The others take note before this one recovers, while it does, and after. */
static int
windows(struct scene *s, struct round *round)
{
	uint64_t now;
	int ret;

	kill_last(s);
	usleep(REST_US);
	tell(round, NEAR);
	bench_first(false);
	tell(round, READY);
	enter(round, CONTROL);
	busy_until(sio_now_ns() + WINDOW_NS);
	tell(round, READY);
	now = sio_now_ns();
	enter(round, DURING);
	ret = sio_pool_recover(s->pool, &round->report);
	enter(round, AFTER);
	busy_until(now + WINDOW_NS);
	enter(round, REST);
	bench_as_others();
	return ret;
}

static int
stop_all(struct scene *s, struct shared *shared)
{
	int status, ret = 0;

	atomic_store_explicit(&shared->stop, true, memory_order_release);
	for (; s->n > 0; s->n--) {
		if (waitpid(s->pids[s->n - 1], &status, 0) < 0 || status != 0)
			ret = -ECHILD;
		bench_lost_add(shared->worker[s->n - 1].wall_ns, shared->worker[s->n - 1].cpu_ns);
	}
	return ret;
}

/* What was queued arrives; all is free but what a conservative pool cannot know of. */
static int
conserved(struct scene *s, const struct round *round)
{
	const struct sio_recover_report *first = &round->report;
	static struct sio_desc desc[QUEUED];
	static uint32_t handles[QUEUED];
	struct sio_recover_report report;
	struct sio_rbuff *ring;
	uint32_t hands = HELD - QUEUED - THREADS * IN_SHARD;
	int n = 0;

	if (sio_rbuff_attach_blocks(s->ring_name, SIO_RBUFF_CONSUMER, s->pool, &ring) == 0) {
		n = sio_rbuff_read_burst(ring, desc, QUEUED);
		for (int i = 0; i < n; i++)
			handles[i] = desc[i].handle;
		if (n > 0)
			sio_pool_give(s->pool, handles, (unsigned int)n);
		sio_rbuff_detach(ring);
	}
	if (sio_pool_recover(s->pool, &report) == 0 && n == (int)QUEUED &&
		first->dead_members == 1 && first->left == 0 &&
		first->blocks_hands == (round->exact ? hands : 0) &&
		report.quarantined == (round->exact ? 0 : hands) &&
		sio_pool_free_count(s->pool) == BLOCKS - report.quarantined)
		return 0;
	bench_conserved = false;
	bench_error("recovery: %u of %u blocks are free, %u in quarantine, %d of %u in the ring, "
		    "%u came from hands, %u things left",
		sio_pool_free_count(s->pool), BLOCKS, report.quarantined, n, QUEUED,
		first->blocks_hands, first->left);
	return -EIO;
}

int
recovery_round(struct round *round)
{
	struct scene s = {0};
	int ret;

	memset(round->shared, 0, sizeof(*round->shared));
	memset(&round->report, 0, sizeof(round->report));
	enter(round, REST);
	ret = scene_open(&s, round->exact);
	if (ret == 0)
		ret = start_all(&s, round);
	if (ret == 0)
		ret = windows(&s, round);
	if (ret == 0)
		ret = stop_all(&s, round->shared);
	if (ret == 0)
		ret = conserved(&s, round);
	else
		bench_error("recovery: %s", strerror(-ret));
	scene_close(&s);
	return ret;
}
