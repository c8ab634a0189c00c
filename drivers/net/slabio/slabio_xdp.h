/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SLABIO_XDP_H
#define SLABIO_XDP_H

/**
 * @file
 * What the files of the AF_XDP back end share. All of it belongs to one process and lies in its own
 * memory; see slabio_pmd.h for what processes share. A secondary has the part of it that the data path
 * needs: struct slabio_xdp_queue, around the same sockets and the same holders.
 *
 *     slabio_xdp.c         start and stop of whole ports
 *     slabio_xdp_mem.c     a mempool's memory as frames, and which of them the kernel has
 *     slabio_xdp_socket.c  one queue's socket: registration of the memory, rings, binding, closing
 *     slabio_xdp_prog.c    the XDP program that sends packets to the sockets
 *     slabio_xdp_object.c  one of the user's own instead, from an object file
 *     slabio_xdp_given.c   sockets and a program that another process has
 *     slabio_xdp_others.c  one that is in the way
 *     slabio_xdp_rx.c      receive burst
 *     slabio_xdp_meta.h    what the program says of a packet
 *     slabio_xdp_tx.c      transmit burst
 *     slabio_xdp_device.c  what the kernel says of an interface's driver
 *     slabio_xdp_take.c    taking a queue over from another process
 *     slabio_xdp_offer.c   sockets for secondaries: the primary's side
 *     slabio_xdp_secondary.c  the same: the secondaries' side
 *     slabio_xdp_intr.c    receive interrupts
 *     slabio_xdp_napi.c    busy polling of interfaces that do not say whose NAPI is whose
 *     slabio_netif.c       what there is to an interface: link, MTU, address, modes
 *
 * Queue i of a port is one socket for both directions, bound to queue start_queue + i of the
 * interface. It has a receive ring if there is a receive queue i, and a transmit ring likewise.
 */

#include <pthread.h>

#include <rte_spinlock.h>

#include "slabio_netif.h"
#include "slabio_peer.h"
#include "slabio_pmd.h"
#include "slabio_xdp_uapi.h"
#include "slabio_xdp_mem.h"

/**
 * A ring shared with the kernel. It is single producer, single consumer: of the two indices one is
 * ours to write and one the kernel's, and what the kernel writes is believed no further than the
 * ring's size.
 */
struct slabio_xdp_ring {
	_Atomic uint32_t *producer;
	_Atomic uint32_t *consumer;
	_Atomic uint32_t *flags;
	void *entries;
	uint32_t mask;
	uint32_t prod; /* our copies; that of the kernel's index may be behind */
	uint32_t cons;
	void *map;
	size_t map_len;
};

struct slabio_xdp_queue;

struct slabio_xdp_rx {
	struct slabio_xdp_ring ring;
	struct slabio_xdp_ring fill;
	const struct slabio_xdp_mem *mem;
	uint64_t rearm; /* the first words of a fresh mbuf */
	uint32_t owed;	/* frames that were taken out and not replaced yet */
	uint32_t unmet; /* of them, those that the pool did not have when they were due */
	uint32_t batch; /* replaced at once */
	uint32_t idle;	/* polls that found nothing */
	uint16_t tag;
	bool busy_poll;
	bool polls_napi; /* busy polling is that of napi_fd, not that of the socket */
	bool meta;	 /* the program puts metadata before each packet */
	int fd;
	int napi_fd;
	struct slabio_rxq *q;
	struct slabio_xdp_queue *queue;
	const struct slabio_peers *peers;
} __rte_cache_aligned;

struct slabio_xdp_tx {
	struct slabio_xdp_ring ring;
	struct slabio_xdp_ring completion;
	const struct slabio_xdp_mem *mem;
	uint32_t max_frame; /* bytes that one descriptor may name */
	uint32_t copy_room; /* bytes that a copy has in one frame */
	uint32_t max_segs;  /* descriptors of one packet */
	uint32_t meta_len;  /* bytes before each packet that the kernel may look at; 0: none */
	uint16_t tag;
	bool zero_copy;
	bool gone; /* the interface is: whatever is sent is dropped */
	int fd;
	uint32_t me; /* this process */
	/* the kernel left packets behind; relaxed: whoever sees it late kicks late */
	atomic_bool stalled;
	struct slabio_txq *q;
	const struct slabio_peers *peers;
} __rte_cache_aligned;

/** How a socket got bound. */
struct slabio_xdp_mode {
	bool zero_copy;
	bool multi_buffer;
	bool tx_meta; /* the kernel fills in checksums that are left to it */
	bool shared;  /* with a registration that was there before */
};

