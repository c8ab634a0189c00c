/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include "unit_segment.h"
#include <pthread.h>
#include <segment/segment_layout.h>

/* A child that attaches, says so on gate[0], and stays until gate[1]; then it detaches and ends. */
static int
member_fn(void *arg)
{
	struct unit_gate *gate = arg;
	struct sio_segment *seg;
	sio_member_t self;

	if (seg_attach("m", &seg) < 0)
		return 1;
	self = sio_segment_self(seg);
	if (write(gate[0].fd[1], &self, sizeof(self)) != sizeof(self))
		return 2;
	if (!unit_gate_pass(&gate[1]))
		return 3;
	sio_segment_detach(seg);
	return 0;
}

struct fixture {
	struct sio_segment *seg; /**< this process is member (0, 1) */
	struct unit_gate gate[2];
};

/*
 * The watcher is no ancestor's copy: children attach by name, through a registry that fork() gave
 * them.
 */
static void
setup(struct fixture *f)
{
	unit_gate_init(&f->gate[0]);
	unit_gate_init(&f->gate[1]);
	assert_int_equal(seg_make("m", SIO_BACKING_FILE, &f->seg), 0);
	assert_int_equal(sio_segment_self(f->seg), SIO_MEMBER_NAME(0, 1));
}

static void
teardown(struct fixture *f)
{
	sio_segment_unlink(f->seg);
	sio_segment_detach(f->seg);
	unit_gate_close(&f->gate[0]);
	unit_gate_close(&f->gate[1]);
}

static pid_t
member_start(struct fixture *f, sio_member_t *member)
{
	struct pollfd p = {.fd = f->gate[0].fd[0], .events = POLLIN};
	pid_t pid = unit_fork(member_fn, f->gate);

	assert_int_equal(poll(&p, 1, 20000), 1);
	assert_int_equal(read(f->gate[0].fd[0], member, sizeof(*member)), sizeof(*member));
	return pid;
}

static void
a_living_member_is_seen_as_it_is(void **state)
{
	struct sio_member_info info;
	sio_member_t member;
	struct fixture f;
	pid_t pid;

	(void)state;
	setup(&f);
	pid = member_start(&f, &member);
	assert_int_equal(member, SIO_MEMBER_NAME(1, 1));
	assert_int_equal(sio_member_state(f.seg, member), SIO_MEMBER_LIVE);
	assert_int_equal(sio_member_get(f.seg, 1, &info), 0);
	assert_int_equal(info.member, member);
	assert_int_equal(info.state, SIO_MEMBER_LIVE);
	assert_int_equal(info.pid, pid);
	assert_true(info.joined_ns <= sio_now_ns() && info.joined_ns > 0);
	assert_memory_equal(info.command, "unit_member", 11);
	assert_int_equal(sio_member_bury(f.seg, member), -EBUSY);
	assert_int_equal(sio_member_state(f.seg, member), SIO_MEMBER_LIVE);

	unit_gate_open(&f.gate[1]);
	assert_int_equal(unit_wait(pid), 0);
	assert_int_equal(sio_member_state(f.seg, member), SIO_MEMBER_FREE);
	assert_int_equal(sio_member_get(f.seg, 1, &info), -ENOENT);
	/* the next one there has a later generation */
	assert_int_equal(SIO_MEMBER_SLOT(info.member), SIO_MEMBER_SLOT(member));
	assert_int_equal(SIO_MEMBER_GENERATION(info.member), SIO_MEMBER_GENERATION(member) + 1);
	assert_int_equal(sio_member_bury(f.seg, member), -ENOENT);
	teardown(&f);
}

static void
the_own_slot_is_live(void **state)
{
	struct sio_member_info info;
	struct fixture f;

	(void)state;
	setup(&f);
	/* the kernel does not show a process its own locks */
	assert_int_equal(sio_member_state(f.seg, SIO_MEMBER_NAME(0, 1)), SIO_MEMBER_LIVE);
	assert_int_equal(sio_member_get(f.seg, 0, &info), 0);
	assert_int_equal(info.state, SIO_MEMBER_LIVE);
	assert_int_equal(info.pid, getpid());
	assert_int_equal(sio_member_bury(f.seg, SIO_MEMBER_NAME(0, 1)), -EBUSY);
	assert_int_equal(sio_member_state(f.seg, SIO_MEMBER_NAME(0, 1)), SIO_MEMBER_LIVE);
	teardown(&f);
}

