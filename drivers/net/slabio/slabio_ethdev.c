/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * What ethdev and the vdev bus see of net_slabio, whatever the back end.
 *
 * A secondary process attaches to a port that the primary made: it reads information, statistics
 * and link state, and polls queues where the back end can share them (slabio_secondary.c says so
 * where it cannot). It changes nothing: what would is refused there, and its close touches nothing
 * that the primary has open.
 */

#include <errno.h>
#include <string.h>
#include <time.h>

#include <rte_mbuf_dyn.h>
#include <bus_vdev_driver.h>
#include <ethdev_vdev.h>

#include "slabio_offload.h"
#include "slabio_pmd.h"

RTE_LOG_REGISTER(slabio_logtype, pmd.net.slabio, NOTICE);

/* The back ends of ports that this process polls as a secondary. */
static const struct slabio_backend *polled[RTE_MAX_ETHPORTS];

/* -ENOTSUP after a message where only the primary may act. */
static int
primary_only(const struct rte_eth_dev *eth, const char *what)
{
	if (rte_eal_process_type() == RTE_PROC_PRIMARY)
		return 0;
	SLABIO_LOG(ERR, "%s: expected the primary process to %s it, this is a secondary",
		eth->data->name, what);
	return -ENOTSUP;
}

/* Of the primary's ports: a secondary's may have been closed. */
static const struct slabio_backend *
backend_of(const struct rte_eth_dev *eth)
{
	return slabio_backend(eth->data->dev_private);
}

static int
slabio_dev_configure(struct rte_eth_dev *eth)
{
	struct slabio_dev *dev = eth->data->dev_private;
	int ret = primary_only(eth, "configure");

	if (ret != 0)
		return ret;
	dev->timestamp_flag = 0;
	if (eth->data->dev_conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_TIMESTAMP) {
		ret = rte_mbuf_dyn_rx_timestamp_register(
			&dev->timestamp_offset, &dev->timestamp_flag);
		if (ret != 0) {
			SLABIO_LOG(ERR, "%s: no room in the mbuf for the receive timestamp: %s",
				eth->data->name, rte_strerror(rte_errno));
			return -rte_errno;
		}
	}
	return 0;
}

static int
slabio_dev_info(struct rte_eth_dev *eth, struct rte_eth_dev_info *info)
{
	const struct slabio_dev *dev = slabio_dev_hold(eth);

	if (dev == NULL)
		return -ENODEV;
	info->max_rx_queues = SLABIO_MAX_QUEUES;
	info->max_tx_queues = SLABIO_MAX_QUEUES;
	info->min_rx_bufsize = SLABIO_MIN_RX_BUF;
	info->max_rx_pktlen = SLABIO_MAX_PKT;
	info->min_mtu = RTE_ETHER_MIN_MTU;
	info->max_mtu = SLABIO_MAX_MTU;
	info->max_mac_addrs = 1;
	info->rx_offload_capa = RTE_ETH_RX_OFFLOAD_SCATTER | RTE_ETH_RX_OFFLOAD_TIMESTAMP;
	info->tx_offload_capa = RTE_ETH_TX_OFFLOAD_MULTI_SEGS | RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
	info->speed_capa = RTE_ETH_LINK_SPEED_10G;
	/* there are no descriptors: any number an application asks for will do */
	info->rx_desc_lim = (struct rte_eth_desc_lim){.nb_max = UINT16_MAX,
		.nb_min = 1,
		.nb_align = 1,
		.nb_seg_max = UINT16_MAX,
		.nb_mtu_seg_max = UINT16_MAX};
	info->tx_desc_lim = info->rx_desc_lim;
	info->default_rxportconf =
		(struct rte_eth_dev_portconf){.burst_size = 32, .ring_size = 512, .nb_queues = 1};
	info->default_txportconf = info->default_rxportconf;
	slabio_backend(dev)->info(eth, info);
	slabio_dev_release();
	return 0;
}

