/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Who polls a queue, and what the next one does when it is another process.
 *
 * Of the rings each process has its own mapping and its own copies of the indices, and those copies
 * are true for one process only: the queue's owner. The owner is whoever polled last. Another process
 * that polls takes the queue over first: it reads the indices from the rings themselves, where each
 * burst leaves them, and counts the frames that the kernel has, which are those with the queue's tag.
 * Nobody is asked, so the owner may be dead.
 *
 * In which steps a secondary's burst works, what a kill after each of them leaves, and what is then
 * done about it. "Taken" is slabio_xdp_taken() of the tag:
 *
 *   enter: inside = its name
 *     received frames: tag = taken          the frames go to the pool, and the consumer past them
 *     publish the consumer
 *     tag = 0                               those still taken go to the pool; the others were in its
 *                                           hands, and are the pool's recovery's
 *     mbufs from the pool: journal, number  they go back to the pool
 *     tags, entries, publish the producer   the producer has moved: the kernel has them
 *     number = 0
 *     sent frames: tag, descriptor, number  they go back to the pool: they were not sent
 *     publish the producer                  it has moved: the kernel has them
 *     number = 0
 *     completions: as received frames
 *   leave: inside = nobody
 *
 * A repair goes in steps too, in such an order that one who is killed while repairing leaves no mbuf
 * twice, and one in his hands at worst, or with a tag, which brings it back at the next stop. He has
 * entered, so the next one repairs again.
 *
 * A living process in its burst is not waited for, and its queue not taken: the other one's burst is
 * empty. The primary's bursts do not enter, so that they cost nothing; a secondary that polls a
 * queue that the primary polls at the same time is what ethdev forbids anyway. What ethdev allows is
 * that the primary receives from queue i, and another process sends to it: hence "completing", which
 * the primary's idle receive bursts take as well.
 *
 * The fences: entering and "completing" are seq_cst exchanges, and who stops the queue stores first
 * and looks who is inside then: one of the two finds the other.
 */

#include "slabio_xdp.h"

bool
slabio_xdp_enter(struct slabio_poll *poll, const struct slabio_peers *peers, uint32_t *died)
{
	uint32_t who = SLABIO_NOBODY;

	*died = SLABIO_NOBODY;
	/* seq_cst: see above; also acquires what the last one has released */
	if (likely(atomic_compare_exchange_strong_explicit(
		    &poll->inside, &who, peers->me, memory_order_seq_cst, memory_order_acquire)))
		return true;
	if (!slabio_peer_dead(peers, who))
		return false;
	*died = who;
	return atomic_compare_exchange_strong_explicit(
		&poll->inside, &who, peers->me, memory_order_seq_cst, memory_order_relaxed);
}

/* ---- mbufs ---- */

