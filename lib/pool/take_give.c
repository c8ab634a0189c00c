/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The data path: taking and giving, from the loaded magazine while it lasts.
 *
 * Invariant. Between enter and leave, a magazine whose word equals what the thread remembers of it
 * is touched by no other thread (steal.c says why).
 *
 * Writers. Count and handles of such a magazine: this thread, with plain stores.
 *
 * Orders. Take: the handles are read, then the smaller count is stored. Give: the handles are
 * stored, then the larger count. Release in both; partner: the acquire of the epoch by a thief, or
 * of the word by who claims the magazine from the depot.
 *
 * Deaths. Every prefix leaves each block either covered by the count, free, or with the dead, who
 * uses it no more; none in both places where it matters. Epoch odd keeps thieves away until
 * recovery.
 *
 * Two magazines, loaded and previous, serve both directions: after an exchange at least a
 * magazine's worth of operations goes by before the next.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "pool/pool_private.h"

/* Blocks that a take gathers from several magazines without asking for memory. */
#define SCRATCH 1024
/* Blocks of a give that are looked at together, in pools with a contiguous region. */
#define SIFTED 64

/** What the caller keeps its blocks as, and what the magazines hold. */
enum kind {
	HANDLES,	   /**< handles from handles: nothing to do but copy */
	POINTERS,	   /**< addresses from handles */
	ADDRESSES,	   /**< addresses from addresses: nothing to do but copy */
	HANDLES_FROM_WIDE, /**< handles from addresses */
};

/*
 * The dynamic linker chooses between what the compiler makes of it for CPUs with and without
 * vectors of 32 bytes. Not with sanitizers, whose run time is not there yet when it does, and not
 * with clang, some versions of which export such functions by another name.
 */
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) && \
	!defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
#define SIO_VECTOR_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define SIO_VECTOR_CLONES
#endif

/* Whether the caller's array is one of addresses. */
static inline bool
of_addresses(enum kind kind)
{
	return kind == POINTERS || kind == ADDRESSES;
}

static inline __attribute__((always_inline)) void
addresses_out(struct sio_pool *pool, void **to, const uint32_t *from, unsigned int n)
{
	const struct sio_map *map = sio_map_now(pool);

	if (SIO_LIKELY(map->n_chunks == 1)) {
		uintptr_t base = map->chunk[0].base;
		uint64_t pitch = map->chunk[0].pitch;

		for (unsigned int i = 0; i < n; i++)
			to[i] = (void *)(base + from[i] * pitch);
	} else {
		for (unsigned int i = 0; i < n; i++)
			to[i] = sio_pool_addr(pool, from[i]);
	}
}

/* Copies the first n entries of a magazine that has count blocks out. */
static inline __attribute__((always_inline)) void
copy_out(struct sio_pool *pool, enum kind kind, void *to, struct sio_magazine *mag, uint32_t count,
	unsigned int n)
{
	uint32_t at = sio_mag_first(pool->magazine_size, count);

	switch (kind) {
	case HANDLES:
		memcpy(to, &sio_mag_handles(mag)[at], n * sizeof(uint32_t));
		break;
	case ADDRESSES:
		sio_copy_addresses(to, &sio_mag_addresses(mag)[at], n);
		break;
	case POINTERS:
		addresses_out(pool, to, &sio_mag_handles(mag)[at], n);
		break;
	case HANDLES_FROM_WIDE:
		for (unsigned int i = 0; i < n; i++)
			((uint32_t *)to)[i] = sio_entry_handle(pool, mag, count - 1 - i);
		break;
	}
}

