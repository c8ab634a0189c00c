/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Sweeps over creating, publishing, attaching to and leaving pools, and over a forked child's first
 * operation.
 */

#include <errno.h>

#include "pool_scene.h"

static const struct pool_start *
start_of(struct crash_scene *s)
{
	return s->arg;
}

/* ---- members of a pool that the survivor made ---- */

static void
no_prepare(struct crash_scene *s)
{
	(void)s;
	view.me = VICTIM;
}

static void
op_attach(struct crash_scene *s)
{
	view_attach(s, VICTIM);
}

static void
op_detach(struct crash_scene *s)
{
	(void)s;
	sio_pool_detach(view.pool);
	view.pool = NULL;
}

static void
op_first_take(struct crash_scene *s)
{
	int rc = view_take(s, start_of(s)->n);

	if (rc != 0 && (s->mode == CRASH_KILL || rc != -ENOBUFS))
		crash_fault(s, CRASH_WRONG, "the first take gave %d", rc);
}

static void
finish(struct crash_scene *s)
{
	if (view.pool != NULL)
		pool_scene_finish(s);
}

static const struct pool_start plain = {.n = 3};
static const struct pool_start exact = {.exact = true, .n = 3};
/* two magazines with blocks in the shard, nothing in hand */
static const struct pool_start with_shard = {.victim_takes = 7, .victim_returns = 7, .n = 1};
static const struct pool_start with_shard_exact = {
	.exact = true, .victim_takes = 7, .victim_returns = 7, .n = 1};

#define MEMBER(id, title, state, ready, act, late, path)    \
	static const struct crash_case id = {.name = title, \
		.through = path,                            \
		.arg = &state,                              \
		.setup = pool_scene_setup,                  \
		.prepare = ready,                           \
		.op = act,                                  \
		.finish = finish,                           \
		.survive = pool_scene_survive,              \
		.audit = pool_scene_audit,                  \
		.fork_late = late}

MEMBER(attach, "pool attach", plain, no_prepare, op_attach, false, NULL);
MEMBER(detach, "pool detach", with_shard, pool_scene_prepare, op_detach, false, "sio_local_flush");
MEMBER(detach_exact, "pool detach, exact", with_shard_exact, pool_scene_prepare, op_detach, false,
	"sio_local_flush");
MEMBER(forked, "first take of a forked child", plain, pool_scene_prepare, op_first_take, true,
	"sio_segment_rejoin");
MEMBER(forked_exact, "first take of a forked child, exact", exact, pool_scene_prepare,
	op_first_take, true, "sio_segment_rejoin");

/* ---- the victim is the creator ---- */

static void
op_create(struct crash_scene *s)
{
	struct sio_pool_opts opts;
	int rc;

	pool_scene_opts(s, &opts);
	rc = sio_pool_create(&opts, &view.pool);
	if (rc != 0 && (s->mode == CRASH_KILL || rc != -EEXIST))
		crash_fault(s, CRASH_WRONG, "creating gave %d", rc);
}

static void
finish_creator(struct crash_scene *s)
{
	(void)s;
	if (view.pool != NULL)
		sio_pool_destroy(view.pool);
}

/* A pool that can be attached to is complete: every block of it is there. */
static void
use_if_there(struct crash_scene *s)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts)};
	int rc = sio_pool_attach(s->name, &opts, &view.pool);

	view.me = SURVIVOR;
	if (rc == -ENOENT)
		return;
	crash_ok(s, rc);
	crash_check(s, view_take_all(s) == BLOCKS);
	view_give(s, BLOCKS);
	sio_pool_detach(view.pool);
}

static void
create_again(struct crash_scene *s)
{
	struct sio_pool_opts opts;

	pool_scene_opts(s, &opts);
	view.me = SURVIVOR;
	crash_ok(s, sio_pool_create(&opts, &view.pool));
	crash_check(s, view_take_all(s) == BLOCKS);
	pool_scene_audit(s, CRASH_FINISHED);
}

static void
create_beside(struct crash_scene *s)
{
	struct sio_pool_opts opts;
	int rc;

	pool_scene_opts(s, &opts);
	rc = sio_pool_create(&opts, &view.pool);
	if (rc == 0)
		sio_pool_destroy(view.pool);
	else if (rc != -EEXIST && rc != -EBUSY)
		crash_fault(s, CRASH_WRONG, "creating beside a stopped creator gave %d", rc);
}

static void
survive_creator(struct crash_scene *s, enum crash_how how)
{
	crash_successor(s, use_if_there);
	crash_successor(s, how == CRASH_STOPPED ? create_beside : create_again);
}

