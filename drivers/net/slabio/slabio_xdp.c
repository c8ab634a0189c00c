/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The AF_XDP back end as a whole: which queue is what, and when it is opened and closed.
 *
 * Sockets and program exist between start and stop. Start opens the sockets, then attaches the
 * program, then lets packets in; stop is the reverse: no packet arrives at a socket that is being
 * closed, and after it no mbuf is with the kernel.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_alarm.h>
#include <rte_cycles.h>
#include <rte_errno.h>

#include "slabio_offload.h"
#include "slabio_xdp.h"
#include "slabio_xdp_device.h"

/* How often the sockets that a stop had to keep are looked at, and how long a start waits for them. */
#define KEPT_CHECK_US 200000
#define KEPT_WAIT_MS  2000

pthread_mutex_t slabio_xdp_lock = PTHREAD_MUTEX_INITIALIZER;

static struct slabio_xdp_port *
port_of(const struct rte_eth_dev *eth)
{
	return eth->process_private;
}

static const struct slabio_args *
args_of(const struct rte_eth_dev *eth)
{
	return &((const struct slabio_dev *)eth->data->dev_private)->args;
}

/* ---- sockets that could not be closed ---- */

/*
 * Whether the application still has a pool: that of a queue that was released meanwhile may be gone.
 * Then the socket waits until the queue is set up again; if that is with another pool, nobody is left
 * to give mbufs back to.
 */
static bool
has_pool(const struct rte_eth_dev *eth, const struct rte_mempool *mp)
{
	const struct slabio_dev *dev = eth->data->dev_private;
	unsigned int i;

	for (i = 0; i < SLABIO_MAX_QUEUES; i++)
		if (dev->rxq[i].mp == mp)
			return true;
	return port_of(eth)->tx_pool == mp;
}

/* False: some are kept. Under slabio_xdp_lock. */
static bool
close_kept(struct rte_eth_dev *eth, bool starting)
{
	struct slabio_xdp_port *port = port_of(eth);
	bool all = true;
	uint16_t i;

	for (i = 0; i < SLABIO_MAX_QUEUES; i++) {
		struct slabio_xdp_queue *q = &port->queues[i];

		if (q->fd < 0 || !q->kept)
			continue;
		port->peers.held = slabio_peers_hold(&port->peers);
		if (!has_pool(eth, q->mem->mp) && starting && !port->peers.held) {
			slabio_xdp_socket_abandon(q);
			continue;
		}
		if (!has_pool(eth, q->mem->mp) ||
			!slabio_xdp_socket_close(
				q, eth->data->name, port->netif.index, args_of(eth)->xsk_socket)) {
			all = false;
			continue;
		}
		SLABIO_LOG(NOTICE, "%s: queue %u: closed, and its mbufs are back", eth->data->name,
			q->queue);
	}
	return all;
}

/* By EAL's interrupt thread, until there are none any more. */
static void
check_kept(void *arg)
{
	bool all;

	pthread_mutex_lock(&slabio_xdp_lock);
	all = close_kept(arg, false);
	pthread_mutex_unlock(&slabio_xdp_lock);
	if (!all)
		rte_eal_alarm_set(KEPT_CHECK_US, check_kept, arg);
}

/* What could not be closed gives mbufs back, later and under the lock, to pools of queues only. */
static void
xdp_rx_queue_release(struct slabio_rxq *q)
{
	pthread_mutex_lock(&slabio_xdp_lock);
	q->mp = NULL;
	pthread_mutex_unlock(&slabio_xdp_lock);
}

/* For a start, which needs the queues. Bounded: one that was just killed takes a moment to end. */
static int
wait_for_kept(struct rte_eth_dev *eth)
{
	unsigned int ms;

	for (ms = 0; !close_kept(eth, true); ms++) {
		if (ms == KEPT_WAIT_MS) {
			SLABIO_LOG(ERR,
				"%s: cannot start: a secondary process that was stopped in the "
				"middle of a burst still has a queue; let it go on or end it",
				eth->data->name);
			return -EBUSY;
		}
		rte_delay_us_sleep(1000);
	}
	return 0;
}

