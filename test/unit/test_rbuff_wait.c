/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include "unit_rbuff.h"
#include <pthread.h>
#include "rbuff/rbuff_test.h"

/* A sleeper that is woken is awake by then; one that was forgotten sleeps a whole second. */
#define WOKEN_NS (900 * MS)

/* a timed call in a thread of its own */
struct sleeper {
	struct sio_rbuff *ring;
	bool writes;
	uint32_t n;
	uint64_t deadline_ns;
	uint64_t elements[64];
	int result;
	pthread_t thread;
};

static void *
sleeper_thread(void *arg)
{
	struct sleeper *s = arg;

	s->result = s->writes ? sio_rbuff_write_timed(s->ring, s->elements, s->n, s->deadline_ns)
			      : sio_rbuff_read_timed(s->ring, s->elements, s->n, s->deadline_ns);
	return NULL;
}

static bool
asleep(struct sio_rbuff *ring, enum sio_rbuff_role role)
{
	return atomic_load(&ring->shared->control.sleeping[role]) != 0;
}

/* returns when it says that it sleeps */
static void
sleeper_start(struct sleeper *s)
{
	uint64_t until = sio_now_ns() + 10000 * MS;

	assert_int_equal(pthread_create(&s->thread, NULL, sleeper_thread, s), 0);
	while (!asleep(s->ring, s->writes ? SIO_RBUFF_PRODUCER : SIO_RBUFF_CONSUMER)) {
		assert_true(sio_now_ns() < until);
		usleep(200);
	}
	usleep(20000); /* and does */
}

static int
sleeper_join(struct sleeper *s)
{
	assert_int_equal(pthread_join(s->thread, NULL), 0);
	return s->result;
}

static void
timed_calls_keep_their_deadline(void **state)
{
	struct ring_pair p = ring_pair(8, 8);
	uint64_t x[8] = {0}, deadline, end;

	(void)state;
	for (int full = 0; full < 2; full++)
		for (uint64_t ms = 0; ms <= 120; ms += 40) {
			deadline = sio_now_ns() + ms * MS;
			assert_int_equal(full ? sio_rbuff_write_timed(p.out, x, 1, deadline)
					      : sio_rbuff_read_timed(p.in, x, 1, deadline),
				-ETIMEDOUT);
			end = sio_now_ns();
			assert_true(end >= deadline);
			assert_true(end < deadline + 2000 * MS);
			if (ms == 120 && !full)
				assert_int_equal(sio_rbuff_write_bulk(p.out, x, 8), 8);
		}
	/* no look at the state of sleep is left behind */
	assert_false(asleep(p.in, SIO_RBUFF_CONSUMER));
	assert_false(asleep(p.out, SIO_RBUFF_PRODUCER));
	ring_pair_end(&p);
}

static void
past_deadline_still_takes_what_is_there(void **state)
{
	struct ring_pair p = ring_pair(8, 8);
	uint64_t x[8] = {0};

	(void)state;
	assert_int_equal(sio_rbuff_write_timed(p.out, x, 8, 0), 8);
	assert_int_equal(sio_rbuff_write_timed(p.out, x, 1, 0), -ETIMEDOUT);
	assert_int_equal(sio_rbuff_read_timed(p.in, x, 5, 0), 5);
	assert_int_equal(sio_rbuff_read_timed(p.in, x, 5, 0), 3);
	assert_int_equal(sio_rbuff_read_timed(p.in, x, 5, 0), -ETIMEDOUT);
	ring_pair_end(&p);
}

static void
deadline_beyond_a_second_is_kept(void **state)
{
	struct ring_pair p = ring_pair(8, 8);
	uint64_t x, deadline = sio_now_ns() + 1300 * MS, end;

	(void)state;
	assert_int_equal(sio_rbuff_read_timed(p.in, &x, 1, deadline), -ETIMEDOUT);
	end = sio_now_ns();
	assert_true(end >= deadline && end < deadline + 2000 * MS);
	ring_pair_end(&p);
}

