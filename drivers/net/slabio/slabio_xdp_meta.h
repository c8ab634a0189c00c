/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SLABIO_XDP_META_IN_H
#define SLABIO_XDP_META_IN_H

/**
 * @file
 * What the XDP program has put in front of a received packet: into the mbuf with it.
 */

#include <string.h>

#include <rte_mbuf_dyn.h>

#include <slabio/xdp_meta.h>

#include "slabio_pmd.h"

_Static_assert(sizeof(struct sio_xdp_meta) == 24 && sizeof(struct sio_xdp_meta) % 4 == 0,
	"the kernel takes metadata of whole words, on older kernels of at most 32 bytes");

/**
 * Looks for metadata in front of a packet whose data_off is set. It is taken once: the frame will
 * be in front of another packet again.
 */
static inline void
slabio_xdp_take_meta(struct slabio_rxq *q, struct rte_mbuf *m)
{
	struct sio_xdp_meta meta, *there;

	if (m->data_off < sizeof(meta))
		goto none;
	there = (struct sio_xdp_meta *)rte_pktmbuf_mtod_offset(m, char *, -(int)sizeof(meta));
	memcpy(&meta, there, sizeof(meta));
	if (meta.magic != SIO_XDP_META_MAGIC)
		goto none;
	memset(&there->magic, 0, sizeof(there->magic));
	if (meta.flags & SIO_XDP_META_HASH) {
		m->hash.rss = meta.hash;
		m->ol_flags |= RTE_MBUF_F_RX_RSS_HASH;
	}
	if (meta.flags & SIO_XDP_META_MARK) {
		m->hash.fdir.hi = meta.mark;
		m->ol_flags |= RTE_MBUF_F_RX_FDIR | RTE_MBUF_F_RX_FDIR_ID;
	}
	if ((meta.flags & SIO_XDP_META_TIMESTAMP) && q->timestamp_flag != 0) {
		*RTE_MBUF_DYNFIELD(m, q->timestamp_offset, rte_mbuf_timestamp_t *) = meta.timestamp;
		m->ol_flags |= q->timestamp_flag;
	}
	return;
none:
	slabio_count(&q->stats[SLABIO_RX_NO_META], 1);
}

#endif /* SLABIO_XDP_META_IN_H */