/* At close: whoever has them now has them for good. Returns whether there were any. */
static bool
abandon_kept(struct rte_eth_dev *eth)
{
	struct slabio_xdp_port *port = port_of(eth);
	bool any = false;
	uint16_t i;

	rte_eal_alarm_cancel(check_kept, eth);
	pthread_mutex_lock(&slabio_xdp_lock);
	if (!close_kept(eth, false))
		for (i = 0; i < SLABIO_MAX_QUEUES; i++) {
			any = any || port->queues[i].fd >= 0;
			slabio_xdp_socket_abandon(&port->queues[i]);
		}
	pthread_mutex_unlock(&slabio_xdp_lock);
	return any;
}

/* ---- probe and close ---- */

static int
count_queues(struct rte_eth_dev *eth)
{
	const struct slabio_args *args = args_of(eth);
	struct slabio_xdp_port *port = port_of(eth);
	const unsigned int there = slabio_netif_queues(&port->netif);
	const unsigned int wanted = RTE_MAX(args->queue_count, 1u);

	if (args->start_queue + wanted > there) {
		SLABIO_LOG(ERR,
			"%s: expected queues %u to %u (start_queue= and queue_count=) of %s, which "
			"has %u, counted from 0; see 'ethtool -l %s'",
			eth->data->name, args->start_queue, args->start_queue + wanted - 1,
			args->iface, there, args->iface);
		return -EINVAL;
	}
	port->count = args->queue_count != 0
			      ? args->queue_count
			      : RTE_MIN(there - args->start_queue, (unsigned int)SLABIO_MAX_QUEUES);
	return 0;
}

static void
set_max_len(const struct rte_eth_dev *eth)
{
	struct slabio_dev *dev = eth->data->dev_private;
	unsigned int mtu = slabio_netif_mtu(&port_of(eth)->netif);
	uint16_t i;

	for (i = 0; i < SLABIO_MAX_QUEUES; i++)
		atomic_store_explicit(&dev->txq[i].max_len,
			(mtu != 0 ? mtu : eth->data->mtu) + SLABIO_L2_OVERHEAD,
			memory_order_relaxed);
}

/* By EAL's interrupt thread. */
static void
interface_changed(void *arg)
{
	struct rte_eth_dev *eth = arg;

	pthread_mutex_lock(&slabio_xdp_lock);
	set_max_len(eth);
	pthread_mutex_unlock(&slabio_xdp_lock);
	slabio_link_changed(eth);
}

static int
find_interface(struct rte_eth_dev *eth)
{
	struct slabio_xdp_port *port = port_of(eth);
	int ret = slabio_netif_open(&port->netif, eth->data->name, "iface", args_of(eth)->iface,
		args_of(eth)->xsk_socket == NULL);

	if (ret != 0)
		return ret;
	ret = count_queues(eth);
	if (ret == 0)
		ret = slabio_netif_watch_start(&port->watch, &port->netif, interface_changed, eth);
	if (ret != 0)
		slabio_netif_close(&port->netif);
	return ret;
}

static void
leave_interface(struct slabio_xdp_port *port)
{
	slabio_netif_watch_stop(&port->watch);
	slabio_netif_close(&port->netif);
}

static int
xdp_open(struct rte_eth_dev *eth)
{
	struct slabio_dev *dev = eth->data->dev_private;
	struct slabio_xdp_port *port = NULL;
	unsigned int i, mtu;
	int ret;

	if (posix_memalign((void **)&port, RTE_CACHE_LINE_SIZE, sizeof(*port)) != 0) {
		SLABIO_LOG(ERR, "%s: no memory for the port", eth->data->name);
		return -ENOMEM;
	}
	memset(port, 0, sizeof(*port));
	for (i = 0; i < SLABIO_MAX_QUEUES; i++)
		port->queues[i].fd = -1;
	rte_spinlock_init(&port->stats_lock);
	eth->process_private = port;
	ret = find_interface(eth);
	if (ret == 0) {
		ret = slabio_xdp_offer_open(eth);
		if (ret != 0)
			leave_interface(port);
	}
	if (ret != 0) {
		eth->process_private = NULL;
		free(port);
		return ret;
	}
	if (rte_is_valid_assigned_ether_addr(&port->netif.own_mac))
		dev->mac = port->netif.own_mac;
	mtu = slabio_netif_mtu(&port->netif);
	if (mtu != 0)
		eth->data->mtu = RTE_MIN(mtu, (unsigned int)SLABIO_MAX_MTU);
	return 0;
}

