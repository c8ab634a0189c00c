/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * DPDK's own mempool handlers and its ring in the same harness, for comparison: killed at every
 * instruction of one burst, then a survivor works on. None of them promises anything about that.
 *
 * Objects that the dead one had in its hands are missing by nature: a point counts as lost only if
 * more are missing than its burst. The rows of "slab" are the same scenes, with recovery.
 */

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include <rte_errno.h>
#include <rte_mempool.h>
#include <rte_ring.h>

#include "eal_world.h"
#include "stepper.h"

#define OBJECTS	    32u
#define OBJECT_SIZE 64u
#define BURST	    4u
#define ROUNDS	    64u
#define RING_SIZE   64u
#define RING_BURST  8u
#define LAP	    (RING_SIZE + RING_BURST) /* elements that went through before */

/*
 * Of CPU time: who needs more for some hundred gets and puts waits for the dead one. Ten times that
 * where it would be a fault.
 */
#define HUNG_US 20000

enum owner { NOBODY, SURVIVOR, VICTIM };

/** One structure and one operation on it. */
struct rival {
	const char *ops;    /**< of a mempool; NULL: a ring */
	unsigned int flags; /**< of the ring */
	bool out;	    /**< get or dequeue, else put or enqueue */
	bool recovers;	    /**< another process joins, which recovers */
};

struct rival_user {
	_Atomic uint32_t owner[OBJECTS];
	void *burst[BURST];    /**< what the victim gets or puts */
	_Atomic uint32_t told; /**< objects or elements of its operation, when it has returned */
};

static struct rte_mempool *mp;
static struct rte_ring *ring;
static void *held[OBJECTS];
static unsigned int n_held;
static struct crash_scene *scene;

static const struct rival *
rival_of(struct crash_scene *s)
{
	return s->arg;
}

static void
on_time(int sig)
{
	(void)sig;
	crash_fault(scene, CRASH_HUNG, "the survivor waits");
}

/** The survivor's calls return in time or it is hung. */
static void
limit_time(struct crash_scene *s, bool on)
{
	const struct itimerval limit = {
		.it_value.tv_usec = !on ? 0 : HUNG_US * (rival_of(s)->recovers ? 10 : 1)};

	scene = s;
	signal(SIGPROF, on_time);
	setitimer(ITIMER_PROF, &limit, NULL);
}

/* ---- mempools ---- */

static uint32_t
number_of(struct crash_scene *s, const void *object)
{
	const struct rte_mempool_objhdr *hdr;
	uint32_t n = 0;

	STAILQ_FOREACH(hdr, &mp->elt_list, next)
	{
		if ((const char *)object == (const char *)hdr + sizeof(*hdr))
			return n;
		n++;
	}
	crash_fault(s, CRASH_WRONG, "%p is no object", object);
}

static void
own(struct crash_scene *s, const void *object, enum owner who)
{
	struct rival_user *u = s->user;
	uint32_t nobody = NOBODY, o = number_of(s, object);

	if (!atomic_compare_exchange_strong(&u->owner[o], &nobody, who))
		crash_fault(s, CRASH_DOUBLED, "object %u was given out twice", o);
}

static int
take(struct crash_scene *s, unsigned int n)
{
	int rc = rte_mempool_get_bulk(mp, &held[n_held], n);

	for (unsigned int i = 0; rc == 0 && i < n; i++)
		own(s, held[n_held++], SURVIVOR);
	return rc;
}

static void
give(struct crash_scene *s, unsigned int n)
{
	struct rival_user *u = s->user;

	n_held -= n;
	for (unsigned int i = 0; i < n; i++)
		atomic_store(&u->owner[number_of(s, held[n_held + i])], NOBODY);
	rte_mempool_put_bulk(mp, &held[n_held], n);
}

static void
find_mempool(struct crash_scene *s)
{
	void *none = NULL;

	mp = rte_mempool_lookup("rival");
	crash_check(s, mp != NULL);
	/* slab joins the pool at the first call */
	if (rival_of(s)->recovers)
		rte_mempool_put_bulk(mp, &none, 0);
}

static void
setup_mempool(struct crash_scene *s)
{
	const struct rte_memzone *zone;
	const struct rte_ring *r;

	mp = rte_mempool_create_empty("rival", OBJECTS, OBJECT_SIZE, 0, 0, SOCKET_ID_ANY, 0);
	if (mp == NULL)
		crash_fault(s, CRASH_WRONG, "no mempool: %s", rte_strerror(rte_errno));
	crash_ok(s, rte_mempool_set_ops_byname(mp, rival_of(s)->ops, NULL));
	crash_check(s, rte_mempool_populate_default(mp) == OBJECTS);
	/* what the handler allocated for itself: a ring or a stack, in a memzone or beside it */
	r = mp->pool_data;
	zone = strncmp(rival_of(s)->ops, "ring", 4) == 0 ? r->memzone : NULL;
	if (zone != NULL)
		step_watch(zone->addr, zone->len);
	else
		step_watch(mp->pool_data, 4096);
}

