/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The ring table of an exact pool.
 *
 * Invariant. While a holder word names a ring's number, that entry is not FREE and only one process
 * at a time can make it so: the one that it names in CLOSING.
 *
 * Writers. The word: compare-and-swap, see pool_layout.h. Name and uid: who has the entry in
 * MAKING, before the release of NAMED; partner: the acquire of the word by whoever reads them.
 *
 * Order. BOUND -> ENDING comes before its author gives its role back and looks at the other role;
 * who attaches takes a role and then looks at the word. All four are sequentially consistent, so
 * one of the two sees the other: no role is taken in a ring that is being closed.
 *
 * Deaths. MAKING: nothing but the entry. NAMED: a ring that was published or not; recovery looks
 * for it. ENDING: recovery closes it when both roles are free. CLOSING: recovery goes on.
 */

#include <errno.h>
#include <string.h>
#include "pool/ring_table.h"
#include "segment/log.h"

int
sio__pool_self(struct sio_pool *pool, sio_member_t *self)
{
	int ret = 0;

	*self = sio_segment_self(pool->seg);
	if (*self != SIO_MEMBER_NONE)
		return 0;
	if (pool->observe)
		return -EPERM;
	ret = sio_segment_rejoin(pool->seg);
	*self = sio_segment_self(pool->seg);
	return ret;
}

static bool
change(struct sio_ring_entry *entry, uint64_t from, uint64_t state, sio_member_t member)
{
	return atomic_compare_exchange_strong_explicit(&entry->word, &from,
		sio_ring_next(from, state, member), memory_order_seq_cst, memory_order_relaxed);
}

static uint64_t
word_now(struct sio_ring_entry *entry)
{
	return atomic_load_explicit(&entry->word, memory_order_seq_cst);
}

static void
name_write(struct sio_ring_entry *entry, const char *name, uint64_t uid)
{
	char bytes[SIO_NAME_LEN] = {0};
	uint64_t words[SIO_RING_NAME_WORDS];

	memcpy(bytes, name, strnlen(name, SIO_NAME_LEN - 1));
	memcpy(words, bytes, sizeof(words));
	for (unsigned int i = 0; i < SIO_RING_NAME_WORDS; i++)
		atomic_store_explicit(&entry->name[i], words[i], memory_order_relaxed);
	atomic_store_explicit(&entry->uid, uid, memory_order_relaxed);
}

bool
sio__ring_name(struct sio_ring_entry *entry, char name[SIO_NAME_LEN])
{
	uint64_t words[SIO_RING_NAME_WORDS];

	for (unsigned int i = 0; i < SIO_RING_NAME_WORDS; i++)
		words[i] = atomic_load_explicit(&entry->name[i], memory_order_relaxed);
	memcpy(name, words, SIO_NAME_LEN);
	return memchr(name, '\0', SIO_NAME_LEN) != NULL && sio_name_check(name) == 0;
}

int
sio__ring_claim(
	struct sio_pool *pool, sio_member_t self, const char *name, uint64_t uid, uint32_t *number)
{
	for (uint32_t n = 1; n <= pool->max_rings; n++) {
		struct sio_ring_entry *entry = sio_ring_entry_of(pool, n);
		uint64_t word = word_now(entry);

		if (sio_ring_state(word) != SIO_RING_FREE ||
			!change(entry, word, SIO_RING_MAKING, self))
			continue;
		name_write(entry, name, uid);
		/* nobody else changes what is in a living member's making */
		change(entry, word_now(entry), SIO_RING_NAMED, self);
		*number = n;
		return 0;
	}
	SIO_ERR("pool %s: all %u ring numbers are in use: expected fewer rings, or a larger "
		"max_rings when the pool is created",
		pool->hdr->name, pool->max_rings);
	return -ENOSPC;
}

void
sio__ring_bound(struct sio_pool *pool, uint32_t number)
{
	struct sio_ring_entry *entry = sio_ring_entry_of(pool, number);
	uint64_t word = word_now(entry);

	if (sio_ring_state(word) == SIO_RING_NAMED)
		change(entry, word, SIO_RING_BOUND, SIO_MEMBER_NONE);
}

void
sio__ring_unclaim(struct sio_pool *pool, uint32_t number)
{
	struct sio_ring_entry *entry = sio_ring_entry_of(pool, number);
	uint64_t word = word_now(entry);

	if (sio_ring_state(word) == SIO_RING_NAMED)
		change(entry, word, SIO_RING_FREE, SIO_MEMBER_NONE);
}

static bool
is(struct sio_pool *pool, uint32_t number, uint64_t uid)
{
	return number >= 1 && number <= pool->max_rings &&
	       atomic_load_explicit(&sio_ring_entry_of(pool, number)->uid, memory_order_relaxed) ==
		       uid;
}

bool
sio__ring_open(struct sio_pool *pool, uint32_t number, uint64_t uid)
{
	uint64_t state;

	if (number < 1 || number > pool->max_rings)
		return false;
	state = sio_ring_state(sio__ring_word(pool, number));
	return (state == SIO_RING_NAMED || state == SIO_RING_BOUND) && is(pool, number, uid);
}

void
sio__ring_end(struct sio_pool *pool, uint32_t number)
{
	struct sio_ring_entry *entry = sio_ring_entry_of(pool, number);
	uint64_t word = word_now(entry);

	/* NAMED: a creator that was stopped before it said BOUND does not mind */
	while (sio_ring_state(word) == SIO_RING_BOUND || sio_ring_state(word) == SIO_RING_NAMED) {
		if (change(entry, word, SIO_RING_ENDING, SIO_MEMBER_NONE))
			return;
		word = word_now(entry);
	}
}

bool
sio__ring_ending(struct sio_pool *pool, uint32_t number, uint64_t uid)
{
	return sio_ring_state(sio__ring_word(pool, number)) == SIO_RING_ENDING &&
	       is(pool, number, uid);
}

bool
sio__ring_closing(struct sio_pool *pool, uint32_t number, uint64_t word, sio_member_t self)
{
	return change(sio_ring_entry_of(pool, number), word, SIO_RING_CLOSING, self);
}

void
sio__ring_free(struct sio_pool *pool, uint32_t number)
{
	struct sio_ring_entry *entry = sio_ring_entry_of(pool, number);
	uint64_t word = word_now(entry);

	if (sio_ring_state(word) == SIO_RING_CLOSING)
		change(entry, word, SIO_RING_FREE, SIO_MEMBER_NONE);
}

uint32_t
sio__ring_close(struct sio_local *local, uint32_t number)
{
	struct sio_pool *pool = local->pool;
	uint32_t populated = atomic_load_explicit(&pool->hdr->populated, memory_order_acquire);
	uint32_t blocks = 0;

	for (uint32_t b = 0; b < populated && b < pool->n_blocks; b++) {
		uint64_t holder = atomic_load_explicit(&pool->holders[b], memory_order_relaxed);

		if ((holder & SIO_HOLDER_KIND_MASK) != SIO_HOLDER_RING ||
			sio_holder_number(holder) != number)
			continue;
		if (!atomic_compare_exchange_strong_explicit(&pool->holders[b], &holder,
			    SIO_HOLDER_MEMBER | local->member, memory_order_acq_rel,
			    memory_order_relaxed))
			continue;
		sio_local_give_one(local, b);
		blocks++;
	}
	sio_local_flush(local);
	sio__ring_free(pool, number);
	return blocks;
}