static void
write_wakes_the_reader(void **state)
{
	struct ring_pair p = ring_pair(8, 8);
	uint64_t x = 42, began;

	(void)state;
	for (int i = 0; i < 10; i++) {
		struct sleeper s = {.ring = p.in, .n = 4, .deadline_ns = SIO_FOREVER};

		sleeper_start(&s);
		began = sio_now_ns();
		assert_int_equal(sio_rbuff_write_bulk(p.out, &x, 1), 1);
		assert_int_equal(sleeper_join(&s), 1);
		assert_true(sio_now_ns() - began < WOKEN_NS);
		assert_true(s.elements[0] == 42);
		assert_false(asleep(p.in, SIO_RBUFF_CONSUMER));
	}
	ring_pair_end(&p);
}

static void
read_wakes_the_writer_when_all_of_it_fits(void **state)
{
	struct ring_pair p = ring_pair(8, 8);
	struct sleeper s = {.ring = p.out, .writes = true, .n = 4, .deadline_ns = SIO_FOREVER};
	uint64_t x[8], began;

	(void)state;
	elements_make(x, 8, 0, 8);
	elements_make(s.elements, 8, 8, 4);
	assert_int_equal(sio_rbuff_write_bulk(p.out, x, 8), 8);
	sleeper_start(&s);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(sio_rbuff_read_bulk(p.in, x, 1), 1);
		assert_true(asleep(p.out, SIO_RBUFF_PRODUCER)); /* not disturbed in vain */
	}
	began = sio_now_ns();
	assert_int_equal(sio_rbuff_read_bulk(p.in, x, 1), 1);
	assert_int_equal(sleeper_join(&s), 4);
	assert_true(sio_now_ns() - began < WOKEN_NS);
	assert_int_equal(sio_rbuff_read_bulk(p.in, x, 8), 8);
	assert_int_equal(elements_right(x, 8, 4, 8), 8);
	ring_pair_end(&p);
}

static void
state_change_wakes_both_sides(void **state)
{
	const struct {
		uint32_t bits;
		int writer, reader;
	} cases[] = {
		{SIO_RBUFF_DOWN, -ESHUTDOWN, -ESHUTDOWN},
		{SIO_RBUFF_RDONLY, -EROFS, 0},
		{SIO_RBUFF_GONE, 0, -EPIPE},
	};

	(void)state;
	for (int i = 0; i < 3; i++)
		for (int writes = 0; writes < 2; writes++) {
			struct ring_pair p = ring_pair(8, 8);
			struct sleeper s = {.ring = writes ? p.out : p.in,
				.writes = writes,
				.n = 1,
				.deadline_ns = SIO_FOREVER};
			int want = writes ? cases[i].writer : cases[i].reader;
			uint64_t x[8] = {0}, began;

			if (writes)
				assert_int_equal(sio_rbuff_write_bulk(p.out, x, 8), 8);
			sleeper_start(&s);
			began = sio_now_ns();
			sio_rbuff_state_set(writes ? p.in : p.out, cases[i].bits);
			if (want == 0) {
				/* does not concern that side: it goes on waiting */
				usleep(20000);
				sio_rbuff_state_clear(p.in, cases[i].bits);
				usleep(20000);
				if (writes)
					assert_int_equal(sio_rbuff_read_bulk(p.in, x, 1), 1);
				else
					assert_int_equal(sio_rbuff_write_bulk(p.out, x, 1), 1);
				want = 1;
			}
			assert_int_equal(sleeper_join(&s), want);
			assert_true(sio_now_ns() - began < WOKEN_NS);
			ring_pair_end(&p);
		}
}

