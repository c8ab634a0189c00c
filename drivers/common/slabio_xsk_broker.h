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
#include <string.h>
#include <sys/socket.h>

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

union slabio_xsk_fd {
	struct cmsghdr header;
	char room[CMSG_SPACE(sizeof(int))];
};

/** As sendmsg(), with a descriptor unless that is negative. */
static inline ssize_t
slabio_xsk_send(int conn, const void *data, size_t len, int fd, int flags)
{
	union slabio_xsk_fd control = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control.room);
		control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(fd)),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	return sendmsg(conn, &msg, MSG_NOSIGNAL | flags);
}

/** As recvmsg(). In any case *fd is the descriptor that came with the message, or -1. */
static inline ssize_t
slabio_xsk_receive(int conn, void *data, size_t len, int *fd)
{
	union slabio_xsk_fd control = {0};
	struct iovec iov = {.iov_base = data, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		/* without the padding, in which there is room for a second one: the kernel closes
		 * what there is no room for */
		.msg_controllen = CMSG_LEN(sizeof(*fd))};
	const ssize_t n = recvmsg(conn, &msg, MSG_CMSG_CLOEXEC);
	const struct cmsghdr *c = n >= 0 ? CMSG_FIRSTHDR(&msg) : NULL;

	*fd = -1;
	if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
		c->cmsg_len == CMSG_LEN(sizeof(*fd)))
		memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	return n;
}

#endif /* SLABIO_XSK_BROKER_H */
