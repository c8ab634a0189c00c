/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The depot: the magazines that nobody names, found through hints.
 *
 * Invariant. A magazine in DEPOT state has the count that its word says, its handles are final, and
 * nobody writes to either before a compare-and-swap of the word made the magazine its own.
 *
 * Writers. The word: compare-and-swap by anybody entitled (doc/design/ownership.md, 3). Count and
 * handles: whom the word names. Hint bits: anybody; they are never believed.
 *
 * Orders. Giving is a release, claiming an acquire: who claims sees the handles. A hint bit is
 * cleared before the claim and set after the give, so that a bit can be set without a magazine
 * behind it, but is missing only after a death between the two steps, or where who cleared it lost
 * the claim to another, which gave the magazine back meanwhile; the walk that follows dry hints finds
 * such magazines.
 *
 * Deaths. After a cleared bit: one hint lost, see above. After the claim: the magazine carries the
 * dead's name. After the give, before the bit: one hint lost.
 */

#include "pool/pool_private.h"
#include "segment/log.h"

static _Atomic uint64_t *
hint_word(const struct sio_pool *pool, unsigned int map, uint32_t m)
{
	return &pool->hints[map][m / 64];
}

static void
hint_set(const struct sio_pool *pool, unsigned int map, uint32_t m)
{
	/* relaxed: only a hint */
	atomic_fetch_or_explicit(hint_word(pool, map, m), 1ull << (m % 64), memory_order_relaxed);
}

static void
hint_clear(const struct sio_pool *pool, unsigned int map, uint32_t m)
{
	_Atomic uint64_t *word = hint_word(pool, map, m);

	if (atomic_load_explicit(word, memory_order_relaxed) & 1ull << (m % 64))
		atomic_fetch_and_explicit(word, ~(1ull << (m % 64)), memory_order_relaxed);
}

static void
top_raise(_Atomic uint32_t *top, uint32_t to)
{
	uint32_t now = atomic_load_explicit(top, memory_order_relaxed);

	while (now < to && !atomic_compare_exchange_weak_explicit(
				   top, &now, to, memory_order_relaxed, memory_order_relaxed))
		;
}

/* Whether what the word says fits what is wanted. */
static bool
word_fits(const struct sio_pool *pool, uint64_t word, enum sio_want want)
{
	if (sio_mag_state(word) != SIO_MAG_DEPOT)
		return false;
	return want == SIO_WANT_BLOCKS ? sio_mag_count(word) > 0
				       : sio_mag_count(word) < pool->magazine_size;
}

/* Who died while it dropped blocks from a magazine may have left one there twice. */
static bool
kept_already(const struct sio_pool *pool, struct sio_magazine *mag, uint32_t kept, uint32_t handle)
{
	for (uint32_t i = 0; i < kept; i++)
		if (sio_entry_handle(pool, mag, i) == handle)
			return true;
	return false;
}

/*
 * Exact pools: takes over the blocks of a magazine whose blocks carry another member's name. The
 * holder word decides whose a block is: what is not that member's any more was taken by recovery,
 * and is dropped here. Only when all are taken over does the magazine say that its blocks carry
 * this member's name; killed before that, they carry one of the two, and whoever settles the
 * magazine accepts both.
 */
