/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SLABIO_XDP_OFFER_H
#define SLABIO_XDP_OFFER_H

/**
 * @file
 * What a secondary asks the primary of an AF_XDP port, over EAL's channel between processes, and what
 * it gets. Descriptors come with the message.
 */

#include <stdint.h>

#include <rte_eal.h>
#include <rte_ethdev.h>

#define SLABIO_XDP_OFFER "net_slabio_xdp"

enum slabio_xdp_ask {
	SLABIO_XDP_ASK_TOKENS, /* answered with the file of locks */
	SLABIO_XDP_ASK_QUEUE   /* with a socket, and the file of holders */
};

struct slabio_xdp_request {
	uint32_t ask;
	uint32_t generation;
	uint16_t port;
	uint16_t queue;
	char name[RTE_ETH_NAME_MAX_LEN];
};

struct slabio_xdp_answer {
	int32_t err; /* -ENOENT: there is no such queue, or no longer */
	uint8_t has_rx;
	uint8_t has_tx;
	uint8_t zero_copy;
	uint8_t busy_poll;
	uint8_t unaligned;
	uint8_t external; /* the mbufs' data are in buffers of their own */
	uint16_t rx_tag;
	uint16_t tx_tag;
	uint32_t rx_ring; /* entries */
	uint32_t tx_ring;
	uint32_t batch;
	uint32_t max_frame;
	uint32_t copy_room;
	uint32_t max_segs;
	uint32_t meta_len;
	uint64_t rearm;
	/* the mempool's memory, which lies alike everywhere; as in struct slabio_xdp_mem */
	struct rte_mempool *mp;
	uint64_t first;
	uint64_t base;
	uint64_t origin;
	uint64_t granule;
	uint64_t inverse;
	uint64_t count;
	uint32_t buf_off;
	uint32_t buf_len;
};

static_assert(sizeof(struct slabio_xdp_request) <= RTE_MP_MAX_PARAM_LEN &&
		      sizeof(struct slabio_xdp_answer) <= RTE_MP_MAX_PARAM_LEN,
	"a message between EAL processes has no room for more");

#endif /* SLABIO_XDP_OFFER_H */
