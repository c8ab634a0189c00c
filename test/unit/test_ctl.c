/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* slabioctl as people run it: what it prints and its exit status. SLABIOCTL names the program. */

#include "unit_env.h"
#include "unit_pool.h"
#include <slabio/rbuff.h>

static char output[16384];

/* Runs slabioctl with arguments. @return its exit status; what it printed is in output[] */
static int
ctl(const char *arguments)
{
	char command[512];
	size_t n;
	FILE *pipe;
	int status;

	snprintf(command, sizeof(command), "%s %s 2>&1", getenv("SLABIOCTL"), arguments);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	n = fread(output, 1, sizeof(output) - 1, pipe);
	output[n] = '\0';
	status = pclose(pipe);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
wrong_usage_is_told_and_ends_with_2(void **state)
{
	static const char *const wrong[] = {"", "audit", "nonsense", "list pool", "info a b",
		"--at-rest list", "--nonsense", "-d 0 top", "-d x top", "-n 0 top", "-n 1 list"};

	(void)state;
	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(ctl(wrong[i]), 2);
		assert_non_null(strstr(output, "see slabioctl --help"));
	}
	assert_int_equal(ctl("--help"), 0);
	assert_non_null(strstr(output, "usage: slabioctl"));
}

static void
what_is_not_there_is_told_and_ends_with_2(void **state)
{
	static const char *const commands[] = {"info", "audit", "ring", "rm", "shards", "top"};
	char arguments[64];

	(void)state;
	for (unsigned int i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		snprintf(arguments, sizeof(arguments), "%s nobody", commands[i]);
		assert_int_equal(ctl(arguments), 2);
		assert_non_null(strstr(output, "nobody"));
		assert_non_null(strstr(output, "slabioctl list"));
	}
}

static void
the_audit_tells_rest_use_and_faults_apart(void **state)
{
	struct sio_pool *pool = unit_pool("audited", 100, 8, 0, 0);
	uint32_t handles[10];

	(void)state;
	assert_int_equal(ctl("--at-rest audit audited"), 0);
	assert_non_null(strstr(output, "every block met once"));
	assert_int_equal(sio_pool_take(pool, handles, 10), 0);
	assert_int_equal(ctl("audit audited"), 0);
	assert_int_equal(ctl("audit -r audited"), 1);
	assert_non_null(strstr(output, "NOT AT REST"));
	assert_int_equal(sio_pool_give(pool, handles, 10), 0);
	assert_int_equal(sio_pool_give(pool, handles, 1), 0);
	assert_int_equal(ctl("audit audited"), 1);
	assert_non_null(strstr(output, "WRONG"));
	sio_pool_destroy(pool);
}

static void
the_audit_meets_blocks_in_the_rings_of_the_pool(void **state)
{
	struct sio_rbuff_opts opts = {
		.sz = sizeof(opts),
		.name = "out",
		.capacity = 64,
		.element_size = 16,
		.role = SIO_RBUFF_PRODUCER,
		.pool = "ringed",
		.pair = "back",
	};
	struct sio_pool *pool = unit_pool("ringed", 100, 8, 0, 0);
	struct sio_rbuff *out, *back;
	struct sio_desc desc = {0};
	uint32_t handles[10];

	(void)state;
	assert_int_equal(sio_rbuff_create(&opts, &out), 0);
	opts.name = "back";
	opts.pair = NULL;
	assert_int_equal(sio_rbuff_create(&opts, &back), 0);
	assert_int_equal(sio_pool_take(pool, handles, 10), 0);
	for (unsigned int i = 0; i < 10; i++) {
		desc.handle = handles[i];
		assert_int_equal(sio_rbuff_write_bulk(out, &desc, 1), 1);
	}
	/* two have come back, the others are out */
	for (unsigned int i = 0; i < 2; i++) {
		desc.handle = handles[i];
		assert_int_equal(sio_rbuff_write_bulk(back, &desc, 1), 1);
	}
	assert_int_equal(ctl("audit ringed"), 0);
	assert_non_null(strstr(output, "2 rings"));
	assert_non_null(strstr(output, "in rings                               10"));
	assert_non_null(strstr(output, "in hands (met nowhere)                  0"));
	assert_int_equal(ctl("ring out"), 0);
	assert_non_null(strstr(output, "written, read       10, 0"));
	/* one that is free as well */
	assert_int_equal(sio_pool_give(pool, handles + 9, 1), 0);
	assert_int_equal(ctl("audit ringed"), 1);
	sio_rbuff_destroy(out);
	sio_rbuff_destroy(back);
	sio_pool_destroy(pool);
}

static void
list_info_shards_and_top_show_the_pool(void **state)
{
	struct sio_pool *pool = unit_pool("shown", 100, 8, 0, 0);
	uint32_t handles[10];

	(void)state;
	assert_int_equal(sio_pool_take(pool, handles, 10), 0);
	assert_int_equal(ctl("list"), 0);
	assert_non_null(strstr(output, "pool     shown\n"));
	assert_non_null(strstr(output, "memory   shown.data\n"));
	assert_int_equal(ctl("info shown"), 0);
	assert_non_null(strstr(output, "100 of 100 with memory"));
	assert_non_null(strstr(output, "free                90"));
	assert_non_null(strstr(output, "live"));
	assert_int_equal(ctl("shards shown"), 0);
	assert_non_null(strstr(output, "             10              0"));
	assert_int_equal(ctl("top -n 2 -d 0.01 shown"), 0);
	assert_non_null(strstr(output, "     100       90       10"));
	sio_pool_destroy(pool);
	assert_int_equal(ctl("list"), 0);
	assert_null(strstr(output, "shown"));
}

