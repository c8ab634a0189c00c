/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* What pools do: per shard, and per pool over time. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <slabio/pool.h>
#include "ctl.h"

#define POOLS_MAX 64

/* Sums over the shards of a pool. */
struct sums {
	uint64_t taken, given, exchanges, steals, failures;
};

struct watched {
	char name[SIO_NAME_LEN];
	struct sio_pool *pool; /**< NULL: gone */
	struct sums before;
	uint64_t before_ns;
};

struct watch {
	const char *only;
	struct watched pools[POOLS_MAX];
	unsigned int n, left_out;
	int error;
};

static struct sio_shard_info infos[SIO_POOL_SHARDS_MAX];

static struct sio_pool *
observe(const char *name, int *error)
{
	struct sio_pool_attach_opts opts = {.sz = sizeof(opts), .observe = true};
	struct sio_pool *pool;

	*error = sio_pool_attach(name, &opts, &pool);
	return *error == 0 ? pool : NULL;
}

int
ctl_shards(const char *name)
{
	int error;
	struct sio_pool *pool = observe(name, &error);
	uint32_t n;

	if (pool == NULL)
		return ctl_cannot("pool", name, error);
	n = sio_pool_shards(pool, infos, SIO_POOL_SHARDS_MAX);
	printf("%5s %8s %6s %14s %14s %10s %8s %8s %8s %9s\n", "shard", "member", "free", "taken",
		"given", "exchanges", "steals", "put back", "lost", "failures");
	for (uint32_t i = 0; i < n; i++) {
		char member[16] = "-";

		if (infos[i].member != SIO_MEMBER_NONE)
			snprintf(member, sizeof(member), "%u/%u", SIO_MEMBER_SLOT(infos[i].member),
				SIO_MEMBER_GENERATION(infos[i].member));
		printf("%5u %8s %6u %14llu %14llu %10llu %8llu %8llu %8llu %9llu\n", i, member,
			infos[i].free_blocks, (unsigned long long)infos[i].taken,
			(unsigned long long)infos[i].given, (unsigned long long)infos[i].exchanges,
			(unsigned long long)infos[i].steals, (unsigned long long)infos[i].put_back,
			(unsigned long long)infos[i].lost, (unsigned long long)infos[i].failures);
	}
	sio_pool_detach(pool);
	return CTL_OK;
}

static int
watch_add(const char *name, uint32_t kind, void *arg)
{
	struct watch *watch = arg;
	struct watched *watched = NULL;

	if (kind != SIO_KIND_POOL || (watch->only != NULL && strcmp(watch->only, name) != 0))
		return 0;
	for (unsigned int i = 0; i < watch->n; i++)
		if (strcmp(watch->pools[i].name, name) == 0)
			watched = &watch->pools[i];
	if (watched != NULL && watched->pool != NULL)
		return 0;
	if (watched == NULL && watch->n == POOLS_MAX) {
		watch->left_out++;
		return 0;
	}
	if (watched == NULL)
		watched = &watch->pools[watch->n++];
	memset(watched, 0, sizeof(*watched));
	snprintf(watched->name, sizeof(watched->name), "%s", name);
	watched->pool = observe(name, &watch->error);
	return 0;
}

static struct sums
sums_now(const struct sio_pool *pool)
{
	uint32_t n = sio_pool_shards(pool, infos, SIO_POOL_SHARDS_MAX);
	struct sums sums = {0};

	for (uint32_t i = 0; i < n; i++) {
		sums.taken += infos[i].taken;
		sums.given += infos[i].given;
		sums.exchanges += infos[i].exchanges;
		sums.steals += infos[i].steals;
		sums.failures += infos[i].failures;
	}
	return sums;
}

/* A pool whose name is gone, or leads to a successor, is looked at no more. */
static bool
still_there(const struct watched *watched)
{
	struct sio_member_info member;

	for (unsigned int i = 0; i < SIO_MEMBERS_MAX; i++)
		if (sio_member_get(sio_pool_segment(watched->pool), i, &member) == 0)
			return true;
	return false;
}

static void
show(struct watched *watched)
{
	struct sio_pool_info info;
	struct sums now;
	uint64_t now_ns = sio_now_ns();
	double seconds = (double)(now_ns - watched->before_ns) / 1e9;
	bool first = watched->before_ns == 0;

	if (!still_there(watched)) {
		sio_pool_detach(watched->pool);
		watched->pool = NULL;
		return;
	}
	sio_pool_info(watched->pool, &info);
	now = sums_now(watched->pool);
	printf("%-40.40s %8u %8u %8u", info.name, info.populated, info.free_blocks,
		info.populated - info.free_blocks);
	if (first)
		printf(" %12s %12s %10s %9s %9s\n", "-", "-", "-", "-", "-");
	else
		printf(" %12.0f %12.0f %10.0f %9.0f %9.0f\n",
			(double)(now.taken - watched->before.taken) / seconds,
			(double)(now.given - watched->before.given) / seconds,
			(double)(now.exchanges - watched->before.exchanges) / seconds,
			(double)(now.steals - watched->before.steals) / seconds,
			(double)(now.failures - watched->before.failures) / seconds);
	watched->before = now;
	watched->before_ns = now_ns;
}

static void
picture(struct watch *watch)
{
	static const char clear_screen[] = "\033[H\033[2J";

	if (isatty(STDOUT_FILENO))
		printf("%s", clear_screen);
	printf("%-40s %8s %8s %8s %12s %12s %10s %9s %9s\n", "pool", "blocks", "free", "in use",
		"taken/s", "given/s", "exchange/s", "steal/s", "fail/s");
	for (unsigned int i = 0; i < watch->n; i++)
		if (watch->pools[i].pool != NULL)
			show(&watch->pools[i]);
	if (watch->left_out != 0)
		printf("(%u more pools are not shown)\n", watch->left_out);
	fflush(stdout);
}

int
ctl_top(const char *name, double period, unsigned int count)
{
	static struct watch watch;
	struct timespec pause = {
		.tv_sec = (time_t)period,
		.tv_nsec = (long)((period - (double)(time_t)period) * 1e9),
	};

	watch.only = name;
	for (unsigned int i = 0; count == 0 || i < count; i++) {
		int ret;

		if (i > 0)
			nanosleep(&pause, NULL);
		watch.left_out = 0;
		ret = sio_segment_list(watch_add, &watch);
		if (ret != 0)
			return ctl_cannot("the", "runtime folder", ret);
		if (i == 0 && name != NULL && (watch.n == 0 || watch.pools[0].pool == NULL))
			return ctl_cannot("pool", name, watch.n == 0 ? -ENOENT : watch.error);
		picture(&watch);
	}
	for (unsigned int i = 0; i < watch.n; i++)
		if (watch.pools[i].pool != NULL)
			sio_pool_detach(watch.pools[i].pool);
	return CTL_OK;
}