struct slabio_xdp_queue {
	struct slabio_xdp_rx rx;
	struct slabio_xdp_tx tx;
	int fd; /* -1: no socket */
	int slot;
	struct slabio_xdp_mem *mem;
	struct slabio_xdp_umem *umem;
	struct slabio_xdp_mode mode;
	bool has_rx;
	bool has_tx;
	bool in_map; /* packets come to it */
	const struct slabio_peers *peers;
	bool kept;			   /* not closed: a secondary has stopped in its burst */
	uint32_t queue;			   /* of the interface */
	struct xdp_statistics seen;	   /* what was counted already */
	LIST_ENTRY(slabio_xdp_queue) next; /* of the registration */
};

struct slabio_xdp_prog;

struct slabio_xdp_port {
	struct slabio_netif netif;
	struct slabio_netif_watch watch;
	unsigned int count; /* queues there are from start_queue on */
	struct slabio_xdp_prog *prog;
	struct rte_mempool *tx_pool; /* for copies, where no receive queue brings a pool */
	rte_spinlock_t stats_lock;
	bool counting; /* sockets are there to be asked; under stats_lock */
	struct slabio_peers peers;
	bool offered; /* secondaries may have the sockets; under slabio_xdp_lock */
	uint32_t generation;
	struct slabio_xdp_queue queues[SLABIO_MAX_QUEUES];
};

/** Serialises what ports have in common: registrations and programs. For control threads. */
extern pthread_mutex_t slabio_xdp_lock;

/* ---- sockets ---- */

struct slabio_xdp_socket_opts {
	const char *device;
	const char *iface;
	int ifindex;
	uint16_t port_id;
	struct slabio_rxq *rxq; /* what processes share of the queue */
	struct slabio_txq *txq;
	const struct slabio_peers *peers;
	struct rte_mempool *mp;
	uint32_t rx_desc; /* 0: no receive queue */
	uint32_t tx_desc;
	uint32_t busy_poll; /* packets per poll, 0: none */
	const char *given;  /* who gives sockets, or NULL: the kernel does */
	bool want_zero_copy;
	bool want_copy;
	bool want_multi_buffer;
	bool want_sums;		  /* the application asks for checksums of TCP or UDP */
	bool device_sums;	  /* the device fills them in, in zero-copy mode */
	enum slabio_tx_csum csum; /* who shall */
};

/**
 * Opens and binds a socket for the interface's queue q->queue, and fills its fill ring.
 *
 * @return 0, or a negative errno after a message
 */
int slabio_xdp_socket_open(struct slabio_xdp_queue *q, const struct slabio_xdp_socket_opts *opts);
/**
 * Closes it; all mbufs go back to the pool. The caller has seen to it that no packets come any
 * more. Does nothing without a socket.
 *
 * @return false if it could not be closed, and is kept: a living secondary is in the middle of a
 *         burst. Then this is to be called again.
 */
bool slabio_xdp_socket_close(
	struct slabio_xdp_queue *q, const char *device, int ifindex, const char *given);
/** For one that is kept: closes it, and leaves its mbufs to the secondary for good. */
void slabio_xdp_socket_abandon(struct slabio_xdp_queue *q);
/**
 * Maps the rings of a socket, which has those for has_rx and has_tx; sizes are in entries. What was
 * mapped before a failure is unmapped by slabio_xdp_rings_unmap().
 *
 * @return 0, or a negative errno: -EBUSY in another process than the one that bound the socket,
 *         before Linux 6.4
 */
int slabio_xdp_rings_map(struct slabio_xdp_queue *q, uint32_t rx, uint32_t tx);
void slabio_xdp_rings_unmap(struct slabio_xdp_queue *q);
/** The kernel's counters of a socket; false if it gives none. */
bool slabio_xdp_socket_stats(const struct slabio_xdp_queue *q, struct xdp_statistics *now);

/* ---- program ---- */

struct slabio_xdp_prog_opts {
	const char *device;
	const char *iface;
	int ifindex;
	unsigned int queues; /* that the map has to have */
	bool native;	     /* may be attached so */
	bool generic;
	const char *file;   /* an object file with the user's own program, or NULL */
	const char *name;   /* which of those in the file, or NULL: the only one */
	const char *pinned; /* a map of sockets that another process' program uses, or NULL */
	const char *given;  /* who enters sockets into its map, or NULL */
};

/**
 * Attaches a program to an interface, or finds that another port has.
 *
 * @return NULL after a message, with rte_errno set
 */
