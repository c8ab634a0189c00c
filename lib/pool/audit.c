/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The audit walks every magazine and cell and meets each block that is in it. It only reads, and
 * believes nothing it reads.
 *
 * On a live pool a block can move from one magazine to another while the walk is between the two.
 * So each magazine gets a stamp when it is read: its word, and its shard's epoch. Two meetings of
 * one block count as a fault only if both stamps are still the same at the end: then both magazines
 * held it at the same time. A cell's stamp is its word.
 *
 * Rings are walked last. What is met there is queued at that very time, so that another stamp which
 * is the same after that makes a fault. Of a block that is met in two places of rings, the first is
 * looked at again: still queued there, it was in both.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "pool/ring_table.h"
#include "segment/log.h"

/* Reads a magazine that changes under it so many times. */
#define TRIES 4

/* So many blocks that are met in two places of rings are looked at again. */
#define QUEUED_TWICE_MAX 256

/* Who met a block, in place of a magazine's number. */
#define BY_RING	  (UINT32_MAX - 2)
#define BY_CALLER (UINT32_MAX - 1)
#define BY_NOBODY UINT32_MAX
/* Added to the number of a cell; a pool has fewer magazines. */
#define BY_CELL (1u << 31)

struct stamp {
	uint64_t word;
	uint32_t epoch;
	bool settled;
	bool dead;
};

struct double_meeting {
	uint32_t first, second;
};

/* Where a block is queued. */
struct ring_place {
	uint32_t number;
	uint64_t position;
};

/* A block met in two places of rings. */
struct queued_twice {
	uint32_t handle;
	bool sure;
};

struct sio_audit {
	struct sio_pool *pool;
	struct sio_audit_report report;
	uint32_t *met_by; /**< per block: the magazine where it was met first */
	uint8_t *place;	  /**< per block: where */
	struct stamp *stamps;
	uint64_t *words; /**< of the cells, as they were read */
	uint32_t cells_low, cells_high;
	uint32_t top;
	struct double_meeting *doubles;
	uint32_t n_doubles, max_doubles;
	struct ring_place *rings; /**< per block; NULL: no rings carry the pool's blocks */
	struct queued_twice queued_twice[QUEUED_TWICE_MAX];
	uint32_t n_queued_twice;
	atomic_uint fence;
	bool moved; /**< what the caller met cannot be relied on */
	enum sio_member_state states[SIO_MEMBERS_MAX];
	sio_member_t members[SIO_MEMBERS_MAX];
};

static void
meet(struct sio_audit *audit, uint32_t handle, enum sio_place place, uint32_t by)
{
	if (handle >= audit->pool->n_blocks) {
		audit->report.strange++;
		return;
	}
	if (audit->met_by[handle] == BY_NOBODY) {
		audit->met_by[handle] = by;
		audit->place[handle] = (uint8_t)place;
		audit->report.met[place]++;
		return;
	}
	if (audit->n_doubles == audit->max_doubles) {
		uint32_t max = audit->max_doubles * 2 + 16;
		void *more = realloc(audit->doubles, max * sizeof(audit->doubles[0]));

		if (more == NULL) {
			audit->report.twice++;
			return;
		}
		audit->doubles = more;
		audit->max_doubles = max;
	}
	audit->doubles[audit->n_doubles++] =
		(struct double_meeting){.first = audit->met_by[handle], .second = by};
}

static struct stamp
stamp_now(const struct sio_audit *audit, uint32_t m)
{
	struct sio_pool *pool = audit->pool;
	struct stamp stamp = {
		/* acquire: the magazine's contents; partner: who gave or left it */
		.word = atomic_load_explicit(&sio_magazine_at(pool, m)->word, memory_order_acquire),
		.settled = true,
	};
	uint64_t state = sio_mag_state(stamp.word);
	sio_member_t member = sio_mag_member(stamp.word);
	unsigned int slot = SIO_MEMBER_SLOT(member);

	if (state == SIO_MAG_DEPOT)
		return stamp;
	stamp.dead = audit->members[slot] != member || audit->states[slot] == SIO_MEMBER_DEAD;
	if (state == SIO_MAG_SHARD && sio_mag_shard(stamp.word) < pool->hdr->max_shards)
		stamp.epoch = atomic_load_explicit(
			&pool->shards[sio_mag_shard(stamp.word)].hot.epoch, memory_order_acquire);
	/* the dead change nothing any more; the living may be at it */
	if (!stamp.dead && (state == SIO_MAG_HAND || (stamp.epoch & 1)))
		stamp.settled = false;
	return stamp;
}

