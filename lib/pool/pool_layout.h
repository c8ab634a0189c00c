/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SIO_POOL_LAYOUT_H
#define SIO_POOL_LAYOUT_H

/**
 * @file
 * Everything of a pool that lies in shared memory. Read this first, then doc/design/ownership.md
 * for who may write which word when, and what a death leaves.
 *
 *     data of the metadata segment                          one element
 *     +----------------------------------+
 *     | struct sio_pool_hdr              |  geometry, constant once published; two hints
 *     +----------------------------------+
 *     | shards   [max_shards]            |  128 bytes: who has it, is its owner inside, counters
 *     +----------------------------------+
 *     | hints    [2][hint_words]         |  one bit per magazine in the depot: has blocks / is empty
 *     +----------------------------------+
 *     | magazines[n_magazines]           |  header line: word, count; then magazine_size entries
 *     +----------------------------------+
 *     | holders  [n_blocks]              |  64 bits: who has the block
 *     +----------------------------------+
 *     | chunks   [n_blocks]              |  where blocks lie in their creator's address space
 *     +----------------------------------+
 *     | rings    [max_rings]             |  exact pools: the rings that holder words name
 *     +----------------------------------+
 *     | cells    [n_cells]               |  pools with a contiguous region: what of it is out
 *     +----------------------------------+
 *
 * Truth lies in four kinds of words only: the magazine words (whose are these handles), the holder
 * words (whose is this block, in exact pools with several members), the cells (which blocks of the
 * contiguous region are out) and the segment's member slots (who lives). Everything else is either
 * written by the one thread that these words name, or a hint.
 *
 * Why there are always enough magazines. Every magazine is in the depot, or remembered by the one
 * thread that has it, or in the hand of an operation. Out of the depot at any time are, per shard
 * or thread without one: three (loaded, previous, and one in exchange) and SIO_STEAL_ROUND claimed
 * by it as a thief. With n_magazines = ceil(n / M) + (shards + SIO_HANDS) * SIO_MAGAZINES_OUT, at
 * least ceil(n / M) magazines are in the depot. Were they all full, they would hold all n blocks;
 * but who gives a block back has one in its hands. So a magazine with room is in the depot,
 * whatever the partial fillings are. Should more than SIO_HANDS threads without a shard be in a
 * call, or have been killed in one, a giver that finds no room in the depot takes a magazine with
 * room from another shard (steal.c).
 */

#include <stdatomic.h>
#include <slabio/pool.h>
#include "segment/plant.h"

/** Inline also where the caller is compiled for another CPU than the callee. */
#define SIO_INLINE static inline __attribute__((always_inline))

#define SIO_POOL_LAYOUT_VERSION 4u

/** Magazines a thief claims per round, with one barrier for all. */
#define SIO_STEAL_ROUND 4u
/** Magazines that one shard, or one thread without, can keep out of the depot. */
#define SIO_MAGAZINES_OUT (3u + SIO_STEAL_ROUND)
/** Threads without a shard that are counted on to be in a call at the same time. */
#define SIO_HANDS 32u

#define SIO_MAGAZINE_MIN 2u
#define SIO_MAGAZINE_MAX 1022u
#define SIO_MAG_NONE	 UINT32_MAX

/* ---- the magazine word: whose is this magazine ----
 *
 *   63          44 43      34 33                12 11       2 1   0
 *  +--------------+----------+--------------------+----------+-----+
 *  |  tag (20)    | count(10)| member name (22)   | shard(10)|state|
 *  +--------------+----------+--------------------+----------+-----+
 *
 * DEPOT  nobody's; member is who gave it last, count is how many handles it has
 * SHARD  of the shard; its owner thread alone touches its count and handles
 * HAND   of one operation of a member: a thief, a thread without a shard, or recovery; the shard is
 *        the one it was swapped out of (who settles it must look whether that one's owner is
 *        inside), or SIO_SHARD_NONE
 *
 * The tag advances with every change but two: a thief that gives up puts back exactly the word it
 * found, and an owner that lets go of what a thief has swapped out marks the thief's word. Thus who
 * remembers a whole word knows whether that magazine was anybody else's in between.
 */
#define SIO_MAG_STATE_MASK 0x3ull
#define SIO_MAG_DEPOT	   0ull
#define SIO_MAG_SHARD	   1ull
#define SIO_MAG_HAND	   2ull
/**
 * In the count of a HAND word: the owner let go of it, so it cannot be put back, and is the
 * thief's.
 */
