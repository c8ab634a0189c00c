/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Flows and their spread over workers.
 *
 * Order within a flow holds because a flow stays in one bucket, all packets of a bucket that are in
 * flight are with one worker, and a worker returns them in order. A bucket changes its worker only
 * while nothing of it is in flight, or together with all that is (takeback.c).
 */

#include <netinet/in.h>

#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>

#include "l2fwd.h"

#define VLAN_TAGS_MAX	 2
#define IPV6_EXT_MAX	 8
#define IPV4_MORE_OFFSET 0x3fff /* more-fragments flag and fragment offset */

static struct bucket buckets[FLOW_BUCKETS];
static uint64_t moves;

/** What a packet is still to be parsed of. */
struct cursor {
	const uint8_t *at;
	uint32_t left;
};

static const void *
eat(struct cursor *c, uint32_t n)
{
	const void *p = c->at;

	if (c->left < n)
		return NULL;
	c->at += n;
	c->left -= n;
	return p;
}

static uint64_t
mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdull;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ull;
	return x ^ x >> 33;
}

static uint64_t
mix_bytes(const uint8_t *bytes, unsigned int n, uint64_t seed)
{
	for (unsigned int i = 0; i < n; i++)
		seed = (seed ^ bytes[i]) * 0x100000001b3ull;
	return mix(seed);
}

/* Hash of one end; the sum of both ends' hashes does not tell which is which. */
static uint64_t
end_hash(const uint8_t *addr, unsigned int len, uint16_t port)
{
	return mix_bytes(addr, len, 0x51ab10u + port);
}

static bool
has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP;
}

static uint64_t
ip_hash(struct cursor *c, const uint8_t *src, const uint8_t *dst, unsigned int len, uint8_t proto,
	bool fragment)
{
	uint16_t ports[2] = {0, 0};

	if (!fragment && has_ports(proto)) {
		const uint8_t *p = eat(c, sizeof(ports));

		if (p != NULL) {
			ports[0] = (uint16_t)(p[0] << 8 | p[1]);
			ports[1] = (uint16_t)(p[2] << 8 | p[3]);
		}
	}
	return end_hash(src, len, ports[0]) + end_hash(dst, len, ports[1]) + proto;
}

static bool
ipv4_hash(struct cursor *c, uint64_t *hash)
{
	const uint8_t *ip = eat(c, sizeof(struct rte_ipv4_hdr));
	bool fragment;

	if (ip == NULL || ip[0] >> 4 != 4 || (ip[0] & 15) < 5)
		return false;
	fragment = ((ip[6] << 8 | ip[7]) & IPV4_MORE_OFFSET) != 0;
	/* without its options it has no ports to look at either */
	if (eat(c, ((ip[0] & 15u) - 5) * 4) == NULL)
		c->left = 0;
	*hash = ip_hash(c, ip + 12, ip + 16, 4, ip[9], fragment);
	return true;
}

static bool
ipv6_hash(struct cursor *c, uint64_t *hash)
{
	const uint8_t *ip = eat(c, sizeof(struct rte_ipv6_hdr));
	uint8_t proto;
	bool fragment = false;

	if (ip == NULL || ip[0] >> 4 != 6)
		return false;
	proto = ip[6];
	for (unsigned int i = 0; i < IPV6_EXT_MAX; i++) {
		const uint8_t *ext;

		if (proto != IPPROTO_HOPOPTS && proto != IPPROTO_ROUTING &&
			proto != IPPROTO_DSTOPTS && proto != IPPROTO_FRAGMENT)
			break;
		ext = eat(c, 8);
		if (ext == NULL)
			break;
		if (proto == IPPROTO_FRAGMENT) {
			/* what follows is in the first fragment only: no part of the flow's name */
			fragment = true;
			proto = IPPROTO_FRAGMENT;
			break;
		}
		proto = ext[0];
		if (eat(c, ext[1] * 8u) == NULL)
			break;
	}
	*hash = ip_hash(c, ip + 8, ip + 24, 16, proto, fragment);
	return true;
}

