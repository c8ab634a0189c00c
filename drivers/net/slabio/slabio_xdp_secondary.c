/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * A secondary's side of an AF_XDP port: sockets from the primary, rings mapped here.
 *
 * A burst never sees to that: the process gets the sockets when it attaches to the port, and a thread
 * gets new ones after each start and lets go of them at each stop. A burst that finds none is empty.
 *
 * Between that thread and the bursts: a burst enters the queue (slabio_xdp_take.c) and then looks what
 * there is, the thread takes what there is away and then looks who is in the queue.
 */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_lcore.h>

#include "slabio_xdp.h"
#include "slabio_xdp_offer.h"

#define ASK_SECONDS   5
#define SLEEP_MS      1000
#define RETRY_MS      10
#define LEAVE_MS      500 /* that a burst may take, which is in microseconds if it gets the CPU */
#define LEAVE_STEP_US 100

/* A queue as this process has it. */
struct local_queue {
	struct slabio_xdp_queue queue;
	struct slabio_xdp_mem mem;
};

/* A port as this process has it. */
struct local_port {
	_Atomic(struct local_queue *) queues[SLABIO_MAX_QUEUES];
	struct local_queue *old[SLABIO_MAX_QUEUES]; /* taken away from the bursts, not closed yet */
	atomic_bool quit;
	bool joined;
	_Atomic int why; /* a negative errno: why there are no queues, not said yet */
	uint32_t has;	 /* generation of the queues, 0: none */
	uint32_t tried;	 /* the last one that was asked for */
	struct slabio_peers peers;
	struct rte_eth_dev *eth;
	char name[RTE_ETH_NAME_MAX_LEN];
	slabio_thread thread;
};

/* By port number, the same in all processes. */
static struct local_port locals[RTE_MAX_ETHPORTS];

/*
 * What ethdev finds of a port that the primary has closed, in place of what they shared: ethdev
 * clears that, or frees it, and goes on reading it in secondaries. Kept for good, since an application
 * may go on with the port for as long.
 */
struct closed_port {
	struct rte_eth_dev_data data;
	struct rte_ether_addr mac;
};
static struct closed_port *closed[RTE_MAX_ETHPORTS];
static void *no_queues[RTE_MAX_QUEUES_PER_PORT];

/* ---- asking the primary ---- */

static int
ask(const struct local_port *local, struct slabio_xdp_request *r, struct slabio_xdp_answer *a,
	int fds[2])
{
	/* EAL takes one request of a name at a time */
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	const struct timespec limit = {.tv_sec = ASK_SECONDS};
	struct rte_mp_msg msg = {.name = SLABIO_XDP_OFFER, .len_param = sizeof(*r)};
	struct rte_mp_reply reply = {0};
	bool whole;
	int ret, m, i;

	r->port = (uint16_t)(local - locals);
	strcpy(r->name, local->name);
	memcpy(msg.param, r, sizeof(*r));
	pthread_mutex_lock(&lock);
	ret = rte_mp_request_sync(&msg, &reply, &limit) != 0 ? -rte_errno : 0;
	pthread_mutex_unlock(&lock);
	if (ret != 0)
		return ret;
	whole = reply.nb_received == 1 && reply.msgs[0].len_param == sizeof(*a);
	if (whole)
		memcpy(a, reply.msgs[0].param, sizeof(*a));
	ret = whole ? a->err : -ETIMEDOUT;
	for (m = 0; m < reply.nb_received; m++)
		for (i = 0; i < reply.msgs[m].num_fds; i++)
			if (ret == 0 && i < 2) {
				fds[i] = reply.msgs[m].fds[i];
				/* a program that this process starts would keep the sockets */
				(void)fcntl(fds[i], F_SETFD, FD_CLOEXEC);
			} else {
				close(reply.msgs[m].fds[i]);
			}
	free(reply.msgs);
	return ret;
}

/* ---- queues ---- */

static void
free_queue(struct local_queue *l)
{
	slabio_xdp_rings_unmap(&l->queue);
	if (l->mem.holder != NULL)
		munmap((void *)l->mem.holder, l->mem.count * sizeof(*l->mem.holder));
	free(l->mem.mbufs);
	if (l->mem.holder_fd >= 0)
		close(l->mem.holder_fd);
	if (l->queue.fd >= 0)
		close(l->queue.fd);
	free(l);
}

