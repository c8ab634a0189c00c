/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* Several threads of one process: stealing, migration, threads that come and go. */

#include "unit_env.h"
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include "unit_pool.h"

struct idle {
	struct sio_pool *pool;
	uint32_t n;
	sem_t *ready, *end;
};

/* Takes blocks into its shard and sleeps with them there. */
static void *
idle_thread(void *arg)
{
	struct idle *idle = arg;
	uint32_t *handles = calloc(idle->n, sizeof(uint32_t));

	if (handles == NULL || sio_pool_take(idle->pool, handles, idle->n) != 0 ||
		sio_pool_give(idle->pool, handles, idle->n) != 0)
		abort();
	free(handles);
	sem_post(idle->ready);
	sem_wait(idle->end);
	return NULL;
}

static void
stealing_reaches_the_last_block_of_idle_threads(void **state)
{
	enum { THREADS = 5, N = 200 };
	struct sio_pool *pool = unit_pool("idle", N, 8, 0, 0);
	pthread_t threads[THREADS];
	uint32_t handles[N];
	bool seen[N] = {false};
	sem_t ready, end;
	struct idle idle = {.pool = pool, .n = N, .ready = &ready, .end = &end};

	(void)state;
	sem_init(&ready, 0, 0);
	sem_init(&end, 0, 0);
	for (unsigned int i = 0; i < THREADS; i++) {
		/* each leaves up to two magazines in its shard */
		assert_int_equal(pthread_create(&threads[i], NULL, idle_thread, &idle), 0);
		sem_wait(&ready);
	}
	for (unsigned int i = 0; i < N; i++) {
		assert_int_equal(sio_pool_take_one(pool, &handles[i]), 0);
		assert_false(seen[handles[i]]);
		seen[handles[i]] = true;
	}
	assert_int_equal(sio_pool_take_one(pool, &handles[0]), -ENOBUFS);
	assert_int_equal(sio_pool_give(pool, handles, N), 0);
	/* and all at once */
	assert_int_equal(sio_pool_take(pool, handles, N), 0);
	assert_int_equal(sio_pool_give(pool, handles, N), 0);
	for (unsigned int i = 0; i < THREADS; i++)
		sem_post(&end);
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	unit_assert_all_free(pool, N);
	sio_pool_destroy(pool);
}

struct giver {
	struct sio_pool *pool;
	sem_t *go, *done;
	unsigned int rounds;
};

/* Holds all blocks and gives one into its own shard each time it is told to. */
static void *
gives_one_at_a_time(void *arg)
{
	struct giver *giver = arg;
	uint32_t handles[64];

	if (sio_pool_take(giver->pool, handles, 64) != 0)
		abort();
	sem_post(giver->done);
	for (unsigned int i = 0; i < giver->rounds; i++) {
		sem_wait(giver->go);
		if (sio_pool_give(giver->pool, &handles[i], 1) != 0)
			abort();
		sem_post(giver->done);
	}
	sem_wait(giver->go);
	if (sio_pool_give(giver->pool, handles + giver->rounds, 64 - giver->rounds) != 0)
		abort();
	return NULL;
}

/* A thread that holds 64 blocks, and gives one whenever it is asked to. */
struct asked_giver {
	struct giver giver;
	pthread_t thread;
	sem_t go, done;
};

static void
giver_start(struct asked_giver *g, struct sio_pool *pool, unsigned int rounds)
{
	sem_init(&g->go, 0, 0);
	sem_init(&g->done, 0, 0);
	g->giver = (struct giver){.pool = pool, .rounds = rounds, .go = &g->go, .done = &g->done};
	assert_int_equal(pthread_create(&g->thread, NULL, gives_one_at_a_time, &g->giver), 0);
	sem_wait(&g->done);
}

static void
giver_gives_one(struct asked_giver *g)
{
	sem_post(&g->go);
	sem_wait(&g->done);
}

static void
giver_end(struct asked_giver *g)
{
	sem_post(&g->go);
	pthread_join(g->thread, NULL);
}