static void
prepare_mempool(struct crash_scene *s)
{
	struct rival_user *u = s->user;
	void *more[BURST];

	find_mempool(s);
	/* something is near it, where that makes a difference, and there is room to put */
	crash_ok(s, rte_mempool_get_bulk(mp, more, BURST));
	if (!rival_of(s)->out)
		crash_ok(s, rte_mempool_get_bulk(mp, u->burst, BURST));
	rte_mempool_put_bulk(mp, more, BURST);
}

/* Nothing but the call, and that it has returned. */
static void
op_mempool(struct crash_scene *s)
{
	struct rival_user *u = s->user;

	if (!rival_of(s)->out)
		rte_mempool_put_bulk(mp, u->burst, BURST);
	else if (rte_mempool_get_bulk(mp, u->burst, BURST) != 0)
		return;
	atomic_store(&u->told, BURST);
}

static void
finish_mempool(struct crash_scene *s)
{
	struct rival_user *u = s->user;

	if (rival_of(s)->out && u->told == BURST)
		rte_mempool_put_bulk(mp, u->burst, BURST);
}

static unsigned int
take_all(struct crash_scene *s)
{
	unsigned int n = 0;

	while (n_held < OBJECTS && take(s, 1) == 0)
		n++;
	return n;
}

/* Takes down to the last object and gives it back, and works in bursts, for a bounded time. */
static void
survive_mempool(struct crash_scene *s, enum crash_how how)
{
	struct rival_user *u = s->user;
	unsigned int missing;

	if (how == CRASH_KILLED && rival_of(s)->out)
		for (unsigned int i = 0; i < atomic_load(&u->told); i++)
			own(s, u->burst[i], VICTIM);
	limit_time(s, true);
	for (unsigned int i = 0; i < 3; i++) {
		take_all(s);
		give(s, n_held);
		for (unsigned int r = 0; r < ROUNDS; r++)
			if (take(s, BURST) == 0)
				give(s, BURST);
	}
	if (how == CRASH_KILLED && rival_of(s)->recovers) {
		eal_heir_call(s);
		for (unsigned int i = 0; i < OBJECTS; i++)
			atomic_store(&u->owner[i], NOBODY);
	}
	missing = OBJECTS - take_all(s);
	limit_time(s, false);
	if (how == CRASH_STOPPED) {
		give(s, n_held);
		return;
	}
	crash_figure(s, missing);
	/* its burst was in its hands, or may have been */
	if (missing > (rival_of(s)->recovers || how == CRASH_FINISHED ? 0 : BURST))
		crash_fault(s, CRASH_LOST, "%u of %u objects are missing", missing, OBJECTS);
}

static void
audit_mempool(struct crash_scene *s, enum crash_how how)
{
	(void)s;
	(void)how;
	give(s, n_held);
	rte_mempool_free(mp);
}

static void
come_after(struct crash_scene *s)
{
	find_mempool(s);
}

static void
world(struct crash_scene *s)
{
	eal_world_copy(s);
	if (rival_of(s)->recovers)
		eal_heir_fork(s, come_after);
}

/* ---- rings ---- */

/*
 * Elements are numbers that count on. A lap went through before, so that a slot that was not
 * written has an element that was delivered already.
 */
static void *
element(uintptr_t i)
{
	return (void *)(i + 1);
}

static void
enqueue(struct crash_scene *s, uintptr_t from, unsigned int n)
{
	void *elements[LAP];

	for (unsigned int i = 0; i < n; i++)
		elements[i] = element(from + i);
	if (rte_ring_enqueue_bulk(ring, elements, n, NULL) != n)
		crash_fault(s, CRASH_LOST, "the ring has no room for %u of %u", n, RING_SIZE);
}

static void
setup_ring(struct crash_scene *s)
{
	void *elements[LAP];

	ring = rte_ring_create(
		"rival", RING_SIZE, SOCKET_ID_ANY, rival_of(s)->flags | RING_F_EXACT_SZ);
	if (ring == NULL)
		crash_fault(s, CRASH_WRONG, "no ring: %s", rte_strerror(rte_errno));
	for (unsigned int i = 0; i < LAP; i += RING_BURST) {
		enqueue(s, i, RING_BURST);
		crash_check(
			s, rte_ring_dequeue_bulk(ring, elements, RING_BURST, NULL) == RING_BURST);
	}
	/* queued when the victim begins */
	enqueue(s, LAP, 2 * RING_BURST);
	step_watch(ring->memzone->addr, ring->memzone->len);
}

