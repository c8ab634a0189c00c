/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * An application that sleeps until there are packets: port 0, receive queue 0, until as many
 * packets have come as the argument says, or nothing has come for ten seconds. It says how often it
 * woke up and how much CPU time it took.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_interrupts.h>
#include <rte_mbuf.h>

#define TIMEOUT_MS 10000

static int
prepare(void)
{
	const struct rte_eth_conf conf = {.intr_conf = {.rxq = 1}};
	struct rte_mempool *mp =
		rte_pktmbuf_pool_create("pool", 2047, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);

	if (mp == NULL || rte_eth_dev_configure(0, 1, 0, &conf) != 0 ||
		rte_eth_rx_queue_setup(0, 0, 512, 0, NULL, mp) != 0 || rte_eth_dev_start(0) != 0)
		return -1;
	return rte_eth_dev_rx_intr_ctl_q(0, 0, RTE_EPOLL_PER_THREAD, RTE_INTR_EVENT_ADD, (void *)0);
}

static double
seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
	uint64_t wanted, packets = 0, wakeups = 0;
	struct rte_mbuf *pkts[32];
	struct rte_epoll_event event;
	double cpu, start;
	int used, n;

	used = rte_eal_init(argc, argv);
	if (used < 0 || argc - used != 2)
		return 2;
	wanted = strtoull(argv[used + 1], NULL, 10);
	if (prepare() != 0) {
		fprintf(stderr, "no port 0 with receive interrupts\n");
		return 1;
	}
	printf("ready\n");
	fflush(stdout);
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	start = seconds(CLOCK_MONOTONIC);
	while (packets < wanted) {
		n = rte_eth_rx_burst(0, 0, pkts, RTE_DIM(pkts));
		rte_pktmbuf_free_bulk(pkts, n);
		packets += n;
		if (n != 0)
			continue;
		rte_eth_dev_rx_intr_enable(0, 0);
		if (rte_epoll_wait(RTE_EPOLL_PER_THREAD, &event, 1, TIMEOUT_MS) <= 0)
			break;
		rte_eth_dev_rx_intr_disable(0, 0);
		wakeups++;
	}
	printf("packets=%" PRIu64 " wakeups=%" PRIu64 " cpu_ms=%.0f wall_ms=%.0f\n", packets,
		wakeups, (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) * 1e3,
		(seconds(CLOCK_MONOTONIC) - start) * 1e3);
	rte_eth_dev_stop(0);
	rte_eth_dev_close(0);
	rte_eal_cleanup();
	return packets == wanted ? 0 : 1;
}
