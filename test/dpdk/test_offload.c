/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* Checksums and tags in software: what is filled in is found good, and noise is survived. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <rte_eal.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "slabio_offload.h"

#define ALL_RX	(SLABIO_RX_SOFT)
#define SUMS_RX (RTE_ETH_RX_OFFLOAD_CHECKSUM)

static struct rte_mempool *pool;

static uint8_t *
add(struct rte_mbuf *m, const void *data, uint16_t len)
{
	uint8_t *to = (uint8_t *)rte_pktmbuf_append(m, len);

	assert_non_null(to);
	memcpy(to, data, len);
	return to;
}

static void
add_ether(struct rte_mbuf *m, uint16_t type)
{
	const struct rte_ether_hdr eth = {.src_addr.addr_bytes = {2, 0, 0, 0, 0, 1},
		.dst_addr.addr_bytes = {2, 0, 0, 0, 0, 2},
		.ether_type = rte_cpu_to_be_16(type)};

	add(m, &eth, sizeof(eth));
	m->l2_len = sizeof(eth);
}

static void
add_l4(struct rte_mbuf *m, uint8_t proto, uint16_t payload)
{
	const struct rte_udp_hdr udp = {
		.src_port = 1, .dst_port = 2, .dgram_len = rte_cpu_to_be_16(sizeof(udp) + payload)};
	const struct rte_tcp_hdr tcp = {.src_port = 1, .dst_port = 2, .data_off = 5 << 4};
	uint8_t data[256];
	uint16_t i;

	if (proto == IPPROTO_UDP)
		add(m, &udp, sizeof(udp));
	else
		add(m, &tcp, sizeof(tcp));
	for (i = 0; i < payload; i++)
		data[i] = (uint8_t)(i * 7 + 3);
	add(m, data, payload);
}

static uint16_t
l4_len(uint8_t proto, uint16_t payload)
{
	return payload +
	       (proto == IPPROTO_UDP ? sizeof(struct rte_udp_hdr) : sizeof(struct rte_tcp_hdr));
}

static struct rte_mbuf *
ipv4(uint8_t proto, uint16_t payload)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	const struct rte_ipv4_hdr ip = {.version_ihl = RTE_IPV4_VHL_DEF,
		.total_length = rte_cpu_to_be_16(sizeof(ip) + l4_len(proto, payload)),
		.time_to_live = 64,
		.next_proto_id = proto,
		.src_addr = rte_cpu_to_be_32(0x0a000001),
		.dst_addr = rte_cpu_to_be_32(0x0a000002)};

	assert_non_null(m);
	add_ether(m, RTE_ETHER_TYPE_IPV4);
	add(m, &ip, sizeof(ip));
	m->l3_len = sizeof(ip);
	add_l4(m, proto, payload);
	m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM |
		      (proto == IPPROTO_UDP ? RTE_MBUF_F_TX_UDP_CKSUM : RTE_MBUF_F_TX_TCP_CKSUM);
	return m;
}

/* With so many bytes of options before TCP or UDP; a multiple of 8, or none. */
static struct rte_mbuf *
ipv6(uint8_t proto, uint16_t payload, uint8_t options)
{
	/* one option that fills the header: PadN */
	const uint8_t extension[64] = {
		proto, (uint8_t)(options / 8 - 1), 1, (uint8_t)(options - 4)};
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	struct rte_ipv6_hdr ip = {.vtc_flow = rte_cpu_to_be_32(0x60000000),
		.payload_len = rte_cpu_to_be_16(options + l4_len(proto, payload)),
		.proto = options != 0 ? IPPROTO_HOPOPTS : proto,
		.hop_limits = 64};

	assert_non_null(m);
	add_ether(m, RTE_ETHER_TYPE_IPV6);
	add(m, &ip, sizeof(ip));
	if (options != 0)
		add(m, extension, options);
	m->l3_len = sizeof(ip) + options;
	add_l4(m, proto, payload);
	m->ol_flags = RTE_MBUF_F_TX_IPV6 |
		      (proto == IPPROTO_UDP ? RTE_MBUF_F_TX_UDP_CKSUM : RTE_MBUF_F_TX_TCP_CKSUM);
	return m;
}

