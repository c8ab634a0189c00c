/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The traffic between l2fwd and its workers, and the watch over them.
 *
 * The record of what is with a worker is l2fwd's own: one entry for each position of the out ring.
 * A descriptor on the back ring at position p must name the block that went out at position p;
 * whatever else it says is checked against the block's bounds. A worker that breaks this gets
 * nothing more.
 */

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <rte_ether.h>
#include <rte_malloc.h>

#include <slabio/pool.h>

#include "l2fwd.h"

/** A worker with packets queued that has not moved for so long is standing: its idle flows go
 * elsewhere. */
#define STALL_NS (200 * NS_IN_MS)
/** Pause between two looks at the workers' life tokens. */
#define WATCH_NS (2 * NS_IN_MS)
/** How long closing waits for a worker that does not move. */
#define DRAIN_NS NS_IN_S
/** How long closing waits for workers that others started to leave. */
#define LEAVE_NS (2 * NS_IN_S)
#define POLL_US	 1000

#define BACK_BURST 64u

struct worker workers[L2FWD_SLOTS_MAX];

void
forward_self(struct rte_mbuf *m, uint16_t port)
{
	if (conf.n_slots != 0 && !conf.forward_without_workers) {
		COUNT(drop_stats.no_worker, 1);
		rte_pktmbuf_free(m);
		return;
	}
	port_send(ports_partner(port), m);
}

void
workers_spread(void)
{
	bool usable[L2FWD_SLOTS_MAX];

	for (unsigned int i = 0; i < conf.n_slots; i++)
		usable[i] = workers[i].state == WORKER_RUNNING && !workers[i].stalled;
	flow_spread(usable, conf.n_slots);
}

void
workers_pass_by_dead(void)
{
	for (unsigned int i = 0; i < conf.n_slots; i++) {
		struct worker *w = &workers[i];

		if (w->state == WORKER_RUNNING && !slot_member_lives(w->member))
			w->stalled = true;
	}
}

void
worker_break(struct worker *w, const char *why)
{
	if (w->state != WORKER_RUNNING)
		return;
	say("worker %u (pid %d) breaks the rules: %s at position %" PRIu64
	    "; it gets nothing more and must end",
		w->slot, w->member_pid, why, w->read);
	w->stats.broken++;
	w->state = WORKER_BROKEN;
	sio_rbuff_state_set(w->out, SIO_RBUFF_DOWN);
	sio_rbuff_state_set(w->back, SIO_RBUFF_DOWN);
	if (w->pid != 0)
		kill(w->pid, SIGKILL);
	workers_spread();
}

/* How a descriptor names an mbuf to a worker: by its own block, or by its buffer's. */
static uint32_t
handle_for(const struct worker *w, const struct rte_mbuf *m)
{
	uint32_t handle;

	if (!w->eal)
		return buffers_handle(m);
	return sio_pool_handle(buffers.slab, m, &handle) == 0 ? handle : UINT32_MAX;
}

static void
stage(struct worker *w, struct bucket *b, struct rte_mbuf *m, uint16_t port)
{
	for (struct rte_mbuf *seg = m; seg != NULL; seg = seg->next) {
		struct record *r = &w->records[w->written & (conf.ring_capacity - 1)];

		*r = (struct record){.segment = seg,
			.head = seg == m ? m : NULL,
			.handle = handle_for(w, seg),
			.bucket = flow_index(b),
			.port = port,
			.more = seg->next != NULL};
		w->staged[w->n_staged++] = (struct sio_desc){.handle = r->handle,
			.offset = seg->data_off,
			.length = seg->data_len,
			.flags = r->more ? SIO_DESC_MORE : 0,
			.port = port,
			.position = (uint32_t)w->written};
		w->written++;
	}
}

void
worker_enqueue(struct worker *w, struct bucket *b, struct rte_mbuf *m, uint16_t port)
{
	m = cross_prepare(m, buffers.pool, L2FWD_CHAIN_MAX, &copied_stats);
	if (unlikely(m == NULL)) {
		COUNT(drop_stats.unfit, 1);
		return;
	}
	if (w->n_staged + m->nb_segs > STAGE_MAX)
		worker_flush(w);
	if (unlikely(w->state != WORKER_RUNNING ||
		     w->written + m->nb_segs - w->settled > conf.ring_capacity)) {
		w->stats.overflow++;
		COUNT(drop_stats.overflow, 1);
		rte_pktmbuf_free(m);
		return;
	}
	stage(w, b, m, port);
	b->inflight++;
	w->stats.sent++;
}

void
worker_flush(struct worker *w)
{
	unsigned int n = w->n_staged;

	if (n == 0 || w->state != WORKER_RUNNING)
		return;
	/*
	 * Whole: who read the first descriptor of a packet finds the others, also if this process
	 * stops or dies in here. What is recorded never exceeds the capacity, so there is room,
	 * unless its words were overwritten.
	 */
	if (sio_rbuff_write_whole(w->out, w->staged, n) != (int)n)
		worker_break(w, "its out ring refuses descriptors that must fit");
	w->n_staged = 0;
}

