/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* Contiguous takes: neighbours, from a region that a pool sets aside. */

#include "unit_env.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include "unit_pool.h"

#define PITCH 128u

/* A pool whose first runs of that size are set aside. */
static struct sio_pool *
region_pool(const char *name, uint32_t n, uint32_t size, uint32_t runs, uint32_t flags)
{
	struct sio_pool_opts opts = unit_pool_opts(name, n, 8, 8, flags);

	opts.contig_size = size;
	opts.contig_runs = runs;
	return unit_pool_create(&opts);
}

static void
assert_neighbours(struct sio_pool *pool, uint32_t first, unsigned int n)
{
	const char *addr = sio_pool_addr(pool, first);

	assert_non_null(addr);
	for (unsigned int i = 0; i < n; i++)
		assert_ptr_equal(sio_pool_addr(pool, first + i), addr + i * PITCH);
}

static struct sio_pool_info
info_of(struct sio_pool *pool)
{
	struct sio_pool_info info;

	sio_pool_info(pool, &info);
	return info;
}

static void
assert_at_rest(struct sio_pool *pool, uint32_t in_region)
{
	struct sio_audit_report report = unit_audit(pool);
	struct sio_pool_info info = info_of(pool);

	assert_true(sio_audit_clean(&report));
	assert_int_equal(report.outstanding, 0);
	assert_int_equal(report.met[SIO_PLACE_HELD], 0);
	assert_int_equal(report.met[SIO_PLACE_CONTIG], in_region);
	assert_int_equal(info.free_blocks, info.populated);
	assert_int_equal(info.contig_free, in_region);
	assert_int_equal(info.contig_ready, info.contig_runs);
	assert_int_equal(info.contig_taken, info.contig_given);
}

static void
options_that_cannot_be_are_refused(void **state)
{
	static const struct {
		uint32_t size, runs;
		const char *says;
	} bad[] = {
		{8, 0, "expected both or none"},
		{0, 8, "expected both or none"},
		{1, 8, "expected 2 to 65535"},
		{65536, 1, "expected 2 to 65535"},
		{8, 13, "expected at most 12"},
		{101, 1, "expected at most 0"},
		{65535, UINT32_MAX, "expected at most 0"},
	};
	struct sio_pool_opts opts = {.sz = sizeof(opts),
		.name = "refused",
		.n_blocks = 100,
		.block_size = 64,
		.backing = SIO_BACKING_MEMFD};
	struct sio_pool *pool;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		opts.contig_size = bad[i].size;
		opts.contig_runs = bad[i].runs;
		assert_int_equal(sio_pool_create(&opts, &pool), -EINVAL);
		assert_null(pool);
		assert_non_null(strstr(unit_log_last, bad[i].says));
	}
}

static void
a_run_is_neighbours_and_other_takes_do_not_get_them(void **state)
{
	struct sio_pool *pool = region_pool("runs", 100, 8, 5, 0);
	uint32_t first[6], h[60], more, seen = 0;

	(void)state;
	assert_at_rest(pool, 40);
	assert_int_equal(sio_pool_take(pool, h, 60), 0);
	assert_int_equal(sio_pool_take_one(pool, &more), -ENOBUFS);
	for (unsigned int i = 0; i < 5; i++) {
		assert_int_equal(sio_pool_take_contig(pool, 8, &first[i]), 0);
		assert_int_equal(first[i] % 8, 0);
		assert_neighbours(pool, first[i], 8);
		seen |= 1u << first[i] / 8;
	}
	assert_int_equal(seen, 0x1f);
	more = 4711;
	assert_int_equal(sio_pool_take_contig(pool, 8, &more), -ENOBUFS);
	assert_int_equal(sio_pool_take_contig(pool, 1, &more), -ENOBUFS);
	assert_int_equal(more, 4711);
	assert_int_equal(sio_pool_free_count(pool), 0);
	assert_int_equal(info_of(pool).contig_ready, 0);
	assert_int_equal(unit_audit(pool).outstanding, 100);
	for (unsigned int i = 0; i < 60; i++)
		assert_true(h[i] >= 40);
	for (unsigned int i = 0; i < 5; i++)
		assert_int_equal(sio_pool_give_contig(pool, first[i], 8), 0);
	assert_int_equal(sio_pool_take_one(pool, &more), -ENOBUFS);
	assert_int_equal(sio_pool_give(pool, h, 60), 0);
	assert_int_equal(info_of(pool).contig_taken, 40);
	assert_at_rest(pool, 40);
	sio_pool_destroy(pool);
}

