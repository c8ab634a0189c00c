/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SIO_POOL_PRIVATE_H
#define SIO_POOL_PRIVATE_H

/**
 * @file
 * What one process keeps of a pool, and the calls between the files of this folder:
 *
 *     pool.c       create, attach, publish, leave
 *     memory.c     where blocks are: handle to address and back
 *     local.c      threads and their shards
 *     depot.c      claiming and giving magazines
 *     steal.c      magazines of other shards
 *     take_give.c  the data path; its fastest part is in pool_fast.h
 *     contig.c     neighbours, from a region set aside
 *     info.c       counters and facts
 *     recover.c    what the dead held
 *     quarantine.c what they may have held, where that is not known
 *     hand_over.c  from member to member, by the application's own queues
 *     ring_table.c the rings that holder words name
 *     audit.c      walking everything
 */

#include <stdbool.h>
#include <pthread.h>
#include "pool/pool_fast.h"
#include "pool/pool_layout.h"

/** One stretch of blocks as it lies in this process. */
struct sio_map_chunk {
	uintptr_t base;
	uint64_t pitch;
	uint64_t inverse; /**< of the pitch's odd part, modulo 2^64 */
	uint32_t shift;	  /**< the pitch's zero bits at the end */
	uint64_t bytes;	  /**< n * pitch */
	uint32_t first;
	uint32_t n;
};

/** All stretches; never changed once it is visible, replaced when memory was added. */
struct sio_map {
	struct sio_map *older; /**< kept until detach: a thread may still look at it */
	uint32_t n_chunks;
	uint32_t announced;   /**< what the header said; more than n_chunks if some cannot be used
			       here */
	uint32_t *by_address; /**< indices of chunk[], by base */
	struct sio_map_chunk chunk[]; /**< by first handle */
};

struct sio_pool {
	struct sio_pool_hdr *hdr;
	uint8_t *magazines;
	uint32_t stride;
	uint32_t magazine_size;
	uint32_t n_magazines;
	uint32_t n_blocks;
	uint32_t max_shards;
	uint32_t lid; /**< number of this pool in this process */
	bool exact;
	bool wide;  /**< magazines hold addresses, see SIO_POOL_SAME_MAP */
	bool check; /**< every address given is looked at: SIO_POOL_CHECK, or a contiguous region */
	bool give_apart; /**< handles given go no straight way: addresses are kept, or a region */
	uint32_t cell_shift;
	bool observe;
	bool can_steal;
	bool must_fence;
	sio_renew_t renew; /**< NULL: none, see sio_pool_set_renew() */
	void *renew_arg;
	uint64_t dry_ns; /**< see sio_pool_set_dry_time() */
	struct sio_shard *shards;
	_Atomic uint64_t *hints[2]; /**< SIO_HINT_... */
	_Atomic uint64_t *holders;
	struct sio_chunk *chunks;
	struct sio_cell *cells;		 /**< NULL: no contiguous region */
	_Atomic uint32_t contig_refused; /**< takes of a size that cannot be had */
	struct sio_ring_entry *rings;
	uint32_t max_rings;
	_Atomic uint32_t rings_attached; /**< ends of rings with this pool's blocks, here */
	_Atomic bool used;		 /**< a thread of this process took or gave */
	struct sio_map *_Atomic map;
	struct sio_segment *seg;
	struct sio_segment *payload;
	pthread_mutex_t lock;	  /**< the map, and add_memory */
	struct sio_local *locals; /**< of all threads; under the process lock of local.c */
};

#define SIO_HINT_FULL  0 /**< in the depot with blocks */
#define SIO_HINT_EMPTY 1 /**< in the depot without */

static inline struct sio_magazine *
sio_magazine_at(const struct sio_pool *pool, uint32_t m)
{
	return (struct sio_magazine *)(void *)(pool->magazines + (size_t)m * pool->stride);
}

/** Handle of a magazine's entry, counted from the end; UINT32_MAX if it is of no block. */
static inline uint32_t
sio_entry_handle(const struct sio_pool *pool, struct sio_magazine *mag, uint32_t i)
{
	uint32_t handle, entry = sio_mag_first(pool->magazine_size, i + 1);

	if (!pool->wide)
		return __atomic_load_n(&sio_mag_handles(mag)[entry], __ATOMIC_RELAXED);
	sio_pool_handle(
		pool, __atomic_load_n(&sio_mag_addresses(mag)[entry], __ATOMIC_RELAXED), &handle);
	return handle;
}

/**
 * Another member wrote the count: one that cannot be is not believed. The handles are lost, the
 * memory beyond is not.
 */
static inline void
sio_count_check(const struct sio_pool *pool, struct sio_magazine *mag)
{
	if (SIO_UNLIKELY(
		    atomic_load_explicit(&mag->count, memory_order_relaxed) > pool->magazine_size))
		atomic_store_explicit(&mag->count, 0, memory_order_relaxed);
}

/** Bound of walks over the magazines: none at or above it was ever used. */
static inline uint32_t
sio_magazines_top(const struct sio_pool *pool)
{
	uint32_t top = atomic_load_explicit(&pool->hdr->magazines_top, memory_order_acquire);

	return SIO_LIKELY(top < pool->n_magazines) ? top : pool->n_magazines;
}