static void
set_queue_states(struct rte_eth_dev *eth, bool started)
{
	uint8_t state = started ? RTE_ETH_QUEUE_STATE_STARTED : RTE_ETH_QUEUE_STATE_STOPPED;
	struct slabio_dev *dev = eth->data->dev_private;
	uint16_t i;

	/* release: pairs with the acquire in the burst functions */
	for (i = 0; i < eth->data->nb_rx_queues; i++) {
		atomic_store_explicit(&dev->rxq[i].running, started, memory_order_release);
		eth->data->rx_queue_state[i] = state;
	}
	for (i = 0; i < eth->data->nb_tx_queues; i++) {
		atomic_store_explicit(&dev->txq[i].running, started, memory_order_release);
		eth->data->tx_queue_state[i] = state;
	}
}

/* Returns 0 if the link changed, -1 if not. */
static int
read_link(struct rte_eth_dev *eth, bool started)
{
	const struct slabio_backend *be = slabio_backend(eth->data->dev_private);
	struct rte_eth_link link;

	memset(&link, 0, sizeof(link));
	link.link_speed = RTE_ETH_SPEED_NUM_10G;
	link.link_duplex = RTE_ETH_LINK_FULL_DUPLEX;
	link.link_autoneg = RTE_ETH_LINK_FIXED;
	link.link_status = started ? RTE_ETH_LINK_UP : RTE_ETH_LINK_DOWN;
	if (be->link != NULL)
		be->link(eth, &link);
	return rte_eth_linkstatus_set(eth, &link);
}

static int
slabio_link_update(struct rte_eth_dev *eth, int wait __rte_unused)
{
	/* a secondary sees what the primary last wrote */
	if (rte_eal_process_type() != RTE_PROC_PRIMARY)
		return -1;
	return read_link(eth, eth->data->dev_started);
}

static void
link_down(struct rte_eth_dev *eth)
{
	struct rte_eth_link link;

	rte_eth_linkstatus_get(eth, &link);
	link.link_status = RTE_ETH_LINK_DOWN;
	rte_eth_linkstatus_set(eth, &link);
}

void
slabio_link_changed(struct rte_eth_dev *eth)
{
	struct rte_eth_link before, now;

	if (!eth->data->dev_started)
		return;
	rte_eth_linkstatus_get(eth, &before);
	read_link(eth, true);
	/* the port may have been stopped meanwhile, and its link been down for a moment */
	if (!eth->data->dev_started)
		link_down(eth);
	rte_eth_linkstatus_get(eth, &now);
	if (before.link_status != now.link_status && eth->data->dev_conf.intr_conf.lsc)
		rte_eth_dev_callback_process(eth, RTE_ETH_EVENT_INTR_LSC, NULL);
}

static int
slabio_dev_start(struct rte_eth_dev *eth)
{
	int ret = primary_only(eth, "start");
	const struct slabio_backend *be = ret == 0 ? backend_of(eth) : NULL;

	if (ret != 0)
		return ret;
	ret = be->start(eth);
	if (ret != 0)
		return ret;
	eth->rx_pkt_burst = be->rx_burst;
	eth->tx_pkt_burst = be->tx_burst;
	set_queue_states(eth, true);
	/* with interrupts ethdev does not ask */
	read_link(eth, true);
	return 0;
}

static int
slabio_dev_stop(struct rte_eth_dev *eth)
{
	int ret = primary_only(eth, "stop");

	if (ret != 0)
		return ret;
	set_queue_states(eth, false);
	eth->rx_pkt_burst = rte_eth_pkt_burst_dummy;
	eth->tx_pkt_burst = rte_eth_pkt_burst_dummy;
	slabio_backend(eth->data->dev_private)->stop(eth);
	eth->data->dev_started = 0;
	link_down(eth);
	return 0;
}

/* The primary may have closed the port already: what processes share is not looked at. */
static int
close_secondary(struct rte_eth_dev *eth)
{
	const struct slabio_backend *be = polled[eth - rte_eth_devices];

	polled[eth - rte_eth_devices] = NULL;
	if (be != NULL)
		be->secondary_close(eth);
	return 0;
}

