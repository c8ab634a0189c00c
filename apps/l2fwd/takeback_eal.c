/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * What becomes of the packets that were with an EAL worker when it went.
 *
 * Its rings carry the mbufs' blocks, and the pool has been recovered: what it had in its hands is
 * free again in an exact pool, in quarantine in another, and in either case nothing that this
 * process may look at. What it had not read is queued, in order, and this process reads it from the
 * ring as the dead one's successor. What it had returned was read from the back ring before.
 *
 * A packet of several mbufs can be in several of these places. It goes on if the dead one had not
 * read any of it; else what is here of it is freed, mbuf by mbuf, since its links may lead to mbufs
 * that are free already.
 */

#include "l2fwd.h"

#define BURST 64u

static struct record *
record_at(const struct worker *w, uint64_t position)
{
	return &w->records[position & (conf.ring_capacity - 1)];
}

/* Marks what is this process's: what it has not written yet, and what is queued, which it reads. */
static void
read_queued(struct worker *w)
{
	struct sio_desc descs[BURST];
	uint64_t position;
	int n;

	for (uint64_t p = w->written - w->n_staged; p < w->written; p++)
		record_at(w, p)->mine = true;
	w->n_staged = 0;
	if (w->left == NULL)
		return;
	while ((n = sio_rbuff_read_burst(w->left, descs, BURST)) > 0) {
		for (int i = 0; i < n; i++) {
			struct record *r;

			position =
				w->settled + (uint32_t)(descs[i].position - (uint32_t)w->settled);
			r = record_at(w, position);
			if (position < w->written && r->handle == descs[i].handle)
				r->mine = true;
		}
	}
}

static void
free_mine(struct worker *w, uint64_t from, uint64_t to)
{
	for (uint64_t p = from; p < to; p++) {
		struct record *r = record_at(w, p);

		if (!r->mine && p >= w->read)
			continue;
		r->segment->next = NULL;
		r->segment->nb_segs = 1;
		rte_pktmbuf_free_seg(r->segment);
	}
}

/* @return true if the packet was queued as a whole and went on */
static bool
settle_packet(struct worker *w)
{
	struct record *r = record_at(w, w->settled);
	struct bucket *b = flow_nth(r->bucket);
	uint64_t begin = w->settled, end = begin;
	bool whole = true;

	do {
		whole &= record_at(w, end)->mine;
	} while (record_at(w, end++)->more);
	w->settled = end;
	b->inflight--;
	if (whole) {
		worker_requeue(w, b, r->head, r->port);
		return true;
	}
	COUNT(drop_stats.in_hands, 1);
	free_mine(w, begin, end);
	return false;
}

void
worker_take_back_eal(struct worker *w)
{
	uint64_t in_hands = 0, queued = 0;

	/* until one that broke the rules; what it returned after that goes back to the pool */
	while (worker_poll(w) != 0)
		;
	w->state = WORKER_CLOSED;
	read_queued(w);
	workers_pass_by_dead();
	workers_spread();
	while (w->settled < w->written) {
		if (settle_packet(w))
			queued++;
		else
			in_hands++;
	}
	w->stats.in_hands += in_hands;
	w->stats.taken_back += queued;
	say("EAL worker %u (pid %d) is gone: %" PRIu64
	    " packets were in its hands (dropped), %" PRIu64 " were queued (given to others)",
		w->slot, w->member_pid, in_hands, queued);
}
