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
 *     slabio_pcap_rx.c      packets from a source into mbufs
 *     slabio_pcap_file.c    sources: packets that libpcap reads from a file or an interface
 *     slabio_pcap_store.c   sources: a capture in memory, replayed several times
 *     slabio_pcap_filter.c  which packets: filter=
 *     slabio_pcap_flow.c    for which queue: rx_spread=
 *     slabio_pcap_pace.h    and when: pace=
 *     slabio_pcap_writer.c  mbufs into a capture file
 *     slabio_pcap_format.c  and how they lie there
 *     slabio_pcap_rotate.c  or into a series of files
 *     slabio_pcap_iface.c   interfaces: opening, receiving through libpcap, sending
 *     slabio_pcap_link.c    link state and its changes
 *     slabio_pcap_args.c    device arguments
 */

#include <time.h>

#include <pcap/pcap.h>
#include <rte_spinlock.h>

#include "slabio_pcap_format.h"
#include "slabio_pcap_pace.h"
#include "slabio_netif.h"
#include "slabio_pmd.h"

#define SLABIO_PCAP_BATCH 32

/** A packet of a capture in memory. */
struct slabio_pcap_record {
	uint64_t mark;
	uint64_t stamp;
	uint32_t len;
	uint32_t wire_len;
	u_char data[];
};

struct slabio_pcap_store {
	uint8_t *base; /* of the records, each at a multiple of 8 */
	size_t end;
	size_t room;
	size_t at;	 /* the next record */
	uint64_t rounds; /* left, the present one included */
	/* what is added to marks and stamps in this round, and more in each one after it */
	uint64_t mark_base, mark_period;
	uint64_t stamp_base, stamp_period;
};

/** Where packets of one receive queue come from. Without a source nothing ever arrives. */
struct slabio_pcap_rx {
	pcap_t *handle;
	char *file_buf;
	struct slabio_pcap_store *store; /* if the capture is replayed from memory */
	const char *device;		 /* names of the port and the source, for messages */
	const char *source;
	/* the packet last read; data is valid until the next one is */
	const u_char *data;
	uint32_t len;
	uint32_t wire_len;
	uint64_t stamp; /* nanoseconds since 1970 */
	uint64_t mark;
	bool pending;	/* that packet has not been delivered yet */
	bool ended;	/* nothing more will come before the next start */
	bool end_noted; /* and that has been said and counted */
	bool broken;	/* it was an error that ended it */
	bool live;
	bool starved;	/* the next packet waits for an mbuf */
	uint16_t batch; /* most mbufs taken from the pool at a time */
	/* which packets are for this queue, and when */
	uint32_t snaplen;
	bool filtered;
	struct bpf_program filter;
	uint16_t queue;	    /* of so many among which flows are spread */
	uint16_t nb_queues; /* 1 for all packets */
	struct slabio_pcap_pace pace;
	struct slabio_pcap_walk walk;
	_Atomic uint32_t *sources_ended; /* the port's */
	uint32_t last_drops;		 /* live: what libpcap said last */
};

/** Where packets of one transmit queue go. Without a descriptor they are dropped and counted. */
struct slabio_pcap_tx {
	int fd; /* -1 for none */
	bool live;
	bool failed; /* a file that could not be written; until the next start */
	bool reported;
	const char *device;
	const char *target; /* the file written at the moment, or the interface */
	uint8_t *buf;	    /* file: packets on their way there; live: one linearised packet */

	/* a file, or a series of them */
	const struct slabio_pcap_opts *opts;
	const char *path; /* as given */
	char *name;	  /* of the file written at the moment */
	uint16_t queue;
	bool rotates;
	enum slabio_pcap_format format;
	uint32_t snaplen;
	uint32_t number;     /* of the file in the series */
	uint32_t stats_size; /* room for statistics at the end */
	uint64_t size;	     /* of the file, up to the end of its last whole packet */
	uint64_t empty_size; /* without any packet */
	uint64_t packets;    /* handed over since it was opened */
	uint64_t dropped;    /* of these, not in the file */
	uint64_t summarized; /* and how many there were at the last statistics */
	uint64_t from;	     /* when it was opened, since 1970 and monotonic */
	struct timespec opened;
	struct slabio_pcap_about about;
};

struct slabio_pcap_iface {
	struct slabio_netif netif;
	uint16_t group; /* of sockets among which the kernel spreads flows */
	rte_spinlock_t stats_lock;
};

struct slabio_pcap_port {
	struct slabio_pcap_iface iface; /* with pcap_iface= only */
	_Atomic uint64_t pace_start;	/* see slabio_pcap_pace.h */
	uint32_t sources;		/* captures that are read since the last start */
	_Atomic uint32_t sources_ended;
	struct slabio_pcap_rx rx[SLABIO_MAX_QUEUES];
	struct slabio_pcap_tx tx[SLABIO_MAX_QUEUES];
};

static inline const struct slabio_args *
slabio_pcap_args(const struct rte_eth_dev *eth)
{
	return &((const struct slabio_dev *)eth->data->dev_private)->args;
}

