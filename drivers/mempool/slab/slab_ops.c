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

#include <string.h>

#include <rte_common.h>
#include <rte_spinlock.h>

#include "slab_private.h"

RTE_LOG_REGISTER_DEFAULT(slab_logtype, NOTICE);

static const struct rte_mempool_ops slab_ops = {
	.name = SLAB_OPS_NAME,
	.alloc = slab_alloc,
	.free = slab_free,
	.enqueue = slab_enqueue,
	.dequeue = slab_dequeue,
	.get_count = slab_get_count,
	.calc_mem_size = slab_calc_mem_size,
	.populate = slab_populate,
};

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

	return ops->alloc == slab_alloc && ops->enqueue == slab_enqueue &&
	       ops->dequeue == slab_dequeue && ops->get_count == slab_get_count;
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

RTE_INIT(slab_ops_register)
{
	int registered;

	sio_log_set(slab_log, NULL, SIO_LOG_DEBUG);

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
