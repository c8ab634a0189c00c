/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Hearing of an interface's changes: a netlink socket that EAL's interrupt thread listens to.
 */

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <rte_errno.h>
#include <rte_interrupts.h>

#include "slabio_netif.h"
#include "slabio_pmd.h"

/* Whether a batch of messages is about this interface. */
static bool
is_about(const struct nlmsghdr *h, size_t len, int index)
{
	for (; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
		const struct ifinfomsg *info = NLMSG_DATA(h);

		if ((h->nlmsg_type == RTM_NEWLINK || h->nlmsg_type == RTM_DELLINK) &&
			h->nlmsg_len >= NLMSG_LENGTH(sizeof(*info)) && info->ifi_index == index)
			return true;
	}
	return false;
}

static void
heard(void *arg)
{
	struct slabio_netif_watch *watch = arg;
	_Alignas(struct nlmsghdr) uint8_t buf[16384];
	bool changed = false;
	ssize_t len;

	for (;;) {
		len = recv(watch->fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (len > 0)
			changed = changed || is_about((struct nlmsghdr *)buf, (size_t)len,
						     watch->netif->index);
		else if (len < 0 && errno == ENOBUFS) /* some were lost: perhaps ours */
			changed = true;
		else if (len == 0 || errno != EINTR)
			break;
	}
	if (changed)
		watch->changed(watch->arg);
}

int
slabio_netif_watch_start(struct slabio_netif_watch *watch, const struct slabio_netif *netif,
	void (*changed)(void *arg), void *arg)
{
	const struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	int ret = 0;

	*watch = (struct slabio_netif_watch){.netif = netif, .changed = changed, .arg = arg};
	watch->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	watch->handle = rte_intr_instance_alloc(RTE_INTR_INSTANCE_F_PRIVATE);
	if (watch->fd < 0 || bind(watch->fd, (const struct sockaddr *)&to, sizeof(to)) != 0)
		ret = -errno;
	else if (watch->handle == NULL || rte_intr_fd_set(watch->handle, watch->fd) != 0 ||
		 rte_intr_type_set(watch->handle, RTE_INTR_HANDLE_EXT) != 0)
		ret = -ENOMEM;
	else
		ret = rte_intr_callback_register(watch->handle, heard, watch);
	if (ret == 0)
		return 0;
	SLABIO_LOG(ERR, "%s: cannot hear of changes of %s: %s", netif->device, netif->name,
		strerror(-ret));
	rte_intr_instance_free(watch->handle);
	watch->handle = NULL;
	if (watch->fd >= 0)
		close(watch->fd);
	watch->fd = -1;
	return ret;
}

void
slabio_netif_watch_stop(struct slabio_netif_watch *watch)
{
	if (watch->handle == NULL)
		return;
	rte_intr_callback_unregister_sync(watch->handle, heard, watch);
	rte_intr_instance_free(watch->handle);
	watch->handle = NULL;
	close(watch->fd);
	watch->fd = -1;
}
