/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * VLAN tags and checksums in software.
 *
 * Lengths come from the packet's headers, since a short one is padded, and are checked against the
 * packet: received ones may say anything. Headers have to be in the first segment, payload need
 * not.
 */

#include <netinet/in.h>
#include <string.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_net.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "slabio_offload.h"

/* ---- sums ---- */

/*
 * Of the pseudo header. In IPv6 the protocol and the length are those of TCP or UDP, also where
 * extension headers come before.
 */
static uint16_t
pseudo_sum(const void *ip, bool v4, uint8_t proto, uint32_t len)
{
	struct rte_ipv6_hdr v6;

	if (v4)
		return rte_ipv4_phdr_cksum(ip, 0);
	memcpy(&v6, ip, sizeof(v6));
	v6.proto = proto;
	v6.payload_len = rte_cpu_to_be_16((uint16_t)len);
	return rte_ipv6_phdr_cksum(&v6, 0);
}

/*
 * Bytes of TCP or UDP, with their header, as the IP header says it. False if the packet is not as
 * long as that.
 */
static bool
l4_length(const struct rte_mbuf *m, const void *ip, bool v4, uint32_t l3_len, uint32_t off,
	uint32_t *len)
{
	const uint32_t said =
		v4 ? rte_be_to_cpu_16(((const struct rte_ipv4_hdr *)ip)->total_length)
		   : rte_be_to_cpu_16(((const struct rte_ipv6_hdr *)ip)->payload_len) +
				sizeof(struct rte_ipv6_hdr);

	*len = said - l3_len;
	return said >= l3_len && off + *len <= m->pkt_len;
}

/*
 * The sum over a TCP or UDP packet with its pseudo header: 0xffff for one with a valid checksum.
 * False if the packet is not as long as its headers say.
 */
static bool
l4_sum(const struct rte_mbuf *m, const void *ip, bool v4, uint8_t proto, uint32_t l3_len,
	uint32_t off, uint16_t *sum)
{
	uint16_t raw;
	uint32_t all, len;

	if (!l4_length(m, ip, v4, l3_len, off, &len) || rte_raw_cksum_mbuf(m, off, len, &raw) != 0)
		return false;
	all = (uint32_t)raw + pseudo_sum(ip, v4, proto, len);
	all = (all & 0xffff) + (all >> 16);
	*sum = (uint16_t)all;
	return true;
}

static uint32_t
least_l3(bool v4)
{
	return v4 ? sizeof(struct rte_ipv4_hdr) : sizeof(struct rte_ipv6_hdr);
}

/* ---- receive ---- */

static uint64_t
look_at_l4(
	const struct rte_mbuf *m, const struct rte_net_hdr_lens *lens, bool v4, uint64_t offloads)
{
	const uint32_t l2 = lens->l2_len, off = l2 + lens->l3_len;
	const uint32_t type = m->packet_type & RTE_PTYPE_L4_MASK;
	const void *ip = rte_pktmbuf_mtod_offset(m, const void *, l2);
	const uint8_t proto = type == RTE_PTYPE_L4_UDP ? IPPROTO_UDP : IPPROTO_TCP;
	uint16_t sum;

	if (type == RTE_PTYPE_L4_UDP && (offloads & RTE_ETH_RX_OFFLOAD_UDP_CKSUM)) {
		const struct rte_udp_hdr *udp =
			rte_pktmbuf_mtod_offset(m, const struct rte_udp_hdr *, off);

		if (m->data_len < off + sizeof(*udp))
			return RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN;
		/* the sender made none, which IPv4 allows */
		if (v4 && udp->dgram_cksum == 0)
			return RTE_MBUF_F_RX_L4_CKSUM_NONE;
	} else if (type != RTE_PTYPE_L4_TCP || !(offloads & RTE_ETH_RX_OFFLOAD_TCP_CKSUM) ||
		   m->data_len < off + sizeof(struct rte_tcp_hdr)) {
		return RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN;
	}
	return l4_sum(m, ip, v4, proto, lens->l3_len, off, &sum) && sum == 0xffff
		       ? RTE_MBUF_F_RX_L4_CKSUM_GOOD
		       : RTE_MBUF_F_RX_L4_CKSUM_BAD;
}

static void
look_at_checksums(struct rte_mbuf *m, uint64_t offloads)
{
	struct rte_net_hdr_lens lens = {0};
	bool v4;

	m->packet_type = rte_net_get_ptype(m, &lens, RTE_PTYPE_ALL_MASK);
	v4 = RTE_ETH_IS_IPV4_HDR(m->packet_type);
	if (!v4 && !RTE_ETH_IS_IPV6_HDR(m->packet_type))
		return;
	/* headers that are no headers, or not all in the first segment */
	if (lens.l3_len < least_l3(v4) || m->data_len < lens.l2_len + lens.l3_len)
		return;
	if (v4 && (offloads & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM)) {
		/* a header with its own checksum in it sums up to all ones */
		const void *ip = rte_pktmbuf_mtod_offset(m, const void *, lens.l2_len);

		m->ol_flags |= rte_raw_cksum(ip, lens.l3_len) == 0xffff
				       ? RTE_MBUF_F_RX_IP_CKSUM_GOOD
				       : RTE_MBUF_F_RX_IP_CKSUM_BAD;
	}
	m->ol_flags |= look_at_l4(m, &lens, v4, offloads);
}

