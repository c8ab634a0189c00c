/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* Rings that carry the blocks of an exact pool. */

#include "unit_rbuff.h"
#include "unit_pool.h"
#include <pthread.h>
#include "pool/pool_private.h"

#define N 64

static void
fill(struct sio_desc *descs, const uint32_t *handles, unsigned int n)
{
	memset(descs, 0, n * sizeof(*descs));
	for (unsigned int i = 0; i < n; i++)
		descs[i].handle = handles[i];
}

static void
give_all(struct sio_pool *pool, const struct sio_desc *descs, int n)
{
	for (int i = 0; i < n; i++)
		assert_int_equal(sio_pool_give(pool, &descs[i].handle, 1), 0);
}

static void
holder_words_follow_the_blocks(void **state)
{
	struct sio_pool *pool = unit_pool("blocks", N, 4, 4, SIO_POOL_EXACT);
	struct sio_rbuff *out = ring_of(pool, "ring", SIO_RBUFF_PRODUCER), *in;
	sio_member_t self = sio_segment_self(sio_pool_segment(pool));
	struct sio_desc d[10], e[16];
	struct sio_rbuff_info info;
	struct sio_audit_report report;
	uint32_t h[10];

	(void)state;
	assert_int_equal(sio_rbuff_attach_blocks("ring", SIO_RBUFF_CONSUMER, pool, &in), 0);
	sio_rbuff_info(in, &info);
	assert_true(info.number >= 1);
	assert_string_equal(info.pool, "blocks");
	for (unsigned int round = 0; round < 20; round++) {
		assert_int_equal(sio_pool_take(pool, h, 10), 0);
		fill(d, h, 10);
		assert_int_equal(sio_rbuff_write_bulk(out, d, 10), 10);
		/* what is queued has its writer's name */
		for (unsigned int i = 0; i < 10; i++)
			assert_true(pool->holders[h[i]] == self);
		report = unit_audit(pool);
		assert_int_equal(report.met[SIO_PLACE_RING], 10);
		assert_int_equal(report.met[SIO_PLACE_HELD], 0);
		assert_int_equal(report.outstanding, 0);
		assert_int_equal(sio_rbuff_read_burst(in, e, 16), 10);
		assert_memory_equal(d, e, sizeof(d));
		for (unsigned int i = 0; i < 10; i++)
			assert_true(pool->holders[h[i]] == self);
		give_all(pool, e, 10);
	}
	sio_rbuff_detach(in);
	sio_rbuff_destroy(out);
	unit_assert_all_free(pool, N);
	sio_pool_destroy(pool);
}

static void
where_the_pool_checks_blocks_that_are_not_the_writers_are_refused_whole(void **state)
{
	struct sio_pool *pool = unit_pool("blocks", N, 4, 4, SIO_POOL_EXACT | SIO_POOL_CHECK);
	struct sio_rbuff *out = ring_of(pool, "ring", SIO_RBUFF_PRODUCER);
	sio_member_t self = sio_segment_self(sio_pool_segment(pool));
	struct sio_desc d[3];
	uint32_t h[3];

	(void)state;
	assert_int_equal(sio_pool_take(pool, h, 3), 0);
	fill(d, h, 3);
	d[2].handle = N;
	assert_int_equal(sio_rbuff_write_bulk(out, d, 3), -EACCES);
	d[2].handle = h[2];
	assert_int_equal(sio_rbuff_write_bulk(out, d, 1), 1);
	/* somebody else may have the third */
	assert_int_equal(sio_pool_hand_over(pool, h + 2, 1, SIO_MEMBER_NONE), 0);
	assert_int_equal(sio_rbuff_write_burst(out, d + 1, 2), -EACCES);
	assert_int_equal(sio_rbuff_count(out), 1);
	assert_int_equal(sio_pool_withdraw(pool, h + 2, 1), 1);
	assert_true(pool->holders[h[2]] == self);
	assert_int_equal(sio_rbuff_write_burst(out, d + 1, 2), 2);
	sio_rbuff_destroy(out);
	unit_assert_all_free(pool, N);
	sio_pool_destroy(pool);
}

