/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "pool_scene.h"

/**
 * Magazines that a victim can carry away: loaded, previous, a round of theft, and one in exchange.
 */
#define MAGAZINES_LOST (2u + 4u + 1u)

struct pool_view view;

static const struct pool_start *
start_of(struct crash_scene *s)
{
	return s->arg;
}

void
view_own(struct crash_scene *s, uint32_t handle)
{
	struct pool_user *u = s->user;
	uint32_t nobody = NOBODY;

	if (handle >= BLOCKS)
		crash_fault(s, CRASH_WRONG, "handle %u from a pool of %u blocks", handle, BLOCKS);
	if (!atomic_compare_exchange_strong(&u->owner[handle], &nobody, view.me))
		crash_fault(s, CRASH_DOUBLED, "block %u was given to %u while it is %u's", handle,
			view.me, nobody);
}

void
view_disown(struct crash_scene *s, uint32_t handle)
{
	struct pool_user *u = s->user;

	atomic_store(&u->owner[handle], NOBODY);
}

/* Memory of a pool whose members all map it alike: every process of a scene is forked from one. */
static unsigned char lent[BLOCKS][64] __attribute__((aligned(64)));

static int
take_addresses(struct crash_scene *s, uint32_t *handles, unsigned int n)
{
	void *blocks[BLOCKS];
	int rc = sio_pool_take_ptr(view.pool, blocks, n);

	for (unsigned int i = 0; rc == 0 && i < n; i++) {
		size_t offset = (size_t)((unsigned char *)blocks[i] - lent[0]);

		if (offset >= sizeof(lent) || offset % sizeof(lent[0]) != 0)
			crash_fault(s, CRASH_WRONG, "%p is no block", blocks[i]);
		handles[i] = (uint32_t)(offset / sizeof(lent[0]));
	}
	return rc;
}

static int
give_addresses(const uint32_t *handles, unsigned int n)
{
	void *blocks[BLOCKS];

	for (unsigned int i = 0; i < n; i++)
		blocks[i] = lent[handles[i]];
	return sio_pool_give_ptr(view.pool, blocks, n);
}

static int
library_take(struct crash_scene *s, uint32_t *handles, unsigned int n)
{
	return start_of(s)->same_map ? take_addresses(s, handles, n)
				     : sio_pool_take(view.pool, handles, n);
}

static void
library_give(struct crash_scene *s, const uint32_t *handles, unsigned int n)
{
	if (start_of(s)->same_map)
		crash_ok(s, give_addresses(handles, n));
	else
		crash_ok(s, sio_pool_give(view.pool, handles, n));
}

static void
library_attach(struct crash_scene *s)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts)};

	crash_ok(s, sio_pool_attach(s->name, &opts, &view.pool));
}

static void
library_create(struct crash_scene *s)
{
	struct sio_pool_opts opts;

	pool_scene_opts(s, &opts);
	crash_ok(s, sio_pool_create(&opts, &view.pool));
	if (start_of(s)->same_map) {
		crash_ok(s, sio_pool_add_memory(view.pool, lent, sizeof(lent[0]), BLOCKS));
		crash_ok(s, sio_pool_publish(view.pool));
	}
}

static void
library_thread_end(struct crash_scene *s)
{
	(void)s;
	sio_pool_thread_end(view.pool);
}

static void
library_leave(struct crash_scene *s)
{
	(void)s;
	sio_pool_detach(view.pool);
}

static void
library_audit(struct crash_scene *s, struct sio_audit_report *report)
{
	struct sio_audit *audit;

	crash_ok(s, sio_audit_begin(view.pool, &audit));
	sio_audit_end(audit, report);
}

static void
library_recover(struct crash_scene *s)
{
	struct sio_recover_report recovered, again;

	crash_ok(s, sio_pool_recover(view.pool, &recovered));
	crash_check(s, recovered.left == 0 && recovered.buried == recovered.dead_members);
	crash_ok(s, sio_pool_recover(view.pool, &again));
	crash_check(
		s, again.dead_members + again.magazines + again.shards + again.blocks_hands == 0);
}

static void
library_destroy(struct crash_scene *s)
{
	(void)s;
	sio_pool_destroy(view.pool);
}

static const struct pool_ways library_ways = {
	.create = library_create,
	.attach = library_attach,
	.take = library_take,
	.give = library_give,
	.thread_end = library_thread_end,
	.leave = library_leave,
	.audit = library_audit,
	.recover = library_recover,
	.destroy = library_destroy,
};

const struct pool_ways *pool_scene_ways = &library_ways;

