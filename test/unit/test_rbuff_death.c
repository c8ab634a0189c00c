/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include "unit_rbuff.h"
#include <sys/mman.h>

/*
 * A dead peer is noticed within the second between two looks at its token, and some for a busy
 * machine.
 */
#define NOTICED_NS (4000 * MS)

/* what a child is to do */
struct job {
	struct unit_gate gate; /* opened by the child when it is attached */
	uint32_t size;
	uint32_t n;
	uint64_t from;
};

static int
attach_write_and_hang(void *arg)
{
	struct job *job = arg;
	unsigned char elements[64 * 16];
	struct sio_rbuff *ring;

	if (sio_rbuff_attach("mortal", SIO_RBUFF_PRODUCER, &ring) < 0)
		return 1;
	elements_make(elements, job->size, 0, job->n);
	if (sio_rbuff_write_bulk(ring, elements, job->n) != (int)job->n)
		return 2;
	unit_gate_open(&job->gate);
	pause();
	return 3;
}

static int
attach_as_consumer_and_hang(void *arg)
{
	struct job *job = arg;
	struct sio_rbuff *ring;

	if (sio_rbuff_attach("mortal", SIO_RBUFF_CONSUMER, &ring) < 0)
		return 1;
	unit_gate_open(&job->gate);
	pause();
	return 3;
}

static struct sio_rbuff *
mortal_ring(uint32_t capacity, uint32_t size, enum sio_rbuff_role role)
{
	struct sio_rbuff_opts opts = ring_opts("mortal", capacity, size, role);
	struct sio_rbuff *ring;

	assert_int_equal(sio_rbuff_create(&opts, &ring), 0);
	return ring;
}

static void
sleeping_reader_learns_of_a_dead_writer_after_its_last_elements(void **state)
{
	struct sio_rbuff *ring = mortal_ring(64, 8, SIO_RBUFF_CONSUMER);
	struct job job = {.size = 8, .n = 5};
	uint64_t x[8], began;
	pid_t child, killer;

	(void)state;
	unit_gate_init(&job.gate);
	child = unit_fork(attach_write_and_hang, &job);
	assert_true(unit_gate_pass(&job.gate));
	assert_int_equal(sio_rbuff_peer(ring), SIO_MEMBER_LIVE);
	/* somebody kills it while we sleep */
	began = sio_now_ns();
	killer = fork();
	if (killer == 0) {
		usleep(300000);
		kill(child, SIGKILL);
		_exit(0);
	}
	assert_int_equal(sio_rbuff_read_timed(ring, x, 3, SIO_FOREVER), 3);
	assert_int_equal(sio_rbuff_read_timed(ring, x + 3, 5, SIO_FOREVER), 2);
	assert_int_equal(elements_right(x, 8, 0, 5), 5);
	assert_int_equal(sio_rbuff_read_timed(ring, x, 1, SIO_FOREVER), -EPIPE);
	/* not before the kill */
	assert_true(sio_now_ns() - began >= 300 * MS);
	assert_true(sio_now_ns() - began < 300 * MS + NOTICED_NS);
	assert_int_equal(unit_wait(killer), 0);
	assert_int_equal(unit_wait(child), 128 + SIGKILL);
	assert_int_equal(sio_rbuff_peer(ring), SIO_MEMBER_DEAD);
	assert_int_equal(
		sio_rbuff_read_burst(ring, x, 1), 0); /* the plain form looks at states only */
	unit_gate_close(&job.gate);
	sio_rbuff_destroy(ring);
}

static void
writer_of_a_full_ring_learns_of_a_dead_reader(void **state)
{
	struct sio_rbuff *ring = mortal_ring(8, 8, SIO_RBUFF_PRODUCER);
	struct job job = {.size = 8};
	uint64_t x[8] = {0}, began;
	pid_t child;

	(void)state;
	unit_gate_init(&job.gate);
	child = unit_fork(attach_as_consumer_and_hang, &job);
	assert_true(unit_gate_pass(&job.gate));
	unit_kill(child);
	/* as long as there is room, it goes in */
	assert_int_equal(sio_rbuff_write_timed(ring, x, 8, SIO_FOREVER), 8);
	began = sio_now_ns();
	assert_int_equal(sio_rbuff_write_timed(ring, x, 1, SIO_FOREVER), -EPIPE);
	assert_true(sio_now_ns() - began < NOTICED_NS);
	assert_int_equal(sio_rbuff_peer(ring), SIO_MEMBER_DEAD);
	unit_gate_close(&job.gate);
	sio_rbuff_destroy(ring);
}

