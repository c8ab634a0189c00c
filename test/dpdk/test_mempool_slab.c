/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* The ops "slab" in an EAL: what a mempool driver must do, and what this one promises beyond. */

#include "slab_test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_memzone.h>
#include <rte_random.h>

#include <slabio/common.h>
#include "pool/pool_fast.h"
#include "slabio_slab.h"

#define PAGE 4096u

static void
objects_of_every_size_are_taken_to_the_last_one(void **state)
{
	static const unsigned int sizes[] = {1, 7, 8, 64, 100, 1000, 2048, 2176, 9000};
	static const unsigned int counts[] = {1, 2, 33, 1000};

	(void)state;
	for (unsigned int i = 0; i < RTE_DIM(sizes); i++) {
		for (unsigned int j = 0; j < RTE_DIM(counts); j++) {
			struct rte_mempool *mp = test_pool("sizes", counts[j], sizes[i], 0, 0);

			test_drain(mp, counts[j]);
			test_drain(mp, counts[j]);
			rte_mempool_free(mp);
		}
	}
}

static void
every_flag_is_accepted(void **state)
{
	static const unsigned int flags[] = {
		RTE_MEMPOOL_F_NO_SPREAD,
		RTE_MEMPOOL_F_NO_CACHE_ALIGN,
		RTE_MEMPOOL_F_SP_PUT,
		RTE_MEMPOOL_F_SC_GET,
		RTE_MEMPOOL_F_SP_PUT | RTE_MEMPOOL_F_SC_GET,
		RTE_MEMPOOL_F_NO_IOVA_CONTIG,
		RTE_MEMPOOL_F_NO_IOVA_CONTIG | RTE_MEMPOOL_F_NO_CACHE_ALIGN,
	};

	(void)state;
	for (unsigned int i = 0; i < RTE_DIM(flags); i++) {
		struct rte_mempool *mp = test_pool("flags", 100, 44, 0, flags[i]);

		test_drain(mp, 100);
		rte_mempool_free(mp);
	}
}

/* In one area where IO addresses are virtual; else in each chunk anew. */
static void
objects_lie_at_one_pitch(void **state)
{
	struct rte_mempool *mp = test_pool("pitch", 5000, 2176, 0, 0);
	const size_t pitch = mp->header_size + mp->elt_size + mp->trailer_size;
	const struct rte_mempool_memhdr *chunk = STAILQ_FIRST(&mp->mem_list);
	const struct rte_mempool_objhdr *hdr;
	const char *expected = NULL;

	(void)state;
	if (rte_eal_iova_mode() == RTE_IOVA_VA)
		assert_int_equal(mp->nb_mem_chunks, 1);
	STAILQ_FOREACH(hdr, &mp->elt_list, next)
	{
		const char *object = RTE_PTR_ADD(hdr, sizeof(*hdr));

		if (expected != NULL && object >= (char *)chunk->addr + chunk->len) {
			chunk = STAILQ_NEXT(chunk, next);
			assert_non_null(chunk);
			expected = NULL;
		}
		if (expected == NULL)
			expected = RTE_PTR_ADD(RTE_PTR_ALIGN_CEIL(chunk->addr, RTE_MEMPOOL_ALIGN),
				mp->header_size);
		assert_ptr_equal(object, expected);
		expected += pitch;
	}
	assert_null(STAILQ_NEXT(chunk, next));
	rte_mempool_free(mp);
}

static void
objects_know_their_io_address(void **state)
{
	struct rte_mempool *mp = test_pool("iova", 3000, 2176, 0, 0);
	const struct rte_mempool_objhdr *hdr;

	(void)state;
	STAILQ_FOREACH(hdr, &mp->elt_list, next)
	assert_int_equal(hdr->iova, rte_mem_virt2iova(RTE_PTR_ADD(hdr, sizeof(*hdr))));
	rte_mempool_free(mp);
}

