/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The instance's control segment: the slots that workers attach to, with a fresh pair of rings for
 * each incarnation, so that no word that a dead worker wrote is ever read by its successor.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <slabio/pool.h>

#include "l2fwd.h"

/** Workers of a killed predecessor notice within a second; this is how long their segments may stay
 * in use. */
#define PREDECESSOR_NS (3 * NS_IN_S)
#define RETRY_US       20000

static struct sio_segment *segment;
static struct l2fwd_ctl *ctl;

struct sweep {
	char prefix[SIO_NAME_LEN];
	unsigned int n;
	char names[64][SIO_NAME_LEN];
};

static int
sweep_collect(const char *name, uint32_t kind, void *arg)
{
	struct sweep *s = arg;

	if (kind != SIO_KIND_RING || strncmp(name, s->prefix, strlen(s->prefix)) != 0)
		return 0;
	if (s->n < RTE_DIM(s->names))
		snprintf(s->names[s->n++], SIO_NAME_LEN, "%s", name);
	return 0;
}

void
instance_sweep(const char *instance)
{
	struct sweep s = {.n = 0};

	snprintf(s.prefix, sizeof(s.prefix), "%s.w", instance);
	if (sio_segment_list(sweep_collect, &s) < 0)
		return;
	for (unsigned int i = 0; i < s.n; i++) {
		struct sio_rbuff_opts opts = {.sz = sizeof(opts),
			.name = s.names[i],
			.capacity = 8,
			.element_size = sizeof(struct sio_desc),
			.role = SIO_RBUFF_PRODUCER};
		struct sio_rbuff *ring;

		/* creating replaces what only the dead used, and is refused where somebody lives */
		if (sio_rbuff_create(&opts, &ring) == 0)
			sio_rbuff_destroy(ring);
	}
}

int
slots_create(void)
{
	char name[SIO_NAME_LEN];
	struct sio_segment_opts opts = {.sz = sizeof(opts),
		.name = name,
		.kind = L2FWD_CTL_KIND,
		.layout_version = L2FWD_CTL_VERSION,
		.data_size = sizeof(struct l2fwd_ctl),
		.backing = SIO_BACKING_FILE};
	int ret;

	l2fwd_ctl_name(name, conf.name);
	for (uint64_t until = sio_now_ns() + PREDECESSOR_NS;;) {
		ret = sio_segment_create(&opts, &segment);
		if (ret != -EEXIST || sio_now_ns() > until)
			break;
		usleep(RETRY_US);
	}
	if (ret != 0) {
		segment = NULL;
		say("cannot create control segment \"%s\": %s%s", name, strerror(-ret),
			ret == -EEXIST
				? ": an instance of that name is running, choose another --name"
				: "");
		return ret;
	}
	ctl = sio_segment_data(segment);
	ctl->n_slots = conf.n_slots;
	ctl->ring_capacity = conf.ring_capacity;
	ctl->n_blocks = buffers.n;
	ctl->stride = buffers.stride;
	ctl->config_hash = buffers.config_hash;
	for (unsigned int i = 0; i < conf.n_slots; i++)
		ctl->slots[i].kind = i < conf.n_workers ? L2FWD_PLAIN : L2FWD_EAL;
	if (conf.n_eal != 0) {
		ctl->base = (uint64_t)(uintptr_t)buffers.base;
		snprintf(ctl->mempool, sizeof(ctl->mempool), "%s", buffers.pool->name);
		memcpy(ctl->pool, buffers.metadata, sizeof(ctl->pool));
	}
	return 0;
}

int
slots_publish(void)
{
	int ret = sio_segment_publish(segment);

	if (ret != 0)
		say("cannot publish control segment \"%s.ctl\": %s", conf.name, strerror(-ret));
	return ret;
}

static int
ring_create(
	struct worker *w, const char *direction, enum sio_rbuff_role role, struct sio_rbuff **ring)
{
	const char *other = strcmp(direction, "out") == 0 ? "back" : "out";
	char name[SIO_NAME_LEN], pair[SIO_NAME_LEN];
	struct sio_rbuff_opts opts = {.sz = sizeof(opts),
		.name = name,
		.pair = pair,
		.capacity = conf.ring_capacity,
		.element_size = sizeof(struct sio_desc),
		.role = role,
		.pool = buffers.metadata[0] == '\0' ? NULL : buffers.metadata,
		/* between EAL processes the mbufs themselves pass, and the pool knows who has them */
		.carries = w->eal ? buffers.slab : NULL,
		.cookie = w->incarnation};
	int ret;

	l2fwd_ring_name(name, conf.name, w->slot, w->incarnation, direction);
	l2fwd_ring_name(pair, conf.name, w->slot, w->incarnation, other);
	ret = sio_rbuff_create(&opts, ring);
	if (ret != 0) {
		*ring = NULL;
		say("cannot create ring \"%s\" of %u descriptors: %s", name, conf.ring_capacity,
			strerror(-ret));
	}
	return ret;
}

