/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* One process, one thread: what the pool's calls promise, and how they fail. */

#include "unit_env.h"
#include "unit_pool.h"

#define N 1000

/* Names in the runtime folder, without the library's own lock file. */
static unsigned int
names(void)
{
	DIR *dir = opendir(unit_env_dir);
	struct dirent *entry;
	unsigned int n = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

static void
create_refuses_options_out_of_range(void **state)
{
	struct sio_pool_opts good = {
		.sz = sizeof(good), .name = "opts", .n_blocks = 8, .block_size = 64};
	struct sio_pool_opts bad[] = {good, good, good, good, good, good, good, good, good};
	struct sio_pool *pool;

	(void)state;
	bad[0].sz = 4;
	bad[1].name = NULL;
	bad[2].name = "no/slash";
	bad[3].n_blocks = 0;
	bad[4].block_size = 0;
	bad[5].magazine_size = 1;
	bad[6].magazine_size = 1023;
	bad[7].max_shards = SIO_POOL_SHARDS_MAX + 1;
	bad[8].flags = 0x80;
	for (unsigned int i = 0; i < 9; i++) {
		assert_int_equal(sio_pool_create(&bad[i], &pool), -EINVAL);
		assert_null(pool);
	}
	assert_int_equal(sio_pool_create(NULL, &pool), -EINVAL);
	assert_int_equal(names(), 0);
}

static void
a_name_in_use_is_refused_and_free_after_destroy(void **state)
{
	struct sio_pool_opts opts = {
		.sz = sizeof(opts), .name = "twice", .n_blocks = 8, .block_size = 64};
	struct sio_pool *pool, *second;

	(void)state;
	assert_int_equal(sio_pool_create(&opts, &pool), 0);
	assert_int_equal(sio_pool_create(&opts, &second), -EEXIST);
	assert_null(second);
	sio_pool_destroy(pool);
	assert_int_equal(sio_pool_create(&opts, &pool), 0);
	sio_pool_destroy(pool);
	assert_int_equal(names(), 0);
}

static void
every_block_is_taken_once_and_has_its_own_memory(void **state)
{
	static const uint32_t flags[] = {0, SIO_POOL_EXACT};
	uint32_t handles[N];
	bool seen[N];

	(void)state;
	for (unsigned int f = 0; f < 2; f++) {
		struct sio_pool *pool = unit_pool("once", N, 0, 0, flags[f]);

		memset(seen, 0, sizeof(seen));
		for (unsigned int i = 0; i < N; i++) {
			assert_int_equal(sio_pool_take_one(pool, &handles[i]), 0);
			assert_true(handles[i] < N);
			assert_false(seen[handles[i]]);
			seen[handles[i]] = true;
			memset(sio_pool_addr(pool, handles[i]), (int)(i & 0xff), 100);
		}
		assert_int_equal(sio_pool_take_one(pool, &handles[0]), -ENOBUFS);
		assert_int_equal(sio_pool_free_count(pool), 0);
		for (unsigned int i = 0; i < N; i++)
			assert_int_equal(*(uint8_t *)sio_pool_addr(pool, handles[i]), i & 0xff);
		assert_int_equal(sio_pool_give(pool, handles, N), 0);
		unit_assert_all_free(pool, N);
		sio_pool_destroy(pool);
	}
}

static void
bulk_takes_all_or_nothing(void **state)
{
	struct sio_pool *pool = unit_pool("bulk", 100, 8, 0, 0);
	uint32_t handles[101];

	(void)state;
	for (unsigned int n = 0; n <= 100; n++) {
		assert_int_equal(sio_pool_take(pool, handles, n), 0);
		assert_int_equal(sio_pool_free_count(pool), 100 - n);
		if (n > 0) {
			memset(handles + n, 0xff, sizeof(handles) - n * sizeof(handles[0]));
			assert_int_equal(sio_pool_take(pool, handles + n, 101 - n), -ENOBUFS);
			/*
			 * who asked may have something else there until it gets what it asked for
			 */
			for (unsigned int i = n; i < 101; i++)
				assert_int_equal(handles[i], UINT32_MAX);
		}
		assert_int_equal(sio_pool_free_count(pool), 100 - n);
		assert_int_equal(sio_pool_give(pool, handles, n), 0);
	}
	unit_assert_all_free(pool, 100);
	sio_pool_destroy(pool);
}

static void
a_request_larger_than_the_pool_is_an_error_at_once(void **state)
{
	struct sio_pool *pool = unit_pool("large", 10, 2, 0, 0);
	uint32_t handles[11];

	(void)state;
	assert_int_equal(sio_pool_take(pool, handles, 11), -EINVAL);
	unit_assert_all_free(pool, 10);
	sio_pool_destroy(pool);
}

static void
the_burst_given_last_is_taken_first_in_its_order(void **state)
{
	struct sio_pool *pool = unit_pool("lifo", 64, 16, 0, 0);
	uint32_t handles[8], again[8];

	(void)state;
	assert_int_equal(sio_pool_take(pool, handles, 8), 0);
	assert_int_equal(sio_pool_give(pool, handles, 4), 0);
	assert_int_equal(sio_pool_give(pool, handles + 4, 4), 0);
	assert_int_equal(sio_pool_take_one(pool, again), 0);
	assert_int_equal(again[0], handles[4]);
	assert_int_equal(sio_pool_take(pool, again + 1, 3), 0);
	assert_int_equal(sio_pool_take(pool, again + 4, 4), 0);
	assert_memory_equal(again, handles + 4, 4 * sizeof(handles[0]));
	assert_memory_equal(again + 4, handles, 4 * sizeof(handles[0]));
	assert_int_equal(sio_pool_give(pool, again, 8), 0);
	unit_assert_all_free(pool, 64);
	sio_pool_destroy(pool);
}

static void
a_strange_handle_or_address_is_refused_whole(void **state)
{
	struct sio_pool *pool = unit_pool("strange", 64, 16, 0, 0);
	uint32_t handles[4];
	void *blocks[3];
	uint32_t handle;

	(void)state;
	assert_int_equal(sio_pool_take(pool, handles, 3), 0);
	handles[3] = 64;
	assert_int_equal(sio_pool_give(pool, handles, 4), -EINVAL);
	handles[3] = UINT32_MAX;
	assert_int_equal(sio_pool_give(pool, handles, 4), -EINVAL);
	assert_int_equal(sio_pool_free_count(pool), 61);
	assert_int_equal(sio_pool_give(pool, handles, 3), 0);

	assert_int_equal(sio_pool_take_ptr(pool, blocks, 2), 0);
	blocks[2] = (char *)blocks[0] + 1;
	assert_int_equal(sio_pool_give_ptr(pool, blocks, 3), -EINVAL);
	blocks[2] = &handle;
	assert_int_equal(sio_pool_give_ptr(pool, blocks, 3), -EINVAL);
	blocks[2] = NULL;
	assert_int_equal(sio_pool_give_ptr(pool, blocks, 3), -EINVAL);
	assert_int_equal(sio_pool_free_count(pool), 62);
	assert_int_equal(sio_pool_give_ptr(pool, blocks, 2), 0);
	assert_int_equal(sio_pool_handle(pool, (char *)blocks[0] + 64, &handle), -EINVAL);
	assert_null(sio_pool_addr(pool, 64));
	unit_assert_all_free(pool, 64);
	sio_pool_destroy(pool);
}

static void
handles_and_addresses_name_the_same_blocks(void **state)
{
	struct sio_pool *pool = unit_pool("both", 64, 16, 0, 0);
	void *blocks[64];
	uint32_t handle;

	(void)state;
	assert_int_equal(sio_pool_take_ptr(pool, blocks, 64), 0);
	for (unsigned int i = 0; i < 64; i++) {
		assert_int_equal(sio_pool_handle(pool, blocks[i], &handle), 0);
		assert_ptr_equal(sio_pool_addr(pool, handle), blocks[i]);
		assert_int_equal(sio_pool_give(pool, &handle, 1), 0);
	}
	unit_assert_all_free(pool, 64);
	sio_pool_destroy(pool);
}

static void
a_handle_without_memory_is_refused(void **state)
{
	static const uint32_t flags[] = {0, SIO_POOL_SAME_MAP};
	static char memory[4 * 64];

	(void)state;
	for (unsigned int f = 0; f < 2; f++) {
		struct sio_pool_opts opts = {
			.sz = sizeof(opts),
			.name = "half",
			.n_blocks = 8,
			.block_size = 64,
			.lent_payload = true,
			.flags = flags[f],
		};
		struct sio_pool *pool;
		uint32_t handles[4], strange = 4;

		assert_int_equal(sio_pool_create(&opts, &pool), 0);
		assert_int_equal(sio_pool_add_memory(pool, memory, 64, 4), 0);
		assert_int_equal(sio_pool_take(pool, handles, 4), 0);
		assert_int_equal(sio_pool_give(pool, &strange, 1), -EINVAL);
		assert_int_equal(sio_pool_free_count(pool), 0);
		assert_int_equal(sio_pool_give(pool, handles, 4), 0);
		unit_assert_all_free(pool, 4);
		sio_pool_destroy(pool);
	}
}

static void
addresses_are_refused_where_the_payload_is_not_mapped(void **state)
{
	struct sio_pool_attach_opts opts = {.sz = sizeof(opts), .no_payload = true};
	struct sio_pool *pool = unit_pool("bare", 64, 16, 0, 0), *bare;
	uint32_t handle;
	void *block;

	(void)state;
	assert_int_equal(sio_pool_attach("bare", &opts, &bare), 0);
	assert_int_equal(sio_pool_take_ptr(bare, &block, 1), -EOPNOTSUPP);
	assert_int_equal(sio_pool_free_count(bare), 64);
	assert_null(sio_pool_addr(bare, 0));
	assert_int_equal(sio_pool_take_one(bare, &handle), 0);
	assert_int_equal(sio_pool_give(bare, &handle, 1), 0);
	sio_pool_detach(bare);
	unit_assert_all_free(pool, 64);
	sio_pool_destroy(pool);
}

static void
lent_memory_comes_in_chunks_of_any_pitch(void **state)
{
	struct sio_pool_opts opts = {
		.sz = sizeof(opts),
		.name = "lent",
		.n_blocks = 100,
		.block_size = 40,
		.lent_payload = true,
	};
	static char memory[3][100 * 88];
	/* not in the order of their addresses */
	static const struct {
		unsigned int memory, n, pitch;
	} chunks[] = {{2, 50, 40}, {0, 1, 88}, {1, 49, 72}};
	struct sio_pool *pool;
	void *blocks[100];
	uint32_t handle;

	(void)state;
	assert_int_equal(sio_pool_create(&opts, &pool), 0);
	assert_int_equal(sio_pool_take_ptr(pool, blocks, 1), -ENOBUFS);
	assert_int_equal(sio_pool_add_memory(pool, memory[0], 32, 10), -EINVAL);
	assert_int_equal(sio_pool_add_memory(pool, memory[0], 40, 0), -EINVAL);
	assert_int_equal(sio_pool_add_memory(pool, memory[0], 40, 101), -ENOSPC);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(sio_pool_add_memory(pool, memory[chunks[i].memory],
					 chunks[i].pitch, chunks[i].n),
			0);
	assert_int_equal(sio_pool_add_memory(pool, memory[0], 40, 1), -ENOSPC);
	assert_int_equal(sio_pool_publish(pool), 0);
	assert_int_equal(sio_pool_free_count(pool), 100);
	assert_int_equal(sio_pool_take_ptr(pool, blocks, 100), 0);
	for (unsigned int i = 0; i < 100; i++) {
		bool found = false;

		for (unsigned int c = 0; c < 3 && !found; c++) {
			ptrdiff_t off = (char *)blocks[i] - memory[chunks[c].memory];

			found = off >= 0 && off < (ptrdiff_t)(chunks[c].n * chunks[c].pitch) &&
				off % chunks[c].pitch == 0;
		}
		assert_true(found);
		assert_int_equal(sio_pool_handle(pool, blocks[i], &handle), 0);
		assert_ptr_equal(sio_pool_addr(pool, handle), blocks[i]);
	}
	assert_int_equal(sio_pool_give_ptr(pool, blocks, 100), 0);
	unit_assert_all_free(pool, 100);
	sio_pool_destroy(pool);
}

/*
 * Hundreds of chunks in an order that is not that of their addresses, with gaps, and one far away
 * from the others, so that looking an address up has to choose among many.
 */
static void
blocks_are_found_among_many_chunks(void **state)
{
	enum { CHUNKS = 300, STEP = 4096, PITCH = 104 };
	struct sio_pool_opts opts = {
		.sz = sizeof(opts),
		.name = "chunks",
		.n_blocks = CHUNKS * 40,
		.block_size = 100,
		.lent_payload = true,
	};
	struct sio_pool *pool;
	char *memory = aligned_alloc(STEP, CHUNKS * STEP);
	/* the top of the stack, terabytes away */
	_Alignas(64) char far_away[2 * PITCH];
	uint32_t handle, expected = 0;

	(void)state;
	assert_non_null(memory);
	assert_int_equal(sio_pool_create(&opts, &pool), 0);
	for (unsigned int i = 0; i < CHUNKS; i++) {
		const unsigned int c = i * 7 % CHUNKS; /* each once: 7 does not divide CHUNKS */

		if (i == CHUNKS / 2)
			assert_int_equal(sio_pool_add_memory(pool, far_away, PITCH, 2), 0);
		assert_int_equal(
			sio_pool_add_memory(pool, memory + c * STEP, PITCH, 1 + i % 39), 0);
	}
	for (unsigned int i = 0; i < CHUNKS; i++) {
		char *chunk = memory + i * 7 % CHUNKS * STEP;
		const unsigned int n = 1 + i % 39;

		if (i == CHUNKS / 2) {
			for (unsigned int j = 0; j < 2; j++, expected++) {
				assert_ptr_equal(
					sio_pool_addr(pool, expected), far_away + j * PITCH);
				assert_int_equal(
					sio_pool_handle(pool, far_away + j * PITCH, &handle), 0);
				assert_int_equal(handle, expected);
			}
		}
		for (unsigned int j = 0; j < n; j++, expected++) {
			assert_ptr_equal(sio_pool_addr(pool, expected), chunk + j * PITCH);
			assert_int_equal(sio_pool_handle(pool, chunk + j * PITCH, &handle), 0);
			assert_int_equal(handle, expected);
			assert_int_equal(
				sio_pool_handle(pool, chunk + j * PITCH + 8, &handle), -EINVAL);
		}
		assert_int_equal(sio_pool_handle(pool, chunk + n * PITCH, &handle), -EINVAL);
	}
	assert_null(sio_pool_addr(pool, expected));
	assert_int_equal(sio_pool_handle(pool, memory - PITCH, &handle), -EINVAL);
	assert_int_equal(sio_pool_handle(pool, far_away + 2 * PITCH, &handle), -EINVAL);
	assert_int_equal(sio_pool_handle(pool, NULL, &handle), -EINVAL);
	assert_int_equal(sio_pool_free_count(pool), expected);
	sio_pool_destroy(pool);
	free(memory);
}

static void
smallest_pools_and_magazines_work(void **state)
{
	uint32_t handles[5];

	(void)state;
	for (uint32_t n = 1; n <= 5; n++) {
		for (uint32_t m = 2; m <= 4; m++) {
			struct sio_pool *pool = unit_pool("small", n, m, 0, SIO_POOL_EXACT);

			for (unsigned int round = 0; round < 20; round++) {
				assert_int_equal(sio_pool_take(pool, handles, n), 0);
				assert_int_equal(sio_pool_give(pool, handles, n), 0);
			}
			unit_assert_all_free(pool, n);
			sio_pool_destroy(pool);
		}
	}
}

static void
giving_in_any_order_fills_and_empties_magazines(void **state)
{
	struct sio_pool *pool = unit_pool("order", 512, 8, 0, 0);
	uint32_t held[512], n_held = 0, total = 0;

	(void)state;
	srand(1);
	for (unsigned int i = 0; i < 20000; i++) {
		uint32_t n = (uint32_t)rand() % 40;

		if (rand() & 1) {
			int ret = sio_pool_take(pool, held + n_held, n <= 512 - n_held ? n : 0);

			assert_int_equal(ret, 0);
			n_held += n <= 512 - n_held ? n : 0;
		} else {
			n = n < n_held ? n : n_held;
			assert_int_equal(sio_pool_give(pool, held + n_held - n, n), 0);
			n_held -= n;
		}
		total += n;
		if (i % 1000 == 0) {
			struct sio_audit_report report = unit_audit(pool);

			assert_true(sio_audit_clean(&report));
			assert_int_equal(report.outstanding, n_held);
		}
	}
	assert_true(total > 0);
	assert_int_equal(sio_pool_give(pool, held, n_held), 0);
	unit_assert_all_free(pool, 512);
	sio_pool_destroy(pool);
}

static void
info_tells_the_geometry(void **state)
{
	struct sio_pool *pool = unit_pool("info", 333, 16, 0, SIO_POOL_EXACT);
	struct sio_pool_info info;
	uint32_t handle;

	(void)state;
	assert_int_equal(sio_pool_take_one(pool, &handle), 0);
	sio_pool_info(pool, &info);
	assert_string_equal(info.name, "info");
	assert_string_equal(info.payload, "info.data");
	assert_int_equal(info.flags, SIO_POOL_EXACT);
	assert_int_equal(info.n_blocks, 333);
	assert_int_equal(info.populated, 333);
	assert_int_equal(info.block_size, 100);
	assert_int_equal(info.magazine_size, 16);
	assert_int_equal(info.max_shards, 160);
	assert_int_equal(info.shards_used, 1);
	assert_int_equal(info.members, 1);
	assert_int_equal(info.free_blocks, 332);
	assert_non_null(sio_pool_segment(pool));
	assert_non_null(sio_pool_payload(pool));
	assert_int_equal(sio_pool_give(pool, &handle, 1), 0);
	sio_pool_thread_end(pool);
	sio_pool_info(pool, &info);
	assert_int_equal(info.shards_used, 0);
	unit_assert_all_free(pool, 333);
	sio_pool_destroy(pool);
}

static void
a_block_given_twice_is_found_by_the_audit(void **state)
{
	struct sio_pool *pool = unit_pool("double", 64, 16, 0, 0);
	struct sio_audit_report report;
	uint32_t handles[2];

	(void)state;
	assert_int_equal(sio_pool_take(pool, handles, 2), 0);
	assert_int_equal(sio_pool_give(pool, handles, 1), 0);
	assert_int_equal(sio_pool_give(pool, handles, 1), 0);
	report = unit_audit(pool);
	assert_int_equal(report.twice, 1);
	assert_false(sio_audit_clean(&report));
	sio_pool_destroy(pool);
}

static void
the_audit_counts_what_callers_meet_in_rings_and_ports(void **state)
{
	struct sio_pool *pool = unit_pool("meet", 64, 16, 0, 0);
	struct sio_audit_report report;
	struct sio_audit *a;
	uint32_t handles[3];
	FILE *out = tmpfile();

	(void)state;
	assert_int_equal(sio_pool_take(pool, handles, 3), 0);
	assert_int_equal(sio_audit_begin(pool, &a), 0);
	sio_audit_meet(a, handles[0], SIO_PLACE_RING);
	sio_audit_meet(a, handles[1], SIO_PLACE_PORT);
	sio_audit_meet(a, 64, SIO_PLACE_RING);
	sio_audit_end(a, &report);
	assert_int_equal(report.met[SIO_PLACE_RING], 1);
	assert_int_equal(report.met[SIO_PLACE_PORT], 1);
	assert_int_equal(report.outstanding, 1);
	assert_int_equal(report.strange, 1);
	assert_int_equal(report.twice, 0);
	assert_int_equal(sio_pool_give(pool, handles, 1), 0);
	assert_int_equal(sio_audit_begin(pool, &a), 0);
	sio_audit_meet(a, handles[0], SIO_PLACE_RING);
	sio_audit_end(a, &report);
	assert_int_equal(report.twice, 1);
	assert_int_equal(report.unsettled, 0);
	assert_int_equal(sio_audit_begin(pool, &a), 0);
	sio_audit_meet(a, handles[0], SIO_PLACE_RING);
	sio_audit_moved(a);
	sio_audit_end(a, &report);
	assert_int_equal(report.twice, 0);
	assert_int_equal(report.unsettled, 2);
	assert_non_null(out);
	sio_audit_print(&report, out);
	assert_true(ftell(out) > 100);
	fclose(out);
	sio_pool_destroy(pool);
}

static void
an_observer_sees_but_cannot_take(void **state)
{
	struct sio_pool_attach_opts opts = {.sz = sizeof(opts), .observe = true};
	struct sio_pool *pool, *other;

	(void)state;
	assert_int_equal(sio_pool_attach("nobody", &opts, &other), -ENOENT);
	assert_null(other);
	opts.sz = 1;
	assert_int_equal(sio_pool_attach("nobody", &opts, &other), -EINVAL);
	opts.sz = sizeof(opts);
	pool = unit_pool("seen", 64, 16, 0, 0);
	assert_int_equal(sio_pool_attach("seen", &opts, &other), 0);
	unit_assert_all_free(other, 64);
	sio_pool_detach(other);
	unit_assert_all_free(pool, 64);
	sio_pool_destroy(pool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(create_refuses_options_out_of_range),
		cmocka_unit_test(a_name_in_use_is_refused_and_free_after_destroy),
		cmocka_unit_test(every_block_is_taken_once_and_has_its_own_memory),
		cmocka_unit_test(bulk_takes_all_or_nothing),
		cmocka_unit_test(a_request_larger_than_the_pool_is_an_error_at_once),
		cmocka_unit_test(the_burst_given_last_is_taken_first_in_its_order),
		cmocka_unit_test(a_strange_handle_or_address_is_refused_whole),
		cmocka_unit_test(handles_and_addresses_name_the_same_blocks),
		cmocka_unit_test(a_handle_without_memory_is_refused),
		cmocka_unit_test(addresses_are_refused_where_the_payload_is_not_mapped),
		cmocka_unit_test(lent_memory_comes_in_chunks_of_any_pitch),
		cmocka_unit_test(blocks_are_found_among_many_chunks),
		cmocka_unit_test(smallest_pools_and_magazines_work),
		cmocka_unit_test(giving_in_any_order_fills_and_empties_magazines),
		cmocka_unit_test(info_tells_the_geometry),
		cmocka_unit_test(a_block_given_twice_is_found_by_the_audit),
		cmocka_unit_test(the_audit_counts_what_callers_meet_in_rings_and_ports),
		cmocka_unit_test(an_observer_sees_but_cannot_take),
	};

	unit_env_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
