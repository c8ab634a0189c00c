/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * DPDK's ring: one burst of the victim into or out of a ring in which two bursts are queued.
 *
 * Elements are numbers that count on. A lap went through before, so that a slot that was not
 * written has an element that was delivered already.
 *
 * After a death the survivor takes the dead one's side as well as its own, as its successor would.
 * Beside a stopped one it works on both sides too, where the ring is for several; else on the side
 * that is not the stopped one's. When that one has gone on, the survivor is the successor, and what
 * both of them were given must be all that was written, once.
 */

#include <errno.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_ring.h>

#include "rival.h"
#include "stepper.h"

#define BURST	  RIVAL_RING_BURST
#define RING_SIZE 64u
#define LAP	  (RING_SIZE + BURST) /* elements that went through before */
#define QUEUED	  (2 * BURST)	      /* when the victim begins */
#define VICTIMS	  (LAP + QUEUED)      /* first of its burst, where it enqueues */
#define OURS	  (VICTIMS + BURST)   /* first that the survivor writes after that */
#define NUMBERS	  (OURS + 3 * (RIVAL_ROUNDS + RING_SIZE) * BURST)

static struct rte_ring *ring;

static void *
element(uintptr_t i)
{
	return (void *)(i + 1);
}

static uintmax_t
number_of(const void *element)
{
	return (uintmax_t)((uintptr_t)element - 1);
}

static void
enqueue(struct crash_scene *s, uintptr_t from, unsigned int n)
{
	void *elements[BURST * 2];

	for (unsigned int i = 0; i < n; i++)
		elements[i] = element(from + i);
	if (rte_ring_enqueue_bulk(ring, elements, n, NULL) != n)
		crash_fault(s, CRASH_HUNG, "the ring has no room for %u of %u", n, RING_SIZE);
}

void
rival_ring_setup(struct crash_scene *s)
{
	void *elements[BURST];

	ring = rte_ring_create(
		"rival", RING_SIZE, SOCKET_ID_ANY, rival_of(s)->flags | RING_F_EXACT_SZ);
	if (ring == NULL)
		crash_fault(s, CRASH_WRONG, "no ring: %s", rte_strerror(rte_errno));
	for (unsigned int i = 0; i < LAP; i += BURST) {
		enqueue(s, i, BURST);
		crash_check(s, rte_ring_dequeue_bulk(ring, elements, BURST, NULL) == BURST);
	}
	enqueue(s, LAP, QUEUED);
	step_watch(ring->memzone->addr, ring->memzone->len);
}

void
rival_ring_prepare(struct crash_scene *s)
{
	ring = rte_ring_lookup("rival");
	crash_check(s, ring != NULL);
}

static void *victims[BURST]; /* its own memory */

void
rival_ring_op(struct crash_scene *s)
{
	struct rival_user *u = s->user;
	unsigned int n = BURST;

	if (rival_of(s)->out)
		n = rte_ring_dequeue_bulk(ring, victims, BURST, NULL);
	else
		enqueue(s, VICTIMS, BURST);
	crash_check(s, n == BURST);
	atomic_store(&u->told, n);
}

void
rival_ring_finish(struct crash_scene *s)
{
	struct rival_user *u = s->user;

	memcpy(u->taken, victims, sizeof(u->taken));
}

/* ---- after a death ---- */

/* The next element is the expected one; what was delivered before is not delivered again. */
static void
next_is(struct crash_scene *s, uintptr_t i)
{
	void *e = NULL;

	if (rte_ring_dequeue(ring, &e) != 0)
		crash_fault(s, CRASH_HUNG, "element %ju does not come", (uintmax_t)i);
	if ((uintptr_t)e <= i)
		crash_fault(s, CRASH_DOUBLED, "element %ju again, expected %ju", number_of(e),
			(uintmax_t)i);
	if (e != element(i))
		crash_fault(s, CRASH_LOST, "element %ju, expected %ju", number_of(e), (uintmax_t)i);
}

/* What comes first after a consumer's death. @return the number of the next element */
static uintptr_t
after_consumer(struct crash_scene *s, unsigned int told)
{
	void *e = NULL;

	/* all of its burst is there or nothing: in any case what it was told is not */
	if (rte_ring_dequeue(ring, &e) != 0)
		crash_fault(s, CRASH_HUNG, "nothing comes");
	if (e != element(LAP + BURST) && (told != 0 || e != element(LAP)))
		crash_fault(s, (uintptr_t)e <= LAP + told ? CRASH_DOUBLED : CRASH_LOST,
			"element %ju comes first", number_of(e));
	return (uintptr_t)e;
}

