/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef UNIT_ENV_H
#define UNIT_ENV_H

/**
 * @file
 * What every unit test starts from: cmocka, a runtime folder of its own, and helpers for tests with
 * several processes. Include it first and call unit_env_init() first in main(). The folder and what
 * is left in it go when the test program ends.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <slabio/common.h>

static char unit_env_dir[128];
static pid_t unit_env_pid;
/**
 * Children of unit_fork(), the latest ones: a test that fails does not come to wait for its own.
 */
static pid_t unit_children[128];
static unsigned int unit_children_n;
/** The last message of the library, to be looked into by tests. Shown too if UNIT_LOG is set. */
static _Thread_local char unit_log_last[1024];

/** The calling thread runs on that CPU from now on, if it may. */
static inline void
unit_stay_on(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static inline void
unit_env_log(enum sio_log_level level, const char *message, void *arg)
{
	(void)arg;
	snprintf(unit_log_last, sizeof(unit_log_last), "%s", message);
	if (getenv("UNIT_LOG") != NULL)
		fprintf(stderr, "[%d] %s\n", (int)level, message);
}

static inline void
unit_env_exit(void)
{
	char path[sizeof(unit_env_dir) + 300], target[4096];
	struct dirent *entry;
	unsigned int i;
	ssize_t n;
	DIR *dir;

	/* forked children run exit handlers too */
	if (getpid() != unit_env_pid)
		return;
	for (i = 0; i < sizeof(unit_children) / sizeof(unit_children[0]); i++) {
		/* only a child that was not waited for is still that process */
		if (unit_children[i] > 0 && waitpid(unit_children[i], NULL, WNOHANG) == 0) {
			kill(unit_children[i], SIGKILL);
			waitpid(unit_children[i], NULL, 0);
		}
	}
	dir = opendir(unit_env_dir);
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		snprintf(path, sizeof(path), "%s/%s", unit_env_dir, entry->d_name);
		/* a link to a file on a hugetlbfs mount: its pages must not stay */
		n = readlink(path, target, sizeof(target) - 1);
		if (n > 0) {
			target[n] = '\0';
			if (strstr(target, "/slabio.") != NULL)
				unlink(target);
		}
		if (unlink(path) < 0 && errno == EISDIR)
			rmdir(path);
	}
	if (dir != NULL)
		closedir(dir);
	rmdir(unit_env_dir);
}

/** Makes the runtime folder and takes the library's messages. */
static inline void
unit_env_init(void)
{
	snprintf(unit_env_dir, sizeof(unit_env_dir), "/dev/shm/slabio-unit-XXXXXX");
	if (mkdtemp(unit_env_dir) == NULL) {
		perror("mkdtemp /dev/shm/slabio-unit-XXXXXX");
		exit(1);
	}
	unit_env_pid = getpid();
	atexit(unit_env_exit);
	setenv(SIO_RUNTIME_DIR_ENV, unit_env_dir, 1);
	sio_log_set(unit_env_log, NULL, SIO_LOG_DEBUG);
}

/** A child process that runs fn(arg) and exits with its result; it never returns into the test. */
static inline pid_t
unit_fork(int (*fn)(void *arg), void *arg)
{
	static const int caught[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGSYS};
	unsigned int i;
	pid_t pid;

	fflush(NULL);
	pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		/*
		 * cmocka's handlers would take a crash of the child for one of the test, and run on
		 * in it
		 */
		for (i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
			signal(caught[i], SIG_DFL);
		alarm(60); /* no child outlives a test that failed by more than this */
		_exit(fn(arg));
	}
	unit_children[unit_children_n++ % (sizeof(unit_children) / sizeof(unit_children[0]))] = pid;
	return pid;
}

/** Waits for a child's end. @return its exit status, or 128 + the signal that ended it */
static inline int
unit_wait(pid_t pid)
{
	int status = 0;
	pid_t rc;

	do {
		rc = waitpid(pid, &status, 0);
	} while (rc < 0 && errno == EINTR);
	assert_int_equal(rc, pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/** Kills a child at once and waits until the kernel has taken everything from it. */
static inline void
unit_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(unit_wait(pid), 128 + SIGKILL);
}

/**
 * Waits until the condition holds, which another thread or process sees to; fails the test after 20
 * seconds.
 */
#define unit_wait_until(condition)                                                   \
	do {                                                                         \
		const uint64_t until_ = sio_now_ns() + UINT64_C(20000000000);        \
                                                                                     \
		while (!(condition)) {                                               \
			if (sio_now_ns() > until_)                                   \
				fail_msg("not so after 20 seconds: %s", #condition); \
			usleep(100);                                                 \
		}                                                                    \
	} while (0)

/** A pipe on which one process tells another that it is as far as that. */
struct unit_gate {
	int fd[2];
};

static inline void
unit_gate_init(struct unit_gate *gate)
{
	assert_int_equal(pipe(gate->fd), 0);
}

static inline void
unit_gate_open(struct unit_gate *gate)
{
	while (write(gate->fd[1], "x", 1) < 0 && errno == EINTR)
		;
}

/** Waits for one opening of the gate, up to 20 seconds. @return whether it came */
static inline bool
unit_gate_pass(struct unit_gate *gate)
{
	struct pollfd p = {.fd = gate->fd[0], .events = POLLIN};
	char c;

	return poll(&p, 1, 20000) == 1 && read(gate->fd[0], &c, 1) == 1;
}

static inline void
unit_gate_close(struct unit_gate *gate)
{
	close(gate->fd[0]);
	close(gate->fd[1]);
}

#endif /* UNIT_ENV_H */