static void
fill_in_mem(struct slabio_xdp_mem *mem, const struct slabio_xdp_answer *a)
{
	mem->mp = a->mp;
	mem->first = a->first;
	mem->base = a->base;
	mem->origin = a->origin;
	mem->granule = a->granule;
	mem->inverse = a->inverse;
	mem->count = a->count;
	mem->buf_off = a->buf_off;
	mem->buf_len = a->buf_len;
	mem->unaligned = a->unaligned;
}

static void
fill_in_queue(struct local_queue *l, const struct slabio_xdp_answer *a, struct local_port *local,
	uint16_t i)
{
	struct slabio_xdp_queue *q = &l->queue;

	q->mem = &l->mem;
	q->has_rx = a->has_rx;
	q->has_tx = a->has_tx;
	q->rx.mem = &l->mem;
	q->rx.rearm = a->rearm;
	q->rx.batch = a->batch;
	q->rx.tag = a->rx_tag;
	q->rx.busy_poll = a->busy_poll;
	q->rx.meta = local->peers.dev->args.xdp_meta;
	q->rx.fd = q->fd;
	q->rx.q = &local->peers.dev->rxq[i];
	q->rx.queue = q;
	q->rx.peers = &local->peers;
	q->tx.mem = &l->mem;
	q->tx.max_frame = a->max_frame;
	q->tx.copy_room = a->copy_room;
	q->tx.max_segs = a->max_segs;
	q->tx.meta_len = a->meta_len;
	q->tx.tag = a->tx_tag;
	q->tx.zero_copy = a->zero_copy;
	q->tx.fd = q->fd;
	q->tx.me = local->peers.me;
	q->tx.q = &local->peers.dev->txq[i];
	q->tx.peers = &local->peers;
}

static int
map_queue(struct local_queue *l, const struct slabio_xdp_answer *a)
{
	const size_t len = a->count * sizeof(*l->mem.holder);
	int ret = slabio_xdp_rings_map(&l->queue, a->rx_ring, a->tx_ring);
	void *map;

	if (ret != 0)
		return ret;
	map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, l->mem.holder_fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	l->mem.holder = map;
	return a->external ? slabio_xdp_mem_list(&l->mem) : 0;
}

/* One queue; -ENOENT if the port has no such. */
static int
get_queue(struct local_port *local, uint32_t generation, uint16_t i)
{
	struct slabio_xdp_request r = {
		.ask = SLABIO_XDP_ASK_QUEUE, .generation = generation, .queue = i};
	struct slabio_xdp_answer a;
	struct local_queue *l = NULL;
	int fds[2] = {-1, -1};
	int ret = ask(local, &r, &a, fds);

	if (ret != 0)
		return ret;
	if (posix_memalign((void **)&l, RTE_CACHE_LINE_SIZE, sizeof(*l)) != 0) {
		close(fds[0]);
		close(fds[1]);
		return -ENOMEM;
	}
	memset(l, 0, sizeof(*l));
	l->queue.fd = fds[0];
	l->mem.holder_fd = fds[1];
	fill_in_mem(&l->mem, &a);
	fill_in_queue(l, &a, local, i);
	ret = map_queue(l, &a);
	if (ret != 0) {
		free_queue(l);
		return ret;
	}
	/* release: pairs with the bursts' acquire */
	atomic_store_explicit(&local->queues[i], l, memory_order_release);
	return 0;
}

static bool
is_inside(const struct local_port *local)
{
	const struct slabio_dev *dev = local->peers.dev;
	const uint32_t me = local->peers.me;
	uint16_t i;

	/* seq_cst: pairs with the exchange of a burst that enters */
	for (i = 0; i < SLABIO_MAX_QUEUES; i++)
		if (atomic_load_explicit(&dev->rxq[i].poll.inside, memory_order_seq_cst) == me ||
			atomic_load_explicit(&dev->txq[i].poll.inside, memory_order_seq_cst) == me)
			return true;
	return false;
}