static inline __attribute__((always_inline)) bool
handles_in(struct sio_pool *pool, uint32_t *to, void *const *from, unsigned int n)
{
	const struct sio_map *map = sio_map_now(pool);
	uint32_t bad = 0;

	if (SIO_LIKELY(map->n_chunks == 1)) {
		/* a copy, which the stores to the magazine cannot change */
		const struct sio_map_chunk chunk = map->chunk[0];

		for (unsigned int i = 0; i < n; i++) {
			to[i] = sio_map_chunk_find(&chunk, (uintptr_t)from[i]);
			bad |= to[i] == UINT32_MAX;
		}
	} else {
		for (unsigned int i = 0; i < n; i++)
			bad |= sio_pool_handle(pool, from[i], &to[i]) != 0;
	}
	return bad == 0;
}

/* Handles below it have memory. */
static inline uint32_t
populated(const struct sio_pool *pool)
{
	return atomic_load_explicit(&pool->hdr->populated, memory_order_relaxed);
}

/* Whether n blocks of the caller are of this pool; where that is not found out while copying. */
static bool
all_ours(struct sio_pool *pool, enum kind kind, const void *from, unsigned int n)
{
	uint32_t handle, bad = 0;

	for (unsigned int i = 0; i < n; i++)
		bad |= of_addresses(kind)
			       ? sio_pool_handle(pool, ((void *const *)from)[i], &handle) != 0
			       : ((const uint32_t *)from)[i] >= populated(pool);
	return bad == 0;
}

/*
 * Copies n blocks into a magazine that has count, before those.
 *
 * @return false if one of them is not of this pool
 */
static inline __attribute__((always_inline)) bool
copy_in(struct sio_pool *pool, enum kind kind, struct sio_magazine *mag, uint32_t count,
	const void *from, unsigned int n)
{
	uint32_t at = sio_mag_first(pool->magazine_size, count + n);
	uint32_t bad = 0, limit = populated(pool);

	switch (kind) {
	case HANDLES:
		for (unsigned int i = 0; i < n; i++) {
			uint32_t handle = ((const uint32_t *)from)[i];

			bad |= handle >= limit;
			sio_mag_handles(mag)[at + i] = handle;
		}
		return bad == 0;
	case ADDRESSES:
		sio_copy_addresses(&sio_mag_addresses(mag)[at], from, n);
		return true;
	case POINTERS:
		return handles_in(pool, &sio_mag_handles(mag)[at], from, n);
	case HANDLES_FROM_WIDE:
		for (unsigned int i = 0; i < n; i++) {
			void *addr = sio_pool_addr(pool, ((const uint32_t *)from)[i]);

			bad |= addr == NULL;
			sio_mag_addresses(mag)[at + i] = addr;
		}
		return bad == 0;
	}
	return false;
}

static inline void *
advance(enum kind kind, void *blocks, unsigned int n)
{
	return of_addresses(kind) ? (void *)((void **)blocks + n)
				  : (void *)((uint32_t *)blocks + n);
}

static inline const void *
advance_const(enum kind kind, const void *blocks, unsigned int n)
{
	return of_addresses(kind) ? (const void *)((void *const *)blocks + n)
				  : (const void *)((const uint32_t *)blocks + n);
}

static bool
slot_fits(const struct sio_local *local, const struct sio_slot *slot, enum sio_want want)
{
	uint32_t count;

	if (!sio_slot_mine(slot))
		return false;
	count = sio_mag_count_now(slot->mag);
	return want == SIO_WANT_BLOCKS ? count > 0 : count < local->pool->magazine_size;
}

/* A thief has swapped its name in. */
static void
drop_if_lost(struct sio_local *local, struct sio_slot *slot)
{
	if (slot->mag != NULL && !sio_slot_mine(slot) && sio_slot_drop(slot) &&
		local->shard != NULL)
		sio_count(&local->shard->lost, 1);
}

/*
 * Changes whenever others make that blocks can be had again. A thread that found the pool dry, with
 * nothing in motion, and reads the same sum as before it looked, need not look again: a dry pool
 * costs its callers a few reads. What the thread does itself it knows anyway.
 */