struct slabio_xdp_prog *slabio_xdp_prog_get(const struct slabio_xdp_prog_opts *opts);
/** Detaches it, if no other port uses it. */
void slabio_xdp_prog_put(struct slabio_xdp_prog *prog);
bool slabio_xdp_prog_native(const struct slabio_xdp_prog *prog);
/** What it is, for messages: in words of which the mode is the first. */
const char *slabio_xdp_prog_text(const struct slabio_xdp_prog *prog);
/** From now on a queue's packets go to a socket; 0 or a negative errno. */
int slabio_xdp_prog_set(const struct slabio_xdp_prog *prog, uint32_t queue, int fd);
/** From now on they go to the host. */
void slabio_xdp_prog_clear(const struct slabio_xdp_prog *prog, uint32_t queue);

/* ---- sockets of another process ---- */

/** A new AF_XDP socket for a queue; a descriptor or a negative errno. */
int slabio_xdp_given_socket(const char *path, int ifindex, uint32_t queue);
/** Packets of a queue go to a socket from now on, or to the host; 0 or a negative errno. */
int slabio_xdp_given_enter(const char *path, int ifindex, uint32_t queue, int fd);
int slabio_xdp_given_leave(const char *path, int ifindex, uint32_t queue);

/* ---- another's program ---- */

struct slabio_xdp_other {
	uint32_t id;
	uint32_t link; /* 0: none, or not to be told */
	bool native;
	bool offloaded;
	char name[16];
};

/** Whether an interface has a program now; needs no rights. */
bool slabio_xdp_attached(int ifindex, struct slabio_xdp_other *other);
/** Says which one is there and how to remove it. */
void slabio_xdp_describe_other(int ifindex, const char *iface, char *text, size_t size);

/* ---- receive interrupts ---- */

/** Lists the receive queues' sockets to sleep on; 0, or a negative errno after a message. */
int slabio_xdp_intr_start(struct rte_eth_dev *eth);
void slabio_xdp_intr_stop(struct rte_eth_dev *eth);
int slabio_xdp_intr_enable(struct rte_eth_dev *eth, uint16_t queue);

/* ---- busy polling ---- */

/** Whether the kernel knows which NAPI instance receives for a socket: a receive call polls it. */
bool slabio_xdp_napi_known(int socket);
/** What polls a NAPI instance in a socket's place. @return a descriptor, or a negative errno */
int slabio_xdp_napi_open(uint32_t id);
/** Receives what is there, on this CPU; bounded, but longer than a call that polls nothing. */
void slabio_xdp_napi_poll(int fd);

/* ---- secondaries ---- */

/** Tells secondaries that there are sockets, or that there are none any more. */
void slabio_xdp_offer(struct rte_eth_dev *eth);
void slabio_xdp_withdraw(struct rte_eth_dev *eth);
/** From now on requests of secondaries are answered; 0 or a negative errno after a message. */
int slabio_xdp_offer_open(struct rte_eth_dev *eth);
/**
 * Tells secondaries that the port is closed, and waits a while. Not under slabio_xdp_lock.
 *
 * @return whether no living one has anything of the port any more; else what is shared has to stay
 */
bool slabio_xdp_offer_close(struct rte_eth_dev *eth);

/** What a secondary does with a port: struct slabio_backend says when. */
int slabio_xdp_secondary_open(struct rte_eth_dev *eth);
void slabio_xdp_secondary_close(struct rte_eth_dev *eth);
uint16_t slabio_xdp_secondary_rx(void *queue, struct rte_mbuf **pkts, uint16_t n);
uint16_t slabio_xdp_secondary_tx(void *queue, struct rte_mbuf **pkts, uint16_t n);
int slabio_xdp_secondary_tx_cleanup(struct slabio_txq *q);

/* ---- taking over ---- */

/**
 * Says that this process is in a burst of a queue.
 *
 * @param[out] died SLABIO_NOBODY, or who has died in it: then slabio_xdp_rx_take() or
 *        slabio_xdp_tx_take() is next, which is told
 * @return false if somebody is in it who lives
 */
bool slabio_xdp_enter(struct slabio_poll *poll, const struct slabio_peers *peers, uint32_t *died);
/** Release: who enters next finds all of it done. */
static inline void
slabio_xdp_leave(struct slabio_poll *poll)
{
	atomic_store_explicit(&poll->inside, SLABIO_NOBODY, memory_order_release);
}
/**
 * Makes a queue that this process has entered its own: its copies of the indices become true, and
 * what a dead process was in the middle of is undone.
 */