void
sio_take_over(struct sio_local *local, struct sio_magazine *mag, sio_member_t owner,
	const struct sio_dead *dead)
{
	struct sio_pool *pool = local->pool;
	uint32_t named = atomic_load_explicit(&mag->named, memory_order_relaxed);
	uint32_t count = sio_mag_count_now(mag), kept = 0;

	/* not believed, should another member have written it since it was checked */
	if (count > pool->magazine_size)
		count = pool->magazine_size;
	if (named == local->member && owner == local->member)
		return;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t handle = sio_entry_handle(pool, mag, i);
		uint64_t from;

		if (handle >= pool->n_blocks)
			continue;
		from = atomic_load_explicit(&pool->holders[handle], memory_order_relaxed);
		if (from != (SIO_HOLDER_MEMBER | named) && from != (SIO_HOLDER_MEMBER | owner) &&
			!sio_dead_holder(dead, from))
			continue;
		if ((dead != NULL || owner != named) && kept_already(pool, mag, kept, handle))
			continue;
		/*
		 * acquire: partner is the release of who had the block; release: for who takes it
		 * next
		 */
		if (atomic_compare_exchange_strong_explicit(&pool->holders[handle], &from,
			    SIO_HOLDER_MEMBER | local->member, memory_order_acq_rel,
			    memory_order_relaxed))
			sio_entry_move(pool, mag, kept++, i);
	}
	if (kept < count)
		SIO_NOTICE("pool %s: %u blocks of a magazine are somebody else's: taken by "
			   "recovery, or given back by a member that did not take them, which an "
			   "exact pool does not allow",
			pool->hdr->name, count - kept);
	atomic_store_explicit(&mag->count, kept, memory_order_release);
	atomic_store_explicit(&mag->named, local->member, memory_order_release);
}

static bool
claim(struct sio_local *local, uint32_t m, enum sio_want want, struct sio_slot *slot)
{
	struct sio_pool *pool = local->pool;
	struct sio_magazine *mag = sio_magazine_at(pool, m);
	uint64_t word = atomic_load_explicit(&mag->word, memory_order_relaxed);
	uint64_t mine;

	if (!word_fits(pool, word, want))
		return false;
	/* walks must reach it before anybody can have it */
	if (m >= atomic_load_explicit(&pool->hdr->magazines_top, memory_order_relaxed))
		top_raise(&pool->hdr->magazines_top, m + 1);
	hint_clear(pool, sio_mag_count(word) > 0 ? SIO_HINT_FULL : SIO_HINT_EMPTY, m);
	mine = sio_mag_next(word, local->owner, 0);
#if SIO_PLANTED(HINT_TRUSTED)
	/* two who followed the same hint both have the magazine */
	atomic_store_explicit(&mag->word, mine, memory_order_release);
#else
	if (!atomic_compare_exchange_strong_explicit(
		    &mag->word, &word, mine, memory_order_acquire, memory_order_relaxed))
		return false;
#endif
	*slot = (struct sio_slot){.mag = mag, .word = mine, .index = m};
	sio_count_check(pool, mag);
	if (pool->exact) {
		sio_take_over(local, mag, sio_mag_member(word), NULL);
		if (want == SIO_WANT_BLOCKS && sio_mag_count_now(mag) == 0) {
			sio_depot_give(local, slot);
			return false;
		}
	}
	return true;
}

static bool
claim_hinted(struct sio_local *local, unsigned int map, enum sio_want want, struct sio_slot *slot)
{
	struct sio_pool *pool = local->pool;
	uint32_t words = (pool->n_magazines + 63) / 64;
	/*
	 * full ones: begin where this thread found the last one, so that threads spread; empty
	 * ones: lowest first, so that the part of the magazines that walks must cover stays small
	 */
	uint32_t start = map == SIO_HINT_FULL ? local->walk / 64 % words : 0;

	for (uint32_t i = 0; i < words; i++) {
		uint32_t w = start + i < words ? start + i : start + i - words;
		uint64_t bits = atomic_load_explicit(&pool->hints[map][w], memory_order_relaxed);

		while (bits != 0) {
			uint32_t m = w * 64 + (uint32_t)__builtin_ctzll(bits);

			bits &= bits - 1;
			if (m < pool->n_magazines && claim(local, m, want, slot)) {
				local->walk = m;
				return true;
			}
		}
	}
	return false;
}

/* Every magazine ever used, hinted or not. */
static bool
claim_walk(struct sio_local *local, enum sio_want want, struct sio_slot *slot)
{
	struct sio_pool *pool = local->pool;
	uint32_t top = sio_magazines_top(pool);

	for (uint32_t m = 0; m < top; m++)
		if (claim(local, m, want, slot))
			return true;
	return false;
}