static uint64_t
events_sum(const struct sio_local *local)
{
	const struct sio_pool *pool = local->pool;
	uint32_t top = sio_shards_top(pool);
	uint64_t sum = atomic_load_explicit(&pool->hdr->events, memory_order_acquire);

	for (uint32_t s = 0; s < top; s++)
		if (&pool->shards[s] != local->shard)
			sum += atomic_load_explicit(
				&pool->shards[s].hot.given, memory_order_acquire);
	return sum - local->events;
}

/* What this thread has given back since ever, less what it has taken. */
static int64_t
own_balance(const struct sio_local *local)
{
	return (int64_t)(atomic_load_explicit(&local->hot->given, memory_order_relaxed) -
			 atomic_load_explicit(&local->hot->taken, memory_order_relaxed));
}

/* This thread found too few blocks, and goes by that, whatever others give. */
static bool
in_dry_time(const struct sio_local *local)
{
	return local->few && local->few_until != 0 && sio_now_ns() < local->few_until;
}

/*
 * In a dry time one operation may steal: there may have been enough for it, though not for the one
 * that began the time. Those after it must not, for who is stolen from has fewer blocks than it
 * goes by, and would steal them back.
 */
static bool
must_spare(const struct sio_local *local)
{
	return local->spent && in_dry_time(local);
}

/*
 * There were no more than that many free blocks, this thread's included, when sum was read: that
 * holds, but for its own balance, while the sum stays; and is gone by for the dry time anyway,
 * which finding fewer meanwhile does not prolong.
 */
static void
remember_few(struct sio_local *local, uint64_t sum, uint32_t met)
{
	if (local->pool->dry_ns == 0) {
		local->few_until = 0;
	} else if (!in_dry_time(local)) {
		local->few_until = sio_now_ns() + local->pool->dry_ns;
		local->spent = false;
	}
	local->few = true;
	local->few_sum = sum;
	local->few_met = (int64_t)met - own_balance(local);
}

/* Not more than that many were found, with others at work meanwhile: that holds for no sum. */
static void
remember_some(struct sio_local *local, uint32_t met)
{
	if (local->pool->dry_ns != 0)
		remember_few(local, UINT64_MAX, met);
}

/* No magazine with blocks in it is hinted at. */
static bool
depot_looks_dry(const struct sio_pool *pool)
{
	uint64_t bits = 0;

	for (uint32_t w = 0; w < (sio_magazines_top(pool) + 63) / 64; w++)
		bits |= atomic_load_explicit(&pool->hints[SIO_HINT_FULL][w], memory_order_relaxed);
	return bits == 0;
}

/* There are fewer than n free blocks, or were within the dry time. */
static bool
known_few(const struct sio_local *local, unsigned int n)
{
	return local->few && local->few_met + own_balance(local) < (int64_t)n &&
	       (in_dry_time(local) || local->few_sum == events_sum(local));
}

static uint32_t
slot_count(const struct sio_slot *slot)
{
	return sio_slot_mine(slot) ? sio_mag_count_now(slot->mag) : 0;
}

/* Whether this thread has fewer than n blocks. Says nothing of others: holds for its dry time only. */
static bool
too_few_own(struct sio_local *local, unsigned int n)
{
	uint32_t met = slot_count(&local->loaded) + slot_count(&local->prev);

	if (met >= n)
		return false;
	remember_some(local, met);
	return true;
}

/*
 * Whether all magazines together have fewer than n blocks: then nothing needs to be gathered to
 * find that out. Where blocks pass from a magazine not looked at yet to one that was, they were in
 * somebody's hands in between, and there were so few then.
 */
static bool
too_few(struct sio_local *local, unsigned int n)
{
	struct sio_pool *pool = local->pool;
	uint64_t sum = events_sum(local);
	uint32_t top = sio_magazines_top(pool), met = 0;

	if (!depot_looks_dry(pool))
		return false;
	if (local->sparing)
		return too_few_own(local, n);
	for (uint32_t m = 0; m < top && met < n; m++)
		met += sio_mag_count_now(sio_magazine_at(pool, m));
	if (met >= n)
		return false;
	remember_few(local, sum, met);
	return true;
}

