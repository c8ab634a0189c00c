/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Recovery of rings that carry the blocks of an exact pool: its step 3.
 *
 * Invariant. A side is settled by one process at a time, the one that its role names as settling;
 * nobody publishes or reads on that side until its role is free again.
 *
 * Order. First the role, so that the side stands still. A writer leaves nothing but what is
 * published: that stays queued, in its name, and what it had not published is in its hands. Of a
 * reader, every position that it had not stated as read is looked at: a block there that carries a
 * dead name which is no writer's is one that it had taken, and goes back to that position. Then the
 * role becomes free, and whoever sleeps in the ring looks again.
 *
 * Whatever is queued in any ring is marked, also in one that a living process closes: names of dead
 * writers on marked blocks are left alone by the rest of recovery. A block that a dead name is on,
 * and that is not marked, was in none of the queues when this looked, and comes into none, as the
 * dead write no more.
 *
 * Deaths. The role names the dead recoverer, and so a dead side: the next run begins with that side
 * anew, and finds done what was done. What was freed carries the dead recoverer's name.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "pool/recover.h"
#include "pool/ring_table.h"
#include "rbuff_private.h"
#include "segment/log.h"

/* An entry whose word changes while its name is read is read again so often. */
#define TRIES 8

/* One ring in one run. */
struct ring_run {
	struct sio_rbuff *ring; /**< NULL: it is not there */
	uint64_t word;		/**< of its entry, when it was opened */
	uint32_t number;
	bool mine[2];	   /**< by role: this run settles it */
	bool closing;	   /**< this run closes it */
	uint64_t consumed; /**< of a dead reader */
};

static bool
member_is_dead(const struct sio_recovery *r, uint64_t word)
{
	return sio_dead_name(&r->dead, sio_ring_member(word));
}

static int
open_entry(struct sio_recovery *r, struct ring_run *run)
{
	return sio__rbuff_open_entry(r->local.pool, run->number, run->word, &run->ring);
}

static void
close_now(struct sio_recovery *r, struct ring_run *run)
{
	run->closing = sio__ring_closing(r->local.pool, run->number, run->word, r->local.member);
}

/* One try. @return 0; -EAGAIN the entry changed meanwhile; another -errno: cannot be looked at */
static int
open_try(struct sio_recovery *r, struct ring_run *run)
{
	uint64_t state;
	bool dead;
	int rc;

	run->word = sio__ring_word(r->local.pool, run->number);
	state = sio_ring_state(run->word);
	dead = member_is_dead(r, run->word);
	switch (state) {
	case SIO_RING_FREE:
		return 0;
	case SIO_RING_MAKING:
		/* of the living: it goes on by itself */
		if (dead)
			close_now(r, run);
		return 0;
	case SIO_RING_CLOSING:
		/* of the living: what it has not taken out yet is queued. Without a name it is empty */
		rc = open_entry(r, run);
		if (dead && (rc == 0 || rc == -ENOENT || rc == -EPROTO)) {
			close_now(r, run);
			return 0;
		}
		return rc == -ENOENT ? 0 : rc;
	default:
		rc = open_entry(r, run);
		if (rc != -ENOENT)
			return rc;
		if (state != SIO_RING_NAMED || dead)
			close_now(r, run);
		return 0;
	}
}

static void
open_ring(struct sio_recovery *r, struct ring_run *run)
{
	int rc = -EAGAIN;

	for (unsigned int try = 0; rc == -EAGAIN && try < TRIES; try++)
		rc = open_try(r, run);
	r->blind |= rc != 0;
}

/* Makes this run the one that settles the dead's sides. */
static void
roles_take(struct sio_recovery *r, struct ring_run *run)
{
	uint64_t settling = rbuff_role_settling(r->local.member);

	for (int role = 0; role < 2; role++) {
		_Atomic uint64_t *word = &run->ring->shared->roles[role];
		uint64_t had = atomic_load_explicit(word, memory_order_acquire);

		if (had == RBUFF_ROLE_NONE)
			continue;
		if (!sio_dead_name(&r->dead, rbuff_role_pool_member(had))) {
			r->report.left += (had & RBUFF_ROLE_SETTLING) != 0;
			continue;
		}
		/* acquire: what the dead recoverer before did */
		run->mine[role] = atomic_compare_exchange_strong_explicit(
			word, &had, settling, memory_order_acq_rel, memory_order_relaxed);
	}
}

static void
each_queued(struct sio_recovery *r, struct ring_run *run, rbuff_queued_fn fn)
{
	r->blind |= !sio__rbuff_each_queued(run->ring, fn, r);
}

