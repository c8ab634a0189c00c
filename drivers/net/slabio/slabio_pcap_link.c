/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The link's state, and word of its changes where the application asked for that interrupt.
 *
 * An alarm of EAL's looks at the link several times a second: neither does a capture's end
 * interrupt anybody, nor is a burst the place to call the application back from.
 */

#include <string.h>

#include <rte_alarm.h>

#include "slabio_pcap.h"

#define WATCH_MICROSECONDS 100000

void
slabio_pcap_link(struct rte_eth_dev *eth, struct rte_eth_link *link)
{
	struct slabio_pcap_port *port = eth->process_private;

	if (slabio_pcap_args(eth)->pcap_iface != NULL) {
		slabio_netif_link(&port->iface.netif, link);
		return;
	}
	if (slabio_pcap_args(eth)->pcap.eof_link_down && port->sources > 0 &&
		atomic_load_explicit(&port->sources_ended, memory_order_relaxed) >= port->sources)
		link->link_status = RTE_ETH_LINK_DOWN;
}

static void
watch(void *arg)
{
	struct rte_eth_dev *eth = arg;

	/* before the call back, in which the application may stop the port and this watch */
	(void)rte_eal_alarm_set(WATCH_MICROSECONDS, watch, eth);
	slabio_link_changed(eth);
}

int
slabio_pcap_link_start(struct rte_eth_dev *eth)
{
	int ret;

	/* without the interrupt ethdev asks for the state whenever the application does */
	if (eth->data->dev_conf.intr_conf.lsc == 0)
		return 0;
	ret = rte_eal_alarm_set(WATCH_MICROSECONDS, watch, eth);
	if (ret != 0)
		SLABIO_LOG(ERR, "%s: no alarm to watch the link with: %s", eth->data->name,
			strerror(-ret));
	return ret;
}

void
slabio_pcap_link_stop(struct rte_eth_dev *eth)
{
	rte_eal_alarm_cancel(watch, eth);
}