/*
 * A secondary that is stopped goes on where it was: in a burst, or in the thread that lets go of the
 * port, and reads and writes what ethdev is about to free.
 */
static void
leave_shared_memory(struct rte_eth_dev *eth)
{
	eth->data->dev_private = NULL;
	eth->data->rx_queues = NULL;
	eth->data->tx_queues = NULL;
}

static void
xdp_close(struct rte_eth_dev *eth)
{
	struct slabio_xdp_port *port = port_of(eth);
	bool left;

	if (port == NULL)
		return;
	left = slabio_xdp_offer_close(eth);
	/* the pool is part of what a secondary goes on with */
	if (abandon_kept(eth))
		port->tx_pool = NULL;
	slabio_peers_leave(&port->peers);
	leave_interface(port);
	rte_mempool_free(port->tx_pool);
	eth->process_private = NULL;
	free(port);
	if (!left)
		leave_shared_memory(eth);
}

static void
xdp_info(const struct rte_eth_dev *eth, struct rte_eth_dev_info *info)
{
	const struct slabio_xdp_port *port = port_of(eth);

	info->rx_offload_capa = RTE_ETH_RX_OFFLOAD_SCATTER | SLABIO_RX_SOFT;
	if (args_of(eth)->xdp_meta)
		info->rx_offload_capa |= RTE_ETH_RX_OFFLOAD_TIMESTAMP;
	info->tx_offload_capa |= SLABIO_TX_SOFT;
	info->rx_desc_lim.nb_min = 16;
	info->rx_desc_lim.nb_max = 32768;
	info->tx_desc_lim.nb_min = 16;
	info->tx_desc_lim.nb_max = 32768;
	info->tx_desc_lim.nb_seg_max = SLABIO_XDP_TX_FRAMES;
	info->tx_desc_lim.nb_mtu_seg_max = SLABIO_XDP_TX_FRAMES;
	info->default_rxportconf.ring_size = 2048;
	info->default_txportconf.ring_size = 2048;
	/* a secondary has no port structure */
	if (port == NULL)
		return;
	info->max_rx_queues = (uint16_t)port->count;
	info->max_tx_queues = (uint16_t)port->count;
	info->default_rxportconf.nb_queues = (uint16_t)port->count;
	info->default_txportconf.nb_queues = (uint16_t)port->count;
	info->if_index = (unsigned int)port->netif.index;
}

/* ---- statistics ---- */

static void
count_kernel(struct slabio_dev *dev, struct slabio_xdp_queue *q, uint16_t i)
{
	slabio_counter *rx = dev->rxq[i].stats, *tx = dev->txq[i].stats;
	const struct xdp_statistics was = q->seen;
	struct xdp_statistics now;

	if (!slabio_xdp_socket_stats(q, &now))
		return;
	q->seen = now;
	slabio_count(&rx[SLABIO_RX_XSK_DROPPED], now.rx_dropped - was.rx_dropped);
	slabio_count(&rx[SLABIO_RX_XSK_RING_FULL], now.rx_ring_full - was.rx_ring_full);
	slabio_count(&rx[SLABIO_RX_XSK_FILL_EMPTY],
		now.rx_fill_ring_empty_descs - was.rx_fill_ring_empty_descs);
	slabio_count(&rx[SLABIO_RX_XSK_INVALID], now.rx_invalid_descs - was.rx_invalid_descs);
	slabio_count(&tx[SLABIO_TX_XSK_INVALID], now.tx_invalid_descs - was.tx_invalid_descs);
	slabio_count(
		&tx[SLABIO_TX_XSK_RING_EMPTY], now.tx_ring_empty_descs - was.tx_ring_empty_descs);
	slabio_count(&dev->missed,
		now.rx_dropped - was.rx_dropped + now.rx_ring_full - was.rx_ring_full);
}

