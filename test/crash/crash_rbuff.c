/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Sweeps over the ring: a writer and a reader ended at every instruction. Elements carry their
 * position, so the other side and the successor can tell a loss, a repetition and garbage from each
 * other. The capacity is 16.
 */

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <slabio/rbuff.h>
#include "harness.h"
#include "ring_tail.h"

#define CAPACITY 16u
/** What a call that has nothing to do may take. */
#define PATIENCE_NS UINT64_C(2000000)

/** One ring in one state. */
struct ring_start {
	enum sio_rbuff_role victim;
	uint32_t size;	     /**< of an element in bytes; 0: 8 */
	unsigned int before; /**< elements that passed through the ring before */
	unsigned int queued; /**< elements in it when the operation begins */
	unsigned int n;	     /**< elements of the operation */
	unsigned int packet; /**< elements of each of its calls, which are whole writes; 0: none */
	unsigned int tail;   /**< a writer died in a write of so many before */
	bool burst;
	bool timed;
	bool sleeper; /**< the other side sleeps in the ring meanwhile */
};

struct ring_user {
	_Atomic uint64_t
		told; /**< positions below are the victim's for certain: written, or delivered */
	_Atomic uint64_t next; /**< for a successor: the position it begins with */
	_Atomic uint32_t done; /**< the operation returned */
	_Atomic int32_t result;
};

static struct sio_rbuff *ring;

static const struct ring_start *
start_of(struct crash_scene *s)
{
	return s->arg;
}

static uint32_t
size_of(struct crash_scene *s)
{
	return start_of(s)->size != 0 ? start_of(s)->size : 8;
}

static uint64_t
soon(void)
{
	return sio_now_ns() + PATIENCE_NS;
}

/* An element of any size holds its position, and the rest of it a pattern. */
static void
element_make(unsigned char *to, uint32_t size, uint64_t position)
{
	memset(to, 0x5a ^ (unsigned char)position, size);
	to[0] = (unsigned char)position;
}

static void
element_check(struct crash_scene *s, const unsigned char *found, uint64_t position)
{
	uint32_t size = size_of(s);
	unsigned char expected[16];

	element_make(expected, size, position);
	if (memcmp(found, expected, size) == 0)
		return;
	if (found[0] < (unsigned char)position)
		crash_fault(s, CRASH_DOUBLED, "read element %u again at position %u", found[0],
			(unsigned int)position);
	crash_fault(
		s, CRASH_WRONG, "read element %u at position %u", found[0], (unsigned int)position);
}

static unsigned int
write_some(struct crash_scene *s, uint64_t position, unsigned int n, bool burst)
{
	uint32_t size = size_of(s);
	unsigned char elements[CAPACITY * 2 * 16];
	int rc;

	for (unsigned int i = 0; i < n; i++)
		element_make(elements + i * size, size, position + i);
	rc = burst ? sio_rbuff_write_burst(ring, elements, n)
		   : sio_rbuff_write_bulk(ring, elements, n);
	if (rc < 0)
		crash_fault(s, CRASH_WRONG, "writing gave %d", rc);
	return (unsigned int)rc;
}

/* Reads up to n and checks them. @return how many */
static unsigned int
read_some(struct crash_scene *s, uint64_t position, unsigned int n, bool burst)
{
	uint32_t size = size_of(s);
	unsigned char elements[CAPACITY * 2 * 16];
	int rc = burst ? sio_rbuff_read_burst(ring, elements, n)
		       : sio_rbuff_read_bulk(ring, elements, n);

	if (rc == -EPIPE || rc == -ESHUTDOWN)
		return 0;
	if (rc < 0)
		crash_fault(s, CRASH_WRONG, "reading gave %d", rc);
	for (int i = 0; i < rc; i++)
		element_check(s, elements + (size_t)i * size, position + (unsigned int)i);
	return (unsigned int)rc;
}

static enum sio_rbuff_role
other(enum sio_rbuff_role role)
{
	return role == SIO_RBUFF_PRODUCER ? SIO_RBUFF_CONSUMER : SIO_RBUFF_PRODUCER;
}

/* ---- before the window ---- */

