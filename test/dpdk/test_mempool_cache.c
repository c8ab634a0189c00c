/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The mempool library's caches where processes are killed: what one leaves in the cache of an lcore
 * must not be had by the next on that lcore. The primary is on the lcores 0 and 1.
 */

#include "slab_test.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_lcore.h>

#include <slabio/pool.h>

#define OBJECTS 1000u
#define CACHE	32u
#define HELD	50u
#define ROUNDS	6u
/* what a process of the churn has at most */
#define CHURN 64u

struct stamp {
	uint64_t who;
	void *where;
};

/* ---- both sides ---- */

struct churn {
	struct rte_mempool *mp;
	uint64_t who;
	unsigned int n, random;
	void *held[CHURN];
};

static void
stamp(const struct churn *churn, void *object)
{
	struct stamp *s = object;

	s->who = churn->who;
	s->where = object;
}

/* False if somebody else wrote to an object that is ours. */
static bool
stamped(const struct churn *churn, const void *object)
{
	const struct stamp *s = object;

	return s->who == churn->who && s->where == object;
}

/* Gets or puts some; what it has keeps its stamp. */
static bool
churn_once(struct churn *churn)
{
	unsigned int n;

	churn->random = churn->random * 1103515245u + 12345u;
	n = 1 + (churn->random >> 16) % 24;
	if ((churn->random & 0x1000) != 0 && churn->n + n <= CHURN) {
		if (rte_mempool_get_bulk(churn->mp, &churn->held[churn->n], n) != 0)
			return true;
		for (unsigned int i = 0; i < n; i++)
			stamp(churn, churn->held[churn->n + i]);
		churn->n += n;
		return true;
	}
	n = RTE_MIN(n, churn->n);
	for (unsigned int i = 0; i < churn->n; i++)
		if (!stamped(churn, churn->held[i]))
			return false;
	churn->n -= n;
	if (n > 0)
		rte_mempool_put_bulk(churn->mp, &churn->held[churn->n], n);
	return true;
}

static bool
churn_end(struct churn *churn)
{
	for (unsigned int i = 0; i < churn->n; i++)
		if (!stamped(churn, churn->held[i]))
			return false;
	if (churn->n > 0)
		rte_mempool_put_bulk(churn->mp, churn->held, churn->n);
	return true;
}

/* ---- the secondary's side ---- */

static int
secondary_stamp(struct rte_mempool *mp)
{
	struct churn churn = {
		.mp = mp, .who = (uint64_t)getpid(), .random = (unsigned int)getpid()};

	for (unsigned int round = 0;; round++) {
		EXPECT(churn_once(&churn));
		if (round == 200)
			test_say_ready();
	}
	return 0;
}

/* Is killed with objects in its hands, and where it can be in its lcore's cache. */
static int
secondary_hold_cached(struct rte_mempool *mp)
{
	void *objs[HELD + 10];

	EXPECT(rte_mempool_get_bulk(mp, objs, HELD + 10) == 0);
	rte_mempool_put_bulk(mp, &objs[HELD], 10);
	test_say_ready();
	test_await_go();
	return 1;
}

/* On an lcore that a living process works on. */
static int
secondary_refused(struct rte_mempool *mp)
{
	struct rte_mempool *plain = rte_mempool_lookup("plain");
	void *obj;

	EXPECT(rte_mempool_avail_count(mp) == OBJECTS);
	test_log_capture();
	EXPECT(rte_mempool_get(mp, &obj) < 0);
	EXPECT(test_log_had("give each process lcores of its own"));
	/* without a cache there is nothing to share */
	EXPECT(plain != NULL && rte_mempool_get(plain, &obj) == 0);
	rte_mempool_put(plain, obj);
	return 0;
}

/* All that is free, by one whose lcore had a cache before. */
static int
secondary_all_free(struct rte_mempool *mp)
{
	const unsigned int n = rte_mempool_avail_count(mp);
	void *objs[OBJECTS];

	EXPECT(n > 0 && n <= OBJECTS);
	EXPECT(rte_mempool_get_bulk(mp, objs, n) == 0);
	for (unsigned int i = 0; i < n; i++)
		EXPECT(((const unsigned char *)objs[i])[0] != 0x44 || n == OBJECTS);
	rte_mempool_put_bulk(mp, objs, n);
	return 0;
}