static void
chunks_of_every_size_and_place_are_used(void **state)
{
	static const unsigned int sizes[] = {64, 500, 2048};
	const size_t area = 64 * PAGE;
	char *memory = mmap(NULL, area, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_ptr_not_equal(memory, MAP_FAILED);
	for (unsigned int i = 0; i < RTE_DIM(sizes); i++) {
		struct rte_mempool *mp = test_pool_empty("chunks", 5000, sizes[i], 0, 0);
		const size_t pitch = mp->header_size + mp->elt_size + mp->trailer_size;
		unsigned int sum = 0;
		size_t off = 0;
		int ret;

		/* too small for an object: 0, and the mempool goes on */
		ret = rte_mempool_populate_iova(mp, memory, RTE_BAD_IOVA, pitch - 1, NULL, NULL);
		assert_int_equal(ret, 0);
		assert_int_equal(mp->nb_mem_chunks, 0);
		/* pages, odd starts, odd lengths */
		for (unsigned int step = 0; off + 3 * PAGE < area; step++) {
			const size_t skew = step % 3 == 0 ? 0 : 8 * step + step;
			const size_t len = step % 2 == 0 ? PAGE : 2 * PAGE + 13 * step;

			ret = rte_mempool_populate_iova(
				mp, memory + off + skew, RTE_BAD_IOVA, len, NULL, NULL);
			assert_in_range(ret, 1, len / pitch);
			sum += (unsigned int)ret;
			off += RTE_ALIGN_CEIL(skew + len, PAGE);
		}
		assert_true(mp->nb_mem_chunks > 10);
		assert_int_equal(mp->populated_size, sum);
		assert_int_equal(rte_mempool_avail_count(mp), sum);
		test_drain(mp, sum);
		rte_mempool_free(mp);
	}
	munmap(memory, area);
}

static void
an_area_of_pages_is_populated_like_a_contiguous_one(void **state)
{
	struct rte_mempool *mp = test_pool_empty("anon", 2000, 2048, 0, 0);

	(void)state;
	assert_int_equal(rte_mempool_populate_anon(mp), 2000);
	if (rte_eal_iova_mode() == RTE_IOVA_PA)
		assert_true(mp->nb_mem_chunks > 1);
	test_drain(mp, 2000);
	/* full: no more of it */
	assert_int_equal(rte_mempool_populate_anon(mp), 0);
	rte_mempool_free(mp);
}

static void
a_mempool_populated_in_part_gives_that_part(void **state)
{
	struct rte_mempool *mp = test_pool_empty("part", 1000, 256, 0, 0);
	char *memory = aligned_alloc(PAGE, 32768);
	int n;

	(void)state;
	assert_non_null(memory);
	n = rte_mempool_populate_iova(mp, memory, RTE_BAD_IOVA, 32768, NULL, NULL);
	assert_in_range(n, 1, 999);
	assert_int_equal(rte_mempool_avail_count(mp), n);
	test_drain(mp, (unsigned int)n);
	rte_mempool_free(mp);
	free(memory);
}

static void
a_mempool_never_populated_is_freed(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 100; i++)
		rte_mempool_free(test_pool_empty("never", 100, 64, 32, 0));
}

static void
a_mempool_with_objects_out_is_freed(void **state)
{
	struct rte_mempool *mp = test_pool("out", 100, 64, 0, 0);
	void *objs[60];

	(void)state;
	assert_int_equal(rte_mempool_get_bulk(mp, objs, 60), 0);
	rte_mempool_free(mp);
	mp = test_pool("out", 100, 64, 0, 0);
	test_drain(mp, 100);
	rte_mempool_free(mp);
}

