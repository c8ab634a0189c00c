/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * An example: two processes that pass the blocks of a pool on by a queue of their own. The receiver
 * is killed in the middle of its work, again and again, and another one goes on in its place.
 *
 * What an application adds to its queue is two calls: sio_pool_hand_over() before a handle is
 * written into it, sio_pool_accept() after one was read from it.
 */

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <slabio/pool.h>

#define POOL	   "handover"
#define BLOCKS	   1024u
#define BURST	   16u
#define QUEUE_SIZE 256u /* a power of two */

/* The application's queue: one writer, one reader, no idea of pools. */
struct queue {
	_Alignas(64) _Atomic uint32_t written;
	_Alignas(64) _Atomic uint32_t read;
	_Alignas(64) _Atomic uint32_t receiver; /* the reader's member name; 0: none yet */
	_Alignas(64) _Atomic uint64_t accepted;
	_Atomic uint64_t left_out;
	_Atomic uint64_t wrong;
	uint32_t handles[QUEUE_SIZE];
};

static unsigned int
queue_push(struct queue *q, const uint32_t *handles, unsigned int n)
{
	uint32_t at = atomic_load_explicit(&q->written, memory_order_relaxed);
	/* acquire: the handles were read before they are overwritten */
	uint32_t room = QUEUE_SIZE - (at - atomic_load_explicit(&q->read, memory_order_acquire));

	if (n > room)
		n = room;
	for (unsigned int i = 0; i < n; i++)
		q->handles[(at + i) % QUEUE_SIZE] = handles[i];
	/* release: the handles, and that they were handed over */
	atomic_store_explicit(&q->written, at + n, memory_order_release);
	return n;
}

static unsigned int
queue_pop(struct queue *q, uint32_t *handles, unsigned int n)
{
	uint32_t at = atomic_load_explicit(&q->read, memory_order_relaxed);
	uint32_t there = atomic_load_explicit(&q->written, memory_order_acquire) - at;

	if (n > there)
		n = there;
	for (unsigned int i = 0; i < n; i++)
		handles[i] = q->handles[(at + i) % QUEUE_SIZE];
	atomic_store_explicit(&q->read, at + n, memory_order_release);
	return n;
}

static uint64_t
stamp_of(uint32_t handle)
{
	return handle * UINT64_C(0x9e3779b97f4a7c15);
}

static int
receive(struct queue *q)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts)};
	uint32_t handles[BURST];
	struct sio_pool *pool;

	/* a process with its own life: it has nothing that its parent had */
	if (sio_pool_attach(POOL, &opts, &pool) != 0)
		return 1;
	atomic_store(&q->receiver, sio_segment_self(sio_pool_segment(pool)));
	for (;;) {
		unsigned int n = queue_pop(q, handles, BURST);
		int mine;

		if (n == 0) {
			usleep(20);
			continue;
		}
		/* what was meant for a dead predecessor is not this one's, and left alone */
		mine = sio_pool_accept(pool, handles, n);
		if (mine < 0)
			return 1;
		for (int i = 0; i < mine; i++) {
			const uint64_t *block = sio_pool_addr(pool, handles[i]);

			if (*block != stamp_of(handles[i]))
				atomic_fetch_add(&q->wrong, 1);
		}
		atomic_fetch_add(&q->accepted, (unsigned int)mine);
		atomic_fetch_add(&q->left_out, n - (unsigned int)mine);
		if (sio_pool_give(pool, handles, (unsigned int)mine) != 0)
			return 1;
	}
}

static pid_t
start_receiver(struct queue *q)
{
	pid_t parent = getpid(), pid;

	atomic_store(&q->receiver, SIO_MEMBER_NONE);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(getppid() == parent ? receive(q) : 1);
	}
	return pid;
}

/* @return false if the pool cannot be used */
static bool
send_burst(struct sio_pool *pool, struct queue *q)
{
	sio_member_t to = (sio_member_t)atomic_load(&q->receiver);
	uint32_t handles[BURST];
	unsigned int queued;
	int ret;

	if (to == SIO_MEMBER_NONE || sio_pool_take(pool, handles, BURST) != 0) {
		usleep(20);
		return true;
	}
	for (unsigned int i = 0; i < BURST; i++)
		*(uint64_t *)sio_pool_addr(pool, handles[i]) = stamp_of(handles[i]);
	ret = sio_pool_hand_over(pool, handles, BURST, to);
	if (ret != 0) {
		/* they are still ours; the receiver may just have been buried */
		sio_pool_give(pool, handles, BURST);
		return ret == -ESRCH;
	}
	queued = queue_push(q, handles, BURST);
	if (queued < BURST) {
		int back = sio_pool_withdraw(pool, handles + queued, BURST - queued);

		if (back > 0)
			sio_pool_give(pool, handles + queued, (unsigned int)back);
		usleep(20);
	}
	return true;
}

