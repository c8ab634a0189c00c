/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SIO_POOL_FAST_H
#define SIO_POOL_FAST_H

/**
 * @file
 * The fast ways of taking and giving: what a thread has of a pool, and the few steps that most
 * calls are. Not installed: the library and the drivers that are built with it share it, so that a
 * driver's get and put need no call while the loaded magazine lasts. sio_fast_abi keeps those apart
 * that were not built together.
 *
 * The argument for what is done here is in take_give.c and steal.c.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include "pool/pool_layout.h"

#define SIO_LIKELY(x)	__builtin_expect(!!(x), 1)
#define SIO_UNLIKELY(x) __builtin_expect(!!(x), 0)

/** Pools that one process can be attached to at a time. */
#define SIO_POOLS_PER_PROCESS 2040

/** A magazine that this thread has, and the word that says so. */
struct sio_slot {
	struct sio_magazine *mag; /**< NULL: none */
	uint64_t word;
	uint32_t index;
};

/** One thread's private view of one pool. */
struct sio_local {
	/* what each call needs: one line */
	_Alignas(SIO_CACHE_LINE) struct sio_slot loaded;
	struct sio_shard_hot *hot; /**< of the shard; private_hot if the thread has none */
	uint32_t magazine_size;
	bool fence;
	struct sio_slot prev;
	uint64_t owner; /**< how my magazines' words begin: SHARD or HAND, shard, member */
	struct sio_pool *pool;
	struct sio_shard *shard; /**< NULL: works from the depot, keeps nothing between calls */
	sio_member_t member;
	uint32_t walk;	  /**< where the next walk begins */
	bool dry;	  /**< nothing but this thread's own was to be had, at dry_sum */
	bool few;	  /**< there were few free blocks, at few_sum */
	uint64_t dry_sum; /**< see take_give.c, events_sum() */
	uint64_t few_sum;
	int64_t few_met;      /**< how many, less this thread's own balance */
	uint64_t few_until;   /**< until when that is believed whatever others give; 0: not */
	bool spent;	      /**< an operation within that time has stolen: no other may */
	bool sparing;	      /**< this operation may not */
	uint64_t events;      /**< of the pool's events, those that this thread counted */
	uint64_t dry_events;  /**< events, when the pool was dry */
	uint32_t hand_calls;  /**< without a shard: calls since the last try to get one */
	uint32_t contig_walk; /**< the cell where the next look for neighbours begins */
	struct sio_shard_hot private_hot;
	struct sio_local *next; /**< in pool->locals */
	struct sio_tls *tls;	/**< whose it is */
};

_Static_assert(offsetof(struct sio_local, prev) < SIO_CACHE_LINE, "one line");

/** A view found by what a driver knows its pool by. */
struct sio_fast {
	_Atomic uint64_t key; /**< 0: none */
	struct sio_local *_Atomic local;
};

#define SIO_FAST_ENTRIES 16u

/** Where a view with that key is: by bits that make an offset without being shifted. */
SIO_INLINE size_t
sio_fast_index(uint64_t key)
{
	return key / sizeof(struct sio_fast) % SIO_FAST_ENTRIES;
}

/**
 * The calling thread's views, by pool; a page that fork() wipes, so that a child starts with none.
 */
struct sio_tls {
	struct sio_fast fast[SIO_FAST_ENTRIES];
	struct sio_local *local[SIO_POOLS_PER_PROCESS];
};

/** Never NULL: a thread without views has an empty one that is nobody's. */
extern SIO_API _Thread_local struct sio_tls *sio_tls __attribute__((tls_model("initial-exec")));

/** What must be equal on both sides of this header. */
#define SIO_FAST_ABI                                                                  \
	((uint64_t)SIO_POOL_LAYOUT_VERSION << 48 | (uint64_t)SIO_FAST_ENTRIES << 32 | \
		(uint64_t)sizeof(struct sio_tls) << 12 | (uint64_t)sizeof(struct sio_local))

extern SIO_API const uint64_t sio_fast_abi;

SIO_INLINE uint32_t
sio_mag_count_now(const struct sio_magazine *mag)
{
	return atomic_load_explicit(&mag->count, memory_order_relaxed);
}

