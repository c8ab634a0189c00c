/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "worker.h"

/** The creator of a segment is its member in slot 0, generation 1. */
#define CREATOR SIO_MEMBER_NAME(0, 1)

/** Pause between two looks for a free slot. */
#define RETRY_NS 5000000L

static void
pause_a_little(void)
{
	struct timespec ts = {.tv_nsec = RETRY_NS};

	nanosleep(&ts, NULL);
}

static void
explain(const char *name, const char *what, int err)
{
	char dir[256];

	if (sio_runtime_dir(dir, sizeof(dir)) != 0)
		snprintf(dir, sizeof(dir), "the runtime folder");
	switch (err) {
	case -ENOENT:
		worker_say("no %s \"%s\" in %s: is slabio-l2fwd running?", what, name, dir);
		break;
	case -EPROTO:
		worker_say("\"%s\" in %s is no %s this worker can work with (it "
			   "expects "
			   "kind L2FW, version %u): use the worker built with that slabio-l2fwd",
			name, dir, what, L2FWD_CTL_VERSION);
		break;
	default:
		worker_say("cannot attach to %s \"%s\" in %s: %s", what, name, dir, strerror(-err));
	}
}

static int
attach_ctl(struct session *s, const char *instance)
{
	struct sio_segment_attach_opts opts = {
		.sz = sizeof(opts), .kind = L2FWD_CTL_KIND, .layout_version = L2FWD_CTL_VERSION};
	char name[SIO_NAME_LEN];
	int ret;

	l2fwd_ctl_name(name, instance);
	ret = sio_segment_attach(name, &opts, &s->ctl_segment);
	if (ret != 0) {
		explain(name, "l2fwd instance", ret);
		return ret;
	}
	s->ctl = sio_segment_data(s->ctl_segment);
	s->owner = CREATOR;
	if (sio_segment_size(s->ctl_segment) < sizeof(*s->ctl) || s->ctl->n_slots == 0 ||
		s->ctl->n_slots > L2FWD_SLOTS_MAX || s->ctl->stride == 0 || s->ctl->n_blocks == 0) {
		worker_say("\"%s\" is damaged: %" PRIu64 " bytes, %u slots, %u blocks "
			   "of %u",
			name, sio_segment_size(s->ctl_segment), s->ctl->n_slots, s->ctl->n_blocks,
			s->ctl->stride);
		return -EPROTO;
	}
	if (!session_owner_lives(s)) {
		worker_say("the slabio-l2fwd of instance \"%s\" is dead", instance);
		return -EPIPE;
	}
	return 0;
}

static int
attach_data(struct session *s, const char *instance)
{
	struct sio_segment_attach_opts opts = {.sz = sizeof(opts),
		.kind = L2FWD_DATA_KIND,
		.layout_version = L2FWD_DATA_VERSION,
		.config_hash = s->ctl->config_hash};
	char name[SIO_NAME_LEN];
	uint64_t size;
	int ret;

	l2fwd_data_name(name, instance);
	ret = sio_segment_attach(name, &opts, &s->data_segment);
	if (ret != 0) {
		explain(name, "payload segment of this instance", ret);
		return ret;
	}
	size = sio_segment_size(s->data_segment);
	if (size / s->ctl->stride < s->ctl->n_blocks) {
		worker_say("\"%s\" has %" PRIu64 " bytes, %u blocks of %u expected", name, size,
			s->ctl->n_blocks, s->ctl->stride);
		return -EPROTO;
	}
	/* a copy of one's own: the control segment is writable by others */
	s->n_blocks = s->ctl->n_blocks;
	s->stride = s->ctl->stride;
	return place_open(s);
}

/* Claims a slot. @return 0; -EBUSY it is not free */
static int
claim(struct session *s, unsigned int slot)
{
	_Atomic uint64_t *word = &s->ctl->slots[slot].claim;
	uint64_t seen = atomic_load_explicit(word, memory_order_acquire);
	uint32_t incarnation = l2fwd_claim_incarnation(seen);

	if (incarnation == 0 || l2fwd_claim_member(seen) != SIO_MEMBER_NONE)
		return -EBUSY;
	/* acquire pairs with l2fwd's release of the incarnation: its rings are there */
	if (!atomic_compare_exchange_strong_explicit(word, &seen,
		    l2fwd_claim(incarnation, sio_segment_self(s->ctl_segment)),
		    memory_order_acq_rel, memory_order_relaxed))
		return -EBUSY;
	s->slot = slot;
	s->incarnation = incarnation;
	return 0;
}