/** Bound of walks over the shards. */
static inline uint32_t
sio_shards_top(const struct sio_pool *pool)
{
	uint32_t top = atomic_load_explicit(&pool->hdr->shards_top, memory_order_acquire);

	return SIO_LIKELY(top < pool->max_shards) ? top : pool->max_shards;
}

/** Moves an entry within a magazine, both counted from the end. */
static inline void
sio_entry_move(const struct sio_pool *pool, struct sio_magazine *mag, uint32_t to, uint32_t from)
{
	to = sio_mag_first(pool->magazine_size, to + 1);
	from = sio_mag_first(pool->magazine_size, from + 1);
	if (pool->wide)
		sio_mag_addresses(mag)[to] = sio_mag_addresses(mag)[from];
	else
		sio_mag_handles(mag)[to] = sio_mag_handles(mag)[from];
}

/** Says that blocks can be had again; see struct sio_pool_hdr. */
static inline void
sio_event(struct sio_local *local)
{
	/* release: after what made it so; partner: events_sum() in take_give.c */
	atomic_fetch_add_explicit(&local->pool->hdr->events, 1, memory_order_release);
	local->events++;
}

static inline void
sio_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* ---- memory.c ---- */

const struct sio_map *sio_map_refresh(struct sio_pool *pool);
void sio_map_free(struct sio_pool *pool);

/** Where all blocks are that the caller can have met. */
static inline const struct sio_map *
sio_map_now(struct sio_pool *pool)
{
	/* acquire: partner is sio_map_refresh() */
	const struct sio_map *map = atomic_load_explicit(&pool->map, memory_order_acquire);

	/*
	 * memory is announced before its blocks are given, so who met the blocks sees the new
	 * number
	 */
	if (SIO_UNLIKELY(map->announced !=
			 atomic_load_explicit(&pool->hdr->n_chunks, memory_order_relaxed)))
		map = sio_map_refresh(pool);
	return map;
}

/**
 * Index of the block that starts at addr, or UINT32_MAX.
 *
 * Multiplying by the inverse of the pitch's odd part and rotating its zero bits out maps the 2^64
 * offsets one to one, and i * pitch to i. So a result below n comes from the offset of a block, and
 * from nothing else: neither from the middle of a block, nor from beyond the last, nor from an
 * address below base, which wraps.
 */
static inline uint32_t
sio_map_chunk_find(const struct sio_map_chunk *chunk, uintptr_t addr)
{
	uint64_t x = (addr - chunk->base) * chunk->inverse;
	uint64_t i = x >> chunk->shift | x << (-chunk->shift & 63);

	return SIO_LIKELY(i < chunk->n) ? chunk->first + (uint32_t)i : UINT32_MAX;
}

/* ---- local.c ---- */

/**
 * Makes the calling thread's view. @return NULL (logged) if there is no memory or a forked child
 * cannot join
 */
struct sio_local *sio_local_attach(struct sio_pool *pool);

/** The calling thread's view if it has one. */
static inline struct sio_local *
sio_local_find(const struct sio_pool *pool)
{
	return sio_tls->local[pool->lid];
}

/** Numbers the pool in this process. @return 0 or -ENFILE */
int sio_local_pool_add(struct sio_pool *pool);
/** Registers the process for the barrier. */
void sio_local_pool_ready(struct sio_pool *pool);
/** A thread without a shard looks for one now and then. */
void sio_local_retry_shard(struct sio_local *local);
/** Ends all threads' views of the pool in this process. */
void sio_local_pool_remove(struct sio_pool *pool);

/** Makes a view without a shard in the caller's memory. */
void sio_local_init_hand(struct sio_pool *pool, struct sio_local *local, sio_member_t self);

/* ---- take_give.c ---- */

/** Puts the blocks first to first + n - 1 into depot magazines. Creator only. */
void sio_pool_populate(
	struct sio_pool *pool, uint32_t first, uint32_t n, uintptr_t base, uint64_t pitch);
/**
 * Recovery: makes a block new where that is to be done, and gives it, by a view without a shard.
 */
void sio_local_give_one(struct sio_local *local, uint32_t handle);
/** Gives all magazines that the view remembers to the depot. Inside. */
void sio_local_flush(struct sio_local *local);

/* ---- depot.c ---- */

enum sio_want {
	SIO_WANT_BLOCKS, /**< at least one handle in it */
	SIO_WANT_ROOM,	 /**< room for at least one */
};

/** Claims a magazine from the depot for the thread. @return false if there is none */
bool sio_depot_claim(struct sio_local *local, enum sio_want want, struct sio_slot *slot);
/** Claims a magazine with blocks that hints lead to. */
bool sio_depot_claim_hinted(struct sio_local *local, struct sio_slot *slot);
/** Claims the magazine that was given with blocks last, if it fits. */
bool sio_depot_claim_last(struct sio_local *local, enum sio_want want, struct sio_slot *slot);
/** Gives the slot's magazine to the depot, unless a thief has it; empties the slot. */
void sio_depot_give(struct sio_local *local, struct sio_slot *slot);
/**
 * Lets go of a magazine that a thief has swapped out, for good: a thief that would put it back has
 * it now.
 *
 * @return false if it was put back in time: the slot stays as it is
 */
