/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The AF_XDP data path against a kernel that lies: the rings are in ordinary memory, and this test
 * writes what a kernel would, and what none should.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <rte_eal.h>
#include <netinet/in.h>
#include <rte_errno.h>
#include <rte_ip.h>

#include "slabio_offload.h"
#include "slabio_xdp.h"

#define MBUFS	  512
#define RING	  128
#define FRAME_OFF 256
#define LEN	  60

int slabio_logtype;
pthread_mutex_t slabio_xdp_lock = PTHREAD_MUTEX_INITIALIZER;

/* Where an mbuf's data is, and how those of all of them lie. */
enum kind { PACKED, IN_PAGES, EXTERNAL_PACKED, EXTERNAL_ALIGNED };

/* A queue whose kernel is this test. */
struct fake {
	struct rte_mempool *mp;
	void *buffers; /* external ones */
	struct slabio_xdp_mem *mem;
	struct slabio_rxq *rxq;
	struct slabio_txq *txq;
	struct slabio_xdp_queue *q;
	void *rings[4];
};

static void *
aligned(size_t size)
{
	void *p = NULL;

	assert_int_equal(posix_memalign(&p, 4096, size), 0);
	memset(p, 0, size);
	return p;
}

static void
free_memory(struct rte_mempool_memhdr *chunk, void *arg)
{
	(void)arg;
	free(chunk->addr);
}

static void *
make_ring(struct slabio_xdp_ring *ring, size_t entry)
{
	uint8_t *memory = aligned(256 + RING * entry);

	*ring = (struct slabio_xdp_ring){
		.producer = (_Atomic uint32_t *)memory,
		.consumer = (_Atomic uint32_t *)(memory + 64),
		.flags = (_Atomic uint32_t *)(memory + 128),
		.entries = memory + 256,
		.mask = RING - 1,
	};
	return memory;
}

/*
 * Mbufs one behind the other, or at a pitch of a page and aligned to it, as a slab pool with
 * pitch=pow2 has them.
 */
static struct rte_mempool *
make_pool(enum kind kind)
{
	const unsigned int elt = kind == IN_PAGES ? 4096 - 64 : sizeof(struct rte_mbuf) + 2176;
	struct rte_pktmbuf_pool_private priv = {
		.mbuf_data_room_size = elt - sizeof(struct rte_mbuf)};
	struct rte_mempool *mp = rte_mempool_create_empty("pool", MBUFS, elt, 0, sizeof(priv), 0,
		RTE_MEMPOOL_F_NO_SPREAD | RTE_MEMPOOL_F_NO_IOVA_CONTIG);
	const size_t size = (size_t)MBUFS * (elt + 64);

	assert_non_null(mp);
	assert_int_equal(rte_mempool_set_ops_byname(mp, "ring_mp_mc", NULL), 0);
	rte_pktmbuf_pool_init(mp, &priv);
	assert_int_equal(
		rte_mempool_populate_iova(mp, aligned(size), RTE_BAD_IOVA, size, free_memory, NULL),
		MBUFS);
	rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
	return mp;
}

/* Mbufs whose data lie elsewhere, one buffer behind the other. */
static struct rte_mempool *
make_external_pool(enum kind kind, void **buffers)
{
	const uint16_t size = kind == EXTERNAL_ALIGNED ? 2048 : 2176;
	struct rte_pktmbuf_extmem area = {.buf_len = (size_t)MBUFS * size, .elt_size = size};
	struct rte_mempool *mp;

	*buffers = area.buf_ptr = aligned(area.buf_len);
	area.buf_iova = (rte_iova_t)(uintptr_t)area.buf_ptr;
	mp = rte_pktmbuf_pool_create_extbuf("pool", MBUFS, 0, 0, size, 0, &area, 1);
	assert_non_null(mp);
	return mp;
}