/* What the library does when populating fails half-way, and then another try. */
static void
a_mempool_emptied_by_the_library_is_populated_anew(void **state)
{
	struct rte_mempool *mp = test_pool_empty("anew", 100, 64, 0, 0);
	char *memory = aligned_alloc(PAGE, 2 * PAGE);
	struct rte_mempool_memhdr *chunk;
	void *object;

	(void)state;
	assert_non_null(memory);
	assert_true(rte_mempool_populate_iova(mp, memory, RTE_BAD_IOVA, PAGE, NULL, NULL) > 0);
	while (!STAILQ_EMPTY(&mp->elt_list)) {
		assert_int_equal(rte_mempool_ops_dequeue_bulk(mp, &object, 1), 0);
		STAILQ_REMOVE_HEAD(&mp->elt_list, next);
		mp->populated_size--;
	}
	chunk = STAILQ_FIRST(&mp->mem_list);
	STAILQ_REMOVE_HEAD(&mp->mem_list, next);
	rte_free(chunk);
	mp->nb_mem_chunks = 0;

	assert_int_equal(rte_mempool_populate_default(mp), 100);
	assert_int_equal(rte_mempool_avail_count(mp), 100);
	test_drain(mp, 100);
	rte_mempool_free(mp);
	free(memory);
}

static void
thousands_of_mempools_come_and_go_and_leave_nothing(void **state)
{
	char folder[256];
	unsigned int files = 0, descriptors = 0;

	(void)state;
	assert_int_equal(sio_runtime_dir(folder, sizeof(folder)), 0);
	for (unsigned int i = 0; i < 3000; i++) {
		char name[RTE_MEMPOOL_NAMESIZE];
		struct rte_mempool *mp;
		void *objs[8];

		snprintf(name, sizeof(name), "cycle%u", i % 7);
		mp = test_pool(name, 64, 64, 0, 0);
		assert_int_equal(rte_mempool_get_bulk(mp, objs, 8), 0);
		rte_mempool_put_bulk(mp, objs, 8);
		rte_mempool_free(mp);
		if (i == 10) {
			files = test_count_files(folder);
			descriptors = test_count_files("/proc/self/fd");
		}
	}
	assert_int_equal(test_count_files(folder), files);
	assert_int_equal(test_count_files("/proc/self/fd"), descriptors);
}

static void
many_mempools_live_side_by_side(void **state)
{
	enum { POOLS = 200 };
	struct rte_mempool *mps[POOLS];
	char name[RTE_MEMPOOL_NAMESIZE];

	(void)state;
	for (unsigned int i = 0; i < POOLS; i++) {
		snprintf(name, sizeof(name), "many%u", i);
		mps[i] = test_pool(name, 10 + i, 64, 0, 0);
	}
	for (unsigned int i = 0; i < POOLS; i++)
		test_drain(mps[i], 10 + i);
	for (unsigned int i = 0; i < POOLS; i += 2)
		rte_mempool_free(mps[i]);
	for (unsigned int i = 1; i < POOLS; i += 2)
		test_drain(mps[i], 10 + i);
	for (unsigned int i = 1; i < POOLS; i += 2)
		rte_mempool_free(mps[i]);
}

static void
a_bulk_is_all_or_nothing(void **state)
{
	struct rte_mempool *mp = test_pool("bulk", 100, 64, 0, 0);
	void *objs[101];

	(void)state;
	assert_int_equal(rte_mempool_ops_dequeue_bulk(mp, objs, 101), -ENOBUFS);
	assert_int_equal(rte_mempool_avail_count(mp), 100);
	assert_int_equal(rte_mempool_ops_dequeue_bulk(mp, objs, 60), 0);
	assert_int_equal(rte_mempool_ops_dequeue_bulk(mp, objs + 60, 41), -ENOBUFS);
	assert_int_equal(rte_mempool_avail_count(mp), 40);
	assert_int_equal(rte_mempool_ops_dequeue_bulk(mp, objs + 60, 40), 0);
	assert_int_equal(rte_mempool_ops_dequeue_bulk(mp, objs + 100, 1), -ENOBUFS);
	assert_int_equal(rte_mempool_ops_enqueue_bulk(mp, objs, 100), 0);
	test_drain(mp, 100);
	rte_mempool_free(mp);
}

