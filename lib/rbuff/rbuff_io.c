/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The data path: writing and reading without waiting.
 *
 * Invariant: consumed <= published <= consumed + capacity, and every element in [consumed,
 * published) is what was written at that position. rbuff_layout.h shows why no line is written
 * while anything in it is still to be read.
 *
 *   step   who        word                         order     partner
 *   w1     producer   elements of a line           plain     r2, through w2/r1
 *   w2     producer   the line's end word          release   r1 (acquire)
 *   w3     producer   positions[PRODUCER]          release   who looks for the published end
 *   w4     producer   loads sleeping[CONSUMER]     after w2  the sleeper's barrier, rbuff_wait.c
 *   r1     consumer   loads the line's end word    acquire   w2
 *   r2     consumer   copies the elements          plain     w1
 *   r3     consumer   positions[CONSUMER]          release   w0 (acquire), look_for_room()
 *   r4     consumer   loads sleeping[PRODUCER]     after r3  the sleeper's barrier
 *
 * A producer that dies or stops before a w2 leaves elements that nobody sees and its successor
 * overwrites; after it, they are published, whether w3 was done or not, since the end is always
 * looked for in the lines from positions[PRODUCER] on. A consumer that dies or stops before r3
 * leaves the elements unconsumed; its successor reads them again. Death before w4 or r4 leaves a
 * sleeper to its own bounded sleep. In no case does the other side wait for anything.
 *
 * A whole write stores its lines from the second on first, with their end words, in w1; its w2 is
 * the end word of the first line. A reader goes line by line, and does not look at a line before
 * the one in front of it is full: it finds all of the call or nothing. A death before w2 leaves end
 * words that nobody looks at; the successor takes them back before it writes (tail_clear() in
 * rbuff.c).
 *
 * In a ring that carries blocks the consumer has one more step (doc/design/ownership.md, 6):
 *
 *   rb     consumer   holder words of all blocks   plain     before r3; each was looked at: a
 *                                                            writer's name, or (ring, p)
 *
 * The producer leaves these words alone: what is queued carries its name, and is told from what it
 * has in hands by the ring. Nobody else writes such a word meanwhile. A death after a part of rb
 * leaves blocks in the consumer's name at positions that are not consumed: recovery queues them
 * again.
 *
 * No end word and no position of the other side is believed: the cursors are private, and what is
 * read from shared memory only ever limits how many elements of which private cursor says where may
 * be touched.
 */

#include <errno.h>
#include <limits.h>
#include <string.h>
#include "pool/pool_layout.h"
#include "rbuff_private.h"
#include "segment/log.h"
#include "segment/plant.h"

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/**
 * Lines ahead of the one begun that the producer asks for exclusively, so that its stores need not
 * wait for the consumer's cache one by one. Only lines that it may write: never from under the
 * consumer.
 */
#define PREFETCH_LINES 2u

static inline void
prefetch_exclusive(const void *p)
{
#if defined(__x86_64__)
	/*
	 * by hand: for the baseline processor the compiler makes it a prefetch for reading, which
	 * gains nothing
	 */
	__asm__ volatile("prefetchw %0" : : "m"(*(const char *)p));
#else
	__builtin_prefetch(p, 1, 3);
#endif
}

/**
 * Does the other side sleep? Pairs with the barrier a sleeper issues between storing its word and
 * its last look: either that look finds what was published before this, or this finds the word.
 */
static inline bool
sleeps(const struct rbuff_side *side, enum sio_rbuff_role role)
{
	_Atomic uint32_t *word = &side->control->sleeping[role];

	if (UNLIKELY(side->fences))
		/*
		 * a locked read in place of the barrier; orders the stores before it against the
		 * word
		 */
		return atomic_fetch_add_explicit(word, 0, memory_order_seq_cst) != 0;
	atomic_signal_fence(memory_order_seq_cst);
	return atomic_load_explicit(word, memory_order_relaxed) != 0;
}

static inline void
copy_elements(unsigned char *to, const unsigned char *from, uint32_t n, size_t size)
{
	for (uint32_t i = 0; i < n; i++)
		memcpy(to + i * size, from + i * size, size);
}

