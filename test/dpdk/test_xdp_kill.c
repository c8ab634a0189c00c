/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Death of a secondary in a burst of an AF_XDP queue, at every instruction.
 *
 * A child process receives, sends and takes completions on rings in shared memory, one instruction
 * at a time. After each, this process keeps a copy of all that is shared, takes the queue over as
 * if the child had died there, looks where each mbuf is, and polls on; then it puts all back as it
 * was, and the child goes on. Now and then the one that takes over is a second child, which dies as
 * well, at every few instructions of it.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <rte_eal.h>
#include <rte_ip.h>

#include "slabio_offload.h"
#include "slabio_xdp.h"

#define MBUFS	   96
#define RING	   32
#define DESCS	   16 /* frames that the kernel has */
#define ARRIVED	   9  /* of them in the receive ring */
#define COMPLETED  8
#define BURST	   16
#define MBUF_SIZE  2176
#define RING_BYTES (256 + RING * sizeof(struct xdp_desc))
#define STEPS_MAX  200000
/* What is told apart: a prime, so that all kinds of places are met. */
#define SECOND_EVERY 211
#define SECOND_STEP  5

#define FIRST_CHILD  (1u << SLABIO_PEER_BITS | 5)
#define SECOND_CHILD (2u << SLABIO_PEER_BITS | 6)

int slabio_logtype;
pthread_mutex_t slabio_xdp_lock = PTHREAD_MUTEX_INITIALIZER;

/* All that processes share. */
struct world {
	struct slabio_dev dev;
	uint8_t rings[4][RING_BYTES] __rte_cache_aligned;
	_Atomic uint32_t nb_free;
	void *free[MBUFS];
	bool done; /* the child is through */
	uint8_t pool[MBUFS * (sizeof(struct rte_mbuf) + MBUF_SIZE + 192)] __rte_cache_aligned;
};

/* What a process has of its own. */
struct view {
	struct slabio_peers peers;
	struct slabio_xdp_rx rx;
	struct slabio_xdp_tx tx;
};

static struct world *world;
static struct rte_mempool *mp;
static struct slabio_xdp_mem *mem;
static int slot;
static struct view start; /* of the primary's, when the child begins */
static unsigned int most_in_hands, sums_seen;

/* ---- a pool whose every instruction leaves it whole ---- */

static int
pool_alloc(struct rte_mempool *pool)
{
	pool->pool_data = world;
	return 0;
}

static void
pool_free(struct rte_mempool *pool)
{
	(void)pool;
}

static int
pool_put(struct rte_mempool *pool, void *const *objs, unsigned int n)
{
	uint32_t at = atomic_load(&world->nb_free);

	(void)pool;
	/* one too many is found by the audit */
	if (at + n > MBUFS)
		return -ENOBUFS;
	memcpy(&world->free[at], objs, n * sizeof(*objs));
	atomic_store(&world->nb_free, at + n);
	return 0;
}

static int
pool_get(struct rte_mempool *pool, void **objs, unsigned int n)
{
	uint32_t at = atomic_load(&world->nb_free);

	(void)pool;
	if (at < n)
		return -ENOENT;
	memcpy(objs, &world->free[at - n], n * sizeof(*objs));
	atomic_store(&world->nb_free, at - n);
	return 0;
}

static unsigned int
pool_count(const struct rte_mempool *pool)
{
	(void)pool;
	return atomic_load(&world->nb_free);
}

static const struct rte_mempool_ops pool_ops = {
	.name = "steps",
	.alloc = pool_alloc,
	.free = pool_free,
	.enqueue = pool_put,
	.dequeue = pool_get,
	.get_count = pool_count,
};

RTE_MEMPOOL_REGISTER_OPS(pool_ops);

static void
make_pool(void)
{
	struct rte_pktmbuf_pool_private priv = {.mbuf_data_room_size = MBUF_SIZE};

	mp = rte_mempool_create_empty("pool", MBUFS, sizeof(struct rte_mbuf) + MBUF_SIZE, 0,
		sizeof(priv), 0, RTE_MEMPOOL_F_NO_SPREAD | RTE_MEMPOOL_F_NO_IOVA_CONTIG);
	assert_non_null(mp);
	assert_int_equal(rte_mempool_set_ops_byname(mp, "steps", NULL), 0);
	rte_pktmbuf_pool_init(mp, &priv);
	assert_int_equal(rte_mempool_populate_iova(mp, (char *)world->pool, RTE_BAD_IOVA,
				 sizeof(world->pool), NULL, NULL),
		MBUFS);
	rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
}

