/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Sweeps over get and put of mempools on the ops "slab", through the drivers as they are installed,
 * with victims forked from an initialised EAL. The states are those of crash_pool: 24 objects in
 * magazines of 4.
 */

#include <errno.h>

#include "eal_world.h"
#include "mempool_scene.h"

static const struct pool_start *
start_of(struct crash_scene *s)
{
	return s->arg;
}

static void
op_get(struct crash_scene *s)
{
	const struct pool_start *st = start_of(s);
	int rc = view_take(s, st->n);

	/* others work meanwhile: there may be more or less than there was */
	if (rc != st->expect && (s->mode == CRASH_KILL || (rc != 0 && rc != -ENOBUFS)))
		crash_fault(s, CRASH_WRONG, "the get gave %d, expected %d", rc, st->expect);
}

static void
op_put(struct crash_scene *s)
{
	view_give(s, start_of(s)->n);
}

/* The mempool was found, as by a secondary; its first get joins the pool. */
static void
prepare_first(struct crash_scene *s)
{
	view.me = VICTIM;
	mempool_scene_find(s);
}

/* ---- states, as in crash_pool ---- */

static const struct pool_start one = {
	.exact = true, .victim_takes = 4, .victim_returns = 4, .n = 1};
static const struct pool_start one_room = {
	.exact = true, .victim_takes = 4, .victim_returns = 2, .n = 1};
static const struct pool_start bulk = {
	.exact = true, .victim_takes = 4, .victim_returns = 4, .n = 4};
static const struct pool_start bulk_held = {.victim_takes = 4, .victim_returns = 4, .n = 4};
static const struct pool_start room = {
	.exact = true, .victim_takes = 4, .victim_returns = 2, .n = 2};
static const struct pool_start room_held = {.victim_takes = 4, .victim_returns = 2, .n = 2};
/* the loaded magazine is empty, as is the one before */
static const struct pool_start empty = {.exact = true, .victim_takes = 8, .n = 3};
/* the same, and the depot's magazines carry the survivor's name */
static const struct pool_start others = {.exact = true, .survivor_returns = BLOCKS, .n = 11};
/* twelve in hand, nothing in the shard: putting fills two magazines and begins a third */
static const struct pool_start many = {.exact = true, .victim_takes = 12, .n = 12};
static const struct pool_start many_held = {.victim_takes = 12, .n = 12};
/* the depot is dry and the survivor's shard has six */
static const struct pool_start dry = {
	.exact = true, .survivor_keeps = 18, .survivor_returns = 6, .n = 3};
static const struct pool_start dry_held = {.survivor_keeps = 18, .survivor_returns = 6, .n = 3};
/* fewer than asked for in all: nothing is moved */
static const struct pool_start too_few = {
	.exact = true, .survivor_keeps = 14, .survivor_returns = 6, .n = 12, .expect = -ENOBUFS};
/* nothing at all is free */
static const struct pool_start none = {
	.exact = true, .survivor_keeps = BLOCKS, .n = 1, .expect = -ENOBUFS};
/* all that is free is in the victim's shard: who else wants it must steal it */
static const struct pool_start owner = {
	.exact = true, .survivor_keeps = 16, .victim_takes = 8, .victim_returns = 8, .n = 6};
static const struct pool_start owner_put = {
	.exact = true, .survivor_keeps = 16, .victim_takes = 8, .victim_returns = 5, .n = 2};
/* the only shard is the survivor's */
static const struct pool_start no_shard = {.max_shards = 1, .survivor_returns = 1, .n = 3};
static const struct pool_start no_shard_put = {
	.max_shards = 1, .survivor_returns = 1, .victim_takes = 6, .n = 6};
static const struct pool_start fresh = {.exact = true, .n = 3};
static const struct pool_start fresh_held = {.n = 3};

#define CASE_FROM(id, title, ready, fn, state, path, late)  \
	static const struct crash_case id = {.name = title, \
		.through = path,                            \
		.arg = &state,                              \
		.world = mempool_scene_world,               \
		.setup = pool_scene_setup,                  \
		.prepare = ready,                           \
		.op = fn,                                   \
		.finish = pool_scene_finish,                \
		.partner = pool_scene_partner,              \
		.survive = pool_scene_survive,              \
		.audit = pool_scene_audit,                  \
		.fork_late = late}
#define CASE(id, title, fn, state, path) \
	CASE_FROM(id, title, pool_scene_prepare, fn, state, path, false)