/* ---- writing ---- */

/** What a write call promises; a constant where it is inlined. */
enum how {
	BURST, /**< as many as fit */
	BULK,  /**< all or nothing goes in */
	WHOLE, /**< and is published at once */
};

/** Copies k elements to their places in a line and sets its end word. */
static inline __attribute__((always_inline)) void
put_line(struct rbuff_line *line, uint32_t in_line, const unsigned char *from, uint32_t k,
	uint64_t end, memory_order order, const uint32_t per_line, const size_t size,
	const size_t offset)
{
	unsigned char *to = (unsigned char *)line + offset + in_line * size;

#if SIO_PLANTED(END_WORD_FIRST)
	/* w2 before w1: the reader finds elements that are not there yet */
	atomic_store_explicit(&line->end, end, memory_order_release);
#endif
	if (k == per_line)
		memcpy(to, from, per_line * size);
	else
		copy_elements(to, from, k, size);
	atomic_store_explicit(&line->end, end, order);
}

/** The line after this one, whose first position is `position`; claims one ahead. */
static inline __attribute__((always_inline)) struct rbuff_line *
next_line(const struct rbuff_side *side, struct rbuff_line *line, uint64_t position,
	const uint32_t per_line)
{
	struct rbuff_line *ahead;

	if (++line == side->last)
		line = side->first;
	ahead = line + PREFETCH_LINES;
	if (ahead >= side->last)
		ahead -= side->lines;
	if (side->limit - position >= (PREFETCH_LINES + 1) * per_line)
		prefetch_exclusive(ahead);
	return line;
}

/**
 * Writes n elements, which fit, each line published as soon as it is written. per_line, size and
 * offset are constants where this is inlined.
 */
static inline __attribute__((always_inline)) void
put(struct rbuff_side *side, const void *elements, uint32_t n, const uint32_t per_line,
	const size_t size, const size_t offset)
{
	const unsigned char *from = elements;
	struct rbuff_line *line = side->line;
	uint32_t in_line = side->in_line;
	uint64_t position = side->position;

	do {
		uint32_t k = per_line - in_line;

		if (k > n)
			k = n;
		position += k;
		/* w1, w2 */
		put_line(line, in_line, from, k, position, memory_order_release, per_line, size,
			offset);
		from += k * size;
		n -= k;
		in_line += k;
		if (in_line == per_line) {
			line = next_line(side, line, position, per_line);
			in_line = 0;
		}
	} while (n != 0);
	side->line = line;
	side->in_line = in_line;
	side->position = position;
	/* w3 */
	atomic_store_explicit(side->mine, position, memory_order_release);
}

/** Writes n elements, which fit, and publishes them at once. */
static inline __attribute__((always_inline)) void
put_whole(struct rbuff_side *side, const void *elements, uint32_t n, const uint32_t per_line,
	const size_t size, const size_t offset)
{
	const unsigned char *from = elements;
	struct rbuff_line *head = side->line, *line = head;
	uint32_t head_at = side->in_line, head_n = per_line - head_at, in_line;
	uint64_t position;

	if (head_n > n)
		head_n = n;
	in_line = head_at + head_n;
	position = side->position + head_n;
#if SIO_PLANTED(HEAD_FIRST)
	/* the reader finds a part of what one call writes */
	put_line(head, head_at, elements, head_n, position, memory_order_release, per_line, size,
		offset);
#endif
	if (in_line == per_line) {
		line = next_line(side, line, position, per_line);
		in_line = 0;
		from += head_n * size;
		n -= head_n;
		/* w1 of the other lines; relaxed: seen by who saw w2 */
		while (n != 0) {
			in_line = n < per_line ? n : per_line;
			position += in_line;
			put_line(line, 0, from, in_line, position, memory_order_relaxed, per_line,
				size, offset);
			from += in_line * size;
			n -= in_line;
			if (in_line == per_line) {
				line = next_line(side, line, position, per_line);
				in_line = 0;
			}
		}
	}
	/* w2 */
	put_line(head, head_at, elements, head_n, side->position + head_n, memory_order_release,
		per_line, size, offset);
	side->line = line;
	side->in_line = in_line;
	side->position = position;
	/* w3 */
	atomic_store_explicit(side->mine, position, memory_order_release);
}

