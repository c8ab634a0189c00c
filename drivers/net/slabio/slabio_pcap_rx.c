/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Packets from libpcap into mbufs, for capture files and interfaces alike.
 *
 * libpcap keeps the packet it handed out last until it is asked for another. So a packet for which
 * there is no mbuf is not lost: it stays pending, and the next burst begins with it.
 */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "slabio_pcap.h"

/* Most mbufs taken from the pool at a time; an interface that is quiet gets them one by one. */
#define ALLOC_MAX 32

struct supply {
	struct rte_mempool *mp;
	struct rte_mbuf *mbufs[ALLOC_MAX];
	unsigned int left;
	unsigned int batch; /* how many to take when there are none left */
};

static struct rte_mbuf *
supply_one(struct supply *s)
{
	if (s->left == 0 && s->batch > 1 && rte_pktmbuf_alloc_bulk(s->mp, s->mbufs, s->batch) == 0)
		s->left = s->batch;
	if (s->left == 0)
		return rte_pktmbuf_alloc(s->mp);
	return s->mbufs[--s->left];
}

/* A chain of mbufs with the packet in it, or NULL if there were not enough of them. */
static struct rte_mbuf *
to_mbufs(struct supply *s, const u_char *data, uint32_t len)
{
	struct rte_mbuf *head = supply_one(s), *last = head;
	uint32_t part;

	if (head == NULL)
		return NULL;
	head->pkt_len = len;
	for (;;) {
		part = RTE_MIN(len, rte_pktmbuf_tailroom(last));
		memcpy(rte_pktmbuf_mtod(last, void *), data, part);
		last->data_len = part;
		data += part;
		len -= part;
		if (len == 0)
			return head;
		last->next = supply_one(s);
		if (last->next == NULL) {
			rte_pktmbuf_free(head);
			return NULL;
		}
		last = last->next;
		head->nb_segs++;
	}
}

static void
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
}

/* Whether there is a packet to deliver: the pending one or, if libpcap has one, the next. */
static bool
next_packet(struct slabio_rxq *q, struct slabio_pcap_rx *rx)
{
	uint32_t len;

	while (!rx->pending && !rx->ended) {
		switch (pcap_next_ex(rx->handle, &rx->hdr, &rx->data)) {
		case 1:
			break;
		case 0:
			return false;
		case PCAP_ERROR_BREAK:
			rx->ended = true;
			slabio_count(&q->stats[SLABIO_RX_END_OF_FILE], 1);
			SLABIO_LOG(INFO, "%s: rx queue %u: end of %s after %" PRIu64 " packets",
				rx->device, q->queue_id, rx->source,
				slabio_counted(&q->stats[SLABIO_RX_PACKETS]));
			return false;
		default:
			read_failed(q, rx);
			return false;
		}
		len = rx->hdr->caplen;
		if (len >= RTE_ETHER_HDR_LEN && len <= SLABIO_MAX_PKT) {
			rx->pending = true;
			if (len < rx->hdr->len)
				slabio_count(&q->stats[SLABIO_RX_SNAPPED], 1);
			break;
		}
		slabio_count(&q->stats[SLABIO_RX_ERRORS], 1);
		slabio_count(
			&q->stats[len > SLABIO_MAX_PKT ? SLABIO_RX_OVERSIZE : SLABIO_RX_RUNTS], 1);
	}
	return rx->pending;
}

static void
set_timestamp(const struct slabio_rxq *q, struct rte_mbuf *m, const struct timeval *ts)
{
	/* the handle was opened for nanoseconds: they are in the place of microseconds */
	*RTE_MBUF_DYNFIELD(m, q->timestamp_offset, rte_mbuf_timestamp_t *) =
		(uint64_t)ts->tv_sec * 1000000000 + (uint64_t)ts->tv_usec;
	m->ol_flags |= q->timestamp_flag;
}

uint16_t
slabio_pcap_rx_burst(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct slabio_rxq *q = queue;
	struct slabio_pcap_rx *rx = q->be;
	struct supply supply = {.mp = q->mp};
	uint64_t bytes = 0, scattered = 0;
	struct rte_mbuf *m;
	uint16_t done = 0;

	/* acquire: pairs with the release of start, after which the queue is complete */
	if (!atomic_load_explicit(&q->running, memory_order_acquire) || rx->handle == NULL)
		return 0;
	while (done < n && next_packet(q, rx)) {
		supply.batch = rx->live ? 1 : RTE_MIN(n - done, ALLOC_MAX);
		m = to_mbufs(&supply, rx->data, rx->hdr->caplen);
		if (m == NULL) {
			slabio_count(&q->stats[SLABIO_RX_NOMBUF], 1);
			break;
		}
		rx->pending = false;
		m->port = q->port_id;
		if (q->timestamp_flag != 0)
			set_timestamp(q, m, &rx->hdr->ts);
		scattered += m->nb_segs > 1;
		bytes += m->pkt_len;
		pkts[done++] = m;
	}
	if (supply.left > 0)
		rte_pktmbuf_free_bulk(supply.mbufs, supply.left);
	if (done > 0) {
		slabio_count(&q->stats[SLABIO_RX_PACKETS], done);
		slabio_count(&q->stats[SLABIO_RX_BYTES], bytes);
		slabio_count(&q->stats[SLABIO_RX_SCATTERED], scattered);
	}
	return done;
}

int
slabio_pcap_file_open(struct slabio_pcap_rx *rx, const char *device, const char *path)
{
	char reason[PCAP_ERRBUF_SIZE];
	struct stat st;
	pcap_t *handle;
	int type;

	if (stat(path, &st) != 0) {
		int err = errno;

		SLABIO_LOG(ERR, "%s: expected a capture file at rx_pcap=%s, found: %s", device,
			path, strerror(err));
		return -err;
	}
	if (!S_ISREG(st.st_mode)) {
		SLABIO_LOG(ERR, "%s: expected a regular file at rx_pcap=%s, found something else",
			device, path);
		return -EINVAL;
	}
	handle = pcap_open_offline_with_tstamp_precision(path, PCAP_TSTAMP_PRECISION_NANO, reason);
	if (handle == NULL) {
		SLABIO_LOG(ERR, "%s: expected a pcap or pcapng capture at rx_pcap=%s, found: %s",
			device, path, reason);
		return -EINVAL;
	}
	type = pcap_datalink(handle);
	if (type != DLT_EN10MB) {
		const char *found = pcap_datalink_val_to_name(type);

		SLABIO_LOG(ERR,
			"%s: expected Ethernet packets in rx_pcap=%s, found link type %d (%s)",
			device, path, type, found == NULL ? "unknown" : found);
		pcap_close(handle);
		return -EINVAL;
	}
	*rx = (struct slabio_pcap_rx){.handle = handle, .device = device, .source = path};
	return 0;
}

void
slabio_pcap_rx_close(struct slabio_pcap_rx *rx)
{
	if (rx->handle != NULL)
		pcap_close(rx->handle);
	*rx = (struct slabio_pcap_rx){0};
}
