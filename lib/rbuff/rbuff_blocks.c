/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Rings that carry the blocks of an exact pool: their numbers, opening, ending. The data path is in
 * rbuff_io.c, what the dead leave in rbuff_settle.c, the protocol in doc/design/ownership.md, 6.
 */

#include <errno.h>
#include <stdlib.h>
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

	if (ring->number == 0 && (pool == NULL || !pool->exact))
		return 0;
	if (pool == NULL || !pool->exact || c->pool_uid != pool->hdr->uid || ring->number == 0 ||
		ring->number > pool->max_rings) {
		SIO_ERR("ring '%s' carries blocks of %s'%.63s': expected to be attached to with "
			"sio_rbuff_attach_blocks() and that pool, found %s",
			sio_segment_name(ring->seg), ring->number != 0 ? "the exact pool " : "",
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

/*
 * Before the producer's first element is published: who reads it finds the name. Of an empty ring
 * nobody looks at the others' any more: what they wrote was read, and who read it has consumed it.
 * Who died before an element of its own was published has left a name without a block.
 */
static void
writer_add(struct rbuff_layout *shared, sio_member_t name, bool empty)
{
	uint32_t at = SIO_RBUFF_WRITERS;

	for (uint32_t i = SIO_RBUFF_WRITERS; i-- > 0;) {
		uint32_t had = atomic_load_explicit(&shared->writers[i], memory_order_relaxed);

		if (had == name && !empty)
			return;
		if (empty && had != 0)
			atomic_store_explicit(&shared->writers[i], 0, memory_order_relaxed);
		if (empty || had == 0)
			at = i;
	}
	/* w2 is a release; partner: r1 */
	if (at < SIO_RBUFF_WRITERS)
		atomic_store_explicit(&shared->writers[at], name, memory_order_relaxed);
	else
		atomic_store_explicit(
			&shared->writers[0], SIO_RBUFF_WRITERS_MORE, memory_order_relaxed);
}

bool
sio__rbuff_is_writer(const struct rbuff_layout *shared, uint64_t holder)
{
	if (holder == 0 || (holder & SIO_HOLDER_KIND_MASK) != SIO_HOLDER_MEMBER)
		return false;
	for (uint32_t i = 0; i < SIO_RBUFF_WRITERS; i++) {
		uint32_t name = atomic_load_explicit(&shared->writers[i], memory_order_relaxed);

		if (name == holder || name == SIO_RBUFF_WRITERS_MORE)
			return true;
	}
	return false;
}

void
sio__rbuff_blocks_start(struct sio_rbuff *ring, bool empty)
{
	struct rbuff_side *side = ring->side;

	side->holders = ring->pool->holders;
	side->n_blocks = ring->pool->n_blocks;
	side->number = ring->number;
	side->me = SIO_HOLDER_MEMBER | ring->pool_self;
	side->shared = ring->shared;
	side->writer = UINT64_MAX;
	if (ring->role == SIO_RBUFF_PRODUCER)
		writer_add(ring->shared, ring->pool_self, empty);
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
		sio__ring_end(ring->pool, ring->number);
	else
		SIO_WARN("ring '%s' carries blocks: expected to be destroyed by who created it, or "
			 "attached with its pool; it stays",
			sio_segment_name(ring->seg));
}

/* True if the block was the ring's at that position, and is this process's now. */
static bool
unload_take(struct sio_rbuff *ring, struct sio_local *local, const struct sio_dead *dead,
	uint64_t position, uint32_t handle)
{
	uint64_t at = sio_holder_ring(ring->number, position);
	_Atomic uint64_t *holder;
	uint64_t had;

	if (handle >= local->pool->n_blocks)
		return false;
	holder = &local->pool->holders[handle];
	had = atomic_load_explicit(holder, memory_order_relaxed);
	if (had != at && !sio__rbuff_is_writer(ring->shared, had) && !sio_dead_holder(dead, had))
		return false;
	/* acquire: what the writer did; release: for who has it next */
	return atomic_compare_exchange_strong_explicit(holder, &had,
		SIO_HOLDER_MEMBER | local->member, memory_order_acq_rel, memory_order_relaxed);
}

static bool
was_given(const struct sio_pool *pool, const uint8_t *given, uint32_t handle)
{
	return given != NULL && handle < pool->n_blocks &&
	       (given[handle / 8] & 1u << handle % 8) != 0;
}

/*
 * As a reader does, one block at a time: its name, the consumed position, and only then given. So
 * who goes on after a death takes no block that was given already, which a living member that wrote
 * it once may have again. Within one call, of a block that was written twice, against the rule, the
 * names would not tell that, hence the map.
 */
uint32_t
sio__rbuff_unload(struct sio_rbuff *ring, struct sio_local *local, const struct sio_dead *dead)
{
	_Atomic uint64_t *consumed = &ring->shared->positions[SIO_RBUFF_CONSUMER].value;
	uint64_t from = sio_rbuff_consumed(ring), to = sio_rbuff_published(ring);
	uint32_t blocks = 0, element[4];
	uint8_t *given;

	if (to - from > ring->capacity)
		return 0;
	/* without memory it goes without */
	given = calloc(local->pool->n_blocks / 8 + 1, 1);
	for (uint64_t p = from; p != to; p++) {
		bool taken = sio__rbuff_peek_queued(ring, p, element) == 0 &&
			     !was_given(local->pool, given, element[0]) &&
			     unload_take(ring, local, dead, p, element[0]);

		/* release: the holder word; partner: who looks for what is queued */
		atomic_store_explicit(consumed, p + 1, memory_order_release);
		if (!taken)
			continue;
		sio_local_give_one(local, element[0]);
		if (given != NULL)
			given[element[0] / 8] |= (uint8_t)(1u << element[0] % 8);
		blocks++;
	}
	free(given);
	return blocks;
}

static void
close_if_last(struct sio_rbuff *ring)
{
	struct rbuff_layout *shared = ring->shared;
	uint32_t number = ring->number;
	uint64_t word = sio__ring_word(ring->pool, number);
	struct sio_local local;

	if (!sio__ring_ending(ring->pool, number, ring->uid) ||
		sio_ring_state(word) != SIO_RING_ENDING)
		return;
	/* seq_cst: after the own role was given back, see ring_table.c; a dead one is recovery's */
	for (int i = 0; i < 2; i++)
		if (atomic_load_explicit(&shared->roles[i], memory_order_seq_cst) !=
			RBUFF_ROLE_NONE)
			return;
	if (!sio__ring_closing(ring->pool, number, word, ring->pool_self))
		return;
	sio_local_init_hand(ring->pool, &local, ring->pool_self);
	sio__rbuff_unload(ring, &local, NULL);
	/* not before it is empty: recovery looks for what is queued under this name */
	sio_segment_unlink(ring->seg);
	sio__ring_close(&local, number);
}

void
sio__rbuff_blocks_leave(struct sio_rbuff *ring)
{
	if (opened_here(ring))
		close_if_last(ring);
	atomic_fetch_sub_explicit(&ring->pool->rings_attached, 1, memory_order_relaxed);
}
