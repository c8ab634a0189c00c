/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Creating, attaching to and leaving pools. The metadata segment is filled before it is published,
 * so whoever attaches finds a complete pool; what it finds is checked all the same.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include "pool/pool_private.h"
#include "segment/log.h"

#define DEFAULT_SHARDS 160u
#define DEFAULT_RINGS  64u
#define FLAGS_KNOWN    (SIO_POOL_EXACT | SIO_POOL_SAME_MAP | SIO_POOL_CHECK | SIO_POOL_RENEW)

static uint64_t
align_up(uint64_t value, uint64_t to)
{
	return (value + to - 1) / to * to;
}

/*
 * Large enough that the depot is visited seldom, small enough that a few magazines per thread are a
 * small part of the pool. Large takes weigh more than that: a thread that gathers each of them from
 * several magazines spends its time with exchanges. Bursts of 2, 4, ... 256 fill one without rest,
 * as far as they fit.
 */
static uint32_t
default_magazine_size(uint32_t n_blocks, uint32_t bulk)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	uint32_t cpus = online > 0 ? (uint32_t)online : 1, share = n_blocks / (8 * cpus);
	uint32_t most = n_blocks / (2 * cpus), size = SIO_MAGAZINE_MIN, next = 2 * size;

	while (next <= 768 && (next <= share || (size < 2 * (uint64_t)bulk && next <= most))) {
		size = next;
		next += size < 256 ? size : 256;
	}
	return size;
}

/* The largest power of two that divides a run, up to 32: no block of a run is left over. */
static uint32_t
cell_shift(uint32_t contig_size)
{
	uint32_t shift = contig_size != 0 ? (uint32_t)__builtin_ctz(contig_size) : 0;

	return shift < SIO_CELL_SHIFT_MAX ? shift : SIO_CELL_SHIFT_MAX;
}

void
sio_pool_geometry(const struct sio_pool_hdr *hdr, struct sio_geometry *g)
{
	uint64_t off = align_up(sizeof(struct sio_pool_hdr), SIO_CACHE_LINE);
	uint32_t entry = hdr->flags & SIO_POOL_SAME_MAP ? sizeof(void *) : sizeof(uint32_t);
	uint32_t n_blocks = hdr->n_blocks, size = hdr->magazine_size;

	g->magazine_stride =
		(uint32_t)(sizeof(struct sio_magazine) + align_up(size * entry, SIO_CACHE_LINE));
	g->n_magazines =
		(n_blocks + size - 1) / size + (hdr->max_shards + SIO_HANDS) * SIO_MAGAZINES_OUT;
	g->hint_words = (uint32_t)align_up((g->n_magazines + 63) / 64, 8);
	g->cell_shift = cell_shift(hdr->contig_size);
	g->shards_off = off;
	off += (uint64_t)hdr->max_shards * sizeof(struct sio_shard);
	g->hints_off = off;
	off += 2ull * g->hint_words * sizeof(uint64_t);
	g->magazines_off = off;
	off += (uint64_t)g->n_magazines * g->magazine_stride;
	g->holders_off = off;
	off += align_up((uint64_t)n_blocks * sizeof(uint64_t), SIO_CACHE_LINE);
	g->chunks_off = off;
	off += align_up((uint64_t)n_blocks * sizeof(struct sio_chunk), SIO_CACHE_LINE);
	g->rings_off = off;
	off += (uint64_t)hdr->max_rings * sizeof(struct sio_ring_entry);
	g->cells_off = off;
	if (hdr->contig_size != 0)
		off += ((uint64_t)(n_blocks >> g->cell_shift) + 1) * sizeof(struct sio_cell);
	g->total_size = off;
}

static int
out_of_range(const char *name, const char *what, uint64_t found, uint64_t low, uint64_t high)
{
	SIO_ERR("pool %s: %s is %llu: expected %llu to %llu", name, what, (unsigned long long)found,
		(unsigned long long)low, (unsigned long long)high);
	return -EINVAL;
}

