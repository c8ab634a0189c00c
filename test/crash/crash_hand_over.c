/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Sweeps over hand-over in an exact pool: giving and receiving by a queue that is the application's
 * own, here an array in memory that the processes share.
 */

#include <errno.h>

#include "ring_scene.h"
#include "segment/barrier.h"

#define HANDED 5u

struct hand_start {
	struct pool_start pool;
	bool anyone;	    /**< to whoever is first, not to the one receiver */
	bool recover_first; /**< before the survivor accepts what it finds */
};

static const struct hand_start *
start_of(struct crash_scene *s)
{
	return s->arg;
}

static sio_member_t
self(void)
{
	return sio_segment_self(sio_pool_segment(view.pool));
}

static void
setup(struct crash_scene *s)
{
	struct ring_user *u = s->user;

	pool_scene_setup(s);
	atomic_store(&u->receiver, self());
}

static void
prepare_giver(struct crash_scene *s)
{
	view_attach(s, VICTIM);
	for (unsigned int i = 0; i < HANDED + 1; i++)
		crash_ok(s, view_take(s, 1));
}

static void
hand_over(struct crash_scene *s)
{
	struct ring_user *u = s->user;
	sio_member_t to =
		start_of(s)->anyone ? SIO_MEMBER_NONE : (sio_member_t)atomic_load(&u->receiver);

	view.n -= HANDED;
	for (unsigned int i = 0; i < HANDED; i++)
		view_disown(s, view.held[view.n + i]);
	crash_ok(s, sio_pool_hand_over(view.pool, &view.held[view.n], HANDED, to));
	for (unsigned int i = 0; i < HANDED; i++) {
		atomic_store(&u->queue[i], view.held[view.n + i]);
		atomic_store(&u->queued, i + 1);
	}
}

/* Takes over what is in the queue, or takes it back. @return how many */
static unsigned int
get(struct crash_scene *s, int (*how)(struct sio_pool *pool, uint32_t *handles, unsigned int n))
{
	struct ring_user *u = s->user;
	unsigned int n = atomic_load(&u->queued);
	uint32_t handles[BLOCKS];
	int rc;

	for (unsigned int i = 0; i < n; i++)
		handles[i] = atomic_load(&u->queue[i]);
	rc = how(view.pool, handles, n);
	crash_check(s, rc >= 0 && rc <= (int)n);
	for (int i = 0; i < rc; i++) {
		view_own(s, handles[i]);
		view.held[view.n++] = handles[i];
	}
	return (unsigned int)rc;
}

/* The receiver is the victim: it says its name, and the survivor hands over to it. */
static void
prepare_receiver(struct crash_scene *s)
{
	struct ring_user *u = s->user;

	view_attach(s, VICTIM);
	atomic_store(&u->receiver, self());
}

static void
arrange_giver(struct crash_scene *s)
{
	for (unsigned int i = 0; i < HANDED; i++)
		crash_ok(s, view_take(s, 1));
	hand_over(s);
}

static void
op_accept(struct crash_scene *s)
{
	get(s, sio_pool_accept);
}

static void
prepare_withdraw(struct crash_scene *s)
{
	prepare_giver(s);
	hand_over(s);
}

static void
op_withdraw(struct crash_scene *s)
{
	get(s, sio_pool_withdraw);
}

static void
finish(struct crash_scene *s)
{
	view_give(s, view.n);
	sio_pool_detach(view.pool);
}

static void
recover(struct crash_scene *s)
{
	struct sio_recover_report report = ring_recover(s);

	pool_scene_disown_all(s, VICTIM);
	crash_figure(s, report.blocks_hands);
}

/*
 * The survivor receives; also what is left of a stopped one's, and what it finds after a recovery.
 */
static void
survive_receiver(struct crash_scene *s, enum crash_how how)
{
	unsigned int got;

	if (how == CRASH_KILLED && start_of(s)->recover_first)
		recover(s);
	got = get(s, sio_pool_accept);
	crash_check(s, got <= HANDED);
	view_give(s, view.n);
	if (how == CRASH_STOPPED) {
		struct sio_recover_report report;

		crash_ok(s, sio_pool_recover(view.pool, &report));
		crash_check(s, report.blocks_hands == 0);
		return;
	}
	if (how == CRASH_KILLED)
		recover(s);
	crash_check(s, get(s, sio_pool_accept) == 0);
}

/* The survivor gave; it takes back what a stopped one has not got yet. */
static void
survive_giver(struct crash_scene *s, enum crash_how how)
{
	if (how == CRASH_KILLED)
		recover(s);
	get(s, sio_pool_withdraw);
	view_give(s, view.n);
}

static void
audit(struct crash_scene *s, enum crash_how how)
{
	(void)how;
	pool_scene_all_free(s);
	sio_pool_destroy(view.pool);
}

#define HAND(id, title, ready, set, act, after, path, ...)                                  \
	static const struct hand_start id##_start = {.pool = {.exact = true}, __VA_ARGS__}; \
	static const struct crash_case id = {.name = title,                                 \
		.through = path,                                                            \
		.arg = &id##_start,                                                         \
		.setup = setup,                                                             \
		.prepare = ready,                                                           \
		.arrange = set,                                                             \
		.op = act,                                                                  \
		.finish = finish,                                                           \
		.survive = after,                                                           \
		.audit = audit}

HAND(give_one, "hand over, to one", prepare_giver, NULL, hand_over, survive_receiver,
	"sio_pool_hand_over", .anyone = false);
HAND(give_any, "hand over, to anyone", prepare_giver, NULL, hand_over, survive_receiver,
	"sio_pool_hand_over", .anyone = true);
HAND(give_late, "hand over, accepted after recovery", prepare_giver, NULL, hand_over,
	survive_receiver, "sio_pool_hand_over", .recover_first = true);
HAND(accept, "accept, meant for it", prepare_receiver, arrange_giver, op_accept, survive_giver,
	"sio_pool_accept", .anyone = false);
HAND(accept_any, "accept, meant for anyone", prepare_receiver, arrange_giver, op_accept,
	survive_giver, "sio_pool_accept", .anyone = true);
HAND(withdraw, "withdraw", prepare_withdraw, NULL, op_withdraw, survive_receiver,
	"sio_pool_withdraw", .anyone = true);

#define EVERY(c)                                          \
	{&(c), CRASH_KILL, CRASH_EVERY, CRASH_DEEP},      \
	{                                                 \
		&(c), CRASH_STOP, CRASH_EVERY, CRASH_DEEP \
	}

int
main(int argc, char **argv)
{
	/* clang-format off */
	static const struct crash_row rows[] = {
		EVERY(give_one),
		EVERY(give_any),
		EVERY(give_late),
		EVERY(accept),
		EVERY(accept_any),
		EVERY(withdraw),
	};
	/* clang-format on */

	/* once for all processes, which are forked from this one */
	sio_barrier_join();
	return crash_main(argc, argv, rows, sizeof(rows) / sizeof(rows[0]));
}
