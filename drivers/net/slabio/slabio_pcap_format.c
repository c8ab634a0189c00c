/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * What of pcap and pcapng is not packets: file headers, and in pcapng who captured what, and how
 * much of it was lost.
 */

#include <stdio.h>

#include <pcap/pcap.h>

#include "slabio_pcap_format.h"
#include "slabio_pmd.h"

#define MAGIC_NANOSECONDS 0xa1b23c4dU

enum { BLOCK_SECTION = 0x0a0d0d0a, BLOCK_INTERFACE = 1, BLOCK_STATISTICS = 5 };
enum { SECTION_HARDWARE = 2, SECTION_APPLICATION = 4 };
enum { INTERFACE_NAME = 2, INTERFACE_DESCRIPTION = 3, INTERFACE_MAC = 6, INTERFACE_RESOLUTION = 9 };
enum { STATS_START = 2, STATS_END = 3, STATS_RECEIVED = 4, STATS_DROPPED = 5 };

struct file_header {
	uint32_t magic;
	uint16_t major;
	uint16_t minor;
	uint32_t zone;
	uint32_t accuracy;
	uint32_t snaplen;
	uint32_t link_type;
};

_Static_assert(sizeof(struct file_header) == 24, "as the format has it");

/* Where a block is being written. */
struct out {
	uint8_t *start;
	uint8_t *at;
};

static void
put(struct out *out, const void *data, size_t len)
{
	memcpy(out->at, data, len);
	out->at += len;
}

static void
put16(struct out *out, uint16_t value)
{
	put(out, &value, sizeof(value));
}

static void
put32(struct out *out, uint32_t value)
{
	put(out, &value, sizeof(value));
}

static void
put_option(struct out *out, uint16_t code, const void *data, size_t len)
{
	static const uint8_t zero[4];

	put16(out, code);
	put16(out, (uint16_t)len);
	put(out, data, len);
	put(out, zero, RTE_ALIGN_CEIL(len, 4) - len);
}

static void
put_stamp(struct out *out, uint16_t code, uint64_t stamp)
{
	const uint32_t halves[2] = {(uint32_t)(stamp >> 32), (uint32_t)stamp};

	put_option(out, code, halves, sizeof(halves));
}

static struct out
begin_block(uint8_t *to, uint32_t type)
{
	struct out out = {to, to};

	put32(&out, type);
	put32(&out, 0); /* its size, once that is known */
	return out;
}

static size_t
end_block(struct out *out)
{
	uint32_t size;

	put32(out, 0); /* end of options */
	size = (uint32_t)(out->at - out->start) + 4;
	put32(out, size);
	memcpy(out->start + 4, &size, 4);
	return size;
}

static size_t
put_section(uint8_t *to)
{
	static const char application[] = "net_slabio";
	const uint64_t unknown = UINT64_MAX; /* the section goes on to the end of the file */
	struct out out = begin_block(to, BLOCK_SECTION);

	put32(&out, 0x1a2b3c4d); /* tells the byte order */
	put16(&out, 1);
	put16(&out, 0);
	put(&out, &unknown, sizeof(unknown));
	put_option(&out, SECTION_APPLICATION, application, sizeof(application) - 1);
	return end_block(&out);
}

static size_t
put_interface(uint8_t *to, const struct slabio_pcap_about *about)
{
	struct out out = begin_block(to, BLOCK_INTERFACE);
	const uint8_t nanoseconds = 9;
	char text[128];
	int len;

	put16(&out, DLT_EN10MB);
	put16(&out, 0);
	put32(&out, about->snaplen);
	len = snprintf(text, sizeof(text), "%s-tx%u", about->name, about->queue);
	put_option(&out, INTERFACE_NAME, text, (size_t)len);
	len = snprintf(text, sizeof(text), "packets sent to transmit queue %u of DPDK port %s",
		about->queue, about->name);
	put_option(&out, INTERFACE_DESCRIPTION, text, RTE_MIN((size_t)len, sizeof(text) - 1));
	put_option(&out, INTERFACE_MAC, &about->mac, sizeof(about->mac));
	put_option(&out, INTERFACE_RESOLUTION, &nanoseconds, sizeof(nanoseconds));
	return end_block(&out);
}

size_t
slabio_pcap_put_header(
	enum slabio_pcap_format format, uint8_t *to, const struct slabio_pcap_about *about)
{
	const struct file_header header = {
		.magic = MAGIC_NANOSECONDS,
		.major = 2,
		.minor = 4,
		.snaplen = about->snaplen == 0 ? SLABIO_MAX_PKT : about->snaplen,
		.link_type = DLT_EN10MB,
	};
	size_t len;

	if (format != SLABIO_FORMAT_PCAPNG) {
		memcpy(to, &header, sizeof(header));
		return sizeof(header);
	}
	len = put_section(to);
	return len + put_interface(to + len, about);
}

size_t
slabio_pcapng_put_stats(uint8_t *to, const struct slabio_pcap_summary *summary)
{
	struct out out = begin_block(to, BLOCK_STATISTICS);

	put32(&out, 0); /* the interface */
	put32(&out, (uint32_t)(summary->to >> 32));
	put32(&out, (uint32_t)summary->to);
	put_stamp(&out, STATS_START, summary->from);
	put_stamp(&out, STATS_END, summary->to);
	put_option(&out, STATS_RECEIVED, &summary->packets, sizeof(summary->packets));
	put_option(&out, STATS_DROPPED, &summary->dropped, sizeof(summary->dropped));
	return end_block(&out);
}

size_t
slabio_pcap_next_record(
	enum slabio_pcap_format format, const uint8_t *buf, size_t len, uint32_t *length)
{
	struct slabio_pcap_record_header pcap;
	struct slabio_pcapng_packet ng;
	size_t size;

	if (format == SLABIO_FORMAT_PCAPNG) {
		if (len < sizeof(ng))
			return 0;
		memcpy(&ng, buf, sizeof(ng));
		size = ng.size;
		*length = ng.length;
	} else {
		if (len < sizeof(pcap))
			return 0;
		memcpy(&pcap, buf, sizeof(pcap));
		size = sizeof(pcap) + pcap.captured;
		*length = pcap.length;
	}
	return size <= len ? size : 0;
}
