/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The pcap back end as a whole: which queue is what, and when it is opened and closed.
 *
 * Files are checked at probe, so that a wrong argument fails there. Capture files to read are
 * opened at each start, and so begin anew. A file to write is created (or emptied) at the first
 * start that has a queue for it and stays open until close: stop and start in between only add to
 * it. An interface is received from and sent to between start and stop.
 */

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "slabio_pcap.h"

static uint16_t
drop_burst(struct slabio_txq *q, struct rte_mbuf **pkts, uint16_t n)
{
	slabio_count(&q->stats[SLABIO_TX_ERRORS], n);
	slabio_count(&q->stats[SLABIO_TX_NO_OUTPUT], n);
	slabio_tx_free(q, pkts, n, false);
	return n;
}

static uint16_t
slabio_pcap_tx_burst(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct slabio_txq *q = queue;
	struct slabio_pcap_tx *tx = q->be;

	/* acquire: pairs with the release of start, after which the queue is complete */
	if (n == 0 || !atomic_load_explicit(&q->running, memory_order_acquire))
		return 0;
	if (tx->fd < 0)
		return drop_burst(q, pkts, n);
	if (tx->live)
		return slabio_pcap_iface_burst(q, tx, pkts, n);
	return slabio_pcap_writer_burst(q, tx, pkts, n);
}

/* Whether two paths are one file, be it there already or not. */
static bool
same_file(const char *a, const char *b)
{
	struct stat sa, sb;

	if (stat(a, &sa) == 0 && stat(b, &sb) == 0)
		return sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
	return strcmp(a, b) == 0;
}

static int
check_distinct(const char *device, const struct slabio_args *args)
{
	uint16_t i, j;

	for (i = 0; i < args->nb_tx_pcap; i++) {
		for (j = 0; j < args->nb_rx_pcap; j++)
			if (same_file(args->tx_pcap[i], args->rx_pcap[j])) {
				SLABIO_LOG(ERR,
					"%s: expected tx_pcap= and rx_pcap= to be different files, "
					"both are "
					"%s",
					device, args->tx_pcap[i]);
				return -EINVAL;
			}
		for (j = 0; j < i; j++)
			if (same_file(args->tx_pcap[i], args->tx_pcap[j])) {
				SLABIO_LOG(ERR,
					"%s: expected each tx_pcap= to be a file of its own, %s is "
					"twice",
					device, args->tx_pcap[i]);
				return -EINVAL;
			}
	}
	return 0;
}

static int
check_files(const char *device, const struct slabio_args *args)
{
	int ret = check_distinct(device, args);
	uint16_t i;

	for (i = 0; i < args->nb_rx_pcap && ret == 0; i++)
		ret = slabio_pcap_file_check(device, args->rx_pcap[i]);
	for (i = 0; i < args->nb_tx_pcap && ret == 0; i++)
		ret = slabio_pcap_writer_check(device, &args->pcap, args->tx_pcap[i]);
	return ret;
}

static int
pcap_open_port(struct rte_eth_dev *eth)
{
	const struct slabio_args *args = slabio_pcap_args(eth);
	struct slabio_pcap_port *port = calloc(1, sizeof(*port));
	uint16_t i;
	int ret;

	if (port == NULL) {
		SLABIO_LOG(ERR, "%s: no memory for the port", eth->data->name);
		return -ENOMEM;
	}
	port->iface.netif.fd = -1;
	for (i = 0; i < SLABIO_MAX_QUEUES; i++)
		port->tx[i].fd = -1;
	eth->process_private = port;
	ret = args->pcap.filter == NULL
		      ? 0
		      : slabio_pcap_filter_check(eth->data->name, args->pcap.filter);
	if (ret == 0)
		ret = args->pcap_iface != NULL ? slabio_pcap_iface_open(eth)
					       : check_files(eth->data->name, args);
	if (ret != 0) {
		eth->process_private = NULL;
		free(port);
		return ret;
	}
	/* of other ports the link does not change */
	if (args->pcap_iface != NULL || args->pcap.eof_link_down)
		eth->data->dev_flags |= RTE_ETH_DEV_INTR_LSC;
	return 0;
}

