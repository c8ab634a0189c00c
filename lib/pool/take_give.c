/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The data path: taking and giving, from the loaded magazine while it lasts.
 *
 * Invariant. Between enter and leave, a magazine whose word equals what the thread remembers of it is touched by
 * no other thread (steal.c says why).
 *
 * Writers. Count and handles of such a magazine: this thread, with plain stores.
 *
 * Orders. Take: the handles are read, then the smaller count is stored. Give: the handles are stored, then the
 * larger count. Release in both; partner: the acquire of the epoch by a thief, or of the word by who claims the
 * magazine from the depot.
 *
 * Deaths. Every prefix leaves each block either below the count, free, or with the dead, who uses it no more; none
 * in both places where it matters. Epoch odd keeps thieves away until recovery.
 *
 * Two magazines, loaded and previous, serve both directions: after an exchange at least a magazine's worth of
 * operations goes by before the next.
 */

#include <errno.h>
#include <string.h>
#include "pool/pool_private.h"

/** What the caller keeps its blocks as. */
enum kind {
	HANDLES,
	POINTERS,
};

static void
count_up(_Atomic uint64_t *counter)
{
	/* one writer: no lock prefix needed */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
		memory_order_relaxed);
}

/* Copies n handles out, the youngest, that is the last, first. */
static inline __attribute__((always_inline)) void
copy_out(struct sio_pool *pool, enum kind kind, void *to, const uint32_t *from, unsigned int n)
{
	if (kind == HANDLES) {
		uint32_t *handles = to;

		for (unsigned int i = 0; i < n; i++)
			handles[i] = from[n - 1 - i];
	} else {
		const struct sio_map *map = sio_map_now(pool);
		void **pointers = to;

		if (SIO_LIKELY(map->n_chunks == 1)) {
			uintptr_t base = map->chunk[0].base;
			uint64_t pitch = map->chunk[0].pitch;

			for (unsigned int i = 0; i < n; i++)
				pointers[i] = (void *)(base + from[n - 1 - i] * pitch);
		} else {
			for (unsigned int i = 0; i < n; i++)
				pointers[i] = sio_pool_addr(pool, from[n - 1 - i]);
		}
	}
}

/* Copies n blocks in as handles. @return false if one of them is not of this pool */
static inline __attribute__((always_inline)) bool
copy_in(struct sio_pool *pool, enum kind kind, uint32_t *to, const void *from, unsigned int n)
{
	uint32_t bad = 0;

	if (kind == HANDLES) {
		const uint32_t *handles = from;
		uint32_t limit = pool->n_blocks;

		for (unsigned int i = 0; i < n; i++) {
			bad |= handles[i] >= limit;
			to[i] = handles[i];
		}
	} else {
		const struct sio_map *map = sio_map_now(pool);
		void *const *pointers = from;

		if (SIO_LIKELY(map->n_chunks == 1)) {
			for (unsigned int i = 0; i < n; i++) {
				to[i] = sio_map_chunk_find(&map->chunk[0], (uintptr_t)pointers[i]);
				bad |= to[i] == UINT32_MAX;
			}
		} else {
			for (unsigned int i = 0; i < n; i++)
				bad |= sio_pool_handle(pool, pointers[i], &to[i]) != 0;
		}
	}
	return bad == 0;
}

static inline void *
advance(enum kind kind, void *blocks, unsigned int n)
{
	return kind == HANDLES ? (void *)((uint32_t *)blocks + n) : (void *)((void **)blocks + n);
}

