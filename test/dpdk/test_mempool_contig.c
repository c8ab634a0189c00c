/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Contiguous blocks of objects, by the options of mempool_test.cfg: contig_size 8, contig_runs 20.
 */

#include "slab_test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_common.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_memory.h>

#include <slabio/pool.h>

#define OBJECTS 1000u
#define SIZE	8u
#define RUNS	20u

static struct sio_pool_info
info_of(const char *mempool)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts), .observe = true};
	char name[SIO_NAME_LEN];
	struct sio_pool_info info;
	struct sio_pool *pool;

	snprintf(name, sizeof(name), "dpdk.%s.%s", test_file_prefix(), mempool);
	assert_int_equal(sio_pool_attach(name, &opts, &pool), 0);
	sio_pool_info(pool, &info);
	sio_pool_detach(pool);
	return info;
}

static unsigned int
contig_size(const struct rte_mempool *mp)
{
	struct rte_mempool_info info = {.contig_block_size = 4711};

	assert_int_equal(rte_mempool_ops_get_info(mp, &info), 0);
	return info.contig_block_size;
}

/* Bytes from one object of a block to the next, as users of blocks compute it. */
static size_t
total_size(const struct rte_mempool *mp)
{
	return mp->header_size + mp->elt_size + mp->trailer_size;
}

/* They are objects, next to each other for the CPU and for devices. */
static void
assert_block(struct rte_mempool *mp, char *first)
{
	for (unsigned int i = 0; i < SIZE; i++) {
		char *obj = first + i * total_size(mp);

		assert_ptr_equal(rte_mempool_from_obj(obj), mp);
		if (rte_mempool_virt2iova(first) != RTE_BAD_IOVA)
			assert_int_equal(rte_mempool_virt2iova(obj),
				rte_mempool_virt2iova(first) + i * total_size(mp));
		memset(obj, 0x40 + (int)i, mp->elt_size);
	}
}

static void
put_block(struct rte_mempool *mp, char *first)
{
	void *objs[SIZE];

	for (unsigned int i = 0; i < SIZE; i++)
		objs[i] = first + i * total_size(mp);
	rte_mempool_put_bulk(mp, objs, SIZE);
}

static void
blocks_are_neighbours_and_other_gets_do_not_have_them(void **state)
{
	static const struct {
		const char *name;
		unsigned int size, cache, flags;
	} shapes[] = {{"contig", 2176, 0, 0}, {"contig_cache", 2176, 64, 0},
		{"contig_odd", 100, 0, 0}, {"contig_loose", 2176, 0, RTE_MEMPOOL_F_NO_IOVA_CONTIG},
		{"contig_exact", 2176, 0, 0}};

	(void)state;
	for (unsigned int s = 0; s < RTE_DIM(shapes); s++) {
		struct rte_mempool *mp = test_pool(
			shapes[s].name, OBJECTS, shapes[s].size, shapes[s].cache, shapes[s].flags);
		void *first[RUNS + 1] = {NULL}, *objs[OBJECTS];
		unsigned int n = 0;

		assert_int_equal(contig_size(mp), SIZE);
		assert_int_equal(info_of(shapes[s].name).contig_runs, RUNS);
		/* all or none */
		assert_int_equal(rte_mempool_get_contig_blocks(mp, first, RUNS + 1), -ENOBUFS);
		assert_int_equal(info_of(shapes[s].name).contig_ready, RUNS);
		assert_int_equal(rte_mempool_get_contig_blocks(mp, first, RUNS), 0);
		assert_int_equal(rte_mempool_get_contig_blocks(mp, &first[RUNS], 1), -ENOBUFS);
		for (unsigned int i = 0; i < RUNS; i++)
			assert_block(mp, first[i]);
		for (unsigned int i = 0; i < RUNS; i++)
			for (unsigned int k = 0; k < SIZE; k++)
				assert_int_equal(((char *)first[i])[k * total_size(mp)], 0x40 + k);
		assert_int_equal(rte_mempool_avail_count(mp), OBJECTS - RUNS * SIZE);
		while (n < OBJECTS && rte_mempool_get(mp, &objs[n]) == 0)
			n++;
		assert_int_equal(n, OBJECTS - RUNS * SIZE);
		for (unsigned int i = 0; i < RUNS; i++)
			put_block(mp, first[i]);
		while (n > 0)
			rte_mempool_put(mp, objs[--n]);
		assert_int_equal(rte_mempool_avail_count(mp), OBJECTS);
		assert_int_equal(info_of(shapes[s].name).contig_wrong, 0);
		rte_mempool_free(mp);
	}
}

