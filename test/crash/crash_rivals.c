/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * DPDK's own mempool handlers and its ring in the same harness, for comparison: killed, and stopped,
 * at every instruction of one burst, then a survivor works on. None of them promises anything about
 * that.
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
#include "rival.h"
#include "stepper.h"

#define OBJECT_SIZE 64u

/*
 * Of CPU time: who needs more for some hundred gets and puts waits for the dead one. Ten times that
 * where it would be a fault.
 */
#define HUNG_US 20000

enum owner { NOBODY, SURVIVOR, VICTIM };

static struct rte_mempool *mp;
static void *held[RIVAL_OBJECTS];
static unsigned int n_held;
static struct crash_scene *scene;

static void
on_time(int sig)
{
	(void)sig;
	crash_fault(scene, CRASH_HUNG, "the survivor waits");
}

void
rival_limit_time(struct crash_scene *s, bool on)
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

	mp = rte_mempool_create_empty("rival", RIVAL_OBJECTS, OBJECT_SIZE, 0, 0, SOCKET_ID_ANY, 0);
	if (mp == NULL)
		crash_fault(s, CRASH_WRONG, "no mempool: %s", rte_strerror(rte_errno));
	crash_ok(s, rte_mempool_set_ops_byname(mp, rival_of(s)->ops, NULL));
	crash_check(s, rte_mempool_populate_default(mp) == RIVAL_OBJECTS);
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
	void *more[RIVAL_BURST];

	find_mempool(s);
	/* something is near it, where that makes a difference, and there is room to put */
	crash_ok(s, rte_mempool_get_bulk(mp, more, RIVAL_BURST));
	if (!rival_of(s)->out)
		crash_ok(s, rte_mempool_get_bulk(mp, u->burst, RIVAL_BURST));
	rte_mempool_put_bulk(mp, more, RIVAL_BURST);
}

/* Nothing but the call, and that it has returned. */
static void
op_mempool(struct crash_scene *s)
{
	struct rival_user *u = s->user;

	if (!rival_of(s)->out)
		rte_mempool_put_bulk(mp, u->burst, RIVAL_BURST);
	else if (rte_mempool_get_bulk(mp, u->burst, RIVAL_BURST) != 0)
		return;
	atomic_store(&u->told, RIVAL_BURST);
}

static void
finish_mempool(struct crash_scene *s)
{
	struct rival_user *u = s->user;

	if (rival_of(s)->out && u->told == RIVAL_BURST)
		rte_mempool_put_bulk(mp, u->burst, RIVAL_BURST);
}

static unsigned int
take_all(struct crash_scene *s)
{
	unsigned int n = 0;

	while (n_held < RIVAL_OBJECTS && take(s, 1) == 0)
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
	rival_limit_time(s, true);
	for (unsigned int i = 0; i < 3; i++) {
		take_all(s);
		give(s, n_held);
		for (unsigned int r = 0; r < RIVAL_ROUNDS; r++)
			if (take(s, RIVAL_BURST) == 0)
				give(s, RIVAL_BURST);
	}
	if (how == CRASH_KILLED && rival_of(s)->recovers) {
		eal_heir_call(s);
		for (unsigned int i = 0; i < RIVAL_OBJECTS; i++)
			atomic_store(&u->owner[i], NOBODY);
	}
	missing = RIVAL_OBJECTS - take_all(s);
	rival_limit_time(s, false);
	if (how == CRASH_STOPPED) {
		give(s, n_held);
		return;
	}
	crash_figure(s, missing);
	/* its burst was in its hands, or may have been */
	if (missing > (rival_of(s)->recovers || how == CRASH_FINISHED ? 0 : RIVAL_BURST))
		crash_fault(s, CRASH_LOST, "%u of %u objects are missing", missing, RIVAL_OBJECTS);
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
	{.name = "SP/SC", .flags = RING_F_SP_ENQ | RING_F_SC_DEQ, .one = true},
	{.name = "SP/SC", .flags = RING_F_SP_ENQ | RING_F_SC_DEQ, .one = true, .out = true},
	{.name = "MP/MC"},
	{.name = "MP/MC", .out = true},
	{.name = "RTS", .flags = RING_F_MP_RTS_ENQ | RING_F_MC_RTS_DEQ},
	{.name = "RTS", .flags = RING_F_MP_RTS_ENQ | RING_F_MC_RTS_DEQ, .out = true},
	{.name = "HTS", .flags = RING_F_MP_HTS_ENQ | RING_F_MC_HTS_DEQ},
	{.name = "HTS", .flags = RING_F_MP_HTS_ENQ | RING_F_MC_HTS_DEQ, .out = true},
};