CASE(get_one, "mempool get", op_get, one, NULL);
CASE(put_one, "mempool put", op_put, one_room, NULL);
CASE(get_bulk, "mempool get bulk", op_get, bulk, NULL);
CASE(get_bulk_held, "mempool get bulk, conservative", op_get, bulk_held, NULL);
CASE(put_bulk, "mempool put bulk", op_put, room, NULL);
CASE(put_bulk_held, "mempool put bulk, conservative", op_put, room_held, NULL);
CASE(get_exchange, "mempool get, exchange", op_get, empty, "exchange");
CASE(get_over, "mempool get, take over three magazines", op_get, others, "sio_take_over");
CASE(put_exchange, "mempool put, exchange", op_put, many, "sio_depot_give");
CASE(put_exchange_held, "mempool put, exchange, conservative", op_put, many_held, "sio_depot_give");
CASE(steal, "mempool get, steal, as thief", op_get, dry, "sio_steal_round");
CASE(steal_held, "mempool get, steal, as thief, conservative", op_get, dry_held, "sio_steal_round");
CASE(steal_few, "mempool get, steal, too few", op_get, too_few, "sio_steal_round");
CASE(get_none, "mempool get, nothing free", op_get, none, "take_slow");
CASE(stolen_get, "mempool get, stolen from", op_get, owner, "take_slow");
CASE(stolen_put, "mempool put, stolen from", op_put, owner_put, NULL);
CASE(get_no_shard, "mempool get without a shard", op_get, no_shard, "sio_depot_give");
CASE(put_no_shard, "mempool put without a shard", op_put, no_shard_put, "sio_depot_give");
CASE_FROM(forked, "mempool get, first of a forked child", pool_scene_prepare, op_get, fresh,
	"sio_segment_rejoin", true);
CASE_FROM(joins, "mempool get, first of a process", prepare_first, op_get, fresh, "sio_pool_attach",
	false);
CASE_FROM(joins_held, "mempool get, first, conservative", prepare_first, op_get, fresh_held,
	"sio_pool_attach", false);

int
main(int argc, char **argv)
{
	/*
	 * compact: those that take another way through the driver than crash_pool takes in the
	 * library
	 */
	/* clang-format off */
	static const struct crash_row rows[] = {
		{&get_one, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&put_one, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&get_bulk, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&get_bulk_held, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&put_bulk, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&put_bulk_held, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&get_exchange, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&get_over, CRASH_KILL, CRASH_NONE, CRASH_DEEP},
		{&put_exchange, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&put_exchange_held, CRASH_KILL, CRASH_NONE, CRASH_DEEP},
		{&steal, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&steal_held, CRASH_KILL, CRASH_NONE, CRASH_DEEP},
		{&steal_few, CRASH_KILL, CRASH_NONE, CRASH_DEEP},
		{&get_none, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&stolen_get, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&stolen_put, CRASH_KILL, CRASH_NONE, CRASH_DEEP},
		{&get_no_shard, CRASH_KILL, CRASH_NONE, CRASH_DEEP},
		{&put_no_shard, CRASH_KILL, CRASH_NONE, CRASH_DEEP},
		{&forked, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&joins, CRASH_KILL, CRASH_NONE, CRASH_DEEP},
		{&joins_held, CRASH_KILL, CRASH_NONE, CRASH_DEEP},
		{&get_bulk, CRASH_STOP, CRASH_DISTINCT, CRASH_DEEP},
		{&put_bulk, CRASH_STOP, CRASH_DISTINCT, CRASH_DEEP},
		{&get_exchange, CRASH_STOP, CRASH_NONE, CRASH_DEEP},
		{&put_exchange, CRASH_STOP, CRASH_NONE, CRASH_DEEP},
		{&steal, CRASH_STOP, CRASH_NONE, CRASH_DEEP},
		{&stolen_get, CRASH_STOP, CRASH_DISTINCT, CRASH_DEEP},
		{&stolen_put, CRASH_STOP, CRASH_NONE, CRASH_DEEP},
		{&get_bulk, CRASH_BUSY, CRASH_NONE, CRASH_DISTINCT},
		{&put_exchange, CRASH_BUSY, CRASH_NONE, CRASH_DISTINCT},
		{&steal, CRASH_BUSY, CRASH_NONE, CRASH_DISTINCT},
	};
	/* clang-format on */

	eal_world_start(argv, mempool_scene_config, NULL, NULL);
	pool_scene_ways = &mempool_ways;
	return crash_main(argc, argv, rows, sizeof(rows) / sizeof(rows[0]));
}
