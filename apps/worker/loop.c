/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The worker's loop: read a burst, look at every packet, write all its descriptors back in the
 * order they came.
 *
 * That order is a promise: position p of the back ring answers position p of the out ring, so what
 * lies between the two published ends is exactly what is with this worker, also when it is killed
 * here.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "worker.h"

/** Descriptors read at once: what is in the worker's hands when it is killed is at most this and
 * one chain. */
#define BURST 32u
#define HANDS (BURST + L2FWD_CHAIN_MAX)
/** Empty reads before the worker goes to sleep. */
#define SPINS 2000u
/** How long the back ring may be full: never is, if l2fwd keeps its rules. */
#define BACK_WAIT_NS 1000000000u

struct loop {
	const struct session *s;
	const struct function *fn;
	struct worker_stats *stats;
	uint64_t cost_ns;
	struct sio_desc descs[HANDS];
	unsigned int have; /**< descriptors read and not yet returned */
};

static void
relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#else
	atomic_signal_fence(memory_order_seq_cst);
#endif
}

static void
spend(uint64_t ns)
{
	uint64_t until = sio_now_ns() + ns;

	while (sio_now_ns() < until)
		relax();
}

/* Applies the function to the packet in descs[0] to descs[n - 1]. */
static void
work(struct loop *l, struct sio_desc *descs, unsigned int n)
{
	uint8_t *data = place_data(l->s, &descs[0]);
	uint32_t len = 0;

	for (unsigned int i = 0; i < n; i++)
		len += descs[i].length;
	l->stats->packets++;
	l->stats->bytes += len;
	if (l->cost_ns != 0)
		spend(l->cost_ns);
	if (function_apply(l->fn, data, descs[0].length, len))
		return;
	l->stats->dropped++;
	for (unsigned int i = 0; i < n; i++)
		descs[i].flags |= SIO_DESC_DROP;
}

/*
 * Works on the whole packets among the descriptors read.
 *
 * Returns how many descriptors those are, or -EPROTO.
 */
static int
work_burst(struct loop *l)
{
	unsigned int first = 0;

	for (unsigned int i = 0; i < l->have; i++) {
		const struct sio_desc *d = &l->descs[i];

		if (!place_sound(l->s, d)) {
			worker_say("descriptor %u is outside the payload: block %u "
				   "of "
				   "%u, bytes %u + %u of %u",
				d->position, d->handle, l->s->n_blocks, d->offset, d->length,
				l->s->stride);
			return -EPROTO;
		}
		if (i - first >= L2FWD_CHAIN_MAX) {
			worker_say("a packet of more than %u descriptors", L2FWD_CHAIN_MAX);
			return -EPROTO;
		}
		if (d->flags & SIO_DESC_MORE)
			continue;
		work(l, &l->descs[first], i + 1 - first);
		first = i + 1;
	}
	return (int)first;
}

/* @return n, all of them written, or negative errno */
static int
wait_for_room(struct loop *l, unsigned int n)
{
	uint64_t until = sio_now_ns() + BACK_WAIT_NS;
	int ret;

	do {
		relax();
		ret = sio_rbuff_write_whole(l->s->back, l->descs, n);
		if (ret != 0)
			return ret;
	} while (sio_now_ns() < until);
	return session_owner_lives(l->s) ? -ETIMEDOUT : -EPIPE;
}

/* Whole packets, which come back whole or not at all, also if this process dies in here. */
static int
give_back(struct loop *l, unsigned int n)
{
	int ret = sio_rbuff_write_whole(l->s->back, l->descs, n);

	if (ret == 0)
		ret = wait_for_room(l, n);
	if (ret != (int)n)
		return ret < 0 ? ret : -EPROTO;
	l->have -= n;
	memmove(l->descs, &l->descs[n], l->have * sizeof(l->descs[0]));
	return 0;
}

/* Reads at least one descriptor. @return their number; 0 look at the signals; negative errno */
static int
fetch(struct loop *l)
{
	struct sio_desc *at = &l->descs[l->have];
	int n;

	for (unsigned int spin = 0; spin < SPINS; spin++) {
		n = sio_rbuff_read_burst(l->s->out, at, BURST);
		if (n != 0)
			return n;
		relax();
	}
	if (worker_quit && l->have == 0)
		return 0;
	l->stats->sleeps++;
	n = sio_rbuff_read_timed(l->s->out, at, BURST, sio_now_ns() + L2FWD_LIFE_CHECK_NS);
	if (n != -ETIMEDOUT)
		return n;
	return session_owner_lives(l->s) ? 0 : -EPIPE;
}

static int
ended(int err)
{
	switch (err) {
	case -ESHUTDOWN:
		worker_say("slabio-l2fwd has closed the ring");
		return WORKER_EXIT_ASKED;
	case -EPIPE:
		worker_say("slabio-l2fwd is gone");
		return WORKER_EXIT_GONE;
	case -EPROTO:
		return WORKER_EXIT_PROTOCOL;
	default:
		worker_say("ring: %s", strerror(-err));
		return WORKER_EXIT_PROTOCOL;
	}
}

int
loop_run(const struct session *s, const struct function *fn, uint64_t cost_ns,
	struct worker_stats *stats)
{
	struct loop l = {.s = s, .fn = fn, .cost_ns = cost_ns, .stats = stats};
	int n;

	/* with a part of a packet in hand the rest is read first: l2fwd wrote both at once */
	while (!worker_quit || l.have != 0) {
		n = fetch(&l);
		if (n == 0)
			continue;
		if (n < 0)
			return ended(n);
		l.have += (unsigned int)n;
		stats->bursts++;
		n = work_burst(&l);
		if (n > 0)
			n = give_back(&l, (unsigned int)n);
		if (n < 0)
			return ended(n);
	}
	worker_say("stopped by a signal");
	return WORKER_EXIT_ASKED;
}
