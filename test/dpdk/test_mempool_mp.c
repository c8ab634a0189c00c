/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Mempools on slab in several processes. The secondaries are this program again, started with
 * another driver before ours, so that their ops tables are in another order than the primary's.
 */

#include "slab_test.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <slabio/pool.h>

#define OBJECTS	 500u
#define HANDOVER 50u

/* ---- the secondary's side ---- */

void
test_say_ready(void)
{
	const char *fd = getenv("SLAB_TEST_READY_FD");

	if (fd != NULL && write(atoi(fd), "r", 1) != 1)
		fprintf(stderr, "secondary: the primary is gone\n");
}

void
test_await_go(void)
{
	char byte;

	while (read(STDIN_FILENO, &byte, 1) < 0 && errno == EINTR)
		;
}

static int
registered_index(void)
{
	for (unsigned int i = 0; i < rte_mempool_ops_table.num_ops; i++)
		if (strcmp(rte_mempool_ops_table.ops[i].name, "slab") == 0)
			return (int)i;
	return -1;
}

static int
secondary_slot(struct rte_mempool *mp)
{
	const char *theirs = getenv("SLAB_TEST_INDEX");

	EXPECT(mp->ops_index == TEST_OPS_SLOT);
	EXPECT(strcmp(rte_mempool_get_ops(mp->ops_index)->name, "slab") == 0);
	if (getenv("SLAB_OTHER_PLUGIN") != NULL)
		EXPECT(theirs != NULL && registered_index() != atoi(theirs));
	EXPECT(rte_mempool_avail_count(mp) == OBJECTS);
	return 0;
}

static int
secondary_count(struct rte_mempool *mp)
{
	EXPECT(rte_mempool_avail_count(mp) == OBJECTS - HANDOVER);
	test_say_ready();
	test_await_go();
	EXPECT(rte_mempool_avail_count(mp) == OBJECTS);
	return 0;
}

static int
secondary_take_all(struct rte_mempool *mp)
{
	void *objs[OBJECTS];

	/* first as one who only looks, which must not be in the way */
	EXPECT(rte_mempool_avail_count(mp) == OBJECTS);
	for (unsigned int round = 0; round < 3; round++) {
		EXPECT(rte_mempool_get_bulk(mp, objs, OBJECTS) == 0);
		EXPECT(rte_mempool_avail_count(mp) == 0);
		for (unsigned int i = 0; i < OBJECTS; i++)
			memset(objs[i], 0x33, mp->elt_size);
		rte_mempool_put_bulk(mp, objs, OBJECTS);
		EXPECT(rte_mempool_avail_count(mp) == OBJECTS);
	}
	return 0;
}

static int
secondary_hand_over(struct rte_mempool *mp)
{
	struct rte_ring *ring = rte_ring_lookup("handover");
	void *objs[HANDOVER];

	EXPECT(ring != NULL);
	EXPECT(rte_mempool_get_bulk(mp, objs, HANDOVER) == 0);
	EXPECT(rte_ring_enqueue_bulk(ring, objs, HANDOVER, NULL) == HANDOVER);
	return 0;
}

static int
secondary_churn(struct rte_mempool *mp)
{
	void *objs[16];

	for (unsigned int round = 0;; round++) {
		if (rte_mempool_get_bulk(mp, objs, 16) != 0)
			continue;
		rte_mempool_put_bulk(mp, objs, 16);
		if (round == 1000)
			test_say_ready();
	}
	return 0;
}

/* Is killed with objects in its hands. */
static int
secondary_hold(struct rte_mempool *mp)
{
	void *objs[HANDOVER];

	EXPECT(rte_mempool_get_bulk(mp, objs, HANDOVER) == 0);
	test_say_ready();
	test_await_go();
	return 1;
}

