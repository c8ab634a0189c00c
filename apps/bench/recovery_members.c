/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The processes of a round: those who take and give bursts and note how long these take, and the
 * one that comes by many blocks, in its shards, in a ring and in its hands, and is killed.
 *
 * Each burst is timed by itself: of several together the slowest would speak for all. A burst takes
 * some 20 ns, and the clocks of common CPUs move in steps of up to 10 ns. Where in a step a burst
 * begins is chance, so how many are seen to take a step more says how much more they took.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>
#include <rte_cycles.h>
#include <slabio/pool.h>
#include <slabio/rbuff.h>
#include "bench.h"
#include "recovery.h"

#define SWING  2048u /* blocks that go up and down: some magazines */
#define SETTLE 32u   /* bursts at the begin of a window that do not count */

/* ---- those who go on ---- */

static bool
burst(struct sio_pool *pool, enum burst kind, uint32_t *handles, unsigned int *n, bool *up)
{
	if (kind == GETPUT)
		return sio_pool_take(pool, handles, BULK) == 0 &&
		       sio_pool_give(pool, handles, BULK) == 0;
	if (*n == 0)
		*up = true;
	if (*n + BULK > SWING)
		*up = false;
	if (!*up) {
		*n -= BULK;
		return sio_pool_give(pool, &handles[*n], BULK) == 0;
	}
	if (sio_pool_take(pool, &handles[*n], BULK) != 0)
		return false;
	*n += BULK;
	return true;
}

/*
 * Another window has begun. What that costs is not of the windows' bursts: system calls and page
 * faults are before the first one of a round and after the last one.
 */
static void
turn(struct shared *shared, unsigned int me, unsigned int now)
{
	struct histogram *histogram = shared->worker[me].histogram;

	if (now == NEAR) {
		bench_first(false);
		memset(histogram, 0, WINDOWS * sizeof(*histogram));
		shared->worker[me].wall_ns = sio_now_ns();
		shared->worker[me].cpu_ns = bench_cpu_ns();
	} else if (now == REST) {
		shared->worker[me].wall_ns = sio_now_ns() - shared->worker[me].wall_ns;
		shared->worker[me].cpu_ns = bench_cpu_ns() - shared->worker[me].cpu_ns;
		bench_as_others();
	}
	atomic_store_explicit(&shared->worker[me].window, now, memory_order_release);
}

static void
work(struct shared *shared, struct sio_pool *pool, unsigned int me, enum burst kind)
{
	struct histogram *histogram = shared->worker[me].histogram;
	unsigned int n = 0, window = REST, settle = 0, now;
	static uint32_t handles[SWING];
	uint64_t began, took;
	bool up = true;

	while (!atomic_load_explicit(&shared->stop, memory_order_acquire)) {
		now = atomic_load_explicit(&shared->window, memory_order_acquire);
		if (now != window) {
			turn(shared, me, now);
			window = now;
			settle = SETTLE;
		}
		began = rte_rdtsc();
		if (!burst(pool, kind, handles, &n, &up))
			shared->worker[me].failed++;
		took = rte_rdtsc() - began;
		if (settle > 0)
			settle--;
		else if (window < WINDOWS)
			histogram_add(&histogram[window], took);
	}
	if (window != REST)
		turn(shared, me, REST);
	if (n > 0)
		sio_pool_give(pool, handles, n);
}

int
recovery_worker(struct shared *shared, const char *pool_name, unsigned int me, enum burst kind)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts), .no_payload = true};
	struct sio_pool *pool;

	if (bench_pin(me + 1) != 0 || sio_pool_attach(pool_name, &opts, &pool) != 0)
		return 1;
	/* release: partner is the parent's acquire */
	atomic_fetch_add_explicit(&shared->ready, 1, memory_order_release);
	work(shared, pool, me, kind);
	sio_pool_detach(pool);
	return 0;
}

/* ---- the one that dies ---- */

struct part {
	struct sio_pool *pool;
	const uint32_t *handles;
	pthread_barrier_t *met;
};

static void *
keep_some(void *arg)
{
	struct part *part = arg;

	sio_pool_give(part->pool, part->handles, IN_SHARD);
	pthread_barrier_wait(part->met);
	for (;;)
		pause();
	return NULL;
}

int
recovery_victim(struct shared *shared, const char *pool_name, const char *ring_name)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts), .no_payload = true};
	static uint32_t handles[HELD];
	static struct sio_desc desc[QUEUED];
	static struct part part[THREADS];
	struct sio_pool *pool;
	struct sio_rbuff *ring;
	pthread_barrier_t met;
	pthread_t thread;

	if (bench_pin(0) != 0 || sio_pool_attach(pool_name, &opts, &pool) != 0 ||
		sio_rbuff_attach_blocks(ring_name, SIO_RBUFF_PRODUCER, pool, &ring) != 0 ||
		sio_pool_take(pool, handles, HELD) != 0)
		return 1;
	/* the take left its shard with some */
	sio_pool_thread_end(pool);
	for (unsigned int i = 0; i < QUEUED; i++)
		desc[i].handle = handles[i];
	if (sio_rbuff_write_bulk(ring, desc, QUEUED) != (int)QUEUED)
		return 1;
	pthread_barrier_init(&met, NULL, THREADS + 1);
	for (unsigned int i = 0; i < THREADS; i++) {
		part[i] = (struct part){pool, &handles[QUEUED + i * IN_SHARD], &met};
		if (pthread_create(&thread, NULL, keep_some, &part[i]) != 0)
			return 1;
	}
	pthread_barrier_wait(&met);
	atomic_fetch_add_explicit(&shared->ready, 1, memory_order_release);
	for (;;)
		pause();
}