void slabio_xdp_rx_take(struct slabio_xdp_rx *rx, bool died);
/** The same. False, and the queue left: another process is just taking completions. */
bool slabio_xdp_tx_take(struct slabio_xdp_tx *tx, uint32_t died);
/** For the primary, whose bursts do not enter: the whole of it. False: somebody is in it. */
bool slabio_xdp_rx_take_back(struct slabio_xdp_rx *rx);
bool slabio_xdp_tx_take_back(struct slabio_xdp_tx *tx);
/** Frees the taking of completions if who has it is dead. */
void slabio_xdp_unlock_completing(struct slabio_xdp_tx *tx);

/* ---- data path ---- */

uint16_t slabio_xdp_rx_burst(void *queue, struct rte_mbuf **pkts, uint16_t n);
uint16_t slabio_xdp_tx_burst(void *queue, struct rte_mbuf **pkts, uint16_t n);
/** Bursts of a secondary that has entered the queue and owns it. */
uint16_t slabio_xdp_rx_shared(struct slabio_xdp_rx *rx, struct rte_mbuf **pkts, uint16_t n);
uint16_t slabio_xdp_tx_shared(struct slabio_xdp_tx *tx, struct rte_mbuf **pkts, uint16_t n);

/** The first words of a packet of a port as it is received. */
uint64_t slabio_xdp_rearm(uint16_t port);
/** Gives frames to the kernel, up to the number that is owed. Returns false if the pool is dry. */
bool slabio_xdp_refill(struct slabio_xdp_rx *rx);
/** Takes back what the kernel has sent. Returns how many mbufs that were. */
uint32_t slabio_xdp_complete(struct slabio_xdp_tx *tx);
/**
 * For the receiving thread: sees to it that packets get on, and their mbufs back, while nobody
 * sends. Without that a pool that is dry because all of it was sent would stay so.
 */
void slabio_xdp_tx_idle(struct slabio_xdp_tx *tx);
/** Tells the kernel to send; at most `calls` calls, none of which blocks. */
void slabio_xdp_kick(struct slabio_xdp_tx *tx, unsigned int calls);

/** How many entries the kernel has produced for us, at most the ring's size. */
static __rte_always_inline uint32_t
slabio_xdp_ready(struct slabio_xdp_ring *ring)
{
	/* acquire: pairs with the kernel's release of the entries */
	ring->prod = atomic_load_explicit(ring->producer, memory_order_acquire);
	return RTE_MIN(ring->prod - ring->cons, ring->mask + 1);
}

/**
 * Looks how far the kernel has read what we produce. An index that it cannot have, since it was not
 * given so much, is not believed: the last good one stays.
 */
static __rte_always_inline void
slabio_xdp_look_consumed(struct slabio_xdp_ring *ring)
{
	/* acquire: what the kernel has read may be written over */
	uint32_t cons = atomic_load_explicit(ring->consumer, memory_order_acquire);
	/* relaxed: written on this side alone; a burst under way has not published its entries */
	uint32_t published = atomic_load_explicit(ring->producer, memory_order_relaxed);

	if (published - cons <= ring->mask + 1)
		ring->cons = cons;
}

/** How many entries are free for us to produce; asks the kernel only if fewer than wanted are. */
static __rte_always_inline uint32_t
slabio_xdp_room(struct slabio_xdp_ring *ring, uint32_t wanted)
{
	uint32_t size = ring->mask + 1, used = ring->prod - ring->cons;

	if (used > size || size - used < wanted) {
		slabio_xdp_look_consumed(ring);
		used = ring->prod - ring->cons;
	}
	return used > size ? 0 : size - used;
}

/** Release: pairs with the kernel's acquire, which then finds the entries complete. */
static __rte_always_inline void
slabio_xdp_publish(struct slabio_xdp_ring *ring)
{
	atomic_store_explicit(ring->producer, ring->prod, memory_order_release);
}

/** Release: the kernel may write over the entries only after they have been read. */
static __rte_always_inline void
slabio_xdp_consumed(struct slabio_xdp_ring *ring)
{
	atomic_store_explicit(ring->consumer, ring->cons, memory_order_release);
}

static __rte_always_inline bool
slabio_xdp_wants_wakeup(const struct slabio_xdp_ring *ring)
{
	/* relaxed: a value that comes late means a wake-up that comes late */
	return atomic_load_explicit(ring->flags, memory_order_relaxed) & XDP_RING_NEED_WAKEUP;
}

#endif /* SLABIO_XDP_H */
