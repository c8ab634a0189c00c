/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Creating, attaching and leaving rings. Who takes a role over (rbuff_roles.c) reads its position
 * from the ring: the consumer where the consumer's word is, the producer where the lines end.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "pool/pool_private.h"
#include "rbuff_private.h"
#include "segment/log.h"
#include "segment/plant.h"

static int
name_set(char *to, const char *name)
{
	if (name == NULL)
		return 0;
	if (sio_name_check(name) < 0)
		return -EINVAL;
	strncpy(to, name, SIO_NAME_LEN - 1);
	return 0;
}

static int
opts_check(const struct sio_rbuff_opts *opts)
{
	if (opts == NULL || opts->sz != sizeof(*opts)) {
		SIO_ERR("ring options of %zu bytes, expected %zu: set sz to sizeof(struct "
			"sio_rbuff_opts)",
			opts == NULL ? 0 : opts->sz, sizeof(*opts));
		return -EINVAL;
	}
	if (opts->capacity < SIO_RBUFF_CAPACITY_MIN || opts->capacity > SIO_RBUFF_CAPACITY_MAX ||
		(opts->capacity & (opts->capacity - 1)) != 0) {
		SIO_ERR("ring capacity %u: expected a power of two from %u to %u", opts->capacity,
			SIO_RBUFF_CAPACITY_MIN, SIO_RBUFF_CAPACITY_MAX);
		return -EINVAL;
	}
	if (rbuff_per_line(opts->element_size) == 0) {
		SIO_ERR("ring element size %u: expected 4, 8 or 16 bytes", opts->element_size);
		return -EINVAL;
	}
	if ((unsigned int)opts->role > SIO_RBUFF_OBSERVER) {
		SIO_ERR("ring role %d: expected producer, consumer or observer", (int)opts->role);
		return -EINVAL;
	}
	return 0;
}

/* ---- geometry ---- */

/** Checks what a ring says of itself, and keeps it: it is not read from there again. */
static int
geometry_take(struct sio_rbuff *ring)
{
	const struct rbuff_constants *c = &ring->shared->constants;
	uint64_t size = sio_segment_size(ring->seg);

	ring->capacity = c->capacity;
	ring->element_size = c->element_size;
	ring->per_line = rbuff_per_line(ring->element_size);
	if (ring->per_line == 0 || ring->capacity < SIO_RBUFF_CAPACITY_MIN ||
		ring->capacity > SIO_RBUFF_CAPACITY_MAX ||
		(ring->capacity & (ring->capacity - 1)) != 0 || c->per_line != ring->per_line)
		goto corrupt;
	ring->lines = rbuff_lines(ring->capacity, ring->per_line);
	ring->number = c->number;
	ring->uid = c->uid;
	if (c->lines != ring->lines ||
		size < sizeof(struct rbuff_layout) + (uint64_t)ring->lines * SIO_CACHE_LINE)
		goto corrupt;
	return 0;
corrupt:
	SIO_ERR("ring '%s' is damaged: %u elements of %u bytes do not fit its %llu bytes; remove "
		"it and "
		"create it again",
		sio_segment_name(ring->seg), ring->capacity, ring->element_size,
		(unsigned long long)size);
	return -EPROTO;
}

static uint32_t
line_of(const struct sio_rbuff *ring, uint64_t position)
{
	return (uint32_t)(position / ring->per_line % ring->lines);
}

/**
 * The end word of a position's line, if it is of that position's lap and publishes it; else the
 * position itself.
 */
static uint64_t
line_end(const struct sio_rbuff *ring, uint64_t position)
{
	uint32_t in_line = (uint32_t)(position % ring->per_line);
	/* acquire, pairs with the producer's release of the line */
	uint64_t end = atomic_load_explicit(
		&ring->shared->lines[line_of(ring, position)].end, memory_order_acquire);

	return end - position - 1 < ring->per_line - in_line ? end : position;
}

/**
 * The producer's word says where the end was after its last call; what it published after that is
 * found in the lines. At most the ring's length of it, so the walk is bounded, whatever the words
 * say.
 */
/* Looks again so often at a producer that moves on. */
#define PUBLISHED_TRIES 8

static uint64_t
published_from(const struct sio_rbuff *ring, uint64_t position)
{
	for (uint32_t i = 0; i <= ring->lines; i++) {
		uint64_t end = line_end(ring, position);

		if (end == position)
			break;
		position = end;
		if (position % ring->per_line != 0)
			break;
	}
	return position;
}

/*
 * While one looks, a living producer can write the lines anew that its word led to: then it has
 * moved its word.
 */
