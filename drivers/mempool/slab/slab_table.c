/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The table from a mempool's uid to what this process has open for it.
 *
 * Open addressing with linear probing, so that a lookup is one load and one comparison as a rule.
 * A removed entry leaves SLAB_UID_GONE behind, which the next added one may take: a table full of
 * those still works, since adding searches first, and a search that fails is never on the fast
 * path.
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_string_fns.h>

#include "slab_private.h"

#define SLAB_UID_NONE UINT64_C(0)
#define SLAB_UID_GONE UINT64_MAX

/* A quarter stays free, so that probing ends soon. */
#define SLAB_TABLE_MAX (SLAB_TABLE_SIZE / 4 * 3)

/* Looks of the watch that a pool is left alone for, after one that could not do all. */
#define SLAB_REST 16u

struct slab_entry slab_table[SLAB_TABLE_SIZE];

/* Beside the entries, so that the data path does not touch it. Under the lock. */
static struct slab_served slab_served[SLAB_TABLE_SIZE];

static pthread_mutex_t slab_table_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned int slab_table_used;

static _Atomic uint64_t slab_bad_data_times;
static _Atomic uint64_t slab_attach_times;

bool
slab_log_due(_Atomic uint64_t *times)
{
	/* relaxed: a statistic; nothing is published by it */
	const uint64_t n = atomic_fetch_add_explicit(times, 1, memory_order_relaxed) + 1;

	return (n & (n - 1)) == 0;
}

uint64_t
slab_uid_new(void)
{
	static _Atomic uint64_t last;
	uint64_t uid, n;

	/* relaxed: only needs to differ from call to call */
	n = atomic_fetch_add_explicit(&last, 1, memory_order_relaxed);
	if (getrandom(&uid, sizeof(uid), GRND_NONBLOCK) != (ssize_t)sizeof(uid))
		uid = sio_now_ns() ^ (uint64_t)getpid() << 40;
	/*
	 * No two of one process's pools share a place in the table, nor any sixteen that follow each
	 * other one of sio_fast_index(); the upper bits tell processes apart.
	 */
	n = (n << 4 | n % SLAB_TABLE_SIZE >> 8) % SLAB_TABLE_SIZE;
	uid = uid / SLAB_TABLE_SIZE * SLAB_TABLE_SIZE + n;
	return uid == SLAB_UID_NONE || uid == SLAB_UID_GONE ? uid ^ UINT64_C(1) << 40 : uid;
}

/* Recoveries of this process bring back objects of a mempool whose holders are recorded. */
static void
slab_pool_renews(const struct rte_mempool *mp, struct sio_pool *pool)
{
	(void)sio_pool_set_renew(pool, slab_renew, (void *)(uintptr_t)mp);
}

/* The entry of a uid, or NULL. Needs no lock for a mempool in use. */
static struct slab_entry *
slab_table_find(uint64_t uid)
{
	for (uint64_t i = 0; i < SLAB_TABLE_SIZE; i++) {
		struct slab_entry *entry = &slab_table[(uid + i) % SLAB_TABLE_SIZE];
		/* acquire: partner of the release in slab_table_insert() */
		const uint64_t found = atomic_load_explicit(&entry->uid, memory_order_acquire);

		if (found == uid)
			return entry;
		if (found == SLAB_UID_NONE)
			return NULL;
	}
	return NULL;
}

/* Under the lock, and the uid is not in the table. Returns the entry or NULL. */
static struct slab_entry *
slab_table_insert(const struct rte_mempool *mp, const struct slab_data *data, struct sio_pool *pool,
	struct sio_pool *observer, bool creator)
{
	const uint64_t uid = data->uid;

	if (slab_table_used >= SLAB_TABLE_MAX)
		return NULL;
	for (uint64_t i = 0; i < SLAB_TABLE_SIZE; i++) {
		struct slab_entry *entry = &slab_table[(uid + i) % SLAB_TABLE_SIZE];
		const uint64_t found = atomic_load_explicit(&entry->uid, memory_order_relaxed);

		if (found != SLAB_UID_NONE && found != SLAB_UID_GONE)
			continue;
		atomic_store_explicit(&entry->pool, pool, memory_order_relaxed);
		atomic_store_explicit(&entry->observer, observer, memory_order_relaxed);
		entry->pid = getpid();
		entry->rest = 0;
		entry->creator = creator;
		rte_strscpy(slab_served[entry - slab_table].mempool, mp->name,
			sizeof(slab_served[0].mempool));
		slab_served[entry - slab_table].pitch = data->pitch;
		/* release: partner of the acquire loads in slab_pool() and slab_table_find() */
		atomic_store_explicit(&entry->uid, uid, memory_order_release);
		slab_table_used++;
		return entry;
	}
	return NULL;
}