/** Checks that a capture file can be read, or says what is wrong with it. */
int slabio_pcap_file_check(const char *device, const char *path);
/**
 * Opens a capture file for a queue at its first packet. Undone by rx_close.
 *
 * @param nb_queues the number of queues that share the file's flows
 */
int slabio_pcap_file_open(struct slabio_pcap_rx *rx, struct rte_eth_dev *eth, const char *path,
	uint16_t queue, uint16_t nb_queues);
/**
 * Makes the next packet for this queue the pending one. False if there is none now, be it that the
 * source has ended, that nothing has arrived, or that as many were looked at as budget says.
 */
bool slabio_pcap_file_next(struct slabio_rxq *q, struct slabio_pcap_rx *rx, unsigned int *budget);
void slabio_pcap_rx_close(struct slabio_pcap_rx *rx);
uint16_t slabio_pcap_rx_burst(void *queue, struct rte_mbuf **pkts, uint16_t n);

/** Reads all that an opened file has for its queue into memory, to be replayed so many times. */
int slabio_pcap_store_load(struct slabio_rxq *q, struct slabio_pcap_rx *rx, uint64_t rounds);
void slabio_pcap_store_free(struct slabio_pcap_store *store);

int slabio_pcap_filter_check(const char *device, const char *expression);
int slabio_pcap_filter_compile(
	struct bpf_program *program, const char *device, const char *expression);
int slabio_pcap_filter_live(pcap_t *handle, const char *device, const char *expression);

/** A hash of a packet's flow, the same in both directions. Has at least an Ethernet header. */
uint32_t slabio_pcap_flow(const u_char *data, uint32_t len);

/** Checks, without changing anything, that a capture file can be written at path. */
int slabio_pcap_writer_check(
	const char *device, const struct slabio_pcap_opts *opts, const char *path);
/** Opens the first file; on failure nothing is left of it. */
int slabio_pcap_writer_open(
	struct slabio_pcap_tx *tx, struct rte_eth_dev *eth, const char *path, uint16_t queue);
/** Creates or empties the file that is next and writes its header. */
int slabio_pcap_writer_create(struct slabio_pcap_tx *tx);
/** Adds to a pcapng file what was written to it, and what was lost, so far. */
void slabio_pcap_writer_summarize(struct slabio_pcap_tx *tx);
/** Ends the file. */
void slabio_pcap_writer_finish(struct slabio_pcap_tx *tx);
void slabio_pcap_writer_close(struct slabio_pcap_tx *tx);
uint16_t slabio_pcap_writer_burst(
	struct slabio_txq *q, struct slabio_pcap_tx *tx, struct rte_mbuf **pkts, uint16_t n);

static inline bool
slabio_pcap_rotates(const struct slabio_pcap_opts *opts)
{
	return opts->rotate_size != 0 || opts->rotate_seconds != 0;
}

/** The name of a file of the series, or of the only one, in memory of its own; NULL without any. */
char *slabio_pcap_rotate_name(
	const struct slabio_pcap_opts *opts, const char *path, uint32_t number);
/** Goes on to the next file of the series; false after a message, with the file as it was. */
bool slabio_pcap_rotate(struct slabio_txq *q, struct slabio_pcap_tx *tx);

void slabio_pcap_link(struct rte_eth_dev *eth, struct rte_eth_link *link);
/** Watches the link from now on if the application wants to hear of its changes. */
int slabio_pcap_link_start(struct rte_eth_dev *eth);
void slabio_pcap_link_stop(struct rte_eth_dev *eth);

int slabio_pcap_iface_open(struct rte_eth_dev *eth);
/** Opens one of so many sources among which the kernel spreads the interface's flows. */
int slabio_pcap_iface_rx_open(
	struct slabio_pcap_rx *rx, struct rte_eth_dev *eth, uint16_t queue, uint16_t nb_queues);
int slabio_pcap_iface_tx_open(struct slabio_pcap_tx *tx, const struct slabio_pcap_iface *iface,
	const char *device, const char *name);
void slabio_pcap_iface_tx_close(struct slabio_pcap_tx *tx);
uint16_t slabio_pcap_iface_burst(
	struct slabio_txq *q, struct slabio_pcap_tx *tx, struct rte_mbuf **pkts, uint16_t n);
void slabio_pcap_iface_missed(struct rte_eth_dev *eth);

/** Copies a part of a packet, which may lie in several segments. */
static inline void
slabio_pcap_copy(uint8_t *to, const struct rte_mbuf *m, uint32_t offset, uint32_t len)
{
	const void *part = rte_pktmbuf_read(m, offset, len, to);

	if (part != NULL && part != to)
		memcpy(to, part, len);
}

/** Copies a packet with the tag it is to get; len counts the tag and exceeds the addresses. */
void slabio_pcap_copy_tagged(uint8_t *to, const struct rte_mbuf *m, uint32_t len);

#endif /* SLABIO_PCAP_H */