static void
pass_before(struct crash_scene *s)
{
	const struct ring_start *st = start_of(s);

	/* the peer of the survivor in these turns: in the role of the victim, and gone again */
	crash_ok(s, sio_rbuff_attach(s->name, st->victim, &ring));
	if (st->victim == SIO_RBUFF_PRODUCER)
		crash_check(s, write_some(s, 0, st->before, false) == st->before);
	else
		crash_check(s, read_some(s, 0, st->before, false) == st->before);
	sio_rbuff_detach(ring);
}

/* A writer that dies in a write, with all of it in the ring and nothing published. */
static void
leave_tail(struct crash_scene *s)
{
	const struct ring_start *st = start_of(s);
	unsigned char elements[CAPACITY * 16];

	crash_ok(s, sio_rbuff_attach(s->name, SIO_RBUFF_PRODUCER, &ring));
	for (unsigned int i = 0; i < st->tail; i++)
		element_make(elements + i * size_of(s), size_of(s), 200 + i);
	ring_leave_tail(ring, elements, st->tail);
	/* without leaving its role: who finds it so finds a dead one */
}

static void
setup(struct crash_scene *s)
{
	const struct ring_start *st = start_of(s);
	const struct sio_rbuff_opts opts = {
		.sz = sizeof(opts),
		.name = s->name,
		.capacity = CAPACITY,
		.element_size = size_of(s),
		.role = st->sleeper ? SIO_RBUFF_OBSERVER : other(st->victim),
	};
	struct sio_rbuff *own;

	crash_ok(s, sio_rbuff_create(&opts, &own));
	ring = own;
	if (st->before > 0) {
		if (st->victim == SIO_RBUFF_CONSUMER)
			crash_check(s, write_some(s, 0, st->before, false) == st->before);
		crash_successor(s, pass_before);
		if (st->victim == SIO_RBUFF_PRODUCER)
			crash_check(s, read_some(s, 0, st->before, false) == st->before);
	}
	if (st->tail > 0)
		crash_successor(s, leave_tail);
}

static void
prepare(struct crash_scene *s)
{
	const struct ring_start *st = start_of(s);
	struct ring_user *u = s->user;

	crash_ok(s, sio_rbuff_attach(s->name, st->victim, &ring));
	if (st->victim == SIO_RBUFF_PRODUCER && st->queued > 0)
		crash_check(s, write_some(s, st->before, st->queued, false) == st->queued);
	atomic_store(&u->told, st->before + (st->victim == SIO_RBUFF_PRODUCER ? st->queued : 0));
}

static void
arrange(struct crash_scene *s)
{
	const struct ring_start *st = start_of(s);

	if (st->victim == SIO_RBUFF_CONSUMER && st->queued > 0)
		crash_check(s, write_some(s, st->before, st->queued, false) == st->queued);
}

/* ---- the operations ---- */

static void
op_write(struct crash_scene *s)
{
	const struct ring_start *st = start_of(s);
	struct ring_user *u = s->user;
	uint64_t at = st->before + st->queued;
	unsigned char elements[CAPACITY * 16];
	int rc;

	for (unsigned int i = 0; i < st->n; i++)
		element_make(elements + i * size_of(s), size_of(s), at + i);
	if (st->timed)
		rc = sio_rbuff_write_timed(ring, elements, st->n, soon());
	else if (st->burst)
		rc = sio_rbuff_write_burst(ring, elements, st->n);
	else
		rc = sio_rbuff_write_bulk(ring, elements, st->n);
	if (rc > 0)
		atomic_store(&u->told, at + (unsigned int)rc);
	atomic_store(&u->result, rc);
	atomic_store(&u->done, 1);
}

/* Packets of several elements, one call for each. */
static void
op_packets(struct crash_scene *s)
{
	const struct ring_start *st = start_of(s);
	struct ring_user *u = s->user;

	for (unsigned int i = 0; i < st->n; i += st->packet) {
		uint64_t at = st->before + st->queued + i;

		unsigned char elements[CAPACITY * 16];

		for (unsigned int j = 0; j < st->packet; j++)
			element_make(elements + j * size_of(s), size_of(s), at + j);
		crash_check(
			s, sio_rbuff_write_whole(ring, elements, st->packet) == (int)st->packet);
		atomic_store(&u->told, at + st->packet);
	}
	atomic_store(&u->done, 1);
}

