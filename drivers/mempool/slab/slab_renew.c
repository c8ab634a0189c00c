/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Objects of exact mempools that come back from the hands of a dead process are made new.
 *
 * Only mbufs need that: a free one has one reference, one segment, and points to its own buffer.
 * Whether a mempool is one of mbufs is not written anywhere; its private data and the pointer that
 * each mbuf has to its mempool say it.
 */

#include <string.h>

#include <rte_mbuf.h>

#include "slab_private.h"

static bool
slab_has_mbufs(struct rte_mempool *mp, const struct rte_mbuf *m)
{
	const struct rte_pktmbuf_pool_private *priv;

	if (mp->private_data_size < sizeof(*priv))
		return false;
	priv = rte_mempool_get_priv(mp);
	return mp->elt_size >= sizeof(*m) + priv->mbuf_priv_size + priv->mbuf_data_room_size &&
	       (m->pool == mp || (m->pool == NULL && priv->mbuf_data_room_size > 0));
}

void
slab_renew(void *object, void *mempool)
{
	struct rte_mempool *mp = mempool;
	struct rte_mbuf *m = object;

	/* it is being freed, and its memory goes next */
	if (mp->populated_size == 0 || !slab_has_mbufs(mp, m))
		return;
	if ((rte_pktmbuf_priv_flags(mp) & RTE_PKTMBUF_POOL_F_PINNED_EXT_BUF) == 0) {
		rte_pktmbuf_init(mp, NULL, m, 0);
		return;
	}
	/* its buffer is elsewhere and stays its own */
	rte_mbuf_ext_refcnt_set(m->shinfo, 1);
	rte_mbuf_refcnt_set(m, 1);
	m->ol_flags = RTE_MBUF_F_EXTERNAL;
	m->nb_segs = 1;
	m->next = NULL;
}