static void
destroying_disturbs_nobody_for_good(void **state)
{
	struct ring_pair p = ring_pair(8, 8);
	struct sleeper s = {.ring = p.in, .n = 1, .deadline_ns = sio_now_ns() + 400 * MS};

	(void)state;
	sleeper_start(&s);
	sio_rbuff_destroy(p.out);
	assert_int_equal(sleeper_join(&s), -ETIMEDOUT);
	assert_int_equal(sio_rbuff_peer(p.in), SIO_MEMBER_FREE);
	sio_rbuff_detach(p.in);
}

/* ---- no lost wake-up ---- */

/* what the other side does when a sleeper is at that step */
static struct {
	struct ring_pair *pair;
	enum rbuff_sleep_step step;
	uint32_t state; /* not 0: sets that; else writes or reads an element */
	bool reads;
	int times;
} between;

static void
come_between(enum rbuff_sleep_step step)
{
	uint64_t x = 42;

	if (step != between.step || between.times++ != 0)
		return;
	if (between.state != 0)
		sio_rbuff_state_set(between.pair->out, between.state);
	else if (between.reads)
		assert_int_equal(sio_rbuff_read_bulk(between.pair->in, &x, 1), 1);
	else
		assert_int_equal(sio_rbuff_write_bulk(between.pair->out, &x, 1), 1);
}

static void
what_comes_between_look_and_sleep_is_seen(void **state)
{
	(void)state;
	for (int i = 0; i < 8; i++) {
		struct ring_pair p = ring_pair(8, 8);
		bool writes = i & 1, changes = i & 2;
		uint64_t x[8] = {0}, began;
		int r;

		between.pair = &p;
		between.step = i & 4 ? RBUFF_BEFORE_SLEEP : RBUFF_BEFORE_ANNOUNCE;
		between.state = changes ? SIO_RBUFF_DOWN : 0;
		between.reads = writes;
		between.times = 0;
		if (writes)
			assert_int_equal(sio_rbuff_write_bulk(p.out, x, 8), 8);
		sio__rbuff_sleep_hook = come_between;
		began = sio_now_ns();
		r = writes ? sio_rbuff_write_timed(p.out, x, 1, SIO_FOREVER)
			   : sio_rbuff_read_timed(p.in, x, 1, SIO_FOREVER);
		sio__rbuff_sleep_hook = NULL;
		assert_int_equal(r, changes ? -ESHUTDOWN : 1);
		assert_true(between.times > 0);
		assert_true(sio_now_ns() - began < WOKEN_NS);
		assert_false(asleep(p.in, SIO_RBUFF_CONSUMER));
		assert_false(asleep(p.out, SIO_RBUFF_PRODUCER));
		ring_pair_end(&p);
	}
}

#define HANDOVERS 6000
/*
 * A loaded machine holds a process up that long now and then; a wake-up that is lost is lost again
 * and again.
 */
#define LATE_MAX 3

/*
 * One element is under way at any time, so that a wake-up which is lost is missed by both sides;
 * and it is sent at about the time the other side goes to sleep.
 */
static int
rally(struct sio_rbuff *out, struct sio_rbuff *in, bool serves, unsigned int *late)
{
	uint64_t rnd = serves ? 5 : 6, x;

	for (uint64_t i = 0; i < HANDOVERS; i++) {
		uint64_t began = sio_now_ns(), took;

		if (!serves || i != 0) {
			if (sio_rbuff_read_timed(in, &x, 1, SIO_FOREVER) != 1)
				return 1;
			if (elements_right(&x, 8, i - serves, 1) != 1)
				return 2;
		}
		for (uint32_t wait = next_random(&rnd) % 6000; wait > 0; wait--)
			atomic_signal_fence(memory_order_seq_cst);
		element_make(&x, 8, i);
		if (sio_rbuff_write_timed(out, &x, 1, SIO_FOREVER) != 1)
			return 3;
		took = sio_now_ns() - began;
		*late += took >= WOKEN_NS;
		/* both sides end: the other one finds its peer gone */
		if (*late > LATE_MAX)
			return 4;
	}
	return 0;
}