static void
op_read(struct crash_scene *s)
{
	const struct ring_start *st = start_of(s);
	struct ring_user *u = s->user;
	unsigned char elements[CAPACITY * 16];
	int rc;

	if (st->timed)
		rc = sio_rbuff_read_timed(ring, elements, st->n, soon());
	else if (st->burst)
		rc = sio_rbuff_read_burst(ring, elements, st->n);
	else
		rc = sio_rbuff_read_bulk(ring, elements, st->n);
	for (int i = 0; i < rc; i++)
		element_check(s, elements + (size_t)i * size_of(s), st->before + (unsigned int)i);
	if (rc > 0)
		atomic_store(&u->told, st->before + (unsigned int)rc);
	atomic_store(&u->result, rc);
	atomic_store(&u->done, 1);
}

static void
op_state(struct crash_scene *s)
{
	struct ring_user *u = s->user;

	sio_rbuff_state_set(ring, SIO_RBUFF_DOWN);
	atomic_store(&u->done, 1);
}

static void
op_attach(struct crash_scene *s)
{
	crash_ok(s, sio_rbuff_attach(s->name, start_of(s)->victim, &ring));
}

static void
op_detach(struct crash_scene *s)
{
	(void)s;
	sio_rbuff_detach(ring);
	ring = NULL;
}

static void
finish(struct crash_scene *s)
{
	struct ring_user *u = s->user;

	if (ring == NULL)
		return;
	if (atomic_load(&u->result) < 0 && atomic_load(&u->result) != -ETIMEDOUT)
		crash_fault(s, CRASH_WRONG, "the operation gave %d", (int)atomic_load(&u->result));
	sio_rbuff_detach(ring);
}

/* ---- afterwards: the victim was the writer, the survivor reads ---- */

/*
 * The dead writer's successor goes on where the published end is. One element after another, over
 * all lines: nothing that was there before comes up behind one of its own.
 */
static void
next_writer(struct crash_scene *s)
{
	struct ring_user *u = s->user;
	uint64_t next = atomic_load(&u->next);

	crash_ok(s, sio_rbuff_attach(s->name, SIO_RBUFF_PRODUCER, &ring));
	for (unsigned int i = 0; i < CAPACITY; i++) {
		if (sio_rbuff_published(ring) != next + i)
			crash_fault(s, CRASH_WRONG, "%u are published, and %u were written",
				(unsigned int)sio_rbuff_published(ring), (unsigned int)next + i);
		crash_check(s, write_some(s, next + i, 1, false) == 1);
	}
	sio_rbuff_detach(ring);
}

/* Of each whole write all is there, or nothing. */
static void
check_whole(struct crash_scene *s, uint64_t next)
{
	const struct ring_start *st = start_of(s);
	uint64_t wrote = next - st->before - st->queued;

	if (st->packet != 0 && wrote % st->packet != 0)
		crash_fault(s, CRASH_WRONG, "%u elements were published, in packets of %u",
			(unsigned int)wrote, st->packet);
}

static void
survive_writer(struct crash_scene *s, enum crash_how how)
{
	const struct ring_start *st = start_of(s);
	struct ring_user *u = s->user;
	uint64_t most = st->before + st->queued + st->n, next = atomic_load(&u->next);
	unsigned int got;
	unsigned char element[16];
	int rc;

	if (next == 0)
		next = st->before;
	while ((got = read_some(s, next, 3, true)) > 0)
		next += got;
	if (next < atomic_load(&u->told))
		crash_fault(s, CRASH_LOST, "%u elements are missing",
			(unsigned int)(atomic_load(&u->told) - next));
	if (next > most)
		crash_fault(
			s, CRASH_WRONG, "%u elements are too many", (unsigned int)(next - most));
	check_whole(s, next);
	if (how == CRASH_KILLED)
		crash_figure(s, next - atomic_load(&u->told));
	atomic_store(&u->next, next);
	rc = sio_rbuff_read_timed(ring, element, 1, soon());
	crash_check(s, rc == -ETIMEDOUT || rc == -EPIPE || rc == -ESHUTDOWN);
	if (how == CRASH_STOPPED || sio_rbuff_state(ring) != 0)
		return;
	crash_successor(s, next_writer);
	crash_check(s, read_some(s, next, CAPACITY, false) == CAPACITY);
	crash_check(s, read_some(s, next + CAPACITY, 1, true) == 0);
	atomic_store(&u->next, next + CAPACITY);
}

/* ---- afterwards: the victim was the reader, the survivor writes ---- */

