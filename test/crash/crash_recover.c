/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Sweeps over recovery itself: a member dies with blocks in its shard and in hands; the victim
 * recovers, and is killed or stopped at each point of that; a survivor recovers what both left.
 */

#include <signal.h>
#include <unistd.h>

#include "pool_scene.h"

static const struct pool_start *
start_of(struct crash_scene *s)
{
	return s->arg;
}

/* Dies with blocks in hands, and with blocks in its shard. */
static void
die(struct crash_scene *s)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts), .no_recover = true};
	const struct pool_start *st = start_of(s);
	struct sio_pool *pool;
	uint32_t held[BLOCKS];

	if (sio_pool_attach(s->name, &opts, &pool) != 0 ||
		sio_pool_take(pool, held, st->victim_takes) != 0 ||
		sio_pool_give(pool, held, st->victim_returns) != 0)
		_exit(1);
	kill(getpid(), SIGKILL);
	pause();
}

static void
setup(struct crash_scene *s)
{
	pool_scene_setup(s);
	crash_casualty(s, die);
}

/* A stopped recoverer keeps what it has in hand; nothing is to be had twice meanwhile. */
static void
survive(struct crash_scene *s, enum crash_how how)
{
	unsigned int n;

	if (how == CRASH_STOPPED)
		crash_ok(s, sio_pool_recover(view.pool, NULL));
	n = view_take_all(s);
	crash_figure(s, BLOCKS - n);
	view_give(s, view.n);
}

static void
audit(struct crash_scene *s, enum crash_how how)
{
	const struct pool_start *st = start_of(s);
	struct sio_recover_report recovered;
	unsigned int n, in_hands = st->exact ? 0 : st->victim_takes - st->victim_returns;

	(void)how;
	crash_ok(s, sio_pool_recover(view.pool, &recovered));
	crash_check(s, recovered.left == 0);
	n = view_take_all(s);
	if (n != BLOCKS - in_hands)
		crash_fault(s, CRASH_LOST, "after two recoveries %u blocks are there, expected %u",
			n, BLOCKS - in_hands);
	view_give(s, view.n);
	sio_pool_thread_end(view.pool);
	sio_pool_destroy(view.pool);
}

static const struct pool_start exact = {.exact = true, .victim_takes = 11, .victim_returns = 6};
static const struct pool_start conservative = {.victim_takes = 11, .victim_returns = 6};
static const struct pool_start same_map = {
	.same_map = true, .victim_takes = 11, .victim_returns = 6};

#define RECOVER(id, title, start)                           \
	static const struct crash_case id = {.name = title, \
		.through = "sio_depot_give",                \
		.arg = &start,                              \
		.setup = setup,                             \
		.prepare = recoverer_prepare,               \
		.op = recoverer_op,                         \
		.finish = recoverer_finish,                 \
		.survive = survive,                         \
		.audit = audit}

RECOVER(recover_exact, "recovery, exact", exact);
RECOVER(recover_conservative, "recovery, conservative", conservative);
RECOVER(recover_same_map, "recovery, addresses", same_map);

int
main(int argc, char **argv)
{
	/* clang-format off */
	static const struct crash_row rows[] = {
		{&recover_exact, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&recover_conservative, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&recover_same_map, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&recover_exact, CRASH_STOP, CRASH_DISTINCT, CRASH_DEEP},
		{&recover_conservative, CRASH_STOP, CRASH_NONE, CRASH_DEEP},
	};
	/* clang-format on */

	return crash_main(argc, argv, rows, sizeof(rows) / sizeof(rows[0]));
}
