/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Receiving: the kernel names frames that it has filled, and those are the mbufs.
 *
 * For each frame taken out of the receive ring one is owed to the fill ring, so the number of mbufs
 * that the kernel has is always the number of descriptors of the queue. What is owed is paid in
 * batches, and again at each poll as long as the pool is dry.
 *
 * A secondary's burst does the same in steps that a successor can put right wherever they end, see
 * slabio_xdp_take.c; "shared" is true there. It is a constant, so the primary's burst has none of it.
 */

#include <errno.h>
#include <string.h>

#include "slabio_offload.h"
#include "slabio_xdp.h"
#include "slabio_xdp_meta.h"

/* An idle queue looks now and then whether what was sent is. */
#define IDLE_CHECK 64
/* More frames than a packet of the kernel's can have in any configuration. */
#define FRAMES_MAX 64

uint64_t
slabio_xdp_rearm(uint16_t port)
{
	struct rte_mbuf m = {.nb_segs = 1, .port = port, .data_off = 0};
	uint64_t rearm;

	rte_mbuf_refcnt_set(&m, 1);
	/* data_off, refcnt, nb_segs and port are one word */
	memcpy(&rearm, RTE_PTR_ADD(&m, offsetof(struct rte_mbuf, data_off)), sizeof(rearm));
	return rearm;
}

/*
 * In a program's order, and the compiler's: a process that is killed leaves what it has stored up to
 * some point of it.
 */