static int
slabio_dev_close(struct rte_eth_dev *eth)
{
	struct slabio_dev *dev = eth->data->dev_private;

	if (rte_eal_process_type() != RTE_PROC_PRIMARY)
		return close_secondary(eth);
	/* gone when a close came before */
	if (dev == NULL)
		return 0;
	if (eth->data->dev_started)
		slabio_dev_stop(eth);
	slabio_backend(dev)->close(eth);
	slabio_args_free(&dev->args);
	/* a part of dev_private: ethdev must not free it */
	eth->data->mac_addrs = NULL;
	return 0;
}

static bool
mbuf_room(const struct rte_eth_dev *eth, uint16_t queue, struct rte_mempool *mp)
{
	uint32_t room = rte_pktmbuf_data_room_size(mp);

	if (room >= RTE_PKTMBUF_HEADROOM + SLABIO_MIN_RX_BUF)
		return true;
	SLABIO_LOG(ERR, "%s: rx queue %u: expected mbufs of at least %u + %u bytes, pool %s has %u",
		eth->data->name, queue, RTE_PKTMBUF_HEADROOM, SLABIO_MIN_RX_BUF, mp->name, room);
	return false;
}

static int
slabio_rx_queue_setup(struct rte_eth_dev *eth, uint16_t queue, uint16_t nb_desc,
	unsigned int socket __rte_unused, const struct rte_eth_rxconf *conf, struct rte_mempool *mp)
{
	struct slabio_dev *dev = eth->data->dev_private;
	struct slabio_rxq *q = &dev->rxq[queue];
	int ret = primary_only(eth, "set up a queue of");

	if (ret != 0)
		return ret;
	if (mp == NULL || conf->rx_deferred_start) {
		SLABIO_LOG(ERR,
			"%s: rx queue %u: expected one pool and no deferred start, found %s",
			eth->data->name, queue, mp == NULL ? "no pool" : "a deferred start");
		return -ENOTSUP;
	}
	if (!mbuf_room(eth, queue, mp))
		return -EINVAL;
	q->mp = mp;
	q->port_id = eth->data->port_id;
	q->queue_id = queue;
	q->nb_desc = nb_desc;
	q->timestamp_flag = dev->timestamp_flag;
	q->timestamp_offset = dev->timestamp_offset;
	q->in_use = true;
	atomic_store_explicit(&q->soft,
		(eth->data->dev_conf.rxmode.offloads | conf->offloads) & SLABIO_RX_SOFT,
		memory_order_relaxed);
	/* what does not fit into one mbuf comes in several */
	if ((conf->offloads & RTE_ETH_RX_OFFLOAD_SCATTER) ||
		rte_pktmbuf_data_room_size(mp) - RTE_PKTMBUF_HEADROOM <
			eth->data->mtu + SLABIO_L2_OVERHEAD)
		eth->data->scattered_rx = 1;
	eth->data->rx_queues[queue] = q;
	return 0;
}

static int
slabio_tx_queue_setup(struct rte_eth_dev *eth, uint16_t queue, uint16_t nb_desc,
	unsigned int socket __rte_unused, const struct rte_eth_txconf *conf)
{
	struct slabio_dev *dev = eth->data->dev_private;
	struct slabio_txq *q = &dev->txq[queue];
	int ret = primary_only(eth, "set up a queue of");

	if (ret != 0)
		return ret;
	if (conf->tx_deferred_start) {
		SLABIO_LOG(ERR, "%s: tx queue %u: expected no deferred start, found one",
			eth->data->name, queue);
		return -ENOTSUP;
	}
	q->port_id = eth->data->port_id;
	q->queue_id = queue;
	q->nb_desc = nb_desc;
	q->fast_free = (eth->data->dev_conf.txmode.offloads | conf->offloads) &
		       RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
	q->soft = (eth->data->dev_conf.txmode.offloads | conf->offloads) & SLABIO_TX_SOFT;
	q->in_use = true;
	eth->data->tx_queues[queue] = q;
	return 0;
}