bool sio_slot_drop(struct sio_slot *slot);
/** Changes the word of a magazine in this operation's hand. */
void sio_hand_change(struct sio_slot *slot, uint64_t to);
/**
 * Members found dead at one time. Who joined or died later is not of them, whatever becomes of it.
 */
struct sio_dead {
	struct sio_pool *pool;
	/**
	 * By slot: the name there at that time, or the next one of a free slot; and whether its
	 * process was gone.
	 */
	sio_member_t name[SIO_MEMBERS_MAX];
	bool gone[SIO_MEMBERS_MAX];
};

/** True if a name is of a member that was dead then, or of an earlier generation of its slot. */
static inline bool
sio_dead_name(const struct sio_dead *dead, sio_member_t name)
{
	unsigned int slot = SIO_MEMBER_SLOT(name);
	int16_t later =
		(int16_t)(SIO_MEMBER_GENERATION(name) - SIO_MEMBER_GENERATION(dead->name[slot]));

	return name != SIO_MEMBER_NONE && (later < 0 || (later == 0 && dead->gone[slot]));
}

/** True if a holder word names a dead or stale member. */
static inline bool
sio_dead_holder(const struct sio_dead *dead, uint64_t holder)
{
	return dead != NULL && holder >> SIO_HOLDER_KIND_SHIFT == 0 &&
	       sio_dead_name(dead, (sio_member_t)holder);
}

/**
 * Exact pools: takes over the blocks of a magazine that were another member's.
 *
 * @param owner whom the magazine's word named: blocks can carry that name, too
 * @param dead  recovery: blocks of these are taken over as well; else NULL
 */
void sio_take_over(struct sio_local *local, struct sio_magazine *mag, sio_member_t owner,
	const struct sio_dead *dead);

/* ---- contig.c ---- */

/** Whether a block with memory is of the region, of a pool that has one. */
static inline bool
sio_contig_is(const struct sio_pool *pool, uint32_t handle)
{
	/* relaxed: whose it is does not change once the block can be known */
	return atomic_load_explicit(
		       &pool->cells[handle >> pool->cell_shift].word, memory_order_relaxed) != 0;
}

/** Blocks to be given back, of one cell. */
struct sio_contig_batch {
	uint32_t cell, bits;
	uint32_t given, wrong;
};

/** Adds a block of the region to what is given back. */
void sio__contig_give(
	struct sio_pool *pool, struct sio_contig_batch *batch, uint32_t handle, sio_member_t self);
/** Gives back what was added. @return how many were the caller's */
void sio__contig_flush(struct sio_pool *pool, struct sio_contig_batch *batch);
/** Counts, and tells of wrong gives. @return 0 or -EACCES */
int sio__contig_given(struct sio_local *local, const struct sio_contig_batch *batch);
/** Creator: sets runs aside of new memory. @param[out] from, to: the handles */
void sio__contig_set_aside(
	struct sio_pool *pool, uint32_t first, uint32_t n, uint32_t *from, uint32_t *to);

/** Bounds of walks over the cells; both 0 without a region. */
static inline void
sio_cells_bounds(const struct sio_pool *pool, uint32_t *low, uint32_t *high)
{
	uint32_t n;

	*low = *high = 0;
	if (pool->cells == NULL)
		return;
	n = (pool->n_blocks >> pool->cell_shift) + 1;
	/* acquire: what is constant in the cells; partner: sio__contig_set_aside() */
	*high = atomic_load_explicit(&pool->hdr->cells_high, memory_order_acquire);
	*low = atomic_load_explicit(&pool->hdr->cells_low, memory_order_relaxed);
	*high = *high < n ? *high : n;
	*low = *low < *high ? *low : *high;
}

/** Blocks of a cell that are in nobody's hands, given its word. */
static inline uint32_t
sio_cell_free_bits(const struct sio_pool *pool, uint64_t word)
{
	uint32_t all = sio_cell_all(1u << pool->cell_shift);

	return sio_cell_state(word) == SIO_CELL_NONE ? 0 : all & ~sio_cell_bits(word);
}

/* ---- steal.c ---- */

/**
 * Steals a magazine with blocks in it, or with room. Called outside.
 *
 * @param[out] surely_dry nothing was in motion: where false is returned, none was to be had
 * @return false if no other shard has any
 */
bool sio_steal_round(
	struct sio_local *local, enum sio_want want, struct sio_slot *slot, bool *surely_dry);

/* ---- log, geometry ---- */

struct sio_geometry {
	uint32_t magazine_stride, n_magazines, hint_words, cell_shift;
	uint64_t shards_off, hints_off, magazines_off, holders_off, chunks_off, rings_off;
	uint64_t cells_off, total_size;
};

/** Whatever follows from the few numbers in a header that are free. */
void sio_pool_geometry(const struct sio_pool_hdr *hdr, struct sio_geometry *geometry);

#endif /* SIO_POOL_PRIVATE_H */
