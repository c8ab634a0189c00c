/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef L2FWD_H
#define L2FWD_H

/**
 * @file
 * slabio-l2fwd: what its files share.
 *
 * Ports are polled by lcores as in DPDK's l2fwd example. Without workers each lcore forwards what
 * it receives. With workers one lcore polls all ports, spreads flows over the workers' rings
 * (flow.c, workers.c), and sends what comes back. Nothing here is shared between lcores except
 * counters and the quit flag.
 */

#include <stdatomic.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "l2fwd_ctl.h"

#define RX_BURST 32u
#define TX_BURST 32u

/** A bucket's worker when l2fwd forwards by itself. */
#define WORKER_SELF UINT16_MAX

#define FLOW_BUCKETS 4096u

#define NS_IN_S	 1000000000ull
#define NS_IN_MS 1000000ull

/* ---- options.c ---- */

/** What --pool-mode says. */
enum pool_mode {
	POOL_MODE_ANY, /**< exact with EAL workers, unless the operator's SLABIO_CONFIG says else */
	POOL_MODE_EXACT,
	POOL_MODE_CONSERVATIVE,
};

struct config {
	uint32_t port_mask;
	unsigned int ports_per_lcore; /**< -q; 0: not given */
	uint64_t stats_period_s;      /**< -T; 0: never */
	bool promiscuous;
	bool mac_updating;
	unsigned int n_pairs; /**< of --portmap */
	uint16_t pairs[RTE_MAX_ETHPORTS][2];
	const char *name;	/**< of the instance */
	unsigned int n_workers; /**< slots for workers without DPDK */
	unsigned int n_eal;	/**< slots for EAL secondaries; they come after the others */
	unsigned int n_slots;	/**< both */
	enum pool_mode pool_mode;
	bool spawn;
	const char *worker_path;
	const char *eal_worker_path;
	const char *worker_fn;
	uint32_t ring_capacity;
	uint32_t n_mbufs;   /**< 0: as many as are needed, at least 8192 */
	uint32_t mbuf_size; /**< bytes of a block: headroom and data */
	uint64_t backpressure_ms;
	bool forward_without_workers;
	uint64_t wait_workers_s;
	uint64_t exit_idle_ms;	/**< 0: never */
	uint64_t exit_after_ms; /**< 0: never */
	const char *stats_file; /**< NULL: none */
};

extern struct config conf;

/** Parses the application's options into conf. @return 0; 1 only --help was asked for; -EINVAL with
 * a message */
int options_parse(int argc, char **argv);

/* ---- main.c ---- */

extern atomic_bool force_quit;

/** Prints one line of the program's log to stderr. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- stats.c ---- */

/** Adds to a counter that one lcore writes and others read. */
#define COUNT(counter, n)                                                     \
	atomic_store_explicit(&(counter),                                     \
		atomic_load_explicit(&(counter), memory_order_relaxed) + (n), \
		memory_order_relaxed)
#define COUNTER(counter) atomic_load_explicit(&(counter), memory_order_relaxed)

struct port_stats {
	_Atomic uint64_t rx;
	_Atomic uint64_t rx_bytes;
	_Atomic uint64_t tx;
	_Atomic uint64_t tx_bytes;
	_Atomic uint64_t tx_dropped; /**< the port did not take them */
} __rte_cache_aligned;

/** Where the packets stayed that came in and did not go out. Written by the lcore that works with
 * workers. */
struct drop_stats {
	_Atomic uint64_t overflow;  /**< the worker's ring was full */
	_Atomic uint64_t verdict;   /**< a worker rejected them */
	_Atomic uint64_t in_hands;  /**< a worker died with them in its hands */
	_Atomic uint64_t no_worker; /**< no worker lived and --no-worker=drop */
	_Atomic uint64_t
		unfit; /**< too many segments for a chain, or no mbuf for a copy that is needed */
};

