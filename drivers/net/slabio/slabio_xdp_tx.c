/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Sending: an mbuf of the registered pool that nobody else refers to is handed to the kernel as it
 * is, and comes back through the completion ring. Any other is copied into such ones.
 *
 * Nothing blocks. What the kernel has no room for stays with the caller.
 *
 * A secondary's burst does the same in steps that a successor can put right wherever they end, see
 * slabio_xdp_take.c; "shared" is true there.
 */

#include <errno.h>

#include "slabio_offload.h"
#include "slabio_xdp.h"

/* As in slabio_xdp_rx.c: what a kill leaves is what was stored up to here. */
static __rte_always_inline void
in_order(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

/* One batch of at most SLABIO_TAKE_MAX. Returns how many mbufs there were. */
static __rte_always_inline uint32_t
take_batch(struct slabio_xdp_tx *tx, uint32_t ready, const bool shared)
{
	struct slabio_xdp_ring *ring = &tx->completion;
	const uint64_t *addrs = ring->entries;
	struct rte_mbuf *mbufs[SLABIO_TAKE_MAX];
	uint32_t i, n = 0;
	uint64_t offset;

	for (i = 0; i < ready; i++) {
		struct rte_mbuf *m = slabio_xdp_claim(tx->mem, addrs[(ring->cons + i) & ring->mask],
			tx->tag, shared ? slabio_xdp_taken(tx->tag) : 0, &offset);

		if (likely(m != NULL))
			mbufs[n++] = m;
	}
	ring->cons += ready;
	slabio_xdp_consumed(ring);
	if (shared) {
		in_order();
		for (i = 0; i < n; i++)
			slabio_xdp_hold(tx->mem, mbufs[i], 0);
		in_order();
	}
	if (n != 0)
		rte_mempool_put_bulk(tx->mem->mp, (void **)mbufs, n);
	if (unlikely(n != ready))
		slabio_count(&tx->q->stats[SLABIO_TX_BAD_COMPLETIONS], ready - n);
	return n;
}

static uint32_t
take_completions(struct slabio_xdp_tx *tx)
{
	uint32_t ready = slabio_xdp_ready(&tx->completion), n = 0, batch;

	for (; ready != 0; ready -= batch) {
		batch = RTE_MIN(ready, (uint32_t)SLABIO_TAKE_MAX);
		n += tx->me == SLABIO_PRIMARY ? take_batch(tx, batch, false)
					      : take_batch(tx, batch, true);
	}
	return n;
}

uint32_t
slabio_xdp_complete(struct slabio_xdp_tx *tx)
{
	struct slabio_txq *q = tx->q;
	uint32_t who = SLABIO_NOBODY, n = 0;

	/*
	 * seq_cst, as in slabio_xdp_tx_take(): either who takes the queue over finds this, or this
	 * finds that the queue is another process's.
	 */
	if (!atomic_compare_exchange_strong_explicit(
		    &q->completing, &who, tx->me, memory_order_seq_cst, memory_order_relaxed)) {
		if (unlikely(who != tx->me))
			slabio_xdp_unlock_completing(tx);
		return 0;
	}
	if (likely(atomic_load_explicit(&q->poll.owner, memory_order_seq_cst) == tx->me))
		n = take_completions(tx);
	/* release: pairs with the next one's exchange */
	atomic_store_explicit(&q->completing, SLABIO_NOBODY, memory_order_release);
	return n;
}

void
slabio_xdp_tx_idle(struct slabio_xdp_tx *tx)
{
	/* relaxed: only whether they differ matters, and a wrong answer is put right next time */
	const bool waiting = atomic_load_explicit(tx->ring.producer, memory_order_relaxed) !=
			     atomic_load_explicit(tx->ring.consumer, memory_order_relaxed);

	/* that of another process is for that one to see to; looked at again where it counts */
	if (atomic_load_explicit(&tx->q->poll.owner, memory_order_relaxed) != tx->me)
		return;
	if (waiting && atomic_load_explicit(&tx->stalled, memory_order_relaxed))
		(void)sendto(tx->fd, NULL, 0, MSG_DONTWAIT, NULL, 0);
	slabio_xdp_complete(tx);
}

static bool
kernel_has_all(struct slabio_xdp_ring *ring)
{
	slabio_xdp_look_consumed(ring);
	return ring->cons == ring->prod;
}

void
slabio_xdp_kick(struct slabio_xdp_tx *tx, unsigned int calls)
{
	struct slabio_xdp_ring *ring = &tx->ring;
	uint32_t before;

	/* a zero-copy driver sets the flag and then looks at the ring again: the mirror of this */
	if (tx->zero_copy)
		atomic_thread_fence(memory_order_seq_cst);
	if (!slabio_xdp_wants_wakeup(ring))
		return;
	do {
		before = ring->cons;
		slabio_count(&tx->q->stats[SLABIO_TX_KICKS], 1);
		if (sendto(tx->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 && errno == ENXIO) {
			tx->gone = true;
			return;
		}
		if (kernel_has_all(ring)) {
			atomic_store_explicit(&tx->stalled, false, memory_order_relaxed);
			return;
		}
		/* it took some and would take more; or none, since the device is busy or down */
	} while (--calls != 0 && ring->cons != before);
	atomic_store_explicit(&tx->stalled, true, memory_order_relaxed);
}

static const struct slabio_tx_sum no_sum;

/*
 * What the kernel is to do with the packet, in front of it. A kernel that found something else
 * there than it knows would neither send the packet nor leave it out, so all of it is written. A
 * zero-copy driver looks there whatever the descriptor says, and finds then that there is nothing
 * to do.
 */
static __rte_always_inline uint32_t
put_meta(const struct slabio_xdp_tx *tx, const struct rte_mbuf *m, const struct slabio_tx_sum *sum)
{
	const struct slabio_xdp_tx_meta meta = {.flags = XDP_TXMD_FLAGS_CHECKSUM,
		.csum_start = sum->start,
		.csum_offset = sum->offset};
	char *before = rte_pktmbuf_mtod_offset(m, char *, -(int)sizeof(meta));

	if (sum->start == 0) {
		if (tx->zero_copy)
			memset(before, 0, sizeof(meta));
		return 0;
	}
	memcpy(before, &meta, sizeof(meta));
	return XDP_TX_METADATA;
}

static __rte_always_inline void
put_desc(struct slabio_xdp_tx *tx, const struct rte_mbuf *m, uint32_t options,
	const struct slabio_tx_sum *sum, const bool shared)
{
	struct xdp_desc *descs = tx->ring.entries;

	if (unlikely(tx->meta_len != 0))
		options |= put_meta(tx, m, sum);
	slabio_xdp_hold(tx->mem, m, tx->tag);
	descs[tx->ring.prod++ & tx->ring.mask] = (struct xdp_desc){
		.addr = slabio_xdp_data_addr(tx->mem, m), .len = m->data_len, .options = options};
	/* release: its reader starts with it */
	if (shared)
		atomic_store_explicit(&tx->q->nb_written, tx->ring.prod - tx->q->written_at,
			memory_order_release);
}

/*
 * Whether the kernel may have this mbuf, not a copy of it. Where there may be metadata it takes no
 * packet without room for it.
 */
static __rte_always_inline bool
is_ours(const struct slabio_xdp_tx *tx, const struct rte_mbuf *m)
{
	return m->pool == tx->mem->mp && slabio_xdp_is_whole(tx->mem, m) && m->data_len != 0 &&
	       m->data_len <= tx->max_frame && m->data_off >= tx->meta_len;
}

static bool
chain_is_ours(const struct slabio_xdp_tx *tx, const struct rte_mbuf *m)
{
	if (m->nb_segs > tx->max_segs)
		return false;
	for (; m != NULL; m = m->next)
		if (!is_ours(tx, m))
			return false;
	return true;
}

/* The first one's metadata is for all of them. */
static void
send_chain(struct slabio_xdp_tx *tx, struct rte_mbuf *m, const struct slabio_tx_sum *sum)
{
	struct rte_mbuf *next;

	for (; m != NULL; m = next) {
		next = m->next;
		put_desc(tx, m, next != NULL ? XDP_PKT_CONTD : 0, sum, tx->me != SLABIO_PRIMARY);
		sum = &no_sum;
		/* each comes back by itself, and then as a free mbuf has to be */
		m->next = NULL;
		m->nb_segs = 1;
	}
}

/* Copies a packet, of whatever kind, into as many fresh mbufs as it needs. */
static bool
copy_packet(struct slabio_xdp_tx *tx, const struct rte_mbuf *m, struct rte_mbuf **copy, uint32_t n)
{
	uint32_t i, at = 0;

	if (rte_mempool_get_bulk(tx->mem->mp, (void **)copy, n) != 0)
		return false;
	for (i = 0; i < n; i++) {
		const uint32_t len = RTE_MIN(m->pkt_len - at, tx->copy_room);
		void *to;
		const void *from;

		copy[i]->data_off = RTE_PKTMBUF_HEADROOM;
		copy[i]->data_len = (uint16_t)len;
		to = rte_pktmbuf_mtod(copy[i], void *);
		from = rte_pktmbuf_read(m, at, len, to);
		if (from != to)
			memcpy(to, from, len);
		at += len;
	}
	return true;
}

static void
drop(struct slabio_txq *q, struct rte_mbuf *m, enum slabio_tx_stat why)
{
	slabio_count(&q->stats[SLABIO_TX_ERRORS], 1);
	slabio_count(&q->stats[why], 1);
	rte_pktmbuf_free(m);
}

enum sent { SENT, DROPPED, NO_ROOM };

/* Whatever is not one mbuf of the registered pool. */
static __rte_noinline enum sent
send_other(struct slabio_txq *q, struct slabio_xdp_tx *tx, struct rte_mbuf *m,
	const struct slabio_tx_sum *sum)
{
	struct rte_mbuf *copy[SLABIO_XDP_TX_FRAMES];
	const uint32_t len = m->pkt_len;
	uint32_t i, n;

	if (len > atomic_load_explicit(&q->max_len, memory_order_relaxed)) {
		drop(q, m, SLABIO_TX_OVERSIZE);
		return DROPPED;
	}
	if (m->nb_segs > 1 && chain_is_ours(tx, m)) {
		if (slabio_xdp_room(&tx->ring, m->nb_segs) < m->nb_segs)
			return NO_ROOM;
		send_chain(tx, m, sum);
		slabio_count(&q->stats[SLABIO_TX_MULTI_SEGS], 1);
		return SENT;
	}
	n = (len + tx->copy_room - 1) / tx->copy_room;
	if (len == 0 || n > tx->max_segs) {
		drop(q, m, len == 0 ? SLABIO_TX_RUNTS : SLABIO_TX_OVERSIZE);
		return DROPPED;
	}
	if (slabio_xdp_room(&tx->ring, n) < n)
		return NO_ROOM;
	if (!copy_packet(tx, m, copy, n)) {
		slabio_count(&q->stats[SLABIO_TX_NOMBUF], 1);
		return NO_ROOM;
	}
	for (i = 0; i < n; i++)
		put_desc(tx, copy[i], i + 1 < n ? XDP_PKT_CONTD : 0, i == 0 ? sum : &no_sum,
			tx->me != SLABIO_PRIMARY);
	slabio_count(&q->stats[SLABIO_TX_COPIES], 1);
	if (m->nb_segs > 1)
		slabio_count(&q->stats[SLABIO_TX_MULTI_SEGS], 1);
	rte_pktmbuf_free(m);
	return SENT;
}

/* Whether the packet may be changed: nobody else refers to any of it. */
static bool
is_writable(const struct slabio_xdp_tx *tx, const struct rte_mbuf *m)
{
	for (; m != NULL; m = m->next)
		if (m->pool == tx->mem->mp ? !slabio_xdp_is_whole(tx->mem, m)
					   : !RTE_MBUF_DIRECT(m) || rte_mbuf_refcnt_read(m) != 1)
			return false;
	return true;
}

/*
 * A copy with what the packet's flags say. Not by rte_pktmbuf_copy(), which takes mbufs with
 * external buffers for others, and leaves them so in the pool.
 */
static enum sent
copy_to_write(struct slabio_txq *q, struct slabio_xdp_tx *tx, struct rte_mbuf **pkt)
{
	struct rte_mbuf *copy[SLABIO_XDP_TX_FRAMES], *m = *pkt;
	const uint32_t len = m->pkt_len, n = (len + tx->copy_room - 1) / tx->copy_room;
	uint32_t i;

	if (n == 0 || n > RTE_DIM(copy)) {
		drop(q, m, n == 0 ? SLABIO_TX_RUNTS : SLABIO_TX_OVERSIZE);
		return DROPPED;
	}
	if (!copy_packet(tx, m, copy, n)) {
		slabio_count(&q->stats[SLABIO_TX_NOMBUF], 1);
		return NO_ROOM;
	}
	for (i = 0; i < n; i++) {
		copy[i]->ol_flags = tx->mem->ol_flags;
		copy[i]->next = i + 1 < n ? copy[i + 1] : NULL;
	}
	copy[0]->nb_segs = (uint16_t)n;
	copy[0]->pkt_len = len;
	copy[0]->port = m->port;
	copy[0]->ol_flags |= m->ol_flags & SLABIO_TX_SOFT_FLAGS;
	copy[0]->ol_flags |= m->ol_flags & (RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IPV6);
	copy[0]->tx_offload = m->tx_offload;
	copy[0]->vlan_tci = m->vlan_tci;
	slabio_count(&q->stats[SLABIO_TX_COPIES], 1);
	rte_pktmbuf_free(m);
	*pkt = copy[0];
	return SENT;
}

/*
 * What the packet's flags ask for is done to the packet, or to a copy if others refer to it; then
 * the copy takes its place, also with the caller if it cannot be sent.
 */
static __rte_noinline enum sent
do_offloads(struct slabio_txq *q, struct slabio_xdp_tx *tx, struct rte_mbuf **pkt,
	struct slabio_tx_sum *sum)
{
	uint64_t external;
	bool done;

	if (!is_writable(tx, *pkt)) {
		enum sent result = copy_to_write(q, tx, pkt);

		if (result != SENT)
			return result;
	}
	/* DPDK's functions change no mbuf with an external buffer; nobody else refers to this one */
	external = (*pkt)->ol_flags & RTE_MBUF_F_EXTERNAL;
	(*pkt)->ol_flags &= ~external;
	done = slabio_offload_tx(*pkt, tx->meta_len != 0, sum);
	(*pkt)->ol_flags |= external;
	if (done)
		return SENT;
	drop(q, *pkt, SLABIO_TX_BAD_OFFLOADS);
	return DROPPED;
}

static void
count_sum(struct slabio_txq *q, const struct slabio_tx_sum *sum)
{
	if (sum->start != 0)
		slabio_count(&q->stats[SLABIO_TX_KERNEL_CSUMS], 1);
	if (sum->done)
		slabio_count(&q->stats[SLABIO_TX_SOFTWARE_CSUMS], 1);
}

/* Nothing is written yet from here on. Not before what was written is published. */
static __rte_always_inline void
start_writing(struct slabio_txq *q, uint32_t at)
{
	in_order();
	atomic_store_explicit(&q->nb_written, 0, memory_order_release);
	in_order();
	q->written_at = at;
	in_order();
}

static __rte_noinline uint16_t
interface_gone(struct slabio_txq *q, struct rte_mbuf **pkts, uint16_t n)
{
	slabio_count(&q->stats[SLABIO_TX_ERRORS], n);
	slabio_count(&q->stats[SLABIO_TX_NO_OUTPUT], n);
	rte_pktmbuf_free_bulk(pkts, n);
	return n;
}

static __rte_always_inline uint16_t
transmit(struct slabio_txq *q, struct slabio_xdp_tx *tx, struct rte_mbuf **pkts, uint16_t n,
	const bool shared)
{
	uint64_t bytes = 0, packets = 0;
	uint32_t room, before, max_len;
	uint16_t done;

	slabio_xdp_complete(tx);
	if (unlikely(tx->gone))
		return interface_gone(q, pkts, n);
	room = slabio_xdp_room(&tx->ring, n);
	before = tx->ring.prod;
	max_len = atomic_load_explicit(&q->max_len, memory_order_relaxed);
	if (shared)
		start_writing(q, before);
	for (done = 0; done < n && room != 0; done++) {
		const bool offload =
			q->soft != 0 && (pkts[done]->ol_flags & SLABIO_TX_SOFT_FLAGS) != 0;
		const struct slabio_tx_sum *sum = &no_sum;
		struct slabio_tx_sum asked;
		struct rte_mbuf *m = pkts[done];
		uint32_t len;

		if (unlikely(offload)) {
			enum sent result = do_offloads(q, tx, &pkts[done], &asked);

			if (result == NO_ROOM)
				break;
			if (result == DROPPED)
				continue;
			m = pkts[done];
			sum = &asked;
		}
		len = m->pkt_len;
		if (likely(m->nb_segs == 1 && len <= max_len && is_ours(tx, m))) {
			put_desc(tx, m, 0, sum, shared);
			room--;
		} else {
			enum sent result = send_other(q, tx, m, sum);

			room = slabio_xdp_room(&tx->ring, 1);
			if (result == NO_ROOM)
				break;
			if (result == DROPPED)
				continue;
		}
		if (unlikely(offload))
			count_sum(q, sum);
		bytes += len;
		packets++;
	}
	if (tx->ring.prod != before)
		slabio_xdp_publish(&tx->ring);
	if (shared)
		start_writing(q, tx->ring.prod);
	/* also when there was no room: the kernel may have been busy when it was told last */
	if (tx->ring.prod != before || done < n)
		slabio_xdp_kick(tx, 2 + n / 32);
	if (unlikely(done < n))
		slabio_count(&q->stats[SLABIO_TX_BACKPRESSURE], 1);
	slabio_count(&q->stats[SLABIO_TX_PACKETS], packets);
	slabio_count(&q->stats[SLABIO_TX_BYTES], bytes);
	return done;
}

uint16_t
slabio_xdp_tx_burst(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct slabio_txq *q = queue;
	struct slabio_xdp_tx *tx = q->be;

	/* acquire: pairs with the release of start, after which the queue is complete */
	if (unlikely(!atomic_load_explicit(&q->running, memory_order_acquire)))
		return 0;
	/* relaxed: only this process writes its own name there */
	if (unlikely(
		    atomic_load_explicit(&q->poll.owner, memory_order_relaxed) != SLABIO_PRIMARY) &&
		!slabio_xdp_tx_take_back(tx))
		return 0;
	return transmit(q, tx, pkts, n, false);
}

uint16_t
slabio_xdp_tx_shared(struct slabio_xdp_tx *tx, struct rte_mbuf **pkts, uint16_t n)
{
	return transmit(tx->q, tx, pkts, n, true);
}
