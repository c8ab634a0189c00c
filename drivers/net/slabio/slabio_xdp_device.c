/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* One question to the kernel, by generic netlink; without rights, and without a library for it. */

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>

#include "slabio_xdp_device.h"

/* Of the family "netdev"; the headers of a distribution may not know it yet. */
#define NETDEV_GET	    1
#define NETDEV_IFINDEX	    1
#define NETDEV_XSK_FEATURES 6
#define XSK_TX_CHECKSUM	    2

#define ANSWER_MAX     8192
#define ANSWER_SECONDS 1

struct question {
	struct nlmsghdr head;
	struct genlmsghdr genl;
	struct nlattr attr;
	uint8_t data[16];
};

const void *
slabio_xdp_device_attr(const void *msg, size_t len, uint16_t type, size_t size)
{
	const uint8_t *at = msg;
	size_t pos = NLMSG_HDRLEN + GENL_HDRLEN;
	struct nlattr attr;

	while (pos + sizeof(attr) <= len) {
		memcpy(&attr, at + pos, sizeof(attr));
		if (attr.nla_len < NLA_HDRLEN || attr.nla_len > len - pos)
			break;
		if ((attr.nla_type & NLA_TYPE_MASK) == type && attr.nla_len == NLA_HDRLEN + size)
			return at + pos + NLA_HDRLEN;
		pos += NLA_ALIGN(attr.nla_len);
	}
	return NULL;
}

/* The length of the answer, or a negative errno. */
static int
ask(int fd, uint16_t family, uint8_t command, uint16_t type, const void *data, uint16_t size,
	uint8_t *answer)
{
	struct question q = {
		.head = {.nlmsg_type = family, .nlmsg_flags = NLM_F_REQUEST, .nlmsg_seq = family},
		.genl = {.cmd = command, .version = 1},
		.attr = {.nla_type = type, .nla_len = (uint16_t)(NLA_HDRLEN + size)},
	};
	struct nlmsghdr head;
	ssize_t n;
	int err;

	memcpy(q.data, data, size);
	q.head.nlmsg_len = (uint32_t)(offsetof(struct question, data) + NLA_ALIGN(size));
	if (send(fd, &q, q.head.nlmsg_len, 0) < 0)
		return -errno;
	n = recv(fd, answer, ANSWER_MAX, 0);
	if (n < 0)
		return -errno;
	if ((size_t)n < sizeof(head))
		return -EBADMSG;
	memcpy(&head, answer, sizeof(head));
	if (head.nlmsg_len > (size_t)n || head.nlmsg_seq != q.head.nlmsg_seq)
		return -EBADMSG;
	if (head.nlmsg_type != NLMSG_ERROR)
		return (int)head.nlmsg_len;
	if (head.nlmsg_len < NLMSG_LENGTH(sizeof(err)))
		return -EBADMSG;
	memcpy(&err, answer + NLMSG_HDRLEN, sizeof(err));
	return err < 0 ? err : -EBADMSG;
}

static int
features(int fd, uint32_t ifindex, uint64_t *xsk)
{
	uint8_t answer[ANSWER_MAX];
	const void *found;
	uint16_t family;
	int len = ask(fd, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, "netdev",
		sizeof("netdev"), answer);

	if (len < 0)
		return len;
	found = slabio_xdp_device_attr(answer, (size_t)len, CTRL_ATTR_FAMILY_ID, sizeof(family));
	if (found == NULL)
		return -EBADMSG;
	memcpy(&family, found, sizeof(family));
	len = ask(fd, family, NETDEV_GET, NETDEV_IFINDEX, &ifindex, sizeof(ifindex), answer);
	if (len < 0)
		return len;
	found = slabio_xdp_device_attr(answer, (size_t)len, NETDEV_XSK_FEATURES, sizeof(*xsk));
	if (found == NULL)
		return -EOPNOTSUPP;
	memcpy(xsk, found, sizeof(*xsk));
	return 0;
}

int
slabio_xdp_device_sums(int ifindex)
{
	const struct timeval limit = {.tv_sec = ANSWER_SECONDS};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	uint64_t xsk = 0;
	int ret;

	if (fd < 0)
		return -errno;
	ret = setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0
		      ? features(fd, (uint32_t)ifindex, &xsk)
		      : -errno;
	close(fd);
	return ret != 0 ? ret : (xsk & XSK_TX_CHECKSUM) != 0;
}