static struct slabio_netif *
netif_of(const struct rte_eth_dev *eth)
{
	return &((struct slabio_pcap_port *)eth->process_private)->iface.netif;
}

static void
pcap_close_port(struct rte_eth_dev *eth)
{
	struct slabio_pcap_port *port = eth->process_private;
	uint16_t i;

	if (port == NULL)
		return;
	for (i = 0; i < SLABIO_MAX_QUEUES; i++)
		slabio_pcap_writer_close(&port->tx[i]);
	if (slabio_pcap_args(eth)->pcap_iface != NULL)
		slabio_netif_close(netif_of(eth));
	eth->process_private = NULL;
	free(port);
}

static void
pcap_info(const struct rte_eth_dev *eth, struct rte_eth_dev_info *info)
{
	const struct slabio_pcap_port *port = eth->process_private;
	const struct slabio_args *args = slabio_pcap_args(eth);

	/* a port of several files is best polled with as many queues */
	info->rx_offload_capa |= RTE_ETH_RX_OFFLOAD_VLAN_STRIP;
	info->tx_offload_capa |= RTE_ETH_TX_OFFLOAD_VLAN_INSERT;
	info->default_rxportconf.nb_queues = RTE_MAX(args->nb_rx_pcap, 1);
	info->default_txportconf.nb_queues = RTE_MAX(args->nb_tx_pcap, 1);
	if (args->pcap_iface != NULL && port != NULL)
		info->if_index = port->iface.netif.index;
}

static void
pcap_stop(struct rte_eth_dev *eth)
{
	struct slabio_pcap_port *port = eth->process_private;
	struct slabio_dev *dev = eth->data->dev_private;
	uint16_t i;

	slabio_pcap_link_stop(eth);
	if (dev->args.pcap_iface != NULL)
		slabio_pcap_iface_missed(eth);
	for (i = 0; i < SLABIO_MAX_QUEUES; i++) {
		dev->rxq[i].be = NULL;
		dev->txq[i].be = NULL;
		slabio_pcap_rx_close(&port->rx[i]);
		if (port->tx[i].live)
			slabio_pcap_iface_tx_close(&port->tx[i]);
		else
			slabio_pcap_writer_summarize(&port->tx[i]);
	}
}

static int
start_rx_file(struct rte_eth_dev *eth, uint16_t i)
{
	struct slabio_pcap_port *port = eth->process_private;
	const struct slabio_args *args = slabio_pcap_args(eth);
	struct slabio_dev *dev = eth->data->dev_private;
	int ret;

	if (args->pcap.spread)
		ret = slabio_pcap_file_open(
			&port->rx[i], eth, args->rx_pcap[0], i, eth->data->nb_rx_queues);
	else
		ret = slabio_pcap_file_open(&port->rx[i], eth, args->rx_pcap[i], 0, 1);
	if (ret == 0 && args->pcap.loop > 0)
		ret = slabio_pcap_store_load(&dev->rxq[i], &port->rx[i], args->pcap.loop);
	if (ret == 0)
		port->sources++;
	return ret;
}

static int
start_rx(struct rte_eth_dev *eth, uint16_t i)
{
	struct slabio_pcap_port *port = eth->process_private;
	const struct slabio_args *args = slabio_pcap_args(eth);

	if (i < args->nb_rx_pcap || (args->nb_rx_pcap > 0 && args->pcap.spread))
		return start_rx_file(eth, i);
	if (args->pcap_iface != NULL && (i == 0 || args->pcap.spread))
		return slabio_pcap_iface_rx_open(
			&port->rx[i], eth, i, args->pcap.spread ? eth->data->nb_rx_queues : 1);
	return 0;
}

static int
start_tx(struct rte_eth_dev *eth, uint16_t i)
{
	struct slabio_pcap_port *port = eth->process_private;
	const struct slabio_args *args = slabio_pcap_args(eth);
	struct slabio_pcap_tx *tx = &port->tx[i];

	if (args->pcap_iface != NULL)
		return slabio_pcap_iface_tx_open(
			tx, &port->iface, eth->data->name, args->pcap_iface);
	if (i >= args->nb_tx_pcap)
		return 0;
	if (tx->fd < 0)
		return slabio_pcap_writer_open(tx, eth, args->tx_pcap[i], i);
	/* open since an earlier start; if it could not be written then, perhaps it can now */
	tx->failed = false;
	return 0;
}

