/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Contiguous takes: neighbours, from a region that was set aside when the pool was created.
 * doc/design/ownership.md, 12.
 *
 * Invariant. A cell's word says which of its blocks are out. A cell that is FREE is nobody's; one
 * in TAKING is the named member's, and nobody else knows of its blocks; in OUT each block of the
 * bitmap has one who may give it back, in exact pools whom its holder word names.
 *
 * Writers. FREE: compare-and-swap by who takes. TAKING: a store by the member it names, or
 * compare-and-swap by recovery once that member is dead. OUT: compare-and-swap by who gives.
 *
 * Orders. Giving is a release, taking an acquire: who takes sees what any of those wrote who gave
 * blocks of that cell, since their compare-and-swaps follow each other. OUT is stored with release
 * after the holder words: who reads OUT, recovery above all, reads them as they are.
 *
 * Deaths. In TAKING nobody has the blocks: recovery makes the cell FREE. In OUT a block that its
 * holder had not given back is in the hands of the dead, like any other. There is nothing between:
 * each cell changes by one word.
 */

#include <errno.h>
#include "pool/recover.h"
#include "segment/log.h"

/* Looks again where another take was under way in what it needed. */
#define LOOKS 4

/* Reports every so many wrong gives of a pool: the 1st, 2nd, 4th, 8th and so on. */
static bool
log_due(uint64_t before, uint64_t after)
{
	return after != before && (after ^ before) > before;
}

static uint32_t
cell_blocks(const struct sio_pool *pool)
{
	return 1u << pool->cell_shift;
}

/* ---- taking ---- */

/** One take: how many cells, and where in a run it may begin. */
struct want {
	uint32_t cells;
	uint32_t run; /**< cells of a run */
	bool met_taking;
};

/* Runs keep their places: what is smaller than one stays within it, what is not begins with one. */
static bool
fits_there(const struct want *want, const struct sio_cell *cell)
{
	if (cell->left < want->cells)
		return false;
	return want->cells >= want->run ? cell->pos == 0 : cell->pos + want->cells <= want->run;
}

/* How many cells from c on are free, up to those wanted. */
static uint32_t
look(const struct sio_pool *pool, uint32_t c, struct want *want)
{
	uint32_t i;

	for (i = 0; i < want->cells; i++) {
		uint64_t word =
			atomic_load_explicit(&pool->cells[c + i].word, memory_order_acquire);

		want->met_taking |= sio_cell_state(word) == SIO_CELL_TAKING;
		if (word != SIO_CELL_FREE)
			break;
	}
	return i;
}

/* Claims the cells from c on, all or none. */
static bool
claim(struct sio_local *local, uint32_t c, uint32_t n)
{
	struct sio_cell *cells = &local->pool->cells[c];
	uint32_t done;

	for (done = 0; done < n; done++) {
		uint64_t word = SIO_CELL_FREE;

		/*
		 * acquire: what those wrote who had the blocks; partner: the release in release()
		 */
		if (!atomic_compare_exchange_strong_explicit(&cells[done].word, &word,
			    sio_cell_taking(local->member), memory_order_acquire,
			    memory_order_relaxed))
			break;
	}
	if (done == n)
		return true;
	/* release: what was acquired above is passed on */
	while (done-- > 0)
		atomic_store_explicit(&cells[done].word, SIO_CELL_FREE, memory_order_release);
	return false;
}

/* Looks through the cells from low to high. @return false if nothing was claimed */
static bool
search(struct sio_local *local, struct want *want, uint32_t low, uint32_t high, uint32_t *found)
{
	struct sio_pool *pool = local->pool;
	uint32_t c = low;

	while (c < high) {
		const struct sio_cell *cell = &pool->cells[c];
		/* acquire: what is constant in the cell; partner: sio__contig_set_aside() */
		uint64_t word = atomic_load_explicit(&cell->word, memory_order_acquire);
		uint32_t n;

		if (sio_cell_state(word) == SIO_CELL_NONE || !fits_there(want, cell) ||
			/* another process wrote how many cells follow */
			want->cells > (pool->n_blocks >> pool->cell_shift) - c) {
			c++;
			continue;
		}
		n = look(pool, c, want);
		if (n == want->cells && claim(local, c, n)) {
			*found = c;
			return true;
		}
		want->met_taking |= n == want->cells;
		c += n + (n < want->cells);
	}
	return false;
}

static bool
search_all(struct sio_local *local, struct want *want, uint32_t *found)
{
	uint32_t low, high, start;

	sio_cells_bounds(local->pool, &low, &high);
	start = local->contig_walk >= low && local->contig_walk < high ? local->contig_walk : low;
	for (unsigned int i = 0; i < LOOKS; i++) {
		want->met_taking = false;
		if (search(local, want, start, high, found) ||
			search(local, want, low, start, found))
			return true;
		if (!want->met_taking)
			break;
		sio_pause();
	}
	return false;
}

