/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Which flow a packet belongs to, as a hash: of addresses, protocol and ports, the same in both
 * directions. All fragments of a datagram have the hash of its addresses, since only the first has
 * ports. What is not IP is told apart by its MAC addresses and type.
 */

#include <string.h>

#include <rte_byteorder.h>
#include <rte_jhash.h>

#include "slabio_pcap.h"

#define MAX_TAGS       2
#define MAX_EXTENSIONS 8

enum {
	TCP = 6,
	UDP = 17,
	SCTP = 132,
	HOP_BY_HOP = 0,
	ROUTING = 43,
	FRAGMENT = 44,
	DESTINATION = 60
};

struct ends {
	const u_char *src;
	const u_char *dst;
	uint32_t len;	/* of an address */
	uint32_t proto; /* or type */
	uint32_t ports; /* where they are; 0 for none */
};

static uint16_t
be16(const u_char *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static bool
has_ports(uint32_t proto)
{
	return proto == TCP || proto == UDP || proto == SCTP;
}

static bool
ipv4_ends(const u_char *data, uint32_t len, uint32_t at, struct ends *e)
{
	uint32_t header;

	if (at + 20 > len || data[at] >> 4 != 4)
		return false;
	header = (data[at] & 15) * 4;
	*e = (struct ends){data + at + 12, data + at + 16, 4, data[at + 9], 0};
	/* more fragments, or not the first */
	if (has_ports(e->proto) && !(be16(data + at + 6) & 0x3fff))
		e->ports = at + header;
	return true;
}

static bool
ipv6_ends(const u_char *data, uint32_t len, uint32_t at, struct ends *e)
{
	unsigned int i;

	if (at + 40 > len || data[at] >> 4 != 6)
		return false;
	*e = (struct ends){data + at + 8, data + at + 24, 16, data[at + 6], 0};
	at += 40;
	for (i = 0; i < MAX_EXTENSIONS && at + 8 <= len; i++) {
		if (e->proto == FRAGMENT) {
			e->proto = data[at];
			return true;
		}
		if (e->proto != HOP_BY_HOP && e->proto != ROUTING && e->proto != DESTINATION)
			break;
		e->proto = data[at];
		at += 8 + data[at + 1] * 8;
	}
	if (has_ports(e->proto))
		e->ports = at;
	return true;
}

static uint32_t
hash_end(const u_char *address, uint32_t len, uint32_t port)
{
	uint32_t words[4] = {0};

	/* packets are not aligned, the hash wants them so */
	memcpy(words, address, len);
	return rte_jhash_32b(words, RTE_DIM(words), port);
}

uint32_t
slabio_pcap_flow(const u_char *data, uint32_t len)
{
	uint32_t at = 2 * RTE_ETHER_ADDR_LEN, src = 0, dst = 0;
	struct ends e = {data + RTE_ETHER_ADDR_LEN, data, RTE_ETHER_ADDR_LEN, 0, 0};
	struct ends ip;
	unsigned int i;
	uint16_t type;

	type = be16(data + at);
	for (i = 0; i < MAX_TAGS && at + 6 <= len; i++) {
		if (type != RTE_ETHER_TYPE_VLAN && type != RTE_ETHER_TYPE_QINQ)
			break;
		at += 4;
		type = be16(data + at);
	}
	e.proto = type;
	at += 2;
	if ((type == RTE_ETHER_TYPE_IPV4 && ipv4_ends(data, len, at, &ip)) ||
		(type == RTE_ETHER_TYPE_IPV6 && ipv6_ends(data, len, at, &ip)))
		e = ip;
	if (e.ports != 0 && e.ports + 4 <= len) {
		src = be16(data + e.ports);
		dst = be16(data + e.ports + 2);
	}
	/* a sum, so that both directions come to the same */
	return rte_jhash_1word(hash_end(e.src, e.len, src) + hash_end(e.dst, e.len, dst), e.proto);
}
