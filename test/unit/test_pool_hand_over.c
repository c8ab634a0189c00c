/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* Blocks that pass between members by an application's own queues. */

#include "unit_env.h"
#include "unit_pool.h"
#include "pool/pool_private.h"
#include <sys/mman.h>

#define N 32

/* What two processes of a test share outside of the pool: a queue as simple as can be. */
struct queue {
	struct unit_gate to_child, to_parent;
	sio_member_t child;
	uint32_t handles[N];
	int result;
};

static struct queue *
queue_new(void)
{
	struct queue *q =
		mmap(NULL, sizeof(*q), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(q != MAP_FAILED);
	unit_gate_init(&q->to_child);
	unit_gate_init(&q->to_parent);
	return q;
}

static void
queue_free(struct queue *q)
{
	unit_gate_close(&q->to_child);
	unit_gate_close(&q->to_parent);
	munmap(q, sizeof(*q));
}

/* A child joins the pool, says who it is, and goes on when the parent has done its part. */
static bool
join(struct queue *q, struct sio_pool **pool)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts)};

	if (sio_pool_attach("hand", &opts, pool) != 0)
		return false;
	q->child = sio_segment_self(sio_pool_segment(*pool));
	unit_gate_open(&q->to_parent);
	return unit_gate_pass(&q->to_child);
}

static int
accept_and_give(void *arg)
{
	struct queue *q = arg;
	struct sio_pool *pool;

	if (!join(q, &pool))
		return 1;
	q->result = sio_pool_accept(pool, q->handles, 8);
	if (q->result != 8 || sio_pool_give(pool, q->handles, 8) != 0)
		return 3;
	sio_pool_detach(pool);
	return 0;
}

static int
accept_and_hang(void *arg)
{
	struct queue *q = arg;
	struct sio_pool *pool;

	if (!join(q, &pool))
		return 1;
	q->result = sio_pool_accept(pool, q->handles, 3);
	unit_gate_open(&q->to_parent);
	pause();
	return 3;
}

static int
hand_over_and_hang(void *arg)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts)};
	struct queue *q = arg;
	struct sio_pool *pool;

	if (sio_pool_attach("hand", &opts, &pool) != 0 || sio_pool_take(pool, q->handles, 8) != 0 ||
		sio_pool_hand_over(pool, q->handles, 6, q->child) != 0)
		return 1;
	unit_gate_open(&q->to_parent);
	pause();
	return 2;
}

static void
blocks_pass_from_member_to_member(void **state)
{
	const uint32_t flags[] = {SIO_POOL_EXACT, 0};

	(void)state;
	for (unsigned int f = 0; f < 2; f++) {
		struct sio_pool *pool = unit_pool("hand", N, 4, 4, flags[f]);
		struct queue *q = queue_new();
		pid_t pid = unit_fork(accept_and_give, q);

		assert_true(unit_gate_pass(&q->to_parent));
		assert_int_equal(sio_pool_take(pool, q->handles, 8), 0);
		assert_int_equal(sio_pool_hand_over(pool, q->handles, 8, q->child), 0);
		unit_gate_open(&q->to_child);
		assert_int_equal(unit_wait(pid), 0);
		unit_assert_all_free(pool, N);
		queue_free(q);
		sio_pool_destroy(pool);
	}
}

static void
hand_over_is_all_or_none(void **state)
{
	struct sio_pool *pool = unit_pool("hand", N, 4, 4, SIO_POOL_EXACT);
	sio_member_t self = sio_segment_self(sio_pool_segment(pool));
	uint32_t h[6], again[3];

	(void)state;
	assert_int_equal(sio_pool_take(pool, h, 4), 0);
	memcpy(again, (uint32_t[]){h[0], h[1], h[0]}, sizeof(again));
	assert_int_equal(sio_pool_hand_over(pool, again, 3, self), -EACCES);
	assert_true(pool->holders[h[0]] == self && pool->holders[h[1]] == self);
	again[2] = N;
	assert_int_equal(sio_pool_hand_over(pool, again, 3, self), -EINVAL);
	assert_int_equal(sio_pool_hand_over(pool, h, 4, SIO_MEMBER_NAME(5, 1)), -ESRCH);
	assert_int_equal(sio_pool_hand_over(pool, h, 2, self), 0);
	/* handed over is not in hands */
	assert_int_equal(sio_pool_hand_over(pool, h, 1, self), -EACCES);
	/* what was never handed over, and what is no block, is not accepted */
	again[0] = h[2];
	again[1] = h[1];
	again[2] = N + 7;
	assert_int_equal(sio_pool_accept(pool, again, 3), 1);
	assert_int_equal(again[0], h[1]);
	assert_int_equal(sio_pool_accept(pool, again, 1), 0);
	/* the other one is taken back, once */
	assert_int_equal(sio_pool_withdraw(pool, h, 2), 1);
	assert_int_equal(sio_pool_withdraw(pool, h, 2), 0);
	assert_int_equal(sio_pool_give(pool, h, 4), 0);
	unit_assert_all_free(pool, N);
	sio_pool_destroy(pool);
}

