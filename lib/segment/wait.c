/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <slabio/segment.h>

#define NS_PER_S UINT64_C(1000000000)

/*
 * The futex is a shared one: its key is the memory behind the word, so that processes that map a
 * segment at different addresses meet. The kernel compares and goes to sleep in one step, which is
 * what makes "write the word, then sio_wake()" free of lost wake-ups; the writer's store must come
 * before its sio_wake() in program order, and the system call orders them.
 */
int
sio_wait(const uint32_t *word, uint32_t value, uint64_t deadline_ns)
{
	struct timespec ts, *deadline = NULL;

	if (deadline_ns != SIO_FOREVER) {
		ts.tv_sec = (time_t)(deadline_ns / NS_PER_S);
		ts.tv_nsec = (long)(deadline_ns % NS_PER_S);
		deadline = &ts;
	}
	/* the bitset form takes an absolute time of CLOCK_MONOTONIC */
	if (syscall(SYS_futex, word, FUTEX_WAIT_BITSET, value, deadline, NULL,
		    FUTEX_BITSET_MATCH_ANY) < 0 &&
		errno == ETIMEDOUT)
		return -ETIMEDOUT;
	/* woken, another value, or a signal: the caller looks again */
	return 0;
}

void
sio_wake(const uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}