/** @return whether the consumer's position was credible; the room is then up to date */
static __attribute__((noinline)) bool
look_for_room(struct rbuff_side *side)
{
	/* w0, pairs with r3: elements were copied out before they are overwritten */
	uint64_t consumed = atomic_load_explicit(side->theirs, memory_order_acquire);
	uint64_t believed = side->limit - side->capacity;

	/* it never goes back, and never beyond what is written */
	if (consumed - believed > side->position - believed)
		return false;
	side->limit = consumed + side->capacity;
	return true;
}

static int
write_refused(uint32_t state)
{
	return state & SIO_RBUFF_DOWN ? -ESHUTDOWN : -EROFS;
}

/* The handle of an element's block: its first 4 bytes. */
static inline uint32_t
handle_of(const unsigned char *element)
{
	uint32_t handle;

	memcpy(&handle, element, sizeof(handle));
	return handle;
}

/** @return false: one of the blocks is not this member's */
static __attribute__((noinline)) bool
blocks_are_mine(const struct rbuff_side *side, const void *elements, uint32_t n)
{
	const unsigned char *from = elements;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t handle = handle_of(from + (size_t)i * side->element_size);

		if (handle >= side->n_blocks || atomic_load_explicit(&side->holders[handle],
							memory_order_relaxed) != side->me)
			return false;
	}
	return true;
}

/**
 * Holder words are stored to here: each line is asked for once, to be written, and all of them at
 * the same time.
 */
static inline __attribute__((always_inline)) void
holders_prefetch(
	const struct rbuff_side *side, const unsigned char *elements, uint32_t n, const size_t size)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t handle = handle_of(elements + i * size);

		if (LIKELY(handle < side->n_blocks))
			prefetch_exclusive((const void *)(uintptr_t)&side->holders[handle]);
	}
}

/**
 * A holder word that is not the name of the writer whose block was read last: whether the block can
 * be at that position. So it is if it names another writer, or the position: then the name was a
 * reader's that died, and recovery queued it again, or somebody was about to replace the ring.
 */
static __attribute__((noinline)) bool
is_queued_as(struct rbuff_side *side, uint64_t holder, uint64_t position)
{
	if (holder == sio_holder_ring(side->number, position))
		return true;
	if (!sio__rbuff_is_writer(side->shared, holder))
		return false;
	side->writer = holder;
	return true;
}

/** One block of rb. @return false: it is not to be read at that position */
static inline __attribute__((always_inline)) bool
block_from_ring(struct rbuff_side *side, const unsigned char *element, uint64_t position)
{
	uint32_t handle = handle_of(element);
	_Atomic uint64_t *word;
	uint64_t holder;

	if (UNLIKELY(handle >= side->n_blocks))
		return false;
	word = &side->holders[handle];
	holder = atomic_load_explicit(word, memory_order_relaxed);
	if (UNLIKELY(holder != side->writer) && !is_queued_as(side, holder, position))
		return false;
	atomic_store_explicit(word, side->me, memory_order_relaxed);
	return true;
}

/** rb from an element on that is left out. @return elements left, moved together */
static __attribute__((noinline)) uint32_t
blocks_leave_out(struct rbuff_side *side, unsigned char *elements, uint32_t n, uint32_t at,
	uint64_t position, size_t size)
{
	uint32_t kept = at;

	for (uint32_t i = at + 1; i < n; i++) {
		if (!block_from_ring(side, elements + i * size, position + i))
			continue;
		memcpy(elements + kept * size, elements + i * size, size);
		kept++;
	}
	side->skipped += n - kept;
	return kept;
}

/** rb. @return elements left */
static inline __attribute__((always_inline)) uint32_t
blocks_from_ring(struct rbuff_side *side, unsigned char *elements, uint32_t n, uint64_t position,
	const size_t size)
{
	for (uint32_t i = 0; i < n; i++)
		if (UNLIKELY(!block_from_ring(side, elements + i * size, position + i)))
			return blocks_leave_out(side, elements, n, i, position, size);
	return n;
}

