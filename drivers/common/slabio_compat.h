/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SLABIO_COMPAT_H
#define SLABIO_COMPAT_H

/**
 * @file
 * Every difference between the supported DPDK releases (22.11, 24.11, 25.11) that a driver of this
 * project meets. Nothing else asks for a version.
 */

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <rte_lcore.h>
#include <rte_telemetry.h>
#include <rte_thread.h>
#include <rte_version.h>

/* 23.03 gave the functions for unsigned values other names, and 23.11 dropped the old ones. */
#if RTE_VERSION >= RTE_VERSION_NUM(23, 3, 0, 0)
#define slabio_tel_dict_uint rte_tel_data_add_dict_uint
#else
#define slabio_tel_dict_uint rte_tel_data_add_dict_u64
#endif

/*
 * For poll-mode drivers, which include <ethdev_driver.h> before.
 *
 * 25.11 moved the per-queue counters out of rte_eth_stats into a structure of their own, which the
 * caller may leave out. The members kept their names.
 */
#if RTE_VERSION >= RTE_VERSION_NUM(25, 11, 0, 0)
#define slabio_queue_stats eth_queue_stats
#define SLABIO_STATS_GET(fn, fill)                                          \
	static int fn(struct rte_eth_dev *eth, struct rte_eth_stats *stats, \
		struct eth_queue_stats *queues)                             \
	{                                                                   \
		return fill(eth, stats, queues);                            \
	}
#else
#define slabio_queue_stats rte_eth_stats
#define SLABIO_STATS_GET(fn, fill)                                          \
	static int fn(struct rte_eth_dev *eth, struct rte_eth_stats *stats) \
	{                                                                   \
		return fill(eth, stats, stats);                             \
	}
#endif

/* Since 23.11 control threads are made by another call, from a function of another type. */
#if RTE_VERSION >= RTE_VERSION_NUM(23, 11, 0, 0)
typedef rte_thread_t slabio_thread;
#define SLABIO_THREAD(fn, run)        \
	static uint32_t fn(void *arg) \
	{                             \
		run(arg);             \
		return 0;             \
	}
#define slabio_thread_create(thread, name, fn, arg) rte_thread_create_control(thread, name, fn, arg)
#define slabio_thread_join(thread)		    rte_thread_join(thread, NULL)
#else
typedef pthread_t slabio_thread;
#define SLABIO_THREAD(fn, run)     \
	static void *fn(void *arg) \
	{                          \
		run(arg);          \
		return NULL;       \
	}
#define slabio_thread_create(thread, name, fn, arg) \
	rte_ctrl_thread_create(thread, name, NULL, fn, arg)
#define slabio_thread_join(thread) pthread_join(thread, NULL)
#endif

#ifdef ALLOW_EXPERIMENTAL_API /* the calls that tell the running release are */
/**
 * Refuses to drive an ethdev library of another release than the one whose driver headers this
 * plugin was built with: the structures they share carry no version of their own.
 *
 * @param[out] running the release found, when it differs, as text
 * @return 0 or -ENOTSUP
 */
static inline int
slabio_compat_check(char *running, size_t len)
{
	if (rte_version_year() == RTE_VER_YEAR && rte_version_month() == RTE_VER_MONTH)
		return 0;
	snprintf(running, len, "%02u.%02u", rte_version_year(), rte_version_month());
	return -ENOTSUP;
}
#endif

#endif /* SLABIO_COMPAT_H */
