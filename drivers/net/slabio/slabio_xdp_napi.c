/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Busy polling where the kernel does not tie an interface's NAPI instances to its queues, as with
 * veth: there, a socket knows of none, and a receive call on it polls nothing. What the peer sends
 * is then received by the sender's CPU, in the middle of its own system call.
 *
 * io_uring polls whatever instance it is told to. Its number is asked for over netlink. It is made
 * use of only where there is just one: which of several is that of which queue nobody says.
 */

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/genetlink.h>
#include <linux/io_uring.h>
#include <linux/netlink.h>

#include "slabio_xdp.h"

/* the kernel's netdev family: instances since Linux 6.8 */
#define NETDEV_NAPI_GET	    11
#define NETDEV_NAPI_IFINDEX 1
#define NETDEV_NAPI_ID	    2

/* io_uring: instances named by the user since Linux 6.13 */
#define URING_REGISTER_NAPI 27
#define URING_NAPI_STATIC   1 /* op_param of opcode 0 */
#define URING_NAPI_ADD	    1 /* opcode; op_param: the number */

struct uring_napi {
	uint32_t busy_poll_to; /* microseconds */
	uint8_t prefer_busy_poll;
	uint8_t opcode;
	uint8_t pad[2];
	uint32_t op_param;
	uint32_t resv;
};

/* A call polls at least once. More of it would keep the caller from what was received. */
#define POLL_US 2

struct request {
	struct nlmsghdr nl;
	struct genlmsghdr genl;
	struct nlattr attr;
	char value[8];
};

static int
ask(int fd, uint16_t family, uint16_t flags, uint8_t command, uint16_t attr, const void *value,
	uint16_t len)
{
	struct request req = {
		.nl = {.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN) + NLA_HDRLEN + NLA_ALIGN(len),
			.nlmsg_type = family,
			.nlmsg_flags = NLM_F_REQUEST | flags},
		.genl = {.cmd = command, .version = 1},
		.attr = {.nla_len = NLA_HDRLEN + len, .nla_type = attr},
	};

	memcpy(req.value, value, len);
	return send(fd, &req, req.nl.nlmsg_len, 0) < 0 ? -errno : 0;
}

/* The value of an attribute of a message, or NULL. */
static const void *
find(const struct nlmsghdr *nl, uint16_t type, size_t size)
{
	const char *at = (const char *)nl + NLMSG_LENGTH(GENL_HDRLEN);
	const char *end = (const char *)nl + nl->nlmsg_len;

	while (end - at >= (ptrdiff_t)NLA_HDRLEN) {
		const struct nlattr *attr = (const struct nlattr *)at;

		if (attr->nla_len < NLA_HDRLEN || attr->nla_len > end - at)
			return NULL;
		if ((attr->nla_type & NLA_TYPE_MASK) == type && attr->nla_len >= NLA_HDRLEN + size)
			return at + NLA_HDRLEN;
		at += NLA_ALIGN(attr->nla_len);
	}
	return NULL;
}

/*
 * Reads answers up to the end of the list, or up to the first one of those that are no list.
 *
 * @param[out] value of the last one's attribute
 * @return how many there were, or a negative errno
 */
static int
answers(int fd, bool list, uint16_t attr, void *value, size_t size)
{
	union {
		struct nlmsghdr nl;
		char bytes[16384];
	} buf;
	int n = 0;

	for (;;) {
		ssize_t left = recv(fd, &buf, sizeof(buf), 0);
		const struct nlmsghdr *nl = &buf.nl;

		if (left <= 0)
			return left < 0 ? -errno : -EIO;
		for (; NLMSG_OK(nl, left); nl = NLMSG_NEXT(nl, left)) {
			const void *found;

			if (nl->nlmsg_type == NLMSG_ERROR)
				return nl->nlmsg_len < NLMSG_LENGTH(sizeof(int))
					       ? -EIO
					       : *(const int *)NLMSG_DATA(nl);
			if (nl->nlmsg_type == NLMSG_DONE)
				return n;
			found = find(nl, attr, size);
			if (found != NULL) {
				memcpy(value, found, size);
				n++;
			}
			if (!list)
				return n;
		}
	}
}

/* The number of an interface's NAPI instance; -ENOENT if it has none, -E2BIG if it has several. */
static int
only_napi(int ifindex, uint32_t *id)
{
	const uint32_t index = (uint32_t)ifindex;
	const struct timeval limit = {.tv_sec = 1};
	int fd, n;
	uint16_t family;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	n = ask(fd, GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, "netdev", 7);
	if (n == 0)
		n = answers(fd, false, CTRL_ATTR_FAMILY_ID, &family, sizeof(family));
	if (n == 1)
		n = ask(fd, family, NLM_F_DUMP, NETDEV_NAPI_GET, NETDEV_NAPI_IFINDEX, &index,
			sizeof(index));
	if (n == 0)
		n = answers(fd, true, NETDEV_NAPI_ID, id, sizeof(*id));
	close(fd);
	if (n < 0)
		return n;
	return n == 1 ? 0 : n == 0 ? -ENOENT : -E2BIG;
}

static int
uring_open(uint32_t id)
{
	struct io_uring_params params = {0};
	struct uring_napi mode = {
		.busy_poll_to = POLL_US, .prefer_busy_poll = 1, .op_param = URING_NAPI_STATIC};
	struct uring_napi add = {.opcode = URING_NAPI_ADD, .op_param = id};
	int fd = (int)syscall(__NR_io_uring_setup, 1, &params);
	int ret;

	if (fd < 0)
		return -errno;
	if (syscall(__NR_io_uring_register, fd, URING_REGISTER_NAPI, &mode, 1) == 0 &&
		syscall(__NR_io_uring_register, fd, URING_REGISTER_NAPI, &add, 1) == 0)
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

int
slabio_xdp_napi_open(int socket, int ifindex)
{
	uint32_t id = 0;
	socklen_t len = sizeof(id);
	int ret;

	if (getsockopt(socket, SOL_SOCKET, SO_INCOMING_NAPI_ID, &id, &len) == 0 && id != 0)
		return -EALREADY;
	ret = only_napi(ifindex, &id);
	return ret != 0 ? ret : uring_open(id);
}

void
slabio_xdp_napi_poll(int fd)
{
	/* there will never be an event: it polls, and sees then that its time is over */
	const struct __kernel_timespec now = {0, 0};
	const struct io_uring_getevents_arg arg = {.ts = (uintptr_t)&now};

	(void)syscall(__NR_io_uring_enter, fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
		&arg, sizeof(arg));
}
