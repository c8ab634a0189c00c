/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The kernel's side of AF_XDP rings, of any content: descriptors, completions and indices. The
 * input is a sequence of what the kernel and the application do. A model of who has which frame
 * says what has to come of it: which packets are received, how many descriptors and completions
 * are invalid and counted, and that in the end every mbuf is back in its pool once, as new.
 *
 * The first byte chooses the pool's frames and the offloads.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "slabio_xdp.h"
#include "fuzz_eal.h"

#define MBUFS	  160
#define RING	  32
#define BURST	  16
#define APP_MAX	  64
#define CHAIN_MAX 64 /* frames of a packet that are received */
#define KINDS	  4
#define BUF_MAX	  4096
#define PORT	  3

int slabio_logtype;
pthread_mutex_t slabio_xdp_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- the input ---- */

static const uint8_t *at, *end;

static uint64_t
take(unsigned int bytes)
{
	uint64_t value = 0;

	while (bytes-- != 0 && at < end)
		value = value << 8 | *at++;
	return value;
}

/* ---- pools ---- */

static struct kind {
	struct rte_mempool *mp;
	struct slabio_xdp_mem *mem;
	struct rte_mbuf *mbufs[MBUFS];
	bool external;
} kinds[KINDS], *k;

static struct rte_mempool *others;

static void
keep(struct rte_mempool *mp __rte_unused, void *arg, void *obj, unsigned int i)
{
	((struct kind *)arg)->mbufs[i] = obj;
}

static void *
aligned(size_t size)
{
	void *p = NULL;

	expect(posix_memalign(&p, 4096, size) == 0);
	memset(p, 0, size);
	return p;
}

/* Mbufs one behind the other, or one in each page. */
static struct rte_mempool *
make_pool(const char *name, bool page)
{
	const unsigned int elt = page ? 4096 - 64 : sizeof(struct rte_mbuf) + 2176;
	struct rte_pktmbuf_pool_private priv = {
		.mbuf_data_room_size = (uint16_t)(elt - sizeof(struct rte_mbuf))};
	struct rte_mempool *mp = rte_mempool_create_empty(name, MBUFS, elt, 0, sizeof(priv), 0,
		RTE_MEMPOOL_F_NO_SPREAD | RTE_MEMPOOL_F_NO_IOVA_CONTIG);
	const size_t size = (size_t)MBUFS * (elt + 64);

	expect(mp != NULL && rte_mempool_set_ops_byname(mp, "ring_mp_mc", NULL) == 0);
	rte_pktmbuf_pool_init(mp, &priv);
	expect(rte_mempool_populate_iova(mp, aligned(size), RTE_BAD_IOVA, size, NULL, NULL) ==
		MBUFS);
	rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
	return mp;
}

static struct rte_mempool *
make_external_pool(const char *name, uint16_t size)
{
	struct rte_pktmbuf_extmem area = {.buf_len = (size_t)MBUFS * size, .elt_size = size};

	area.buf_ptr = aligned(area.buf_len);
	area.buf_iova = (rte_iova_t)(uintptr_t)area.buf_ptr;
	return rte_pktmbuf_pool_create_extbuf(name, MBUFS, 0, 0, size, SOCKET_ID_ANY, &area, 1);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);

int
LLVMFuzzerInitialize(int *argc __rte_unused, char ***argv)
{
	unsigned int i;

	fuzz_start_eal((*argv)[0]);
	kinds[0].mp = make_pool("packed", false);
	kinds[1].mp = make_pool("pages", true);
	kinds[2].mp = make_external_pool("external", 2176);
	kinds[3].mp = make_external_pool("aligned", 2048);
	for (i = 0; i < KINDS; i++) {
		kinds[i].external = i >= 2;
		expect(kinds[i].mp != NULL);
		rte_mempool_obj_iter(kinds[i].mp, keep, &kinds[i]);
		kinds[i].mem = slabio_xdp_mem_get(kinds[i].mp, "fuzz");
		expect(kinds[i].mem != NULL && kinds[i].mem->unaligned == (i % 2 == 0));
	}
	others = rte_pktmbuf_pool_create("others", MBUFS, 0, 0, 2176, SOCKET_ID_ANY);
	expect(others != NULL);
	return 0;
}

/* ---- the queue, and the model of it ---- */

static struct slabio_rxq rxq;
static struct slabio_txq txq;
static struct slabio_xdp_queue queue;
static uint8_t memory[4][256 + RING * sizeof(struct xdp_desc)] __rte_cache_aligned;

