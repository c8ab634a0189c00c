/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Packets as libpcap reads them, from a capture file or an interface, and which of them a queue
 * takes: filter, size, and flow where a file is spread over queues.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "slabio_pcap.h"

/* libpcap reads through stdio, which by itself makes a system call for every 4 KB. */
#define FILE_BUF_SIZE (128 * 1024)

static __rte_noinline void
read_failed(struct slabio_rxq *q, struct slabio_pcap_rx *rx)
{
	const char *reason = pcap_geterr(rx->handle);
	/* libpcap gives no code for this, but the word */
	bool truncated = !rx->live && strstr(reason, "truncated") != NULL;

	slabio_count(&q->stats[SLABIO_RX_ERRORS], 1);
	slabio_count(&q->stats[truncated ? SLABIO_RX_TRUNCATED : SLABIO_RX_READ_ERRORS], 1);
	SLABIO_LOG(ERR, "%s: rx queue %u: %s: %s; its %s packets before that were delivered",
		rx->device, q->queue_id, rx->source, reason, truncated ? "whole" : "readable");
	rx->ended = true;
	rx->broken = true;
}

static __rte_noinline void
wrong_size(struct slabio_rxq *q, uint32_t len)
{
	slabio_count(&q->stats[SLABIO_RX_ERRORS], 1);
	slabio_count(&q->stats[len > SLABIO_MAX_PKT ? SLABIO_RX_OVERSIZE : SLABIO_RX_RUNTS], 1);
}

/* Whether a packet is this queue's. Those of other queues count for the pace all the same. */
static bool
take(struct slabio_rxq *q, struct slabio_pcap_rx *rx, const struct pcap_pkthdr *hdr,
	const u_char *data)
{
	/* the handle was opened for nanoseconds: they are in the place of microseconds */
	uint64_t stamp = (uint64_t)hdr->ts.tv_sec * 1000000000 + (uint64_t)hdr->ts.tv_usec;
	uint32_t len = hdr->caplen;

	if (rx->filtered && pcap_offline_filter(&rx->filter, hdr, data) == 0) {
		slabio_count(&q->stats[SLABIO_RX_FILTERED], 1);
		return false;
	}
	if (rx->snaplen != 0)
		len = RTE_MIN(len, rx->snaplen);
	if (unlikely(len < RTE_ETHER_HDR_LEN || len > SLABIO_MAX_PKT)) {
		wrong_size(q, len);
		return false;
	}
	if (!rx->live)
		rx->mark = slabio_pcap_walk_on(&rx->walk, rx->pace.kind, stamp, len);
	if (rx->nb_queues > 1 &&
		((uint64_t)slabio_pcap_flow(data, hdr->caplen) * rx->nb_queues >> 32) != rx->queue)
		return false;
	rx->data = data;
	rx->len = len;
	rx->wire_len = hdr->len;
	rx->stamp = stamp;
	return true;
}

bool
slabio_pcap_file_next(struct slabio_rxq *q, struct slabio_pcap_rx *rx, unsigned int *budget)
{
	struct pcap_pkthdr *hdr;
	const u_char *data;

	for (; *budget > 0; (*budget)--) {
		switch (pcap_next_ex(rx->handle, &hdr, &data)) {
		case 1:
			if (take(q, rx, hdr, data)) {
				rx->pending = true;
				return true;
			}
			break;
		case 0:
			return false;
		case PCAP_ERROR_BREAK:
			rx->ended = true;
			return false;
		default:
			read_failed(q, rx);
			return false;
		}
	}
	return false;
}

