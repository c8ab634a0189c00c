/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef CRASH_RIVAL_H
#define CRASH_RIVAL_H

/**
 * @file
 * What the scenes on DPDK's own structures share: crash_rivals.c has those of mempools and the
 * table, rival_ring.c those of the ring.
 */

#include "harness.h"

#define RIVAL_OBJECTS	 32u
#define RIVAL_BURST	 4u
#define RIVAL_RING_BURST 8u
#define RIVAL_ROUNDS	 64u

/** One structure and one operation on it. */
struct rival {
	const char *ops;    /**< of a mempool; NULL: a ring */
	const char *name;   /**< of a ring's kind */
	unsigned int flags; /**< of the ring */
	bool one;	    /**< of a ring: one producer and one consumer at a time */
	bool out;	    /**< get or dequeue, else put or enqueue */
	bool recovers;	    /**< another process joins, which recovers */
};

/** Shared by the processes of a scene. */
struct rival_user {
	_Atomic uint32_t owner[RIVAL_OBJECTS];
	void *burst[RIVAL_BURST]; /**< what the victim gets or puts */
	_Atomic uint32_t told;	  /**< objects or elements of its operation, when it has returned */
	void *taken[RIVAL_RING_BURST]; /**< elements that it has dequeued, when it went on */
};

static inline const struct rival *
rival_of(struct crash_scene *s)
{
	return s->arg;
}

/** On: the survivor's calls return in time or it is hung. */
void rival_limit_time(struct crash_scene *s, bool on);

/** The functions of a ring's case. */
void rival_ring_setup(struct crash_scene *s);
void rival_ring_prepare(struct crash_scene *s);
void rival_ring_op(struct crash_scene *s);
void rival_ring_finish(struct crash_scene *s);
void rival_ring_survive(struct crash_scene *s, enum crash_how how);

#endif /* CRASH_RIVAL_H */
