/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SLABIO_PCAP_FORMAT_H
#define SLABIO_PCAP_FORMAT_H

/**
 * @file
 * How packets lie in a capture file: classic pcap with nanosecond stamps, or pcapng with one
 * section and one interface; both in this machine's byte order.
 */

#include <stdint.h>
#include <string.h>

#include <rte_common.h>
#include <rte_ether.h>

#include "slabio_pcap_args.h"

struct slabio_pcap_record_header {
	uint32_t seconds;
	uint32_t nanoseconds;
	uint32_t captured;
	uint32_t length;
};

/** An enhanced packet block, up to its data; after that come padding to 4 bytes and its size. */
struct slabio_pcapng_packet {
	uint32_t type;
	uint32_t size; /* of the whole block */
	uint32_t interface;
	uint32_t stamp_high;
	uint32_t stamp_low;
	uint32_t captured;
	uint32_t length;
};

_Static_assert(sizeof(struct slabio_pcap_record_header) == 16, "as the format has it");
_Static_assert(sizeof(struct slabio_pcapng_packet) == 28, "as the format has it");

#define SLABIO_PCAPNG_PACKET 6

/* No header, packet or statistics of either format needs more besides the packet's data. */
#define SLABIO_PCAP_HEADER_MAX	 512
#define SLABIO_PCAP_OVERHEAD_MAX 36
#define SLABIO_PCAP_STATS_MAX	 96

/** What goes into the header of a file. */
struct slabio_pcap_about {
	const char *name; /* of the port */
	uint16_t queue;
	uint32_t snaplen; /* 0: whole packets */
	struct rte_ether_addr mac;
};

/** What goes into the statistics of a pcapng file. Times are nanoseconds since 1970. */
struct slabio_pcap_summary {
	uint64_t from;
	uint64_t to;
	uint64_t packets; /* handed over to be written */
	uint64_t dropped; /* of these, not in the file */
};

/** Bytes that a packet takes in the file. */
static inline uint32_t
slabio_pcap_record_size(enum slabio_pcap_format format, uint32_t captured)
{
	return format == SLABIO_FORMAT_PCAPNG
		       ? (uint32_t)sizeof(struct slabio_pcapng_packet) +
				 RTE_ALIGN_CEIL(captured, 4) + 4
		       : (uint32_t)sizeof(struct slabio_pcap_record_header) + captured;
}

/** Writes all of a packet but its data; returns where that goes. */
static inline uint8_t *
slabio_pcap_put_record(enum slabio_pcap_format format, uint8_t *to, uint64_t stamp,
	const struct slabio_pcap_record_header *h)
{
	struct slabio_pcapng_packet ng;
	uint32_t size;

	if (format != SLABIO_FORMAT_PCAPNG) {
		memcpy(to, h, sizeof(*h));
		return to + sizeof(*h);
	}
	size = slabio_pcap_record_size(format, h->captured);
	ng = (struct slabio_pcapng_packet){SLABIO_PCAPNG_PACKET, size, 0, (uint32_t)(stamp >> 32),
		(uint32_t)stamp, h->captured, h->length};
	/* padding: what of it is not will be header or data */
	memset(to + size - 8, 0, 4);
	memcpy(to, &ng, sizeof(ng));
	memcpy(to + size - 4, &size, 4);
	return to + sizeof(ng);
}

/**
 * The packet at the beginning of a buffer: its size in the file, or 0 if it is not whole.
 *
 * @param[out] length the packet's length before it was cut
 */
size_t slabio_pcap_next_record(
	enum slabio_pcap_format format, const uint8_t *buf, size_t len, uint32_t *length);

/** The header of a file; returns its size, of at most SLABIO_PCAP_HEADER_MAX. */
size_t slabio_pcap_put_header(
	enum slabio_pcap_format format, uint8_t *to, const struct slabio_pcap_about *about);

/** An interface statistics block of pcapng; returns its size, of at most SLABIO_PCAP_STATS_MAX. */
size_t slabio_pcapng_put_stats(uint8_t *to, const struct slabio_pcap_summary *summary);

#endif /* SLABIO_PCAP_FORMAT_H */