/* The cells are this thread's alone; says which of their blocks are out. */
static void
take_out(struct sio_local *local, uint32_t c, unsigned int n)
{
	struct sio_pool *pool = local->pool;
	uint64_t me = SIO_HOLDER_MEMBER | local->member;
	uint32_t first = c << pool->cell_shift;

	/* relaxed: the cells' words are stored after them */
	for (uint32_t b = first; pool->exact && b < first + n; b++)
		if (atomic_load_explicit(&pool->holders[b], memory_order_relaxed) != me)
			atomic_store_explicit(&pool->holders[b], me, memory_order_relaxed);
	for (; n > 0; c++) {
		uint32_t k = n < cell_blocks(pool) ? n : cell_blocks(pool);

		/* release: the holder words; partner: recovery's acquire */
		atomic_store_explicit(
			&pool->cells[c].word, sio_cell_out(sio_cell_all(k)), memory_order_release);
		n -= k;
	}
	local->contig_walk = c;
}

/* A size that cannot be had, now or later. */
static __attribute__((noinline)) int
refuse(struct sio_pool *pool, unsigned int n, uint32_t longest)
{
	uint32_t times = atomic_fetch_add_explicit(&pool->contig_refused, 1, memory_order_relaxed);

	if (log_due(times, (uint64_t)times + 1))
		SIO_ERR("pool %s: take of %u contiguous blocks: expected 1 to %u, the longest "
			"piece set aside; set more aside when the pool is created",
			pool->hdr->name, n, longest);
	return -EINVAL;
}

int
sio_pool_take_contig(struct sio_pool *pool, unsigned int n, uint32_t *first)
{
	struct sio_local *local;
	struct want want;
	uint32_t longest, c;

	if (pool->cells == NULL)
		return -EOPNOTSUPP;
	longest = atomic_load_explicit(&pool->hdr->longest, memory_order_relaxed);
	if (longest > SIO_POOL_CONTIG_MAX)
		longest = SIO_POOL_CONTIG_MAX;
	if (n == 0 || n > longest)
		return refuse(pool, n, longest);
	local = sio_local_find(pool);
	if (local == NULL)
		local = sio_local_attach(pool);
	if (local == NULL)
		return -ENOMEM;
	want = (struct want){
		.cells = (n + cell_blocks(pool) - 1) >> pool->cell_shift,
		.run = pool->hdr->contig_size >> pool->cell_shift,
	};
	if (!search_all(local, &want, &c)) {
		if (local->shard != NULL)
			sio_count(&local->shard->failures, 1);
		return -ENOBUFS;
	}
	take_out(local, c, n);
	if (local->shard != NULL)
		sio_count(&local->shard->contig_taken, n);
	*first = c << pool->cell_shift;
	return 0;
}

/* ---- giving ---- */

/* Takes blocks out of the bitmap of those that are out. @return those that were in it */
static uint32_t
release(struct sio_cell *cell, uint32_t bits)
{
	/* relaxed: only the compare-and-swap counts */
	uint64_t word = atomic_load_explicit(&cell->word, memory_order_relaxed);
	uint32_t had;

	do {
		had = sio_cell_state(word) == SIO_CELL_OUT ? sio_cell_bits(word) & bits : 0;
		if (had == 0)
			return 0;
		/* release: what the giver wrote; partner: the acquire in claim() */
	} while (!atomic_compare_exchange_weak_explicit(&cell->word, &word,
		sio_cell_out(sio_cell_bits(word) & ~had), memory_order_release,
		memory_order_relaxed));
	return had;
}

void
sio__contig_flush(struct sio_pool *pool, struct sio_contig_batch *batch)
{
	uint32_t had;

	if (batch->bits == 0)
		return;
	had = release(&pool->cells[batch->cell], batch->bits);
	batch->given += (uint32_t)__builtin_popcount(had);
	batch->wrong += (uint32_t)__builtin_popcount(batch->bits & ~had);
	batch->bits = 0;
}

void
sio__contig_give(
	struct sio_pool *pool, struct sio_contig_batch *batch, uint32_t handle, sio_member_t self)
{
	uint32_t cell = handle >> pool->cell_shift;
	uint32_t bit = 1u << (handle & (cell_blocks(pool) - 1));

	/* relaxed: only who has the block writes its holder word */
	if (pool->exact && atomic_load_explicit(&pool->holders[handle], memory_order_relaxed) !=
				   (SIO_HOLDER_MEMBER | self)) {
		batch->wrong++;
		return;
	}
	if (cell != batch->cell || (batch->bits & bit) != 0)
		sio__contig_flush(pool, batch);
	batch->cell = cell;
	batch->bits |= bit;
}

int
sio__contig_given(struct sio_local *local, const struct sio_contig_batch *batch)
{
	struct sio_pool *pool = local->pool;
	uint64_t before;

	if (batch->given > 0) {
		/* what was given last is in the CPU's caches */
		local->contig_walk = batch->cell - pool->cells[batch->cell].pos;
		if (local->shard != NULL)
			sio_count(&local->shard->contig_given, batch->given);
	}
	if (SIO_LIKELY(batch->wrong == 0))
		return 0;
	before = atomic_fetch_add_explicit(
		&pool->hdr->wrong_gives, batch->wrong, memory_order_relaxed);
	if (log_due(before, before + batch->wrong))
		SIO_ERR("pool %s: %u blocks of its contiguous region were given back by a process "
			"that did not have them (%llu so far), in cell %u: expected each to be "
			"given back once, by who has it",
			pool->hdr->name, batch->wrong, (unsigned long long)(before + batch->wrong),
			batch->cell);
	return -EACCES;
}

