/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"
#include "stepper.h"

/** Longest operation in instructions. */
#define TRACE_MAX (1u << 20)
/** Rounds a partner must make after the victim's death, to have made progress. */
#define PARTNER_ROUNDS 64u
/** Longest that a victim may need to its point. */
#define STEP_MS 120000u
/**
 * Longest operations swept at every instruction by CRASH_DEEP; beside a partner every step is
 * really made.
 */
#define DEEP_MAX      8000u
#define DEEP_BUSY_MAX 1000u
/** Points of a sample. */
#define SAMPLE_POINTS 100u

struct crash_limits crash_limits = {.phase_ms = 5000, .faults_max = 8, .hung_max = 3};

/** A signal told the driver to end: the scene is ended and everything removed first. */
static volatile sig_atomic_t interrupted;

enum phase {
	PHASE_SETUP = 0,
	PHASE_PREPARE,
	PHASE_STEP,
	PHASE_PARTNER,
	PHASE_SURVIVE,
	PHASE_FINISH,
	PHASE_AUDIT,
};

static const char *const phase_names[] = {
	[PHASE_SETUP] = "setting up",
	[PHASE_PREPARE] = "preparing the victim",
	[PHASE_STEP] = "stepping the victim",
	[PHASE_PARTNER] = "waiting for the partner's progress",
	[PHASE_SURVIVE] = "the survivor working on",
	[PHASE_FINISH] = "the victim going on after its stop",
	[PHASE_AUDIT] = "the audit",
};

/** What a scene is to do with its victim. */
struct plan {
	bool record;
	const struct step_trace *trace; /* NULL: count steps */
	uint32_t k;
};

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void
enter(struct crash_scene *s, enum phase phase)
{
	atomic_store(&s->shared->phase_since, now_ms());
	atomic_store(&s->shared->phase, phase);
}

void
crash_fault(struct crash_scene *s, enum crash_verdict verdict, const char *fmt, ...)
{
	uint32_t none = CRASH_OK;
	va_list ap;

	/* the first fault counts; others follow from it */
	if (atomic_compare_exchange_strong(&s->shared->verdict, &none, verdict)) {
		va_start(ap, fmt);
		vsnprintf(s->shared->message, sizeof(s->shared->message), fmt, ap);
		va_end(ap);
	}
	_exit(1);
}

/* ---- the processes of a scene ---- */

static pid_t victim_pid;

/*
 * The end mark, after the tracer has left. A child that the operation makes inherits a breakpoint
 * that stands in the text just then, and is not traced: it ends there.
 */
static void
on_trap(int sig)
{
	(void)sig;
	if (getpid() != victim_pid)
		_exit(1);
}

static void
call_op(void *arg)
{
	struct crash_scene *s = arg;

	s->c->op(s);
}

/** Every process of a scene ends with the one that made it. */
static void
tie(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
}

static pid_t
fork_victim(struct crash_scene *s, int go[2])
{
	pid_t parent = getpid(), pid = fork();
	char byte;

	if (pid != 0)
		return pid;
	tie(parent);
	/* after PTRACE_DETACH the end mark traps into the process itself */
	victim_pid = getpid();
	signal(SIGTRAP, on_trap);
	close(go[1]);
	if (read(go[0], &byte, 1) != 1)
		_exit(1);
	close(go[0]);
	if (step_traceme() != 0)
		crash_fault(s, CRASH_WRONG, "ptrace is not permitted here");
	if (s->c->prepare != NULL)
		s->c->prepare(s);
	step_window(call_op, s);
	if (s->c->finish != NULL)
		s->c->finish(s);
	_exit(0);
}

static pid_t
fork_partner(struct crash_scene *s, int go[2])
{
	pid_t parent = getpid(), pid = fork();
	uint64_t round = 0;
	char byte;

	if (pid != 0)
		return pid;
	tie(parent);
	close(go[1]);
	if (read(go[0], &byte, 1) != 1)
		_exit(1);
	close(go[0]);
	while (atomic_load(&s->shared->stop) == 0) {
		s->c->partner(s, round++);
		atomic_store(&s->shared->partner_rounds, round);
	}
	s->c->partner(s, UINT64_MAX);
	_exit(0);
}

/** A process of the survivor's that runs fn. */
static pid_t
fork_own(struct crash_scene *s, void (*fn)(struct crash_scene *s))
{
	pid_t parent = getpid(), pid = fork();

	if (pid == 0) {
		tie(parent);
		fn(s);
		_exit(0);
	}
	if (pid < 0)
		crash_fault(s, CRASH_WRONG, "fork: %s", strerror(errno));
	return pid;
}

static int
reap(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) != pid)
		;
	return status;
}