static void
blocks_that_are_no_writers_are_left_out(void **state)
{
	struct sio_pool *pool = unit_pool("blocks", N, 4, 4, SIO_POOL_EXACT);
	struct sio_rbuff *out = ring_of(pool, "ring", SIO_RBUFF_PRODUCER), *in;
	sio_member_t self = sio_segment_self(sio_pool_segment(pool));
	uint32_t number = rbuff_constants(out)->number;
	struct sio_desc d[6], e[6];
	uint32_t h[6];

	(void)state;
	assert_int_equal(sio_rbuff_attach_blocks("ring", SIO_RBUFF_CONSUMER, pool, &in), 0);
	assert_int_equal(sio_pool_take(pool, h, 5), 0);
	fill(d, h, 5);
	d[4].handle = N;
	assert_int_equal(sio_rbuff_write_bulk(out, d, 5), 5);
	/* put back there by recovery, or so it seems; another position; another member's; offered */
	pool->holders[h[0]] = sio_holder_ring(number, 0);
	pool->holders[h[1]] = sio_holder_ring(number, 2);
	pool->holders[h[2]] = self + 1;
	pool->holders[h[3]] = sio_holder_offer(self, SIO_MEMBER_NONE);
	assert_int_equal(sio_rbuff_read_bulk(in, e, 5), 1);
	assert_int_equal(e[0].handle, h[0]);
	assert_non_null(strstr(unit_log_last, "4 elements left out"));
	assert_int_equal(sio_rbuff_read_burst(in, e, 6), 0);
	assert_int_equal(sio_pool_withdraw(pool, &h[3], 1), 1);
	pool->holders[h[2]] = self;
	for (unsigned int i = 0; i < 5; i++)
		if (i != 1)
			assert_int_equal(sio_pool_give(pool, &h[i], 1), 0);
	sio_rbuff_detach(in);
	/* what carries the ring's number comes back at its end */
	sio_rbuff_destroy(out);
	unit_assert_all_free(pool, N);
	sio_pool_destroy(pool);
}

static void
attaching_without_the_right_pool_is_refused(void **state)
{
	struct sio_pool *pool = unit_pool("blocks", N, 4, 4, SIO_POOL_EXACT);
	struct sio_pool *other = unit_pool("other", N, 4, 4, SIO_POOL_EXACT);
	struct sio_pool *conservative = unit_pool("conservative", N, 4, 4, 0);
	struct sio_rbuff *out = ring_of(pool, "ring", SIO_RBUFF_PRODUCER), *in;
	struct sio_rbuff_opts opts = ring_opts("plain", 16, 16, SIO_RBUFF_PRODUCER);
	struct sio_rbuff *plain;

	(void)state;
	assert_int_equal(sio_rbuff_attach("ring", SIO_RBUFF_CONSUMER, &in), -EINVAL);
	assert_int_equal(sio_rbuff_attach_blocks("ring", SIO_RBUFF_CONSUMER, other, &in), -EINVAL);
	assert_int_equal(
		sio_rbuff_attach_blocks("ring", SIO_RBUFF_CONSUMER, conservative, &in), -EINVAL);
	assert_int_equal(sio_rbuff_attach("ring", SIO_RBUFF_OBSERVER, &in), 0);
	sio_rbuff_detach(in);
	opts.carries = pool;
	opts.backing = SIO_BACKING_MEMFD;
	assert_int_equal(sio_rbuff_create(&opts, &plain), -EINVAL);
	opts.backing = SIO_BACKING_AUTO;
	opts.carries = NULL;
	assert_int_equal(sio_rbuff_create(&opts, &plain), 0);
	assert_int_equal(sio_rbuff_attach_blocks("plain", SIO_RBUFF_CONSUMER, pool, &in), -EINVAL);
	assert_int_equal(
		sio_rbuff_attach_blocks("plain", SIO_RBUFF_CONSUMER, conservative, &in), 0);
	sio_rbuff_detach(in);
	sio_rbuff_destroy(plain);
	sio_rbuff_destroy(out);
	sio_pool_destroy(conservative);
	sio_pool_destroy(other);
	sio_pool_destroy(pool);
}

static void
ring_of_a_conservative_pool_leaves_holder_words_alone(void **state)
{
	struct sio_pool *pool = unit_pool("blocks", N, 4, 4, 0);
	struct sio_rbuff *out = ring_of(pool, "ring", SIO_RBUFF_PRODUCER), *in;
	struct sio_desc d[4], e[4];
	struct sio_rbuff_info info;
	uint32_t h[4];

	(void)state;
	assert_int_equal(sio_rbuff_attach_blocks("ring", SIO_RBUFF_CONSUMER, pool, &in), 0);
	sio_rbuff_info(in, &info);
	assert_int_equal(info.number, 0);
	assert_string_equal(info.pool, "blocks");
	assert_int_equal(sio_pool_take(pool, h, 4), 0);
	fill(d, h, 4);
	assert_int_equal(sio_rbuff_write_bulk(out, d, 4), 4);
	assert_true(pool->holders[h[0]] == 0);
	assert_int_equal(sio_rbuff_read_bulk(in, e, 4), 4);
	give_all(pool, e, 4);
	sio_rbuff_detach(in);
	sio_rbuff_destroy(out);
	unit_assert_all_free(pool, N);
	sio_pool_destroy(pool);
}

