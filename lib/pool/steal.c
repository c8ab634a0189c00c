/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Stealing: when the depot is dry, magazines are taken from other shards, whole.
 *
 * Invariant. A thief keeps a magazine only if its owner's next look at the word, before it touches
 * the magazine again, is certain to see the thief's name; and the owner's last touch is visible to
 * the thief.
 *
 * Order. Swap in (compare-and-swap), barrier on the CPUs of the owners, load of the epoch. Partner:
 * the owner's store of the odd epoch, load of the word, ..., release of the even epoch
 * (shard_enter, sio_slot_mine, shard_leave). Let p be the owner's program point at which the
 * barrier took effect. Its stores before p are visible to the thief, its loads after p see the
 * thief's name.
 *   - Epoch even: p is outside, so each later operation looks at the word after p.
 *   - Epoch odd, and different later: the operation that was under way ended after p; the next one
 *     looks after p.
 *   - Epoch odd and unchanged: the owner may be at work on the magazine. The old word is put back,
 *     exactly as it was, and the owner, which remembers that word, has it again. But if the owner has
 *     seen the thief's name meanwhile, it has let go of the magazine and marked the thief's word;
 *     putting back then fails, and the magazine is the thief's.
 *
 * An owner that is at work lets go by itself, soon: where that is seen, the round ends with it, and
 * the other magazines are put back.
 *
 * Deaths. Of the thief: up to a round of magazines carry its name; owners drop them and go on. Of
 * the owner, inside: its epoch stays odd, so its magazines are put back until recovery settles
 * them. Outside: thieves take them as if it lived.
 */

#include "pool/pool_private.h"
#include "segment/barrier.h"

/*
 * Looks at an owner's epoch again for so long while it is inside, before the magazine is put back.
 */
#define SECOND_LOOKS 64

/*
 * Looks so often whether an owner has let go, before the barrier: an owner at work does at its next
 * operation, and a barrier costs more than these, here and there.
 */
#define FIRST_LOOKS 32

struct claimed {
	struct sio_slot slot;
	uint64_t before;
	bool won;
};

/* Whether a magazine of another shard is worth taking. */
static bool
worth(const struct sio_pool *pool, const struct sio_magazine *mag, enum sio_want want)
{
	uint32_t count = sio_mag_count_now(mag);

	return want == SIO_WANT_BLOCKS ? count > 0 : count < pool->magazine_size;
}

/* Swaps this operation's name in. */
static bool
swap_in(struct sio_local *local, uint32_t m, enum sio_want want, struct claimed *c,
	bool *surely_dry)
{
	struct sio_pool *pool = local->pool;
	struct sio_magazine *mag = sio_magazine_at(pool, m);
	uint64_t word = atomic_load_explicit(&mag->word, memory_order_relaxed);
	uint64_t mine;

	if (!worth(pool, mag, want))
		return false;
	/*
	 * this thread's own do not fit: it looked, and what it has does not change while it is
	 * here; threads without a shard have one name for all of a process
	 */
	if (sio_mag_state(word) == SIO_MAG_SHARD && (word & SIO_MAG_OWNER_MASK) == local->owner)
		return false;
	*surely_dry = false;
	if (sio_mag_state(word) != SIO_MAG_SHARD || sio_mag_shard(word) >= pool->max_shards)
		return false;
	mine = sio_mag_next(
		word, sio_mag_owner(SIO_MAG_HAND, sio_mag_shard(word), local->member), 0);
	/*
	 * seq_cst: with fencing owners and without the barrier, this and the load of the epoch must
	 * not pass each other; partner: the exchange in shard_enter()
	 */
	if (!atomic_compare_exchange_strong_explicit(
		    &mag->word, &word, mine, memory_order_seq_cst, memory_order_relaxed))
		return false;
	*c = (struct claimed){
		.slot = {.mag = mag, .word = mine, .index = m},
		.before = word,
	};
	return true;
}

/* @return true if the owner has let go of it: it cannot be put back, and is the thief's */
static bool
put_back(struct sio_local *local, struct claimed *c)
{
	uint64_t mine = c->slot.word;

	/* acquire: all that an owner that let go did before; partner: sio_slot_drop() */
	if (!atomic_compare_exchange_strong_explicit(&c->slot.mag->word, &mine, c->before,
		    memory_order_release, memory_order_acquire))
		return true;
	sio_event(local);
	if (local->shard != NULL)
		sio_count(&local->shard->put_back, 1);
	return false;
}

