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

/* When there are no mbufs left: some more, or one, or NULL. */
static __rte_noinline struct rte_mbuf *
supply_more(struct supply *s)
{
	if (s->batch == 1 || rte_pktmbuf_alloc_bulk(s->mp, s->mbufs, s->batch) != 0)
		return rte_pktmbuf_alloc(s->mp);
	s->left = s->batch - 1;
	return s->mbufs[s->left];
}

static inline struct rte_mbuf *
supply_one(struct supply *s)
{
	return likely(s->left > 0) ? s->mbufs[--s->left] : supply_more(s);
}

/* A chain of mbufs with a packet that does not fit into one; NULL if there were not enough. */
static __rte_noinline struct rte_mbuf *
to_chain(struct supply *s, struct rte_mbuf *head, const u_char *data, uint32_t len)
{
	struct rte_mbuf *last = head;
	uint32_t part;

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

static inline struct rte_mbuf *
to_mbufs(struct supply *s, const u_char *data, uint32_t len)
{
	struct rte_mbuf *m = supply_one(s);

	if (unlikely(m == NULL || len > rte_pktmbuf_tailroom(m)))
		return m == NULL ? NULL : to_chain(s, m, data, len);
	m->pkt_len = len;
	m->data_len = (uint16_t)len;
	memcpy(rte_pktmbuf_mtod(m, void *), data, len);
	return m;
}

static inline void
finish_mbuf(const struct slabio_rxq *q, struct rte_mbuf *m, uint64_t stamp)
{
	m->port = q->port_id;
	if (q->timestamp_flag != 0) {
		*RTE_MBUF_DYNFIELD(m, q->timestamp_offset, rte_mbuf_timestamp_t *) = stamp;
		m->ol_flags |= q->timestamp_flag;
	}
	if (atomic_load_explicit(&q->soft, memory_order_relaxed) & RTE_ETH_RX_OFFLOAD_VLAN_STRIP)
		slabio_vlan_strip(m);
}

/* What a burst has to count. */
struct tally {
	uint64_t bytes;
	unsigned int scattered;
	unsigned int snapped;
	bool starved;
};

static inline void
count_packet(struct tally *t, const struct rte_mbuf *m, uint32_t len, uint32_t wire_len)
{
	t->scattered += m->nb_segs > 1;
	t->snapped += len < wire_len;
	t->bytes += len;
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

static uint16_t
burst_from_memory(struct slabio_rxq *q, struct slabio_pcap_rx *rx, struct supply *supply,
	struct rte_mbuf **pkts, uint16_t n, uint64_t elapsed, struct tally *tally)
{
	const bool paced = rx->pace.kind != SLABIO_PACE_NONE;
	struct slabio_pcap_store *store = rx->store;
	const struct slabio_pcap_record *r;
	struct rte_mbuf *m;
	uint16_t done;

	for (done = 0; done < n; done++) {
		if (unlikely(store->at == store->end) && !next_round(q, rx))
			break;
		r = (const struct slabio_pcap_record *)(store->base + store->at);
		if (paced && !slabio_pcap_pace_due(&rx->pace, r->mark + store->mark_base, elapsed))
			break;
		supply->batch = RTE_MIN((unsigned int)(n - done), rx->batch);
		m = to_mbufs(supply, r->data, r->len);
		if (unlikely(m == NULL)) {
			tally->starved = true;
			break;
		}
		store->at += RTE_ALIGN_CEIL(sizeof(*r) + r->len, 8);
		rte_prefetch0(store->base + store->at);
		rte_prefetch0(store->base + store->at + 64);
		rte_prefetch0(store->base + store->at + 128);
		finish_mbuf(q, m, r->stamp + store->stamp_base);
		count_packet(tally, m, r->len, r->wire_len);
		pkts[done] = m;
	}
	return done;
}

/* Whether there is a packet to deliver now: the pending one or the source's next. */
static inline bool
have_packet(struct slabio_rxq *q, struct slabio_pcap_rx *rx, uint64_t elapsed, unsigned int *budget)
{
	if (!rx->pending && !slabio_pcap_file_next(q, rx, budget))
		return false;
	return rx->pace.kind == SLABIO_PACE_NONE ||
	       slabio_pcap_pace_due(&rx->pace, rx->mark, elapsed);
}

static uint16_t
burst_from_libpcap(struct slabio_rxq *q, struct slabio_pcap_rx *rx, struct supply *supply,
	struct rte_mbuf **pkts, uint16_t n, uint64_t elapsed, struct tally *tally)
{
	unsigned int budget = LOOK_MAX;
	struct rte_mbuf *m;
	uint16_t done;

	for (done = 0; done < n && have_packet(q, rx, elapsed, &budget); done++) {
		supply->batch = RTE_MIN((unsigned int)(n - done), rx->batch);
		m = to_mbufs(supply, rx->data, rx->len);
		if (unlikely(m == NULL)) {
			tally->starved = true;
			break;
		}
		rx->pending = false;
		finish_mbuf(q, m, rx->stamp);
		count_packet(tally, m, rx->len, rx->wire_len);
		pkts[done] = m;
	}
	return done;
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

uint16_t
slabio_pcap_rx_burst(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct slabio_rxq *q = queue;
	struct slabio_pcap_rx *rx = q->be;
	struct supply supply; /* not initialised as a whole: it is large */
	struct tally tally = {0};
	uint64_t elapsed = 0;
	uint16_t done;

	/* acquire: pairs with the release of start, after which the queue is complete */
	if (!atomic_load_explicit(&q->running, memory_order_acquire) || rx->handle == NULL ||
		rx->end_noted)
		return 0;
	supply.mp = q->mp;
	supply.left = 0;
	if (rx->pace.kind != SLABIO_PACE_NONE)
		elapsed = slabio_pcap_pace_elapsed(&rx->pace);
	if (rx->store != NULL)
		done = burst_from_memory(q, rx, &supply, pkts, n, elapsed, &tally);
	else
		done = burst_from_libpcap(q, rx, &supply, pkts, n, elapsed, &tally);
	if (supply.left > 0)
		rte_pktmbuf_free_bulk(supply.mbufs, supply.left);
	if (done > 0) {
		slabio_count(&q->stats[SLABIO_RX_PACKETS], done);
		slabio_count(&q->stats[SLABIO_RX_BYTES], tally.bytes);
	}
	if (tally.scattered + tally.snapped > 0) {
		slabio_count(&q->stats[SLABIO_RX_SCATTERED], tally.scattered);
		slabio_count(&q->stats[SLABIO_RX_SNAPPED], tally.snapped);
	}
	/* a packet that waits through many bursts is one failure */
	if (unlikely(tally.starved) && (done > 0 || !rx->starved))
		slabio_count(&q->stats[SLABIO_RX_NOMBUF], 1);
	rx->starved = tally.starved;
	if (unlikely(rx->ended))
		note_end(q, rx);
	return done;
}
