/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Rings that carry the blocks of an exact pool: their numbers, opening, ending. The data path is in
 * rbuff_io.c, what the dead leave in rbuff_settle.c, the protocol in doc/design/ownership.md, 6.
 */

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <slabio/pool.h>
#include "pool/ring_table.h"
#include "rbuff_private.h"
#include "segment/log.h"

int
sio__rbuff_number_take(struct rbuff_constants *c, const struct sio_rbuff_opts *opts)
{
	struct sio_pool *pool = opts->carries;
	sio_member_t self;
	int rc;

	memcpy(c->pool, pool->hdr->name, SIO_NAME_LEN);
	if (!pool->exact)
		return 0;
	if (opts->name == NULL ||
		(opts->backing != SIO_BACKING_AUTO && opts->backing != SIO_BACKING_FILE)) {
		SIO_ERR("a ring with the blocks of the exact pool %s: expected a name and "
			"SIO_BACKING_FILE, since recovery has to find it after a death",
			pool->hdr->name);
		return -EINVAL;
	}
	rc = sio__pool_self(pool, &self);
	if (rc < 0)
		return rc;
	if (getrandom(&c->uid, sizeof(c->uid), 0) != (ssize_t)sizeof(c->uid))
		return -errno;
	c->pool_uid = pool->hdr->uid;
	return sio__ring_claim(pool, self, opts->name, c->uid, &c->number);
}

void
sio__rbuff_number_use(struct sio_pool *pool, uint32_t number, bool published)
{
	if (published)
		sio__ring_bound(pool, number);
	else
		sio__ring_unclaim(pool, number);
}

int
sio__rbuff_pool_set(struct sio_rbuff *ring, struct sio_pool *pool)
{
	const struct rbuff_constants *c = rbuff_constants(ring);
	int rc;

	if (c->number == 0 && (pool == NULL || !pool->exact))
		return 0;
	if (pool == NULL || !pool->exact || c->pool_uid != pool->hdr->uid || c->number == 0 ||
		c->number > pool->max_rings) {
		SIO_ERR("ring '%s' carries blocks of %s'%.63s': expected to be attached to with "
			"sio_rbuff_attach_blocks() and that pool, found %s",
			sio_segment_name(ring->seg), c->number != 0 ? "the exact pool " : "",
			c->pool, pool == NULL ? "none" : pool->hdr->name);
		return -EINVAL;
	}
	rc = sio__pool_self(pool, &ring->pool_self);
	if (rc < 0)
		return rc;
	ring->pool = pool;
	atomic_fetch_add_explicit(&pool->rings_attached, 1, memory_order_relaxed);
	return 0;
}

void
sio__rbuff_blocks_start(struct sio_rbuff *ring)
{
	struct rbuff_side *side = ring->side;

	side->holders = ring->pool->holders;
	side->n_blocks = ring->pool->n_blocks;
	side->number = rbuff_constants(ring)->number;
	side->me = SIO_HOLDER_MEMBER | ring->pool_self;
}

/* This process, and not one that it was forked from, opened the ring. */
static bool
opened_here(const struct sio_rbuff *ring)
{
	return ring->pool != NULL && sio_segment_self(ring->pool->seg) == ring->pool_self;
}

void
sio__rbuff_end(struct sio_rbuff *ring)
{
	if (opened_here(ring))
		sio__ring_end(ring->pool, rbuff_constants(ring)->number);
	else
		SIO_WARN("ring '%s' carries blocks: expected to be destroyed by who created it, or "
			 "attached with its pool; it stays",
			sio_segment_name(ring->seg));
}

static void
close_if_last(struct sio_rbuff *ring)
{
	struct rbuff_layout *shared = ring->shared;
	uint32_t number = rbuff_constants(ring)->number;
	uint64_t word = atomic_load_explicit(
		&sio_ring_entry_of(ring->pool, number)->word, memory_order_seq_cst);
	struct sio_local local;

	if (!sio__ring_ending(ring->pool, number, rbuff_constants(ring)->uid) ||
		sio_ring_state(word) != SIO_RING_ENDING)
		return;
	/* seq_cst: after the own role was given back, see ring_table.c; a dead one is recovery's */
	for (int i = 0; i < 2; i++)
		if (atomic_load_explicit(&shared->roles[i], memory_order_seq_cst) !=
			RBUFF_ROLE_NONE)
			return;
	if (!sio__ring_closing(ring->pool, number, word, ring->pool_self))
		return;
	sio_segment_unlink(ring->seg);
	sio_local_init_hand(ring->pool, &local, ring->pool_self);
	sio__ring_close(&local, number);
}

void
sio__rbuff_blocks_leave(struct sio_rbuff *ring)
{
	if (opened_here(ring))
		close_if_last(ring);
	atomic_fetch_sub_explicit(&ring->pool->rings_attached, 1, memory_order_relaxed);
}
