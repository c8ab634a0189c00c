/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Sweeps over taking and giving, from states in which each path is taken. The pool has 24 blocks in
 * magazines of 4.
 */

#include <errno.h>

#include "pool_scene.h"

static const struct pool_start *
start_of(struct crash_scene *s)
{
	return s->arg;
}

static void
op_take(struct crash_scene *s)
{
	const struct pool_start *st = start_of(s);
	int rc = view_take(s, st->n);

	/* others work meanwhile: there may be more or less than there was */
	if (rc != st->expect && (s->mode == CRASH_KILL || (rc != 0 && rc != -ENOBUFS)))
		crash_fault(s, CRASH_WRONG, "the take gave %d, expected %d", rc, st->expect);
}

static void
op_give(struct crash_scene *s)
{
	view_give(s, start_of(s)->n);
}

static void
op_thread_end(struct crash_scene *s)
{
	(void)s;
	sio_pool_thread_end(view.pool);
}

/* ---- states ---- */

/* the loaded magazine has four blocks */
static const struct pool_start loaded_full = {.victim_takes = 4, .victim_returns = 4, .n = 2};
static const struct pool_start loaded_full_exact = {
	.exact = true, .victim_takes = 4, .victim_returns = 4, .n = 2};
/* the loaded magazine has room for two */
static const struct pool_start loaded_room = {.victim_takes = 4, .victim_returns = 2, .n = 2};
/* the loaded magazine is empty, as is the one before */
static const struct pool_start loaded_empty = {.victim_takes = 8, .n = 3};
/* the same, and the depot's magazines carry the survivor's name */
static const struct pool_start others_depot = {
	.exact = true, .survivor_returns = BLOCKS, .victim_takes = 0, .n = 3};
/* twelve blocks in hand, nothing in the shard: giving fills two magazines and begins a third */
static const struct pool_start many_held = {.victim_takes = 12, .n = 12};
static const struct pool_start many_held_exact = {.exact = true, .victim_takes = 12, .n = 12};
/* taking spans three magazines */
static const struct pool_start span = {.n = 11};
/* the depot is dry and the survivor's shard has six blocks */
static const struct pool_start dry = {.survivor_keeps = 18, .survivor_returns = 6, .n = 3};
static const struct pool_start dry_exact = {
	.exact = true, .survivor_keeps = 18, .survivor_returns = 6, .n = 3};
/* there are fewer blocks than asked for, and none in the depot: nothing is moved */
static const struct pool_start too_few = {
	.survivor_keeps = 18, .survivor_returns = 6, .n = 10, .expect = -ENOBUFS};
/* the same, with some in the depot and some that can be stolen */
static const struct pool_start too_few_in_all = {
	.survivor_keeps = 14, .survivor_returns = 6, .n = 12, .expect = -ENOBUFS};
/*
 * the depot is dry, and all that is free is in the victim's shard: who else wants it must steal it
 */
static const struct pool_start owner_take = {
	.survivor_keeps = 16, .victim_takes = 8, .victim_returns = 8, .n = 3};
static const struct pool_start owner_take_exact = {
	.exact = true, .survivor_keeps = 16, .victim_takes = 8, .victim_returns = 8, .n = 3};
static const struct pool_start owner_swap = {
	.survivor_keeps = 16, .victim_takes = 8, .victim_returns = 8, .n = 6};
static const struct pool_start owner_give = {
	.survivor_keeps = 16, .victim_takes = 8, .victim_returns = 5, .n = 2};
/* the only shard is the survivor's */
static const struct pool_start no_shard_take = {.max_shards = 1, .survivor_returns = 1, .n = 3};
static const struct pool_start no_shard_give = {
	.max_shards = 1, .survivor_returns = 1, .victim_takes = 6, .n = 6};
/* two magazines with blocks in the shard */
static const struct pool_start shard_full = {.victim_takes = 7, .victim_returns = 7};
static const struct pool_start shard_full_exact = {
	.exact = true, .victim_takes = 7, .victim_returns = 7};

/* the same with addresses in the magazines, as DPDK's mempools use them */
static const struct pool_start ptr_loaded = {
	.same_map = true, .victim_takes = 4, .victim_returns = 4, .n = 2};
static const struct pool_start ptr_room = {
	.same_map = true, .victim_takes = 4, .victim_returns = 2, .n = 2};
static const struct pool_start ptr_held = {.same_map = true, .victim_takes = 12, .n = 12};
static const struct pool_start ptr_dry = {
	.same_map = true, .exact = true, .survivor_keeps = 18, .survivor_returns = 6, .n = 3};
static const struct pool_start ptr_owner = {
	.same_map = true, .survivor_keeps = 16, .victim_takes = 8, .victim_returns = 8, .n = 6};

#define CASE(id, title, fn, state, path)                    \
	static const struct crash_case id = {.name = title, \
		.through = path,                            \
		.arg = &state,                              \
		.setup = pool_scene_setup,                  \
		.prepare = pool_scene_prepare,              \
		.op = fn,                                   \
		.finish = pool_scene_finish,                \
		.partner = pool_scene_partner,              \
		.survive = pool_scene_survive,              \
		.audit = pool_scene_audit}