/* All of it, here. */
static bool
offload(struct rte_mbuf *m)
{
	struct slabio_tx_sum sum;
	bool ok = slabio_offload_tx(m, false, &sum);

	assert_int_equal(sum.start, 0);
	return ok;
}

/* What a port that was sent this packet would say of it. */
static uint64_t
looked_at(struct rte_mbuf *m)
{
	m->ol_flags = 0;
	slabio_offload_rx(SUMS_RX, &m, 1);
	return m->ol_flags;
}

static void
filled_in_is_found_good(struct rte_mbuf *m, uint64_t ip_flag)
{
	const uint32_t last = m->l2_len + m->l3_len + 10;

	assert_true(offload(m));
	assert_int_equal(looked_at(m), ip_flag | RTE_MBUF_F_RX_L4_CKSUM_GOOD);
	rte_pktmbuf_mtod(m, uint8_t *)[last] ^= 0x10;
	assert_int_equal(looked_at(m), ip_flag | RTE_MBUF_F_RX_L4_CKSUM_BAD);
	rte_pktmbuf_free(m);
}

static void
checksums_filled_in_are_found_good(void **state)
{
	const uint64_t ip = RTE_MBUF_F_RX_IP_CKSUM_GOOD;
	uint16_t payload;

	(void)state;
	for (payload = 8; payload < 200; payload++) {
		filled_in_is_found_good(ipv4(IPPROTO_UDP, payload), ip);
		filled_in_is_found_good(ipv4(IPPROTO_TCP, payload), ip);
		filled_in_is_found_good(ipv6(IPPROTO_UDP, payload, 0), 0);
		filled_in_is_found_good(ipv6(IPPROTO_TCP, payload, 0), 0);
		filled_in_is_found_good(ipv6(IPPROTO_UDP, payload, 16), 0);
		filled_in_is_found_good(ipv6(IPPROTO_TCP, payload, 8), 0);
	}
}

/* DPDK's own functions are the judge. */
static void
they_are_what_dpdk_makes_them(void **state)
{
	struct rte_mbuf *m = ipv4(IPPROTO_TCP, 100);
	struct rte_ipv4_hdr *ip;

	(void)state;
	assert_true(offload(m));
	ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, m->l2_len);
	assert_int_equal(rte_ipv4_cksum(ip), 0);
	assert_int_equal(rte_ipv4_udptcp_cksum_verify(ip, ip + 1), 0);
	/* doing it again changes nothing */
	assert_true(offload(m));
	assert_int_equal(rte_ipv4_udptcp_cksum_verify(ip, ip + 1), 0);
	rte_pktmbuf_free(m);
}

static void
padding_and_chains_do_not_matter(void **state)
{
	struct rte_mbuf *m = ipv4(IPPROTO_TCP, 2), *tail = rte_pktmbuf_alloc(pool);

	(void)state;
	add(m, "\xff\xff\xff\xff", 4);
	filled_in_is_found_good(m, RTE_MBUF_F_RX_IP_CKSUM_GOOD);
	/* the last 61 bytes in another segment; an odd number before them */
	m = ipv4(IPPROTO_UDP, 100);
	add(tail, rte_pktmbuf_mtod_offset(m, void *, m->pkt_len - 61), 61);
	assert_int_equal(rte_pktmbuf_trim(m, 61), 0);
	assert_int_equal(rte_pktmbuf_chain(m, tail), 0);
	filled_in_is_found_good(m, RTE_MBUF_F_RX_IP_CKSUM_GOOD);
}

