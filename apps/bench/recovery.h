/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef BENCH_RECOVERY_H
#define BENCH_RECOVERY_H

/*
 * The recovery suite, split by subject:
 *
 *     recovery_members.c  the processes of a round: those who go on, and the one that dies
 *     recovery_round.c    one round: the pool, the processes' start and end, the windows
 *     recovery.c          rounds taken together, and what is reported of them
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <slabio/pool.h>
#include "histogram.h"

#define HELD	    65536u /* by who is killed */
#define QUEUED	    8192u  /* of these, in a ring */
#define THREADS	    4u	   /* of its, each with a shard */
#define IN_SHARD    512u   /* that each of them gives back */
#define BLOCK_SIZE  64u
#define BULK	    32u
#define WORKERS_MAX 8u

enum burst {
	GETPUT, /* takes and gives back at once: never leaves its magazine */
	SWINGS, /* takes many, gives many: magazines come from the depot and go there */
};

/* What bursts count for. */
enum window {
	CONTROL, /* before the recovery */
	DURING,
	AFTER,
	WINDOWS,
	REST = WINDOWS, /* nothing */
	NEAR,		/* nothing, but that will change soon */
	READY,		/* at once */
};

/* What the processes of one round share. */
struct shared {
	_Atomic unsigned int ready;
	_Alignas(128) _Atomic unsigned int window;
	_Atomic bool stop;
	struct {
		_Alignas(128) uint64_t wall_ns; /* from near to rest */
		uint64_t cpu_ns;
		uint64_t failed;
		_Atomic unsigned int window; /* that it has seen */
		struct histogram histogram[WINDOWS];
	} worker[WORKERS_MAX];
};

/* ---- recovery_members.c: what a process does, and its exit status ---- */

int recovery_worker(struct shared *shared, const char *pool_name, unsigned int me, enum burst kind);
/* Ends only if something is wrong. */
int recovery_victim(struct shared *shared, const char *pool_name, const char *ring_name);

/* ---- recovery_round.c ---- */

struct round {
	bool exact;
	enum burst burst;
	unsigned int workers;  /* those who go on */
	struct shared *shared; /* between processes; holds afterwards what each of them noted */
	struct sio_recover_report report; /* a result */
};

/* Returns 0 or a negative errno: said why already. */
int recovery_round(struct round *round);

#endif /* BENCH_RECOVERY_H */