/** Writes n elements, which fit. */
static inline __attribute__((always_inline)) void
put_sized(struct rbuff_side *side, const void *elements, uint32_t n, enum how how,
	const uint32_t per_line, const size_t size, const size_t offset)
{
	if (how == WHOLE)
		put_whole(side, elements, n, per_line, size, offset);
	else
		put(side, elements, n, per_line, size, offset);
}

static inline __attribute__((always_inline)) int
ring_write(struct sio_rbuff *ring, const void *elements, uint32_t n, enum how how, bool checked)
{
	struct rbuff_side *side = ring->side;
	uint64_t room;
	uint32_t state;

	/* acquire: a write begun after somebody saw the state set finds it set */
	state = atomic_load_explicit(&side->control->state, memory_order_acquire);
	if (UNLIKELY(state & (SIO_RBUFF_RDONLY | SIO_RBUFF_DOWN)))
		return write_refused(state);
	room = side->limit - side->position;
	if (UNLIKELY(room < n)) {
		if (how != BURST && n > side->capacity)
			return -EINVAL;
		if (!look_for_room(side))
			return -EPROTO;
		room = side->limit - side->position;
		if (room < n) {
			if (how != BURST)
				return 0;
			n = (uint32_t)room;
		}
	}
	if (UNLIKELY(n == 0))
		return 0;
	if (checked && !blocks_are_mine(side, elements, n))
		return -EACCES;
	switch (side->element_size) {
	case 4:
		put_sized(side, elements, n, how, SIO_RBUFF_PER_LINE_4, 4, SIO_RBUFF_OFFSET_4);
		break;
	case 8:
		put_sized(side, elements, n, how, SIO_RBUFF_PER_LINE_8, 8, SIO_RBUFF_OFFSET_8);
		break;
	default:
		put_sized(side, elements, n, how, SIO_RBUFF_PER_LINE_16, 16, SIO_RBUFF_OFFSET_16);
		break;
	}
	/* w4 */
	if (UNLIKELY(sleeps(side, SIO_RBUFF_CONSUMER)))
		sio__rbuff_wake_side(side->control, SIO_RBUFF_CONSUMER);
	return (int)n;
}

/** The blocks are to be looked at, or this handle does not write. */
static __attribute__((noinline)) int
write_other(struct sio_rbuff *ring, const void *elements, uint32_t n, enum how how)
{
	if (!ring->side || ring->side->kind != RBUFF_WRITES_CHECKED)
		return -EPERM;
	if (how == BURST)
		return ring_write(ring, elements, n, BURST, true);
	return how == WHOLE ? ring_write(ring, elements, n, WHOLE, true)
			    : ring_write(ring, elements, n, BULK, true);
}

/** Does a handle's side say that it is of this kind? */
static inline bool
is_kind(const struct sio_rbuff *ring, enum rbuff_kind kind)
{
	return LIKELY(ring->side != NULL) && LIKELY(ring->side->kind == kind);
}

int
sio_rbuff_write_bulk(struct sio_rbuff *ring, const void *elements, unsigned int n)
{
	if (!is_kind(ring, RBUFF_WRITES))
		return write_other(ring, elements, n, BULK);
	return ring_write(ring, elements, n, BULK, false);
}

int
sio_rbuff_write_burst(struct sio_rbuff *ring, const void *elements, unsigned int n)
{
	if (!is_kind(ring, RBUFF_WRITES))
		return write_other(ring, elements, n, BURST);
	return ring_write(ring, elements, n, BURST, false);
}

int
sio_rbuff_write_whole(struct sio_rbuff *ring, const void *elements, unsigned int n)
{
	if (!is_kind(ring, RBUFF_WRITES))
		return write_other(ring, elements, n, WHOLE);
	return ring_write(ring, elements, n, WHOLE, false);
}

/* ---- reading ---- */

/**
 * Elements that an end word publishes after a position of its line, of which `left` belong to the
 * line at most.
 *
 * @return 0 to left; -EPROTO no producer of this ring wrote that
 */
