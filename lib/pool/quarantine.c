/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The quarantine of a conservative pool: blocks of which a dead member may have had some.
 *
 * Invariant. A mark says that the block lay in no magazine when a death was recovered, and in none
 * at any later look. It says nothing about who has it: a living member may. So a marked block is
 * freed only when nobody but the freeing process is a member, and that process took none itself.
 *
 * Writers. The holder word, which such a pool does not use otherwise: 0 -> mark by recovery, mark
 * -> 0 by recovery and by who frees, mark -> the same of a later round by recovery;
 * compare-and-swap.
 *
 * Rounds. Recoveries run beside each other, and one that was held up knows what was free when it
 * looked, not what is now: a block may have been taken since by one that died since. So each
 * recovery of a death begins a round, and each block that it finds in no magazine gets a mark of
 * that round, marked before or not; and a mark is taken off only if its round had begun before the
 * look that found the block free. Then who had the block in that round's eyes no longer has it.
 *
 * Order of freeing. Names in all slots; magazines; names again, the same. Who joins after that can
 * come by a marked block only from a magazine, so after it was freed.
 *
 * Deaths. Between mark -> 0 and the give: the block is in the hands of a dead member, and the next
 * recovery marks it.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "pool/quarantine.h"
#include "segment/log.h"

#define NS_PER_S UINT64_C(1000000000)

#define ROUND_MASK ((UINT64_C(1) << SIO_QUARANTINE_ROUND_BITS) - 1)

void (*sio__quarantine_looked_hook)(void);

static uint64_t
mark_word(sio_member_t dead, uint64_t now_ns, uint32_t round)
{
	return SIO_HOLDER_QUARANTINE |
	       ((now_ns / NS_PER_S) << SIO_QUARANTINE_SINCE_SHIFT & ~SIO_HOLDER_KIND_MASK) |
	       (round & ROUND_MASK) << SIO_HOLDER_TO_SHIFT | dead;
}

static uint32_t
mark_round(uint64_t mark)
{
	return (uint32_t)(mark >> SIO_HOLDER_TO_SHIFT & ROUND_MASK);
}

static uint64_t
mark_again(uint64_t mark, uint32_t round)
{
	return (mark & ~(ROUND_MASK << SIO_HOLDER_TO_SHIFT)) | (round & ROUND_MASK)
								       << SIO_HOLDER_TO_SHIFT;
}

/* Rounds wrap; those of marks lie close together, since each one brings all marks to it. */
static bool
begun_before(uint64_t mark, uint32_t look)
{
	return ((look - mark_round(mark)) & ROUND_MASK) <= ROUND_MASK / 2;
}

static bool
is_mark(uint64_t holder)
{
	return (holder & SIO_HOLDER_KIND_MASK) == SIO_HOLDER_QUARANTINE;
}

static uint32_t
populated(const struct sio_pool *pool)
{
	uint32_t n = atomic_load_explicit(&pool->hdr->populated, memory_order_acquire);

	return n < pool->n_blocks ? n : pool->n_blocks;
}

static uint64_t
holder_of(const struct sio_pool *pool, uint32_t handle)
{
	return atomic_load_explicit(&pool->holders[handle], memory_order_relaxed);
}

static bool
change(struct sio_pool *pool, uint32_t handle, uint64_t from, uint64_t to)
{
	return atomic_compare_exchange_strong_explicit(
		&pool->holders[handle], &from, to, memory_order_acq_rel, memory_order_relaxed);
}

/* The first of the dead, to tell people of: which of several had a block is not known. */
static sio_member_t
a_dead_one(const struct sio_recovery *r)
{
	for (unsigned int i = 0; i < SIO_MEMBERS_MAX; i++)
		if (r->dead.gone[i])
			return r->dead.name[i];
	return SIO_MEMBER_NONE;
}

int
sio__quarantine_update(struct sio_recovery *r)
{
	struct sio_pool *pool = r->local.pool;
	sio_member_t dead = a_dead_one(r);
	uint32_t n = populated(pool), round;
	uint64_t word;

	/* relaxed: a death is what begins it, and then it is looked at in any case */
	if (dead == SIO_MEMBER_NONE &&
		atomic_load_explicit(&pool->hdr->quarantine, memory_order_relaxed) == 0)
		return 0;
	r->marks = calloc(pool->n_blocks / 8 + 1, 1);
	if (r->marks == NULL)
		return -ENOMEM;
	/* seq_cst: before the looks into magazines; partner: the same of another recovery */
	if (dead == SIO_MEMBER_NONE) {
		round = atomic_load_explicit(&pool->hdr->quarantine_round, memory_order_seq_cst);
	} else {
		atomic_store_explicit(&pool->hdr->quarantine, 1, memory_order_relaxed);
		round = 1 + atomic_fetch_add_explicit(
				    &pool->hdr->quarantine_round, 1, memory_order_seq_cst);
	}
	word = mark_word(dead, sio_now_ns(), round);
	sio__mark_free(r);
	if (sio__quarantine_looked_hook != NULL)
		sio__quarantine_looked_hook();
	for (uint32_t b = 0; b < n; b++) {
		uint64_t holder = holder_of(pool, b);
		bool was_free = sio_recovery_marked(r, b);

		if (was_free && is_mark(holder) && begun_before(holder, round))
			change(pool, b, holder, 0);
		else if (!was_free && dead != SIO_MEMBER_NONE && holder == 0)
			change(pool, b, 0, word);
		else if (!was_free && dead != SIO_MEMBER_NONE && is_mark(holder) &&
			 begun_before(holder, round))
			change(pool, b, holder, mark_again(holder, round));
		r->report.quarantined += is_mark(holder_of(pool, b));
	}
	free(r->marks);
	r->marks = NULL;
	return 0;
}