static bool
owner_is_outside(struct sio_pool *pool, uint64_t word, uint32_t *epoch)
{
	/* acquire: all that the owner did inside; partner: the release in shard_leave() */
	*epoch = atomic_load_explicit(
		&pool->shards[sio_mag_shard(word)].hot.epoch, memory_order_seq_cst);
	return (*epoch & 1) == 0;
}

/*
 * The barrier on the threads of those whose magazines were swapped out. On this process's own it is
 * the surer one (segment/barrier.c).
 */
static bool
barrier_on_owners(const struct sio_local *local, const struct claimed *round, unsigned int n)
{
	/* planted: the owner's odd epoch may still be in its store buffer when the thief looks */
#if defined(__SANITIZE_THREAD__) || SIO_PLANTED(NO_BARRIER)
	(void)local, (void)round, (void)n;
	return true;
#else
	bool own = !local->pool->must_fence;

	for (unsigned int i = 0; i < n; i++)
		own = own && sio_mag_member(round[i].before) == local->member;
	return own ? sio_barrier_own() : sio_barrier();
#endif
}

/* Whether an owner lets go within the next few hundred ns. */
static bool
somebody_lets_go(const struct claimed *round, unsigned int n)
{
#if SIO_PLANTED(NO_BARRIER)
	/* these looks alone give the owner's store time to be seen, as a rule */
	return (void)round, (void)n, false;
#endif
	for (unsigned int look = 0; look < FIRST_LOOKS; look++) {
		for (unsigned int i = 0; i < n; i++)
			if (atomic_load_explicit(&round[i].slot.mag->word, memory_order_relaxed) !=
				round[i].slot.word)
				return true;
		sio_pause();
	}
	return false;
}

static void
settle_round(struct sio_local *local, struct claimed *round, unsigned int n)
{
	struct sio_pool *pool = local->pool;
	uint32_t epoch[SIO_STEAL_ROUND], again;

	/* who puts back what was let go of has it, and needs no barrier for that */
	if (somebody_lets_go(round, n) || !barrier_on_owners(local, round, n)) {
		for (unsigned int i = 0; i < n; i++)
			round[i].won = put_back(local, &round[i]);
		return;
	}
	for (unsigned int i = 0; i < n; i++)
		round[i].won = owner_is_outside(pool, round[i].before, &epoch[i]);
	for (unsigned int i = 0; i < n; i++) {
		for (unsigned int look = 0; !round[i].won && look < SECOND_LOOKS; look++) {
			owner_is_outside(pool, round[i].before, &again);
			round[i].won = again != epoch[i];
			sio_pause();
		}
		if (!round[i].won)
			round[i].won = put_back(local, &round[i]);
	}
}

/* The first magazine won that fits becomes the thread's; what else was won goes to the depot. */
static bool
keep_one(struct sio_local *local, enum sio_want want, struct claimed *round, unsigned int n,
	struct sio_slot *slot)
{
	struct sio_pool *pool = local->pool;
	bool kept = false;

	for (unsigned int i = 0; i < n; i++) {
		struct claimed *c = &round[i];

		if (!c->won)
			continue;
		sio_count_check(pool, c->slot.mag);
		if (pool->exact)
			sio_take_over(local, c->slot.mag, sio_mag_member(c->before), NULL);
		if (kept || !worth(pool, c->slot.mag, want)) {
			sio_depot_give(local, &c->slot);
			continue;
		}
		sio_hand_change(&c->slot, sio_mag_next(c->slot.word, local->owner, 0));
		sio_event(local);
		if (local->shard != NULL)
			sio_count(&local->shard->steals, 1);
		*slot = c->slot;
		kept = true;
	}
	return kept;
}

bool
sio_steal_round(
	struct sio_local *local, enum sio_want want, struct sio_slot *slot, bool *surely_dry)
{
	struct sio_pool *pool = local->pool;
	uint32_t top = sio_magazines_top(pool);
	struct claimed round[SIO_STEAL_ROUND];
	unsigned int n = 0;

	*surely_dry = pool->can_steal;
	if (!pool->can_steal)
		return false;
	for (uint32_t i = 0, m = local->walk; i <= top; i++, m++) {
		if (m >= top)
			m = 0;
		if (i < top && swap_in(local, m, want, &round[n], surely_dry))
			n++;
		if (n == 0 || (n < SIO_STEAL_ROUND && i < top))
			continue;
		settle_round(local, round, n);
		if (keep_one(local, want, round, n, slot)) {
			local->walk = m;
			return true;
		}
		n = 0;
	}
	return false;
}