static void
a_datagram_without_a_checksum_is_neither_good_nor_bad(void **state)
{
	struct rte_mbuf *m = ipv4(IPPROTO_UDP, 50);

	(void)state;
	m->ol_flags &= ~RTE_MBUF_F_TX_L4_MASK;
	assert_true(offload(m));
	assert_int_equal(looked_at(m), RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_NONE);
	rte_pktmbuf_free(m);
}

static void
headers_that_are_not_there_are_refused(void **state)
{
	struct rte_mbuf *m = ipv4(IPPROTO_TCP, 50);

	(void)state;
	m->l3_len = 400;
	assert_false(offload(m));
	m->l3_len = 8;
	assert_false(offload(m));
	m->l3_len = 20;
	/* the packet says that it is longer than it is */
	rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, m->l2_len)->total_length = 0xffff;
	assert_false(offload(m));
	rte_pktmbuf_free(m);
}

static void
a_tag_goes_in_and_comes_off(void **state)
{
	struct rte_mbuf *m = ipv4(IPPROTO_UDP, 50);
	const uint32_t len = m->pkt_len;

	(void)state;
	m->ol_flags |= RTE_MBUF_F_TX_VLAN;
	m->vlan_tci = 77;
	assert_true(offload(m));
	assert_int_equal(m->pkt_len, len + 4);
	/* it has its tag, and gets no second one if it has to be sent again */
	assert_true(offload(m));
	assert_int_equal(m->pkt_len, len + 4);
	m->vlan_tci = 0;
	m->ol_flags = 0;
	slabio_offload_rx(ALL_RX, &m, 1);
	assert_int_equal(m->pkt_len, len);
	assert_int_equal(m->vlan_tci, 77);
	assert_int_equal(m->ol_flags, RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED |
					      RTE_MBUF_F_RX_IP_CKSUM_GOOD |
					      RTE_MBUF_F_RX_L4_CKSUM_GOOD);
	rte_pktmbuf_free(m);
}

/* As a device or the kernel does it with what was left to it: to the packet's end. */
static void
finish(struct rte_mbuf *m, const struct slabio_tx_sum *sum)
{
	uint16_t raw = 0;

	assert_int_equal(rte_raw_cksum_mbuf(m, sum->start, m->pkt_len - sum->start, &raw), 0);
	*rte_pktmbuf_mtod_offset(m, unaligned_uint16_t *, sum->start + sum->offset) =
		(uint16_t)~raw;
}

static void
left_and_finished_is_good(struct rte_mbuf *m, uint64_t ip_flag, bool tag)
{
	struct slabio_tx_sum sum;

	if (tag)
		m->ol_flags |= RTE_MBUF_F_TX_VLAN;
	assert_true(slabio_offload_tx(m, true, &sum));
	assert_int_equal(sum.start, m->l2_len + m->l3_len);
	assert_false(sum.done);
	/* doing it again, as for a packet that has to be sent again, changes nothing */
	assert_true(slabio_offload_tx(m, true, &sum));
	assert_int_equal(sum.start, m->l2_len + m->l3_len);
	finish(m, &sum);
	assert_int_equal(looked_at(m), ip_flag | RTE_MBUF_F_RX_L4_CKSUM_GOOD);
	rte_pktmbuf_free(m);
}

static void
checksums_that_somebody_else_finishes_are_good(void **state)
{
	const uint64_t ip = RTE_MBUF_F_RX_IP_CKSUM_GOOD;
	uint16_t payload;
	int tag;

	(void)state;
	for (payload = 8; payload < 200; payload++)
		for (tag = 0; tag < 2; tag++) {
			left_and_finished_is_good(ipv4(IPPROTO_UDP, payload), ip, tag);
			left_and_finished_is_good(ipv4(IPPROTO_TCP, payload), ip, tag);
			left_and_finished_is_good(ipv6(IPPROTO_UDP, payload, 0), 0, tag);
			left_and_finished_is_good(ipv6(IPPROTO_TCP, payload, 16), 0, tag);
		}
}

