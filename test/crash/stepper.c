/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stepper.h"

#if defined(__x86_64__)

#define RANGES_MAX 64
/**
 * Of larger mappings the digest covers the beginning: what follows is payload, which the operations
 * do not touch.
 */
#define RANGE_BYTES_MAX (256ul << 10)
#define WATCHES_MAX	8
#define VDSO_SIZE	8192u

/* What was named by step_watch(). */
static struct iovec watches[WATCHES_MAX];
static unsigned int n_watches;

/*
 * Both marks are breakpoint instructions; after the first one the address is the beginning of the
 * window.
 */
extern const char crash_window_first[];
extern const char crash_window_last[];

bool
step_possible(void)
{
	return true;
}

int
step_traceme(void)
{
	return ptrace(PTRACE_TRACEME, 0, 0, 0) == 0 ? 0 : -errno;
}

/* one copy only: the marks are names in the assembly */
#ifdef __clang__
#define ONE_COPY __attribute__((noinline))
#else
#define ONE_COPY __attribute__((noinline, noclone))
#endif

ONE_COPY void
step_window(void (*fn)(void *arg), void *arg)
{
	__asm__ volatile("int3\n\t.globl crash_window_first\ncrash_window_first:" ::: "memory");
	fn(arg);
	__asm__ volatile(".globl crash_window_last\ncrash_window_last:\n\tint3" ::: "memory");
}

static uint64_t
rip_of(pid_t pid)
{
	return (uint64_t)ptrace(
		PTRACE_PEEKUSER, pid, (void *)offsetof(struct user_regs_struct, rip), 0);
}

static void
set_rip(pid_t pid, uint64_t rip)
{
	ptrace(PTRACE_POKEUSER, pid, (void *)offsetof(struct user_regs_struct, rip), (void *)rip);
}

/** Resumes and waits for the next SIGTRAP; other signals are handed on. */
static int
resume(pid_t pid, int request, const char **what)
{
	static char text[96];
	long sig = 0;

	for (;;) {
		int status;

		if (ptrace(request, pid, 0, (void *)sig) != 0 || waitpid(pid, &status, 0) != pid) {
			*what = "the victim cannot be traced";
			return -ESRCH;
		}
		if (WIFSIGNALED(status) || WIFEXITED(status)) {
			snprintf(text, sizeof(text),
				"the victim ended inside its operation (%s %d)",
				WIFSIGNALED(status) ? "signal" : "status",
				WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
			*what = text;
			return -ECHILD;
		}
		sig = WSTOPSIG(status);
		if (sig == SIGTRAP)
			return 0;
	}
}

int
step_begin(pid_t pid)
{
	const char *what;
	int status;

	/* the first stop is the mark itself; signals before it belong to the victim */
	for (;;) {
		if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
			return -ECHILD;
		if (WSTOPSIG(status) == SIGTRAP)
			break;
		if (ptrace(PTRACE_CONT, pid, 0, (void *)(long)WSTOPSIG(status)) != 0)
			return -ECHILD;
	}
	ptrace(PTRACE_SETOPTIONS, pid, 0, (void *)(long)PTRACE_O_EXITKILL);
	while (rip_of(pid) != (uint64_t)(uintptr_t)crash_window_first)
		if (resume(pid, PTRACE_CONT, &what) != 0)
			return -ECHILD;
	return 0;
}

void
step_watch(const void *addr, size_t len)
{
	if (n_watches < WATCHES_MAX && len > 0)
		watches[n_watches++] = (struct iovec){(void *)(uintptr_t)addr, len};
}

/** Adds what was named of a mapping. @return how many */
static unsigned int
watched_ranges(unsigned long from, unsigned long to, struct iovec *ranges, unsigned int room)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < n_watches && n < room; i++) {
		const unsigned long at = (unsigned long)watches[i].iov_base;

		if (at < from || at >= to)
			continue;
		ranges[n] = watches[i];
		if (ranges[n].iov_len > to - at)
			ranges[n].iov_len = to - at;
		if (ranges[n].iov_len > RANGE_BYTES_MAX)
			ranges[n].iov_len = RANGE_BYTES_MAX;
		n++;
	}
	return n;
}

