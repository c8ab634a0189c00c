/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include "unit_rbuff.h"
#include <pthread.h>

/*
 * One writer and one reader at full speed, in two threads and in two processes; every element
 * checked.
 */

struct traffic {
	uint64_t total;
	uint64_t seed;
	uint32_t n; /* elements per call; 0: random */
	uint32_t capacity;
	uint32_t size;
	struct sio_rbuff *ring;
};

static uint32_t
call_size(const struct traffic *t, uint64_t *rnd, uint64_t left)
{
	uint32_t n = t->n != 0 ? t->n : next_random(rnd) % t->capacity + 1;

	return n < left ? n : (uint32_t)left;
}

/* @return 0, or a number that says what went wrong */
static int
write_all(const struct traffic *t, struct sio_rbuff *ring)
{
	static _Thread_local unsigned char elements[1024 * 16];
	uint64_t at = 0, rnd = t->seed;

	while (at < t->total) {
		uint32_t n = call_size(t, &rnd, t->total - at);
		int r;

		elements_make(elements, t->size, at, n);
		switch (next_random(&rnd) % 3) {
		case 0:
			r = sio_rbuff_write_bulk(ring, elements, n);
			if (r != 0 && r != (int)n)
				return 1;
			break;
		case 1:
			r = sio_rbuff_write_burst(ring, elements, n);
			break;
		default:
			r = sio_rbuff_write_timed(ring, elements, n, SIO_FOREVER);
			if (r != (int)n)
				return 2;
			break;
		}
		if (r < 0 || r > (int)n)
			return 3;
		if (r == 0)
			sched_yield();
		at += (uint32_t)r;
	}
	return 0;
}

static int
read_all(const struct traffic *t, struct sio_rbuff *ring)
{
	static _Thread_local unsigned char elements[1024 * 16];
	uint64_t at = 0, rnd = ~t->seed;

	while (at < t->total) {
		uint32_t n = call_size(t, &rnd, t->total - at);
		int r;

		switch (next_random(&rnd) % 3) {
		case 0:
			r = sio_rbuff_read_bulk(ring, elements, n);
			if (r != 0 && r != (int)n)
				return 11;
			break;
		case 1:
			r = sio_rbuff_read_burst(ring, elements, n);
			break;
		default:
			r = sio_rbuff_read_timed(ring, elements, n, SIO_FOREVER);
			if (r == 0)
				return 12;
			break;
		}
		if (r < 0 || r > (int)n)
			return 13;
		if (elements_right(elements, t->size, at, (uint32_t)r) != (uint32_t)r)
			return 14;
		if (sio_rbuff_count(ring) > t->capacity)
			return 15;
		if (r == 0)
			sched_yield();
		at += (uint32_t)r;
	}
	return 0;
}

static void *
writer_thread(void *arg)
{
	const struct traffic *t = arg;

	return (void *)(intptr_t)write_all(t, t->ring);
}

static void
run_threads(struct traffic *t)
{
	struct ring_pair p = ring_pair(t->capacity, t->size);
	pthread_t thread;
	void *result;
	int r;

	t->ring = p.out;
	assert_int_equal(pthread_create(&thread, NULL, writer_thread, t), 0);
	r = read_all(t, p.in);
	if (r != 0) /* the writer may wait for room */
		sio_rbuff_state_set(p.in, SIO_RBUFF_DOWN);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_int_equal(r, 0);
	assert_int_equal((intptr_t)result, 0);
	assert_int_equal(sio_rbuff_count(p.in), 0);
	assert_true(sio_rbuff_published(p.in) == t->total);
	ring_pair_end(&p);
}

static int
writer_process(void *arg)
{
	const struct traffic *t = arg;
	struct sio_rbuff *ring;
	int r;

	if (sio_rbuff_attach("procs", SIO_RBUFF_PRODUCER, &ring) < 0)
		return 100;
	r = write_all(t, ring);
	sio_rbuff_detach(ring);
	return r;
}

static void
run_processes(struct traffic *t)
{
	struct sio_rbuff_opts opts = ring_opts("procs", t->capacity, t->size, SIO_RBUFF_CONSUMER);
	struct sio_rbuff *ring;
	pid_t pid;
	int r;

	assert_int_equal(sio_rbuff_create(&opts, &ring), 0);
	pid = unit_fork(writer_process, t);
	r = read_all(t, ring);
	if (r != 0)
		sio_rbuff_state_set(ring, SIO_RBUFF_DOWN);
	assert_int_equal(r, 0);
	assert_int_equal(unit_wait(pid), 0);
	assert_int_equal(sio_rbuff_count(ring), 0);
	assert_int_equal(sio_rbuff_peer(ring), SIO_MEMBER_FREE);
	sio_rbuff_destroy(ring);
}

static void
every_size_of_call(void (*run)(struct traffic *))
{
	for (int s = 0; s < 3; s++)
		for (uint32_t n = 1; n <= 64; n += n < 18 ? 1 : 23) {
			struct traffic t = {.total = 4000,
				.seed = n,
				.n = n,
				.capacity = 64,
				.size = unit_element_sizes[s]};

			run(&t);
		}
}

static void
random_sizes(void (*run)(struct traffic *))
{
	for (int s = 0; s < 3; s++)
		for (uint32_t capacity = 8; capacity <= 1024; capacity *= 2) {
			struct traffic t = {.total = 300 * (uint64_t)capacity + 3000,
				.seed = capacity,
				.capacity = capacity,
				.size = unit_element_sizes[s]};

			run(&t);
		}
}

static void
two_threads_keep_order_with_every_size_of_call(void **state)
{
	(void)state;
	every_size_of_call(run_threads);
}

static void
two_threads_keep_order_with_random_sizes(void **state)
{
	(void)state;
	random_sizes(run_threads);
}

static void
two_processes_keep_order_with_every_size_of_call(void **state)
{
	(void)state;
	every_size_of_call(run_processes);
}

static void
two_processes_keep_order_with_random_sizes(void **state)
{
	(void)state;
	random_sizes(run_processes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_threads_keep_order_with_every_size_of_call),
		cmocka_unit_test(two_threads_keep_order_with_random_sizes),
		cmocka_unit_test(two_processes_keep_order_with_every_size_of_call),
		cmocka_unit_test(two_processes_keep_order_with_random_sizes),
	};

	unit_env_init();
	return cmocka_run_group_tests_name("rbuff_traffic", tests, NULL, NULL);
}