static void
a_dry_pool_is_left_as_soon_as_somebody_gives(void **state)
{
	struct sio_pool *pool = unit_pool("dry", 64, 16, 0, 0);
	const unsigned int rounds = 40;
	struct asked_giver giver;
	struct sio_shard_info infos[2];
	uint32_t handles[64];

	(void)state;
	giver_start(&giver, pool, rounds);
	for (unsigned int i = 0; i < rounds; i++) {
		/* more than once: the second time it need not look */
		for (unsigned int k = 0; k < 3; k++)
			assert_int_equal(sio_pool_take_one(pool, &handles[i]), -ENOBUFS);
		giver_gives_one(&giver);
		assert_int_equal(sio_pool_take_one(pool, &handles[i]), 0);
	}
	assert_int_equal(sio_pool_shards(pool, infos, 2), 2);
	assert_int_equal(infos[0].taken + infos[1].taken, 64 + rounds);
	assert_int_equal(infos[0].given + infos[1].given, rounds);
	assert_int_equal(infos[0].failures + infos[1].failures, 3 * rounds);
	assert_true(infos[0].steals + infos[1].steals >= rounds);
	assert_int_equal(infos[0].free_blocks + infos[1].free_blocks, 0);
	giver_end(&giver);
	assert_int_equal(sio_pool_give(pool, handles, rounds), 0);
	unit_assert_all_free(pool, 64);
	sio_pool_destroy(pool);
}

static void *
take_one_and_give_it(void *arg)
{
	struct idle *idle = arg;
	uint32_t handle;

	if (sio_pool_take_one(idle->pool, &handle) != 0 ||
		sio_pool_give(idle->pool, &handle, 1) != 0)
		abort();
	return NULL;
}

static void
a_thread_that_found_it_dry_goes_by_that_for_the_dry_time(void **state)
{
	struct sio_pool *pool = unit_pool("dry_time", 80, 16, 0, 0);
	struct idle idle = {.pool = pool};
	struct asked_giver giver;
	uint32_t own[16], handle;
	pthread_t thread;

	(void)state;
	/* longer than any test runs */
	sio_pool_set_dry_time(pool, UINT32_MAX);
	assert_int_equal(sio_pool_take(pool, own, 16), 0);
	giver_start(&giver, pool, 1);
	assert_int_equal(sio_pool_take_one(pool, &handle), -ENOBUFS);
	giver_gives_one(&giver);
	assert_int_equal(sio_pool_take_one(pool, &handle), -ENOBUFS);
	/* what it gave itself it has at once, wherever that went meanwhile */
	for (unsigned int i = 0; i < 100; i++) {
		assert_int_equal(sio_pool_give(pool, own, 16), 0);
		assert_int_equal(sio_pool_take(pool, own, 16), 0);
		assert_int_equal(sio_pool_take_one(pool, &handle), -ENOBUFS);
	}
	/* as has a thread that did not find it dry */
	assert_int_equal(pthread_create(&thread, NULL, take_one_and_give_it, &idle), 0);
	pthread_join(thread, NULL);
	assert_int_equal(sio_pool_take_one(pool, &handle), -ENOBUFS);
	assert_int_equal(sio_pool_give(pool, own, 16), 0);
	giver_end(&giver);
	unit_assert_all_free(pool, 80);
	sio_pool_destroy(pool);
}

/* Another thread, which takes and gives 16 blocks as often as it is told, and keeps its shard. */
struct borrower {
	struct sio_pool *pool;
	unsigned int times;
	sem_t go, done;
};

static void *
borrow_16(void *arg)
{
	struct borrower *b = arg;
	uint32_t handles[16];

	for (unsigned int i = 0; i < b->times; i++) {
		if (sio_pool_take(b->pool, handles, 16) != 0 ||
			sio_pool_give(b->pool, handles, 16) != 0)
			abort();
		sem_post(&b->done);
		sem_wait(&b->go);
	}
	return NULL;
}

