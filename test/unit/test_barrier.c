/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* Whether barriers reach whom they must; each test in a process that has not joined yet. */

#include "unit_env.h"
#include "unit_pool.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include "segment/barrier.h"

enum {
	BARRIERS = 400,
	BLOCKS = 64,
};

static atomic_ulong ticks;
static atomic_bool stop;

/* @return true if there are two CPUs that the process may use; first and second are theirs */
static bool
two_cpus(unsigned int cpu[2])
{
	unsigned int n = 0;
	cpu_set_t set;

	sched_getaffinity(0, sizeof(set), &set);
	for (unsigned int c = 0; c < CPU_SETSIZE && n < 2; c++)
		if (CPU_ISSET(c, &set))
			cpu[n++] = c;
	return n == 2;
}

/* How many function calls other CPUs have asked of this one, ever. */
static unsigned long
calls_asked_of(unsigned int cpu)
{
	FILE *f = fopen("/proc/interrupts", "re");
	unsigned long calls = 0;
	char line[16384];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		char *at = strchr(line, ':');

		if (at == NULL || strstr(line, "Function call interrupts") == NULL)
			continue;
		at++;
		for (unsigned int c = 0; c <= cpu; c++)
			calls = strtoul(at, &at, 10);
	}
	fclose(f);
	return calls;
}

static void *
tick(void *cpu)
{
	unit_stay_on(*(unsigned int *)cpu);
	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		atomic_fetch_add_explicit(&ticks, 1, memory_order_relaxed);
	return NULL;
}

static bool
ticks_go_on(void)
{
	unsigned long before = atomic_load(&ticks);

	for (unsigned int i = 0; i < 100; i++)
		atomic_signal_fence(memory_order_seq_cst);
	return atomic_load(&ticks) != before;
}

/*
 * Issues barriers while a thread of this process is at work on another CPU.
 * @return true if that CPU was interrupted for at least half of those
 */