/** Adds to a counter that this thread alone writes: no lock prefix needed. */
SIO_INLINE void
sio_count(_Atomic uint64_t *counter, uint64_t n)
{
	/*
	 * release: a give counts after its blocks are there; partner: events_sum() in take_give.c
	 */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
		memory_order_release);
}

/**
 * Enter and leave: the shard's epoch is odd in between. See doc/design/ownership.md, 3 and 4.
 *
 * No barrier follows the store: a thief that swaps its name into a magazine word pays for it, with
 * a barrier on all CPUs before it looks at the epoch. Only the compiler must keep the order. A
 * process that such a barrier does not reach exchanges instead, as does a build for
 * ThreadSanitizer, which knows no such barrier.
 */
SIO_INLINE uint32_t
shard_enter_hot(struct sio_shard_hot *hot, bool fence)
{
	/* relaxed: nobody else writes it */
	uint32_t epoch = atomic_load_explicit(&hot->epoch, memory_order_relaxed) + 1;

#ifdef __SANITIZE_THREAD__
	fence = true;
#endif
	if (SIO_LIKELY(!fence)) {
		atomic_store_explicit(&hot->epoch, epoch, memory_order_relaxed);
		atomic_signal_fence(memory_order_seq_cst);
		return epoch;
	}
	/*
	 * partner: the thief's compare-and-swap of the word, then its load of the epoch, both
	 * seq_cst
	 */
	atomic_exchange_explicit(&hot->epoch, epoch, memory_order_seq_cst);
	return epoch;
}

SIO_INLINE uint32_t
shard_enter(struct sio_local *local)
{
	return shard_enter_hot(local->hot, local->fence);
}

/** Leaves, with what entering returned: fast ways keep it in a register. */
SIO_INLINE void
shard_leave_hot(struct sio_shard_hot *hot, uint32_t epoch)
{
	/* release: who sees the even value sees what was done inside (steal.c) */
	atomic_store_explicit(&hot->epoch, epoch + 1, memory_order_release);
}

SIO_INLINE void
shard_leave_from(struct sio_local *local, uint32_t epoch)
{
	shard_leave_hot(local->hot, epoch);
}

SIO_INLINE void
shard_leave(struct sio_local *local)
{
	shard_leave_from(local, atomic_load_explicit(&local->hot->epoch, memory_order_relaxed));
}

/** True if the magazine is still this thread's. Only inside. */
SIO_INLINE bool
sio_mag_is(const struct sio_magazine *mag, uint64_t word)
{
#ifdef __SANITIZE_THREAD__
	return mag != NULL && atomic_load_explicit(&mag->word, memory_order_seq_cst) == word;
#else
	/* acquire: nothing of the magazine is read before; partner: whoever gave it to the depot */
	return mag != NULL && atomic_load_explicit(&mag->word, memory_order_acquire) == word;
#endif
}

SIO_INLINE bool
sio_slot_mine(const struct sio_slot *slot)
{
	return sio_mag_is(slot->mag, slot->word);
}

/**
 * Eight addresses at a time, at any alignment: bursts are too short for the call to memcpy() to
 * pay.
 */
SIO_INLINE void
sio_copy_addresses(void **to, void *const *from, unsigned int n)
{
	for (; n >= 8; n -= 8, to += 8, from += 8) {
		void *a = from[0], *b = from[1], *c = from[2], *d = from[3];
		void *e = from[4], *f = from[5], *g = from[6], *h = from[7];

		to[0] = a, to[1] = b, to[2] = c, to[3] = d;
		to[4] = e, to[5] = f, to[6] = g, to[7] = h;
	}
	for (; n > 0; n--)
		*to++ = *from++;
}

/** Four addresses at any alignment. */
typedef uint64_t sio_four __attribute__((vector_size(32), aligned(8), may_alias));

/**
 * The same, where the caller is compiled for a CPU with vectors of 32 bytes: elsewhere compilers
 * take these apart badly, and here what they make of the other way needs registers to be saved.
 */
SIO_INLINE void
sio_copy_fours(void **to, void *const *from, unsigned int n)
{
	size_t i = 0, eights = n & ~7u;

	for (; i != eights; i += 8) {
		const sio_four *out = (const sio_four *)(const void *)&from[i];
		sio_four *in = (sio_four *)(void *)&to[i], first = out[0], second = out[1];

		in[0] = first;
		in[1] = second;
	}
	for (; i != n; i++)
		to[i] = from[i];
}

