/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Sleeping and waking.
 *
 * The side that finds nothing to do:              The other side, in every call:
 *
 *   s1  wanted = ...           relaxed (producer)   w2/r3  publishes              release
 *   s2  sleeping[me] = 1       exchange             w4/r4  loads sleeping[other]  no fence
 *   s3  barrier on all processes of the ring        k1     sleeping[other] = 0    exchange
 *   s4  looks again                                 k2     wakes the futex
 *   s5  sleeps while sleeping[me] is 1, bounded            (k1, k2 only if it was 1)
 *   s6  sleeping[me] = 0
 *
 * No lost wake-up: s3 is membarrier, which makes every running thread of the registered processes
 * go through a full barrier between some two of its instructions. If the other side's w2 is before
 * that point, s4 finds what it published; if its w4 is after it, w4 finds s2's word, and the wake
 * at k2 finds the sleeper in the futex or changes the word before the futex compares it. Since w2
 * is before w4, one of the two holds. Who cannot register makes w4 a locked instruction on the word
 * itself, which is ordered before or after s2 with everything before it. Who cannot issue s3 sleeps
 * 1 ms at most and looks again. Nobody pays for a fence while nobody sleeps.
 *
 * A state change is a locked instruction on the state word, then k1 and k2 on both words whatever
 * they say: either the sleeper's s4 finds the new state or k1 comes after s2.
 *
 * Deaths: after s2 the other side makes one system call in vain. Between k1 and k2 the sleeper
 * sleeps until its bound, at most a second, and looks at the token of the dead one. No sleep is
 * without that bound, so nothing that the other side does or fails to do can make a call outlast
 * its deadline.
 */

#include <errno.h>
#include "rbuff_private.h"
#include "rbuff_test.h"
#include "segment/barrier.h"

/** A look at the other side's token at least that often. */
#define SLICE_NS UINT64_C(1000000000)
/** Longest sleep where no barrier can be issued. */
#define SLICE_BLIND_NS UINT64_C(1000000)
/** A barrier disturbs both sides: worth two microseconds of looking again before it. */
#define SPINS_BEFORE_SLEEP 64

bool sio__rbuff_no_register;
bool sio__rbuff_no_barrier;
void (*sio__rbuff_sleep_hook)(enum rbuff_sleep_step step);

static void
hook(enum rbuff_sleep_step step)
{
	if (sio__rbuff_sleep_hook != NULL)
		sio__rbuff_sleep_hook(step);
}

static inline void
spin_pause(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#else
	atomic_signal_fence(memory_order_seq_cst);
#endif
}

bool
sio__rbuff_barriers_register(void)
{
	if (sio__rbuff_no_register)
		return false;
	return sio_barrier_join();
}

/** s3. @return whether it was issued */
static bool
barrier_on_all(void)
{
	if (sio__rbuff_no_barrier)
		return false;
	return sio_barrier();
}

/**
 * A lock-free atomic has its plain type's representation, which is all that the kernel looks at.
 */
static const uint32_t *
futex_word(const struct rbuff_control *control, enum sio_rbuff_role role)
{
	return (const uint32_t *)(uintptr_t)&control->sleeping[role];
}

/*
 * k1 and k2. The word is stored before the futex is woken: the other way round, a sleeper that has
 * not reached the futex yet would sleep on a word that nobody changes any more.
 */
static void
wake(struct rbuff_control *control, enum sio_rbuff_role role)
{
	atomic_exchange_explicit(&control->sleeping[role], 0, memory_order_seq_cst);
	sio_wake(futex_word(control, role));
}

void
sio__rbuff_wake_all(struct rbuff_control *control)
{
	wake(control, SIO_RBUFF_PRODUCER);
	wake(control, SIO_RBUFF_CONSUMER);
}

__attribute__((noinline)) void
sio__rbuff_wake_side(struct rbuff_control *control, enum sio_rbuff_role role)
{
	if (role == SIO_RBUFF_PRODUCER) {
		const struct rbuff_layout *shared =
			(const struct rbuff_layout *)((const char *)control -
						      offsetof(struct rbuff_layout, control));
		uint64_t consumed = atomic_load_explicit(
			&shared->positions[SIO_RBUFF_CONSUMER].value, memory_order_relaxed);
		uint64_t wanted;

		/* acquire, pairs with s2: wanted is what belongs to that sleep */
		if (atomic_load_explicit(&control->sleeping[role], memory_order_acquire) == 0)
			return;
		wanted = atomic_load_explicit(&control->wanted, memory_order_relaxed);
		if ((int64_t)(consumed - wanted) < 0)
			return;
	}
	wake(control, role);
}

