/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SLABIO_PCAP_H
#define SLABIO_PCAP_H

/**
 * @file
 * What the files of the pcap back end share. All of it belongs to the primary process and lies in
 * its own memory; see slabio_pmd.h for what secondaries may read.
 *
 *     slabio_pcap.c         start and stop of whole ports
 *     slabio_pcap_rx.c      packets from libpcap, be it a capture file or an interface, into mbufs
 *     slabio_pcap_writer.c  mbufs into a capture file
 *     slabio_pcap_iface.c   what there is to an interface: opening, sending, link, modes
 */

#include <pcap/pcap.h>
#include <rte_spinlock.h>

#include "slabio_pmd.h"

/** Where packets of one receive queue come from. Without a handle nothing ever arrives. */
struct slabio_pcap_rx {
	pcap_t *handle;
	const char *device; /* names of the port and the source, for messages */
	const char *source;
	struct pcap_pkthdr *hdr; /* the packet last read, valid until the next is */
	const u_char *data;
	bool pending; /* that packet has not been delivered yet */
	bool ended;   /* nothing more will come before the next start */
	bool live;
};

/** Where packets of one transmit queue go. Without a descriptor they are dropped and counted. */
struct slabio_pcap_tx {
	int fd; /* -1 for none */
	bool live;
	bool failed; /* a file that could not be written; until the next start */
	bool reported;
	const char *device;
	const char *target;
	uint64_t size; /* of the file, up to the end of its last whole packet */
	uint8_t *buf;  /* file: packets on their way there; live: one linearised packet */
};

struct slabio_pcap_iface {
	int fd; /* a packet socket for requests and memberships; receives nothing */
	int index;
	unsigned int mtu_before; /* 0 unless changed by us */
	bool promiscuous;
	bool allmulticast;
	bool has_mac;
	struct rte_ether_addr own_mac; /* the interface's */
	struct rte_ether_addr mac;     /* one that it receives besides */
	rte_spinlock_t stats_lock;
	uint32_t last_drops; /* what libpcap said last */
};

struct slabio_pcap_port {
	struct slabio_pcap_iface iface; /* with pcap_iface= only */
	struct slabio_pcap_rx rx[SLABIO_MAX_QUEUES];
	struct slabio_pcap_tx tx[SLABIO_MAX_QUEUES];
};

static inline const struct slabio_args *
slabio_pcap_args(const struct rte_eth_dev *eth)
{
	return &((const struct slabio_dev *)eth->data->dev_private)->args;
}

/** Opens a capture file at its first packet, or says what is wrong with it. Closed by rx_close. */
int slabio_pcap_file_open(struct slabio_pcap_rx *rx, const char *device, const char *path);
void slabio_pcap_rx_close(struct slabio_pcap_rx *rx);
uint16_t slabio_pcap_rx_burst(void *queue, struct rte_mbuf **pkts, uint16_t n);

/** Checks, without changing anything, that a capture file can be written at path. */
int slabio_pcap_writer_check(const char *device, const char *path);
/** Creates or empties the file and writes its header; on failure nothing is left of it. */
int slabio_pcap_writer_open(struct slabio_pcap_tx *tx, const char *device, const char *path);
void slabio_pcap_writer_close(struct slabio_pcap_tx *tx);
uint16_t slabio_pcap_writer_burst(
	struct slabio_txq *q, struct slabio_pcap_tx *tx, struct rte_mbuf **pkts, uint16_t n);

int slabio_pcap_iface_open(struct rte_eth_dev *eth);
void slabio_pcap_iface_close(struct rte_eth_dev *eth);
int slabio_pcap_iface_rx_open(struct slabio_pcap_rx *rx, struct slabio_pcap_iface *iface,
	const char *device, const char *name);
int slabio_pcap_iface_tx_open(struct slabio_pcap_tx *tx, const struct slabio_pcap_iface *iface,
	const char *device, const char *name);
void slabio_pcap_iface_tx_close(struct slabio_pcap_tx *tx);
uint16_t slabio_pcap_iface_burst(
	struct slabio_txq *q, struct slabio_pcap_tx *tx, struct rte_mbuf **pkts, uint16_t n);
void slabio_pcap_iface_link(struct rte_eth_dev *eth, struct rte_eth_link *link);
int slabio_pcap_iface_promiscuous(struct rte_eth_dev *eth, bool on);
int slabio_pcap_iface_allmulticast(struct rte_eth_dev *eth, bool on);
int slabio_pcap_iface_mac_set(struct rte_eth_dev *eth, const struct rte_ether_addr *mac);
int slabio_pcap_iface_mtu_set(struct rte_eth_dev *eth, uint16_t mtu);
void slabio_pcap_iface_missed(struct rte_eth_dev *eth);

/** Copies a packet's segments one after the other. */
static inline void
slabio_pcap_copy_out(uint8_t *to, const struct rte_mbuf *m)
{
	for (; m != NULL; m = m->next) {
		memcpy(to, rte_pktmbuf_mtod(m, const void *), m->data_len);
		to += m->data_len;
	}
}

#endif /* SLABIO_PCAP_H */