/*
 * The kernel's code in every process: reads of the clock, which begin again when the clock was
 * moved on meanwhile. Looked at after each step, they would hardly ever end; they write nothing
 * shared.
 */
static bool
in_vdso(uint64_t address)
{
	const uint64_t vdso = getauxval(AT_SYSINFO_EHDR);

	return vdso != 0 && address - vdso < VDSO_SIZE;
}

/**
 * The writable shared mappings of a process, that of the record excepted: what it can leave behind.
 */
static unsigned int
shared_ranges(pid_t pid, const struct step_trace *trace, struct iovec *ranges)
{
	const uintptr_t record = (uintptr_t)trace->rip;
	unsigned int n = 0;
	char path[40], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	f = fopen(path, "re");
	if (f == NULL)
		return 0;
	while (fgets(line, sizeof(line), f) != NULL && n < RANGES_MAX) {
		unsigned long from, to;
		unsigned int watched;
		char perm[5];

		if (sscanf(line, "%lx-%lx %4s", &from, &to, perm) != 3 || perm[1] != 'w' ||
			perm[3] != 's' || (from <= record && record < to))
			continue;
		watched = to - from > RANGE_BYTES_MAX
				  ? watched_ranges(from, to, &ranges[n], RANGES_MAX - n)
				  : 0;
		n += watched;
		if (watched > 0)
			continue;
		ranges[n].iov_base = (void *)from;
		ranges[n++].iov_len = to - from < RANGE_BYTES_MAX ? to - from : RANGE_BYTES_MAX;
	}
	fclose(f);
	return n;
}

/** A digest of all shared memory of the victim. */
static uint64_t
digest(pid_t pid, const struct iovec *ranges, unsigned int n)
{
	static uint64_t copy[RANGE_BYTES_MAX / sizeof(uint64_t)];
	uint64_t h = 0x9e3779b97f4a7c15ull + n;

	for (unsigned int i = 0; i < n; i++) {
		struct iovec local = {copy, ranges[i].iov_len};
		ssize_t got = process_vm_readv(pid, &local, 1, &ranges[i], 1, 0);
		size_t words = got > 0 ? (size_t)got / sizeof(copy[0]) : 0;

		for (size_t w = 0; w < words; w++) {
			h = (h ^ copy[w]) * 0xd6e8feb86659fd93ull;
			h ^= h >> 32;
		}
	}
	return h;
}

void
step_first(pid_t pid, bool on)
{
	const struct sched_param param = {.sched_priority = on ? 1 : 0};
	const int policy = on ? SCHED_RR | SCHED_RESET_ON_FORK : SCHED_OTHER;

	if (sched_setscheduler(0, policy, &param) == 0)
		sched_setscheduler(pid, policy, &param);
}

int
step_record(pid_t pid, struct step_trace *trace, const char **what)
{
	const uint64_t last = (uint64_t)(uintptr_t)crash_window_last;
	struct iovec ranges[RANGES_MAX];
	unsigned int n_ranges = shared_ranges(pid, trace, ranges);
	uint64_t state = digest(pid, ranges, n_ranges);
	bool syscall_next = false;

	trace->n = 0;
	trace->overflow = false;
	for (;;) {
		uint64_t rip = rip_of(pid), now = state;
		uint8_t mark = 0;
		int rc;

		if (syscall_next) {
			mark |= STEP_SYSCALL;
			n_ranges = shared_ranges(pid, trace, ranges);
		}
		if (trace->n == 0 || !in_vdso(trace->rip[trace->n - 1]))
			now = digest(pid, ranges, n_ranges);
		if (now != state)
			mark |= STEP_CHANGED;
		state = now;
		trace->rip[trace->n] = rip;
		trace->mark[trace->n] = mark;
		if (rip == last)
			return 0;
		if (trace->n + 1 == trace->capacity) {
			trace->overflow = true;
			*what = "the operation is longer than the trace";
			return -ENOSPC;
		}
		trace->n++;
		errno = 0;
		/* 0f 05, the instruction syscall */
		syscall_next = (ptrace(PTRACE_PEEKTEXT, pid, (void *)rip, 0) & 0xffff) == 0x050f;
		rc = resume(pid, PTRACE_SINGLESTEP, what);
		if (rc != 0)
			return rc;
	}
}