bool
sio_depot_claim_last(struct sio_local *local, enum sio_want want, struct sio_slot *slot)
{
	struct sio_pool *pool = local->pool;
	uint32_t last = atomic_load_explicit(&pool->hdr->last_given, memory_order_relaxed);

	return last < pool->n_magazines && claim(local, last, want, slot);
}

bool
sio_depot_claim_hinted(struct sio_local *local, struct sio_slot *slot)
{
	return sio_depot_claim_last(local, SIO_WANT_BLOCKS, slot) ||
	       claim_hinted(local, SIO_HINT_FULL, SIO_WANT_BLOCKS, slot);
}

bool
sio_depot_claim(struct sio_local *local, enum sio_want want, struct sio_slot *slot)
{
	if (want == SIO_WANT_ROOM)
		return claim_hinted(local, SIO_HINT_EMPTY, want, slot) ||
		       claim_walk(local, want, slot);
	return sio_depot_claim_hinted(local, slot) || claim_walk(local, want, slot);
}

/*
 * A thief has swapped its name in, or had. If it may still put the magazine back, its word is
 * marked, so that it cannot: then nobody ever puts back what no thread remembers. The thief's word
 * is told from another operation's by its shard and by its tag, which is the next one.
 */
bool
sio_slot_drop(struct sio_slot *slot)
{
	uint64_t word = atomic_load_explicit(&slot->mag->word, memory_order_acquire);
	uint64_t next_tag = ((slot->word >> SIO_MAG_TAG_SHIFT) + 1) & SIO_MAG_TAG_MASK;

	while (sio_mag_state(word) == SIO_MAG_HAND && sio_mag_count(word) == 0 &&
		sio_mag_shard(word) == sio_mag_shard(slot->word) &&
		word >> SIO_MAG_TAG_SHIFT == next_tag) {
		/*
		 * release: what this thread did to the magazine; partner: put_back() and
		 * sio_hand_change()
		 */
		if (atomic_compare_exchange_weak_explicit(&slot->mag->word, &word,
			    word | SIO_MAG_LET_GO, memory_order_acq_rel, memory_order_acquire))
			break;
	}
	if (word == slot->word)
		return false;
	slot->mag = NULL;
	return true;
}

/*
 * From HAND to what this operation wants. Nobody else changes the word, but for the owner that it
 * was swapped out of, once, to say that it let go.
 */
void
sio_hand_change(struct sio_slot *slot, uint64_t to)
{
	uint64_t word = slot->word;

	/* release: the handles; acquire: what an owner that let go did before */
	while (!atomic_compare_exchange_weak_explicit(
		       &slot->mag->word, &word, to, memory_order_acq_rel, memory_order_acquire) &&
		(word | SIO_MAG_LET_GO) == (slot->word | SIO_MAG_LET_GO))
		;
	slot->word = to;
}

void
sio_depot_give(struct sio_local *local, struct sio_slot *slot)
{
	struct sio_pool *pool = local->pool;
	struct sio_magazine *mag = slot->mag;
	uint32_t count = sio_mag_count_now(mag);
	uint64_t word = slot->word;
	uint64_t given = sio_mag_next(word, sio_mag_owner(SIO_MAG_DEPOT, 0, local->member), count);

	/*
	 * before the change: who reads the sum after this and finds nothing, has met this magazine
	 * on its way, and does not take the pool for dry, wherever this thread is stopped
	 */
	if (count > 0)
		sio_event(local);
	if (sio_mag_state(word) == SIO_MAG_HAND) {
		sio_hand_change(slot, given);
	} else {
		/* release: the handles; partner: the acquire in claim() */
		while (!atomic_compare_exchange_strong_explicit(
			&mag->word, &word, given, memory_order_release, memory_order_relaxed)) {
			if (sio_slot_drop(slot))
				return;
			/* it was put back in the meantime */
			word = slot->word;
		}
	}
	hint_set(pool, count > 0 ? SIO_HINT_FULL : SIO_HINT_EMPTY, slot->index);
	if (count > 0) {
		atomic_store_explicit(&pool->hdr->last_given, slot->index, memory_order_relaxed);
	}
	slot->mag = NULL;
}