/** Of one worker slot, over all its incarnations. */
struct worker_stats {
	uint64_t sent;	     /**< packets written to its ring */
	uint64_t returned;   /**< packets that came back */
	uint64_t rejected;   /**< of those: not to be forwarded */
	uint64_t overflow;   /**< packets dropped because its ring was full */
	uint64_t taken_back; /**< packets queued and not read when it went: given to others */
	uint64_t in_hands;   /**< packets read and not returned when it went: dropped */
	uint64_t deaths;     /**< ends without being asked */
	uint64_t broken;     /**< sessions ended because it broke the rules */
	uint64_t joins;	     /**< incarnations that became ready */
	uint64_t stalls;     /**< times it was found standing */
};

extern struct port_stats port_stats[RTE_MAX_ETHPORTS];
extern struct drop_stats drop_stats;
/** Packets that were copied before they went to a worker, see cross.c. Written as drop_stats. */
extern _Atomic uint64_t copied_stats;

/** True if every packet received was sent or is counted in one of the drops. */
bool stats_accounted(void);
void stats_print(FILE *out, bool final);
/** Writes the statistics as JSON. @return 0 or -errno, with a message */
int stats_write(const char *path, bool clean);
/** Notes a port's extended statistics; they can be read when the port is gone. */
void xstats_take(uint16_t port);
/** As members of a JSON object; "" if there are none. */
const char *xstats_taken(uint16_t port);
void xstats_forget(uint16_t port);
/** Remembers when forwarding began and ended. */
void stats_begin(void);
void stats_end(void);
/** Remembers that packets came just now: rates are over the time with traffic. */
void stats_traffic(uint64_t now_ns);
/** When packets came last; 0: never. */
uint64_t stats_last_rx_ns(void);

/* ---- buffers.c ---- */

/** The payload segment and the mbuf pool on it. */
struct buffers {
	struct sio_segment *segment;
	struct rte_mempool *pool;
	uint8_t *base;
	size_t bytes; /**< as registered with EAL; 0: not registered */
	uint32_t n;
	uint32_t stride;
	uint64_t config_hash;
	char ops[RTE_MEMPOOL_OPS_NAMESIZE];
	char metadata[SIO_NAME_LEN]; /**< name of the slab pool's metadata; "" with other ops */
	size_t mapped;		     /**< bytes mapped at base for EAL workers; 0: not so */
	struct sio_pool *slab;	     /**< with EAL workers: the slab pool, as a member */
	bool exact;		     /**< it is an exact one */
};

extern struct buffers buffers;

/** Makes the payload segment, registers it with EAL and creates the mbuf pool. @return 0 or -errno,
 * message */
int buffers_create(uint32_t n);
/** Makes the payload segment visible to workers. @return 0 or -errno, with a message */
int buffers_publish(void);
/** @return true if all buffers are back; prints what is missing */
bool buffers_audit(FILE *out);
void buffers_destroy(void);
/** Block of a segment's data, by arithmetic. @return its handle; UINT32_MAX if it is not in the
 * payload */
uint32_t buffers_handle(const struct rte_mbuf *m);

/* ---- share.c: what EAL workers need of the buffers ---- */

/** Before the mbuf pool is made: puts the payload where secondaries can have it. @return 0 or -errno,
 * message */
int share_payload(void);
/** Before the mbuf pool is made: asks its driver for the mode wanted. @return 0 or -errno, message
 */
int share_mode_begin(void);
void share_mode_end(void);
/** Becomes a member of the slab pool by its own name. @return 0 or -errno, with a message */
int share_open(void);
void share_close(void);
/** What is no more than a fact of how EAL was started. @return 0; -EINVAL with a message */
int share_check_eal(void);

/* ---- cross.c ---- */

/**
 * Makes a packet one that may go to another process: every segment is this pool's own, has one
 * reference and no other mbuf's buffer. Else the packet as a whole is copied.
 *
 * @param max     most segments
 * @param copied  counts copies
 * @return the packet or its copy; NULL: it is dropped, since it has too many segments, is empty, or
 *         there is no mbuf for the copy. Takes the packet.
 */
struct rte_mbuf *cross_prepare(
	struct rte_mbuf *m, struct rte_mempool *pool, unsigned int max, _Atomic uint64_t *copied);

/* ---- ports.c ---- */

struct lcore_ports {
	unsigned int n;
	uint16_t ports[RTE_MAX_ETHPORTS];
};

