/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef STRESS_H
#define STRESS_H

/**
 * @file
 * Workers, threads or processes, that do to one pool and some rings whatever is allowed, at random,
 * while every block's holder and every element's place is written down beside them and compared.
 *
 * The board says who has each block: a worker, a lane, or nobody. It is changed with relaxed order
 * only, so that the board never orders what the pool and the rings themselves must order:
 * ThreadSanitizer and the contents of the blocks, which are plain stores, show where they do not.
 *
 * Each worker depends on no other one: where its lane is full or empty it takes and gives by
 * itself. So whatever is done to some of them, the others' counts must grow.
 */

#include "unit_env.h"
#include <pthread.h>
#include <stdatomic.h>
#include <slabio/pool.h>
#include <slabio/rbuff.h>

#define STRESS_BLOCKS_MAX  1024u
#define STRESS_WORKERS_MAX 8u
#define STRESS_LANES_MAX   4u
/** Blocks that a worker keeps at most. */
#define STRESS_HOLD_MAX 128u

enum stress_role {
	STRESS_ROAM,   /**< takes and gives, as it comes */
	STRESS_DRAIN,  /**< takes one by one until nothing is left, gives in bulk */
	STRESS_SOURCE, /**< takes, and sends through its lanes */
	STRESS_SINK,   /**< receives from its lanes, and gives */
};

enum stress_kind {
	STRESS_HANDLES,	   /**< a shard per thread */
	STRESS_FEW_SHARDS, /**< fewer shards than workers: some work from the depot */
	STRESS_ADDRESSES,  /**< SIO_POOL_SAME_MAP, lent memory */
	STRESS_EXACT,	   /**< holder words; between processes only where no block crosses */
	STRESS_KINDS
};

/** What one worker does, and with which lanes. */
struct stress_part {
	enum stress_role role;
	unsigned int first_lane, n_lanes;
};

struct stress;

struct stress_plan {
	const char *name; /**< of the test case */
	enum stress_kind kind;
	uint32_t n_blocks, magazine_size;
	uint32_t hold; /**< blocks that a worker keeps at most, up to STRESS_HOLD_MAX */
	bool processes;
	/**
	 * No thread gives its shard back before the end: that and a thread's first call take a lock
	 * of the process, which a thread may be stopped with.
	 */
	bool keep_shards;
	/**
	 * All on one processor, and interrupted every 100 us or so to let another one run, wherever
	 * that is.
	 */
	bool one_cpu;
	unsigned int millis;
	unsigned int n_workers, n_lanes;
	struct stress_part part[STRESS_WORKERS_MAX];
	/**
	 * Runs in the test's own thread while the workers work; NULL: it sleeps for the plan's
	 * time.
	 */
	void (*meddle)(struct stress *s);
};

struct stress_counts {
	_Alignas(SIO_CACHE_LINE) _Atomic uint64_t
		ops; /**< takes, gives, sends and receives of at least one block */
	_Atomic uint64_t taken, crossed, dry;
	_Atomic uint32_t thread; /**< kernel's number of the worker's thread */
	atomic_bool parked;	 /**< in the stopping handler */
	atomic_bool done;
};

/** Shared by all workers. */
struct stress_board {
	_Atomic uint32_t holder[STRESS_BLOCKS_MAX];
	struct stress_counts worker[STRESS_WORKERS_MAX];
	atomic_bool park[STRESS_WORKERS_MAX]; /**< the worker's thread is to stay in the handler */
	atomic_uint ready;
	atomic_bool stop;
	atomic_uint faults;
	char first_fault[200]; /**< of who counted the first one */
};

struct stress {
	const struct stress_plan *plan;
	struct stress_board *board;
	struct sio_pool *pool;
	void *lent; /**< payload of STRESS_ADDRESSES */
	size_t lent_size;
	struct sio_rbuff *out[STRESS_LANES_MAX], *in[STRESS_LANES_MAX];
	char pool_name[SIO_NAME_LEN];
	char lane_name[STRESS_LANES_MAX][SIO_NAME_LEN];
	pthread_t thread[STRESS_WORKERS_MAX];
	pid_t pid[STRESS_WORKERS_MAX];
	unsigned int seed;
};

/** Notes that something is wrong; the plan ends and the test fails with the first such message. */
void stress_fault(struct stress_board *board, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/**
 * Runs the plan and checks that every block is back, once. Fails the test if anything was wrong.
 */
void stress_run(const struct stress_plan *plan);

/**
 * To be called first in main(): an argument is the name of the only case to run, with wildcards.
 * The helpers of unit_env.h keep their state per source file, so those that have any are used in
 * stress.c alone.
 */
void stress_init(int argc, char **argv);
/** Runs a function in a child, which exits with what it returns. */
pid_t stress_fork(int (*fn)(void *arg), void *arg);
/** The library's last message to the calling thread. */
const char *stress_log_last(void);

/** What each program may use: SLABIO_STRESS_SECONDS, or the number given. In ms. */
unsigned int stress_budget(unsigned int seconds);

/** Monotonic time in ms. */
uint64_t stress_now(void);

/** The body of a worker. @return 0, or what its process exits with */
int stress_work(struct stress *s, unsigned int id);

/** Makes parked threads possible: see struct stress_board. */
void stress_park_init(struct stress_board *board);
/** The signal whose handler keeps the worker's thread while board->park[] says so. */
#define STRESS_PARK_SIGNAL SIGUSR1

#endif /* STRESS_H */