/*
 * The depot is dry: looks once more, then into the other shards. Outside meanwhile, so that others
 * can steal from this thread, and a stop there costs nobody.
 */
static bool
search(struct sio_local *local, struct sio_slot *found)
{
	uint64_t sum = events_sum(local);
	bool stolen, surely_dry;

	/* what this thread gave to the depot since then is there, hinted at or not */
	if (local->dry && local->dry_sum == sum && local->dry_events == local->events)
		return false;
	local->dry = false;
	if (sio_depot_claim(local, SIO_WANT_BLOCKS, found))
		return true;
	if (local->sparing)
		return false;
	local->spent = true;
	shard_leave(local);
	stolen = sio_steal_round(local, SIO_WANT_BLOCKS, found, &surely_dry);
	shard_enter(local);
	local->dry = !stolen && surely_dry;
	local->dry_sum = sum;
	local->dry_events = local->events;
	return stolen;
}

/*
 * The depot has no room, which needs more threads without a shard than are counted on
 * (pool_layout.h).
 */
static bool
search_room(struct sio_local *local, struct sio_slot *found)
{
	bool stolen, surely_dry;

	shard_leave(local);
	stolen = sio_steal_round(local, SIO_WANT_ROOM, found, &surely_dry);
	shard_enter(local);
	return stolen;
}

/*
 * Makes the loaded magazine one that fits: the previous one, one of the depot, or a stolen one.
 * Called and left inside.
 */
static __attribute__((noinline)) bool
exchange(struct sio_local *local, enum sio_want want)
{
	struct sio_slot found = {.mag = NULL}, swap;

	drop_if_lost(local, &local->loaded);
	drop_if_lost(local, &local->prev);
	if (slot_fits(local, &local->prev, want)) {
		swap = local->loaded;
		local->loaded = local->prev;
		local->prev = swap;
		return true;
	}
	if (local->shard != NULL)
		sio_count(&local->shard->exchanges, 1);
	if (want == SIO_WANT_ROOM) {
		if (!sio_depot_claim(local, want, &found) && !search_room(local, &found))
			return false;
	} else if (!sio_depot_claim_hinted(local, &found) && !search(local, &found)) {
		return false;
	}
	if (local->prev.mag != NULL)
		sio_depot_give(local, &local->prev);
	local->prev = local->loaded;
	local->loaded = found;
	return true;
}

/* A thread without a shard keeps nothing between calls. */
static void
hand_back(struct sio_local *local)
{
	if (local->loaded.mag != NULL)
		sio_depot_give(local, &local->loaded);
	if (local->prev.mag != NULL)
		sio_depot_give(local, &local->prev);
}

static void
leave(struct sio_local *local)
{
	if (local->shard == NULL)
		hand_back(local);
	shard_leave(local);
	if (SIO_UNLIKELY(local->shard == NULL))
		sio_local_retry_shard(local);
}

/* Gives n blocks that are known to be of this pool. Inside. */
static void
give_inside(struct sio_local *local, enum kind kind, const void *blocks, unsigned int n)
{
	struct sio_pool *pool = local->pool;

	while (n > 0) {
		struct sio_magazine *mag;
		uint32_t count, k;

		if (!slot_fits(local, &local->loaded, SIO_WANT_ROOM)) {
			exchange(local, SIO_WANT_ROOM);
			continue;
		}
		mag = local->loaded.mag;
		count = sio_mag_count_now(mag);
		k = pool->magazine_size - count;
		if (k > n)
			k = n;
		copy_in(pool, kind, mag, count, blocks, k);
		atomic_store_explicit(&mag->count, count + k, memory_order_release);
		blocks = advance_const(kind, blocks, k);
		n -= k;
	}
}

