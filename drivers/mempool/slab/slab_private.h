/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SLAB_PRIVATE_H
#define SLAB_PRIVATE_H

/*
 * How a mempool finds its slabio pool.
 *
 * mp->pool_data is in memory that all processes of one EAL share and that lies at the same address
 * in each. It holds no pointer: only a magic number, a uid that is never used twice, and the name
 * under which the pool's metadata segment can be attached. What a process has open it keeps in a
 * table of its own, keyed by the uid. Memory that was freed and became another mempool's pool_data
 * has another uid, so an old entry never serves it.
 */

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_branch_prediction.h>
#include <rte_log.h>
#include <rte_mempool.h>

#include <slabio/pool.h>

#include "slabio_slab.h"

#define SLAB_OPS_NAME "slab"

/* The slot of the ops table that is the same in every process, see slab_ops.c. */
#define SLAB_OPS_SLOT (RTE_MEMPOOL_MAX_OPS_IDX - 1)

/* Default of dry_us behind a cache; stealing takes some 10 us. */
#define SLAB_DRY_US_CACHED 100

#define SLAB_MAGIC_FREE UINT64_C(0x4545524642414c53) /* "SLABFREE" */

extern int slab_logtype;

#define SLAB_LOG(level, ...)                   \
	rte_log(RTE_LOG_##level, slab_logtype, \
		RTE_FMT("SLAB: " RTE_FMT_HEAD(__VA_ARGS__, ) "\n", RTE_FMT_TAIL(__VA_ARGS__, )))

/* What mp->pool_data points to; shared by all processes. */
struct slab_data {
	/* written by alloc before the mempool can be found by others, and by free */
	uint64_t magic;
	uint64_t uid;
	/* every object put is checked, see slab_config.h */
	bool check;
	/* who holds an object is recorded */
	bool exact;
	char name[SIO_NAME_LEN];
	uint64_t pitch;	 /* bytes from one object's header to the next one's */
	uint64_t align;	 /* of the headers, a power of two; 1: as the library aligns them */
	uint32_t contig; /* objects of a contiguous block; 0: none are set aside */
	uint32_t dry_us; /* sio_pool_set_dry_time() in other processes than the creator */
	/* objects put back that were not the caller's; any process adds */
	_Alignas(RTE_CACHE_LINE_SIZE) _Atomic uint64_t foreign;
	/* by lcore: the member whose thread has it, see slab_cache.c */
	_Alignas(RTE_CACHE_LINE_SIZE) _Atomic sio_member_t lcore[RTE_MAX_LCORE];
};

static_assert(offsetof(struct slab_data, magic) == offsetof(struct slabio_slab_head, magic) &&
		      offsetof(struct slab_data, exact) == offsetof(struct slabio_slab_head, exact),
	"net_slabio knows how slab_data begins");

/*
 * What a thread remembers its view of the pool by: overwritten memory has another one, as has
 * another mempool in the same memory.
 */
static __rte_always_inline uint64_t
slab_key(const struct slab_data *data)
{
	/* memory filled with one pattern must not give 0, which is nobody's */
	return ~(data->magic ^ data->uid);
}

/*
 * What this process has open for one uid.
 *
 * Changed only under the table's lock. Readers take none: uid is stored (release) after the
 * pointers when an entry is filled; it is stored first when one is emptied, which only happens
 * after the mempool's last use.
 */
struct slab_entry {
	_Atomic uint64_t uid;
	_Atomic(struct sio_pool *) pool; /* as a member, NULL before the first get or put */
	_Atomic(struct sio_pool *)
		observer;  /* counts only, so that a looking process is no member */
	int pid;	   /* who filled it: a forked child inherits the table */
	unsigned int rest; /* looks that the watch leaves out */
	bool creator;
};

#define SLAB_TABLE_SIZE 4096u

extern struct slab_entry slab_table[SLAB_TABLE_SIZE];

/* A uid for a new pool; its low bits spread over the table. Never 0 or UINT64_MAX. */
uint64_t slab_uid_new(void);

/* Remembers the pool that alloc created for data->uid. Returns 0 or -ENOSPC. */
int slab_table_add(
	const struct rte_mempool *mp, const struct slab_data *data, struct sio_pool *pool);

/* Forgets uid and closes what this process has open for it; removes the pool's names if destroy. */
void slab_table_remove(uint64_t uid, const char *name, bool destroy);

/*
 * The pool of a mempool in this process, attached if it was not yet. A message and NULL if
 * pool_data is none of ours or the pool cannot be attached.
 */
