/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* Recovery by an operator, where no process of the application runs it. */

#include <stdio.h>
#include <slabio/pool.h>
#include "ctl.h"

int
ctl_reclaim(const char *name)
{
	struct sio_pool_attach_opts opts = {
		.sz = sizeof(opts), .no_payload = true, .no_recover = true};
	struct sio_recover_report report;
	struct sio_pool_info info;
	struct sio_pool *pool;
	int ret = sio_pool_attach(name, &opts, &pool);

	if (ret != 0)
		return ctl_cannot("pool", name, ret);
	ret = sio_pool_recover(pool, &report);
	sio_pool_info(pool, &info);
	sio_pool_detach(pool);
	if (ret != 0)
		return ctl_cannot("pool", name, ret);
	printf("pool %s\n", name);
	printf("  %-38s %u\n", "dead members", report.dead_members);
	printf("  %-38s %u\n", "of these, slots free again", report.buried);
	printf("  %-38s %u\n", "shards given back", report.shards);
	printf("  %-38s %u, with %u blocks\n", "magazines given to the depot", report.magazines,
		report.blocks_shards);
	printf("  %-38s %u\n", "blocks from the hands of the dead", report.blocks_hands);
	if (report.unrenewed != 0)
		printf("  %-38s %u\n", "blocks left to the application to renew", report.unrenewed);
	printf("  %-38s %u\n", "magazines left: a process is at work", report.left);
	printf("  %-38s %.3f ms\n", "time", (double)report.ns / 1e6);
	printf("  %-38s %u of %u\n", "blocks free now", info.free_blocks, info.populated);
	return report.left == 0 ? CTL_OK : CTL_WRONG;
}
