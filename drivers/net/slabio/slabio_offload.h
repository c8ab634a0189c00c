/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SLABIO_OFFLOAD_H
#define SLABIO_OFFLOAD_H

/**
 * @file
 * What applications leave to the port and no device does here: VLAN tags and checksums, in
 * software. A queue that none of it was asked of never comes here.
 */

#include <rte_mbuf.h>
#include <ethdev_driver.h>

#define SLABIO_RX_SOFT                                                   \
	(RTE_ETH_RX_OFFLOAD_VLAN_STRIP | RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | \
		RTE_ETH_RX_OFFLOAD_UDP_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM)
#define SLABIO_TX_SOFT                                                    \
	(RTE_ETH_TX_OFFLOAD_VLAN_INSERT | RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | \
		RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM)
#define SLABIO_TX_L4_SUMS (RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM)
/** Mbuf flags that ask for one of them. */
#define SLABIO_TX_SOFT_FLAGS (RTE_MBUF_F_TX_VLAN | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_L4_MASK)

/** Takes tags off and looks at checksums, as far as a queue was asked to. */
void slabio_offload_rx(uint64_t offloads, struct rte_mbuf **pkts, uint16_t n);

/** What was done about the checksum of TCP or UDP that a packet's flags ask for. */
struct slabio_tx_sum {
	uint16_t start;	 /* left to somebody else, who sums from here on to the end; 0: nothing */
	uint16_t offset; /* from there to the field, which has the sum of the pseudo header */
	bool done;	 /* filled in */
};

/**
 * Does what a packet's flags ask for. The packet must be the caller's alone, all of its segments.
 * May be repeated.
 *
 * @param leave whether the checksum of TCP or UDP may be left to somebody else. It is filled in
 *   nevertheless where bytes follow that it must not cover.
 * @param[out] sum the field it names lies in the first segment
 * @return false if its headers are not as its flags say, or there is no headroom for a tag
 */
bool slabio_offload_tx(struct rte_mbuf *m, bool leave, struct slabio_tx_sum *sum);

#endif /* SLABIO_OFFLOAD_H */
