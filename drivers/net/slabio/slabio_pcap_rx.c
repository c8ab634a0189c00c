/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Packets from their source into mbufs.
 *
 * A source keeps the packet it handed out last until it is asked for another. So a packet for which
 * there is no mbuf, or which is not due yet, is not lost: it stays pending, and the next burst
 * begins with it.
 */

#include <inttypes.h>
#include <string.h>

#include <rte_prefetch.h>

#include "slabio_pcap.h"
#include "slabio_vlan.h"

#define ALLOC_MAX SLABIO_PCAP_BATCH

/* Most packets of a file that one burst looks at, however many the filter rejects. */
#define LOOK_MAX 1024

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

/* At the end of what is in memory: back to its beginning, or the end of the replay. */
static __rte_noinline bool
next_round(struct slabio_rxq *q, struct slabio_pcap_rx *rx)
{
	struct slabio_pcap_store *store = rx->store;

	if (store->rounds == 1 || store->end == 0) {
		rx->ended = true;
		return false;
	}
	if (store->rounds != SLABIO_LOOP_ENDLESS)
		store->rounds--;
	slabio_count(&q->stats[SLABIO_RX_LOOPS], 1);
	store->mark_base += store->mark_period;
	store->stamp_base += store->stamp_period;
	store->at = 0;
	return true;
}

static inline bool
store_next(struct slabio_rxq *q, struct slabio_pcap_rx *rx)
{
	struct slabio_pcap_store *store = rx->store;
	const struct slabio_pcap_record *r;

	if (unlikely(store->at == store->end) && !next_round(q, rx))
		return false;
	r = (const struct slabio_pcap_record *)(store->base + store->at);
	rx->data = r->data;
	rx->len = r->len;
	rx->wire_len = r->wire_len;
	rx->mark = r->mark + store->mark_base;
	rx->stamp = r->stamp + store->stamp_base;
	rx->pending = true;
	store->at += RTE_ALIGN_CEIL(sizeof(*r) + r->len, 8);
	rte_prefetch0(store->base + store->at);
	return true;
}

static __rte_noinline void
note_end(struct slabio_rxq *q, struct slabio_pcap_rx *rx)
{
	rx->end_noted = true;
	if (rx->live)
		return;
	if (!rx->broken || rx->store != NULL) {
		slabio_count(&q->stats[SLABIO_RX_END_OF_FILE], 1);
		SLABIO_LOG(INFO, "%s: rx queue %u: end of %s after %" PRIu64 " packets", rx->device,
			q->queue_id, rx->source, slabio_counted(&q->stats[SLABIO_RX_PACKETS]));
	}
	/* relaxed: only the number is of interest, to whoever asks for the link */
	atomic_fetch_add_explicit(rx->sources_ended, 1, memory_order_relaxed);
}

/* Whether there is a packet to deliver now: the pending one or the source's next. */
static inline bool
have_packet(struct slabio_rxq *q, struct slabio_pcap_rx *rx, uint64_t elapsed, unsigned int *budget)
{
	bool found = rx->pending;

	if (!found && !rx->ended)
		found = rx->store != NULL ? store_next(q, rx)
					  : slabio_pcap_file_next(q, rx, budget);
	if (!found)
		return false;
	return rx->pace.kind == SLABIO_PACE_NONE ||
	       slabio_pcap_pace_due(&rx->pace, rx->mark, elapsed);
}

static void
finish_mbuf(const struct slabio_rxq *q, const struct slabio_pcap_rx *rx, struct rte_mbuf *m)
{
	m->port = q->port_id;
	if (q->timestamp_flag != 0) {
		*RTE_MBUF_DYNFIELD(m, q->timestamp_offset, rte_mbuf_timestamp_t *) = rx->stamp;
		m->ol_flags |= q->timestamp_flag;
	}
	if (atomic_load_explicit(&q->soft, memory_order_relaxed) & RTE_ETH_RX_OFFLOAD_VLAN_STRIP)
		slabio_vlan_strip(m);
}

uint16_t
slabio_pcap_rx_burst(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct slabio_rxq *q = queue;
	struct slabio_pcap_rx *rx = q->be;
	struct supply supply; /* not initialised as a whole: it is large */
	uint64_t bytes = 0, elapsed = 0;
	unsigned int scattered = 0, snapped = 0, budget = LOOK_MAX;
	struct rte_mbuf *m;
	uint16_t done = 0;

	/* acquire: pairs with the release of start, after which the queue is complete */
	if (!atomic_load_explicit(&q->running, memory_order_acquire) || rx->handle == NULL)
		return 0;
	supply.mp = q->mp;
	supply.left = 0;
	if (rx->pace.kind != SLABIO_PACE_NONE)
		elapsed = slabio_pcap_pace_elapsed(&rx->pace);
	while (done < n && have_packet(q, rx, elapsed, &budget)) {
		supply.batch = RTE_MIN((unsigned int)(n - done), rx->batch);
		m = to_mbufs(&supply, rx->data, rx->len);
		if (m == NULL) {
			slabio_count(&q->stats[SLABIO_RX_NOMBUF], 1);
			break;
		}
		rx->pending = false;
		finish_mbuf(q, rx, m);
		scattered += m->nb_segs > 1;
		snapped += rx->len < rx->wire_len;
		bytes += rx->len;
		pkts[done++] = m;
	}
	if (supply.left > 0)
		rte_pktmbuf_free_bulk(supply.mbufs, supply.left);
	if (done > 0) {
		slabio_count(&q->stats[SLABIO_RX_PACKETS], done);
		slabio_count(&q->stats[SLABIO_RX_BYTES], bytes);
		slabio_count(&q->stats[SLABIO_RX_SCATTERED], scattered);
		slabio_count(&q->stats[SLABIO_RX_SNAPPED], snapped);
	}
	if (unlikely(rx->ended && !rx->end_noted))
		note_end(q, rx);
	return done;
}
