/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* What is queued in a ring with an exact pool's blocks carries its writer's name. */

#include "unit_rbuff.h"
#include "unit_pool.h"
#include "pool/pool_private.h"

#define N 64

static void
write_handles(struct sio_rbuff *ring, const uint32_t *handles, unsigned int n)
{
	struct sio_desc d[16] = {0};

	for (unsigned int i = 0; i < n; i++)
		d[i].handle = handles[i];
	assert_int_equal(sio_rbuff_write_bulk(ring, d, n), n);
}

/* Reads all there is and gives it back. @return how many */
static int
read_and_give(struct sio_pool *pool, struct sio_rbuff *ring)
{
	struct sio_desc d[16];
	int n = sio_rbuff_read_burst(ring, d, 16);

	for (int i = 0; i < n; i++)
		assert_int_equal(sio_pool_give(pool, &d[i].handle, 1), 0);
	return n;
}

/* A process that writes, leaves the ring, and lives on with blocks in hands. */
struct writer {
	struct unit_gate wrote;
	unsigned int n, hands;
	pid_t pid;
};

static int
write_and_leave(void *arg)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts)};
	struct sio_desc d[16] = {0};
	struct writer *w = arg;
	struct sio_rbuff *ring;
	struct sio_pool *pool;
	uint32_t h[16];

	if (sio_pool_attach("blocks", &opts, &pool) != 0 ||
		sio_rbuff_attach_blocks("ring", SIO_RBUFF_PRODUCER, pool, &ring) != 0)
		return 1;
	if (sio_pool_take(pool, h, w->n + w->hands) != 0)
		return 2;
	for (unsigned int i = 0; i < w->n; i++)
		d[i].handle = h[i];
	if (sio_rbuff_write_bulk(ring, d, w->n) != (int)w->n)
		return 3;
	sio_rbuff_detach(ring);
	unit_gate_open(&w->wrote);
	pause();
	return 4;
}

static void
writer_start(struct writer *w)
{
	unit_gate_init(&w->wrote);
	w->pid = unit_fork(write_and_leave, w);
	assert_true(unit_gate_pass(&w->wrote));
}

static void
writer_kill(struct writer *w)
{
	unit_kill(w->pid);
	unit_gate_close(&w->wrote);
}

static void
of_writers_that_left_and_died_what_is_queued_stays_and_what_they_had_is_free(void **state)
{
	struct sio_pool *pool = unit_pool("blocks", N, 4, 8, SIO_POOL_EXACT);
	struct sio_rbuff *in = ring_of(pool, "ring", SIO_RBUFF_CONSUMER);
	struct writer first = {.n = 3, .hands = 2}, second = {.n = 4, .hands = 1};
	struct sio_recover_report report;
	struct sio_audit_report audit;

	(void)state;
	writer_start(&first);
	writer_start(&second);
	audit = unit_audit(pool);
	assert_int_equal(audit.met[SIO_PLACE_RING], 7);
	assert_int_equal(audit.met[SIO_PLACE_HELD], 3);
	assert_int_equal(audit.holder_wrong, 0);
	writer_kill(&first);
	assert_int_equal(sio_pool_recover(pool, &report), 0);
	assert_int_equal(report.blocks_hands, 2);
	assert_int_equal(report.blocks_rings + report.requeued + report.left, 0);
	assert_int_equal(report.buried, 1);
	/* also by one that finds nobody dead, and a name that is nobody's any more */
	assert_int_equal(sio_pool_recover(pool, &report), 0);
	assert_int_equal(report.blocks_hands, 0);
	audit = unit_audit(pool);
	assert_int_equal(audit.met[SIO_PLACE_RING], 7);
	assert_int_equal(audit.holder_wrong, 0);
	writer_kill(&second);
	assert_int_equal(read_and_give(pool, in), 7);
	assert_int_equal(sio_pool_recover(pool, &report), 0);
	assert_int_equal(report.blocks_hands, 1);
	unit_assert_all_free(pool, N);
	sio_rbuff_destroy(in);
	sio_pool_destroy(pool);
}

static void
destroyed_ring_gives_back_what_a_living_writer_left_in_it(void **state)
{
	struct sio_pool *pool = unit_pool("blocks", N, 4, 8, SIO_POOL_EXACT);
	struct sio_rbuff *in = ring_of(pool, "ring", SIO_RBUFF_CONSUMER);
	struct writer w = {.n = 5, .hands = 2};
	struct sio_recover_report report;

	(void)state;
	writer_start(&w);
	sio_rbuff_destroy(in);
	assert_int_equal(sio_pool_free_count(pool), N - 2);
	writer_kill(&w);
	assert_int_equal(sio_pool_recover(pool, &report), 0);
	assert_int_equal(report.blocks_hands, 2);
	unit_assert_all_free(pool, N);
	sio_pool_destroy(pool);
}

