/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SLABIO_XSK_BROKER_H
#define SLABIO_XSK_BROKER_H

/**
 * @file
 * What slabio-xsk and a port without rights say to each other: the former has what the kernel asks
 * rights for, the latter asks it for that and for nothing else.
 *
 * One connection of a SOCK_SEQPACKET unix socket for each request: one message, one answer. So
 * slabio-xsk keeps nothing of a port, and a port that dies leaves nothing: the kernel takes its
 * sockets out of the map.
 */

#include <stdint.h>

#define SLABIO_XSK_MAGIC 0x786b0001u /* with the protocol's version */

enum slabio_xsk_op {
	SLABIO_XSK_SOCKET = 1, /* a new AF_XDP socket, which comes with the answer */
	SLABIO_XSK_ENTER = 2,  /* the socket that comes with the request gets a queue's packets */
	SLABIO_XSK_LEAVE = 3,  /* the queue's packets go to the host */
};

struct slabio_xsk_request {
	uint32_t magic;
	uint32_t op;
	uint32_t ifindex;
	uint32_t queue;
};

struct slabio_xsk_answer {
	uint32_t magic;
	int32_t error; /* 0 or a negative errno */
};

#endif /* SLABIO_XSK_BROKER_H */
