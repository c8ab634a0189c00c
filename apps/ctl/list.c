/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* What is there: listing, facts about pools and rings, removing what nobody lives in. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <slabio/pool.h>
#include <slabio/rbuff.h>
#include "ctl.h"

static const char *
state_name(enum sio_member_state state)
{
	switch (state) {
	case SIO_MEMBER_FREE:
		return "free";
	case SIO_MEMBER_LIVE:
		return "live";
	case SIO_MEMBER_DEAD:
		return "dead";
	case SIO_MEMBER_JOINING:
		return "joining";
	}
	return "?";
}

/* Kinds are four letters; those of this library have words. */
static const char *
kind_name(uint32_t kind, char letters[5])
{
	if (kind == SIO_KIND_POOL)
		return "pool";
	if (kind == SIO_KIND_RING)
		return "ring";
	if (kind == SIO_KIND_RAW)
		return "memory";
	memcpy(letters, &kind, 4);
	letters[4] = '\0';
	for (unsigned int i = 0; i < 4; i++)
		if (letters[i] < ' ' || letters[i] > '~')
			letters[i] = '?';
	return letters;
}

static int
list_one(const char *name, uint32_t kind, void *arg)
{
	unsigned int *n = arg;
	char letters[5];

	printf("%-8s %s\n", kind_name(kind, letters), name);
	(*n)++;
	return 0;
}

int
ctl_list(void)
{
	unsigned int n = 0;
	int ret = sio_segment_list(list_one, &n);

	if (ret != 0)
		return ctl_cannot("the", "runtime folder", ret);
	if (n == 0)
		printf("nothing is shared in the runtime folder\n");
	return CTL_OK;
}

static void
print_members(struct sio_segment *seg)
{
	struct sio_member_info info;

	printf("  members:\n");
	for (unsigned int i = 0; i < SIO_MEMBERS_MAX; i++) {
		if (sio_member_get(seg, i, &info) != 0)
			continue;
		printf("    slot %-2u generation %-5u %-8s pid %-8d %s\n", i,
			SIO_MEMBER_GENERATION(info.member), state_name(info.state), info.pid,
			info.command);
	}
}

int
ctl_cannot(const char *what, const char *name, int error)
{
	fprintf(stderr, "slabioctl: %s %s: %s%s\n", what, name, strerror(-error),
		error == -ENOENT ? "; slabioctl list shows what is there" : "");
	return CTL_ERROR;
}

int
ctl_info(const char *name)
{
	struct sio_pool_attach_opts opts = {.sz = sizeof(opts), .observe = true};
	struct sio_pool_info info;
	struct sio_pool *pool;
	int ret = sio_pool_attach(name, &opts, &pool);

	if (ret != 0)
		return ctl_cannot("pool", name, ret);
	sio_pool_info(pool, &info);
	printf("pool %s\n", info.name);
	printf("  kind                %s, payload %s\n",
		info.flags & SIO_POOL_EXACT ? "exact" : "conservative",
		info.payload[0] != '\0' ? info.payload : "lent");
	printf("  blocks              %u of %u with memory, %u bytes each\n", info.populated,
		info.n_blocks, info.block_size);
	printf("  free                %u\n", info.free_blocks);
	if (info.contig_size != 0) {
		printf("  contiguous runs     %u of %u blocks each, %u ready, %u blocks free\n",
			info.contig_runs, info.contig_size, info.contig_ready, info.contig_free);
		printf("                      %llu blocks taken, %llu given back, %llu given "
		       "wrongly\n",
			(unsigned long long)info.contig_taken,
			(unsigned long long)info.contig_given,
			(unsigned long long)info.contig_wrong);
	}
	printf("  magazines           %u of %u handles\n", info.n_magazines, info.magazine_size);
	printf("  shards              %u in use of %u\n", info.shards_used, info.max_shards);
	print_members(sio_pool_segment(pool));
	sio_pool_detach(pool);
	return CTL_OK;
}

int
ctl_ring(const char *name)
{
	struct sio_rbuff_info info;
	struct sio_rbuff *ring;
	int ret = sio_rbuff_attach(name, SIO_RBUFF_OBSERVER, &ring);

	if (ret != 0)
		return ctl_cannot("ring", name, ret);
	sio_rbuff_info(ring, &info);
	printf("ring %s\n", info.name);
	printf("  capacity            %u elements of %u bytes\n", info.capacity, info.element_size);
	printf("  state               %s%s%s%s\n", info.state == 0 ? "read-write" : "",
		info.state & SIO_RBUFF_RDONLY ? "read-only " : "",
		info.state & SIO_RBUFF_DOWN ? "down " : "",
		info.state & SIO_RBUFF_GONE ? "peer-gone" : "");
	printf("  written, read       %llu, %llu\n", (unsigned long long)sio_rbuff_published(ring),
		(unsigned long long)sio_rbuff_consumed(ring));
	if (info.number != 0)
		printf("  holder words        number %u of the exact pool %s\n", info.number,
			info.pool);
	printf("  pool, pair          %s, %s\n", info.pool[0] != '\0' ? info.pool : "-",
		info.pair[0] != '\0' ? info.pair : "-");
	print_members(sio_rbuff_segment(ring));
	sio_rbuff_detach(ring);
	return CTL_OK;
}

int
ctl_remove(const char *name)
{
	struct sio_pool_attach_opts opts = {.sz = sizeof(opts), .observe = true};
	struct sio_pool_info info = {.payload = ""};
	struct sio_pool *pool;
	int ret;

	/*
	 * a pool that cannot be read any more is removed all the same, without what it would name
	 */
	if (sio_pool_attach(name, &opts, &pool) == 0) {
		sio_pool_info(pool, &info);
		sio_pool_detach(pool);
	}
	ret = sio_segment_remove(name);
	if (ret == -EBUSY) {
		fprintf(stderr,
			"slabioctl: %s: a living process uses it; slabioctl info shows which\n",
			name);
		return CTL_WRONG;
	}
	if (ret == 0 && info.payload[0] != '\0') {
		ret = sio_segment_remove(info.payload);
		if (ret == -ENOENT)
			ret = 0;
	}
	return ret == 0 ? CTL_OK : ctl_cannot("segment", name, ret);
}