enum place { ELSEWHERE, LENT, SENT };

static struct {
	enum place place[MBUFS];
	uint32_t rx_cons, fill_prod, tx_prod, completion_cons;
	uint64_t bad_rx, bad_completions, oversize, delivered;
	/* the frames of a packet whose last one has not come */
	unsigned int pending[CHAIN_MAX], n_pending;
	/* the rest of a packet that was given up follows */
	bool skip;
	/* what the next burst has to deliver, packet after packet */
	unsigned int frames[BURST + CHAIN_MAX], segs[BURST], n_frames, n_packets;
} model;

static struct rte_mbuf *app[APP_MAX];
static unsigned int n_app;

static unsigned int
number_of(const struct rte_mbuf *m)
{
	unsigned int i;

	for (i = 0; i < MBUFS; i++)
		if (k->mbufs[i] == m)
			return i;
	expect(false);
	return 0;
}

/* The ring address of an mbuf's buffer, without any offset. */
static uint64_t
address_of(unsigned int i)
{
	return (uintptr_t)k->mbufs[i]->buf_addr - k->mem->base;
}

/* The mbuf that a ring address names: -1 if none does. The offset is from its buffer's start. */
static int
named_by(uint64_t addr, int64_t *offset)
{
	unsigned int i;

	for (i = 0; i < MBUFS; i++) {
		const uint64_t buf = address_of(i);

		if (k->mem->unaligned) {
			*offset = (int64_t)(addr >> 48);
			if (buf == (addr & (UINT64_MAX >> 16)))
				return (int)i;
		} else {
			*offset = (int64_t)(addr - buf);
			if (addr / k->mem->frame == buf / k->mem->frame)
				return (int)i;
		}
	}
	return -1;
}

static void
check_mbuf(struct rte_mbuf *m, unsigned int first)
{
	const struct rte_mbuf *s;
	const char *reason;

	expect(rte_mbuf_check(m, 1, &reason) == 0 && m->port == PORT);
	for (s = m; s != NULL; s = s->next, first++) {
		expect(s == k->mbufs[model.frames[first]] && s->pool == k->mp);
		expect(rte_mbuf_refcnt_read(s) == 1);
		expect(!(s->ol_flags & RTE_MBUF_F_INDIRECT));
		expect(!!(s->ol_flags & RTE_MBUF_F_EXTERNAL) == k->external);
	}
}

/* What a burst of n has to do with what is in the ring. */
static void
predict_rx(uint16_t n)
{
	const struct xdp_desc *descs = queue.rx.ring.entries;
	uint32_t ready = *queue.rx.ring.producer - model.rx_cons;
	uint32_t i;

	model.n_frames = model.n_packets = 0;
	ready = RTE_MIN(RTE_MIN(ready, (uint32_t)RING), n);
	for (i = 0; i < ready; i++) {
		const struct xdp_desc *d = &descs[model.rx_cons++ % RING];
		int64_t offset = 0;
		int frame = named_by(d->addr, &offset);

		if (frame < 0 || model.place[frame] != LENT) {
			model.bad_rx++;
			continue;
		}
		model.place[frame] = ELSEWHERE;
		if (offset < 0 || offset + (int64_t)d->len > k->mem->buf_len) {
			model.bad_rx++;
			continue;
		}
		if (model.n_pending == CHAIN_MAX) {
			model.oversize++;
			model.n_pending = 0;
			model.skip = true;
		}
		if (model.skip) {
			model.skip = (d->options & XDP_PKT_CONTD) != 0;
			continue;
		}
		model.pending[model.n_pending++] = (unsigned int)frame;
		if (d->options & XDP_PKT_CONTD)
			continue;
		memcpy(&model.frames[model.n_frames], model.pending,
			model.n_pending * sizeof(model.pending[0]));
		model.n_frames += model.n_pending;
		model.segs[model.n_packets++] = model.n_pending;
		model.n_pending = 0;
	}
}

static void
predict_completions(void)
{
	const uint64_t *addrs = queue.tx.completion.entries;
	uint32_t ready = *queue.tx.completion.producer - model.completion_cons;
	int64_t offset;

	for (ready = RTE_MIN(ready, (uint32_t)RING); ready != 0; ready--) {
		int frame = named_by(addrs[model.completion_cons++ % RING], &offset);

		if (frame >= 0 && model.place[frame] == SENT)
			model.place[frame] = ELSEWHERE;
		else
			model.bad_completions++;
	}
}

