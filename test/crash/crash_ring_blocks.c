/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Sweeps over rings that carry the blocks of an exact pool: writing, reading, coming, leaving,
 * ending. After each death a survivor works on, recovers, another process takes the victim's place,
 * and in the end every block is free and all that was delivered was in order.
 */

#include <errno.h>

#include "ring_scene.h"
#include "segment/barrier.h"

/** One state that an operation begins in. */
struct blocks_start {
	struct pool_start pool;
	enum sio_rbuff_role victim;
	uint32_t size;	     /**< of an element; 0: 16 */
	unsigned int before; /**< elements that passed through before */
	unsigned int queued; /**< elements in the ring */
	unsigned int n;	     /**< of the operation */
	unsigned int packet; /**< elements of each of its calls, which are whole writes; 0: none */
	bool burst;
	bool recover_first; /**< before the survivor works on its side */
	bool alone;	    /**< the survivor has destroyed the ring and left it */
};

static const struct blocks_start *
start_of(struct crash_scene *s)
{
	return s->arg;
}

static uint32_t
size_of(struct crash_scene *s)
{
	return start_of(s)->size != 0 ? start_of(s)->size : 16;
}

static enum sio_rbuff_role
peer_role(struct crash_scene *s)
{
	return start_of(s)->victim == SIO_RBUFF_PRODUCER ? SIO_RBUFF_CONSUMER : SIO_RBUFF_PRODUCER;
}

/* ---- before the window ---- */

/* The peer of the survivor while elements pass through: in the victim's role, and gone again. */
static void
pass_before(struct crash_scene *s)
{
	const struct blocks_start *st = start_of(s);

	view = (struct pool_view){.me = PARTNER};
	view_attach(s, PARTNER);
	ring_attach(s, st->victim);
	if (st->victim == SIO_RBUFF_PRODUCER) {
		crash_check(s, ring_write(s, st->before, false) == st->before);
	} else {
		crash_check(s, ring_read(s, st->before, false) == st->before);
		view_give(s, view.n);
	}
	sio_rbuff_detach(ring);
	sio_pool_detach(view.pool);
}

static void
setup(struct crash_scene *s)
{
	const struct blocks_start *st = start_of(s);

	pool_scene_setup(s);
	crash_ok(s, ring_try_create(s, size_of(s), peer_role(s)));
	if (st->before > 0) {
		if (st->victim == SIO_RBUFF_CONSUMER)
			crash_check(s, ring_write(s, st->before, false) == st->before);
		crash_successor(s, pass_before);
		if (st->victim == SIO_RBUFF_PRODUCER) {
			crash_check(s, ring_read(s, st->before, false) == st->before);
			view_give(s, view.n);
		}
	}
	if (st->victim == SIO_RBUFF_CONSUMER && st->queued > 0)
		crash_check(s, ring_write(s, st->queued, false) == st->queued);
	/* the partner is the peer */
	if (s->mode == CRASH_BUSY)
		sio_rbuff_detach(ring);
}

static void
prepare_member(struct crash_scene *s)
{
	view_attach(s, VICTIM);
}

static void
prepare(struct crash_scene *s)
{
	const struct blocks_start *st = start_of(s);

	prepare_member(s);
	ring_attach(s, st->victim);
	/* a shard with blocks, so that the window is the ring's */
	for (unsigned int i = 0; i < st->n && st->victim == SIO_RBUFF_PRODUCER; i++)
		crash_ok(s, view_take(s, 1));
	view_give(s, view.n);
	if (st->victim == SIO_RBUFF_PRODUCER && st->queued > 0)
		crash_check(s, ring_write(s, st->queued, false) == st->queued);
}

static void
arrange_alone(struct crash_scene *s)
{
	if (!start_of(s)->alone)
		return;
	sio_rbuff_destroy(ring);
	ring = NULL;
}

/* ---- the operations ---- */