uint64_t
sio_rbuff_published(const struct sio_rbuff *ring)
{
	const _Atomic uint64_t *word = &ring->shared->positions[SIO_RBUFF_PRODUCER].value;
	uint64_t before = atomic_load_explicit(word, memory_order_acquire), position, after;

	for (unsigned int try = 0;; try++) {
		position = published_from(ring, before);
		after = atomic_load_explicit(word, memory_order_acquire);
		if (after == before || try == PUBLISHED_TRIES)
			break;
		before = after;
	}
	/* what the word says is published in any case */
	return (int64_t)(position - after) < 0 ? after : position;
}

uint64_t
sio_rbuff_consumed(const struct sio_rbuff *ring)
{
	return atomic_load_explicit(
		&ring->shared->positions[SIO_RBUFF_CONSUMER].value, memory_order_acquire);
}

uint32_t
sio_rbuff_count(const struct sio_rbuff *ring)
{
	/* this first: it may move on meanwhile, but never beyond what is published */
	uint64_t consumed = sio_rbuff_consumed(ring);
	uint64_t queued = sio_rbuff_published(ring) - consumed;

	if ((int64_t)queued < 0)
		return 0;
	return queued < ring->capacity ? (uint32_t)queued : ring->capacity;
}

/* Orders loads; ThreadSanitizer knows no fences, and x86 needs none. */
static inline void
load_fence(void)
{
#ifdef __SANITIZE_THREAD__
	atomic_signal_fence(memory_order_acquire);
#else
	atomic_thread_fence(memory_order_acquire);
#endif
}

int
sio__rbuff_peek_queued(const struct sio_rbuff *ring, uint64_t position, void *element)
{
	const struct rbuff_line *line = &ring->shared->lines[line_of(ring, position)];

	if (line_end(ring, position) == position)
		return -ENOENT;
	memcpy(element,
		(const unsigned char *)line +
			rbuff_offset(ring->element_size, (uint32_t)(position % ring->per_line)),
		ring->element_size);
	/*
	 * overwritten meanwhile, against the rule? then the line's end word has left its lap, or
	 * will be seen to
	 */
	load_fence();
	return line_end(ring, position) == position ? -ENOENT : 0;
}

int
sio_rbuff_peek(const struct sio_rbuff *ring, uint64_t position, void *element)
{
	uint64_t published = sio_rbuff_published(ring);

	if (position >= published || published - position > ring->capacity)
		return -ENOENT;
	return sio__rbuff_peek_queued(ring, position, element);
}

/* ---- cursors ---- */