/* Is killed with mbufs in every state that mbufs can be in. */
static int
secondary_hold_mbufs(struct rte_mempool *mp)
{
	static struct rte_mbuf_ext_shared_info shared;
	static char external[256];
	struct rte_mbuf *m[HANDOVER];

	EXPECT(rte_pktmbuf_alloc_bulk(mp, m, HANDOVER) == 0);
	for (unsigned int i = 0; i < HANDOVER; i++) {
		EXPECT(rte_pktmbuf_append(m[i], 100 + i) != NULL);
		m[i]->ol_flags = RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_TX_TCP_SEG;
		m[i]->port = (uint16_t)i;
	}
	/* segments, references, somebody else's buffer, and one of another mbuf */
	for (unsigned int i = 1; i < 10; i++)
		EXPECT(rte_pktmbuf_chain(m[0], m[i]) == 0);
	for (unsigned int i = 10; i < 20; i++)
		rte_mbuf_refcnt_set(m[i], (uint16_t)i);
	shared.refcnt = 1;
	rte_pktmbuf_attach_extbuf(m[20], external, RTE_BAD_IOVA, sizeof(external), &shared);
	rte_pktmbuf_attach(m[21], m[22]);
	/* what frees one half */
	rte_mbuf_refcnt_set(m[23], 0);
	m[23]->pool = NULL;
	test_say_ready();
	test_await_go();
	return 1;
}

/* Is killed with contiguous blocks in its hands, one of them in part. */
static int
secondary_hold_contig(struct rte_mempool *mp)
{
	const size_t size = mp->header_size + mp->elt_size + mp->trailer_size;
	struct rte_mempool_info info;
	struct rte_mbuf *m;
	void *first[3];

	EXPECT(rte_mempool_ops_get_info(mp, &info) == 0 && info.contig_block_size == 8);
	EXPECT(rte_mempool_get_contig_blocks(mp, first, 3) == 0);
	for (unsigned int i = 0; i < 24; i++) {
		m = RTE_PTR_ADD(first[i / 8], i % 8 * size);
		EXPECT(m->pool == mp);
		rte_pktmbuf_reset(m);
		EXPECT(rte_pktmbuf_append(m, 100) != NULL);
		if (i < 5)
			rte_pktmbuf_free(m);
		else
			rte_mbuf_refcnt_set(m, 7);
	}
	test_say_ready();
	test_await_go();
	return 1;
}

static int
secondary_create(const char *name)
{
	struct rte_mempool *mp =
		rte_mempool_create_empty(name, OBJECTS, 64, 0, 0, SOCKET_ID_ANY, 0);

	EXPECT(mp != NULL);
	EXPECT(rte_mempool_set_ops_byname(mp, "slab", NULL) == 0);
	EXPECT(rte_mempool_populate_default(mp) == OBJECTS);
	test_say_ready();
	test_await_go();
	EXPECT(rte_mempool_avail_count(mp) == OBJECTS);
	rte_mempool_free(mp);
	return 0;
}

int
test_secondary_main(const char *what, const char *pool)
{
	struct rte_mempool *mp;

	alarm(60);
	if (strcmp(what, "create") == 0)
		return secondary_create(pool);
	if (strcmp(what, "create_torn") == 0)
		return test_secondary_create_torn(pool);
	mp = rte_mempool_lookup(pool);
	EXPECT(mp != NULL);
	if (strcmp(what, "slot") == 0)
		return secondary_slot(mp);
	if (strcmp(what, "count") == 0)
		return secondary_count(mp);
	if (strcmp(what, "take_all") == 0)
		return secondary_take_all(mp);
	if (strcmp(what, "hand_over") == 0)
		return secondary_hand_over(mp);
	if (strcmp(what, "hold") == 0)
		return secondary_hold(mp);
	if (strcmp(what, "hold_mbufs") == 0)
		return secondary_hold_mbufs(mp);
	if (strcmp(what, "hold_contig") == 0)
		return secondary_hold_contig(mp);
	if (strcmp(what, "churn") == 0)
		return secondary_churn(mp);
	return test_secondary_cache(what, mp);
}

/* ---- the primary's side ---- */