static void
requeue(void *arg, const struct sio_queued *queued)
{
	struct sio_recovery *r = arg;
	_Atomic uint64_t *holder;
	uint64_t had;

	if (queued->handle >= r->local.pool->n_blocks)
		return;
	holder = &r->local.pool->holders[queued->handle];
	had = atomic_load_explicit(holder, memory_order_relaxed);
	if (!sio_dead_holder(&r->dead, had) || sio__rbuff_is_writer(queued->ring->shared, had))
		return;
	/* release: for the next reader; it sees its role free after that */
	r->report.requeued += atomic_compare_exchange_strong_explicit(holder, &had,
		sio_holder_ring(queued->number, queued->position), memory_order_acq_rel,
		memory_order_relaxed);
}

/* It was destroyed, and both sides have left or are dead. */
static void
close_ended(struct sio_recovery *r, struct ring_run *run)
{
	uint64_t word = sio__ring_word(r->local.pool, run->number);

	if (sio_ring_state(word) != SIO_RING_ENDING)
		return;
	for (int role = 0; role < 2; role++)
		if (!run->mine[role] && atomic_load_explicit(&run->ring->shared->roles[role],
						memory_order_seq_cst) != RBUFF_ROLE_NONE)
			return;
	run->closing = sio__ring_closing(r->local.pool, run->number, word, r->local.member);
}

static void
settle_sides(struct sio_recovery *r, struct ring_run *run)
{
	roles_take(r, run);
	if (run->mine[SIO_RBUFF_CONSUMER]) {
		run->consumed = sio_rbuff_consumed(run->ring);
		each_queued(r, run, requeue);
	}
	close_ended(r, run);
	if (!run->closing && (run->mine[0] || run->mine[1]))
		r->report.queued += sio_rbuff_count(run->ring);
}

/* True of a block that names a position of a ring that nobody will ever read. */
static bool
is_lost(const struct ring_run *runs, uint32_t max, uint64_t holder)
{
	const struct ring_run *run;
	uint32_t number = sio_holder_number(holder);

	if ((holder & SIO_HOLDER_KIND_MASK) != SIO_HOLDER_RING || number < 1 || number > max)
		return false;
	run = &runs[number - 1];
	/* positions are compared as the 48 bits of them that a holder word has */
	return run->closing ||
	       (run->mine[SIO_RBUFF_CONSUMER] && (int64_t)((holder - run->consumed) << 16) < 0);
}

static void
take_lost(struct sio_recovery *r, const struct ring_run *runs)
{
	struct sio_pool *pool = r->local.pool;
	uint32_t populated = atomic_load_explicit(&pool->hdr->populated, memory_order_acquire);

	for (uint32_t b = 0; b < populated && b < pool->n_blocks; b++) {
		uint64_t holder = atomic_load_explicit(&pool->holders[b], memory_order_relaxed);

		if (!is_lost(runs, pool->max_rings, holder))
			continue;
		if (!atomic_compare_exchange_strong_explicit(&pool->holders[b], &holder,
			    SIO_HOLDER_MEMBER | r->local.member, memory_order_acq_rel,
			    memory_order_relaxed))
			continue;
		sio_local_give_one(&r->local, b);
		r->report.blocks_rings++;
	}
}

static void
roles_free(struct sio_recovery *r, struct ring_run *run)
{
	for (int role = 0; role < 2; role++) {
		uint64_t settling = rbuff_role_settling(r->local.member);

		if (!run->mine[role])
			continue;
		/* release: all of the above; partner: who takes the role next */
		r->report.ring_sides += atomic_compare_exchange_strong_explicit(
			&run->ring->shared->roles[role], &settling, RBUFF_ROLE_NONE,
			memory_order_seq_cst, memory_order_relaxed);
	}
	if (run->mine[0] || run->mine[1])
		sio__rbuff_wake_all(&run->ring->shared->control);
	sio__rbuff_bury_roleless(run->ring);
}

static void
finish(struct sio_recovery *r, struct ring_run *run)
{
	struct sio_pool *pool = r->local.pool;

	if (run->ring != NULL && !run->closing) {
		each_queued(r, run, sio__mark_queued);
		if (sio_ring_state(run->word) == SIO_RING_NAMED && member_is_dead(r, run->word))
			sio__ring_bound(pool, run->number);
	}
	if (run->ring != NULL) {
		/* before the number is free: who finds the name finds what it says true */
		if (run->closing)
			sio_segment_unlink(run->ring->seg);
		roles_free(r, run);
		sio_rbuff_detach(run->ring);
	}
	if (run->closing) {
		sio__ring_free(pool, run->number);
		r->report.rings_closed++;
	}
}