static int
opts_check(const struct sio_pool_opts *opts)
{
	if (opts == NULL || opts->sz != sizeof(*opts)) {
		SIO_ERR("pool: options of %zu bytes: expected %zu; set sz to sizeof(struct "
			"sio_pool_opts)",
			opts == NULL ? 0 : opts->sz, sizeof(*opts));
		return -EINVAL;
	}
	if (opts->name == NULL || sio_name_check(opts->name) != 0 ||
		strlen(opts->name) > SIO_NAME_LEN - sizeof(".data")) {
		SIO_ERR("pool: name \"%s\": expected 1 to %zu characters of [A-Za-z0-9._#@:+-]",
			opts->name == NULL ? "" : opts->name, SIO_NAME_LEN - sizeof(".data"));
		return -EINVAL;
	}
	if (opts->n_blocks < 1 || opts->n_blocks > SIO_POOL_BLOCKS_MAX)
		return out_of_range(
			opts->name, "number of blocks", opts->n_blocks, 1, SIO_POOL_BLOCKS_MAX);
	if (opts->block_size < 1)
		return out_of_range(opts->name, "block size", opts->block_size, 1, UINT32_MAX);
	if (opts->magazine_size != 0 &&
		(opts->magazine_size < SIO_MAGAZINE_MIN || opts->magazine_size > SIO_MAGAZINE_MAX))
		return out_of_range(opts->name, "magazine size", opts->magazine_size,
			SIO_MAGAZINE_MIN, SIO_MAGAZINE_MAX);
	if (opts->max_shards > SIO_POOL_SHARDS_MAX)
		return out_of_range(
			opts->name, "number of shards", opts->max_shards, 1, SIO_POOL_SHARDS_MAX);
	if (opts->max_rings > SIO_POOL_RINGS_MAX)
		return out_of_range(
			opts->name, "number of rings", opts->max_rings, 0, SIO_POOL_RINGS_MAX);
	if (opts->max_rings != 0 && (opts->flags & SIO_POOL_EXACT) == 0) {
		SIO_ERR("pool %s: max_rings %u: expected 0, since only SIO_POOL_EXACT pools follow "
			"their blocks through rings",
			opts->name, opts->max_rings);
		return -EINVAL;
	}
	if ((opts->contig_size == 0) != (opts->contig_runs == 0)) {
		SIO_ERR("pool %s: contiguous region of %u runs of %u blocks: expected both or "
			"none of contig_runs and contig_size",
			opts->name, opts->contig_runs, opts->contig_size);
		return -EINVAL;
	}
	if (opts->contig_size != 0 &&
		(opts->contig_size < 2 || opts->contig_size > SIO_POOL_CONTIG_MAX))
		return out_of_range(opts->name, "number of blocks of a contiguous run",
			opts->contig_size, 2, SIO_POOL_CONTIG_MAX);
	if (opts->contig_size != 0 && opts->contig_runs > opts->n_blocks / opts->contig_size) {
		SIO_ERR("pool %s: %u contiguous runs of %u blocks: expected at most %u, since the "
			"pool has %u blocks",
			opts->name, opts->contig_runs, opts->contig_size,
			opts->n_blocks / opts->contig_size, opts->n_blocks);
		return -EINVAL;
	}
	if (opts->flags & ~FLAGS_KNOWN) {
		SIO_ERR("pool %s: flags 0x%x: expected none but 0x%x", opts->name, opts->flags,
			FLAGS_KNOWN);
		return -EINVAL;
	}
	if (opts->flags & SIO_POOL_RENEW &&
		(~opts->flags & (SIO_POOL_EXACT | SIO_POOL_SAME_MAP)) != 0) {
		SIO_ERR("pool %s: flags 0x%x: expected SIO_POOL_RENEW together with SIO_POOL_EXACT "
			"and "
			"SIO_POOL_SAME_MAP",
			opts->name, opts->flags);
		return -EINVAL;
	}
	if (opts->flags & SIO_POOL_SAME_MAP && !opts->lent_payload) {
		SIO_ERR("pool %s: SIO_POOL_SAME_MAP: expected lent payload, since a payload "
			"segment is mapped anywhere",
			opts->name);
		return -EINVAL;
	}
	return 0;
}

/*
 * Numbers the pool in this process; everything of the process's side that follows from the header.
 */
