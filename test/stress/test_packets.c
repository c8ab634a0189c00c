/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Packets of several elements: who reads finds whole ones only, beside a writer at work, and after
 * one that was killed at a random moment and whose successor went on.
 */

#include "stress.h"

enum {
	SECONDS = 2,
	CASES = 2,
	ROOM = 256,
	MOST = 200,  /* elements of a packet */
	ENOUGH = 10, /* packets, however late on a busy machine */
	LATE_MS = 15000,
};

struct piece {
	uint32_t writer;
	uint32_t packet; /* of this writer, from 0 */
	uint32_t n;	 /* elements of the packet */
	uint32_t index;	 /* among them */
};

_Static_assert(sizeof(struct piece) == 16, "an element");

struct reader {
	struct sio_rbuff *ring;
	struct piece next; /* what must come; index 0: any length */
	uint64_t packets;
};

static unsigned int
write_packet(struct sio_rbuff *ring, uint32_t writer, uint32_t packet, unsigned int *seed)
{
	struct piece pieces[MOST];
	uint32_t n = 1 + (uint32_t)rand_r(seed) % MOST;

	for (uint32_t i = 0; i < n; i++)
		pieces[i] = (struct piece){writer, packet, n, i};
	/* no yield: who yields often is put off, for longer than the test lasts */
	while (sio_rbuff_write_whole(ring, pieces, n) == 0)
		;
	return n;
}

/*
 * Reads all that is there, up to what the ring can have; fails the test unless it is whole packets.
 */
static int
read_packets(struct reader *r)
{
	struct piece pieces[ROOM];
	int n = sio_rbuff_read_burst(r->ring, pieces, ROOM);

	assert_true(n >= 0);
	for (int i = 0; i < n; i++) {
		struct piece *p = &pieces[i], *next = &r->next;

		if (p->writer != next->writer || p->packet != next->packet ||
			p->index != next->index || (p->index != 0 && p->n != next->n) ||
			p->n > MOST || p->index >= p->n)
			fail_msg("element %u of %u of packet %u of writer %u, expected element %u "
				 "of "
				 "packet %u of writer %u",
				p->index, p->n, p->packet, p->writer, next->index, next->packet,
				next->writer);
		*next = *p;
		next->index++;
		if (next->index == next->n) {
			next->index = 0;
			next->packet++;
			r->packets++;
		}
	}
	if (r->next.index != 0)
		fail_msg("%u of %u elements of packet %u of writer %u are there, and no more",
			r->next.index, r->next.n, r->next.packet, r->next.writer);
	return n;
}

static struct sio_rbuff *
ring_new(enum sio_rbuff_role role)
{
	struct sio_rbuff_opts opts = {.sz = sizeof(opts),
		.name = "packets",
		.capacity = ROOM,
		.element_size = sizeof(struct piece),
		.role = role};
	struct sio_rbuff *ring;

	assert_int_equal(sio_rbuff_create(&opts, &ring), 0);
	return ring;
}

/* ---- nobody dies ---- */

struct work {
	struct sio_rbuff *ring;
	atomic_bool stop, ended;
};

static void *
write_on(void *arg)
{
	struct work *work = arg;
	unsigned int seed = 1;

	for (uint32_t packet = 0; !atomic_load(&work->stop); packet++)
		write_packet(work->ring, 0, packet, &seed);
	atomic_store(&work->ended, true);
	return NULL;
}

static void
a_reader_beside_a_writer_finds_whole_packets_only(void **state)
{
	struct work work = {.ring = ring_new(SIO_RBUFF_PRODUCER)};
	uint64_t end = stress_now() + stress_budget(SECONDS) / CASES, last = end + LATE_MS;
	struct reader r = {0};
	pthread_t thread;

	(void)state;
	assert_int_equal(sio_rbuff_attach("packets", SIO_RBUFF_CONSUMER, &r.ring), 0);
	assert_int_equal(pthread_create(&thread, NULL, write_on, &work), 0);
	while (stress_now() < end || (r.packets <= ENOUGH && stress_now() < last))
		for (int i = 0; i < 1000; i++)
			read_packets(&r);
	atomic_store(&work.stop, true);
	/* it may begin another packet before it sees that, and wait for room for it */
	while (!atomic_load(&work.ended))
		read_packets(&r);
	assert_int_equal(pthread_join(thread, NULL), 0);
	while (read_packets(&r) > 0)
		;
	assert_true(r.packets > ENOUGH);
	sio_rbuff_detach(r.ring);
	sio_rbuff_destroy(work.ring);
}

/* ---- writers die ---- */

static int
write_until_killed(void *arg)
{
	const uint32_t *writer = arg;
	unsigned int seed = *writer;
	struct sio_rbuff *ring;

	if (sio_rbuff_attach("packets", SIO_RBUFF_PRODUCER, &ring) != 0)
		return 1;
	for (uint32_t packet = 0;; packet++)
		write_packet(ring, *writer, packet, &seed);
}

/*
 * In the dead one's place, over all the lines that it may have been in: each element is read before
 * the next one is written, so that nothing else comes up behind one.
 */
static void
write_slowly(struct reader *r, uint32_t writer)
{
	struct sio_rbuff *ring;

	r->next = (struct piece){.writer = writer};
	assert_int_equal(sio_rbuff_attach("packets", SIO_RBUFF_PRODUCER, &ring), 0);
	for (uint32_t packet = 0; packet < MOST; packet++) {
		struct piece piece = {writer, packet, 1, 0};

		assert_int_equal(sio_rbuff_write_bulk(ring, &piece, 1), 1);
		assert_int_equal(read_packets(r), 1);
	}
	sio_rbuff_detach(ring);
}

static void
packets_of_writers_that_are_killed_arrive_whole(void **state)
{
	struct reader r = {.ring = ring_new(SIO_RBUFF_CONSUMER)};
	uint64_t end = stress_now() + stress_budget(SECONDS) / CASES;
	unsigned int seed = 7;
	uint32_t writer = 0;

	(void)state;
	do {
		uint64_t before = r.packets, until;
		int status;
		pid_t pid;

		r.next = (struct piece){.writer = ++writer};
		pid = stress_fork(write_until_killed, &writer);
		/* it has come to write, and is killed in that */
		while (r.packets == before && waitpid(pid, &status, WNOHANG) == 0)
			read_packets(&r);
		until = sio_now_ns() + (uint64_t)rand_r(&seed) % 300000;
		while (sio_now_ns() < until)
			read_packets(&r);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		while (read_packets(&r) > 0)
			;
		assert_int_equal(sio_rbuff_count(r.ring), 0);
		write_slowly(&r, ++writer);
	} while (stress_now() < end);
	sio_rbuff_destroy(r.ring);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reader_beside_a_writer_finds_whole_packets_only),
		cmocka_unit_test(packets_of_writers_that_are_killed_arrive_whole),
	};

	_Static_assert(sizeof(tests) / sizeof(tests[0]) == CASES, "they share the time");
	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