/* ethdev releases queues of stopped ports only. */
static void
slabio_rx_queue_release(struct rte_eth_dev *eth, uint16_t queue)
{
	struct slabio_rxq *q = eth->data->rx_queues[queue];
	const struct slabio_backend *be;

	if (q == NULL || rte_eal_process_type() != RTE_PROC_PRIMARY)
		return;
	be = backend_of(eth);
	if (be->rx_queue_release != NULL)
		be->rx_queue_release(q);
	q->in_use = false;
	q->mp = NULL;
	eth->data->rx_queues[queue] = NULL;
}

static void
slabio_tx_queue_release(struct rte_eth_dev *eth, uint16_t queue)
{
	struct slabio_txq *q = eth->data->tx_queues[queue];

	if (q == NULL || rte_eal_process_type() != RTE_PROC_PRIMARY)
		return;
	q->in_use = false;
	eth->data->tx_queues[queue] = NULL;
}

static int
run_rx_queue(struct rte_eth_dev *eth, uint16_t queue, bool on)
{
	struct slabio_rxq *q = eth->data->rx_queues[queue];
	int ret = primary_only(eth, "start or stop a queue of");
	const struct slabio_backend *be = ret == 0 ? backend_of(eth) : NULL;

	if (ret == 0 && be->rx_queue_run != NULL)
		ret = be->rx_queue_run(eth, queue, on);
	if (ret != 0)
		return ret;
	atomic_store_explicit(&q->running, on, memory_order_release);
	eth->data->rx_queue_state[queue] =
		on ? RTE_ETH_QUEUE_STATE_STARTED : RTE_ETH_QUEUE_STATE_STOPPED;
	return 0;
}

static int
run_tx_queue(struct rte_eth_dev *eth, uint16_t queue, bool on)
{
	struct slabio_txq *q = eth->data->tx_queues[queue];
	int ret = primary_only(eth, "start or stop a queue of");

	if (ret != 0)
		return ret;
	atomic_store_explicit(&q->running, on, memory_order_release);
	eth->data->tx_queue_state[queue] =
		on ? RTE_ETH_QUEUE_STATE_STARTED : RTE_ETH_QUEUE_STATE_STOPPED;
	return 0;
}

static int
slabio_rx_queue_start(struct rte_eth_dev *eth, uint16_t queue)
{
	return run_rx_queue(eth, queue, true);
}

static int
slabio_rx_queue_stop(struct rte_eth_dev *eth, uint16_t queue)
{
	return run_rx_queue(eth, queue, false);
}

static int
slabio_tx_queue_start(struct rte_eth_dev *eth, uint16_t queue)
{
	return run_tx_queue(eth, queue, true);
}

static int
slabio_tx_queue_stop(struct rte_eth_dev *eth, uint16_t queue)
{
	return run_tx_queue(eth, queue, false);
}

static void
slabio_rxq_info(struct rte_eth_dev *eth, uint16_t queue, struct rte_eth_rxq_info *info)
{
	const struct slabio_rxq *q = eth->data->rx_queues[queue];

	info->mp = q->mp;
	info->scattered_rx = eth->data->scattered_rx;
	info->nb_desc = q->nb_desc;
	info->conf.offloads = eth->data->dev_conf.rxmode.offloads;
	info->rx_buf_size = rte_pktmbuf_data_room_size(q->mp) - RTE_PKTMBUF_HEADROOM;
}

static void
slabio_txq_info(struct rte_eth_dev *eth, uint16_t queue, struct rte_eth_txq_info *info)
{
	const struct slabio_txq *q = eth->data->tx_queues[queue];

	info->nb_desc = q->nb_desc;
	info->conf.offloads = eth->data->dev_conf.txmode.offloads;
}

/* Without a back end that keeps mbufs there is nothing to free. */
static int
slabio_tx_done_cleanup(void *queue, uint32_t limit __rte_unused)
{
	struct slabio_txq *q = queue;
	const struct slabio_backend *be;

	/* the port was closed by the primary */
	if (q == NULL)
		return -ENODEV;
	if (rte_eal_process_type() != RTE_PROC_PRIMARY) {
		be = polled[q->port_id];
		return be != NULL ? be->secondary_tx_cleanup(q) : 0;
	}
	be = backend_of(&rte_eth_devices[q->port_id]);
	/* acquire: pairs with the release of start, after which the queue is complete */
	if (be->tx_cleanup == NULL || !atomic_load_explicit(&q->running, memory_order_acquire))
		return 0;
	return be->tx_cleanup(q);
}

