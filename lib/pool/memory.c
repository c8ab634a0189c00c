/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Where blocks are: a pool's memory comes in chunks of equal pitch, announced in the shared header;
 * each process keeps a map of them, replaced as a whole when chunks were added.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "pool/pool_private.h"
#include "segment/log.h"

static int
compare_base(const void *a, const void *b, void *arg)
{
	const struct sio_map *map = arg;
	uintptr_t x = map->chunk[*(const uint32_t *)a].base;
	uintptr_t y = map->chunk[*(const uint32_t *)b].base;

	return x < y ? -1 : x > y;
}

static struct sio_map *
map_alloc(uint32_t n)
{
	struct sio_map *map = calloc(1, sizeof(*map) + n * sizeof(map->chunk[0]));

	if (map == NULL)
		return NULL;
	map->by_address = calloc(n + 1, sizeof(uint32_t));
	if (map->by_address == NULL) {
		free(map);
		return NULL;
	}
	return map;
}

/* What the header announces is checked: another process wrote it. */
static bool
chunk_sane(const struct sio_pool *pool, const struct sio_chunk *chunk, uint32_t expected_first)
{
	if (chunk->first != expected_first || chunk->n == 0 ||
		chunk->n > pool->n_blocks - chunk->first || chunk->pitch < 8 ||
		chunk->pitch > (UINTPTR_MAX - chunk->addr) / chunk->n)
		return false;
	if (pool->payload == NULL)
		return true;
	return chunk->addr <= sio_segment_size(pool->payload) &&
	       chunk->n <= (sio_segment_size(pool->payload) - chunk->addr) / chunk->pitch;
}

/*
 * The x with odd * x = 1 modulo 2^64: three bits are right at first, and twice as many after each
 * step.
 */
static uint64_t
inverse_odd(uint64_t odd)
{
	uint64_t x = odd;

	for (int bits = 3; bits < 64; bits *= 2)
		x *= 2 - odd * x;
	return x;
}

/*
 * Builds the map anew. Where there is no memory for it, the old one stays, and until it can be
 * built blocks of the new chunks have no address.
 */
const struct sio_map *
sio_map_refresh(struct sio_pool *pool)
{
	struct sio_map *old, *map;
	uint32_t n, announced, first = 0;
	bool own = pool->hdr->payload[0] != '\0';
	uintptr_t base = 0;

	pthread_mutex_lock(&pool->lock);
	old = atomic_load_explicit(&pool->map, memory_order_relaxed);
	/* acquire: the chunks; partner: sio_pool_add_memory() */
	announced = atomic_load_explicit(&pool->hdr->n_chunks, memory_order_acquire);
	n = announced < pool->n_blocks ? announced : pool->n_blocks;
	if (own && pool->payload == NULL)
		n = 0;
	if (own && pool->payload != NULL)
		base = (uintptr_t)sio_segment_data(pool->payload);
	if (old != NULL && old->announced == announced)
		goto out;
	map = map_alloc(n);
	if (map == NULL) {
		SIO_ERR("pool %s: no memory for the map of %u chunks", pool->hdr->name, n);
		goto out;
	}
	map->announced = announced;
	for (uint32_t i = 0; i < n; i++) {
		const struct sio_chunk *from = &pool->chunks[i];
		struct sio_map_chunk *to = &map->chunk[i];

		if (!chunk_sane(pool, from, first)) {
			SIO_ERR("pool %s: chunk %u is damaged (first %u, expected %u; %u blocks of "
				"%llu bytes)",
				pool->hdr->name, i, from->first, first, from->n,
				(unsigned long long)from->pitch);
			break;
		}
		to->base = base + from->addr;
		to->pitch = from->pitch;
		to->shift = (uint32_t)__builtin_ctzll(from->pitch);
		to->inverse = inverse_odd(from->pitch >> to->shift);
		to->bytes = from->n * from->pitch;
		to->first = from->first;
		to->n = from->n;
		map->by_address[i] = i;
		first += from->n;
		map->n_chunks = i + 1;
	}
	qsort_r(map->by_address, map->n_chunks, sizeof(uint32_t), compare_base, map);
	map->older = old;
	atomic_store_explicit(&pool->map, map, memory_order_release);
	old = map;
out:
	pthread_mutex_unlock(&pool->lock);
	return old;
}

void
sio_map_free(struct sio_pool *pool)
{
	struct sio_map *map = atomic_load_explicit(&pool->map, memory_order_relaxed);

	while (map != NULL) {
		struct sio_map *older = map->older;

		free(map->by_address);
		free(map);
		map = older;
	}
	atomic_store_explicit(&pool->map, NULL, memory_order_relaxed);
}

