/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SLAB_CONFIG_H
#define SLAB_CONFIG_H

/*
 * Options of mempools that their application knows nothing of: a file in rte_cfgfile syntax, with
 * sections by mempool name.
 */

#include <stdbool.h>
#include <stdint.h>

/* Names the file; unset or empty: every mempool has the defaults. */
#define SLAB_CONFIG_ENV "SLABIO_CONFIG"

struct slab_options {
	bool check;	   /* objects put are checked to be of their mempool */
	bool pow2;	   /* the pitch is a power of two, and objects are aligned to it */
	bool exact;	   /* SIO_POOL_EXACT */
	uint32_t shards;   /* 0: the pool's default */
	uint32_t magazine; /* 0: the pool's default */
	/* objects of a contiguous block, and how many blocks are set aside; both 0: none */
	uint32_t contig_size, contig_runs;
	uint32_t dry_us; /* sio_pool_set_dry_time(); SLAB_DRY_DEFAULT: by the cache */
};

#define SLAB_DRY_DEFAULT UINT32_MAX

struct slab_config;

/*
 * Reads a file. Every fault is one: an unknown entry, a value out of range, a line that is neither
 * section nor entry. Logs file, line, fault and what was expected.
 *
 * Returns 0; -EINVAL for a fault; -ENOMEM; else the negative errno of opening or reading.
 */
int slab_config_load(const char *path, struct slab_config **config);
void slab_config_free(struct slab_config *config);

/* What the file says of a mempool; of several sections the most specific one that has the entry. */
void slab_config_find(
	const struct slab_config *config, const char *mempool, struct slab_options *options);

/*
 * The options of a mempool in this process, which reads the file that SLAB_CONFIG_ENV names once.
 * Returns 0 or what slab_config_load() returned.
 */
int slab_config_get(const char *mempool, struct slab_options *options);

#endif /* SLAB_CONFIG_H */
