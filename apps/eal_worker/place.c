/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * slabio-eal-worker: an EAL secondary. A descriptor names an mbuf, by its block in the slab pool
 * below the mbuf pool; both rings carry the blocks of that pool. So an mbuf that this process read
 * is its own, in an exact pool also by the pool's records, until it is written back.
 *
 * The mbufs' buffers are in the instance's payload segment, which has to be where it is in the
 * primary.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <slabio/pool.h>

#include "l2fwd_eal.h"
#include "worker.h"

const char worker_program[] = "slabio-eal-worker";
const char worker_synopsis[] = "EAL options --proc-type=secondary -- ";
const enum l2fwd_kind worker_kind = L2FWD_EAL;

struct place {
	struct rte_mempool *mempool;
	struct sio_pool *pool;
	void *data;
	size_t bytes;
};

static struct place place;
static bool eal_ended;

static int
data_open(struct place *p, struct session *s, uint64_t base)
{
	int ret = l2fwd_eal_map(s->data_segment, (uintptr_t)base, &p->data, &p->bytes);

	if (ret == 0)
		return 0;
	p->data = NULL;
	worker_say("the payload is expected at %#" PRIx64
		   " as in the primary, and cannot be mapped there: %s; start this worker again",
		base, strerror(-ret));
	return ret;
}

/* Becomes a member of the pool, by the name that the mempool driver has in this process too. */
static int
pool_open(struct place *p, const char *name)
{
	const struct sio_pool_attach_opts opts = {
		.sz = sizeof(opts), .no_payload = true, .no_recover = true};
	struct sio_pool_info info;
	int ret = sio_pool_attach(name, &opts, &p->pool);

	if (ret != 0) {
		p->pool = NULL;
		worker_say("cannot attach to slab pool \"%s\": %s", name, strerror(-ret));
		return ret;
	}
	sio_pool_info(p->pool, &info);
	if (info.n_blocks != p->mempool->size || info.block_size != p->mempool->elt_size) {
		worker_say("slab pool \"%s\" has %u blocks of %u bytes, %u of %u expected", name,
			info.n_blocks, info.block_size, p->mempool->size, p->mempool->elt_size);
		return -EPROTO;
	}
	/* of a pool that is not exact nothing comes back from hands */
	if (info.flags & SIO_POOL_RENEW)
		sio_pool_set_renew(p->pool, l2fwd_eal_renew, p->mempool);
	return 0;
}

int
place_open(struct session *s)
{
	char mempool[sizeof(s->ctl->mempool)], pool[SIO_NAME_LEN];
	uint64_t base = s->ctl->base;
	int ret;

	/* copies: the control segment is writable by others */
	snprintf(mempool, sizeof(mempool), "%.*s", (int)sizeof(mempool) - 1, s->ctl->mempool);
	snprintf(pool, sizeof(pool), "%.*s", (int)sizeof(pool) - 1, s->ctl->pool);
	s->place = &place;
	place.mempool = rte_mempool_lookup(mempool);
	if (place.mempool == NULL) {
		worker_say("no mempool \"%s\" in this EAL: expected the --file-prefix of the "
			   "slabio-l2fwd to work for",
			mempool);
		return -ENOENT;
	}
	ret = data_open(&place, s, base);
	return ret == 0 ? pool_open(&place, pool) : ret;
}

void
place_close(struct session *s)
{
	if (s->place == NULL)
		return;
	if (place.pool != NULL)
		sio_pool_detach(place.pool);
	if (place.data != NULL)
		l2fwd_eal_unmap(place.data, place.bytes);
	place = (struct place){0};
	s->place = NULL;
}

static void
eal_end(void)
{
	if (eal_ended)
		return;
	eal_ended = true;
	/* EAL would complain of external memory that this process had no need to attach */
	rte_log_set_level(RTE_LOGTYPE_EAL, RTE_LOG_CRIT);
	rte_eal_cleanup();
}

/*
 * Beside EAL's locks on its files no new primary starts. A dead primary may have had locks in EAL's
 * memory: then only the kernel can clean up.
 */
bool
place_end(const struct session *s)
{
	if (!session_owner_lives(s)) {
		eal_ended = true;
		return false;
	}
	eal_end();
	return true;
}

int
place_ring(struct session *s, const char *name, enum sio_rbuff_role role, struct sio_rbuff **ring)
{
	/* relaxed: published by the release of ready */
	atomic_store_explicit(&s->ctl->slots[s->slot].pool_member,
		sio_segment_self(sio_pool_segment(s->place->pool)), memory_order_relaxed);
	return sio_rbuff_attach_blocks(name, role, s->place->pool, ring);
}

/* The mbuf is this process's: a look at it is not at somebody else's memory. */
bool
place_sound(const struct session *s, const struct sio_desc *d)
{
	const struct rte_mbuf *m = sio_pool_addr(s->place->pool, d->handle);

	return m != NULL && m->pool == s->place->mempool && rte_mbuf_refcnt_read(m) == 1 &&
	       d->length != 0 && m->data_off == d->offset && m->data_len == d->length &&
	       (uint32_t)d->offset + d->length <= m->buf_len;
}

uint8_t *
place_data(const struct session *s, const struct sio_desc *d)
{
	return rte_pktmbuf_mtod(
		(struct rte_mbuf *)sio_pool_addr(s->place->pool, d->handle), uint8_t *);
}

int
main(int argc, char **argv)
{
	int own = l2fwd_eal_own_args(argc, argv), ret;

	/* what these options are can be told without an EAL */
	if (own + 1 < argc && strcmp(argv[own + 1], "--help") == 0)
		return worker_run(argc - own, argv + own);
	ret = rte_eal_init(argc, argv);
	if (ret < 0) {
		worker_say("EAL cannot start: %s; expected a running slabio-l2fwd with the same "
			   "--file-prefix",
			rte_strerror(rte_errno));
		return WORKER_EXIT_START;
	}
	argv[ret] = argv[0];
	argc -= ret;
	argv += ret;
	if (rte_eal_process_type() != RTE_PROC_SECONDARY) {
		worker_say("expected --proc-type=secondary");
		ret = WORKER_EXIT_USAGE;
	} else {
		ret = worker_run(argc, argv);
	}
	eal_end();
	return ret;
}