static void
blocks_come_back_singly_in_any_order_and_mixed_with_others(void **state)
{
	struct sio_pool *pool = region_pool("singly", 256, 32, 2, 0);
	uint32_t first[2], other[70], all[134], more, n = 0;

	(void)state;
	assert_int_equal(sio_pool_take(pool, other, 70), 0);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(sio_pool_take_contig(pool, 32, &first[i]), 0);
	/* no two neighbours follow each other */
	for (unsigned int i = 0; i < 32; i++) {
		all[n++] = first[0] + i * 7 % 32;
		all[n++] = other[i];
		all[n++] = first[1] + i * 11 % 32;
		all[n++] = other[32 + i];
	}
	for (unsigned int i = 64; i < 70; i++)
		all[n++] = other[i];
	/* all but the last of the first run, the others with them */
	for (unsigned int i = 0; i < n; i++)
		if (all[i] == first[0] + 13) {
			all[i] = all[n - 1];
			all[n - 1] = first[0] + 13;
		}
	assert_int_equal(sio_pool_give(pool, all, n - 1), 0);
	assert_int_equal(sio_pool_free_count(pool), 255);
	assert_int_equal(info_of(pool).contig_ready, 1);
	assert_int_equal(info_of(pool).contig_free, 63);
	assert_int_equal(sio_pool_take_contig(pool, 32, &more), 0);
	assert_int_equal(more, first[1]);
	assert_int_equal(sio_pool_take_contig(pool, 1, &first[1]), -ENOBUFS);
	assert_int_equal(sio_pool_give(pool, &all[n - 1], 1), 0);
	assert_int_equal(sio_pool_take_contig(pool, 32, &first[0]), 0);
	assert_int_equal(sio_pool_give_contig(pool, first[0], 32), 0);
	assert_int_equal(sio_pool_give_contig(pool, more, 32), 0);
	assert_at_rest(pool, 64);
	sio_pool_destroy(pool);
}

static void
a_size_that_cannot_be_had_is_an_error_at_once(void **state)
{
	struct sio_pool *pool = region_pool("sizes", 70000, 65535, 1, 0);
	struct sio_pool *without = unit_pool("without", 64, 8, 2, 0);
	uint32_t first = 4711;

	(void)state;
	assert_int_equal(sio_pool_take_contig(without, 8, &first), -EOPNOTSUPP);
	assert_int_equal(sio_pool_take_contig(pool, 0, &first), -EINVAL);
	assert_non_null(strstr(unit_log_last, "expected 1 to 65535"));
	assert_int_equal(sio_pool_take_contig(pool, 65536, &first), -EINVAL);
	assert_int_equal(sio_pool_take_contig(pool, UINT32_MAX, &first), -EINVAL);
	assert_int_equal(first, 4711);
	assert_int_equal(sio_pool_take_contig(pool, 65535, &first), 0);
	assert_neighbours(pool, first, 65535);
	/* the block behind it is no neighbour of the region */
	assert_int_equal(sio_pool_give_contig(pool, first, 65536), -EINVAL);
	assert_int_equal(sio_pool_give_contig(pool, 65535, 1), -EINVAL);
	assert_int_equal(sio_pool_give_contig(pool, first, 0), -EINVAL);
	assert_int_equal(sio_pool_give_contig(without, 0, 1), -EINVAL);
	assert_int_equal(sio_pool_give_contig(pool, first, 70001), -EINVAL);
	assert_int_equal(sio_pool_give_contig(pool, 70001, 1), -EINVAL);
	assert_int_equal(sio_pool_give_contig(pool, 1, UINT32_MAX), -EINVAL);
	assert_int_equal(sio_pool_give_contig(pool, first, 65535), 0);
	assert_at_rest(pool, 65535);
	sio_pool_destroy(without);
	sio_pool_destroy(pool);

	/* the region is smaller than what may be asked for */
	pool = region_pool("small", 200, 48, 3, 0);
	assert_int_equal(sio_pool_take_contig(pool, 145, &first), -EINVAL);
	assert_non_null(strstr(unit_log_last, "expected 1 to 144"));
	assert_int_equal(sio_pool_take_contig(pool, 144, &first), 0);
	assert_int_equal(sio_pool_give_contig(pool, first, 144), 0);
	assert_at_rest(pool, 144);
	sio_pool_destroy(pool);
}