static void
xdp_update_missed(struct rte_eth_dev *eth)
{
	struct slabio_xdp_port *port = port_of(eth);
	uint16_t i;

	/* any thread may ask for statistics; what is counted here is counted once */
	rte_spinlock_lock(&port->stats_lock);
	for (i = 0; i < SLABIO_MAX_QUEUES && port->counting; i++)
		count_kernel(eth->data->dev_private, &port->queues[i], i);
	rte_spinlock_unlock(&port->stats_lock);
}

/* ---- stop ---- */

/* Sockets are opened and closed, which may take its time, while nobody asks them for statistics. */
static void
set_counting(struct slabio_xdp_port *port, bool on)
{
	rte_spinlock_lock(&port->stats_lock);
	port->counting = on;
	rte_spinlock_unlock(&port->stats_lock);
}

static void
queue_in_map(struct slabio_xdp_port *port, struct slabio_xdp_queue *q, bool in)
{
	if (!in && q->in_map)
		slabio_xdp_prog_clear(port->prog, q->queue);
	q->in_map = in;
}

static void
xdp_stop(struct rte_eth_dev *eth)
{
	struct slabio_xdp_port *port = port_of(eth);
	struct slabio_dev *dev = eth->data->dev_private;
	bool all = true;
	uint16_t i;

	slabio_xdp_withdraw(eth);
	pthread_mutex_lock(&slabio_xdp_lock);
	if (port->prog != NULL) {
		for (i = 0; i < SLABIO_MAX_QUEUES; i++)
			queue_in_map(port, &port->queues[i], false);
		slabio_xdp_prog_put(port->prog);
		port->prog = NULL;
	}
	xdp_update_missed(eth);
	set_counting(port, false);
	slabio_xdp_intr_stop(eth);
	for (i = 0; i < SLABIO_MAX_QUEUES; i++) {
		dev->rxq[i].be = NULL;
		dev->txq[i].be = NULL;
		if (!port->queues[i].kept)
			all = slabio_xdp_socket_close(&port->queues[i], eth->data->name,
				      port->netif.index, args_of(eth)->xsk_socket) &&
			      all;
	}
	pthread_mutex_unlock(&slabio_xdp_lock);
	if (!all)
		rte_eal_alarm_set(KEPT_CHECK_US, check_kept, eth);
}

/* ---- start ---- */

/*
 * For a port that only sends: others' mbufs are copied into these. Not under slabio_xdp_lock: EAL
 * tells secondaries of new memory, and hears of them by the thread that answers their requests.
 */
static int
create_own_pool(struct rte_eth_dev *eth)
{
	struct slabio_xdp_port *port = port_of(eth);
	char name[RTE_MEMPOOL_NAMESIZE];
	unsigned int n = 0;
	uint16_t i;

	if (eth->data->nb_rx_queues != 0 || port->tx_pool != NULL)
		return 0;
	for (i = 0; i < eth->data->nb_tx_queues; i++)
		n += 2 * ((struct slabio_dev *)eth->data->dev_private)->txq[i].nb_desc;
	snprintf(name, sizeof(name), "slabio_tx_%u", eth->data->port_id);
	port->tx_pool = rte_pktmbuf_pool_create(
		name, n, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, eth->data->numa_node);
	if (port->tx_pool != NULL)
		return 0;
	SLABIO_LOG(ERR, "%s: cannot create a pool of %u mbufs to send from: %s", eth->data->name, n,
		rte_strerror(rte_errno));
	return -ENOMEM;
}

static struct rte_mempool *
pool_of(struct rte_eth_dev *eth, uint16_t i)
{
	const struct slabio_dev *dev = eth->data->dev_private;

	if (i < eth->data->nb_rx_queues)
		return dev->rxq[i].mp;
	return eth->data->nb_rx_queues != 0 ? dev->rxq[0].mp : port_of(eth)->tx_pool;
}

