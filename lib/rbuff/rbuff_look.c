/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Looking at what lies in the rings of a pool, beside whoever works on them. Nothing is written.
 *
 * Invariant. An element that was read, and whose position is not consumed after that, is what was
 * written there: a line is not written anew while anything in it is still to be read.
 *
 * Orders. The element is read, then the consumed position with acquire; partner: r3 of the reader,
 * whose names in the holder words are seen by who sees a position consumed.
 */

#include <errno.h>
#include <slabio/pool.h>
#include "pool/ring_table.h"
#include "rbuff_private.h"

/* An entry whose word changes while its name is read is read again so often. */
#define TRIES 8

int
sio__rbuff_open_entry(struct sio_pool *pool, uint32_t number, uint64_t word, struct sio_rbuff **out)
{
	struct sio_ring_entry *entry = sio_ring_entry_of(pool, number);
	uint64_t uid = atomic_load_explicit(&entry->uid, memory_order_relaxed);
	char name[SIO_NAME_LEN];
	bool sane = sio__ring_name(entry, name);
	int rc;

	*out = NULL;
	if (sio__ring_word(pool, number) != word)
		return -EAGAIN;
	if (!sane)
		return -EPROTO;
	rc = sio_rbuff_attach(name, SIO_RBUFF_OBSERVER, out);
	if (rc == 0 && ((*out)->number != number || (*out)->uid != uid)) {
		sio_rbuff_detach(*out);
		*out = NULL;
		rc = -ENOENT;
	}
	return rc;
}

bool
sio__rbuff_each_queued(struct sio_rbuff *ring, rbuff_queued_fn fn, void *arg)
{
	struct sio_queued queued = {.ring = ring, .number = ring->number};
	uint64_t from = sio_rbuff_consumed(ring), to = sio_rbuff_published(ring);
	uint32_t element[4];

	/* a living reader moved on between the two looks; what it passed is not queued */
	if (to - from > ring->capacity)
		from = sio_rbuff_consumed(ring);
	if (to - from > ring->capacity)
		return (int64_t)(to - from) <= 0;
	for (queued.position = from; queued.position != to; queued.position++) {
		if (sio__rbuff_peek_queued(ring, queued.position, element) != 0 ||
			(int64_t)(sio_rbuff_consumed(ring) - queued.position) > 0)
			continue;
		queued.handle = element[0];
		fn(arg, &queued);
	}
	return true;
}

/* @return 0; -EAGAIN; -errno: it is there and cannot be looked at */
static int
look_at(struct sio_pool *pool, uint32_t number, rbuff_queued_fn fn, void *arg)
{
	uint64_t word = sio__ring_word(pool, number);
	struct sio_rbuff *ring;
	int rc;

	if (sio_ring_state(word) == SIO_RING_FREE || sio_ring_state(word) == SIO_RING_MAKING)
		return 0;
	rc = sio__rbuff_open_entry(pool, number, word, &ring);
	if (rc != 0)
		return rc == -ENOENT ? 0 : rc;
	rc = sio__rbuff_each_queued(ring, fn, arg) ? 0 : -EPROTO;
	sio_rbuff_detach(ring);
	return rc;
}

uint32_t
sio__rings_look(
	struct sio_pool *pool, void (*fn)(void *arg, const struct sio_queued *queued), void *arg)
{
	uint32_t missed = 0;

	for (uint32_t n = 1; n <= pool->max_rings; n++) {
		int rc = -EAGAIN;

		for (unsigned int try = 0; rc == -EAGAIN && try < TRIES; try++)
			rc = look_at(pool, n, fn, arg);
		missed += rc != 0;
	}
	return missed;
}

bool
sio__queued_wrong(struct sio_pool *pool, const struct sio_queued *queued)
{
	const struct rbuff_layout *shared = queued->ring->shared;
	const _Atomic uint64_t *reader = &shared->roles[SIO_RBUFF_CONSUMER];
	uint64_t role = atomic_load_explicit(reader, memory_order_acquire), holder;
	uint64_t state = sio_ring_state(sio__ring_word(pool, queued->number));

	if (queued->handle >= pool->n_blocks)
		return true;
	/* who recovers the reader's side, or closes the ring, has its name there for a moment */
	if ((role & RBUFF_ROLE_SETTLING) || state == SIO_RING_ENDING || state == SIO_RING_CLOSING)
		return false;
	holder = atomic_load_explicit(&pool->holders[queued->handle], memory_order_acquire);
	if (holder == sio_holder_ring(queued->number, queued->position) ||
		sio__rbuff_is_writer(shared, holder) ||
		(role != RBUFF_ROLE_NONE &&
			holder == (SIO_HOLDER_MEMBER | rbuff_role_pool_member(role))))
		return false;
	/* it was, unless the reader went on meanwhile */
	return atomic_load_explicit(reader, memory_order_acquire) == role &&
	       sio_rbuff_consumed(queued->ring) <= queued->position;
}