/* ---- a queue ---- */

static void
see_ring(struct slabio_xdp_ring *ring, uint8_t *memory)
{
	*ring = (struct slabio_xdp_ring){
		.producer = (_Atomic uint32_t *)memory,
		.consumer = (_Atomic uint32_t *)(memory + 64),
		.flags = (_Atomic uint32_t *)(memory + 128),
		.entries = memory + 256,
		.mask = RING - 1,
	};
}

static void
look_at(struct view *v, uint32_t me)
{
	memset(v, 0, sizeof(*v));
	v->peers = (struct slabio_peers){.dev = &world->dev, .token_fd = -1, .me = me};
	see_ring(&v->rx.ring, world->rings[0]);
	see_ring(&v->rx.fill, world->rings[1]);
	see_ring(&v->tx.ring, world->rings[2]);
	see_ring(&v->tx.completion, world->rings[3]);
	v->rx.mem = v->tx.mem = mem;
	v->rx.tag = slabio_xdp_tag(slot, false);
	v->tx.tag = slabio_xdp_tag(slot, true);
	v->rx.fd = v->tx.fd = -1;
	v->rx.batch = 4;
	v->rx.rearm = slabio_xdp_rearm(0);
	v->rx.q = &world->dev.rxq[0];
	v->tx.q = &world->dev.txq[0];
	v->rx.peers = v->tx.peers = &v->peers;
	v->tx.me = me;
	v->tx.meta_len = sizeof(struct slabio_xdp_tx_meta);
	v->tx.max_frame = mem->frame - v->tx.meta_len;
	v->tx.copy_room = mem->room;
	v->tx.max_segs = 4;
}

/* The kernel has received some packets, the third and the last ones of which have more frames. */
/* The length says which frame it is. */
static void
arrive(struct view *v)
{
	const uint64_t *fill = v->rx.fill.entries;
	struct xdp_desc *descs = v->rx.ring.entries;
	uint32_t i;

	for (i = 0; i < ARRIVED; i++)
		descs[i] = (struct xdp_desc){
			.addr = fill[i] | (uint64_t)256 << XSK_UNALIGNED_BUF_OFFSET_SHIFT,
			.len = 60 + i,
			.options = i == 2 || i == ARRIVED - 1 ? XDP_PKT_CONTD : 0};
	atomic_store(v->rx.fill.consumer, ARRIVED);
	atomic_store(v->rx.ring.producer, ARRIVED);
}

/* The rest of the last packet, and another one. */
static void
arrive_more(struct view *v)
{
	const uint64_t *fill = v->rx.fill.entries;
	struct xdp_desc *descs = v->rx.ring.entries;
	uint32_t i;

	for (i = ARRIVED; i < ARRIVED + 2; i++)
		descs[i] = (struct xdp_desc){
			.addr = fill[i] | (uint64_t)256 << XSK_UNALIGNED_BUF_OFFSET_SHIFT,
			.len = 60 + i};
	atomic_store(v->rx.fill.consumer, ARRIVED + 2);
	atomic_store(v->rx.ring.producer, ARRIVED + 2);
}

/* Each is a whole packet, and none a part of another. */
static void
check_packets(struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t i;

	for (i = 0; i < n; i++) {
		const uint32_t at = pkts[i]->data_len - 60;
		const bool two = at == 2 || at == ARRIVED - 1;

		assert_int_not_equal(at, 3);
		assert_int_not_equal(at, ARRIVED);
		assert_int_equal(pkts[i]->nb_segs, 1 + two);
		if (two)
			assert_int_equal(pkts[i]->next->data_len, 60 + at + 1);
	}
}

