/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * One of several processes that forward between ports 0 and 1: what queue i of one receives goes
 * out on queue i of the other. The primary sets the ports up. What to do is read from standard
 * input, while it forwards, and answered with a line:
 *
 *     poll N...       these queues, and no others, from now on
 *     stop, start     both ports, which are not polled in between; others poll on
 *     sender          sets up port 2 for sending only, while the sockets of port 0 are asked for
 *     free            mbufs that are free
 *     stats           of both ports
 *     sums            from now on, leave checksums of TCP and UDP to the ports
 *     csums           how many of them kernel and ports have filled in
 *     halt            stop (SIGSTOP) in the middle of the next burst that sends
 *     ask             what else the ports say, and whether they say anything
 *     close           ports and EAL, and end
 */

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_net.h>

#define QUEUES 2
#define MBUFS  8192
#define BURST  32

static bool polled[QUEUES], stopped, sums, halt;
static uint64_t received, sent;

/* The driver's, which tells the kernel to send from within its bursts. */
ssize_t
sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *to, socklen_t to_len)
{
	if (halt && data == NULL) {
		halt = false;
		raise(SIGSTOP);
	}
	return syscall(SYS_sendto, fd, data, len, flags, to, to_len);
}

static int
prepare(uint16_t port, struct rte_mempool *mp)
{
	const struct rte_eth_conf conf = {
		.txmode.offloads = RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM};
	uint16_t q;

	if (rte_eth_dev_configure(port, QUEUES, QUEUES, &conf) != 0)
		return -1;
	for (q = 0; q < QUEUES; q++)
		if (rte_eth_rx_queue_setup(port, q, 512, 0, NULL, mp) != 0 ||
			rte_eth_tx_queue_setup(port, q, 512, 0, NULL) != 0)
			return -1;
	return rte_eth_dev_start(port);
}

static void
leave_sum(struct rte_mbuf *m)
{
	struct rte_net_hdr_lens lens;
	const uint32_t type = rte_net_get_ptype(m, &lens, RTE_PTYPE_ALL_MASK);
	const uint32_t l4 = type & RTE_PTYPE_L4_MASK;

	if (!RTE_ETH_IS_IPV4_HDR(type) || (l4 != RTE_PTYPE_L4_TCP && l4 != RTE_PTYPE_L4_UDP))
		return;
	m->l2_len = lens.l2_len;
	m->l3_len = lens.l3_len;
	m->ol_flags |= RTE_MBUF_F_TX_IPV4;
	m->ol_flags |= l4 == RTE_PTYPE_L4_TCP ? RTE_MBUF_F_TX_TCP_CKSUM : RTE_MBUF_F_TX_UDP_CKSUM;
}

static void
forward(uint16_t from, uint16_t queue)
{
	struct rte_mbuf *pkts[BURST];
	uint16_t n = rte_eth_rx_burst(from, queue, pkts, BURST), done;

	for (done = 0; sums && done < n; done++)
		leave_sum(pkts[done]);
	received += n;
	done = rte_eth_tx_burst(!from, queue, pkts, n);
	sent += done;
	rte_pktmbuf_free_bulk(pkts + done, n - done);
}

static int
both(int (*act)(uint16_t port))
{
	int first = act(0), second = act(1);

	return first != 0 ? first : second;
}

/* With more mbufs of its own than the memory there is so far has room for. */
static int
start_sender(void)
{
	const struct rte_eth_conf conf = {0};

	if (rte_eth_dev_configure(2, 0, 1, &conf) != 0 ||
		rte_eth_tx_queue_setup(2, 0, 16384, 0, NULL) != 0 || rte_eth_dev_stop(0) != 0 ||
		rte_eth_dev_start(0) != 0)
		return -1;
	return rte_eth_dev_start(2);
}

static void
print_stats(void)
{
	struct rte_eth_stats stats[2];

	rte_eth_stats_get(0, &stats[0]);
	rte_eth_stats_get(1, &stats[1]);
	printf("here %" PRIu64 " %" PRIu64 " ports %" PRIu64 " %" PRIu64 " errors %" PRIu64 "\n",
		received, sent, stats[0].ipackets + stats[1].ipackets,
		stats[0].opackets + stats[1].opackets,
		stats[0].ierrors + stats[1].ierrors + stats[0].oerrors + stats[1].oerrors);
}

static uint64_t
xstat_of_all(const char *what)
{
	uint64_t id, value, sum = 0;
	char name[64];
	uint16_t port, q;

	for (port = 0; port < 2; port++)
		for (q = 0; q < QUEUES; q++) {
			snprintf(name, sizeof(name), "tx_q%u_%s", q, what);
			if (rte_eth_xstats_get_id_by_name(port, name, &id) == 0 &&
				rte_eth_xstats_get_by_id(port, &id, &value, 1) == 1)
				sum += value;
		}
	return sum;
}