static __rte_always_inline void
in_order(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

/* The number is last when there are some, and alone when there are none any more. */
static __rte_always_inline void
journal(struct slabio_rxq *q, uint32_t at, uint32_t n)
{
	in_order();
	if (n != 0)
		q->journal_at = at;
	/* release: its reader starts with it */
	atomic_store_explicit(&q->nb_journal, n, memory_order_release);
	in_order();
}

static __rte_always_inline bool
refill(struct slabio_xdp_rx *rx, const bool shared)
{
	struct slabio_xdp_ring *fill = &rx->fill;
	uint64_t *entries = fill->entries;
	struct rte_mbuf *own[SLABIO_TAKE_MAX];
	struct rte_mbuf **mbufs = shared ? rx->q->journal : own;
	uint32_t i, n;

	while (rx->owed != 0) {
		n = RTE_MIN(rx->owed, (uint32_t)SLABIO_TAKE_MAX);
		n = RTE_MIN(n, slabio_xdp_room(fill, n));
		/* more than the ring's size is owed only after entries that were invalid */
		if (n == 0)
			return true;
		/* all or nothing, so a pool that has few is asked for fewer */
		while (rte_mempool_get_bulk(rx->mem->mp, (void **)mbufs, n) != 0) {
			n /= 2;
			if (n == 0)
				return false;
		}
		if (shared)
			journal(rx->q, fill->prod, n);
		for (i = 0; i < n; i++) {
			struct rte_mbuf *m = mbufs[i];

			slabio_xdp_hold(rx->mem, m, rx->tag);
			entries[(fill->prod + i) & fill->mask] = slabio_xdp_fill_addr(rx->mem, m);
		}
		fill->prod += n;
		rx->owed -= n;
		rx->unmet -= RTE_MIN(rx->unmet, n);
		slabio_xdp_publish(fill);
		if (shared)
			journal(rx->q, fill->prod, 0);
	}
	return true;
}

bool
slabio_xdp_refill(struct slabio_xdp_rx *rx)
{
	return refill(rx, false);
}

static void
wake_up(struct slabio_rxq *q, const struct slabio_xdp_rx *rx)
{
	slabio_count(&q->stats[SLABIO_RX_KICKS], 1);
	(void)recvfrom(rx->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

static void
busy_poll(struct slabio_rxq *q, const struct slabio_xdp_rx *rx)
{
	if (!rx->polls_napi) {
		wake_up(q, rx);
		return;
	}
	slabio_count(&q->stats[SLABIO_RX_KICKS], 1);
	slabio_xdp_napi_poll(rx->napi_fd);
}

static __rte_always_inline void
repay(struct slabio_rxq *q, struct slabio_xdp_rx *rx, const bool shared)
{
	/* each mbuf that is not to be had counts once, however often it is asked for */
	if (!refill(rx, shared)) {
		slabio_count(&q->stats[SLABIO_RX_NOMBUF], rx->owed - rx->unmet);
		rx->unmet = rx->owed;
	}
	if (slabio_xdp_wants_wakeup(&rx->fill))
		wake_up(q, rx);
}

static __rte_noinline void
nothing_received(struct slabio_rxq *q, struct slabio_xdp_rx *rx, const bool shared)
{
	if (rx->owed != 0 || slabio_xdp_wants_wakeup(&rx->fill))
		repay(q, rx, shared);
	if (rx->busy_poll)
		busy_poll(q, rx);
	if (++rx->idle % IDLE_CHECK == 0 && rx->queue->has_tx)
		slabio_xdp_tx_idle(&rx->queue->tx);
}

/* A packet's first words as they are in a new mbuf, and what the descriptor says. */
static __rte_always_inline void
fill_in(const struct slabio_xdp_rx *rx, struct rte_mbuf *m, uint64_t offset, uint32_t len)
{
	memcpy(RTE_PTR_ADD(m, offsetof(struct rte_mbuf, data_off)), &rx->rearm, sizeof(rx->rearm));
	m->data_off = (uint16_t)offset;
	m->ol_flags = rx->mem->ol_flags;
	m->packet_type = 0;
	m->pkt_len = len;
	m->data_len = (uint16_t)len;
}

/*
 * A frame of a packet that has several. Returns the packet with its last frame, else NULL.
 *
 * @param[inout] refuse where to put those of a packet that has got too long, or was given up before
 */
static __rte_noinline struct rte_mbuf *
add_frame(struct slabio_rxq *q, struct rte_mbuf *m, bool more, struct rte_mbuf **refuse)
{
	struct rte_mbuf *head = q->head;

	if (head != NULL && head->nb_segs == FRAMES_MAX) {
		slabio_count(&q->stats[SLABIO_RX_OVERSIZE], 1);
		slabio_count(&q->stats[SLABIO_RX_ERRORS], 1);
		q->tail->next = *refuse;
		*refuse = head;
		q->head = NULL;
		q->skip = true;
	}
	if (q->skip) {
		m->next = *refuse;
		*refuse = m;
		q->skip = more;
		return NULL;
	}
	if (head == NULL) {
		q->head = m;
	} else {
		q->tail->next = m;
		head->nb_segs++;
		head->pkt_len += m->data_len;
	}
	q->tail = m;
	if (more)
		return NULL;
	head = q->head;
	q->head = NULL;
	return head;
}

/* The kernel knows by now that they were taken. */
static __rte_always_inline void
untag(const struct slabio_xdp_rx *rx, struct rte_mbuf **pkts, uint16_t n)
{
	const struct rte_mbuf *m;
	uint16_t i;

	in_order();
	for (i = 0; i < n; i++)
		for (m = pkts[i]; m != NULL; m = m->next)
			slabio_xdp_hold(rx->mem, m, 0);
	in_order();
}

/* Frames that are no packets, linked by their next. */
static __rte_noinline void
give_back(const struct slabio_xdp_rx *rx, struct rte_mbuf *m, const bool shared)
{
	struct rte_mbuf *next;

	for (; m != NULL; m = next) {
		next = m->next;
		m->next = NULL;
		m->nb_segs = 1;
		if (shared)
			untag(rx, &m, 1);
		rte_mbuf_raw_free(m);
	}
}

static __rte_always_inline uint16_t
receive(struct slabio_rxq *q, struct slabio_xdp_rx *rx, struct rte_mbuf **pkts, uint16_t n,
	const bool shared)
{
	struct slabio_xdp_ring *ring = &rx->ring;
	const struct xdp_desc *descs = ring->entries;
	struct rte_mbuf *refuse = NULL;
	uint64_t bytes = 0, bad = 0, chains = 0, soft;
	uint32_t ready, i;
	uint16_t done = 0;

	ready = slabio_xdp_ready(ring);
	if (ready == 0) {
		nothing_received(q, rx, shared);
		return 0;
	}
	ready = RTE_MIN(ready, n);
	/* what is refused goes to the pool last: a successor might take it for received once more */
	for (i = 0; i < ready; i++) {
		const struct xdp_desc *d = &descs[(ring->cons + i) & ring->mask];
		const uint32_t len = d->len;
		struct rte_mbuf *m;
		uint64_t offset;

		m = slabio_xdp_claim(
			rx->mem, d->addr, rx->tag, shared ? slabio_xdp_taken(rx->tag) : 0, &offset);
		if (unlikely(m == NULL)) {
			bad++;
			continue;
		}
		if (unlikely(offset > rx->mem->buf_len || len > rx->mem->buf_len - offset)) {
			m->next = refuse;
			refuse = m;
			bad++;
			continue;
		}
		fill_in(rx, m, offset, len);
		if (unlikely(rx->meta && q->head == NULL && !q->skip))
			slabio_xdp_take_meta(q, m);
		bytes += len;
		if (unlikely((d->options & XDP_PKT_CONTD) || q->head != NULL || q->skip)) {
			m = add_frame(q, m, d->options & XDP_PKT_CONTD, &refuse);
			if (m == NULL)
				continue;
			chains += m->nb_segs > 1;
		}
		pkts[done++] = m;
	}
	ring->cons += ready;
	slabio_xdp_consumed(ring);
	if (shared)
		untag(rx, pkts, done);
	if (unlikely(refuse != NULL))
		give_back(rx, refuse, shared);
	rx->owed += ready;
	if (rx->owed >= rx->batch)
		repay(q, rx, shared);
	soft = atomic_load_explicit(&q->soft, memory_order_relaxed);
	if (unlikely(soft != 0))
		slabio_offload_rx(soft, pkts, done);
	slabio_count(&q->stats[SLABIO_RX_PACKETS], done);
	slabio_count(&q->stats[SLABIO_RX_BYTES], bytes);
	if (unlikely(chains != 0))
		slabio_count(&q->stats[SLABIO_RX_SCATTERED], chains);
	if (unlikely(bad != 0)) {
		slabio_count(&q->stats[SLABIO_RX_BAD_DESCS], bad);
		slabio_count(&q->stats[SLABIO_RX_ERRORS], bad);
	}
	return done;
}

uint16_t
slabio_xdp_rx_burst(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct slabio_rxq *q = queue;
	struct slabio_xdp_rx *rx = q->be;

	/* acquire: pairs with the release of start, after which the queue is complete */
	if (unlikely(!atomic_load_explicit(&q->running, memory_order_acquire)))
		return 0;
	/* relaxed: only this process writes its own name there */
	if (unlikely(
		    atomic_load_explicit(&q->poll.owner, memory_order_relaxed) != SLABIO_PRIMARY) &&
		!slabio_xdp_rx_take_back(rx))
		return 0;
	return receive(q, rx, pkts, n, false);
}

uint16_t
slabio_xdp_rx_shared(struct slabio_xdp_rx *rx, struct rte_mbuf **pkts, uint16_t n)
{
	return receive(rx->q, rx, pkts, n, true);
}