/* The library refills its cache in place: a get that fails must leave there what was there. */
static void
a_cache_is_intact_after_a_get_that_failed(void **state)
{
	void *objs[100], *more[101];

	(void)state;
	for (unsigned int bulk = 1; bulk <= 40; bulk++) {
		struct rte_mempool *mp = test_pool("cached", 100, 64, 32, 0);
		unsigned int n = 0;

		while (n + bulk <= 100 && rte_mempool_get_bulk(mp, &objs[n], bulk) == 0) {
			n += bulk;
			/* some in the cache, and fewer than it wants in the pool */
			if (n >= 2 * bulk && n % 3 == 0) {
				rte_mempool_put_bulk(mp, &objs[n - bulk / 2], bulk / 2);
				n -= bulk / 2;
			}
			assert_int_equal(rte_mempool_avail_count(mp), 100 - n);
		}
		assert_int_not_equal(rte_mempool_get_bulk(mp, more, 101 - n), 0);
		assert_int_equal(rte_mempool_avail_count(mp), 100 - n);
		rte_mempool_put_bulk(mp, objs, n);
		test_drain(mp, 100);
		rte_mempool_free(mp);
	}
}

static void
the_bytes_of_an_object_stay_as_they_are(void **state)
{
	struct rte_mempool *mp = test_pool("bytes", 200, 100, 0, 0);
	void *objs[200];

	(void)state;
	assert_int_equal(rte_mempool_get_bulk(mp, objs, 200), 0);
	for (unsigned int i = 0; i < 200; i++)
		memset(objs[i], (int)((uintptr_t)objs[i] / 64 % 251), mp->elt_size);
	rte_mempool_put_bulk(mp, objs, 200);
	assert_int_equal(rte_mempool_get_bulk(mp, objs, 200), 0);
	for (unsigned int i = 0; i < 200; i++)
		for (unsigned int j = 0; j < mp->elt_size; j++)
			assert_int_equal(
				((unsigned char *)objs[i])[j], (uintptr_t)objs[i] / 64 % 251);
	rte_mempool_put_bulk(mp, objs, 200);
	rte_mempool_free(mp);
}

static int
take_all_and_give_back(void *arg)
{
	struct rte_mempool *mp = arg;
	void **objs = calloc(mp->size, sizeof(*objs));
	int ret;

	if (objs == NULL)
		return -ENOMEM;
	ret = rte_mempool_get_bulk(mp, objs, mp->size);
	if (ret == 0)
		rte_mempool_put_bulk(mp, objs, mp->size);
	free(objs);
	return ret;
}

static void
what_one_lcore_gave_back_another_takes_to_the_last_object(void **state)
{
	(void)state;
	for (unsigned int n = 1; n < 5000; n = n * 3 + 1) {
		struct rte_mempool *mp = test_pool("steal", n, 64, 0, 0);

		for (unsigned int round = 0; round < 3; round++) {
			assert_int_equal(test_on_worker(take_all_and_give_back, mp), 0);
			test_drain(mp, n);
			assert_int_equal(take_all_and_give_back(mp), 0);
			assert_int_equal(test_on_worker(take_all_and_give_back, mp), 0);
		}
		rte_mempool_free(mp);
	}
}

static void *
thread_without_lcore_id(void *arg)
{
	struct rte_mempool *mp = arg;
	void *objs[40];

	if (rte_lcore_id() != LCORE_ID_ANY)
		return "the thread has an lcore id";
	for (unsigned int i = 0; i < 1000; i++) {
		if (rte_mempool_get_bulk(mp, objs, 40) != 0)
			return "get failed";
		rte_mempool_put_bulk(mp, objs, 40);
	}
	return take_all_and_give_back(mp) == 0 ? NULL : "not all objects were to be had";
}