/* Under the lock. Closes what the entry has open. */
static void
slab_entry_close(struct slab_entry *entry, bool destroy)
{
	struct sio_pool *pool = atomic_load_explicit(&entry->pool, memory_order_relaxed);
	struct sio_pool *observer = atomic_load_explicit(&entry->observer, memory_order_relaxed);

	/* release: the pointers below are no reader's business any more */
	atomic_store_explicit(&entry->uid, SLAB_UID_GONE, memory_order_release);
	atomic_store_explicit(&entry->pool, NULL, memory_order_relaxed);
	atomic_store_explicit(&entry->observer, NULL, memory_order_relaxed);
	slab_table_used--;
	/* a forked child found it here: it is its parent's */
	if (entry->pid != getpid())
		return;
	if (pool != NULL && destroy)
		sio_pool_destroy(pool);
	else if (pool != NULL)
		sio_pool_detach(pool);
	if (observer != NULL)
		sio_pool_detach(observer);
}

/* Under the lock. What the entry has open in this process, NULL if nothing. */
static struct sio_pool *
slab_entry_open(const struct slab_entry *entry)
{
	const uint64_t uid = atomic_load_explicit(&entry->uid, memory_order_relaxed);
	struct sio_pool *pool = atomic_load_explicit(&entry->pool, memory_order_relaxed);

	if (uid == SLAB_UID_NONE || uid == SLAB_UID_GONE || entry->pid != getpid())
		return NULL;
	return pool != NULL ? pool : atomic_load_explicit(&entry->observer, memory_order_relaxed);
}

/* True if the creator of a pool freed it. One that died and was buried is no member either. */
static bool
slab_pool_is_freed(const struct sio_pool *pool)
{
	struct sio_segment *segment = sio_pool_segment(pool);
	struct stat st;

	if (sio_member_state(segment, SLAB_CREATOR) != SIO_MEMBER_FREE)
		return false;
	/* who frees a pool removes its name */
	return fstat(sio_segment_fd(segment), &st) != 0 || st.st_nlink == 0;
}

/*
 * Under the lock. Closes pools whose creator freed them: nobody may use those any more, and this
 * process is not told of it otherwise.
 */
static void
slab_table_sweep(void)
{
	for (unsigned int i = 0; i < SLAB_TABLE_SIZE; i++) {
		struct slab_entry *entry = &slab_table[i];
		const struct sio_pool *pool = slab_entry_open(entry);

		if (pool != NULL && !entry->creator && slab_pool_is_freed(pool))
			slab_entry_close(entry, false);
	}
}

int
slab_table_look(
	int (*look)(const struct slab_served *served, const struct sio_pool *pool, void *arg),
	void *arg)
{
	int ret = 0;

	/* pools are closed under the lock only */
	pthread_mutex_lock(&slab_table_lock);
	for (unsigned int i = 0; i < SLAB_TABLE_SIZE && ret == 0; i++) {
		const struct slab_entry *entry = &slab_table[i];
		const struct sio_pool *pool = slab_entry_open(entry);

		if (pool != NULL && (entry->creator || !slab_pool_is_freed(pool)))
			ret = look(&slab_served[i], pool, arg);
	}
	pthread_mutex_unlock(&slab_table_lock);
	return ret;
}

int
slab_table_add(const struct rte_mempool *mp, const struct slab_data *data, struct sio_pool *pool)
{
	const struct slab_entry *entry;

	pthread_mutex_lock(&slab_table_lock);
	slab_table_sweep();
	slab_pool_renews(mp, pool);
	entry = slab_table_insert(mp, data, pool, NULL, true);
	pthread_mutex_unlock(&slab_table_lock);
	return entry == NULL ? -ENOSPC : 0;
}

void
slab_table_remove(uint64_t uid, const char *name, bool destroy)
{
	struct slab_entry *entry;

	pthread_mutex_lock(&slab_table_lock);
	entry = slab_table_find(uid);
	if (entry != NULL)
		slab_entry_close(entry, destroy);
	pthread_mutex_unlock(&slab_table_lock);
	if (entry == NULL)
		SLAB_LOG(INFO, "pool %s is freed by a process that never used it", name);
}

