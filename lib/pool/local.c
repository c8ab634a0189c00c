/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Threads and their shards. A thread gets a view of a pool, and a shard in it, at its first
 * operation; it gives both back when it ends, or when the process leaves the pool.
 *
 * The shard's owner word: 0 -> member name + 1 by compare-and-swap of the thread that takes it,
 * back to 0 by the same thread after its magazines are in the depot. Killed before the
 * compare-and-swap: nothing. After it: the shard carries the dead's name. While giving back: some
 * magazines are in the depot, the others carry the name.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "pool/pool_private.h"
#include "segment/barrier.h"
#include "segment/log.h"

/* A thread without a shard looks for one again after so many calls. */
#define HAND_CALLS 1024

/* Of threads without views; nobody writes to it. */
static struct sio_tls no_views;
_Thread_local struct sio_tls *sio_tls = &no_views;
const uint64_t sio_fast_abi = SIO_FAST_ABI;

/*
 * Guards the table of pools and each pool's list of views: at attach and at the end of threads
 * only.
 */
static pthread_mutex_t process_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sio_pool *pools[SIO_POOLS_PER_PROCESS];
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t end_key;
static bool end_key_made;

static void thread_ends(void *tls);

/*
 * The child has no shard and no name: its copies of the parent's views are dropped, and give
 * nothing back.
 */
static void
in_child(void)
{
	pthread_mutex_init(&process_lock, NULL);
	for (unsigned int i = 0; i < SIO_POOLS_PER_PROCESS; i++) {
		if (pools[i] == NULL)
			continue;
		while (pools[i]->locals != NULL) {
			struct sio_local *local = pools[i]->locals;

			pools[i]->locals = local->next;
			free(local);
		}
		pthread_mutex_init(&pools[i]->lock, NULL);
	}
}

static void
init_once(void)
{
	end_key_made = pthread_key_create(&end_key, thread_ends) == 0;
	pthread_atfork(NULL, NULL, in_child);
}

int
sio_local_pool_add(struct sio_pool *pool)
{
	int ret = -ENFILE;

	pthread_once(&once, init_once);
	pthread_mutex_lock(&process_lock);
	for (uint32_t i = 0; i < SIO_POOLS_PER_PROCESS; i++) {
		if (pools[i] != NULL)
			continue;
		pools[i] = pool;
		pool->lid = i;
		ret = 0;
		break;
	}
	pthread_mutex_unlock(&process_lock);
	if (ret != 0)
		SIO_ERR("pool %s: this process is attached to %u pools already, the most it can be",
			pool->hdr->name, SIO_POOLS_PER_PROCESS);
	return ret;
}

