/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The XDP program: packets of a queue that has a socket go there, all others to the host.
 *
 * It is five instructions, so it is written down here and no compiler or object file is needed. It
 * is attached by a link, which is a descriptor of this process: however the process ends, the
 * kernel then detaches the program and the host has its interface back.
 *
 * One interface has one program, whatever number of ports of this process is on it.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <rte_errno.h>

#include "slabio_xdp.h"

struct slabio_xdp_prog {
	TAILQ_ENTRY(slabio_xdp_prog) next;
	unsigned int refs;
	int ifindex;
	int map;
	int prog;
	int link;
	uint32_t queues;
	bool native;
};

static TAILQ_HEAD(, slabio_xdp_prog) progs = TAILQ_HEAD_INITIALIZER(progs);

static int
load(int map)
{
	const struct bpf_insn code[] = {
		/* r2 = ctx->rx_queue_index */
		{.code = BPF_LDX | BPF_MEM | BPF_W,
			.dst_reg = BPF_REG_2,
			.src_reg = BPF_REG_1,
			.off = offsetof(struct xdp_md, rx_queue_index)},
		/* r1 = map; two instructions long */
		{.code = BPF_LD | BPF_DW | BPF_IMM,
			.dst_reg = BPF_REG_1,
			.src_reg = BPF_PSEUDO_MAP_FD,
			.imm = map},
		{0},
		/* r3 = what is returned for a queue without a socket */
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = XDP_PASS},
		/* return bpf_redirect_map(r1, r2, r3) */
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = BPF_F_XDP_HAS_FRAGS);
	int fd = bpf_prog_load(
		BPF_PROG_TYPE_XDP, "slabio_xdp", "Dual BSD/GPL", code, RTE_DIM(code), &opts);

	if (fd >= 0 || fd == -EPERM)
		return fd;
	/* before 5.18 there were no packets of several frames */
	opts.prog_flags = 0;
	return bpf_prog_load(
		BPF_PROG_TYPE_XDP, "slabio_xdp", "Dual BSD/GPL", code, RTE_DIM(code), &opts);
}

static const char *
advice(int err)
{
	switch (-err) {
	case EPERM:
		return "; run as root, or with CAP_BPF and CAP_NET_ADMIN";
	case EBUSY:
	case EEXIST:
		return "; another XDP program is there, see 'ip link' and 'ip link set ... xdp "
		       "off'";
	case EOPNOTSUPP:
		return "; the driver has no native XDP, mode=generic does without";
	case ENOSPC:
		return "; a veth needs as many receive queues as its peer has transmit queues";
	case ERANGE:
		return "; the MTU of the interface, or of a veth's peer, is too large for native "
		       "XDP";
	case EINVAL:
		return "; Linux 5.9 or later is needed";
	default:
		return "";
	}
}

static int
attach(struct slabio_xdp_prog *p, uint32_t mode)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = mode);

	p->link = bpf_link_create(p->prog, p->ifindex, BPF_XDP, &opts);
	p->native = mode == XDP_FLAGS_DRV_MODE;
	return p->link >= 0 ? 0 : p->link;
}

static int
attach_best(
	struct slabio_xdp_prog *p, const char *device, const char *iface, bool native, bool generic)
{
	int ret = 0;

	if (native) {
		ret = attach(p, XDP_FLAGS_DRV_MODE);
		if (ret == 0)
			return 0;
		if (generic && ret != -EBUSY && ret != -EEXIST && ret != -EPERM)
			SLABIO_LOG(NOTICE,
				"%s: %s: native XDP is not to be had, trying generic XDP, which "
				"copies more: %s%s",
				device, iface, strerror(-ret), advice(ret));
		else
			generic = false;
	}
	if (generic)
		ret = attach(p, XDP_FLAGS_SKB_MODE);
	if (ret != 0)
		SLABIO_LOG(ERR, "%s: %s: cannot attach the XDP program in %s mode: %s%s", device,
			iface, generic ? "generic" : "native", strerror(-ret), advice(ret));
	return ret;
}

static void
release(struct slabio_xdp_prog *p)
{
	if (p->link >= 0)
		close(p->link);
	if (p->prog >= 0)
		close(p->prog);
	if (p->map >= 0)
		close(p->map);
	free(p);
}

static struct slabio_xdp_prog *
find(int ifindex)
{
	struct slabio_xdp_prog *p;

	TAILQ_FOREACH(p, &progs, next)
	if (p->ifindex == ifindex)
		return p;
	return NULL;
}

/* One that is there must be as the next port wants it. */
static struct slabio_xdp_prog *
join(struct slabio_xdp_prog *p, const char *device, const char *iface, bool native, bool generic)
{
	if (p->native ? native : generic) {
		p->refs++;
		return p;
	}
	SLABIO_LOG(ERR,
		"%s: %s: expected an interface in %s mode, found that another port has it in %s "
		"mode; give both the same mode=",
		device, iface, p->native ? "generic" : "native", p->native ? "native" : "generic");
	rte_errno = EBUSY;
	return NULL;
}

struct slabio_xdp_prog *
slabio_xdp_prog_get(const char *device, const char *iface, int ifindex, unsigned int queues,
	bool native, bool generic)
{
	struct slabio_xdp_prog *p = find(ifindex);
	int ret;

	if (p != NULL)
		return join(p, device, iface, native, generic);
	p = calloc(1, sizeof(*p));
	if (p == NULL) {
		SLABIO_LOG(ERR, "%s: no memory for the XDP program", device);
		rte_errno = ENOMEM;
		return NULL;
	}
	*p = (struct slabio_xdp_prog){
		.refs = 1, .ifindex = ifindex, .queues = queues, .map = -1, .prog = -1, .link = -1};
	ret = p->map = bpf_map_create(
		BPF_MAP_TYPE_XSKMAP, "slabio_xsks", sizeof(int), sizeof(int), queues, NULL);
	if (ret >= 0)
		ret = p->prog = load(p->map);
	if (ret < 0)
		SLABIO_LOG(ERR, "%s: %s: cannot %s: %s%s", device, iface,
			p->map < 0 ? "create the map of sockets" : "load the XDP program",
			strerror(-ret), advice(ret));
	else
		ret = attach_best(p, device, iface, native, generic);
	if (ret < 0) {
		release(p);
		rte_errno = -ret;
		return NULL;
	}
	TAILQ_INSERT_TAIL(&progs, p, next);
	return p;
}

void
slabio_xdp_prog_put(struct slabio_xdp_prog *p)
{
	if (--p->refs != 0)
		return;
	TAILQ_REMOVE(&progs, p, next);
	release(p);
}

bool
slabio_xdp_prog_native(const struct slabio_xdp_prog *p)
{
	return p->native;
}

int
slabio_xdp_prog_set(const struct slabio_xdp_prog *p, uint32_t queue, int fd)
{
	return bpf_map_update_elem(p->map, &queue, &fd, BPF_ANY);
}

void
slabio_xdp_prog_clear(const struct slabio_xdp_prog *p, uint32_t queue)
{
	/* a socket that was closed or lost its interface has left the map by itself */
	(void)bpf_map_delete_elem(p->map, &queue);
}
