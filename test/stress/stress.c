/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* Sets workers up, waits for them, and looks whether everything is back. */

#include "stress.h"
#include <sys/mman.h>
#include <time.h>

/** Bytes of a block, and from one to the next in lent memory. */
#define BLOCK_SIZE  64u
#define BLOCK_PITCH 128u
#define LANE_ROOM   64u
/**
 * A worker begins, and one that is told to end does so, within this time, or something waits for
 * ever.
 */
#define END_MS 15000u

void
stress_fault(struct stress_board *board, const char *format, ...)
{
	va_list args;

	if (atomic_fetch_add(&board->faults, 1) == 0) {
		va_start(args, format);
		vsnprintf(board->first_fault, sizeof(board->first_fault), format, args);
		va_end(args);
	}
	atomic_store(&board->stop, true);
}

void
stress_init(int argc, char **argv)
{
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	unit_env_init();
}

pid_t
stress_fork(int (*fn)(void *arg), void *arg)
{
	return unit_fork(fn, arg);
}

const char *
stress_log_last(void)
{
	return unit_log_last;
}

unsigned int
stress_budget(unsigned int seconds)
{
	const char *text = getenv("SLABIO_STRESS_SECONDS");
	unsigned long given = text != NULL ? strtoul(text, NULL, 10) : 0;

	return 1000 * (given > 0 && given < 1000000 ? (unsigned int)given : seconds);
}

uint64_t
stress_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void *
share_memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(p != MAP_FAILED);
	return p;
}

static void
make_pool(struct stress *s)
{
	const struct stress_plan *plan = s->plan;
	struct sio_pool_opts opts = {
		.sz = sizeof(opts),
		.name = s->pool_name,
		.n_blocks = plan->n_blocks,
		.block_size = BLOCK_SIZE,
		.magazine_size = plan->magazine_size,
		.max_shards = plan->kind == STRESS_FEW_SHARDS ? 2 : 0,
		.flags = plan->kind == STRESS_EXACT	  ? SIO_POOL_EXACT
			 : plan->kind == STRESS_ADDRESSES ? SIO_POOL_SAME_MAP
							  : 0,
		.lent_payload = plan->kind == STRESS_ADDRESSES,
		.backing = SIO_BACKING_MEMFD,
	};

	assert_int_equal(sio_pool_create(&opts, &s->pool), 0);
	if (!opts.lent_payload)
		return;
	/* two chunks; forked workers have them at the same address */
	s->lent_size = (size_t)plan->n_blocks * BLOCK_PITCH;
	s->lent = share_memory(s->lent_size);
	assert_int_equal(sio_pool_add_memory(s->pool, s->lent, BLOCK_PITCH, plan->n_blocks / 2), 0);
	assert_int_equal(sio_pool_add_memory(s->pool,
				 (char *)s->lent + (size_t)(plan->n_blocks / 2) * BLOCK_PITCH,
				 BLOCK_PITCH, plan->n_blocks - plan->n_blocks / 2),
		0);
	assert_int_equal(sio_pool_publish(s->pool), 0);
}

static void
make_lanes(struct stress *s)
{
	for (unsigned int lane = 0; lane < s->plan->n_lanes; lane++) {
		struct sio_rbuff_opts opts = {
			.sz = sizeof(opts),
			.name = s->lane_name[lane],
			.capacity = LANE_ROOM,
			.element_size = sizeof(struct sio_desc),
			.role = s->plan->processes ? SIO_RBUFF_OBSERVER : SIO_RBUFF_PRODUCER,
		};

		snprintf(s->lane_name[lane], SIO_NAME_LEN, "lane%u", lane);
		assert_int_equal(sio_rbuff_create(&opts, &s->out[lane]), 0);
		if (!s->plan->processes)
			assert_int_equal(sio_rbuff_attach(s->lane_name[lane], SIO_RBUFF_CONSUMER,
						 &s->in[lane]),
				0);
	}
}

struct start {
	struct stress *s;
	unsigned int id;
};

static int
process_worker(void *arg)
{
	struct start *start = arg;

	/* not for longer than its plan, whatever becomes of the test */
	alarm(start->s->plan->millis / 1000 + 60);
	return stress_work(start->s, start->id);
}

static void *
thread_worker(void *arg)
{
	struct start *start = arg;

	return (void *)(intptr_t)stress_work(start->s, start->id);
}

static void
sleep_ms(uint64_t ms)
{
	usleep((useconds_t)(ms * 1000));
}

static void
wait_for_the_start(struct stress *s)
{
	uint64_t end = stress_now() + END_MS;

	while (atomic_load(&s->board->ready) < s->plan->n_workers &&
		!atomic_load(&s->board->stop)) {
		if (stress_now() > end)
			stress_fault(s->board, "%u of %u workers begin",
				atomic_load(&s->board->ready), s->plan->n_workers);
		sleep_ms(1);
	}
}

static void
wait_for_the_end(struct stress *s)
{
	uint64_t end = stress_now() + END_MS;

	for (unsigned int id = 0; id < s->plan->n_workers; id++) {
		struct stress_counts *counts = &s->board->worker[id];

		while (!atomic_load(&counts->done) && atomic_load(&s->board->faults) == 0) {
			if (stress_now() > end)
				stress_fault(s->board,
					"worker %u is at something for ever, after %llu operations",
					id + 1, (unsigned long long)atomic_load(&counts->ops));
			sleep_ms(1);
		}
	}
	if (atomic_load(&s->board->faults) == 0)
		return;
	/* with a fault some never come back: nothing is waited for, the test program ends here */
	fprintf(stderr, "%s: %u faults; the first: %s\n", s->plan->name,
		atomic_load(&s->board->faults), s->board->first_fault);
	printf("[  FAILED  ] %s\n", s->plan->name);
	fflush(stdout);
	unit_env_exit();
	_exit(1);
}

