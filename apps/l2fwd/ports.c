/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include <errno.h>
#include <string.h>

#include <rte_ether.h>
#include <rte_lcore.h>
#include <rte_pause.h>

#include "l2fwd.h"

#define RX_DESC 1024u
#define TX_DESC 1024u
/** Times a port is asked again to take what it did not take at once. */
#define TX_TRIES 64u

struct port {
	uint16_t id;
	uint16_t partner;
	uint16_t rx_desc;
	uint16_t tx_desc;
	bool started;
	unsigned int lcore;
	struct rte_ether_addr mac;
	uint16_t n_queued;
	struct rte_mbuf *queued[TX_BURST];
};

struct lcore_ports lcore_ports[RTE_MAX_LCORE];

static struct port ports[RTE_MAX_ETHPORTS]; /* by port id */
static uint16_t used[RTE_MAX_ETHPORTS];
static unsigned int n_used;

unsigned int
ports_count(void)
{
	return n_used;
}

uint16_t
ports_nth(unsigned int i)
{
	return used[i];
}

uint16_t
ports_partner(uint16_t port)
{
	return ports[port].partner;
}

static bool
in_use(uint16_t id)
{
	for (unsigned int i = 0; i < n_used; i++) {
		if (used[i] == id)
			return true;
	}
	return false;
}

static int
choose_ports(void)
{
	uint32_t missing = conf.port_mask;
	uint16_t id;

	RTE_ETH_FOREACH_DEV(id)
	{
		if (id >= 32 || !(conf.port_mask & 1u << id))
			continue;
		missing &= ~(1u << id);
		ports[id].id = id;
		ports[id].partner = RTE_MAX_ETHPORTS;
		used[n_used++] = id;
	}
	if (missing != 0) {
		say("-p 0x%x names ports that do not exist (0x%x); there are %u: see --vdev",
			conf.port_mask, missing, rte_eth_dev_count_avail());
		return -EINVAL;
	}
	return 0;
}

static int
pair_by_map(void)
{
	for (unsigned int i = 0; i < conf.n_pairs; i++) {
		uint16_t a = conf.pairs[i][0], b = conf.pairs[i][1];

		if (!in_use(a) || !in_use(b)) {
			say("--portmap: port %u is not among those of -p 0x%x", in_use(a) ? b : a,
				conf.port_mask);
			return -EINVAL;
		}
		if (ports[a].partner != RTE_MAX_ETHPORTS || ports[b].partner != RTE_MAX_ETHPORTS) {
			say("--portmap: port %u is in two pairs",
				ports[a].partner != RTE_MAX_ETHPORTS ? a : b);
			return -EINVAL;
		}
		ports[a].partner = b;
		ports[b].partner = a;
	}
	for (unsigned int i = 0; i < n_used; i++) {
		if (ports[used[i]].partner == RTE_MAX_ETHPORTS) {
			say("--portmap: port %u of -p 0x%x is in no pair", used[i], conf.port_mask);
			return -EINVAL;
		}
	}
	return 0;
}

static int
pair_in_order(void)
{
	for (unsigned int i = 0; i + 1 < n_used; i += 2) {
		ports[used[i]].partner = used[i + 1];
		ports[used[i + 1]].partner = used[i];
	}
	if (n_used % 2 != 0)
		ports[used[n_used - 1]].partner = used[n_used - 1];
	return 0;
}

static int
assign_lcores(void)
{
	unsigned int per_lcore = conf.ports_per_lcore;
	unsigned int lcore = rte_get_next_lcore(-1, 0, 0);

	if (conf.n_slots != 0) {
		if (per_lcore == 0)
			per_lcore = n_used;
		if (per_lcore < n_used) {
			say("with --workers one lcore polls all %u ports: -q expects at least %u, "
			    "found %u",
				n_used, n_used, per_lcore);
			return -EINVAL;
		}
		lcore = rte_get_main_lcore();
	}
	if (per_lcore == 0)
		per_lcore = 1;
	for (unsigned int i = 0; i < n_used; i++) {
		struct lcore_ports *lp;

		if (lcore < RTE_MAX_LCORE && lcore_ports[lcore].n == per_lcore)
			lcore = rte_get_next_lcore(lcore, 0, 0);
		if (lcore >= RTE_MAX_LCORE) {
			say("%u ports at %u per lcore need %u lcores, there are %u: give more with "
			    "-l or more ports to each with -q",
				n_used, per_lcore, (n_used + per_lcore - 1) / per_lcore,
				rte_lcore_count());
			return -EINVAL;
		}
		lp = &lcore_ports[lcore];
		lp->ports[lp->n++] = used[i];
		ports[used[i]].lcore = lcore;
	}
	return 0;
}

int
ports_plan(void)
{
	int ret = choose_ports();

	if (ret == 0)
		ret = conf.n_pairs != 0 ? pair_by_map() : pair_in_order();
	if (ret == 0)
		ret = assign_lcores();
	return ret;
}

uint32_t
ports_mbufs(void)
{
	return n_used * (RX_DESC + TX_DESC + RX_BURST + TX_BURST);
}

static int
complain(uint16_t id, const char *what, int ret)
{
	say("port %u: cannot %s: %s", id, what, rte_strerror(-ret));
	return ret;
}