void
slabio_offload_rx(uint64_t offloads, struct rte_mbuf **pkts, uint16_t n)
{
	const uint64_t sums = RTE_ETH_RX_OFFLOAD_CHECKSUM;
	uint16_t i;

	for (i = 0; i < n; i++) {
		struct rte_mbuf *m = pkts[i];

		if ((offloads & RTE_ETH_RX_OFFLOAD_VLAN_STRIP) &&
			m->data_len >= RTE_ETHER_HDR_LEN + sizeof(struct rte_vlan_hdr))
			(void)rte_vlan_strip(m);
		if (offloads & sums)
			look_at_checksums(m, offloads);
	}
}

/* ---- transmit ---- */

/*
 * Leaves the payload to somebody else, who sums up all there is of the packet: padding would count.
 * That one has to find headers that are as the flags say, too.
 */
static bool
leave_l4(const struct rte_mbuf *m, const void *ip, bool v4, bool udp, unaligned_uint16_t *field)
{
	const uint32_t off = m->l2_len + m->l3_len;
	uint32_t len;

	if (!l4_length(m, ip, v4, m->l3_len, off, &len) || off + len != m->pkt_len)
		return false;
	*field = pseudo_sum(ip, v4, udp ? IPPROTO_UDP : IPPROTO_TCP, len);
	return true;
}

static bool
fill_in_l4(struct rte_mbuf *m, void *ip, bool v4, bool leave, struct slabio_tx_sum *done)
{
	const uint32_t off = m->l2_len + m->l3_len;
	const bool udp = (m->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_UDP_CKSUM;
	const uint16_t at = udp ? offsetof(struct rte_udp_hdr, dgram_cksum)
				: offsetof(struct rte_tcp_hdr, cksum);
	unaligned_uint16_t *field = rte_pktmbuf_mtod_offset(m, unaligned_uint16_t *, off + at);
	uint16_t sum;

	if (m->data_len < off + (udp ? sizeof(struct rte_udp_hdr) : sizeof(struct rte_tcp_hdr)))
		return false;
	if (leave && leave_l4(m, ip, v4, udp, field)) {
		done->start = (uint16_t)off;
		done->offset = at;
		return true;
	}
	/* applications leave the pseudo header's sum here */
	*field = 0;
	if (!l4_sum(m, ip, v4, udp ? IPPROTO_UDP : IPPROTO_TCP, m->l3_len, off, &sum))
		return false;
	sum = (uint16_t)~sum;
	/* for UDP, zero means that there is none */
	*field = udp && sum == 0 ? 0xffff : sum;
	done->done = true;
	return true;
}

static bool
fill_in_checksums(struct rte_mbuf *m, bool leave, struct slabio_tx_sum *sum)
{
	const uint64_t l4 = m->ol_flags & RTE_MBUF_F_TX_L4_MASK;
	const bool v4 = !(m->ol_flags & RTE_MBUF_F_TX_IPV6);
	void *ip = rte_pktmbuf_mtod_offset(m, void *, m->l2_len);

	if (l4 == RTE_MBUF_F_TX_SCTP_CKSUM || m->l3_len < least_l3(v4) ||
		m->data_len < m->l2_len + m->l3_len)
		return false;
	if (m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM) {
		struct rte_ipv4_hdr *ipv4 = ip;

		ipv4->hdr_checksum = 0;
		ipv4->hdr_checksum = (uint16_t)~rte_raw_cksum(ipv4, m->l3_len);
	}
	return l4 == RTE_MBUF_F_TX_L4_NO_CKSUM || fill_in_l4(m, ip, v4, leave, sum);
}

bool
slabio_offload_tx(struct rte_mbuf *m, bool leave, struct slabio_tx_sum *sum)
{
	*sum = (struct slabio_tx_sum){0};
	if ((m->ol_flags & (RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_L4_MASK)) &&
		!fill_in_checksums(m, leave, sum))
		return false;
	if (!(m->ol_flags & RTE_MBUF_F_TX_VLAN))
		return true;
	/* clears its flag, so a packet that has to be sent again is not tagged again */
	if (rte_vlan_insert(&m) != 0)
		return false;
	if (sum->start != 0)
		sum->start += sizeof(struct rte_vlan_hdr);
	return true;
}