/* What the kernel would neither send nor leave out if it were anything else. */
static void
look_at_meta(int frame, int64_t offset, uint32_t len)
{
	struct slabio_xdp_tx_meta meta;

	expect(queue.tx.meta_len == sizeof(meta));
	memcpy(&meta, (char *)k->mbufs[frame]->buf_addr + offset - sizeof(meta), sizeof(meta));
	expect(meta.flags == XDP_TXMD_FLAGS_CHECKSUM && meta.launch_time == 0);
	expect(meta.csum_start != 0 && meta.csum_start + meta.csum_offset + 2u <= len);
}

/* Whatever is in a ring for the kernel was nowhere else. */
static void
look_at_rings(void)
{
	const uint64_t *fill = queue.rx.fill.entries;
	const struct xdp_desc *descs = queue.tx.ring.entries;
	int64_t offset = 0;
	int i;

	for (; model.fill_prod != *queue.rx.fill.producer; model.fill_prod++) {
		i = named_by(fill[model.fill_prod % RING], &offset);
		expect(i >= 0 && model.place[i] == ELSEWHERE);
		model.place[i] = LENT;
	}
	for (; model.tx_prod != *queue.tx.ring.producer; model.tx_prod++) {
		const struct xdp_desc *d = &descs[model.tx_prod % RING];

		i = named_by(d->addr, &offset);
		expect(i >= 0 && model.place[i] == ELSEWHERE);
		expect(offset >= 0 && d->len != 0 && offset + (int64_t)d->len <= k->mem->buf_len);
		/* as the kernel looks at it where there may be metadata */
		expect(offset >= queue.tx.meta_len && d->len + queue.tx.meta_len <= k->mem->frame);
		if (d->options & XDP_TX_METADATA)
			look_at_meta(i, offset, d->len);
		model.place[i] = SENT;
	}
	for (i = 0; i < (int)n_app; i++)
		if (app[i]->pool == k->mp)
			expect(model.place[number_of(app[i])] == ELSEWHERE);
}

static void
make_ring(struct slabio_xdp_ring *ring, unsigned int number)
{
	uint8_t *m = memory[number];

	memset(m, 0, sizeof(memory[number]));
	*ring = (struct slabio_xdp_ring){.producer = (_Atomic uint32_t *)m,
		.consumer = (_Atomic uint32_t *)(m + 64),
		.flags = (_Atomic uint32_t *)(m + 128),
		.entries = m + 256,
		.mask = RING - 1};
}

/* The pool in the same order each time, so that an input always does the same. */
static void
begin(uint8_t how)
{
	struct rte_mbuf *all[MBUFS];

	k = &kinds[how % KINDS];
	expect(rte_mempool_get_bulk(k->mp, (void **)all, MBUFS) == 0);
	rte_mempool_put_bulk(k->mp, (void **)k->mbufs, MBUFS);
	memset(&rxq, 0, sizeof(rxq));
	memset(&txq, 0, sizeof(txq));
	memset(&queue, 0, sizeof(queue));
	memset(&model, 0, sizeof(model));
	n_app = 0;
	queue.slot = slabio_xdp_slot_get(k->mem);
	expect(queue.slot == 0);
	make_ring(&queue.rx.ring, 0);
	make_ring(&queue.rx.fill, 1);
	make_ring(&queue.tx.ring, 2);
	make_ring(&queue.tx.completion, 3);
	queue.rx.mem = queue.tx.mem = k->mem;
	queue.rx.tag = slabio_xdp_tag(queue.slot, false);
	queue.tx.tag = slabio_xdp_tag(queue.slot, true);
	queue.rx.fd = queue.tx.fd = -1;
	queue.rx.batch = 8;
	queue.rx.rearm = slabio_xdp_rearm(PORT);
	queue.rx.owed = RING;
	queue.rx.queue = &queue;
	queue.rx.q = &rxq;
	queue.tx.q = &txq;
	queue.tx.me = SLABIO_PRIMARY;
	rxq.poll.owner = txq.poll.owner = SLABIO_PRIMARY;
	queue.tx.meta_len = how & 64 ? sizeof(struct slabio_xdp_tx_meta) : 0;
	queue.tx.max_frame = k->mem->frame - queue.tx.meta_len;
	queue.tx.copy_room = k->mem->room;
	queue.tx.max_segs = how & 4 ? 4 : 1;
	txq.max_len = how & 8 ? 9000 : 1522;
	queue.tx.zero_copy = how & 16;
	rxq.soft = how & 32 ? RTE_ETH_RX_OFFLOAD_VLAN_STRIP | RTE_ETH_RX_OFFLOAD_CHECKSUM : 0;
	txq.soft = RTE_ETH_TX_OFFLOAD_VLAN_INSERT | RTE_ETH_TX_OFFLOAD_IPV4_CKSUM |
		   RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
	rxq.be = &queue.rx;
	txq.be = &queue.tx;
	rxq.running = txq.running = true;
	expect(slabio_xdp_refill(&queue.rx));
	look_at_rings();
}