#define SIO_MAG_LET_GO	     (1ull << SIO_MAG_COUNT_SHIFT)
#define SIO_MAG_SHARD_SHIFT  2
#define SIO_MAG_SHARD_MASK   0x3ffull
#define SIO_MAG_MEMBER_SHIFT 12
#define SIO_MAG_MEMBER_MASK  0x3fffffull
#define SIO_MAG_COUNT_SHIFT  34
#define SIO_MAG_COUNT_MASK   0x3ffull
#define SIO_MAG_TAG_SHIFT    44
#define SIO_MAG_TAG_MASK     0xfffffull
/** State, shard and member: what must be equal for a magazine to be "mine". */
#define SIO_MAG_OWNER_MASK ((1ull << SIO_MAG_COUNT_SHIFT) - 1)

struct sio_magazine {
	_Alignas(SIO_CACHE_LINE) _Atomic uint64_t word;
	/** Handles in it; written by whom the word names, read by others as a hint. */
	_Atomic uint32_t count;
	/**
	 * Exact pools: the member whose name the holder words of these blocks carry; written like
	 * the count.
	 */
	_Atomic uint32_t named;
	uint32_t reserved[12];
	/**
	 * Filled from the end, the youngest first: who takes burst after burst reads them upwards,
	 * as a CPU fetches ahead, while who gives need not wait for lines that it writes downwards.
	 * An entry is a 32-bit handle, or, in pools whose memory all members map at the same
	 * address (SIO_POOL_SAME_MAP), the 64-bit address of the block: twice the lines to move
	 * between cores, but nothing to compute per block.
	 */
	uint64_t entries[];
};

_Static_assert(sizeof(struct sio_magazine) == SIO_CACHE_LINE, "one header line");

/* ---- the holder word: who has this block ----
 *
 * Kept in exact pools, and rewritten only when a block passes from one member to another: by
 * compare-and-swap from the giver's name, or plainly by who takes it out of the contiguous region
 * or reads its position of a ring (doc/design/ownership.md, 6). A block in a ring has its writer's
 * name; RING says that a reader had it, which died before it stated it as read, or that its ring
 * was about to be replaced. In a pool with one member it never changes after populate. In a
 * conservative pool it is 0, or the mark that recovery has put on a block that was in no magazine.
 *
 *   63 62 61                                                    0
 *  +-----+-------------------------------------------------------+
 *  |kind | MEMBER: member name (22)                              |
 *  |     | RING:   ring number (14), position (48)               |
 *  |     | OFFER:  to, or nobody (22), from (22)                 |
 *  |     | QUARANTINE: since, seconds (28), round (12), name of  |
 *  |     |         a dead (22)                                   |
 *  +-----+-------------------------------------------------------+
 */
#define SIO_HOLDER_KIND_SHIFT	   62
#define SIO_HOLDER_MEMBER	   (0ull << SIO_HOLDER_KIND_SHIFT)
#define SIO_HOLDER_RING		   (1ull << SIO_HOLDER_KIND_SHIFT)
#define SIO_HOLDER_QUARANTINE	   (2ull << SIO_HOLDER_KIND_SHIFT)
#define SIO_HOLDER_OFFER	   (3ull << SIO_HOLDER_KIND_SHIFT)
#define SIO_HOLDER_KIND_MASK	   (3ull << SIO_HOLDER_KIND_SHIFT)
#define SIO_HOLDER_NAME_MASK	   0x3fffffull
#define SIO_HOLDER_TO_SHIFT	   22
#define SIO_HOLDER_RING_SHIFT	   48
#define SIO_QUARANTINE_ROUND_BITS  12
#define SIO_QUARANTINE_SINCE_SHIFT (SIO_HOLDER_TO_SHIFT + SIO_QUARANTINE_ROUND_BITS)
#define SIO_HOLDER_POS_MASK	   ((1ull << SIO_HOLDER_RING_SHIFT) - 1)

/* ---- the ring table: which ring a number in a holder word is ----
 *
 *   63                                 26 25                4 3     0
 *  +-------------------------------------+-------------------+-------+
 *  |  tag (38)                           | member name (22)  | state |
 *  +-------------------------------------+-------------------+-------+
 *
 * FREE     no holder word has this number
 * MAKING   the member is about to create the ring; nobody else can attach to it yet
 * NAMED    the same, and name and uid are written
 * BOUND    the ring was published; it lives until somebody ends it, or its name is gone
 * ENDING   it was destroyed: nobody takes a role in it any more, who leaves last closes it
 * CLOSING  the member takes the blocks out of it, then the entry is free
 *
 * Every change is a compare-and-swap and advances the tag. Entry i is that of ring number i + 1.
 */