static void
destroyed_ring_ends_when_both_sides_have_left(void **state)
{
	struct sio_pool *pool = unit_pool("blocks", N, 4, 4, SIO_POOL_EXACT);
	struct sio_rbuff *out = ring_of(pool, "ring", SIO_RBUFF_PRODUCER), *in, *late;
	struct sio_desc d[6], e[6];
	uint32_t h[6];

	(void)state;
	assert_int_equal(sio_rbuff_attach_blocks("ring", SIO_RBUFF_CONSUMER, pool, &in), 0);
	assert_int_equal(sio_pool_take(pool, h, 6), 0);
	fill(d, h, 6);
	assert_int_equal(sio_rbuff_write_bulk(out, d, 6), 6);
	sio_rbuff_destroy(out);
	assert_int_equal(sio_rbuff_attach_blocks("ring", SIO_RBUFF_PRODUCER, pool, &late), -ENOENT);
	assert_int_equal(sio_rbuff_read_burst(in, e, 2), 2);
	assert_int_equal(sio_pool_give(pool, h, 2), 0);
	/* the four that are queued go with it */
	sio_rbuff_detach(in);
	unit_assert_all_free(pool, N);
	assert_int_equal(sio_rbuff_attach("ring", SIO_RBUFF_OBSERVER, &late), -ENOENT);
	sio_pool_destroy(pool);
}

static void
ring_numbers_are_used_again(void **state)
{
	struct sio_pool_opts opts = {.sz = sizeof(opts),
		.name = "few",
		.n_blocks = N,
		.block_size = 64,
		.flags = SIO_POOL_EXACT,
		.max_rings = 2};
	struct sio_rbuff_opts third = ring_opts("third", 16, 4, SIO_RBUFF_OBSERVER);
	struct sio_rbuff *a, *b, *c;
	struct sio_pool *pool;

	(void)state;
	opts.max_rings = SIO_POOL_RINGS_MAX + 1;
	assert_int_equal(sio_pool_create(&opts, &pool), -EINVAL);
	opts.max_rings = 2;
	opts.flags = 0;
	assert_int_equal(sio_pool_create(&opts, &pool), -EINVAL);
	opts.flags = SIO_POOL_EXACT;
	assert_int_equal(sio_pool_create(&opts, &pool), 0);
	a = ring_of(pool, "first", SIO_RBUFF_PRODUCER);
	b = ring_of(pool, "second", SIO_RBUFF_CONSUMER);
	third.carries = pool;
	assert_int_equal(sio_rbuff_create(&third, &c), -ENOSPC);
	assert_non_null(strstr(unit_log_last, "max_rings"));
	sio_rbuff_destroy(a);
	assert_int_equal(sio_rbuff_create(&third, &c), 0);
	sio_rbuff_destroy(b);
	sio_rbuff_destroy(c);
	sio_pool_destroy(pool);
}

/* One thread takes, stamps and writes, another reads, checks and gives back. */
struct passing {
	struct sio_pool *pool;
	struct sio_rbuff *out, *in;
	unsigned int n;
	unsigned int wrong;
};

static void *
pass_on(void *arg)
{
	struct passing *p = arg;
	uint64_t rnd = 7;

	for (unsigned int i = 0; i < p->n;) {
		unsigned int n = next_random(&rnd) % 12 + 1;
		struct sio_desc d[12];
		uint32_t h[12];

		if (n > p->n - i)
			n = p->n - i;
		if (sio_pool_take(p->pool, h, n) != 0)
			continue;
		fill(d, h, n);
		for (unsigned int k = 0; k < n; k++) {
			d[k].position = i + k;
			*(uint32_t *)sio_pool_addr(p->pool, h[k]) = i + k;
		}
		while (sio_rbuff_write_bulk(p->out, d, n) == 0)
			sched_yield();
		i += n;
	}
	return NULL;
}

