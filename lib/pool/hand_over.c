/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Hand-over: blocks of an exact pool pass from member to member by way of a queue that the pool
 * cannot see. doc/design/ownership.md, 9.
 *
 * Invariant. A block that is offered is in nobody's hands; a compare-and-swap from the offer
 * decides who has it: a receiver, the giver that withdraws, or recovery.
 *
 * Writers. giver: its name -> offer(giver, to), and back; receiver: offer(any, receiver or nobody)
 * -> its name; recovery: an offer from or to a dead member -> its name.
 *
 * Orders. Release by the giver, acquire by the receiver; what they have between them, a queue,
 * orders the payload as well.
 *
 * Deaths. The giver's, at any time: what is offered in its name is accepted or recovered, whoever
 * is first. The receiver's: the same. Nothing stays offered for ever.
 */

#include <errno.h>
#include "pool/ring_table.h"
#include "segment/log.h"
#include "segment/member.h"

static bool
pass(struct sio_pool *pool, uint32_t handle, uint64_t from, uint64_t to)
{
	return atomic_compare_exchange_strong_explicit(
		&pool->holders[handle], &from, to, memory_order_acq_rel, memory_order_relaxed);
}

static bool
in_range(const struct sio_pool *pool, const uint32_t *handles, unsigned int n)
{
	uint32_t populated = atomic_load_explicit(&pool->hdr->populated, memory_order_relaxed);

	for (unsigned int i = 0; i < n; i++)
		if (handles[i] >= populated || handles[i] >= pool->n_blocks)
			return false;
	return true;
}

int
sio_pool_hand_over(struct sio_pool *pool, const uint32_t *handles, unsigned int n, sio_member_t to)
{
	sio_member_t self;
	unsigned int done;
	int ret = sio__pool_self(pool, &self);

	if (ret != 0)
		return ret;
	if (!in_range(pool, handles, n))
		return -EINVAL;
	if (!pool->exact)
		return 0;
	if (to != SIO_MEMBER_NONE && !sio__member_is_named(pool->seg, to))
		return -ESRCH;
	for (done = 0; done < n; done++)
		if (!pass(pool, handles[done], SIO_HOLDER_MEMBER | self,
			    sio_holder_offer(self, to)))
			break;
	if (done == n)
		return 0;
	/* nobody was told of them; but recovery of a dead receiver may have had one already */
	for (unsigned int i = 0; i < done; i++)
		pass(pool, handles[i], sio_holder_offer(self, to), SIO_HOLDER_MEMBER | self);
	return -EACCES;
}

static bool
accept_one(struct sio_pool *pool, uint32_t handle, sio_member_t self)
{
	uint64_t holder;

	if (!in_range(pool, &handle, 1))
		return false;
	holder = atomic_load_explicit(&pool->holders[handle], memory_order_relaxed);
	if ((holder & SIO_HOLDER_KIND_MASK) != SIO_HOLDER_OFFER ||
		(sio_offer_to(holder) != self && sio_offer_to(holder) != SIO_MEMBER_NONE))
		return false;
	return pass(pool, handle, holder, SIO_HOLDER_MEMBER | self);
}

static bool
withdraw_one(struct sio_pool *pool, uint32_t handle, sio_member_t self)
{
	uint64_t holder;

	if (!in_range(pool, &handle, 1))
		return false;
	holder = atomic_load_explicit(&pool->holders[handle], memory_order_relaxed);
	return (holder & SIO_HOLDER_KIND_MASK) == SIO_HOLDER_OFFER &&
	       sio_offer_from(holder) == self &&
	       pass(pool, handle, holder, SIO_HOLDER_MEMBER | self);
}

/* Those for which take() makes the block this member's come first. @return how many */
static int
take_each(struct sio_pool *pool, uint32_t *handles, unsigned int n,
	bool (*take)(struct sio_pool *pool, uint32_t handle, sio_member_t self))
{
	sio_member_t self;
	unsigned int kept = 0;
	int ret = sio__pool_self(pool, &self);

	if (ret != 0)
		return ret;
	for (unsigned int i = 0; i < n; i++) {
		uint32_t handle = handles[i];

		/* a conservative pool knows of no holder and believes the queue */
		if (pool->exact ? !take(pool, handle, self) : !in_range(pool, &handle, 1))
			continue;
		handles[i] = handles[kept];
		handles[kept++] = handle;
	}
	return (int)kept;
}

int
sio_pool_accept(struct sio_pool *pool, uint32_t *handles, unsigned int n)
{
	return take_each(pool, handles, n, accept_one);
}

int
sio_pool_withdraw(struct sio_pool *pool, uint32_t *handles, unsigned int n)
{
	return take_each(pool, handles, n, withdraw_one);
}
