/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* How mempools lie in memory, and the options of mempool_test.cfg at work. */

#include "slab_test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_eal.h>
#include <rte_malloc.h>
#include <rte_memory.h>

#include <slabio/pool.h>

#define PAGE 4096u
#define MB   ((size_t)1 << 20)

/* The slabio pool of a mempool, to look at. */
static struct sio_pool *
observe(const char *mempool)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts), .observe = true};
	char name[SIO_NAME_LEN];
	struct sio_pool *pool;

	snprintf(name, sizeof(name), "dpdk.%s.%s", test_file_prefix(), mempool);
	assert_int_equal(sio_pool_attach(name, &opts, &pool), 0);
	return pool;
}

static struct sio_pool_info
info_of(const char *mempool)
{
	struct sio_pool *pool = observe(mempool);
	struct sio_pool_info info;

	sio_pool_info(pool, &info);
	sio_pool_detach(pool);
	return info;
}

/* ---- one area ---- */

static void
a_large_mempool_is_one_area_unless_io_addresses_are_physical(void **state)
{
	static const unsigned int flags[] = {0, RTE_MEMPOOL_F_NO_IOVA_CONTIG};

	(void)state;
	for (unsigned int i = 0; i < RTE_DIM(flags); i++) {
		struct rte_mempool *mp = test_pool("one", 40000, 2176, 0, flags[i]);

		if (flags[i] != 0 || rte_eal_iova_mode() == RTE_IOVA_VA)
			assert_int_equal(mp->nb_mem_chunks, 1);
		rte_mempool_free(mp);
	}
}

/* A heap of which every second block is in use. */
static void
a_mempool_takes_several_areas_of_a_heap_that_has_no_larger_one(void **state)
{
	const size_t block = 8 * MB;
	void *blocks[64] = {NULL};
	struct rte_mempool *mp;
	unsigned int n = 0;

	(void)state;
	/* a heap on hugepages grows when it has no room */
	assert_false(test_has_hugepages());
	while (n < RTE_DIM(blocks) && (blocks[n] = rte_malloc(NULL, block, 0)) != NULL)
		n++;
	assert_in_range(n, 5, RTE_DIM(blocks) - 1);
	for (unsigned int i = 0; i < n; i += 2)
		rte_free(blocks[i]);
	mp = test_pool("several", 10000, 2176, 0, 0);
	assert_true(mp->nb_mem_chunks > 1);
	test_drain(mp, 10000);
	rte_mempool_free(mp);
	for (unsigned int i = 1; i < n; i += 2)
		rte_free(blocks[i]);
}

static void
metadata_is_preferred_on_the_socket_of_the_mempool(void **state)
{
	struct rte_mempool *mp;
	FILE *maps = fopen("/proc/self/numa_maps", "r");
	bool found = false, preferred = false;
	char line[1024];

	(void)state;
	if (maps == NULL) {
		print_message("this kernel has no NUMA\n");
		skip();
	}
	mp = rte_mempool_create_empty("node", 1000, 64, 0, 0, 0, 0);
	assert_non_null(mp);
	assert_int_equal(rte_mempool_set_ops_byname(mp, "slab", NULL), 0);
	assert_int_equal(rte_mempool_populate_default(mp), 1000);
	while (fgets(line, sizeof(line), maps) != NULL) {
		if (strstr(line, getenv("SLABIO_RUNTIME_DIR")) == NULL)
			continue;
		found = true;
		preferred = preferred || strstr(line, " prefer:0 ") != NULL ||
			    strstr(line, " prefer=relative:0 ") != NULL;
	}
	fclose(maps);
	assert_true(found);
	assert_true(preferred);
	rte_mempool_free(mp);
}

/* ---- pitch=pow2 ---- */

