/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Recovery: what the dead held becomes free again.
 *
 * Invariant. Only what carries a dead or stale name is touched, through the same compare-and-swaps
 * as everybody else, in the name of who runs this. Who loses one skips that thing.
 *
 * Order. First of all it is fixed who is dead; then comes the barrier. Who joins and dies meanwhile
 * is left for the next recovery: its swaps may be later than this barrier, its gives later than
 * this walk. Then magazines, then takes of neighbours, then (exact pools) rings, then blocks that
 * lie in no magazine and no ring, then shards, then the member slots. A block that carries a dead
 * name and lies in somebody's magazine is left to who claims that magazine, and one that lies in a
 * ring, where it has its writer's name, to who reads it. Since the dead give nothing any more, and
 * the living give only what carries their own name, a block of a dead name can leave magazines but
 * not enter one: who finds it in none, has found it in hands.
 *
 * A magazine in a dead thief's hand may still be at work on by the living owner that it was swapped
 * out of, unless that owner let go. So a thief's look is needed, after a barrier: the owner
 * outside, or since seen to leave. If it is not to be seen outside, the magazine is left for the
 * next recovery, and its dead thief unburied.
 *
 * Deaths. What was taken over carries the name of the recoverer, and the next recovery settles
 * that. A slot is buried last, so that whatever is left is found again.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "pool/quarantine.h"
#include "pool/ring_table.h"
#include "segment/barrier.h"
#include "segment/log.h"

/* Looks again so often at an owner that is inside. */
#define LOOKS 1000

static void
find_dead(struct sio_recovery *r)
{
	for (unsigned int i = 0; i < SIO_MEMBERS_MAX; i++) {
		struct sio_member_info info;

		/* of a free slot, too, the name tells earlier generations from later ones */
		sio_member_get(r->local.pool->seg, i, &info);
		r->dead.name[i] = info.member;
		r->dead.gone[i] = info.state == SIO_MEMBER_DEAD;
		r->report.dead_members += r->dead.gone[i];
	}
}

/* Whether the living owner that a dead thief swapped a magazine out of cannot be at work on it. */
static bool
owner_is_away(struct sio_recovery *r, uint64_t word)
{
	struct sio_pool *pool = r->local.pool;
	uint32_t s = sio_mag_shard(word), epoch;
	uint64_t owner;

	if (sio_mag_count(word) != 0 || s >= pool->max_shards)
		return true;
	owner = atomic_load_explicit(&pool->shards[s].owner, memory_order_relaxed);
	if (owner == 0 || sio_dead_name(&r->dead, (sio_member_t)(owner - 1)))
		return true;
	if (!r->barrier)
		return false;
	epoch = atomic_load_explicit(&pool->shards[s].hot.epoch, memory_order_seq_cst);
	for (unsigned int i = 0; (epoch & 1) != 0 && i < LOOKS; i++) {
		sio_pause();
		if (atomic_load_explicit(&pool->shards[s].hot.epoch, memory_order_seq_cst) != epoch)
			return true;
	}
	return (epoch & 1) == 0;
}

static void
settle_magazine(struct sio_recovery *r, uint32_t m)
{
	struct sio_pool *pool = r->local.pool;
	struct sio_magazine *mag = sio_magazine_at(pool, m);
	uint64_t word = atomic_load_explicit(&mag->word, memory_order_acquire);
	struct sio_slot slot = {.mag = mag, .index = m};

	if (sio_mag_state(word) == SIO_MAG_DEPOT || !sio_dead_name(&r->dead, sio_mag_member(word)))
		return;
	if (sio_mag_state(word) == SIO_MAG_HAND && !owner_is_away(r, word)) {
		r->report.left++;
		return;
	}
	slot.word = sio_mag_next(word, r->local.owner, 0);
	if (!atomic_compare_exchange_strong_explicit(
		    &mag->word, &word, slot.word, memory_order_acq_rel, memory_order_relaxed))
		return;
	sio_count_check(pool, mag);
	if (pool->exact)
		sio_take_over(&r->local, mag, sio_mag_member(word), &r->dead);
	r->report.magazines++;
	r->report.blocks_shards += sio_mag_count_now(mag);
	sio_depot_give(&r->local, &slot);
}

