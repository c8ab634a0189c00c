/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Capture files of any content, replayed by net_slabio with all its options: it takes what libpcap
 * takes, delivers whole mbuf chains, holds no mbuf when the port is closed, and what it writes is
 * what it has read.
 *
 * The first three bytes of the input choose the options, the others are the file.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_mbuf.h>

#include "slabio_pcap.h"
#include "fuzz_eal.h"

#define MBUFS	   256
#define ROOM	   (RTE_PKTMBUF_HEADROOM + 200)
#define BURST	   16
#define MAX_BURSTS 64

int slabio_logtype;

static struct rte_mempool *pool;
static struct slabio_pcap_port port;
static struct slabio_dev dev;
static struct rte_eth_dev_data data = {.name = "net_slabio0", .dev_private = &dev};
static struct rte_eth_dev eth = {.data = &data, .process_private = &port};
static int file_in = -1, file_out = -1;
static char path_in[64], path_out[64];

static int
memory_file(const char *name, char *path, size_t len)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	expect(fd >= 0);
	snprintf(path, len, "/proc/self/fd/%d", fd);
	return fd;
}

/* Every mbuf's buffer is an allocation of its own, so that the sanitizer sees where it ends. */
static struct rte_mempool *
make_pool(void)
{
	static struct rte_pktmbuf_extmem buffers[MBUFS];
	unsigned int i;

	for (i = 0; i < MBUFS; i++) {
		buffers[i] = (struct rte_pktmbuf_extmem){
			.buf_ptr = malloc(ROOM), .buf_len = ROOM, .elt_size = ROOM};
		buffers[i].buf_iova = (rte_iova_t)(uintptr_t)buffers[i].buf_ptr;
	}
	return rte_pktmbuf_pool_create_extbuf(
		"fuzz", MBUFS, 0, 0, ROOM, SOCKET_ID_ANY, buffers, MBUFS);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);

int
LLVMFuzzerInitialize(int *argc __rte_unused, char ***argv)
{
	fuzz_start_eal((*argv)[0]);
	pool = make_pool();
	expect(pool != NULL);
	file_in = memory_file("fuzz-in", path_in, sizeof(path_in));
	file_out = memory_file("fuzz-out", path_out, sizeof(path_out));
	return 0;
}

static void
choose(const uint8_t *how)
{
	static const char *const filters[] = {
		NULL, "udp or tcp or vlan", "ip6", "len > 100 and ip[6] != 0"};
	struct slabio_pcap_opts *o = &dev.args.pcap;

	memset(o, 0, sizeof(*o));
	o->filter = (char *)(uintptr_t)filters[how[0] & 3];
	o->pacing = (enum slabio_pcap_pacing)(how[0] >> 2 & 3);
	o->pace = o->pacing == SLABIO_PACE_ORIGINAL ? 1000 : 1e9;
	o->loop = how[0] >> 4 & 3;
	if (o->loop == 3)
		o->loop = SLABIO_LOOP_ENDLESS;
	o->spread = how[0] >> 6 & 1;
	o->snaplen = how[1] & 1 ? 14 + how[2] : 0;
	o->format = how[1] & 2 ? SLABIO_FORMAT_PCAPNG : SLABIO_FORMAT_PCAP;
	dev.rxq[0].soft = how[1] & 4 ? RTE_ETH_RX_OFFLOAD_VLAN_STRIP : 0;
	dev.txq[0].soft = how[1] & 8 ? RTE_ETH_TX_OFFLOAD_VLAN_INSERT : 0;
}

static void
check_mbuf(struct rte_mbuf *m, bool tag)
{
	uint32_t len = 0;
	uint16_t segs = 0;
	struct rte_mbuf *s;

	for (s = m; s != NULL; s = s->next, segs++) {
		expect(s->data_len > 0 && s->data_len <= ROOM - RTE_PKTMBUF_HEADROOM);
		len += s->data_len;
	}
	expect(len == m->pkt_len && segs == m->nb_segs);
	expect(len >= RTE_ETHER_HDR_LEN && len <= SLABIO_MAX_PKT);
	if (tag && (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED))
		m->ol_flags |= RTE_MBUF_F_TX_VLAN;
}

/* Reads until the end, or long enough, and writes what was read; how many packets that were. */
static uint64_t
forward(void)
{
	struct rte_mbuf *pkts[BURST];
	uint64_t total = 0;
	unsigned int i;
	uint16_t n, k;

	for (i = 0; i < MAX_BURSTS; i++) {
		n = slabio_pcap_rx_burst(&dev.rxq[0], pkts, BURST);
		expect(n <= BURST);
		for (k = 0; k < n; k++)
			check_mbuf(pkts[k], dev.txq[0].soft != 0);
		if (n == 0 && port.rx[0].ended)
			break;
		total += n;
		expect(slabio_pcap_writer_burst(&dev.txq[0], &port.tx[0], pkts, n) == n);
	}
	return total;
}

/* Everything that was sent is in the file that was written. */
static void
check_written(uint64_t total)
{
	char reason[PCAP_ERRBUF_SIZE];
	struct pcap_pkthdr *hdr;
	const u_char *bytes;
	pcap_t *handle;
	int ret;

	handle = pcap_open_offline(path_out, reason);
	expect(handle != NULL && pcap_datalink(handle) == DLT_EN10MB);
	while ((ret = pcap_next_ex(handle, &hdr, &bytes)) == 1) {
		expect(hdr->caplen <= hdr->len && total > 0);
		total--;
	}
	expect(ret == PCAP_ERROR_BREAK && total == 0);
	pcap_close(handle);
}

static void
reset_queues(void)
{
	memset(dev.rxq, 0, sizeof(dev.rxq[0]));
	memset(dev.txq, 0, sizeof(dev.txq[0]));
	dev.rxq[0].mp = pool;
	dev.rxq[0].be = &port.rx[0];
	dev.txq[0].be = &port.tx[0];
	atomic_store(&dev.rxq[0].running, true);
	atomic_store(&dev.txq[0].running, true);
	atomic_store(&port.pace_start, 0);
	atomic_store(&port.sources_ended, 0);
	port.tx[0].fd = -1;
}

static void
replay(void)
{
	const struct slabio_pcap_opts *o = &dev.args.pcap;
	uint64_t total;

	expect(slabio_pcap_writer_open(&port.tx[0], &eth, path_out, 0) == 0);
	if (slabio_pcap_file_open(&port.rx[0], &eth, path_in, 0, o->spread ? 2 : 1) == 0) {
		if (o->loop == 0 ||
			slabio_pcap_store_load(&dev.rxq[0], &port.rx[0], o->loop) == 0) {
			total = forward();
			slabio_pcap_writer_summarize(&port.tx[0]);
			expect(slabio_counted(&dev.txq[0].stats[SLABIO_TX_PACKETS]) +
					slabio_counted(&dev.txq[0].stats[SLABIO_TX_ERRORS]) ==
				total);
			check_written(slabio_counted(&dev.txq[0].stats[SLABIO_TX_PACKETS]));
		}
		slabio_pcap_rx_close(&port.rx[0]);
	}
	slabio_pcap_writer_close(&port.tx[0]);
	expect(rte_mempool_avail_count(pool) == MBUFS);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	if (size < 3)
		return 0;
	expect(ftruncate(file_in, 0) == 0);
	expect(pwrite(file_in, input + 3, size - 3, 0) == (ssize_t)(size - 3));
	reset_queues();
	choose(input);
	replay();
	return 0;
}