/* What comes after a producer's death: all that was queued, its burst or not. @return as above */
static uintptr_t
after_producer(struct crash_scene *s, unsigned int told)
{
	void *e = NULL;

	for (uintptr_t i = LAP; i < VICTIMS; i++)
		next_is(s, i);
	if (rte_ring_dequeue(ring, &e) != 0)
		crash_fault(s, CRASH_HUNG, "nothing more comes");
	if ((uintptr_t)e <= VICTIMS)
		crash_fault(s, CRASH_DOUBLED, "element %ju again", number_of(e));
	if (e != element(VICTIMS) && (told != 0 || e != element(OURS)))
		crash_fault(s, CRASH_LOST, "element %ju comes after %ju", number_of(e),
			(uintmax_t)VICTIMS - 1);
	return (uintptr_t)e;
}

static void
survive_death(struct crash_scene *s)
{
	const bool out = rival_of(s)->out;
	const unsigned int told = atomic_load(&((struct rival_user *)s->user)->told);
	/* elements that follow those that may be the victim's */
	const uintptr_t after = out ? VICTIMS : OURS;
	uintptr_t i;

	rival_limit_time(s, true);
	enqueue(s, after, BURST);
	i = out ? after_consumer(s, told) : after_producer(s, told);
	for (; i < after + BURST; i++)
		next_is(s, i);
	for (unsigned int r = 0; r < RIVAL_ROUNDS; r++) {
		enqueue(s, i, BURST);
		for (unsigned int n = 0; n < BURST; n++, i++)
			next_is(s, i);
	}
	rival_limit_time(s, false);
}

/* ---- beside one that stands still ---- */

static bool delivered[NUMBERS];
static uintptr_t written = OURS; /* the number after the last that the survivor wrote */
static uintptr_t last;		 /* of its own that it read */

static void
deliver(struct crash_scene *s, const void *e)
{
	uintptr_t i = (uintptr_t)e - 1;

	if (i >= written || (rival_of(s)->out && i - VICTIMS < BURST))
		crash_fault(s, CRASH_WRONG, "%p was never written", e);
	if (i < LAP || delivered[i])
		crash_fault(s, CRASH_DOUBLED, "element %ju again", number_of(e));
	delivered[i] = true;
}

/* @return how many came */
static unsigned int
read_some(struct crash_scene *s)
{
	void *elements[BURST];
	unsigned int n = rte_ring_dequeue_burst(ring, elements, BURST, NULL);

	for (unsigned int i = 0; i < n; i++) {
		deliver(s, elements[i]);
		/* another producer's may come between */
		if ((uintptr_t)elements[i] - 1 - VICTIMS < BURST)
			continue;
		if ((uintptr_t)elements[i] <= last)
			crash_fault(s, CRASH_WRONG, "element %ju after %ju", number_of(elements[i]),
				(uintmax_t)last - 1);
		last = (uintptr_t)elements[i];
	}
	return n;
}

static void
write_some(struct crash_scene *s)
{
	enqueue(s, written, BURST);
	written += BURST;
}

/* Both sides. Who writes and reads gets something on in each round, or waits for the stopped one. */
static void
work(struct crash_scene *s)
{
	for (unsigned int r = 0; r < RIVAL_ROUNDS; r++) {
		write_some(s);
		if (read_some(s) == 0)
			crash_fault(s, CRASH_HUNG, "nothing comes");
	}
}

static void
survive_stop(struct crash_scene *s)
{
	rival_limit_time(s, true);
	if (!rival_of(s)->one)
		work(s);
	else if (rival_of(s)->out)
		while (rte_ring_free_count(ring) >= BURST)
			write_some(s);
	else
		while (read_some(s) != 0)
			;
	rival_limit_time(s, false);
	if (rival_of(s)->one && !rival_of(s)->out)
		for (uintptr_t i = LAP; i < VICTIMS; i++)
			if (!delivered[i])
				crash_fault(
					s, CRASH_HUNG, "element %ju does not come", (uintmax_t)i);
}

/* The stopped one has ended its operation. */
static void
survive_end(struct crash_scene *s)
{
	const struct rival_user *u = s->user;

	if (rival_of(s)->out)
		for (unsigned int i = 0; i < BURST; i++)
			deliver(s, u->taken[i]);
	rival_limit_time(s, true);
	while (read_some(s) != 0)
		;
	work(s);
	while (read_some(s) != 0)
		;
	rival_limit_time(s, false);
	for (uintptr_t i = LAP; i < written; i++)
		if (!delivered[i] && (!rival_of(s)->out || i - VICTIMS >= BURST))
			crash_fault(s, CRASH_LOST, "element %ju did not come", (uintmax_t)i);
}

void
rival_ring_survive(struct crash_scene *s, enum crash_how how)
{
	if (how == CRASH_KILLED)
		survive_death(s);
	else if (how == CRASH_STOPPED)
		survive_stop(s);
	else
		survive_end(s);
}