static void
names_that_are_no_members_are_refused(void **state)
{
	struct sio_member_info info;
	struct fixture f;

	(void)state;
	setup(&f);
	assert_int_equal(sio_member_state(f.seg, SIO_MEMBER_NONE), SIO_MEMBER_FREE);
	assert_int_equal(sio_member_state(f.seg, SIO_MEMBER_NAME(0, 2)), SIO_MEMBER_FREE);
	assert_int_equal(sio_member_state(f.seg, SIO_MEMBER_NAME(63, 1)), SIO_MEMBER_FREE);
	assert_int_equal(sio_member_state(f.seg, UINT32_MAX), SIO_MEMBER_FREE);
	assert_int_equal(sio_member_get(f.seg, 64, &info), -EINVAL);
	assert_int_equal(sio_member_get(f.seg, 63, &info), -ENOENT);
	assert_int_equal(sio_member_bury(f.seg, SIO_MEMBER_NONE), -ENOENT);
	assert_int_equal(sio_member_bury(f.seg, UINT32_MAX), -ENOENT);
	assert_int_equal(sio_member_bury(f.seg, SIO_MEMBER_NAME(5, 1)), -ENOENT);
	teardown(&f);
}

static void
a_killed_member_is_dead_until_it_is_buried(void **state)
{
	struct sio_member_info info;
	sio_member_t dead, next;
	struct fixture f;
	pid_t pid;

	(void)state;
	setup(&f);
	pid = member_start(&f, &dead);
	unit_kill(pid);
	assert_int_equal(sio_member_state(f.seg, dead), SIO_MEMBER_DEAD);
	assert_int_equal(sio_member_get(f.seg, 1, &info), 0);
	assert_int_equal(info.state, SIO_MEMBER_DEAD);
	assert_int_equal(info.pid, pid);

	/* its slot is not given to the next one: what it held still carries its name */
	pid = member_start(&f, &next);
	assert_int_equal(next, SIO_MEMBER_NAME(2, 1));
	unit_gate_open(&f.gate[1]);
	assert_int_equal(unit_wait(pid), 0);

	assert_int_equal(sio_member_bury(f.seg, dead), 0);
	assert_int_equal(sio_member_bury(f.seg, dead), -ENOENT);
	assert_int_equal(sio_member_state(f.seg, dead), SIO_MEMBER_FREE);

	/* now it is, under a new name */
	pid = member_start(&f, &next);
	assert_int_equal(next, SIO_MEMBER_NAME(1, 2));
	assert_int_equal(sio_member_state(f.seg, dead), SIO_MEMBER_FREE);
	assert_int_equal(sio_member_state(f.seg, next), SIO_MEMBER_LIVE);
	assert_int_equal(sio_member_bury(f.seg, dead), -ENOENT);
	unit_gate_open(&f.gate[1]);
	assert_int_equal(unit_wait(pid), 0);
	teardown(&f);
}

static void
a_stopped_member_is_alive(void **state)
{
	sio_member_t member;
	struct fixture f;
	int status;
	pid_t pid;

	(void)state;
	setup(&f);
	pid = member_start(&f, &member);
	kill(pid, SIGSTOP);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(sio_member_state(f.seg, member), SIO_MEMBER_LIVE);
	assert_int_equal(sio_member_bury(f.seg, member), -EBUSY);
	unit_kill(pid);
	assert_int_equal(sio_member_state(f.seg, member), SIO_MEMBER_DEAD);
	assert_int_equal(sio_member_bury(f.seg, member), 0);
	teardown(&f);
}

static int
join_and_leave(void *arg)
{
	struct sio_segment *seg;
	sio_member_t self;

	if (seg_attach("m", &seg) < 0)
		return 1;
	self = sio_segment_self(seg);
	sio_segment_detach(seg);
	return self == *(sio_member_t *)arg ? 0 : 2;
}