/* A ring that is gone cannot be looked at: what was in it stays in its writer's name. */
static void
lost_ring_keeps_a_living_writers_blocks_until_it_ends(void **state)
{
	struct sio_pool *pool = unit_pool("blocks", N, 4, 8, SIO_POOL_EXACT);
	struct sio_rbuff *in = ring_of(pool, "ring", SIO_RBUFF_CONSUMER);
	struct writer w = {.n = 5, .hands = 1};
	struct sio_recover_report report;

	(void)state;
	writer_start(&w);
	sio_rbuff_detach(in);
	assert_int_equal(sio_segment_remove("ring"), 0);
	assert_int_equal(sio_pool_recover(pool, &report), 0);
	assert_int_equal(report.rings_closed, 1);
	assert_int_equal(sio_pool_free_count(pool), N - 6);
	writer_kill(&w);
	assert_int_equal(sio_pool_recover(pool, &report), 0);
	assert_int_equal(report.blocks_hands, 6);
	unit_assert_all_free(pool, N);
	sio_pool_destroy(pool);
}

static void
replaced_ring_gives_back_what_a_living_writer_left_in_it(void **state)
{
	struct sio_pool *pool = unit_pool("blocks", N, 4, 8, SIO_POOL_EXACT);
	struct sio_rbuff *in = ring_of(pool, "ring", SIO_RBUFF_CONSUMER), *again;
	struct writer w = {.n = 5, .hands = 1};
	struct sio_recover_report report;

	(void)state;
	writer_start(&w);
	sio_rbuff_detach(in);
	again = ring_of(pool, "ring", SIO_RBUFF_CONSUMER);
	assert_int_equal(sio_rbuff_count(again), 0);
	assert_int_equal(sio_pool_recover(pool, &report), 0);
	assert_int_equal(report.rings_closed, 1);
	assert_int_equal(report.blocks_rings, 5);
	assert_int_equal(sio_pool_free_count(pool), N - 1);
	writer_kill(&w);
	assert_int_equal(sio_pool_recover(pool, &report), 0);
	unit_assert_all_free(pool, N);
	sio_rbuff_destroy(again);
	sio_pool_destroy(pool);
}

static void
of_more_writers_than_are_listed_all_is_read(void **state)
{
	struct sio_pool *pool = unit_pool("blocks", N, 4, 32, SIO_POOL_EXACT);
	struct sio_rbuff *in = ring_of(pool, "ring", SIO_RBUFF_CONSUMER);
	struct writer w[SIO_RBUFF_WRITERS + 2];
	struct sio_recover_report report;
	uint32_t first;

	(void)state;
	for (unsigned int i = 0; i < SIO_RBUFF_WRITERS + 2; i++) {
		w[i] = (struct writer){.n = 1};
		writer_start(&w[i]);
		first = in->shared->writers[0];
		assert_true((first == SIO_RBUFF_WRITERS_MORE) == (i >= SIO_RBUFF_WRITERS));
	}
	assert_int_equal(unit_audit(pool).met[SIO_PLACE_RING], SIO_RBUFF_WRITERS + 2);
	for (unsigned int i = 0; i < SIO_RBUFF_WRITERS; i++)
		writer_kill(&w[i]);
	assert_int_equal(sio_pool_recover(pool, &report), 0);
	assert_int_equal(report.blocks_hands, 0);
	assert_int_equal(read_and_give(pool, in), SIO_RBUFF_WRITERS + 2);
	/* in an empty ring the list begins anew */
	writer_start(&w[0]);
	assert_true(in->shared->writers[0] != SIO_RBUFF_WRITERS_MORE);
	assert_true(in->shared->writers[1] == 0);
	assert_int_equal(read_and_give(pool, in), 1);
	unit_assert_all_free(pool, N);
	writer_kill(&w[0]);
	writer_kill(&w[SIO_RBUFF_WRITERS]);
	writer_kill(&w[SIO_RBUFF_WRITERS + 1]);
	sio_rbuff_destroy(in);
	sio_pool_destroy(pool);
}

static int
read_and_exit(void *arg)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts)};
	const int *expected = arg;
	struct sio_rbuff *ring;
	struct sio_pool *pool;

	if (sio_pool_attach("blocks", &opts, &pool) != 0 ||
		sio_rbuff_attach_blocks("ring", SIO_RBUFF_CONSUMER, pool, &ring) != 0)
		return 1;
	if (read_and_give(pool, ring) != *expected)
		return 2;
	sio_rbuff_detach(ring);
	sio_pool_detach(pool);
	return 0;
}

