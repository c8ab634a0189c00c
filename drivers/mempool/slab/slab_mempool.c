/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The mempool ops on a slabio pool.
 *
 * The pool's metadata lies in a slabio segment; its blocks are the objects, in whatever memory the
 * mempool is populated with. A block starts where the object does, behind the mempool's object
 * header.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_memory.h>

#include "slab_config.h"
#include "pool/pool_fast.h"
#include "slab_private.h"

/* A pool's name leaves room for ".data" in a segment's name. */
#define SLAB_NAME_MAX (SIO_NAME_LEN - sizeof(".data"))

static _Atomic uint64_t slab_no_pool_times;

/* ---- names ---- */

/* FNV-1a: tells apart names that had to be cut. */
static uint32_t
slab_hash(uint32_t hash, const char *text)
{
	for (; *text != '\0'; text++)
		hash = (hash ^ (unsigned char)*text) * 16777619u;
	return hash;
}

/* Appends text, at most max characters; those that a segment name may not have become '_'. */
static size_t
slab_name_append(char *name, size_t len, const char *text, size_t max)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
		"._#@:+-";

	for (size_t i = 0; i < max && text[i] != '\0'; i++)
		name[len++] = strchr(allowed, text[i]) != NULL ? text[i] : '_';
	name[len] = '\0';
	return len;
}

/*
 * dpdk.<file-prefix>.<mempool name>. The mempool's name is always whole; a file prefix too long is
 * cut and gets a hash. Room is left for "#<pid>".
 */
static void
slab_name(const struct rte_mempool *mp, char name[SIO_NAME_LEN])
{
	const size_t room = SLAB_NAME_MAX - strlen("#4194304");
	const char *dir = rte_eal_get_runtime_dir();
	const char *prefix = strrchr(dir, '/');
	size_t len, left;

	prefix = prefix != NULL ? prefix + 1 : dir;
	if (*prefix == '\0')
		prefix = "private";
	left = room - strlen("dpdk..") - RTE_MIN(strlen(mp->name), (size_t)RTE_MEMPOOL_NAMESIZE);

	len = slab_name_append(name, 0, "dpdk.", room);
	if (strlen(prefix) <= left) {
		len = slab_name_append(name, len, prefix, left);
	} else {
		char hash[16];

		snprintf(hash, sizeof(hash), "+%08x", slab_hash(2166136261u, prefix));
		len = slab_name_append(name, len, prefix, left - strlen(hash));
		len = slab_name_append(name, len, hash, strlen(hash));
	}
	len = slab_name_append(name, len, ".", 1);
	slab_name_append(name, len, mp->name, room - len);
}

/* ---- alloc and free ---- */

static void
slab_layout(const struct rte_mempool *mp, const struct slab_options *options, uint64_t *pitch,
	uint64_t *align)
{
	*pitch = (uint64_t)mp->header_size + mp->elt_size + mp->trailer_size;
	*align = 1;
	if (options->pow2)
		*pitch = *align = rte_align64pow2(*pitch);
}

static int
slab_pool_create(const struct rte_mempool *mp, const struct slab_options *options, const char *name,
	struct sio_pool **pool)
{
	const bool numa = mp->socket_id >= 0 && mp->socket_id < RTE_MAX_NUMA_NODES;
	const struct sio_pool_opts opts = {
		.sz = sizeof(opts),
		.name = name,
		.n_blocks = mp->size,
		.block_size = mp->elt_size,
		.magazine_size = options->magazine,
		/* a cache is filled up again by one get, from as good as nothing */
		.bulk = options->exact ? 0 : mp->cache_size,
		.max_shards = options->shards,
		.lent_payload = true,
		/* EAL maps its memory at the same address in all processes */
		.flags = SIO_POOL_SAME_MAP | (options->check ? SIO_POOL_CHECK : 0) |
			 (options->exact ? SIO_POOL_EXACT | SIO_POOL_RENEW : 0),
		.numa_node = numa ? mp->socket_id + 1 : 0,
		.contig_size = options->contig_size,
		.contig_runs = options->contig_runs,
	};
	int ret;