static void
check_everything_is_back(struct stress *s)
{
	struct sio_audit_report report;
	struct sio_audit *audit;

	for (uint32_t b = 0; b < s->plan->n_blocks; b++)
		assert_int_equal(atomic_load(&s->board->holder[b]), 0);
	assert_int_equal(sio_audit_begin(s->pool, &audit), 0);
	sio_audit_end(audit, &report);
	if (!sio_audit_clean(&report) || report.outstanding != 0)
		sio_audit_print(&report, stderr);
	assert_true(sio_audit_clean(&report));
	assert_int_equal(report.outstanding, 0);
	assert_int_equal(report.dead_members, 0);
	/* who left has let go of all: nothing is put back into the shard of nobody */
	assert_int_equal(report.met[SIO_PLACE_DEPOT], s->plan->n_blocks);
	assert_int_equal(sio_pool_free_count(s->pool), s->plan->n_blocks);
}

/* What all workers did. */
struct done {
	uint64_t taken, crossed, dry;
	bool everybody; /* has done more than its first take and give */
};

static struct done
what_was_done(const struct stress *s)
{
	struct done done = {.everybody = true};

	for (unsigned int id = 0; id < s->plan->n_workers; id++) {
		struct stress_counts *counts = &s->board->worker[id];

		done.everybody &= atomic_load(&counts->ops) > 2;
		done.taken += atomic_load(&counts->taken);
		done.crossed += atomic_load(&counts->crossed);
		done.dry += atomic_load(&counts->dry);
	}
	return done;
}

/* That the workers did what the plan is about. */
static bool
took_place(const struct stress *s)
{
	struct done done = what_was_done(s);

	return done.everybody && (s->plan->n_lanes == 0 || done.crossed > 0) &&
	       (s->plan->part[0].role != STRESS_DRAIN || done.dry > 0);
}

static void
show(struct stress *s)
{
	struct done done = what_was_done(s);
	uint64_t steals = 0, put_back = 0;
	struct sio_shard_info shards[160];
	uint32_t n = sio_pool_shards(s->pool, shards, 160);

	for (uint32_t i = 0; i < n && i < 160; i++) {
		steals += shards[i].steals;
		put_back += shards[i].put_back;
	}
	printf("%s: kind %d%s%s: %llu taken, %llu crossed, %llu dry, %llu stolen, %llu put back\n",
		s->plan->name, (int)s->plan->kind, s->plan->processes ? " processes" : " threads",
		s->plan->one_cpu ? " one cpu" : "", (unsigned long long)done.taken,
		(unsigned long long)done.crossed, (unsigned long long)done.dry,
		(unsigned long long)steals, (unsigned long long)put_back);
}

static void
tear_down(struct stress *s)
{
	for (unsigned int lane = 0; lane < s->plan->n_lanes; lane++) {
		if (s->in[lane] != NULL)
			sio_rbuff_detach(s->in[lane]);
		sio_rbuff_destroy(s->out[lane]);
	}
	sio_pool_destroy(s->pool);
	if (s->lent != NULL)
		munmap(s->lent, s->lent_size);
	munmap(s->board, sizeof(*s->board));
}

void
stress_run(const struct stress_plan *plan)
{
	static unsigned int runs;
	struct stress s = {.plan = plan, .seed = (unsigned int)getpid() * 1000u + ++runs * 16u};
	struct start start[STRESS_WORKERS_MAX];

	assert_true(plan->n_blocks <= STRESS_BLOCKS_MAX && plan->hold <= STRESS_HOLD_MAX &&
		    plan->n_workers <= STRESS_WORKERS_MAX && plan->n_lanes <= STRESS_LANES_MAX);
	s.board = share_memory(sizeof(*s.board));
	snprintf(s.pool_name, sizeof(s.pool_name), "stress");
	make_pool(&s);
	make_lanes(&s);
	stress_park_init(s.board);
	for (unsigned int id = 0; id < plan->n_workers; id++) {
		start[id] = (struct start){&s, id};
		if (plan->processes)
			s.pid[id] = unit_fork(process_worker, &start[id]);
		else
			assert_int_equal(
				pthread_create(&s.thread[id], NULL, thread_worker, &start[id]), 0);
	}
	wait_for_the_start(&s);
	if (plan->meddle != NULL) {
		plan->meddle(&s);
	} else {
		uint64_t end = stress_now() + plan->millis;

		while (stress_now() < end && !atomic_load(&s.board->stop))
			sleep_ms(5);
	}
	/* on a busy machine some have not had a CPU yet */
	for (uint64_t end = stress_now() + END_MS;
		!took_place(&s) && stress_now() < end && !atomic_load(&s.board->stop);)
		sleep_ms(5);
	atomic_store(&s.board->stop, true);
	wait_for_the_end(&s);
	for (unsigned int id = 0; id < plan->n_workers; id++) {
		if (plan->processes)
			assert_int_equal(unit_wait(s.pid[id]), 0);
		else
			assert_int_equal(pthread_join(s.thread[id], NULL), 0);
	}
	if (getenv("UNIT_LOG") != NULL)
		show(&s);
	assert_true(took_place(&s));
	check_everything_is_back(&s);
	tear_down(&s);
}
