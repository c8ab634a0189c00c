/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SOAK_H
#define SOAK_H

/**
 * @file
 * The soak: processes that pass the blocks of a pool on, all the time, while somebody kills,
 * aborts, stops and continues them at random. soak.c is that somebody and looks after each event
 * that every block is in one place; roles.c is what the processes do.
 *
 *     source -> ring 0 -> relay -> ring 1 -> sink      blocks through rings, in order
 *     giver  -> a queue of its own -> receiver         hand-over
 *     two that take and give, in bulks of all sizes
 *     one that recovers all the time
 */

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <slabio/pool.h>
#include <slabio/rbuff.h>

#define SOAK_BLOCKS   2048u
#define SOAK_MAGAZINE 16u
#define SOAK_HOLD     64u /**< blocks that one process has at most */
#define SOAK_QUEUE    64u

enum soak_role {
	SOAK_SOURCE = 0,
	SOAK_RELAY,
	SOAK_SINK,
	SOAK_GIVER,
	SOAK_RECEIVER,
	SOAK_TAKER,
	SOAK_TAKER2,
	SOAK_RECOVERER,
	SOAK_ROLES
};

/** The hand-over pair's queue: a one-to-one array of handles, entry 0 means empty. */
struct soak_queue {
	_Atomic uint32_t entry[SOAK_QUEUE]; /**< handle + 1 */
	_Atomic uint32_t receiver;	    /**< its member name, 0: none */
};

/** What all processes share outside of the library. */
struct soak_shared {
	_Atomic uint32_t pause; /**< a number that changes; odd: stand still */
	_Atomic uint32_t stop;
	/** by role: the last number of pause that the process stands still for */
	_Atomic uint32_t parked[SOAK_ROLES];
	_Atomic uint64_t rounds[SOAK_ROLES];
	/** by block: the process that was told that it is its own, see SOAK_OWNER() */
	_Atomic uint32_t owner[SOAK_BLOCKS];
	/**
	 * by role: processes of it up to this one are dead or about to be killed: others recover,
	 * so what they had can be anybody's
	 */
	_Atomic uint32_t doomed[SOAK_ROLES];
	_Atomic uint32_t doubled;
	_Atomic uint32_t wrong;
	_Atomic uint64_t passed; /**< blocks that came out of a ring or queue */
	char message[256];
	struct soak_queue queue;
};

/** A process: its role, and which one of that role it is, from 1 on. */
#define SOAK_OWNER(role, life) ((uint32_t)(life) << 4 | (uint32_t)(role))
#define SOAK_OWNER_ROLE(owner) ((owner)&15u)
#define SOAK_OWNER_LIFE(owner) ((owner) >> 4)

extern struct soak_shared *soak;
extern const char *const soak_role_names[SOAK_ROLES];

/** Names of the pool and of a ring. */
#define SOAK_POOL "soak"
const char *soak_ring_name(unsigned int i);

/** Reads all rings and the queue empty and gives the blocks back. @return exit status */
int soak_drain(void);

/** The body of a process: never returns but at the end. @return exit status */
int soak_role(enum soak_role role, uint32_t life, uint64_t seed);

#endif /* SOAK_H */
