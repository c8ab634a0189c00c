/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Preloaded into an unmodified DPDK application, puts its mempools on the "slab" ops.
 *
 * Only mbuf pools obey --mbuf-pool-ops-name; rte_mempool_create() always asks for a ring.
 * librte_mempool reaches rte_mempool_set_ops_byname() through its PLT even from inside, so that a
 * definition in a preloaded library comes first. The stock software handlers are replaced;
 * hardware ones and unknown names are left alone, so that a test that expects an error still gets
 * it.
 *
 * At exit it states how many requests it redirected: a test must check that, or it may have tested
 * the ring.
 */

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct rte_mempool;

typedef int (*set_ops_fn)(struct rte_mempool *mp, const char *name, void *pool_config);

int rte_mempool_set_ops_byname(struct rte_mempool *mp, const char *name, void *pool_config);

static atomic_uint redirected;
static atomic_uint failed;
static pid_t owner;

static int
is_software_handler(const char *name)
{
	return strncmp(name, "ring_", strlen("ring_")) == 0 || strcmp(name, "stack") == 0 ||
	       strcmp(name, "lf_stack") == 0;
}

int
rte_mempool_set_ops_byname(struct rte_mempool *mp, const char *name, void *pool_config)
{
	static _Atomic(set_ops_fn) next;
	set_ops_fn fn = atomic_load_explicit(&next, memory_order_relaxed);
	int ret;

	if (fn == NULL) {
		fn = (set_ops_fn)dlsym(RTLD_NEXT, "rte_mempool_set_ops_byname");
		if (fn == NULL) {
			fprintf(stderr, "preload_slab: no rte_mempool_set_ops_byname() to call\n");
			_exit(1);
		}
		atomic_store_explicit(&next, fn, memory_order_relaxed);
	}
	if (!is_software_handler(name))
		return fn(mp, name, pool_config);
	ret = fn(mp, "slab", pool_config);
	if (ret == 0)
		atomic_fetch_add(&redirected, 1);
	else
		atomic_fetch_add(&failed, 1);
	return ret;
}

__attribute__((constructor)) static void
preload_start(void)
{
	owner = getpid();
}

__attribute__((destructor)) static void
preload_report(void)
{
	if (getpid() != owner)
		return;
	fprintf(stderr, "\npreload_slab: %u requests redirected to slab, %u of them refused\n",
		atomic_load(&redirected) + atomic_load(&failed), atomic_load(&failed));
}