CASE(take_fast, "take", op_take, loaded_full, NULL);
CASE(take_fast_exact, "take, exact", op_take, loaded_full_exact, NULL);
CASE(give_fast, "give", op_give, loaded_room, NULL);
CASE(take_depot, "take, exchange", op_take, loaded_empty, "exchange");
CASE(take_depot_over, "take, exchange, take over", op_take, others_depot, "sio_take_over");
CASE(take_span, "take over three magazines", op_take, span, "sio_depot_give");
CASE(give_depot, "give, exchange", op_give, many_held, "sio_depot_give");
CASE(give_depot_exact, "give, exchange, exact", op_give, many_held_exact, "sio_depot_give");
CASE(steal_thief, "steal, as thief", op_take, dry, "sio_steal_round");
CASE(steal_thief_exact, "steal, as thief, exact", op_take, dry_exact, "sio_take_over");
CASE(take_fails, "take, too few", op_take, too_few, "take_slow");
CASE(steal_fails, "steal, too few, give back", op_take, too_few_in_all, "sio_steal_round");
CASE(steal_owner_take, "stolen from, in a take", op_take, owner_take, NULL);
CASE(steal_owner_exact, "stolen from, in a take, exact", op_take, owner_take_exact, NULL);
CASE(steal_owner_swap, "stolen from, two magazines", op_take, owner_swap, "take_slow");

CASE(steal_owner_give, "stolen from, in a give", op_give, owner_give, NULL);
CASE(hand_take, "take without a shard", op_take, no_shard_take, "sio_depot_give");
CASE(hand_give, "give without a shard", op_give, no_shard_give, "sio_depot_give");
CASE(thread_end, "thread end", op_thread_end, shard_full, "sio_local_flush");
CASE(thread_end_exact, "thread end, exact", op_thread_end, shard_full_exact, "sio_local_flush");

#define ALL(c)                                            \
	{                                                 \
		&(c), CRASH_KILL, CRASH_EVERY, CRASH_DEEP \
	}
CASE(ptr_take, "take, addresses", op_take, ptr_loaded, NULL);
CASE(ptr_give, "give, addresses", op_give, ptr_room, NULL);
CASE(ptr_give_depot, "give, exchange, addresses", op_give, ptr_held, "sio_depot_give");
CASE(ptr_steal, "steal, as thief, exact, addresses", op_take, ptr_dry, "sio_take_over");
CASE(ptr_steal_owner, "stolen from, two magazines, addresses", op_take, ptr_owner, "take_slow");

/* Long ones, of which CI visits the points that differ. */
#define SOME(c)                                              \
	{                                                    \
		&(c), CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP \
	}
#define STOP_ALL(c)                                       \
	{                                                 \
		&(c), CRASH_STOP, CRASH_EVERY, CRASH_DEEP \
	}
#define STOP(c)                                              \
	{                                                    \
		&(c), CRASH_STOP, CRASH_DISTINCT, CRASH_DEEP \
	}
#define BUSY(c)                                            \
	{                                                  \
		&(c), CRASH_BUSY, CRASH_SAMPLE, CRASH_DEEP \
	}

int
main(int argc, char **argv)
{
	static const struct crash_row rows[] = {
		ALL(take_fast),
		ALL(take_fast_exact),
		ALL(give_fast),
		ALL(take_depot),
		SOME(take_depot_over),
		SOME(take_span),
		SOME(give_depot),
		SOME(give_depot_exact),
		SOME(steal_thief),
		SOME(steal_thief_exact),
		ALL(take_fails),
		SOME(steal_fails),
		ALL(steal_owner_take),
		ALL(steal_owner_exact),
		ALL(steal_owner_swap),
		ALL(steal_owner_give),
		SOME(hand_take),
		ALL(hand_give),
		ALL(thread_end),
		SOME(thread_end_exact),
		ALL(ptr_take),
		ALL(ptr_give),
		SOME(ptr_give_depot),
		SOME(ptr_steal),
		ALL(ptr_steal_owner),
		STOP_ALL(take_fast),
		STOP_ALL(give_fast),
		STOP_ALL(take_depot),
		STOP(take_depot_over),
		STOP(give_depot),
		STOP(give_depot_exact),
		STOP(steal_thief),
		STOP(steal_thief_exact),
		STOP(take_fails),
		STOP(steal_fails),
		STOP_ALL(steal_owner_take),
		STOP_ALL(steal_owner_exact),
		STOP_ALL(steal_owner_swap),
		STOP_ALL(steal_owner_give),
		STOP(hand_take),
		STOP(hand_give),
		STOP_ALL(thread_end),
		STOP(ptr_take),
		STOP(ptr_give),
		STOP(ptr_give_depot),
		STOP(ptr_steal),
		STOP_ALL(ptr_steal_owner),
		{&take_fast, CRASH_BUSY, CRASH_EVERY, CRASH_DEEP},
		BUSY(give_depot),
		BUSY(take_depot_over),
		BUSY(steal_thief),
		BUSY(steal_owner_swap),
		BUSY(thread_end),
	};

	return crash_main(argc, argv, rows, sizeof(rows) / sizeof(rows[0]));
}
