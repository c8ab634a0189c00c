/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef CRASH_EAL_WORLD_H
#define CRASH_EAL_WORLD_H

/**
 * @file
 * EAL for scenes. It is initialised once; each scene gets a copy of all memory that EAL shares
 * between processes, at the same addresses, as it was after that. So what one scene leaves there
 * is not found by the next one, and the processes of a scene share it as a primary and its
 * secondaries do.
 */

#include "harness.h"

/**
 * Initialises EAL, then returns in a process with one thread that was forked from there, in which
 * crash_main() is to run. Does not return if that cannot be.
 *
 * @param config what SLABIO_CONFIG is to name, see the guide of the mempool driver
 * @param devices arguments of --vdev, up to a NULL; "%s" in one is the folder for its files
 * @param files makes files in that folder before EAL is initialised; may be NULL
 */
void eal_world_start(char **argv, const char *config, const char *const *devices,
	void (*files)(const char *dir));

/** Of this program's EAL. */
const char *eal_world_prefix(void);

/** The folder for files. */
const char *eal_world_dir(void);

/** The part of a case's world() that copies EAL's memory. */
void eal_world_copy(struct crash_scene *s);

/**
 * Survivor, in world(): forks a process that does nothing so far: one that comes later in the name
 * of another EAL process. Whatever it makes its own lives until the scene ends.
 */
void eal_heir_fork(struct crash_scene *s, void (*fn)(struct crash_scene *s));

/** Survivor: the heir runs its function now; waits for the end of it. */
void eal_heir_call(struct crash_scene *s);

#endif /* CRASH_EAL_WORLD_H */
