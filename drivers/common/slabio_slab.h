/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SLABIO_SLAB_H
#define SLABIO_SLAB_H

/**
 * @file
 * What the poll-mode driver has to know of a slab mempool: how the shared part of it begins.
 */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <rte_mempool.h>

#define SLAB_MAGIC UINT64_C(0x314d454d42414c53) /* "SLABMEM1" */

/** The first members of struct slab_data, see drivers/mempool/slab. */
struct slabio_slab_head {
	uint64_t magic;
	uint64_t uid;
	bool check;
	bool exact;
};

/** Whether a mempool is a slab mempool with mode=exact. */
static inline bool
slabio_slab_is_exact(const struct rte_mempool *mp)
{
	const struct slabio_slab_head *head = mp->pool_data;

	return strcmp(rte_mempool_get_ops(mp->ops_index)->name, "slab") == 0 && head != NULL &&
	       head->magic == SLAB_MAGIC && head->exact;
}

#endif /* SLABIO_SLAB_H */