static void
print_csums(void)
{
	printf("kernel %" PRIu64 " ports %" PRIu64 "\n", xstat_of_all("kernel_checksums"),
		xstat_of_all("software_checksums"));
}

/* Of port 0: how many calls failed, and what is told of it. */
static void
print_answers(void)
{
	struct rte_eth_dev_info info;
	struct rte_eth_stats stats;
	struct rte_eth_link link;
	struct rte_ether_addr mac;
	int failed = rte_eth_stats_get(0, &stats) != 0;

	failed += rte_eth_dev_info_get(0, &info) != 0;
	failed += rte_eth_xstats_get_names(0, NULL, 0) <= 0;
	failed += rte_eth_stats_reset(0) != 0;
	failed += rte_eth_link_get_nowait(0, &link) != 0;
	failed += rte_eth_macaddr_get(0, &mac) != 0;
	/* never a secondary's to do */
	failed += rte_eth_promiscuous_enable(0) != 0;
	failed += rte_eth_allmulticast_enable(0) != 0;
	failed += rte_eth_dev_default_mac_addr_set(0, &mac) != 0;
	failed += rte_eth_dev_set_mtu(0, 1400) != 0;
	failed += rte_eth_dev_rx_queue_stop(0, 0) != 0;
	failed += rte_eth_tx_done_cleanup(0, 0, 0) < 0;
	printf("failed %d link %d mac " RTE_ETHER_ADDR_PRT_FMT "\n", failed, link.link_status,
		RTE_ETHER_ADDR_BYTES(&mac));
}

/* Returns false at the end. */
static bool
obey(char *line, const struct rte_mempool *mp)
{
	const char *word = strtok(line, " \n");

	if (word == NULL || strcmp(word, "close") == 0)
		return false;
	if (strcmp(word, "poll") == 0) {
		memset(polled, 0, sizeof(polled));
		while ((word = strtok(NULL, " \n")) != NULL)
			polled[atoi(word) % QUEUES] = true;
		printf("polling\n");
	} else if (strcmp(word, "stop") == 0) {
		stopped = true;
		printf("stopped %d\n", both(rte_eth_dev_stop));
	} else if (strcmp(word, "start") == 0) {
		printf("started %d\n", both(rte_eth_dev_start));
		stopped = false;
	} else if (strcmp(word, "sender") == 0) {
		printf("sender %d\n", start_sender());
	} else if (strcmp(word, "free") == 0) {
		printf("free %u of %u\n", rte_mempool_avail_count(mp), mp->size);
	} else if (strcmp(word, "stats") == 0) {
		print_stats();
	} else if (strcmp(word, "sums") == 0) {
		printf("leaving\n");
		sums = true;
	} else if (strcmp(word, "csums") == 0) {
		print_csums();
	} else if (strcmp(word, "halt") == 0) {
		printf("halting\n");
		halt = true;
	} else if (strcmp(word, "ask") == 0) {
		print_answers();
	} else {
		printf("what is %s?\n", word);
	}
	return true;
}

static void
run(const struct rte_mempool *mp)
{
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	unsigned int round;
	char line[256];
	uint16_t q;

	for (round = 0;; round++) {
		for (q = 0; q < QUEUES; q++)
			if (polled[q] && !stopped) {
				forward(0, q);
				forward(1, q);
			}
		if (round % 64 != 0 || poll(&in, 1, polled[0] || polled[1] ? 0 : 100) <= 0)
			continue;
		if (fgets(line, sizeof(line), stdin) == NULL || !obey(line, mp))
			return;
	}
}

int
main(int argc, char **argv)
{
	const bool primary =
		rte_eal_init(argc, argv) >= 0 && rte_eal_process_type() == RTE_PROC_PRIMARY;
	struct rte_mempool *mp;

	setvbuf(stdout, NULL, _IOLBF, 0);
	setvbuf(stdin, NULL, _IONBF, 0);
	mp = primary ? rte_pktmbuf_pool_create("shared", MBUFS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0)
		     : rte_mempool_lookup("shared");
	if (mp == NULL || rte_eth_dev_count_avail() < 2 ||
		(primary && (prepare(0, mp) != 0 || prepare(1, mp) != 0))) {
		fprintf(stderr, "no pool, or no two ports\n");
		return 1;
	}
	printf("ready\n");
	run(mp);
	if (primary) {
		both(rte_eth_dev_stop);
		printf("left %u of %u\n", rte_mempool_avail_count(mp), mp->size);
		both(rte_eth_dev_close);
	}
	rte_eal_cleanup();
	return 0;
}
