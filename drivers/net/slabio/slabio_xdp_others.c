/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The XDP program that somebody else has attached to an interface: which it is, who keeps it there
 * and how to get rid of it. What a process may not ask the kernel is left out.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "slabio_xdp.h"

/* A bound for a walk over all links of the system. */
#define LINKS_MAX 65536

bool
slabio_xdp_attached(int ifindex, struct slabio_xdp_other *other)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, q);

	memset(other, 0, sizeof(*other));
	if (bpf_xdp_query(ifindex, 0, &q) != 0)
		return false;
	other->native = q.drv_prog_id != 0;
	other->offloaded = q.hw_prog_id != 0;
	other->id = q.drv_prog_id != 0	? q.drv_prog_id
		    : q.hw_prog_id != 0 ? q.hw_prog_id
					: q.skb_prog_id;
	/* kernels that know one mode name it so */
	if (other->id == 0)
		other->id = q.prog_id;
	return other->id != 0;
}

static void
ask_name(struct slabio_xdp_other *other)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(other->id);

	if (fd < 0)
		return;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) == 0)
		snprintf(other->name, sizeof(other->name), "%s", info.name);
	close(fd);
}

static void
ask_link(int ifindex, struct slabio_xdp_other *other)
{
	uint32_t id = 0;
	unsigned int i;

	for (i = 0; i < LINKS_MAX && other->link == 0; i++) {
		struct bpf_link_info info = {0};
		uint32_t len = sizeof(info);
		int fd;

		if (bpf_link_get_next_id(id, &id) != 0)
			return;
		fd = bpf_link_get_fd_by_id(id);
		if (fd < 0)
			continue;
		/* interfaces of other namespaces have the same numbers; programs do not */
		if (bpf_obj_get_info_by_fd(fd, &info, &len) == 0 &&
			info.type == BPF_LINK_TYPE_XDP && info.prog_id == other->id &&
			info.xdp.ifindex == (uint32_t)ifindex)
			other->link = id;
		close(fd);
	}
}

void
slabio_xdp_describe_other(int ifindex, const char *iface, char *text, size_t size)
{
	struct slabio_xdp_other other;
	const char *mode;
	int n;

	if (!slabio_xdp_attached(ifindex, &other)) {
		snprintf(text, size, "the kernel names none now");
		return;
	}
	ask_name(&other);
	ask_link(ifindex, &other);
	mode = other.native ? "native" : other.offloaded ? "offloaded" : "generic";
	n = snprintf(text, size, "found program %u%s%s in %s mode", other.id,
		other.name[0] != '\0' ? " " : "", other.name, mode);
	if (n < 0 || (size_t)n >= size)
		return;
	if (other.link != 0)
		snprintf(text + n, size - (size_t)n,
			", attached by link %u: end the process that has it, or 'bpftool link "
			"detach id %u'",
			other.link, other.link);
	else
		snprintf(text + n, size - (size_t)n,
			"; 'ip link set dev %s %s off' takes it off unless a process keeps it by "
			"a link",
			iface,
			other.native	  ? "xdpdrv"
			: other.offloaded ? "xdpoffload"
					  : "xdpgeneric");
}