static void
op_write(struct crash_scene *s)
{
	ring_write(s, start_of(s)->n, start_of(s)->burst);
}

/* Packets of several elements, one call for each. */
static void
op_packets(struct crash_scene *s)
{
	for (unsigned int i = 0; i < start_of(s)->n; i += start_of(s)->packet)
		ring_write_whole(s, start_of(s)->packet);
}

static void
op_read(struct crash_scene *s)
{
	ring_read(s, start_of(s)->n, start_of(s)->burst);
}

static void
op_attach(struct crash_scene *s)
{
	ring_attach(s, start_of(s)->victim);
}

static void
op_detach(struct crash_scene *s)
{
	(void)s;
	sio_rbuff_detach(ring);
	ring = NULL;
}

static void
op_destroy(struct crash_scene *s)
{
	(void)s;
	sio_rbuff_destroy(ring);
	ring = NULL;
}

static void
finish(struct crash_scene *s)
{
	view_give(s, view.n);
	if (ring != NULL)
		sio_rbuff_detach(ring);
	sio_pool_detach(view.pool);
}

static void
partner(struct crash_scene *s, uint64_t round)
{
	if (round == 0) {
		view_attach(s, PARTNER);
		ring_attach(s, peer_role(s));
	}
	if (round == UINT64_MAX) {
		sio_rbuff_detach(ring);
		sio_pool_detach(view.pool);
	} else if (peer_role(s) == SIO_RBUFF_PRODUCER) {
		ring_write(s, (unsigned int)(round % 3) + 1, true);
	} else {
		ring_read(s, (unsigned int)(round % 3) + 1, true);
		view_give(s, view.n);
	}
}

/* ---- afterwards ---- */

/* The process in the victim's place: goes on where it was. */
static void
successor(struct crash_scene *s)
{
	const struct blocks_start *st = start_of(s);

	view = (struct pool_view){.me = PARTNER};
	view_attach(s, PARTNER);
	ring_attach(s, st->victim);
	if (st->victim == SIO_RBUFF_PRODUCER) {
		/* one after another: nothing of the victim's comes up behind one of them */
		for (unsigned int i = 0; i < 5; i++) {
			uint64_t at = sio_rbuff_published(ring);

			crash_check(s, ring_write(s, 1, false) == 1);
			crash_check(s, sio_rbuff_published(ring) == at + 1);
		}
	} else {
		while (ring_read(s, 3, true) > 0)
			view_give(s, view.n);
		crash_check(s, sio_rbuff_count(ring) == 0);
	}
	sio_rbuff_detach(ring);
	sio_pool_detach(view.pool);
}

static void
read_all(struct crash_scene *s)
{
	struct ring_user *u = s->user;

	while (ring_read(s, 3, true) > 0)
		view_give(s, view.n);
	if (sio_rbuff_consumed(ring) < atomic_load(&u->told))
		crash_fault(s, CRASH_LOST, "%u elements are missing",
			(unsigned int)(atomic_load(&u->told) - sio_rbuff_consumed(ring)));
}

static void
work(struct crash_scene *s)
{
	if (peer_role(s) == SIO_RBUFF_CONSUMER)
		read_all(s);
	else
		while (ring_write(s, 2, false) > 0)
			;
}

/* Of each whole write all is published, or nothing. */
static void
check_whole(struct crash_scene *s)
{
	const struct blocks_start *st = start_of(s);
	uint64_t wrote = sio_rbuff_published(ring) - st->before - st->queued;

	if (st->packet != 0 && wrote % st->packet != 0)
		crash_fault(s, CRASH_WRONG, "%u elements were published, in packets of %u",
			(unsigned int)wrote, st->packet);
}