static void
setup(struct fake *f, enum kind kind)
{
	int slot;

	f->buffers = NULL;
	f->mp = kind <= IN_PAGES ? make_pool(kind) : make_external_pool(kind, &f->buffers);
	f->mem = slabio_xdp_mem_get(f->mp, "test");
	assert_non_null(f->mem);
	assert_int_equal(f->mem->unaligned, kind == PACKED || kind == EXTERNAL_PACKED);
	slot = slabio_xdp_slot_get(f->mem);
	f->rxq = aligned(sizeof(*f->rxq));
	f->txq = aligned(sizeof(*f->txq));
	f->q = aligned(sizeof(*f->q));
	f->q->slot = slot;
	f->q->has_tx = true;
	f->rings[0] = make_ring(&f->q->rx.ring, sizeof(struct xdp_desc));
	f->rings[1] = make_ring(&f->q->rx.fill, sizeof(uint64_t));
	f->rings[2] = make_ring(&f->q->tx.ring, sizeof(struct xdp_desc));
	f->rings[3] = make_ring(&f->q->tx.completion, sizeof(uint64_t));
	f->q->rx.mem = f->q->tx.mem = f->mem;
	f->q->rx.tag = slabio_xdp_tag(slot, false);
	f->q->tx.tag = slabio_xdp_tag(slot, true);
	f->q->rx.fd = f->q->tx.fd = -1;
	f->q->rx.batch = 32;
	f->q->rx.rearm = slabio_xdp_rearm(3);
	f->q->rx.owed = RING;
	f->q->rx.queue = f->q;
	f->q->rx.q = f->rxq;
	f->q->tx.q = f->txq;
	f->q->tx.me = SLABIO_PRIMARY;
	f->q->tx.max_frame = f->mem->frame;
	f->q->tx.copy_room = f->mem->room;
	f->q->tx.max_segs = 4;
	f->txq->max_len = 1522;
	f->rxq->poll.owner = f->txq->poll.owner = SLABIO_PRIMARY;
	f->rxq->be = &f->q->rx;
	f->txq->be = &f->q->tx;
	f->rxq->running = f->txq->running = true;
	assert_true(slabio_xdp_refill(&f->q->rx));
	assert_int_equal(rte_mempool_avail_count(f->mp), MBUFS - RING);
}

static void
is_as_new(struct rte_mempool *mp, void *arg, void *obj, unsigned int i)
{
	const struct fake *f = arg;
	const struct rte_mbuf *m = obj;

	(void)i;
	assert_ptr_equal(m->pool, mp);
	assert_int_equal(rte_mbuf_refcnt_read(m), 1);
	assert_int_equal(m->nb_segs, 1);
	assert_null(m->next);
	if (f->buffers != NULL) {
		assert_true(m->ol_flags & RTE_MBUF_F_EXTERNAL);
		assert_int_equal(rte_mbuf_ext_refcnt_read(m->shinfo), 1);
	}
}

/* What the kernel never gave back is free again afterwards: every mbuf, once. */
static void
teardown(struct fake *f)
{
	unsigned int i;

	slabio_xdp_slot_put(f->mem, f->q->slot);
	slabio_xdp_mem_put(f->mem);
	rte_pktmbuf_free(f->rxq->head);
	assert_int_equal(rte_mempool_avail_count(f->mp), MBUFS);
	rte_mempool_audit(f->mp);
	rte_mempool_obj_iter(f->mp, is_as_new, f);
	rte_mempool_free(f->mp);
	free(f->buffers);
	for (i = 0; i < RTE_DIM(f->rings); i++)
		free(f->rings[i]);
	free(f->rxq);
	free(f->txq);
	free(f->q);
}

/* ---- the kernel's side ---- */

static uint64_t
take_fill(struct fake *f)
{
	struct slabio_xdp_ring *fill = &f->q->rx.fill;
	uint32_t cons = atomic_load(fill->consumer);

	assert_int_not_equal(cons, atomic_load(fill->producer));
	atomic_store(fill->consumer, cons + 1);
	return ((uint64_t *)fill->entries)[cons & fill->mask];
}

/* Where a packet is put into a frame, as the kernel would say it. */
static uint64_t
in_frame(const struct fake *f, uint64_t addr)
{
	if (f->mem->unaligned)
		return addr | (uint64_t)FRAME_OFF << XSK_UNALIGNED_BUF_OFFSET_SHIFT;
	return RTE_ALIGN_FLOOR(addr, f->mem->frame) + f->mem->headroom + FRAME_OFF;
}

static void
give_rx(struct fake *f, uint64_t addr, uint32_t len, uint32_t options)
{
	struct slabio_xdp_ring *ring = &f->q->rx.ring;
	uint32_t prod = atomic_load(ring->producer);

	((struct xdp_desc *)ring->entries)[prod & ring->mask] =
		(struct xdp_desc){.addr = addr, .len = len, .options = options};
	atomic_store(ring->producer, prod + 1);
}

static struct xdp_desc
take_tx(struct fake *f)
{
	struct slabio_xdp_ring *ring = &f->q->tx.ring;
	uint32_t cons = atomic_load(ring->consumer);

	assert_int_not_equal(cons, atomic_load(ring->producer));
	atomic_store(ring->consumer, cons + 1);
	return ((struct xdp_desc *)ring->entries)[cons & ring->mask];
}