/* Packets of several frames are for who asks for them, and for who has frames too small. */
static bool
wants_multi_buffer(const struct rte_eth_dev *eth, struct rte_mempool *mp)
{
	const struct rte_eth_conf *conf = &eth->data->dev_conf;
	const uint32_t room = rte_pktmbuf_data_room_size(mp);
	/* an application that says nothing of an MTU means that of Ethernet for ethdev, not for us */
	const uint32_t mtu =
		RTE_MAX((uint32_t)eth->data->mtu, slabio_netif_mtu(&port_of(eth)->netif));

	return (conf->rxmode.offloads & RTE_ETH_RX_OFFLOAD_SCATTER) ||
	       (conf->txmode.offloads & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) ||
	       RTE_MIN(room, (uint32_t)sysconf(_SC_PAGESIZE)) <
		       SLABIO_XDP_HEADROOM + mtu + SLABIO_L2_OVERHEAD;
}

static int
check_room(const struct rte_eth_dev *eth, const struct slabio_xdp_queue *q)
{
	const uint32_t packet = eth->data->mtu + SLABIO_L2_OVERHEAD;
	const struct slabio_xdp_mem *mem = q->mem;
	const uint32_t left_over = mem->buf_len - mem->room;

	if (!q->has_rx || mem->room >= packet || q->mode.multi_buffer)
		return 0;
	SLABIO_LOG(ERR,
		"%s: expected room for the MTU of %u + %u for Ethernet and VLAN tags = %u bytes, "
		"found %u in mbufs of pool %s (buffer of %u - %u of headroom and rest); use mbufs "
		"with %u bytes (testpmd: --mbuf-size), at most a page, or a smaller MTU: this "
		"kernel receives no packets of several frames, which Linux 6.6 does",
		eth->data->name, eth->data->mtu, SLABIO_L2_OVERHEAD, packet, mem->room,
		mem->mp->name, mem->buf_len, left_over, packet + left_over);
	return -EINVAL;
}

/* Of any queue: all of a port are to share a registration. */
static bool
wants_sums(const struct slabio_dev *dev)
{
	unsigned int i;

	for (i = 0; i < SLABIO_MAX_QUEUES; i++)
		if (dev->txq[i].in_use && (dev->txq[i].soft & SLABIO_TX_L4_SUMS) != 0)
			return true;
	return false;
}

static int
start_queue(struct rte_eth_dev *eth, uint16_t i)
{
	const struct slabio_args *args = args_of(eth);
	struct slabio_xdp_port *port = port_of(eth);
	struct slabio_dev *dev = eth->data->dev_private;
	struct slabio_xdp_queue *q = &port->queues[i];
	struct slabio_xdp_socket_opts opts = {
		.device = eth->data->name,
		.iface = args->iface,
		.ifindex = port->netif.index,
		.port_id = eth->data->port_id,
		.rxq = &dev->rxq[i],
		.txq = &dev->txq[i],
		.peers = &port->peers,
		.mp = pool_of(eth, i),
		.rx_desc = i < eth->data->nb_rx_queues ? dev->rxq[i].nb_desc : 0,
		.tx_desc = i < eth->data->nb_tx_queues ? dev->txq[i].nb_desc : 0,
		.busy_poll = args->busy_poll,
		.given = args->xsk_socket,
		.want_zero_copy =
			args->xdp_mode != SLABIO_XDP_COPY && args->xdp_mode != SLABIO_XDP_GENERIC,
		.want_copy = args->xdp_mode != SLABIO_XDP_ZEROCOPY,
		.want_sums = wants_sums(dev),
		.csum = args->tx_csum,
	};
	int ret;

	if (opts.mp == NULL) {
		SLABIO_LOG(ERR,
			"%s: expected all receive queues to be set up, found one that is not",
			eth->data->name);
		return -EINVAL;
	}
	opts.want_multi_buffer = wants_multi_buffer(eth, opts.mp);
	opts.device_sums = opts.want_zero_copy && opts.want_sums &&
			   slabio_xdp_device_sums(port->netif.index) > 0;
	q->queue = args->start_queue + i;
	ret = slabio_xdp_socket_open(q, &opts);
	if (ret != 0)
		return ret;
	ret = check_room(eth, q);
	if (ret != 0) {
		(void)slabio_xdp_socket_close(
			q, eth->data->name, port->netif.index, args->xsk_socket);
		return ret;
	}
	q->rx.meta = args->xdp_meta;
	dev->rxq[i].be = q->has_rx ? &q->rx : NULL;
	dev->txq[i].be = q->has_tx ? &q->tx : NULL;
	return 0;
}