/* Lets go of all queues. False if a burst is in one, and does not end: try again. */
static bool
drop_queues(struct local_port *local)
{
	unsigned int us;
	uint16_t i;

	for (i = 0; i < SLABIO_MAX_QUEUES; i++) {
		/* seq_cst: pairs with the load of a burst that has entered */
		struct local_queue *l =
			atomic_exchange_explicit(&local->queues[i], NULL, memory_order_seq_cst);

		if (l != NULL)
			local->old[i] = l;
	}
	for (us = 0; is_inside(local); us += LEAVE_STEP_US) {
		if (us >= LEAVE_MS * 1000)
			return false;
		rte_delay_us_sleep(LEAVE_STEP_US);
	}
	for (i = 0; i < SLABIO_MAX_QUEUES; i++)
		if (local->old[i] != NULL) {
			free_queue(local->old[i]);
			local->old[i] = NULL;
		}
	local->has = 0;
	/* release: pairs with the acquire of the primary, which waits for it */
	atomic_store_explicit(&slabio_peer_self(&local->peers)->mapped, 0, memory_order_release);
	return true;
}

static void
get_queues(struct local_port *local, uint32_t generation)
{
	unsigned int n = 0;
	int ret = 0;
	uint16_t i;

	local->tried = generation;
	/* first, so that the primary waits when it stops meanwhile */
	local->has = generation;
	atomic_store_explicit(
		&slabio_peer_self(&local->peers)->mapped, generation, memory_order_seq_cst);
	for (i = 0; i < SLABIO_MAX_QUEUES; i++) {
		ret = get_queue(local, generation, i);
		if (ret != 0)
			break;
		n++;
	}
	/* the queues end somewhere; or the port was stopped, and all are dropped soon */
	if (ret == -ENOENT)
		ret = 0;
	if (ret == 0) {
		SLABIO_LOG(INFO, "%s: this secondary process has %u queues of the port",
			local->name, n);
		atomic_store_explicit(&local->why, 0, memory_order_relaxed);
		return;
	}
	/* a primary that was stopped, or busy with another port, may answer the next time */
	if (ret == -ETIMEDOUT)
		local->tried = 0;
	/* many secondaries do not poll: those that do are told */
	atomic_store_explicit(&local->why, ret, memory_order_relaxed);
	drop_queues(local);
}

/* ---- the thread ---- */

/* The application may go on polling when the port is gone from under it: it finds nothing. */
static void
detach_bursts(const struct local_port *local)
{
	struct rte_eth_fp_ops *ops = &rte_eth_fp_ops[local - locals];

	ops->rx_pkt_burst = rte_eth_pkt_burst_dummy;
	ops->tx_pkt_burst = rte_eth_pkt_burst_dummy;
	ops->rxq.data = no_queues;
	ops->txq.data = no_queues;
	/* for a thread that has just read the old ones */
	rte_delay_us_sleep(1000);
}

/* The port may have got its queues since this process attached to it; ethdev looks only then. */
static void
attach_bursts(const struct local_port *local)
{
	struct rte_eth_fp_ops *ops = &rte_eth_fp_ops[local - locals];

	if (ops->rxq.data == local->eth->data->rx_queues &&
		ops->txq.data == local->eth->data->tx_queues)
		return;
	ops->rxq.data = local->eth->data->rx_queues;
	ops->txq.data = local->eth->data->tx_queues;
}

/*
 * Nothing that is said of the port is the primary's from now on. If that did not wait, ethdev has
 * cleared it already.
 */
static void
show_closed(const struct local_port *local)
{
	struct closed_port *c = closed[local - locals];
	struct rte_eth_dev *eth = local->eth;

	c->mac = local->peers.dev->mac;
	c->data = *eth->data;
	c->data.port_id = (uint16_t)(local - locals);
	strcpy(c->data.name, local->name);
	c->data.rx_queues = no_queues;
	c->data.tx_queues = no_queues;
	c->data.nb_rx_queues = 0;
	c->data.nb_tx_queues = 0;
	c->data.dev_private = NULL;
	c->data.mac_addrs = &c->mac;
	c->data.hash_mac_addrs = NULL;
	c->data.dev_started = 0;
	c->data.dev_configured = 0;
	memset(&c->data.dev_link, 0, sizeof(c->data.dev_link));
	pthread_mutex_init(&c->data.flow_ops_mutex, NULL);
	eth->data = &c->data;
}