static bool
stamp_same(const struct stamp *a, const struct stamp *b)
{
	return a->word == b->word && a->epoch == b->epoch && a->settled && b->settled;
}

/* Exact pools: whose names the blocks of a magazine may carry. */
static void
check_holders(struct sio_audit *audit, uint32_t m, const struct stamp *stamp, uint32_t named,
	const uint32_t *handles, uint32_t count)
{
	struct sio_pool *pool = audit->pool;
	uint32_t wrong = 0;
	struct stamp now;

	if (!pool->exact || stamp->dead || !stamp->settled)
		return;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t holder;

		if (handles[i] >= pool->n_blocks)
			continue;
		/* acquire: the stamp below is read after it; partner: sio_take_over() */
		holder = atomic_load_explicit(&pool->holders[handles[i]], memory_order_acquire);
		wrong += holder != (SIO_HOLDER_MEMBER | named);
	}
	/* another member may have claimed the magazine meanwhile, and taken the blocks over */
	now = stamp_now(audit, m);
	if (stamp_same(stamp, &now))
		audit->report.holder_wrong += wrong;
}

static void
walk_magazine(struct sio_audit *audit, uint32_t m, uint32_t *handles)
{
	struct sio_pool *pool = audit->pool;
	struct sio_magazine *mag = sio_magazine_at(pool, m);
	struct stamp before, after;
	uint32_t count = 0, named = 0;

	for (unsigned int try = 0; try < TRIES; try++) {
		before = stamp_now(audit, m);
		count = sio_mag_count_now(mag);
		named = atomic_load_explicit(&mag->named, memory_order_relaxed);
		if (count > pool->magazine_size) {
			audit->report.strange += count - pool->magazine_size;
			count = pool->magazine_size;
		}
		for (uint32_t i = 0; i < count; i++)
			handles[i] = sio_entry_handle(pool, mag, i);
		/* the second stamp is read after them; a fence that ThreadSanitizer knows too */
		atomic_fetch_add_explicit(&audit->fence, 0, memory_order_acq_rel);
		after = stamp_now(audit, m);
		if (stamp_same(&before, &after))
			break;
	}
	after.settled = stamp_same(&before, &after);
	audit->stamps[m] = after;
	audit->report.unsettled += !after.settled;
	if (after.dead)
		audit->report.dead_blocks += count;
	check_holders(audit, m, &after, named, handles, count);
	for (uint32_t i = 0; i < count; i++)
		meet(audit, handles[i],
			sio_mag_state(after.word) == SIO_MAG_DEPOT ? SIO_PLACE_DEPOT
								   : SIO_PLACE_SHARD,
			m);
}

/* The blocks of the contiguous region that are in nobody's hands. */
static void
walk_cells(struct sio_audit *audit)
{
	struct sio_pool *pool = audit->pool;

	for (uint32_t c = audit->cells_low; c < audit->cells_high; c++) {
		/* acquire: what is met elsewhere is looked at after it, as for magazines */
		uint64_t word = atomic_load_explicit(&pool->cells[c].word, memory_order_acquire);
		uint32_t bits = sio_cell_free_bits(pool, word);
		sio_member_t member = sio_cell_member(word);

		audit->words[c - audit->cells_low] = word;
		if (sio_cell_state(word) == SIO_CELL_TAKING) {
			unsigned int slot = SIO_MEMBER_SLOT(member);

			if (audit->members[slot] != member ||
				audit->states[slot] == SIO_MEMBER_DEAD)
				audit->report.dead_blocks += (uint32_t)__builtin_popcount(bits);
			else
				audit->report.unsettled++;
		}
		for (; bits != 0; bits &= bits - 1)
			meet(audit, (c << pool->cell_shift) + (uint32_t)__builtin_ctz(bits),
				SIO_PLACE_CONTIG, BY_CELL + c);
	}
}