/* And has sent others. */
static void
complete(struct view *v)
{
	struct rte_mbuf *m[COMPLETED];
	const struct xdp_desc *descs = v->tx.ring.entries;
	uint64_t *addrs = v->tx.completion.entries;
	uint32_t i;

	assert_int_equal(rte_pktmbuf_alloc_bulk(mp, m, COMPLETED), 0);
	for (i = 0; i < COMPLETED; i++)
		assert_non_null(rte_pktmbuf_append(m[i], 60));
	assert_int_equal(slabio_xdp_tx_burst(&world->dev.txq[0], m, COMPLETED), COMPLETED);
	for (i = 0; i < COMPLETED; i++)
		addrs[i] = descs[i].addr;
	atomic_store(v->tx.ring.consumer, COMPLETED);
	atomic_store(v->tx.completion.producer, COMPLETED);
}

static void
begin(struct view *v)
{
	struct slabio_rxq *rxq = &world->dev.rxq[0];
	struct slabio_txq *txq = &world->dev.txq[0];

	look_at(v, SLABIO_PRIMARY);
	rxq->be = &v->rx;
	txq->be = &v->tx;
	rxq->running = txq->running = true;
	rxq->nb_desc = DESCS;
	rxq->poll.owner = txq->poll.owner = SLABIO_PRIMARY;
	txq->max_len = 1522;
	txq->soft = SLABIO_TX_SOFT;
	v->rx.owed = DESCS;
	assert_true(slabio_xdp_refill(&v->rx));
	complete(v);
	arrive(v);
}

/* ---- what a secondary does ---- */

static uint16_t
secondary_receives(struct view *v, struct rte_mbuf **pkts)
{
	struct slabio_poll *poll = &v->rx.q->poll;
	uint32_t died;
	uint16_t n;

	if (!slabio_xdp_enter(poll, &v->peers, &died))
		return 0;
	if (died != SLABIO_NOBODY || atomic_load(&poll->owner) != v->peers.me)
		slabio_xdp_rx_take(&v->rx, died != SLABIO_NOBODY);
	n = slabio_xdp_rx_shared(&v->rx, pkts, BURST);
	slabio_xdp_leave(poll);
	return n;
}

static uint16_t
secondary_sends(struct view *v, struct rte_mbuf **pkts, uint16_t n)
{
	struct slabio_poll *poll = &v->tx.q->poll;
	uint32_t died;
	uint16_t done;

	if (!slabio_xdp_enter(poll, &v->peers, &died))
		return 0;
	if ((died != SLABIO_NOBODY || atomic_load(&poll->owner) != v->peers.me) &&
		!slabio_xdp_tx_take(&v->tx, died))
		return 0;
	done = slabio_xdp_tx_shared(&v->tx, pkts, n);
	slabio_xdp_leave(poll);
	return done;
}

/* Some packets are datagrams whose checksums are left to the port, and by it to the kernel. */
static void
leave_sums(struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t i;

	for (i = 0; i < n; i += 3) {
		struct rte_mbuf *m = pkts[i];
		struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, 14);

		ip->version_ihl = RTE_IPV4_VHL_DEF;
		ip->total_length = rte_cpu_to_be_16(m->pkt_len - 14);
		m->l2_len = 14;
		m->l3_len = sizeof(*ip);
		m->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_UDP_CKSUM;
	}
}

static void
be_secondary(uint32_t me)
{
	static struct view v;
	struct rte_mbuf *pkts[BURST];
	uint16_t n;

	/* not on by itself, where its tracer is gone */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	look_at(&v, me);
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
	n = secondary_receives(&v, pkts);
	leave_sums(pkts, n);
	secondary_sends(&v, pkts, n);
	world->done = true;
	_exit(0);
}

/* ---- where the mbufs are ---- */

struct places {
	uint8_t pool[MBUFS];
	uint8_t rx[MBUFS]; /* in a ring where received frames are */
	uint8_t tx[MBUFS];
};

static uint64_t
index_of_addr(uint64_t addr)
{
	uint64_t i = slabio_xdp_index(mem, (addr & XSK_UNALIGNED_BUF_ADDR_MASK) - mem->origin);

	assert_true(i < MBUFS);
	return i;
}

static void
list_addrs(const struct slabio_xdp_ring *ring, uint8_t *place)
{
	uint32_t i, end = atomic_load(ring->producer);

	for (i = atomic_load(ring->consumer); i != end; i++)
		place[index_of_addr(((uint64_t *)ring->entries)[i & ring->mask])]++;
}