	ret = sio_pool_create(&opts, pool);
	if (ret < 0)
		return ret;
	ret = sio_pool_publish(*pool);
	if (ret < 0)
		sio_pool_destroy(*pool);
	return ret;
}

/*
 * Sections can set one of two entries each. Users of contiguous blocks step by the size of an
 * object with its header and trailer.
 */
static int
slab_contig_check(const struct rte_mempool *mp, const struct slab_options *options)
{
	uint64_t pitch, align;

	if ((options->contig_size == 0) != (options->contig_runs == 0)) {
		SLAB_LOG(ERR,
			"mempool %s: refused, contig_size=%u and contig_runs=%u: expected both or "
			"none in the sections of " SLAB_CONFIG_ENV " that are for it",
			mp->name, options->contig_size, options->contig_runs);
		return -EINVAL;
	}
	if ((uint64_t)options->contig_size * options->contig_runs > mp->size) {
		SLAB_LOG(ERR,
			"mempool %s: refused, contig_runs=%u of contig_size=%u: expected no more "
			"than its %u objects in sum",
			mp->name, options->contig_runs, options->contig_size, mp->size);
		return -EINVAL;
	}
	slab_layout(mp, options, &pitch, &align);
	if (options->contig_size != 0 &&
		pitch != (uint64_t)mp->header_size + mp->elt_size + mp->trailer_size) {
		SLAB_LOG(ERR,
			"mempool %s: refused, contig_size together with pitch=pow2: expected "
			"pitch=natural, since objects of %" PRIu64
			" bytes would not lie next to each other",
			mp->name, (uint64_t)mp->header_size + mp->elt_size + mp->trailer_size);
		return -EINVAL;
	}
	return 0;
}

/*
 * What the configuration file says of a mempool, unless it is faulty or the mempool cannot have it.
 */
static int
slab_options(const struct rte_mempool *mp, struct slab_options *options)
{
	const int ret = slab_config_get(mp->name, options);

	if (ret < 0) {
		SLAB_LOG(ERR,
			"mempool %s: refused, since the file that " SLAB_CONFIG_ENV
			" names cannot be used, see the first message about it",
			mp->name);
		return ret;
	}
	return slab_contig_check(mp, options);
}

/*
 * Behind a cache a thread that finds the pool dry goes on with what its cache has, for longer than
 * stealing takes, where it would otherwise follow the magazines of another thread that gives. The
 * objects in another lcore's cache, which it cannot have at all, are more than it may miss by that.
 * Other processes than the creator have no caches.
 */
static uint32_t
slab_creator_dry_us(const struct rte_mempool *mp, const struct slab_options *options)
{
	if (options->dry_us != SLAB_DRY_DEFAULT)
		return options->dry_us;
	return mp->cache_size != 0 && !options->exact ? SLAB_DRY_US_CACHED : 0;
}

/* Creates the pool and makes data name it. */
static int
slab_data_fill(const struct rte_mempool *mp, struct slab_data *data)
{
	struct slab_options options;
	char name[SIO_NAME_LEN];
	struct sio_pool *pool;
	int ret;

	ret = slab_options(mp, &options);
	if (ret < 0)
		return ret;
	slab_name(mp, name);
	ret = slab_pool_create(mp, &options, name, &pool);
	if (ret == -EEXIST) {
		const size_t len = strlen(name);

		SLAB_LOG(NOTICE,
			"mempool %s: the pool name %s is in use by another process, using %s#%d",
			mp->name, name, name, (int)getpid());
		snprintf(name + len, sizeof(name) - len, "#%d", (int)getpid());
		ret = slab_pool_create(mp, &options, name, &pool);
	}
	if (ret < 0) {
		SLAB_LOG(ERR, "mempool %s: cannot create the pool %s of %u objects: %s", mp->name,
			name, mp->size, strerror(-ret));
		return ret;
	}
	data->uid = slab_uid_new();
	data->dry_us = options.dry_us == SLAB_DRY_DEFAULT ? 0 : options.dry_us;
	sio_pool_set_dry_time(pool, slab_creator_dry_us(mp, &options));
	slab_layout(mp, &options, &data->pitch, &data->align);
	ret = slab_table_add(mp, data, pool);
	if (ret < 0) {
		SLAB_LOG(ERR, "mempool %s: more mempools than this driver serves in one process",
			mp->name);
		sio_pool_destroy(pool);
		return ret;
	}
	memcpy(data->name, name, sizeof(name));
	for (unsigned int i = 0; i < RTE_MAX_LCORE; i++)
		atomic_store_explicit(&data->lcore[i], SIO_MEMBER_NONE, memory_order_relaxed);
	data->check = options.check;
	data->exact = options.exact;
	data->contig = options.contig_size;
	data->magic = SLAB_MAGIC;
	return 0;
}