static void
objects_of_a_block_come_back_singly_and_by_way_of_the_cache(void **state)
{
	struct rte_mempool *mp = test_pool("contig_cache", OBJECTS, 64, 64, 0);
	void *first, *objs[40];
	unsigned int rounds;

	(void)state;
	for (rounds = 0; rounds < 200; rounds++) {
		if (rte_mempool_get_contig_blocks(mp, &first, 1) != 0)
			break;
		/* the cache holds some of them, and hands them out to who gets single objects */
		for (unsigned int i = 0; i < SIZE; i++)
			rte_mempool_put(mp, (char *)first + (i * 3 % SIZE) * total_size(mp));
		assert_int_equal(rte_mempool_get_bulk(mp, objs, 40), 0);
		rte_mempool_put_bulk(mp, objs, 40);
		assert_int_equal(rte_mempool_avail_count(mp), OBJECTS);
	}
	/* what is in the cache is not in its block: flushed, all can be had again */
	rte_mempool_cache_flush(rte_mempool_default_cache(mp, rte_lcore_id()), mp);
	assert_int_equal(info_of("contig_cache").contig_ready, RUNS);
	assert_int_equal(info_of("contig_cache").contig_wrong, 0);
	assert_int_equal(rte_mempool_avail_count(mp), OBJECTS);
	rte_mempool_free(mp);
}

static void
a_wrong_put_is_reported_and_the_others_are_put(void **state)
{
	struct rte_mempool *mp = test_pool("contig_wrong", OBJECTS, 64, 0, 0);
	void *first, *objs[3];

	(void)state;
	assert_int_equal(rte_mempool_get_contig_blocks(mp, &first, 1), 0);
	assert_int_equal(rte_mempool_get_bulk(mp, objs, 2), 0);
	objs[2] = objs[1];
	objs[1] = first;
	rte_mempool_put(mp, first);
	test_log_capture();
	rte_mempool_put_bulk(mp, objs, 3);
	assert_true(test_log_had("an object of a contiguous block was put"));
	assert_int_equal(info_of("contig_wrong").contig_wrong, 1);
	assert_int_equal(rte_mempool_avail_count(mp), OBJECTS - SIZE + 1);
	/* not the start of an object: such mempools look at each */
	objs[0] = (char *)first + 1;
	test_log_capture();
	rte_mempool_put(mp, objs[0]);
	assert_true(test_log_had("which is not an object of it"));
	for (unsigned int i = 1; i < SIZE; i++)
		rte_mempool_put(mp, (char *)first + i * total_size(mp));
	assert_int_equal(rte_mempool_avail_count(mp), OBJECTS);
	assert_int_equal(info_of("contig_wrong").contig_ready, RUNS);
	rte_mempool_free(mp);
}

static void
mbufs_of_a_block_are_mbufs(void **state)
{
	struct rte_mempool *mp = rte_pktmbuf_pool_create_by_ops(
		"contig_mbufs", OBJECTS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY, "slab");
	struct rte_mbuf *m;
	void *first;

	(void)state;
	assert_non_null(mp);
	for (unsigned int round = 0; round < 3 * RUNS; round++) {
		assert_int_equal(rte_mempool_get_contig_blocks(mp, &first, 1), 0);
		for (unsigned int i = 0; i < SIZE; i++) {
			m = RTE_PTR_ADD(first, i * total_size(mp));
			rte_pktmbuf_reset(m);
			assert_ptr_equal(m->pool, mp);
			assert_non_null(rte_pktmbuf_append(m, 100));
			rte_pktmbuf_free(m);
		}
	}
	assert_int_equal(rte_mempool_avail_count(mp), OBJECTS);
	rte_mempool_free(mp);
}

static int
get_and_put_blocks(void *arg)
{
	struct rte_mempool *mp = arg;
	void *first[3], *objs[32];

	for (unsigned int i = 0; i < 3000; i++) {
		const unsigned int n = i % 3 + 1;

		if (rte_mempool_get_contig_blocks(mp, first, n) != 0 ||
			rte_mempool_get_bulk(mp, objs, 32) != 0)
			return -1;
		rte_mempool_put_bulk(mp, objs, 32);
		for (unsigned int k = 0; k < n; k++)
			put_block(mp, first[k]);
	}
	return 0;
}