static void
give_completion(struct fake *f, uint64_t addr)
{
	struct slabio_xdp_ring *ring = &f->q->tx.completion;
	uint32_t prod = atomic_load(ring->producer);

	((uint64_t *)ring->entries)[prod & ring->mask] = addr;
	atomic_store(ring->producer, prod + 1);
}

/* ---- tests, of packed and of aligned frames ---- */

static void
good_packet(struct fake *f)
{
	struct rte_mbuf *m;
	uint64_t addr = take_fill(f);

	give_rx(f, in_frame(f, addr), LEN, 0);
	assert_int_equal(slabio_xdp_rx_burst(f->rxq, &m, 1), 1);
	assert_int_equal(m->data_len, LEN);
	assert_int_equal(m->pkt_len, LEN);
	assert_int_equal(m->data_off, FRAME_OFF);
	assert_int_equal(m->port, 3);
	assert_int_equal(m->nb_segs, 1);
	assert_int_equal(rte_mbuf_refcnt_read(m), 1);
	rte_pktmbuf_free(m);
}

static void
received(struct fake *f)
{
	struct rte_mbuf *m;
	unsigned int i;

	for (i = 0; i < 10 * RING; i++)
		good_packet(f);
	/* of two frames, the second one after a poll */
	give_rx(f, in_frame(f, take_fill(f)), 1000, XDP_PKT_CONTD);
	assert_int_equal(slabio_xdp_rx_burst(f->rxq, &m, 1), 0);
	give_rx(f, in_frame(f, take_fill(f)), 500, 0);
	assert_int_equal(slabio_xdp_rx_burst(f->rxq, &m, 1), 1);
	assert_int_equal(m->pkt_len, 1500);
	assert_int_equal(m->nb_segs, 2);
	rte_pktmbuf_free(m);
	/* a packet of too many frames is dropped with all of them, and the next one is not */
	for (i = 0; i < 200; i++) {
		give_rx(f, in_frame(f, take_fill(f)), LEN, i < 199 ? XDP_PKT_CONTD : 0);
		assert_int_equal(slabio_xdp_rx_burst(f->rxq, &m, 1), 0);
	}
	assert_int_equal(slabio_counted(&f->rxq->stats[SLABIO_RX_OVERSIZE]), 1);
	good_packet(f);
	/* what there is of a packet at the end */
	give_rx(f, in_frame(f, take_fill(f)), LEN, XDP_PKT_CONTD);
	assert_int_equal(slabio_xdp_rx_burst(f->rxq, &m, 1), 0);
	assert_int_equal(slabio_counted(&f->rxq->stats[SLABIO_RX_BAD_DESCS]), 0);
}

/* An mbuf that is not to be had for the fill ring is one failure, however often it is asked for. */
static void
starved(struct fake *f)
{
	struct rte_mbuf *m[MBUFS], *got[RING];
	unsigned int i, n = rte_mempool_avail_count(f->mp);

	assert_int_equal(rte_pktmbuf_alloc_bulk(f->mp, m, n), 0);
	for (i = 0; i < 40; i++)
		give_rx(f, in_frame(f, take_fill(f)), LEN, 0);
	assert_int_equal(slabio_xdp_rx_burst(f->rxq, got, 40), 40);
	for (i = 0; i < 100; i++)
		assert_int_equal(slabio_xdp_rx_burst(f->rxq, &got[40], 1), 0);
	assert_int_equal(slabio_counted(&f->rxq->stats[SLABIO_RX_NOMBUF]), 40);
	/* ten of them are to be had again, then four more are missing, then none is */
	rte_pktmbuf_free_bulk(got, 10);
	assert_int_equal(slabio_xdp_rx_burst(f->rxq, &got[40], 1), 0);
	assert_int_equal(slabio_counted(&f->rxq->stats[SLABIO_RX_NOMBUF]), 40);
	for (i = 0; i < 4; i++)
		give_rx(f, in_frame(f, take_fill(f)), LEN, 0);
	assert_int_equal(slabio_xdp_rx_burst(f->rxq, got, 4), 4);
	assert_int_equal(slabio_counted(&f->rxq->stats[SLABIO_RX_NOMBUF]), 44);
	rte_pktmbuf_free_bulk(m, n);
	assert_int_equal(slabio_xdp_rx_burst(f->rxq, &got[40], 1), 0);
	assert_int_equal(f->q->rx.owed, 0);
	assert_int_equal(slabio_counted(&f->rxq->stats[SLABIO_RX_NOMBUF]), 44);
	rte_pktmbuf_free_bulk(got, 4);
	rte_pktmbuf_free_bulk(&got[10], 30);
	good_packet(f);
}