void
sio__mark_free(struct sio_recovery *r)
{
	struct sio_pool *pool = r->local.pool;
	uint32_t top = sio_magazines_top(pool);

	for (uint32_t m = 0; m < top; m++) {
		struct sio_magazine *mag = sio_magazine_at(pool, m);
		/* acquire: the handles that it covers */
		uint32_t count = atomic_load_explicit(&mag->count, memory_order_acquire);

		for (uint32_t i = 0; i < count && i < pool->magazine_size; i++)
			sio_recovery_mark(r, sio_entry_handle(pool, mag, i));
	}
	sio__contig_mark(r);
}

/* True of a block that is in the hands of the dead, or on its way from or to one. */
static bool
holder_is_dead(const struct sio_recovery *r, uint64_t holder)
{
	if ((holder & SIO_HOLDER_KIND_MASK) == SIO_HOLDER_OFFER)
		return sio_dead_name(&r->dead, sio_offer_from(holder)) ||
		       sio_dead_name(&r->dead, sio_offer_to(holder));
	return sio_dead_holder(&r->dead, holder);
}

/* Exact pools: blocks in the hands of the dead. */
static void
settle_hands(struct sio_recovery *r)
{
	struct sio_pool *pool = r->local.pool;
	uint32_t populated = atomic_load_explicit(&pool->hdr->populated, memory_order_acquire);

	for (uint32_t b = 0; b < populated && b < pool->n_blocks; b++) {
		/* acquire: the marks are older; partner: who took it from a magazine or ring */
		uint64_t holder = atomic_load_explicit(&pool->holders[b], memory_order_acquire);

		if (sio_recovery_marked(r, b) || !holder_is_dead(r, holder))
			continue;
		if (!atomic_compare_exchange_strong_explicit(&pool->holders[b], &holder,
			    SIO_HOLDER_MEMBER | r->local.member, memory_order_acq_rel,
			    memory_order_relaxed))
			continue;
		sio_local_give_one(&r->local, b);
		r->report.blocks_hands++;
	}
}

/* Exact pools: what lies in no magazine, in rings and in hands. */
static int
settle_outside(struct sio_recovery *r)
{
	int ret;

	r->marks = calloc(r->local.pool->n_blocks / 8 + 1, 1);
	if (r->marks == NULL)
		return -ENOMEM;
	ret = sio__rings_settle(r);
	/* also without a death: offers can be to members that left, and nobody else ends them */
	if (ret == 0 && !r->blind) {
		sio__mark_free(r);
		settle_hands(r);
	}
	r->report.left += r->blind;
	free(r->marks);
	return ret;
}

/* A block of the contiguous region that is free: its holder word means nothing. */
static bool
free_in_region(const struct sio_pool *pool, uint32_t b)
{
	const struct sio_cell *cell;

	if (pool->cells == NULL)
		return false;
	cell = &pool->cells[b >> pool->cell_shift];
	return (sio_cell_free_bits(pool, atomic_load_explicit(&cell->word, memory_order_acquire)) &
		       1u << (b & ((1u << pool->cell_shift) - 1))) != 0;
}

void
sio__mark_queued(void *r, const struct sio_queued *queued)
{
	sio_recovery_mark(r, queued->handle);
}

/*
 * Blocks that this process cannot make new. Their holders stay unburied. What dead writers queued
 * is not to be made new.
 */