static void
prepare_ring(struct crash_scene *s)
{
	ring = rte_ring_lookup("rival");
	crash_check(s, ring != NULL);
}

static void
op_ring(struct crash_scene *s)
{
	struct rival_user *u = s->user;
	void *elements[RING_BURST];
	unsigned int n = RING_BURST;

	if (rival_of(s)->out)
		n = rte_ring_dequeue_bulk(ring, elements, RING_BURST, NULL);
	else
		enqueue(s, LAP + 2 * RING_BURST, RING_BURST);
	crash_check(s, n == RING_BURST);
	atomic_store(&u->told, n);
}

/* The next element is the expected one; what was delivered before is not delivered again. */
static bool
next_is(struct crash_scene *s, uintptr_t i)
{
	void *e;

	if (rte_ring_dequeue(ring, &e) != 0)
		return false;
	if ((uintptr_t)e <= i)
		crash_fault(s, CRASH_DOUBLED, "element %ju again, expected %ju",
			(uintmax_t)((uintptr_t)e - 1), (uintmax_t)i);
	if (e != element(i))
		crash_fault(s, CRASH_LOST, "element %ju, expected %ju",
			(uintmax_t)((uintptr_t)e - 1), (uintmax_t)i);
	return true;
}

/* The survivor takes the dead one's side as well as its own, as its successor would. */
static void
survive_ring(struct crash_scene *s, enum crash_how how)
{
	const bool out = rival_of(s)->out;
	const unsigned int told = atomic_load(&((struct rival_user *)s->user)->told);
	/* elements that follow those that may be the victim's, and the first one to be delivered */
	const uintptr_t after = LAP + (out ? 2u : 3u) * RING_BURST;
	uintptr_t i = LAP;
	void *e;

	(void)how;
	limit_time(s, true);
	enqueue(s, after, RING_BURST);
	if (out) {
		/* all of its burst is there or nothing: in any case what it was told is not */
		if (rte_ring_dequeue(ring, &e) != 0)
			crash_fault(s, CRASH_LOST, "nothing comes");
		if (e != element(LAP + RING_BURST) && (told != 0 || e != element(LAP)))
			crash_fault(s, (uintptr_t)e <= LAP + told ? CRASH_DOUBLED : CRASH_LOST,
				"element %ju comes first", (uintmax_t)((uintptr_t)e - 1));
		i = (uintptr_t)e;
	} else {
		while (i < LAP + 2 * RING_BURST && next_is(s, i))
			i++;
		if (i < LAP + 2 * RING_BURST)
			crash_fault(s, CRASH_LOST, "element %ju does not come", (uintmax_t)i);
		/* its burst, or the survivor's own */
		if (rte_ring_dequeue(ring, &e) != 0)
			crash_fault(s, CRASH_LOST, "nothing more comes");
		if ((uintptr_t)e <= i)
			crash_fault(s, CRASH_DOUBLED, "element %ju again",
				(uintmax_t)((uintptr_t)e - 1));
		if (e != element(i) && (told != 0 || e != element(after)))
			crash_fault(s, CRASH_LOST, "element %ju comes after %ju",
				(uintmax_t)((uintptr_t)e - 1), (uintmax_t)i);
		i = (uintptr_t)e;
	}
	for (; i < after + RING_BURST; i++)
		if (!next_is(s, i))
			crash_fault(s, CRASH_LOST, "element %ju does not come", (uintmax_t)i);
	for (unsigned int r = 0; r < ROUNDS; r++) {
		enqueue(s, i, RING_BURST);
		for (unsigned int n = 0; n < RING_BURST; n++, i++)
			if (!next_is(s, i))
				crash_fault(
					s, CRASH_LOST, "element %ju does not come", (uintmax_t)i);
	}
	limit_time(s, false);
}

/* ---- the table ---- */

static const struct rival rivals[] = {
	{.ops = "slab", .out = true, .recovers = true},
	{.ops = "slab", .recovers = true},
	{.ops = "ring_mp_mc", .out = true},
	{.ops = "ring_mp_mc"},
	{.ops = "ring_mt_rts", .out = true},
	{.ops = "ring_mt_rts"},
	{.ops = "ring_mt_hts", .out = true},
	{.ops = "ring_mt_hts"},
	{.ops = "stack", .out = true},
	{.ops = "stack"},
	{.ops = "lf_stack", .out = true},
	{.ops = "lf_stack"},
	{.flags = RING_F_SP_ENQ | RING_F_SC_DEQ},
	{.flags = RING_F_SP_ENQ | RING_F_SC_DEQ, .out = true},
	{.flags = 0},
	{.flags = 0, .out = true},
};