static int
slabio_rx_intr_enable(struct rte_eth_dev *eth, uint16_t queue)
{
	int ret = primary_only(eth, "sleep on a queue of");
	const struct slabio_backend *be = ret == 0 ? backend_of(eth) : NULL;

	if (ret != 0)
		return ret;
	return be->rx_intr_enable == NULL || eth->intr_handle == NULL
		       ? -ENOTSUP
		       : be->rx_intr_enable(eth, queue);
}

static int
slabio_rx_intr_disable(struct rte_eth_dev *eth, uint16_t queue __rte_unused)
{
	return eth->intr_handle == NULL ? -ENOTSUP : 0;
}

static int
slabio_rx_burst_mode(
	struct rte_eth_dev *eth, uint16_t queue __rte_unused, struct rte_eth_burst_mode *mode)
{
	snprintf(mode->info, sizeof(mode->info), "%s",
		slabio_backend(eth->data->dev_private)->rx_mode);
	return 0;
}

static int
slabio_tx_burst_mode(
	struct rte_eth_dev *eth, uint16_t queue __rte_unused, struct rte_eth_burst_mode *mode)
{
	snprintf(mode->info, sizeof(mode->info), "%s",
		slabio_backend(eth->data->dev_private)->tx_mode);
	return 0;
}

static int
set_promiscuous(struct rte_eth_dev *eth, bool on)
{
	int ret = primary_only(eth, "change promiscuous mode of");
	const struct slabio_backend *be = ret == 0 ? backend_of(eth) : NULL;

	if (ret != 0 || be->promiscuous == NULL)
		return ret;
	return be->promiscuous(eth, on);
}

static int
set_allmulticast(struct rte_eth_dev *eth, bool on)
{
	int ret = primary_only(eth, "change all-multicast mode of");
	const struct slabio_backend *be = ret == 0 ? backend_of(eth) : NULL;

	if (ret != 0 || be->allmulticast == NULL)
		return ret;
	return be->allmulticast(eth, on);
}

static int
slabio_promiscuous_enable(struct rte_eth_dev *eth)
{
	return set_promiscuous(eth, true);
}

static int
slabio_promiscuous_disable(struct rte_eth_dev *eth)
{
	return set_promiscuous(eth, false);
}

static int
slabio_allmulticast_enable(struct rte_eth_dev *eth)
{
	return set_allmulticast(eth, true);
}

static int
slabio_allmulticast_disable(struct rte_eth_dev *eth)
{
	return set_allmulticast(eth, false);
}

/* ethdev has checked the address, and stores it in mac_addrs (which is dev->mac) itself. */
static int
slabio_mac_set(struct rte_eth_dev *eth, struct rte_ether_addr *mac)
{
	int ret = primary_only(eth, "change the address of");
	const struct slabio_backend *be = ret == 0 ? backend_of(eth) : NULL;

	if (ret != 0 || be->mac_set == NULL)
		return ret;
	return be->mac_set(eth, mac);
}

/* ethdev has checked the range that dev_info gives. */
static int
slabio_mtu_set(struct rte_eth_dev *eth, uint16_t mtu)
{
	int ret = primary_only(eth, "change the MTU of");
	const struct slabio_backend *be = ret == 0 ? backend_of(eth) : NULL;

	if (ret != 0 || be->mtu_set == NULL)
		return ret;
	return be->mtu_set(eth, mtu);
}