static int
pool_open(struct sio_pool *pool)
{
	struct sio_pool_hdr *hdr = pool->hdr;
	uint8_t *start = (uint8_t *)hdr;
	int ret = sio_local_pool_add(pool);

	if (ret != 0)
		return ret;
	pool->n_blocks = hdr->n_blocks;
	pool->magazine_size = hdr->magazine_size;
	pool->n_magazines = hdr->n_magazines;
	pool->max_shards = hdr->max_shards;
	pool->stride = hdr->magazine_stride;
	pool->exact = (hdr->flags & SIO_POOL_EXACT) != 0;
	pool->wide = (hdr->flags & SIO_POOL_SAME_MAP) != 0;
	pool->check = (hdr->flags & SIO_POOL_CHECK) != 0 || hdr->contig_size != 0;
	pool->give_apart = pool->wide || hdr->contig_size != 0;
	pool->cell_shift = hdr->cell_shift;
	if (hdr->contig_size != 0)
		pool->cells = (struct sio_cell *)(void *)(start + hdr->cells_off);
	pool->shards = (struct sio_shard *)(void *)(start + hdr->shards_off);
	pool->hints[0] = (_Atomic uint64_t *)(void *)(start + hdr->hints_off);
	pool->hints[1] = pool->hints[0] + hdr->hint_words;
	pool->magazines = start + hdr->magazines_off;
	pool->holders = (_Atomic uint64_t *)(void *)(start + hdr->holders_off);
	pool->chunks = (struct sio_chunk *)(void *)(start + hdr->chunks_off);
	pool->rings = (struct sio_ring_entry *)(void *)(start + hdr->rings_off);
	pool->max_rings = hdr->max_rings;
	pthread_mutex_init(&pool->lock, NULL);
	if (sio_map_refresh(pool) == NULL) {
		sio_local_pool_remove(pool);
		pthread_mutex_destroy(&pool->lock);
		return -ENOMEM;
	}
	return 0;
}

/* The numbers that the others follow from. */
static void
header_choose(struct sio_pool_hdr *hdr, const struct sio_pool_opts *opts)
{
	uint32_t others = opts->n_blocks - opts->contig_size * opts->contig_runs;

	hdr->n_blocks = opts->n_blocks;
	hdr->magazine_size = opts->magazine_size != 0 ? opts->magazine_size
						      : default_magazine_size(others, opts->bulk);
	hdr->max_shards = opts->max_shards != 0 ? opts->max_shards : DEFAULT_SHARDS;
	if (opts->flags & SIO_POOL_EXACT)
		hdr->max_rings = opts->max_rings != 0 ? opts->max_rings : DEFAULT_RINGS;
	hdr->contig_size = opts->contig_size;
	hdr->contig_runs = opts->contig_runs;
	hdr->flags = opts->flags;
}

static void
header_fill(
	struct sio_pool_hdr *hdr, const struct sio_pool_opts *opts, const struct sio_geometry *g)
{
	if (getrandom(&hdr->uid, sizeof(hdr->uid), GRND_NONBLOCK) != sizeof(hdr->uid))
		hdr->uid = sio_now_ns() ^ (uint64_t)getpid() << 40;
	memcpy(hdr->name, opts->name, strlen(opts->name) + 1);
	hdr->block_size = opts->block_size;
	hdr->magazine_stride = g->magazine_stride;
	hdr->n_magazines = g->n_magazines;
	hdr->hint_words = g->hint_words;
	hdr->cell_shift = g->cell_shift;
	hdr->shards_off = g->shards_off;
	hdr->hints_off = g->hints_off;
	hdr->magazines_off = g->magazines_off;
	hdr->holders_off = g->holders_off;
	hdr->chunks_off = g->chunks_off;
	hdr->rings_off = g->rings_off;
	hdr->cells_off = g->cells_off;
	hdr->total_size = g->total_size;
	atomic_store_explicit(&hdr->last_given, SIO_MAG_NONE, memory_order_relaxed);
}

/* All magazines are in the depot, empty, given by nobody. */
static void
hints_fill(struct sio_pool *pool)
{
	for (uint32_t m = 0; m < pool->n_magazines; m++)
		atomic_fetch_or_explicit(&pool->hints[SIO_HINT_EMPTY][m / 64], 1ull << (m % 64),
			memory_order_relaxed);
}