/* Nothing of a stopped one is touched. */
static void
survive_stopped(struct crash_scene *s)
{
	struct sio_recover_report report;

	if (ring != NULL) {
		check_whole(s);
		work(s);
	}
	crash_ok(s, sio_pool_recover(view.pool, &report));
	crash_check(s,
		report.dead_members + report.ring_sides + report.requeued + report.blocks_hands ==
			0);
	/* but a destroyed ring that it has left, and not closed yet, anybody may close */
	crash_check(s, report.blocks_rings == 0 || start_of(s)->alone);
	/*
	 * what was given back out of it carries again the name of the survivor, who wrote it: the
	 * stopped one takes none of that when it goes on
	 */
	if (ring == NULL)
		view_take_all(s);
}

static void
recover_dead(struct crash_scene *s)
{
	const struct blocks_start *st = start_of(s);
	struct sio_recover_report report = ring_recover(s);

	pool_scene_disown_all(s, VICTIM);
	crash_figure(s, report.blocks_hands + report.blocks_rings + report.requeued);
	crash_check(s, report.blocks_rings + report.requeued <= st->n + st->queued);
}

static void
survive(struct crash_scene *s, enum crash_how how)
{
	const struct blocks_start *st = start_of(s);

	if (how == CRASH_STOPPED) {
		survive_stopped(s);
		return;
	}
	if (s->mode == CRASH_BUSY)
		ring_attach(s, peer_role(s));
	check_whole(s);
	if (!st->recover_first)
		work(s);
	if (how == CRASH_KILLED)
		recover_dead(s);
	if (st->recover_first)
		work(s);
	crash_successor(s, successor);
	work(s);
}

/*
 * One side ended the ring, or was about to: the other may go on, and blocks come back at its end.
 */
static void
survive_end(struct crash_scene *s, enum crash_how how)
{
	if (how == CRASH_STOPPED) {
		survive_stopped(s);
		return;
	}
	if (ring != NULL && start_of(s)->recover_first)
		work(s);
	if (how == CRASH_KILLED)
		recover_dead(s);
	if (ring != NULL)
		work(s);
}

static void
audit(struct crash_scene *s, enum crash_how how)
{
	struct sio_rbuff *gone;
	unsigned int queued, n;

	(void)how;
	view_give(s, view.n);
	if (ring != NULL) {
		/* before its end brings back whatever carries its number */
		queued = sio_rbuff_count(ring);
		n = view_take_all(s);
		if (n + queued != BLOCKS)
			crash_fault(s, CRASH_LOST, "%u blocks are free and %u queued, of %u", n,
				queued, BLOCKS);
		view_give(s, n);
		sio_rbuff_destroy(ring);
	}
	pool_scene_all_free(s);
	crash_check(s, sio_rbuff_attach(ring_name(s), SIO_RBUFF_OBSERVER, &gone) == -ENOENT);
	sio_pool_destroy(view.pool);
}

/* ---- the victim as the creator of a ring ---- */

static void
setup_pool(struct crash_scene *s)
{
	struct sio_pool_opts opts;

	pool_scene_opts(s, &opts);
	opts.max_rings = 2;
	view.me = SURVIVOR;
	crash_ok(s, sio_pool_create(&opts, &view.pool));
}

/* A ring of that name is there, with what the survivor wrote before it left. */
static void
setup_queued(struct crash_scene *s)
{
	setup_pool(s);
	crash_ok(s, ring_try_create(s, 16, SIO_RBUFF_PRODUCER));
	crash_check(s, ring_write(s, 4, false) == 4);
	sio_rbuff_detach(ring);
	ring = NULL;
}

static void
op_create(struct crash_scene *s)
{
	crash_ok(s, ring_try_create(s, 16, SIO_RBUFF_PRODUCER));
}