static void
threads_without_an_lcore_id_work_and_end(void **state)
{
	struct rte_mempool *mp = test_pool("threads", 500, 64, 0, 0);

	(void)state;
	for (unsigned int i = 0; i < 20; i++) {
		pthread_t thread;
		void *result;

		assert_int_equal(pthread_create(&thread, NULL, thread_without_lcore_id, mp), 0);
		assert_int_equal(pthread_join(thread, &result), 0);
		if (result != NULL)
			fail_msg("%s", (char *)result);
		test_drain(mp, 500);
	}
	rte_mempool_free(mp);
}

static void
a_cache_in_front_works(void **state)
{
	struct rte_mempool *mp = test_pool("cache", 2000, 64, 256, 0);
	void *objs[300];

	(void)state;
	for (unsigned int n = 1; n <= 300; n++) {
		assert_int_equal(rte_mempool_get_bulk(mp, objs, n), 0);
		assert_int_equal(rte_mempool_avail_count(mp), 2000 - n);
		rte_mempool_put_bulk(mp, objs, n);
		assert_int_equal(rte_mempool_avail_count(mp), 2000);
	}
	rte_mempool_free(mp);
}

struct churn {
	struct rte_mempool *mp;
	uint64_t until;
	_Atomic unsigned int doubled;
	_Atomic unsigned long rounds;
};

/* Each object's first word says whether somebody has it. */
static int
churn(void *arg)
{
	struct churn *c = arg;
	uint64_t seed = rte_rdtsc() | 1;
	void *objs[64];

	while (rte_rdtsc() < c->until) {
		unsigned int n;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		n = (unsigned int)(seed >> 40) % 64 + 1;
		if (rte_mempool_get_bulk(c->mp, objs, n) != 0)
			continue;
		for (unsigned int i = 0; i < n; i++)
			if (atomic_exchange((_Atomic uint64_t *)objs[i], 1) != 0)
				c->doubled++;
		for (unsigned int i = 0; i < n; i++)
			if (atomic_exchange((_Atomic uint64_t *)objs[i], 0) != 1)
				c->doubled++;
		rte_mempool_put_bulk(c->mp, objs, n);
		c->rounds++;
	}
	return 0;
}

static void
clear_object(struct rte_mempool *mp, void *arg, void *obj, unsigned int idx)
{
	(void)arg;
	(void)idx;
	memset(obj, 0, mp->elt_size);
}

static void
no_object_is_with_two_lcores_at_once(void **state)
{
	/* so few that the lcores take from each other all the time */
	struct churn c = {.mp = test_pool("churn", 100, 64, 0, 0)};
	const unsigned int worker = rte_get_next_lcore(-1, 1, 0);

	(void)state;
	rte_mempool_obj_iter(c.mp, clear_object, NULL);
	c.until = rte_rdtsc() + rte_get_tsc_hz();
	assert_int_equal(rte_eal_remote_launch(churn, &c, worker), 0);
	churn(&c);
	rte_eal_wait_lcore(worker);
	assert_int_equal(c.doubled, 0);
	assert_true(c.rounds > 100);
	assert_int_equal(rte_mempool_avail_count(c.mp), 100);
	test_drain(c.mp, 100);
	rte_mempool_free(c.mp);
}