#define SIO_RING_STATE_MASK   0xfull
#define SIO_RING_FREE	      0ull
#define SIO_RING_MAKING	      1ull
#define SIO_RING_NAMED	      2ull
#define SIO_RING_BOUND	      3ull
#define SIO_RING_ENDING	      4ull
#define SIO_RING_CLOSING      5ull
#define SIO_RING_MEMBER_SHIFT 4
#define SIO_RING_TAG_SHIFT    26
#define SIO_RING_NAME_WORDS   (SIO_NAME_LEN / sizeof(uint64_t))

struct sio_ring_entry {
	_Alignas(SIO_CACHE_LINE) _Atomic uint64_t word;
	_Atomic uint64_t uid; /**< random, also in the ring itself */
	_Atomic uint64_t name[SIO_RING_NAME_WORDS];
	uint64_t reserved[6];
};

_Static_assert(sizeof(struct sio_ring_entry) == 2 * SIO_CACHE_LINE, "two lines");

/* ---- the cell: which of these neighbours are out ----
 *
 *   63 62 61        54 53                32 31                    0
 *  +-----+------------+--------------------+-----------------------+
 *  |state| 0          | member name (22)   | bitmap of those out   |
 *  +-----+------------+--------------------+-----------------------+
 *
 * NONE    the blocks are not of the contiguous region, but in magazines like others
 * FREE    all of them are free; the rest of the word is 0
 * TAKING  the member is taking them; nobody else knows of them yet
 * OUT     those in the bitmap, of which there is one at least; the others wait for them
 *
 * Cell c is that of the blocks c << cell_shift and following. See doc/design/ownership.md, 12.
 */
#define SIO_CELL_STATE_MASK   (3ull << 62)
#define SIO_CELL_NONE	      0ull
#define SIO_CELL_FREE	      (1ull << 62)
#define SIO_CELL_TAKING	      (2ull << 62)
#define SIO_CELL_OUT	      (3ull << 62)
#define SIO_CELL_MEMBER_SHIFT 32
#define SIO_CELL_SHIFT_MAX    5u

struct sio_cell {
	_Atomic uint64_t word;
	/* constant once the word was FREE */
	uint32_t left; /**< cells from this one to the end of its stretch */
	uint32_t pos;  /**< cells before it in its run */
};

_Static_assert(sizeof(struct sio_cell) == 16, "two words");

/* ---- the shard ---- */

/** What the owner writes in every operation, on a line of its own. */
struct sio_shard_hot {
	/**
	 * Odd while the owner is inside an operation. Written by the owner alone, without a lock
	 * prefix.
	 */
	_Alignas(SIO_CACHE_LINE) _Atomic uint32_t epoch;
	uint32_t reserved0;
	/* blocks, ever; written by the owner alone */
	_Atomic uint64_t taken;
	_Atomic uint64_t given;
	uint64_t reserved1[5];
};

struct sio_shard {
	struct sio_shard_hot hot;
	/**
	 * 0 free, else the member name + 1; changed by compare-and-swap by the thread that takes or
	 * returns it.
	 */
	_Alignas(SIO_CACHE_LINE) _Atomic uint64_t owner;
	/* counters of slow ways, written by the owner alone */
	_Atomic uint64_t exchanges; /**< magazines exchanged with the depot */
	_Atomic uint64_t steals;    /**< magazines stolen */
	_Atomic uint64_t
		put_back; /**< magazines swapped out and put back, their owner being at work */
	_Atomic uint64_t
		lost; /**< magazines that a thief took from this shard, or put back to it */
	_Atomic uint64_t failures; /**< takes that found too few blocks */
	/* of the contiguous region, and not in hot's counters: blocks, ever */
	_Atomic uint64_t contig_taken;
	_Atomic uint64_t contig_given;
};

_Static_assert(sizeof(struct sio_shard) == 2 * SIO_CACHE_LINE, "two lines: hot and cold");

/** Blocks at addr + i * pitch, i below n, have the handles first + i. */
struct sio_chunk {
	uint64_t addr;	/**< in the creator's address space; own payload: offset in the payload
			   segment */
	uint64_t pitch; /**< bytes */
	uint32_t first;
	uint32_t n;
};

