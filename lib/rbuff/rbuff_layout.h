/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SIO_RBUFF_LAYOUT_H
#define SIO_RBUFF_LAYOUT_H

/**
 * @file
 * Everything of a ring that lies in shared memory. Read this first, then doc/design/rbuff.md for
 * who may write which word when, and what a death leaves.
 *
 *     data of the ring's segment
 *     +----------------------------------+
 *     | constants                        |  geometry, names; written before publishing only
 *     +----------------------------------+
 *     | roles                            |  who is the producer, who the consumer; whose blocks
 *     |                                  |  may be queued
 *     +----------------------------------+
 *     | control                          |  states and sleepers; read at every call, written rarely
 *     +----------------------------------+
 *     | producer's position              |  a hint from which to look for the published end
 *     +----------------------------------+
 *     | consumer's position              |  the truth about what is consumed
 *     +----------------------------------+
 *     | lines [lines]                    |  64 bytes each: the end word, then the elements
 *     +----------------------------------+
 *
 * A line has the elements of consecutive positions, per_line of them: 14 of 4 bytes, 7 of 8, 3 of
 * 16. The element at position p is element p % per_line of line (p / per_line) % lines. The line's
 * end word is the position after the last of its elements that is published, so it grows from its
 * first position + 1 to its first position + per_line, and with it the elements before it are
 * published. The end word of an earlier lap is not above the first position.
 *
 * A whole write is published by the end word of the first line that it is in, stored last; later
 * lines have theirs by then. So an end word counts only if the line before is full.
 *
 * Thus an element, what it says and that it is there cross in one cache line and with one release;
 * no index is shared between the two sides on the way of a packet.
 *
 * Why a line is never written while anything in it is still to be read: the producer writes
 * position p only if p < consumed + capacity. Be k = p / per_line the line's number. What it has
 * from its earlier lap is below (k - lines + 1) * per_line, which with lines = ceil(capacity /
 * per_line) + 1 is at most k * per_line - capacity, and so not above p - capacity < consumed. By
 * the same count, what was published within the last `capacity` positions is intact in memory at
 * any time, whatever the producer was killed in the middle of.
 */

#include <stdatomic.h>
#include <slabio/rbuff.h>

#define SIO_RBUFF_LAYOUT_VERSION 3u

#define SIO_RBUFF_PER_LINE_4  14u
#define SIO_RBUFF_PER_LINE_8  7u
#define SIO_RBUFF_PER_LINE_16 3u

/** Elements start here in a line: at the first multiple of their size after the end word. */
#define SIO_RBUFF_OFFSET_4  8u
#define SIO_RBUFF_OFFSET_8  8u
#define SIO_RBUFF_OFFSET_16 16u

/** Names in the list of writers; see struct rbuff_layout. */
#define SIO_RBUFF_WRITERS 12u
/** In the list of writers: more than these. */
#define SIO_RBUFF_WRITERS_MORE UINT32_MAX

struct rbuff_line {
	_Alignas(SIO_CACHE_LINE) _Atomic uint64_t end;
	unsigned char bytes[SIO_CACHE_LINE - sizeof(uint64_t)];
};

struct rbuff_constants {
	uint32_t capacity;     /**< elements, a power of two */
	uint32_t element_size; /**< 4, 8 or 16 */
	uint32_t per_line;
	uint32_t lines;
	/**
	 * The ring's number in its pool: 1 to 16383 if holder words name it, 0 if none do. While it
	 * is not 0, only recovery may take a dead member's name out of a role, after it has settled
	 * that side.
	 */
	uint32_t number;
	uint32_t reserved;
	uint64_t uid;	   /**< random; the pool's entry of that number has it too */
	uint64_t pool_uid; /**< of the pool that the number is in */
	uint64_t cookie;
	char pool[SIO_NAME_LEN];
	char pair[SIO_NAME_LEN];
};

/** Control: everything that both sides look at in every call and that hardly ever changes. */
struct rbuff_control {
	/** SIO_RBUFF_... bits. Anybody, by fetch_or and fetch_and. */
	_Atomic uint32_t state;
	/**
	 * By role: 1 while that side sleeps or is about to. Set by that side; cleared by that side,
	 * or by who wakes it. Also the futex word of that side.
	 */
	_Atomic uint32_t sleeping[2];
	uint32_t reserved;
	/**
	 * The consumer's position that the sleeping producer waits for. Written by the producer
	 * before sleeping[].
	 */
	_Atomic uint64_t wanted;
};