static void
each_stay_has_a_new_generation(void **state)
{
	sio_member_t expected;
	struct fixture f;
	unsigned int i;

	(void)state;
	setup(&f);
	for (i = 1; i <= 5; i++) {
		expected = SIO_MEMBER_NAME(1, i);
		assert_int_equal(unit_wait(unit_fork(join_and_leave, &expected)), 0);
		assert_int_equal(sio_member_state(f.seg, expected), SIO_MEMBER_FREE);
	}
	teardown(&f);
}

static struct sio_slot *
slot_of(struct sio_segment *seg, unsigned int n)
{
	char *slots = (char *)sio_segment_data(seg) - SIO_SEGMENT_HEADER_SIZE + SIO_SLOTS_OFFSET;

	return (struct sio_slot *)(void *)slots + n;
}

static void
generations_wrap_and_skip_0(void **state)
{
	sio_member_t expected;
	struct fixture f;

	(void)state;
	setup(&f);
	atomic_store(&slot_of(f.seg, 1)->word, sio__slot_word(SIO_SLOT_FREE, 0xffff));
	expected = SIO_MEMBER_NAME(1, 0xffff);
	assert_int_equal(unit_wait(unit_fork(join_and_leave, &expected)), 0);
	expected = SIO_MEMBER_NAME(1, 1);
	assert_int_equal(unit_wait(unit_fork(join_and_leave, &expected)), 0);
	teardown(&f);
}

/* the word as a process killed in the middle of joining leaves it: no token, nothing in its name */
static void
a_death_while_joining_costs_no_slot(void **state)
{
	sio_member_t expected = SIO_MEMBER_NAME(1, 8);
	struct sio_member_info info;
	struct fixture f;

	(void)state;
	setup(&f);
	atomic_store(&slot_of(f.seg, 1)->word, sio__slot_word(SIO_SLOT_JOINING, 7));
	assert_int_equal(sio_member_state(f.seg, SIO_MEMBER_NAME(1, 7)), SIO_MEMBER_DEAD);
	assert_int_equal(unit_wait(unit_fork(join_and_leave, &expected)), 0);

	atomic_store(&slot_of(f.seg, 1)->word, sio__slot_word(SIO_SLOT_JOINING, 20));
	assert_int_equal(sio_member_get(f.seg, 1, &info), 0);
	assert_int_equal(info.state, SIO_MEMBER_DEAD);
	assert_int_equal(sio_member_bury(f.seg, SIO_MEMBER_NAME(1, 20)), 0);
	assert_int_equal(sio_member_state(f.seg, SIO_MEMBER_NAME(1, 20)), SIO_MEMBER_FREE);
	teardown(&f);
}

static int
attach_users(void *arg)
{
	struct sio_segment *seg;

	(void)arg;
	return seg_attach("m", &seg) == -EUSERS ? 0 : 1;
}

static void
the_65th_member_is_refused(void **state)
{
	pid_t pid[SIO_MEMBERS_MAX];
	sio_member_t member;
	struct fixture f;
	unsigned int i;

	(void)state;
	setup(&f);
	for (i = 1; i < SIO_MEMBERS_MAX; i++) {
		pid[i] = member_start(&f, &member);
		assert_int_equal(member, SIO_MEMBER_NAME(i, 1));
	}
	assert_int_equal(unit_wait(unit_fork(attach_users, NULL)), 0);
	/* one that dies makes no room, one that is buried does */
	unit_kill(pid[40]);
	assert_int_equal(unit_wait(unit_fork(attach_users, NULL)), 0);
	assert_int_equal(sio_member_bury(f.seg, SIO_MEMBER_NAME(40, 1)), 0);
	pid[40] = member_start(&f, &member);
	assert_int_equal(member, SIO_MEMBER_NAME(40, 2));
	for (i = 1; i < SIO_MEMBERS_MAX; i++)
		unit_gate_open(&f.gate[1]);
	for (i = 1; i < SIO_MEMBERS_MAX; i++)
		assert_int_equal(unit_wait(pid[i]), 0);
	teardown(&f);
}

static int
child_is_nobody(void *arg)
{
	struct fixture *f = arg;

	if (sio_segment_self(f->seg) != SIO_MEMBER_NONE)
		return 1;
	/* its parent lives and says so */
	if (sio_member_state(f->seg, SIO_MEMBER_NAME(0, 1)) != SIO_MEMBER_LIVE)
		return 2;
	if (sio_member_bury(f->seg, SIO_MEMBER_NAME(0, 1)) != -EBUSY)
		return 3;
	if (sio_segment_publish(f->seg) != -EALREADY)
		return 4;
	sio_segment_detach(f->seg);
	return 0;
}