static void
block_written_twice_is_read_once(void **state)
{
	struct sio_pool *pool = unit_pool("blocks", N, 4, 8, SIO_POOL_EXACT);
	struct sio_rbuff *out = ring_of(pool, "ring", SIO_RBUFF_PRODUCER);
	struct sio_audit_report report;
	uint32_t h[3];
	int two = 2;

	(void)state;
	assert_int_equal(sio_pool_take(pool, h, 3), 0);
	write_handles(out, (uint32_t[]){h[0], h[1], h[0]}, 3);
	report = unit_audit(pool);
	assert_int_equal(report.twice, 1);
	assert_int_equal(report.met[SIO_PLACE_RING], 2);
	assert_int_equal(unit_wait(unit_fork(read_and_exit, &two)), 0);
	assert_int_equal(sio_pool_give(pool, &h[2], 1), 0);
	sio_rbuff_destroy(out);
	unit_assert_all_free(pool, N);
	sio_pool_destroy(pool);
}

static void
audit_finds_what_is_queued_and_another_members_or_free(void **state)
{
	struct sio_pool *pool = unit_pool("blocks", N, 4, 8, SIO_POOL_EXACT);
	struct sio_rbuff *out = ring_of(pool, "ring", SIO_RBUFF_PRODUCER), *in;
	sio_member_t self = sio_segment_self(sio_pool_segment(pool));
	struct sio_audit_report report;
	uint32_t h[4];

	(void)state;
	assert_int_equal(sio_pool_take(pool, h, 4), 0);
	write_handles(out, h, 4);
	report = unit_audit(pool);
	assert_true(sio_audit_clean(&report));
	pool->holders[h[1]] = self + 1;
	report = unit_audit(pool);
	assert_int_equal(report.holder_wrong, 1);
	assert_int_equal(report.met[SIO_PLACE_RING], 4);
	pool->holders[h[1]] = self;
	assert_int_equal(sio_pool_give(pool, &h[0], 1), 0);
	report = unit_audit(pool);
	assert_int_equal(report.twice, 1);
	assert_int_equal(report.met[SIO_PLACE_RING], 3);
	/* taken again, it is in the ring alone */
	assert_int_equal(sio_pool_take(pool, &h[0], 1), 0);
	report = unit_audit(pool);
	assert_true(sio_audit_clean(&report));
	assert_int_equal(sio_rbuff_attach_blocks("ring", SIO_RBUFF_CONSUMER, pool, &in), 0);
	assert_int_equal(read_and_give(pool, in), 4);
	sio_rbuff_detach(in);
	sio_rbuff_destroy(out);
	unit_assert_all_free(pool, N);
	sio_pool_destroy(pool);
}

static void
no_renew(void *block, void *arg)
{
	(void)block;
	(void)arg;
}

/* Destroys the ring, but for giving the reader's role back. */
static int
begin_to_destroy(void *arg)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts)};
	struct writer *w = arg;
	struct sio_rbuff *ring;
	struct sio_pool *pool;

	if (sio_pool_attach("blocks", &opts, &pool) != 0 ||
		sio_rbuff_attach_blocks("ring", SIO_RBUFF_CONSUMER, pool, &ring) != 0)
		return 1;
	sio__rbuff_end(ring);
	unit_gate_open(&w->wrote);
	pause();
	return 4;
}

static void
ring_half_destroyed_is_emptied_before_it_is_replaced(void **state)
{
	struct sio_pool *pool = unit_pool("blocks", N, 4, 8, SIO_POOL_EXACT);
	struct sio_rbuff *in = ring_of(pool, "ring", SIO_RBUFF_CONSUMER), *again;
	struct writer w = {.n = 5, .hands = 1}, destroyer = {0};

	(void)state;
	writer_start(&w);
	sio_rbuff_detach(in);
	unit_gate_init(&destroyer.wrote);
	destroyer.pid = unit_fork(begin_to_destroy, &destroyer);
	assert_true(unit_gate_pass(&destroyer.wrote));
	writer_kill(&destroyer);
	again = ring_of(pool, "ring", SIO_RBUFF_CONSUMER);
	assert_int_equal(sio_pool_recover(pool, NULL), 0);
	/* the writer lives, and has what it had in hands */
	assert_int_equal(sio_pool_free_count(pool), N - 1);
	writer_kill(&w);
	assert_int_equal(sio_pool_recover(pool, NULL), 0);
	sio_rbuff_destroy(again);
	unit_assert_all_free(pool, N);
	sio_pool_destroy(pool);
}

