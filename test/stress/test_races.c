/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* Two sides that meet in a few instructions, as often as can be. */

#include "stress.h"
#include <sys/mman.h>

enum {
	SECONDS = 3,
	CASES = 5,
	RUNS = 6,
	LATE_MS = 15000,
};

/* ---- an owner and a thief ---- */

struct duel {
	struct sio_pool *pool;
	atomic_uint ready, both, passes;
	atomic_bool stop;
	_Atomic uint32_t has; /* who has the block: 0 nobody */
	unsigned int pause[2];
	bool pinned;
};

struct duellist {
	struct duel *duel;
	uint32_t me;
};

/* Some ten ns to some hundred, so that the two meet at every instruction sooner or later. */
static void
pause_some(unsigned int *seed, unsigned int longest)
{
	for (unsigned int i = (unsigned int)rand_r(seed) % longest; i > 0; i--)
		atomic_signal_fence(memory_order_seq_cst);
}

static void *
take_the_one_block(void *arg)
{
	struct duellist *d = arg;
	struct duel *duel = d->duel;
	unsigned int seed = d->me;
	uint32_t block, nobody;

	if (duel->pinned)
		unit_stay_on(d->me - 1);
	/* the first one has the only shard; the other one steals from it and keeps nothing */
	while (atomic_load(&duel->ready) + 1 < d->me)
		usleep(10);
	if (sio_pool_take_one(duel->pool, &block) == 0)
		sio_pool_give(duel->pool, &block, 1);
	atomic_fetch_add(&duel->ready, 1);
	while (atomic_load(&duel->ready) < 2)
		usleep(10);
	while (!atomic_load_explicit(&duel->stop, memory_order_relaxed)) {
		pause_some(&seed, duel->pause[d->me - 1]);
		if (sio_pool_take_one(duel->pool, &block) != 0)
			continue;
		nobody = 0;
		if (!atomic_compare_exchange_strong(&duel->has, &nobody, d->me))
			atomic_fetch_add(&duel->both, 1);
		atomic_fetch_add_explicit(&duel->passes, 1, memory_order_relaxed);
		atomic_store(&duel->has, 0);
		sio_pool_give(duel->pool, &block, 1);
	}
	return NULL;
}

static void
an_owner_and_a_thief_never_both_have_a_block(void **state)
{
	static const unsigned int pauses[][2] = {{40, 400}, {300, 40}, {300, 300}};
	uint64_t lost = 0;

	(void)state;
	for (unsigned int run = 0; run < RUNS; run++) {
		struct sio_pool_opts opts = {
			.sz = sizeof(opts),
			.name = "duel",
			.n_blocks = 1,
			.block_size = 64,
			.magazine_size = 2,
			.max_shards = 1,
			.backing = SIO_BACKING_MEMFD,
		};
		struct duel duel = {
			.pinned = run % 2 == 0, .pause = {pauses[run / 2][0], pauses[run / 2][1]}};
		struct duellist who[2] = {{&duel, 1}, {&duel, 2}};
		struct sio_shard_info shard;
		pthread_t threads[2];
		uint64_t end, last;
		uint32_t block;

		assert_int_equal(sio_pool_create(&opts, &duel.pool), 0);
		for (unsigned int i = 0; i < 2; i++)
			assert_int_equal(
				pthread_create(&threads[i], NULL, take_the_one_block, &who[i]), 0);
		end = stress_now() + stress_budget(SECONDS) / CASES / RUNS;
		last = end + LATE_MS;
		/* or until there was a pass at all: on a busy machine they run when they can */
		while (atomic_load(&duel.both) == 0 &&
			(stress_now() < end ||
				(atomic_load(&duel.passes) == 0 && stress_now() < last)))
			usleep(1000);
		atomic_store(&duel.stop, true);
		for (unsigned int i = 0; i < 2; i++)
			pthread_join(threads[i], NULL);
		assert_int_equal(atomic_load(&duel.both), 0);
		assert_true(atomic_load(&duel.passes) > 0);
		assert_int_equal(sio_pool_shards(duel.pool, &shard, 1), 1);
		lost += shard.lost;
		/* it is neither lost nor doubled */
		assert_int_equal(sio_pool_take_one(duel.pool, &block), 0);
		assert_int_equal(sio_pool_take_one(duel.pool, &block), -ENOBUFS);
		sio_pool_destroy(duel.pool);
	}
	assert_true(lost > 0);
}

/* ---- stores that wait ---- */

enum {
	CHURN_BLOCKS = 100,
	CHURN_MOST = 64,
	CHURN_WORKERS = 3,
	LINES = 65536,
	STORES = 48,
};

/* Shared by all workers, which may be processes. */
struct churn {
	struct {
		_Alignas(SIO_CACHE_LINE) _Atomic uint32_t word;
	} line[LINES];
	_Atomic uint32_t has[CHURN_BLOCKS]; /* 1: somebody has the block */
	atomic_uint doubled, rounds, out_of_place;
	atomic_bool stop;
};

struct churner {
	struct churn *churn;
	struct sio_pool *pool;
	uint32_t me;
};

/*
 * About as many as a processor's store buffer has room for, to lines that another one had: what the
 * pool stores next is seen late. That is what the thief's barrier is for.
 */
static void
store_to_lines(struct churn *churn, uint32_t at, uint32_t what)
{
	for (uint32_t i = 0; i < STORES; i++, at += 7919)
		atomic_store_explicit(&churn->line[at % LINES].word, what, memory_order_relaxed);
}