static int
dies_with_blocks(void *arg)
{
	struct sio_pool_attach_opts opts = {.sz = sizeof(opts)};
	struct sio_pool *pool;
	uint32_t handles[20];

	(void)arg;
	if (sio_pool_attach("reclaimed", &opts, &pool) != 0 ||
		sio_pool_take(pool, handles, 20) != 0 || sio_pool_give(pool, handles, 11) != 0)
		return 2;
	raise(SIGKILL);
	return 3;
}

static void
reclaim_brings_back_what_the_dead_had_in_shards(void **state)
{
	struct sio_pool *pool = unit_pool("reclaimed", 100, 8, 0, 0);

	(void)state;
	assert_int_equal(unit_wait(unit_fork(dies_with_blocks, NULL)), 128 + SIGKILL);
	assert_int_equal(ctl("audit reclaimed"), 0);
	assert_non_null(strstr(output, "dead members                              1"));
	assert_int_equal(ctl("reclaim reclaimed"), 0);
	assert_non_null(strstr(output, "slots free again             1"));
	assert_non_null(strstr(output, "91 of 100"));
	assert_int_equal(ctl("reclaim reclaimed"), 0);
	assert_non_null(strstr(output, "dead members                           0"));
	assert_int_equal(ctl("reclaim nobody"), 2);
	sio_pool_destroy(pool);
}

static int
dies_with_a_pool(void *arg)
{
	struct unit_gate *gate = arg;

	unit_pool("dead", 100, 8, 0, 0);
	unit_gate_open(gate);
	sleep(50);
	return 0;
}

static void
rm_takes_only_what_nobody_lives_in(void **state)
{
	struct unit_gate gate;
	pid_t pid;

	(void)state;
	unit_gate_init(&gate);
	pid = unit_fork(dies_with_a_pool, &gate);
	assert_true(unit_gate_pass(&gate));
	assert_int_equal(ctl("rm dead"), 1);
	assert_non_null(strstr(output, "a living process uses it"));
	assert_int_equal(ctl("info dead"), 0);
	unit_kill(pid);
	assert_int_equal(ctl("info dead"), 0);
	assert_non_null(strstr(output, "dead"));
	assert_int_equal(ctl("rm dead"), 0);
	assert_int_equal(ctl("info dead"), 2);
	assert_int_equal(ctl("list"), 0);
	assert_null(strstr(output, "dead"));
	unit_gate_close(&gate);
}

static int
take_and_hang(void *arg)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts)};
	struct unit_gate *gate = arg;
	struct sio_pool *pool;
	uint32_t handles[10];

	if (sio_pool_attach("quarantined", &opts, &pool) != 0 ||
		sio_pool_take(pool, handles, 10) != 0)
		return 1;
	unit_gate_open(gate);
	pause();
	return 2;
}

static void
the_quarantine_is_shown_and_freed_when_nobody_lives(void **state)
{
	struct sio_pool *pool = unit_pool("quarantined", 100, 8, 0, 0);
	struct unit_gate gate;
	pid_t pid;

	(void)state;
	assert_int_equal(ctl("quarantine quarantined"), 0);
	assert_non_null(strstr(output, "0 blocks in quarantine"));
	unit_gate_init(&gate);
	pid = unit_fork(take_and_hang, &gate);
	assert_true(unit_gate_pass(&gate));
	unit_kill(pid);
	unit_gate_close(&gate);
	assert_int_equal(ctl("--free-quarantine audit quarantined"), 2);
	assert_int_equal(ctl("reclaim quarantined"), 0);
	assert_non_null(strstr(output, "in quarantine                          10"));
	assert_int_equal(ctl("quarantine quarantined"), 0);
	assert_non_null(strstr(output, "10 blocks in quarantine"));
	assert_non_null(strstr(output, "after the death of slot 1 generation 1"));
	assert_non_null(strstr(output, "1 living members"));
	assert_int_equal(ctl("audit quarantined"), 0);
	assert_non_null(strstr(output, "of these in quarantine               10"));
	/* this process is a member */
	assert_int_equal(ctl("reclaim --free-quarantine quarantined"), 1);
	assert_non_null(strstr(output, "nothing was freed"));
	sio_pool_detach(pool);
	assert_int_equal(ctl("reclaim --free-quarantine quarantined"), 0);
	assert_non_null(strstr(output, "freed from quarantine                  10"));
	assert_non_null(strstr(output, "100 of 100"));
	assert_int_equal(ctl("audit -r quarantined"), 0);
	assert_int_equal(ctl("rm quarantined"), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_usage_is_told_and_ends_with_2),
		cmocka_unit_test(what_is_not_there_is_told_and_ends_with_2),
		cmocka_unit_test(the_audit_tells_rest_use_and_faults_apart),
		cmocka_unit_test(the_audit_meets_blocks_in_the_rings_of_the_pool),
		cmocka_unit_test(list_info_shards_and_top_show_the_pool),
		cmocka_unit_test(reclaim_brings_back_what_the_dead_had_in_shards),
		cmocka_unit_test(rm_takes_only_what_nobody_lives_in),
		cmocka_unit_test(the_quarantine_is_shown_and_freed_when_nobody_lives),
	};

	unit_env_init();
	if (getenv("SLABIOCTL") == NULL) {
		fprintf(stderr, "SLABIOCTL does not name the program\n");
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