static int
claim_any(struct session *s, int slot)
{
	if (slot >= 0)
		return claim(s, (unsigned int)slot);
	for (unsigned int i = 0; i < s->ctl->n_slots; i++) {
		if (s->ctl->slots[i].kind == worker_kind && claim(s, i) == 0)
			return 0;
	}
	return -EBUSY;
}

/* @return 0 there is a slot for this program; -EINVAL, with a message */
static int
check_slot(const struct session *s, const char *instance, int slot)
{
	const char *other = worker_kind == L2FWD_EAL ? "slabio-worker" : "slabio-eal-worker";
	unsigned int n = 0;

	if (slot >= 0 && (unsigned int)slot >= s->ctl->n_slots) {
		worker_say("instance \"%s\" has the slots 0 to %u, found --slot %d", instance,
			s->ctl->n_slots - 1, slot);
		return -EINVAL;
	}
	if (slot >= 0 && s->ctl->slots[slot].kind != worker_kind) {
		worker_say("slot %d of instance \"%s\" is for %s", slot, instance, other);
		return -EINVAL;
	}
	for (unsigned int i = 0; i < s->ctl->n_slots; i++)
		n += s->ctl->slots[i].kind == worker_kind;
	if (n == 0) {
		worker_say("all slots of instance \"%s\" are for %s", instance, other);
		return -EINVAL;
	}
	return 0;
}

static int
attach_slot(struct session *s, const char *instance, int slot, uint64_t deadline_ns)
{
	while (claim_any(s, slot) != 0) {
		if (worker_quit)
			return -EINTR;
		if (!session_owner_lives(s)) {
			worker_say("slabio-l2fwd \"%s\" is gone", instance);
			return -EPIPE;
		}
		if (sio_now_ns() >= deadline_ns) {
			if (slot >= 0)
				worker_say("slot %d of instance \"%s\" has a worker "
					   "already",
					slot, instance);
			else
				worker_say("all %u slots of instance \"%s\" have "
					   "workers already",
					s->ctl->n_slots, instance);
			return -EBUSY;
		}
		pause_a_little();
	}
	return 0;
}

static int
attach_rings(struct session *s, const char *instance)
{
	char name[SIO_NAME_LEN];
	struct sio_rbuff_info info;
	int ret;

	l2fwd_ring_name(name, instance, s->slot, s->incarnation, "out");
	ret = place_ring(s, name, SIO_RBUFF_CONSUMER, &s->out);
	if (ret != 0) {
		explain(name, "ring", ret);
		return ret;
	}
	sio_rbuff_info(s->out, &info);
	if (info.element_size != sizeof(struct sio_desc)) {
		worker_say("\"%s\" has elements of %u bytes, %zu expected", name, info.element_size,
			sizeof(struct sio_desc));
		return -EPROTO;
	}
	l2fwd_ring_name(name, instance, s->slot, s->incarnation, "back");
	ret = place_ring(s, name, SIO_RBUFF_PRODUCER, &s->back);
	if (ret != 0) {
		explain(name, "ring", ret);
		return ret;
	}
	return 0;
}

int
session_attach(struct session *s, const char *instance, int slot, uint64_t deadline_ns)
{
	int ret;

	memset(s, 0, sizeof(*s));
	ret = attach_ctl(s, instance);
	if (ret == 0)
		ret = check_slot(s, instance, slot);
	if (ret == 0)
		ret = attach_data(s, instance);
	if (ret == 0)
		ret = attach_slot(s, instance, slot, deadline_ns);
	if (ret == 0)
		ret = attach_rings(s, instance);
	if (ret != 0) {
		session_detach(s);
		return ret;
	}
	/* release: l2fwd, which acquires it, finds both rings attached */
	atomic_store_explicit(&s->ctl->slots[s->slot].ready, s->incarnation, memory_order_release);
	return 0;
}

void
session_detach(struct session *s)
{
	/* the control segment last: leaving it is what l2fwd takes for the end of this worker */
	if (s->back != NULL)
		sio_rbuff_detach(s->back);
	if (s->out != NULL)
		sio_rbuff_detach(s->out);
	place_close(s);
	if (s->data_segment != NULL)
		sio_segment_detach(s->data_segment);
	if (s->ctl_segment != NULL && place_end(s))
		sio_segment_detach(s->ctl_segment);
	memset(s, 0, sizeof(*s));
}

bool
session_owner_lives(const struct session *s)
{
	return sio_member_state(s->ctl_segment, s->owner) == SIO_MEMBER_LIVE;
}