/* A regular file, opened to be read in large pieces; NULL after a message, the reason in ret. */
static FILE *
open_file(const char *device, const char *path, char *buf, int *ret)
{
	struct stat st;
	FILE *file;

	if (stat(path, &st) != 0) {
		*ret = -errno;
	} else if (!S_ISREG(st.st_mode)) {
		SLABIO_LOG(ERR, "%s: expected a regular file at rx_pcap=%s, found something else",
			device, path);
		*ret = -EINVAL;
		return NULL;
	} else {
		file = fopen(path, "rbe");
		if (file != NULL) {
			if (buf != NULL)
				setvbuf(file, buf, _IOFBF, FILE_BUF_SIZE);
			return file;
		}
		*ret = -errno;
	}
	SLABIO_LOG(ERR, "%s: expected a capture file at rx_pcap=%s, found: %s", device, path,
		strerror(-*ret));
	return NULL;
}

/* The handle reads through buf, unless that is NULL, for as long as it is open. */
static int
open_handle(pcap_t **handle, const char *device, const char *path, char *buf)
{
	char reason[PCAP_ERRBUF_SIZE];
	const char *found;
	int type, ret;
	FILE *file;

	file = open_file(device, path, buf, &ret);
	if (file == NULL)
		return ret;
	*handle =
		pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, reason);
	if (*handle == NULL) {
		fclose(file);
		SLABIO_LOG(ERR, "%s: expected a pcap or pcapng capture at rx_pcap=%s, found: %s",
			device, path, reason);
		return -EINVAL;
	}
	type = pcap_datalink(*handle);
	if (type == DLT_EN10MB)
		return 0;
	found = pcap_datalink_val_to_name(type);
	SLABIO_LOG(ERR, "%s: expected Ethernet packets in rx_pcap=%s, found link type %d (%s)",
		device, path, type, found == NULL ? "unknown" : found);
	pcap_close(*handle);
	return -EINVAL;
}

int
slabio_pcap_file_check(const char *device, const char *path)
{
	pcap_t *handle;
	int ret = open_handle(&handle, device, path, NULL);

	if (ret == 0)
		pcap_close(handle);
	return ret;
}

int
slabio_pcap_file_open(struct slabio_pcap_rx *rx, struct rte_eth_dev *eth, const char *path,
	uint16_t queue, uint16_t nb_queues)
{
	const struct slabio_pcap_opts *opts = &slabio_pcap_args(eth)->pcap;
	struct slabio_pcap_port *port = eth->process_private;
	char *buf = malloc(FILE_BUF_SIZE);
	pcap_t *handle;
	int ret;

	if (buf == NULL) {
		SLABIO_LOG(ERR, "%s: no memory to read rx_pcap=%s", eth->data->name, path);
		return -ENOMEM;
	}
	ret = open_handle(&handle, eth->data->name, path, buf);
	if (ret != 0) {
		free(buf);
		return ret;
	}
	/* keeps this driver from writing it, be it under another name; any other writer may */
	(void)flock(fileno(pcap_file(handle)), LOCK_SH | LOCK_NB);
	*rx = (struct slabio_pcap_rx){
		.handle = handle,
		.file_buf = buf,
		.device = eth->data->name,
		.source = path,
		/* where few packets may be due, few mbufs would have to be given back */
		.batch = opts->pacing == SLABIO_PACE_NONE ? SLABIO_PCAP_BATCH : 4,
		.snaplen = opts->snaplen,
		.queue = queue,
		.nb_queues = nb_queues,
		.sources_ended = &port->sources_ended,
	};
	slabio_pcap_pace_init(&rx->pace, opts, &port->pace_start);
	if (opts->filter != NULL)
		ret = slabio_pcap_filter_compile(&rx->filter, eth->data->name, opts->filter);
	if (ret != 0) {
		slabio_pcap_rx_close(rx);
		return ret;
	}
	rx->filtered = opts->filter != NULL;
	return 0;
}

void
slabio_pcap_rx_close(struct slabio_pcap_rx *rx)
{
	if (rx->filtered)
		pcap_freecode(&rx->filter);
	slabio_pcap_store_free(rx->store);
	if (rx->handle != NULL)
		pcap_close(rx->handle);
	free(rx->file_buf);
	*rx = (struct slabio_pcap_rx){0};
}