struct rbuff_layout {
	_Alignas(2 * SIO_CACHE_LINE) struct rbuff_constants constants;
	/**
	 * By enum sio_rbuff_role: who has it, or RBUFF_ROLE_NONE; see below. By compare-and-swap:
	 * NONE -> me, me -> NONE; in a ring with number 0 also a dead one -> me; in a ring with a
	 * number a dead one -> settling(me) -> NONE, by recovery alone, and NONE -> settling(me) ->
	 * NONE of the reader's by who is about to replace the ring.
	 */
	_Alignas(2 * SIO_CACHE_LINE) _Atomic uint64_t roles[2];
	/**
	 * In a ring with a number: the members of the pool whose blocks may be queued, 0 in unused
	 * places. By each producer, before it writes its first element: it adds its name, and
	 * strikes out all others if the ring is empty.
	 */
	_Atomic uint32_t writers[SIO_RBUFF_WRITERS];
	_Alignas(2 * SIO_CACHE_LINE) struct rbuff_control control;
	/**
	 * By enum sio_rbuff_role: written by who has the role, with release; the consumer's also by
	 * who closes the ring, when both roles are free.
	 */
	struct {
		_Alignas(2 * SIO_CACHE_LINE) _Atomic uint64_t value;
	} positions[2];
	_Alignas(2 * SIO_CACHE_LINE) struct rbuff_line lines[];
};

_Static_assert(sizeof(struct rbuff_line) == SIO_CACHE_LINE, "a line is a cache line");
_Static_assert(sizeof(struct rbuff_control) <= SIO_CACHE_LINE, "control is one cache line");
_Static_assert(sizeof(_Atomic uint64_t) == 8 && ATOMIC_LLONG_LOCK_FREE == 2, "plain 64-bit words");
_Static_assert(sizeof(_Atomic uint32_t) == 4 && ATOMIC_INT_LOCK_FREE == 2, "a futex word");
_Static_assert(SIO_RBUFF_OFFSET_4 + 4 * SIO_RBUFF_PER_LINE_4 == SIO_CACHE_LINE, "full line");
_Static_assert(SIO_RBUFF_OFFSET_8 + 8 * SIO_RBUFF_PER_LINE_8 == SIO_CACHE_LINE, "full line");
_Static_assert(SIO_RBUFF_OFFSET_16 + 16 * SIO_RBUFF_PER_LINE_16 == SIO_CACHE_LINE, "full line");
/* adjacent-line prefetch moves pairs of lines, hence two lines each */
_Static_assert(offsetof(struct rbuff_layout, roles) == 256, "layout version 3");
_Static_assert(offsetof(struct rbuff_layout, control) == 384, "layout version 3");
_Static_assert(offsetof(struct rbuff_layout, positions) == 512, "layout version 3");
_Static_assert(offsetof(struct rbuff_layout, lines) == 768, "layout version 3");
_Static_assert(SIO_RBUFF_PRODUCER == 0 && SIO_RBUFF_CONSUMER == 1, "roles are indices");

/* ---- a role word ----
 *
 *   63        62     44 43                22 21                 0
 *  +---------+---------+--------------------+--------------------+
 *  |settling |         | member of the pool | member of the ring |
 *  +---------+---------+--------------------+--------------------+
 *
 * Two names of one process. By the ring's member the other side asks whether it lives; the pool's
 * member stands in the holder words of the blocks that it has, and is 0 in a ring without a number.
 * Settling: the side is dead, and recovery by the pool's member is at work on what it left.
 */
#define RBUFF_ROLE_NONE	      UINT64_C(0)
#define RBUFF_ROLE_SETTLING   (UINT64_C(1) << 63)
#define RBUFF_ROLE_POOL_SHIFT 22
#define RBUFF_ROLE_NAME_MASK  UINT64_C(0x3fffff)

static inline uint64_t
rbuff_role_word(sio_member_t ring_member, sio_member_t pool_member)
{
	return (uint64_t)pool_member << RBUFF_ROLE_POOL_SHIFT | ring_member;
}

/** Of who settles that side, or looks at it in its place. */
static inline uint64_t
rbuff_role_settling(sio_member_t pool_member)
{
	return RBUFF_ROLE_SETTLING | rbuff_role_word(0, pool_member);
}

static inline sio_member_t
rbuff_role_ring_member(uint64_t role)
{
	return (sio_member_t)(role & RBUFF_ROLE_NAME_MASK);
}

static inline sio_member_t
rbuff_role_pool_member(uint64_t role)
{
	return (sio_member_t)(role >> RBUFF_ROLE_POOL_SHIFT & RBUFF_ROLE_NAME_MASK);
}

/** Elements per line, 0 for a size that rings do not have. */
static inline uint32_t
rbuff_per_line(uint32_t element_size)
{
	switch (element_size) {
	case 4:
		return SIO_RBUFF_PER_LINE_4;
	case 8:
		return SIO_RBUFF_PER_LINE_8;
	case 16:
		return SIO_RBUFF_PER_LINE_16;
	default:
		return 0;
	}
}

/** Lines that a ring of this capacity needs; see above for why one more than its elements fill. */
static inline uint32_t
rbuff_lines(uint32_t capacity, uint32_t per_line)
{
	return (capacity + per_line - 1) / per_line + 1;
}

/** Where an element of a line lies. */
static inline size_t
rbuff_offset(uint32_t element_size, uint32_t in_line)
{
	size_t first = element_size < sizeof(uint64_t) ? sizeof(uint64_t) : element_size;

	return first + (size_t)in_line * element_size;
}

#endif /* SIO_RBUFF_LAYOUT_H */
