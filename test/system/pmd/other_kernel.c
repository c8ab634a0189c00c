/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Loaded before a program, it shows its AF_XDP sockets another kernel. SLABIO_TEST_KERNEL says
 * which:
 *
 *     old      one that knows no transmit metadata, before Linux 6.8
 *     device   one with a device that sends zero copy and says that it fills in checksums; in truth
 *              the kernel copies, and it or the interface fills them in
 */

#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/genetlink.h>
#include <linux/if_xdp.h>
#include <linux/netlink.h>

#define SOL_XDP_	    283
#define TX_METADATA_LEN	    (1 << 2)
#define NETDEV_XSK_FEATURES 6
#define XSK_TX_CHECKSUM	    2

static int
is_kernel(const char *which)
{
	const char *wanted = getenv("SLABIO_TEST_KERNEL");

	return wanted != NULL && strcmp(wanted, which) == 0;
}

int
setsockopt(int fd, int level, int option, const void *value, socklen_t len)
{
	int (*real)(int, int, int, const void *, socklen_t) = dlsym(RTLD_NEXT, "setsockopt");

	if (level == SOL_XDP_ && option == XDP_UMEM_REG && is_kernel("old") &&
		(((const struct xdp_umem_reg *)value)->flags & TX_METADATA_LEN)) {
		errno = EINVAL;
		return -1;
	}
	return real(fd, level, option, value, len);
}

int
bind(int fd, const struct sockaddr *address, socklen_t len)
{
	int (*real)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "bind");
	struct sockaddr_xdp to;

	if (len != sizeof(to) || address->sa_family != AF_XDP || !is_kernel("device"))
		return real(fd, address, len);
	memcpy(&to, address, sizeof(to));
	if (to.sxdp_flags & XDP_ZEROCOPY)
		to.sxdp_flags = (to.sxdp_flags & ~XDP_ZEROCOPY) | XDP_COPY;
	return real(fd, (const struct sockaddr *)&to, sizeof(to));
}

/* The one attribute of such a size and number in what the kernel says of a device. */
ssize_t
recv(int fd, void *data, size_t size, int flags)
{
	ssize_t (*real)(int, void *, size_t, int) = dlsym(RTLD_NEXT, "recv");
	ssize_t n = real(fd, data, size, flags), at;
	struct sockaddr_nl self;
	socklen_t len = sizeof(self);
	struct nlattr attr;

	if (n <= 0 || !is_kernel("device") ||
		getsockname(fd, (struct sockaddr *)&self, &len) != 0 ||
		self.nl_family != AF_NETLINK)
		return n;
	for (at = NLMSG_HDRLEN + GENL_HDRLEN; at + 12 <= n; at += 4) {
		memcpy(&attr, (char *)data + at, sizeof(attr));
		if (attr.nla_len == 12 && attr.nla_type == NETDEV_XSK_FEATURES)
			((uint8_t *)data)[at + NLA_HDRLEN] |= XSK_TX_CHECKSUM;
	}
	return n;
}