/* Takes what it can get. Inside. @return how many */
static unsigned int
take_inside(struct sio_local *local, enum kind kind, void *blocks, unsigned int n)
{
	unsigned int got = 0;

	while (got < n) {
		struct sio_magazine *mag;
		uint32_t count, k;

		if (!slot_fits(local, &local->loaded, SIO_WANT_BLOCKS)) {
			if (!exchange(local, SIO_WANT_BLOCKS))
				break;
			continue;
		}
		mag = local->loaded.mag;
		count = sio_mag_count_now(mag);
		k = count < n - got ? count : n - got;
		copy_out(local->pool, kind, advance(kind, blocks, got), mag, count, k);
#if SIO_PLANTED(COUNTED_TWICE)
		/* the block that the count covers is in the magazine and in the caller's hands */
		if (k < count)
#endif
			atomic_store_explicit(&mag->count, count - k, memory_order_release);
		got += k;
	}
	return got;
}

/*
 * Takes blocks from several magazines, by way of a scratch array: a take that fails in the end must
 * not have written to the caller's, which can be the mempool library's cache, refilled in place.
 */
static __attribute__((noinline)) int
take_pieces(struct sio_local *local, enum kind kind, void *blocks, unsigned int n)
{
	void *scratch[SCRATCH];
	void *into = n <= SCRATCH ? scratch : malloc(n * sizeof(void *));
	unsigned int got;

	if (into == NULL)
		return -ENOMEM;
	got = take_inside(local, kind, into, n);
	if (got == n) {
		memcpy(blocks, into, n * (of_addresses(kind) ? sizeof(void *) : sizeof(uint32_t)));
		sio_count(&local->hot->taken, n);
	} else {
		if (local->dry)
			remember_few(local, local->dry_sum, got);
		else
			remember_some(local, got);
		give_inside(local, kind, into, got);
		/* others may have found the pool dry meanwhile */
		if (got > 0)
			sio_event(local);
	}
	if (into != scratch)
		free(into);
	return got < n ? -ENOBUFS : 0;
}

/** How many blocks there are in the two magazines, each looked at in this operation. */
struct in_two {
	uint32_t loaded, prev;
};

/*
 * Makes the loaded and the previous magazine hold n blocks together, so that they can be taken with
 * no way back. Inside. @return false if they do not
 */
static bool
n_in_two(struct sio_local *local, unsigned int n, struct in_two *two)
{
	for (;;) {
		two->loaded = slot_count(&local->loaded);
		two->prev = slot_count(&local->prev);
		if (two->loaded + two->prev >= n)
			return true;
		if ((two->loaded > 0 && two->prev > 0) || !exchange(local, SIO_WANT_BLOCKS))
			return false;
	}
}

/* All that n_in_two() looked at stays this thread's until it leaves. */
static void
take_two(struct sio_local *local, enum kind kind, void *blocks, unsigned int n,
	const struct in_two *two)
{
	unsigned int first = n < two->loaded ? n : two->loaded, rest = n - first;
	struct sio_slot swap;

	if (first > 0) {
		copy_out(local->pool, kind, blocks, local->loaded.mag, two->loaded, first);
		atomic_store_explicit(
			&local->loaded.mag->count, two->loaded - first, memory_order_release);
	}
	if (rest > 0) {
		copy_out(local->pool, kind, advance(kind, blocks, first), local->prev.mag,
			two->prev, rest);
		atomic_store_explicit(
			&local->prev.mag->count, two->prev - rest, memory_order_release);
		swap = local->loaded;
		local->loaded = local->prev;
		local->prev = swap;
	}
	sio_count(&local->hot->taken, n);
}

/* There may be n: exchanges, searches, gathers. */
static int
take_searching(struct sio_local *local, enum kind kind, void *blocks, unsigned int n)
{
	struct in_two two;

	local->sparing = must_spare(local);
	if (too_few(local, n))
		return -ENOBUFS;
	if (!n_in_two(local, n, &two))
		return take_pieces(local, kind, blocks, n);
	take_two(local, kind, blocks, n, &two);
	return 0;
}