static void
lies_received(struct fake *f)
{
	const uint64_t used = take_fill(f), lent = take_fill(f);
	const uint64_t size = f->mem->granule;
	struct rte_mbuf *m[RING], *own = rte_pktmbuf_alloc(f->mp);
	const uint64_t lies[] = {
		0,
		1,
		UINT64_MAX,
		UINT64_MAX >> 16,
		f->mem->len,
		f->mem->len - 1,
		f->mem->origin - 1,
		in_frame(f, lent) + size * 1000,
		/* never lent: an mbuf of the application's */
		in_frame(f, slabio_xdp_fill_addr(f->mem, own)),
		/* lent once and returned already */
		in_frame(f, used),
		/* another buffer between two */
		f->mem->unaligned ? lent + 64 : UINT64_C(1) << 60,
	};
	unsigned int i;

	give_rx(f, in_frame(f, used), LEN, 0);
	assert_int_equal(slabio_xdp_rx_burst(f->rxq, m, 1), 1);
	for (i = 0; i < RTE_DIM(lies); i++)
		give_rx(f, lies[i], LEN, 0);
	assert_int_equal(slabio_xdp_rx_burst(f->rxq, &m[1], RING - 1), 0);
	assert_int_equal(slabio_counted(&f->rxq->stats[SLABIO_RX_BAD_DESCS]), RTE_DIM(lies));
	/* longer than its buffer; the mbuf is not lost for it */
	give_rx(f, in_frame(f, lent), f->mem->buf_len - FRAME_OFF + 1, 0);
	assert_int_equal(slabio_xdp_rx_burst(f->rxq, &m[1], 1), 0);
	assert_int_equal(slabio_counted(&f->rxq->stats[SLABIO_RX_BAD_DESCS]), RTE_DIM(lies) + 1);
	assert_int_equal(slabio_counted(&f->rxq->stats[SLABIO_RX_ERRORS]), RTE_DIM(lies) + 1);
	good_packet(f);
	rte_pktmbuf_free(m[0]);
	rte_pktmbuf_free(own);
}

static struct rte_mbuf *
packet(struct fake *f)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(f->mp);

	assert_non_null(m);
	assert_non_null(rte_pktmbuf_append(m, LEN));
	return m;
}

static void
sent(struct fake *f)
{
	struct rte_mbuf *m = packet(f);
	const unsigned int before = rte_mempool_avail_count(f->mp);
	struct xdp_desc d;
	unsigned int i;

	assert_int_equal(slabio_xdp_tx_burst(f->txq, &m, 1), 1);
	d = take_tx(f);
	assert_int_equal(d.len, LEN);
	assert_int_equal(d.options, 0);
	/* it is not back before the kernel says so, and then once however often it says so */
	assert_int_equal(slabio_xdp_complete(&f->q->tx), 0);
	assert_int_equal(rte_mempool_avail_count(f->mp), before);
	for (i = 0; i < 3; i++)
		give_completion(f, d.addr);
	give_completion(f, 12345);
	give_completion(f, UINT64_MAX);
	/* a frame of the fill ring was not sent */
	give_completion(f, take_fill(f));
	assert_int_equal(slabio_xdp_complete(&f->q->tx), 1);
	assert_int_equal(rte_mempool_avail_count(f->mp), before + 1);
	assert_int_equal(slabio_counted(&f->txq->stats[SLABIO_TX_BAD_COMPLETIONS]), 5);
}

