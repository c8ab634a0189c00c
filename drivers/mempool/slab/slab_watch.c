/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The process that created mempools looks now and then whether others that used them died, and
 * recovers what they held. On the thread of EAL that serves alarms, so that no lcore waits for it.
 *
 * Looking costs one system call per living process and mempool. Anybody who joins a pool recovers
 * it too, as does slabioctl; several at once are no harm.
 */

#include <stdatomic.h>
#include <string.h>

#include <rte_alarm.h>

#include "slab_private.h"

#define SLAB_WATCH_US 500000u

static atomic_flag slab_watching = ATOMIC_FLAG_INIT;

static void
slab_watch(void *arg)
{
	RTE_SET_USED(arg);
	if (slab_table_recover()) {
		if (rte_eal_alarm_set(SLAB_WATCH_US, slab_watch, NULL) == 0)
			return;
		SLAB_LOG(WARNING, "no alarm any more: what dead processes hold comes back when "
				  "another one joins, or by slabioctl reclaim");
		atomic_flag_clear(&slab_watching);
		return;
	}
	atomic_flag_clear(&slab_watching);
	/* one that was created in between found it set */
	if (slab_table_recover())
		slab_watch_start();
}

void
slab_watch_start(void)
{
	int ret;

	if (atomic_flag_test_and_set(&slab_watching))
		return;
	ret = rte_eal_alarm_set(SLAB_WATCH_US, slab_watch, NULL);
	if (ret == 0)
		return;
	atomic_flag_clear(&slab_watching);
	SLAB_LOG(NOTICE,
		"no alarm (%s): what dead processes hold comes back when another one joins, or by "
		"slabioctl reclaim",
		strerror(-ret));
}