int
slab_alloc(struct rte_mempool *mp)
{
	struct slab_data *data;
	int ret;

	data = rte_zmalloc_socket("slab_data", sizeof(*data), RTE_CACHE_LINE_SIZE, mp->socket_id);
	if (data == NULL) {
		SLAB_LOG(ERR, "mempool %s: no memory for %zu bytes on socket %d", mp->name,
			sizeof(*data), mp->socket_id);
		return -ENOMEM;
	}
	ret = slab_data_fill(mp, data);
	if (ret < 0) {
		rte_free(data);
		return ret;
	}
	if (data->exact && mp->cache_size != 0) {
		SLAB_LOG(NOTICE,
			"mempool %s: mode=exact, so its cache of %u objects is not used: nobody "
			"could tell what was in it after a crash, and a shard is as fast",
			mp->name, mp->cache_size);
	}
	slab_caches_limit(mp, data->exact);
	mp->pool_data = data;
	mp->ops_index = slab_ops_index(mp->ops_index);
	slab_watch_start();
	SLAB_LOG(DEBUG, "mempool %s: created pool %s", mp->name, data->name);
	return 0;
}

void
slab_free(struct rte_mempool *mp)
{
	struct slab_data *data = mp->pool_data;

	if (data == NULL)
		return;
	if (data->magic != SLAB_MAGIC) {
		/* freeing it would free somebody else's memory */
		SLAB_LOG(CRIT,
			"mempool %s: pool_data starts with %#" PRIx64 ", expected %#" PRIx64
			": not freed",
			mp->name, data->magic, SLAB_MAGIC);
		return;
	}
	data->magic = SLAB_MAGIC_FREE;
	slab_table_remove(data->uid, data->name, true);
	mp->pool_data = NULL;
	rte_free(data);
}

/* ---- memory ---- */

/* How objects lie. The library asks for no memory before alloc, but others might. */
static void
slab_layout_now(const struct rte_mempool *mp, uint64_t *pitch, uint64_t *align)
{
	const struct slab_data *data = mp->pool_data;
	struct slab_options options;

	if (data != NULL && data->magic == SLAB_MAGIC) {
		*pitch = data->pitch;
		*align = data->align;
		return;
	}
	(void)slab_config_get(mp->name, &options);
	slab_layout(mp, &options, pitch, align);
}

/*
 * One area for all objects where that costs nothing, which is where IO addresses are virtual ones
 * or do not matter: then whatever is contiguous for the CPU is so for the device. The smallest
 * chunk is an object nevertheless: were it all of them, the library would ask for memory that is
 * physically contiguous, and would give up where a heap has room in several pieces only.
 */
ssize_t
slab_calc_mem_size(const struct rte_mempool *mp, uint32_t n, uint32_t pg_shift,
	size_t *min_chunk_size, size_t *align)
{
	const bool contiguous = (mp->flags & RTE_MEMPOOL_F_NO_IOVA_CONTIG) != 0 ||
				(rte_eal_iova_mode() == RTE_IOVA_VA &&
					rte_malloc_heap_socket_is_external(mp->socket_id) != 1);
	const size_t page = (size_t)1 << pg_shift;
	uint64_t pitch, header_align;

	slab_layout_now(mp, &pitch, &header_align);
	*min_chunk_size = pitch;
	*align = RTE_MAX(header_align, (uint64_t)RTE_MEMPOOL_ALIGN);
	/* no aligned object crosses a page; anonymous memory is aligned to a page only */
	if (header_align != 1)
		return (ssize_t)(pitch * n + (pg_shift != 0 && pitch > page ? pitch - page : 0));
	if (contiguous)
		return (ssize_t)(pitch * n);
	return rte_mempool_op_calc_mem_size_helper(mp, n, pg_shift, 0, min_chunk_size, align);
}