int
view_take(struct crash_scene *s, unsigned int n)
{
	uint32_t got[BLOCKS];
	int rc = pool_scene_ways->take(s, got, n);

	if (rc != 0)
		return rc;
	for (unsigned int i = 0; i < n; i++) {
		view_own(s, got[i]);
		view.held[view.n++] = got[i];
	}
	return 0;
}

void
view_give(struct crash_scene *s, unsigned int n)
{
	view.n -= n;
	for (unsigned int i = 0; i < n; i++)
		view_disown(s, view.held[view.n + i]);
	pool_scene_ways->give(s, &view.held[view.n], n);
}

unsigned int
view_take_all(struct crash_scene *s)
{
	unsigned int n = 0;
	int rc;

	while ((rc = view_take(s, 1)) == 0)
		n++;
	if (rc != -ENOBUFS)
		crash_fault(s, CRASH_WRONG, "a take gave %d, expected %d", rc, -ENOBUFS);
	return n;
}

void
view_attach(struct crash_scene *s, enum owner me)
{
	view.me = me;
	pool_scene_ways->attach(s);
}

void
pool_scene_opts(struct crash_scene *s, struct sio_pool_opts *opts)
{
	const struct pool_start *st = start_of(s);

	*opts = (struct sio_pool_opts){
		.sz = sizeof(*opts),
		.name = s->name,
		.n_blocks = BLOCKS,
		.block_size = 64,
		.magazine_size = MAGAZINE,
		.max_shards = st->max_shards != 0 ? st->max_shards : 4,
		.flags = (st->exact ? SIO_POOL_EXACT : 0) | (st->same_map ? SIO_POOL_SAME_MAP : 0),
		.lent_payload = st->same_map,
		.backing = SIO_BACKING_FILE,
		.contig_size = st->contig_size,
		.contig_runs = st->contig_runs,
	};
}

void
pool_scene_setup(struct crash_scene *s)
{
	const struct pool_start *st = start_of(s);

	view.me = SURVIVOR;
	pool_scene_ways->create(s);
	for (unsigned int i = 0; i < st->survivor_keeps + st->survivor_returns; i++)
		crash_ok(s, view_take(s, 1));
	for (unsigned int i = 0; i < st->survivor_returns; i++)
		view_give(s, 1);
}

/* Beside a working partner a block can be a while in its hands, and the partner without a CPU. */
static void
patient_take(struct crash_scene *s)
{
	int rc, tries = 0;

	while ((rc = view_take(s, 1)) == -ENOBUFS && s->mode == CRASH_BUSY && ++tries < 20000)
		usleep(100);
	crash_ok(s, rc);
}

void
pool_scene_prepare(struct crash_scene *s)
{
	const struct pool_start *st = start_of(s);

	/* a victim forked from the survivor has its handle already, and nothing of its blocks */
	if (s->c->fork_late) {
		view = (struct pool_view){.pool = view.pool, .me = VICTIM};
	} else {
		view_attach(s, VICTIM);
	}
	for (unsigned int i = 0; i < st->victim_takes; i++)
		patient_take(s);
	for (unsigned int i = 0; i < st->victim_returns; i++)
		view_give(s, 1);
}

/* Some work in several sizes; everything is given back. */
static void
work(struct crash_scene *s, unsigned int rounds)
{
	for (unsigned int i = 0; i < rounds; i++) {
		unsigned int n = i * 5 % 7 + 1;
		int rc = view_take(s, n);

		if (rc == 0)
			view_give(s, n);
		else if (rc != -ENOBUFS)
			crash_fault(s, CRASH_WRONG, "take of %u blocks gave %d", n, rc);
	}
}

void
pool_scene_finish(struct crash_scene *s)
{
	work(s, 20);
	view_take_all(s);
	view_give(s, view.n);
	if (pool_scene_ways->leave != NULL)
		pool_scene_ways->leave(s);
}

void
pool_scene_partner(struct crash_scene *s, uint64_t round)
{
	if (round == 0)
		view_attach(s, PARTNER);
	if (round != UINT64_MAX)
		work(s, 1);
	else if (pool_scene_ways->leave != NULL)
		pool_scene_ways->leave(s);
}

unsigned int
pool_scene_owned(struct crash_scene *s, enum owner who)
{
	const struct pool_user *u = s->user;
	unsigned int n = 0;

	for (unsigned int i = 0; i < BLOCKS; i++)
		n += atomic_load(&u->owner[i]) == who;
	return n;
}