static void
copied(struct fake *f)
{
	struct rte_mempool *others = rte_pktmbuf_pool_create("clones", 4, 0, 0, 0, 0);
	struct rte_mbuf *m = packet(f), *clone, *tail;
	struct xdp_desc d;

	memset(rte_pktmbuf_mtod(m, void *), 0x5a, LEN);
	clone = rte_pktmbuf_clone(m, others);
	assert_non_null(clone);
	/* one that a clone refers to, or the clone itself, is not the kernel's to have */
	assert_false(slabio_xdp_is_whole(f->mem, m));
	assert_int_equal(slabio_xdp_tx_burst(f->txq, &clone, 1), 1);
	d = take_tx(f);
	assert_int_equal(d.len, LEN);
	assert_true(slabio_xdp_is_whole(f->mem, m));
	assert_int_equal(rte_mempool_avail_count(others), 4);
	rte_mempool_free(others);
	give_completion(f, d.addr);
	rte_mbuf_refcnt_update(m, 1);
	assert_int_equal(slabio_xdp_tx_burst(f->txq, &m, 1), 1);
	give_completion(f, take_tx(f).addr);
	assert_int_equal(rte_mbuf_refcnt_read(m), 1);
	assert_int_equal(slabio_counted(&f->txq->stats[SLABIO_TX_COPIES]), 2);
	/* a chain is sent as it is, and each segment comes back by itself */
	tail = packet(f);
	assert_int_equal(rte_pktmbuf_chain(m, tail), 0);
	assert_int_equal(slabio_xdp_tx_burst(f->txq, &m, 1), 1);
	d = take_tx(f);
	assert_int_equal(d.options, XDP_PKT_CONTD);
	give_completion(f, d.addr);
	d = take_tx(f);
	assert_int_equal(d.options, 0);
	give_completion(f, d.addr);
	slabio_xdp_complete(&f->q->tx);
	assert_int_equal(slabio_counted(&f->txq->stats[SLABIO_TX_COPIES]), 2);
	assert_int_equal(slabio_counted(&f->txq->stats[SLABIO_TX_BAD_COMPLETIONS]), 0);
	/* nothing at all, and too much */
	m = rte_pktmbuf_alloc(f->mp);
	assert_int_equal(slabio_xdp_tx_burst(f->txq, &m, 1), 1);
	assert_int_equal(slabio_counted(&f->txq->stats[SLABIO_TX_RUNTS]), 1);
	m = rte_pktmbuf_alloc(f->mp);
	assert_non_null(rte_pktmbuf_append(m, 1523));
	assert_int_equal(slabio_xdp_tx_burst(f->txq, &m, 1), 1);
	assert_int_equal(slabio_counted(&f->txq->stats[SLABIO_TX_OVERSIZE]), 1);
	assert_int_equal(slabio_counted(&f->txq->stats[SLABIO_TX_ERRORS]), 2);
}

/* A tag is put into an mbuf of one's own, or into a copy; that is sent as it is. */
static void
offloads(struct fake *f)
{
	const unsigned int before = rte_mempool_avail_count(f->mp);
	struct rte_mbuf *m = packet(f);
	struct xdp_desc d;

	f->txq->soft = RTE_ETH_TX_OFFLOAD_VLAN_INSERT;
	m->ol_flags |= RTE_MBUF_F_TX_VLAN;
	m->vlan_tci = 7;
	assert_int_equal(slabio_xdp_tx_burst(f->txq, &m, 1), 1);
	d = take_tx(f);
	assert_int_equal(d.len, LEN + sizeof(struct rte_vlan_hdr));
	assert_int_equal(slabio_counted(&f->txq->stats[SLABIO_TX_COPIES]), 0);
	give_completion(f, d.addr);
	assert_int_equal(slabio_xdp_complete(&f->q->tx), 1);
	assert_int_equal(rte_mempool_avail_count(f->mp), before);
}

/* A datagram whose checksum is to be filled in. */
static struct rte_mbuf *
datagram(struct rte_mempool *mp, uint16_t data_off)
{
	const struct rte_ipv4_hdr ip = {.version_ihl = RTE_IPV4_VHL_DEF,
		.total_length = rte_cpu_to_be_16(LEN - sizeof(struct rte_ether_hdr)),
		.next_proto_id = IPPROTO_UDP};
	struct rte_mbuf *m = rte_pktmbuf_alloc(mp);

	assert_non_null(m);
	/* what somebody else has left there */
	memset(m->buf_addr, 0xff, m->buf_len);
	m->data_off = data_off;
	memset(rte_pktmbuf_append(m, LEN), 0, LEN);
	m->l2_len = sizeof(struct rte_ether_hdr);
	m->l3_len = sizeof(ip);
	memcpy(rte_pktmbuf_mtod_offset(m, void *, m->l2_len), &ip, sizeof(ip));
	m->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_UDP_CKSUM;
	return m;
}

/* Where the kernel looks: in front of the packet that a descriptor names, if that is one for it. */
static struct slabio_xdp_tx_meta
meta_of(const struct fake *f, const struct xdp_desc *d)
{
	const struct slabio_xdp_mem *mem = f->mem;
	struct slabio_xdp_tx_meta meta;
	uint64_t at = d->addr;

	if (mem->unaligned)
		at = (at & XSK_UNALIGNED_BUF_ADDR_MASK) + (at >> XSK_UNALIGNED_BUF_OFFSET_SHIFT);
	assert_true(at >= sizeof(meta));
	at -= sizeof(meta);
	assert_true((mem->unaligned ? 0 : at % mem->frame) + sizeof(meta) + d->len <= mem->frame);
	memcpy(&meta, (char *)mem->base + at, sizeof(meta));
	return meta;
}

