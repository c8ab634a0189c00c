/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include "unit_segment.h"
#include <stdatomic.h>

#define MS UINT64_C(1000000)

static void
wait_on_another_value_returns_at_once(void **state)
{
	uint32_t word = 5;

	(void)state;
	assert_int_equal(sio_wait(&word, 4, SIO_FOREVER), 0);
	assert_int_equal(sio_wait(&word, 4, 0), 0);
}

static void
wait_ends_at_its_deadline(void **state)
{
	uint32_t word = 5;
	uint64_t start = sio_now_ns(), spent;

	(void)state;
	assert_int_equal(sio_wait(&word, 5, start + 50 * MS), -ETIMEDOUT);
	spent = sio_now_ns() - start;
	assert_true(spent >= 50 * MS);
	assert_true(spent < 5000 * MS);
}

static void
wait_with_a_past_deadline_times_out(void **state)
{
	uint32_t word = 5;

	(void)state;
	assert_int_equal(sio_wait(&word, 5, 0), -ETIMEDOUT);
	assert_int_equal(sio_wait(&word, 5, sio_now_ns() - 1), -ETIMEDOUT);
}

static void
wake_without_sleepers_is_harmless(void **state)
{
	uint32_t word = 0;

	(void)state;
	sio_wake(&word);
}

static int
sleeper(void *arg)
{
	struct unit_gate *gate = arg;
	struct sio_segment *seg;
	_Atomic uint32_t *word;
	uint64_t deadline = sio_now_ns() + 20000 * MS;

	if (seg_attach("wait", &seg) < 0)
		return 1;
	word = sio_segment_data(seg);
	unit_gate_open(gate);
	while (atomic_load_explicit(word, memory_order_acquire) == 0) {
		if (sio_wait((const uint32_t *)word, 0, deadline) < 0)
			return 2;
	}
	return atomic_load_explicit(word, memory_order_relaxed) == 9 ? 0 : 3;
}

/*
 * three processes that map the segment for themselves: one wake wakes them all, long before their
 * deadline
 */
static void
wake_reaches_every_sleeping_process(void **state)
{
	struct sio_segment *seg;
	struct unit_gate gate;
	_Atomic uint32_t *word;
	uint64_t start;
	pid_t pid[3];
	int i;

	(void)state;
	unit_gate_init(&gate);
	assert_int_equal(seg_make("wait", SIO_BACKING_FILE, &seg), 0);
	for (i = 0; i < 3; i++)
		pid[i] = unit_fork(sleeper, &gate);
	for (i = 0; i < 3; i++)
		assert_true(unit_gate_pass(&gate));
	usleep(50000);
	start = sio_now_ns();
	word = sio_segment_data(seg);
	atomic_store_explicit(word, 9, memory_order_release);
	sio_wake((const uint32_t *)word);
	for (i = 0; i < 3; i++)
		assert_int_equal(unit_wait(pid[i]), 0);
	assert_true(sio_now_ns() - start < 10000 * MS);
	sio_segment_unlink(seg);
	sio_segment_detach(seg);
	unit_gate_close(&gate);
}

static void
nothing(int sig)
{
	(void)sig;
}

static void
a_signal_ends_the_wait_without_an_error(void **state)
{
	struct sigaction sa = {.sa_handler = nothing}, old;
	uint32_t word = 1;
	uint64_t start = sio_now_ns();

	(void)state;
	sigaction(SIGALRM, &sa, &old);
	/* again and again: the first one may come before the wait begins */
	ualarm(50000, 50000);
	assert_int_equal(sio_wait(&word, 1, start + 20000 * MS), 0);
	assert_true(sio_now_ns() - start < 10000 * MS);
	ualarm(0, 0);
	sigaction(SIGALRM, &old, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wait_on_another_value_returns_at_once),
		cmocka_unit_test(wait_ends_at_its_deadline),
		cmocka_unit_test(wait_with_a_past_deadline_times_out),
		cmocka_unit_test(wake_without_sleepers_is_harmless),
		cmocka_unit_test(wake_reaches_every_sleeping_process),
		cmocka_unit_test(a_signal_ends_the_wait_without_an_error),
	};

	unit_env_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