static void
runs_keep_their_places_whatever_is_taken(void **state)
{
	/* cells of 16, three to a run, four runs */
	struct sio_pool *pool = region_pool("places", 256, 48, 4, 0);
	uint32_t a, b, c, first[4];
	unsigned int seed = 1;

	(void)state;
	/* less than a run stays within one, and takes whole cells */
	assert_int_equal(sio_pool_take_contig(pool, 17, &a), 0);
	assert_int_equal(sio_pool_take_contig(pool, 17, &b), 0);
	assert_true(a / 48 == (a + 31) / 48 && b / 48 == (b + 31) / 48 && a / 48 != b / 48);
	assert_int_equal(info_of(pool).contig_ready, 2);
	assert_int_equal(sio_pool_take_contig(pool, 16, &c), 0);
	assert_true(c / 48 == a / 48 || c / 48 == b / 48 || info_of(pool).contig_ready == 1);
	/* more than a run begins with one */
	assert_int_equal(sio_pool_give_contig(pool, b, 17), 0);
	assert_int_equal(sio_pool_give_contig(pool, c, 16), 0);
	assert_int_equal(sio_pool_take_contig(pool, 100, &c), 0);
	assert_int_equal(c % 48, 0);
	assert_neighbours(pool, c, 100);
	assert_int_equal(sio_pool_give_contig(pool, a, 17), 0);
	assert_int_equal(sio_pool_give_contig(pool, c, 100), 0);
	assert_at_rest(pool, 192);
	for (unsigned int round = 0; round < 2000; round++) {
		uint32_t taken[12], sizes[12], n = 0;

		while (n < 12) {
			sizes[n] = (uint32_t)rand_r(&seed) % 96 + 1;
			if (sio_pool_take_contig(pool, sizes[n], &taken[n]) != 0)
				break;
			n++;
		}
		while (n-- > 0)
			assert_int_equal(sio_pool_give_contig(pool, taken[n], sizes[n]), 0);
		for (n = 0; n < 4; n++)
			assert_int_equal(sio_pool_take_contig(pool, 48, &first[n]), 0);
		while (n-- > 0)
			assert_int_equal(sio_pool_give_contig(pool, first[n], 48), 0);
	}
	assert_at_rest(pool, 192);
	sio_pool_destroy(pool);
}

static void
wrong_gives_are_left_alone_counted_and_told(void **state)
{
	struct sio_pool *pool = region_pool("wrong", 128, 8, 4, 0);
	uint32_t a, b, h[10], one;

	(void)state;
	assert_int_equal(sio_pool_take_one(pool, &one), 0);
	assert_int_equal(sio_pool_take_contig(pool, 8, &a), 0);
	assert_int_equal(sio_pool_take_contig(pool, 8, &b), 0);
	/* never taken */
	h[0] = a ^ 16 ^ b;
	assert_true(h[0] / 8 != a / 8 && h[0] / 8 != b / 8 && h[0] < 32);
	assert_int_equal(sio_pool_give(pool, h, 1), -EACCES);
	assert_non_null(strstr(unit_log_last, "did not have them"));
	assert_int_equal(info_of(pool).contig_wrong, 1);
	/* twice in one call, beside some that are right: these are given */
	h[0] = a;
	h[1] = one;
	h[2] = a;
	h[3] = b;
	assert_int_equal(sio_pool_give(pool, h, 4), -EACCES);
	assert_int_equal(info_of(pool).contig_wrong, 2);
	assert_int_equal(info_of(pool).contig_free, 32 - 16 + 2);
	assert_int_equal(sio_pool_free_count(pool), 128 - 14);
	/* twice, in two calls */
	assert_int_equal(sio_pool_give(pool, &b, 1), -EACCES);
	assert_int_equal(sio_pool_give_contig(pool, a, 8), -EACCES);
	assert_int_equal(sio_pool_give_contig(pool, a, 8), -EACCES);
	assert_int_equal(info_of(pool).contig_wrong, 2 + 1 + 1 + 8);
	/* a handle of no block: nothing is given */
	h[0] = b + 1;
	h[1] = 128;
	assert_int_equal(sio_pool_give(pool, h, 2), -EINVAL);
	assert_int_equal(sio_pool_give_contig(pool, b + 1, 7), 0);
	assert_at_rest(pool, 32);
	sio_pool_destroy(pool);
}