/* @return NULL or what is wrong with a descriptor that came back */
static const char *
back_check(const struct worker *w, const struct sio_desc *d, const struct record *r)
{
	if (w->read == w->written)
		return "more descriptors came back than went out";
	if (d->position != (uint32_t)w->read)
		return "a descriptor out of order";
	if (d->handle != r->handle)
		return "a block that is not its turn";
	if (d->length == 0 || (uint32_t)d->offset + d->length > buffers.stride)
		return "data outside the block";
	if (!(d->flags & SIO_DESC_MORE) != !r->more)
		return "a packet cut or lengthened";
	if (r->head != NULL && !r->more && d->length < RTE_ETHER_HDR_LEN)
		return "a packet shorter than its header";
	return NULL;
}

/* All descriptors of the oldest packet are back, the last of them is d. */
static void
packet_back(struct worker *w, bool drop)
{
	struct record *r = &w->records[w->settled & (conf.ring_capacity - 1)];
	struct rte_mbuf *m = r->head;
	uint32_t len = 0;

	for (struct rte_mbuf *seg = m; seg != NULL; seg = seg->next)
		len += seg->data_len;
	m->pkt_len = len;
	flow_nth(r->bucket)->inflight--;
	w->settled = w->read;
	w->stats.returned++;
	if (drop) {
		w->stats.rejected++;
		COUNT(drop_stats.verdict, 1);
		rte_pktmbuf_free(m);
		return;
	}
	port_send(ports_partner(r->port), m);
}

unsigned int
worker_poll(struct worker *w)
{
	struct sio_desc descs[BACK_BURST];
	unsigned int packets = 0;
	int n;

	if (w->state != WORKER_RUNNING)
		return 0;
	n = sio_rbuff_read_burst(w->back, descs, BACK_BURST);
	for (int i = 0; i < n; i++) {
		struct record *r = &w->records[w->read & (conf.ring_capacity - 1)];
		const char *wrong = back_check(w, &descs[i], r);

		if (unlikely(wrong != NULL)) {
			worker_break(w, wrong);
			break;
		}
		r->segment->data_off = descs[i].offset;
		r->segment->data_len = descs[i].length;
		w->read++;
		if (!r->more) {
			packet_back(w, descs[i].flags & SIO_DESC_DROP);
			packets++;
		}
	}
	return packets;
}

uint64_t
workers_inflight(void)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < conf.n_slots; i++)
		n += workers[i].written - workers[i].settled;
	return n;
}

bool
workers_busy(void)
{
	for (unsigned int i = 0; i < conf.n_slots; i++) {
		const struct worker *w = &workers[i];

		if (w->state == WORKER_RUNNING && !w->stalled && w->written != w->settled)
			return true;
	}
	return false;
}

unsigned int
workers_running(void)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < conf.n_slots; i++)
		n += workers[i].state == WORKER_RUNNING;
	return n;
}

unsigned int
workers_room(void)
{
	uint64_t least = UINT32_MAX;

	if (conf.backpressure_ms == 0)
		return UINT32_MAX;
	for (unsigned int i = 0; i < conf.n_slots; i++) {
		const struct worker *w = &workers[i];

		if (w->state == WORKER_RUNNING && !w->stalled)
			least = RTE_MIN(least, conf.ring_capacity - (w->written - w->settled));
	}
	return (unsigned int)(least / L2FWD_CHAIN_MAX);
}

/* ---- the watch ---- */

static void
watch_vacant(struct worker *w)
{
	sio_member_t member = slot_claimant(w);

	if (member == SIO_MEMBER_NONE)
		return;
	if (!slot_member_lives(member)) {
		say("worker %u: a worker claimed the slot and ended before it was ready", w->slot);
		slot_close(w);
		slots_bury();
		slot_open(w);
		return;
	}
	if (!slot_ready(w))
		return;
	w->member = member;
	w->member_pid = slot_member_pid(member);
	w->state = WORKER_RUNNING;
	w->stats.joins++;
	say("worker %u (pid %d) has joined, incarnation %u", w->slot, w->member_pid,
		w->incarnation);
	workers_spread();
}

static void
watch_progress(struct worker *w, uint64_t now_ns)
{
	uint64_t progress = w->settled + sio_rbuff_consumed(w->out);
	uint64_t patience = RTE_MAX(STALL_NS, conf.backpressure_ms * NS_IN_MS);
	bool stalled;

	if (progress != w->seen_progress || w->written == w->settled) {
		w->seen_progress = progress;
		w->progress_ns = now_ns;
	}
	stalled = now_ns - w->progress_ns > patience;
	if (stalled == w->stalled)
		return;
	w->stalled = stalled;
	if (stalled) {
		w->stats.stalls++;
		say("worker %u (pid %d) stands still with %" PRIu64
		    " descriptors queued; what does not fit is dropped",
			w->slot, w->member_pid, w->written - w->settled);
	} else {
		say("worker %u (pid %d) moves again", w->slot, w->member_pid);
	}
	workers_spread();
}

