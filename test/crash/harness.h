/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef CRASH_HARNESS_H
#define CRASH_HARNESS_H

/**
 * @file
 * The kill harness: ends a process after the k-th instruction of an operation, for every k, and
 * looks at what the others find. doc/design/kill-sweep.md says how it works and how to add an
 * operation.
 *
 * A case is swept scene by scene. A scene is three processes that begin afresh for each point:
 *
 *     driver ── forks ──▶ survivor ── forks ──▶ victim (and a partner, in CRASH_BUSY)
 *
 * The survivor traces the victim, stops it at the point, kills it (or leaves it stopped), works on,
 * and audits. The driver has a time limit on every phase of it: a survivor that waits for the
 * victim is a *hang*.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/** Bytes of memory shared by the processes of a scene outside the library under test. */
#define CRASH_USER_SIZE 16384

enum crash_mode {
	CRASH_KILL = 0, /**< SIGKILL at the point, everybody else at rest */
	CRASH_STOP = 1, /**< stopped at the point, others work, then it goes on to its end */
	CRASH_BUSY = 2, /**< SIGKILL at the point while a partner works all the time */
};

/** What has become of the victim when survive() and audit() are called. */
enum crash_how {
	CRASH_KILLED = 0,
	CRASH_STOPPED = 1,  /**< it stands inside the operation */
	CRASH_FINISHED = 2, /**< it was stopped, has gone on, and ended well */
};

enum crash_verdict {
	CRASH_OK = 0,
	CRASH_HUNG,    /**< somebody waited */
	CRASH_DOUBLED, /**< something has two owners, or was delivered twice */
	CRASH_LOST,    /**< something is nowhere, or was not delivered */
	CRASH_WRONG,   /**< any other fault */
	CRASH_VERDICTS
};

struct crash_case;

/** What the processes of one scene share. */
struct crash_shared {
	_Atomic uint32_t phase;
	_Atomic uint32_t verdict;
	_Atomic uint32_t stop; /**< the partner ends when it is set */
	_Atomic uint32_t partner_ready;
	_Atomic uint64_t partner_rounds;
	_Atomic uint64_t phase_since;
	/**
	 * Set by a case: the largest over all points is in the table, for example blocks missing.
	 */
	_Atomic uint64_t figure;
	/** Set by a case: blocks that are in quarantine in the end. */
	_Atomic uint64_t quarantined;
	_Atomic uint32_t past_end; /**< the window ended before the point */
	char message[256];
	_Alignas(64) unsigned char user[CRASH_USER_SIZE]; /**< zero at the start of each scene */
};

struct crash_scene {
	const struct crash_case *c;
	const void *arg; /**< of the case */
	enum crash_mode mode;
	struct crash_shared *shared;
	void *user;    /**< shared->user */
	char name[32]; /**< for the objects of this scene; one scene at a time uses it */
	char dir[128]; /**< the runtime folder of this sweep, empty at the start of each scene */
};

/** One operation in one state. Functions not needed are NULL. */
struct crash_case {
	const char *name;
	/**
	 * A function of which the operation must execute an instruction, to prove that it took that
	 * path.
	 */
	const char *through;
	const void *arg;
	/**
	 * Survivor, before it forks anybody: makes memory that all processes of the scene have at
	 * the same address, and processes of its own that come in later.
	 */
	void (*world)(struct crash_scene *s);
	/**
	 * Survivor: makes fresh objects. The victim was forked before, so it has inherited nothing.
	 */
	void (*setup)(struct crash_scene *s);
	/** Victim, before the window: attaches, fills, drains. */
	void (*prepare)(struct crash_scene *s);
	/** Survivor, when the victim stands before its operation. */
	void (*arrange)(struct crash_scene *s);
	/** Victim: the operation, every instruction of it. */
	void (*op)(struct crash_scene *s);
	/** Victim in CRASH_STOP, after the window: checks what it got, gives it back, leaves. */
	void (*finish)(struct crash_scene *s);
	/**
	 * Partner in CRASH_BUSY: called once to begin, with round 0, then again and again until
	 * told to stop, and once with UINT64_MAX at the end, to give everything back and leave.
	 */
	void (*partner)(struct crash_scene *s, uint64_t round);
	/** Survivor: uses the objects through their public calls. */
	void (*survive)(struct crash_scene *s, enum crash_how how);
	/**
	 * Survivor: looks at everything, then removes the objects. Not called for CRASH_STOPPED.
	 */
	void (*audit)(struct crash_scene *s, enum crash_how how);
	/** Fork the victim after setup(), so that it inherits the survivor's objects. */
	bool fork_late;
	/** Entries that the case may leave in the runtime folder after audit(). */
	unsigned int leftovers;
};