/* Whether they are blocks of the region, all of them. */
static bool
all_in_region(const struct sio_pool *pool, uint32_t first, unsigned int n)
{
	uint32_t populated = atomic_load_explicit(&pool->hdr->populated, memory_order_relaxed);

	if (pool->cells == NULL || populated > pool->n_blocks || first >= populated ||
		n > populated - first)
		return false;
	for (uint32_t b = first; b < first + n; b++)
		if (!sio_contig_is(pool, b))
			return false;
	return true;
}

int
sio_pool_give_contig(struct sio_pool *pool, uint32_t first, unsigned int n)
{
	struct sio_contig_batch batch = {.bits = 0};
	struct sio_local *local;

	if (n == 0 || !all_in_region(pool, first, n))
		return -EINVAL;
	local = sio_local_find(pool);
	if (local == NULL)
		local = sio_local_attach(pool);
	if (local == NULL)
		return -ENOMEM;
	for (uint32_t b = first; b < first + n; b++)
		sio__contig_give(pool, &batch, b, local->member);
	sio__contig_flush(pool, &batch);
	return sio__contig_given(local, &batch);
}

/* ---- memory, recovery ---- */

/*
 * As many runs as are still missing and fit between whole cells. The bounds first: a cell that is
 * FREE must be within them, whenever its creator dies.
 */
void
sio__contig_set_aside(
	struct sio_pool *pool, uint32_t first, uint32_t n, uint32_t *from, uint32_t *to)
{
	struct sio_pool_hdr *hdr = pool->hdr;
	uint32_t blocks = cell_blocks(pool), per_run = hdr->contig_size >> pool->cell_shift;
	uint32_t low = (first + blocks - 1) >> pool->cell_shift;
	uint32_t end = (first + n) >> pool->cell_shift;
	uint32_t done = atomic_load_explicit(&hdr->runs_set_aside, memory_order_relaxed);
	uint32_t runs = end > low ? (end - low) / per_run : 0;

	if (runs > hdr->contig_runs - done)
		runs = hdr->contig_runs - done;
	*from = *to = first;
	if (runs == 0)
		return;
	end = low + runs * per_run;
	for (uint32_t c = low; c < end; c++) {
		pool->cells[c].left = end - c;
		pool->cells[c].pos = (c - low) % per_run;
	}
	if (done == 0)
		atomic_store_explicit(&hdr->cells_low, low, memory_order_relaxed);
	/* release: the lower bound; partner: sio_cells_bounds() */
	atomic_store_explicit(&hdr->cells_high, end, memory_order_release);
	/* release: what is constant in them, and the blocks' holder words; partner: search() */
	for (uint32_t c = low; c < end; c++)
		atomic_store_explicit(&pool->cells[c].word, SIO_CELL_FREE, memory_order_release);
	if ((end - low) * blocks > atomic_load_explicit(&hdr->longest, memory_order_relaxed))
		atomic_store_explicit(&hdr->longest, (end - low) * blocks, memory_order_relaxed);
	atomic_store_explicit(&hdr->runs_set_aside, done + runs, memory_order_relaxed);
	*from = low << pool->cell_shift;
	*to = end << pool->cell_shift;
}

void
sio__contig_settle(struct sio_recovery *r)
{
	struct sio_pool *pool = r->local.pool;
	uint32_t c, high;

	for (sio_cells_bounds(pool, &c, &high); c < high; c++) {
		uint64_t word = atomic_load_explicit(&pool->cells[c].word, memory_order_relaxed);

		if (sio_cell_state(word) != SIO_CELL_TAKING ||
			!sio_dead_name(&r->dead, sio_cell_member(word)))
			continue;
		/* acquire, release: the dead one had acquired it, and the next one will */
		if (atomic_compare_exchange_strong_explicit(&pool->cells[c].word, &word,
			    SIO_CELL_FREE, memory_order_acq_rel, memory_order_relaxed))
			r->report.blocks_contig += cell_blocks(pool);
	}
}

void
sio__contig_mark(struct sio_recovery *r)
{
	struct sio_pool *pool = r->local.pool;
	uint32_t c, high;

	for (sio_cells_bounds(pool, &c, &high); c < high; c++) {
		/* acquire: holder words are looked at after it; partner: take_out() */
		uint32_t bits = sio_cell_free_bits(
			pool, atomic_load_explicit(&pool->cells[c].word, memory_order_acquire));

		for (; bits != 0; bits &= bits - 1)
			sio_recovery_mark(
				r, (c << pool->cell_shift) + (uint32_t)__builtin_ctz(bits));
	}
}