extern struct lcore_ports lcore_ports[RTE_MAX_LCORE];

/** Chooses the ports, their partners and their lcores from conf. @return 0 or -EINVAL, with a
 * message */
int ports_plan(void);
/** Mbufs that queues and bursts can hold. */
uint32_t ports_mbufs(void);
int ports_start(void);
void ports_stop(void);
unsigned int ports_count(void);
/** The i-th port in use. */
uint16_t ports_nth(unsigned int i);
/** Where packets of this port go. */
uint16_t ports_partner(uint16_t port);
/** Queues a packet for transmission, rewriting its MAC addresses if that is asked for. Takes the
 * packet. */
void port_send(uint16_t port, struct rte_mbuf *m);
/** Sends what is queued; what the port does not take is dropped and counted. */
void port_flush(uint16_t port);

/* ---- flow.c ---- */

struct bucket {
	uint16_t worker;   /**< who has its packets, or WORKER_SELF */
	uint16_t want;	   /**< who shall have them as soon as nothing is in flight */
	uint32_t inflight; /**< packets of it that are with the worker */
};

/**
 * Hash of a packet's flow, the same for both directions.
 *
 * Of VLAN ids, IP addresses, protocol and TCP, UDP, SCTP ports; fragments, also the first, without
 * ports; others of MAC addresses and ether type. Reads the first segment only.
 */
uint32_t flow_hash(const struct rte_mbuf *m);
void flow_init(void);
struct bucket *flow_bucket(uint32_t hash);
/** Number of a bucket. */
uint16_t flow_index(const struct bucket *b);
struct bucket *flow_nth(uint16_t index);
/** The worker for the next packet of a bucket: moves it to the wanted one if nothing of it is in
 * flight. */
uint16_t flow_worker(struct bucket *b);
/** Spreads the wish over the workers marked usable, moving as few buckets as possible. */
void flow_spread(const bool *usable, unsigned int n);
uint64_t flow_moves(void);
/** Buckets that a worker has now. */
unsigned int flow_buckets_of(uint16_t worker);

/* ---- workers.c, slots.c, takeback.c, spawn.c: the worker processes ---- */

enum worker_state {
	WORKER_CLOSED = 0, /**< has no rings */
	WORKER_VACANT,	   /**< rings are ready, nobody is there */
	WORKER_RUNNING,
	WORKER_BROKEN, /**< broke the rules: gets nothing more, its end is awaited */
};

/** What was written at one position of an out ring. */
struct record {
	struct rte_mbuf *segment;
	struct rte_mbuf *head; /**< the packet, at its first segment; NULL at the others */
	uint32_t handle;
	uint16_t bucket;
	uint16_t port; /**< received on */
	bool more;
	bool mine; /**< read back from the out ring of a worker that is gone */
};

#define STAGE_MAX 256u

struct worker {
	enum worker_state state;
	bool eal; /**< slot for EAL secondaries */
	unsigned int slot;
	uint32_t incarnation;
	sio_member_t member; /**< in the control segment */
	bool stalled;
	int pid;	/**< of the child in this slot; 0: none */
	int member_pid; /**< as the worker said itself; for messages */
	struct sio_rbuff *out;
	struct sio_rbuff *back;
	struct sio_rbuff *left; /**< the out ring's other side, once an EAL worker is gone */
	uint64_t written;	/**< position after the last descriptor recorded for the out ring */
	uint64_t read;		/**< position after the last descriptor read from the back ring */
	uint64_t settled;	/**< position of the oldest packet not yet back as a whole */
	unsigned int n_staged;
	struct sio_desc staged[STAGE_MAX];
	struct record *records; /**< by position modulo the capacity */
	uint64_t seen_progress; /**< sum of its positions when it last moved */
	uint64_t progress_ns;
	struct worker_stats stats;
};

extern struct worker workers[L2FWD_SLOTS_MAX];

/* ---- workers.c ---- */