static void
next_reader(struct crash_scene *s)
{
	const struct ring_start *st = start_of(s);
	struct ring_user *u = s->user;
	uint64_t at;

	crash_ok(s, sio_rbuff_attach(s->name, SIO_RBUFF_CONSUMER, &ring));
	at = sio_rbuff_consumed(ring);
	if (at < atomic_load(&u->told))
		crash_fault(s, CRASH_DOUBLED, "position %u comes again, all below %u was delivered",
			(unsigned int)at, (unsigned int)atomic_load(&u->told));
	/* what it had not been told of yet may be gone with it, not more */
	if (at > st->before + st->n)
		crash_fault(s, CRASH_WRONG, "position %u, though all from %u on is unread",
			(unsigned int)at, (unsigned int)(st->before + st->n));
	crash_figure(s, at - atomic_load(&u->told));
	while (at < atomic_load(&u->next)) {
		unsigned int got = read_some(s, at, 3, true);

		if (got == 0)
			crash_fault(s, CRASH_LOST, "%u elements are missing",
				(unsigned int)(atomic_load(&u->next) - at));
		at += got;
	}
	crash_check(s, read_some(s, at, 1, true) == 0);
	sio_rbuff_detach(ring);
}

static void
survive_reader(struct crash_scene *s, enum crash_how how)
{
	const struct ring_start *st = start_of(s);
	struct ring_user *u = s->user;
	uint64_t next = atomic_load(&u->next);
	unsigned char element[16];
	unsigned int put;
	int rc;

	if (next == 0)
		next = st->before + st->queued;
	if (sio_rbuff_state(ring) == 0) {
		while ((put = write_some(s, next, 3, true)) > 0)
			next += put;
		element_make(element, size_of(s), next);
		rc = sio_rbuff_write_timed(ring, element, 1, soon());
		if (rc == 1)
			next++;
		else
			crash_check(s, rc == -ETIMEDOUT || rc == -EPIPE);
	}
	atomic_store(&u->next, next);
	if (how == CRASH_STOPPED)
		return;
	crash_successor(s, next_reader);
	if (sio_rbuff_state(ring) == 0)
		crash_check(s, write_some(s, next, CAPACITY, false) == CAPACITY);
}

static void
audit(struct crash_scene *s, enum crash_how how)
{
	(void)how;
	crash_check(s, sio_rbuff_count(ring) <= CAPACITY);
	sio_rbuff_destroy(ring);
}

/* ---- the other side sleeps: it must be woken, or wake by itself in time ---- */

static pid_t sleeper;

static void
sleep_in_ring(struct crash_scene *s)
{
	const struct ring_start *st = start_of(s);
	struct ring_user *u = s->user;
	unsigned char elements[CAPACITY * 16];
	int rc;

	crash_ok(s, sio_rbuff_attach(s->name, SIO_RBUFF_CONSUMER, &ring));
	rc = sio_rbuff_read_timed(ring, elements, CAPACITY, sio_now_ns() + UINT64_C(60000000000));
	if (rc == -EPIPE)
		crash_check(s, atomic_load(&u->told) == st->before);
	else if (rc < 0)
		crash_fault(s, CRASH_WRONG, "the sleeper woke with %d", rc);
	for (int i = 0; i < rc; i++)
		element_check(s, elements + (size_t)i * size_of(s), st->before + (unsigned int)i);
	sio_rbuff_detach(ring);
}

static void
arrange_sleeper(struct crash_scene *s)
{
	const struct timespec pause = {.tv_nsec = 3000000};

	sleeper = fork();
	if (sleeper == 0) {
		sleep_in_ring(s);
		_exit(0);
	}
	crash_check(s, sleeper > 0);
	/* until it sleeps for certain: it does so after 64 looks */
	while (sio_rbuff_peer(ring) == SIO_MEMBER_FREE)
		nanosleep(&pause, NULL);
	nanosleep(&pause, NULL);
}

static void
survive_sleeper(struct crash_scene *s, enum crash_how how)
{
	struct ring_user *u = s->user;
	int status;

	/* one that is stopped before it published keeps the sleeper waiting, rightly */
	if (how == CRASH_STOPPED)
		return;
	crash_check(s, waitpid(sleeper, &status, 0) == sleeper);
	crash_check(s, WIFEXITED(status) && WEXITSTATUS(status) == 0);
	crash_check(s, atomic_load(&u->told) <= start_of(s)->n);
}