static void
overwritten_pool_data_is_refused_loudly(void **state)
{
	struct rte_mempool *mp = test_pool("magic", 100, 64, 0, 0);
	uint64_t *magic = mp->pool_data;
	const uint64_t was = *magic;
	void *object, *other;

	(void)state;
	assert_int_equal(rte_mempool_get(mp, &object), 0);
	*magic ^= 0x100;
	test_log_capture();
	assert_int_equal(rte_mempool_ops_dequeue_bulk(mp, &other, 1), -EINVAL);
	assert_int_equal(rte_mempool_ops_enqueue_bulk(mp, &object, 1), -EINVAL);
	assert_int_equal(rte_mempool_avail_count(mp), 0);
	assert_true(test_log_had("memory was overwritten"));
	/* all of it by one pattern, as by who frees memory and clears it */
	for (unsigned int pattern = 0; pattern < 256; pattern += 0x5a) {
		uint64_t saved[4];

		*magic = was;
		memcpy(saved, magic, sizeof(saved));
		memset(magic, (int)pattern, sizeof(saved));
		assert_int_equal(rte_mempool_ops_dequeue_bulk(mp, &other, 1), -EINVAL);
		assert_int_equal(rte_mempool_ops_enqueue_bulk(mp, &object, 1), -EINVAL);
		memcpy(magic, saved, sizeof(saved));
	}
	*magic = was;
	rte_mempool_put(mp, object);
	test_drain(mp, 100);
	rte_mempool_free(mp);
}

static void
with_checking_a_foreign_pointer_is_reported_and_takes_nobody_with_it(void **state)
{
	struct rte_mempool *mp, *other;
	void *objs[8], *theirs;
	uint64_t local;

	(void)state;
	/* by its section in mempool_test.cfg */
	mp = test_pool("foreign", 100, 64, 0, 0);
	other = test_pool("other", 100, 64, 0, 0);
	assert_int_equal(rte_mempool_get_bulk(mp, objs, 6), 0);
	assert_int_equal(rte_mempool_get(other, &theirs), 0);
	/* another mempool's, and the middle of one of ours */
	objs[6] = theirs;
	objs[7] = (char *)objs[0] + 8;
	test_log_capture();
	assert_int_equal(rte_mempool_ops_enqueue_bulk(mp, objs, 8), -EINVAL);
	assert_true(test_log_had("which is not an object of it"));
	assert_int_equal(rte_mempool_avail_count(mp), 100);
	theirs = &local;
	test_log_capture();
	assert_int_equal(rte_mempool_ops_enqueue_bulk(mp, &theirs, 1), -EINVAL);
	theirs = NULL;
	assert_int_equal(rte_mempool_ops_enqueue_bulk(mp, &theirs, 1), -EINVAL);
	/* the third and the fourth: the fourth is said */
	assert_true(test_log_had("(4 such so far)"));
	test_drain(mp, 100);
	rte_mempool_put(other, objs[6]);
	test_drain(other, 100);
	rte_mempool_free(mp);
	rte_mempool_free(other);
}

static void
a_forked_child_does_no_harm(void **state)
{
	struct rte_mempool *mp = test_pool("fork", 300, 64, 0, 0);
	void *objs[20];

	(void)state;
	/* so that the parent's thread has objects at hand */
	assert_int_equal(rte_mempool_get_bulk(mp, objs, 20), 0);
	rte_mempool_put_bulk(mp, objs, 20);
	for (unsigned int i = 0; i < 10; i++) {
		int status;
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			/* it may work or be refused, but must come to an end */
			alarm(10);
			if (rte_mempool_get_bulk(mp, objs, 20) == 0)
				rte_mempool_put_bulk(mp, objs, 20);
			/* with the destructors of the libraries in even rounds */
			if (i % 2 == 0)
				exit(0);
			abort();
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (i % 2 == 0)
			assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		else
			assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	}
	/* nothing is with two; what died with a child in its shard may be missing */
	assert_in_range(rte_mempool_avail_count(mp), 300 - 5 * 40, 300);
	assert_int_equal(rte_mempool_get_bulk(mp, objs, 20), 0);
	rte_mempool_put_bulk(mp, objs, 20);
	rte_mempool_free(mp);
}

