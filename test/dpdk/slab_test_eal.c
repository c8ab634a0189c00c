/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include "slab_test.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_log.h>

#define SKIPPED	 77
#define ARGS_MAX 24

static char prefix[64];
static FILE *captured;

bool
test_has_hugepages(void)
{
	return rte_eal_has_hugepages() != 0;
}

const char *
test_file_prefix(void)
{
	return prefix;
}

static long
free_hugepages(void)
{
	FILE *file = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "r");
	FILE *mounts = fopen("/proc/mounts", "r");
	char line[512];
	bool mounted = false;
	long n = 0;

	while (mounts != NULL && fgets(line, sizeof(line), mounts) != NULL)
		mounted = mounted || strstr(line, " hugetlbfs ") != NULL;
	if (file != NULL && fscanf(file, "%ld", &n) != 1)
		n = 0;
	if (file != NULL)
		fclose(file);
	if (mounts != NULL)
		fclose(mounts);
	return mounted ? n : 0;
}

/*
 * mode: "nohuge", without hugepages; "pa", with physical IO addresses; "secondary", of the prefix
 * in SLAB_TEST_PREFIX, on the lcores of SLAB_TEST_LCORES if any, and with another driver loaded
 * before ours, so that the ops tables differ; else a primary as it comes.
 */
void
test_eal_start(const char *mode)
{
	const bool secondary = strcmp(mode, "secondary") == 0;
	const char *plugin = getenv("SLAB_PLUGIN");
	const char *other = getenv("SLAB_OTHER_PLUGIN");
	const char *lcores = getenv("SLAB_TEST_LCORES");
	char *argv[ARGS_MAX], text[64];
	int argc = 0;

	if (plugin == NULL || access(plugin, R_OK) != 0) {
		fprintf(stderr, "SLAB_PLUGIN must name librte_mempool_slab.so\n");
		exit(2);
	}
	if (geteuid() != 0) {
		fprintf(stderr, "SKIP: EAL needs root here\n");
		exit(SKIPPED);
	}
	/* from the script that cleans up behind us, or the primary */
	if (getenv("SLAB_TEST_PREFIX") != NULL)
		snprintf(prefix, sizeof(prefix), "%s", getenv("SLAB_TEST_PREFIX"));
	else
		snprintf(prefix, sizeof(prefix), "slabtest.%d", (int)getpid());

	argv[argc++] = strdup("slab-test");
	argv[argc++] = strdup("--no-pci");
	if (strcmp(mode, "telemetry") != 0)
		argv[argc++] = strdup("--no-telemetry");
	if (secondary && lcores != NULL)
		snprintf(text, sizeof(text), "--lcores=%s", lcores);
	else
		snprintf(text, sizeof(text), "%s",
			sysconf(_SC_NPROCESSORS_ONLN) >= 2 ? "-l0-1" : "--lcores=(0,1)@0");
	argv[argc++] = strdup(text);
	argv[argc++] = strdup("--file-prefix");
	argv[argc++] = strdup(prefix);
	if (secondary) {
		argv[argc++] = strdup("--proc-type=secondary");
		if (other != NULL && access(other, R_OK) == 0) {
			argv[argc++] = strdup("-d");
			argv[argc++] = strdup(other);
		}
	} else if (strcmp(mode, "nohuge") == 0 || free_hugepages() < 200) {
		if (strcmp(mode, "pa") == 0) {
			fprintf(stderr, "SKIP: physical addresses need 200 free hugepages\n");
			exit(SKIPPED);
		}
		argv[argc++] = strdup("--no-huge");
		argv[argc++] = strdup("-m512");
	}
	if (!secondary)
		argv[argc++] =
			strdup(strcmp(mode, "pa") == 0 ? "--iova-mode=pa" : "--iova-mode=va");
	argv[argc++] = strdup("-d");
	argv[argc++] = strdup(plugin);
	argv[argc] = NULL;

	if (rte_eal_init(argc, argv) < 0) {
		fprintf(stderr, "%s: EAL does not start: %s\n",
			strcmp(mode, "pa") == 0 ? "SKIP" : "FAIL", rte_strerror(rte_errno));
		exit(strcmp(mode, "pa") == 0 ? SKIPPED : 1);
	}
}

void
test_eal_stop(void)
{
	rte_eal_cleanup();
}

struct rte_mempool *
test_pool_empty(
	const char *name, unsigned int n, unsigned int size, unsigned int cache, unsigned int flags)
{
	struct rte_mempool *mp =
		rte_mempool_create_empty(name, n, size, cache, 0, SOCKET_ID_ANY, flags);

	assert_non_null(mp);
	assert_int_equal(rte_mempool_set_ops_byname(mp, "slab", NULL), 0);
	return mp;
}

struct rte_mempool *
test_pool(
	const char *name, unsigned int n, unsigned int size, unsigned int cache, unsigned int flags)
{
	struct rte_mempool *mp = test_pool_empty(name, n, size, cache, flags);

	assert_int_equal(rte_mempool_populate_default(mp), n);
	assert_int_equal(rte_mempool_avail_count(mp), n);
	return mp;
}

static int
compare_pointers(const void *a, const void *b)
{
	const uintptr_t x = (uintptr_t) * (void *const *)a;
	const uintptr_t y = (uintptr_t) * (void *const *)b;

	return x < y ? -1 : x > y;
}

void
test_drain(struct rte_mempool *mp, unsigned int n)
{
	void **objs = calloc(n + 1, sizeof(*objs));

	assert_non_null(objs);
	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(rte_mempool_get(mp, &objs[i]), 0);
	assert_int_not_equal(rte_mempool_get(mp, &objs[n]), 0);
	assert_int_equal(rte_mempool_avail_count(mp), 0);

	qsort(objs, n, sizeof(*objs), compare_pointers);
	for (unsigned int i = 0; i < n; i++) {
		assert_ptr_equal(rte_mempool_from_obj(objs[i]), mp);
		assert_true(i == 0 || (char *)objs[i] - (char *)objs[i - 1] >= mp->elt_size);
		memset(objs[i], 0x5a, mp->elt_size);
	}
	for (unsigned int i = 0; i < n; i++)
		rte_mempool_put(mp, objs[i]);
	assert_int_equal(rte_mempool_avail_count(mp), n);
	free(objs);
}

int
test_on_worker(int (*f)(void *arg), void *arg)
{
	const unsigned int worker = rte_get_next_lcore(-1, 1, 0);

	assert_int_equal(rte_eal_remote_launch(f, arg, worker), 0);
	return rte_eal_wait_lcore(worker);
}

unsigned int
test_count_files(const char *path)
{
	DIR *dir = opendir(path);
	unsigned int n = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

void
test_log_capture(void)
{
	captured = tmpfile();
	assert_non_null(captured);
	assert_int_equal(rte_openlog_stream(captured), 0);
}

bool
test_log_had(const char *text)
{
	bool had = false;
	char line[1024];

	rte_openlog_stream(NULL);
	rewind(captured);
	while (fgets(line, sizeof(line), captured) != NULL)
		had = had || strstr(line, text) != NULL;
	fclose(captured);
	captured = NULL;
	return had;
}