static void *
churn(void *arg)
{
	struct churner *c = arg;
	uint32_t blocks[CHURN_MOST], n, was;
	unsigned int seed = c->me;

	unit_stay_on(c->me % 2);
	while (!atomic_load_explicit(&c->churn->stop, memory_order_relaxed)) {
		n = 1 + (uint32_t)rand_r(&seed) % CHURN_MOST;
		store_to_lines(c->churn, (uint32_t)rand_r(&seed), c->me);
		if (sio_pool_take(c->pool, blocks, n) != 0)
			continue;
		for (uint32_t pass = 0; pass < 2; pass++)
			for (uint32_t i = 0; i < n; i++) {
				if (blocks[i] >= CHURN_BLOCKS) {
					atomic_fetch_add(&c->churn->out_of_place, 1);
					continue;
				}
				was = atomic_exchange(&c->churn->has[blocks[i]], 1 - pass);
				if (was != pass)
					atomic_fetch_add(&c->churn->doubled, 1);
			}
		store_to_lines(c->churn, (uint32_t)rand_r(&seed), c->me);
		sio_pool_give(c->pool, blocks, n);
		atomic_fetch_add(&c->churn->rounds, 1);
	}
	return NULL;
}

static int
churn_in_a_process(void *arg)
{
	struct churner *c = arg;

	/* not for longer than it is to last, whatever becomes of the test */
	alarm(stress_budget(SECONDS) / CASES / 1000 + 60);
	churn(c);
	sio_pool_thread_end(c->pool);
	return 0;
}

static void
churned(bool processes)
{
	struct sio_pool_opts opts = {
		.sz = sizeof(opts),
		.name = "churn",
		.n_blocks = CHURN_BLOCKS,
		.block_size = 64,
		.magazine_size = 4,
		.backing = SIO_BACKING_MEMFD,
	};
	struct churn *board = mmap(
		NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct churner worker[CHURN_WORKERS];
	pthread_t threads[CHURN_WORKERS];
	pid_t pids[CHURN_WORKERS];
	struct sio_pool *pool;
	int status;

	assert_ptr_not_equal(board, MAP_FAILED);
	assert_int_equal(sio_pool_create(&opts, &pool), 0);
	for (uint32_t i = 0; i < CHURN_WORKERS; i++) {
		worker[i] = (struct churner){.churn = board, .pool = pool, .me = i + 1};
		if (processes)
			pids[i] = stress_fork(churn_in_a_process, &worker[i]);
		else
			assert_int_equal(pthread_create(&threads[i], NULL, churn, &worker[i]), 0);
	}
	usleep(1000 * stress_budget(SECONDS) / CASES);
	atomic_store(&board->stop, true);
	for (uint32_t i = 0; i < CHURN_WORKERS; i++) {
		if (processes) {
			assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
			assert_int_equal(status, 0);
		} else {
			pthread_join(threads[i], NULL);
		}
	}
	assert_int_equal(atomic_load(&board->doubled), 0);
	assert_int_equal(atomic_load(&board->out_of_place), 0);
	assert_true(atomic_load(&board->rounds) > CHURN_WORKERS);
	assert_int_equal(sio_pool_free_count(pool), CHURN_BLOCKS);
	sio_pool_destroy(pool);
	munmap(board, sizeof(*board));
}

static void
stores_that_wait_double_no_block_of_threads(void **state)
{
	(void)state;
	churned(false);
}

static void
stores_that_wait_double_no_block_of_processes(void **state)
{
	(void)state;
	churned(true);
}

/* ---- an audit of a live pool ---- */

#ifndef __SANITIZE_THREAD__

static unsigned int audits;

static void
audit_all_the_time(struct stress *s)
{
	uint64_t end = stress_now() + s->plan->millis;
	struct sio_audit_report report;
	struct sio_audit *audit;

	do {
		assert_int_equal(sio_audit_begin(s->pool, &audit), 0);
		sio_audit_end(audit, &report);
		if (report.twice + report.strange + report.holder_wrong > 0)
			stress_fault(s->board,
				"audit %u met %u blocks twice, %u strange ones, %u wrong holders",
				audits, report.twice, report.strange, report.holder_wrong);
		audits++;
	} while (stress_now() < end && !atomic_load(&s->board->stop));
}

/* Magazines go through the depot at a high rate, with the same counts again and again. */
static void
audited(const char *test, bool processes)
{
	struct stress_plan plan = {
		.name = test,
		.n_blocks = 256,
		.magazine_size = 2,
		.hold = 100,
		.n_workers = 2,
		.processes = processes,
		.millis = stress_budget(SECONDS) / CASES / STRESS_KINDS,
		.meddle = audit_all_the_time,
	};

	audits = 0;
	for (unsigned int kind = 0; kind < STRESS_KINDS; kind++) {
		plan.kind = (enum stress_kind)kind;
		stress_run(&plan);
	}
	printf("%u audits\n", audits);
}

static void
an_audit_beside_threads_meets_no_block_twice(void **state)
{
	(void)state;
	audited(__func__, false);
}

static void
an_audit_beside_processes_meets_no_block_twice(void **state)
{
	(void)state;
	audited(__func__, true);
}

#endif

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_owner_and_a_thief_never_both_have_a_block),
		cmocka_unit_test(stores_that_wait_double_no_block_of_threads),
		cmocka_unit_test(stores_that_wait_double_no_block_of_processes),
/*
 * an audit reads handles that their owner writes with plain stores, and drops what changed
 * meanwhile
 */
#ifndef __SANITIZE_THREAD__
		cmocka_unit_test(an_audit_beside_threads_meets_no_block_twice),
		cmocka_unit_test(an_audit_beside_processes_meets_no_block_twice),
#endif
	};

	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
