/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SLABIO_VLAN_H
#define SLABIO_VLAN_H

/**
 * @file
 * VLAN tags between packet data and mbuf, in software.
 */

#include <rte_ether.h>
#include <rte_mbuf.h>

#include "slabio_pmd.h"

#define SLABIO_VLAN_OFFSET (2 * RTE_ETHER_ADDR_LEN) /* of the tag in a packet */

/** Moves the outer 802.1Q tag of a received packet, if it has one, to vlan_tci. */
static inline void
slabio_vlan_strip(struct rte_mbuf *m)
{
	/* the tag is in the first segment: no receive buffer is as small as that */
	if (m->data_len >= RTE_ETHER_HDR_LEN + sizeof(struct rte_vlan_hdr))
		(void)rte_vlan_strip(m);
}

/** Whether the queue is to put a tag into a packet that it sends. */
static inline bool
slabio_vlan_wanted(const struct slabio_txq *q, const struct rte_mbuf *m)
{
	return (q->soft & RTE_ETH_TX_OFFLOAD_VLAN_INSERT) && (m->ol_flags & RTE_MBUF_F_TX_VLAN) &&
	       m->pkt_len >= SLABIO_VLAN_OFFSET;
}

/** The tag that a packet to send asks for, as it goes between addresses and type. */
static inline uint32_t
slabio_vlan_tag(const struct rte_mbuf *m)
{
	return rte_cpu_to_be_32((uint32_t)RTE_ETHER_TYPE_VLAN << 16 | m->vlan_tci);
}

#endif /* SLABIO_VLAN_H */