void *
sio_pool_addr(const struct sio_pool *pool, uint32_t handle)
{
	const struct sio_map *map = sio_map_now((struct sio_pool *)(uintptr_t)pool);
	uint32_t low = 0, high = map->n_chunks;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		const struct sio_map_chunk *chunk = &map->chunk[mid];

		if (handle < chunk->first)
			high = mid;
		else if (handle - chunk->first >= chunk->n)
			low = mid + 1;
		else
			return (void *)(chunk->base + (handle - chunk->first) * chunk->pitch);
	}
	return NULL;
}

int
sio_pool_handle(const struct sio_pool *pool, const void *addr, uint32_t *handle)
{
	const struct sio_map *map = sio_map_now((struct sio_pool *)(uintptr_t)pool);
	uint32_t low = 0, high = map->n_chunks;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		const struct sio_map_chunk *chunk = &map->chunk[map->by_address[mid]];

		if ((uintptr_t)addr < chunk->base) {
			high = mid;
		} else if ((uintptr_t)addr - chunk->base >= chunk->bytes) {
			low = mid + 1;
		} else {
			*handle = sio_map_chunk_find(chunk, (uintptr_t)addr);
			return *handle == UINT32_MAX ? -EINVAL : 0;
		}
	}
	*handle = UINT32_MAX;
	return -EINVAL;
}

/* Sets aside what is to be taken as neighbours; the rest goes into magazines. */
static void
add_blocks(struct sio_pool *pool, uint32_t first, uint32_t n, uintptr_t base, uint64_t pitch)
{
	const struct sio_pool_hdr *hdr = pool->hdr;
	uint32_t from = first, to = first, runs;

	if (pool->cells != NULL)
		sio__contig_set_aside(pool, first, n, &from, &to);
	sio_pool_populate(pool, first, from - first, base, pitch);
	sio_pool_populate(pool, to, first + n - to, base + (to - first) * pitch, pitch);
	runs = atomic_load_explicit(&hdr->runs_set_aside, memory_order_relaxed);
	if (first + n == pool->n_blocks && runs < hdr->contig_runs)
		SIO_WARN("pool %s: %u contiguous runs of %u blocks are set aside: expected %u, but "
			 "its memory lies in %u pieces, and no run crosses from one into another",
			hdr->name, runs, hdr->contig_size, hdr->contig_runs,
			atomic_load_explicit(&hdr->n_chunks, memory_order_relaxed));
}

/*
 * Puts new blocks into depot magazines through an ordinary view without a shard, filling each
 * magazine to the top.
 */
int
sio_pool_add_memory(struct sio_pool *pool, void *addr, size_t pitch, uint32_t n)
{
	struct sio_pool_hdr *hdr = pool->hdr;
	uint32_t n_chunks = atomic_load_explicit(&hdr->n_chunks, memory_order_relaxed);
	uint32_t first = atomic_load_explicit(&hdr->populated, memory_order_relaxed);
	sio_member_t self = sio_segment_self(pool->seg);

	if (n == 0 || pitch < 8 || pitch < hdr->block_size) {
		SIO_ERR("pool %s: memory of %u blocks, %zu bytes apart: expected at least 1 block "
			"and %u bytes",
			hdr->name, n, pitch, hdr->block_size < 8 ? 8 : hdr->block_size);
		return -EINVAL;
	}
	if (n > pool->n_blocks - first || n_chunks >= pool->n_blocks) {
		SIO_ERR("pool %s: %u blocks are more than the %u that are missing", hdr->name, n,
			pool->n_blocks - first);
		return -ENOSPC;
	}
	pool->chunks[n_chunks] = (struct sio_chunk){
		.addr = pool->payload != NULL
				? (uint64_t)((uintptr_t)addr -
					     (uintptr_t)sio_segment_data(pool->payload))
				: (uint64_t)(uintptr_t)addr,
		.pitch = pitch,
		.first = first,
		.n = n,
	};
	if (pool->exact)
		for (uint32_t i = 0; i < n; i++)
			atomic_store_explicit(&pool->holders[first + i], SIO_HOLDER_MEMBER | self,
				memory_order_relaxed);
	/* release: the chunk; partner: sio_map_refresh() */
	atomic_store_explicit(&hdr->n_chunks, n_chunks + 1, memory_order_release);
	atomic_store_explicit(&hdr->populated, first + n, memory_order_release);
	add_blocks(pool, first, n, (uintptr_t)addr, pitch);
	return 0;
}