static inline __attribute__((always_inline)) int
published_after(uint64_t end, uint64_t position, uint32_t left)
{
	uint64_t n = end - position;

	if (LIKELY(n - 1 < left))
		return (int)n;
	/* of an earlier lap, or nothing new: not above the position */
	if (LIKELY((int64_t)n <= 0))
		return 0;
	return -EPROTO;
}

/**
 * Reads n elements, or as many as there are if not whole.
 *
 * @param blocks takes their blocks over, and leaves out those that no writer had
 * @return number read; -EPROTO for a bad end word; -EAGAIN some were read and all left out
 */
static inline __attribute__((always_inline)) int
get(struct rbuff_side *side, void *elements, uint32_t n, bool whole, bool blocks,
	const uint32_t per_line, const size_t size, const size_t offset)
{
	unsigned char *to = elements;
	struct rbuff_line *line = side->line;
	uint32_t in_line = side->in_line;
	uint64_t position = side->position;
	uint64_t limit = side->limit;
	uint32_t left = n;

	do {
		uint32_t k = (uint32_t)(limit - position);
		const unsigned char *from = (const unsigned char *)line + offset + in_line * size;

		if (k == 0) {
			/* r1, pairs with w2 */
			uint64_t end = atomic_load_explicit(&line->end, memory_order_acquire);
			int found = published_after(end, position, per_line - in_line);

			if (found <= 0) {
				/* whole: it was published when ready() looked */
				if (whole)
					return -EPROTO;
				if (left == n)
					return found;
				break;
			}
			k = (uint32_t)found;
			limit = position + k;
		}
		if (k > left)
			k = left;
		/* r2 */
		if (k == per_line)
			memcpy(to, from, per_line * size);
		else
			copy_elements(to, from, k, size);
		if (blocks && n > 1)
			holders_prefetch(side, to, k, size);
		to += k * size;
		left -= k;
		in_line += k;
		position += k;
		if (in_line == per_line) {
			in_line = 0;
			if (++line == side->last)
				line = side->first;
		}
	} while (left != 0);
	n -= left;
	if (blocks)
		/* the cursor is where they began */
		n = blocks_from_ring(side, elements, n, side->position, size);
	side->line = line;
	side->in_line = in_line;
	side->position = position;
	side->limit = limit;
	/* r3 */
	atomic_store_explicit(side->mine, position, memory_order_release);
	return blocks && n == 0 ? -EAGAIN : (int)n;
}

/**
 * Are all of the next n elements published? Line by line, as get() goes: a later line may have its
 * end word before one that it follows.
 *
 * @return 1, 0 or -EPROTO
 */
static inline __attribute__((always_inline)) int
ready(const struct rbuff_side *side, uint32_t n, const uint32_t per_line)
{
	struct rbuff_line *line = side->line;
	uint64_t position = side->position;
	uint32_t left = per_line - side->in_line;

	if (side->limit - position >= n)
		return 1;
	for (;;) {
		/* the last of them that is in this line */
		uint32_t k = n < left ? n : left;
		int found = published_after(atomic_load_explicit(&line->end, memory_order_acquire),
			position + k - 1, left - k + 1);

		if (found <= 0)
			return found;
		n -= k;
		if (n == 0)
			return 1;
		position += k;
		left = per_line;
		if (++line == side->last)
			line = side->first;
	}
}

static inline __attribute__((always_inline)) int
take(struct rbuff_side *side, void *elements, uint32_t n, bool bulk, bool blocks,
	const uint32_t per_line, const size_t size, const size_t offset)
{
	if (bulk) {
		int r = ready(side, n, per_line);

		if (r <= 0)
			return r;
	}
	return get(side, elements, n, bulk, blocks, per_line, size, offset);
}

static inline __attribute__((always_inline)) int
take_sized(struct rbuff_side *side, void *elements, uint32_t n, bool bulk, bool blocks)
{
	switch (side->element_size) {
	case 4:
		return take(side, elements, n, bulk, blocks, SIO_RBUFF_PER_LINE_4, 4,
			SIO_RBUFF_OFFSET_4);
	case 8:
		return take(side, elements, n, bulk, blocks, SIO_RBUFF_PER_LINE_8, 8,
			SIO_RBUFF_OFFSET_8);
	default:
		return take(side, elements, n, bulk, blocks, SIO_RBUFF_PER_LINE_16, 16,
			SIO_RBUFF_OFFSET_16);
	}
}