static void
addresses_work_too_where_all_map_alike_and_where_not(void **state)
{
	static const uint32_t flags[] = {
		0, SIO_POOL_SAME_MAP, SIO_POOL_SAME_MAP | SIO_POOL_CHECK | SIO_POOL_EXACT};
	static char lent[100][PITCH] __attribute__((aligned(64)));

	(void)state;
	for (unsigned int f = 0; f < 3; f++) {
		struct sio_pool_opts opts = {.sz = sizeof(opts),
			.name = "addresses",
			.n_blocks = 100,
			.block_size = 100,
			.flags = flags[f],
			.lent_payload = true,
			.contig_size = 16,
			.contig_runs = 2};
		void *p[20], *bad = lent[0] + 1;
		struct sio_pool *pool;
		uint32_t first, h;

		assert_int_equal(sio_pool_create(&opts, &pool), 0);
		assert_int_equal(sio_pool_add_memory(pool, lent, PITCH, 100), 0);
		assert_int_equal(sio_pool_publish(pool), 0);
		assert_int_equal(sio_pool_take_contig(pool, 16, &first), 0);
		assert_neighbours(pool, first, 16);
		assert_int_equal(sio_pool_take_ptr(pool, p, 4), 0);
		for (unsigned int i = 0; i < 15; i++)
			p[4 + i] = sio_pool_addr(pool, first + i);
		/* also in pools that do not check otherwise */
		assert_int_equal(sio_pool_give_ptr(pool, &bad, 1), -EINVAL);
		assert_int_equal(sio_pool_give_ptr(pool, p, 19), 0);
		assert_int_equal(info_of(pool).contig_free, 31);
		assert_int_equal(sio_pool_give_ptr(pool, &p[4], 1), -EACCES);
		h = first + 15;
		assert_int_equal(sio_pool_give(pool, &h, 1), 0);
		/* handles of others */
		assert_int_equal(sio_pool_take_one(pool, &h), 0);
		assert_int_equal(sio_pool_give(pool, &h, 1), 0);
		assert_at_rest(pool, 32);
		sio_pool_destroy(pool);
	}
}