static void
is_for_the_kernel(const struct fake *f, const struct xdp_desc *d)
{
	const struct slabio_xdp_tx_meta meta = meta_of(f, d);

	assert_true(d->options & XDP_TX_METADATA);
	assert_int_equal(meta.flags, XDP_TXMD_FLAGS_CHECKSUM);
	assert_int_equal(meta.csum_start, 34);
	assert_int_equal(meta.csum_offset, 6);
	assert_int_equal(meta.launch_time, 0);
}

static struct xdp_desc
send_one(struct fake *f, struct rte_mbuf *m)
{
	struct xdp_desc d;

	assert_int_equal(slabio_xdp_tx_burst(f->txq, &m, 1), 1);
	d = take_tx(f);
	give_completion(f, d.addr);
	return d;
}

static uint64_t
tx_counted(const struct fake *f, enum slabio_tx_stat stat)
{
	return slabio_counted(&f->txq->stats[stat]);
}

/* The sum of the payload is left to the kernel, by metadata in front of the packet. */
static void
left_to_kernel(struct fake *f)
{
	const unsigned int before = rte_mempool_avail_count(f->mp);
	struct rte_mempool *others = rte_pktmbuf_pool_create("others", 4, 0, 0, 2176, 0);
	struct rte_mbuf *m;
	struct xdp_desc d;

	f->txq->soft = SLABIO_TX_SOFT;
	f->q->tx.meta_len = sizeof(struct slabio_xdp_tx_meta);
	f->q->tx.max_frame = f->mem->frame - f->q->tx.meta_len;
	d = send_one(f, datagram(f->mp, 128));
	is_for_the_kernel(f, &d);
	assert_int_equal(d.options, XDP_TX_METADATA);
	/* just enough room, and too little: a copy has it, and so has one of another's mbuf */
	d = send_one(f, datagram(f->mp, sizeof(struct slabio_xdp_tx_meta)));
	is_for_the_kernel(f, &d);
	assert_int_equal(tx_counted(f, SLABIO_TX_COPIES), 0);
	d = send_one(f, datagram(f->mp, sizeof(struct slabio_xdp_tx_meta) - 1));
	is_for_the_kernel(f, &d);
	d = send_one(f, datagram(others, 128));
	is_for_the_kernel(f, &d);
	m = datagram(f->mp, 128);
	rte_mbuf_refcnt_update(m, 1);
	d = send_one(f, m);
	is_for_the_kernel(f, &d);
	/* the one that somebody else has is as it was */
	assert_int_equal(*rte_pktmbuf_mtod_offset(m, uint16_t *, 40), 0);
	assert_int_equal(rte_pktmbuf_mtod(m, uint8_t *)[-1], 0xff);
	rte_pktmbuf_free(m);
	assert_int_equal(tx_counted(f, SLABIO_TX_COPIES), 3);
	/* a packet without such a wish, of which a zero-copy driver reads what is in front of it */
	m = datagram(f->mp, 128);
	m->ol_flags &= ~(RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_UDP_CKSUM);
	d = send_one(f, m);
	assert_int_equal(d.options, 0);
	f->q->tx.zero_copy = true;
	m = datagram(f->mp, 128);
	m->ol_flags &= ~(RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_UDP_CKSUM);
	d = send_one(f, m);
	assert_int_equal(d.options, 0);
	assert_int_equal(meta_of(f, &d).flags, 0);
	assert_int_equal(tx_counted(f, SLABIO_TX_KERNEL_CSUMS), 5);
	assert_int_equal(tx_counted(f, SLABIO_TX_SOFTWARE_CSUMS), 0);
	rte_mempool_free(others);
	slabio_xdp_complete(&f->q->tx);
	assert_int_equal(rte_mempool_avail_count(f->mp), before);
}