static void
two_threads_pass_blocks_in_order(void **state)
{
	struct passing p = {.pool = unit_pool("blocks", N, 4, 4, SIO_POOL_EXACT), .n = 50000};
	pthread_t writer;
	uint32_t h[16];

	(void)state;
	p.out = ring_of(p.pool, "ring", SIO_RBUFF_PRODUCER);
	assert_int_equal(sio_rbuff_attach_blocks("ring", SIO_RBUFF_CONSUMER, p.pool, &p.in), 0);
	assert_int_equal(pthread_create(&writer, NULL, pass_on, &p), 0);
	for (unsigned int i = 0; i < p.n;) {
		struct sio_desc d[16];
		int n = sio_rbuff_read_burst(p.in, d, 16);

		assert_true(n >= 0);
		for (int k = 0; k < n; k++) {
			h[k] = d[k].handle;
			p.wrong += d[k].position != i + (unsigned int)k;
			p.wrong += *(uint32_t *)sio_pool_addr(p.pool, h[k]) != d[k].position;
		}
		if (n == 0)
			sched_yield();
		assert_int_equal(sio_pool_give(p.pool, h, (unsigned int)n), 0);
		i += (unsigned int)n;
	}
	pthread_join(writer, NULL);
	assert_int_equal(p.wrong, 0);
	sio_rbuff_detach(p.in);
	sio_rbuff_destroy(p.out);
	unit_assert_all_free(p.pool, N);
	sio_pool_destroy(p.pool);
}

/* ---- deaths ---- */

/* What a mortal process does with the ring before it is killed. */
struct mortal {
	struct unit_gate gate;
	enum sio_rbuff_role role;
	unsigned int n;
	bool taken_only;       /**< reader: dies between its holder words and its position */
	unsigned int left_out; /**< reader: of n */
};

static int
live_and_hang(void *arg)
{
	struct mortal *m = arg;
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts)};
	struct sio_desc d[16];
	struct sio_rbuff *ring;
	struct sio_pool *pool;
	uint32_t h[16];

	if (sio_pool_attach("blocks", &opts, &pool) != 0 ||
		sio_rbuff_attach_blocks("ring", m->role, pool, &ring) != 0)
		return 1;
	if (m->role == SIO_RBUFF_PRODUCER) {
		/* two in hands, and so it is with one on its way into the ring */
		if (sio_pool_take(pool, h, m->n + 2) != 0)
			return 2;
		fill(d, h, m->n);
		if (sio_rbuff_write_bulk(ring, d, m->n) != (int)m->n)
			return 3;
	} else if (m->taken_only) {
		for (unsigned int i = 0; i < m->n; i++) {
			if (sio_rbuff_peek(ring, ring->side->position + i, &d[i]) != 0)
				return 4;
			pool->holders[d[i].handle] = ring->side->me;
		}
	} else if (sio_rbuff_read_bulk(ring, d, m->n) != (int)(m->n - m->left_out)) {
		return 5;
	}
	unit_gate_open(&m->gate);
	pause();
	return 6;
}

static void
live_and_die(struct mortal *m)
{
	pid_t pid;

	unit_gate_init(&m->gate);
	pid = unit_fork(live_and_hang, m);
	assert_true(unit_gate_pass(&m->gate));
	unit_kill(pid);
	unit_gate_close(&m->gate);
}

static void
dead_writers_queue_is_read_and_the_rest_is_free(void **state)
{
	struct sio_pool *pool = unit_pool("blocks", N, 4, 4, SIO_POOL_EXACT);
	struct sio_rbuff *in = ring_of(pool, "ring", SIO_RBUFF_CONSUMER), *out;
	struct mortal m = {.role = SIO_RBUFF_PRODUCER, .n = 5};
	struct sio_recover_report report;
	struct sio_desc d[16];

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		live_and_die(&m);
		assert_int_equal(sio_rbuff_peer(in), SIO_MEMBER_DEAD);
		assert_int_equal(sio_pool_recover(pool, &report), 0);
		assert_int_equal(report.ring_sides, 1);
		assert_int_equal(report.blocks_rings, 0);
		assert_int_equal(report.blocks_hands, 2);
		assert_int_equal(report.queued, 5);
		assert_int_equal(report.requeued, 0);
		assert_int_equal(report.left, 0);
		assert_int_equal(report.buried, 1);
		assert_int_equal(sio_rbuff_peer(in), SIO_MEMBER_FREE);
		assert_int_equal(sio_pool_free_count(pool), N - 5);
		assert_int_equal(sio_rbuff_read_burst(in, d, 16), 5);
		give_all(pool, d, 5);
		unit_assert_all_free(pool, N);
	}
	/* without a recovery by hand: who attaches runs it */
	live_and_die(&m);
	assert_int_equal(sio_rbuff_attach_blocks("ring", SIO_RBUFF_PRODUCER, pool, &out), 0);
	assert_int_equal(sio_rbuff_read_burst(in, d, 16), 5);
	assert_int_equal(sio_rbuff_write_bulk(out, d, 5), 5);
	sio_rbuff_detach(out);
	sio_rbuff_destroy(in);
	unit_assert_all_free(pool, N);
	sio_pool_destroy(pool);
}