static void
no_run_crosses_from_one_piece_of_memory_into_another(void **state)
{
	static char lent[100][PITCH] __attribute__((aligned(64)));
	/* pieces of the memory, not in the order in which they lie */
	static const struct {
		uint32_t at, n;
	} pieces[] = {{60, 21}, {0, 7}, {7, 37}, {90, 10}, {44, 16}, {81, 9}};
	struct sio_pool_opts opts = {.sz = sizeof(opts),
		.name = "pieces",
		.n_blocks = 100,
		.block_size = 100,
		.lent_payload = true,
		.contig_size = 8,
		.contig_runs = 9};
	uint32_t first[9], h[100], n, got = 0;
	struct sio_pool *pool;

	(void)state;
	assert_int_equal(sio_pool_create(&opts, &pool), 0);
	assert_int_equal(sio_pool_take_contig(pool, 8, &n), -EINVAL);
	for (unsigned int i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
		assert_int_equal(
			sio_pool_add_memory(pool, lent[pieces[i].at], PITCH, pieces[i].n), 0);
	assert_int_equal(sio_pool_publish(pool), 0);
	/* handles 0-20: 2 runs; 21-27: none; 28-64: 4; 65-74: none, since cells begin at multiples
	 * of 8; 75-90: 1; 91-99: none */
	assert_non_null(strstr(unit_log_last, "7 contiguous runs of 8 blocks are set aside"));
	assert_int_equal(info_of(pool).contig_runs, 7);
	assert_at_rest(pool, 56);
	for (n = 0; n < 9 && sio_pool_take_contig(pool, 8, &first[n]) == 0; n++)
		assert_neighbours(pool, first[n], 8);
	assert_int_equal(n, 7);
	/* what could not be set aside is there for others */
	while (sio_pool_take_one(pool, &h[got]) == 0)
		got++;
	assert_int_equal(got, 100 - 56);
	assert_int_equal(sio_pool_give(pool, h, got), 0);
	while (n-- > 0)
		assert_int_equal(sio_pool_give_contig(pool, first[n], 8), 0);
	/* two runs are neighbours in the first piece, four in the third */
	assert_int_equal(sio_pool_take_contig(pool, 33, &n), -EINVAL);
	assert_int_equal(sio_pool_take_contig(pool, 32, &n), 0);
	assert_neighbours(pool, n, 32);
	assert_int_equal(sio_pool_give_contig(pool, n, 32), 0);
	assert_at_rest(pool, 56);
	sio_pool_destroy(pool);
}

/* ---- several members ---- */

struct job {
	struct unit_gate ready;
	const char *name;
	sio_member_t to;
	uint32_t *handles; /* shared: the run, for those that it hands over */
};

/* Takes two runs and other blocks, hands a quarter of a run over, gives a quarter back, dies. */
static int
take_and_hang(void *arg)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts)};
	struct job *job = arg;
	struct sio_pool *pool;
	uint32_t first, second, h[4];

	if (sio_pool_attach(job->name, &opts, &pool) != 0)
		return 1;
	if (sio_pool_take(pool, h, 4) != 0 || sio_pool_take_contig(pool, 16, &first) != 0 ||
		sio_pool_take_contig(pool, 16, &second) != 0)
		return 2;
	for (unsigned int i = 0; i < 4; i++)
		job->handles[i] = first + i;
	if (sio_pool_hand_over(pool, job->handles, 4, job->to) != 0)
		return 3;
	/* in an exact pool they are not its own any more */
	if (sio_pool_give(pool, job->handles, 1) != (job->to != SIO_MEMBER_NONE ? -EACCES : 0))
		return 4;
	if (sio_pool_give_contig(pool, first + 4, 4) != 0)
		return 5;
	unit_gate_open(&job->ready);
	pause();
	return 6;
}

static void *
shared_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(memory != MAP_FAILED);
	return memory;
}

/* The job of a process that dies. */
static void
hang_and_kill(struct job *job)
{
	pid_t pid;

	unit_gate_init(&job->ready);
	pid = unit_fork(take_and_hang, job);
	assert_true(unit_gate_pass(&job->ready));
	unit_kill(pid);
	unit_gate_close(&job->ready);
}

static void
exact_pools_bring_back_what_the_dead_had_and_leave_what_was_handed_over(void **state)
{
	struct sio_pool *pool = region_pool("dead", 128, 16, 3, SIO_POOL_EXACT);
	struct job job = {.name = "dead",
		.to = sio_segment_self(sio_pool_segment(pool)),
		.handles = shared_memory(4 * sizeof(uint32_t))};
	struct sio_recover_report report;
	uint32_t mine;

	(void)state;
	/* a free run carries the name of who gave it back: that means nothing */
	assert_int_equal(sio_pool_take_contig(pool, 16, &mine), 0);
	assert_int_equal(sio_pool_give_contig(pool, mine, 16), 0);
	hang_and_kill(&job);
	assert_int_equal(sio_pool_take_contig(pool, 16, &mine), 0);
	assert_int_equal(sio_pool_accept(pool, job.handles, 4), 4);
	assert_int_equal(sio_pool_recover(pool, &report), 0);
	assert_int_equal(report.blocks_hands, 4 + 16 + 8);
	assert_int_equal(report.buried, 1);
	assert_int_equal(unit_audit(pool).met[SIO_PLACE_HELD], 16 + 4);
	assert_int_equal(info_of(pool).contig_free, 48 - 16 - 4);
	assert_int_equal(sio_pool_give(pool, job.handles, 4), 0);
	assert_int_equal(sio_pool_give_contig(pool, mine, 16), 0);
	/* recovered ones were given by nobody's shard */
	assert_int_equal(info_of(pool).contig_ready, 3);
	unit_assert_all_free(pool, 128);
	assert_int_equal(sio_pool_recover(pool, &report), 0);
	assert_int_equal(report.blocks_hands + report.blocks_contig, 0);
	munmap(job.handles, 4 * sizeof(uint32_t));
	sio_pool_destroy(pool);
}