static void
in_its_dry_time_a_thread_steals_once(void **state)
{
	struct sio_pool *pool = unit_pool("dry_steal", 80, 16, 0, 0);
	struct borrower b = {.pool = pool, .times = 2};
	uint32_t own[16], held[64];
	pthread_t thread;

	(void)state;
	sem_init(&b.go, 0, 0);
	sem_init(&b.done, 0, 0);
	sio_pool_set_dry_time(pool, UINT32_MAX);
	assert_int_equal(sio_pool_take(pool, held, 64), 0);
	assert_int_equal(sio_pool_take(pool, own, 16), 0);
	assert_int_equal(sio_pool_take_one(pool, own), -ENOBUFS);
	assert_int_equal(sio_pool_give(pool, own, 16), 0);
	/* stolen from this thread's shard: once it may steal them back */
	assert_int_equal(pthread_create(&thread, NULL, borrow_16, &b), 0);
	sem_wait(&b.done);
	assert_int_equal(sio_pool_take(pool, own, 16), 0);
	assert_int_equal(sio_pool_give(pool, own, 16), 0);
	sem_post(&b.go);
	sem_wait(&b.done);
	assert_int_equal(sio_pool_take(pool, own, 16), -ENOBUFS);
	assert_int_equal(sio_pool_take_one(pool, own), -ENOBUFS);
	/* what it gives it can have, both magazines of it, and no more */
	assert_int_equal(sio_pool_give(pool, held, 24), 0);
	assert_int_equal(sio_pool_take(pool, held, 24), 0);
	assert_int_equal(sio_pool_give(pool, held, 64), 0);
	assert_int_equal(sio_pool_take(pool, held, 64), 0);
	assert_int_equal(sio_pool_take_one(pool, own), -ENOBUFS);
	assert_int_equal(sio_pool_give(pool, held, 64), 0);
	sem_post(&b.go);
	pthread_join(thread, NULL);
	unit_assert_all_free(pool, 80);
	sio_pool_destroy(pool);
}

static void
in_its_dry_time_a_thread_has_what_suffices_for_a_smaller_take(void **state)
{
	struct sio_pool *pool = unit_pool("dry_small", 96, 16, 0, 0);
	struct borrower b = {.pool = pool, .times = 1};
	uint32_t held[80], own[80];
	pthread_t thread;

	(void)state;
	sem_init(&b.go, 0, 0);
	sem_init(&b.done, 0, 0);
	/* longer than any test runs */
	sio_pool_set_dry_time(pool, UINT32_MAX);
	assert_int_equal(sio_pool_take(pool, held, 80), 0);
	assert_int_equal(pthread_create(&thread, NULL, borrow_16, &b), 0);
	sem_wait(&b.done);
	/* as a mempool cache asks: for a refill first, then for what the caller wants */
	assert_int_equal(sio_pool_take(pool, own, 40), -ENOBUFS);
	assert_int_equal(sio_pool_take(pool, own, 8), 0);
	assert_int_equal(sio_pool_take(pool, own + 8, 40), -ENOBUFS);
	assert_int_equal(sio_pool_take(pool, own + 8, 8), 0);
	assert_int_equal(sio_pool_give(pool, own, 16), 0);
	assert_int_equal(sio_pool_give(pool, held, 80), 0);
	sem_post(&b.go);
	pthread_join(thread, NULL);
	unit_assert_all_free(pool, 96);
	sio_pool_destroy(pool);
}

static void
after_its_dry_time_a_thread_finds_what_another_has_though_nobody_gives(void **state)
{
	struct sio_pool *pool = unit_pool("dry_found", 80, 16, 0, 0);
	struct borrower b = {.pool = pool, .times = 2};
	uint32_t held[80], handle;
	pthread_t thread;
	uint64_t until;

	(void)state;
	sem_init(&b.go, 0, 0);
	sem_init(&b.done, 0, 0);
	sio_pool_set_dry_time(pool, 200000);
	assert_int_equal(sio_pool_take(pool, held, 80), 0);
	assert_int_equal(sio_pool_take_one(pool, &handle), -ENOBUFS);
	assert_int_equal(sio_pool_give(pool, held, 16), 0);
	assert_int_equal(pthread_create(&thread, NULL, borrow_16, &b), 0);
	sem_wait(&b.done);
	/* so that the dry time's one theft is done, mostly */
	assert_int_equal(sio_pool_take(pool, held, 16), 0);
	assert_int_equal(sio_pool_give(pool, held, 16), 0);
	sem_post(&b.go);
	sem_wait(&b.done);
	/* the first time mostly within the dry time */
	until = sio_now_ns() + 10000000000u;
	while (sio_pool_take_one(pool, held) != 0)
		assert_true(sio_now_ns() < until);
	assert_int_equal(sio_pool_give(pool, held, 1), 0);
	assert_int_equal(sio_pool_give(pool, held + 16, 64), 0);
	sem_post(&b.go);
	pthread_join(thread, NULL);
	unit_assert_all_free(pool, 80);
	sio_pool_destroy(pool);
}