/* What the kernel is told to do with a packet is there as soon as it may look. */
static void
check_meta(const struct xdp_desc *d)
{
	const char *packet = (const char *)mem->base + (d->addr & XSK_UNALIGNED_BUF_ADDR_MASK) +
			     (d->addr >> XSK_UNALIGNED_BUF_OFFSET_SHIFT);
	struct slabio_xdp_tx_meta meta;

	memcpy(&meta, packet - sizeof(meta), sizeof(meta));
	assert_int_equal(meta.flags, XDP_TXMD_FLAGS_CHECKSUM);
	assert_int_equal(meta.csum_start, 34);
	assert_int_equal(meta.csum_offset, 6);
	sums_seen++;
}

static void
list_descs(const struct slabio_xdp_ring *ring, uint8_t *place)
{
	uint32_t i, end = atomic_load(ring->producer);

	for (i = atomic_load(ring->consumer); i != end; i++) {
		const struct xdp_desc *d = &((struct xdp_desc *)ring->entries)[i & ring->mask];

		place[index_of_addr(d->addr)]++;
		if (d->options & XDP_TX_METADATA)
			check_meta(d);
	}
}

static void
find_all(const struct view *v, struct places *p)
{
	uint32_t i, n = atomic_load(&world->nb_free);

	memset(p, 0, sizeof(*p));
	for (i = 0; i < n; i++)
		p->pool[slabio_xdp_index(mem, (uintptr_t)world->free[i] - mem->first)]++;
	list_addrs(&v->rx.fill, p->rx);
	list_descs(&v->rx.ring, p->rx);
	list_descs(&v->tx.ring, p->tx);
	list_addrs(&v->tx.completion, p->tx);
}

/* Each is in one place, and its tag is that place's. Returns how many are in none. */
static unsigned int
audit(const struct view *v, unsigned int orphans_allowed)
{
	unsigned int i, in_hands = 0, orphans = 0, with_kernel = 0;
	struct places p;

	find_all(v, &p);
	for (i = 0; i < MBUFS; i++) {
		const uint16_t tag = atomic_load(&mem->holder[i]);

		assert_true(p.pool[i] + p.rx[i] + p.tx[i] <= 1);
		if (p.rx[i] != 0)
			assert_int_equal(tag, v->rx.tag);
		if (p.tx[i] != 0)
			assert_int_equal(tag, v->tx.tag);
		if (p.pool[i] != 0)
			assert_int_equal(tag, 0);
		if (tag != 0 && p.rx[i] + p.tx[i] == 0) {
			/* tagged, and killed before it was written down: it stays until a stop */
			assert_int_equal(tag, v->tx.tag);
			orphans++;
		}
		with_kernel += p.rx[i];
		in_hands += tag == 0 && p.pool[i] == 0;
	}
	assert_true(orphans <= orphans_allowed);
	/* what the kernel lacks is known, and nothing more */
	assert_int_equal(with_kernel + v->rx.owed, DESCS);
	return in_hands;
}

/* ---- death ---- */

struct copy {
	struct world world;
	uint16_t holder[MBUFS];
};

static void
keep(struct copy *c)
{
	memcpy(&c->world, world, sizeof(*world));
	memcpy(c->holder, (const void *)mem->holder, sizeof(c->holder));
}

static void
put_back(const struct copy *c)
{
	memcpy(world, &c->world, sizeof(*world));
	memcpy((void *)mem->holder, c->holder, sizeof(c->holder));
}

static bool
is_elsewhere(const struct slabio_poll *poll)
{
	return poll->owner != SLABIO_PRIMARY || poll->inside != SLABIO_NOBODY;
}