static void
look_at_members(struct sio_audit *audit)
{
	for (unsigned int i = 0; i < SIO_MEMBERS_MAX; i++) {
		struct sio_member_info info;

		audit->states[i] = SIO_MEMBER_FREE;
		if (sio_member_get(audit->pool->seg, i, &info) != 0)
			continue;
		audit->states[i] = info.state;
		audit->members[i] = info.member;
		audit->report.dead_members += info.state == SIO_MEMBER_DEAD;
	}
}

static void
audit_free(struct sio_audit *audit)
{
	free(audit->met_by);
	free(audit->place);
	free(audit->stamps);
	free(audit->words);
	free(audit->doubles);
	free(audit->rings);
	free(audit);
}

int
sio_audit_begin(struct sio_pool *pool, struct sio_audit **out)
{
	struct sio_audit *audit = calloc(1, sizeof(*audit));
	uint32_t handles[SIO_MAGAZINE_MAX];

	*out = NULL;
	if (audit == NULL)
		return -ENOMEM;
	audit->pool = pool;
	audit->top = sio_magazines_top(pool);
	audit->met_by = malloc(pool->n_blocks * sizeof(uint32_t));
	audit->place = calloc(pool->n_blocks, 1);
	audit->stamps = calloc(audit->top + 1, sizeof(struct stamp));
	sio_cells_bounds(pool, &audit->cells_low, &audit->cells_high);
	audit->words = calloc(audit->cells_high - audit->cells_low + 1, sizeof(uint64_t));
	if (pool->max_rings != 0)
		audit->rings = calloc(pool->n_blocks, sizeof(struct ring_place));
	if (audit->met_by == NULL || audit->place == NULL || audit->stamps == NULL ||
		audit->words == NULL || (pool->max_rings != 0 && audit->rings == NULL)) {
		audit_free(audit);
		return -ENOMEM;
	}
	memset(audit->met_by, 0xff, pool->n_blocks * sizeof(uint32_t));
	audit->report.populated = atomic_load_explicit(&pool->hdr->populated, memory_order_acquire);
	look_at_members(audit);
	for (uint32_t m = 0; m < audit->top; m++)
		walk_magazine(audit, m, handles);
	walk_cells(audit);
	*out = audit;
	return 0;
}

void
sio_audit_meet(struct sio_audit *audit, uint32_t handle, enum sio_place place)
{
	meet(audit, handle, place, BY_CALLER);
}

void
sio_audit_moved(struct sio_audit *audit)
{
	audit->moved = true;
	audit->report.unsettled++;
}

/* True if what met the block can still be relied on. */
static bool
still_so(const struct sio_audit *audit, uint32_t by)
{
	struct stamp now;

	if (by == BY_RING)
		return true;
	if (by == BY_CALLER)
		return !audit->moved;
	if (by >= BY_CELL)
		return atomic_load_explicit(
			       &audit->pool->cells[by - BY_CELL].word, memory_order_relaxed) ==
		       audit->words[by - BY_CELL - audit->cells_low];
	now = stamp_now(audit, by);
	return stamp_same(&audit->stamps[by], &now);
}

static void
meet_twice_queued(struct sio_audit *audit, uint32_t handle)
{
	/* a few show the fault; each is looked for among all that is queued */
	if (audit->n_queued_twice == QUEUED_TWICE_MAX) {
		audit->report.unsettled++;
		return;
	}
	audit->queued_twice[audit->n_queued_twice++] = (struct queued_twice){.handle = handle};
}

static void
meet_queued(void *arg, const struct sio_queued *queued)
{
	struct sio_audit *audit = arg;
	uint32_t handle = queued->handle;

	if (handle < audit->pool->n_blocks) {
		audit->report.holder_wrong += sio__queued_wrong(audit->pool, queued);
		if (audit->met_by[handle] == BY_RING) {
			meet_twice_queued(audit, handle);
			return;
		}
		audit->rings[handle].number = queued->number;
		audit->rings[handle].position = queued->position;
	}
	meet(audit, handle, SIO_PLACE_RING, BY_RING);
}