static void
a_dry_pool_is_looked_at_again_after_the_dry_time(void **state)
{
	struct sio_pool *pool = unit_pool("dry_again", 64, 16, 0, 0);
	struct asked_giver giver;
	uint32_t handle;
	uint64_t until;

	(void)state;
	sio_pool_set_dry_time(pool, 2000);
	giver_start(&giver, pool, 1);
	assert_int_equal(sio_pool_take_one(pool, &handle), -ENOBUFS);
	giver_gives_one(&giver);
	until = sio_now_ns() + 10000000000u;
	while (sio_pool_take_one(pool, &handle) != 0)
		assert_true(sio_now_ns() < until);
	assert_int_equal(sio_pool_give(pool, &handle, 1), 0);
	giver_end(&giver);
	unit_assert_all_free(pool, 64);
	sio_pool_destroy(pool);
}

static void *
take_all_give_half(void *arg)
{
	struct idle *idle = arg;
	uint32_t handles[64];

	if (sio_pool_take(idle->pool, handles, 64) != 0 ||
		sio_pool_give(idle->pool, handles, 64) != 0)
		abort();
	return NULL;
}

static void
a_thread_that_ends_gives_its_shard_back(void **state)
{
	struct sio_pool *pool = unit_pool("ends", 64, 16, 0, 0);
	struct idle idle = {.pool = pool};
	struct sio_pool_info info;
	struct sio_audit_report report;
	struct sio_audit *a;
	pthread_t thread;

	(void)state;
	for (unsigned int i = 0; i < 50; i++) {
		assert_int_equal(pthread_create(&thread, NULL, take_all_give_half, &idle), 0);
		pthread_join(thread, NULL);
		sio_pool_info(pool, &info);
		assert_int_equal(info.shards_used, 0);
	}
	assert_int_equal(sio_audit_begin(pool, &a), 0);
	sio_audit_end(a, &report);
	assert_int_equal(report.met[SIO_PLACE_DEPOT], 64);
	unit_assert_all_free(pool, 64);
	sio_pool_destroy(pool);
}

static void
threads_beyond_the_shards_work_from_the_depot(void **state)
{
	struct sio_pool *pool = unit_pool("beyond", 64, 16, 1, 0);
	struct idle idle = {.pool = pool};
	struct sio_pool_info info;
	pthread_t thread;
	uint32_t handle;

	(void)state;
	assert_int_equal(sio_pool_take_one(pool, &handle), 0);
	assert_int_equal(sio_pool_give(pool, &handle, 1), 0);
	assert_int_equal(pthread_create(&thread, NULL, take_all_give_half, &idle), 0);
	pthread_join(thread, NULL);
	sio_pool_info(pool, &info);
	assert_int_equal(info.shards_used, 1);
	unit_assert_all_free(pool, 64);
	sio_pool_destroy(pool);
}

/* ---- many threads, every block's holder checked ---- */

enum { STRESS_N = 150 };

struct stress {
	struct sio_pool *pool;
	unsigned int seed, rounds;
	_Atomic uint32_t *holder; /* per block: 0 free, else who has it */
	atomic_uint *dry;
	pthread_mutex_t *lock; /* the hand-over between threads */
	uint32_t *shared;
	uint32_t *n_shared;
	pthread_barrier_t *start;
};

static void
now_mine(struct stress *s, const uint32_t *handles, uint32_t n, uint32_t me)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t nobody = 0;

		if (!atomic_compare_exchange_strong(&s->holder[handles[i]], &nobody, me))
			abort();
	}
}

static void
no_more_mine(struct stress *s, const uint32_t *handles, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (atomic_exchange(&s->holder[handles[i]], 0) == 0)
			abort();
}

static void *
stress_thread(void *arg)
{
	struct stress *s = arg;
	uint32_t held[64], n_held = 0, n;
	uint32_t me = s->seed;

	/* all begin together, and let each other run with blocks in hand, so that they meet */
	pthread_barrier_wait(s->start);
	for (unsigned int i = 0; i < s->rounds; i++) {
		switch ((unsigned int)rand_r(&s->seed) % 4) {
		case 0:
			n = (uint32_t)rand_r(&s->seed) % (65 - n_held);
			if (sio_pool_take(s->pool, held + n_held, n) == 0) {
				now_mine(s, held + n_held, n, me);
				n_held += n;
			} else {
				atomic_fetch_add(s->dry, 1);
			}
			break;
		case 1:
			n = n_held > 0 ? (uint32_t)rand_r(&s->seed) % (n_held + 1) : 0;
			no_more_mine(s, held + n_held - n, n);
			if (sio_pool_give(s->pool, held + n_held - n, n) != 0)
				abort();
			n_held -= n;
			break;
		case 2: /* what one takes, another gives */
			pthread_mutex_lock(s->lock);
			while (n_held > 0 && *s->n_shared < 64)
				s->shared[(*s->n_shared)++] = held[--n_held];
			pthread_mutex_unlock(s->lock);
			break;
		default:
			pthread_mutex_lock(s->lock);
			while (n_held < 64 && *s->n_shared > 0)
				held[n_held++] = s->shared[--(*s->n_shared)];
			pthread_mutex_unlock(s->lock);
		}
		if (i % 64 == 0)
			sched_yield();
		if (i % 5000 == 4999)
			sio_pool_thread_end(s->pool);
	}
	no_more_mine(s, held, n_held);
	if (sio_pool_give(s->pool, held, n_held) != 0)
		abort();
	return NULL;
}