static void
set_tag(const struct slabio_xdp_mem *mem, uint64_t i, uint16_t tag)
{
	atomic_store_explicit(&mem->holder[i], tag, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
}

/* To the pool, whatever it was in the middle of. */
static void
give_back(struct rte_mbuf *m)
{
	m->next = NULL;
	m->nb_segs = 1;
	rte_mbuf_refcnt_set(m, 1);
	rte_mbuf_raw_free(m);
}

/* The index of an mbuf that somebody has written down; count if it is none. */
static uint64_t
index_of(const struct slabio_xdp_mem *mem, const struct rte_mbuf *m)
{
	const uint64_t distance = slabio_xdp_distance(mem, m);
	const uint64_t i = slabio_xdp_index(mem, distance);

	return i < mem->count && i * mem->granule == distance ? i : mem->count;
}

/* The same of a ring's address. */
static uint64_t
index_of_addr(const struct slabio_xdp_mem *mem, uint64_t addr)
{
	const uint64_t base = mem->unaligned ? addr & XSK_UNALIGNED_BUF_ADDR_MASK : addr;

	return RTE_MIN(slabio_xdp_index(mem, base - mem->origin), mem->count);
}

static bool
has_tag(const struct slabio_xdp_mem *mem, uint64_t i, uint16_t tag)
{
	return i < mem->count && atomic_load_explicit(&mem->holder[i], memory_order_relaxed) == tag;
}

/* All with a tag go to the pool. */
static void
give_back_all(const struct slabio_xdp_mem *mem, uint16_t tag)
{
	uint64_t i;

	for (i = 0; i < mem->count; i++)
		if (has_tag(mem, i, tag)) {
			set_tag(mem, i, 0);
			give_back(slabio_xdp_mbuf(mem, i));
		}
}

static uint32_t
count_tags(const struct slabio_xdp_mem *mem, uint16_t tag)
{
	uint32_t n = 0;
	uint64_t i;

	for (i = 0; i < mem->count; i++)
		n += atomic_load_explicit(&mem->holder[i], memory_order_relaxed) == tag;
	return n;
}

/* ---- receiving ---- */

/* Mbufs that were on their way into the fill ring: either the kernel has all of them, or none. */
static void
settle_journal(struct slabio_xdp_rx *rx)
{
	struct slabio_rxq *q = rx->q;
	uint32_t n = atomic_load_explicit(&q->nb_journal, memory_order_acquire);
	uint64_t i;

	n = RTE_MIN(n, (uint32_t)SLABIO_TAKE_MAX);
	if (n != 0 && q->journal_at != rx->fill.prod)
		n = 0;
	while (n != 0) {
		struct rte_mbuf *m = q->journal[--n];

		i = index_of(rx->mem, m);
		if (i != rx->mem->count)
			set_tag(rx->mem, i, 0);
		atomic_store_explicit(&q->nb_journal, n, memory_order_release);
		atomic_signal_fence(memory_order_seq_cst);
		if (i != rx->mem->count)
			give_back(m);
	}
	atomic_store_explicit(&q->nb_journal, 0, memory_order_release);
}

/* What there is of a packet goes; so does the rest, which comes as if it were one of its own. */
static void
give_up_packet(struct slabio_rxq *q)
{
	if (q->head == NULL)
		return;
	q->skip = true;
	atomic_signal_fence(memory_order_seq_cst);
	q->head = NULL;
}

/*
 * Frames that were taken out of the ring, which does not know it. If there are any, the last of them
 * says what the next one is, and not what the dead had come to.
 */
static void
skip_taken_descs(struct slabio_xdp_rx *rx)
{
	const struct xdp_desc *descs = rx->ring.entries;
	const uint16_t taken = slabio_xdp_taken(rx->tag);
	uint32_t ready = slabio_xdp_ready(&rx->ring);

	for (; ready != 0; ready--, rx->ring.cons++) {
		const struct xdp_desc *d = &descs[rx->ring.cons & rx->ring.mask];

		if (!has_tag(rx->mem, index_of_addr(rx->mem, d->addr), taken))
			break;
		rx->q->skip = (d->options & XDP_PKT_CONTD) != 0;
	}
	/* release: what is to be skipped is known before the ring moves */
	slabio_xdp_consumed(&rx->ring);
}

/* A packet that has begun to come belongs to who has the queue: so says the tag of its frames. */
static void
inherit_packet(struct slabio_xdp_rx *rx)
{
	const uint16_t tag = rx->peers->me == SLABIO_PRIMARY ? 0 : slabio_xdp_taken(rx->tag);
	const struct rte_mbuf *m;
	uint64_t i;

	for (m = rx->q->head; m != NULL; m = m->next) {
		i = index_of(rx->mem, m);
		if (i == rx->mem->count)
			break;
		set_tag(rx->mem, i, tag);
	}
}

void
slabio_xdp_rx_take(struct slabio_xdp_rx *rx, bool died)
{
	struct slabio_rxq *q = rx->q;
	uint32_t there;

	/*
	 * First, so that whatever follows is repaired if this process dies in it. Release: pairs with
	 * who finds another name there than its own, and then has to enter.
	 */
	atomic_store_explicit(&q->poll.owner, rx->peers->me, memory_order_release);
	/* acquire: what the last one wrote into entries is there */
	rx->ring.cons = atomic_load_explicit(rx->ring.consumer, memory_order_acquire);
	rx->fill.prod = atomic_load_explicit(rx->fill.producer, memory_order_acquire);
	slabio_xdp_look_consumed(&rx->fill);
	if (died) {
		give_up_packet(q);
		settle_journal(rx);
		skip_taken_descs(rx);
		give_back_all(rx->mem, slabio_xdp_taken(rx->tag));
	} else {
		inherit_packet(rx);
	}
	there = count_tags(rx->mem, rx->tag);
	rx->owed = q->nb_desc > there ? q->nb_desc - there : 0;
	rx->unmet = 0;
}

bool
slabio_xdp_rx_take_back(struct slabio_xdp_rx *rx)
{
	uint32_t died;

	if (!slabio_xdp_enter(&rx->q->poll, rx->peers, &died))
		return false;
	slabio_xdp_rx_take(rx, died != SLABIO_NOBODY);
	slabio_xdp_leave(&rx->q->poll);
	return true;
}

/* ---- sending ---- */

void
slabio_xdp_unlock_completing(struct slabio_xdp_tx *tx)
{
	uint32_t who = atomic_load_explicit(&tx->q->completing, memory_order_relaxed);

	/* it has found the queue to be another one's, or slabio_xdp_tx_take() would have seen it */
	if (who != SLABIO_NOBODY && slabio_peer_dead(tx->peers, who))
		atomic_compare_exchange_strong_explicit(&tx->q->completing, &who, SLABIO_NOBODY,
			memory_order_release, memory_order_relaxed);
}

static bool
lock_completing(struct slabio_xdp_tx *tx, bool *died)
{
	uint32_t who = SLABIO_NOBODY;

	if (atomic_compare_exchange_strong_explicit(
		    &tx->q->completing, &who, tx->me, memory_order_seq_cst, memory_order_relaxed))
		return true;
	if (!slabio_peer_dead(tx->peers, who))
		return false;
	*died = true;
	return atomic_compare_exchange_strong_explicit(
		&tx->q->completing, &who, tx->me, memory_order_seq_cst, memory_order_relaxed);
}

/* Descriptors that were written: either the kernel knows of all of them, or of none. */
static void
settle_written(struct slabio_xdp_tx *tx)
{
	const struct xdp_desc *descs = tx->ring.entries;
	struct slabio_txq *q = tx->q;
	uint32_t n = atomic_load_explicit(&q->nb_written, memory_order_acquire);

	n = RTE_MIN(n, tx->ring.mask + 1);
	if (n != 0 && q->written_at != tx->ring.prod)
		n = 0;
	while (n != 0) {
		uint64_t i;

		atomic_store_explicit(&q->nb_written, --n, memory_order_release);
		atomic_signal_fence(memory_order_seq_cst);
		i = index_of_addr(tx->mem, descs[(q->written_at + n) & tx->ring.mask].addr);
		if (!has_tag(tx->mem, i, tx->tag))
			continue;
		set_tag(tx->mem, i, 0);
		give_back(slabio_xdp_mbuf(tx->mem, i));
	}
	atomic_store_explicit(&q->nb_written, 0, memory_order_release);
}

static void
skip_taken_completions(struct slabio_xdp_tx *tx)
{
	struct slabio_xdp_ring *ring = &tx->completion;
	const uint64_t *addrs = ring->entries;
	const uint16_t taken = slabio_xdp_taken(tx->tag);
	uint32_t ready = slabio_xdp_ready(ring);

	for (; ready != 0; ready--, ring->cons++)
		if (!has_tag(
			    tx->mem, index_of_addr(tx->mem, addrs[ring->cons & ring->mask]), taken))
			break;
	slabio_xdp_consumed(ring);
}

bool
slabio_xdp_tx_take(struct slabio_xdp_tx *tx, uint32_t who)
{
	bool died = who != SLABIO_NOBODY;

	if (!lock_completing(tx, &died)) {
		/* the dead stays there for the next one, or nobody */
		atomic_store_explicit(&tx->q->poll.inside, who, memory_order_release);
		return false;
	}
	tx->ring.prod = atomic_load_explicit(tx->ring.producer, memory_order_acquire);
	slabio_xdp_look_consumed(&tx->ring);
	tx->completion.cons = atomic_load_explicit(tx->completion.consumer, memory_order_acquire);
	if (died) {
		settle_written(tx);
		skip_taken_completions(tx);
		give_back_all(tx->mem, slabio_xdp_taken(tx->tag));
	}
	/* what the last one has sent, the kernel may not have been told of */
	atomic_store_explicit(&tx->stalled, true, memory_order_relaxed);
	/* seq_cst: pairs with slabio_xdp_complete() */
	atomic_store_explicit(&tx->q->poll.owner, tx->me, memory_order_seq_cst);
	atomic_store_explicit(&tx->q->completing, SLABIO_NOBODY, memory_order_release);
	return true;
}

bool
slabio_xdp_tx_take_back(struct slabio_xdp_tx *tx)
{
	uint32_t died;

	if (!slabio_xdp_enter(&tx->q->poll, tx->peers, &died) || !slabio_xdp_tx_take(tx, died))
		return false;
	slabio_xdp_leave(&tx->q->poll);
	return true;
}
