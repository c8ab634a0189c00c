/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * What the processes of the soak do. Each writes down, outside of the library, which blocks it was
 * told are its own: after a call returned them, and no more before a call passes them on. So the
 * record is right wherever the process is killed.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "soak.h"

/** One process's view. */
struct me {
	enum soak_role role;
	uint32_t self; /**< as an owner */
	uint64_t random;
	struct sio_pool *pool;
	struct sio_rbuff *in, *out;
	uint32_t held[SOAK_HOLD];
	unsigned int n;
};

const char *const soak_role_names[SOAK_ROLES] = {
	[SOAK_SOURCE] = "source",
	[SOAK_RELAY] = "relay",
	[SOAK_SINK] = "sink",
	[SOAK_GIVER] = "giver",
	[SOAK_RECEIVER] = "receiver",
	[SOAK_TAKER] = "taker",
	[SOAK_TAKER2] = "taker 2",
	[SOAK_RECOVERER] = "recoverer",
};

const char *
soak_ring_name(unsigned int i)
{
	return i == 0 ? "soak.first" : "soak.second";
}

static uint32_t
next_random(struct me *me)
{
	me->random = me->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(me->random >> 33);
}

static void
fault(_Atomic uint32_t *which, const char *what, uint64_t a, uint64_t b)
{
	/* the first message stays; one that is torn by a second fault at the same time is one */
	if (atomic_fetch_add(which, 1) == 0)
		snprintf(soak->message, sizeof(soak->message), "%s (%llu, %llu)", what,
			(unsigned long long)a, (unsigned long long)b);
}

static bool
is_doomed(uint32_t owner)
{
	return SOAK_OWNER_LIFE(owner) <= atomic_load(&soak->doomed[SOAK_OWNER_ROLE(owner)]);
}

static void
own(struct me *me, uint32_t handle)
{
	uint32_t was = 0;

	if (handle >= SOAK_BLOCKS) {
		fault(&soak->wrong, "no such block", handle, (uint64_t)me->role);
		return;
	}
	while (!atomic_compare_exchange_strong(&soak->owner[handle], &was, me->self)) {
		if (was != 0 && !is_doomed(was)) {
			fault(&soak->doubled, "a block with two owners", handle, was);
			return;
		}
	}
	me->held[me->n++] = handle;
}

static void
disown(uint32_t handle)
{
	atomic_store(&soak->owner[handle], 0);
}

/* The block's contents while it is this process's: nobody else may change them. */
static void
stamp(struct me *me, uint32_t handle)
{
	uint64_t *block = sio_pool_addr(me->pool, handle);

	block[0] = handle * UINT64_C(0x9e3779b97f4a7c15);
	block[1] = (uint64_t)getpid();
}

static void
check_stamp(struct me *me, uint32_t handle)
{
	const uint64_t *block = sio_pool_addr(me->pool, handle);

	if (block[0] != handle * UINT64_C(0x9e3779b97f4a7c15))
		fault(&soak->wrong, "a block with another's contents", handle, block[0]);
}

static unsigned int
take(struct me *me, unsigned int n)
{
	uint32_t handles[SOAK_HOLD];

	if (n > SOAK_HOLD - me->n || sio_pool_take(me->pool, handles, n) != 0)
		return 0;
	for (unsigned int i = 0; i < n; i++) {
		own(me, handles[i]);
		stamp(me, handles[i]);
	}
	return n;
}

/* Gives the last n back. */
static void
give(struct me *me, unsigned int n)
{
	me->n -= n;
	for (unsigned int i = 0; i < n; i++) {
		check_stamp(me, me->held[me->n + i]);
		disown(me->held[me->n + i]);
	}
	if (sio_pool_give(me->pool, &me->held[me->n], n) != 0)
		fault(&soak->wrong, "a give was refused", n, (uint64_t)me->role);
}