static __attribute__((noinline)) int
take_slow(struct sio_local *local, enum kind kind, void *blocks, unsigned int n)
{
	int ret;

	if (n > local->pool->n_blocks)
		ret = -EINVAL;
	else if (known_few(local, n))
		ret = -ENOBUFS;
	else
		ret = take_searching(local, kind, blocks, n);
	if (ret == -ENOBUFS && local->shard != NULL)
		sio_count(&local->shard->failures, 1);
	leave(local);
	return ret;
}

/* A thread's first call. */
static __attribute__((noinline)) int
take_first(struct sio_pool *pool, enum kind kind, void *blocks, unsigned int n)
{
	struct sio_local *local = sio_local_attach(pool);

	if (local == NULL)
		return -ENOMEM;
	shard_enter(local);
	return take_slow(local, kind, blocks, n);
}

/* All calls of slow ways are in tail position, so that the fast way saves no registers. */
static inline __attribute__((always_inline)) int
take(struct sio_pool *pool, enum kind kind, void *blocks, unsigned int n)
{
	struct sio_local *local = sio_local_find(pool);
	uint32_t epoch;

	if (SIO_UNLIKELY(local == NULL))
		return take_first(pool, kind, blocks, n);
	if (kind == ADDRESSES && SIO_LIKELY(!local->fence))
		return SIO_LIKELY(sio_fast_take(local, blocks, n, false))
			       ? 0
			       : take_slow(local, kind, blocks, n);
	epoch = shard_enter(local);
	if (SIO_LIKELY(sio_slot_mine(&local->loaded))) {
		struct sio_magazine *mag = local->loaded.mag;
		uint32_t count = sio_mag_count_now(mag);

		if (SIO_LIKELY(count >= n)) {
			copy_out(pool, kind, blocks, mag, count, n);
			atomic_store_explicit(&mag->count, count - n, memory_order_release);
			sio_count(&local->hot->taken, n);
			shard_leave_from(local, epoch);
			return 0;
		}
	}
	return take_slow(local, kind, blocks, n);
}

static __attribute__((noinline)) int
give_slow(struct sio_local *local, enum kind kind, const void *blocks, unsigned int n)
{
	if (kind != ADDRESSES && !all_ours(local->pool, kind, blocks, n))
		return -EINVAL;
	shard_enter(local);
	give_inside(local, kind, blocks, n);
	sio_count(&local->hot->given, n);
	leave(local);
	return 0;
}

static __attribute__((noinline)) int
give_first(struct sio_pool *pool, enum kind kind, const void *blocks, unsigned int n)
{
	struct sio_local *local = sio_local_attach(pool);

	return local == NULL ? -ENOMEM : give_slow(local, kind, blocks, n);
}

static inline __attribute__((always_inline)) int
give(struct sio_pool *pool, enum kind kind, const void *blocks, unsigned int n)
{
	struct sio_local *local = sio_local_find(pool);
	uint32_t epoch;

	if (SIO_UNLIKELY(local == NULL))
		return give_first(pool, kind, blocks, n);
	if (kind == ADDRESSES && SIO_LIKELY(!local->fence))
		return SIO_LIKELY(sio_fast_give(local, blocks, n, false))
			       ? 0
			       : give_slow(local, kind, blocks, n);
	epoch = shard_enter(local);
	if (SIO_LIKELY(sio_slot_mine(&local->loaded))) {
		struct sio_magazine *mag = local->loaded.mag;
		uint32_t count = sio_mag_count_now(mag);

		/* entries before the first are nobody's until the count covers them */
		if (SIO_LIKELY(n <= local->magazine_size - count) &&
			SIO_LIKELY(copy_in(pool, kind, mag, count, blocks, n))) {
			atomic_store_explicit(&mag->count, count + n, memory_order_release);
			sio_count(&local->hot->given, n);
			shard_leave_from(local, epoch);
			return 0;
		}
	}
	shard_leave_from(local, epoch);
	return give_slow(local, kind, blocks, n);
}

