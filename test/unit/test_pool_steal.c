/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * A thief's steps one by one, beside an owner that works in between: the test writes the thief's
 * words itself, so that each order of the two is met for certain.
 */

#include "unit_env.h"
#include "pool/pool_private.h"
#include "unit_pool.h"

enum { N = 16, M = 4 };

/* The magazine that this thread has loaded, with two blocks in it. */
static struct sio_magazine *
loaded_with_two(struct sio_pool *pool, uint32_t handles[2])
{
	struct sio_magazine *mag;

	assert_int_equal(sio_pool_take(pool, handles, 2), 0);
	mag = sio_local_find(pool)->loaded.mag;
	assert_non_null(mag);
	assert_int_equal(sio_mag_count_now(mag), 2);
	assert_int_equal(sio_mag_state(atomic_load(&mag->word)), SIO_MAG_SHARD);
	return mag;
}

/* What swap_in() of another member's thread writes. */
static uint64_t
thief_word(uint64_t word)
{
	return sio_mag_next(
		word, sio_mag_owner(SIO_MAG_HAND, sio_mag_shard(word), SIO_MEMBER_NAME(1, 1)), 0);
}

static uint32_t
not_in_depot(struct sio_pool *pool)
{
	uint32_t n = 0;

	for (uint32_t m = 0; m < pool->n_magazines; m++)
		n += sio_mag_state(atomic_load(&sio_magazine_at(pool, m)->word)) != SIO_MAG_DEPOT;
	return n;
}

static void
an_owner_that_meets_a_thief_lets_go_for_good(void **state)
{
	struct sio_pool *pool = unit_pool("steps", N, M, 4, 0);
	uint32_t handles[4];
	struct sio_magazine *mag = loaded_with_two(pool, handles);
	uint64_t mine = atomic_load(&mag->word), theirs = thief_word(mine), word = theirs;

	(void)state;
	atomic_store(&mag->word, theirs);
	/* the owner takes elsewhere */
	assert_int_equal(sio_pool_take(pool, handles + 2, 2), 0);
	assert_ptr_not_equal(sio_local_find(pool)->loaded.mag, mag);
	assert_int_equal(sio_mag_count_now(mag), 2);
	/* and cannot be given back what it remembers no more */
	assert_false(atomic_compare_exchange_strong(&mag->word, &word, mine));
	assert_true(word == (theirs | SIO_MAG_LET_GO));
	sio_pool_thread_end(pool);
	assert_int_equal(not_in_depot(pool), 1);
	sio_pool_destroy(pool);
}

static void
what_is_put_back_before_the_owner_looked_is_its_own(void **state)
{
	struct sio_pool *pool = unit_pool("steps", N, M, 4, 0);
	uint32_t handles[4];
	struct sio_magazine *mag = loaded_with_two(pool, handles);
	uint64_t mine = atomic_load(&mag->word);

	(void)state;
	atomic_store(&mag->word, thief_word(mine));
	atomic_store(&mag->word, mine);
	assert_int_equal(sio_pool_take(pool, handles + 2, 2), 0);
	assert_ptr_equal(sio_local_find(pool)->loaded.mag, mag);
	assert_int_equal(sio_mag_count_now(mag), 0);
	assert_int_equal(sio_pool_give(pool, handles, 4), 0);
	sio_pool_thread_end(pool);
	assert_int_equal(not_in_depot(pool), 0);
	assert_int_equal(sio_pool_free_count(pool), N);
	sio_pool_destroy(pool);
}

static void
an_owner_marks_no_word_of_a_later_operation(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		struct sio_pool *pool = unit_pool("steps", N, M, 4, 0);
		uint32_t handles[4];
		struct sio_magazine *mag = loaded_with_two(pool, handles);
		uint64_t word = thief_word(atomic_load(&mag->word));

		/* stolen, and then: in the next thief's hand; of another shard; in the depot */
		if (i == 0)
			word = thief_word(sio_mag_next(
				word, sio_mag_owner(SIO_MAG_SHARD, sio_mag_shard(word), 65), 0));
		else if (i == 1)
			word = sio_mag_next(word, sio_mag_owner(SIO_MAG_SHARD, 2, 65), 0);
		else
			word = sio_mag_next(word, sio_mag_owner(SIO_MAG_DEPOT, 0, 65), 0);
		atomic_store(&mag->word, word);
		assert_int_equal(sio_pool_take(pool, handles + 2, 2), 0);
		assert_true(atomic_load(&mag->word) == word);
		sio_pool_thread_end(pool);
		assert_true(atomic_load(&mag->word) == word);
		sio_pool_destroy(pool);
	}
}

static void
a_thread_that_ends_lets_go_of_what_a_thief_has(void **state)
{
	struct sio_pool *pool = unit_pool("steps", N, M, 4, 0);
	uint32_t handles[2];
	struct sio_magazine *mag = loaded_with_two(pool, handles);
	uint64_t theirs = thief_word(atomic_load(&mag->word));

	(void)state;
	atomic_store(&mag->word, theirs);
	sio_pool_thread_end(pool);
	assert_true(atomic_load(&mag->word) == (theirs | SIO_MAG_LET_GO));
	sio_pool_destroy(pool);
}

static void
a_count_that_cannot_be_is_not_believed(void **state)
{
	struct sio_pool *pool = unit_pool("steps", N, M, 4, 0);
	uint32_t handles[N];
	unsigned int n = 0;

	(void)state;
	/* of all magazines in the depot with blocks in them, one says too much */
	atomic_store(&sio_magazine_at(pool, 0)->count, 1000);
	while (sio_pool_take_one(pool, &handles[n]) == 0)
		n++;
	assert_int_equal(n, N - M);
	assert_int_equal(sio_pool_give(pool, handles, n), 0);
	sio_pool_destroy(pool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_owner_that_meets_a_thief_lets_go_for_good),
		cmocka_unit_test(what_is_put_back_before_the_owner_looked_is_its_own),
		cmocka_unit_test(an_owner_marks_no_word_of_a_later_operation),
		cmocka_unit_test(a_thread_that_ends_lets_go_of_what_a_thief_has),
		cmocka_unit_test(a_count_that_cannot_be_is_not_believed),
	};

	unit_env_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
