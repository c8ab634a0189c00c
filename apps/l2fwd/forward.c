/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include <unistd.h>

#include <rte_lcore.h>
#include <rte_prefetch.h>

#include "l2fwd.h"

/** A transmission queue that is not full is flushed that often. */
#define DRAIN_NS (100 * 1000ull)
/** Workers, statistics and limits are looked after that often. */
#define HOUSE_NS (1 * NS_IN_MS)

/** Of one lcore's loop. */
struct loop {
	const struct lcore_ports *lp;
	bool main;
	uint64_t begin_ns;
	uint64_t drain_ns; /**< when to flush next */
	uint64_t house_ns; /**< when to look after workers, statistics and limits next */
	uint64_t stats_ns; /**< when to print next */
	uint64_t busy_ns;  /**< when a worker was seen at work last */
};

static void
dispatch(struct rte_mbuf *m, uint16_t port)
{
	struct bucket *b = flow_bucket(flow_hash(m));
	uint16_t worker = flow_worker(b);

	if (worker == WORKER_SELF)
		forward_self(m, port);
	else
		worker_enqueue(&workers[worker], b, m, port);
}

static unsigned int
receive(uint16_t port, unsigned int max)
{
	struct rte_mbuf *pkts[RX_BURST];
	uint64_t bytes = 0;
	uint16_t n;

	n = rte_eth_rx_burst(port, 0, pkts, (uint16_t)RTE_MIN(max, RX_BURST));
	if (n == 0)
		return 0;
	for (uint16_t i = 0; i < n; i++) {
		rte_prefetch0(rte_pktmbuf_mtod(pkts[i], void *));
		bytes += pkts[i]->pkt_len;
	}
	COUNT(port_stats[port].rx, n);
	COUNT(port_stats[port].rx_bytes, bytes);
	for (uint16_t i = 0; i < n; i++) {
		if (conf.n_slots != 0)
			dispatch(pkts[i], port);
		else
			port_send(ports_partner(port), pkts[i]);
	}
	return n;
}

static void
drain(const struct loop *l)
{
	for (unsigned int i = 0; i < l->lp->n; i++)
		port_flush(ports_partner(l->lp->ports[i]));
}

static void
check_limits(struct loop *l, uint64_t now)
{
	uint64_t ran = now - l->begin_ns, last = stats_last_rx_ns();
	uint64_t quiet;

	/* not idle: packets may be waiting in a port until a worker has room for them */
	if (workers_busy())
		l->busy_ns = now;
	last = RTE_MAX(last, l->busy_ns);
	quiet = now > last ? now - last : 0;

	if (conf.exit_after_ms != 0 && ran > conf.exit_after_ms * NS_IN_MS) {
		say("ending after %.3f s", (double)conf.exit_after_ms / 1000);
		atomic_store(&force_quit, true);
	} else if (conf.exit_idle_ms != 0 && RTE_MIN(ran, quiet) > conf.exit_idle_ms * NS_IN_MS) {
		say("ending: nothing has come for %.3f s", (double)conf.exit_idle_ms / 1000);
		atomic_store(&force_quit, true);
	}
}

/* What the main lcore does now and then. */
static void
keep_house(struct loop *l, uint64_t now)
{
	l->house_ns = now + HOUSE_NS;
	if (conf.n_slots != 0)
		workers_watch(now);
	check_limits(l, now);
	if (conf.stats_period_s != 0 && now >= l->stats_ns) {
		l->stats_ns = now + conf.stats_period_s * NS_IN_S;
		stats_print(stdout, false);
	}
}

static unsigned int
one_round(struct loop *l)
{
	unsigned int n = 0, room = UINT32_MAX;

	for (unsigned int i = 0; i < l->lp->n; i++) {
		if (conf.n_slots != 0)
			room = workers_room();
		n += receive(l->lp->ports[i], room);
		if (conf.n_slots != 0) {
			for (unsigned int w = 0; w < conf.n_slots; w++)
				worker_flush(&workers[w]);
		}
	}
	if (n != 0)
		stats_traffic(sio_now_ns());
	if (conf.n_slots != 0) {
		for (unsigned int w = 0; w < conf.n_slots; w++)
			n += worker_poll(&workers[w]);
	}
	return n;
}

int
forward_loop(void *arg)
{
	unsigned int lcore = rte_lcore_id();
	struct loop l = {.lp = &lcore_ports[lcore],
		.main = lcore == rte_get_main_lcore(),
		.begin_ns = sio_now_ns()};

	(void)arg;
	if (l.lp->n == 0 && !l.main)
		return 0;
	l.stats_ns = l.begin_ns + conf.stats_period_s * NS_IN_S;
	while (!atomic_load_explicit(&force_quit, memory_order_relaxed)) {
		uint64_t now;

		if (l.lp->n != 0)
			one_round(&l);
		else
			usleep(1000);
		now = sio_now_ns();
		if (now >= l.drain_ns) {
			drain(&l);
			l.drain_ns = now + DRAIN_NS;
		}
		if (l.main && now >= l.house_ns)
			keep_house(&l, now);
	}
	drain(&l);
	return 0;
}
