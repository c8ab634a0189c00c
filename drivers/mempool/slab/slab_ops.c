/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Registration of the ops.
 *
 * A mempool stores only an index into the ops table, and each process fills its own table in the
 * order in which it happens to load its drivers: the same index can mean another handler in a
 * secondary process. Two entries avoid that. The registered one, wherever it lands, makes the name
 * known to rte_mempool_set_ops_byname(). A second one, in the last slot of the table, is the same
 * in every process; alloc makes it the mempool's index. rte_mempool_get_ops() accepts every slot
 * of the table, registered or not.
 */

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <rte_common.h>
#include <rte_cpuflags.h>
#include <rte_spinlock.h>

#include "pool/pool_fast.h"
#include "slab_private.h"

RTE_LOG_REGISTER_DEFAULT(slab_logtype, NOTICE);

/*
 * Get and put: a thread that used the mempool before has its view of the pool at hand, and the
 * loaded magazine serves it with no call. Compiled for CPUs with vectors of 32 bytes and for all
 * others; which one EAL gets is chosen when the driver is loaded.
 */
static __rte_always_inline struct sio_local *
slab_view(const struct rte_mempool *mp)
{
	const struct slab_data *data = mp->pool_data;

	return likely(data != NULL) ? sio_fast_find(slab_key(data)) : NULL;
}

static __rte_noinline int
slab_take_slow(struct sio_local *view, void **objs, unsigned int n)
{
	return sio_fast_take_slow(view, objs, n) == 0 ? 0 : -ENOBUFS;
}

static __rte_always_inline int
slab_get(struct rte_mempool *mp, void **objs, unsigned int n, bool fours)
{
	struct sio_local *view = slab_view(mp);

	if (unlikely(view == NULL))
		return slab_dequeue_slow(mp, objs, n);
	return likely(sio_fast_take(view, objs, n, fours)) ? 0 : slab_take_slow(view, objs, n);
}

static __rte_always_inline int
slab_put(struct rte_mempool *mp, void *const *objs, unsigned int n, bool fours)
{
	struct sio_local *view = slab_view(mp);

	if (unlikely(view == NULL))
		return slab_enqueue_slow(mp, objs, n);
	return likely(sio_fast_give(view, objs, n, fours)) ? 0 : sio_fast_give_slow(view, objs, n);
}

static int
slab_dequeue(struct rte_mempool *mp, void **objs, unsigned int n)
{
	return slab_get(mp, objs, n, false);
}

static int
slab_enqueue(struct rte_mempool *mp, void *const *objs, unsigned int n)
{
	return slab_put(mp, objs, n, false);
}

#ifdef RTE_ARCH_X86_64
/* tuned too, since for older CPUs compilers split a vector that is not aligned */
#ifdef __clang__
#define SLAB_AVX2 __attribute__((target("avx2")))
#else
#define SLAB_AVX2 __attribute__((target("avx2,tune=haswell")))
#endif

static SLAB_AVX2 int
slab_dequeue_avx2(struct rte_mempool *mp, void **objs, unsigned int n)
{
	return slab_get(mp, objs, n, true);
}

static SLAB_AVX2 int
slab_enqueue_avx2(struct rte_mempool *mp, void *const *objs, unsigned int n)
{
	return slab_put(mp, objs, n, true);
}
#endif

static struct rte_mempool_ops slab_ops = {
	.name = SLAB_OPS_NAME,
	.alloc = slab_alloc,
	.free = slab_free,
	.enqueue = slab_enqueue,
	.dequeue = slab_dequeue,
	.get_count = slab_get_count,
	.calc_mem_size = slab_calc_mem_size,
	.populate = slab_populate,
	.get_info = slab_get_info,
	.dequeue_contig_blocks = slab_dequeue_contig,
};

static void
slab_ops_choose(void)
{
#ifdef RTE_ARCH_X86_64
	if (rte_cpu_get_flag_enabled(RTE_CPUFLAG_AVX2) > 0) {
		slab_ops.dequeue = slab_dequeue_avx2;
		slab_ops.enqueue = slab_enqueue_avx2;
	}
#endif
}

