/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SLAB_TEST_H
#define SLAB_TEST_H

/* What the tests of the mempool driver share: an EAL, mempools on slab, and the driver's log. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>
#include <cmocka.h>

#include <rte_mempool.h>

/* The slot of the ops table that the driver promises to be the same in every process. */
#define TEST_OPS_SLOT (RTE_MEMPOOL_MAX_OPS_IDX - 1)

/* Starts EAL with the plugin of SLAB_PLUGIN; exits 77 with a reason if that cannot be here. */
void test_eal_start(const char *mode);
void test_eal_stop(void);

/* True if memory is on hugepages, which is what secondaries need. */
bool test_has_hugepages(void);
const char *test_file_prefix(void);

/* A mempool on slab, not populated. Fails the test if there is none. */
struct rte_mempool *test_pool_empty(const char *name, unsigned int n, unsigned int size,
	unsigned int cache, unsigned int flags);

/* The same, populated the default way. */
struct rte_mempool *test_pool(const char *name, unsigned int n, unsigned int size,
	unsigned int cache, unsigned int flags);

/* Takes all objects one by one, checks that there are n different ones, gives them back. */
void test_drain(struct rte_mempool *mp, unsigned int n);

/* Runs f on the worker lcore and returns its result. */
int test_on_worker(int (*f)(void *arg), void *arg);

/* Entries of a folder. */
unsigned int test_count_files(const char *path);

/* From here on the log goes to a file ... */
void test_log_capture(void);
/* ... until here; returns whether text was in it. */
bool test_log_had(const char *text);

/* ---- test_mempool_mp.c: secondary processes ---- */

struct test_child {
	pid_t pid;
	int to;	  /* its standard input */
	int from; /* a pipe it writes a byte to when it is ready */
};

/* What a secondary process does. Returns its exit status. */
int test_secondary_main(const char *what, const char *pool);
#define EXPECT(condition)                                                                          \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "secondary: line %d: not so: %s\n", __LINE__, #condition); \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)
void test_say_ready(void);
void test_await_go(void);

/* The primary's side. Lcores of secondaries: those of SLAB_TEST_LCORES, else as its own. */
struct test_child test_secondary_start(const char *what, const char *pool);
void test_secondary_ready(const struct test_child *child);
int test_secondary_end(struct test_child *child);
void test_secondary_run(const char *what, const char *pool);
/* Members of the mempool's pool, as somebody without EAL sees them. */
unsigned int test_members(const char *pool);
/* The primary's watch frees a dead member's slot last of all, some time after the death. */
void test_await_recovery(const char *pool);
extern const struct CMUnitTest test_mp_tests[];
extern const size_t test_mp_tests_n;

/* test_mempool_cache.c */
int test_secondary_cache(const char *what, struct rte_mempool *mp);
int test_secondary_create_torn(const char *name);
extern const struct CMUnitTest test_cache_tests[];
extern const size_t test_cache_tests_n;

/* test_mempool_telemetry.c */
extern const struct CMUnitTest test_telemetry_tests[];
extern const size_t test_telemetry_tests_n;

/* test_mempool_options.c */
extern const struct CMUnitTest test_options_tests[], test_nohuge_tests[], test_refused_tests[];
extern const size_t test_options_tests_n, test_nohuge_tests_n, test_refused_tests_n;

/* test_mempool_contig.c */
extern const struct CMUnitTest test_contig_tests[];
extern const size_t test_contig_tests_n;

#endif /* SLAB_TEST_H */