int
sio_fast_take_slow(struct sio_local *local, void **blocks, unsigned int n)
{
	return take_slow(local, ADDRESSES, blocks, n);
}

int
sio_fast_give_slow(struct sio_local *local, void *const *blocks, unsigned int n)
{
	return give_slow(local, ADDRESSES, blocks, n);
}

/* The ways that compute handles or addresses, apart: they need registers that the others do not. */
static __attribute__((noinline)) int
take_computed(struct sio_pool *pool, void *blocks, unsigned int n)
{
	const struct sio_map *map = sio_map_now(pool);

	/* before a block is taken whose address cannot be told */
	if (map->n_chunks != map->announced)
		return -EOPNOTSUPP;
	return pool->wide ? take(pool, HANDLES_FROM_WIDE, blocks, n)
			  : take(pool, POINTERS, blocks, n);
}

/* The four ways, for where it is not the fastest that counts. */
static __attribute__((noinline)) int
give_any(struct sio_pool *pool, enum kind kind, const void *blocks, unsigned int n)
{
	switch (kind) {
	case HANDLES:
		return give(pool, HANDLES, blocks, n);
	case POINTERS:
		return give(pool, POINTERS, blocks, n);
	case ADDRESSES:
		return give(pool, ADDRESSES, blocks, n);
	case HANDLES_FROM_WIDE:
		return give(pool, HANDLES_FROM_WIDE, blocks, n);
	}
	return -EINVAL;
}

static uint32_t
handle_of(struct sio_pool *pool, enum kind kind, const void *blocks, unsigned int i)
{
	uint32_t handle;

	if (!of_addresses(kind))
		return ((const uint32_t *)blocks)[i];
	sio_pool_handle(pool, ((void *const *)blocks)[i], &handle);
	return handle;
}

/* Blocks that are not of the contiguous region, in the caller's form. */
struct others {
	union {
		uint32_t handle[SIFTED];
		void *address[SIFTED];
	};
	unsigned int n;
};

/* Up to SIFTED blocks, all of this pool: those of the region go there, the others to magazines. */
static int
give_sifted(struct sio_local *local, enum kind kind, const void *blocks, unsigned int n)
{
	struct sio_pool *pool = local->pool;
	struct sio_contig_batch batch = {.bits = 0};
	struct others others;
	int ret;

	others.n = 0;
	for (unsigned int i = 0; i < n; i++) {
		uint32_t handle = handle_of(pool, kind, blocks, i);

		if (sio_contig_is(pool, handle))
			sio__contig_give(pool, &batch, handle, local->member);
		else if (of_addresses(kind))
			others.address[others.n++] = ((void *const *)blocks)[i];
		else
			others.handle[others.n++] = handle;
	}
	sio__contig_flush(pool, &batch);
	ret = sio__contig_given(local, &batch);
	if (others.n > 0)
		give_any(pool, kind, others.handle, others.n);
	return ret;
}

/* Pools with a contiguous region. */
static __attribute__((noinline)) int
give_region(struct sio_pool *pool, enum kind kind, const void *blocks, unsigned int n)
{
	struct sio_local *local = sio_local_find(pool);
	int ret = 0, one;

	if (!all_ours(pool, kind, blocks, n))
		return -EINVAL;
	if (local == NULL)
		local = sio_local_attach(pool);
	if (local == NULL)
		return -ENOMEM;
	while (n > 0) {
		unsigned int k = n < SIFTED ? n : SIFTED;

		one = give_sifted(local, kind, blocks, k);
		ret = one != 0 ? one : ret;
		blocks = advance_const(kind, blocks, k);
		n -= k;
	}
	return ret;
}

static __attribute__((noinline)) int
give_pointers(struct sio_pool *pool, const void *blocks, unsigned int n)
{
	if (SIO_UNLIKELY(pool->cells != NULL))
		return give_region(pool, POINTERS, blocks, n);
	return give(pool, POINTERS, blocks, n);
}

