/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include <errno.h>

#include <rte_errno.h>
#include <rte_mbuf.h>

#include "eal_world.h"
#include "mempool_scene.h"
#include "stepper.h"

#define OBJECT_SIZE 64u

/* mempools by name: exact or not, shards for all or one only */
const char mempool_scene_config[] = "[default]\nmagazine=4\nshards=4\n"
				    "[exact*]\nmode=exact\n"
				    "[one*]\nshards=1\n";

unsigned int mempool_scene_room;
struct rte_mempool *mempool_scene_mp;

static const char *first; /* object */
static size_t pitch;

static const char *
name_of(struct crash_scene *s)
{
	const struct pool_start *st = s->arg;

	if (st->max_shards == 1)
		return "one";
	return st->exact ? "exact" : "conservative";
}

static void
look_at(struct rte_mempool *mp)
{
	mempool_scene_mp = mp;
	first = (const char *)STAILQ_FIRST(&mp->elt_list) + sizeof(struct rte_mempool_objhdr);
	pitch = mp->header_size + mp->elt_size + mp->trailer_size;
}

uint32_t
mempool_scene_handle(struct crash_scene *s, const void *object)
{
	size_t offset = (size_t)((const char *)object - first);

	if (offset % pitch != 0 || offset / pitch >= BLOCKS)
		crash_fault(s, CRASH_WRONG, "%p is no object", object);
	return (uint32_t)(offset / pitch);
}

void *
mempool_scene_object(uint32_t handle)
{
	return (void *)(uintptr_t)(first + handle * pitch);
}

/* What is in a pool of mbufs is as new: so no get may find another. */
static void
check_mbuf(struct crash_scene *s, const struct rte_mbuf *m)
{
	const char *reason;

	if (rte_mbuf_check(m, 0, &reason) != 0)
		crash_fault(s, CRASH_WRONG, "a free mbuf is bad: %s", reason);
	crash_check(s, rte_mbuf_refcnt_read(m) == 1);
	crash_check(s, m->next == NULL && m->nb_segs == 1);
	crash_check(s, m->pool == mempool_scene_mp && RTE_MBUF_DIRECT(m));
}

static void
create(struct crash_scene *s)
{
	struct rte_mempool *mp;

	if (mempool_scene_room != 0)
		mp = rte_pktmbuf_pool_create_by_ops(name_of(s), BLOCKS, 0, 0,
			(uint16_t)(RTE_PKTMBUF_HEADROOM + mempool_scene_room), SOCKET_ID_ANY,
			"slab");
	else
		mp = rte_mempool_create_empty(
			name_of(s), BLOCKS, OBJECT_SIZE, 0, 0, SOCKET_ID_ANY, 0);
	if (mp == NULL)
		crash_fault(s, CRASH_WRONG, "no mempool: %s", rte_strerror(rte_errno));
	if (mempool_scene_room == 0) {
		crash_ok(s, rte_mempool_set_ops_byname(mp, "slab", NULL));
		crash_check(s, rte_mempool_populate_default(mp) == BLOCKS);
	}
	look_at(mp);
	step_watch(first, BLOCKS * pitch);
}

void
mempool_scene_find(struct crash_scene *s)
{
	struct rte_mempool *mp = rte_mempool_lookup(name_of(s));

	crash_check(s, mp != NULL);
	look_at(mp);
}

/* The first call of a process joins the pool; one that puts nothing does no more than that. */
static void
attach(struct crash_scene *s)
{
	void *none = NULL;

	mempool_scene_find(s);
	rte_mempool_put_bulk(mempool_scene_mp, &none, 0);
}

static int
take(struct crash_scene *s, uint32_t *handles, unsigned int n)
{
	void *objects[BLOCKS];
	int rc = n == 1 ? rte_mempool_get(mempool_scene_mp, &objects[0])
			: rte_mempool_get_bulk(mempool_scene_mp, objects, n);

	for (unsigned int i = 0; rc == 0 && i < n; i++) {
		handles[i] = mempool_scene_handle(s, objects[i]);
		if (mempool_scene_room != 0)
			check_mbuf(s, objects[i]);
	}
	return rc;
}

static void
give(struct crash_scene *s, const uint32_t *handles, unsigned int n)
{
	void *objects[BLOCKS];

	for (unsigned int i = 0; i < n; i++) {
		objects[i] = mempool_scene_object(handles[i]);
		/* each by itself, also one that was a segment of a packet */
		if (mempool_scene_room != 0)
			crash_check(s, rte_pktmbuf_prefree_seg(objects[i]) == objects[i]);
	}
	if (n == 1)
		rte_mempool_put(mempool_scene_mp, objects[0]);
	else
		rte_mempool_put_bulk(mempool_scene_mp, objects, n);
}

/* As somebody without EAL sees it. */
static void
audit(struct crash_scene *s, struct sio_audit_report *report)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts), .observe = true};
	char name[SIO_NAME_LEN];
	struct sio_pool *pool;
	struct sio_audit *walk;

	snprintf(name, sizeof(name), "dpdk.%s.%s", eal_world_prefix(), name_of(s));
	crash_ok(s, sio_pool_attach(name, &opts, &pool));
	crash_ok(s, sio_audit_begin(pool, &walk));
	sio_audit_end(walk, report);
	sio_pool_detach(pool);
}

static void
destroy(struct crash_scene *s)
{
	(void)s;
	rte_mempool_free(mempool_scene_mp);
}

/* Another process joins: the driver recovers then, as it does now and then in the first one. */
static void
come_after(struct crash_scene *s)
{
	view.me = PARTNER;
	attach(s);
}

const struct pool_ways mempool_ways = {
	.create = create,
	.attach = attach,
	.take = take,
	.give = give,
	.audit = audit,
	.recover = eal_heir_call,
	.destroy = destroy,
};

void
mempool_scene_world(struct crash_scene *s)
{
	eal_world_copy(s);
	eal_heir_fork(s, come_after);
}