/* As after the closing of a socket: every mbuf is back, once, and as new. */
static void
finish(void)
{
	struct rte_mbuf *all[MBUFS];
	bool seen[MBUFS] = {false};
	unsigned int i;

	expect(slabio_counted(&rxq.stats[SLABIO_RX_BAD_DESCS]) == model.bad_rx);
	expect(slabio_counted(&rxq.stats[SLABIO_RX_OVERSIZE]) == model.oversize);
	expect(slabio_counted(&rxq.stats[SLABIO_RX_ERRORS]) == model.bad_rx + model.oversize);
	expect(slabio_counted(&rxq.stats[SLABIO_RX_PACKETS]) == model.delivered);
	expect(slabio_counted(&txq.stats[SLABIO_TX_BAD_COMPLETIONS]) == model.bad_completions);
	rte_pktmbuf_free_bulk(app, n_app);
	rte_pktmbuf_free(rxq.head);
	slabio_xdp_slot_put(k->mem, queue.slot);
	expect(rte_mempool_avail_count(others) == MBUFS);
	expect(rte_mempool_avail_count(k->mp) == MBUFS);
	expect(rte_mempool_get_bulk(k->mp, (void **)all, MBUFS) == 0);
	for (i = 0; i < MBUFS; i++) {
		const unsigned int n = number_of(all[i]);

		expect(!seen[n] && k->mem->holder[n] == 0);
		seen[n] = true;
		expect(rte_mbuf_refcnt_read(all[i]) == 1 && all[i]->nb_segs == 1);
		expect(all[i]->next == NULL && all[i]->pool == k->mp);
		expect(!k->external || ((all[i]->ol_flags & RTE_MBUF_F_EXTERNAL) &&
					       rte_mbuf_ext_refcnt_read(all[i]->shinfo) == 1));
	}
	rte_mempool_put_bulk(k->mp, (void **)k->mbufs, MBUFS);
}

/* ---- what the kernel does ---- */

/* A frame in some state, the n-th one; any frame if none is in it. */
static unsigned int
frame_in(enum place place, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < MBUFS; i++)
		if (model.place[(i + n) % MBUFS] == place)
			return (i + n) % MBUFS;
	return n % MBUFS;
}

static uint64_t
with_offset(uint64_t addr, uint64_t offset)
{
	return k->mem->unaligned ? addr | offset << 48 : addr + offset;
}

static void
put_rx(uint64_t addr, uint32_t len, uint32_t options)
{
	struct slabio_xdp_ring *ring = &queue.rx.ring;
	struct xdp_desc *descs = ring->entries;

	descs[*ring->producer % RING] =
		(struct xdp_desc){.addr = addr, .len = len, .options = options};
	++*ring->producer;
}

static void
put_completion(uint64_t addr)
{
	struct slabio_xdp_ring *ring = &queue.tx.completion;
	uint64_t *addrs = ring->entries;

	addrs[*ring->producer % RING] = addr;
	++*ring->producer;
}

static void
receives(bool sane)
{
	const unsigned int frame = frame_in(LENT, take(1));
	const uint64_t how = take(1);
	uint64_t addr = with_offset(address_of(frame), 256 + how % 64);
	uint32_t len = (uint32_t)take(2) % 2048;

	if (sane) {
		/* what is in the packet: the input as it goes on */
		uint8_t *data = (uint8_t *)k->mbufs[frame]->buf_addr + 256 + how % 64;
		const size_t n = RTE_MIN((size_t)(end - at), (size_t)how);

		if (model.place[frame] == LENT)
			memcpy(data, at, n);
	} else if (how & 0x40) {
		/* to the buffer's last byte, or a little less or more */
		len = k->mem->buf_len - (uint32_t)(256 + how % 64) + (uint32_t)(take(1) % 5) - 2;
	} else {
		addr ^= UINT64_C(1) << take(1) % 64;
		len ^= UINT32_C(1) << take(1) % 32;
	}
	put_rx(addr, len, how & 0x80 ? XDP_PKT_CONTD : 0);
}