/* ethdev has stored what is wanted in dev_conf. Of tags only stripping can change while running. */
static int
slabio_vlan_offload_set(struct rte_eth_dev *eth, int mask)
{
	const bool on = eth->data->dev_conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_VLAN_STRIP;
	struct slabio_dev *dev = eth->data->dev_private;
	int ret = primary_only(eth, "change the VLAN offload of");
	uint16_t i;

	if (ret != 0 || !(mask & RTE_ETH_VLAN_STRIP_MASK))
		return ret;
	for (i = 0; i < eth->data->nb_rx_queues; i++)
		if (on)
			atomic_fetch_or_explicit(&dev->rxq[i].soft, RTE_ETH_RX_OFFLOAD_VLAN_STRIP,
				memory_order_relaxed);
		else
			atomic_fetch_and_explicit(&dev->rxq[i].soft, ~RTE_ETH_RX_OFFLOAD_VLAN_STRIP,
				memory_order_relaxed);
	return 0;
}

/* The clock that receive timestamps are in. */
static int
slabio_read_clock(struct rte_eth_dev *eth __rte_unused, uint64_t *now)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	*now = (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
	return 0;
}

static int
slabio_pool_ops_supported(struct rte_eth_dev *eth __rte_unused, const char *pool)
{
	return strcmp(pool, "slab") == 0 ? 0 : 1;
}

SLABIO_STATS_GET(slabio_stats_get, slabio_stats_fill)

static const struct eth_dev_ops slabio_ops = {
	.dev_configure = slabio_dev_configure,
	.dev_start = slabio_dev_start,
	.dev_stop = slabio_dev_stop,
	.dev_close = slabio_dev_close,
	.dev_infos_get = slabio_dev_info,
	.link_update = slabio_link_update,
	.promiscuous_enable = slabio_promiscuous_enable,
	.promiscuous_disable = slabio_promiscuous_disable,
	.allmulticast_enable = slabio_allmulticast_enable,
	.allmulticast_disable = slabio_allmulticast_disable,
	.mac_addr_set = slabio_mac_set,
	.mtu_set = slabio_mtu_set,
	.read_clock = slabio_read_clock,
	.vlan_offload_set = slabio_vlan_offload_set,
	.stats_get = slabio_stats_get,
	.stats_reset = slabio_stats_reset,
	.xstats_get = slabio_xstats_get,
	.xstats_get_names = slabio_xstats_get_names,
	.xstats_reset = slabio_stats_reset,
	.rxq_info_get = slabio_rxq_info,
	.txq_info_get = slabio_txq_info,
	.rx_burst_mode_get = slabio_rx_burst_mode,
	.tx_burst_mode_get = slabio_tx_burst_mode,
	.rx_queue_start = slabio_rx_queue_start,
	.rx_queue_stop = slabio_rx_queue_stop,
	.tx_queue_start = slabio_tx_queue_start,
	.tx_queue_stop = slabio_tx_queue_stop,
	.rx_queue_setup = slabio_rx_queue_setup,
	.rx_queue_release = slabio_rx_queue_release,
	.tx_queue_setup = slabio_tx_queue_setup,
	.tx_queue_release = slabio_tx_queue_release,
	.tx_done_cleanup = slabio_tx_done_cleanup,
	.rx_queue_intr_enable = slabio_rx_intr_enable,
	.rx_queue_intr_disable = slabio_rx_intr_disable,
	.pool_ops_supported = slabio_pool_ops_supported,
};

static int
probe_secondary(struct rte_vdev_device *vdev)
{
	const char *name = rte_vdev_device_name(vdev);
	struct rte_eth_dev *eth = rte_eth_dev_attach_secondary(name);
	const struct slabio_backend *be;
	const struct slabio_dev *dev;

	if (eth == NULL) {
		SLABIO_LOG(ERR, "%s: expected the primary process to have this port, it has not",
			name);
		return -ENODEV;
	}
	dev = eth->data->dev_private;
	if (dev->magic != SLABIO_DEV_MAGIC || dev->size != sizeof(*dev)) {
		SLABIO_LOG(ERR,
			"%s: expected the primary process to use the same build of this driver, it "
			"uses another",
			name);
		rte_eth_dev_release_port(eth);
		return -EINVAL;
	}
	eth->device = &vdev->device;
	eth->dev_ops = &slabio_ops;
	eth->rx_pkt_burst = slabio_secondary_rx;
	eth->tx_pkt_burst = slabio_secondary_tx;
	be = slabio_backend(dev);
	/* one that cannot poll still reads statistics; why it cannot has been said */
	if (be->secondary_open != NULL && be->secondary_open(eth) == 0) {
		polled[eth->data->port_id] = be;
		eth->rx_pkt_burst = be->secondary_rx_burst;
		eth->tx_pkt_burst = be->secondary_tx_burst;
	}
	rte_eth_dev_probing_finish(eth);
	return 0;
}