/** Which points a sweep visits. */
enum crash_depth {
	CRASH_EVERY = 0, /**< every instruction */
	CRASH_DISTINCT =
		1, /**< every instruction that changed shared memory, and every system call */
	CRASH_SAMPLE = 2, /**< as CRASH_DISTINCT, not more than some hundred, evenly spread */
	CRASH_DEEP = 3,	  /**< CRASH_EVERY where that takes minutes at most, else CRASH_DISTINCT */
	CRASH_NONE = 4,	  /**< no sweep at all */
};

/** Result of one sweep. */
struct crash_sum {
	uint32_t
		instructions; /**< of the whole operation, or steps of it for string instructions */
	enum crash_depth depth; /**< as it was swept, never CRASH_DEEP */
	uint32_t states;	/**< instructions that changed shared memory, and system calls */
	uint32_t points;	/**< points the sweep was to visit */
	uint32_t visited;	/**< points at which a victim was ended */
	uint32_t verdicts[CRASH_VERDICTS];
	uint64_t figure; /**< largest one set */
	uint64_t quarantined;
	double seconds;
	char first[480]; /**< the first fault: point, function, message */
};

/** Limits of all sweeps of this program. */
struct crash_limits {
	unsigned int phase_ms; /**< longest that survive(), audit() or finish() may take: longer is
				  a hang */
	unsigned int faults_max; /**< a sweep ends early at so many faults */
	unsigned int hung_max;	 /**< or at so many hangs, each of which costs phase_ms */
};

extern struct crash_limits crash_limits;

/**
 * Sweeps one case.
 *
 * @param depth  see there
 * @param only   one point, or -1 for all
 * @return 0, also with faults; -ENOSYS this machine cannot; -EINVAL the case does not do what it
 *         claims (a message is in sum->first)
 */
int crash_sweep(const struct crash_case *c, enum crash_mode mode, enum crash_depth depth, long only,
	struct crash_sum *sum);

/**
 * A row of a table of sweeps: a case, a mode, and the depth in the compact and in the full form.
 */
struct crash_row {
	const struct crash_case *c;
	enum crash_mode mode;
	enum crash_depth compact; /**< CRASH_NONE: left out */
	enum crash_depth full;
};

/**
 * Body of a sweep program: sweeps all rows, prints the table, and says what to do about faults.
 * With SLABIO_CRASH_FULL=1 in the environment it is the full form, else the compact one.
 *
 * Arguments: [-l] [-k POINT] [WORD]. WORD selects cases whose names contain it.
 *
 * @return exit status: 0, 1 with a fault, 77 if this machine cannot
 */
int crash_main(int argc, char **argv, const struct crash_row *rows, size_t n);

/** Ends the scene with a fault. Any process of it. */
void crash_fault(struct crash_scene *s, enum crash_verdict verdict, const char *fmt, ...)
	__attribute__((format(printf, 3, 4), noreturn));

/** Ends the scene as wrong unless the condition holds. */
#define crash_check(s, cond)                                                                     \
	do {                                                                                     \
		if (!(cond))                                                                     \
			crash_fault(                                                             \
				s, CRASH_WRONG, "%s:%d: not so: %s", __func__, __LINE__, #cond); \
	} while (0)

/** As crash_check(rc == 0), showing rc. */
#define crash_ok(s, call)                                                                         \
	do {                                                                                      \
		int rc_ = (call);                                                                 \
		if (rc_ != 0)                                                                     \
			crash_fault(s, CRASH_WRONG, "%s:%d: %d from %s", __func__, __LINE__, rc_, \
				#call);                                                           \
	} while (0)

/** Sets the scene's figure for the table. */
static inline void
crash_figure(struct crash_scene *s, uint64_t figure)
{
	atomic_store(&s->shared->figure, figure);
}

/**
 * Sets how many blocks of the scene are in quarantine; the largest over all points is in the table.
 */
static inline void
crash_quarantined(struct crash_scene *s, uint64_t n)
{
	atomic_store(&s->shared->quarantined, n);
}

/** Survivor: fn in a process that dies by SIGKILL in it, and is gone when this returns. */
void crash_casualty(struct crash_scene *s, void (*fn)(struct crash_scene *s));

/** Survivor: runs fn in a fresh process that comes after the victim, and waits for it. */
void crash_successor(struct crash_scene *s, void (*fn)(struct crash_scene *s));

#endif /* CRASH_HARNESS_H */