static void
a_forked_child_is_nobody_and_cannot_leave_for_its_parent(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	assert_int_equal(unit_wait(unit_fork(child_is_nobody, &f)), 0);
	assert_int_equal(sio_segment_self(f.seg), SIO_MEMBER_NAME(0, 1));
	assert_int_equal(sio_member_state(f.seg, SIO_MEMBER_NAME(0, 1)), SIO_MEMBER_LIVE);
	/* as others see it: the child's close() did not take the parent's token */
	assert_int_equal(unit_wait(unit_fork(child_is_nobody, &f)), 0);
	teardown(&f);
}

static int
rejoin_fn(void *arg)
{
	struct fixture *f = arg;
	sio_member_t self;

	if (sio_segment_rejoin(f->seg) != 0 || sio_segment_rejoin(f->seg) != 0)
		return 1;
	self = sio_segment_self(f->seg);
	if (write(f->gate[0].fd[1], &self, sizeof(self)) != sizeof(self))
		return 2;
	if (!unit_gate_pass(&f->gate[1]))
		return 3;
	sio_segment_detach(f->seg);
	return 0;
}

static void
a_forked_child_can_join_as_a_new_member(void **state)
{
	sio_member_t member;
	struct fixture f;
	pid_t pid;

	(void)state;
	setup(&f);
	assert_int_equal(sio_segment_rejoin(f.seg), 0); /* harmless in a member */
	assert_int_equal(sio_segment_self(f.seg), SIO_MEMBER_NAME(0, 1));
	pid = unit_fork(rejoin_fn, &f);
	assert_int_equal(read(f.gate[0].fd[0], &member, sizeof(member)), sizeof(member));
	assert_int_equal(member, SIO_MEMBER_NAME(1, 1));
	assert_int_equal(sio_member_state(f.seg, member), SIO_MEMBER_LIVE);
	unit_gate_open(&f.gate[1]);
	assert_int_equal(unit_wait(pid), 0);
	assert_int_equal(sio_member_state(f.seg, member), SIO_MEMBER_FREE);

	pid = unit_fork(rejoin_fn, &f);
	assert_int_equal(read(f.gate[0].fd[0], &member, sizeof(member)), sizeof(member));
	assert_int_equal(member, SIO_MEMBER_NAME(1, 2));
	unit_kill(pid);
	assert_int_equal(sio_member_state(f.seg, member), SIO_MEMBER_DEAD);
	assert_int_equal(sio_segment_self(f.seg), SIO_MEMBER_NAME(0, 1));
	teardown(&f);
}

static int
grandchild_fn(void *arg)
{
	struct fixture *f = arg;

	if (sio_segment_rejoin(f->seg) != 0)
		return 1;
	if (sio_segment_self(f->seg) != SIO_MEMBER_NAME(1, 1))
		return 2;
	/* the child's child, of a member that has an epoch of its own */
	return unit_wait(unit_fork(child_is_nobody, f)) == 0 ? 0 : 3;
}

static void
a_grandchild_is_nobody_too(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	assert_int_equal(unit_wait(unit_fork(grandchild_fn, &f)), 0);
	teardown(&f);
}

/* A parent that dies leaves its token free though its child still has the descriptor. */
static int
parent_dies(void *arg)
{
	struct unit_gate *gate = arg;
	struct sio_segment *seg;

	if (seg_attach("m", &seg) < 0)
		return 1;
	if (fork() == 0) {
		alarm(60);
		unit_gate_pass(&gate[1]);
		unit_gate_open(&gate[0]);
		_exit(0);
	}
	raise(SIGKILL);
	return 2;
}

static void
a_child_does_not_keep_its_dead_parent_alive(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	assert_int_equal(unit_wait(unit_fork(parent_dies, f.gate)), 128 + SIGKILL);
	assert_int_equal(sio_member_state(f.seg, SIO_MEMBER_NAME(1, 1)), SIO_MEMBER_DEAD);
	unit_gate_open(&f.gate[1]);
	assert_true(unit_gate_pass(&f.gate[0]));
	teardown(&f);
}