/* Its lcore id is its parent's, whose cache it would write to. */
static void
a_forked_child_gets_nothing_on_its_parents_lcore(void **state)
{
	struct rte_mempool *mp = test_pool("fork_cache", 300, 64, 32, 0);
	void *objs[20];
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(rte_mempool_generic_get(mp, objs, 20, NULL), 0);
	rte_mempool_generic_put(mp, objs, 20, NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		bool refused = true;

		alarm(10);
		for (unsigned int i = 0; i < 3; i++)
			refused &= rte_mempool_generic_get(mp, objs, 20, NULL) < 0;
		_exit(refused ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	test_drain(mp, 300);
	rte_mempool_free(mp);
}

static void
the_ops_index_is_the_last_slot(void **state)
{
	struct rte_mempool *mp = test_pool("slot", 10, 64, 0, 0);

	(void)state;
	assert_int_equal(mp->ops_index, TEST_OPS_SLOT);
	assert_string_equal(rte_mempool_get_ops(mp->ops_index)->name, "slab");
	assert_true(rte_mempool_ops_table.num_ops <= TEST_OPS_SLOT);
	rte_mempool_free(mp);
}

static int
others_enqueue(struct rte_mempool *mp, void *const *objs, unsigned int n)
{
	(void)mp;
	(void)objs;
	(void)n;
	return 0;
}

static void
the_registered_index_is_used_where_the_last_slot_is_taken(void **state)
{
	struct rte_mempool_ops *last = &rte_mempool_ops_table.ops[TEST_OPS_SLOT];
	const struct rte_mempool_ops was = *last;
	struct rte_mempool *mp;

	(void)state;
	last->enqueue = others_enqueue;
	test_log_capture();
	mp = test_pool("taken", 100, 64, 0, 0);
	*last = was;
	assert_true(test_log_had("slot 15 of the mempool ops table belongs to"));
	assert_int_not_equal(mp->ops_index, TEST_OPS_SLOT);
	assert_string_equal(rte_mempool_get_ops(mp->ops_index)->name, "slab");
	test_drain(mp, 100);
	rte_mempool_free(mp);
}

static void
mbuf_pools_work(void **state)
{
	struct rte_mempool *mp = rte_pktmbuf_pool_create_by_ops(
		"mbufs", 1000, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY, "slab");
	struct rte_mbuf *mbufs[1001];

	(void)state;
	assert_non_null(mp);
	assert_int_equal(rte_pktmbuf_alloc_bulk(mp, mbufs, 1000), 0);
	assert_null(rte_pktmbuf_alloc(mp));
	for (unsigned int i = 0; i < 1000; i++)
		assert_non_null(rte_pktmbuf_append(mbufs[i], 1500));
	rte_pktmbuf_free_bulk(mbufs, 1000);
	assert_int_equal(rte_mempool_avail_count(mp), 1000);
	rte_mempool_free(mp);
}

/* A thread finds its view of a mempool by bits of the key, without a call. */
static void
mempools_made_one_after_another_do_not_share_a_place_for_their_views(void **state)
{
	struct rte_mempool *mp[SIO_FAST_ENTRIES];
	uint32_t places = 0;

	(void)state;
	for (unsigned int i = 0; i < RTE_DIM(mp); i++) {
		const struct slabio_slab_head *head;
		char name[RTE_MEMPOOL_NAMESIZE];

		snprintf(name, sizeof(name), "place_%u", i);
		mp[i] = test_pool(name, 16, 64, 0, 0);
		head = mp[i]->pool_data;
		places |= 1u << sio_fast_index(~(head->magic ^ head->uid));
	}
	assert_int_equal(places, (1u << SIO_FAST_ENTRIES) - 1);
	for (unsigned int i = 0; i < RTE_DIM(mp); i++)
		rte_mempool_free(mp[i]);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(mempools_made_one_after_another_do_not_share_a_place_for_their_views),
	cmocka_unit_test(the_ops_index_is_the_last_slot),
	cmocka_unit_test(the_registered_index_is_used_where_the_last_slot_is_taken),
	cmocka_unit_test(objects_of_every_size_are_taken_to_the_last_one),
	cmocka_unit_test(every_flag_is_accepted),
	cmocka_unit_test(objects_lie_at_one_pitch),
	cmocka_unit_test(objects_know_their_io_address),
	cmocka_unit_test(chunks_of_every_size_and_place_are_used),
	cmocka_unit_test(an_area_of_pages_is_populated_like_a_contiguous_one),
	cmocka_unit_test(a_mempool_populated_in_part_gives_that_part),
	cmocka_unit_test(a_mempool_never_populated_is_freed),
	cmocka_unit_test(a_mempool_with_objects_out_is_freed),
	cmocka_unit_test(a_mempool_emptied_by_the_library_is_populated_anew),
	cmocka_unit_test(thousands_of_mempools_come_and_go_and_leave_nothing),
	cmocka_unit_test(many_mempools_live_side_by_side),
	cmocka_unit_test(a_bulk_is_all_or_nothing),
	cmocka_unit_test(a_cache_is_intact_after_a_get_that_failed),
	cmocka_unit_test(the_bytes_of_an_object_stay_as_they_are),
	cmocka_unit_test(what_one_lcore_gave_back_another_takes_to_the_last_object),
	cmocka_unit_test(threads_without_an_lcore_id_work_and_end),
	cmocka_unit_test(a_cache_in_front_works),
	cmocka_unit_test(no_object_is_with_two_lcores_at_once),
	cmocka_unit_test(overwritten_pool_data_is_refused_loudly),
	cmocka_unit_test(with_checking_a_foreign_pointer_is_reported_and_takes_nobody_with_it),
	cmocka_unit_test(mbuf_pools_work),
	/* last: it may leave dead members' objects behind */
	cmocka_unit_test(a_forked_child_does_no_harm),
	cmocka_unit_test(a_forked_child_gets_nothing_on_its_parents_lcore),
};

static int
run_group(const char *mode)
{
	int failed;

	if (strcmp(mode, "mp") == 0)
		return _cmocka_run_group_tests("mp", test_mp_tests, test_mp_tests_n, NULL, NULL);
	if (strcmp(mode, "cache") == 0)
		return _cmocka_run_group_tests(
			mode, test_cache_tests, test_cache_tests_n, NULL, NULL);
	if (strcmp(mode, "refused") == 0)
		return _cmocka_run_group_tests(
			mode, test_refused_tests, test_refused_tests_n, NULL, NULL);
	if (strcmp(mode, "telemetry") == 0)
		return _cmocka_run_group_tests(
			mode, test_telemetry_tests, test_telemetry_tests_n, NULL, NULL);
	failed = _cmocka_run_group_tests(
		"options", test_options_tests, test_options_tests_n, NULL, NULL);
	failed += _cmocka_run_group_tests(
		"contig", test_contig_tests, test_contig_tests_n, NULL, NULL);
	if (strcmp(mode, "nohuge") == 0)
		return failed + _cmocka_run_group_tests(
					mode, test_nohuge_tests, test_nohuge_tests_n, NULL, NULL);
	return failed + cmocka_run_group_tests_name(mode, tests, NULL, NULL);
}

int
main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "primary";
	int failed;

	if (strcmp(mode, "secondary") == 0 && argc == 4) {
		test_eal_start(mode);
		failed = test_secondary_main(argv[2], argv[3]);
		test_eal_stop();
		return failed;
	}
	if (strcmp(mode, "refused") == 0)
		setenv("SLABIO_CONFIG", "/nonexistent/mempool.cfg", 1);
	test_eal_start(mode);
	if ((strcmp(mode, "mp") == 0 || strcmp(mode, "cache") == 0) && !test_has_hugepages()) {
		fprintf(stderr, "SKIP: secondary processes need free hugepages\n");
		return 77;
	}
	failed = run_group(mode);
	test_eal_stop();
	return failed;
}