/* Of a chain the first segment says it for all. What the kernel must not sum up, the port does. */
static void
left_of_chains(struct fake *f)
{
	struct rte_mbuf *m = datagram(f->mp, 128), *tail = packet(f);
	struct rte_ipv4_hdr *ip;
	struct xdp_desc d;

	f->txq->soft = SLABIO_TX_SOFT;
	f->q->tx.meta_len = sizeof(struct slabio_xdp_tx_meta);
	f->q->tx.max_frame = f->mem->frame - f->q->tx.meta_len;
	ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, m->l2_len);
	ip->total_length = rte_cpu_to_be_16(2 * LEN - sizeof(struct rte_ether_hdr));
	assert_int_equal(rte_pktmbuf_chain(m, tail), 0);
	d = send_one(f, m);
	is_for_the_kernel(f, &d);
	assert_int_equal(d.options, XDP_TX_METADATA | XDP_PKT_CONTD);
	d = take_tx(f);
	assert_int_equal(d.options, 0);
	give_completion(f, d.addr);
	/* the same with a byte too much */
	m = datagram(f->mp, 128);
	assert_non_null(rte_pktmbuf_append(m, 1));
	d = send_one(f, m);
	assert_int_equal(d.options, 0);
	assert_int_equal(tx_counted(f, SLABIO_TX_KERNEL_CSUMS), 1);
	assert_int_equal(tx_counted(f, SLABIO_TX_SOFTWARE_CSUMS), 1);
	/* and on a port whose kernel knows no metadata */
	f->q->tx.meta_len = 0;
	d = send_one(f, datagram(f->mp, 128));
	assert_int_equal(d.options, 0);
	assert_int_equal(tx_counted(f, SLABIO_TX_SOFTWARE_CSUMS), 2);
	slabio_xdp_complete(&f->q->tx);
}

/* A full ring leaves packets with the caller; the kernel's index may be nonsense. */
static void
full(struct fake *f)
{
	struct rte_mbuf *m[RING + 8];
	unsigned int i;

	for (i = 0; i < RTE_DIM(m); i++)
		m[i] = packet(f);
	assert_int_equal(slabio_xdp_tx_burst(f->txq, m, RTE_DIM(m)), RING);
	assert_int_equal(slabio_counted(&f->txq->stats[SLABIO_TX_BACKPRESSURE]), 1);
	for (i = RING; i < RTE_DIM(m); i++)
		rte_pktmbuf_free(m[i]);
	atomic_store(f->q->tx.ring.consumer, 5000);
	m[0] = packet(f);
	assert_int_equal(slabio_xdp_tx_burst(f->txq, m, 1), 0);
	rte_pktmbuf_free(m[0]);
	atomic_store(f->q->tx.ring.consumer, 0);
}

