/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef CRASH_MEMPOOL_SCENE_H
#define CRASH_MEMPOOL_SCENE_H

/**
 * @file
 * The scenes of pool_scene.h with a DPDK mempool on the ops "slab": the product's drivers, in
 * processes that EAL was initialised for.
 */

#include <rte_mempool.h>

#include "pool_scene.h"

/** What SLABIO_CONFIG is to say for these pools. */
extern const char mempool_scene_config[];

/** Objects are mbufs, of this much room for data behind the headroom; 0: plain objects. */
extern unsigned int mempool_scene_room;

extern const struct pool_ways mempool_ways;

/** This process's view of the mempool. */
extern struct rte_mempool *mempool_scene_mp;

/** Finds the mempool and does not use it yet. */
void mempool_scene_find(struct crash_scene *s);

/** The number of an object. */
uint32_t mempool_scene_handle(struct crash_scene *s, const void *object);

/** The object of a number. */
void *mempool_scene_object(uint32_t handle);

/** world(): EAL's memory, and a process that is to recover. */
void mempool_scene_world(struct crash_scene *s);

#endif /* CRASH_MEMPOOL_SCENE_H */
