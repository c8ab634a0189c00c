/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include "unit_segment.h"
#include <sys/ptrace.h>

/*
 * A process is killed after its k-th instruction of joining and leaving, for k up to the end of it.
 * Whatever it leaves, nobody else is hindered: its slot is free, or dead and can be buried, and
 * never looks alive.
 *
 * Places to die are spread over the way; UNIT_KILL_STRIDE=1 in the environment makes it every
 * instruction.
 */

#define PLACES	  50
#define STEPS_MAX 200000

static int
join_and_leave(void *arg)
{
	struct sio_segment *seg = arg;

	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		return 77;
	raise(SIGSTOP);
	if (sio_segment_rejoin(seg) < 0)
		return 1;
	sio_segment_detach(seg);
	return 0;
}

/*
 * Steps the child up to k times. @return steps made, below k if it came to its end; -1 it cannot be
 * traced
 */
static int
step(pid_t pid, int k)
{
	int status, sig, n;

	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		return -1;
	for (n = 0; n < k; n++) {
		sig = WSTOPSIG(status);
		if (sig == SIGTRAP || sig == SIGSTOP)
			sig = 0;
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, sig), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFSTOPPED(status)) {
			assert_true(WIFEXITED(status));
			assert_int_equal(WEXITSTATUS(status), 0);
			return n;
		}
	}
	return n;
}

/* What the dead has left. @return the number of slots that had to be buried */
static unsigned int
settle(struct sio_segment *seg)
{
	struct sio_member_info info;
	unsigned int n, buried = 0;

	for (n = 1; n < SIO_MEMBERS_MAX; n++) {
		if (sio_member_get(seg, n, &info) == -ENOENT)
			continue;
		assert_int_equal(info.state, SIO_MEMBER_DEAD);
		assert_int_equal(sio_member_bury(seg, info.member), 0);
		assert_int_equal(sio_member_get(seg, n, &info), -ENOENT);
		buried++;
	}
	return buried;
}

static void
a_death_at_any_instruction_of_joining_and_leaving_is_settled(void **state)
{
	unsigned int deaths = 0, buried = 0;
	struct sio_segment *seg;
	int k, all, stride;
	pid_t pid;

	(void)state;
	assert_int_equal(seg_make("kill", SIO_BACKING_FILE, &seg), 0);
	all = step(unit_fork(join_and_leave, seg), STEPS_MAX);
	if (all < 0) {
		sio_segment_unlink(seg);
		sio_segment_detach(seg);
		print_message("this process may not trace its children\n");
		skip();
	}
	assert_in_range(all, 100, STEPS_MAX - 1);
	stride = getenv("UNIT_KILL_STRIDE") != NULL ? atoi(getenv("UNIT_KILL_STRIDE"))
						    : all / PLACES;
	assert_in_range(stride, 1, all);
	for (k = stride; k < all; k += stride) {
		pid = unit_fork(join_and_leave, seg);
		/* the way is not the same to the instruction each time: it may have ended */
		if (step(pid, k) < k)
			continue;
		unit_kill(pid);
		deaths++;
		buried += settle(seg);
	}
	print_message("%d instructions, %u deaths, %u with a slot to bury\n", all, deaths, buried);
	assert_true(deaths > 10);
	assert_true(buried > 0 && buried < deaths);
	assert_int_equal(settle(seg), 0);
	assert_int_equal(sio_segment_self(seg), SIO_MEMBER_NAME(0, 1));
	sio_segment_unlink(seg);
	sio_segment_detach(seg);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_death_at_any_instruction_of_joining_and_leaving_is_settled),
	};

	unit_env_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
