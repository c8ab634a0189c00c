/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The workers that l2fwd starts itself. A worker that ended is not started again: whoever ended it
 * may start another one in its slot.
 */

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "l2fwd.h"

#define WORKER_PROGRAM "slabio-worker"
#define END_NS	       (2 * NS_IN_S)
#define POLL_US	       1000

extern char **environ;

int
spawn_find(char *path, size_t len)
{
	static const char *const places[] = {"%s/" WORKER_PROGRAM, "%s/../worker/" WORKER_PROGRAM};
	char self[PATH_MAX];
	ssize_t n;

	if (conf.worker_path != NULL) {
		snprintf(path, len, "%s", conf.worker_path);
		if (access(path, X_OK) == 0)
			return 0;
		say("--worker-path: cannot run \"%s\": %s", path, strerror(errno));
		return -ENOENT;
	}
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n > 0) {
		self[n] = '\0';
		dirname(self);
		for (unsigned int i = 0; i < RTE_DIM(places); i++) {
			snprintf(path, len, places[i], self);
			if (access(path, X_OK) == 0)
				return 0;
		}
	}
	say("cannot find " WORKER_PROGRAM " beside this program: name it with --worker-path");
	return -ENOENT;
}

int
spawn_worker(const char *path, unsigned int slot)
{
	char slot_text[16];
	char *argv[] = {(char *)(uintptr_t)WORKER_PROGRAM, (char *)(uintptr_t) "--attach",
		(char *)(uintptr_t)conf.name, (char *)(uintptr_t) "--slot", slot_text,
		(char *)(uintptr_t) "--fn", (char *)(uintptr_t)conf.worker_fn, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;
	pid_t pid;
	int ret;

	snprintf(slot_text, sizeof(slot_text), "%u", slot);
	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	/* a group of its own: a Ctrl-C on the terminal is for l2fwd, which then asks the workers to
	 * go */
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
	/* no file of EAL or of a port may be kept open by a worker that outlives l2fwd */
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
	ret = posix_spawn(&pid, path, &actions, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	if (ret != 0) {
		say("cannot start worker \"%s\": %s", path, strerror(ret));
		return -ret;
	}
	workers[slot].pid = pid;
	return pid;
}

static void
report(const struct worker *w, int status)
{
	if (WIFSIGNALED(status))
		say("worker %u (pid %d) was killed by signal %d", w->slot, w->pid,
			WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		say("worker %u (pid %d) ended with status %d", w->slot, w->pid,
			WEXITSTATUS(status));
}

bool
spawn_reap(void)
{
	bool ok = true;
	int status;

	for (unsigned int i = 0; i < conf.n_workers; i++) {
		struct worker *w = &workers[i];

		if (w->pid == 0 || waitpid(w->pid, &status, WNOHANG) != w->pid)
			continue;
		report(w, status);
		w->pid = 0;
		ok &= w->stats.joins != 0;
	}
	return ok;
}

static bool
reap_until(uint64_t until_ns)
{
	for (;;) {
		bool some = false;

		spawn_reap();
		for (unsigned int i = 0; i < conf.n_workers; i++)
			some |= workers[i].pid != 0;
		if (!some || sio_now_ns() >= until_ns)
			return !some;
		usleep(POLL_US);
	}
}

static void
signal_all(int sig)
{
	for (unsigned int i = 0; i < conf.n_workers; i++) {
		if (workers[i].pid != 0)
			kill(workers[i].pid, sig);
	}
}

void
spawn_end(void)
{
	if (reap_until(sio_now_ns()))
		return;
	signal_all(SIGTERM);
	if (reap_until(sio_now_ns() + END_NS))
		return;
	/* also a stopped one ends by this */
	signal_all(SIGKILL);
	reap_until(sio_now_ns() + END_NS);
}