static void
warn_unused(const struct rte_eth_dev *eth)
{
	const struct slabio_args *args = slabio_pcap_args(eth);

	if (eth->data->nb_rx_queues < args->nb_rx_pcap)
		SLABIO_LOG(WARNING,
			"%s: %u files given by rx_pcap=, but the application uses %u rx queues: "
			"the other files are not read",
			eth->data->name, args->nb_rx_pcap, eth->data->nb_rx_queues);
	if (eth->data->nb_tx_queues < args->nb_tx_pcap)
		SLABIO_LOG(WARNING,
			"%s: %u files given by tx_pcap=, but the application uses %u tx queues: "
			"the other files are not written",
			eth->data->name, args->nb_tx_pcap, eth->data->nb_tx_queues);
}

static int
pcap_start(struct rte_eth_dev *eth)
{
	struct slabio_pcap_port *port = eth->process_private;
	struct slabio_dev *dev = eth->data->dev_private;
	uint16_t i;
	int ret = 0;

	warn_unused(eth);
	port->sources = 0;
	atomic_store_explicit(&port->sources_ended, 0, memory_order_relaxed);
	atomic_store_explicit(&port->pace_start, 0, memory_order_relaxed);
	for (i = 0; i < eth->data->nb_rx_queues && ret == 0; i++) {
		ret = start_rx(eth, i);
		dev->rxq[i].be = &port->rx[i];
	}
	for (i = 0; i < eth->data->nb_tx_queues && ret == 0; i++) {
		ret = start_tx(eth, i);
		dev->txq[i].be = &port->tx[i];
	}
	if (ret == 0)
		ret = slabio_pcap_link_start(eth);
	if (ret != 0)
		pcap_stop(eth);
	return ret;
}

/* A capture file has no filter in front of it: its packets arrive in any mode. */
static int
pcap_promiscuous(struct rte_eth_dev *eth, bool on)
{
	return slabio_pcap_args(eth)->pcap_iface == NULL
		       ? 0
		       : slabio_netif_set_promiscuous(netif_of(eth), on);
}

static int
pcap_allmulticast(struct rte_eth_dev *eth, bool on)
{
	return slabio_pcap_args(eth)->pcap_iface == NULL
		       ? 0
		       : slabio_netif_set_allmulticast(netif_of(eth), on);
}

static int
pcap_mac_set(struct rte_eth_dev *eth, const struct rte_ether_addr *mac)
{
	return slabio_pcap_args(eth)->pcap_iface == NULL ? 0
							 : slabio_netif_set_mac(netif_of(eth), mac);
}

static int
pcap_mtu_set(struct rte_eth_dev *eth, uint16_t mtu)
{
	return slabio_pcap_args(eth)->pcap_iface == NULL ? 0
							 : slabio_netif_set_mtu(netif_of(eth), mtu);
}

static void
pcap_update_missed(struct rte_eth_dev *eth)
{
	if (slabio_pcap_args(eth)->pcap_iface != NULL)
		slabio_pcap_iface_missed(eth);
}

const struct slabio_backend slabio_pcap_backend = {
	.rx_mode = "libpcap, one by one",
	.tx_mode = "copy, one system call per burst",
	.rx_xstats = SLABIO_STATS_SET(SLABIO_RX_XSTATS_FIRST, SLABIO_RX_KICKS),
	.tx_xstats = SLABIO_STATS_SET(SLABIO_TX_XSTATS_FIRST, SLABIO_TX_RUNTS),
	.open = pcap_open_port,
	.close = pcap_close_port,
	.info = pcap_info,
	.start = pcap_start,
	.stop = pcap_stop,
	.link = slabio_pcap_link,
	.promiscuous = pcap_promiscuous,
	.allmulticast = pcap_allmulticast,
	.mac_set = pcap_mac_set,
	.mtu_set = pcap_mtu_set,
	.update_missed = pcap_update_missed,
	.rx_burst = slabio_pcap_rx_burst,
	.tx_burst = slabio_pcap_tx_burst,
};
