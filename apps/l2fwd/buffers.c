/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The packet buffers: payload in a slabio segment that workers map, mbuf headers in EAL memory that
 * they do not.
 *
 * The segment is registered with EAL as external memory and bound to the mbufs for good (pinned
 * external buffers), so the block of an mbuf follows from its buffer address alone.
 */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_memory.h>

#include <slabio/pool.h>

#include "l2fwd.h"

#define PAGE	       4096u
#define SLAB_OPS       "slab"
#define CACHE_SIZE     256u
#define PREDECESSOR_NS (3 * NS_IN_S)
#define RETRY_US       20000

struct buffers buffers;

static uint64_t
hash_config(void)
{
	const uint64_t words[] = {
		buffers.n, buffers.stride, L2FWD_DATA_VERSION, (uint64_t)getpid(), sio_now_ns()};
	uint64_t hash = 0xcbf29ce484222325ull;

	for (unsigned int i = 0; i < RTE_DIM(words); i++)
		hash = (hash ^ words[i]) * 0x100000001b3ull;
	return hash == 0 ? 1 : hash;
}

static int
segment_create(void)
{
	char name[SIO_NAME_LEN];
	struct sio_segment_opts opts = {.sz = sizeof(opts),
		.name = name,
		.kind = L2FWD_DATA_KIND,
		.layout_version = L2FWD_DATA_VERSION,
		.config_hash = buffers.config_hash,
		.data_size = RTE_ALIGN((uint64_t)buffers.n * buffers.stride, PAGE),
		.backing = SIO_BACKING_AUTO};
	int ret;

	l2fwd_data_name(name, conf.name);
	for (uint64_t until = sio_now_ns() + PREDECESSOR_NS;;) {
		ret = sio_segment_create(&opts, &buffers.segment);
		if (ret != -EEXIST || sio_now_ns() > until)
			break;
		usleep(RETRY_US);
	}
	if (ret != 0) {
		buffers.segment = NULL;
		say("cannot create payload segment \"%s\" of %" PRIu64 " bytes: %s%s", name,
			opts.data_size, strerror(-ret),
			ret == -EEXIST
				? ": an instance of that name is running, choose another --name"
				: "");
		return ret;
	}
	buffers.base = sio_segment_data(buffers.segment);
	say("%u buffers of %u bytes in segment \"%s\" (%s)", buffers.n, buffers.stride, name,
		sio_backing_name(sio_segment_backing(buffers.segment)));
	return 0;
}

static int
extmem_register(void)
{
	size_t bytes = RTE_ALIGN((uint64_t)buffers.n * buffers.stride, PAGE);

	if (rte_extmem_register(buffers.base, bytes, NULL, 0, PAGE) != 0) {
		say("EAL does not take %zu bytes of external memory: %s", bytes,
			rte_strerror(rte_errno));
		return -rte_errno;
	}
	buffers.bytes = bytes;
	return 0;
}

static bool
ops_registered(const char *name)
{
	for (uint32_t i = 0; i < rte_mempool_ops_table.num_ops; i++) {
		if (strcmp(rte_mempool_ops_table.ops[i].name, name) == 0)
			return true;
	}
	return false;
}

struct pool_search {
	const char *mempool;
	char found[SIO_NAME_LEN];
};

/* A pool whose name ends in that of the mempool, created by this process, is the one below the
 * mempool. */
static int
pool_match(const char *name, uint32_t kind, void *arg)
{
	struct sio_pool_attach_opts opts = {
		.sz = sizeof(opts), .observe = true, .no_payload = true};
	struct pool_search *s = arg;
	struct sio_member_info creator;
	struct sio_pool *pool;

	if (kind != SIO_KIND_POOL || strstr(name, s->mempool) == NULL ||
		sio_pool_attach(name, &opts, &pool) != 0)
		return 0;
	if (sio_member_get(sio_pool_segment(pool), 0, &creator) == 0 && creator.pid == getpid())
		snprintf(s->found, sizeof(s->found), "%s", name);
	sio_pool_detach(pool);
	return s->found[0] != '\0';
}

/* Finds the metadata that audits look at. */
static void
pool_find(const char *mempool)
{
	struct pool_search s = {.mempool = mempool};

	sio_segment_list(pool_match, &s);
	memcpy(buffers.metadata, s.found, sizeof(buffers.metadata));
	if (buffers.metadata[0] == '\0')
		say("the slab pool below mempool \"%s\" is not to be found: no audit block by "
		    "block",
			mempool);
	else
		say("slab pool \"%s\"", buffers.metadata);
}