/* Both numbers can be had: none is lost. */
static void
survive_creator(struct crash_scene *s, enum crash_how how)
{
	struct sio_rbuff_opts opts = {.sz = sizeof(opts),
		.name = "second",
		.capacity = 8,
		.element_size = 4,
		.role = SIO_RBUFF_CONSUMER,
		.carries = view.pool};
	struct sio_rbuff *second;

	if (how == CRASH_STOPPED)
		return;
	if (how == CRASH_KILLED)
		ring_recover(s);
	crash_ok(s, ring_try_create(s, 16, SIO_RBUFF_PRODUCER));
	/* the dead one's ring was replaced if it was there: recovery finds it gone */
	crash_ok(s, sio_pool_recover(view.pool, NULL));
	crash_ok(s, sio_rbuff_create(&opts, &second));
	sio_rbuff_destroy(second);
	crash_check(s, ring_write(s, 3, false) == 3);
}

static void
finish_creator(struct crash_scene *s)
{
	(void)s;
	sio_rbuff_destroy(ring);
	sio_pool_detach(view.pool);
}

/* ---- the table ---- */

#define RING(id, title, act, ready, by, after, path, ...)                                     \
	static const struct blocks_start id##_start = {.pool = {.exact = true}, __VA_ARGS__}; \
	static const struct crash_case id = {.name = title,                                   \
		.through = path,                                                              \
		.arg = &id##_start,                                                           \
		.setup = setup,                                                               \
		.prepare = ready,                                                             \
		.arrange = arrange_alone,                                                     \
		.op = act,                                                                    \
		.finish = finish,                                                             \
		.partner = by,                                                                \
		.survive = after,                                                             \
		.audit = audit}

#define WRITER(id, title, ...)                                                                   \
	RING(id, title, op_write, prepare, partner, survive, NULL, .victim = SIO_RBUFF_PRODUCER, \
		__VA_ARGS__)
#define READER(id, title, ...)                                                                  \
	RING(id, title, op_read, prepare, partner, survive, NULL, .victim = SIO_RBUFF_CONSUMER, \
		__VA_ARGS__)

WRITER(write_one, "blocks write, 1", .n = 1);
WRITER(write_bulk, "blocks write bulk 7 of 16", .n = 7);
WRITER(write_bulk4, "blocks write bulk 9 of 4", .size = 4, .queued = 3, .n = 9,
	.recover_first = true);
WRITER(write_wrap, "blocks write bulk, wrapping", .before = 14, .queued = 2, .n = 7);
WRITER(write_burst, "blocks write burst, too many", .size = 8, .before = 6, .queued = 12, .n = 6,
	.burst = true, .recover_first = true);
RING(write_packets, "blocks write, packets of 3", op_packets, prepare, partner, survive,
	"sio_rbuff_write_whole", .victim = SIO_RBUFF_PRODUCER, .before = 2, .queued = 2,
	.packet = 3, .n = 12);
RING(write_whole, "blocks write, packet of 8", op_packets, prepare, partner, survive,
	"sio_rbuff_write_whole", .victim = SIO_RBUFF_PRODUCER, .before = 2, .packet = 8, .n = 8);
READER(read_one, "blocks read, 1", .queued = 3, .n = 1);
READER(read_bulk, "blocks read bulk 7 of 16", .queued = 9, .n = 7);
READER(read_bulk4, "blocks read bulk 9 of 4", .size = 4, .queued = 12, .n = 9,
	.recover_first = true);
READER(read_wrap, "blocks read bulk, wrapping", .before = 14, .queued = 9, .n = 7);
READER(read_burst, "blocks read burst, more than there", .size = 8, .before = 5, .queued = 6,
	.n = 16, .burst = true, .recover_first = true);
RING(attach_writer, "blocks ring attach, writer", op_attach, prepare_member, NULL, survive,
	"sio__rbuff_role_take", .victim = SIO_RBUFF_PRODUCER, .before = 4);
RING(attach_reader, "blocks ring attach, reader", op_attach, prepare_member, NULL, survive,
	"sio__rbuff_role_take", .victim = SIO_RBUFF_CONSUMER, .queued = 4);
RING(detach_writer, "blocks ring detach, writer", op_detach, prepare, NULL, survive, NULL,
	.victim = SIO_RBUFF_PRODUCER, .queued = 4, .recover_first = true);