/**
 * The ring gave nothing: by its state, or because there is nothing now. The flag is read before the
 * ring is looked into again, so what was published before the flag was set is delivered before the
 * flag is seen.
 *
 * @return 1: read again; else the result
 */
static __attribute__((noinline)) int
nothing_read(const struct rbuff_side *side)
{
	/* acquire, pairs with the release in sio_rbuff_state_set() */
	uint32_t state = atomic_load_explicit(&side->control->state, memory_order_acquire);
	uint64_t end;

	if (!(state & (SIO_RBUFF_DOWN | SIO_RBUFF_GONE)))
		return 0;
	end = atomic_load_explicit(&side->line->end, memory_order_acquire);
	if ((int64_t)(end - side->position) > 0)
		return 1;
	return state & SIO_RBUFF_DOWN ? -ESHUTDOWN : -EPIPE;
}

static inline __attribute__((always_inline)) int
ring_read(struct sio_rbuff *ring, void *elements, uint32_t n, bool bulk, bool blocks)
{
	struct rbuff_side *side = ring->side;
	int r;

	if (UNLIKELY(n == 0))
		return 0;
	if (UNLIKELY(n > side->capacity)) {
		if (bulk)
			return -EINVAL;
		n = side->capacity;
	}
	r = take_sized(side, elements, n, bulk, blocks);
	if (UNLIKELY(r == 0)) {
		r = nothing_read(side);
		if (r != 1)
			return r;
		r = take_sized(side, elements, n, bulk, blocks);
	}
	if (UNLIKELY(r <= 0) && !(blocks && r == -EAGAIN))
		return r;
	/* r4 */
	if (UNLIKELY(sleeps(side, SIO_RBUFF_PRODUCER)))
		sio__rbuff_wake_side(side->control, SIO_RBUFF_PRODUCER);
	return r;
}

/** Elements were left out of a read, perhaps all: reads on, a ring full at most, and says so. */
static __attribute__((noinline)) int
read_left_out(struct sio_rbuff *ring, void *elements, uint32_t n, bool bulk, int r)
{
	for (uint32_t i = 0; r == -EAGAIN; i++)
		r = i < ring->side->capacity ? ring_read(ring, elements, n, bulk, true) : 0;
	SIO_WARN("ring '%s': %llu elements left out: expected blocks that a writer of this ring "
		 "had; was one written twice, or memory overwritten?",
		sio_segment_name(ring->seg), (unsigned long long)ring->side->skipped);
	ring->side->skipped = 0;
	return r;
}

/** The ring carries blocks, or this handle does not read. */
static inline __attribute__((always_inline)) int
read_blocks(struct sio_rbuff *ring, void *elements, uint32_t n, bool bulk)
{
	int r;

	if (UNLIKELY(!is_kind(ring, RBUFF_READS_BLOCKS)))
		return -EPERM;
	r = ring_read(ring, elements, n, bulk, true);
	if (UNLIKELY(ring->side->skipped != 0))
		return read_left_out(ring, elements, n, bulk, r);
	return r;
}

static __attribute__((noinline)) int
read_other_bulk(struct sio_rbuff *ring, void *elements, uint32_t n)
{
	return read_blocks(ring, elements, n, true);
}

static __attribute__((noinline)) int
read_other_burst(struct sio_rbuff *ring, void *elements, uint32_t n)
{
	return read_blocks(ring, elements, n, false);
}

int
sio_rbuff_read_bulk(struct sio_rbuff *ring, void *elements, unsigned int n)
{
	if (!is_kind(ring, RBUFF_READS))
		return read_other_bulk(ring, elements, n);
	return ring_read(ring, elements, n, true, false);
}

int
sio_rbuff_read_burst(struct sio_rbuff *ring, void *elements, unsigned int n)
{
	if (!is_kind(ring, RBUFF_READS))
		return read_other_burst(ring, elements, n);
	return ring_read(ring, elements, n, false, false);
}
