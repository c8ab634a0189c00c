/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The bars of the pool while other processes are members of it: they attach without EAL, take and
 * give once, so that they have shards with blocks, and then do nothing.
 */

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <rte_eal.h>
#include <slabio/pool.h>
#include "bench.h"

#define CONFIG_ENV "SLABIO_CONFIG"
#define TAKEN	   1024u

static const char config_text[] = "[" BENCH_EXACT "*]\nmode=exact\n";
static bool exact_possible;

void
bench_members_init(void)
{
	char path[64];
	int fd;

	if (getenv(CONFIG_ENV) != NULL)
		return;
	fd = memfd_create("slabio-bench", 0);
	if (fd < 0)
		return;
	if (write(fd, config_text, strlen(config_text)) != (ssize_t)strlen(config_text)) {
		close(fd);
		return;
	}
	/* stays open: it is read when the first mempool is made */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	exact_possible = setenv(CONFIG_ENV, path, 1) == 0;
}

/* The pool that the parent created for a mempool. */
static int
attach(const char *mempool, pid_t creator, struct sio_pool **pool)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts), .no_payload = true};
	const char *dir = rte_eal_get_runtime_dir(), *prefix = strrchr(dir, '/');
	struct sio_member_info info;
	char name[2 * SIO_NAME_LEN];
	int ret;

	/* one with the pid is there only where another process had that name first */
	for (unsigned int i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), i == 0 ? "dpdk.%s.%s#%d" : "dpdk.%s.%s",
			prefix != NULL ? prefix + 1 : dir, mempool, (int)creator);
		ret = sio_pool_attach(name, &opts, pool);
		if (ret != 0)
			continue;
		if (sio_member_get(sio_pool_segment(*pool), 0, &info) == 0 && info.pid == creator)
			return 0;
		sio_pool_detach(*pool);
		ret = -ENOENT;
	}
	return ret;
}

static int
member(const char *mempool, pid_t creator, int ready, int stop)
{
	uint32_t handles[TAKEN];
	struct sio_pool *pool;
	char byte = 'r';

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (attach(mempool, creator, &pool) != 0 || sio_pool_take(pool, handles, TAKEN) != 0 ||
		sio_pool_give(pool, handles, TAKEN) != 0 || write(ready, &byte, 1) != 1)
		return 1;
	/* who waits for all of them sees the end of this when one has failed */
	close(ready);
	/* until the parent closes it */
	while (read(stop, &byte, 1) < 0 && errno == EINTR)
		;
	sio_pool_detach(pool);
	return 0;
}

int
bench_members_start(struct bench_members *m, const char *mempool, unsigned int n)
{
	const pid_t creator = getpid();
	int ready[2], stop[2];
	char byte;

	memset(m, 0, sizeof(*m));
	if (n == 0)
		return 0;
	if (n > BENCH_MEMBERS_MAX || pipe(ready) != 0)
		return -EINVAL;
	if (pipe(stop) != 0) {
		close(ready[0]);
		close(ready[1]);
		return -errno;
	}
	fflush(NULL);
	for (; m->n < n; m->n++) {
		m->pids[m->n] = fork();
		if (m->pids[m->n] < 0)
			break;
		if (m->pids[m->n] == 0) {
			close(stop[1]);
			close(ready[0]);
			_exit(member(mempool, creator, ready[1], stop[0]));
		}
	}
	m->stop = stop[1];
	close(stop[0]);
	close(ready[1]);
	for (unsigned int i = 0; i < m->n; i++)
		if (read(ready[0], &byte, 1) != 1)
			n = UINT32_MAX;
	close(ready[0]);
	if (m->n == n)
		return 0;
	bench_error("a process could not become a member of mempool %s's pool", mempool);
	if (m->n == 0)
		close(m->stop);
	bench_members_end(m);
	return -ECHILD;
}

void
bench_members_end(struct bench_members *m)
{
	if (m->n == 0)
		return;
	close(m->stop);
	for (; m->n > 0; m->n--)
		waitpid(m->pids[m->n - 1], NULL, 0);
}

static const struct {
	const char *pattern, *rival;
	double ratio;
} bars[] = {
	{"getput", "ring_mp_mc+0", 2.0},
	{"pipeline", "ring_mp_mc+0", 2.0},
	/* not in the short preset */
	{"getput", "ring_mp_mc+256", 0.9},
	{"pipeline", "ring_mt_rts+256", 0.95},
};

static int
all_bars(unsigned int members, bool exact)
{
	const unsigned int n = bench_options.preset == BENCH_SHORT ? 2 : 4;
	int ret = 0;

	/* what the design asks for, it asks for of a pool with one member */
	for (unsigned int i = 0; i < n && ret == 0; i++)
		ret = bench_mempool_members(bench_pattern_find(bars[i].pattern), bars[i].rival, 32,
			members, exact, members == 1 ? bars[i].ratio : 0);
	return ret;
}

int
bench_members(void)
{
	static const unsigned int members[] = {1, 2, 4};
	int ret = 0;

	bench_heading("the pool's bars with 1, 2 and 4 members: slab/4 has four");
	for (unsigned int i = 0; i < 3 && ret == 0; i++)
		ret = all_bars(members[i], false);
	bench_heading("the same, of an exact pool");
	if (!exact_possible)
		bench_report_skip("exact", CONFIG_ENV " is set: mempools are as it says");
	for (unsigned int i = 0; exact_possible && i < 3 && ret == 0; i++)
		ret = all_bars(members[i], true);
	return ret;
}