/* Writes the first n that it holds; the element says its position. */
static void
write_some(struct me *me, unsigned int n)
{
	struct sio_desc desc[SOAK_HOLD] = {0};
	uint64_t at = sio_rbuff_published(me->out);
	int rc;

	if (n > me->n)
		n = me->n;
	for (unsigned int i = 0; i < n; i++) {
		desc[i].handle = me->held[i];
		desc[i].position = (uint32_t)(at + i);
		disown(me->held[i]);
	}
	rc = sio_rbuff_write_burst(me->out, desc, n);
	if (rc < 0) {
		fault(&soak->wrong, "a write was refused", (uint64_t)-rc, (uint64_t)me->role);
		rc = 0;
	}
	for (unsigned int i = (unsigned int)rc; i < n; i++)
		atomic_store(&soak->owner[me->held[i]], me->self);
	me->n -= (unsigned int)rc;
	memmove(me->held, me->held + rc, me->n * sizeof(me->held[0]));
}

static void
read_some(struct me *me, unsigned int n)
{
	struct sio_desc desc[SOAK_HOLD];
	uint64_t at = sio_rbuff_consumed(me->in);
	int rc;

	if (n > SOAK_HOLD - me->n)
		n = SOAK_HOLD - me->n;
	rc = sio_rbuff_read_burst(me->in, desc, n);
	if (rc < 0) {
		fault(&soak->wrong, "a read was refused", (uint64_t)-rc, (uint64_t)me->role);
		return;
	}
	for (int i = 0; i < rc; i++) {
		if (desc[i].position != (uint32_t)(at + (unsigned int)i))
			fault(&soak->wrong, "an element out of order", desc[i].position,
				at + (unsigned int)i);
		own(me, desc[i].handle);
		check_stamp(me, desc[i].handle);
	}
	atomic_fetch_add(&soak->passed, (unsigned int)rc);
}

/* ---- hand-over ---- */

static void
hand_over(struct me *me)
{
	uint32_t at = next_random(me) % SOAK_QUEUE, handle;
	sio_member_t to = (sio_member_t)atomic_load(&soak->queue.receiver);

	if (me->n == 0 || to == SIO_MEMBER_NONE || atomic_load(&soak->queue.entry[at]) != 0)
		return;
	handle = me->held[me->n - 1];
	disown(handle);
	if (sio_pool_hand_over(me->pool, &handle, 1, to) != 0) {
		atomic_store(&soak->owner[handle], me->self);
		return;
	}
	me->n--;
	if (next_random(me) % 8 == 0 && sio_pool_withdraw(me->pool, &handle, 1) == 1) {
		own(me, handle);
		return;
	}
	atomic_store(&soak->queue.entry[at], handle + 1);
}

static void
accept_some(struct me *me)
{
	for (uint32_t i = 0; i < SOAK_QUEUE && me->n < SOAK_HOLD; i++) {
		uint32_t found = atomic_exchange(&soak->queue.entry[i], 0), handle = found - 1;

		/* one that was meant for a dead receiver is left out */
		if (found == 0 || sio_pool_accept(me->pool, &handle, 1) != 1)
			continue;
		own(me, handle);
		check_stamp(me, handle);
		atomic_fetch_add(&soak->passed, 1);
	}
}

/* ---- rounds ---- */

static void
work(struct me *me)
{
	unsigned int n = next_random(me) % (SOAK_HOLD - 4) + 1;

	switch (me->role) {
	case SOAK_SOURCE:
		take(me, n);
		write_some(me, n);
		break;
	case SOAK_RELAY:
		read_some(me, n);
		write_some(me, n);
		break;
	case SOAK_SINK:
		read_some(me, n);
		give(me, me->n);
		break;
	case SOAK_GIVER:
		if (me->n < 8)
			take(me, 4);
		hand_over(me);
		break;
	case SOAK_RECEIVER:
		accept_some(me);
		give(me, me->n);
		break;
	case SOAK_RECOVERER:
		if (sio_pool_recover(me->pool, NULL) != 0)
			fault(&soak->wrong, "a recovery failed", 0, 0);
		usleep(1000);
		break;
	default:
		if (next_random(me) % 2 == 0)
			take(me, n);
		else
			give(me, n < me->n ? n : me->n);
		if (next_random(me) % 512 == 0)
			sio_pool_thread_end(me->pool);
		break;
	}
}