static bool
reached_on(unsigned int cpu)
{
	unsigned int at_work = 0;
	unsigned long before;
	pthread_t thread;

	atomic_store(&stop, false);
	atomic_store(&ticks, 0);
	assert_int_equal(pthread_create(&thread, NULL, tick, &cpu), 0);
	while (atomic_load(&ticks) == 0)
		sched_yield();
	before = calls_asked_of(cpu);
	for (unsigned int i = 0; i < BARRIERS; i++) {
		bool ran = ticks_go_on();

		assert_true(sio_barrier());
		at_work += ran && ticks_go_on();
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	return calls_asked_of(cpu) - before >= at_work / 2;
}

/* Runs the test in a child, which exits with 0 if all is well and with 77 if it cannot run here. */
static void
in_a_fresh_process(int (*test)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(test());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

/*
 * The kernel keeps what a CPU had in mind of this process from before it joined, until somebody
 * else has been there.
 */
static int
leave_a_cpu_and_join(unsigned int cpu[2])
{
	if (!two_cpus(cpu))
		return 77;
	unit_stay_on(cpu[1]);
	for (volatile unsigned int i = 0; i < 1000000; i++)
		;
	unit_stay_on(cpu[0]);
	return sio_barrier_join() ? 0 : 1;
}

static int
joined_after_it_was_elsewhere(void)
{
	unsigned int cpu[2];
	int ret = leave_a_cpu_and_join(cpu);

	if (ret != 0)
		return ret;
	return reached_on(cpu[1]) ? 0 : 2;
}

static void
a_process_is_reached_on_a_cpu_that_it_used_before_it_joined(void **state)
{
	(void)state;
	/* a busy machine hides it when one does not do it right */
	for (unsigned int i = 0; i < 8; i++)
		in_a_fresh_process(joined_after_it_was_elsewhere);
}

static int
forked_after_joining(void)
{
	unsigned int cpu[2];
	int ret = leave_a_cpu_and_join(cpu), status;
	pid_t pid;

	if (ret != 0)
		return ret;
	pid = fork();
	if (pid == 0)
		_exit(sio_barrier_join() && reached_on(cpu[1]) ? 0 : 2);
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return 3;
	return WEXITSTATUS(status);
}

static void
a_forked_child_is_reached(void **state)
{
	(void)state;
	in_a_fresh_process(forked_after_joining);
}

static atomic_uint signals;

static void
count_signal(int number)
{
	(void)number;
	atomic_fetch_add(&signals, 1);
}

static int
joining_beside_children_of_its_own(void)
{
	signal(SIGCHLD, count_signal);
	if (!sio_barrier_join())
		return 1;
	if (atomic_load(&signals) != 0)
		return 2;
	/* neither running nor waiting to be waited for */
	if (waitpid(-1, NULL, WNOHANG | __WALL) != -1 || errno != ECHILD)
		return 3;
	return 0;
}

static void
joining_leaves_no_child_and_no_signal(void **state)
{
	(void)state;
	in_a_fresh_process(joining_beside_children_of_its_own);
}

static void *
take_and_give(void *arg)
{
	struct sio_pool *pool = arg;
	uint32_t blocks[BLOCKS];

	for (unsigned int i = 0; i < 20000; i++)
		if (sio_pool_take(pool, blocks, 1 + i % BLOCKS) == 0)
			sio_pool_give(pool, blocks, 1 + i % BLOCKS);
	return NULL;
}

static bool
filter_calls(struct sock_filter *code, size_t n)
{
	struct sock_fprog program = {.len = (unsigned short)n, .filter = code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* clone() with no flags, which is not how threads are made, is refused. */
static bool
refuse_children(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	return filter_calls(code, sizeof(code) / sizeof(code[0]));
}

static bool
refuse_affinity(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sched_setaffinity, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	return filter_calls(code, sizeof(code) / sizeof(code[0]));
}

static int
without_affinity(void)
{
	if (!refuse_affinity())
		return 77;
	return sio_barrier_join() ? 1 : 0;
}

static void
a_process_whose_child_may_not_move_fences(void **state)
{
	(void)state;
	in_a_fresh_process(without_affinity);
}

/* A real-time thread has the other CPU for itself. */
static int
beside_a_hog(void)
{
	struct sched_param high = {.sched_priority = 50};
	unsigned int cpu[2];
	time_t began = time(NULL);
	pid_t hog;
	int status;

	if (!two_cpus(cpu))
		return 77;
	hog = fork();
	if (hog == 0) {
		unit_stay_on(cpu[1]);
		if (sched_setscheduler(0, SCHED_FIFO, &high) != 0)
			_exit(77);
		while (time(NULL) - began < 4)
			;
		_exit(0);
	}
	unit_stay_on(cpu[0]);
	usleep(100000);
	/* a high enough one of its own would get its turn */
	(void)sio_barrier_join();
	if (time(NULL) - began > 3)
		return 1;
	kill(hog, SIGKILL);
	if (waitpid(hog, &status, 0) != hog)
		return 2;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

static void
joining_ends_beside_a_cpu_that_is_never_free(void **state)
{
	(void)state;
	in_a_fresh_process(beside_a_hog);
}

static int
without_children(void)
{
	struct sio_pool *pool;
	pthread_t threads[2];

	if (!refuse_children())
		return 77;
	if (sio_barrier_join())
		return 1;
	if (strstr(unit_log_last, "fence") == NULL)
		return 2;
	pool = unit_pool("fences", BLOCKS, 2, 2, 0);
	for (unsigned int i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, take_and_give, pool) != 0)
			return 3;
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	unit_assert_all_free(pool, BLOCKS);
	sio_pool_destroy(pool);
	return 0;
}

static void
a_process_that_may_have_no_child_says_so_and_fences(void **state)
{
	(void)state;
	in_a_fresh_process(without_children);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_is_reached_on_a_cpu_that_it_used_before_it_joined),
		cmocka_unit_test(a_forked_child_is_reached),
		cmocka_unit_test(joining_leaves_no_child_and_no_signal),
		cmocka_unit_test(a_process_that_may_have_no_child_says_so_and_fences),
		cmocka_unit_test(a_process_whose_child_may_not_move_fences),
		cmocka_unit_test(joining_ends_beside_a_cpu_that_is_never_free),
	};

	unit_env_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