static void
leave(struct local_port *local)
{
	pthread_mutex_lock(&slabio_sharing);
	show_closed(local);
	slabio_peers_leave(&local->peers);
	pthread_mutex_unlock(&slabio_sharing);
}

/* Follows the port once. Returns how long to sleep, 0: there is no port any more. */
static unsigned int
follow(struct local_port *local)
{
	struct slabio_dev *dev = local->peers.dev;
	const bool closing = atomic_load_explicit(&dev->closing, memory_order_acquire);
	/* acquire: pairs with the release of start, after which the sockets are there to ask for */
	const uint32_t now = atomic_load_explicit(&dev->generation, memory_order_acquire);

	if ((closing || local->has != now) && local->has != 0 && !drop_queues(local))
		return RETRY_MS;
	if (closing) {
		detach_bursts(local);
		leave(local);
		return 0;
	}
	if (now != 0)
		attach_bursts(local);
	if (now != 0 && local->has != now && local->tried != now)
		get_queues(local, now);
	return SLEEP_MS;
}

static void
follow_until_closed(void *arg)
{
	struct local_port *local = arg;
	uint32_t seen;
	unsigned int ms;

	do {
		/* acquire: pairs with slabio_peers_tell() */
		seen = atomic_load_explicit(&local->peers.dev->changes, memory_order_acquire);
		if (atomic_load_explicit(&local->quit, memory_order_relaxed))
			break;
		ms = follow(local);
		if (ms != 0)
			slabio_peers_sleep(local->peers.dev, seen, ms);
	} while (ms != 0);
}

SLABIO_THREAD(follow_port, follow_until_closed)

/* ---- coming and going ---- */

static int
join(struct local_port *local, struct slabio_dev *dev)
{
	struct slabio_xdp_request r = {.ask = SLABIO_XDP_ASK_TOKENS};
	struct slabio_xdp_answer a;
	int fds[2] = {-1, -1};
	int ret = ask(local, &r, &a, fds);

	if (ret != 0)
		return ret;
	ret = slabio_peers_join(&local->peers, dev, fds[0]);
	if (ret != 0)
		close(fds[0]);
	return ret;
}

int
slabio_xdp_secondary_open(struct rte_eth_dev *eth)
{
	struct local_port *local = &locals[eth - rte_eth_devices];
	char thread[16];
	int ret;

	if (closed[local - locals] == NULL)
		closed[local - locals] = calloc(1, sizeof(*closed[0]));
	if (closed[local - locals] == NULL)
		return -ENOMEM;
	memset(local, 0, sizeof(*local));
	local->eth = eth;
	strcpy(local->name, eth->data->name);
	ret = join(local, eth->data->dev_private);
	if (ret != 0) {
		SLABIO_LOG(ERR, "%s: cannot join the processes that poll the port: %s%s",
			local->name, strerror(-ret),
			ret == -ENOSPC ? "; there are 64 already" : "");
		return ret;
	}
	/* the application may send at once */
	if (follow(local) == 0)
		return -ENODEV;
	snprintf(thread, sizeof(thread), "slabio-%u", eth->data->port_id);
	ret = slabio_thread_create(&local->thread, thread, follow_port, local);
	if (ret != 0) {
		SLABIO_LOG(ERR, "%s: cannot create a thread: %s", local->name, strerror(abs(ret)));
		drop_queues(local);
		slabio_peers_leave(&local->peers);
		return ret;
	}
	local->joined = true;
	return 0;
}

void
slabio_xdp_secondary_close(struct rte_eth_dev *eth)
{
	struct local_port *local = &locals[eth - rte_eth_devices];

	if (!local->joined)
		return;
	local->joined = false;
	atomic_store_explicit(&local->quit, true, memory_order_relaxed);
	/* the thread may just be leaving, and the primary frees it all then */
	pthread_mutex_lock(&slabio_sharing);
	if (local->peers.dev != NULL)
		slabio_peers_tell(local->peers.dev);
	pthread_mutex_unlock(&slabio_sharing);
	slabio_thread_join(local->thread);
	/* the primary has closed the port, and the thread has ended with it */
	if (local->peers.dev == NULL)
		return;
	if (local->has != 0 && !drop_queues(local)) {
		SLABIO_LOG(WARNING, "%s: the port is closed while a thread is in a burst",
			local->name);
		return;
	}
	slabio_peers_leave(&local->peers);
}