/*
 * A mempool whose population failed half-way was emptied by the library, and its memory is gone.
 * Populating it anew needs a pool that knows nothing of that memory.
 */
static int
slab_start_over(struct rte_mempool *mp, struct slab_data *data)
{
	const uint64_t uid = data->uid;
	int ret;

	SLAB_LOG(INFO, "mempool %s is populated anew", mp->name);
	slab_table_remove(uid, data->name, true);
	ret = slab_data_fill(mp, data);
	if (ret < 0)
		data->uid = uid;
	return ret;
}

/*
 * Never negative: the library keeps the result in an unsigned variable and takes every non-zero one
 * for success.
 */
int
slab_populate(struct rte_mempool *mp, unsigned int max_objs, void *vaddr, rte_iova_t iova,
	size_t len, rte_mempool_populate_obj_cb_t *obj_cb, void *obj_cb_arg)
{
	struct sio_pool_info info;
	uint64_t pitch, align;
	struct sio_pool *pool;
	size_t skip;
	unsigned int n;
	char *first;
	int ret;

	slab_layout_now(mp, &pitch, &align);
	skip = RTE_ALIGN_CEIL((uintptr_t)vaddr, align) - (uintptr_t)vaddr;
	if (skip >= len)
		return 0;
	n = (unsigned int)RTE_MIN((size_t)max_objs, (len - skip) / pitch);
	if (n == 0)
		return 0;
	skip += mp->header_size;
	first = RTE_PTR_ADD(vaddr, skip);
	pool = slab_pool(mp);
	if (pool == NULL)
		return 0;
	sio_pool_info(pool, &info);
	if (mp->populated_size == 0 && info.populated != 0) {
		if (slab_start_over(mp, mp->pool_data) < 0)
			return 0;
		pool = slab_pool(mp);
	}
	/* before the headers are written: the library cannot take objects back one by one */
	ret = sio_pool_add_memory(pool, first, pitch, n);
	if (ret < 0) {
		SLAB_LOG(ERR, "mempool %s: cannot add %u objects at %p: %s", mp->name, n, vaddr,
			strerror(-ret));
		return 0;
	}
	for (unsigned int i = 0; i < n; i++) {
		const size_t off = i * pitch;

		obj_cb(mp, obj_cb_arg, first + off,
			iova == RTE_BAD_IOVA ? RTE_BAD_IOVA : iova + skip + off);
	}
	return (int)n;
}

/* ---- get and put ---- */

static __rte_noinline __rte_cold void
slab_put_wrong(const struct rte_mempool *mp, const void *obj, int ret)
{
	struct slab_data *data = mp->pool_data;
	const uint64_t before = atomic_load_explicit(&data->foreign, memory_order_relaxed);

	if (!slab_log_due(&data->foreign))
		return;
	if (ret == -EACCES)
		SLAB_LOG(ERR,
			"mempool %s: an object of a contiguous block was put, of those from %p "
			"on, that was not the caller's: expected each to be put once, by who has "
			"it (%" PRIu64 " such so far)",
			mp->name, obj, before + 1);
	else
		SLAB_LOG(ERR,
			"mempool %s: %p was put, which is not an object of it (%" PRIu64
			" such so far)",
			mp->name, obj, before + 1);
}

/* A table that holds a foreign pointer: its objects that are ours are given back nevertheless. */
static __rte_noinline __rte_cold int
slab_enqueue_checked(
	struct rte_mempool *mp, struct sio_pool *pool, void *const *objs, unsigned int n)
{
	unsigned int wrong = 0;