static void
what_a_dead_reader_took_is_queued_again_in_order(void **state)
{
	struct sio_pool *pool = unit_pool("blocks", N, 4, 4, SIO_POOL_EXACT);
	struct sio_rbuff *out = ring_of(pool, "ring", SIO_RBUFF_PRODUCER), *in;
	struct mortal m = {.role = SIO_RBUFF_CONSUMER, .n = 4, .taken_only = true};
	struct sio_recover_report report;
	struct sio_desc d[8], e[16];
	uint32_t h[8];

	(void)state;
	assert_int_equal(sio_pool_take(pool, h, 8), 0);
	fill(d, h, 8);
	assert_int_equal(sio_rbuff_write_bulk(out, d, 8), 8);
	live_and_die(&m);
	assert_int_equal(sio_pool_recover(pool, &report), 0);
	assert_int_equal(report.requeued, 4);
	assert_int_equal(report.queued, 8);
	assert_int_equal(report.blocks_hands, 0);
	m.taken_only = false;
	m.n = 3;
	live_and_die(&m);
	assert_int_equal(sio_pool_recover(pool, &report), 0);
	assert_int_equal(report.requeued, 0);
	assert_int_equal(report.queued, 5);
	assert_int_equal(report.blocks_hands, 3);
	assert_int_equal(sio_rbuff_attach_blocks("ring", SIO_RBUFF_CONSUMER, pool, &in), 0);
	assert_int_equal(sio_rbuff_read_burst(in, e, 16), 5);
	assert_memory_equal(e, d + 3, 5 * sizeof(d[0]));
	give_all(pool, e, 5);
	sio_rbuff_detach(in);
	sio_rbuff_destroy(out);
	unit_assert_all_free(pool, N);
	sio_pool_destroy(pool);
}

static int
both_and_hang(void *arg)
{
	struct mortal *m = arg;
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts)};
	struct sio_rbuff *ring;
	struct sio_pool *pool;
	struct sio_desc d[5];
	uint32_t h[5];

	if (sio_pool_attach("blocks", &opts, &pool) != 0 || sio_pool_take(pool, h, 5) != 0)
		return 1;
	ring = ring_of(pool, "ring", SIO_RBUFF_PRODUCER);
	fill(d, h, 5);
	if (sio_rbuff_write_bulk(ring, d, 5) != 5)
		return 2;
	unit_gate_open(&m->gate);
	pause();
	return 3;
}

/* the ring's only process dies: the ring waits for somebody; removed or replaced, its blocks are free */
static void
blocks_that_a_dead_reader_left_out_are_free(void **state)
{
	struct sio_pool *pool = unit_pool("blocks", N, 4, 4, SIO_POOL_EXACT);
	struct sio_rbuff *out = ring_of(pool, "ring", SIO_RBUFF_PRODUCER);
	struct mortal m = {.role = SIO_RBUFF_CONSUMER, .n = 4, .left_out = 2};
	struct sio_recover_report report;
	struct sio_desc d[6];
	uint32_t h[6];
	uint32_t number = rbuff_constants(out)->number;

	(void)state;
	assert_int_equal(sio_pool_take(pool, h, 6), 0);
	fill(d, h, 6);
	assert_int_equal(sio_rbuff_write_bulk(out, d, 6), 6);
	/* somebody overwrites two holder words */
	pool->holders[h[1]] = sio_holder_ring(number, 3);
	pool->holders[h[3]] = sio_holder_ring(number, 1);
	live_and_die(&m);
	assert_int_equal(sio_pool_recover(pool, &report), 0);
	assert_int_equal(report.blocks_hands, 2);
	assert_int_equal(report.blocks_rings, 2);
	assert_int_equal(report.queued, 2);
	assert_int_equal(sio_pool_free_count(pool), N - 2);
	sio_rbuff_destroy(out);
	unit_assert_all_free(pool, N);
	sio_pool_destroy(pool);
}

