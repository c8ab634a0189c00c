/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The mempool library's caches and the death of who used them.
 *
 * A cache is one lcore's, and it lies in memory that all processes share. The library writes it
 * without a thought of a death: a put raises the length before it copies, a flush hands the objects
 * on before it lowers it. What a death leaves there can be two owners' objects, and a process that
 * next has that lcore takes them out again before this driver hears of it. So there is no moment
 * at which the cache of a dead process could be emptied in time, and a process that only frees
 * into its cache is not even known here.
 *
 * Invariant. Only the process that created a mempool keeps objects in caches; those of all lcores
 * that it does not have are off (size and threshold 0) before anybody else can find the mempool.
 * What other processes get and put goes through their shards, which are as fast. When the creator
 * is gone, its caches are emptied and turned off before what it held is settled.
 *
 * A cache that is off still is where the library puts down what it gets for a moment. Two living
 * processes with the same lcore id overwrite each other there, so the lcores are claimed, with a
 * member's name in one word: 0 or a dead or stale name -> me, by compare-and-swap, when a thread
 * first comes to the driver. Who finds a living other's name there gets nothing. Deaths: a name in
 * a word is all that one leaves, and the next on that lcore takes it over. Who claims a lcore of
 * the creator's turns its cache off after that; who dies in between leaves that to the next.
 */

#include <errno.h>

#include <rte_eal.h>
#include <rte_lcore.h>

#include "slab_private.h"

static _Atomic uint64_t slab_overlap_times;

static bool
slab_member_lives(const struct sio_pool *pool, sio_member_t member)
{
	const enum sio_member_state state = sio_member_state(sio_pool_segment(pool), member);

	return state == SIO_MEMBER_LIVE || state == SIO_MEMBER_JOINING;
}

bool
slab_creator_lives(const struct sio_pool *pool)
{
	return slab_member_lives(pool, SLAB_CREATOR);
}

/* Nothing stays in it from one call to the next. */
static void
slab_cache_off(const struct rte_mempool *mp, unsigned int lcore)
{
	/* its size stays in mp->cache_size, which tells where the private data is */
	mp->local_cache[lcore].flushthresh = 0;
	/* the size last: while it is not 0, who comes next does all of it again */
	rte_smp_wmb();
	mp->local_cache[lcore].size = 0;
}

/* True if a living process uses what is a dead creator's no more. */
static bool
slab_lcore_is_anothers(
	const struct rte_mempool *mp, const struct sio_pool *pool, unsigned int lcore)
{
	const struct slab_data *data = mp->pool_data;
	const sio_member_t found = atomic_load_explicit(&data->lcore[lcore], memory_order_relaxed);

	return found != SIO_MEMBER_NONE && slab_member_lives(pool, found);
}

void
slab_caches_limit(const struct rte_mempool *mp, bool all)
{
	for (unsigned int i = 0; mp->cache_size != 0 && i < RTE_MAX_LCORE; i++)
		if (all || rte_eal_lcore_role(i) == ROLE_OFF)
			slab_cache_off(mp, i);
}

void
slab_caches_end(const struct rte_mempool *mp, const struct sio_pool *pool)
{
	for (unsigned int i = 0; mp->cache_size != 0 && i < RTE_MAX_LCORE; i++) {
		struct rte_mempool_cache *cache = &mp->local_cache[i];

		if ((cache->size == 0 && cache->len == 0) || slab_lcore_is_anothers(mp, pool, i))
			continue;
		/* also before the size, which is looked at */
		cache->len = 0;
		rte_smp_wmb();
		slab_cache_off(mp, i);
	}
}

static void
slab_overlap(const struct rte_mempool *mp, const struct sio_pool *pool, unsigned int lcore,
	sio_member_t other)
{
	struct sio_member_info info;

	if (!slab_log_due(&slab_overlap_times))
		return;
	if (sio_member_get(sio_pool_segment(pool), SIO_MEMBER_SLOT(other), &info) != 0)
		return;
	SLAB_LOG(ERR,
		"mempool %s: lcore %u is in use by process %d (%s), too, and its cache cannot be "
		"both's: nothing can be had here; give each process lcores of its own (-l or "
		"--lcores), or the mempool a cache size of 0",
		mp->name, lcore, info.pid, info.command);
}

enum slab_claim
slab_lcore_claim(const struct rte_mempool *mp, struct sio_pool *pool)
{
	struct slab_data *data = mp->pool_data;
	const unsigned int lcore = rte_lcore_id();
	sio_member_t self, found;

	/* threads that EAL does not know have no cache */
	if (mp->cache_size == 0 || lcore >= RTE_MAX_LCORE)
		return SLAB_CLAIM_OLD;
	self = sio_segment_self(sio_pool_segment(pool));
	/* a forked child joins when it first gives or takes, if only nothing */
	if (self == SIO_MEMBER_NONE && sio_pool_give_ptr(pool, NULL, 0) == 0)
		self = sio_segment_self(sio_pool_segment(pool));
	if (self == SIO_MEMBER_NONE)
		return SLAB_CLAIM_REFUSED;
	found = atomic_load_explicit(&data->lcore[lcore], memory_order_relaxed);
	do {
		if (found == self)
			return SLAB_CLAIM_OLD;
		if (found != SIO_MEMBER_NONE && slab_member_lives(pool, found)) {
			slab_overlap(mp, pool, lcore, found);
			return SLAB_CLAIM_REFUSED;
		}
		/* acq_rel: whoever was here before is done with the cache */
	} while (!atomic_compare_exchange_strong_explicit(
		&data->lcore[lcore], &found, self, memory_order_acq_rel, memory_order_relaxed));
	if (self != SLAB_CREATOR && mp->local_cache[lcore].size != 0)
		slab_cache_off(mp, lcore);
	return SLAB_CLAIM_NEW;
}

bool
slab_cache_refills(const struct rte_mempool *mp, void *const *objs)
{
	const unsigned int lcore = rte_lcore_id();

	return mp->cache_size != 0 && lcore < RTE_MAX_LCORE && mp->local_cache[lcore].size == 0 &&
	       objs == (void *const *)mp->local_cache[lcore].objs;
}
