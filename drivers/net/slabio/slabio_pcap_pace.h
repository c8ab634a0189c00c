/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SLABIO_PCAP_PACE_H
#define SLABIO_PCAP_PACE_H

/**
 * @file
 * When a packet of a capture is due.
 *
 * Every packet gets a mark: how far into the replay it is, in the unit of the pacing (nanoseconds
 * of the capture, packets or bytes before it). A mark times a constant gives ticks since the
 * replay began, so errors do not add up and nothing is divided. The queues of a port share the
 * beginning: the first burst on any of them. A packet that is not due stays where it is; a queue
 * that was not polled for a while catches up.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_branch_prediction.h>
#include <rte_cycles.h>

#include "slabio_pcap_args.h"

struct slabio_pcap_pace {
	enum slabio_pcap_pacing kind;
	uint64_t scale;		 /* ticks per unit of the marks, times 2^32 */
	_Atomic uint64_t *start; /* the port's, in ticks; 0 before the first burst */
};

/** How far a queue has come through its capture. All packets that pass the filter count. */
struct slabio_pcap_walk {
	uint64_t first; /* stamp of the first packet */
	uint64_t span;	/* from there to the latest, in nanoseconds; never goes back */
	uint64_t packets;
	uint64_t bytes;
};

static inline void
slabio_pcap_pace_init(
	struct slabio_pcap_pace *pace, const struct slabio_pcap_opts *opts, _Atomic uint64_t *start)
{
	double unit = opts->pacing == SLABIO_PACE_ORIGINAL ? 1e-9 : 1;

	if (opts->pacing == SLABIO_PACE_BPS)
		unit = 8;
	pace->kind = opts->pacing;
	pace->start = start;
	if (pace->kind != SLABIO_PACE_NONE)
		pace->scale = (uint64_t)((double)rte_get_tsc_hz() * unit / opts->pace * 0x1p32);
}

/** Takes a packet into account and returns its mark. */
static inline uint64_t
slabio_pcap_walk_on(
	struct slabio_pcap_walk *walk, enum slabio_pcap_pacing kind, uint64_t stamp, uint32_t bytes)
{
	uint64_t packets = walk->packets++, before = walk->bytes;

	if (packets == 0)
		walk->first = stamp;
	/* stamps that go back do not count, be it from the first one or from the latest */
	if ((int64_t)(stamp - walk->first) > (int64_t)walk->span)
		walk->span = stamp - walk->first;
	walk->bytes += bytes;
	return kind == SLABIO_PACE_PPS ? packets : kind == SLABIO_PACE_BPS ? before : walk->span;
}

/** The time from the first packet of one round of a capture to that of the next. */
static inline uint64_t
slabio_pcap_walk_span(const struct slabio_pcap_walk *walk)
{
	/* after the last packet as long as between two of them on average */
	return walk->packets < 2 ? walk->span : walk->span + walk->span / (walk->packets - 1);
}

/** The mark of the packet that would come after the last. */
static inline uint64_t
slabio_pcap_walk_end(const struct slabio_pcap_walk *walk, enum slabio_pcap_pacing kind)
{
	return kind == SLABIO_PACE_PPS	 ? walk->packets
	       : kind == SLABIO_PACE_BPS ? walk->bytes
					 : slabio_pcap_walk_span(walk);
}

/** Ticks since the replay began; it does so now if it has not yet. */
static inline uint64_t
slabio_pcap_pace_elapsed(const struct slabio_pcap_pace *pace)
{
	/* relaxed: the word is all that the threads share */
	uint64_t start = atomic_load_explicit(pace->start, memory_order_relaxed);
	uint64_t now = rte_get_tsc_cycles();

	if (unlikely(start == 0 && atomic_compare_exchange_strong_explicit(pace->start, &start, now,
					   memory_order_relaxed, memory_order_relaxed)))
		start = now;
	return now > start ? now - start : 0;
}

static inline bool
slabio_pcap_pace_due(const struct slabio_pcap_pace *pace, uint64_t mark, uint64_t elapsed)
{
	return (unsigned __int128)mark * pace->scale >> 32 <= elapsed;
}

#endif /* SLABIO_PCAP_PACE_H */