static int
pool_create(void)
{
	struct rte_pktmbuf_extmem ext = {.buf_ptr = buffers.base,
		.buf_iova = rte_eal_iova_mode() == RTE_IOVA_VA ? (rte_iova_t)(uintptr_t)buffers.base
							       : RTE_BAD_IOVA,
		.buf_len = (size_t)buffers.n * buffers.stride,
		.elt_size = (uint16_t)buffers.stride};
	unsigned int cache = CACHE_SIZE;
	char name[RTE_MEMPOOL_NAMESIZE];
	bool slab;

	/* an operator's --mbuf-pool-ops-name goes first */
	if (rte_eal_mbuf_user_pool_ops() == NULL && ops_registered(SLAB_OPS))
		rte_mbuf_set_user_mempool_ops(SLAB_OPS);
	snprintf(buffers.ops, sizeof(buffers.ops), "%s", rte_mbuf_best_mempool_ops());
	slab = strcmp(buffers.ops, SLAB_OPS) == 0;
	if (!slab)
		say("the \"" SLAB_OPS
		    "\" mempool ops are not in use: what is missing after a crash "
		    "cannot be found; load them with -d librte_mempool_slab.so");
	/* the slab pool has shards of its own, and what is in them is found again after a crash */
	if (slab || buffers.n < 4 * CACHE_SIZE)
		cache = 0;
	/* EAL has room for little of the instance's name */
	snprintf(name, sizeof(name), "l2fwd_%.14s", conf.name);
	buffers.pool = rte_pktmbuf_pool_create_extbuf(
		name, buffers.n, cache, 0, (uint16_t)buffers.stride, (int)rte_socket_id(), &ext, 1);
	if (buffers.pool == NULL) {
		say("cannot create a pool of %u mbufs with the \"%s\" ops: %s", buffers.n,
			buffers.ops, rte_strerror(rte_errno));
		return -rte_errno;
	}
	say("mbuf pool \"%s\", ops \"%s\", cache %u", name, buffers.ops, cache);
	if (slab)
		pool_find(name);
	return 0;
}

int
buffers_create(uint32_t n)
{
	int ret;

	buffers.n = n;
	buffers.stride = conf.mbuf_size;
	buffers.config_hash = hash_config();
	ret = segment_create();
	if (ret == 0 && conf.n_eal != 0)
		ret = share_payload();
	if (ret == 0)
		ret = extmem_register();
	if (ret == 0)
		ret = share_mode_begin();
	if (ret == 0)
		ret = pool_create();
	share_mode_end();
	if (ret == 0 && conf.n_eal != 0)
		ret = share_open();
	if (ret != 0)
		buffers_destroy();
	return ret;
}

int
buffers_publish(void)
{
	int ret = sio_segment_publish(buffers.segment);

	if (ret != 0)
		say("cannot publish payload segment \"%s.data\": %s", conf.name, strerror(-ret));
	return ret;
}

uint32_t
buffers_handle(const struct rte_mbuf *m)
{
	uintptr_t at = (uintptr_t)m->buf_addr - (uintptr_t)buffers.base;

	if (at >= (uintptr_t)buffers.n * buffers.stride)
		return UINT32_MAX;
	return (uint32_t)(at / buffers.stride);
}

/* Meets each block in the slab pool. @return true if all are there, once */
static bool
pool_audit(FILE *out)
{
	struct sio_pool_attach_opts opts = {
		.sz = sizeof(opts), .observe = true, .no_payload = true};
	struct sio_audit_report report;
	struct sio_audit *audit;
	struct sio_pool *pool;
	int ret;

	ret = sio_pool_attach(buffers.metadata, &opts, &pool);
	if (ret == 0) {
		ret = sio_audit_begin(pool, &audit);
		if (ret == 0)
			sio_audit_end(audit, &report);
		sio_pool_detach(pool);
	}
	if (ret != 0) {
		say("cannot audit slab pool \"%s\": %s", buffers.metadata, strerror(-ret));
		return false;
	}
	sio_audit_print(&report, out);
	return sio_audit_clean(&report) && report.outstanding == 0 && report.populated == buffers.n;
}

bool
buffers_audit(FILE *out)
{
	unsigned int avail = rte_mempool_avail_count(buffers.pool);

	fprintf(out, "pool audit (%s): %u of %u buffers are back, %u missing\n", buffers.ops, avail,
		buffers.n, buffers.n - avail);
	if (buffers.metadata[0] != '\0' && !pool_audit(out))
		return false;
	return avail == buffers.n;
}

void
buffers_destroy(void)
{
	share_close();
	/* a secondary that was killed as it started may have left a lock of EAL, see main.c */
	if (conf.n_eal == 0) {
		rte_mempool_free(buffers.pool);
		if (buffers.bytes != 0)
			rte_extmem_unregister(buffers.base, buffers.bytes);
	}
	if (buffers.segment != NULL) {
		sio_segment_unlink(buffers.segment);
		sio_segment_detach(buffers.segment);
	}
	buffers = (struct buffers){0};
}