static void
attach(struct me *me)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts)};
	bool in = me->role == SOAK_RELAY || me->role == SOAK_SINK;
	bool out = me->role == SOAK_RELAY || me->role == SOAK_SOURCE;
	int rc = sio_pool_attach(SOAK_POOL, &opts, &me->pool);

	/* -EBUSY: somebody else recovers that side just now, or was stopped or killed in it */
	for (unsigned int i = 0; rc == 0 && in && i < 5000; i++) {
		rc = sio_rbuff_attach_blocks(soak_ring_name(me->role == SOAK_SINK),
			SIO_RBUFF_CONSUMER, me->pool, &me->in);
		if (rc != -EBUSY)
			break;
		rc = 0;
		usleep(1000);
	}
	for (unsigned int i = 0; rc == 0 && out && i < 5000; i++) {
		rc = sio_rbuff_attach_blocks(soak_ring_name(me->role == SOAK_RELAY),
			SIO_RBUFF_PRODUCER, me->pool, &me->out);
		if (rc != -EBUSY)
			break;
		rc = 0;
		usleep(1000);
	}
	if (rc != 0 || (in && me->in == NULL) || (out && me->out == NULL)) {
		fault(&soak->wrong, "a process could not attach", (uint64_t)-rc,
			(uint64_t)me->role);
		_exit(1);
	}
	if (me->role == SOAK_RECEIVER)
		atomic_store(&soak->queue.receiver, sio_segment_self(sio_pool_segment(me->pool)));
}

static void
leave(struct me *me)
{
	give(me, me->n);
	sio_rbuff_detach(me->in);
	sio_rbuff_detach(me->out);
	sio_pool_detach(me->pool);
}

int
soak_drain(void)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts)};
	struct sio_desc desc[SOAK_HOLD];
	struct sio_pool *pool;
	int n, status = 0;

	if (sio_pool_attach(SOAK_POOL, &opts, &pool) != 0)
		return 1;
	for (unsigned int i = 0; i < 2; i++) {
		struct sio_rbuff *ring;

		if (sio_rbuff_attach_blocks(soak_ring_name(i), SIO_RBUFF_CONSUMER, pool, &ring) !=
			0)
			return 1;
		while ((n = sio_rbuff_read_burst(ring, desc, SOAK_HOLD)) > 0)
			for (int k = 0; k < n; k++)
				status |= sio_pool_give(pool, &desc[k].handle, 1) != 0;
		sio_rbuff_detach(ring);
	}
	for (uint32_t i = 0; i < SOAK_QUEUE; i++) {
		uint32_t found = atomic_exchange(&soak->queue.entry[i], 0), handle = found - 1;

		status |= found != 0 && sio_pool_give(pool, &handle, 1) != 0;
	}
	sio_pool_detach(pool);
	return status;
}

int
soak_role(enum soak_role role, uint32_t life, uint64_t seed)
{
	struct me me = {.role = role, .self = SOAK_OWNER(role, life), .random = seed};

	attach(&me);
	while (atomic_load(&soak->stop) == 0) {
		uint32_t pause = atomic_load(&soak->pause);

		if (pause & 1) {
			atomic_store(&soak->parked[role], pause);
			usleep(100);
			continue;
		}
		work(&me);
		atomic_fetch_add(&soak->rounds[role], 1);
		if (atomic_load(&soak->rounds[role]) % 32 == 0)
			usleep(50); /* two processors, eight processes */
	}
	leave(&me);
	return 0;
}