static int
payload_create(struct sio_pool *pool, const struct sio_pool_opts *opts)
{
	uint64_t pitch = align_up(opts->block_size, SIO_CACHE_LINE);
	struct sio_segment_opts seg_opts = {
		.sz = sizeof(seg_opts),
		.name = pool->hdr->payload,
		.kind = SIO_KIND_RAW,
		.config_hash = pool->hdr->uid,
		.data_size = pitch * opts->n_blocks,
		.backing = opts->backing,
		.numa_node = opts->numa_node,
	};
	int ret;

	memcpy(pool->hdr->payload, opts->name, strlen(opts->name));
	memcpy(pool->hdr->payload + strlen(opts->name), ".data", sizeof(".data"));
	ret = sio_segment_create(&seg_opts, &pool->payload);
	if (ret == 0)
		ret = sio_segment_publish(pool->payload);
	if (ret == 0)
		ret = sio_pool_add_memory(
			pool, sio_segment_data(pool->payload), pitch, opts->n_blocks);
	return ret;
}

/* Takes back a pool that was not published, or that failed half-way. */
static void
pool_drop(struct sio_pool *pool, bool unlink_names)
{
	uint32_t attached = atomic_load_explicit(&pool->rings_attached, memory_order_relaxed);

	if (attached != 0)
		SIO_ERR("pool %s: this process leaves it and is still attached to %u rings with "
			"its blocks: expected it to leave these first; they cannot be used now",
			pool->hdr->name, attached);
	sio_local_pool_remove(pool);
	sio_map_free(pool);
	pthread_mutex_destroy(&pool->lock);
	if (pool->payload != NULL) {
		if (unlink_names)
			sio_segment_unlink(pool->payload);
		sio_segment_detach(pool->payload);
	}
	if (unlink_names)
		sio_segment_unlink(pool->seg);
	sio_segment_detach(pool->seg);
	free(pool);
}

int
sio_pool_create(const struct sio_pool_opts *opts, struct sio_pool **out)
{
	struct sio_segment_opts seg_opts = {.sz = sizeof(seg_opts)};
	struct sio_pool_hdr chosen = {.n_blocks = 0};
	struct sio_geometry g;
	struct sio_pool *pool;
	int ret = opts_check(opts);

	*out = NULL;
	if (ret != 0)
		return ret;
	header_choose(&chosen, opts);
	sio_pool_geometry(&chosen, &g);
	pool = calloc(1, sizeof(*pool));
	if (pool == NULL)
		return -ENOMEM;
	seg_opts.name = opts->name;
	seg_opts.kind = SIO_KIND_POOL;
	seg_opts.layout_version = SIO_POOL_LAYOUT_VERSION;
	seg_opts.data_size = g.total_size;
	seg_opts.backing = SIO_BACKING_FILE;
	seg_opts.numa_node = opts->numa_node;
	ret = sio_segment_create(&seg_opts, &pool->seg);
	if (ret != 0) {
		free(pool);
		return ret;
	}
	pool->hdr = sio_segment_data(pool->seg);
	header_choose(pool->hdr, opts);
	header_fill(pool->hdr, opts, &g);
	ret = pool_open(pool);
	if (ret != 0) {
		sio_segment_detach(pool->seg);
		free(pool);
		return ret;
	}
	hints_fill(pool);
	sio_local_pool_ready(pool);
	if (!opts->lent_payload) {
		ret = payload_create(pool, opts);
		if (ret == 0)
			ret = sio_segment_publish(pool->seg);
		if (ret != 0) {
			pool_drop(pool, true);
			return ret;
		}
	}
	*out = pool;
	return 0;
}

int
sio_pool_publish(struct sio_pool *pool)
{
	return sio_segment_publish(pool->seg);
}

