/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The telemetry commands beside mempools that come and go, and with more shards than a reply has
 * room for.
 */

#include "slab_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_eal.h>

#include <slabio/common.h>

/* the largest that a reply can be, and the final zero */
#define REPLY_MAX (16 * 1024 + 1)

static int
telemetry_connect(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	char hello[1024];

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/dpdk_telemetry.v2",
		rte_eal_get_runtime_dir());
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 ||
		read(fd, hello, sizeof(hello)) <= 0)
		return -1;
	return fd;
}

/* Returns the length of the reply, or 0 if it is not one to this command. */
static size_t
ask(int fd, const char *cmd, char reply[REPLY_MAX])
{
	char head[64];
	ssize_t len;

	if (write(fd, cmd, strlen(cmd)) != (ssize_t)strlen(cmd))
		return 0;
	len = read(fd, reply, REPLY_MAX - 1);
	if (len <= 0)
		return 0;
	reply[len] = '\0';
	snprintf(head, sizeof(head), "{\"%.*s\":", (int)strcspn(cmd, ","), cmd);
	return strncmp(reply, head, strlen(head)) == 0 && reply[len - 1] == '}' ? (size_t)len : 0;
}

/* ---- pools come and go ---- */

struct asker {
	_Atomic bool stop;
	_Atomic unsigned int answers, seen, faults;
};

static void *
ask_all_the_time(void *arg)
{
	static const char *const cmds[] = {
		"/slab/list", "/slab/info,tele0", "/slab/shards,tele0", "/slab/info,tele1"};
	struct asker *asker = arg;
	int fd = telemetry_connect();
	char reply[REPLY_MAX];

	if (fd < 0)
		asker->faults++;
	while (fd >= 0 && !asker->stop) {
		for (unsigned int i = 0; i < RTE_DIM(cmds); i++) {
			if (ask(fd, cmds[i], reply) == 0)
				asker->faults++;
			if (strstr(reply, "tele") != NULL || strstr(reply, "\"taken\"") != NULL)
				asker->seen++;
			asker->answers++;
		}
	}
	close(fd);
	return NULL;
}

static void
mempools_may_come_and_go_while_telemetry_looks(void **state)
{
	const uint64_t until = sio_now_ns() + UINT64_C(1500000000);
	const uint64_t last = until + UINT64_C(20000000000);
	struct asker asker = {0};
	unsigned int rounds = 0;
	pthread_t threads[4];

	(void)state;
	for (unsigned int i = 0; i < RTE_DIM(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_all_the_time, &asker), 0);
	/* longer on a machine that is so busy that too little has been seen by then */
	while (sio_now_ns() < until ||
		((rounds <= 10 || asker.answers <= 10 || asker.seen == 0) && sio_now_ns() < last)) {
		struct rte_mempool *mps[2];
		void *objs[32];

		for (unsigned int i = 0; i < RTE_DIM(mps); i++) {
			char name[16];

			snprintf(name, sizeof(name), "tele%u", i);
			mps[i] = test_pool(name, 20000, 64, 0, 0);
			assert_int_equal(rte_mempool_get_bulk(mps[i], objs, 32), 0);
			rte_mempool_put_bulk(mps[i], objs, 32);
		}
		for (unsigned int i = 0; i < RTE_DIM(mps); i++)
			rte_mempool_free(mps[i]);
		rounds++;
	}
	asker.stop = true;
	for (unsigned int i = 0; i < RTE_DIM(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(asker.faults, 0);
	assert_true(rounds > 10 && asker.answers > 10);
	/* both of what is looked for: pools that are there, and none */
	assert_in_range(asker.seen, 1, asker.answers - 1);
}

/* ---- many shards ---- */

enum { THREADS = 110 };

struct many {
	struct rte_mempool *mp;
	pthread_barrier_t all;
	_Atomic unsigned int failed;
};

static void *
take_a_shard(void *arg)
{
	struct many *many = arg;
	void *object;

	if (rte_mempool_get(many->mp, &object) != 0)
		many->failed++;
	else
		rte_mempool_put(many->mp, object);
	/* each has its shard until all have been looked at */
	pthread_barrier_wait(&many->all);
	pthread_barrier_wait(&many->all);
	return NULL;
}

/* Asks from shard first on; marks those that are told of. Returns where to go on, 0 at the end. */
static unsigned int
ask_shards(int fd, unsigned int first, unsigned int seen[THREADS])
{
	static char reply[REPLY_MAX];
	const char *next;
	char text[64];

	snprintf(text, sizeof(text), "/slab/shards,many,%u", first);
	assert_int_not_equal(ask(fd, text, reply), 0);
	for (unsigned int s = 0; s < THREADS; s++) {
		snprintf(text, sizeof(text), "\"%u\":{\"member\":", s);
		seen[s] += strstr(reply, text) != NULL;
	}
	next = strstr(reply, "\"next\":");
	return next == NULL ? 0 : (unsigned int)atoi(next + strlen("\"next\":"));
}

static void
shards_that_one_reply_has_no_room_for_are_in_the_next(void **state)
{
	struct many many = {.mp = test_pool("many", 20000, 64, 0, 0)};
	unsigned int seen[THREADS] = {0}, first = 0, replies = 0;
	const int fd = telemetry_connect();
	pthread_t threads[THREADS];

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(pthread_barrier_init(&many.all, NULL, THREADS + 1), 0);
	for (unsigned int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_a_shard, &many), 0);
	pthread_barrier_wait(&many.all);
	do {
		first = ask_shards(fd, first, seen);
		replies++;
	} while (first != 0 && replies < 20);
	pthread_barrier_wait(&many.all);
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&many.all);
	close(fd);
	assert_int_equal(many.failed, 0);
	assert_in_range(replies, 2, 10);
	for (unsigned int s = 0; s < THREADS; s++)
		assert_int_equal(seen[s], 1);
	rte_mempool_free(many.mp);
}

