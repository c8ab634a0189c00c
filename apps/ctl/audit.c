/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The audit of a pool from another process: magazines by the library, then the rings that carry
 * blocks of this pool, found by what their segments say.
 *
 * A ring with a pair is the way out to a process that returns every element, in order, on the other
 * one. So what lies between what the back ring has published and what the out ring has published is
 * out, queued or in that process's hands. A ring without a pair holds what is written and not read.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <slabio/pool.h>
#include <slabio/rbuff.h>
#include "ctl.h"

/* Rings of one pool that are looked at; more are told, not dropped silently. */
#define RINGS_MAX 1024

struct ring {
	struct sio_rbuff *rbuff;
	struct sio_rbuff_info info;
	uint64_t from, to;
};

struct rings {
	const char *pool;
	struct ring ring[RINGS_MAX];
	unsigned int n, left_out, numbered;
};

static int
ring_add(const char *name, uint32_t kind, void *arg)
{
	struct rings *rings = arg;
	struct ring *ring = &rings->ring[rings->n];

	if (kind != SIO_KIND_RING)
		return 0;
	if (rings->n == RINGS_MAX) {
		rings->left_out++;
		return 0;
	}
	/*
	 * it may vanish between the listing and now, or be of another version: then it is not met
	 */
	if (sio_rbuff_attach(name, SIO_RBUFF_OBSERVER, &ring->rbuff) != 0)
		return 0;
	sio_rbuff_info(ring->rbuff, &ring->info);
	/* rings that carry an exact pool's blocks are met by the audit itself */
	rings->numbered += ring->info.number != 0 && strcmp(ring->info.pool, rings->pool) == 0;
	if (ring->info.number != 0 || strcmp(ring->info.pool, rings->pool) != 0) {
		sio_rbuff_detach(ring->rbuff);
		return 0;
	}
	rings->n++;
	return 0;
}

static const struct ring *
pair_of(const struct rings *rings, const struct ring *ring)
{
	for (unsigned int i = 0; i < rings->n; i++)
		if (ring->info.pair[0] != '\0' &&
			strcmp(rings->ring[i].info.name, ring->info.pair) == 0)
			return &rings->ring[i];
	return NULL;
}

static void
look_at_positions(const struct rings *rings, const struct ring *ring, uint64_t *from, uint64_t *to)
{
	const struct ring *pair = pair_of(rings, ring);

	*from = pair != NULL ? sio_rbuff_published(pair->rbuff) : sio_rbuff_consumed(ring->rbuff);
	*to = sio_rbuff_published(ring->rbuff);
}

/* @return false if an element could not be read any more */
static bool
meet_ring(struct sio_audit *audit, const struct ring *ring)
{
	uint32_t element[4];

	if (ring->to - ring->from > ring->info.capacity)
		return false;
	for (uint64_t p = ring->from; p != ring->to; p++) {
		if (sio_rbuff_peek(ring->rbuff, p, element) != 0)
			return false;
		sio_audit_meet(audit, element[0], SIO_PLACE_RING);
	}
	return true;
}

static void
meet_rings(struct sio_audit *audit, struct rings *rings)
{
	bool moved = false;
	uint64_t from, to;

	for (unsigned int i = 0; i < rings->n; i++) {
		struct ring *ring = &rings->ring[i];

		look_at_positions(rings, ring, &ring->from, &ring->to);
		moved |= !meet_ring(audit, ring);
	}
	for (unsigned int i = 0; i < rings->n; i++) {
		look_at_positions(rings, &rings->ring[i], &from, &to);
		moved |= from != rings->ring[i].from || to != rings->ring[i].to;
	}
	if (moved)
		sio_audit_moved(audit);
}

static int
verdict(const struct sio_audit_report *report, bool at_rest)
{
	if (report->twice != 0 || report->strange != 0 || report->holder_wrong != 0) {
		printf("verdict: WRONG: memory was overwritten, or a block was given twice\n");
		return CTL_WRONG;
	}
	if (at_rest && (report->outstanding != 0 || report->met[SIO_PLACE_HELD] != 0 ||
			       report->met[SIO_PLACE_RING] != 0 || report->unsettled != 0)) {
		printf("verdict: NOT AT REST: blocks are in use\n");
		return CTL_WRONG;
	}
	printf("verdict: %s\n", report->unsettled != 0
					? "no fault seen; some moved while they were looked at"
					: "every block met once or in hands");
	return CTL_OK;
}

int
ctl_audit(const char *name, bool at_rest)
{
	struct sio_pool_attach_opts opts = {.sz = sizeof(opts), .observe = true};
	struct rings *rings = calloc(1, sizeof(*rings));
	struct sio_audit_report report;
	struct sio_audit *audit;
	struct sio_pool *pool;
	int ret;

	if (rings == NULL)
		return ctl_cannot("pool", name, -ENOMEM);
	ret = sio_pool_attach(name, &opts, &pool);
	if (ret != 0) {
		free(rings);
		return ctl_cannot("pool", name, ret);
	}
	rings->pool = name;
	ret = sio_segment_list(ring_add, rings);
	if (ret == 0)
		ret = sio_audit_begin(pool, &audit);
	if (ret == 0) {
		meet_rings(audit, rings);
		sio_audit_end(audit, &report);
		printf("pool %s, %u rings%s\n", name, rings->n + rings->numbered,
			rings->left_out != 0 ? " (more were left out)" : "");
		sio_audit_print(&report, stdout);
		ret = verdict(&report, at_rest);
	} else {
		ret = ctl_cannot("pool", name, ret);
	}
	for (unsigned int i = 0; i < rings->n; i++)
		sio_rbuff_detach(rings->ring[i].rbuff);
	free(rings);
	sio_pool_detach(pool);
	return ret;
}