_Static_assert(sizeof(struct sio_chunk) == 24, "three words");

struct sio_pool_hdr {
	uint64_t uid; /**< random, names this pool among all that ever had its name */
	char name[SIO_NAME_LEN];
	char payload[SIO_NAME_LEN];
	uint32_t n_blocks;
	uint32_t block_size;
	uint32_t magazine_size;
	uint32_t magazine_stride; /**< bytes */
	uint32_t n_magazines;
	uint32_t max_shards;
	uint32_t hint_words; /**< 64-bit words of one hint map */
	uint32_t flags;
	uint32_t max_rings;
	uint32_t contig_size; /**< blocks of a run; 0: no contiguous region */
	uint32_t contig_runs; /**< as asked for */
	uint32_t cell_shift;  /**< a cell is 1 << cell_shift blocks */
	uint64_t shards_off;  /**< these count from the start of this header */
	uint64_t hints_off;
	uint64_t magazines_off;
	uint64_t holders_off;
	uint64_t chunks_off;
	uint64_t rings_off;
	uint64_t cells_off;
	uint64_t total_size;

	/**
	 * Creator only; stored with release after the chunk, and after its blocks are in magazines.
	 */
	_Alignas(SIO_CACHE_LINE) _Atomic uint32_t n_chunks;
	_Atomic uint32_t populated;

	/** Conservative pools: not 0 while there may be marks of quarantine. By recovery. */
	_Atomic uint32_t quarantine;
	/** Recoveries of deaths that have marked; each adds 1 before it looks what is free. */
	_Atomic uint32_t quarantine_round;

	/* the contiguous region; creator only */
	_Atomic uint32_t cells_low, cells_high; /**< bounds of walks over the cells */
	_Atomic uint32_t runs_set_aside;
	_Atomic uint32_t longest; /**< blocks of the longest stretch */

	/** Gives of blocks of the region that were not the giver's. Anybody, by addition. */
	_Alignas(SIO_CACHE_LINE) _Atomic uint64_t wrong_gives;

	/** Hint: the magazine given to the depot with blocks most recently. */
	_Alignas(SIO_CACHE_LINE) _Atomic uint32_t last_given;
	/**
	 * Grows when blocks can be had again that could not, other than by a give into a shard:
	 * together with the shards' given counters it tells a thread that found the pool dry
	 * whether to look again.
	 */
	_Alignas(SIO_CACHE_LINE) _Atomic uint64_t events;
	/**
	 * Bounds of walks: no shard or magazine at or above these was ever used. They only grow.
	 */
	_Alignas(SIO_CACHE_LINE) _Atomic uint32_t shards_top;
	_Atomic uint32_t magazines_top;
};

_Static_assert(offsetof(struct sio_pool_hdr, n_chunks) % SIO_CACHE_LINE == 0, "own line");
#define SIO_SHARD_NONE ((uint32_t)SIO_MAG_SHARD_MASK)

_Static_assert(SIO_POOL_RINGS_MAX < 1u << (62 - SIO_HOLDER_RING_SHIFT), "a ring number fits");
_Static_assert(SIO_POOL_SHARDS_MAX <= SIO_SHARD_NONE, "a shard number fits the word");
_Static_assert(SIO_MAGAZINE_MAX <= SIO_MAG_COUNT_MASK, "a count fits the word");
_Static_assert(SIO_MEMBER_BITS == 22, "a member name fits the word");
_Static_assert(SIO_MAG_COUNT_SHIFT + 10 == SIO_MAG_TAG_SHIFT, "fields meet");

static inline uint32_t *
sio_mag_handles(struct sio_magazine *mag)
{
	return (uint32_t *)(void *)mag->entries;
}

SIO_INLINE void **
sio_mag_addresses(struct sio_magazine *mag)
{
	return (void **)(void *)mag->entries;
}

/** Where the entries of a magazine that has count of at most size blocks begin. */
SIO_INLINE uint32_t
sio_mag_first(uint32_t size, uint32_t count)
{
	return size - count;
}

static inline uint64_t
sio_mag_state(uint64_t word)
{
	return word & SIO_MAG_STATE_MASK;
}

static inline uint32_t
sio_mag_shard(uint64_t word)
{
	return (uint32_t)(word >> SIO_MAG_SHARD_SHIFT & SIO_MAG_SHARD_MASK);
}

