/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Several real processes on one pool: nothing is had twice, the stopped and the dead are waited for
 * by nobody.
 */

#include "unit_env.h"
#include <stdatomic.h>
#include <sys/mman.h>
#include "pool/pool_layout.h"
#include "unit_pool.h"

enum { N = 160, PROCESSES = 4 };

static const uint32_t pool_flags[] = {0, SIO_POOL_EXACT};

/* Shared by all processes of a test: who has which block. */
struct board {
	_Atomic uint32_t holder[N];
	atomic_uint ready, faults, dry, taken;
	atomic_bool stop;
};

static struct board *
board_make(void)
{
	struct board *board = mmap(
		NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(board != MAP_FAILED);
	return board;
}

struct job {
	struct board *board;
	const char *name;
	unsigned int rounds, seed;
	struct unit_gate *gate;
	struct sio_pool *inherited; /* through fork(), to be left like any other */
};

/* Takes and gives, writes into each block and finds there what it wrote. */
static int
worker(void *arg)
{
	struct job *job = arg;
	struct board *board = job->board;
	struct sio_pool_attach_opts opts = {.sz = sizeof(opts)};
	struct sio_pool *pool;
	uint32_t held[64], n_held = 0, n, me = (uint32_t)getpid();

	if (sio_pool_attach(job->name, &opts, &pool) != 0)
		return 2;
	/* all begin together, so that they meet */
	atomic_fetch_add(&board->ready, 1);
	while (atomic_load(&board->ready) < PROCESSES)
		usleep(100);
	for (unsigned int i = 0; i < job->rounds && !atomic_load(&board->stop); i++) {
		if (rand_r(&job->seed) & 1) {
			n = (uint32_t)rand_r(&job->seed) % (65 - n_held);
			if (sio_pool_take(pool, held + n_held, n) != 0) {
				atomic_fetch_add(&board->dry, 1);
				continue;
			}
			for (uint32_t k = 0; k < n; k++, n_held++) {
				uint32_t nobody = 0;
				uint32_t *block = sio_pool_addr(pool, held[n_held]);

				if (!atomic_compare_exchange_strong(
					    &board->holder[held[n_held]], &nobody, me))
					atomic_fetch_add(&board->faults, 1);
				*block = me ^ held[n_held];
			}
			atomic_fetch_add(&board->taken, n);
		} else {
			n = (uint32_t)rand_r(&job->seed) % (n_held + 1);
			for (uint32_t k = 0; k < n; k++) {
				uint32_t handle = held[n_held - 1 - k];
				uint32_t *block = sio_pool_addr(pool, handle);

				if (*block != (me ^ handle))
					atomic_fetch_add(&board->faults, 1);
				atomic_store(&board->holder[handle], 0);
			}
			if (sio_pool_give(pool, held + n_held - n, n) != 0)
				return 3;
			n_held -= n;
		}
	}
	for (uint32_t k = 0; k < n_held; k++)
		atomic_store(&board->holder[held[k]], 0);
	if (sio_pool_give(pool, held, n_held) != 0)
		return 3;
	sio_pool_detach(pool);
	sio_pool_detach(job->inherited);
	return 0;
}

static void
processes_share_a_pool_and_have_no_block_twice(void **state)
{
	(void)state;
	for (unsigned int f = 0; f < 2; f++) {
		struct board *board = board_make();
		struct sio_pool *pool = unit_pool("share", N, 8, 0, pool_flags[f]);
		struct sio_audit_report report;
		struct job jobs[PROCESSES];
		pid_t pids[PROCESSES];

		for (unsigned int i = 0; i < PROCESSES; i++) {
			jobs[i] = (struct job){.board = board,
				.name = "share",
				.rounds = 200000,
				.seed = i + 1,
				.inherited = pool};
			pids[i] = unit_fork(worker, &jobs[i]);
		}
		for (unsigned int i = 0; i < PROCESSES; i++)
			assert_int_equal(unit_wait(pids[i]), 0);
		assert_int_equal(atomic_load(&board->faults), 0);
		assert_true(atomic_load(&board->taken) > 0);
		assert_true(atomic_load(&board->dry) > 0);
		report = unit_audit(pool);
		assert_true(sio_audit_clean(&report));
		assert_int_equal(report.outstanding, 0);
		/* a thief may have put a magazine back after its owner had left */
		assert_int_equal(report.met[SIO_PLACE_DEPOT] + report.met[SIO_PLACE_SHARD], N);
		assert_int_equal(report.dead_members, 0);
		sio_pool_destroy(pool);
		munmap(board, sizeof(*board));
	}
}

static int
take_some_and_sleep(void *arg)
{
	struct job *job = arg;
	struct sio_pool_attach_opts opts = {.sz = sizeof(opts)};
	struct sio_pool *pool;
	uint32_t held[40];

	if (sio_pool_attach(job->name, &opts, &pool) != 0 || sio_pool_take(pool, held, 40) != 0 ||
		sio_pool_give(pool, held, 20) != 0)
		return 2;
	for (unsigned int i = 20; i < 40; i++)
		atomic_store(&job->board->holder[held[i]], 1);
	unit_gate_open(job->gate);
	sleep(50);
	return 0;
}

static void
blocks_in_the_shard_of_an_idle_or_stopped_process_can_be_taken(void **state)
{
	(void)state;
	for (unsigned int f = 0; f < 4; f++) {
		struct board *board = board_make();
		struct sio_pool *pool = unit_pool("idle", N, 8, 0, pool_flags[f & 1]);
		struct sio_audit_report report;
		struct unit_gate gate;
		struct job job = {.board = board, .name = "idle", .gate = &gate};
		uint32_t handles[N];
		pid_t pid;

		unit_gate_init(&gate);
		pid = unit_fork(take_some_and_sleep, &job);
		assert_true(unit_gate_pass(&gate));
		if (f >= 2)
			assert_int_equal(kill(pid, SIGSTOP), 0);
		/*
		 * all but the 20 that it holds; one by one, so that the steal is needed for the
		 * last
		 */
		for (unsigned int i = 0; i < N - 20; i++) {
			assert_int_equal(sio_pool_take_one(pool, &handles[i]), 0);
			assert_int_equal(atomic_exchange(&board->holder[handles[i]], 2), 0);
		}
		assert_int_equal(sio_pool_take_one(pool, &handles[0]), -ENOBUFS);
		report = unit_audit(pool);
		assert_int_equal(report.met[SIO_PLACE_SHARD] + report.met[SIO_PLACE_DEPOT], 0);
		assert_int_equal(report.outstanding, pool_flags[f & 1] ? 0 : N);
		assert_int_equal(report.met[SIO_PLACE_HELD], pool_flags[f & 1] ? N : 0);
		assert_int_equal(report.twice, 0);
		unit_kill(pid);
		unit_gate_close(&gate);
		sio_pool_destroy(pool);
		munmap(board, sizeof(*board));
	}
}

static void
survivors_go_on_after_kills_and_have_no_block_twice(void **state)
{
	(void)state;
	for (unsigned int round = 0; round < 20; round++) {
		struct board *board = board_make();
		struct sio_pool *pool = unit_pool("kills", N, 8, 0, pool_flags[round & 1]);
		struct sio_audit_report report;
		struct job jobs[PROCESSES];
		pid_t pids[PROCESSES];
		struct sio_recover_report recovered;
		uint32_t handles[N + 1], n = 0, lost = 0;

		for (unsigned int i = 0; i < PROCESSES; i++) {
			jobs[i] = (struct job){.board = board,
				.name = "kills",
				.rounds = i == 0 ? UINT32_MAX : 1000000,
				.seed = round * 10 + i + 1,
				.inherited = pool};
			pids[i] = unit_fork(worker, &jobs[i]);
		}
		unit_wait_until(atomic_load(&board->ready) == PROCESSES);
		usleep(round * 500);
		unit_kill(pids[0]);
		usleep(2000);
		atomic_store(&board->stop, true);
		for (unsigned int i = 1; i < PROCESSES; i++)
			assert_int_equal(unit_wait(pids[i]), 0);
		assert_int_equal(atomic_load(&board->faults), 0);
		report = unit_audit(pool);
		assert_int_equal(report.twice, 0);
		assert_int_equal(report.strange, 0);
		assert_int_equal(report.holder_wrong, 0);
		/* what is lost until recovery is at most what the dead held or had in its shard */
		while (sio_pool_take_one(pool, &handles[n]) == 0)
			n++;
		for (uint32_t b = 0; b < N; b++)
			lost += atomic_load(&board->holder[b]) == (uint32_t)pids[0];
		assert_true(n + lost <= N);
		assert_true(n + 64 + SIO_MAGAZINES_OUT * 8 >= N);
		assert_int_equal(sio_pool_give(pool, handles, n), 0);

		/* recovery brings back what was in its shard, and in an exact pool what it held */
		assert_int_equal(sio_pool_recover(pool, &recovered), 0);
		assert_int_equal(recovered.dead_members, 1);
		assert_int_equal(recovered.buried, 1);
		assert_int_equal(recovered.left, 0);
		report = unit_audit(pool);
		assert_true(sio_audit_clean(&report));
		assert_int_equal(report.dead_members, 0);
		if (round & 1)
			assert_int_equal(sio_pool_free_count(pool), N);
		else
			assert_true(sio_pool_free_count(pool) + 64 >= N);
		assert_int_equal(sio_pool_free_count(pool) + report.outstanding, N);
		assert_int_equal(report.met[SIO_PLACE_HELD], 0);
		/* and done again it changes nothing */
		n = sio_pool_free_count(pool);
		assert_int_equal(sio_pool_recover(pool, &recovered), 0);
		assert_int_equal(
			recovered.dead_members + recovered.magazines + recovered.shards, 0);
		assert_int_equal(sio_pool_free_count(pool), n);
		for (uint32_t i = 0; i < n; i++) {
			assert_int_equal(sio_pool_take_one(pool, &handles[i]), 0);
			for (uint32_t k = 0; k < i; k++)
				assert_int_not_equal(handles[i], handles[k]);
		}
		assert_int_equal(sio_pool_give(pool, handles, n), 0);
		sio_pool_destroy(pool);
		munmap(board, sizeof(*board));
	}
}

static int
forked_child(void *arg)
{
	struct sio_pool *pool = arg;
	struct sio_pool_info info;
	uint32_t handles[N];

	/*
	 * the parent's thread has blocks in its shard; they are not this thread's, but can be
	 * stolen
	 */
	if (sio_pool_take(pool, handles, N - 1) != 0)
		return 2;
	sio_pool_info(pool, &info);
	if (info.members != 2 || info.shards_used != 2)
		return 3;
	if (sio_pool_give(pool, handles, N - 1) != 0)
		return 4;
	sio_pool_detach(pool);
	return 0;
}

static void
a_forked_child_joins_as_a_member_of_its_own(void **state)
{
	(void)state;
	for (unsigned int f = 0; f < 2; f++) {
		struct sio_pool *pool = unit_pool("forked", N, 8, 0, pool_flags[f]);
		struct sio_audit_report report;
		uint32_t handle, handles[30];

		assert_int_equal(sio_pool_take_one(pool, &handle), 0);
		assert_int_equal(sio_pool_take(pool, handles, 30), 0);
		assert_int_equal(sio_pool_give(pool, handles, 30), 0);
		assert_int_equal(unit_wait(unit_fork(forked_child, pool)), 0);
		/* the parent goes on with what is its own */
		assert_int_equal(sio_pool_give(pool, &handle, 1), 0);
		report = unit_audit(pool);
		assert_true(sio_audit_clean(&report));
		assert_int_equal(report.outstanding, 0);
		assert_int_equal(sio_pool_free_count(pool), N);
		sio_pool_destroy(pool);
	}
}

static int
does_nothing(void *arg)
{
	(void)arg;
	exit(0);
}

static void
a_forked_child_that_only_exits_changes_nothing(void **state)
{
	struct sio_pool *pool = unit_pool("exits", N, 8, 0, 0);
	struct sio_audit_report report;
	uint32_t handles[30];

	(void)state;
	assert_int_equal(sio_pool_take(pool, handles, 30), 0);
	assert_int_equal(sio_pool_give(pool, handles, 15), 0);
	assert_int_equal(unit_wait(unit_fork(does_nothing, NULL)), 0);
	report = unit_audit(pool);
	assert_true(sio_audit_clean(&report));
	assert_int_equal(report.outstanding, 15);
	assert_int_equal(sio_pool_give(pool, handles + 15, 15), 0);
	sio_pool_destroy(pool);
}

struct recoverer {
	const char *name;
	struct unit_gate *gate;
};

static int
recovers_again_and_again(void *arg)
{
	struct recoverer *r = arg;
	struct sio_pool_attach_opts opts = {.sz = sizeof(opts), .no_recover = true};
	struct sio_pool *pool;

	if (sio_pool_attach(r->name, &opts, &pool) != 0)
		return 2;
	unit_gate_open(r->gate);
	for (;;)
		if (sio_pool_recover(pool, NULL) != 0)
			return 3;
}

static int
holds_and_dies(void *arg)
{
	struct job *job = arg;
	struct sio_pool_attach_opts opts = {.sz = sizeof(opts), .no_recover = true};
	struct sio_pool *pool;
	uint32_t held[60];

	if (sio_pool_attach(job->name, &opts, &pool) != 0)
		return 2;
	/* blocks may be in a recoverer's hand just now */
	for (unsigned int i = 0; sio_pool_take(pool, held, 10 + job->seed % 20) != 0; i++) {
		if (i == 20000)
			return 3;
		usleep(100);
	}
	if (sio_pool_give(pool, held, job->seed % 20) != 0)
		return 4;
	raise(SIGKILL);
	return 5;
}

static void
recoverers_that_are_killed_and_several_at_once_lose_nothing(void **state)
{
	struct sio_pool *pool = unit_pool("recover", N, 8, 0, SIO_POOL_EXACT);
	struct unit_gate gate;
	struct recoverer r = {.name = "recover", .gate = &gate};
	struct sio_audit_report report;
	pid_t pids[2];

	(void)state;
	unit_gate_init(&gate);
	for (unsigned int round = 0; round < 40; round++) {
		for (unsigned int i = 0; i < 2; i++) {
			pids[i] = unit_fork(recovers_again_and_again, &r);
			assert_true(unit_gate_pass(&gate));
		}
		for (unsigned int i = 0; i < 3; i++) {
			struct job job = {.name = "recover", .seed = round * 7 + i};

			assert_int_equal(unit_wait(unit_fork(holds_and_dies, &job)), 128 + SIGKILL);
			usleep(round * 10);
		}
		unit_kill(pids[0]);
		unit_kill(pids[1]);
		assert_int_equal(sio_pool_recover(pool, NULL), 0);
		report = unit_audit(pool);
		assert_true(sio_audit_clean(&report));
		assert_int_equal(report.dead_members, 0);
		assert_int_equal(sio_pool_free_count(pool), N);
	}
	unit_gate_close(&gate);
	sio_pool_destroy(pool);
}

static int
creator_with_blocks(void *arg)
{
	struct unit_gate *gate = arg;
	struct sio_pool *pool = unit_pool("crashed", N, 8, 0, 0);
	uint32_t handles[30];

	if (sio_pool_take(pool, handles, 30) != 0)
		return 2;
	unit_gate_open(gate);
	sleep(50);
	return 0;
}

static void
a_crashed_pool_can_be_audited_and_its_name_used_again(void **state)
{
	struct sio_pool_attach_opts opts = {.sz = sizeof(opts), .observe = true};
	struct sio_audit_report report;
	struct unit_gate gate;
	struct sio_pool *pool;
	pid_t pid;

	(void)state;
	unit_gate_init(&gate);
	pid = unit_fork(creator_with_blocks, &gate);
	assert_true(unit_gate_pass(&gate));
	unit_kill(pid);
	assert_int_equal(sio_pool_attach("crashed", &opts, &pool), 0);
	report = unit_audit(pool);
	assert_int_equal(report.outstanding, 30);
	assert_int_equal(report.dead_members, 1);
	assert_int_equal(report.twice, 0);
	sio_pool_detach(pool);
	pool = unit_pool("crashed", N, 8, 0, 0);
	assert_int_equal(sio_pool_free_count(pool), N);
	sio_pool_destroy(pool);
	unit_gate_close(&gate);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(processes_share_a_pool_and_have_no_block_twice),
		cmocka_unit_test(blocks_in_the_shard_of_an_idle_or_stopped_process_can_be_taken),
		cmocka_unit_test(survivors_go_on_after_kills_and_have_no_block_twice),
		cmocka_unit_test(recoverers_that_are_killed_and_several_at_once_lose_nothing),
		cmocka_unit_test(a_forked_child_joins_as_a_member_of_its_own),
		cmocka_unit_test(a_forked_child_that_only_exits_changes_nothing),
		cmocka_unit_test(a_crashed_pool_can_be_audited_and_its_name_used_again),
	};

	unit_env_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
