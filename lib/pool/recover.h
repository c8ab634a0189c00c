/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SIO_RECOVER_H
#define SIO_RECOVER_H

/**
 * @file
 * One run of recovery, for the files that do its steps.
 */

#include "pool/pool_private.h"

struct sio_recovery {
	struct sio_local local;
	struct sio_dead dead;
	struct sio_recover_report report;
	bool barrier; /**< was issued */
	/**
	 * One bit per block that is not in hands, for all that is known: noted in a magazine, free
	 * in the contiguous region, or, in exact pools, between the positions of a ring.
	 */
	uint8_t *marks;
	/** A ring could not be looked at: what is in hands cannot be told from what is in it. */
	bool blind;
};

static inline void
sio_recovery_mark(struct sio_recovery *r, uint32_t handle)
{
	if (handle < r->local.pool->n_blocks)
		r->marks[handle / 8] |= (uint8_t)(1u << (handle % 8));
}

static inline bool
sio_recovery_marked(const struct sio_recovery *r, uint32_t handle)
{
	return (r->marks[handle / 8] & 1u << (handle % 8)) != 0;
}

/**
 * Exact pools: settles the dead's sides of all rings, closes those that nobody will, and marks what
 * is queued. The pool's one call into the ring module: lib/rbuff/rbuff_settle.c.
 */
int sio__rings_settle(struct sio_recovery *r);

/** Takes of neighbours that death cut short: what they had claimed is free again. contig.c */
void sio__contig_settle(struct sio_recovery *r);
/** Marks every block of the contiguous region that is in nobody's hands. contig.c */
void sio__contig_mark(struct sio_recovery *r);

#endif /* SIO_RECOVER_H */