static bool
slab_pool_has_dead(struct sio_pool *pool)
{
	struct sio_segment *segment = sio_pool_segment(pool);
	struct sio_member_info info;

	for (unsigned int slot = 0; slot < SIO_MEMBERS_MAX; slot++)
		if (sio_member_get(segment, slot, &info) == 0 && info.state == SIO_MEMBER_DEAD)
			return true;
	return false;
}

/* Attaches to what data names, and checks that it is the mempool's pool. */
static struct sio_pool *
slab_attach(const struct rte_mempool *mp, const struct slab_data *data, bool observe)
{
	const struct sio_pool_attach_opts opts = {
		.sz = sizeof(opts),
		.observe = observe,
		.no_payload = true,
		/* not before caches are emptied and objects can be made new, see below */
		.no_recover = true,
	};
	struct sio_pool_info info;
	struct sio_pool *pool;
	char name[SIO_NAME_LEN];
	int ret;

	rte_strscpy(name, data->name, sizeof(name));
	ret = sio_pool_attach(name, &opts, &pool);
	if (ret < 0) {
		if (slab_log_due(&slab_attach_times))
			SLAB_LOG(ERR,
				"mempool %s: cannot attach to its pool %s: %s; do all processes "
				"run as the same user with the same " SIO_RUNTIME_DIR_ENV "?",
				mp->name, name, strerror(-ret));
		return NULL;
	}
	sio_pool_info(pool, &info);
	if (info.n_blocks != mp->size || info.block_size != mp->elt_size) {
		if (slab_log_due(&slab_attach_times))
			SLAB_LOG(ERR,
				"mempool %s has %u objects of %u bytes, but its pool %s has %u of "
				"%u: the name was taken over by another pool",
				mp->name, mp->size, mp->elt_size, name, info.n_blocks,
				info.block_size);
		sio_pool_detach(pool);
		return NULL;
	}
	sio_pool_set_dry_time(pool, data->dry_us);
	slab_pool_renews(mp, pool);
	if (!observe && !slab_creator_lives(pool))
		slab_caches_end(mp, pool);
	/* what can't be settled now is settled by the next */
	if (!observe)
		(void)sio_pool_recover(pool, NULL);
	return pool;
}

/* pool_data if it is one of ours, else a message and NULL. */
static const struct slab_data *
slab_data_check(const struct rte_mempool *mp)
{
	const struct slab_data *data = mp->pool_data;

	if (data == NULL) {
		if (slab_log_due(&slab_bad_data_times))
			SLAB_LOG(ERR, "mempool %s is used before it was populated", mp->name);
		return NULL;
	}
	if (data->magic == SLAB_MAGIC)
		return data;
	if (slab_log_due(&slab_bad_data_times))
		SLAB_LOG(CRIT,
			"mempool %s (ops index %d): pool_data starts with %#" PRIx64
			", expected %#" PRIx64 ": %s",
			mp->name, mp->ops_index, data->magic, SLAB_MAGIC,
			data->magic == SLAB_MAGIC_FREE ? "the mempool was freed"
						       : "memory was overwritten, or the mempool "
							 "belongs to another handler");
	return NULL;
}

/* What is open for uid, without the lock: the pool, or if that will do the observer; or NULL. */
static struct sio_pool *
slab_table_pool(uint64_t uid, bool observe)
{
	const struct slab_entry *entry = slab_table_find(uid);
	struct sio_pool *pool;

	if (entry == NULL)
		return NULL;
	/* acquire: partner of the releases in slab_table_insert() and slab_pool_open() */
	pool = atomic_load_explicit(&entry->pool, memory_order_acquire);
	if (pool == NULL && observe)
		pool = atomic_load_explicit(&entry->observer, memory_order_acquire);
	return pool;
}

/* Under the lock. Attaches, and remembers it. */
static struct sio_pool *
slab_pool_open(const struct rte_mempool *mp, const struct slab_data *data, bool observe)
{
	struct sio_pool *pool = slab_attach(mp, data, observe);
	struct slab_entry *entry;

	if (pool == NULL)
		return NULL;
	entry = slab_table_find(data->uid);
	if (entry != NULL) {
		/* it was an observer so far; release: partner of the acquire load in slab_pool() */
		atomic_store_explicit(&entry->pool, pool, memory_order_release);
		return pool;
	}
	slab_table_sweep();
	if (slab_table_insert(mp, data, observe ? NULL : pool, observe ? pool : NULL, false) !=
		NULL)
		return pool;
	SLAB_LOG(ERR, "mempool %s: this process uses more than %u slab mempools", mp->name,
		SLAB_TABLE_MAX);
	sio_pool_detach(pool);
	return NULL;
}

