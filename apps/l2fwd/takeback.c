/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * What becomes of the packets that were with a worker when it went.
 *
 * Positions are the record. Below the back ring's published end packets are done: they are read and
 * sent on like any others. From there to the out ring's consumed position they were in the worker's
 * hands: it may have been killed half-way through changing them, so they are dropped and counted;
 * their buffers are free again. The rest it never read: they go to another worker, each bucket as a
 * whole and in order, so that no flow sees its packets in another order.
 *
 * l2fwd's own records say what was sent; the rings only say how far it came, and that is clamped.
 */

#include <unistd.h>

#include "l2fwd.h"

/** Pause between two looks at the life token of a worker that has no room. */
#define LOOK_NS NS_IN_MS
#define POLL_US 100

static uint64_t
clamp(uint64_t x, uint64_t low, uint64_t high)
{
	return x < low ? low : x > high ? high : x;
}

static bool
is_full(const struct worker *w, unsigned int n)
{
	return w->state == WORKER_RUNNING && w->written + n - w->settled > conf.ring_capacity;
}

/*
 * Lets a moving worker make room, where losing nothing was asked for. Returns false if it is full
 * and dead.
 */
static bool
make_room(struct worker *w, unsigned int n)
{
	uint64_t now = sio_now_ns(), until = now + conf.backpressure_ms * NS_IN_MS, look = now;

	while (is_full(w, n)) {
		if (now >= look && !slot_member_lives(w->member))
			return false;
		look = now >= look ? now + LOOK_NS : look;
		if (now >= until)
			break;
		worker_flush(w);
		worker_poll(w);
		now = sio_now_ns();
	}
	return true;
}

/* @return false: the kernel does not let go of what it had */
static bool
wait_until_gone(struct worker *w)
{
	uint64_t until = sio_now_ns() + NS_IN_S;

	while (!worker_gone(w)) {
		if (sio_now_ns() > until)
			return false;
		usleep(POLL_US);
	}
	return true;
}

/*
 * The bucket's first packet takes the bucket along; all that is in flight of it follows here. Where
 * that is another dead one that nobody noticed yet, what that one has goes first.
 */
void
worker_requeue(struct worker *from, struct bucket *b, struct rte_mbuf *m, uint16_t port)
{
	if (b->worker == from->slot)
		b->worker = b->want;
	while (b->worker != WORKER_SELF) {
		struct worker *w = &workers[b->worker];

		if (make_room(w, m->nb_segs) || !wait_until_gone(w)) {
			worker_enqueue(w, b, m, port);
			return;
		}
		if (b->worker == w->slot)
			b->worker = b->want;
	}
	forward_self(m, port);
}

void
worker_take_back(struct worker *w)
{
	bool broken = w->state == WORKER_BROKEN;
	uint64_t consumed, in_hands = 0, queued = 0;

	if (w->eal) {
		worker_take_back_eal(w);
		return;
	}
	if (!broken) {
		while (worker_poll(w) != 0)
			;
		broken = w->state == WORKER_BROKEN;
	}
	/* who broke the rules is not believed about what it has not read either */
	consumed = broken ? w->written : clamp(sio_rbuff_consumed(w->out), w->settled, w->written);
	w->state = WORKER_CLOSED;
	w->n_staged = 0;
	workers_pass_by_dead();
	workers_spread();
	while (w->settled < w->written) {
		struct record *r = &w->records[w->settled & (conf.ring_capacity - 1)];
		struct rte_mbuf *m = r->head;
		struct bucket *b = flow_nth(r->bucket);

		b->inflight--;
		if (w->settled < consumed) {
			in_hands++;
			COUNT(drop_stats.in_hands, 1);
			w->settled += m->nb_segs;
			rte_pktmbuf_free(m);
			continue;
		}
		queued++;
		w->settled += m->nb_segs;
		worker_requeue(w, b, m, r->port);
	}
	w->stats.in_hands += in_hands;
	w->stats.taken_back += queued;
	say("worker %u (pid %d) is gone: %" PRIu64 " packets were in its hands (dropped), %" PRIu64
	    " were queued (taken back and given to others)",
		w->slot, w->member_pid, in_hands, queued);
}
