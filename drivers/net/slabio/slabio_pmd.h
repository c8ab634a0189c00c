/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SLABIO_PMD_H
#define SLABIO_PMD_H

/**
 * @file
 * What the files of the poll-mode driver share.
 *
 * Three layers: slabio_ethdev.c answers ethdev and knows no back end; slabio_devargs.c turns the
 * device arguments into struct slabio_args; a back end moves packets and is
 * reached through struct slabio_backend only:
 *
 *     slabio_pcap*.c  capture files, and interfaces through libpcap
 *     slabio_xdp*.c   interfaces through AF_XDP sockets
 *
 * struct slabio_dev is ethdev's dev_private: memory shared with EAL secondaries, which get nothing
 * but the device's name. So it holds every setting and every counter, but no pointer to code and no
 * handle; a back end is named by its number. What belongs to one process (sockets, capture handles)
 * hangs on process_private and on the queues' "be", which only the primary follows; a secondary has
 * its own of it in slabio_secondary.c. Who polls a queue, and what must outlive a death in the
 * middle of a burst, is in struct slabio_poll and what follows it in the queues: see
 * slabio_xdp_take.c.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_ether.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <ethdev_driver.h>

#include "slabio_compat.h"
#include "slabio_pcap_args.h"

#define SLABIO_MAX_QUEUES 16

/* The largest packet, without checksum, and what of it is not MTU: Ethernet and two VLAN tags. */
#define SLABIO_MAX_PKT	   65535
#define SLABIO_L2_OVERHEAD (RTE_ETHER_HDR_LEN + 8)
#define SLABIO_MAX_MTU	   (SLABIO_MAX_PKT - SLABIO_L2_OVERHEAD)
#define SLABIO_MIN_RX_BUF  64