/* As if the children that there are were dead: the primary goes on, and all is well. */
static void
take_over(unsigned int dead)
{
	struct slabio_rxq *rxq = &world->dev.rxq[0];
	struct slabio_txq *txq = &world->dev.txq[0];
	struct view v = start;
	struct rte_mbuf *pkts[BURST];
	unsigned int in_hands;
	uint16_t n;

	v.rx.peers = v.tx.peers = &v.peers;
	rxq->be = &v.rx;
	txq->be = &v.tx;
	if (is_elsewhere(&rxq->poll))
		assert_true(slabio_xdp_rx_take_back(&v.rx));
	if (is_elsewhere(&txq->poll))
		assert_true(slabio_xdp_tx_take_back(&v.tx));
	in_hands = audit(&v, dead);
	if (rxq->head != NULL)
		in_hands -= rxq->head->nb_segs;
	most_in_hands = RTE_MAX(most_in_hands, in_hands);
	/* a burst received and its completions, or the mbufs for the fill ring, of each */
	assert_true(in_hands <= dead * (ARRIVED + COMPLETED));

	n = slabio_xdp_rx_burst(rxq, pkts, BURST);
	check_packets(pkts, n);
	assert_int_equal(slabio_xdp_tx_burst(txq, pkts, n), n);
	arrive_more(&v);
	n = slabio_xdp_rx_burst(rxq, pkts, BURST);
	check_packets(pkts, n);
	assert_true(n >= 1);
	assert_int_equal(pkts[n - 1]->data_len, 60 + ARRIVED + 1);
	rte_pktmbuf_free_bulk(pkts, n);
	assert_int_equal(slabio_counted(&rxq->stats[SLABIO_RX_BAD_DESCS]), 0);
	assert_int_equal(slabio_counted(&txq->stats[SLABIO_TX_BAD_COMPLETIONS]), 0);
	audit(&v, dead);
}

static pid_t
start_child(uint32_t me)
{
	int status;
	pid_t pid;

	world->done = false;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		be_secondary(me);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status));
	return pid;
}

static void
end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Every few instructions of a child; returns how many there were. */
static unsigned int
step_through(uint32_t me, unsigned int every, void (*visit)(unsigned int at))
{
	pid_t pid = start_child(me);
	unsigned int at;
	int status;

	for (at = 0; !world->done && at < STEPS_MAX; at++) {
		if (at % every == 0)
			visit(at);
		ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL);
		waitpid(pid, &status, 0);
		if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
			break;
	}
	end_child(pid);
	assert_true(world->done);
	return at;
}

static void
both_die(unsigned int at)
{
	static struct copy now;

	(void)at;
	keep(&now);
	take_over(2);
	put_back(&now);
}

static void
first_dies(unsigned int at)
{
	static struct copy now;

	keep(&now);
	take_over(1);
	put_back(&now);
	if (at % SECOND_EVERY != 0)
		return;
	step_through(SECOND_CHILD, SECOND_STEP, both_die);
	put_back(&now);
}

static void
a_queue_goes_on_wherever_its_poller_dies(void **state)
{
	static struct view primary;
	unsigned int steps;

	(void)state;
	begin(&primary);
	start = primary;
	audit(&primary, 0);
	steps = step_through(FIRST_CHILD, 1, first_dies);
	print_message("%u instructions, at most %u mbufs in the hands of the dead\n", steps,
		most_in_hands);
	assert_true(steps > 1000);
	assert_true(sums_seen > 0);
	/* nobody has died: only the packet that has not come whole yet is in nobody's hands */
	primary = start;
	assert_true(slabio_xdp_rx_take_back(&primary.rx));
	assert_true(slabio_xdp_tx_take_back(&primary.tx));
	assert_non_null(world->dev.rxq[0].head);
	assert_int_equal(audit(&primary, 0), 1);
}

int
main(void)
{
	char *args[] = {"test", "--no-huge", "-m", "64", "--no-pci", "--no-shconf",
		"--no-telemetry", "--log-level=lib.eal:error", "-l", "0", NULL};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_queue_goes_on_wherever_its_poller_dies),
	};
	int ret;

	if (rte_eal_init((int)RTE_DIM(args) - 1, args) < 0)
		return 1;
	world = mmap(
		NULL, sizeof(*world), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (world == MAP_FAILED)
		return 1;
	make_pool();
	mem = slabio_xdp_mem_get(mp, "test");
	if (mem == NULL || !mem->unaligned)
		return 1;
	slot = slabio_xdp_slot_get(mem);
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	rte_eal_cleanup();
	return ret;
}