/* Locally administered, the same at every start, another for each port. */
static void
default_mac(uint16_t port_id, struct rte_ether_addr *mac)
{
	*mac = (struct rte_ether_addr){
		.addr_bytes = {0x02, 0x73, 0x6c, 0x61, port_id >> 8, port_id & 0xff}};
}

static int
probe_primary(struct rte_vdev_device *vdev)
{
	const char *name = rte_vdev_device_name(vdev);
	struct slabio_args args;
	struct rte_eth_dev *eth;
	struct slabio_dev *dev;
	int ret;

	ret = slabio_args_parse(name, rte_vdev_device_args(vdev), &args);
	if (ret != 0)
		return ret;
	eth = rte_eth_vdev_allocate(vdev, sizeof(*dev));
	if (eth == NULL) {
		SLABIO_LOG(ERR, "%s: expected room for one more port and %zu bytes, found none",
			name, sizeof(*dev));
		slabio_args_free(&args);
		return -ENOMEM;
	}
	dev = eth->data->dev_private;
	dev->magic = SLABIO_DEV_MAGIC;
	dev->size = sizeof(*dev);
	dev->backend = args.iface != NULL ? SLABIO_BACKEND_XDP : SLABIO_BACKEND_PCAP;
	dev->args = args;
	default_mac(eth->data->port_id, &dev->mac);
	eth->data->mtu = RTE_ETHER_MTU;
	eth->data->mac_addrs = &dev->mac;
	eth->data->dev_link.link_speed = RTE_ETH_SPEED_NUM_10G;
	eth->data->dev_link.link_duplex = RTE_ETH_LINK_FULL_DUPLEX;
	eth->data->dev_flags |= RTE_ETH_DEV_AUTOFILL_QUEUE_XSTATS;
	eth->dev_ops = &slabio_ops;
	eth->rx_pkt_burst = rte_eth_pkt_burst_dummy;
	eth->tx_pkt_burst = rte_eth_pkt_burst_dummy;

	/* may put the interface's own address in place of the default one */
	ret = slabio_backend(dev)->open(eth);
	if (ret != 0) {
		slabio_args_free(&dev->args);
		eth->data->mac_addrs = NULL;
		rte_eth_dev_release_port(eth);
		return ret;
	}
	if (slabio_backend(dev)->has_lsc)
		eth->data->dev_flags |= RTE_ETH_DEV_INTR_LSC;
	if (dev->args.has_mac)
		dev->mac = dev->args.mac;
	rte_eth_dev_probing_finish(eth);
	return 0;
}

static int
slabio_probe(struct rte_vdev_device *vdev)
{
	const char *name = rte_vdev_device_name(vdev);
	char running[16];

	if (slabio_compat_check(running, sizeof(running)) != 0) {
		SLABIO_LOG(ERR, "%s: expected DPDK %02u.%02u, for which this was built, found %s",
			name, RTE_VER_YEAR, RTE_VER_MONTH, running);
		return -ENOTSUP;
	}
	return rte_eal_process_type() == RTE_PROC_PRIMARY ? probe_primary(vdev)
							  : probe_secondary(vdev);
}

static int
slabio_remove(struct rte_vdev_device *vdev)
{
	struct rte_eth_dev *eth = rte_eth_dev_allocated(rte_vdev_device_name(vdev));

	/* closed before */
	if (eth == NULL)
		return 0;
	slabio_dev_close(eth);
	return rte_eth_dev_release_port(eth);
}

static struct rte_vdev_driver slabio_driver = {
	.probe = slabio_probe,
	.remove = slabio_remove,
};

RTE_PMD_REGISTER_VDEV(net_slabio, slabio_driver);
