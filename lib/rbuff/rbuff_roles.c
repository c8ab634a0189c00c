/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Who has which role in a ring.
 *
 * A role is one word with a process's names in it. It goes from NONE or from the name of a dead
 * member to the name of who attaches, and back to NONE when that one leaves, each time by
 * compare-and-swap; so at most one living process has it. A death before the swap leaves a member
 * without a role, after it a role of a dead member, which the next one takes over. In a ring that
 * carries blocks only recovery takes a dead one's role, after it has settled what that side left.
 */

#include <errno.h>
#include <slabio/pool.h>
#include "pool/ring_table.h"
#include "rbuff_private.h"
#include "segment/log.h"

static enum sio_member_state
state_of(const struct sio_rbuff *ring, uint64_t role)
{
	if (role == RBUFF_ROLE_NONE)
		return SIO_MEMBER_FREE;
	if (role & RBUFF_ROLE_SETTLING)
		return SIO_MEMBER_DEAD;
	switch (sio_member_state(ring->seg, rbuff_role_ring_member(role))) {
	case SIO_MEMBER_LIVE:
	case SIO_MEMBER_JOINING:
		return SIO_MEMBER_LIVE;
	case SIO_MEMBER_FREE: /* buried with its role on: who leaves gives up the role first */
	case SIO_MEMBER_DEAD:
	default:
		return SIO_MEMBER_DEAD;
	}
}

enum sio_member_state
sio__rbuff_role_state(const struct sio_rbuff *ring, enum sio_rbuff_role role)
{
	return state_of(
		ring, atomic_load_explicit(&ring->shared->roles[role], memory_order_acquire));
}

enum sio_member_state
sio_rbuff_peer(struct sio_rbuff *ring)
{
	return sio__rbuff_role_state(ring,
		ring->role == SIO_RBUFF_OBSERVER ? SIO_RBUFF_PRODUCER : rbuff_other(ring->role));
}

unsigned int
sio__rbuff_bury_roleless(struct sio_rbuff *ring)
{
	unsigned int buried = 0;

	for (unsigned int i = 0; i < SIO_MEMBERS_MAX; i++) {
		struct sio_member_info info;
		bool has_role = false;

		if (sio_member_get(ring->seg, i, &info) != 0 || info.state != SIO_MEMBER_DEAD)
			continue;
		/* after it was seen dead: it takes none any more */
		for (int role = 0; role < 2; role++)
			has_role |= rbuff_role_ring_member(atomic_load_explicit(
					    &ring->shared->roles[role], memory_order_acquire)) ==
				    info.member;
		if (!has_role)
			buried += sio_member_bury(ring->seg, info.member) == 0;
	}
	return buried;
}

/* The role's word now; a dead one's is recovered first where that is recovery's affair. */
static uint64_t
role_found(struct sio_rbuff *ring)
{
	_Atomic uint64_t *word = &ring->shared->roles[ring->role];
	uint64_t had = atomic_load_explicit(word, memory_order_acquire);

	if (ring->pool == NULL || state_of(ring, had) != SIO_MEMBER_DEAD)
		return had;
	sio_pool_recover(ring->pool, NULL);
	return atomic_load_explicit(word, memory_order_acquire);
}

static int
busy(const struct sio_rbuff *ring, uint64_t had)
{
	SIO_ERR("ring '%s' has a %s %s already", sio_segment_name(ring->seg),
		state_of(ring, had) == SIO_MEMBER_LIVE ? "living" : "dead and yet unsettled",
		ring->role == SIO_RBUFF_PRODUCER ? "producer" : "consumer");
	return -EBUSY;
}

int
sio__rbuff_role_take(struct sio_rbuff *ring)
{
	_Atomic uint64_t *word = &ring->shared->roles[ring->role];
	sio_member_t self = sio_segment_self(ring->seg);
	uint64_t had = role_found(ring);

	if (self == SIO_MEMBER_NONE)
		return -EPERM;
	if (had != RBUFF_ROLE_NONE &&
		(ring->pool != NULL || state_of(ring, had) != SIO_MEMBER_DEAD))
		return busy(ring, had);
	/*
	 * acquire: the predecessor's positions; release: pairs with who looks for this side's
	 * state; seq_cst: before the look at the ring's entry, see ring_table.c
	 */
	if (!atomic_compare_exchange_strong_explicit(word, &had,
		    rbuff_role_word(self, ring->pool_self), memory_order_seq_cst,
		    memory_order_acquire))
		return -EBUSY; /* somebody else took it this moment */
	ring->self = rbuff_role_word(self, ring->pool_self);
	if (ring->pool != NULL && !sio__ring_open(ring->pool, ring->number, ring->uid)) {
		SIO_ERR("ring '%s' was destroyed: expected one that is in use",
			sio_segment_name(ring->seg));
		return -ENOENT;
	}
	sio__rbuff_bury_roleless(ring);
	return 0;
}

void
sio__rbuff_role_leave(struct sio_rbuff *ring)
{
	uint64_t self = ring->self;

	if (ring->side == NULL || self == RBUFF_ROLE_NONE ||
		sio_segment_self(ring->seg) != rbuff_role_ring_member(self))
		return; /* an observer, or a forked child, which never had it */
	/* seq_cst: before the look at the other role, see ring_table.c */
	atomic_compare_exchange_strong_explicit(&ring->shared->roles[ring->role], &self,
		RBUFF_ROLE_NONE, memory_order_seq_cst, memory_order_relaxed);
}