int
sio_pool_quarantine(
	struct sio_pool *pool, struct sio_quarantined *list, uint32_t max, uint32_t *found)
{
	struct sio_recovery r = {.local = {.pool = pool}};
	uint32_t n = populated(pool), k = 0;

	*found = 0;
	if (pool->exact)
		return 0;
	r.marks = calloc(pool->n_blocks / 8 + 1, 1);
	if (r.marks == NULL)
		return -ENOMEM;
	sio__mark_free(&r);
	for (uint32_t b = 0; b < n; b++) {
		uint64_t holder = holder_of(pool, b);

		if (!is_mark(holder) || sio_recovery_marked(&r, b))
			continue;
		if (k < max)
			list[k] = (struct sio_quarantined){
				.handle = b,
				.dead = (sio_member_t)(holder & SIO_HOLDER_NAME_MASK),
				.since_ns = (holder & ~SIO_HOLDER_KIND_MASK) >>
					    SIO_QUARANTINE_SINCE_SHIFT,
			};
		if (k < max)
			list[k].since_ns *= NS_PER_S;
		k++;
	}
	free(r.marks);
	*found = k;
	return 0;
}

/* Whether this process is the only member; whose names are in the slots. */
static bool
alone(struct sio_pool *pool, sio_member_t self, sio_member_t names[SIO_MEMBERS_MAX])
{
	for (unsigned int i = 0; i < SIO_MEMBERS_MAX; i++) {
		struct sio_member_info info;
		int rc = sio_member_get(pool->seg, i, &info);

		names[i] = info.member;
		if (rc != 0 || info.member == self || info.state == SIO_MEMBER_DEAD)
			continue;
		SIO_ERR("pool %s: process %d (%s) is a member and may have blocks that are in "
			"quarantine: expected it to leave or to be ended before they are freed",
			pool->hdr->name, info.pid, info.command);
		return false;
	}
	return true;
}

static uint32_t
free_marked(struct sio_recovery *r)
{
	struct sio_pool *pool = r->local.pool;
	uint32_t n = populated(pool), freed = 0;

	for (uint32_t b = 0; b < n; b++) {
		uint64_t holder = holder_of(pool, b);

		if (!is_mark(holder) || !change(pool, b, holder, 0) || sio_recovery_marked(r, b))
			continue;
		sio_local_give_one(&r->local, b);
		freed++;
	}
	sio_local_flush(&r->local);
	return freed;
}

int
sio_pool_quarantine_free(struct sio_pool *pool, uint32_t *freed)
{
	struct sio_recovery r = {.local = {.pool = pool}};
	sio_member_t before[SIO_MEMBERS_MAX], after[SIO_MEMBERS_MAX];
	sio_member_t self = sio_segment_self(pool->seg);
	int ret;

	*freed = 0;
	if (pool->observe || self == SIO_MEMBER_NONE)
		return -EPERM;
	if (pool->exact)
		return 0;
	if (atomic_load_explicit(&pool->used, memory_order_acquire)) {
		SIO_ERR("pool %s: this process has used the pool and may itself have blocks that "
			"are in quarantine: expected one that only frees them",
			pool->hdr->name);
		return -EPERM;
	}
	ret = sio_pool_recover(pool, NULL);
	if (ret != 0)
		return ret;
	if (!alone(pool, self, before))
		return -EBUSY;
	r.marks = calloc(pool->n_blocks / 8 + 1, 1);
	if (r.marks == NULL)
		return -ENOMEM;
	sio__mark_free(&r);
	if (!alone(pool, self, after) || memcmp(before, after, sizeof(before)) != 0) {
		ret = -EBUSY;
	} else {
		sio_local_init_hand(pool, &r.local, self);
		*freed = free_marked(&r);
		atomic_store_explicit(&pool->hdr->quarantine, 0, memory_order_relaxed);
	}
	free(r.marks);
	return ret;
}