static int
create_and_die(void *arg)
{
	region_pool("left", 128, 16, 3, 0);
	return take_and_hang(arg);
}

static void
conservative_pools_put_what_the_dead_had_into_quarantine(void **state)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts)};
	struct job job = {.name = "left",
		.to = SIO_MEMBER_NONE,
		.handles = shared_memory(4 * sizeof(uint32_t))};
	struct sio_pool *pool;
	uint32_t n, freed;
	pid_t pid;

	(void)state;
	unit_gate_init(&job.ready);
	pid = unit_fork(create_and_die, &job);
	assert_true(unit_gate_pass(&job.ready));
	assert_int_equal(sio_pool_attach("left", &opts, &pool), 0);
	unit_kill(pid);
	unit_gate_close(&job.ready);
	assert_int_equal(sio_pool_recover(pool, NULL), 0);
	assert_int_equal(sio_pool_quarantine(pool, NULL, 0, &n), 0);
	assert_int_equal(n, 4 + 27);
	assert_int_equal(info_of(pool).contig_free, 48 - 27);
	assert_int_equal(info_of(pool).contig_ready, 1);
	assert_int_equal(unit_audit(pool).quarantined, n);
	assert_int_equal(sio_pool_quarantine_free(pool, &freed), 0);
	assert_int_equal(freed, n);
	assert_int_equal(info_of(pool).contig_ready, 3);
	unit_assert_all_free(pool, 128);
	munmap(job.handles, 4 * sizeof(uint32_t));
	sio_pool_destroy(pool);
}

static int
pass_a_run_on(void *arg)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts)};
	struct job *job = arg;
	struct sio_pool *pool;
	uint32_t first;

	if (sio_pool_attach(job->name, &opts, &pool) != 0 ||
		sio_pool_take_contig(pool, 16, &first) != 0)
		return 1;
	for (unsigned int i = 0; i < 16; i++) {
		*(uint32_t *)sio_pool_addr(pool, first + i) = 1000 + i;
		job->handles[i] = first + i;
	}
	if (sio_pool_hand_over(pool, job->handles, 16, job->to) != 0)
		return 2;
	sio_pool_detach(pool);
	return 0;
}

static void
who_was_handed_a_run_gives_it_back(void **state)
{
	struct sio_pool *pool = region_pool("passed", 64, 16, 1, SIO_POOL_EXACT);
	struct job job = {.name = "passed",
		.to = sio_segment_self(sio_pool_segment(pool)),
		.handles = shared_memory(16 * sizeof(uint32_t))};
	pid_t pid = unit_fork(pass_a_run_on, &job);

	(void)state;
	assert_int_equal(unit_wait(pid), 0);
	/* not before it was accepted */
	assert_int_equal(sio_pool_give(pool, job.handles, 16), -EACCES);
	assert_int_equal(info_of(pool).contig_wrong, 16);
	assert_int_equal(sio_pool_accept(pool, job.handles, 16), 16);
	for (unsigned int i = 0; i < 16; i++)
		assert_int_equal(*(uint32_t *)sio_pool_addr(pool, job.handles[i]), 1000 + i);
	assert_int_equal(sio_pool_give(pool, job.handles, 16), 0);
	assert_at_rest(pool, 16);
	munmap(job.handles, 16 * sizeof(uint32_t));
	sio_pool_destroy(pool);
}

static int
inherit_and_use(void *arg)
{
	struct sio_pool *pool = arg;
	uint32_t first;

	if (sio_pool_take_contig(pool, 16, &first) != 0)
		return 1;
	if (sio_pool_give_contig(pool, first, 16) != 0)
		return 2;
	sio_pool_detach(pool);
	return 0;
}

static int
observe(void *arg)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts), .observe = true};
	struct sio_pool *pool;
	uint32_t first;

	if (sio_pool_attach(arg, &opts, &pool) != 0)
		return 1;
	if (sio_pool_take_contig(pool, 16, &first) != -ENOMEM)
		return 2;
	if (info_of(pool).contig_ready != 1)
		return 3;
	sio_pool_detach(pool);
	return 0;
}

