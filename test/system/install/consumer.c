/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* A program of somebody else's: built with what pkg-config says of the installed library, alone. */

#include <stdio.h>

#include <slabio/common.h>
#include <slabio/pool.h>
#include <slabio/rbuff.h>
#include <slabio/segment.h>

int
main(void)
{
	struct sio_pool_opts opts = {
		.sz = sizeof(opts), .name = "consumer", .n_blocks = 64, .block_size = 128};
	struct sio_pool *pool;
	uint32_t handles[64];

	if (sio_pool_create(&opts, &pool) != 0)
		return 1;
	if (sio_pool_take(pool, handles, 64) != 0 || sio_pool_free_count(pool) != 0 ||
		sio_pool_give(pool, handles, 64) != 0)
		return 2;
	printf("%u of 64 blocks are free\n", (unsigned int)sio_pool_free_count(pool));
	sio_pool_destroy(pool);
	return 0;
}
