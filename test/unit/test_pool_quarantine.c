/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* What a conservative pool does about blocks that a dead member may have had. */

#include "unit_env.h"
#include "unit_pool.h"
#include "pool/pool_private.h"
#include "pool/quarantine.h"

#define N 64

struct job {
	struct unit_gate gate;
	unsigned int n;
	bool create;
};

static int
take_and_hang(void *arg)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts), .no_payload = true};
	struct job *job = arg;
	struct sio_pool *pool;
	uint32_t h[N];

	if (job->create)
		pool = unit_pool("q", N, 4, 4, 0);
	else if (sio_pool_attach("q", &opts, &pool) != 0)
		return 1;
	if (sio_pool_take(pool, h, job->n) != 0)
		return 2;
	unit_gate_open(&job->gate);
	pause();
	return 3;
}

static void
take_and_die(unsigned int n, bool create)
{
	struct job job = {.n = n, .create = create};
	pid_t pid;

	unit_gate_init(&job.gate);
	pid = unit_fork(take_and_hang, &job);
	assert_true(unit_gate_pass(&job.gate));
	unit_kill(pid);
	unit_gate_close(&job.gate);
}

static uint32_t
listed(struct sio_pool *pool)
{
	struct sio_quarantined list[N];
	uint32_t n;

	assert_int_equal(sio_pool_quarantine(pool, list, N, &n), 0);
	for (uint32_t i = 1; i < n; i++)
		assert_true(list[i].handle > list[i - 1].handle);
	return n;
}

static void
blocks_seen_free_leave_the_list(void **state)
{
	struct sio_pool *pool = unit_pool("q", N, 4, 4, 0);
	struct sio_recover_report report;
	uint32_t h[5], freed;

	(void)state;
	assert_int_equal(sio_pool_take(pool, h, 5), 0);
	take_and_die(10, false);
	assert_int_equal(sio_pool_recover(pool, &report), 0);
	/* it cannot be told whose they are: the living one's are among them */
	assert_int_equal(report.quarantined, 15);
	assert_int_equal(listed(pool), 15);
	assert_int_equal(unit_audit(pool).quarantined, 15);
	assert_int_equal(sio_pool_give(pool, h, 5), 0);
	assert_int_equal(listed(pool), 10);
	assert_int_equal(sio_pool_recover(pool, &report), 0);
	assert_int_equal(report.quarantined, 10);
	/* a block that goes in and out again is not listed again without a death */
	assert_int_equal(sio_pool_take(pool, h, 5), 0);
	assert_int_equal(sio_pool_recover(pool, &report), 0);
	assert_int_equal(report.quarantined, 10);
	/* never by who uses the pool */
	assert_int_equal(sio_pool_quarantine_free(pool, &freed), -EPERM);
	assert_int_equal(freed, 0);
	assert_int_equal(sio_pool_give(pool, h, 5), 0);
	sio_pool_destroy(pool);
}

static void
nothing_is_freed_while_another_member_lives(void **state)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts), .no_payload = true};
	struct job job = {.n = 7};
	struct sio_pool *pool;
	uint32_t freed;
	pid_t pid;

	(void)state;
	take_and_die(10, true);
	unit_gate_init(&job.gate);
	pid = unit_fork(take_and_hang, &job);
	assert_true(unit_gate_pass(&job.gate));
	assert_int_equal(sio_pool_attach("q", &opts, &pool), 0);
	assert_int_equal(listed(pool), 10);
	assert_int_equal(sio_pool_quarantine_free(pool, &freed), -EBUSY);
	assert_non_null(strstr(unit_log_last, "expected it to leave"));
	/* a stopped one lives */
	assert_int_equal(kill(pid, SIGSTOP), 0);
	assert_int_equal(sio_pool_quarantine_free(pool, &freed), -EBUSY);
	unit_kill(pid);
	unit_gate_close(&job.gate);
	/* its blocks are nobody's as well */
	assert_int_equal(sio_pool_quarantine_free(pool, &freed), 0);
	assert_int_equal(freed, 17);
	assert_int_equal(listed(pool), 0);
	unit_assert_all_free(pool, N);
	assert_int_equal(sio_pool_quarantine_free(pool, &freed), 0);
	assert_int_equal(freed, 0);
	sio_pool_destroy(pool);
}

static struct sio_pool *looked_at;
static struct sio_recover_report meanwhile;

/* Another recovery was held up here: a member takes what was free, and dies, and is recovered. */
static void
one_takes_and_dies(void)
{
	sio__quarantine_looked_hook = NULL;
	take_and_die(30, false);
	assert_int_equal(sio_pool_recover(looked_at, &meanwhile), 0);
}

static void
one_takes_and_dies_too(void)
{
	sio__quarantine_looked_hook = NULL;
	take_and_die(6, false);
	assert_int_equal(sio_pool_recover(looked_at, &meanwhile), 0);
}

static void
a_recovery_that_was_held_up_takes_no_later_mark_off(void **state)
{
	struct sio_pool *pool = unit_pool("q", N, 4, 4, 0);
	struct sio_recover_report report;

	(void)state;
	looked_at = pool;
	take_and_die(10, false);
	assert_int_equal(sio_pool_recover(pool, &report), 0);
	assert_int_equal(report.quarantined, 10);
	/* one without a death of its own to settle */
	sio__quarantine_looked_hook = one_takes_and_dies;
	assert_int_equal(sio_pool_recover(pool, &report), 0);
	assert_int_equal(meanwhile.quarantined, 40);
	assert_int_equal(listed(pool), 40);
	/* and one that has, and would mark what it saw in nobody's magazine anew */
	take_and_die(4, false);
	sio__quarantine_looked_hook = one_takes_and_dies_too;
	assert_int_equal(sio_pool_recover(pool, &report), 0);
	assert_int_equal(meanwhile.quarantined, 50);
	assert_int_equal(listed(pool), 50);
	sio_pool_destroy(pool);
}

static void
exact_pools_have_none(void **state)
{
	struct sio_pool *pool = unit_pool("q", N, 4, 4, SIO_POOL_EXACT);
	struct sio_recover_report report;

	(void)state;
	take_and_die(10, false);
	assert_int_equal(sio_pool_recover(pool, &report), 0);
	assert_int_equal(report.quarantined, 0);
	assert_int_equal(report.blocks_hands, 10);
	assert_int_equal(listed(pool), 0);
	unit_assert_all_free(pool, N);
	sio_pool_destroy(pool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_seen_free_leave_the_list),
		cmocka_unit_test(nothing_is_freed_while_another_member_lives),
		cmocka_unit_test(a_recovery_that_was_held_up_takes_no_later_mark_off),
		cmocka_unit_test(exact_pools_have_none),
	};

	unit_env_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