uint32_t
flow_hash(const struct rte_mbuf *m)
{
	struct cursor c = {rte_pktmbuf_mtod(m, const uint8_t *), rte_pktmbuf_data_len(m)};
	const uint8_t *eth = eat(&c, RTE_ETHER_HDR_LEN);
	uint64_t hash = 0, vlan = 0;
	uint16_t type;
	bool ip = false;

	if (eth == NULL)
		return 0;
	type = (uint16_t)(eth[12] << 8 | eth[13]);
	for (unsigned int i = 0;
		i < VLAN_TAGS_MAX && (type == RTE_ETHER_TYPE_VLAN || type == RTE_ETHER_TYPE_QINQ);
		i++) {
		const uint8_t *tag = eat(&c, sizeof(struct rte_vlan_hdr));

		if (tag == NULL)
			break;
		vlan = vlan << 12 | ((tag[0] & 15u) << 8 | tag[1]);
		type = (uint16_t)(tag[2] << 8 | tag[3]);
	}
	if (type == RTE_ETHER_TYPE_IPV4)
		ip = ipv4_hash(&c, &hash);
	else if (type == RTE_ETHER_TYPE_IPV6)
		ip = ipv6_hash(&c, &hash);
	if (!ip)
		hash = end_hash(eth, RTE_ETHER_ADDR_LEN, 0) +
		       end_hash(eth + RTE_ETHER_ADDR_LEN, RTE_ETHER_ADDR_LEN, 0) + type;
	return (uint32_t)(mix(hash + vlan * 0x9e3779b97f4a7c15ull) >> 32);
}

void
flow_init(void)
{
	for (unsigned int i = 0; i < FLOW_BUCKETS; i++)
		buckets[i] = (struct bucket){.worker = WORKER_SELF, .want = WORKER_SELF};
	moves = 0;
}

struct bucket *
flow_bucket(uint32_t hash)
{
	return &buckets[hash % FLOW_BUCKETS];
}

uint16_t
flow_index(const struct bucket *b)
{
	return (uint16_t)(b - buckets);
}

struct bucket *
flow_nth(uint16_t index)
{
	return &buckets[index];
}

uint16_t
flow_worker(struct bucket *b)
{
	if (unlikely(b->worker != b->want) && b->inflight == 0) {
		b->worker = b->want;
		moves++;
	}
	return b->worker;
}

void
flow_spread(const bool *usable, unsigned int n)
{
	unsigned int load[L2FWD_SLOTS_MAX] = {0};
	unsigned int n_usable = 0, share, next = 0;

	for (unsigned int i = 0; i < n; i++)
		n_usable += usable[i];
	if (n_usable == 0) {
		for (unsigned int i = 0; i < FLOW_BUCKETS; i++)
			buckets[i].want = WORKER_SELF;
		return;
	}
	share = (FLOW_BUCKETS + n_usable - 1) / n_usable;
	/* first those that may stay where they are, then the rest to whoever has room */
	for (unsigned int i = 0; i < FLOW_BUCKETS; i++) {
		uint16_t at = buckets[i].want;

		if (at < n && usable[at] && load[at] < share)
			load[at]++;
		else
			buckets[i].want = WORKER_SELF;
	}
	for (unsigned int i = 0; i < FLOW_BUCKETS; i++) {
		if (buckets[i].want != WORKER_SELF)
			continue;
		while (!usable[next] || load[next] >= share)
			next = (next + 1) % n;
		load[next]++;
		buckets[i].want = (uint16_t)next;
		next = (next + 1) % n;
	}
}

uint64_t
flow_moves(void)
{
	return moves;
}

unsigned int
flow_buckets_of(uint16_t worker)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < FLOW_BUCKETS; i++)
		n += buckets[i].worker == worker;
	return n;
}