/* Every object's header is at a multiple of the pitch, and the next one behind it in its chunk. */
static void
check_pow2(struct rte_mempool *mp, size_t pitch)
{
	const struct rte_mempool_memhdr *chunk = STAILQ_FIRST(&mp->mem_list);
	const size_t natural = mp->header_size + mp->elt_size + mp->trailer_size;
	const struct rte_mempool_objhdr *hdr;
	uintptr_t expected = 0;

	assert_in_range(pitch, natural, 2 * natural - 1);
	STAILQ_FOREACH(hdr, &mp->elt_list, next)
	{
		const uintptr_t start = (uintptr_t)RTE_PTR_ADD(hdr, sizeof(*hdr)) - mp->header_size;

		assert_int_equal(start % pitch, 0);
		if (start < (uintptr_t)chunk->addr ||
			start + pitch > (uintptr_t)chunk->addr + chunk->len) {
			chunk = STAILQ_NEXT(chunk, next);
			assert_non_null(chunk);
			expected = 0;
			assert_in_range(start, (uintptr_t)chunk->addr,
				(uintptr_t)chunk->addr + chunk->len - pitch);
		}
		assert_true(expected == 0 || start == expected);
		expected = start + pitch;
		if (chunk->iova != RTE_BAD_IOVA)
			assert_int_equal(
				hdr->iova, rte_mem_virt2iova(RTE_PTR_ADD(hdr, sizeof(*hdr))));
	}
	assert_null(STAILQ_NEXT(chunk, next));
}

static const struct {
	unsigned int size, flags;
	size_t pitch;
} pow2_shapes[] = {
	{2176, 0, 4096},
	{1920, 0, 2048},
	{100, 0, 256},
	{9000, 0, 16384},
	/* already a power of two: aligned nevertheless */
	{64, RTE_MEMPOOL_F_NO_SPREAD, 128},
	{1984, RTE_MEMPOOL_F_NO_SPREAD, 2048},
	{44, RTE_MEMPOOL_F_NO_CACHE_ALIGN | RTE_MEMPOOL_F_NO_SPREAD, 128},
	{2176, RTE_MEMPOOL_F_NO_IOVA_CONTIG, 4096},
};

static void
objects_lie_a_power_of_two_apart_and_aligned(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < RTE_DIM(pow2_shapes); i++) {
		struct rte_mempool *mp =
			test_pool("pow2", 1003, pow2_shapes[i].size, 0, pow2_shapes[i].flags);

		if (rte_eal_iova_mode() == RTE_IOVA_VA)
			assert_int_equal(mp->nb_mem_chunks, 1);
		check_pow2(mp, pow2_shapes[i].pitch);
		test_drain(mp, 1003);
		rte_mempool_free(mp);
	}
}

static void
aligned_objects_lie_in_anonymous_memory_too(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < RTE_DIM(pow2_shapes); i++) {
		struct rte_mempool *mp = test_pool_empty(
			"pow2_anon", 500, pow2_shapes[i].size, 0, pow2_shapes[i].flags);

		/* larger than a page, they need contiguous pages, which anonymous memory has not */
		if (rte_eal_iova_mode() == RTE_IOVA_VA || pow2_shapes[i].pitch <= PAGE) {
			assert_int_equal(rte_mempool_populate_anon(mp), 500);
			check_pow2(mp, pow2_shapes[i].pitch);
			test_drain(mp, 500);
		}
		rte_mempool_free(mp);
	}
}