bool
worker_gone(struct worker *w)
{
	if (w->eal && !slot_inherit(w))
		return false;
	w->stats.deaths++;
	worker_take_back(w);
	slot_close(w);
	slots_bury();
	slot_open(w);
	return true;
}

static void
watch_one(struct worker *w, uint64_t now_ns)
{
	switch (w->state) {
	case WORKER_CLOSED:
		/* its rings could not be made: perhaps they can now */
		if (now_ns - w->progress_ns > NS_IN_S) {
			w->progress_ns = now_ns;
			slot_open(w);
		}
		return;
	case WORKER_VACANT:
		watch_vacant(w);
		w->progress_ns = now_ns;
		return;
	case WORKER_RUNNING:
	case WORKER_BROKEN:
		if (slot_member_lives(w->member)) {
			if (w->state == WORKER_RUNNING)
				watch_progress(w, now_ns);
			return;
		}
		worker_gone(w);
		return;
	}
}

void
workers_watch(uint64_t now_ns)
{
	static uint64_t last_ns;

	if (now_ns - last_ns < WATCH_NS)
		return;
	last_ns = now_ns;
	for (unsigned int i = 0; i < conf.n_slots; i++)
		watch_one(&workers[i], now_ns);
	spawn_reap();
}

/* ---- begin and end ---- */

int
workers_open(void)
{
	int ret;

	instance_sweep(conf.name);
	ret = slots_create();
	for (unsigned int i = 0; ret == 0 && i < conf.n_slots; i++) {
		struct worker *w = &workers[i];

		w->slot = i;
		w->eal = i >= conf.n_workers;
		w->records = rte_calloc("worker_records", conf.ring_capacity, sizeof(w->records[0]),
			RTE_CACHE_LINE_SIZE);
		if (w->records == NULL) {
			say("no memory for the record of %u descriptors", conf.ring_capacity);
			ret = -ENOMEM;
			break;
		}
		ret = slot_open(w);
	}
	if (ret == 0)
		ret = slots_publish();
	if (ret == 0)
		say("instance \"%s\" is open for %u workers", conf.name, conf.n_slots);
	else
		workers_close();
	return ret;
}

static void
drain(void)
{
	uint64_t left = workers_inflight(), until = sio_now_ns() + DRAIN_NS;

	while (workers_inflight() != 0 && sio_now_ns() < until) {
		for (unsigned int i = 0; i < conf.n_slots; i++) {
			worker_flush(&workers[i]);
			worker_poll(&workers[i]);
		}
		workers_watch(sio_now_ns());
		if (workers_inflight() < left) {
			left = workers_inflight();
			until = sio_now_ns() + DRAIN_NS;
		}
	}
}

static bool
member_of(const struct worker *w)
{
	return (w->state == WORKER_RUNNING || w->state == WORKER_BROKEN) &&
	       slot_member_lives(w->member);
}

/* Waits for the workers that were asked to go. */
static void
wait_for_leave(void)
{
	uint64_t until = sio_now_ns() + LEAVE_NS;
	bool some = true;

	while (some && sio_now_ns() < until) {
		some = false;
		for (unsigned int i = 0; i < conf.n_slots; i++)
			some |= member_of(&workers[i]);
		if (some)
			usleep(POLL_US);
		spawn_reap();
	}
}

/* Ends what is left of a worker that was asked to go. */
static void
close_one(struct worker *w)
{
	uint64_t until = sio_now_ns() + LEAVE_NS;

	if (member_of(w))
		say("worker %u (pid %d) does not go; its packets are taken back, the blocks are "
		    "not used again",
			w->slot, w->member_pid);
	if (w->state == WORKER_RUNNING || w->state == WORKER_BROKEN) {
		while (w->eal && !member_of(w) && !slot_inherit(w) && sio_now_ns() < until)
			usleep(POLL_US);
		if (w->settled != w->written)
			worker_take_back(w);
	}
	slot_close(w);
}

void
workers_close(void)
{
	drain();
	for (unsigned int i = 0; i < conf.n_slots; i++) {
		if (workers[i].state == WORKER_RUNNING)
			sio_rbuff_state_set(workers[i].out, SIO_RBUFF_DOWN);
	}
	wait_for_leave();
	spawn_end();
	/* what is taken back now goes out at once, and not to others that were asked to go, too */
	for (unsigned int i = 0; i < conf.n_slots; i++)
		workers[i].stalled = true;
	workers_spread();
	for (unsigned int i = 0; i < conf.n_slots; i++) {
		close_one(&workers[i]);
		rte_free(workers[i].records);
		workers[i].records = NULL;
	}
	slots_destroy();
}