static int
let_packets_in(struct rte_eth_dev *eth)
{
	const struct slabio_args *args = args_of(eth);
	struct slabio_xdp_port *port = port_of(eth);
	const struct slabio_xdp_prog_opts opts = {
		.device = eth->data->name,
		.iface = args->iface,
		.ifindex = port->netif.index,
		.queues = args->xsk_map != NULL ? args->start_queue + eth->data->nb_rx_queues
						: slabio_netif_queues(&port->netif),
		.native = args->xdp_mode != SLABIO_XDP_GENERIC,
		.generic = args->xdp_mode != SLABIO_XDP_NATIVE &&
			   args->xdp_mode != SLABIO_XDP_ZEROCOPY,
		.file = args->xdp_prog,
		.name = args->xdp_prog_name,
		.pinned = args->xsk_map,
		.given = args->xsk_socket,
	};
	uint16_t i;
	int ret;

	if (eth->data->nb_rx_queues == 0)
		return 0;
	port->prog = slabio_xdp_prog_get(&opts);
	if (port->prog == NULL)
		return -rte_errno;
	for (i = 0; i < eth->data->nb_rx_queues; i++) {
		struct slabio_xdp_queue *q = &port->queues[i];

		ret = slabio_xdp_prog_set(port->prog, q->queue, q->fd);
		if (ret != 0) {
			SLABIO_LOG(ERR, "%s: cannot direct packets of %s queue %u to the port: %s",
				eth->data->name, args->iface, q->queue, strerror(-ret));
			return ret;
		}
		q->in_map = true;
	}
	return 0;
}

/* Nobody should have to guess which mode there is. */
static void
report(const struct rte_eth_dev *eth)
{
	const struct slabio_xdp_port *port = port_of(eth);
	const struct slabio_xdp_queue *q = &port->queues[0];
	const char *program = port->prog == NULL ? "no program" : slabio_xdp_prog_text(port->prog);
	struct slabio_dev *dev = eth->data->dev_private;
	uint16_t i;

	SLABIO_LOG(NOTICE,
		"%s: %s queues %u to %u: %s, %s mode, %s, %s frames of %u bytes with room for %u "
		"in pool %s%s%s",
		eth->data->name, port->netif.name, q->queue,
		q->queue + RTE_MAX(eth->data->nb_rx_queues, eth->data->nb_tx_queues) - 1, program,
		q->mode.zero_copy ? "zero-copy" : "copy",
		q->mode.multi_buffer ? "packets of several frames" : "one frame per packet",
		q->mem->unaligned ? "unaligned" : "aligned", q->mem->frame, q->mem->room,
		q->mem->mp->name, q->mode.shared ? ", registered before" : "",
		!wants_sums(dev)  ? ""
		: q->mode.tx_meta ? ", transmit checksums by the kernel"
				  : ", transmit checksums in software");
	if (eth->data->nb_rx_queues != 0 && eth->data->nb_rx_queues < port->count)
		SLABIO_LOG(WARNING,
			"%s: %s has %u queues for this port, but the application uses %u receive "
			"queues: packets of the others go to the host; see queue_count= and "
			"'ethtool -L'",
			eth->data->name, port->netif.name, port->count, eth->data->nb_rx_queues);
	for (i = 0; i < eth->data->nb_rx_queues; i++) {
		slabio_counter *stats = dev->rxq[i].stats;

		q = &port->queues[i];
		atomic_store_explicit(
			&stats[SLABIO_RX_IS_ZERO_COPY], q->mode.zero_copy, memory_order_relaxed);
		atomic_store_explicit(&stats[SLABIO_RX_IS_MULTI_BUFFER], q->mode.multi_buffer,
			memory_order_relaxed);
		atomic_store_explicit(&stats[SLABIO_RX_IS_NATIVE],
			slabio_xdp_prog_native(port->prog), memory_order_relaxed);
	}
	for (i = 0; i < eth->data->nb_tx_queues; i++)
		atomic_store_explicit(&dev->txq[i].stats[SLABIO_TX_IS_KERNEL_CSUM],
			port->queues[i].mode.tx_meta, memory_order_relaxed);
}