static void
aligned_objects_find_their_place_in_areas_that_are_not(void **state)
{
	const size_t area = 64 * PAGE;
	char *memory = mmap(NULL, area, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct rte_mempool *mp = test_pool_empty("pow2_skew", 1000, 1500, 0, 0);
	const size_t pitch = 2048;
	unsigned int sum = 0;

	(void)state;
	assert_ptr_not_equal(memory, MAP_FAILED);
	/* not one fits: too short, and too short behind the next multiple of the pitch */
	assert_int_equal(
		rte_mempool_populate_iova(mp, memory, RTE_BAD_IOVA, pitch - 1, NULL, NULL), 0);
	assert_int_equal(
		rte_mempool_populate_iova(mp, memory + 64, RTE_BAD_IOVA, pitch, NULL, NULL), 0);
	assert_int_equal(
		rte_mempool_populate_iova(mp, memory + 64, RTE_BAD_IOVA, 256, NULL, NULL), 0);
	for (unsigned int i = 0; i < 15; i++) {
		const size_t skew = i * 135;
		int n = rte_mempool_populate_iova(
			mp, memory + 4 * i * PAGE + skew, RTE_BAD_IOVA, 3 * PAGE, NULL, NULL);

		assert_int_equal(n, skew == 0 ? 6 : 5);
		sum += (unsigned int)n;
	}
	check_pow2(mp, pitch);
	assert_int_equal(rte_mempool_avail_count(mp), sum);
	test_drain(mp, sum);
	rte_mempool_free(mp);
	munmap(memory, area);
}

/* ---- shards, magazine, mode ---- */

static int
take_and_give(void *arg)
{
	struct rte_mempool *mp = arg;
	void *objs[32];

	for (unsigned int i = 0; i < 2000; i++) {
		if (rte_mempool_get_bulk(mp, objs, 32) != 0)
			return -1;
		rte_mempool_put_bulk(mp, objs, 32);
	}
	return 0;
}

static void
shards_and_magazines_are_as_many_and_as_large_as_asked(void **state)
{
	static const struct {
		const char *name;
		uint32_t shards, magazine;
	} cases[] = {{"fewest", 1, 2}, {"most", 1023, 1022}};

	(void)state;
	for (unsigned int i = 0; i < RTE_DIM(cases); i++) {
		struct rte_mempool *mp = test_pool(cases[i].name, 3000, 64, 0, 0);

		assert_int_equal(info_of(cases[i].name).max_shards, cases[i].shards);
		assert_int_equal(info_of(cases[i].name).magazine_size, cases[i].magazine);
		/* more threads than shards in the first case */
		assert_int_equal(test_on_worker(take_and_give, mp), 0);
		assert_int_equal(take_and_give(mp), 0);
		assert_int_equal(test_on_worker(take_and_give, mp), 0);
		test_drain(mp, 3000);
		rte_mempool_free(mp);
	}
}

static int
get_and_put_one(void *mp)
{
	void *obj;
	int ret = rte_mempool_get(mp, &obj);

	if (ret == 0)
		rte_mempool_put(mp, obj);
	return ret;
}

static void
a_dry_mempool_is_looked_at_again_after_the_time_asked_for(void **state)
{
	struct rte_mempool *mp = test_pool("dry", 100, 64, 0, 0);
	uint64_t began, now;
	void *objs[100];
	int ret;

	(void)state;
	assert_int_equal(rte_mempool_get_bulk(mp, objs, 100), 0);
	began = sio_now_ns();
	assert_int_equal(test_on_worker(get_and_put_one, mp), -ENOBUFS);
	rte_mempool_put_bulk(mp, objs, 100);
	do {
		ret = test_on_worker(get_and_put_one, mp);
		now = sio_now_ns();
		assert_true(ret == -ENOBUFS || (ret == 0 && now - began >= 1000000000u));
		assert_true(now - began < 60000000000u);
	} while (ret != 0);
	rte_mempool_free(mp);
}

static void
two_magazines_have_what_a_cache_is_filled_with(void **state)
{
	static const struct {
		unsigned int n, cache;
	} cases[] = {{1u << 17, 0}, {1u << 17, 512}, {2048, 256}, {2048, 32}, {2048, 0}};
	const uint32_t cpus = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);

	(void)state;
	for (unsigned int i = 0; i < RTE_DIM(cases); i++) {
		struct rte_mempool *mp = test_pool("cached", cases[i].n, 64, cases[i].cache, 0);
		const uint32_t size = info_of("cached").magazine_size, share = cases[i].n / cpus;
		const uint32_t next = size + (size < 256 ? size : 256);

		/* what the CPUs' threads may have is a part of the mempool, a larger one behind a cache */
		assert_true(size <= RTE_MAX(2u, share / (cases[i].cache != 0 ? 2 : 8)));
		assert_true(size == 768 || next > share / 8);
		assert_true(cases[i].cache == 0 || size >= 2 * cases[i].cache || size == 768 ||
			    next > share / 2);
		rte_mempool_free(mp);
	}
}