static void
blocks_for_a_dead_receiver_are_recovered(void **state)
{
	struct sio_pool *pool = unit_pool("hand", N, 4, 4, SIO_POOL_EXACT);
	struct queue *q = queue_new();
	pid_t pid = unit_fork(accept_and_hang, q);
	struct sio_recover_report report;

	(void)state;
	assert_true(unit_gate_pass(&q->to_parent));
	assert_int_equal(sio_pool_take(pool, q->handles, 8), 0);
	assert_int_equal(sio_pool_hand_over(pool, q->handles, 8, q->child), 0);
	unit_gate_open(&q->to_child);
	assert_true(unit_gate_pass(&q->to_parent));
	assert_int_equal(q->result, 3);
	unit_kill(pid);
	assert_int_equal(sio_pool_recover(pool, &report), 0);
	assert_int_equal(report.blocks_hands, 8);
	/* a successor on the same queue gets none of them */
	assert_int_equal(sio_pool_accept(pool, q->handles, 8), 0);
	assert_int_equal(sio_pool_hand_over(pool, q->handles, 1, q->child), -ESRCH);
	unit_assert_all_free(pool, N);
	queue_free(q);
	sio_pool_destroy(pool);
}

static void
blocks_of_a_dead_giver_are_accepted_or_recovered(void **state)
{
	struct sio_pool *pool = unit_pool("hand", N, 4, 4, SIO_POOL_EXACT);
	struct queue *q = queue_new();
	struct sio_recover_report report;
	pid_t pid;

	(void)state;
	q->child = sio_segment_self(sio_pool_segment(pool));
	for (unsigned int any = 0; any < 2; any++) {
		if (any)
			q->child = SIO_MEMBER_NONE;
		pid = unit_fork(hand_over_and_hang, q);
		assert_true(unit_gate_pass(&q->to_parent));
		unit_kill(pid);
		assert_int_equal(sio_pool_accept(pool, q->handles, 4), 4);
		assert_int_equal(sio_pool_recover(pool, &report), 0);
		/* two offered, two never */
		assert_int_equal(report.blocks_hands, 4);
		assert_int_equal(sio_pool_accept(pool, q->handles + 4, 4), 0);
		assert_int_equal(sio_pool_give(pool, q->handles, 4), 0);
		unit_assert_all_free(pool, N);
	}
	queue_free(q);
	sio_pool_destroy(pool);
}

static int
attach_and_leave(void *arg)
{
	struct queue *q = arg;
	struct sio_pool *pool;

	if (!join(q, &pool))
		return 1;
	sio_pool_detach(pool);
	return 0;
}

static void
blocks_for_a_receiver_that_left_are_recovered_without_a_death(void **state)
{
	struct sio_pool *pool = unit_pool("hand", N, 4, 4, SIO_POOL_EXACT);
	struct queue *q = queue_new();
	pid_t pid = unit_fork(attach_and_leave, q);
	struct sio_recover_report report;

	(void)state;
	assert_true(unit_gate_pass(&q->to_parent));
	assert_int_equal(sio_pool_take(pool, q->handles, 2), 0);
	assert_int_equal(sio_pool_hand_over(pool, q->handles, 2, q->child), 0);
	unit_gate_open(&q->to_child);
	assert_int_equal(unit_wait(pid), 0);
	assert_int_equal(sio_pool_recover(pool, &report), 0);
	assert_int_equal(report.dead_members, 0);
	assert_int_equal(report.blocks_hands, 2);
	unit_assert_all_free(pool, N);
	queue_free(q);
	sio_pool_destroy(pool);
}

/*
 * A magazine that another member left, of whose blocks some were taken from that member since: who
 * claims it keeps the others, each once.
 */
static void
who_claims_a_magazine_keeps_what_is_still_its_givers(void **state)
{
	static char memory[8 * 64] __attribute__((aligned(64)));
	const sio_member_t giver = 5u | 7u << 10;

	(void)state;
	for (unsigned int c = 0; c < 2 * 256; c++) {
		const bool wide = c >= 256;
		struct sio_pool_opts opts = unit_pool_opts(
			"claims", 8, 11, 0, SIO_POOL_EXACT | (wide ? SIO_POOL_SAME_MAP : 0));
		uint32_t gone = c % 256, got = 0, handle, n = 0;
		struct sio_magazine *mag = NULL;
		struct sio_pool *pool;
		void *block;

		opts.block_size = 64;
		opts.lent_payload = true;
		pool = unit_pool_create(&opts);
		assert_int_equal(sio_pool_add_memory(pool, memory, 64, 8), 0);
		assert_int_equal(sio_pool_publish(pool), 0);
		for (uint32_t m = 0; m < pool->n_magazines; m++)
			if (sio_mag_count_now(sio_magazine_at(pool, m)) == 8)
				mag = sio_magazine_at(pool, m);
		assert_non_null(mag);
		mag->named = giver;
		for (uint32_t b = 0; b < 8; b++)
			pool->holders[b] = SIO_HOLDER_MEMBER | (giver + (gone >> b & 1));
		while ((wide ? sio_pool_take_ptr(pool, &block, 1)
			     : sio_pool_take_one(pool, &handle)) == 0) {
			if (wide)
				assert_int_equal(sio_pool_handle(pool, block, &handle), 0);
			assert_false(got >> handle & 1);
			got |= 1u << handle;
			assert_true(++n <= 8);
		}
		assert_int_equal(got, ~gone & 0xff);
		sio_pool_destroy(pool);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_claims_a_magazine_keeps_what_is_still_its_givers),
		cmocka_unit_test(blocks_pass_from_member_to_member),
		cmocka_unit_test(hand_over_is_all_or_none),
		cmocka_unit_test(blocks_for_a_dead_receiver_are_recovered),
		cmocka_unit_test(blocks_of_a_dead_giver_are_accepted_or_recovered),
		cmocka_unit_test(blocks_for_a_receiver_that_left_are_recovered_without_a_death),
	};

	unit_env_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