/* On an lcore that the creator has and does not use, or does not have. */
static int
secondary_all_cached(struct rte_mempool *mp)
{
	void *objs[OBJECTS];

	EXPECT(rte_mempool_get_bulk(mp, objs, OBJECTS) == 0);
	rte_mempool_put_bulk(mp, objs, OBJECTS);
	EXPECT(mp->local_cache[rte_lcore_id()].len == 0);
	EXPECT(mp->local_cache[rte_lcore_id()].size == 0);
	return 0;
}

/*
 * Vector drivers of network cards refill the cache by themselves, and come with nothing else. The
 * first time may fail: it may have begun before the cache was turned off.
 */
static int
secondary_refill(struct rte_mempool *mp)
{
	struct rte_mempool_cache *cache = rte_mempool_default_cache(mp, rte_lcore_id());
	unsigned int got = 0;

	EXPECT(cache != NULL && cache->size == 0 && cache->len == 0);
	for (unsigned int i = 0; i < 4; i++) {
		if (rte_mempool_ops_dequeue_bulk(mp, cache->objs, HELD) != 0)
			continue;
		rte_mempool_ops_enqueue_bulk(mp, cache->objs, HELD);
		got++;
	}
	EXPECT(got >= 3);
	return 0;
}

/*
 * Creates a mempool, and is killed with a put half done: the library has raised the cache's length,
 * and has not copied yet. What lies there is what it got before, and has.
 */
int
test_secondary_create_torn(const char *name)
{
	struct rte_mempool *mp = test_pool(name, OBJECTS, 64, CACHE, 0);
	struct rte_mempool_cache *cache = rte_mempool_default_cache(mp, rte_lcore_id());
	void *objs[8];

	EXPECT(cache != NULL && cache->size == CACHE);
	EXPECT(rte_mempool_get_bulk(mp, objs, 8) == 0);
	EXPECT(cache->len == CACHE);
	cache->len += 8;
	for (unsigned int i = 0; i < 8; i++)
		memset(objs[i], 0x44, 64);
	test_say_ready();
	test_await_go();
	return 1;
}

int
test_secondary_cache(const char *what, struct rte_mempool *mp)
{
	if (strcmp(what, "stamp") == 0)
		return secondary_stamp(mp);
	if (strcmp(what, "hold_cached") == 0)
		return secondary_hold_cached(mp);
	if (strcmp(what, "refused") == 0)
		return secondary_refused(mp);
	if (strcmp(what, "all_cached") == 0)
		return secondary_all_cached(mp);
	if (strcmp(what, "refill") == 0)
		return secondary_refill(mp);
	if (strcmp(what, "all_free") == 0)
		return secondary_all_free(mp);
	fprintf(stderr, "secondary: what is %s?\n", what);
	return 2;
}

/* ---- the primary's side ---- */

static int
on_lcore(const char *lcores)
{
	return setenv("SLAB_TEST_LCORES", lcores, 1);
}

static void
kill_secondary(struct test_child *child)
{
	int status;

	kill(child->pid, SIGKILL);
	status = test_secondary_end(child);
	/* one that found something wrong ended by itself */
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void
flush(struct rte_mempool *mp)
{
	rte_mempool_cache_flush(rte_mempool_default_cache(mp, rte_lcore_id()), mp);
}

static struct sio_audit_report
audit(const char *mempool)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts), .observe = true};
	struct sio_audit_report report;
	struct sio_audit *a;
	struct sio_pool *pool;
	char name[SIO_NAME_LEN];

	snprintf(name, sizeof(name), "dpdk.%s.%s", test_file_prefix(), mempool);
	assert_int_equal(sio_pool_attach(name, &opts, &pool), 0);
	assert_int_equal(sio_audit_begin(pool, &a), 0);
	sio_audit_end(a, &report);
	sio_pool_detach(pool);
	assert_int_equal(report.twice, 0);
	assert_int_equal(report.strange, 0);
	assert_int_equal(
		report.outstanding + report.met[SIO_PLACE_DEPOT] + report.met[SIO_PLACE_SHARD],
		report.populated);
	return report;
}