static void
who_writes_to_an_empty_ring_again_is_its_only_writer(void **state)
{
	struct sio_pool *pool = unit_pool("blocks", N, 4, 8, SIO_POOL_EXACT);
	struct sio_rbuff *in = ring_of(pool, "ring", SIO_RBUFF_CONSUMER), *out;
	struct writer w = {.n = 1, .hands = 1};
	unsigned int writers = 0;
	uint32_t h;

	(void)state;
	writer_start(&w);
	assert_int_equal(sio_rbuff_attach_blocks("ring", SIO_RBUFF_PRODUCER, pool, &out), 0);
	assert_int_equal(sio_pool_take_one(pool, &h), 0);
	write_handles(out, &h, 1);
	assert_int_equal(read_and_give(pool, in), 2);
	sio_rbuff_detach(out);
	assert_int_equal(sio_rbuff_attach_blocks("ring", SIO_RBUFF_PRODUCER, pool, &out), 0);
	for (unsigned int i = 0; i < SIO_RBUFF_WRITERS; i++)
		writers += in->shared->writers[i] != 0;
	assert_int_equal(writers, 1);
	sio_rbuff_detach(out);
	writer_kill(&w);
	assert_int_equal(sio_pool_recover(pool, NULL), 0);
	sio_rbuff_destroy(in);
	unit_assert_all_free(pool, N);
	sio_pool_destroy(pool);
}

static void
block_written_twice_is_given_once_by_who_closes_the_ring(void **state)
{
	struct sio_pool *pool = unit_pool("blocks", N, 4, 8, SIO_POOL_EXACT);
	struct sio_rbuff *out = ring_of(pool, "ring", SIO_RBUFF_PRODUCER);
	uint32_t h[2];

	(void)state;
	assert_int_equal(sio_pool_take_one(pool, &h[0]), 0);
	h[1] = h[0];
	write_handles(out, h, 2);
	sio_rbuff_destroy(out);
	unit_assert_all_free(pool, N);
	sio_pool_destroy(pool);
}

static void
queued_blocks_of_a_dead_writer_need_no_renewing(void **state)
{
	struct sio_pool_opts opts = unit_pool_opts(
		"blocks", N, 4, 8, SIO_POOL_EXACT | SIO_POOL_SAME_MAP | SIO_POOL_RENEW);
	static _Alignas(SIO_CACHE_LINE) unsigned char memory[N][SIO_CACHE_LINE];
	struct writer w = {.n = 3, .hands = 1};
	struct sio_recover_report report;
	struct sio_pool *pool;
	struct sio_rbuff *in;

	(void)state;
	opts.lent_payload = true;
	opts.block_size = sizeof(memory[0]);
	assert_int_equal(sio_pool_create(&opts, &pool), 0);
	assert_int_equal(sio_pool_add_memory(pool, memory, sizeof(memory[0]), N), 0);
	assert_int_equal(sio_pool_publish(pool), 0);
	in = ring_of(pool, "ring", SIO_RBUFF_CONSUMER);
	writer_start(&w);
	writer_kill(&w);
	assert_int_equal(sio_pool_recover(pool, &report), 0);
	assert_int_equal(report.unrenewed, 1);
	assert_int_equal(report.buried, 0);
	assert_int_equal(sio_pool_set_renew(pool, no_renew, NULL), 0);
	assert_int_equal(sio_pool_recover(pool, &report), 0);
	assert_int_equal(report.blocks_hands, 1);
	assert_int_equal(report.buried, 1);
	assert_int_equal(read_and_give(pool, in), 3);
	unit_assert_all_free(pool, N);
	sio_rbuff_destroy(in);
	sio_pool_destroy(pool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			of_writers_that_left_and_died_what_is_queued_stays_and_what_they_had_is_free),
		cmocka_unit_test(destroyed_ring_gives_back_what_a_living_writer_left_in_it),
		cmocka_unit_test(lost_ring_keeps_a_living_writers_blocks_until_it_ends),
		cmocka_unit_test(replaced_ring_gives_back_what_a_living_writer_left_in_it),
		cmocka_unit_test(of_more_writers_than_are_listed_all_is_read),
		cmocka_unit_test(block_written_twice_is_read_once),
		cmocka_unit_test(audit_finds_what_is_queued_and_another_members_or_free),
		cmocka_unit_test(ring_half_destroyed_is_emptied_before_it_is_replaced),
		cmocka_unit_test(who_writes_to_an_empty_ring_again_is_its_only_writer),
		cmocka_unit_test(block_written_twice_is_given_once_by_who_closes_the_ring),
		cmocka_unit_test(queued_blocks_of_a_dead_writer_need_no_renewing),
	};

	unit_env_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