static void
name_of(const struct rival *r, char *name, size_t len)
{
	if (r->ops != NULL)
		snprintf(name, len, "mempool %s, %s", r->ops, r->out ? "get" : "put");
	else
		snprintf(name, len, "rte_ring %s, %s", r->flags == 0 ? "MP/MC" : "SP/SC",
			r->out ? "dequeue" : "enqueue");
}

static int
sweep_one(const struct rival *r, enum crash_mode mode, bool full, long only, struct crash_sum *sum)
{
	const struct crash_case mempool = {.name = "rival",
		.arg = r,
		.world = world,
		.setup = setup_mempool,
		.prepare = prepare_mempool,
		.op = op_mempool,
		.finish = finish_mempool,
		.survive = survive_mempool,
		.audit = audit_mempool};
	const struct crash_case rings = {.name = "rival",
		.arg = r,
		.world = eal_world_copy,
		.setup = setup_ring,
		.prepare = prepare_ring,
		.op = op_ring,
		.survive = survive_ring};

	return crash_sweep(r->ops != NULL ? &mempool : &rings, mode,
		full ? CRASH_EVERY : CRASH_DISTINCT, only, sum);
}

/*
 * True if the row is as it must be: slab without fault. Of the others nothing is expected but that
 * they can be swept, and that the harness finds that a ring with several consumers hangs.
 */
static bool
as_expected(const struct rival *r, int rc, const struct crash_sum *sum)
{
	if (rc != 0 || sum->visited != sum->points || sum->visited == 0)
		return false;
	if (r->recovers)
		return sum->verdicts[CRASH_OK] == sum->visited;
	if (r->ops != NULL && strcmp(r->ops, "ring_mp_mc") == 0)
		return sum->verdicts[CRASH_HUNG] > 0;
	return true;
}

int
main(int argc, char **argv)
{
	const char *env = getenv("SLABIO_CRASH_FULL"), *word = "";
	const bool full = env != NULL && strcmp(env, "1") == 0;
	long only = -1;
	int bad = 0;

	if (argc > 2 && strcmp(argv[1], "-k") == 0)
		only = strtol(argv[2], NULL, 10);
	if (argc > 1 && argv[argc - 1][0] != '-' && (only < 0 || argc > 3))
		word = argv[argc - 1];
	eal_world_start(argv, "[default]\nmode=exact\nmagazine=4\n", NULL, NULL);
	crash_limits.faults_max = crash_limits.hung_max = UINT32_MAX;
	printf("| structure, operation | killed at | hung | lost | doubled | other faults "
	       "| most missing | stopped at | hung |\n"
	       "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n");
	for (size_t i = 0; i < sizeof(rivals) / sizeof(rivals[0]); i++) {
		const struct rival *r = &rivals[i];
		struct crash_sum killed, stopped = {0};
		char name[64];
		int rc;

		name_of(r, name, sizeof(name));
		if (strstr(name, word) == NULL)
			continue;
		rc = sweep_one(r, CRASH_KILL, full, only, &killed);
		if (rc == 0 && r->ops != NULL && (full || r->recovers))
			rc = sweep_one(r, CRASH_STOP, full, only, &stopped);
		if (rc == -ENOSYS) {
			printf("skipped: stepping needs an x86-64 processor\n");
			return 77;
		}
		if (rc == -EINTR)
			return 130;
		printf("| %s | %u | %u | %u | %u | %u | ", name, killed.visited,
			killed.verdicts[CRASH_HUNG], killed.verdicts[CRASH_LOST],
			killed.verdicts[CRASH_DOUBLED], killed.verdicts[CRASH_WRONG]);
		/* of a ring's elements none but the burst may be missing anyway */
		if (r->ops != NULL)
			printf("%llu", (unsigned long long)killed.figure);
		printf(" | ");
		if (stopped.visited > 0)
			printf("%u | %u |\n", stopped.visited, stopped.verdicts[CRASH_HUNG]);
		else
			printf(" | |\n");
		if (only >= 0 && killed.first[0] != '\0')
			printf("killed: %s\n", killed.first);
		if (only >= 0 && stopped.first[0] != '\0')
			printf("stopped: %s\n", stopped.first);
		if (only < 0 && (!as_expected(r, rc, &killed) ||
					(r->recovers && !as_expected(r, rc, &stopped)))) {
			printf("  -> %s: not as expected: %s%s\n", name, killed.first,
				stopped.first);
			bad = 1;
		}
		fflush(stdout);
	}
	return bad;
}
