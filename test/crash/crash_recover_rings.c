/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Sweeps over recovery where the dead had roles in a ring: the states that a death in a write, in a
 * read and at the end of a ring can leave are made, the victim recovers and is killed or stopped at
 * each point of that, and a survivor recovers what both left.
 */

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pool/pool_private.h"
#include "ring_scene.h"
#include "ring_tail.h"
#include "segment/barrier.h"

/** What the dead left. */
struct rings_start {
	struct pool_start pool;
	unsigned int queued;	/**< elements that the writer wrote */
	unsigned int unwritten; /**< blocks of the next write, not published */
	bool tail;		/**< these are in the ring, but for w2 */
	unsigned int w_hands;	/**< blocks in the writer's hands */
	unsigned int read;	/**< elements read, in the reader's hands */
	unsigned int taken;	/**< elements that carry the reader's name, not stated as read */
	bool no_reader;
	bool no_writer; /**< it left in order, after it wrote */
	bool own;	/**< the survivor wrote as many before it, and left the ring only */
	bool ended;	/**< the ring was destroyed */
	bool removed;	/**< its name is gone */
	bool orphan;	/**< no other process is a member of it */
};

static const struct rings_start *
start_of(struct crash_scene *s)
{
	return s->arg;
}

static void
be_writer(struct crash_scene *s)
{
	const struct rings_start *st = start_of(s);
	struct sio_desc descs[BLOCKS] = {0};

	if (st->orphan)
		crash_ok(s, ring_try_create(s, 16, SIO_RBUFF_PRODUCER));
	else
		ring_attach(s, SIO_RBUFF_PRODUCER);
	crash_check(s, ring_write(s, st->queued, false) == st->queued);
	for (unsigned int i = 0; i < st->unwritten; i++) {
		crash_ok(s, view_take(s, 1));
		descs[i].handle = view.held[view.n - 1];
	}
	if (st->tail)
		ring_leave_tail(ring, descs, st->unwritten);
	for (unsigned int i = 0; i < st->w_hands; i++)
		crash_ok(s, view_take(s, 1));
}

/* The writer that lives on. */
static void
write_and_leave(struct crash_scene *s)
{
	struct sio_rbuff *observer = ring;

	ring_attach(s, SIO_RBUFF_PRODUCER);
	crash_check(s, ring_write(s, start_of(s)->queued, false) == start_of(s)->queued);
	sio_rbuff_detach(ring);
	ring = observer;
}

static void
be_reader(struct crash_scene *s)
{
	const struct rings_start *st = start_of(s);
	struct sio_desc desc;
	uint64_t at;

	ring_attach(s, SIO_RBUFF_CONSUMER);
	crash_check(s, ring_read(s, st->read, false) == st->read);
	at = sio_rbuff_consumed(ring);
	for (unsigned int i = 0; i < st->taken; i++) {
		crash_ok(s, sio_rbuff_peek(ring, at + i, &desc));
		atomic_store(&view.pool->holders[desc.handle],
			SIO_HOLDER_MEMBER | sio_segment_self(sio_pool_segment(view.pool)));
	}
}

/* Makes a process that comes to a state and dies, or leaves, there. */
static void
live_and_die(struct crash_scene *s, void (*be)(struct crash_scene *s), bool leave)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts), .no_recover = true};
	pid_t pid = fork();
	int status;

	crash_check(s, pid >= 0);
	if (pid == 0) {
		view = (struct pool_view){.me = PARTNER};
		ring = NULL;
		crash_ok(s, sio_pool_attach(s->name, &opts, &view.pool));
		be(s);
		if (leave) {
			sio_rbuff_detach(ring);
			sio_pool_detach(view.pool);
			_exit(0);
		}
		kill(getpid(), SIGKILL);
		pause();
	}
	crash_check(s, waitpid(pid, &status, 0) == pid);
	crash_check(s, leave ? status == 0 : WIFSIGNALED(status));
	pool_scene_disown_all(s, PARTNER);
}

static void
setup(struct crash_scene *s)
{
	const struct rings_start *st = start_of(s);

	pool_scene_setup(s);
	if (!st->orphan)
		crash_ok(s, ring_try_create(s, 16, SIO_RBUFF_OBSERVER));
	if (st->own)
		write_and_leave(s);
	live_and_die(s, be_writer, st->no_writer);
	if (!st->no_reader)
		live_and_die(s, be_reader, false);
	if (st->ended)
		sio_rbuff_destroy(ring);
	if (st->removed)
		crash_ok(s, sio_segment_remove(ring_name(s)));
	if (st->ended || st->removed)
		ring = NULL;
}

/* Beside a recoverer that is stopped nothing may be had twice, and a free role may be used. */
static void
survive(struct crash_scene *s, enum crash_how how)
{
	const struct rings_start *st = start_of(s);
	struct sio_rbuff *own = ring;
	unsigned int n;

	if (how != CRASH_STOPPED)
		return;
	crash_ok(s, sio_pool_recover(view.pool, NULL));
	n = view_take_all(s);
	crash_figure(s, BLOCKS - n);
	/*
	 * what came back out of an ended ring carries the survivor's name again, as when it was
	 * queued: the stopped one takes none of it when it goes on
	 */
	if (!st->own)
		view_give(s, view.n);
	if (st->ended || st->removed ||
		sio_rbuff_attach_blocks(ring_name(s), SIO_RBUFF_CONSUMER, view.pool, &ring) != 0) {
		ring = own;
		return;
	}
	while (ring_read(s, 3, true) > 0)
		view_give(s, view.n);
	sio_rbuff_detach(ring);
	ring = own;
}