/*
 * Whoever configures a port for more than Ethernet's MTU wants such packets on the wire too. Less
 * than the interface has, or 1500, which is what ethdev assumes of those who say nothing, leaves
 * the interface as it is.
 */
static int
raise_mtu(struct rte_eth_dev *eth)
{
	struct slabio_netif *netif = &port_of(eth)->netif;
	const uint16_t wanted = eth->data->mtu;
	const unsigned int there = slabio_netif_mtu(netif);
	int ret;

	if (wanted <= RTE_ETHER_MTU || wanted <= there)
		return 0;
	ret = slabio_netif_set_mtu(netif, wanted);
	if (ret == 0)
		SLABIO_LOG(NOTICE,
			"%s: raised the MTU of %s from %u to the %u that the port is configured "
			"for, until it is closed",
			eth->data->name, netif->name, there, wanted);
	return ret;
}

/*
 * After the program was attached: before, a veth has no NAPI instance. Only where there is just one:
 * which of several is that of which queue nobody says.
 */
static void
poll_napi(const struct rte_eth_dev *eth)
{
	struct slabio_xdp_port *port = port_of(eth);
	struct slabio_xdp_queue *q = &port->queues[0];
	uint32_t id;
	int ret;

	if (eth->data->nb_rx_queues == 0 || !q->rx.busy_poll || slabio_xdp_napi_known(q->fd))
		return;
	ret = slabio_xdp_device_napi(port->netif.index, &id);
	if (ret == 0)
		ret = slabio_xdp_napi_open(id);
	if (ret < 0) {
		SLABIO_LOG(NOTICE,
			"%s: no NAPI instance of %s is known to the socket, and none can be polled "
			"without it (%s): busy_poll= may do nothing",
			eth->data->name, port->netif.name, strerror(-ret));
		return;
	}
	q->rx.napi_fd = ret;
	q->rx.polls_napi = true;
	SLABIO_LOG(NOTICE,
		"%s: busy polling of %s is by io_uring: its driver does not say which NAPI "
		"instance is the queue's",
		eth->data->name, port->netif.name);
}

static int
xdp_start(struct rte_eth_dev *eth)
{
	struct slabio_xdp_port *port = port_of(eth);
	uint16_t i, n = RTE_MAX(eth->data->nb_rx_queues, eth->data->nb_tx_queues);
	int ret;

	ret = create_own_pool(eth);
	if (ret != 0)
		return ret;
	pthread_mutex_lock(&slabio_xdp_lock);
	ret = wait_for_kept(eth);
	/* the interface may have been removed and created again */
	if (ret == 0)
		ret = slabio_netif_find(&port->netif);
	if (ret == 0)
		ret = raise_mtu(eth);
	for (i = 0; i < n && ret == 0; i++)
		ret = start_queue(eth, i);
	set_max_len(eth);
	if (ret == 0)
		ret = slabio_xdp_intr_start(eth);
	if (ret == 0)
		ret = let_packets_in(eth);
	if (ret == 0)
		poll_napi(eth);
	pthread_mutex_unlock(&slabio_xdp_lock);
	if (ret != 0) {
		xdp_stop(eth);
		return ret;
	}
	set_counting(port, true);
	report(eth);
	slabio_xdp_offer(eth);
	return 0;
}

/* The packets of a stopped queue go to the host, as before the port was started. */
static int
xdp_rx_queue_run(struct rte_eth_dev *eth, uint16_t queue, bool on)
{
	struct slabio_xdp_port *port = port_of(eth);
	struct slabio_xdp_queue *q = &port->queues[queue];
	int ret = 0;

	if (port->prog == NULL || q->in_map == on)
		return 0;
	if (on)
		ret = slabio_xdp_prog_set(port->prog, q->queue, q->fd);
	if (ret != 0) {
		SLABIO_LOG(ERR, "%s: cannot direct packets of %s queue %u to the port: %s",
			eth->data->name, port->netif.name, q->queue, strerror(-ret));
		return ret;
	}
	queue_in_map(port, q, on);
	return 0;
}

/* ---- the interface ---- */