	for (unsigned int i = 0; i < n; i++) {
		const int ret = sio_pool_give_ptr(pool, &objs[i], 1);

		if (ret == 0)
			continue;
		wrong++;
		slab_put_wrong(mp, objs[i], ret);
	}
	return wrong == 0 ? 0 : -EINVAL;
}

/* This thread's next gets and puts go the fast way, see slab_ops.c; but for those to be checked. */
static void
slab_remember(const struct rte_mempool *mp, struct sio_pool *pool)
{
	const struct slab_data *data = mp->pool_data;

	if (!data->check)
		sio_fast_remember(pool, slab_key(data));
}

static __rte_noinline __rte_cold int
slab_no_pool(const struct rte_mempool *mp, const char *what, unsigned int n)
{
	if (slab_log_due(&slab_no_pool_times))
		SLAB_LOG(ERR, "mempool %s: %s of %u objects failed, see the messages above",
			mp->name, what, n);
	return -EINVAL;
}

/* A put of a thread's first call, one that is checked, or one that fails. */
int
slab_enqueue_slow(struct rte_mempool *mp, void *const *objs, unsigned int n)
{
	struct sio_pool *pool = slab_pool(mp);
	int ret;

	if (pool == NULL)
		return slab_no_pool(mp, "put", n);
	ret = sio_pool_give_ptr(pool, objs, n);
	if (likely(ret == 0)) {
		/* refused or not: they are back where they belong */
		if (slab_lcore_claim(mp, pool) != SLAB_CLAIM_REFUSED)
			slab_remember(mp, pool);
		return 0;
	}
	/* the others of them were put */
	if (ret == -EACCES) {
		slab_put_wrong(mp, objs[0], ret);
		return -EINVAL;
	}
	return ret == -EINVAL ? slab_enqueue_checked(mp, pool, objs, n)
			      : slab_no_pool(mp, "put", n);
}

int
slab_dequeue_slow(struct rte_mempool *mp, void **objs, unsigned int n)
{
	struct sio_pool *pool = slab_pool(mp);
	enum slab_claim claim;

	if (pool == NULL)
		return slab_no_pool(mp, "get", n);
	claim = slab_lcore_claim(mp, pool);
	if (claim == SLAB_CLAIM_REFUSED)
		return -EBUSY;
	/*
	 * The library looked at the cache's size before it was turned off, and leaves that many
	 * there: it does without the cache if this fails. From now on the size stays as it is.
	 */
	if (claim == SLAB_CLAIM_NEW && slab_cache_refills(mp, objs))
		return -ENOBUFS;
	if (sio_pool_take_ptr(pool, objs, n) != 0)
		return -ENOBUFS;
	slab_remember(mp, pool);
	return 0;
}

unsigned int
slab_get_count(const struct rte_mempool *mp)
{
	const struct sio_pool *pool = slab_pool_count(mp);

	return pool == NULL ? 0 : sio_pool_free_count(pool);
}

/* ---- contiguous blocks ---- */

int
slab_get_info(const struct rte_mempool *mp, struct rte_mempool_info *info)
{
	const struct slab_data *data = mp->pool_data;

	if (data == NULL || data->magic != SLAB_MAGIC)
		return -EINVAL;
	info->contig_block_size = data->contig;
	return 0;
}

int
slab_dequeue_contig(struct rte_mempool *mp, void **first_obj_table, unsigned int n)
{
	const struct slab_data *data = mp->pool_data;
	struct sio_pool *pool = slab_pool(mp);
	uint32_t first;
	unsigned int i;

	if (pool == NULL)
		return slab_no_pool(mp, "get of contiguous blocks", n);
	if (data->contig == 0)
		return -EOPNOTSUPP;
	for (i = 0; i < n; i++) {
		if (sio_pool_take_contig(pool, data->contig, &first) != 0)
			break;
		first_obj_table[i] = sio_pool_addr(pool, first);
	}
	if (i == n)
		return 0;
	while (i-- > 0)
		if (sio_pool_handle(pool, first_obj_table[i], &first) == 0)
			(void)sio_pool_give_contig(pool, first, data->contig);
	return -ENOBUFS;
}
