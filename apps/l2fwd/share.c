/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * What EAL workers need of the buffers: the payload at an address that secondaries can have it at,
 * a slab pool that is exact unless told otherwise, and this process's place in it, in whose name
 * the mempool driver takes and gives and this application writes and reads its rings.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_eal.h>

#include <slabio/pool.h>

#include "l2fwd.h"
#include "l2fwd_eal.h"

#define CONFIG_ENV "SLABIO_CONFIG"

static int mode_fd = -1;

int
share_check_eal(void)
{
	char path[256];

	if (conf.n_eal == 0)
		return 0;
	snprintf(path, sizeof(path), "%s/config", rte_eal_get_runtime_dir());
	if (rte_eal_has_hugepages() && access(path, F_OK) == 0)
		return 0;
	say("--eal-workers: no other process could join this EAL: expected hugepages, and none of "
	    "--no-huge, --in-memory and --no-shconf");
	return -EINVAL;
}

int
share_payload(void)
{
	void *data = NULL;
	int ret = l2fwd_eal_map(buffers.segment, L2FWD_EAL_BASE, &data, &buffers.mapped);

	if (ret != 0)
		ret = l2fwd_eal_map(buffers.segment, 0, &data, &buffers.mapped);
	if (ret != 0) {
		buffers.mapped = 0;
		say("cannot map the payload once more for EAL workers: %s", strerror(-ret));
		return ret;
	}
	buffers.base = data;
	return 0;
}

/* An options file for the mempool driver, as it reads one at the first mempool. */
int
share_mode_begin(void)
{
	const char *given = getenv(CONFIG_ENV);
	char path[32];

	if (conf.n_eal == 0 || conf.pool_mode == POOL_MODE_CONSERVATIVE ||
		(given != NULL && given[0] != '\0'))
		return 0;
	mode_fd = memfd_create("slabio-l2fwd.cfg", MFD_CLOEXEC);
	if (mode_fd < 0 || dprintf(mode_fd, "[default]\nmode=exact\n") < 0) {
		say("cannot write the mempool's options to memory: %s", strerror(errno));
		share_mode_end();
		return -ENOMEM;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", mode_fd);
	return setenv(CONFIG_ENV, path, 1) == 0 ? 0 : -ENOMEM;
}

void
share_mode_end(void)
{
	if (mode_fd < 0)
		return;
	unsetenv(CONFIG_ENV);
	close(mode_fd);
	mode_fd = -1;
}

static int
check_mode(void)
{
	static const char *const names[] = {"conservative", "exact"};
	bool wanted = conf.pool_mode == POOL_MODE_EXACT;

	say("EAL workers: the pool is %s: what a killed one has in its hands %s",
		names[buffers.exact], buffers.exact ? "comes back" : "stays in quarantine");
	if (conf.pool_mode == POOL_MODE_ANY || wanted == buffers.exact)
		return 0;
	say("--pool-mode %s: the pool is %s by " CONFIG_ENV "=%s: expected mode=%s in its section "
	    "[%s]",
		names[wanted], names[buffers.exact], getenv(CONFIG_ENV), names[wanted],
		buffers.pool->name);
	return -EINVAL;
}

int
share_open(void)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts), .no_payload = true};
	struct sio_pool_info info;
	int ret;

	if (buffers.metadata[0] == '\0') {
		say("--eal-workers expects the \"slab\" mempool ops, found \"%s\": load them with "
		    "-d librte_mempool_slab.so",
			buffers.ops);
		return -EINVAL;
	}
	ret = sio_pool_attach(buffers.metadata, &opts, &buffers.slab);
	if (ret != 0) {
		buffers.slab = NULL;
		say("cannot attach to slab pool \"%s\": %s", buffers.metadata, strerror(-ret));
		return ret;
	}
	sio_pool_info(buffers.slab, &info);
	buffers.exact = (info.flags & SIO_POOL_EXACT) != 0;
	if (info.flags & SIO_POOL_RENEW)
		sio_pool_set_renew(buffers.slab, l2fwd_eal_renew, buffers.pool);
	return check_mode();
}

void
share_close(void)
{
	if (buffers.slab != NULL) {
		/* rings that a killed worker had not left yet are closed by this */
		sio_pool_recover(buffers.slab, NULL);
		/* the mempool on it is not freed, so that nobody else removes its name */
		sio_pool_destroy(buffers.slab);
		buffers.slab = NULL;
	}
}
