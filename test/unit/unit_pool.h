/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef UNIT_POOL_H
#define UNIT_POOL_H

/**
 * @file
 * Pools for unit tests, and what must be true of them. Include unit_env.h first.
 */

#include <slabio/pool.h>

/** A pool with a payload of its own; magazine_size and max_shards 0: as the library chooses. */
static inline struct sio_pool_opts
unit_pool_opts(
	const char *name, uint32_t n, uint32_t magazine_size, uint32_t max_shards, uint32_t flags)
{
	return (struct sio_pool_opts){
		.sz = sizeof(struct sio_pool_opts),
		.name = name,
		.n_blocks = n,
		.block_size = 100,
		.magazine_size = magazine_size,
		.max_shards = max_shards,
		.flags = flags,
		.backing = SIO_BACKING_MEMFD,
	};
}

static inline struct sio_pool *
unit_pool_create(const struct sio_pool_opts *opts)
{
	struct sio_pool *pool;

	assert_int_equal(sio_pool_create(opts, &pool), 0);
	return pool;
}

static inline struct sio_pool *
unit_pool(const char *name, uint32_t n, uint32_t magazine_size, uint32_t max_shards, uint32_t flags)
{
	const struct sio_pool_opts opts = unit_pool_opts(name, n, magazine_size, max_shards, flags);

	return unit_pool_create(&opts);
}

static inline struct sio_audit_report
unit_audit(struct sio_pool *pool)
{
	struct sio_audit_report report;
	struct sio_audit *audit;

	assert_int_equal(sio_audit_begin(pool, &audit), 0);
	sio_audit_end(audit, &report);
	return report;
}

/** Every block is met once, in a magazine or free in the contiguous region. */
static inline void
unit_assert_all_free(struct sio_pool *pool, uint32_t n)
{
	struct sio_audit_report report = unit_audit(pool);

	assert_true(sio_audit_clean(&report));
	assert_int_equal(report.met[SIO_PLACE_DEPOT] + report.met[SIO_PLACE_SHARD] +
				 report.met[SIO_PLACE_CONTIG],
		n);
	assert_int_equal(report.outstanding, 0);
	assert_int_equal(sio_pool_free_count(pool), n);
}

#endif /* UNIT_POOL_H */