static void
an_exact_mempool_records_holders(void **state)
{
	struct rte_mempool *mp = test_pool("exact", 1000, 64, 0, 0);
	struct sio_audit_report report;
	struct sio_audit *audit;
	struct sio_pool *pool;
	void *objs[300];

	(void)state;
	assert_int_equal(info_of("exact").flags & SIO_POOL_EXACT, SIO_POOL_EXACT);
	assert_int_equal(take_and_give(mp), 0);
	assert_int_equal(test_on_worker(take_and_give, mp), 0);
	assert_int_equal(rte_mempool_get_bulk(mp, objs, 300), 0);
	pool = observe("exact");
	assert_int_equal(sio_audit_begin(pool, &audit), 0);
	sio_audit_end(audit, &report);
	assert_true(sio_audit_clean(&report));
	/* all are accounted for, which is what others cannot promise */
	assert_int_equal(report.outstanding, 0);
	assert_in_range(report.met[SIO_PLACE_HELD], 1, 300);
	sio_pool_detach(pool);
	rte_mempool_put_bulk(mp, objs, 300);
	test_drain(mp, 1000);
	rte_mempool_free(mp);
}

static void
an_exact_mempool_does_without_a_cache(void **state)
{
	struct rte_mempool *mp;
	void *objects[64];

	(void)state;
	test_log_capture();
	mp = test_pool("exact_cache", 1000, 64, 32, 0);
	assert_true(test_log_had("mempool exact_cache: mode=exact, so its cache of 32"));
	for (unsigned int n = 1; n <= 64; n *= 2) {
		assert_int_equal(rte_mempool_get_bulk(mp, objects, n), 0);
		/* these and not a cache full; and none is kept there */
		assert_int_equal(info_of("exact_cache").free_blocks, 1000 - n);
		rte_mempool_put_bulk(mp, objects, n);
		assert_int_equal(info_of("exact_cache").free_blocks, 1000);
	}
	rte_mempool_free(mp);
}

static void
mempools_without_a_section_are_as_ever(void **state)
{
	struct rte_mempool *mp = test_pool("plain", 1000, 2176, 0, 0);

	(void)state;
	assert_int_equal(info_of("plain").flags, SIO_POOL_SAME_MAP);
	rte_mempool_free(mp);
}

const struct CMUnitTest test_options_tests[] = {
	cmocka_unit_test(a_large_mempool_is_one_area_unless_io_addresses_are_physical),
	cmocka_unit_test(metadata_is_preferred_on_the_socket_of_the_mempool),
	cmocka_unit_test(objects_lie_a_power_of_two_apart_and_aligned),
	cmocka_unit_test(aligned_objects_lie_in_anonymous_memory_too),
	cmocka_unit_test(aligned_objects_find_their_place_in_areas_that_are_not),
	cmocka_unit_test(shards_and_magazines_are_as_many_and_as_large_as_asked),
	cmocka_unit_test(a_dry_mempool_is_looked_at_again_after_the_time_asked_for),
	cmocka_unit_test(two_magazines_have_what_a_cache_is_filled_with),
	cmocka_unit_test(an_exact_mempool_records_holders),
	cmocka_unit_test(an_exact_mempool_does_without_a_cache),
	cmocka_unit_test(mempools_without_a_section_are_as_ever),
};
const size_t test_options_tests_n = RTE_DIM(test_options_tests);

const struct CMUnitTest test_nohuge_tests[] = {
	cmocka_unit_test(a_mempool_takes_several_areas_of_a_heap_that_has_no_larger_one),
};
const size_t test_nohuge_tests_n = RTE_DIM(test_nohuge_tests);

/* ---- with a file that is not there ---- */

static void
no_mempool_is_made_with_a_file_that_cannot_be_read(void **state)
{
	char said[256];

	(void)state;
	snprintf(said, sizeof(said), "SLABIO_CONFIG=%s: cannot open it", getenv("SLABIO_CONFIG"));
	for (unsigned int i = 0; i < 3; i++) {
		struct rte_mempool *mp = test_pool_empty("refused", 100, 64, 0, 0);

		test_log_capture();
		assert_int_equal(rte_mempool_populate_default(mp), -ENOENT);
		/* the reason once, and for each mempool that there is one */
		assert_int_equal(test_log_had(i == 0 ? said : "cannot open it"), i == 0);
		test_log_capture();
		assert_int_equal(rte_mempool_populate_default(mp), -ENOENT);
		assert_true(test_log_had("mempool refused: refused, since the file that "
					 "SLABIO_CONFIG names"));
		rte_mempool_free(mp);
	}
}

const struct CMUnitTest test_refused_tests[] = {
	cmocka_unit_test(no_mempool_is_made_with_a_file_that_cannot_be_read),
};
const size_t test_refused_tests_n = RTE_DIM(test_refused_tests);