extern int slabio_logtype;
#define SLABIO_LOG(level, fmt, ...) \
	rte_log(RTE_LOG_##level, slabio_logtype, "slabio: " fmt "\n", ##__VA_ARGS__)

/** A counter with one writer (the thread that polls the queue) and readers anywhere. */
typedef _Atomic uint64_t slabio_counter;

/* Per-queue counters. Those from the marked line on are extended statistics of this driver. */
enum slabio_rx_stat {
	SLABIO_RX_PACKETS,
	SLABIO_RX_BYTES,
	SLABIO_RX_ERRORS,
	/* extended statistics */
	SLABIO_RX_NOMBUF,
	SLABIO_RX_SCATTERED,
	SLABIO_RX_SNAPPED,
	SLABIO_RX_RUNTS,
	SLABIO_RX_OVERSIZE,
	SLABIO_RX_TRUNCATED,
	SLABIO_RX_READ_ERRORS,
	SLABIO_RX_END_OF_FILE,
	SLABIO_RX_FILTERED,
	SLABIO_RX_LOOPS,
	/* AF_XDP: ours, the kernel's, and which mode there is */
	SLABIO_RX_KICKS,
	SLABIO_RX_BAD_DESCS,
	SLABIO_RX_XSK_DROPPED,
	SLABIO_RX_XSK_RING_FULL,
	SLABIO_RX_XSK_FILL_EMPTY,
	SLABIO_RX_XSK_INVALID,
	SLABIO_RX_NO_META,
	SLABIO_RX_IS_ZERO_COPY,
	SLABIO_RX_IS_NATIVE,
	SLABIO_RX_IS_MULTI_BUFFER,
	SLABIO_RX_STATS
};

enum slabio_tx_stat {
	SLABIO_TX_PACKETS,
	SLABIO_TX_BYTES,
	SLABIO_TX_ERRORS,
	/* extended statistics */
	SLABIO_TX_MULTI_SEGS,
	SLABIO_TX_OVERSIZE,
	SLABIO_TX_WRITE_ERRORS,
	SLABIO_TX_NO_OUTPUT,
	SLABIO_TX_BACKPRESSURE,
	SLABIO_TX_SNAPPED,
	SLABIO_TX_ROTATIONS,
	/* AF_XDP */
	SLABIO_TX_RUNTS,
	SLABIO_TX_NOMBUF,
	SLABIO_TX_COPIES,
	SLABIO_TX_KICKS,
	SLABIO_TX_BAD_COMPLETIONS,
	SLABIO_TX_BAD_OFFLOADS,
	SLABIO_TX_XSK_INVALID,
	SLABIO_TX_XSK_RING_EMPTY,
	SLABIO_TX_KERNEL_CSUMS,
	SLABIO_TX_SOFTWARE_CSUMS,
	SLABIO_TX_IS_KERNEL_CSUM,
	SLABIO_TX_STATS
};

#define SLABIO_RX_XSTATS_FIRST SLABIO_RX_NOMBUF
#define SLABIO_TX_XSTATS_FIRST SLABIO_TX_MULTI_SEGS

/* Sets of counters: a bit for each of them from one up to, and without, another. */
#define SLABIO_STATS_SET(from, end) ((UINT64_C(1) << (end)) - (UINT64_C(1) << (from)))
/* What tells a state: it is not reset. */
#define SLABIO_RX_STATES SLABIO_STATS_SET(SLABIO_RX_IS_ZERO_COPY, SLABIO_RX_IS_MULTI_BUFFER + 1)
#define SLABIO_TX_STATES SLABIO_STATS_SET(SLABIO_TX_IS_KERNEL_CSUM, SLABIO_TX_IS_KERNEL_CSUM + 1)

/*
 * Processes that poll a port, by number: the primary, and the secondaries, whose numbers are never
 * used twice. The lower bits of a secondary's are its place among the peers of the port.
 */
#define SLABIO_NOBODY	 0u
#define SLABIO_PRIMARY	 1u
#define SLABIO_PEER_BITS 6
#define SLABIO_PEERS	 (1u << SLABIO_PEER_BITS)

/** A secondary process of a port. Written by itself. */
struct slabio_peer {
	_Atomic uint32_t id; /* SLABIO_NOBODY, or what its last one was: see slabio_peer_dead() */
	_Atomic uint32_t mapped; /* the generation of the sockets that it has, 0: none */
};

/** Which process polls a queue. Changed in slabio_xdp_take.c, whose top says when and how. */
struct slabio_poll {
	_Atomic uint32_t owner; /* whose copies of the rings' indices are true */
	_Atomic uint32_t
		inside; /* who is in a burst, or takes the queue over: not the primary's bursts */
};

#define SLABIO_TAKE_MAX 64 /* mbufs that are taken from or given to a pool at once */

struct slabio_rxq {
	struct rte_mempool *mp;
	void *be; /* the back end's part, while started; the primary's */
	slabio_counter stats[SLABIO_RX_STATS];
	uint64_t base[SLABIO_RX_STATS]; /* where the last reset left the counters */
	uint64_t timestamp_flag;	/* 0 while the offload is off */
	int timestamp_offset;
	_Atomic uint64_t soft; /* offloads to do in software; changed while polled, relaxed */
	uint16_t port_id;
	uint16_t queue_id;
	uint16_t nb_desc;
	bool in_use;	     /* set up and not released */
	atomic_bool running; /* written by queue start and stop, read by the polling thread */
	struct slabio_poll poll;
	bool skip;	       /* the next frames are the rest of a packet that was given up */
	struct rte_mbuf *head; /* a packet whose last frame has not come yet */
	struct rte_mbuf *tail;
	/* mbufs on their way from the pool into the fill ring, of secondaries */
	_Atomic uint32_t nb_journal;
	uint32_t journal_at; /* where in the ring they go */
	struct rte_mbuf *journal[SLABIO_TAKE_MAX];
} __rte_cache_aligned;

struct slabio_txq {
	void *be;
	slabio_counter stats[SLABIO_TX_STATS];
	uint64_t base[SLABIO_TX_STATS];
	uint16_t port_id;
	uint16_t queue_id;
	uint16_t nb_desc;
	uint64_t soft;
	bool fast_free;
	bool in_use;
	atomic_bool running;
	struct slabio_poll poll;
	/*
	 * Who takes completions: the sending thread, or the receiving one when it is idle. Nobody
	 * waits for it: who finds it taken leaves the completions to the other.
	 */
	_Atomic uint32_t completing;
	/*
	 * bytes of the largest packet; control threads follow the MTU. Relaxed: a hint, no partner
	 */
	_Atomic uint32_t max_len;
	/* descriptors that are written but not published yet, of secondaries */
	_Atomic uint32_t nb_written;
	uint32_t written_at; /* where in the ring the first of them is */
} __rte_cache_aligned;

/** What AF_XDP mode to use: one, or the best there is. */
enum slabio_xdp_want {
	SLABIO_XDP_AUTO,
	SLABIO_XDP_ZEROCOPY,
	SLABIO_XDP_COPY,
	SLABIO_XDP_NATIVE,
	SLABIO_XDP_GENERIC
};

/** Who fills in checksums of TCP and UDP. */
enum slabio_tx_csum {
	SLABIO_CSUM_AUTO, /* a zero-copy device that says it can; else the port */
	SLABIO_CSUM_KERNEL,
	SLABIO_CSUM_SOFTWARE
};

enum slabio_xdp_arg {
	SLABIO_XDP_ARG_MODE = 1,
	SLABIO_XDP_ARG_START = 2,
	SLABIO_XDP_ARG_COUNT = 4,
	SLABIO_XDP_ARG_BUSY = 8,
	SLABIO_XDP_ARG_META = 32,
	SLABIO_XDP_ARG_CSUM = 64,
	SLABIO_XDP_ARG_PROG = 16 /* any of those that name a program */
};

/** The device arguments, checked. Strings are in memory that secondaries share. */
struct slabio_args {
	uint16_t nb_rx_pcap;
	uint16_t nb_tx_pcap;
	bool has_mac;
	struct rte_ether_addr mac;
	char *rx_pcap[SLABIO_MAX_QUEUES];
	char *tx_pcap[SLABIO_MAX_QUEUES];
	char *pcap_iface;
	struct slabio_pcap_opts pcap;

	/* AF_XDP */
	char *iface;
	enum slabio_xdp_want xdp_mode;
	uint32_t start_queue;
	uint32_t queue_count; /* 0: all there are from start_queue on */
	uint32_t busy_poll;
	enum slabio_tx_csum tx_csum;
	char *xdp_prog;	     /* an object file */
	char *xdp_prog_name; /* which of the programs in it */
	char *xsk_map;	     /* a pinned map */
	bool xdp_meta;	     /* the program puts metadata before each packet */
	char *xsk_socket;    /* of a process that gives sockets */
	uint32_t xdp_given;  /* which arguments were, as bits of enum slabio_xdp_arg */
};

enum slabio_backend_id { SLABIO_BACKEND_PCAP, SLABIO_BACKEND_XDP, SLABIO_BACKENDS };

#define SLABIO_DEV_MAGIC 0x736c616273696f31ULL

struct slabio_dev {
	uint64_t magic;
	uint32_t size; /* of this structure: two builds of the plugin must agree on it */
	enum slabio_backend_id backend;
	struct slabio_args args;
	struct rte_ether_addr mac;
	uint64_t timestamp_flag;
	int timestamp_offset;
	/* Packets that the source lost before they were read: total, and what was reset away. */
	slabio_counter missed;
	uint64_t missed_base;
	/* secondary processes: see slabio_peer.h */
	_Atomic uint32_t changes;    /* a futex: goes up when one of the next two changes */
	_Atomic uint32_t generation; /* of the sockets that there are, 0: none */
	_Atomic uint32_t closing;
	_Atomic uint32_t last_id;
	struct slabio_peer peers[SLABIO_PEERS];
	struct slabio_rxq rxq[SLABIO_MAX_QUEUES];
	struct slabio_txq txq[SLABIO_MAX_QUEUES];
};

/**
 * What a back end does for the ethdev layer. All calls are made in the primary, by the control
 * thread; 0 or a negative errno, after a message of its own that says what was expected and found.
 * Members marked optional may be NULL.
 */
struct slabio_backend {
	const char *rx_mode; /* burst mode texts */
	const char *tx_mode;
	uint64_t rx_xstats; /* which counters its queues have, as a SLABIO_STATS_SET() */
	uint64_t tx_xstats;

	/** At probe: checks that what the arguments name exists and is fit for use. */
	int (*open)(struct rte_eth_dev *eth);
	/**
	 * At close: undoes open, and ends what lives on across a stop. Queues are stopped. What is
	 * to stay of the memory that processes share, it takes off eth->data.
	 */
	void (*close)(struct rte_eth_dev *eth);
	/** Adds to what the ethdev layer filled in. */
	void (*info)(const struct rte_eth_dev *eth, struct rte_eth_dev_info *info);
	/** Makes all set up queues ready; on failure none is. Resets nothing that a stop kept. */
	int (*start)(struct rte_eth_dev *eth);
	/** Stops all queues: no mbuf stays with the back end, what was sent is out. */
	void (*stop)(struct rte_eth_dev *eth);
	bool has_lsc; /* calls slabio_link_changed() when the link did */
	/** Optional: the link's state now. Without it the link is up while the port is started. */
	void (*link)(struct rte_eth_dev *eth, struct rte_eth_link *link);
	/** Optional. Without them every packet there is arrives in any case. */
	int (*promiscuous)(struct rte_eth_dev *eth, bool on);
	int (*allmulticast)(struct rte_eth_dev *eth, bool on);
	int (*mac_set)(struct rte_eth_dev *eth, const struct rte_ether_addr *mac);
	int (*mtu_set)(struct rte_eth_dev *eth, uint16_t mtu);
	/**
	 * Optional: a receive queue of a stopped port lets go of its mempool, which is q->mp until
	 * then and may be freed as soon as this has returned.
	 */
	void (*rx_queue_release)(struct slabio_rxq *q);
	/** Optional: brings dev->missed and whatever else is counted elsewhere up to date. */
	void (*update_missed)(struct rte_eth_dev *eth);
	/**
	 * Optional: the burst functions are about to run a queue, or have ceased to. Not called for
	 * start and stop of the port, which are for all of its queues.
	 */
	int (*rx_queue_run)(struct rte_eth_dev *eth, uint16_t queue, bool on);
	/** Optional, by the receiving thread: it is going to sleep on the queue's interrupt. */
	int (*rx_intr_enable)(struct rte_eth_dev *eth, uint16_t queue);
	/** Optional, by the sending thread: frees what was sent; how many mbufs that were. */
	int (*tx_cleanup)(struct slabio_txq *q);
	/** Optional: secondaries have bursts too, and their processes come and go with these. */
	int (*secondary_open)(struct rte_eth_dev *eth);
	void (*secondary_close)(struct rte_eth_dev *eth);

	eth_rx_burst_t rx_burst;
	eth_tx_burst_t tx_burst;
	eth_rx_burst_t secondary_rx_burst; /* NULL with secondary_open */
	eth_tx_burst_t secondary_tx_burst;
	int (*secondary_tx_cleanup)(struct slabio_txq *q);
};

extern const struct slabio_backend slabio_pcap_backend;
#ifdef SLABIO_HAVE_XDP
extern const struct slabio_backend slabio_xdp_backend;
#endif

/** Reads and checks the device arguments; on failure args holds nothing to free. */
int slabio_args_parse(const char *name, const char *params, struct slabio_args *args);
void slabio_args_free(struct slabio_args *args);

/** Reads the link anew; tells the application if it changed and wants to know. */
void slabio_link_changed(struct rte_eth_dev *eth);

int slabio_stats_fill(
	struct rte_eth_dev *eth, struct rte_eth_stats *stats, struct slabio_queue_stats *queues);
int slabio_stats_reset(struct rte_eth_dev *eth);
int slabio_xstats_get(struct rte_eth_dev *eth, struct rte_eth_xstat *xstats, unsigned int n);
int slabio_xstats_get_names(
	struct rte_eth_dev *eth, struct rte_eth_xstat_name *names, unsigned int size);

static inline const struct slabio_backend *
slabio_backend(const struct slabio_dev *dev)
{
	static const struct slabio_backend *const table[SLABIO_BACKENDS] = {
		[SLABIO_BACKEND_PCAP] = &slabio_pcap_backend,
#ifdef SLABIO_HAVE_XDP
		[SLABIO_BACKEND_XDP] = &slabio_xdp_backend,
#endif
	};

	return table[dev->backend];
}

/* One writer, so a load and a store do; relaxed, since readers only want a value that once was. */
static inline void
slabio_count(slabio_counter *counter, uint64_t n)
{
	uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, now + n, memory_order_relaxed);
}

