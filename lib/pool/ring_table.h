/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SIO_RING_TABLE_H
#define SIO_RING_TABLE_H

/**
 * @file
 * The numbers of the rings that carry an exact pool's blocks, and where these rings are found. For
 * the ring module and for recovery; doc/design/ownership.md, 6, has the states.
 */

#include "pool/pool_private.h"

/** This process's member name in the pool; a forked child joins first. @return 0 or -errno */
int sio__pool_self(struct sio_pool *pool, sio_member_t *self);

/**
 * Takes a number for a ring that this process is about to create: FREE -> MAKING -> NAMED.
 *
 * @return 0; -ENOSPC all max_rings numbers are in use (logged)
 */
int sio__ring_claim(
	struct sio_pool *pool, sio_member_t self, const char *name, uint64_t uid, uint32_t *number);
/** The ring was published: NAMED -> BOUND. */
void sio__ring_bound(struct sio_pool *pool, uint32_t number);
/** It could not be: NAMED -> FREE. */
void sio__ring_unclaim(struct sio_pool *pool, uint32_t number);
/** Whether roles in that ring may be taken. Called after the role was taken. */
bool sio__ring_open(struct sio_pool *pool, uint32_t number, uint64_t uid);
/** It is destroyed: BOUND -> ENDING. Called before the role is given back. */
void sio__ring_end(struct sio_pool *pool, uint32_t number);
/** Whether who leaves last has to close it. Called after the role was given back. */
bool sio__ring_ending(struct sio_pool *pool, uint32_t number, uint64_t uid);

static inline struct sio_ring_entry *
sio_ring_entry_of(struct sio_pool *pool, uint32_t number)
{
	return &pool->rings[number - 1];
}

/** word -> CLOSING(self). @return whether this call did it */
bool sio__ring_closing(struct sio_pool *pool, uint32_t number, uint64_t word, sio_member_t self);
/**
 * The blocks of a ring that this process has in CLOSING become free, and so does its number.
 *
 * @return blocks
 */
uint32_t sio__ring_close(struct sio_local *local, uint32_t number);
/** seq_cst: ring_table.c says why. */
static inline uint64_t
sio__ring_word(struct sio_pool *pool, uint32_t number)
{
	return atomic_load_explicit(&sio_ring_entry_of(pool, number)->word, memory_order_seq_cst);
}
/** CLOSING -> FREE, after no holder word has that number any more. */
void sio__ring_free(struct sio_pool *pool, uint32_t number);
/** An element that is published and not consumed. */
struct sio_queued {
	struct sio_rbuff *ring;
	uint32_t number;
	uint64_t position;
	uint32_t handle; /**< what it says; not checked */
};

/**
 * Calls fn for everything that is queued in the pool's rings: rbuff_look.c. For whatever is queued
 * from before the call until after it, fn is called.
 *
 * @return rings that are there and could not be looked at
 */
uint32_t sio__rings_look(
	struct sio_pool *pool, void (*fn)(void *arg, const struct sio_queued *queued), void *arg);
/** Such an fn: marks the block in a struct sio_recovery, as one that nobody has in hands. */
void sio__mark_queued(void *r, const struct sio_queued *queued);
/** During fn: the block's holder word names nobody who may have it there. */
bool sio__queued_wrong(struct sio_pool *pool, const struct sio_queued *queued);
/** Copies the name out. @return false if it is none */
bool sio__ring_name(struct sio_ring_entry *entry, char name[SIO_NAME_LEN]);

#endif /* SIO_RING_TABLE_H */