static void
an_index_jumps(void)
{
	struct slabio_xdp_ring *rings[] = {
		&queue.rx.ring, &queue.rx.fill, &queue.tx.ring, &queue.tx.completion};
	const uint64_t which = take(1);
	struct slabio_xdp_ring *ring = rings[which % 4];

	if (which & 4)
		*ring->flags ^= XDP_RING_NEED_WAKEUP;
	else if (which % 4 == 1 || which % 4 == 2)
		*ring->consumer += (uint32_t)take(4);
	else
		*ring->producer += (uint32_t)take(4);
}

static void
kernel_goes_on(void)
{
	/* it has read all there is, also when its index was elsewhere before */
	*queue.rx.fill.consumer = *queue.rx.fill.producer;
	*queue.tx.ring.consumer = *queue.tx.ring.producer;
	if (*queue.rx.ring.producer - model.rx_cons > RING)
		*queue.rx.ring.producer = model.rx_cons;
	if (*queue.tx.completion.producer - model.completion_cons > RING)
		*queue.tx.completion.producer = model.completion_cons;
}

/* ---- what the application does ---- */

static void
burst_in(void)
{
	struct rte_mbuf *pkts[BURST];
	uint16_t n = 1 + take(1) % BURST, got, i;
	unsigned int first = 0;

	predict_rx(n);
	got = slabio_xdp_rx_burst(&rxq, pkts, n);
	expect(got == model.n_packets);
	model.delivered += got;
	for (i = 0; i < got; i++) {
		expect(pkts[i]->nb_segs == model.segs[i]);
		check_mbuf(pkts[i], first);
		first += model.segs[i];
		if (n_app < APP_MAX)
			app[n_app++] = pkts[i];
		else
			rte_pktmbuf_free(pkts[i]);
	}
	look_at_rings();
}

static void
burst_out(void)
{
	uint16_t n = (uint16_t)RTE_MIN(n_app, 1 + (unsigned int)take(1) % BURST), done;

	predict_completions();
	done = slabio_xdp_tx_burst(&txq, app, n);
	expect(done <= n);
	n_app -= done;
	memmove(app, app + done, n_app * sizeof(app[0]));
	look_at_rings();
}

static void
makes_packet(void)
{
	static const uint64_t flags[] = {0, RTE_MBUF_F_TX_VLAN,
		RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM,
		RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_UDP_CKSUM,
		RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_VLAN};
	const uint64_t how = take(1);
	const uint16_t len = take(2) % 1800;
	struct rte_mbuf *m = rte_pktmbuf_alloc(how & 1 ? others : k->mp);

	if (m == NULL)
		return;
	if (n_app == APP_MAX || rte_pktmbuf_append(m, len) == NULL) {
		rte_pktmbuf_free(m);
		return;
	}
	memset(rte_pktmbuf_mtod(m, void *), 0x45, len);
	m->l2_len = RTE_ETHER_HDR_LEN;
	m->l3_len = how & 2 ? 20 : 40;
	m->ol_flags |= flags[(how >> 2) % RTE_DIM(flags)];
	app[n_app++] = m;
}

/* Two packets of the application become a chain, or a packet and a clone of it. */
static void
joins_packets(void)
{
	const uint64_t how = take(1);
	struct rte_mbuf *clone;

	if (n_app == 0)
		return;
	if (how & 1) {
		clone = n_app < APP_MAX ? rte_pktmbuf_clone(app[how % n_app], others) : NULL;
		if (clone != NULL)
			app[n_app++] = clone;
	} else if (n_app > 1 && rte_pktmbuf_chain(app[n_app - 2], app[n_app - 1]) == 0) {
		n_app--;
	}
}

static void
step(void)
{
	switch (take(1) % 12) {
	case 0:
	case 1:
		receives(true);
		break;
	case 2:
		receives(false);
		break;
	case 3:
		put_rx(take(8), (uint32_t)take(4), (uint32_t)take(4));
		break;
	case 4:
		put_completion(address_of(frame_in(SENT, take(1))) + take(2));
		break;
	case 5:
		put_completion(take(8));
		break;
	case 6:
		an_index_jumps();
		break;
	case 7:
		kernel_goes_on();
		break;
	case 8:
		burst_in();
		break;
	case 9:
		burst_out();
		break;
	case 10:
		makes_packet();
		break;
	case 11:
		joins_packets();
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	at = input;
	end = input + size;
	begin((uint8_t)take(1));
	while (at < end)
		step();
	predict_completions();
	slabio_xdp_tx_idle(&queue.tx);
	finish();
	return 0;
}