static inline uint64_t
slabio_counted(const slabio_counter *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/**
 * What processes share of a port, for a call that a secondary may make at any time: it stays until
 * slabio_dev_release(), in a secondary of a port that it polls even if the primary closes it.
 *
 * @return NULL: the primary has closed the port; nothing is to be released
 */
struct slabio_dev *slabio_dev_hold(const struct rte_eth_dev *eth);
void slabio_dev_release(void);
/** Held by a secondary for that, and to leave a port. */
extern pthread_mutex_t slabio_sharing;

/* Bursts of a secondary process: nothing, and a word about it. */
uint16_t slabio_secondary_rx(void *rxq, struct rte_mbuf **mbufs, uint16_t n);
uint16_t slabio_secondary_tx(void *txq, struct rte_mbuf **mbufs, uint16_t n);

/**
 * Gives back mbufs that the queue is done with.
 *
 * @param single whether each of them is known to be a single segment
 */
static inline void
slabio_tx_free(const struct slabio_txq *q, struct rte_mbuf **pkts, uint16_t n, bool single)
{
	if (n == 0)
		return;
	/* fast free promises one pool and no other references, not single segments */
	if (q->fast_free && single)
		rte_mempool_put_bulk(pkts[0]->pool, (void **)pkts, n);
	else
		rte_pktmbuf_free_bulk(pkts, n);
}

#endif /* SLABIO_PMD_H */