static bool
slab_ops_slot_is_free(void)
{
	static const struct rte_mempool_ops none;

	return rte_mempool_ops_table.num_ops <= SLAB_OPS_SLOT &&
	       memcmp(&rte_mempool_ops_table.ops[SLAB_OPS_SLOT], &none, sizeof(none)) == 0;
}

static bool
slab_ops_slot_is_ours(void)
{
	const struct rte_mempool_ops *ops = &rte_mempool_ops_table.ops[SLAB_OPS_SLOT];

	return ops->alloc == slab_alloc && ops->enqueue == slab_ops.enqueue &&
	       ops->dequeue == slab_ops.dequeue && ops->get_count == slab_get_count;
}

int
slab_ops_index(int registered)
{
	if (slab_ops_slot_is_ours())
		return SLAB_OPS_SLOT;
	/* drivers that came after us filled the table up to its last slot */
	SLAB_LOG(WARNING,
		"slot %d of the mempool ops table belongs to \"%s\": using slot %d, which "
		"secondary processes have only if they load the same drivers in the same order",
		SLAB_OPS_SLOT, rte_mempool_ops_table.ops[SLAB_OPS_SLOT].name, registered);
	return registered;
}

static void
slab_log(enum sio_log_level level, const char *message, void *arg)
{
	static const uint32_t levels[] = {
		[SIO_LOG_ERR] = RTE_LOG_ERR,
		[SIO_LOG_WARNING] = RTE_LOG_WARNING,
		[SIO_LOG_NOTICE] = RTE_LOG_NOTICE,
		[SIO_LOG_INFO] = RTE_LOG_INFO,
		[SIO_LOG_DEBUG] = RTE_LOG_DEBUG,
	};

	RTE_SET_USED(arg);
	rte_log(level <= SIO_LOG_DEBUG ? levels[level] : RTE_LOG_DEBUG, (uint32_t)slab_logtype,
		"SLAB: %s\n", message);
}

/* Whether another copy of this driver was loaded before: one given with -d, the other installed. */
static bool
slab_ops_name_is_taken(void)
{
	for (uint32_t i = 0; i < rte_mempool_ops_table.num_ops; i++)
		if (strcmp(rte_mempool_ops_table.ops[i].name, SLAB_OPS_NAME) == 0)
			return true;
	return false;
}

RTE_INIT(slab_ops_register)
{
	int registered;

	if (slab_ops_name_is_taken()) {
		SLAB_LOG(INFO, "this driver is loaded twice, the copy loaded first is used");
		return;
	}
	sio_log_set(slab_log, NULL, SIO_LOG_DEBUG);
	if (sio_fast_abi != SIO_FAST_ABI) {
		SLAB_LOG(ERR,
			"this driver was built with another libslabio than the one loaded "
			"(%#" PRIx64 ", expected %#" PRIx64 "): install both from the same build",
			sio_fast_abi, SIO_FAST_ABI);
		return;
	}
	slab_ops_choose();

	registered = rte_mempool_register_ops(&slab_ops);
	if (registered < 0) {
		SLAB_LOG(ERR,
			"cannot register the mempool ops \"" SLAB_OPS_NAME
			"\": %s; %u of %d slots are taken; load this driver with -d, before the "
			"others",
			strerror(-registered), rte_mempool_ops_table.num_ops,
			RTE_MEMPOOL_MAX_OPS_IDX);
		return;
	}

	rte_spinlock_lock(&rte_mempool_ops_table.sl);
	if (slab_ops_slot_is_free())
		rte_mempool_ops_table.ops[SLAB_OPS_SLOT] = slab_ops;
	rte_spinlock_unlock(&rte_mempool_ops_table.sl);

	if (!slab_ops_slot_is_ours())
		SLAB_LOG(WARNING,
			"slot %d of the mempool ops table is taken by \"%s\": slab mempools of "
			"other processes cannot be used here",
			SLAB_OPS_SLOT, rte_mempool_ops_table.ops[SLAB_OPS_SLOT].name);
	else
		SLAB_LOG(DEBUG, "registered as ops %d, and in slot %d", registered, SLAB_OPS_SLOT);
}
