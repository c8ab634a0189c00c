/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * What can be told of a pool by looking: counts are summed from the magazines and cells, so they
 * cannot drift.
 */

#include <string.h>
#include "pool/pool_private.h"

/* Blocks of the contiguous region that are not out. */
static uint32_t
contig_free(const struct sio_pool *pool)
{
	uint32_t c, high, sum = 0;

	for (sio_cells_bounds(pool, &c, &high); c < high; c++)
		sum += (uint32_t)__builtin_popcount(sio_cell_free_bits(
			pool, atomic_load_explicit(&pool->cells[c].word, memory_order_relaxed)));
	return sum;
}

uint32_t
sio_pool_free_count(const struct sio_pool *pool)
{
	uint32_t top = sio_magazines_top(pool), sum = 0;

	for (uint32_t m = 0; m < top; m++)
		sum += sio_mag_count_now(sio_magazine_at(pool, m));
	return sum + contig_free(pool);
}

/* Whether a run can be taken from here on. */
static bool
run_is_ready(const struct sio_pool *pool, uint32_t c, uint32_t high)
{
	uint32_t n = pool->hdr->contig_size >> pool->cell_shift;

	if (pool->cells[c].pos != 0 || n > high - c)
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (atomic_load_explicit(&pool->cells[c + i].word, memory_order_relaxed) !=
			SIO_CELL_FREE)
			return false;
	return true;
}

static void
contig_info(const struct sio_pool *pool, struct sio_pool_info *info)
{
	const struct sio_pool_hdr *hdr = pool->hdr;
	uint32_t c, high, shards = sio_shards_top(pool);

	if (pool->cells == NULL)
		return;
	info->contig_size = hdr->contig_size;
	info->contig_runs = atomic_load_explicit(&hdr->runs_set_aside, memory_order_relaxed);
	info->contig_free = contig_free(pool);
	info->contig_wrong = atomic_load_explicit(&hdr->wrong_gives, memory_order_relaxed);
	for (sio_cells_bounds(pool, &c, &high); c < high; c++)
		info->contig_ready += run_is_ready(pool, c, high);
	for (uint32_t s = 0; s < shards; s++) {
		info->contig_taken +=
			atomic_load_explicit(&pool->shards[s].contig_taken, memory_order_relaxed);
		info->contig_given +=
			atomic_load_explicit(&pool->shards[s].contig_given, memory_order_relaxed);
	}
}

void
sio_pool_info(const struct sio_pool *pool, struct sio_pool_info *info)
{
	const struct sio_pool_hdr *hdr = pool->hdr;
	struct sio_member_info member;

	memset(info, 0, sizeof(*info));
	memcpy(info->name, hdr->name, sizeof(info->name));
	memcpy(info->payload, hdr->payload, sizeof(info->payload));
	info->flags = hdr->flags;
	info->n_blocks = hdr->n_blocks;
	info->populated = atomic_load_explicit(&hdr->populated, memory_order_relaxed);
	info->block_size = hdr->block_size;
	info->magazine_size = hdr->magazine_size;
	info->n_magazines = hdr->n_magazines;
	info->max_shards = hdr->max_shards;
	for (uint32_t s = 0; s < hdr->max_shards; s++)
		info->shards_used +=
			atomic_load_explicit(&pool->shards[s].owner, memory_order_relaxed) != 0;
	for (unsigned int i = 0; i < SIO_MEMBERS_MAX; i++)
		info->members += sio_member_get(pool->seg, i, &member) == 0;
	info->free_blocks = sio_pool_free_count(pool);
	contig_info(pool, info);
}

static uint64_t
counter(const _Atomic uint64_t *value)
{
	return atomic_load_explicit(value, memory_order_relaxed);
}

static void
shard_info(const struct sio_pool *pool, uint32_t s, struct sio_shard_info *info)
{
	const struct sio_shard *shard = &pool->shards[s];
	uint64_t owner = counter(&shard->owner);

	*info = (struct sio_shard_info){
		.shard = s,
		.member = owner != 0 ? (sio_member_t)(owner - 1) : SIO_MEMBER_NONE,
		.taken = counter(&shard->hot.taken),
		.given = counter(&shard->hot.given),
		.exchanges = counter(&shard->exchanges),
		.steals = counter(&shard->steals),
		.put_back = counter(&shard->put_back),
		.lost = counter(&shard->lost),
		.failures = counter(&shard->failures),
	};
}

uint32_t
sio_pool_shards(const struct sio_pool *pool, struct sio_shard_info *infos, uint32_t max)
{
	uint32_t n = sio_shards_top(pool), top = sio_magazines_top(pool);

	for (uint32_t s = 0; s < n && s < max; s++)
		shard_info(pool, s, &infos[s]);
	for (uint32_t m = 0; m < top; m++) {
		const struct sio_magazine *mag = sio_magazine_at(pool, m);
		uint64_t word = counter(&mag->word);
		uint32_t s = sio_mag_shard(word);

		if (sio_mag_state(word) == SIO_MAG_SHARD && s < n && s < max)
			infos[s].free_blocks += sio_mag_count_now(mag);
	}
	return n;
}
