/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * What must be true of an mbuf that goes to another process.
 *
 * Reference counts are among the mbufs of one process: whoever shares a buffer with a worker that
 * is killed would have it taken away under its hands, or keep it from coming back. So a packet
 * crosses when each of its segments is from the pool that crosses, has one reference, has its own
 * buffer, and nobody else has that buffer attached. Any other packet is copied, all segments
 * together.
 */

#include <string.h>

#include <rte_mbuf.h>

#include "l2fwd.h"

static bool
is_alone(const struct rte_mbuf *m, const struct rte_mempool *pool, bool pinned)
{
	if (m->pool != pool || m->data_len == 0 || rte_mbuf_refcnt_read(m) != 1 ||
		RTE_MBUF_CLONED(m))
		return false;
	/* of a pool whose buffers are elsewhere for good, clones count at the buffer */
	if (RTE_MBUF_HAS_EXTBUF(m))
		return pinned && rte_mbuf_ext_refcnt_read(m->shinfo) == 1;
	return !pinned;
}

static void
copy_facts(struct rte_mbuf *to, const struct rte_mbuf *from)
{
	const uint64_t buffer = RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;

	to->port = from->port;
	to->packet_type = from->packet_type;
	to->vlan_tci = from->vlan_tci;
	to->vlan_tci_outer = from->vlan_tci_outer;
	to->tx_offload = from->tx_offload;
	to->hash = from->hash;
	to->ol_flags |= from->ol_flags & ~buffer;
	rte_mbuf_dynfield_copy(to, from);
}

/* Room for more bytes at the end of a copy. @return bytes; 0: no mbuf is left */
static uint32_t
make_room(struct rte_mbuf *head, struct rte_mbuf **last)
{
	if (rte_pktmbuf_tailroom(*last) == 0) {
		struct rte_mbuf *seg = rte_pktmbuf_alloc(head->pool);

		if (seg == NULL)
			return 0;
		seg->data_off = 0;
		(*last)->next = seg;
		head->nb_segs++;
		*last = seg;
	}
	return rte_pktmbuf_tailroom(*last);
}

static struct rte_mbuf *
copy(const struct rte_mbuf *m, struct rte_mempool *pool)
{
	struct rte_mbuf *head = rte_pktmbuf_alloc(pool), *last = head;

	if (head == NULL)
		return NULL;
	copy_facts(head, m);
	while (head->pkt_len < m->pkt_len) {
		uint32_t n = RTE_MIN(make_room(head, &last), m->pkt_len - head->pkt_len);
		uint8_t *to = rte_pktmbuf_mtod_offset(last, uint8_t *, last->data_len);
		const void *from = n == 0 ? NULL : rte_pktmbuf_read(m, head->pkt_len, n, to);

		if (from == NULL) {
			rte_pktmbuf_free(head);
			return NULL;
		}
		if (from != to)
			memcpy(to, from, n);
		last->data_len = (uint16_t)(last->data_len + n);
		head->pkt_len += n;
	}
	return head;
}

struct rte_mbuf *
cross_prepare(
	struct rte_mbuf *m, struct rte_mempool *pool, unsigned int max, _Atomic uint64_t *copied)
{
	bool pinned = (rte_pktmbuf_priv_flags(pool) & RTE_PKTMBUF_POOL_F_PINNED_EXT_BUF) != 0;
	const struct rte_mbuf *seg = m;
	struct rte_mbuf *c = NULL;

	while (seg != NULL && is_alone(seg, pool, pinned))
		seg = seg->next;
	if (likely(seg == NULL && m->nb_segs <= max))
		return m;
	if (m->nb_segs <= max && m->pkt_len != 0)
		c = copy(m, pool);
	rte_pktmbuf_free(m);
	if (c == NULL)
		return NULL;
	if (c->nb_segs > max) {
		rte_pktmbuf_free(c);
		return NULL;
	}
	COUNT(*copied, 1);
	return c;
}
