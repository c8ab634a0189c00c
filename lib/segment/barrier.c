/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Joining those whom the barrier reaches.
 *
 * The kernel sends the global expedited barrier to the CPUs whose run queue says that the address
 * space on it is registered. The run queue learns that when the CPU changes to another address
 * space, and when a process registers while its threads run there. Neither happens on a CPU that is
 * idle, or busy with a kernel thread, and still has the registering process's address space from
 * the last time one of its threads ran there: a thread of it that wakes up there finds nothing to
 * change, and no global barrier reaches it until a thread of another process has run on that CPU
 * (Linux, kernel/sched/membarrier.c: sync_runqueues_membarrier_state() visits current tasks only,
 * and membarrier_switch_mm() returns early for an address space that stays; seen on 6.18 in all of
 * 300 processes on a quiet machine). An application whose threads wait on their cores while it
 * makes its pools, which is what EAL's do, is that case.
 *
 * So after it registered a process sends a child, which has another address space, to every CPU
 * that it may run on itself. Whatever CPU the child was on has changed address spaces since, and
 * changes again before the process's next thread runs there, and then looks at what is registered.
 * The child makes system calls only. Where it gets no turn within a second, or cannot be had, the
 * process is not reached for certain and must fence. A CPU that the process was allowed to use once
 * and is not any more, such as by a cpuset that was narrowed and is widened again, is not visited.
 * After unshare(CLONE_NEWPID) the child is the new namespace's first process: join before.
 *
 * Deaths. Of the process: the kernel kills the child. Of the child: as if it got no turn. A child
 * of fork() inherits the registration before it runs anywhere, and needs no visit.
 *
 * The barrier on the process's own threads asks each CPU for the address space itself, and needs
 * none of this.
 */

#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "segment/barrier.h"
#include "segment/log.h"
#include "segment/segment_private.h"

#define MASK_BYTES 1024 /* 8192 CPUs, the most that Linux can be built for */

/* The child gets a turn on the next CPU within that time, and has been on all within that. */
#define TURN_NS UINT64_C(1000000000)
#define WALK_NS UINT64_C(5000000000)

/* newer than some headers; Linux 6.3 */
#define GET_REGISTRATIONS (1 << 9)

/* With the registry mutex held. */
static uint32_t joined; /* the epoch of the process that did: this one, or one that forked it */
static bool reached;

static long
membarrier(int command)
{
	return syscall(SYS_membarrier, command, 0, 0);
}

/* The child. */
static _Noreturn void
visit_all(_Atomic uint32_t *visited)
{
	unsigned char mask[MASK_BYTES];
	bool anywhere = false, refused = false;
	long bytes;

	syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	/* no socket of the process lives on in its child */
	syscall(SYS_close_range, 0, ~0u, 0);
	/* the kernel's answer is as long as its own masks */
	bytes = syscall(SYS_sched_getaffinity, 0, sizeof(mask), mask);
	for (long cpu = 0; cpu < bytes * 8; cpu++) {
		for (long i = 0; i < bytes; i++)
			mask[i] = 0;
		mask[cpu / 8] = (unsigned char)(1u << (cpu % 8));
		/* returns on that CPU; or EINVAL where this process may not run */
		if (syscall(SYS_sched_setaffinity, 0, (size_t)bytes, mask) == 0)
			anywhere = true;
		else if (errno != EINVAL)
			refused = true;
		atomic_fetch_add_explicit(visited, 1, memory_order_relaxed);
	}
	syscall(SYS_exit_group, anywhere && !refused ? 0 : 1);
	for (;;)
		__builtin_trap();
}

/*
 * A CPU that somebody's real-time thread never leaves has no time for the child's end either, so it
 * is moved to the one that this thread gives up by sleeping.
 */
static void
end_child(pid_t child)
{
	struct timespec nap = {.tv_nsec = 1000000};
	uint64_t began = sio_now_ns();
	cpu_set_t here;

	CPU_ZERO(&here);
	CPU_SET((unsigned int)sched_getcpu() % CPU_SETSIZE, &here);
	kill(child, SIGKILL);
	sched_setaffinity(child, sizeof(here), &here);
	while (waitpid(child, NULL, WNOHANG | __WALL) == 0 && sio_now_ns() - began < TURN_NS)
		nanosleep(&nap, NULL);
}

/* @return true if the child was on all CPUs */
static bool
child_ended_well(pid_t child, const _Atomic uint32_t *visited)
{
	struct timespec nap = {.tv_nsec = 20000};
	uint64_t began = sio_now_ns(), turn = began;
	uint32_t seen = 0, now;
	int status;
	pid_t ended;

	/* __WALL: the child's end is announced to nobody */
	while ((ended = waitpid(child, &status, WNOHANG | __WALL)) == 0) {
		now = atomic_load_explicit(visited, memory_order_relaxed);
		if (now != seen)
			turn = sio_now_ns();
		seen = now;
		if (sio_now_ns() - turn > TURN_NS || sio_now_ns() - began > WALK_NS) {
			end_child(child);
			return false;
		}
		nanosleep(&nap, NULL);
		if (nap.tv_nsec < 1000000)
			nap.tv_nsec *= 2;
	}
	return ended == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/*
 * Not fork(): no handlers of the application run, and no signal tells it of the end of a child that
 * is not its own.
 */
static bool
send_child(void)
{
	static const int raised[] = {SIGTRAP, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS};
	void *page = mmap(NULL, sizeof(_Atomic uint32_t), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	_Atomic uint32_t *visited = page;
	sigset_t all, before;
	bool done = false;
	pid_t child;

	if (page == MAP_FAILED)
		return false;
	sigfillset(&all);
	/*
	 * those that an instruction raises are not kept from whoever wants them, such as a tracer
	 */
	for (unsigned int i = 0; i < sizeof(raised) / sizeof(raised[0]); i++)
		sigdelset(&all, raised[i]);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	child = (pid_t)syscall(SYS_clone, 0, 0, 0, 0, 0);
	if (child == 0)
		visit_all(visited);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (child > 0)
		done = child_ended_well(child, visited);
	munmap(page, sizeof(*visited));
	return done;
}

static bool
inherited(void)
{
	long registered = membarrier(GET_REGISTRATIONS);

	return joined != 0 && reached && registered > 0 &&
	       (registered & MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) != 0 &&
	       (registered & MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) != 0;
}

bool
sio_barrier_join(void)
{
	int cancel;
	bool ret;

	/* this waits, and must not end with the mutex locked */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	if (sio__registry_lock() != 0) {
		pthread_setcancelstate(cancel, NULL);
		return false;
	}
	sio__epoch_start();
	if (joined != sio__epoch() && !inherited()) {
		reached = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0 &&
			  membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) == 0 && send_child();
		if (!reached)
			SIO_NOTICE(
				"barriers of other processes might not reach this one (a child "
				"that should have been on each CPU once was not, or membarrier(2) "
				"is refused): its operations pay for a fence");
	}
	joined = sio__epoch();
	ret = reached;
	sio__registry_unlock();
	pthread_setcancelstate(cancel, NULL);
	return ret;
}

bool
sio_barrier(void)
{
	return membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED) == 0;
}

bool
sio_barrier_own(void)
{
	return membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0;
}