static int
count_unrenewed(struct sio_recovery *r)
{
	struct sio_pool *pool = r->local.pool;
	uint32_t populated = atomic_load_explicit(&pool->hdr->populated, memory_order_acquire);

	r->marks = calloc(pool->n_blocks / 8 + 1, 1);
	if (r->marks == NULL)
		return -ENOMEM;
	r->report.left += sio__rings_look(pool, sio__mark_queued, r);
	for (uint32_t b = 0; b < populated && b < pool->n_blocks; b++)
		r->report.unrenewed += !sio_recovery_marked(r, b) && !free_in_region(pool, b) &&
				       holder_is_dead(r, atomic_load_explicit(&pool->holders[b],
								 memory_order_relaxed));
	free(r->marks);
	return 0;
}

int
sio_pool_set_renew(struct sio_pool *pool, sio_renew_t renew, void *arg)
{
	if ((pool->hdr->flags & SIO_POOL_RENEW) == 0)
		return -EINVAL;
	pool->renew_arg = arg;
	pool->renew = renew;
	return 0;
}

static void
settle_shards(struct sio_recovery *r)
{
	struct sio_pool *pool = r->local.pool;
	uint32_t top = sio_shards_top(pool);

	for (uint32_t s = 0; s < top; s++) {
		uint64_t owner = atomic_load_explicit(&pool->shards[s].owner, memory_order_relaxed);

		if (owner == 0 || !sio_dead_name(&r->dead, (sio_member_t)(owner - 1)))
			continue;
		/* the epoch may be odd: who takes the shard next makes it even */
		r->report.shards += atomic_compare_exchange_strong_explicit(&pool->shards[s].owner,
			&owner, 0, memory_order_release, memory_order_relaxed);
	}
}

/*
 * A put-back by a thief that was stopped meanwhile may have brought a dead name back: then not yet.
 */
static void
bury(struct sio_recovery *r)
{
	struct sio_pool *pool = r->local.pool;

	for (unsigned int i = 0; i < SIO_MEMBERS_MAX; i++)
		if (r->dead.gone[i])
			r->report.buried += sio_member_bury(pool->seg, r->dead.name[i]) == 0;
}

int
sio_pool_recover(struct sio_pool *pool, struct sio_recover_report *report)
{
	struct sio_recovery r = {.dead = {.pool = pool}};
	uint64_t began = sio_now_ns();
	sio_member_t self = sio_segment_self(pool->seg);
	uint32_t top;
	int ret = 0;

	if (pool->observe || self == SIO_MEMBER_NONE)
		return -EPERM;
	sio_local_init_hand(pool, &r.local, self);
	find_dead(&r);
	/* after the dead did all they did: their swaps are seen by every owner's next look */
	r.barrier = pool->can_steal && sio_barrier();
	/* no magazine of theirs lies above it */
	top = sio_magazines_top(pool);
	for (uint32_t m = 0; m < top; m++)
		settle_magazine(&r, m);
	sio__contig_settle(&r);
	if (!pool->exact)
		ret = sio__quarantine_update(&r);
	else if ((pool->hdr->flags & SIO_POOL_RENEW) == 0 || pool->renew != NULL)
		ret = settle_outside(&r);
	else if (r.report.dead_members != 0)
		ret = count_unrenewed(&r);
	sio_local_flush(&r.local);
	settle_shards(&r);
	/* what they gave to the depot may not have been counted */
	if (r.report.dead_members != 0)
		sio_event(&r.local);
	if (ret == 0 && r.report.left == 0 && r.report.unrenewed == 0)
		bury(&r);
	r.report.ns = sio_now_ns() - began;
	if (r.report.dead_members != 0)
		SIO_NOTICE("pool %s: recovered %u dead members: %u free blocks in %u magazines, %u "
			   "in hands, %u of ended rings, %u of contiguous takes; %u put back "
			   "into queues, where %u are; %u things left",
			pool->hdr->name, r.report.dead_members, r.report.blocks_shards,
			r.report.magazines, r.report.blocks_hands, r.report.blocks_rings,
			r.report.blocks_contig, r.report.requeued, r.report.queued, r.report.left);
	if (report != NULL)
		*report = r.report;
	return ret;
}