static struct sio_pool *
slab_pool_get(const struct rte_mempool *mp, bool observe)
{
	const struct slab_data *data = slab_data_check(mp);
	struct sio_pool *pool;

	if (data == NULL)
		return NULL;
	pool = slab_table_pool(data->uid, observe);
	if (pool != NULL)
		return pool;
	pthread_mutex_lock(&slab_table_lock);
	/* again: another thread may have been first */
	pool = slab_table_pool(data->uid, observe);
	if (pool == NULL)
		pool = slab_pool_open(mp, data, observe);
	pthread_mutex_unlock(&slab_table_lock);
	return pool;
}

struct sio_pool *
slab_pool_slow(const struct rte_mempool *mp)
{
	return slab_pool_get(mp, false);
}

struct sio_pool *
slab_pool_count(const struct rte_mempool *mp)
{
	return slab_pool_get(mp, true);
}

/* ---- fork and exit ---- */

static void
slab_fork_prepare(void)
{
	pthread_mutex_lock(&slab_table_lock);
}

static void
slab_fork_done(void)
{
	pthread_mutex_unlock(&slab_table_lock);
}

RTE_INIT(slab_table_init)
{
	pthread_atfork(slab_fork_prepare, slab_fork_done, slab_fork_done);
}

/* True if a process other than this one is a member, or died as one. */
static bool
slab_pool_has_others(struct sio_pool *pool)
{
	struct sio_segment *segment = sio_pool_segment(pool);
	struct sio_member_info info;

	for (unsigned int slot = 0; slot < SIO_MEMBERS_MAX; slot++) {
		if (sio_member_get(segment, slot, &info) != 0 || info.state == SIO_MEMBER_FREE)
			continue;
		if (info.member != sio_segment_self(segment))
			return true;
	}
	return false;
}

bool
slab_table_recover(void)
{
	bool any = false;

	/* who has it may wait for something; EAL's thread has others to serve */
	if (pthread_mutex_trylock(&slab_table_lock) != 0)
		return true;
	for (unsigned int i = 0; i < SLAB_TABLE_SIZE; i++) {
		struct slab_entry *entry = &slab_table[i];
		struct sio_pool *pool = atomic_load_explicit(&entry->pool, memory_order_relaxed);
		struct sio_recover_report report;

		if (pool == NULL || !entry->creator || entry->pid != getpid())
			continue;
		any = true;
		if (entry->rest > 0) {
			entry->rest--;
			continue;
		}
		/* freed by another process: its mempool is gone */
		if (slab_pool_is_freed(pool) || !slab_pool_has_dead(pool))
			continue;
		/* a stopped process can keep it from ending: not twice a second then */
		if (sio_pool_recover(pool, &report) != 0 || report.left != 0)
			entry->rest = SLAB_REST;
	}
	pthread_mutex_unlock(&slab_table_lock);
	return any;
}

static bool
slab_lcores_rest(void)
{
	unsigned int lcore_id;

	RTE_LCORE_FOREACH_WORKER(lcore_id)
	if (rte_eal_get_lcore_state(lcore_id) == RUNNING)
		return false;
	return true;
}

/*
 * Applications seldom free their mempools before they exit. The last one out removes the name, so
 * that no metadata stays in the runtime folder; beside others, living or crashed, it stays for
 * them and for whoever looks into a crash. A secondary gives its member slot back unless one of
 * its lcores may still be using the pool.
 */
RTE_FINI(slab_table_fini)
{
	const bool rest = slab_lcores_rest();

	for (unsigned int i = 0; i < SLAB_TABLE_SIZE; i++) {
		struct slab_entry *entry = &slab_table[i];
		const uint64_t uid = atomic_load_explicit(&entry->uid, memory_order_relaxed);
		struct sio_pool *pool = atomic_load_explicit(&entry->pool, memory_order_relaxed);

		if (uid == SLAB_UID_NONE || uid == SLAB_UID_GONE || pool == NULL ||
			entry->pid != getpid())
			continue;
		if (!slab_pool_has_others(pool))
			(void)sio_segment_unlink(sio_pool_segment(pool));
		else if (!entry->creator && rest)
			slab_entry_close(entry, false);
	}
}