static __attribute__((noinline)) int
give_handles(struct sio_pool *pool, const void *blocks, unsigned int n)
{
	if (SIO_UNLIKELY(pool->cells != NULL))
		return give_region(pool, pool->wide ? HANDLES_FROM_WIDE : HANDLES, blocks, n);
	return give(pool, HANDLES_FROM_WIDE, blocks, n);
}

static __attribute__((noinline)) int
give_checked(struct sio_pool *pool, const void *blocks, unsigned int n)
{
	if (pool->cells != NULL)
		return give_region(pool, ADDRESSES, blocks, n);
	if (!all_ours(pool, ADDRESSES, blocks, n))
		return -EINVAL;
	return give(pool, ADDRESSES, blocks, n);
}

void
sio_pool_set_dry_time(struct sio_pool *pool, uint32_t us)
{
	pool->dry_ns = us * UINT64_C(1000);
}

int
sio_pool_take(struct sio_pool *pool, uint32_t *handles, unsigned int n)
{
	return SIO_UNLIKELY(pool->wide) ? take_computed(pool, handles, n)
					: take(pool, HANDLES, handles, n);
}

int
sio_pool_take_one(struct sio_pool *pool, uint32_t *handle)
{
	return sio_pool_take(pool, handle, 1);
}

SIO_VECTOR_CLONES int
sio_pool_take_ptr(struct sio_pool *pool, void **blocks, unsigned int n)
{
	return SIO_LIKELY(pool->wide) ? take(pool, ADDRESSES, blocks, n)
				      : take_computed(pool, blocks, n);
}

int
sio_pool_give(struct sio_pool *pool, const uint32_t *handles, unsigned int n)
{
	return SIO_UNLIKELY(pool->give_apart) ? give_handles(pool, handles, n)
					      : give(pool, HANDLES, handles, n);
}

SIO_VECTOR_CLONES int
sio_pool_give_ptr(struct sio_pool *pool, void *const *blocks, unsigned int n)
{
	if (SIO_UNLIKELY(!pool->wide))
		return give_pointers(pool, blocks, n);
	if (SIO_UNLIKELY(pool->check))
		return give_checked(pool, blocks, n);
	return give(pool, ADDRESSES, blocks, n);
}

void
sio_local_give_one(struct sio_local *local, uint32_t handle)
{
	struct sio_pool *pool = local->pool;

	struct sio_contig_batch batch = {.bits = 0};

	if (pool->renew != NULL)
		pool->renew(sio_pool_addr(pool, handle), pool->renew_arg);
	if (pool->cells != NULL && sio_contig_is(pool, handle)) {
		sio__contig_give(pool, &batch, handle, local->member);
		sio__contig_flush(pool, &batch);
		sio__contig_given(local, &batch);
		return;
	}
	give_inside(local, pool->wide ? HANDLES_FROM_WIDE : HANDLES, &handle, 1);
}

void
sio_local_flush(struct sio_local *local)
{
	hand_back(local);
}

void
sio_pool_populate(struct sio_pool *pool, uint32_t first, uint32_t n, uintptr_t base, uint64_t pitch)
{
	struct sio_local local;
	uint32_t handles[256];
	void *addresses[256];

	sio_local_init_hand(pool, &local, sio_segment_self(pool->seg));
	/* small chunks go on filling the magazine of the chunk before */
	sio_depot_claim_last(&local, SIO_WANT_ROOM, &local.loaded);
	for (uint32_t done = 0, k; done < n; done += k) {
		k = n - done < 256 ? n - done : 256;
		for (uint32_t i = 0; i < k; i++) {
			handles[i] = first + done + i;
			addresses[i] = (void *)(base + (done + i) * pitch);
		}
		if (pool->wide)
			give_inside(&local, ADDRESSES, addresses, k);
		else
			give_inside(&local, HANDLES, handles, k);
	}
	hand_back(&local);
}