static void
xdp_link(struct rte_eth_dev *eth, struct rte_eth_link *link)
{
	const bool started = link->link_status == RTE_ETH_LINK_UP;

	slabio_netif_link(&port_of(eth)->netif, link);
	if (!started)
		link->link_status = RTE_ETH_LINK_DOWN;
}

static int
xdp_promiscuous(struct rte_eth_dev *eth, bool on)
{
	return slabio_netif_set_promiscuous(&port_of(eth)->netif, on);
}

static int
xdp_allmulticast(struct rte_eth_dev *eth, bool on)
{
	return slabio_netif_set_allmulticast(&port_of(eth)->netif, on);
}

static int
xdp_mac_set(struct rte_eth_dev *eth, const struct rte_ether_addr *mac)
{
	return slabio_netif_set_mac(&port_of(eth)->netif, mac);
}

/* Whether a running port can receive packets of this MTU. */
static int
check_running_room(struct rte_eth_dev *eth, uint16_t mtu)
{
	const struct slabio_xdp_port *port = port_of(eth);
	const uint32_t packet = mtu + SLABIO_L2_OVERHEAD;
	uint16_t i;

	for (i = 0; eth->data->dev_started && i < eth->data->nb_rx_queues; i++) {
		const struct slabio_xdp_queue *q = &port->queues[i];

		if (q->mem->room >= packet || q->mode.multi_buffer)
			continue;
		SLABIO_LOG(ERR,
			"%s: expected a stopped port for an MTU of %u: packets of %u + %u = %u "
			"bytes do not fit into the %u of one frame, and whether they have several "
			"is chosen at start",
			eth->data->name, mtu, mtu, SLABIO_L2_OVERHEAD, packet, q->mem->room);
		return -EBUSY;
	}
	return 0;
}

static int
xdp_mtu_set(struct rte_eth_dev *eth, uint16_t mtu)
{
	int ret = check_running_room(eth, mtu);

	if (ret == 0)
		ret = slabio_netif_set_mtu(&port_of(eth)->netif, mtu);
	if (ret == 0)
		set_max_len(eth);
	return ret;
}

static int
xdp_tx_cleanup(struct slabio_txq *q)
{
	return (int)slabio_xdp_complete(q->be);
}

const struct slabio_backend slabio_xdp_backend = {
	.rx_mode = "AF_XDP, in place",
	.tx_mode = "AF_XDP, in place where the mbuf is of the registered pool",
	.rx_xstats = SLABIO_STATS_SET(SLABIO_RX_NOMBUF, SLABIO_RX_SCATTERED + 1) |
		     SLABIO_STATS_SET(SLABIO_RX_OVERSIZE, SLABIO_RX_OVERSIZE + 1) |
		     SLABIO_STATS_SET(SLABIO_RX_KICKS, SLABIO_RX_IS_MULTI_BUFFER + 1),
	.tx_xstats = SLABIO_STATS_SET(SLABIO_TX_MULTI_SEGS, SLABIO_TX_OVERSIZE + 1) |
		     SLABIO_STATS_SET(SLABIO_TX_NO_OUTPUT, SLABIO_TX_IS_KERNEL_CSUM + 1),
	.open = xdp_open,
	.close = xdp_close,
	.info = xdp_info,
	.start = xdp_start,
	.stop = xdp_stop,
	.has_lsc = true,
	.link = xdp_link,
	.promiscuous = xdp_promiscuous,
	.allmulticast = xdp_allmulticast,
	.mac_set = xdp_mac_set,
	.mtu_set = xdp_mtu_set,
	.rx_queue_release = xdp_rx_queue_release,
	.update_missed = xdp_update_missed,
	.rx_queue_run = xdp_rx_queue_run,
	.rx_intr_enable = slabio_xdp_intr_enable,
	.tx_cleanup = xdp_tx_cleanup,
	.secondary_open = slabio_xdp_secondary_open,
	.secondary_close = slabio_xdp_secondary_close,
	.rx_burst = slabio_xdp_rx_burst,
	.tx_burst = slabio_xdp_tx_burst,
	.secondary_rx_burst = slabio_xdp_secondary_rx,
	.secondary_tx_burst = slabio_xdp_secondary_tx,
	.secondary_tx_cleanup = slabio_xdp_secondary_tx_cleanup,
};