static int
compare(const void *a, const void *b)
{
	const uintptr_t x = (uintptr_t) * (void *const *)a;
	const uintptr_t y = (uintptr_t) * (void *const *)b;

	return x < y ? -1 : x > y;
}

/* Everything that can be had here, each once. Given back. */
static unsigned int
count_free(struct rte_mempool *mp)
{
	void *objs[OBJECTS + 1];
	unsigned int n = 0;

	while (n <= OBJECTS && rte_mempool_get(mp, &objs[n]) == 0)
		n++;
	assert_true(n <= OBJECTS);
	qsort(objs, n, sizeof(objs[0]), compare);
	for (unsigned int i = 1; i < n; i++)
		assert_ptr_not_equal(objs[i], objs[i - 1]);
	for (unsigned int i = 0; i < n; i++)
		rte_mempool_put(mp, objs[i]);
	flush(mp);
	return n;
}

/* One is killed, the next on the same lcore begins at once, and the primary works all the time. */
static void
objects_of_killed_processes_with_caches_are_used_once(void **state)
{
	struct rte_mempool *mp = test_pool("stamp", OBJECTS, 64, CACHE, 0);
	struct churn churn = {.mp = mp, .who = 1, .random = 1};
	struct sio_audit_report report;
	unsigned int n;

	(void)state;
	assert_int_equal(on_lcore("2@0"), 0);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		struct test_child child = test_secondary_start("stamp", "stamp");
		const uint64_t until = rte_get_timer_cycles() + rte_get_timer_hz() / 50;

		test_secondary_ready(&child);
		while (rte_get_timer_cycles() < until)
			assert_true(churn_once(&churn));
		kill_secondary(&child);
		for (unsigned int i = 0; i < 1000; i++)
			assert_true(churn_once(&churn));
	}
	assert_true(churn_end(&churn));
	flush(mp);
	test_await_recovery("stamp");
	/* nothing was in a cache that nobody has any more */
	for (unsigned int i = 0; i < RTE_MAX_LCORE; i++)
		assert_int_equal(mp->local_cache[i].len, 0);
	n = count_free(mp);
	assert_in_range(n, OBJECTS - ROUNDS * (CHURN + 24), OBJECTS);
	report = audit("stamp");
	assert_int_equal(report.outstanding, OBJECTS - n);
	rte_mempool_free(mp);
}

static void
quarantine_holds_what_a_process_with_a_cache_held(void **state)
{
	struct rte_mempool *mp = test_pool("hold", OBJECTS, 64, CACHE, 0);
	struct sio_audit_report report;
	struct test_child child;

	(void)state;
	assert_int_equal(on_lcore("2@0"), 0);
	for (unsigned int i = 1; i <= 2; i++) {
		child = test_secondary_start("hold_cached", "hold");
		test_secondary_ready(&child);
		kill_secondary(&child);
		test_await_recovery("hold");
		assert_int_equal(rte_mempool_avail_count(mp), OBJECTS - i * HELD);
		report = audit("hold");
		assert_int_equal(report.outstanding, i * HELD);
		assert_int_equal(report.quarantined, i * HELD);
	}
	assert_int_equal(count_free(mp), OBJECTS - 2 * HELD);
	rte_mempool_free(mp);
}

static void
lcores_of_a_living_process_are_refused(void **state)
{
	struct rte_mempool *mp = test_pool("lcores", OBJECTS, 64, CACHE, 0);
	struct rte_mempool *plain = test_pool("plain", OBJECTS, 64, 0, 0);
	struct rte_mempool_cache *caches = mp->local_cache;
	void *obj;

	(void)state;
	assert_int_equal(rte_mempool_get(mp, &obj), 0);
	rte_mempool_put(mp, obj);
	assert_int_equal(caches[rte_lcore_id()].len, CACHE + 1);
	flush(mp);
	assert_int_equal(on_lcore("0@0"), 0);
	test_secondary_run("refused", "lcores");
	assert_int_equal(caches[0].size, CACHE);
	/* lcore 1 is the primary's, too, but nobody works there */
	assert_int_equal(caches[1].size, CACHE);
	assert_int_equal(on_lcore("1@0"), 0);
	test_secondary_run("all_cached", "lcores");
	/* what is not the creator's has no cache */
	assert_int_equal(caches[2].size, 0);
	assert_int_equal(on_lcore("2@0"), 0);
	test_secondary_run("all_cached", "lcores");
	assert_int_equal(rte_mempool_avail_count(mp), OBJECTS);
	rte_mempool_free(plain);
	rte_mempool_free(mp);
}