struct test_child
test_secondary_start(const char *what, const char *pool)
{
	int to[2], from[2];
	char text[16];
	struct test_child child;

	assert_int_equal(pipe(to), 0);
	assert_int_equal(pipe(from), 0);
	child.pid = fork();
	assert_true(child.pid >= 0);
	if (child.pid == 0) {
		/* with a test that fails it has no end of its own */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(to[0], STDIN_FILENO);
		close(to[0]);
		close(to[1]);
		close(from[0]);
		snprintf(text, sizeof(text), "%d", from[1]);
		setenv("SLAB_TEST_READY_FD", text, 1);
		snprintf(text, sizeof(text), "%d", registered_index());
		setenv("SLAB_TEST_INDEX", text, 1);
		setenv("SLAB_TEST_PREFIX", test_file_prefix(), 1);
		/* a secondary must map memory where the primary has it */
		personality(ADDR_NO_RANDOMIZE);
		execl("/proc/self/exe", "slab-test", "secondary", what, pool, NULL);
		_exit(3);
	}
	close(to[0]);
	close(from[1]);
	child.to = to[1];
	child.from = from[0];
	return child;
}

void
test_secondary_ready(const struct test_child *child)
{
	char byte;

	/* 0: it ended without having become ready */
	assert_int_equal(read(child->from, &byte, 1), 1);
}

int
test_secondary_end(struct test_child *child)
{
	int status;

	close(child->to);
	assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
	close(child->from);
	return status;
}

void
test_secondary_run(const char *what, const char *pool)
{
	struct test_child child = test_secondary_start(what, pool);
	const int status = test_secondary_end(&child);

	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("secondary \"%s\" ended with status %#x", what, status);
}

unsigned int
test_members(const char *pool)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts), .observe = true};
	struct sio_pool_info info;
	struct sio_pool *observed;
	char name[SIO_NAME_LEN];

	assert_in_range(snprintf(name, sizeof(name), "dpdk.%s.%s", test_file_prefix(), pool), 1,
		sizeof(name) - 1);
	assert_int_equal(sio_pool_attach(name, &opts, &observed), 0);
	sio_pool_info(observed, &info);
	sio_pool_detach(observed);
	return info.members;
}

static void
all_processes_agree_on_the_ops(void **state)
{
	struct rte_mempool *mp = test_pool("slot", OBJECTS, 64, 0, 0);

	(void)state;
	test_secondary_run("slot", "slot");
	rte_mempool_free(mp);
}

static void
a_secondary_that_counts_is_no_member(void **state)
{
	struct rte_mempool *mp = test_pool("count", OBJECTS, 64, 0, 0);
	struct test_child child;
	void *objs[HANDOVER];

	(void)state;
	assert_int_equal(rte_mempool_get_bulk(mp, objs, HANDOVER), 0);
	child = test_secondary_start("count", "count");
	test_secondary_ready(&child);
	assert_int_equal(test_members("count"), 1);
	rte_mempool_put_bulk(mp, objs, HANDOVER);
	assert_int_equal(test_secondary_end(&child), 0);
	assert_int_equal(test_members("count"), 1);
	rte_mempool_free(mp);
}

static void
a_secondary_takes_every_object_and_leaves_all_behind(void **state)
{
	struct rte_mempool *mp = test_pool("all", OBJECTS, 64, 0, 0);

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		test_drain(mp, OBJECTS);
		test_secondary_run("take_all", "all");
		assert_int_equal(rte_mempool_avail_count(mp), OBJECTS);
	}
	test_drain(mp, OBJECTS);
	assert_int_equal(test_members("all"), 1);
	rte_mempool_free(mp);
}

static void
objects_cross_from_one_process_to_the_other(void **state)
{
	struct rte_mempool *mp = test_pool("cross", OBJECTS, 64, 0, 0);
	struct rte_ring *ring = rte_ring_create("handover", 64, SOCKET_ID_ANY, 0);
	void *objs[HANDOVER];

	(void)state;
	assert_non_null(ring);
	test_secondary_run("hand_over", "cross");
	assert_int_equal(rte_mempool_avail_count(mp), OBJECTS - HANDOVER);
	assert_int_equal(rte_ring_dequeue_bulk(ring, objs, HANDOVER, NULL), HANDOVER);
	rte_mempool_put_bulk(mp, objs, HANDOVER);
	test_drain(mp, OBJECTS);
	rte_ring_free(ring);
	rte_mempool_free(mp);
}