/* ---- coming and going; the victim as the creator ---- */

static void
prepare_stranger(struct crash_scene *s)
{
	struct ring_user *u = s->user;

	atomic_store(&u->told, start_of(s)->before);
}

static int
try_create(struct crash_scene *s)
{
	const struct sio_rbuff_opts opts = {
		.sz = sizeof(opts),
		.name = s->name,
		.capacity = CAPACITY,
		.element_size = size_of(s),
		.role = SIO_RBUFF_PRODUCER,
	};

	return sio_rbuff_create(&opts, &ring);
}

static void
op_create(struct crash_scene *s)
{
	int rc = try_create(s);

	if (rc != 0 && (s->mode == CRASH_KILL || rc != -EEXIST))
		crash_fault(s, CRASH_WRONG, "creating gave %d", rc);
}

static void
finish_creator(struct crash_scene *s)
{
	(void)s;
	if (ring != NULL)
		sio_rbuff_destroy(ring);
}

/* What can be attached to is a ring, whole and empty. */
static void
read_if_there(struct crash_scene *s)
{
	int rc = sio_rbuff_attach(s->name, SIO_RBUFF_CONSUMER, &ring);

	if (rc == -ENOENT)
		return;
	crash_ok(s, rc);
	crash_check(s, read_some(s, 0, 1, true) == 0);
	sio_rbuff_detach(ring);
}

static void
create_again(struct crash_scene *s)
{
	crash_ok(s, try_create(s));
	crash_check(s, write_some(s, 0, CAPACITY, false) == CAPACITY);
	sio_rbuff_destroy(ring);
}

static void
create_beside(struct crash_scene *s)
{
	int rc = try_create(s);

	if (rc == 0)
		sio_rbuff_destroy(ring);
	else if (rc != -EEXIST && rc != -EBUSY)
		crash_fault(s, CRASH_WRONG, "creating beside a stopped creator gave %d", rc);
}

static void
survive_creator(struct crash_scene *s, enum crash_how how)
{
	crash_successor(s, read_if_there);
	crash_successor(s, how == CRASH_STOPPED ? create_beside : create_again);
}

/* ---- the table ---- */

#define RING(id, title, act, ready, after, ...)                    \
	static const struct ring_start id##_start = {__VA_ARGS__}; \
	static const struct crash_case id = {.name = title,        \
		.arg = &id##_start,                                \
		.setup = setup,                                    \
		.prepare = prepare,                                \
		.arrange = ready,                                  \
		.op = act,                                         \
		.finish = finish,                                  \
		.survive = after,                                  \
		.audit = audit}

#define WRITER(id, title, ...) \
	RING(id, title, op_write, NULL, survive_writer, .victim = SIO_RBUFF_PRODUCER, __VA_ARGS__)
#define PACKETS(id, title, ...) \
	RING(id, title, op_packets, NULL, survive_writer, .victim = SIO_RBUFF_PRODUCER, __VA_ARGS__)
#define READER(id, title, ...) \
	RING(id, title, op_read, arrange, survive_reader, .victim = SIO_RBUFF_CONSUMER, __VA_ARGS__)

WRITER(write_one, "ring write, 1 of 8 bytes", .n = 1);
WRITER(write_bulk4, "ring write bulk 11 of 4", .size = 4, .n = 11);
WRITER(write_bulk8, "ring write bulk 11 of 8", .queued = 3, .n = 11);
WRITER(write_bulk16, "ring write bulk 7 of 16", .size = 16, .n = 7);
WRITER(write_wrap, "ring write bulk, wrapping", .before = 15, .queued = 2, .n = 13);
WRITER(write_burst, "ring write burst, too many", .size = 16, .before = 6, .queued = 9, .n = 12,
	.burst = true);
WRITER(write_full, "ring write timed, full", .queued = 16, .n = 2, .timed = true);
RING(write_wakes, "ring write, waking a sleeper", op_write, arrange_sleeper, survive_sleeper,
	.victim = SIO_RBUFF_PRODUCER, .n = 2, .sleeper = true);
PACKETS(write_packets, "ring write, packets of 3", .size = 16, .before = 2, .packet = 3, .n = 12);
PACKETS(write_whole4, "ring write, packet of 16 of 4", .size = 4, .before = 13, .packet = 16,
	.n = 16);