struct burial {
	struct sio_segment *seg;
	sio_member_t dead;
	pthread_barrier_t *start;
	int rc;
};

static void *
bury_thread(void *arg)
{
	struct burial *b = arg;

	pthread_barrier_wait(b->start);
	b->rc = sio_member_bury(b->seg, b->dead);
	return NULL;
}

static void
one_burial_of_many_threads_wins(void **state)
{
	struct burial b[4];
	pthread_barrier_t start;
	pthread_t thread[4];
	struct fixture f;
	sio_member_t dead;
	int round, i, won;

	(void)state;
	setup(&f);
	for (round = 0; round < 20; round++) {
		unit_kill(member_start(&f, &dead));
		assert_int_equal(SIO_MEMBER_SLOT(dead), 1);
		pthread_barrier_init(&start, NULL, 4);
		for (i = 0; i < 4; i++) {
			b[i] = (struct burial){.seg = f.seg, .dead = dead, .start = &start};
			assert_int_equal(pthread_create(&thread[i], NULL, bury_thread, &b[i]), 0);
		}
		for (i = 0, won = 0; i < 4; i++) {
			pthread_join(thread[i], NULL);
			assert_true(b[i].rc == 0 || b[i].rc == -ENOENT);
			won += b[i].rc == 0;
		}
		pthread_barrier_destroy(&start);
		assert_int_equal(won, 1);
	}
	assert_int_equal(sio_member_state(f.seg, SIO_MEMBER_NAME(0, 1)), SIO_MEMBER_LIVE);
	teardown(&f);
}

/*
 * Joins and leaves until the gate says stop, says when it is at it; its states are watched
 * meanwhile.
 */
static int
churn_fn(void *arg)
{
	struct unit_gate *gate = arg;
	struct pollfd p = {.fd = gate[1].fd[0], .events = POLLIN};
	struct sio_segment *seg;
	unsigned int n = 0;

	while (poll(&p, 1, 0) == 0) {
		if (seg_attach("m", &seg) < 0)
			return 1;
		sio_segment_detach(seg);
		if (n++ == 0)
			unit_gate_open(&gate[0]);
	}
	return n > 0 ? 0 : 2;
}

static void
a_living_member_never_looks_dead(void **state)
{
	struct sio_member_info info;
	struct fixture f;
	pid_t pid[2];
	unsigned int n;
	uint64_t end;

	(void)state;
	setup(&f);
	pid[0] = unit_fork(churn_fn, f.gate);
	pid[1] = unit_fork(churn_fn, f.gate);
	assert_true(unit_gate_pass(&f.gate[0]));
	assert_true(unit_gate_pass(&f.gate[0]));
	end = sio_now_ns() + UINT64_C(500000000);
	while (sio_now_ns() < end) {
		for (n = 1; n < 4; n++) {
			if (sio_member_get(f.seg, n, &info) == 0)
				assert_int_not_equal(info.state, SIO_MEMBER_DEAD);
		}
	}
	unit_gate_open(&f.gate[1]);
	unit_gate_open(&f.gate[1]);
	assert_int_equal(unit_wait(pid[0]), 0);
	assert_int_equal(unit_wait(pid[1]), 0);
	teardown(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_living_member_is_seen_as_it_is),
		cmocka_unit_test(the_own_slot_is_live),
		cmocka_unit_test(names_that_are_no_members_are_refused),
		cmocka_unit_test(a_killed_member_is_dead_until_it_is_buried),
		cmocka_unit_test(a_stopped_member_is_alive),
		cmocka_unit_test(each_stay_has_a_new_generation),
		cmocka_unit_test(generations_wrap_and_skip_0),
		cmocka_unit_test(a_death_while_joining_costs_no_slot),
		cmocka_unit_test(the_65th_member_is_refused),
		cmocka_unit_test(a_forked_child_is_nobody_and_cannot_leave_for_its_parent),
		cmocka_unit_test(a_forked_child_can_join_as_a_new_member),
		cmocka_unit_test(a_grandchild_is_nobody_too),
		cmocka_unit_test(a_child_does_not_keep_its_dead_parent_alive),
		cmocka_unit_test(one_burial_of_many_threads_wins),
		cmocka_unit_test(a_living_member_never_looks_dead),
	};

	unit_env_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