static const struct crash_case create = {.name = "pool create",
	.arg = &plain,
	.op = op_create,
	.finish = finish_creator,
	.survive = survive_creator};
static const struct crash_case create_exact = {.name = "pool create, exact",
	.arg = &exact,
	.op = op_create,
	.finish = finish_creator,
	.survive = survive_creator};

static void
op_destroy(struct crash_scene *s)
{
	(void)s;
	sio_pool_destroy(view.pool);
	view.pool = NULL;
}

static void
prepare_destroy(struct crash_scene *s)
{
	op_create(s);
}

static const struct crash_case destroy = {.name = "pool destroy",
	.arg = &plain,
	.prepare = prepare_destroy,
	.op = op_destroy,
	.finish = finish_creator,
	.survive = survive_creator};

/* ---- memory is added to a pool that others use already ---- */

#define HALF (BLOCKS / 2)

static unsigned char lent[BLOCKS][64] __attribute__((aligned(64)));

static void
prepare_lent(struct crash_scene *s)
{
	struct sio_pool_opts opts;

	pool_scene_opts(s, &opts);
	opts.lent_payload = true;
	crash_ok(s, sio_pool_create(&opts, &view.pool));
	crash_ok(s, sio_pool_add_memory(view.pool, lent, sizeof(lent[0]), HALF));
	crash_ok(s, sio_pool_publish(view.pool));
}

static void
arrange_lent(struct crash_scene *s)
{
	view_attach(s, SURVIVOR);
	crash_check(s, view_take_all(s) == HALF);
	view_give(s, HALF / 2);
}

static void
op_add_memory(struct crash_scene *s)
{
	crash_ok(s, sio_pool_add_memory(view.pool, lent[HALF], sizeof(lent[0]), HALF));
}

static void
survive_lent(struct crash_scene *s, enum crash_how how)
{
	struct sio_pool_info info;

	view_take_all(s);
	sio_pool_info(view.pool, &info);
	crash_check(s, view.n >= HALF && view.n <= BLOCKS);
	if (how == CRASH_FINISHED)
		crash_check(s, view.n == BLOCKS && info.populated == BLOCKS);
	crash_figure(s, BLOCKS - view.n);
	if (how == CRASH_STOPPED)
		view_give(s, view.n / 2);
}

static void
audit_lent(struct crash_scene *s, enum crash_how how)
{
	struct sio_audit_report report;
	struct sio_audit *audit;
	uint32_t met = 0;

	view_give(s, view.n);
	crash_ok(s, sio_audit_begin(view.pool, &audit));
	sio_audit_end(audit, &report);
	for (unsigned int i = 0; i < SIO_PLACES; i++)
		met += report.met[i];
	crash_check(s, report.twice == 0 && report.strange == 0 && report.holder_wrong == 0);
	crash_check(s, report.populated <= BLOCKS);
	if (how == CRASH_FINISHED)
		crash_check(s, met == BLOCKS);
	sio_pool_destroy(view.pool);
}

static void
finish_lent(struct crash_scene *s)
{
	(void)s;
	sio_pool_detach(view.pool);
}

static const struct crash_case add_memory = {.name = "pool add memory",
	.through = "sio_pool_populate",
	.arg = &plain,
	.prepare = prepare_lent,
	.arrange = arrange_lent,
	.op = op_add_memory,
	.finish = finish_lent,
	.survive = survive_lent,
	.audit = audit_lent};

int
main(int argc, char **argv)
{
	/* clang-format off */
	static const struct crash_row rows[] = {
		{&attach, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&detach, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&detach_exact, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&forked, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&forked_exact, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&create, CRASH_KILL, CRASH_SAMPLE, CRASH_DEEP},
		{&create_exact, CRASH_KILL, CRASH_NONE, CRASH_DEEP},
		{&destroy, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&add_memory, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&add_memory, CRASH_STOP, CRASH_DISTINCT, CRASH_DEEP},
		{&attach, CRASH_STOP, CRASH_DISTINCT, CRASH_DEEP},
		{&detach, CRASH_STOP, CRASH_DISTINCT, CRASH_DEEP},
		{&forked, CRASH_STOP, CRASH_DISTINCT, CRASH_DEEP},
		{&create, CRASH_STOP, CRASH_NONE, CRASH_DISTINCT},
		{&destroy, CRASH_STOP, CRASH_NONE, CRASH_DISTINCT},
	};
	/* clang-format on */

	return crash_main(argc, argv, rows, sizeof(rows) / sizeof(rows[0]));
}