static void
a_mempool_of_a_secondary_serves_the_primary(void **state)
{
	const unsigned int descriptors = test_count_files("/proc/self/fd");
	struct test_child child = test_secondary_start("create", "theirs");
	struct rte_mempool *mp;

	(void)state;
	test_secondary_ready(&child);
	mp = rte_mempool_lookup("theirs");
	assert_non_null(mp);
	assert_int_equal(mp->ops_index, TEST_OPS_SLOT);
	test_drain(mp, OBJECTS);
	assert_int_equal(test_secondary_end(&child), 0);
	/* its successor has the same name, and most likely the same memory */
	child = test_secondary_start("create", "theirs");
	test_secondary_ready(&child);
	mp = rte_mempool_lookup("theirs");
	assert_non_null(mp);
	test_drain(mp, OBJECTS);
	assert_int_equal(test_secondary_end(&child), 0);
	/* what the primary had open for them goes when it next opens another */
	rte_mempool_free(test_pool("next", OBJECTS, 64, 0, 0));
	assert_int_equal(test_count_files("/proc/self/fd"), descriptors);
}

static void
a_killed_secondary_stops_nobody(void **state)
{
	struct rte_mempool *mp = test_pool("killed", OBJECTS, 64, 0, 0);

	(void)state;
	for (unsigned int i = 0; i < 5; i++) {
		const unsigned int before = rte_mempool_avail_count(mp);
		struct test_child child = test_secondary_start("churn", "killed");
		void *objs[OBJECTS];
		unsigned int n = 0;
		int status;

		test_secondary_ready(&child);
		kill(child.pid, SIGKILL);
		status = test_secondary_end(&child);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		while (rte_mempool_get(mp, &objs[n]) == 0)
			n++;
		/*
		 * without what it had in its hands, and in the two magazines of its thread; with
		 * what those before it had there, where that has come back by now
		 */
		assert_in_range(n, before - 200, OBJECTS);
		for (unsigned int j = 0; j < n; j++)
			memset(objs[j], 0x77, mp->elt_size);
		rte_mempool_put_bulk(mp, objs, n);
	}
	rte_mempool_free(mp);
}

void
test_await_recovery(const char *pool)
{
	for (unsigned int i = 0; i < 500 && test_members(pool) != 1; i++)
		rte_delay_us_sleep(10000);
	assert_int_equal(test_members(pool), 1);
}

/* By mode=exact in mempool_test.cfg. */
static void
an_exact_mempool_gets_back_what_a_killed_secondary_held(void **state)
{
	static const struct {
		const char *name;
		unsigned int lost;
	} cases[] = {{"exact_held", 0}, {"held", HANDOVER}};

	(void)state;
	for (unsigned int i = 0; i < RTE_DIM(cases); i++) {
		struct rte_mempool *mp = test_pool(cases[i].name, OBJECTS, 64, 0, 0);
		struct test_child child = test_secondary_start("hold", cases[i].name), next;

		test_secondary_ready(&child);
		kill(child.pid, SIGKILL);
		assert_true(WIFSIGNALED(test_secondary_end(&child)));
		test_await_recovery(cases[i].name);
		assert_int_equal(rte_mempool_avail_count(mp), OBJECTS - cases[i].lost);
		/* a process that joins settles what dead ones left at once */
		child = test_secondary_start("hold", cases[i].name);
		test_secondary_ready(&child);
		kill(child.pid, SIGKILL);
		assert_true(WIFSIGNALED(test_secondary_end(&child)));
		next = test_secondary_start("hold", cases[i].name);
		test_secondary_ready(&next);
		assert_int_equal(
			rte_mempool_avail_count(mp), OBJECTS - HANDOVER - 2 * cases[i].lost);
		kill(next.pid, SIGKILL);
		assert_true(WIFSIGNALED(test_secondary_end(&next)));
		rte_mempool_free(mp);
	}
}