static void
forked_children_join_and_observers_may_not_take(void **state)
{
	struct sio_pool *pool = region_pool("forked", 64, 16, 2, SIO_POOL_EXACT);
	char name[] = "forked";
	uint32_t first;

	(void)state;
	assert_int_equal(sio_pool_take_contig(pool, 16, &first), 0);
	assert_int_equal(unit_wait(unit_fork(inherit_and_use, pool)), 0);
	assert_int_equal(unit_wait(unit_fork(observe, name)), 0);
	assert_int_equal(sio_pool_give_contig(pool, first, 16), 0);
	assert_at_rest(pool, 32);
	sio_pool_destroy(pool);
}

/* ---- all at once ---- */

enum { BLOCKS = 256, RUN = 48, RUNS = 4, WORKERS = 4, QUEUE = 64, ROUNDS = 20000 };

/* Who has which block, and where workers leave single blocks for others to give back. */
struct board {
	_Atomic uint32_t owner[BLOCKS];
	_Atomic uint32_t queue[QUEUE]; /* handle + 1 */
	atomic_uint faults, runs, dry, ready;
};

struct worker {
	struct board *board;
	struct sio_pool *pool;
	const char *name;
	unsigned int seed, rounds;
	bool passes;
};

static void
own(struct worker *w, uint32_t handle)
{
	uint32_t nobody = 0;

	if (!atomic_compare_exchange_strong(&w->board->owner[handle], &nobody, w->seed | 1u << 31))
		atomic_fetch_add(&w->board->faults, 1);
	*(uint32_t *)sio_pool_addr(w->pool, handle) = handle ^ 0x5a5a5a5a;
}

static void
give_own(struct worker *w, uint32_t handle)
{
	if (*(uint32_t *)sio_pool_addr(w->pool, handle) != (handle ^ 0x5a5a5a5a) ||
		atomic_exchange(&w->board->owner[handle], 0) == 0)
		atomic_fetch_add(&w->board->faults, 1);
	if (sio_pool_give(w->pool, &handle, 1) != 0)
		atomic_fetch_add(&w->board->faults, 1);
}

/* Leaves a block for whoever comes by, or gives it back. */
static void
pass_on(struct worker *w, uint32_t handle)
{
	uint32_t before = w->passes ? atomic_exchange(&w->board->queue[handle % QUEUE], handle + 1)
				    : handle + 1;

	if (before != 0)
		give_own(w, before - 1);
}

static void *
work(void *arg)
{
	struct worker *w = arg;
	struct sio_pool *pool = w->pool;
	uint32_t first, others[16], n;
	unsigned int seed = w->seed;

	for (unsigned int i = 0; i < w->rounds; i++) {
		n = (uint32_t)rand_r(&seed) % (RUN * 2) + 1;
		if (sio_pool_take_contig(pool, n, &first) == 0) {
			atomic_fetch_add(&w->board->runs, 1);
			for (uint32_t k = 0; k < n; k++)
				own(w, first + k);
			/* begins somewhere, so that cells come back in any order */
			for (uint32_t k = 0; k < n; k++)
				pass_on(w, first + (k + i) % n);
		} else {
			atomic_fetch_add(&w->board->dry, 1);
		}
		n = (uint32_t)rand_r(&seed) % 16 + 1;
		if (sio_pool_take(pool, others, n) == 0) {
			for (uint32_t k = 0; k < n; k++)
				own(w, others[k]);
			for (uint32_t k = 0; k < n; k++)
				give_own(w, others[k]);
		}
	}
	return NULL;
}

static void
give_what_is_left(struct worker *w)
{
	for (unsigned int i = 0; i < QUEUE; i++) {
		uint32_t left = atomic_exchange(&w->board->queue[i], 0);

		if (left != 0)
			give_own(w, left - 1);
	}
}

