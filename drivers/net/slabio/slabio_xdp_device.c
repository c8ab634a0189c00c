/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* Questions to the kernel, by generic netlink; without rights, and without a library for it. */

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
#define NETDEV_NAPI_GET	    11
#define NETDEV_NAPI_IFINDEX 1
#define NETDEV_NAPI_ID	    2

#define ANSWER_MAX     16384
#define ANSWER_SECONDS 1

struct question {
	uint16_t family;
	uint8_t command;
	bool list; /* the answer is a list of messages */
	/* the attribute that it has */
	uint16_t type;
	uint16_t size;
	const void *data;
};

/* What is looked for in the answer. */
struct wanted {
	uint16_t type;
	size_t size;
	void *value;	/* of the last message that has it */
	unsigned int n; /* messages that have it */
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

static int
send_question(int fd, const struct question *q)
{
	struct {
		struct nlmsghdr head;
		struct genlmsghdr genl;
		struct nlattr attr;
		uint8_t data[16];
	} msg = {
		.head = {.nlmsg_type = q->family,
			.nlmsg_flags = NLM_F_REQUEST | (q->list ? NLM_F_DUMP : 0),
			.nlmsg_seq = q->family},
		.genl = {.cmd = q->command, .version = 1},
		.attr = {.nla_type = q->type, .nla_len = (uint16_t)(NLA_HDRLEN + q->size)},
	};

	memcpy(msg.data, q->data, q->size);
	msg.head.nlmsg_len = (uint32_t)(sizeof(msg) - sizeof(msg.data) + NLA_ALIGN(q->size));
	return send(fd, &msg, msg.head.nlmsg_len, 0) < 0 ? -errno : 0;
}

/* One message. @return 1: another one is to come; 0: that was the last; or a negative errno */
static int
look_at(const uint8_t *msg, const struct nlmsghdr *head, const struct question *q, struct wanted *w)
{
	const void *found;
	int err;

	if (head->nlmsg_type == NLMSG_DONE)
		return 0;
	if (head->nlmsg_type == NLMSG_ERROR) {
		if (head->nlmsg_len < NLMSG_LENGTH(sizeof(err)))
			return -EBADMSG;
		memcpy(&err, msg + NLMSG_HDRLEN, sizeof(err));
		return err < 0 ? err : -EBADMSG;
	}
	found = slabio_xdp_device_attr(msg, head->nlmsg_len, w->type, w->size);
	if (found != NULL) {
		memcpy(w->value, found, w->size);
		w->n++;
	}
	return q->list;
}

static int
ask(int fd, const struct question *q, struct wanted *w)
{
	uint8_t answer[ANSWER_MAX];
	int ret = send_question(fd, q);
	struct nlmsghdr head;

	if (ret != 0)
		return ret;
	for (;;) {
		const ssize_t n = recv(fd, answer, sizeof(answer), 0);
		size_t at = 0, len = n > 0 ? (size_t)n : 0;

		if (n < 0)
			return -errno;
		do {
			if (len - at < sizeof(head))
				return -EBADMSG;
			memcpy(&head, answer + at, sizeof(head));
			if (head.nlmsg_len < sizeof(head) || head.nlmsg_len > len - at ||
				head.nlmsg_seq != q->family)
				return -EBADMSG;
			ret = look_at(answer + at, &head, q, w);
			if (ret <= 0)
				return ret;
			at += NLMSG_ALIGN(head.nlmsg_len);
		} while (at < len);
	}
}

static int
ask_netdev(int fd, struct question *q, struct wanted *w)
{
	const struct question which = {.family = GENL_ID_CTRL,
		.command = CTRL_CMD_GETFAMILY,
		.type = CTRL_ATTR_FAMILY_NAME,
		.size = sizeof("netdev"),
		.data = "netdev"};
	struct wanted family = {
		.type = CTRL_ATTR_FAMILY_ID, .size = sizeof(q->family), .value = &q->family};
	int ret = ask(fd, &which, &family);

	if (ret == 0 && family.n == 0)
		ret = -EBADMSG;
	return ret != 0 ? ret : ask(fd, q, w);
}

/* Asks about an interface, by number. @return how many messages had what was wanted; -errno */
static int
ask_about(int ifindex, uint8_t command, bool list, uint16_t type, struct wanted *w)
{
	const struct timeval limit = {.tv_sec = ANSWER_SECONDS};
	const uint32_t index = (uint32_t)ifindex;
	struct question q = {.command = command,
		.list = list,
		.type = type,
		.size = sizeof(index),
		.data = &index};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	int ret;

	if (fd < 0)
		return -errno;
	ret = setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0
		      ? ask_netdev(fd, &q, w)
		      : -errno;
	close(fd);
	return ret != 0 ? ret : (int)w->n;
}

int
slabio_xdp_device_sums(int ifindex)
{
	uint64_t xsk = 0;
	struct wanted features = {.type = NETDEV_XSK_FEATURES, .size = sizeof(xsk), .value = &xsk};
	int n = ask_about(ifindex, NETDEV_GET, false, NETDEV_IFINDEX, &features);

	if (n <= 0)
		return n < 0 ? n : -EOPNOTSUPP;
	return (xsk & XSK_TX_CHECKSUM) != 0;
}

int
slabio_xdp_device_napi(int ifindex, uint32_t *id)
{
	struct wanted instance = {.type = NETDEV_NAPI_ID, .size = sizeof(*id), .value = id};
	int n = ask_about(ifindex, NETDEV_NAPI_GET, true, NETDEV_NAPI_IFINDEX, &instance);

	if (n <= 0)
		return n < 0 ? n : -ENOENT;
	return n == 1 ? 0 : -E2BIG;
}