static size_t
side_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static int
side_new(struct rbuff_side **out)
{
	struct rbuff_side *side =
		mmap(NULL, side_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int rc;

	_Static_assert(sizeof(*side) <= 4096, "one page");
	if (side == MAP_FAILED)
		return -errno;
	/* a forked child finds zeroes there, and so no role */
	if (madvise(side, side_size(), MADV_WIPEONFORK) < 0) {
		rc = -errno;
		munmap(side, side_size());
		return rc;
	}
	*out = side;
	return 0;
}

/**
 * A predecessor that died before it published what it was writing may have left end words in the
 * lines after the published end. They count for nothing as long as the line that the end is in
 * says so, and would count once that line is full: so before anything is written, each of them is
 * made to say that nothing of its line is published. Nobody looks at these lines meanwhile, and a
 * death leaves the rest of them to the next producer, which walks them all again.
 */
static __attribute__((noinline)) void
tail_clear(const struct rbuff_side *side, uint64_t published, uint32_t per_line)
{
	struct rbuff_line *line = side->line;
	uint64_t first = published - side->in_line;

	for (uint32_t i = 1; i < side->lines; i++) {
		first += per_line;
		if (++line == side->last)
			line = side->first;
		/* above its first position: of this lap; what is still to be read is of the last */
		if ((int64_t)(atomic_load_explicit(&line->end, memory_order_relaxed) - first) > 0)
			atomic_store_explicit(&line->end, first, memory_order_relaxed);
	}
}

/* Of blocks only the reader's side knows, unless the pool is one that checks. */
static enum rbuff_kind
kind_of(const struct sio_rbuff *ring)
{
	if (ring->role == SIO_RBUFF_CONSUMER)
		return ring->pool != NULL ? RBUFF_READS_BLOCKS : RBUFF_READS;
	return ring->pool != NULL && (ring->pool->hdr->flags & SIO_POOL_CHECK) != 0
		       ? RBUFF_WRITES_CHECKED
		       : RBUFF_WRITES;
}

/**
 * Sets the cursor to where the ring stands. The role is ours: nobody else writes that side's
 * position.
 */
static int
side_start(struct sio_rbuff *ring)
{
	struct rbuff_layout *shared = ring->shared;
	struct rbuff_side *side = ring->side;
	uint64_t consumed = sio_rbuff_consumed(ring);
	uint64_t published = sio_rbuff_published(ring);

	/*
	 * one of the two is ours and stands still; where the living peer moves the other meanwhile,
	 * this holds on
	 */
	if (published - consumed > ring->capacity) {
		SIO_ERR("ring '%s' is damaged: consumed up to %llu, published up to %llu, "
			"capacity %u; remove it and create it again",
			sio_segment_name(ring->seg), (unsigned long long)consumed,
			(unsigned long long)published, ring->capacity);
		return -EPROTO;
	}
	side->element_size = ring->element_size;
	side->capacity = ring->capacity;
	side->lines = ring->lines;
	side->first = shared->lines;
	side->last = shared->lines + ring->lines;
	side->control = &shared->control;
	side->mine = &shared->positions[ring->role].value;
	side->theirs = &shared->positions[rbuff_other(ring->role)].value;
	side->fences = !sio__rbuff_barriers_register();
	if (ring->role == SIO_RBUFF_PRODUCER) {
		side->position = published;
		side->limit = consumed + ring->capacity;
	} else {
		side->position = consumed;
		side->limit = consumed;
	}
	if (ring->pool != NULL)
		sio__rbuff_blocks_start(ring, published == consumed);
	side->line = side->first + line_of(ring, side->position);
	side->in_line = (uint32_t)(side->position % ring->per_line);
	if (ring->role == SIO_RBUFF_PRODUCER && !SIO_PLANTED(TAIL_KEPT))
		tail_clear(side, published, ring->per_line);
	/* the producer's word may be behind what its predecessor published */
	atomic_store_explicit(side->mine, side->position, memory_order_release);
	/* a predecessor may have died in its sleep */
	atomic_store_explicit(&shared->control.sleeping[ring->role], 0, memory_order_relaxed);
	side->kind = kind_of(ring);
	return 0;
}

/* ---- opening and closing ---- */

static void
ring_close(struct sio_rbuff *ring)
{
	if (ring->seg != NULL) {
		sio__rbuff_role_leave(ring);
		if (ring->pool != NULL)
			sio__rbuff_blocks_leave(ring);
		sio_segment_detach(ring->seg);
	}
	if (ring->side != NULL)
		munmap(ring->side, side_size());
	free(ring);
}

/** The handle of a complete ring; the segment becomes the handle's, also on failure. */
static int
ring_open(struct sio_segment *seg, enum sio_rbuff_role role, struct sio_pool *pool,
	struct sio_rbuff **out)
{
	struct sio_rbuff *ring = calloc(1, sizeof(*ring));
	int rc;

	if (ring == NULL) {
		sio_segment_detach(seg);
		return -ENOMEM;
	}
	ring->seg = seg;
	ring->shared = sio_segment_data(seg);
	ring->role = role;
	rc = geometry_take(ring);
	if (rc == 0 && (role != SIO_RBUFF_OBSERVER || pool != NULL))
		rc = sio__rbuff_pool_set(ring, pool);
	if (rc == 0 && role != SIO_RBUFF_OBSERVER) {
		rc = side_new(&ring->side);
		if (rc == 0)
			rc = sio__rbuff_role_take(ring);
		if (rc == 0)
			rc = side_start(ring);
	}
	if (rc < 0) {
		ring_close(ring);
		return rc;
	}
	*out = ring;
	return 0;
}

static int
constants_set(struct rbuff_layout *shared, const struct sio_rbuff_opts *opts)
{
	struct rbuff_constants *c = &shared->constants;

	c->capacity = opts->capacity;
	c->element_size = opts->element_size;
	c->per_line = rbuff_per_line(opts->element_size);
	c->lines = rbuff_lines(opts->capacity, c->per_line);
	c->cookie = opts->cookie;
	if (name_set(c->pool, opts->pool) < 0 || name_set(c->pair, opts->pair) < 0) {
		SIO_ERR("the ring's pool or pair is no valid name");
		return -EINVAL;
	}
	return 0;
}

/* Fills, opens and publishes the segment, which is lost on failure. */
static int
ring_make(struct sio_segment *seg, const struct sio_rbuff_opts *opts, struct sio_rbuff **out)
{
	struct rbuff_constants *c = &((struct rbuff_layout *)sio_segment_data(seg))->constants;
	uint32_t number = 0;
	int rc = constants_set(sio_segment_data(seg), opts);

	if (rc == 0 && opts->carries != NULL)
		rc = sio__rbuff_number_take(c, opts);
	if (rc < 0) {
		sio_segment_detach(seg);
		return rc;
	}
	number = c->number;
	rc = ring_open(seg, opts->role, opts->carries, out);
	if (rc == 0) {
		rc = sio_segment_publish(seg);
		if (rc < 0) {
			ring_close(*out);
			*out = NULL;
		}
	}
	if (number != 0)
		sio__rbuff_number_use(opts->carries, number, rc == 0);
	return rc;
}

int
sio_rbuff_create(const struct sio_rbuff_opts *opts, struct sio_rbuff **out)
{
	struct sio_segment_opts so = {.sz = sizeof(so),
		.kind = SIO_KIND_RING,
		.layout_version = SIO_RBUFF_LAYOUT_VERSION};
	struct sio_segment *seg;
	int rc;

	*out = NULL;
	rc = opts_check(opts);
	if (rc < 0)
		return rc;
	so.name = opts->name;
	so.backing = opts->backing == SIO_BACKING_AUTO ? SIO_BACKING_FILE : opts->backing;
	so.data_size = sizeof(struct rbuff_layout) +
		       (uint64_t)rbuff_lines(opts->capacity, rbuff_per_line(opts->element_size)) *
			       SIO_CACHE_LINE;
	/* while a ring can be looked at that this one replaces */
	if (opts->carries != NULL)
		sio__rbuff_keep_queued(opts->carries, opts->name);
	rc = sio_segment_create(&so, &seg);
	if (rc < 0)
		return rc;
	return ring_make(seg, opts, out);
}

int
sio_rbuff_attach(const char *name, enum sio_rbuff_role role, struct sio_rbuff **out)
{
	return sio_rbuff_attach_blocks(name, role, NULL, out);
}

int
sio_rbuff_attach_blocks(
	const char *name, enum sio_rbuff_role role, struct sio_pool *pool, struct sio_rbuff **out)
{
	struct sio_segment_attach_opts ao = {.sz = sizeof(ao),
		.kind = SIO_KIND_RING,
		.layout_version = SIO_RBUFF_LAYOUT_VERSION,
		.observe = role == SIO_RBUFF_OBSERVER};
	struct sio_segment *seg;
	int rc;

	*out = NULL;
	if ((unsigned int)role > SIO_RBUFF_OBSERVER)
		return -EINVAL;
	rc = sio_segment_attach(name, &ao, &seg);
	if (rc < 0)
		return rc;
	return ring_open(seg, role, pool, out);
}

void
sio_rbuff_detach(struct sio_rbuff *ring)
{
	if (ring == NULL)
		return;
	/* whoever sleeps looks again */
	if (ring->side != NULL && ring->side->kind != RBUFF_NOBODY)
		sio__rbuff_wake_all(&ring->shared->control);
	ring_close(ring);
}

void
sio_rbuff_destroy(struct sio_rbuff *ring)
{
	if (ring == NULL)
		return;
	if (ring->number != 0)
		sio__rbuff_end(ring);
	else
		sio_segment_unlink(ring->seg);
	sio__rbuff_wake_all(&ring->shared->control);
	ring_close(ring);
}

/* ---- state and facts ---- */

void
sio_rbuff_state_set(struct sio_rbuff *ring, uint32_t bits)
{
	/*
	 * release: what was queued before is found by who sees the bit; a locked instruction: see
	 * rbuff_wait.c
	 */
	atomic_fetch_or_explicit(&ring->shared->control.state, bits, memory_order_seq_cst);
	sio__rbuff_wake_all(&ring->shared->control);
}

void
sio_rbuff_state_clear(struct sio_rbuff *ring, uint32_t bits)
{
	atomic_fetch_and_explicit(&ring->shared->control.state, ~bits, memory_order_seq_cst);
	sio__rbuff_wake_all(&ring->shared->control);
}

uint32_t
sio_rbuff_state(const struct sio_rbuff *ring)
{
	return atomic_load_explicit(&ring->shared->control.state, memory_order_acquire);
}

void
sio_rbuff_info(const struct sio_rbuff *ring, struct sio_rbuff_info *info)
{
	const struct rbuff_layout *shared = ring->shared;

	memset(info, 0, sizeof(*info));
	strncpy(info->name, sio_segment_name(ring->seg), SIO_NAME_LEN - 1);
	memcpy(info->pool, shared->constants.pool, SIO_NAME_LEN - 1);
	memcpy(info->pair, shared->constants.pair, SIO_NAME_LEN - 1);
	info->capacity = ring->capacity;
	info->element_size = ring->element_size;
	info->state = sio_rbuff_state(ring);
	info->count = sio_rbuff_count(ring);
	info->cookie = shared->constants.cookie;
	info->number = shared->constants.number;
	info->producer = rbuff_role_ring_member(
		atomic_load_explicit(&shared->roles[SIO_RBUFF_PRODUCER], memory_order_acquire));
	info->consumer = rbuff_role_ring_member(
		atomic_load_explicit(&shared->roles[SIO_RBUFF_CONSUMER], memory_order_acquire));
}

struct sio_segment *
sio_rbuff_segment(const struct sio_rbuff *ring)
{
	return ring->seg;
}