/** s1 to s3. @return whether the barrier was issued */
static bool
sleep_announce(struct sio_rbuff *ring, uint64_t wanted)
{
	struct rbuff_control *control = &ring->shared->control;

	hook(RBUFF_BEFORE_ANNOUNCE);
	if (ring->role == SIO_RBUFF_PRODUCER)
		atomic_store_explicit(&control->wanted, wanted, memory_order_relaxed);
	atomic_exchange_explicit(&control->sleeping[ring->role], 1, memory_order_seq_cst);
	return barrier_on_all();
}

/** s6 */
static void
sleep_end(struct sio_rbuff *ring)
{
	atomic_store_explicit(&ring->shared->control.sleeping[ring->role], 0, memory_order_relaxed);
}

/** s5. @return 0 look again; -ETIMEDOUT; -EPIPE the other side is dead */
static int
sleep_once(struct sio_rbuff *ring, uint64_t deadline_ns, uint64_t slice_ns)
{
	struct rbuff_side *side = ring->side;
	uint64_t now = sio_now_ns();
	uint64_t until;

	if (now >= deadline_ns)
		return -ETIMEDOUT;
	if (now - side->peer_checked_ns >= SLICE_NS) {
		side->peer_checked_ns = now;
		if (sio__rbuff_role_state(ring, rbuff_other(ring->role)) == SIO_MEMBER_DEAD)
			return -EPIPE;
	}
	until = side->peer_checked_ns + SLICE_NS;
	if (until > now + slice_ns)
		until = now + slice_ns;
	if (until > deadline_ns)
		until = deadline_ns;
	hook(RBUFF_BEFORE_SLEEP);
	sio_wait(futex_word(&ring->shared->control, ring->role), 1, until);
	return 0;
}

int
sio_rbuff_read_timed(struct sio_rbuff *ring, void *elements, unsigned int n, uint64_t deadline_ns)
{
	int r = sio_rbuff_read_burst(ring, elements, n);

	for (int i = 0; i < SPINS_BEFORE_SLEEP && r == 0 && n != 0; i++) {
		spin_pause();
		r = sio_rbuff_read_burst(ring, elements, n);
	}
	while (r == 0 && n != 0) {
		uint64_t slice = sleep_announce(ring, 0) ? SLICE_NS : SLICE_BLIND_NS;
		int why = 0;

		r = sio_rbuff_read_burst(ring, elements, n); /* s4 */
		if (r == 0)
			why = sleep_once(ring, deadline_ns, slice);
		sleep_end(ring);
		if (r == 0)
			r = sio_rbuff_read_burst(ring, elements, n);
		/*
		 * what the dead had published was there before its token dropped, so that look was
		 * the last one
		 */
		if (r == 0 && why != 0)
			return why;
	}
	return r;
}

int
sio_rbuff_write_timed(
	struct sio_rbuff *ring, const void *elements, unsigned int n, uint64_t deadline_ns)
{
	int r = sio_rbuff_write_bulk(ring, elements, n);

	for (int i = 0; i < SPINS_BEFORE_SLEEP && r == 0 && n != 0; i++) {
		spin_pause();
		r = sio_rbuff_write_bulk(ring, elements, n);
	}
	while (r == 0 && n != 0) {
		uint64_t wanted = ring->side->position + n - ring->capacity;
		uint64_t slice = sleep_announce(ring, wanted) ? SLICE_NS : SLICE_BLIND_NS;
		int why = 0;

		r = sio_rbuff_write_bulk(ring, elements, n); /* s4 */
		if (r == 0)
			why = sleep_once(ring, deadline_ns, slice);
		sleep_end(ring);
		if (r == 0)
			r = sio_rbuff_write_bulk(ring, elements, n);
		if (r == 0 && why != 0)
			return why;
	}
	return r;
}