PACKETS(write_whole8, "ring write, packet of 13 of 8", .before = 15, .queued = 3, .packet = 13,
	.n = 13);
READER(read_one, "ring read, 1 of 8 bytes", .queued = 4, .n = 1);
READER(read_bulk4, "ring read bulk 11 of 4", .size = 4, .queued = 12, .n = 11);
READER(read_bulk16, "ring read bulk 7 of 16", .size = 16, .queued = 8, .n = 7);
READER(read_wrap, "ring read bulk, wrapping", .before = 15, .queued = 16, .n = 13);
READER(read_burst, "ring read burst, more than there", .before = 5, .queued = 6, .n = 16,
	.burst = true);
READER(read_empty, "ring read timed, empty", .n = 2, .timed = true);
RING(state_writer, "ring down, by the writer", op_state, NULL, survive_writer,
	.victim = SIO_RBUFF_PRODUCER, .queued = 3);
RING(state_reader, "ring down, by the reader", op_state, arrange, survive_reader,
	.victim = SIO_RBUFF_CONSUMER, .queued = 3);

static const struct ring_start life_start = {.victim = SIO_RBUFF_PRODUCER, .before = 4};
static const struct crash_case attach_writer = {.name = "ring attach, writer",
	.arg = &life_start,
	.setup = setup,
	.prepare = prepare_stranger,
	.op = op_attach,
	.finish = finish,
	.survive = survive_writer,
	.audit = audit};
static const struct ring_start tail_start = {
	.victim = SIO_RBUFF_PRODUCER, .size = 16, .before = 4, .tail = 16};
static const struct crash_case attach_after_tail = {.name = "ring attach, writer, after a death",
	.through = "tail_clear",
	.arg = &tail_start,
	.setup = setup,
	.prepare = prepare_stranger,
	.op = op_attach,
	.finish = finish,
	.survive = survive_writer,
	.audit = audit};
static const struct crash_case detach_writer = {.name = "ring detach, writer",
	.arg = &life_start,
	.setup = setup,
	.prepare = prepare,
	.op = op_detach,
	.finish = finish,
	.survive = survive_writer,
	.audit = audit};
static const struct crash_case create = {.name = "ring create",
	.arg = &life_start,
	.op = op_create,
	.finish = finish_creator,
	.survive = survive_creator};

/*
 * Calls that wait cost their time at each point, and stopped victims a successor each: fewer points
 * for CI.
 */
#define EVERY(c)                                          \
	{&(c), CRASH_KILL, CRASH_EVERY, CRASH_DEEP},      \
	{                                                 \
		&(c), CRASH_STOP, CRASH_EVERY, CRASH_DEEP \
	}
#define FEW_STOP(c)                                          \
	{&(c), CRASH_KILL, CRASH_EVERY, CRASH_DEEP},         \
	{                                                    \
		&(c), CRASH_STOP, CRASH_DISTINCT, CRASH_DEEP \
	}
#define FEW(c)                                               \
	{&(c), CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},      \
	{                                                    \
		&(c), CRASH_STOP, CRASH_DISTINCT, CRASH_DEEP \
	}

int
main(int argc, char **argv)
{
	/* clang-format off */
	static const struct crash_row rows[] = {
		EVERY(write_one),
		FEW_STOP(write_bulk4),
		FEW_STOP(write_bulk8),
		FEW_STOP(write_bulk16),
		FEW_STOP(write_wrap),
		FEW_STOP(write_burst),
		FEW(write_full),
		FEW_STOP(read_one),
		FEW(read_bulk4),
		FEW(read_bulk16),
		FEW(read_wrap),
		FEW(read_burst),
		FEW(read_empty),
		EVERY(state_writer),
		EVERY(state_reader),
		FEW_STOP(write_packets),
		FEW(write_whole4),
		FEW(write_whole8),
		FEW(attach_writer),
		FEW(attach_after_tail),
		FEW(detach_writer),
		{&create, CRASH_KILL, CRASH_SAMPLE, CRASH_DEEP},
		{&create, CRASH_STOP, CRASH_NONE, CRASH_DISTINCT},
		{&write_wakes, CRASH_KILL, CRASH_DISTINCT, CRASH_DISTINCT},
	};
	/* clang-format on */

	return crash_main(argc, argv, rows, sizeof(rows) / sizeof(rows[0]));
}