/* more dead members than a segment has slots */
static void
role_of_the_dead_is_taken_over_again_and_again(void **state)
{
	struct sio_rbuff *ring = mortal_ring(64, 4, SIO_RBUFF_CONSUMER), *other;
	struct job job = {.size = 4, .n = 7};
	uint32_t x[7];

	(void)state;
	unit_gate_init(&job.gate);
	for (int i = 0; i < SIO_MEMBERS_MAX + 10; i++) {
		pid_t child = unit_fork(attach_write_and_hang, &job);

		assert_true(unit_gate_pass(&job.gate));
		assert_int_equal(sio_rbuff_attach("mortal", SIO_RBUFF_PRODUCER, &other), -EBUSY);
		unit_kill(child);
		assert_int_equal(sio_rbuff_read_burst(ring, x, 7), 7);
		assert_int_equal(elements_right(x, 4, 0, 7), 7);
	}
	assert_int_equal(sio_rbuff_attach("mortal", SIO_RBUFF_PRODUCER, &other), 0);
	assert_true(sio_rbuff_published(other) == 7 * (SIO_MEMBERS_MAX + 10));
	sio_rbuff_detach(other);
	unit_gate_close(&job.gate);
	sio_rbuff_destroy(ring);
}

static void
stopped_writer_holds_up_nobody(void **state)
{
	struct sio_rbuff *ring = mortal_ring(64, 16, SIO_RBUFF_CONSUMER), *other;
	struct job job = {.size = 16, .n = 4};
	unsigned char x[4 * 16];
	pid_t child;

	(void)state;
	unit_gate_init(&job.gate);
	child = unit_fork(attach_write_and_hang, &job);
	assert_true(unit_gate_pass(&job.gate));
	assert_int_equal(kill(child, SIGSTOP), 0);
	assert_int_equal(sio_rbuff_read_burst(ring, x, 4), 4);
	assert_int_equal(sio_rbuff_read_burst(ring, x, 4), 0);
	assert_int_equal(sio_rbuff_read_timed(ring, x, 4, sio_now_ns() + 50 * MS), -ETIMEDOUT);
	/* stopped is not dead */
	assert_int_equal(sio_rbuff_peer(ring), SIO_MEMBER_LIVE);
	assert_int_equal(sio_rbuff_attach("mortal", SIO_RBUFF_PRODUCER, &other), -EBUSY);
	unit_kill(child);
	unit_gate_close(&job.gate);
	sio_rbuff_destroy(ring);
}

/* ---- killed under traffic ---- */

static int
write_until_killed(void *arg)
{
	struct job *job = arg;
	unsigned char elements[32 * 16];
	struct sio_rbuff *ring;
	uint64_t at, rnd = job->from;

	if (sio_rbuff_attach("mortal", SIO_RBUFF_PRODUCER, &ring) < 0)
		return 1;
	at = sio_rbuff_published(ring);
	if (at != job->from)
		return 2;
	unit_gate_open(&job->gate);
	for (;;) {
		uint32_t n = next_random(&rnd) % 32 + 1;
		int r;

		elements_make(elements, job->size, at, n);
		r = next_random(&rnd) & 1 ? sio_rbuff_write_burst(ring, elements, n)
					  : sio_rbuff_write_timed(ring, elements, n, SIO_FOREVER);
		if (r < 0)
			return 3;
		at += (uint32_t)r;
	}
}

static int
read_until_killed(void *arg)
{
	struct job *job = arg;
	unsigned char elements[32 * 16];
	struct sio_rbuff *ring;
	uint64_t at, rnd = job->from;

	if (sio_rbuff_attach("mortal", SIO_RBUFF_CONSUMER, &ring) < 0)
		return 1;
	at = sio_rbuff_consumed(ring);
	if (at != job->from)
		return 2;
	unit_gate_open(&job->gate);
	for (;;) {
		uint32_t n = next_random(&rnd) % 32 + 1;
		int r = next_random(&rnd) & 1
				? sio_rbuff_read_burst(ring, elements, n)
				: sio_rbuff_read_timed(ring, elements, n, SIO_FOREVER);

		if (r < 0 || elements_right(elements, job->size, at, (uint32_t)r) != (uint32_t)r)
			return 3;
		at += (uint32_t)r;
	}
}

