/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef CRASH_POOL_SCENE_H
#define CRASH_POOL_SCENE_H

/**
 * @file
 * What the sweeps of pool operations have in common: a small pool, a record outside of the library
 * of who was told that a block is its own, and what a survivor tries and checks.
 */

#include <slabio/pool.h>
#include "harness.h"

#define BLOCKS	 24u
#define MAGAZINE 4u

/**
 * How the processes of a scene come to their pool and its blocks: through libslabio, or through
 * DPDK's mempools. Blocks are numbered 0 to BLOCKS - 1 in any case.
 */
struct pool_ways {
	/** Survivor: makes the pool of the scene. */
	void (*create)(struct crash_scene *s);
	/** Joins it by name, recovering nothing; not called by a victim that is forked late. */
	void (*attach)(struct crash_scene *s);
	/** Returns 0, all of n, or -ENOBUFS, or another negative errno. */
	int (*take)(struct crash_scene *s, uint32_t *handles, unsigned int n);
	void (*give)(struct crash_scene *s, const uint32_t *handles, unsigned int n);
	/** NULL: there is no such call. */
	void (*thread_end)(struct crash_scene *s);
	/** NULL: leaves by ending, and what is in its shard is brought back by recovery. */
	void (*leave)(struct crash_scene *s);
	void (*audit)(struct crash_scene *s, struct sio_audit_report *report);
	/** Survivor: lets somebody recover. */
	void (*recover)(struct crash_scene *s);
	void (*destroy)(struct crash_scene *s);
};

/** The ways that all scenes of this program go; libslabio's unless it is set. */
extern const struct pool_ways *pool_scene_ways;

/**
 * Who was told that a block is its own. Written after a take returned and before a give is called.
 */
enum owner {
	NOBODY = 0,
	SURVIVOR = 1,
	VICTIM = 2,
	PARTNER = 3,
};

struct pool_user {
	_Atomic uint32_t owner[BLOCKS];
};

/** One state that an operation begins in. */
struct pool_start {
	bool exact;
	bool same_map;		       /**< addresses cross, in memory that all map alike */
	unsigned int max_shards;       /**< 0: one for each process */
	unsigned int survivor_keeps;   /**< blocks the survivor holds all the time */
	unsigned int survivor_returns; /**< blocks it takes and gives back before, so that its shard
					  has them */
	unsigned int victim_takes;     /**< blocks the victim takes before its window, one by one */
	unsigned int victim_returns; /**< and of these, how many it gives back before its window */
	unsigned int n;		     /**< blocks of the operation */
	int expect;		     /**< result of the operation where nobody disturbs it */
	unsigned int contig_size;    /**< blocks of a run, of the region set aside; 0: none */
	unsigned int contig_runs;
};

/** A process's view: its pool and the blocks it holds. */
struct pool_view {
	struct sio_pool *pool;
	enum owner me;
	uint32_t held[BLOCKS];
	unsigned int n;
};

extern struct pool_view view;

/** Fills in the usual options of the pool of a scene. */
void pool_scene_opts(struct crash_scene *s, struct sio_pool_opts *opts);

/** Survivor: creates the pool, and brings itself to the start. */
void pool_scene_setup(struct crash_scene *s);

/** Victim: attaches and brings itself to the start. */
void pool_scene_prepare(struct crash_scene *s);

/** Attaches as a member and looks through the eyes of me. */
void view_attach(struct crash_scene *s, enum owner me);

/** Takes n blocks and writes them down. @return result of sio_pool_take() */
int view_take(struct crash_scene *s, unsigned int n);

/** Gives the last n held blocks back. */
void view_give(struct crash_scene *s, unsigned int n);

/** Takes one by one what can be had. @return how many */
unsigned int view_take_all(struct crash_scene *s);

/** Writes down that the process was told that a block is its own; doubled if it is another's. */
void view_own(struct crash_scene *s, uint32_t handle);

/** Writes down that the block is nobody's in particular: it is about to be given or passed on. */
void view_disown(struct crash_scene *s, uint32_t handle);

/** Blocks that are written down as that process's. */
unsigned int pool_scene_owned(struct crash_scene *s, enum owner who);

/** Who is dead owns nothing any more. */
void pool_scene_disown_all(struct crash_scene *s, enum owner who);

/** Survivor, holding nothing: every block is free, once. */
void pool_scene_all_free(struct crash_scene *s);

/** Victim in CRASH_STOP: goes on using the pool, gives everything back, leaves. */
void pool_scene_finish(struct crash_scene *s);

/** Partner: takes and gives without end. */
void pool_scene_partner(struct crash_scene *s, uint64_t round);

/** Survivor: takes down to the last block, works. */
void pool_scene_survive(struct crash_scene *s, enum crash_how how);

/** Survivor, holding nothing: recovers what the dead held, and checks that it is all there. */
void pool_scene_recover(struct crash_scene *s);

/** Survivor: gives everything back, audits, recovers if the victim is dead, removes the pool. */
void pool_scene_audit(struct crash_scene *s, enum crash_how how);

/* The victim is who recovers: it joins without doing so, recovers in its window, and leaves. */
void recoverer_prepare(struct crash_scene *s);
void recoverer_op(struct crash_scene *s);
void recoverer_finish(struct crash_scene *s);

#endif /* CRASH_POOL_SCENE_H */