/* Another process wrote the header: every number in it must follow from the few that are free. */
static int
header_check(const struct sio_pool_hdr *hdr, uint64_t size, const char *name)
{
	struct sio_geometry g;

	if (size < sizeof(*hdr) || hdr->n_blocks < 1 || hdr->n_blocks > SIO_POOL_BLOCKS_MAX ||
		hdr->magazine_size < SIO_MAGAZINE_MIN || hdr->magazine_size > SIO_MAGAZINE_MAX ||
		hdr->max_shards < 1 || hdr->max_shards > SIO_POOL_SHARDS_MAX ||
		hdr->max_rings > SIO_POOL_RINGS_MAX || hdr->contig_size > SIO_POOL_CONTIG_MAX)
		goto damaged;
	sio_pool_geometry(hdr, &g);
	if (hdr->magazine_stride != g.magazine_stride || hdr->n_magazines != g.n_magazines ||
		hdr->hint_words != g.hint_words || hdr->shards_off != g.shards_off ||
		hdr->hints_off != g.hints_off || hdr->magazines_off != g.magazines_off ||
		hdr->holders_off != g.holders_off || hdr->chunks_off != g.chunks_off ||
		hdr->rings_off != g.rings_off || hdr->cells_off != g.cells_off ||
		hdr->cell_shift != g.cell_shift || hdr->total_size != g.total_size ||
		g.total_size > size)
		goto damaged;
	if (memchr(hdr->name, '\0', sizeof(hdr->name)) == NULL ||
		memchr(hdr->payload, '\0', sizeof(hdr->payload)) == NULL)
		goto damaged;
	return 0;
damaged:
	SIO_ERR("pool %s: its header is damaged (blocks %u, magazine size %u, shards %u in %llu "
		"bytes): expected numbers that fit together",
		name, hdr->n_blocks, hdr->magazine_size, hdr->max_shards, (unsigned long long)size);
	return -EPROTO;
}

static int
payload_attach(struct sio_pool *pool)
{
	struct sio_segment_attach_opts opts = {
		.sz = sizeof(opts),
		.kind = SIO_KIND_RAW,
		.config_hash = pool->hdr->uid,
		/* the pool's members are those of its metadata; only the creator is one here */
		.observe = true,
	};

	return sio_segment_attach(pool->hdr->payload, &opts, &pool->payload);
}

int
sio_pool_attach(const char *name, const struct sio_pool_attach_opts *opts, struct sio_pool **out)
{
	struct sio_segment_attach_opts seg_opts = {
		.sz = sizeof(seg_opts),
		.kind = SIO_KIND_POOL,
		.layout_version = SIO_POOL_LAYOUT_VERSION,
	};
	struct sio_pool *pool;
	int ret;

	*out = NULL;
	if (opts == NULL || opts->sz != sizeof(*opts)) {
		SIO_ERR("pool: attach options of %zu bytes: expected %zu; set sz to sizeof(struct "
			"sio_pool_attach_opts)",
			opts == NULL ? 0 : opts->sz, sizeof(*opts));
		return -EINVAL;
	}
	pool = calloc(1, sizeof(*pool));
	if (pool == NULL)
		return -ENOMEM;
	pool->observe = opts->observe;
	seg_opts.observe = opts->observe;
	ret = sio_segment_attach(name, &seg_opts, &pool->seg);
	if (ret != 0) {
		free(pool);
		return ret;
	}
	pool->hdr = sio_segment_data(pool->seg);
	ret = header_check(pool->hdr, sio_segment_size(pool->seg), name);
	if (ret == 0 && pool->hdr->payload[0] != '\0' && !opts->observe && !opts->no_payload)
		ret = payload_attach(pool);
	if (ret == 0)
		ret = pool_open(pool);
	if (ret != 0) {
		if (pool->payload != NULL)
			sio_segment_detach(pool->payload);
		sio_segment_detach(pool->seg);
		free(pool);
		return ret;
	}
	sio_local_pool_ready(pool);
	/* what can't be settled now is settled by the next */
	if (!opts->observe && !opts->no_recover)
		sio_pool_recover(pool, NULL);
	*out = pool;
	return 0;
}

void
sio_pool_detach(struct sio_pool *pool)
{
	pool_drop(pool, false);
}

void
sio_pool_destroy(struct sio_pool *pool)
{
	pool_drop(pool, true);
}

struct sio_segment *
sio_pool_segment(const struct sio_pool *pool)
{
	return pool->seg;
}

struct sio_segment *
sio_pool_payload(const struct sio_pool *pool)
{
	return pool->payload;
}