static uint64_t
any(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Whatever is in the rings: no crash, and every mbuf is somewhere exactly once. */
static void
noise(struct fake *f)
{
	uint64_t state = 88172645463325252, lent[RING] = {0}, out[RING] = {0};
	struct rte_mbuf *m[32];
	unsigned int round, i, n;

	for (round = 0; round < 20000; round++) {
		struct slabio_xdp_ring *fill = &f->q->rx.fill, *tx = &f->q->tx.ring;
		uint64_t r = any(&state), addr = lent[r % RING];

		while (atomic_load(fill->consumer) != atomic_load(fill->producer))
			lent[any(&state) % RING] = take_fill(f);
		while (atomic_load(tx->consumer) != atomic_load(tx->producer))
			out[any(&state) % RING] = take_tx(f).addr;
		for (i = 0; i < r % 8; i++) {
			addr = in_frame(f, lent[any(&state) % RING]);
			if (any(&state) % 4 == 0)
				addr ^= UINT64_C(1) << any(&state) % 64;
			if (any(&state) % 16 == 0)
				addr = any(&state);
			if (atomic_load(f->q->rx.ring.producer) -
					atomic_load(f->q->rx.ring.consumer) <
				RING)
				give_rx(f, addr, any(&state) % 2300,
					any(&state) % 4 == 0 ? XDP_PKT_CONTD : 0);
			addr = out[any(&state) % RING];
			if (any(&state) % 4 == 0)
				addr ^= UINT64_C(1) << any(&state) % 64;
			if (atomic_load(f->q->tx.completion.producer) -
					atomic_load(f->q->tx.completion.consumer) <
				RING)
				give_completion(f, addr);
		}
		/* an index that jumps: a ring's worth is looked at, nothing more */
		if (any(&state) % 500 == 0)
			atomic_store(f->q->tx.completion.producer,
				atomic_load(f->q->tx.completion.producer) + 3000);
		n = slabio_xdp_rx_burst(f->rxq, m, RTE_DIM(m));
		i = slabio_xdp_tx_burst(f->txq, m, n);
		rte_pktmbuf_free_bulk(m + i, n - i);
		atomic_store(f->q->tx.completion.producer, f->q->tx.completion.cons);
	}
	assert_true(slabio_counted(&f->rxq->stats[SLABIO_RX_BAD_DESCS]) > 0);
	assert_true(slabio_counted(&f->txq->stats[SLABIO_TX_BAD_COMPLETIONS]) > 0);
	assert_true(slabio_counted(&f->txq->stats[SLABIO_TX_PACKETS]) > 1000);
}

static void
run_on(enum kind kind, void (*test)(struct fake *))
{
	struct fake f;

	setup(&f, kind);
	test(&f);
	teardown(&f);
}

/* clang-format off */
#define EACH(name) \
	static void name##_packed(void **state) { (void)state; run_on(PACKED, name); } \
	static void name##_in_pages(void **state) { (void)state; run_on(IN_PAGES, name); } \
	static void name##_external_packed(void **state) { (void)state; run_on(EXTERNAL_PACKED, name); } \
	static void name##_external_aligned(void **state) { (void)state; run_on(EXTERNAL_ALIGNED, name); }
#define TESTS(name) \
	cmocka_unit_test(name##_packed), cmocka_unit_test(name##_in_pages), \
	cmocka_unit_test(name##_external_packed), cmocka_unit_test(name##_external_aligned)
/* clang-format on */

EACH(received)
EACH(starved)
EACH(lies_received)
EACH(sent)
EACH(copied)
EACH(offloads)
EACH(left_to_kernel)
EACH(left_of_chains)
EACH(full)
EACH(noise)

static void
unfit_pools_are_refused(void **state)
{
	struct rte_mempool *mp = rte_pktmbuf_pool_create("small", 64, 0, 0, 1024, 0);

	(void)state;
	assert_non_null(mp);
	assert_null(slabio_xdp_mem_get(mp, "test"));
	assert_int_equal(rte_errno, EINVAL);
	rte_mempool_free(mp);
}

/* What lies between two areas of buffers is not for the kernel. */
static void
scattered_external_buffers_are_refused(void **state)
{
	uint8_t *memory = aligned(3 * 64 * 2048);
	struct rte_pktmbuf_extmem areas[2] = {
		{.buf_ptr = memory, .buf_len = 64 * 2048, .elt_size = 2048},
		{.buf_ptr = memory + 2 * 64 * 2048, .buf_len = 64 * 2048, .elt_size = 2048}};
	struct rte_mempool *mp;

	(void)state;
	areas[0].buf_iova = (rte_iova_t)(uintptr_t)areas[0].buf_ptr;
	areas[1].buf_iova = (rte_iova_t)(uintptr_t)areas[1].buf_ptr;
	mp = rte_pktmbuf_pool_create_extbuf("two", 128, 0, 0, 2048, 0, areas, 2);
	assert_non_null(mp);
	assert_null(slabio_xdp_mem_get(mp, "test"));
	assert_int_equal(rte_errno, EINVAL);
	rte_mempool_free(mp);
	free(memory);
}

static void
one_registration_serves_all_sockets_of_a_pool(void **state)
{
	struct rte_mempool *mp = rte_pktmbuf_pool_create("many", 64, 0, 0, 2176, 0);
	struct slabio_xdp_mem *first = slabio_xdp_mem_get(mp, "one");
	struct slabio_xdp_mem *second = slabio_xdp_mem_get(mp, "two");
	unsigned int i;

	(void)state;
	assert_non_null(first);
	assert_ptr_equal(first, second);
	for (i = 0; i < SLABIO_XDP_SOCKETS; i++)
		assert_int_equal(slabio_xdp_slot_get(first), i);
	assert_int_equal(slabio_xdp_slot_get(first), -ENOSPC);
	assert_int_equal(slabio_xdp_slot_put(first, 77), 0);
	assert_int_equal(slabio_xdp_slot_get(first), 77);
	slabio_xdp_mem_put(first);
	slabio_xdp_mem_put(second);
	rte_mempool_free(mp);
}

int
main(void)
{
	char *args[] = {"test", "--no-huge", "-m", "64", "--no-pci", "--no-shconf",
		"--no-telemetry", "--log-level=lib.eal:error", "-l", "0", NULL};
	const struct CMUnitTest tests[] = {
		TESTS(received),
		TESTS(starved),
		TESTS(lies_received),
		TESTS(sent),
		TESTS(copied),
		TESTS(offloads),
		TESTS(left_to_kernel),
		TESTS(left_of_chains),
		TESTS(full),
		TESTS(noise),
		cmocka_unit_test(unfit_pools_are_refused),
		cmocka_unit_test(scattered_external_buffers_are_refused),
		cmocka_unit_test(one_registration_serves_all_sockets_of_a_pool),
	};
	int ret;

	if (rte_eal_init((int)RTE_DIM(args) - 1, args) < 0)
		return 1;
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	rte_eal_cleanup();
	return ret;
}