/* ---- bursts ---- */

static const char *
reason(int err)
{
	switch (-err) {
	case ENOTSUP:
		return "; the pool is one with mode=exact, whose mbufs do not go from process to "
		       "process through a port";
	case EBUSY:
		return "; another process than the one that opened a socket can have its rings "
		       "since Linux 6.4";
	case ENODEV:
		return "; the primary process has closed the port";
	default:
		return "";
	}
}

/* The port is stopped, or what this process needs of it could not be had: that is said once. */
static __rte_noinline void
no_queue(uint16_t port)
{
	struct local_port *local = &locals[port];
	int why = atomic_exchange_explicit(&local->why, 0, memory_order_relaxed);

	if (why != 0)
		SLABIO_LOG(ERR,
			"%s: cannot get the sockets from the primary process: %s%s; nothing is "
			"received or sent here",
			local->name, strerror(-why), reason(why));
}

static __rte_always_inline struct local_queue *
look(uint16_t port, uint16_t queue)
{
	/* seq_cst: after entering, see drop_queues(); acquires what get_queue() has released */
	return atomic_load_explicit(&locals[port].queues[queue], memory_order_seq_cst);
}

uint16_t
slabio_xdp_secondary_rx(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct slabio_rxq *q = queue;
	struct local_port *local = &locals[q->port_id];
	struct local_queue *l = look(q->port_id, q->queue_id);
	uint16_t done = 0;
	uint32_t died;

	if (unlikely(l == NULL)) {
		no_queue(q->port_id);
		return 0;
	}
	if (unlikely(!slabio_xdp_enter(&q->poll, &local->peers, &died)))
		return 0;
	l = look(q->port_id, q->queue_id);
	/* seq_cst: the stop of a queue, and then who is inside, is the other side of entering */
	if (likely(l != NULL && l->queue.has_rx &&
		    atomic_load_explicit(&q->running, memory_order_seq_cst))) {
		/* relaxed: others write their names only while they are inside */
		if (unlikely(died != SLABIO_NOBODY ||
			     atomic_load_explicit(&q->poll.owner, memory_order_relaxed) !=
				     local->peers.me)) {
			slabio_xdp_rx_take(&l->queue.rx, died != SLABIO_NOBODY);
			died = SLABIO_NOBODY;
		}
		done = slabio_xdp_rx_shared(&l->queue.rx, pkts, n);
	}
	/* a dead one that was not seen to stays there for the next */
	atomic_store_explicit(&q->poll.inside, died, memory_order_release);
	return done;
}

/* Whether this process is in the queue, and the queue its own. */
static __rte_always_inline struct local_queue *
enter_tx(struct slabio_txq *q)
{
	struct local_port *local = &locals[q->port_id];
	struct local_queue *l = look(q->port_id, q->queue_id);
	uint32_t died;

	if (unlikely(l == NULL)) {
		no_queue(q->port_id);
		return NULL;
	}
	if (unlikely(!slabio_xdp_enter(&q->poll, &local->peers, &died)))
		return NULL;
	l = look(q->port_id, q->queue_id);
	if (unlikely(l == NULL || !l->queue.has_tx ||
		     !atomic_load_explicit(&q->running, memory_order_seq_cst))) {
		atomic_store_explicit(&q->poll.inside, died, memory_order_release);
		return NULL;
	}
	if (unlikely(died != SLABIO_NOBODY || atomic_load_explicit(&q->poll.owner,
						      memory_order_relaxed) != local->peers.me) &&
		!slabio_xdp_tx_take(&l->queue.tx, died))
		return NULL;
	return l;
}

uint16_t
slabio_xdp_secondary_tx(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct slabio_txq *q = queue;
	struct local_queue *l = enter_tx(q);
	uint16_t done;

	if (l == NULL)
		return 0;
	done = slabio_xdp_tx_shared(&l->queue.tx, pkts, n);
	slabio_xdp_leave(&q->poll);
	return done;
}

int
slabio_xdp_secondary_tx_cleanup(struct slabio_txq *q)
{
	struct local_queue *l = enter_tx(q);
	int n;

	if (l == NULL)
		return 0;
	n = (int)slabio_xdp_complete(&l->queue.tx);
	slabio_xdp_leave(&q->poll);
	return n;
}