static int
configure(struct port *p)
{
	struct rte_eth_conf eth = {0};
	struct rte_eth_dev_info info;
	struct rte_eth_rxconf rxconf;
	struct rte_eth_txconf txconf;
	int socket = rte_eth_dev_socket_id(p->id);
	int ret;

	ret = rte_eth_dev_info_get(p->id, &info);
	if (ret != 0)
		return complain(p->id, "get its facts", ret);
	/* a packet larger than a buffer is a chain, both ways, where the port can do that */
	eth.rxmode.offloads = info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
	eth.txmode.offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	ret = rte_eth_dev_configure(p->id, 1, 1, &eth);
	if (ret != 0)
		return complain(p->id, "configure", ret);
	p->rx_desc = RX_DESC;
	p->tx_desc = TX_DESC;
	ret = rte_eth_dev_adjust_nb_rx_tx_desc(p->id, &p->rx_desc, &p->tx_desc);
	if (ret != 0)
		return complain(p->id, "adjust its queue sizes", ret);
	rxconf = info.default_rxconf;
	rxconf.offloads = eth.rxmode.offloads;
	ret = rte_eth_rx_queue_setup(
		p->id, 0, p->rx_desc, (unsigned int)socket, &rxconf, buffers.pool);
	if (ret != 0)
		return complain(p->id, "set up its Rx queue", ret);
	txconf = info.default_txconf;
	txconf.offloads = eth.txmode.offloads;
	ret = rte_eth_tx_queue_setup(p->id, 0, p->tx_desc, (unsigned int)socket, &txconf);
	if (ret != 0)
		return complain(p->id, "set up its Tx queue", ret);
	return 0;
}

static int
start(struct port *p)
{
	char mac[RTE_ETHER_ADDR_FMT_SIZE];
	int ret = configure(p);

	if (ret != 0)
		return ret;
	ret = rte_eth_macaddr_get(p->id, &p->mac);
	if (ret != 0)
		return complain(p->id, "get its MAC address", ret);
	ret = rte_eth_dev_start(p->id);
	if (ret != 0)
		return complain(p->id, "start", ret);
	p->started = true;
	if (conf.promiscuous) {
		ret = rte_eth_promiscuous_enable(p->id);
		if (ret != 0)
			return complain(p->id, "enter promiscuous mode", ret);
	}
	rte_ether_format_addr(mac, sizeof(mac), &p->mac);
	say("port %u: MAC %s, sends to port %u, polled by lcore %u", p->id, mac, p->partner,
		p->lcore);
	return 0;
}

int
ports_start(void)
{
	int ret;

	for (unsigned int i = 0; i < n_used; i++) {
		ret = start(&ports[used[i]]);
		if (ret != 0)
			return ret;
	}
	return 0;
}

void
ports_stop(void)
{
	uint16_t id;

	for (unsigned int i = 0; i < n_used; i++) {
		struct port *p = &ports[used[i]];
		int ret;

		rte_pktmbuf_free_bulk(p->queued, p->n_queued);
		p->n_queued = 0;
		if (!p->started)
			continue;
		p->started = false;
		xstats_take(p->id);
		ret = rte_eth_dev_stop(p->id);
		if (ret != 0)
			complain(p->id, "stop", ret);
	}
	/* also those not in use: a port's files and processes end with its close */
	RTE_ETH_FOREACH_DEV(id)
	rte_eth_dev_close(id);
}

static void
mac_update(struct rte_mbuf *m, const struct port *p)
{
	struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);

	if (rte_pktmbuf_data_len(m) < sizeof(*eth))
		return;
	/* 02:00:00:00:00:xx */
	eth->dst_addr = (struct rte_ether_addr){{0x02, 0, 0, 0, 0, (uint8_t)p->id}};
	eth->src_addr = p->mac;
}

void
port_send(uint16_t port, struct rte_mbuf *m)
{
	struct port *p = &ports[port];

	if (conf.mac_updating)
		mac_update(m, p);
	p->queued[p->n_queued++] = m;
	if (p->n_queued == TX_BURST)
		port_flush(port);
}

void
port_flush(uint16_t port)
{
	struct port *p = &ports[port];
	struct port_stats *st = &port_stats[port];
	uint32_t bytes[TX_BURST];
	uint16_t sent = 0;
	uint64_t total = 0;

	if (p->n_queued == 0)
		return;
	for (uint16_t i = 0; i < p->n_queued; i++)
		bytes[i] = p->queued[i]->pkt_len;
	for (unsigned int try = 0; try < TX_TRIES && sent < p->n_queued; try++) {
		uint16_t n =
			rte_eth_tx_burst(port, 0, &p->queued[sent], (uint16_t)(p->n_queued - sent));

		sent += n;
		if (n == 0)
			rte_pause();
	}
	for (uint16_t i = 0; i < sent; i++)
		total += bytes[i];
	COUNT(st->tx, sent);
	COUNT(st->tx_bytes, total);
	COUNT(st->tx_dropped, p->n_queued - sent);
	rte_pktmbuf_free_bulk(&p->queued[sent], (unsigned int)(p->n_queued - sent));
	p->n_queued = 0;
}