void
pool_scene_survive(struct crash_scene *s, enum crash_how how)
{
	const struct pool_start *st = start_of(s);
	unsigned int missing;

	work(s, 20);
	view_take_all(s);
	missing = BLOCKS - pool_scene_owned(s, SURVIVOR) - pool_scene_owned(s, VICTIM);
	if (how == CRASH_FINISHED) {
		if (missing != 0)
			crash_fault(s, CRASH_LOST, "%u blocks are missing with all alive", missing);
	} else {
		crash_figure(s, missing);
		if (missing > MAGAZINES_LOST * MAGAZINE + st->n)
			crash_fault(s, CRASH_LOST, "%u of %u blocks are missing", missing, BLOCKS);
	}
	if (how == CRASH_STOPPED) {
		/* some of what was stolen stays out, some comes back by way of the depot */
		view_give(s, view.n / 2);
		if (pool_scene_ways->thread_end != NULL)
			pool_scene_ways->thread_end(s);
	}
}

static struct sio_audit_report
audit_now(struct crash_scene *s)
{
	struct sio_audit_report report;

	pool_scene_ways->audit(s, &report);
	return report;
}

void
pool_scene_disown_all(struct crash_scene *s, enum owner who)
{
	struct pool_user *u = s->user;

	for (unsigned int i = 0; i < BLOCKS; i++) {
		uint32_t is = who;

		atomic_compare_exchange_strong(&u->owner[i], &is, NOBODY);
	}
}

void
pool_scene_all_free(struct crash_scene *s)
{
	struct sio_audit_report report = audit_now(s);
	unsigned int n;

	if (report.twice != 0)
		crash_fault(s, CRASH_DOUBLED, "the audit met %u blocks twice", report.twice);
	crash_check(s, sio_audit_clean(&report));
	n = view_take_all(s);
	if (n != BLOCKS)
		crash_fault(s, CRASH_LOST, "%u of %u blocks are free", n, BLOCKS);
	view_give(s, n);
}

/*
 * What the dead had in hands is the pool's again in an exact one, and stays out in a conservative
 * one; everything else comes back in both. Run twice, it changes nothing.
 */
void
pool_scene_recover(struct crash_scene *s)
{
	struct sio_audit_report report;
	unsigned int held = pool_scene_owned(s, VICTIM), n;

	pool_scene_ways->recover(s);
	report = audit_now(s);
	crash_check(s, sio_audit_clean(&report) && report.dead_members == 0);
	crash_quarantined(s, report.quarantined);
	if (start_of(s)->exact) {
		pool_scene_disown_all(s, VICTIM);
		held = 0;
	}
	n = view_take_all(s);
	/* what the operation had taken, or was about to give, is in its hands too */
	if (start_of(s)->exact ? n != BLOCKS : n + held + start_of(s)->n < BLOCKS)
		crash_fault(s, CRASH_LOST, "after recovery %u of %u blocks are there, %u were held",
			n, BLOCKS, held);
	/* in a conservative pool, what is not free is in quarantine: nothing is unexplained */
	if (n + report.quarantined != BLOCKS)
		crash_fault(s, CRASH_LOST, "%u of %u blocks are free and %u in quarantine", n,
			BLOCKS, report.quarantined);
	view_give(s, view.n);
}

void
pool_scene_audit(struct crash_scene *s, enum crash_how how)
{
	struct sio_audit_report report;
	uint32_t met = 0;

	view_give(s, view.n);
	work(s, 20);
	report = audit_now(s);
	for (unsigned int i = 0; i < SIO_PLACES; i++)
		met += report.met[i];
	if (report.twice != 0)
		crash_fault(s, CRASH_DOUBLED, "the audit met %u blocks twice", report.twice);
	crash_check(s, report.strange == 0);
	crash_check(s, report.populated == BLOCKS);
	crash_check(s, met + report.outstanding == BLOCKS);
	crash_check(s, report.holder_wrong == 0);
	if (how == CRASH_FINISHED)
		crash_check(s, met == BLOCKS);
	if (how == CRASH_FINISHED && pool_scene_ways->leave != NULL)
		crash_check(s, sio_audit_clean(&report));
	else
		pool_scene_recover(s);
	pool_scene_ways->destroy(s);
}

void
recoverer_prepare(struct crash_scene *s)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts), .no_recover = true};

	view.me = VICTIM;
	crash_ok(s, sio_pool_attach(s->name, &opts, &view.pool));
}

void
recoverer_op(struct crash_scene *s)
{
	crash_ok(s, sio_pool_recover(view.pool, NULL));
}

void
recoverer_finish(struct crash_scene *s)
{
	(void)s;
	sio_pool_detach(view.pool);
}
