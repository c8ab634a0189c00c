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
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "l2fwd.h"

#define PLAIN_PROGRAM "slabio-worker"
#define PLAIN_FOLDER  "worker"
#define EAL_PROGRAM   "slabio-eal-worker"
#define EAL_FOLDER    "eal_worker"
#define ARGS_MAX      128
#define END_NS	      (2 * NS_IN_S)
#define POLL_US	      1000

extern char **environ;

/** An argument of EAL that its secondaries need, too. */
struct eal_option {
	const char *name;
	bool value;
};

static const struct eal_option eal_options[] = {{"-d", true}, {"--file-prefix", true},
	{"--huge-dir", true}, {"--log-level", true}, {"--base-virtaddr", true}, {"--block", true},
	{"--allow", true}, {"-b", true}, {"-a", true}, {"--no-pci", false}, {"--legacy-mem", false},
	{"--single-file-segments", false}, {"--match-allocations", false}};

static char *eal_args[ARGS_MAX];
static unsigned int n_eal_args;
static char cpus[1024];

/* @return how many arguments from here on are the option's; 0: it is none of them */
static int
option_length(int left, char **argv)
{
	for (unsigned int i = 0; i < RTE_DIM(eal_options); i++) {
		const struct eal_option *o = &eal_options[i];
		size_t len = strlen(o->name);

		if (strncmp(argv[0], o->name, len) != 0)
			continue;
		if (argv[0][len] == '\0')
			return o->value && left > 1 ? 2 : 1;
		/* --option=value, -dvalue */
		if (o->value && (argv[0][len] == '=' || len == 2))
			return 1;
	}
	return 0;
}

/* The CPUs that this process may run on, as EAL lists them; before EAL binds it to one. */
static void
keep_cpus(void)
{
	size_t len = 0;
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return;
	for (int i = 0; i < CPU_SETSIZE && len < sizeof(cpus) - 16; i++) {
		if (CPU_ISSET(i, &set))
			len += (size_t)snprintf(
				cpus + len, sizeof(cpus) - len, "%s%d", len == 0 ? "" : ",", i);
	}
}

void
spawn_keep_args(int argc, char **argv)
{
	keep_cpus();
	for (int i = 1, n; i < argc && n_eal_args < ARGS_MAX; i += RTE_MAX(n, 1)) {
		n = option_length(argc - i, &argv[i]);
		for (int k = 0; k < n && n_eal_args < ARGS_MAX; k++)
			eal_args[n_eal_args++] = strdup(argv[i + k]);
	}
}

int
spawn_find(bool eal, char *path, size_t len)
{
	const char *given = eal ? conf.eal_worker_path : conf.worker_path;
	const char *option = eal ? "--eal-worker-path" : "--worker-path";
	const char *program = eal ? EAL_PROGRAM : PLAIN_PROGRAM;
	char self[PATH_MAX];
	ssize_t n;

	if (given != NULL) {
		snprintf(path, len, "%s", given);
		if (access(path, X_OK) == 0)
			return 0;
		say("%s: cannot run \"%s\": %s", option, path, strerror(errno));
		return -ENOENT;
	}
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n > 0) {
		self[n] = '\0';
		dirname(self);
		snprintf(path, len, "%s/%s", self, program);
		if (access(path, X_OK) == 0)
			return 0;
		snprintf(path, len, "%s/../%s/%s", self, eal ? EAL_FOLDER : PLAIN_FOLDER, program);
		if (access(path, X_OK) == 0)
			return 0;
	}
	say("cannot find %s beside this program: name it with %s", program, option);
	return -ENOENT;
}

struct args {
	char *v[ARGS_MAX + 16];
	unsigned int n;
	char slot[16];
	char lcores[sizeof(cpus) + 32];
};

static void
add(struct args *a, const char *text)
{
	a->v[a->n++] = (char *)(uintptr_t)text;
}

/* Arguments of EAL for the secondary in a slot: an lcore id of its own, on any CPU of ours. */
static void
add_eal(struct args *a, unsigned int slot)
{
	for (unsigned int i = 0; i < n_eal_args; i++)
		add(a, eal_args[i]);
	snprintf(a->lcores, sizeof(a->lcores), "%u@(%s)", RTE_MAX_LCORE - 1 - slot, cpus);
	add(a, "--lcores");
	add(a, a->lcores);
	add(a, "--proc-type=secondary");
	add(a, "--no-telemetry");
	add(a, "--");
}

int
spawn_worker(const char *path, unsigned int slot)
{
	struct args a = {.n = 0};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;
	pid_t pid;
	int ret;

	add(&a, workers[slot].eal ? EAL_PROGRAM : PLAIN_PROGRAM);
	if (workers[slot].eal)
		add_eal(&a, slot);
	snprintf(a.slot, sizeof(a.slot), "%u", slot);
	add(&a, "--attach");
	add(&a, conf.name);
	add(&a, "--slot");
	add(&a, a.slot);
	add(&a, "--fn");
	add(&a, conf.worker_fn);
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
	ret = posix_spawn(&pid, path, &actions, &attr, a.v, environ);
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

	for (unsigned int i = 0; i < conf.n_slots; i++) {
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
		for (unsigned int i = 0; i < conf.n_slots; i++)
			some |= workers[i].pid != 0;
		if (!some || sio_now_ns() >= until_ns)
			return !some;
		usleep(POLL_US);
	}
}

static void
signal_all(int sig)
{
	for (unsigned int i = 0; i < conf.n_slots; i++) {
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