struct sio_pool *slab_pool_slow(const struct rte_mempool *mp);

/* As slab_pool_slow(), but only good for counting. */
struct sio_pool *slab_pool_count(const struct rte_mempool *mp);

/* What this process serves, for those who only know a mempool's name. */
struct slab_served {
	char mempool[RTE_MEMPOOL_NAMESIZE];
	uint64_t pitch;
};

/*
 * Looks at what this process serves, in no order, until look returns something else than 0, which
 * is returned; else 0. No pool is closed meanwhile; look must not come back here or wait.
 */
int slab_table_look(
	int (*look)(const struct slab_served *served, const struct sio_pool *pool, void *arg),
	void *arg);

/*
 * Brings back what dead processes held of the pools that this one created. Returns false if there
 * are none.
 */
bool slab_table_recover(void);

/* slab_renew.c: what sio_pool_set_renew() wants, with the mempool as its argument. */
void slab_renew(void *object, void *mempool);

/* The creator of a segment is its member in slot 0, generation 1. */
#define SLAB_CREATOR SIO_MEMBER_NAME(0, 1)

/* ---- slab_cache.c: the caches that the mempool library keeps ---- */

/* Creator, before others can find the mempool: caches of lcores that are not its own are off. */
void slab_caches_limit(const struct rte_mempool *mp, bool all);

/* The creator is gone: what it had in caches is nobody's to take out of them. */
void slab_caches_end(const struct rte_mempool *mp, const struct sio_pool *pool);

bool slab_creator_lives(const struct sio_pool *pool);

enum slab_claim {
	SLAB_CLAIM_REFUSED, /* a living process has the same lcore, or this one cannot join */
	SLAB_CLAIM_NEW,	    /* by this very call */
	SLAB_CLAIM_OLD,	    /* there was one, or there is no need */
};

/* A get or put that comes here, with a message now and then if it is refused. */
enum slab_claim slab_lcore_claim(const struct rte_mempool *mp, struct sio_pool *pool);

/* True if objects are got into a cache that is off. */
bool slab_cache_refills(const struct rte_mempool *mp, void *const *objs);

/* slab_watch.c: from now on recovers by itself. Any thread, any number of times. */
void slab_watch_start(void);

/* True for the 1st, 2nd, 4th, 8th ... time: for messages from the data path. */
bool slab_log_due(_Atomic uint64_t *times);

/* The pool if this process has it open: no more than the data path needs. NULL: ask slab_pool(). */
static __rte_always_inline struct sio_pool *
slab_pool_find(const struct rte_mempool *mp)
{
	const struct slab_data *data = mp->pool_data;
	struct slab_entry *entry;
	uint64_t uid;

	if (unlikely(data == NULL || data->magic != SLAB_MAGIC))
		return NULL;
	uid = data->uid;
	entry = &slab_table[uid % SLAB_TABLE_SIZE];
	/* acquire: partner of the release in slab_table.c that completes an entry */
	if (unlikely(atomic_load_explicit(&entry->uid, memory_order_acquire) != uid))
		return NULL;
	return atomic_load_explicit(&entry->pool, memory_order_acquire);
}

static inline struct sio_pool *
slab_pool(const struct rte_mempool *mp)
{
	struct sio_pool *pool = slab_pool_find(mp);

	return likely(pool != NULL) ? pool : slab_pool_slow(mp);
}

/* slab_mempool.c */
int slab_alloc(struct rte_mempool *mp);
void slab_free(struct rte_mempool *mp);
int slab_enqueue_slow(struct rte_mempool *mp, void *const *objs, unsigned int n);
int slab_dequeue_slow(struct rte_mempool *mp, void **objs, unsigned int n);
unsigned int slab_get_count(const struct rte_mempool *mp);
int slab_get_info(const struct rte_mempool *mp, struct rte_mempool_info *info);
int slab_dequeue_contig(struct rte_mempool *mp, void **first_obj_table, unsigned int n);
ssize_t slab_calc_mem_size(const struct rte_mempool *mp, uint32_t n, uint32_t pg_shift,
	size_t *min_chunk_size, size_t *align);
int slab_populate(struct rte_mempool *mp, unsigned int max_objs, void *vaddr, rte_iova_t iova,
	size_t len, rte_mempool_populate_obj_cb_t *obj_cb, void *obj_cb_arg);

/* slab_ops.c: the ops index to store in a mempool so that it means the same in every process. */
int slab_ops_index(int registered);

#endif /* SLAB_PRIVATE_H */