/** Makes control segment and rings and lets workers in. @return 0 or -errno, with a message */
int workers_open(void);
/** Gives a packet to a worker, or drops and counts it. Takes the packet. */
void worker_enqueue(struct worker *w, struct bucket *b, struct rte_mbuf *m, uint16_t port);
/** Writes what is staged to the worker's ring. */
void worker_flush(struct worker *w);
/** Takes what came back and sends it on. @return packets */
unsigned int worker_poll(struct worker *w);
/** Looks after all workers: who came, who went, who stands. */
void workers_watch(uint64_t now_ns);
/** Packets with workers now. */
uint64_t workers_inflight(void);
unsigned int workers_running(void);
/** True while a worker that is not found standing has packets. */
bool workers_busy(void);
/** Packets that may be received now so that no ring of a moving worker overflows. */
unsigned int workers_room(void);
/** Waits for what is in flight, asks the workers to go, takes back the rest, removes rings and
 * control. */
void workers_close(void);
/** Sends a packet on without any worker, or drops it if that is what --no-worker says. Takes the
 * packet. */
void forward_self(struct rte_mbuf *m, uint16_t port);

/** Ends a worker's session for breaking the rules: it gets nothing more and must end. */
void worker_break(struct worker *w, const char *why);
/** Settles what a worker that is gone had and opens its slot again. @return false: not yet */
bool worker_gone(struct worker *w);
/** Spreads the buckets over the workers that run and move. */
void workers_spread(void);
/** Marks those that died and were not noticed yet, so that they get nothing more. */
void workers_pass_by_dead(void);

/* ---- takeback.c ---- */

/** Settles everything that was with a worker that is gone, or will never touch it again. */
void worker_take_back(struct worker *w);
/** Gives a packet that was with a worker that is gone to the bucket's next one. Takes the packet. */
void worker_requeue(struct worker *from, struct bucket *b, struct rte_mbuf *m, uint16_t port);

/* ---- takeback_eal.c ---- */

/** As worker_take_back(), of an EAL worker; w->left is NULL if it lives but does not move. */
void worker_take_back_eal(struct worker *w);

/* ---- slots.c ---- */

/** Removes what a killed instance of this name left. */
void instance_sweep(const char *instance);
/** Makes the control segment, yet invisible. @return 0 or -errno, with a message */
int slots_create(void);
int slots_publish(void);
/** Gives a slot fresh rings and the next incarnation. @return 0 or -errno, with a message */
int slot_open(struct worker *w);
/** Removes a slot's rings; nobody can claim it any more. */
void slot_close(struct worker *w);
/** Who claims the slot in this incarnation. */
sio_member_t slot_claimant(const struct worker *w);
/** True once the claimant has attached the rings of this incarnation. */
bool slot_ready(const struct worker *w);
/**
 * Of a slot whose EAL worker is gone: has the pool recovered and takes the out ring's other side, as
 * w->left. @return false: not yet, since the kernel has not let go of all of the dead, or somebody
 * else recovers just now
 */
bool slot_inherit(struct worker *w);
/** True while the process of this member of the control segment holds its life token. */
bool slot_member_lives(sio_member_t member);
/** Its process id, as it said itself; 0 if it is not known. For messages only. */
int slot_member_pid(sio_member_t member);
/** Frees the member slots of the dead in control and payload segment. */
void slots_bury(void);
void slots_destroy(void);

/* ---- spawn.c ---- */

/** Remembers what of EAL's arguments its secondaries need; before EAL is told them. */
void spawn_keep_args(int argc, char **argv);
/** Finds the program for a kind of worker. @return 0 or -errno, with a message */
int spawn_find(bool eal, char *path, size_t len);
/** Starts the worker of a slot. @return its pid or -errno, with a message */
int spawn_worker(const char *path, unsigned int slot);
/** Collects children that ended. Marks pid 0. @return false if one that never became ready ended */
bool spawn_reap(void);
/** Ends the children that are still there, gently first. */
void spawn_end(void);

/* ---- restart.c ---- */

/** Waits for what a killed instance of this name left and EAL minds. @return 0 or -EBUSY, message */
int restart_wait(const char *instance);

/* ---- forward.c ---- */

/** Runs on every lcore until force_quit. */
int forward_loop(void *arg);

#endif /* L2FWD_H */