static inline const void *
advance_const(enum kind kind, const void *blocks, unsigned int n)
{
	return kind == HANDLES ? (const void *)((const uint32_t *)blocks + n)
			       : (const void *)((void *const *)blocks + n);
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

/*
 * Makes the loaded magazine one that fits: the previous one, an orphan that came back, one of the depot, or a
 * stolen one. Called and left inside; outside for a while when stealing, so that others can steal from this
 * thread and a stop there costs nobody.
 */
static __attribute__((noinline)) bool
exchange(struct sio_local *local, enum sio_want want)
{
	struct sio_slot found = {.mag = NULL}, swap;

	if (local->loaded.mag != NULL && !sio_slot_mine(&local->loaded))
		sio_orphan_add(local, &local->loaded);
	if (local->prev.mag != NULL && !sio_slot_mine(&local->prev))
		sio_orphan_add(local, &local->prev);
	if (slot_fits(local, &local->prev, want)) {
		swap = local->loaded;
		local->loaded = local->prev;
		local->prev = swap;
		return true;
	}
	if (local->shard != NULL)
		count_up(&local->shard->exchanges);
	if (!sio_orphan_readopt(local, want, &found) && !sio_depot_claim(local, want, &found)) {
		bool stolen;

		/* with room wanted, there is always a magazine in the depot (pool_layout.h): look again */
		if (want == SIO_WANT_ROOM)
			return false;
		shard_leave(local);
		stolen = sio_steal_round(local, &found);
		shard_enter(local);
		if (!stolen)
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
		copy_in(pool, kind, &mag->handles[count], blocks, k);
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
		copy_out(
			local->pool, kind, advance(kind, blocks, got), &mag->handles[count - k], k);
		atomic_store_explicit(&mag->count, count - k, memory_order_release);
		got += k;
	}
	return got;
}

static inline __attribute__((always_inline)) int
take_slow(struct sio_local *local, enum kind kind, void *blocks, unsigned int n)
{
	unsigned int got = take_inside(local, kind, blocks, n);

	if (got < n) {
		give_inside(local, kind, blocks, got);
		if (local->shard != NULL)
			count_up(&local->shard->failures);
	}
	leave(local);
	return got < n ? -ENOBUFS : 0;
}

static __attribute__((noinline)) int
take_slow_handles(struct sio_local *local, void *blocks, unsigned int n)
{
	return take_slow(local, HANDLES, blocks, n);
}

static __attribute__((noinline)) int
take_slow_pointers(struct sio_local *local, void *blocks, unsigned int n)
{
	return take_slow(local, POINTERS, blocks, n);
}

static inline __attribute__((always_inline)) int
take(struct sio_pool *pool, enum kind kind, void *blocks, unsigned int n)
{
	struct sio_local *local = sio_local_get(pool);

	if (SIO_UNLIKELY(n > pool->n_blocks))
		return -EINVAL;
	if (SIO_UNLIKELY(local == NULL))
		return -ENOMEM;
	shard_enter(local);
	if (SIO_LIKELY(sio_slot_mine(&local->loaded))) {
		struct sio_magazine *mag = local->loaded.mag;
		uint32_t count = sio_mag_count_now(mag);

		if (SIO_LIKELY(count >= n)) {
			copy_out(pool, kind, blocks, &mag->handles[count - n], n);
			atomic_store_explicit(&mag->count, count - n, memory_order_release);
			shard_leave(local);
			return 0;
		}
	}
	return kind == HANDLES ? take_slow_handles(local, blocks, n)
			       : take_slow_pointers(local, blocks, n);
}

static bool
all_ours(struct sio_pool *pool, enum kind kind, const void *blocks, unsigned int n)
{
	uint32_t scratch[64];

	while (n > 0) {
		unsigned int k = n < 64 ? n : 64;

		if (!copy_in(pool, kind, scratch, blocks, k))
			return false;
		blocks = advance_const(kind, blocks, k);
		n -= k;
	}
	return true;
}

static inline __attribute__((always_inline)) int
give_slow(struct sio_local *local, enum kind kind, const void *blocks, unsigned int n)
{
	if (!all_ours(local->pool, kind, blocks, n))
		return -EINVAL;
	shard_enter(local);
	give_inside(local, kind, blocks, n);
	leave(local);
	return 0;
}

static __attribute__((noinline)) int
give_slow_handles(struct sio_local *local, const void *blocks, unsigned int n)
{
	return give_slow(local, HANDLES, blocks, n);
}

static __attribute__((noinline)) int
give_slow_pointers(struct sio_local *local, const void *blocks, unsigned int n)
{
	return give_slow(local, POINTERS, blocks, n);
}

static inline __attribute__((always_inline)) int
give(struct sio_pool *pool, enum kind kind, const void *blocks, unsigned int n)
{
	struct sio_local *local = sio_local_get(pool);

	if (SIO_UNLIKELY(local == NULL))
		return -ENOMEM;
	shard_enter(local);
	if (SIO_LIKELY(sio_slot_mine(&local->loaded))) {
		struct sio_magazine *mag = local->loaded.mag;
		uint32_t count = sio_mag_count_now(mag);

		/* handles above the count are nobody's until the count covers them */
		if (SIO_LIKELY(n <= pool->magazine_size - count) &&
			SIO_LIKELY(copy_in(pool, kind, &mag->handles[count], blocks, n))) {
			atomic_store_explicit(&mag->count, count + n, memory_order_release);
			shard_leave(local);
			return 0;
		}
	}
	shard_leave(local);
	return kind == HANDLES ? give_slow_handles(local, blocks, n)
			       : give_slow_pointers(local, blocks, n);
}

int
sio_pool_take(struct sio_pool *pool, uint32_t *handles, unsigned int n)
{
	return take(pool, HANDLES, handles, n);
}

int
sio_pool_take_one(struct sio_pool *pool, uint32_t *handle)
{
	return take(pool, HANDLES, handle, 1);
}

int
sio_pool_take_ptr(struct sio_pool *pool, void **blocks, unsigned int n)
{
	return take(pool, POINTERS, blocks, n);
}

int
sio_pool_give(struct sio_pool *pool, const uint32_t *handles, unsigned int n)
{
	return give(pool, HANDLES, handles, n);
}

int
sio_pool_give_ptr(struct sio_pool *pool, void *const *blocks, unsigned int n)
{
	return give(pool, POINTERS, blocks, n);
}

void
sio_local_flush(struct sio_local *local)
{
	struct sio_slot found = {.mag = NULL};

	hand_back(local);
	while (sio_orphan_readopt(local, SIO_WANT_BLOCKS, &found))
		sio_depot_give(local, &found);
}

int
sio_pool_populate(struct sio_pool *pool, uint32_t first, uint32_t n)
{
	struct sio_local local;
	uint32_t handles[256];

	sio_local_init_hand(pool, &local, sio_segment_self(pool->seg));
	/* small chunks go on filling the magazine of the chunk before */
	sio_depot_claim_last(&local, SIO_WANT_ROOM, &local.loaded);
	while (n > 0) {
		uint32_t k = n < 256 ? n : 256;

		for (uint32_t i = 0; i < k; i++)
			handles[i] = first + i;
		give_inside(&local, HANDLES, handles, k);
		first += k;
		n -= k;
	}
	hand_back(&local);
	return 0;
}