static void
reader_of_a_killed_writer_sees_an_exact_prefix(void **state)
{
	uint64_t rnd = 12345;

	(void)state;
	for (int s = 0; s < 3; s++) {
		struct job job = {.size = unit_element_sizes[s]};
		struct sio_rbuff *ring = mortal_ring(128, job.size, SIO_RBUFF_CONSUMER);
		unsigned char elements[32 * 16];
		uint64_t at = 0;

		unit_gate_init(&job.gate);
		for (int round = 0; round < 25; round++) {
			pid_t child;
			uint64_t until, drained;
			int r;

			job.from = at;
			child = unit_fork(write_until_killed, &job);
			assert_true(unit_gate_pass(&job.gate));
			until = sio_now_ns() + next_random(&rnd) % 4000 * 1000;
			while (sio_now_ns() < until) {
				r = sio_rbuff_read_burst(ring, elements, 32);
				assert_true(r >= 0);
				assert_int_equal(
					elements_right(elements, job.size, at, (uint32_t)r), r);
				at += (uint32_t)r;
			}
			unit_kill(child);
			drained = sio_rbuff_published(ring);
			while (at < drained) {
				r = sio_rbuff_read_timed(ring, elements, 32, SIO_FOREVER);
				assert_true(r > 0);
				assert_int_equal(
					elements_right(elements, job.size, at, (uint32_t)r), r);
				at += (uint32_t)r;
			}
			/* all that the ring says was published is there, and not one more */
			assert_true(at == drained);
			assert_int_equal(sio_rbuff_read_burst(ring, elements, 1), 0);
			assert_int_equal(sio_rbuff_count(ring), 0);
		}
		assert_true(at > 25);
		unit_gate_close(&job.gate);
		sio_rbuff_destroy(ring);
	}
}

static void
successor_of_a_killed_reader_goes_on_where_it_stopped(void **state)
{
	uint64_t rnd = 54321;

	(void)state;
	for (int s = 0; s < 3; s++) {
		struct job job = {.size = unit_element_sizes[s]};
		struct sio_rbuff *ring = mortal_ring(128, job.size, SIO_RBUFF_PRODUCER), *in;
		unsigned char elements[128 * 16];
		uint64_t at = 0;

		unit_gate_init(&job.gate);
		for (int round = 0; round < 25; round++) {
			pid_t child;
			uint64_t until, consumed;
			int r;

			job.from = sio_rbuff_consumed(ring);
			child = unit_fork(read_until_killed, &job);
			assert_true(unit_gate_pass(&job.gate));
			until = sio_now_ns() + next_random(&rnd) % 4000 * 1000;
			while (sio_now_ns() < until) {
				elements_make(elements, job.size, at, 32);
				r = sio_rbuff_write_burst(ring, elements, 32);
				assert_true(r >= 0);
				at += (uint32_t)r;
			}
			unit_kill(child);
			consumed = sio_rbuff_consumed(ring);
			assert_true(consumed >= job.from && consumed <= at);
			/* what it left can be looked at in place */
			for (uint64_t q = consumed; q < at; q++) {
				assert_int_equal(sio_rbuff_peek(ring, q, elements), 0);
				assert_int_equal(elements_right(elements, job.size, q, 1), 1);
			}
			if (round % 2 != 0)
				continue; /* the next child takes over */
			assert_int_equal(sio_rbuff_attach("mortal", SIO_RBUFF_CONSUMER, &in), 0);
			r = sio_rbuff_read_burst(in, elements, 128);
			assert_int_equal(r, at - consumed);
			assert_int_equal(
				elements_right(elements, job.size, consumed, (uint32_t)r), r);
			sio_rbuff_detach(in);
		}
		assert_true(at > 25);
		unit_gate_close(&job.gate);
		sio_rbuff_destroy(ring);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sleeping_reader_learns_of_a_dead_writer_after_its_last_elements),
		cmocka_unit_test(writer_of_a_full_ring_learns_of_a_dead_reader),
		cmocka_unit_test(role_of_the_dead_is_taken_over_again_and_again),
		cmocka_unit_test(stopped_writer_holds_up_nobody),
		cmocka_unit_test(reader_of_a_killed_writer_sees_an_exact_prefix),
		cmocka_unit_test(successor_of_a_killed_reader_goes_on_where_it_stopped),
	};

	unit_env_init();
	return cmocka_run_group_tests_name("rbuff_death", tests, NULL, NULL);
}