static inline sio_member_t
sio_mag_member(uint64_t word)
{
	return (sio_member_t)(word >> SIO_MAG_MEMBER_SHIFT & SIO_MAG_MEMBER_MASK);
}

static inline uint32_t
sio_mag_count(uint64_t word)
{
	return (uint32_t)(word >> SIO_MAG_COUNT_SHIFT & SIO_MAG_COUNT_MASK);
}

/** State, shard and member as they stand in a magazine word. */
static inline uint64_t
sio_mag_owner(uint64_t state, uint32_t shard, sio_member_t member)
{
	return state | (uint64_t)shard << SIO_MAG_SHARD_SHIFT |
	       (uint64_t)member << SIO_MAG_MEMBER_SHIFT;
}

/** The word that follows old: another owner, the tag advanced. */
static inline uint64_t
sio_mag_next(uint64_t old, uint64_t owner, uint32_t count)
{
#if SIO_PLANTED(TAG_DROPPED)
	/* who remembers a word takes a magazine that was elsewhere in between for untouched */
	return (old >> SIO_MAG_TAG_SHIFT) << SIO_MAG_TAG_SHIFT |
	       (uint64_t)count << SIO_MAG_COUNT_SHIFT | owner;
#else
	return ((old >> SIO_MAG_TAG_SHIFT) + 1) << SIO_MAG_TAG_SHIFT |
	       (uint64_t)count << SIO_MAG_COUNT_SHIFT | owner;
#endif
}

/** The entry's word that follows old. */
static inline uint64_t
sio_ring_next(uint64_t old, uint64_t state, sio_member_t member)
{
	return ((old >> SIO_RING_TAG_SHIFT) + 1) << SIO_RING_TAG_SHIFT |
	       (uint64_t)member << SIO_RING_MEMBER_SHIFT | state;
}

static inline uint64_t
sio_ring_state(uint64_t word)
{
	return word & SIO_RING_STATE_MASK;
}

static inline sio_member_t
sio_ring_member(uint64_t word)
{
	return (sio_member_t)(word >> SIO_RING_MEMBER_SHIFT & SIO_HOLDER_NAME_MASK);
}

/** The holder word of the block at a position of a ring. */
static inline uint64_t
sio_holder_ring(uint32_t number, uint64_t position)
{
	return SIO_HOLDER_RING | (uint64_t)number << SIO_HOLDER_RING_SHIFT |
	       (position & SIO_HOLDER_POS_MASK);
}

/** The ring number of such a word. */
static inline uint32_t
sio_holder_number(uint64_t holder)
{
	return (uint32_t)((holder & ~SIO_HOLDER_KIND_MASK) >> SIO_HOLDER_RING_SHIFT);
}

static inline uint64_t
sio_holder_offer(sio_member_t from, sio_member_t to)
{
	return SIO_HOLDER_OFFER | (uint64_t)to << SIO_HOLDER_TO_SHIFT | from;
}

static inline sio_member_t
sio_offer_from(uint64_t holder)
{
	return (sio_member_t)(holder & SIO_HOLDER_NAME_MASK);
}

static inline sio_member_t
sio_offer_to(uint64_t holder)
{
	return (sio_member_t)(holder >> SIO_HOLDER_TO_SHIFT & SIO_HOLDER_NAME_MASK);
}

static inline uint64_t
sio_cell_state(uint64_t word)
{
	return word & SIO_CELL_STATE_MASK;
}

static inline sio_member_t
sio_cell_member(uint64_t word)
{
	return (sio_member_t)(word >> SIO_CELL_MEMBER_SHIFT & SIO_HOLDER_NAME_MASK);
}

static inline uint64_t
sio_cell_taking(sio_member_t member)
{
	return SIO_CELL_TAKING | (uint64_t)member << SIO_CELL_MEMBER_SHIFT;
}

/** The blocks of a cell that are out. */
static inline uint32_t
sio_cell_bits(uint64_t word)
{
	return (uint32_t)word;
}

/** All blocks of a cell of that many. */
static inline uint32_t
sio_cell_all(uint32_t blocks)
{
	return blocks >= 32 ? UINT32_MAX : (1u << blocks) - 1;
}

/** The word of a cell of whose blocks these are out. */
static inline uint64_t
sio_cell_out(uint32_t bits)
{
	return bits != 0 ? SIO_CELL_OUT | bits : SIO_CELL_FREE;
}

#endif /* SIO_POOL_LAYOUT_H */