static struct sio_rbuff *
rally_ring(const char *name, enum sio_rbuff_role role)
{
	struct sio_rbuff_opts opts = ring_opts(name, 8, 8, role);
	struct sio_rbuff *ring;

	assert_int_equal(sio_rbuff_create(&opts, &ring), 0);
	return ring;
}

struct rally {
	int cpu;
	int result;
	unsigned int late;
};

static int
rally_answer(void *arg)
{
	struct rally *r = arg;
	struct sio_rbuff *in, *out;

	pin_to(r->cpu);
	if (sio_rbuff_attach("rally.there", SIO_RBUFF_CONSUMER, &in) < 0 ||
		sio_rbuff_attach("rally.back", SIO_RBUFF_PRODUCER, &out) < 0)
		return 10;
	r->result = rally(out, in, false, &r->late);
	sio_rbuff_detach(in);
	sio_rbuff_detach(out);
	return r->result;
}

static void *
rally_thread(void *arg)
{
	rally_answer(arg);
	return NULL;
}

/* the answering side in a thread of this process, or in another process, on that processor */
static void
no_wakeup_is_lost_beside(bool process, int cpu)
{
	struct sio_rbuff *there = rally_ring("rally.there", SIO_RBUFF_PRODUCER);
	struct sio_rbuff *back = rally_ring("rally.back", SIO_RBUFF_CONSUMER);
	struct rally other = {.cpu = cpu};
	unsigned int late = 0;
	cpu_set_t before;
	pthread_t thread;
	pid_t pid = 0;
	int result;

	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	if (process)
		pid = unit_fork(rally_answer, &other);
	else
		assert_int_equal(pthread_create(&thread, NULL, rally_thread, &other), 0);
	pin_to(0);
	result = rally(there, back, true, &late);
	sched_setaffinity(0, sizeof(before), &before);
	if (result != 0) {
		/* the other side may wait for an answer that does not come */
		sio_rbuff_state_set(there, SIO_RBUFF_DOWN);
		sio_rbuff_state_set(back, SIO_RBUFF_DOWN);
	}
	sio_rbuff_destroy(there);
	sio_rbuff_destroy(back);
	if (process) {
		assert_int_equal(unit_wait(pid), 0);
	} else {
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal(other.result, 0);
	}
	assert_int_equal(result, 0);
}

static void
no_wakeup_is_lost(void **state)
{
	(void)state;
	for (int cpu = 0; cpu < 2; cpu++) { /* on one processor, and on two */
		no_wakeup_is_lost_beside(false, cpu);
		no_wakeup_is_lost_beside(true, cpu);
	}
}

static void
no_wakeup_is_lost_where_registering_fails(void **state)
{
	sio__rbuff_no_register = true;
	no_wakeup_is_lost(state);
	sio__rbuff_no_register = false;
}

static void
no_sleep_is_long_where_barriers_fail(void **state)
{
	sio__rbuff_no_barrier = true;
	no_wakeup_is_lost(state);
	sio__rbuff_no_register = true;
	no_wakeup_is_lost(state);
	sio__rbuff_no_register = sio__rbuff_no_barrier = false;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timed_calls_keep_their_deadline),
		cmocka_unit_test(past_deadline_still_takes_what_is_there),
		cmocka_unit_test(deadline_beyond_a_second_is_kept),
		cmocka_unit_test(write_wakes_the_reader),
		cmocka_unit_test(read_wakes_the_writer_when_all_of_it_fits),
		cmocka_unit_test(state_change_wakes_both_sides),
		cmocka_unit_test(destroying_disturbs_nobody_for_good),
		cmocka_unit_test(what_comes_between_look_and_sleep_is_seen),
		cmocka_unit_test(no_wakeup_is_lost),
		cmocka_unit_test(no_wakeup_is_lost_where_registering_fails),
		cmocka_unit_test(no_sleep_is_long_where_barriers_fail),
	};

	unit_env_init();
	return cmocka_run_group_tests_name("rbuff_wait", tests, NULL, NULL);
}