/** Copies addresses. @param fours true where sio_copy_fours() is the better way; a constant */
SIO_INLINE void
sio_copy_either(void **to, void *const *from, unsigned int n, bool fours)
{
	if (fours)
		sio_copy_fours(to, from, n);
	else
		sio_copy_addresses(to, from, n);
}

/*
 * What these two need of the view is in variables, for a store to the caller's array or to the
 * magazine could change it for all that the compiler knows.
 */

/**
 * Takes n addresses from the loaded magazine. For pools that keep addresses, and views that need no
 * fence.
 *
 * @param fours see sio_copy_either()
 * @return false if it does not have them: the thread is inside then, and sio_fast_take_slow() must
 *         follow
 */
SIO_INLINE bool
sio_fast_take(struct sio_local *local, void **blocks, unsigned int n, bool fours)
{
	struct sio_shard_hot *hot = local->hot;
	struct sio_magazine *mag = local->loaded.mag;
	uint32_t epoch = shard_enter_hot(hot, false), size = local->magazine_size;

	if (SIO_LIKELY(sio_mag_is(mag, local->loaded.word))) {
		uint32_t count = sio_mag_count_now(mag), left = count - n;

		if (SIO_LIKELY(count >= n)) {
			sio_copy_either(blocks, &sio_mag_addresses(mag)[sio_mag_first(size, count)],
				n, fours);
			atomic_store_explicit(&mag->count, left, memory_order_release);
			sio_count(&hot->taken, n);
			shard_leave_hot(hot, epoch);
			return true;
		}
	}
	return false;
}

/**
 * Gives n addresses to the loaded magazine. For pools that keep addresses and do not check them,
 * and views that need no fence.
 *
 * @param fours see sio_copy_either()
 * @return false if it has no room for them: the thread is outside then, and sio_fast_give_slow()
 *         must follow
 */
SIO_INLINE bool
sio_fast_give(struct sio_local *local, void *const *blocks, unsigned int n, bool fours)
{
	struct sio_shard_hot *hot = local->hot;
	struct sio_magazine *mag = local->loaded.mag;
	uint32_t epoch = shard_enter_hot(hot, false), size = local->magazine_size;

	if (SIO_LIKELY(sio_mag_is(mag, local->loaded.word))) {
		uint32_t count = sio_mag_count_now(mag);

		/* entries before the first are nobody's until the count covers them */
		if (SIO_LIKELY(n <= size - count)) {
			sio_copy_either(&sio_mag_addresses(mag)[sio_mag_first(size, count + n)],
				blocks, n, fours);
			atomic_store_explicit(&mag->count, count + n, memory_order_release);
			sio_count(&hot->given, n);
			shard_leave_hot(hot, epoch);
			return true;
		}
	}
	shard_leave_hot(hot, epoch);
	return false;
}

/** Takes what sio_fast_take() could not. @return 0, -ENOBUFS or another negative errno */
SIO_API int sio_fast_take_slow(struct sio_local *local, void **blocks, unsigned int n);

/** Gives what sio_fast_give() could not. @return 0 */
SIO_API int sio_fast_give_slow(struct sio_local *local, void *const *blocks, unsigned int n);

/**
 * Makes the calling thread's view of the pool one that sio_fast_find() finds until the thread or
 * the pool ends. Nothing happens where the fast ways cannot be used: in pools that keep handles or
 * check what is given, where operations must fence, and where the thread has no view yet.
 *
 * @param key not 0, and never used for another pool in this process
 */
SIO_API void sio_fast_remember(struct sio_pool *pool, uint64_t key);

/**
 * The calling thread's view of the pool with that key, which is not 0. @return NULL if it has none
 */
SIO_INLINE struct sio_local *
sio_fast_find(uint64_t key)
{
	const struct sio_fast *fast = &sio_tls->fast[sio_fast_index(key)];

	struct sio_local *local;

	if (SIO_UNLIKELY(atomic_load_explicit(&fast->key, memory_order_relaxed) != key))
		return NULL;
	local = atomic_load_explicit(&fast->local, memory_order_relaxed);
	if (local == NULL)
		__builtin_unreachable(); /* so that callers test once */
	return local;
}

#endif /* SIO_POOL_FAST_H */