static void
kill_receiver(struct sio_pool *pool, struct queue *q, pid_t pid, unsigned int which)
{
	struct sio_recover_report report;

	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	atomic_store(&q->receiver, SIO_MEMBER_NONE);
	sio_pool_recover(pool, &report);
	printf("receiver %u killed: %u blocks from its shard, %u from hands and offers, %u in "
	       "quarantine, %.2f ms\n",
		which, report.blocks_shards, report.blocks_hands, report.quarantined,
		(double)report.ns / 1e6);
}

static bool
run(struct sio_pool *pool, struct queue *q, unsigned int kills, unsigned int ms)
{
	for (unsigned int i = 0; i < kills; i++) {
		uint64_t end = sio_now_ns() + ms * UINT64_C(1000000);
		pid_t pid = start_receiver(q);

		if (pid < 0)
			return false;
		while (sio_now_ns() < end)
			if (!send_burst(pool, q)) {
				kill(pid, SIGKILL);
				waitpid(pid, NULL, 0);
				return false;
			}
		kill_receiver(pool, q, pid, i + 1);
	}
	return true;
}

/* Nobody reads the queue any more: what was offered is free already, or still this process's. */
static void
drain(struct sio_pool *pool, struct queue *q)
{
	uint32_t handles[BURST];
	unsigned int n;

	while ((n = queue_pop(q, handles, BURST)) > 0) {
		int back = sio_pool_withdraw(pool, handles, n);

		if (back > 0)
			sio_pool_give(pool, handles, (unsigned int)back);
	}
}

static int
summary(struct sio_pool *pool, const struct queue *q, bool exact)
{
	uint32_t free_blocks, quarantined = 0;

	free_blocks = sio_pool_free_count(pool);
	sio_pool_quarantine(pool, NULL, 0, &quarantined);
	printf("accepted %llu, left out %llu, with wrong contents %llu\n",
		(unsigned long long)atomic_load(&q->accepted),
		(unsigned long long)atomic_load(&q->left_out),
		(unsigned long long)atomic_load(&q->wrong));
	printf("%s pool: %u of %u blocks free, %u in quarantine\n",
		exact ? "exact" : "conservative", free_blocks, BLOCKS, quarantined);
	if (atomic_load(&q->wrong) != 0 || atomic_load(&q->accepted) == 0)
		return 1;
	return exact ? free_blocks != BLOCKS : free_blocks + quarantined != BLOCKS;
}

static int
usage(FILE *to, const char *program)
{
	fprintf(to,
		"usage: %s [--conservative] [--kills N] [--ms MILLISECONDS]\n"
		"  --conservative  on a pool without holder words: what the dead had stays out\n"
		"  --kills N       receivers, one after the other, each killed; default 5\n"
		"  --ms MS         time until each is killed; default 50\n"
		"  --help          this text\n",
		program);
	return to == stdout ? 0 : 2;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{"conservative", no_argument, NULL, 'c'},
		{"kills", required_argument, NULL, 'k'},
		{"ms", required_argument, NULL, 'm'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	struct sio_pool_opts opts = {
		.sz = sizeof(opts),
		.name = POOL,
		.n_blocks = BLOCKS,
		.block_size = 64,
		.flags = SIO_POOL_EXACT,
		.backing = SIO_BACKING_FILE,
	};
	unsigned long kills = 5, ms = 50;
	struct sio_pool *pool;
	struct queue *q;
	int opt, ret;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'c')
			opts.flags = 0;
		else if (opt == 'k')
			kills = strtoul(optarg, NULL, 10);
		else if (opt == 'm')
			ms = strtoul(optarg, NULL, 10);
		else
			return usage(opt == 'h' ? stdout : stderr, argv[0]);
	}
	if (optind < argc || kills < 1 || kills > 1000 || ms < 1 || ms > 60000)
		return usage(stderr, argv[0]);
	q = mmap(NULL, sizeof(*q), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ret = q == MAP_FAILED ? -errno : sio_pool_create(&opts, &pool);
	if (ret != 0) {
		fprintf(stderr, "no pool: %s\n", strerror(-ret));
		return 1;
	}
	ret = !run(pool, q, (unsigned int)kills, (unsigned int)ms);
	if (ret == 0) {
		/* a queue of a conservative pool is read by whoever comes: nothing was freed */
		if (opts.flags != 0)
			drain(pool, q);
		else
			for (uint32_t handles[BURST], n; (n = queue_pop(q, handles, BURST)) > 0;)
				sio_pool_give(pool, handles, n);
		ret = summary(pool, q, opts.flags != 0);
	}
	sio_pool_destroy(pool);
	return ret;
}