static void
mbufs_that_a_killed_secondary_held_are_new_again(void **state)
{
	struct rte_mempool *mp = rte_pktmbuf_pool_create_by_ops(
		"exact_mbufs", OBJECTS, 32, 16, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY, "slab");
	struct test_child child;
	struct rte_mbuf *m[OBJECTS];

	(void)state;
	assert_non_null(mp);
	child = test_secondary_start("hold_mbufs", "exact_mbufs");
	test_secondary_ready(&child);
	kill(child.pid, SIGKILL);
	assert_true(WIFSIGNALED(test_secondary_end(&child)));
	test_await_recovery("exact_mbufs");
	assert_int_equal(rte_mempool_avail_count(mp), OBJECTS);
	/* as they are in the mempool, where every field that alloc relies on counts */
	assert_int_equal(rte_mempool_get_bulk(mp, (void **)m, OBJECTS), 0);
	for (unsigned int i = 0; i < OBJECTS; i++) {
		assert_int_equal(rte_mbuf_refcnt_read(m[i]), 1);
		assert_int_equal(m[i]->nb_segs, 1);
		assert_null(m[i]->next);
		assert_ptr_equal(m[i]->pool, mp);
		assert_ptr_equal(m[i]->buf_addr, RTE_PTR_ADD(m[i], sizeof(*m[i]) + 16));
		assert_int_equal(m[i]->buf_len, RTE_MBUF_DEFAULT_BUF_SIZE);
		assert_int_equal(m[i]->priv_size, 16);
		assert_false(RTE_MBUF_CLONED(m[i]) || RTE_MBUF_HAS_EXTBUF(m[i]));
	}
	rte_mempool_put_bulk(mp, (void **)m, OBJECTS);
	assert_int_equal(rte_pktmbuf_alloc_bulk(mp, m, OBJECTS), 0);
	for (unsigned int i = 0; i < OBJECTS; i++)
		assert_non_null(rte_pktmbuf_append(m[i], 1500));
	rte_pktmbuf_free_bulk(m, OBJECTS);
	assert_int_equal(rte_mempool_avail_count(mp), OBJECTS);
	rte_mempool_free(mp);
}

/* A process that does not know mbufs leaves them to one that does. */
static void
contiguous_blocks_that_a_killed_secondary_held_are_there_and_new_again(void **state)
{
	struct rte_mempool *mp = rte_pktmbuf_pool_create_by_ops(
		"contig_exact_m", OBJECTS, 0, 16, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY, "slab");
	struct test_child child;
	void *first[20];

	(void)state;
	assert_non_null(mp);
	child = test_secondary_start("hold_contig", "contig_exact_m");
	test_secondary_ready(&child);
	assert_int_equal(rte_mempool_avail_count(mp), OBJECTS - 19);
	assert_int_equal(rte_mempool_get_contig_blocks(mp, first, 18), -ENOBUFS);
	assert_int_equal(rte_mempool_get_contig_blocks(mp, first, 17), 0);
	kill(child.pid, SIGKILL);
	assert_true(WIFSIGNALED(test_secondary_end(&child)));
	test_await_recovery("contig_exact_m");
	assert_int_equal(rte_mempool_avail_count(mp), OBJECTS - 17 * 8);
	assert_int_equal(rte_mempool_get_contig_blocks(mp, &first[17], 3), 0);
	for (unsigned int i = 0; i < 20 * 8; i++) {
		struct rte_mbuf *m = RTE_PTR_ADD(
			first[i / 8], i % 8 * (mp->header_size + mp->elt_size + mp->trailer_size));

		assert_int_equal(rte_mbuf_refcnt_read(m), 1);
		rte_pktmbuf_reset(m);
		rte_pktmbuf_free(m);
	}
	assert_int_equal(rte_mempool_avail_count(mp), OBJECTS);
	rte_mempool_free(mp);
}

/* Recovers as soon as there is somebody to recover. */
static int
recover_dead(const char *name, struct sio_recover_report *report)
{
	const struct sio_pool_attach_opts opts = {
		.sz = sizeof(opts), .no_payload = true, .no_recover = true};
	const uint64_t until = sio_now_ns() + UINT64_C(20000000000);
	struct sio_pool *pool;
	int rc = sio_pool_attach(name, &opts, &pool);

	if (rc != 0)
		return rc;
	do {
		rc = sio_pool_recover(pool, report);
	} while (rc == 0 && report->dead_members == 0 && sio_now_ns() < until);
	sio_pool_detach(pool);
	return rc;
}