static void
two_lcores_get_and_put_blocks(void **state)
{
	struct rte_mempool *mp = test_pool("contig_two", OBJECTS, 64, 0, 0);
	const unsigned int worker = rte_get_next_lcore(-1, 1, 0);

	(void)state;
	assert_int_equal(rte_eal_remote_launch(get_and_put_blocks, mp, worker), 0);
	assert_int_equal(get_and_put_blocks(mp), 0);
	assert_int_equal(rte_eal_wait_lcore(worker), 0);
	assert_int_equal(rte_mempool_avail_count(mp), OBJECTS);
	assert_int_equal(info_of("contig_two").contig_ready, RUNS);
	rte_mempool_free(mp);
}

static void
mempools_without_blocks_say_so(void **state)
{
	struct rte_mempool *mp = test_pool("plain", OBJECTS, 64, 0, 0);
	void *first;

	(void)state;
	assert_int_equal(contig_size(mp), 0);
	assert_int_equal(rte_mempool_get_contig_blocks(mp, &first, 1), -EOPNOTSUPP);
	rte_mempool_free(mp);
}

static void
options_that_do_not_fit_are_refused(void **state)
{
	static const struct {
		const char *name;
		unsigned int n;
		const char *said;
	} bad[] = {
		{"cbad_half", OBJECTS,
			"mempool cbad_half: refused, contig_size=8 and contig_runs=0"},
		{"cbad_pow2", OBJECTS, "mempool cbad_pow2: refused, contig_size together with"},
		{"contig_small", SIZE * RUNS - 1,
			"mempool contig_small: refused, contig_runs=20 of"},
	};

	(void)state;
	for (unsigned int i = 0; i < RTE_DIM(bad); i++) {
		struct rte_mempool *mp = test_pool_empty(bad[i].name, bad[i].n, 2176, 0, 0);

		test_log_capture();
		assert_int_equal(rte_mempool_populate_default(mp), -EINVAL);
		assert_true(test_log_had(bad[i].said));
		rte_mempool_free(mp);
	}
}

static void
no_block_crosses_from_one_chunk_into_another(void **state)
{
	struct rte_mempool *mp = test_pool_empty("contig_chunks", OBJECTS, 64, 0, 0);
	static char memory[OBJECTS * 200] __attribute__((aligned(64)));
	const size_t pitch = total_size(mp);
	unsigned int n = 0, got = 0;
	void *first[RUNS];

	(void)state;
	/* chunks for 1, 11, 21, ... objects */
	for (unsigned int i = 0; n < 200; i++) {
		int one = rte_mempool_populate_iova(
			mp, memory + n * pitch, RTE_BAD_IOVA, (i * 10 + 1) * pitch, NULL, NULL);

		assert_int_equal(one, i * 10 + 1);
		n += (unsigned int)one;
	}
	while (got < RUNS && rte_mempool_get_contig_blocks(mp, &first[got], 1) == 0)
		assert_block(mp, first[got++]);
	assert_int_equal(got, info_of("contig_chunks").contig_runs);
	assert_in_range(got, 15, RUNS);
	for (unsigned int i = 0; i < got; i++) {
		const struct rte_mempool_memhdr *chunk;
		const char *begin = (char *)first[i] - mp->header_size;
		bool inside = false;

		STAILQ_FOREACH(chunk, &mp->mem_list, next)
		inside |= begin >= (char *)chunk->addr &&
			  begin + SIZE * pitch <= (char *)chunk->addr + chunk->len;
		assert_true(inside);
		put_block(mp, first[i]);
	}
	assert_int_equal(rte_mempool_avail_count(mp), n);
	rte_mempool_free(mp);
}

const struct CMUnitTest test_contig_tests[] = {
	cmocka_unit_test(blocks_are_neighbours_and_other_gets_do_not_have_them),
	cmocka_unit_test(objects_of_a_block_come_back_singly_and_by_way_of_the_cache),
	cmocka_unit_test(a_wrong_put_is_reported_and_the_others_are_put),
	cmocka_unit_test(mbufs_of_a_block_are_mbufs),
	cmocka_unit_test(two_lcores_get_and_put_blocks),
	cmocka_unit_test(mempools_without_blocks_say_so),
	cmocka_unit_test(options_that_do_not_fit_are_refused),
	cmocka_unit_test(no_block_crosses_from_one_chunk_into_another),
};
const size_t test_contig_tests_n = RTE_DIM(test_contig_tests);