static void
threads_have_no_block_twice_and_give_each_others_back(void **state)
{
	static const uint32_t flags[] = {0, SIO_POOL_EXACT};

	(void)state;
	for (unsigned int f = 0; f < 2; f++) {
		struct sio_pool *pool = region_pool("threads", BLOCKS, RUN, RUNS, flags[f]);
		struct board *board = shared_memory(sizeof(*board));
		struct worker w[WORKERS];
		pthread_t threads[WORKERS];

		for (unsigned int i = 0; i < WORKERS; i++) {
			w[i] = (struct worker){.board = board,
				.pool = pool,
				.seed = i + 1,
				.rounds = ROUNDS,
				.passes = true};
			assert_int_equal(pthread_create(&threads[i], NULL, work, &w[i]), 0);
		}
		for (unsigned int i = 0; i < WORKERS; i++)
			pthread_join(threads[i], NULL);
		give_what_is_left(&w[0]);
		assert_int_equal(atomic_load(&board->faults), 0);
		assert_true(atomic_load(&board->runs) > WORKERS);
		assert_int_equal(info_of(pool).contig_wrong, 0);
		assert_at_rest(pool, RUN * RUNS);
		munmap(board, sizeof(*board));
		sio_pool_destroy(pool);
	}
}

static int
work_in_a_process(void *arg)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts)};
	struct worker *w = arg;

	if (sio_pool_attach(w->name, &opts, &w->pool) != 0)
		return 1;
	/* who attaches later would recover, before the test has written down that one is dead */
	atomic_fetch_add(&w->board->ready, 1);
	while (atomic_load(&w->board->ready) < WORKERS)
		usleep(100);
	work(w);
	sio_pool_detach(w->pool);
	return 0;
}

static void
processes_have_no_block_twice_and_the_killed_hold_up_nobody(void **state)
{
	(void)state;
	/* conservative: blocks are given back by others; exact: one dies at it */
	for (unsigned int exact = 0; exact < 2; exact++) {
		struct sio_pool *pool =
			region_pool("processes", BLOCKS, RUN, RUNS, exact ? SIO_POOL_EXACT : 0);
		struct board *board = shared_memory(sizeof(*board));
		struct worker w[WORKERS];
		pid_t pids[WORKERS];

		for (unsigned int i = 0; i < WORKERS; i++) {
			w[i] = (struct worker){.board = board,
				.name = "processes",
				.seed = i + 1,
				/* one is there to be killed */
				.rounds = exact && i == 0 ? UINT32_MAX : ROUNDS,
				.passes = !exact};
			pids[i] = unit_fork(work_in_a_process, &w[i]);
		}
		if (exact) {
			unit_wait_until(atomic_load(&board->runs) >= 500);
			unit_kill(pids[0]);
			for (unsigned int b = 0; b < BLOCKS; b++) {
				uint32_t dead = w[0].seed | 1u << 31;

				atomic_compare_exchange_strong(&board->owner[b], &dead, 0);
			}
			assert_int_equal(sio_pool_recover(pool, NULL), 0);
		}
		for (unsigned int i = exact; i < WORKERS; i++)
			assert_int_equal(unit_wait(pids[i]), 0);
		w[0].pool = pool;
		give_what_is_left(&w[0]);
		assert_int_equal(atomic_load(&board->faults), 0);
		assert_true(atomic_load(&board->runs) > WORKERS);
		assert_int_equal(sio_pool_recover(pool, NULL), 0);
		assert_int_equal(info_of(pool).contig_ready, RUNS);
		unit_assert_all_free(pool, BLOCKS);
		munmap(board, sizeof(*board));
		sio_pool_destroy(pool);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_that_cannot_be_are_refused),
		cmocka_unit_test(a_run_is_neighbours_and_other_takes_do_not_get_them),
		cmocka_unit_test(blocks_come_back_singly_in_any_order_and_mixed_with_others),
		cmocka_unit_test(a_size_that_cannot_be_had_is_an_error_at_once),
		cmocka_unit_test(runs_keep_their_places_whatever_is_taken),
		cmocka_unit_test(wrong_gives_are_left_alone_counted_and_told),
		cmocka_unit_test(addresses_work_too_where_all_map_alike_and_where_not),
		cmocka_unit_test(no_run_crosses_from_one_piece_of_memory_into_another),
		cmocka_unit_test(
			exact_pools_bring_back_what_the_dead_had_and_leave_what_was_handed_over),
		cmocka_unit_test(conservative_pools_put_what_the_dead_had_into_quarantine),
		cmocka_unit_test(who_was_handed_a_run_gives_it_back),
		cmocka_unit_test(forked_children_join_and_observers_may_not_take),
		cmocka_unit_test(threads_have_no_block_twice_and_give_each_others_back),
		cmocka_unit_test(processes_have_no_block_twice_and_the_killed_hold_up_nobody),
	};

	unit_env_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