static void
objects_to_be_renewed_wait_for_who_can(void **state)
{
	struct rte_mempool *mp = test_pool("exact_wait", OBJECTS, 64, 0, 0);
	struct test_child child = test_secondary_start("hold", "exact_wait");
	struct sio_recover_report report;
	char name[SIO_NAME_LEN];
	int status;
	pid_t pid;

	(void)state;
	test_secondary_ready(&child);
	snprintf(name, sizeof(name), "dpdk.%s.exact_wait", test_file_prefix());
	/* not the primary, which could renew: it stands still meanwhile, and its watch with it */
	pid = fork();
	if (pid == 0) {
		kill(getppid(), SIGSTOP);
		kill(child.pid, SIGKILL);
		status = recover_dead(name, &report);
		kill(getppid(), SIGCONT);
		_exit(status == 0 && report.unrenewed == HANDOVER && report.blocks_hands == 0 ? 0
											      : 1);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(WIFSIGNALED(test_secondary_end(&child)));
	test_await_recovery("exact_wait");
	assert_int_equal(rte_mempool_avail_count(mp), OBJECTS);
	rte_mempool_free(mp);
}

static void
secondaries_come_and_go_and_use_up_no_slots(void **state)
{
	struct rte_mempool *mp = test_pool("slots", OBJECTS, 64, 0, 0);

	(void)state;
	for (unsigned int i = 0; i < 5; i++)
		test_secondary_run("take_all", "slots");
	assert_int_equal(test_members("slots"), 1);
	rte_mempool_free(mp);
}

/* A process without EAL that has a pool of this name. */
static void
hold_name(const char *name, int ready, int go)
{
	const struct sio_pool_opts opts = {
		.sz = sizeof(opts),
		.name = name,
		.n_blocks = 8,
		.block_size = 64,
	};
	struct sio_pool *pool;
	char byte = 'r';

	if (sio_pool_create(&opts, &pool) != 0 || write(ready, &byte, 1) != 1)
		_exit(1);
	if (read(go, &byte, 1) != 0)
		_exit(2);
	sio_pool_destroy(pool);
	_exit(0);
}

static void
a_name_that_is_in_use_gets_the_pid(void **state)
{
	struct rte_mempool *mp;
	char name[SIO_NAME_LEN];
	int to[2], from[2], status;
	pid_t pid;
	char byte;

	(void)state;
	snprintf(name, sizeof(name), "dpdk.%s.twice", test_file_prefix());
	assert_int_equal(pipe(to), 0);
	assert_int_equal(pipe(from), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(30);
		close(to[1]);
		hold_name(name, from[1], to[0]);
	}
	close(to[0]);
	close(from[1]);
	assert_int_equal(read(from[0], &byte, 1), 1);

	test_log_capture();
	mp = test_pool("twice", OBJECTS, 64, 0, 0);
	assert_true(test_log_had("is in use by another process"));
	test_drain(mp, OBJECTS);
	test_secondary_run("take_all", "twice");
	snprintf(name, sizeof(name), "twice#%d", (int)getpid());
	assert_int_equal(test_members(name), 1);
	rte_mempool_free(mp);

	close(to[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(from[0]);
}

const struct CMUnitTest test_mp_tests[] = {
	cmocka_unit_test(all_processes_agree_on_the_ops),
	cmocka_unit_test(a_secondary_that_counts_is_no_member),
	cmocka_unit_test(a_secondary_takes_every_object_and_leaves_all_behind),
	cmocka_unit_test(objects_cross_from_one_process_to_the_other),
	cmocka_unit_test(a_mempool_of_a_secondary_serves_the_primary),
	cmocka_unit_test(a_killed_secondary_stops_nobody),
	cmocka_unit_test(an_exact_mempool_gets_back_what_a_killed_secondary_held),
	cmocka_unit_test(mbufs_that_a_killed_secondary_held_are_new_again),
	cmocka_unit_test(contiguous_blocks_that_a_killed_secondary_held_are_there_and_new_again),
	cmocka_unit_test(objects_to_be_renewed_wait_for_who_can),
	cmocka_unit_test(secondaries_come_and_go_and_use_up_no_slots),
	cmocka_unit_test(a_name_that_is_in_use_gets_the_pid),
};
const size_t test_mp_tests_n = RTE_DIM(test_mp_tests);