static void
what_is_not_there_is_null(void **state)
{
	static const char *const cmds[] = {"/slab/info", "/slab/info,none", "/slab/info,null,0",
		"/slab/shards", "/slab/shards,none", "/slab/shards,none,1",
		"/slab/shards,a_name_that_no_mempool_can_have,12345678901234567890"};
	const int fd = telemetry_connect();
	struct rte_mempool *mp = test_pool("null", 100, 64, 0, 0);
	static char reply[REPLY_MAX];

	(void)state;
	assert_true(fd >= 0);
	for (unsigned int i = 0; i < RTE_DIM(cmds); i++) {
		assert_int_not_equal(ask(fd, cmds[i], reply), 0);
		assert_non_null(strstr(reply, ":null}"));
	}
	/* no shard is there so far down */
	assert_int_not_equal(ask(fd, "/slab/shards,null,1000000000000", reply), 0);
	assert_non_null(strstr(reply, ":{}}"));
	close(fd);
	rte_mempool_free(mp);
}

static void
a_name_may_have_commas(void **state)
{
	const int fd = telemetry_connect();
	struct rte_mempool *mp = test_pool("comma,7", 100, 64, 0, 0);
	static char reply[REPLY_MAX];

	(void)state;
	assert_true(fd >= 0);
	test_drain(mp, 100);
	assert_int_not_equal(ask(fd, "/slab/info,comma,7", reply), 0);
	assert_non_null(strstr(reply, "\"free\":100"));
	assert_int_not_equal(ask(fd, "/slab/shards,comma,7", reply), 0);
	assert_non_null(strstr(reply, "\"0\":{\"member\":\"0/1\""));
	assert_int_not_equal(ask(fd, "/slab/shards,comma,7,1", reply), 0);
	assert_non_null(strstr(reply, ":{}}"));
	close(fd);
	rte_mempool_free(mp);
}

const struct CMUnitTest test_telemetry_tests[] = {
	cmocka_unit_test(mempools_may_come_and_go_while_telemetry_looks),
	cmocka_unit_test(shards_that_one_reply_has_no_room_for_are_in_the_next),
	cmocka_unit_test(what_is_not_there_is_null),
	cmocka_unit_test(a_name_may_have_commas),
};
const size_t test_telemetry_tests_n = RTE_DIM(test_telemetry_tests);