static void
caches_that_are_off_can_be_refilled_by_others_than_the_library(void **state)
{
	struct rte_mempool *mp = test_pool("refill", OBJECTS, 64, CACHE, 0);

	(void)state;
	assert_int_equal(on_lcore("2@0"), 0);
	test_secondary_run("refill", "refill");
	assert_int_equal(rte_mempool_avail_count(mp), OBJECTS);
	rte_mempool_free(mp);
}

/* In a process that takes part in nothing else. */
static uint32_t
free_quarantine(const char *mempool)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts), .no_payload = true};
	struct sio_pool *pool;
	char name[SIO_NAME_LEN];
	uint32_t freed = 0;
	int result[2];
	pid_t pid;

	snprintf(name, sizeof(name), "dpdk.%s.%s", test_file_prefix(), mempool);
	assert_int_equal(pipe(result), 0);
	pid = fork();
	if (pid == 0) {
		if (sio_pool_attach(name, &opts, &pool) == 0 &&
			sio_pool_quarantine_free(pool, &freed) == 0 &&
			write(result[1], &freed, sizeof(freed)) != sizeof(freed))
			_exit(1);
		sio_pool_detach(pool);
		_exit(0);
	}
	assert_true(pid > 0);
	close(result[1]);
	assert_int_equal(read(result[0], &freed, sizeof(freed)), sizeof(freed));
	close(result[0]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return freed;
}

/*
 * The cache that its creator left torn. By who joins, when nobody was left by command, and where
 * it is off: turned off by who died then, or filled by a put that turned it off on its way.
 */
static void
caches_of_a_dead_creator_are_not_believed(void **state)
{
	static const char *const names[] = {"torn_joined", "torn_left", "torn_off"};

	(void)state;
	for (unsigned int i = 0; i < RTE_DIM(names); i++) {
		struct test_child child;
		struct rte_mempool *mp;
		void *obj;

		assert_int_equal(on_lcore("2@0"), 0);
		child = test_secondary_start("create_torn", names[i]);
		test_secondary_ready(&child);
		mp = rte_mempool_lookup(names[i]);
		assert_non_null(mp);
		assert_int_equal(mp->local_cache[2].len, CACHE + 8);
		kill_secondary(&child);
		if (i == 2)
			mp->local_cache[2].size = mp->local_cache[2].flushthresh = 0;
		if (i == 1)
			assert_int_equal(free_quarantine(names[i]), CACHE + 8);
		assert_int_equal(rte_mempool_get(mp, &obj), 0);
		assert_int_equal(mp->local_cache[2].len, 0);
		assert_int_equal(mp->local_cache[2].size, 0);
		rte_mempool_put(mp, obj);
		assert_int_equal(count_free(mp), OBJECTS - (i != 1 ? CACHE + 8 : 0));
		if (i != 1)
			assert_int_equal(audit(names[i]).quarantined, CACHE + 8);
		/* the next on that lcore */
		test_secondary_run("all_free", names[i]);
		/* only its creator could free it; its name goes with this process */
	}
}

const struct CMUnitTest test_cache_tests[] = {
	cmocka_unit_test(objects_of_killed_processes_with_caches_are_used_once),
	cmocka_unit_test(quarantine_holds_what_a_process_with_a_cache_held),
	cmocka_unit_test(lcores_of_a_living_process_are_refused),
	cmocka_unit_test(caches_that_are_off_can_be_refilled_by_others_than_the_library),
	cmocka_unit_test(caches_of_a_dead_creator_are_not_believed),
};
const size_t test_cache_tests_n = RTE_DIM(test_cache_tests);