/* Looks for the first places of those met twice. */
static void
meet_again(void *arg, const struct sio_queued *queued)
{
	struct sio_audit *audit = arg;

	for (uint32_t i = 0; i < audit->n_queued_twice; i++) {
		struct queued_twice *twice = &audit->queued_twice[i];
		const struct ring_place *first = &audit->rings[twice->handle];

		twice->sure |= queued->handle == twice->handle && queued->number == first->number &&
			       queued->position == first->position;
	}
}

static void
walk_rings(struct sio_audit *audit)
{
	if (audit->rings == NULL)
		return;
	audit->report.unsettled += sio__rings_look(audit->pool, meet_queued, audit);
	if (audit->n_queued_twice == 0)
		return;
	sio__rings_look(audit->pool, meet_again, audit);
	for (uint32_t i = 0; i < audit->n_queued_twice; i++) {
		audit->report.twice += audit->queued_twice[i].sure;
		audit->report.unsettled += !audit->queued_twice[i].sure;
	}
}

void
sio_audit_end(struct sio_audit *audit, struct sio_audit_report *report)
{
	struct sio_pool *pool = audit->pool;
	uint32_t met = 0;

	walk_rings(audit);
	for (uint32_t i = 0; i < audit->n_doubles; i++) {
		const struct double_meeting *d = &audit->doubles[i];

		if (still_so(audit, d->first) && still_so(audit, d->second))
			audit->report.twice++;
		else
			audit->report.unsettled++;
	}
	for (uint32_t b = 0; b < audit->report.populated && b < pool->n_blocks; b++) {
		uint64_t holder = atomic_load_explicit(&pool->holders[b], memory_order_relaxed);

		if (audit->met_by[b] != BY_NOBODY || holder == 0)
			continue;
		if (!pool->exact)
			audit->report.quarantined +=
				(holder & SIO_HOLDER_KIND_MASK) == SIO_HOLDER_QUARANTINE;
		/* put back into a queue, and read meanwhile or not met for another reason */
		else if ((holder & SIO_HOLDER_KIND_MASK) == SIO_HOLDER_RING)
			audit->report.met[SIO_PLACE_RING]++;
		else
			audit->report.met[SIO_PLACE_HELD]++;
	}
	for (unsigned int p = 0; p < SIO_PLACES; p++)
		met += audit->report.met[p];
	audit->report.outstanding =
		met < audit->report.populated ? audit->report.populated - met : 0;
	*report = audit->report;
	audit_free(audit);
}

bool
sio_audit_clean(const struct sio_audit_report *report)
{
	return report->twice == 0 && report->strange == 0 && report->holder_wrong == 0 &&
	       report->unsettled == 0;
}

void
sio_audit_print(const struct sio_audit_report *report, FILE *out)
{
	static const char *const places[SIO_PLACES] = {
		[SIO_PLACE_DEPOT] = "in the depot",
		[SIO_PLACE_SHARD] = "in shards",
		[SIO_PLACE_RING] = "in rings",
		[SIO_PLACE_PORT] = "in ports",
		[SIO_PLACE_HELD] = "held, by holder word",
		[SIO_PLACE_CONTIG] = "in the contiguous region",
	};

	fprintf(out, "  %-32s %10u\n", "blocks", report->populated);
	for (unsigned int p = 0; p < SIO_PLACES; p++)
		fprintf(out, "    %-30s %10u\n", places[p], report->met[p]);
	fprintf(out, "    %-30s %10u\n", "in hands (met nowhere)", report->outstanding);
	fprintf(out, "      %-28s %10u\n", "of these in quarantine", report->quarantined);
	fprintf(out, "  %-32s %10u\n", "met twice", report->twice);
	fprintf(out, "  %-32s %10u\n", "handles outside the pool", report->strange);
	fprintf(out, "  %-32s %10u\n", "wrong holder words", report->holder_wrong);
	fprintf(out, "  %-32s %10u\n", "unsettled while looked at", report->unsettled);
	fprintf(out, "  %-32s %10u, with %u blocks in their shards\n", "dead members",
		report->dead_members, report->dead_blocks);
}