static int
step_count(pid_t pid, uint32_t k, const char **what)
{
	const uint64_t last = (uint64_t)(uintptr_t)crash_window_last;

	while (k-- > 0) {
		int rc;

		if (rip_of(pid) == last)
			return 1;
		rc = resume(pid, PTRACE_SINGLESTEP, what);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/** Runs to the given arrival at an address, by a breakpoint there. The process stands elsewhere. */
static int
run_to(pid_t pid, uint64_t address, uint32_t arrivals, const char **what)
{
	const uint64_t end = (uint64_t)(uintptr_t)crash_window_last + 1;
	long text;

	errno = 0;
	text = ptrace(PTRACE_PEEKTEXT, pid, (void *)address, 0);
	if (errno != 0) {
		*what = "the text of the victim cannot be read";
		return -errno;
	}
	for (;;) {
		int rc;

		if (ptrace(PTRACE_POKETEXT, pid, (void *)address,
			    (void *)((text & ~0xffl) | 0xcc)) != 0) {
			*what = "the text of the victim cannot be written";
			return -errno;
		}
		rc = resume(pid, PTRACE_CONT, what);
		if (rc != 0)
			return rc;
		ptrace(PTRACE_POKETEXT, pid, (void *)address, (void *)text);
		if (rip_of(pid) != address + 1)
			return rip_of(pid) == end ? 1 : -EPROTO;
		set_rip(pid, address);
		if (--arrivals == 0)
			return 0;
		/* leave the address, all repetitions of a string instruction included */
		do {
			rc = resume(pid, PTRACE_SINGLESTEP, what);
			if (rc != 0)
				return rc;
		} while (rip_of(pid) == address);
	}
}

int
step_to(pid_t pid, const struct step_trace *trace, uint32_t k, const char **what)
{
	uint32_t arrivals = 0, extra = 0;
	uint64_t address;
	int rc;

	if (trace == NULL || k < 4)
		return step_count(pid, k, what);
	if (k >= trace->n) {
		rc = resume(pid, PTRACE_CONT, what);
		if (rc != 0)
			return rc;
		/* the end mark was executed; stand before it again */
		if (rip_of(pid) != (uint64_t)(uintptr_t)crash_window_last + 1)
			return -EPROTO;
		set_rip(pid, (uint64_t)(uintptr_t)crash_window_last);
		return 0;
	}
	while (extra < k && trace->rip[k - extra - 1] == trace->rip[k])
		extra++;
	address = trace->rip[k];
	/* arrivals after the beginning, where the process stands */
	for (uint32_t i = 1; i <= k - extra; i++)
		arrivals += trace->rip[i] == address && trace->rip[i - 1] != address;
	if (arrivals == 0 || 2 * arrivals + extra >= k)
		return step_count(pid, k, what);
	rc = 0;
	if (trace->rip[0] == address)
		rc = step_count(pid, 1, what);
	if (rc == 0)
		rc = run_to(pid, address, arrivals, what);
	return rc != 0 ? rc : step_count(pid, extra, what);
}

#else

bool
step_possible(void)
{
	return false;
}

void
step_watch(const void *addr, size_t len)
{
	(void)addr;
	(void)len;
}

void
step_first(pid_t pid, bool on)
{
	(void)pid;
	(void)on;
}

int
step_traceme(void)
{
	return -ENOSYS;
}

void
step_window(void (*fn)(void *arg), void *arg)
{
	fn(arg);
}

int
step_begin(pid_t pid)
{
	(void)pid;
	return -ENOSYS;
}

int
step_record(pid_t pid, struct step_trace *trace, const char **what)
{
	(void)pid;
	(void)trace;
	*what = "only x86-64 can be stepped";
	return -ENOSYS;
}

int
step_to(pid_t pid, const struct step_trace *trace, uint32_t k, const char **what)
{
	(void)pid;
	(void)trace;
	(void)k;
	*what = "only x86-64 can be stepped";
	return -ENOSYS;
}

#endif

void
step_release(pid_t pid)
{
	ptrace(PTRACE_DETACH, pid, 0, 0);
}