int
sio__rings_settle(struct sio_recovery *r)
{
	uint32_t max = r->local.pool->max_rings;
	struct ring_run *runs = calloc(max, sizeof(*runs));
	bool walk = false;

	if (runs == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < max; i++) {
		struct ring_run *run = &runs[i];

		run->number = i + 1;
		open_ring(r, run);
		if (run->ring != NULL && sio_ring_state(run->word) != SIO_RING_CLOSING)
			settle_sides(r, run);
		if (run->ring != NULL && run->closing)
			r->report.blocks_rings += sio__rbuff_unload(run->ring, &r->local, &r->dead);
		walk |= run->closing || run->mine[SIO_RBUFF_CONSUMER];
	}
	if (walk)
		take_lost(r, runs);
	for (uint32_t i = 0; i < max; i++)
		finish(r, &runs[i]);
	free(runs);
	return 0;
}

/* ---- a ring that is about to be replaced ---- */

static void
name_position(void *arg, const struct sio_queued *queued)
{
	struct sio_pool *pool = arg;
	uint64_t had;

	if (queued->handle >= pool->n_blocks)
		return;
	had = atomic_load_explicit(&pool->holders[queued->handle], memory_order_relaxed);
	/* nobody reads here meanwhile, so that a living writer's name cannot come back on a block */
	if (sio__rbuff_is_writer(queued->ring->shared, had))
		atomic_compare_exchange_strong_explicit(&pool->holders[queued->handle], &had,
			sio_holder_ring(queued->number, queued->position), memory_order_acq_rel,
			memory_order_relaxed);
}

/* As recovery does: in the reader's place, which is free before and after. */
static void
keep_queued_of(struct sio_pool *pool, sio_member_t self, struct sio_rbuff *ring)
{
	_Atomic uint64_t *role = &ring->shared->roles[SIO_RBUFF_CONSUMER];
	uint64_t settling = rbuff_role_settling(self);
	uint64_t nobody = RBUFF_ROLE_NONE;

	/* not beside a living writer: a ring that one is in cannot be replaced */
	if (sio__rbuff_role_state(ring, SIO_RBUFF_PRODUCER) == SIO_MEMBER_LIVE)
		return;
	if (sio__rbuff_role_state(ring, SIO_RBUFF_CONSUMER) == SIO_MEMBER_DEAD)
		sio_pool_recover(pool, NULL);
	/* acquire: what readers before consumed; release: for the next one */
	if (!atomic_compare_exchange_strong_explicit(
		    role, &nobody, settling, memory_order_acq_rel, memory_order_relaxed))
		return;
	sio__rbuff_each_queued(ring, name_position, pool);
	atomic_compare_exchange_strong_explicit(
		role, &settling, RBUFF_ROLE_NONE, memory_order_seq_cst, memory_order_relaxed);
}

void
sio__rbuff_keep_queued(struct sio_pool *pool, const char *name)
{
	sio_member_t self;

	if (!pool->exact || name == NULL || sio__pool_self(pool, &self) != 0)
		return;
	for (uint32_t n = 1; n <= pool->max_rings; n++) {
		struct sio_ring_entry *entry = sio_ring_entry_of(pool, n);
		uint64_t word = sio__ring_word(pool, n);
		char named[SIO_NAME_LEN];
		struct sio_rbuff *ring;

		if (sio_ring_state(word) == SIO_RING_FREE ||
			sio_ring_state(word) == SIO_RING_MAKING || !sio__ring_name(entry, named) ||
			strcmp(named, name) != 0)
			continue;
		/* who was to say that it is there, or to close it, died: recovery does */
		if (sio_ring_state(word) != SIO_RING_BOUND) {
			sio_pool_recover(pool, NULL);
			word = sio__ring_word(pool, n);
		}
		if (sio_ring_state(word) != SIO_RING_BOUND ||
			sio__rbuff_open_entry(pool, n, word, &ring) != 0)
			continue;
		keep_queued_of(pool, self, ring);
		sio_rbuff_detach(ring);
		/* who destroyed it meanwhile may have found the reader's place taken, and left it */
		if (sio_ring_state(sio__ring_word(pool, n)) == SIO_RING_ENDING)
			sio_pool_recover(pool, NULL);
	}
}