static struct sio_tls *
tls_make(void)
{
	void *page = mmap(NULL, sizeof(struct sio_tls), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return NULL;
	/* a child of fork() finds no views here and joins anew */
	madvise(page, sizeof(struct sio_tls), MADV_WIPEONFORK);
	if (end_key_made)
		pthread_setspecific(end_key, page);
	sio_tls = page;
	return page;
}

void
sio_local_init_hand(struct sio_pool *pool, struct sio_local *local, sio_member_t self)
{
	memset(local, 0, sizeof(*local));
	local->pool = pool;
	local->member = self;
	local->magazine_size = pool->magazine_size;
	local->owner = sio_mag_owner(SIO_MAG_HAND, SIO_SHARD_NONE, self);
	local->hot = &local->private_hot;
}

static void
take_shard(struct sio_pool *pool, struct sio_local *local)
{
	for (uint32_t s = 0; s < pool->max_shards; s++) {
		struct sio_shard *shard = &pool->shards[s];
		uint64_t nobody = 0;
		uint32_t top;

		if (atomic_load_explicit(&shard->owner, memory_order_relaxed) != 0)
			continue;
		/* acquire: what the owner before left; partner: the release in give_shard() */
		if (!atomic_compare_exchange_strong_explicit(&shard->owner, &nobody,
			    (uint64_t)local->member + 1, memory_order_acquire,
			    memory_order_relaxed))
			continue;
		top = atomic_load_explicit(&pool->hdr->shards_top, memory_order_relaxed);
		while (top <= s && !atomic_compare_exchange_weak_explicit(&pool->hdr->shards_top,
					   &top, s + 1, memory_order_relaxed, memory_order_relaxed))
			;
		local->shard = shard;
		local->owner = sio_mag_owner(SIO_MAG_SHARD, s, local->member);
		local->hot = &shard->hot;
		/* it was told by counters that are not these */
		local->dry = false;
		local->few = false;
		/* whoever had it before left from outside, or was settled by recovery */
		if (atomic_load_explicit(&shard->hot.epoch, memory_order_relaxed) & 1)
			shard_leave(local);
		return;
	}
}

static void
give_shard(struct sio_local *local)
{
	struct sio_shard *shard = local->shard;

	shard_enter(local);
	sio_local_flush(local);
	shard_leave(local);
	local->shard = NULL;
	if (shard != NULL)
		atomic_store_explicit(&shard->owner, 0, memory_order_release);
}

static void
list_remove(struct sio_local *local)
{
	struct sio_local **at = &local->pool->locals;

	while (*at != NULL && *at != local)
		at = &(*at)->next;
	if (*at != NULL)
		*at = local->next;
}

/*
 * Operations fence where others' barriers might not reach this process. It steals where it can
 * issue one.
 */
static void
join_barrier(struct sio_pool *pool)
{
	pool->must_fence = !sio_barrier_join();
	pool->can_steal = sio_barrier();
	if (!pool->can_steal)
		SIO_WARN("pool %s: the kernel refuses membarrier(2): this process does not steal",
			pool->hdr->name);
}

static __attribute__((noinline)) struct sio_local *
local_new(struct sio_pool *pool, struct sio_tls *tls)
{
	struct sio_local *local;
	sio_member_t self = sio_segment_self(pool->seg);

	if (self == SIO_MEMBER_NONE) {
		int ret = sio_segment_rejoin(pool->seg);

		if (ret != 0) {
			SIO_ERR("pool %s: this forked process cannot join (%s)", pool->hdr->name,
				strerror(-ret));
			return NULL;
		}
		join_barrier(pool);
		self = sio_segment_self(pool->seg);
	}
	local = aligned_alloc(SIO_CACHE_LINE,
		(sizeof(*local) + SIO_CACHE_LINE - 1) / SIO_CACHE_LINE * SIO_CACHE_LINE);
	if (local == NULL) {
		SIO_ERR("pool %s: no memory for a thread's view", pool->hdr->name);
		return NULL;
	}
	sio_local_init_hand(pool, local, self);
	atomic_store_explicit(&pool->used, true, memory_order_release);
	local->fence = pool->must_fence;
	take_shard(pool, local);
	if (local->shard != NULL)
		local->walk = sio_mag_shard(local->owner) * 64 % pool->n_magazines;
	else
		SIO_NOTICE("pool %s: all %u shards are taken: a thread works from the depot, more "
			   "slowly",
			pool->hdr->name, pool->max_shards);
	local->tls = tls;
	pthread_mutex_lock(&process_lock);
	local->next = pool->locals;
	pool->locals = local;
	pthread_mutex_unlock(&process_lock);
	return local;
}

struct sio_local *
sio_local_attach(struct sio_pool *pool)
{
	struct sio_tls *tls = sio_tls;
	struct sio_local *local;

	if (pool->observe) {
		SIO_ERR("pool %s: attached to observe only: it can be looked at, not used",
			pool->hdr->name);
		return NULL;
	}
	pthread_once(&once, init_once);
	if (tls == &no_views)
		tls = tls_make();
	if (tls == NULL) {
		SIO_ERR("pool %s: no memory for a thread's views", pool->hdr->name);
		return NULL;
	}
	local = local_new(pool, tls);
	tls->local[pool->lid] = local;
	return local;
}

void
sio_local_retry_shard(struct sio_local *local)
{
	if (++local->hand_calls % HAND_CALLS == 0)
		take_shard(local->pool, local);
}

static void
local_end(struct sio_local *local)
{
	struct sio_tls *tls = local->tls;

	list_remove(local);
	give_shard(local);
	tls->local[local->pool->lid] = NULL;
	for (unsigned int i = 0; i < SIO_FAST_ENTRIES; i++)
		if (atomic_load_explicit(&tls->fast[i].local, memory_order_relaxed) == local)
			atomic_store_explicit(&tls->fast[i].key, 0, memory_order_relaxed);
	free(local);
}

/*
 * Another thread that ends a pool clears keys of this thread's table, of views that this thread
 * does not use any more: it can clear one that was stored here just now, which is then stored again
 * after the next slow call.
 */
void
sio_fast_remember(struct sio_pool *pool, uint64_t key)
{
	struct sio_local *local = sio_local_find(pool);
	struct sio_fast *fast = &sio_tls->fast[sio_fast_index(key)];

	if (local == NULL || !pool->wide || pool->check || local->fence || key == 0)
		return;
	atomic_store_explicit(&fast->key, 0, memory_order_relaxed);
	atomic_store_explicit(&fast->local, local, memory_order_relaxed);
	/* release: no key without its view; only a compiler could reorder them here */
	atomic_store_explicit(&fast->key, key, memory_order_release);
}

void
sio_pool_thread_end(struct sio_pool *pool)
{
	struct sio_tls *tls = sio_tls;

	if (tls->local[pool->lid] == NULL)
		return;
	pthread_mutex_lock(&process_lock);
	local_end(tls->local[pool->lid]);
	pthread_mutex_unlock(&process_lock);
}

static void
thread_ends(void *arg)
{
	struct sio_tls *tls = arg;

	pthread_mutex_lock(&process_lock);
	for (unsigned int i = 0; i < SIO_POOLS_PER_PROCESS; i++)
		if (tls->local[i] != NULL)
			local_end(tls->local[i]);
	sio_tls = &no_views;
	pthread_mutex_unlock(&process_lock);
	munmap(tls, sizeof(*tls));
}

void
sio_local_pool_remove(struct sio_pool *pool)
{
	pthread_mutex_lock(&process_lock);
	/* a forked child that never joined has no views; its parent's are the parent's */
	while (pool->locals != NULL)
		local_end(pool->locals);
	pools[pool->lid] = NULL;
	pthread_mutex_unlock(&process_lock);
}

void
sio_local_pool_ready(struct sio_pool *pool)
{
	if (!pool->observe)
		join_barrier(pool);
}
