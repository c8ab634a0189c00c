/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef CRASH_RING_SCENE_H
#define CRASH_RING_SCENE_H

/**
 * @file
 * What the sweeps over rings with an exact pool's blocks have in common. The pool is that of
 * pool_scene.h; its ring has 16 elements. Which block was written at which position is recorded
 * outside of the library, so that a reader tells order, repetition and garbage.
 */

#include <slabio/rbuff.h>
#include "pool_scene.h"

#define RING_CAPACITY 16u
#define RING_RECORD   64u

/** The part of a scene's memory that these sweeps use; the pool's comes first. */
struct ring_user {
	struct pool_user pool;
	_Atomic uint32_t written[RING_RECORD]; /**< by position: the block's handle + 1 */
	_Atomic uint64_t delivered;	       /**< positions below were delivered for certain */
	_Atomic uint64_t told; /**< writer: positions below were written for certain */
	/* hand-over: the application's own queue */
	_Atomic uint32_t queue[BLOCKS];
	_Atomic uint32_t queued;
	_Atomic uint32_t receiver;
};

/** The ring of the process, and the name of the scene's ring. */
extern struct sio_rbuff *ring;
const char *ring_name(struct crash_scene *s);

/** Creates the scene's ring. @return result */
int ring_try_create(struct crash_scene *s, uint32_t size, enum sio_rbuff_role role);

/** Attaches to it in the view's pool. */
void ring_attach(struct crash_scene *s, enum sio_rbuff_role role);

/** Takes up to n blocks, fewer if the pool has fewer, and writes them. @return how many went in */
unsigned int ring_write(struct crash_scene *s, unsigned int n, bool burst);

/** As a bulk write, published at once. */
unsigned int ring_write_whole(struct crash_scene *s, unsigned int n);

/** Reads up to n and holds them; checks order. @return how many */
unsigned int ring_read(struct crash_scene *s, unsigned int n, bool burst);

/** Recovers in the name of the view's process, and a second time, which changes nothing. */
struct sio_recover_report ring_recover(struct crash_scene *s);

#endif /* CRASH_RING_SCENE_H */
