/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef CRASH_STEPPER_H
#define CRASH_STEPPER_H

/**
 * @file
 * Moves a traced process through its window, one instruction at a time or straight to a point.
 *
 * A single step costs a trap of the processor and two switches of process, some 25 us on a virtual
 * machine, so a sweep that stepped to each of N points would take N * N / 2 of them. Instead the
 * operation is stepped through once and written down (the trace); a point is then reached by a
 * breakpoint at its address, passed as often as the trace says.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define STEP_CHANGED 0x1u /**< shared memory differs from the instruction before */
#define STEP_SYSCALL 0x2u /**< the instruction before was a system call */

/**
 * Addresses of the instructions about to be executed: rip[0] is the first of the window, rip[n] its
 * end.
 */
struct step_trace {
	uint32_t n;
	uint32_t capacity;
	bool overflow;
	uint64_t *rip;
	uint8_t *mark;
};

/** True if this machine can do it at all. */
bool step_possible(void);

/**
 * Tracer: of the large shared mapping that this memory lies in, the record looks at this and what
 * else was named, not at its beginning. For memory that the victim maps at the same address.
 */
void step_watch(const void *addr, size_t len);

/** Victim: lets its parent trace it. */
int step_traceme(void);

/** Victim: runs fn(arg) as the window; stops at the beginning and at the end of it. */
void step_window(void (*fn)(void *arg), void *arg);

/**
 * Waits until the victim stands at the beginning of its window. @return 0; -ECHILD it ended before
 */
int step_begin(pid_t pid);

/**
 * Steps through the whole window and writes it down. @return 0; -errno, then *what says what
 * happened
 */
int step_record(pid_t pid, struct step_trace *trace, const char **what);

/**
 * Brings the victim from the beginning of its window to where k instructions are executed.
 *
 * @param trace how to get there; NULL: count k steps
 * @return 0; 1 the window ended before; -errno, then *what says what happened
 */
int step_to(pid_t pid, const struct step_trace *trace, uint32_t k, const char **what);

/** Lets the victim run on, untraced. */
void step_release(pid_t pid);

/**
 * Tracer: it and the victim go before everybody else on the machine, or no more, as far as they
 * may. Where two processes take turns at each instruction, a machine that is busy makes each turn
 * wait for the end of somebody's time slice: a hundred times longer than the step takes.
 */
void step_first(pid_t pid, bool on);

/** Name and offset of the function at an address of this program, or where it lies otherwise. */
void step_symbol(uint64_t address, char *buf, size_t len);

/** Function name only, without the compiler's suffixes. False if there is none. */
bool step_function(uint64_t address, char *buf, size_t len);

#endif /* CRASH_STEPPER_H */