static void
reap_clean(struct crash_scene *s, pid_t pid, const char *who)
{
	int status = reap(pid);

	if (WIFSIGNALED(status))
		crash_fault(s, CRASH_WRONG, "%s crashed with signal %d", who, WTERMSIG(status));
	if (WEXITSTATUS(status) != 0)
		crash_fault(s, CRASH_WRONG, "%s ended with status %d", who, WEXITSTATUS(status));
}

void
crash_successor(struct crash_scene *s, void (*fn)(struct crash_scene *s))
{
	reap_clean(s, fork_own(s, fn), "the successor");
}

void
crash_casualty(struct crash_scene *s, void (*fn)(struct crash_scene *s))
{
	int status = reap(fork_own(s, fn));

	crash_check(s, WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void
await_rounds(struct crash_scene *s, uint64_t rounds)
{
	const struct timespec pause = {.tv_nsec = 20000};
	uint64_t to = atomic_load(&s->shared->partner_rounds) + rounds;

	/* bounded by the driver's limit on the phase */
	while (atomic_load(&s->shared->partner_rounds) < to &&
		atomic_load(&s->shared->verdict) == CRASH_OK)
		nanosleep(&pause, NULL);
}

static void
move_victim(struct crash_scene *s, pid_t victim, const struct plan *plan)
{
	const char *what = "the window was not met";
	int rc;

	/* a partner must have its turns */
	if (s->mode != CRASH_BUSY)
		step_first(victim, true);
	if (plan->record)
		rc = step_record(victim, (struct step_trace *)(uintptr_t)plan->trace, &what);
	else
		rc = step_to(victim, plan->trace, plan->k, &what);
	if (s->mode != CRASH_BUSY)
		step_first(victim, false);
	if (rc < 0)
		crash_fault(s, CRASH_WRONG, "%s", what);
	atomic_store(&s->shared->past_end, rc == 1);
}

/** The survivor: the whole life of one scene. */
static void
scene_main(struct crash_scene *s, const struct plan *plan)
{
	const struct crash_case *c = s->c;
	enum crash_how how = CRASH_KILLED;
	pid_t victim = -1, partner = -1;
	int go[2];

	if (pipe2(go, O_CLOEXEC) != 0)
		crash_fault(s, CRASH_WRONG, "no pipe");
	if (c->world != NULL)
		c->world(s);
	if (!c->fork_late)
		victim = fork_victim(s, go);
	if (s->mode == CRASH_BUSY && !plan->record)
		partner = fork_partner(s, go);
	if (c->setup != NULL)
		c->setup(s);
	if (c->fork_late)
		victim = fork_victim(s, go);
	enter(s, PHASE_PREPARE);
	close(go[0]);
	if (write(go[1], "gg", partner > 0 ? 2 : 1) < 0 || victim < 0)
		crash_fault(s, CRASH_WRONG, "the victim could not be started");
	if (step_begin(victim) != 0)
		crash_fault(s, CRASH_WRONG, "the victim ended before its operation");
	if (c->arrange != NULL)
		c->arrange(s);
	if (partner > 0)
		await_rounds(s, 4);
	enter(s, PHASE_STEP);
	move_victim(s, victim, plan);
	if (s->mode != CRASH_STOP) {
		kill(victim, SIGKILL);
		reap(victim);
	}
	if (partner > 0) {
		enter(s, PHASE_PARTNER);
		await_rounds(s, PARTNER_ROUNDS);
		atomic_store(&s->shared->stop, 1);
		reap_clean(s, partner, "the partner");
	}
	if (s->mode == CRASH_STOP) {
		how = CRASH_FINISHED;
		enter(s, PHASE_SURVIVE);
		if (c->survive != NULL)
			c->survive(s, CRASH_STOPPED);
		enter(s, PHASE_FINISH);
		step_release(victim);
		reap_clean(s, victim, "the victim");
	}
	enter(s, PHASE_SURVIVE);
	if (c->survive != NULL)
		c->survive(s, how);
	enter(s, PHASE_AUDIT);
	if (c->audit != NULL)
		c->audit(s, how);
	_exit(0);
}

/* ---- the driver ---- */

/**
 * Entries of the runtime folder but its lock; removes them too if told to. The last name is in
 * found.
 */
static unsigned int
folder_entries(const char *dir, bool remove, char *found, size_t len)
{
	struct dirent *e;
	unsigned int n = 0;
	DIR *d = opendir(dir);

	if (d == NULL)
		return 0;
	while ((e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (strcmp(e->d_name, ".lock") != 0) {
			n++;
			if (found != NULL)
				snprintf(found, len, "%s", e->d_name);
		}
		if (remove)
			unlinkat(dirfd(d), e->d_name, 0);
	}
	closedir(d);
	return n;
}

static unsigned int
phase_limit(uint32_t phase)
{
	return phase == PHASE_STEP ? STEP_MS : crash_limits.phase_ms;
}

/** Waits for the survivor; a phase that takes too long is a hang. */
static void
await_scene(struct crash_scene *s, pid_t pid)
{
	struct crash_shared *sh = s->shared;
	struct pollfd pfd = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
	uint32_t none = CRASH_OK;
	int status;

	for (;;) {
		uint32_t phase = atomic_load(&sh->phase);
		uint64_t end = atomic_load(&sh->phase_since) + phase_limit(phase);
		uint64_t now = now_ms();

		if (interrupted) {
			kill(pid, SIGKILL);
			break;
		}
		if (poll(&pfd, 1, end > now ? (int)(end - now) : 0) > 0)
			break;
		if (atomic_load(&sh->phase) != phase || now < end)
			continue;
		if (atomic_compare_exchange_strong(&sh->verdict, &none, CRASH_HUNG))
			snprintf(sh->message, sizeof(sh->message), "hung in %s for %u ms",
				phase_names[phase], phase_limit(phase));
		kill(pid, SIGKILL);
		break;
	}
	close(pfd.fd);
	while (waitpid(pid, &status, 0) != pid)
		;
	none = CRASH_OK;
	if ((WIFSIGNALED(status) || WEXITSTATUS(status) != 0) &&
		atomic_compare_exchange_strong(&sh->verdict, &none, CRASH_WRONG))
		snprintf(sh->message, sizeof(sh->message), "the survivor crashed (%s %d) in %s",
			WIFSIGNALED(status) ? "signal" : "status",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
			phase_names[atomic_load(&sh->phase)]);
}

static void
on_interrupt(int sig)
{
	(void)sig;
	interrupted = 1;
}

/** Sets what the signals that end a program do. */
static void
on_end(void (*handler)(int))
{
	const struct sigaction action = {.sa_handler = handler};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

/** Plays one scene and gives its verdict. */
static enum crash_verdict
play(struct crash_scene *s, const struct plan *plan)
{
	struct crash_shared *sh = s->shared;
	pid_t parent = getpid(), pid;
	char found[256] = "";
	unsigned int n;

	memset(sh, 0, sizeof(*sh));
	enter(s, PHASE_SETUP);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		tie(parent);
		on_end(SIG_DFL);
		scene_main(s, plan);
	}
	if (pid < 0) {
		snprintf(sh->message, sizeof(sh->message), "fork: %s", strerror(errno));
		return CRASH_WRONG;
	}
	await_scene(s, pid);
	n = folder_entries(s->dir, true, found, sizeof(found));
	if (n > s->c->leftovers && atomic_load(&sh->verdict) == CRASH_OK) {
		atomic_store(&sh->verdict, CRASH_WRONG);
		snprintf(sh->message, sizeof(sh->message),
			"%u entries left in the runtime folder, one is %.100s", n, found);
	}
	return (enum crash_verdict)atomic_load(&sh->verdict);
}

static void
account(struct crash_scene *s, enum crash_verdict verdict, const struct step_trace *trace,
	uint32_t k, struct crash_sum *sum)
{
	uint64_t figure = atomic_load(&s->shared->figure);
	char where[160] = "the end";

	sum->visited++;
	sum->verdicts[verdict]++;
	if (figure > sum->figure)
		sum->figure = figure;
	if (atomic_load(&s->shared->quarantined) > sum->quarantined)
		sum->quarantined = atomic_load(&s->shared->quarantined);
	if (verdict == CRASH_OK || sum->first[0] != '\0')
		return;
	if (k < trace->n)
		step_symbol(trace->rip[k], where, sizeof(where));
	snprintf(sum->first, sizeof(sum->first), "point %u, before %s: %s", k, where,
		s->shared->message);
}

static bool
enough(const struct crash_sum *sum)
{
	uint32_t faults = sum->visited - sum->verdicts[CRASH_OK];

	return interrupted || faults >= crash_limits.faults_max ||
	       sum->verdicts[CRASH_HUNG] >= crash_limits.hung_max;
}

static bool
passes_through(const struct step_trace *trace, const char *function)
{
	char name[128];

	for (uint32_t i = 0; i <= trace->n; i++)
		if (step_function(trace->rip[i], name, sizeof(name)) && strcmp(name, function) == 0)
			return true;
	return false;
}

static uint32_t
count_states(const struct step_trace *trace)
{
	uint32_t n = 0;

	for (uint32_t i = 1; i <= trace->n; i++)
		n += trace->mark[i] != 0;
	return n;
}

/** Is point k visited at this depth? */
static bool
wanted(const struct step_trace *trace, enum crash_depth depth, uint32_t k, uint32_t states)
{
	static uint32_t seen;
	uint32_t share;

	if (k == 0)
		seen = 0;
	if (depth == CRASH_EVERY || k == 0 || k == trace->n)
		return true;
	if (trace->mark[k] == 0)
		return false;
	if (depth == CRASH_DISTINCT || states <= SAMPLE_POINTS)
		return true;
	share = seen++ * SAMPLE_POINTS / states;
	return seen * SAMPLE_POINTS / states != share;
}

/** Visits the points of a recorded operation. */
static void
sweep_trace(struct crash_scene *s, const struct step_trace *trace, enum crash_depth depth,
	long only, struct crash_sum *sum)
{
	for (uint32_t k = 0; k <= trace->n; k++) {
		struct plan plan = {.trace = s->mode == CRASH_BUSY ? NULL : trace, .k = k};
		enum crash_verdict verdict;

		if (only >= 0 ? k != (uint32_t)only : !wanted(trace, depth, k, sum->states))
			continue;
		sum->points++;
		if (enough(sum))
			continue;
		verdict = play(s, &plan);
		if (verdict == CRASH_OK && plan.trace != NULL &&
			atomic_load(&s->shared->past_end) != 0) {
			/* this run took another way than the recorded one: count instead */
			plan.trace = NULL;
			verdict = play(s, &plan);
		}
		account(s, verdict, trace, k, sum);
	}
}

static int
sweep_in(struct crash_scene *s, struct step_trace *trace, enum crash_depth depth, long only,
	struct crash_sum *sum)
{
	struct plan record = {.record = true, .trace = trace};
	enum crash_mode mode = s->mode;
	enum crash_verdict verdict;

	s->mode = CRASH_KILL;
	verdict = play(s, &record);
	s->mode = mode;
	sum->instructions = trace->n;
	sum->states = count_states(trace);
	if (verdict != CRASH_OK && (trace->n == 0 || trace->overflow)) {
		snprintf(sum->first, sizeof(sum->first),
			"the whole operation could not be recorded: %s", s->shared->message);
		return -EINVAL;
	}
	if (s->c->through != NULL && !passes_through(trace, s->c->through)) {
		snprintf(sum->first, sizeof(sum->first),
			"the operation does not pass through %s(), as its case says it does",
			s->c->through);
		return -EINVAL;
	}
	if (depth == CRASH_DEEP)
		depth = trace->n <= (mode == CRASH_BUSY ? DEEP_BUSY_MAX : DEEP_MAX)
				? CRASH_EVERY
				: CRASH_DISTINCT;
	sum->depth = depth;
	sweep_trace(s, trace, depth, only, sum);
	return 0;
}

int
crash_sweep(const struct crash_case *c, enum crash_mode mode, enum crash_depth depth, long only,
	struct crash_sum *sum)
{
	struct crash_scene s = {.c = c, .arg = c->arg, .mode = mode};
	struct step_trace trace = {.capacity = TRACE_MAX};
	const size_t rip_size = TRACE_MAX * sizeof(*trace.rip);
	uint64_t began = now_ms();
	void *map;
	int rc;

	memset(sum, 0, sizeof(*sum));
	if (!step_possible())
		return -ENOSYS;
	snprintf(s.name, sizeof(s.name), "crash.%d", (int)getpid());
	snprintf(s.dir, sizeof(s.dir), "/dev/shm/slabio-crash-XXXXXX");
	if (mkdtemp(s.dir) == NULL)
		return -errno;
	setenv("SLABIO_RUNTIME_DIR", s.dir, 1);
	on_end(on_interrupt);
	/* the record is written by a survivor and read here */
	map = mmap(NULL, rip_size + TRACE_MAX + sizeof(struct step_trace), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	s.shared = mmap(
		NULL, sizeof(*s.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED || s.shared == MAP_FAILED) {
		rmdir(s.dir);
		return -ENOMEM;
	}
	s.user = s.shared->user;
	trace.rip = map;
	trace.mark = (uint8_t *)map + rip_size;
	*(struct step_trace *)(void *)((char *)map + rip_size + TRACE_MAX) = trace;
	rc = sweep_in(&s, (struct step_trace *)(void *)((char *)map + rip_size + TRACE_MAX), depth,
		only, sum);
	munmap(map, rip_size + TRACE_MAX + sizeof(struct step_trace));
	munmap(s.shared, sizeof(*s.shared));
	folder_entries(s.dir, true, NULL, 0);
	rmdir(s.dir);
	on_end(SIG_DFL);
	if (interrupted)
		rc = -EINTR;
	sum->seconds = (double)(now_ms() - began) / 1000;
	return rc;
}