static void
no_block_is_had_twice_by_threads_that_take_give_pass_and_steal(void **state)
{
	enum { THREADS = 6 };
	static _Atomic uint32_t holder[STRESS_N];
	static uint32_t shared[64];
	static const uint32_t shards[] = {0, 3};
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

	(void)state;
	for (unsigned int run = 0; run < 2; run++) {
		struct sio_pool *pool = unit_pool("stress", STRESS_N, 8, shards[run], 0);
		struct stress stress[THREADS];
		pthread_t threads[THREADS];
		uint32_t n_shared = 0;
		atomic_uint dry = 0;
		pthread_barrier_t start;

		pthread_barrier_init(&start, NULL, THREADS);
		for (unsigned int i = 0; i < THREADS; i++) {
			stress[i] = (struct stress){.pool = pool,
				.seed = run * 100 + i + 1,
				.rounds = 20000,
				.holder = holder,
				.dry = &dry,
				.lock = &lock,
				.shared = shared,
				.n_shared = &n_shared,
				.start = &start};
			assert_int_equal(
				pthread_create(&threads[i], NULL, stress_thread, &stress[i]), 0);
		}
		for (unsigned int i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		/*
		 * 6 threads that hold up to 64 and pass up to 64 of 150 blocks run dry now and then
		 */
		assert_true(atomic_load(&dry) > 0);
		for (uint32_t i = 0; i < n_shared; i++)
			assert_int_not_equal(atomic_exchange(&holder[shared[i]], 0), 0);
		assert_int_equal(sio_pool_give(pool, shared, n_shared), 0);
		for (uint32_t b = 0; b < STRESS_N; b++)
			assert_int_equal(atomic_load(&holder[b]), 0);
		unit_assert_all_free(pool, STRESS_N);
		sio_pool_destroy(pool);
	}
}

static void
many_pools_in_one_thread_do_not_mix(void **state)
{
	struct sio_pool *pools[40];
	uint32_t handles[40];
	char name[16];

	(void)state;
	for (unsigned int round = 0; round < 3; round++) {
		for (unsigned int i = 0; i < 40; i++) {
			snprintf(name, sizeof(name), "many%u", i);
			pools[i] = unit_pool(name, i + 1, 2, 2, 0);
			assert_int_equal(sio_pool_take_one(pools[i], &handles[i]), 0);
		}
		for (unsigned int i = 0; i < 40; i++) {
			assert_int_equal(sio_pool_free_count(pools[i]), i);
			assert_int_equal(sio_pool_give(pools[i], &handles[i], 1), 0);
			unit_assert_all_free(pools[i], i + 1);
			sio_pool_destroy(pools[i]);
		}
	}
}

static atomic_int act;

/* ---- a take that must fail ---- */

enum { FEW_BLOCKS = 40 };

static void *
ten_in_a_shard(void *arg)
{
	uint32_t blocks[FEW_BLOCKS];

	assert_int_equal(sio_pool_take(arg, blocks, FEW_BLOCKS), 0);
	assert_int_equal(sio_pool_give(arg, blocks, 10), 0);
	atomic_store(&act, 1);
	while (atomic_load(&act) < 2)
		usleep(100);
	assert_int_equal(sio_pool_give(arg, blocks + 10, FEW_BLOCKS - 10), 0);
	return NULL;
}

static void
a_take_of_more_than_there_is_takes_nothing_from_other_threads(void **state)
{
	struct sio_pool *pool = unit_pool("few", FEW_BLOCKS, 4, 2, 0);
	struct sio_shard_info shards[2];
	uint32_t blocks[FEW_BLOCKS];
	pthread_t thread;

	(void)state;
	atomic_store(&act, 0);
	assert_int_equal(pthread_create(&thread, NULL, ten_in_a_shard, pool), 0);
	unit_wait_until(atomic_load(&act) == 1);
	/* what is in the depot is taken away first */
	while (sio_pool_take_one(pool, &blocks[0]) == 0 && sio_pool_free_count(pool) > 8)
		;
	assert_int_equal(sio_pool_shards(pool, shards, 2), 2);
	for (unsigned int i = 0; i < 3; i++) {
		const uint64_t lost = shards[0].lost, steals = shards[1].steals;

		assert_int_equal(sio_pool_take(pool, blocks, 9), -ENOBUFS);
		assert_int_equal(sio_pool_shards(pool, shards, 2), 2);
		assert_int_equal(shards[0].lost, lost);
		assert_int_equal(shards[1].steals, steals);
	}
	/* and what there is, it gets */
	assert_int_equal(sio_pool_take(pool, blocks, 8), 0);
	atomic_store(&act, 2);
	pthread_join(thread, NULL);
	sio_pool_destroy(pool);
}

/* ---- a thread that gets a shard after it found the pool dry ---- */

enum {
	HAND_BLOCKS = 64,
	HAND_CALLS = 1024, /* of a thread without a shard, between two looks for one */
};

static void *
the_only_shard_for_a_while(void *arg)
{
	uint32_t blocks[40];

	assert_int_equal(sio_pool_take(arg, blocks, 40), 0);
	assert_int_equal(sio_pool_give(arg, blocks, 1), 0);
	atomic_store(&act, 1);
	while (atomic_load(&act) < 2)
		usleep(100);
	assert_int_equal(sio_pool_give(arg, blocks + 1, 1), 0);
	return NULL;
}

static void
a_pool_found_dry_without_a_shard_is_looked_at_again_with_one(void **state)
{
	struct sio_pool *pool = unit_pool("memo", HAND_BLOCKS, 2, 1, 0);
	uint32_t held[HAND_BLOCKS], one;
	unsigned int n = 0, calls = 1;
	pthread_t thread;

	(void)state;
	atomic_store(&act, 0);
	assert_int_equal(pthread_create(&thread, NULL, the_only_shard_for_a_while, pool), 0);
	unit_wait_until(atomic_load(&act) == 1);
	for (; sio_pool_take(pool, &held[n], 1) == 0; n++)
		calls++;
	for (; calls < HAND_CALLS - 1; calls++)
		assert_int_equal(sio_pool_take(pool, &one, 1), -ENOBUFS);
	atomic_store(&act, 2);
	pthread_join(thread, NULL);
	/* at the end of this one it takes over the shard, counters and all */
	assert_int_equal(sio_pool_give(pool, &held[--n], 1), 0);
	assert_int_equal(sio_pool_free_count(pool), 2);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(sio_pool_take(pool, &one, 1), 0);
	assert_int_equal(sio_pool_take(pool, &one, 1), -ENOBUFS);
	sio_pool_destroy(pool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_take_of_more_than_there_is_takes_nothing_from_other_threads),
		cmocka_unit_test(a_pool_found_dry_without_a_shard_is_looked_at_again_with_one),
		cmocka_unit_test(stealing_reaches_the_last_block_of_idle_threads),
		cmocka_unit_test(a_dry_pool_is_left_as_soon_as_somebody_gives),
		cmocka_unit_test(a_thread_that_found_it_dry_goes_by_that_for_the_dry_time),
		cmocka_unit_test(in_its_dry_time_a_thread_steals_once),
		cmocka_unit_test(in_its_dry_time_a_thread_has_what_suffices_for_a_smaller_take),
		cmocka_unit_test(
			after_its_dry_time_a_thread_finds_what_another_has_though_nobody_gives),
		cmocka_unit_test(a_dry_pool_is_looked_at_again_after_the_dry_time),
		cmocka_unit_test(a_thread_that_ends_gives_its_shard_back),
		cmocka_unit_test(threads_beyond_the_shards_work_from_the_depot),
		cmocka_unit_test(no_block_is_had_twice_by_threads_that_take_give_pass_and_steal),
		cmocka_unit_test(many_pools_in_one_thread_do_not_mix),
	};

	unit_env_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