RING(detach_reader, "blocks ring detach, reader", op_detach, prepare, NULL, survive, NULL,
	.victim = SIO_RBUFF_CONSUMER, .queued = 4);
RING(destroy_writer, "blocks ring destroy, writer", op_destroy, prepare, NULL, survive_end,
	"sio__ring_end", .victim = SIO_RBUFF_PRODUCER, .queued = 4);
RING(destroy_reader, "blocks ring destroy, reader", op_destroy, prepare, NULL, survive_end,
	"sio__ring_end", .victim = SIO_RBUFF_CONSUMER, .queued = 4, .recover_first = true);
RING(last_writer, "blocks ring, last to leave, writer", op_detach, prepare, NULL, survive_end,
	"sio__rbuff_unload", .victim = SIO_RBUFF_PRODUCER, .queued = 4, .alone = true);
RING(last_reader, "blocks ring, last to leave, reader", op_detach, prepare, NULL, survive_end,
	"sio__rbuff_unload", .victim = SIO_RBUFF_CONSUMER, .queued = 4, .alone = true);

static const struct blocks_start create_start = {.pool = {.exact = true}};
static const struct crash_case create = {.name = "blocks ring create",
	.through = "sio__ring_claim",
	.arg = &create_start,
	.setup = setup_pool,
	.prepare = prepare_member,
	.op = op_create,
	.finish = finish_creator,
	.survive = survive_creator,
	.audit = audit};

static const struct crash_case create_over = {.name = "blocks ring create, over one with blocks",
	.through = "name_position",
	.arg = &create_start,
	.setup = setup_queued,
	.prepare = prepare_member,
	.op = op_create,
	.finish = finish_creator,
	.survive = survive_creator,
	.audit = audit};

/* Every one that writes to shared memory in CI, every instruction in the full form. */
#define BOTH(c)                                              \
	{&(c), CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},      \
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
	/* clang-format off */
	static const struct crash_row rows[] = {
		{&write_one, CRASH_KILL, CRASH_EVERY, CRASH_DEEP},
		{&write_one, CRASH_STOP, CRASH_DISTINCT, CRASH_DEEP},
		BOTH(write_bulk),
		BOTH(write_bulk4),
		BOTH(write_wrap),
		BOTH(write_burst),
		{&write_packets, CRASH_KILL, CRASH_DISTINCT, CRASH_EVERY},
		{&write_packets, CRASH_STOP, CRASH_DISTINCT, CRASH_DISTINCT},
		BOTH(write_whole),
		{&read_one, CRASH_KILL, CRASH_EVERY, CRASH_DEEP},
		{&read_one, CRASH_STOP, CRASH_DISTINCT, CRASH_DEEP},
		BOTH(read_bulk),
		BOTH(read_bulk4),
		BOTH(read_wrap),
		BOTH(read_burst),
		BOTH(attach_writer),
		BOTH(attach_reader),
		BOTH(detach_writer),
		BOTH(detach_reader),
		BOTH(destroy_writer),
		BOTH(destroy_reader),
		BOTH(last_writer),
		BOTH(last_reader),
		{&create, CRASH_KILL, CRASH_SAMPLE, CRASH_DEEP},
		{&create, CRASH_STOP, CRASH_NONE, CRASH_DISTINCT},
		{&create_over, CRASH_KILL, CRASH_SAMPLE, CRASH_DEEP},
		{&create_over, CRASH_STOP, CRASH_NONE, CRASH_DISTINCT},
		BUSY(write_bulk),
		BUSY(write_burst),
		BUSY(write_whole),
		BUSY(read_bulk),
		BUSY(read_burst),
	};
	/* clang-format on */

	/* once for all processes, which are forked from this one */
	sio_barrier_join();
	return crash_main(argc, argv, rows, sizeof(rows) / sizeof(rows[0]));
}