static void
name_of(const struct rival *r, char *name, size_t len)
{
	if (r->ops != NULL)
		snprintf(name, len, "mempool %s, %s", r->ops, r->out ? "get" : "put");
	else
		snprintf(name, len, "rte_ring %s, %s", r->name, r->out ? "dequeue" : "enqueue");
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
		.setup = rival_ring_setup,
		.prepare = rival_ring_prepare,
		.op = rival_ring_op,
		.finish = rival_ring_finish,
		.survive = rival_ring_survive};

	return crash_sweep(r->ops != NULL ? &mempool : &rings, mode,
		full ? CRASH_EVERY : CRASH_DISTINCT, only, sum);
}

/*
 * True if the row is as it must be: slab without fault, and a ring for one and one beside a stop. Of
 * the others nothing is expected but that they can be swept, and that the harness finds that a ring
 * with several consumers hangs.
 */
static bool
as_expected(const struct rival *r, enum crash_mode mode, int rc, const struct crash_sum *sum)
{
	if (rc != 0 || sum->visited != sum->points || sum->visited == 0)
		return false;
	if (r->recovers || (r->one && mode == CRASH_STOP))
		return sum->verdicts[CRASH_OK] == sum->visited;
	if (strcmp(r->ops != NULL ? r->ops : r->name, r->ops != NULL ? "ring_mp_mc" : "MP/MC") == 0)
		return sum->verdicts[CRASH_HUNG] > 0;
	return true;
}

static void
print_row(const struct rival *r, const char *name, const struct crash_sum *killed,
	const struct crash_sum *stopped)
{
	printf("| %s | %u | %u | %u | %u | %u | ", name, killed->visited,
		killed->verdicts[CRASH_HUNG], killed->verdicts[CRASH_LOST],
		killed->verdicts[CRASH_DOUBLED], killed->verdicts[CRASH_WRONG]);
	/* of a ring's elements none but the burst may be missing anyway */
	if (r->ops != NULL)
		printf("%llu", (unsigned long long)killed->figure);
	printf(" | ");
	if (stopped->visited > 0)
		printf("%u | %u | %u |\n", stopped->visited, stopped->verdicts[CRASH_HUNG],
			stopped->visited - stopped->verdicts[CRASH_HUNG] -
				stopped->verdicts[CRASH_OK]);
	else
		printf(" | | |\n");
}

/* Sweeps one row and prints it. @return 0; 1 it is not as expected; 77 impossible here; 130 */
static int
sweep_row(const struct rival *r, const char *name, bool full, long only)
{
	struct crash_sum killed, stopped = {0};
	const bool stops = full || r->recovers;
	bool good;
	int rc;

	rc = sweep_one(r, CRASH_KILL, full, only, &killed);
	good = as_expected(r, CRASH_KILL, rc, &killed);
	if (rc == 0 && stops) {
		rc = sweep_one(r, CRASH_STOP, full, only, &stopped);
		good &= as_expected(r, CRASH_STOP, rc, &stopped);
	}
	if (rc == -ENOSYS) {
		printf("skipped: stepping needs an x86-64 processor\n");
		return 77;
	}
	if (rc == -EINTR)
		return 130;
	print_row(r, name, &killed, &stopped);
	if (only >= 0 && killed.first[0] != '\0')
		printf("killed: %s\n", killed.first);
	if (only >= 0 && stopped.first[0] != '\0')
		printf("stopped: %s\n", stopped.first);
	if (only < 0 && !good)
		printf("  -> %s: not as expected: %s%s\n", name, killed.first, stopped.first);
	fflush(stdout);
	return only < 0 && !good;
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
	       "| most missing | stopped at | hung | other faults |\n"
	       "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n");
	for (size_t i = 0; i < sizeof(rivals) / sizeof(rivals[0]); i++) {
		char name[64];
		int ret;

		name_of(&rivals[i], name, sizeof(name));
		if (strstr(name, word) == NULL)
			continue;
		ret = sweep_row(&rivals[i], name, full, only);
		if (ret > 1)
			return ret;
		bad |= ret;
	}
	return bad;
}