static void
write_more(struct crash_scene *s)
{
	view = (struct pool_view){.me = PARTNER};
	view_attach(s, PARTNER);
	ring_attach(s, SIO_RBUFF_PRODUCER);
	for (unsigned int i = 0; i < 5; i++)
		crash_check(s, ring_write(s, 1, false) == 1);
	sio_rbuff_detach(ring);
	sio_pool_detach(view.pool);
}

static void
audit(struct crash_scene *s, enum crash_how how)
{
	const struct rings_start *st = start_of(s);
	const unsigned int wrote = st->own ? 2 * st->queued : st->queued;
	struct sio_rbuff *own = ring, *gone;
	struct ring_user *u = s->user;

	(void)how;
	view_give(s, view.n);
	ring_recover(s);
	if (!st->ended && !st->removed) {
		ring_attach(s, SIO_RBUFF_CONSUMER);
		crash_successor(s, write_more);
		while (ring_read(s, 3, true) > 0)
			view_give(s, view.n);
		if (atomic_load(&u->delivered) != wrote + 5)
			crash_fault(s, CRASH_LOST, "%u elements were delivered, expected %u",
				(unsigned int)atomic_load(&u->delivered), wrote + 5);
		sio_rbuff_destroy(ring);
		if (own != NULL)
			sio_rbuff_detach(own);
	}
	pool_scene_all_free(s);
	crash_check(s, sio_rbuff_attach(ring_name(s), SIO_RBUFF_OBSERVER, &gone) == -ENOENT);
	sio_pool_destroy(view.pool);
}

#define RECOVER(id, title, path, ...)                                                        \
	static const struct rings_start id##_start = {.pool = {.exact = true}, __VA_ARGS__}; \
	static const struct crash_case id = {.name = title,                                  \
		.through = path,                                                             \
		.arg = &id##_start,                                                          \
		.setup = setup,                                                              \
		.prepare = recoverer_prepare,                                                \
		.op = recoverer_op,                                                          \
		.finish = recoverer_finish,                                                  \
		.survive = survive,                                                          \
		.audit = audit}

RECOVER(idle, "recovery, roles of the dead", "sio__rings_settle", .queued = 0);
RECOVER(writer, "recovery, dead writer", "sio__rings_settle", .queued = 4, .unwritten = 3,
	.w_hands = 2, .no_reader = true);
RECOVER(writer_of_nothing, "recovery, dead writer, nothing published", "sio__rings_settle",
	.unwritten = 1, .no_reader = true);
RECOVER(writer_in_slots, "recovery, dead writer, slots not published", "sio__rings_settle",
	.queued = 4, .unwritten = 8, .tail = true, .w_hands = 1, .no_reader = true);
RECOVER(reader, "recovery, dead reader", "requeue", .queued = 7, .read = 2, .taken = 3,
	.no_writer = true);
RECOVER(reader_of_all, "recovery, dead reader, all taken", "requeue", .queued = 5, .taken = 5,
	.no_writer = true);
RECOVER(both, "recovery, both sides dead", "requeue", .queued = 6, .unwritten = 7, .tail = true,
	.w_hands = 1, .read = 2, .taken = 2);
RECOVER(ended, "recovery, destroyed ring, both dead", "sio__ring_closing", .queued = 6,
	.unwritten = 2, .read = 1, .taken = 2, .ended = true);
RECOVER(removed, "recovery, ring without a name", "sio__ring_closing", .queued = 6, .unwritten = 2,
	.read = 1, .taken = 2, .removed = true, .orphan = true);
RECOVER(own, "recovery, dead reader, one writer alive", "requeue", .queued = 4, .read = 1,
	.taken = 5, .own = true);
RECOVER(own_ended, "recovery, destroyed ring, one writer alive", "sio__rbuff_unload", .queued = 4,
	.read = 1, .taken = 4, .own = true, .ended = true);
RECOVER(orphan, "recovery, ring that nobody lives in", "requeue", .queued = 6, .unwritten = 2,
	.read = 1, .taken = 2, .orphan = true);

#define BOTH(c)                                              \
	{&(c), CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},      \
	{                                                    \
		&(c), CRASH_STOP, CRASH_DISTINCT, CRASH_DEEP \
	}

int
main(int argc, char **argv)
{
	/* clang-format off */
	static const struct crash_row rows[] = {
		BOTH(idle),
		BOTH(writer),
		BOTH(writer_of_nothing),
		BOTH(writer_in_slots),
		BOTH(reader),
		BOTH(reader_of_all),
		BOTH(both),
		BOTH(ended),
		BOTH(removed),
		BOTH(orphan),
		BOTH(own),
		BOTH(own_ended),
	};
	/* clang-format on */

	/* once for all processes, which are forked from this one */
	sio_barrier_join();
	return crash_main(argc, argv, rows, sizeof(rows) / sizeof(rows[0]));
}