int
slot_open(struct worker *w)
{
	int ret;

	w->incarnation++;
	w->member = SIO_MEMBER_NONE;
	w->written = w->read = w->settled = 0;
	w->n_staged = 0;
	w->stalled = false;
	w->left = NULL;
	w->seen_progress = 0;
	w->state = WORKER_CLOSED;
	ret = ring_create(w, "out", SIO_RBUFF_PRODUCER, &w->out);
	if (ret == 0)
		ret = ring_create(w, "back", SIO_RBUFF_CONSUMER, &w->back);
	if (ret != 0) {
		slot_close(w);
		return ret;
	}
	w->state = WORKER_VACANT;
	atomic_store_explicit(&ctl->slots[w->slot].ready, 0, memory_order_relaxed);
	atomic_store_explicit(
		&ctl->slots[w->slot].pool_member, SIO_MEMBER_NONE, memory_order_relaxed);
	/* release pairs with the claimant's compare-and-swap: the rings are there */
	atomic_store_explicit(&ctl->slots[w->slot].claim,
		l2fwd_claim(w->incarnation, SIO_MEMBER_NONE), memory_order_release);
	return 0;
}

void
slot_close(struct worker *w)
{
	if (ctl != NULL)
		atomic_store_explicit(&ctl->slots[w->slot].claim, 0, memory_order_release);
	if (w->left != NULL)
		sio_rbuff_detach(w->left);
	if (w->out != NULL)
		sio_rbuff_destroy(w->out);
	if (w->back != NULL)
		sio_rbuff_destroy(w->back);
	w->out = w->back = w->left = NULL;
	w->state = WORKER_CLOSED;
}

sio_member_t
slot_claimant(const struct worker *w)
{
	uint64_t claim = atomic_load_explicit(&ctl->slots[w->slot].claim, memory_order_acquire);

	if (l2fwd_claim_incarnation(claim) != w->incarnation)
		return SIO_MEMBER_NONE;
	return l2fwd_claim_member(claim);
}

bool
slot_ready(const struct worker *w)
{
	/* acquire pairs with the worker's release: it has attached the rings */
	return atomic_load_explicit(&ctl->slots[w->slot].ready, memory_order_acquire) ==
	       w->incarnation;
}

bool
slot_inherit(struct worker *w)
{
	sio_member_t member =
		atomic_load_explicit(&ctl->slots[w->slot].pool_member, memory_order_relaxed);
	enum sio_member_state state = SIO_MEMBER_FREE;
	char name[SIO_NAME_LEN];

	if (w->left != NULL)
		return true;
	/* the kernel drops the tokens of the dead one after the other; out of range is not believed */
	if (member != SIO_MEMBER_NONE && member >> SIO_MEMBER_BITS == 0 &&
		member != sio_segment_self(sio_pool_segment(buffers.slab)))
		state = sio_member_state(sio_pool_segment(buffers.slab), member);
	if (state == SIO_MEMBER_LIVE || state == SIO_MEMBER_JOINING)
		return false;
	if (state == SIO_MEMBER_DEAD && sio_pool_recover(buffers.slab, NULL) != 0)
		return false;
	l2fwd_ring_name(name, conf.name, w->slot, w->incarnation, "out");
	if (sio_rbuff_attach_blocks(name, SIO_RBUFF_CONSUMER, buffers.slab, &w->left) == 0)
		return true;
	w->left = NULL;
	return false;
}

bool
slot_member_lives(sio_member_t member)
{
	enum sio_member_state state;

	if (member == SIO_MEMBER_NONE || member >> SIO_MEMBER_BITS != 0 ||
		member == sio_segment_self(segment))
		return false;
	state = sio_member_state(segment, member);
	return state == SIO_MEMBER_LIVE || state == SIO_MEMBER_JOINING;
}

int
slot_member_pid(sio_member_t member)
{
	struct sio_member_info info;

	if (sio_member_get(segment, SIO_MEMBER_SLOT(member), &info) != 0 || info.member != member)
		return 0;
	return info.pid;
}

static void
bury_in(struct sio_segment *seg)
{
	struct sio_member_info info;

	for (unsigned int slot = 0; slot < SIO_MEMBERS_MAX; slot++) {
		if (sio_member_get(seg, slot, &info) == 0 && info.state == SIO_MEMBER_DEAD)
			sio_member_bury(seg, info.member);
	}
}

void
slots_bury(void)
{
	bury_in(segment);
	bury_in(buffers.segment);
}

void
slots_destroy(void)
{
	if (segment == NULL)
		return;
	sio_segment_unlink(segment);
	sio_segment_detach(segment);
	segment = NULL;
	ctl = NULL;
}