static void
ring_that_nobody_lives_in_keeps_its_blocks_until_its_name_goes(void **state)
{
	struct sio_pool *pool = unit_pool("blocks", N, 4, 4, SIO_POOL_EXACT);
	struct sio_recover_report report;
	struct mortal m;
	pid_t pid;

	(void)state;
	for (unsigned int replaced = 0; replaced < 2; replaced++) {
		struct sio_rbuff *ring = NULL;

		unit_gate_init(&m.gate);
		pid = unit_fork(both_and_hang, &m);
		assert_true(unit_gate_pass(&m.gate));
		unit_kill(pid);
		unit_gate_close(&m.gate);
		assert_int_equal(sio_pool_recover(pool, &report), 0);
		assert_int_equal(report.queued, 5);
		assert_int_equal(report.rings_closed, 0);
		assert_int_equal(sio_pool_free_count(pool), N - 5);
		if (replaced)
			ring = ring_of(pool, "ring", SIO_RBUFF_PRODUCER);
		else
			assert_int_equal(sio_segment_remove("ring"), 0);
		assert_int_equal(sio_pool_recover(pool, &report), 0);
		assert_int_equal(report.rings_closed, 1);
		/* of a removed one nothing tells any more that they were queued */
		assert_int_equal(report.blocks_hands, replaced ? 0 : 5);
		assert_int_equal(report.blocks_rings, replaced ? 5 : 0);
		unit_assert_all_free(pool, N);
		if (ring != NULL)
			sio_rbuff_destroy(ring);
	}
	sio_pool_destroy(pool);
}

static int
ring_member_and_hang(void *arg)
{
	const struct sio_segment_attach_opts opts = {.sz = sizeof(opts),
		.kind = SIO_KIND_RING,
		.layout_version = SIO_RBUFF_LAYOUT_VERSION};
	struct unit_gate *gate = arg;
	struct sio_segment *seg;

	if (sio_segment_attach("ring", &opts, &seg) != 0)
		return 1;
	unit_gate_open(gate);
	pause();
	return 2;
}

static void
dead_ring_members_without_a_role_are_buried(void **state)
{
	struct sio_pool *pool = unit_pool("blocks", N, 4, 4, SIO_POOL_EXACT);
	struct sio_rbuff *out = ring_of(pool, "ring", SIO_RBUFF_PRODUCER), *in;
	struct sio_member_info info;
	struct unit_gate gate;
	pid_t pid;

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		unit_gate_init(&gate);
		pid = unit_fork(ring_member_and_hang, &gate);
		assert_true(unit_gate_pass(&gate));
		unit_kill(pid);
		unit_gate_close(&gate);
		assert_int_equal(sio_member_get(sio_rbuff_segment(out), 1, &info), 0);
		assert_int_equal(info.state, SIO_MEMBER_DEAD);
		/* by recovery, and by who attaches; the latter takes another slot before */
		if (i == 0) {
			assert_int_equal(sio_pool_recover(pool, NULL), 0);
		} else {
			assert_int_equal(
				sio_rbuff_attach_blocks("ring", SIO_RBUFF_CONSUMER, pool, &in), 0);
			sio_rbuff_detach(in);
		}
		assert_int_equal(sio_member_get(sio_rbuff_segment(out), 1, &info), -ENOENT);
	}
	sio_rbuff_destroy(out);
	sio_pool_destroy(pool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holder_words_follow_the_blocks),
		cmocka_unit_test(
			where_the_pool_checks_blocks_that_are_not_the_writers_are_refused_whole),
		cmocka_unit_test(blocks_that_are_no_writers_are_left_out),
		cmocka_unit_test(attaching_without_the_right_pool_is_refused),
		cmocka_unit_test(ring_of_a_conservative_pool_leaves_holder_words_alone),
		cmocka_unit_test(destroyed_ring_ends_when_both_sides_have_left),
		cmocka_unit_test(ring_numbers_are_used_again),
		cmocka_unit_test(two_threads_pass_blocks_in_order),
		cmocka_unit_test(dead_writers_queue_is_read_and_the_rest_is_free),
		cmocka_unit_test(what_a_dead_reader_took_is_queued_again_in_order),
		cmocka_unit_test(blocks_that_a_dead_reader_left_out_are_free),
		cmocka_unit_test(ring_that_nobody_lives_in_keeps_its_blocks_until_its_name_goes),
		cmocka_unit_test(dead_ring_members_without_a_role_are_buried),
	};

	unit_env_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