/* Whoever finishes it sums up all there is. */
static void
a_checksum_that_does_not_cover_the_end_is_not_left(void **state)
{
	struct rte_mbuf *m = ipv4(IPPROTO_TCP, 2);
	struct slabio_tx_sum sum;

	(void)state;
	add(m, "\xff\xff\xff\xff", 4);
	assert_true(slabio_offload_tx(m, true, &sum));
	assert_int_equal(sum.start, 0);
	assert_true(sum.done);
	assert_int_equal(looked_at(m), RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD);
	rte_pktmbuf_free(m);
	/* nor is one of a packet that is not what it says */
	m = ipv4(IPPROTO_TCP, 50);
	rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, m->l2_len)->total_length = 0xffff;
	assert_false(slabio_offload_tx(m, true, &sum));
	rte_pktmbuf_free(m);
	/* and where nothing was asked for, nothing is left */
	m = ipv4(IPPROTO_UDP, 50);
	m->ol_flags &= ~RTE_MBUF_F_TX_L4_MASK;
	assert_true(slabio_offload_tx(m, true, &sum));
	assert_true(sum.start == 0 && !sum.done);
	rte_pktmbuf_free(m);
}

/* Packets of any bytes, more often than not with a known type in the right place. */
static void
noise_is_survived(void **state)
{
	static const uint16_t types[] = {0x0800, 0x86dd, 0x8100, 0x88a8, 0x8847};
	uint64_t x = 88172645463325252;
	uint32_t round, i, len;

	(void)state;
	for (round = 0; round < 100000; round++) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(pool), *kept = m;
		struct slabio_tx_sum sum;
		uint8_t *data;

		assert_non_null(m);
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		len = 1 + x % 120;
		data = (uint8_t *)rte_pktmbuf_append(m, len);
		for (i = 0; i < len; i++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			data[i] = (uint8_t)x;
		}
		if (len > 14) {
			data[12] = types[x % 5] >> 8;
			data[13] = types[x % 5] & 0xff;
			data[14] = x & 256 ? 0x45 : (uint8_t)(x >> 9);
		}
		if (len > 23)
			data[23] = x & 512 ? 6 : 17;
		slabio_offload_rx(ALL_RX, &m, 1);
		m->l2_len = x >> 20 & 31;
		m->l3_len = x >> 25 & 63;
		m->ol_flags = x >> 8 & SLABIO_TX_SOFT_FLAGS;
		(void)slabio_offload_tx(m, x & 1024, &sum);
		if (sum.start != 0)
			assert_true(sum.start + sum.offset + 2u <= kept->data_len);
		rte_pktmbuf_free(kept);
	}
	assert_int_equal(rte_mempool_avail_count(pool), pool->size);
}

int
main(void)
{
	char *args[] = {"test", "--no-huge", "-m", "64", "--no-pci", "--no-shconf",
		"--no-telemetry", "--log-level=lib.eal:error", "-l", "0", NULL};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checksums_filled_in_are_found_good),
		cmocka_unit_test(they_are_what_dpdk_makes_them),
		cmocka_unit_test(padding_and_chains_do_not_matter),
		cmocka_unit_test(a_datagram_without_a_checksum_is_neither_good_nor_bad),
		cmocka_unit_test(headers_that_are_not_there_are_refused),
		cmocka_unit_test(a_tag_goes_in_and_comes_off),
		cmocka_unit_test(checksums_that_somebody_else_finishes_are_good),
		cmocka_unit_test(a_checksum_that_does_not_cover_the_end_is_not_left),
		cmocka_unit_test(noise_is_survived),
	};
	int ret;

	if (rte_eal_init((int)RTE_DIM(args) - 1, args) < 0)
		return 1;
	pool = rte_pktmbuf_pool_create("pool", 63, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	ret = pool == NULL ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
	rte_eal_cleanup();
	return ret;
}
