/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The XDP program: packets of a queue that has a socket go there, all others to the host.
 *
 * Its few instructions are in slabio_xdp_load.h. It is attached by a link, which is a descriptor of
 * this process: however the process ends, the kernel then detaches the program and the host has its
 * interface back. One of the user's own takes its place in the same way. Or there is a program
 * already, which somebody else has attached, and the map of its sockets is to be had from a file.
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
#include "slabio_xdp_load.h"
#include "slabio_xdp_object.h"

struct slabio_xdp_prog {
	TAILQ_ENTRY(slabio_xdp_prog) next;
	unsigned int refs;
	int ifindex;
	int map;
	int prog; /* -1: another process' */
	int link;
	bool native;
	struct slabio_xdp_object object; /* has map and prog if it is the user's own */
	char *file;
	char *name;
	char *pinned;
	char *given;
};

static TAILQ_HEAD(, slabio_xdp_prog) progs = TAILQ_HEAD_INITIALIZER(progs);

static const char *
advice(int err)
{
	switch (-err) {
	case EPERM:
		return "; run as root, or with CAP_BPF and CAP_NET_ADMIN";
	case EOPNOTSUPP:
		return "; the driver has no native XDP, mode=generic does without";
	case ENOSPC:
		return "; a veth needs as many receive queues as its peer has transmit queues";
	case ERANGE:
		return "; the MTU of the interface, or of a veth's peer, is too large for native "
		       "XDP, unless the program takes packets of several frames (section "
		       "\"xdp.frags\")";
	case EINVAL:
		return "; Linux 5.9 or later is needed";
	default:
		return "";
	}
}

static bool
is_taken(int err)
{
	return err == -EBUSY || err == -EEXIST;
}

static int
attach(struct slabio_xdp_prog *p, uint32_t mode)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = mode);

	p->link = bpf_link_create(p->prog, p->ifindex, BPF_XDP, &opts);
	p->native = mode == XDP_FLAGS_DRV_MODE;
	return p->link >= 0 ? 0 : p->link;
}

static void
say_why_not(const struct slabio_xdp_prog_opts *opts, bool generic, int err)
{
	char other[256];

	if (is_taken(err)) {
		slabio_xdp_describe_other(opts->ifindex, opts->iface, other, sizeof(other));
		SLABIO_LOG(ERR,
			"%s: expected %s to have no XDP program, %s; or give the pinned map of its "
			"sockets as xsk_map=",
			opts->device, opts->iface, other);
	} else {
		SLABIO_LOG(ERR, "%s: %s: cannot attach the XDP program in %s mode: %s%s",
			opts->device, opts->iface, generic ? "generic" : "native", strerror(-err),
			advice(err));
	}
}

static int
attach_best(struct slabio_xdp_prog *p, const struct slabio_xdp_prog_opts *opts)
{
	bool generic = opts->generic;
	int ret = 0;

	if (opts->native) {
		ret = attach(p, XDP_FLAGS_DRV_MODE);
		if (ret == 0)
			return 0;
		if (generic && !is_taken(ret) && ret != -EPERM)
			SLABIO_LOG(NOTICE,
				"%s: %s: native XDP is not to be had, trying generic XDP, which "
				"copies more: %s%s",
				opts->device, opts->iface, strerror(-ret), advice(ret));
		else
			generic = false;
	}
	if (generic)
		ret = attach(p, XDP_FLAGS_SKB_MODE);
	if (ret != 0)
		say_why_not(opts, generic, ret);
	return ret;
}

static void
release(struct slabio_xdp_prog *p)
{
	if (p->link >= 0)
		close(p->link);
	if (p->object.obj != NULL) {
		slabio_xdp_object_close(&p->object);
	} else {
		if (p->prog >= 0)
			close(p->prog);
		if (p->map >= 0)
			close(p->map);
	}
	free(p->file);
	free(p->name);
	free(p->pinned);
	free(p->given);
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

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Attached before, by somebody who keeps it. */
static bool
is_anothers(const struct slabio_xdp_prog *p)
{
	return p->pinned != NULL || p->given != NULL;
}

/* One that is there must be as the next port wants it. */
static struct slabio_xdp_prog *
join(struct slabio_xdp_prog *p, const struct slabio_xdp_prog_opts *opts)
{
	rte_errno = EBUSY;
	if (!same_text(p->file, opts->file) || !same_text(p->name, opts->name) ||
		!same_text(p->pinned, opts->pinned) || !same_text(p->given, opts->given)) {
		SLABIO_LOG(ERR,
			"%s: %s: expected the XDP program that another port of this process has "
			"there (%s); give both the same xdp_prog=, xdp_prog_name=, xsk_map= "
			"and xsk_socket=",
			opts->device, opts->iface, slabio_xdp_prog_text(p));
		return NULL;
	}
	if (is_anothers(p) || (p->native ? opts->native : opts->generic)) {
		p->refs++;
		return p;
	}
	SLABIO_LOG(ERR,
		"%s: %s: expected an interface in %s mode, found that another port has it in %s "
		"mode; give both the same mode=",
		opts->device, opts->iface, p->native ? "generic" : "native",
		p->native ? "native" : "generic");
	return NULL;
}

/* ---- whose program, and where its map comes from ---- */

static int
take_own(struct slabio_xdp_prog *p, const struct slabio_xdp_prog_opts *opts)
{
	int ret = p->map = slabio_xdp_create_map(opts->queues);

	if (ret >= 0)
		ret = p->prog = slabio_xdp_load(p->map);
	if (ret >= 0)
		return attach_best(p, opts);
	SLABIO_LOG(ERR, "%s: %s: cannot %s: %s%s", opts->device, opts->iface,
		p->map < 0 ? "create the map of sockets" : "load the XDP program", strerror(-ret),
		advice(ret));
	return ret;
}

static int
take_object(struct slabio_xdp_prog *p, const struct slabio_xdp_prog_opts *opts)
{
	int ret = slabio_xdp_object_load(&p->object, opts);

	if (ret != 0)
		return ret;
	p->prog = p->object.prog;
	p->map = p->object.map;
	return attach_best(p, opts);
}

static void
look_at_anothers(struct slabio_xdp_prog *p, const struct slabio_xdp_prog_opts *opts,
	const char *which, const char *path)
{
	struct slabio_xdp_other other;

	if (!slabio_xdp_attached(opts->ifindex, &other))
		SLABIO_LOG(WARNING,
			"%s: %s has no XDP program: nothing arrives until there is one that %s %s",
			opts->device, opts->iface, which, path);
	p->native = other.native;
}

static int
take_pinned(struct slabio_xdp_prog *p, const struct slabio_xdp_prog_opts *opts)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);
	int ret = p->map = bpf_obj_get(opts->pinned);

	if (ret >= 0)
		ret = bpf_obj_get_info_by_fd(p->map, &info, &len);
	if (ret < 0) {
		SLABIO_LOG(ERR,
			"%s: expected a pinned map at xsk_map=%s that this user may read and "
			"write, found: %s%s",
			opts->device, opts->pinned, strerror(-ret),
			ret == -EPERM ? "; with kernel.unprivileged_bpf_disabled, kernels before "
					"5.19 ask for CAP_BPF"
				      : "");
		return ret;
	}
	if (info.type != BPF_MAP_TYPE_XSKMAP || info.max_entries < opts->queues) {
		SLABIO_LOG(ERR,
			"%s: expected a map of type XSKMAP (%u) with at least %u entries, as many "
			"as "
			"the queues of %s up to the port's last, at xsk_map=%s, found type %u with "
			"%u entries",
			opts->device, BPF_MAP_TYPE_XSKMAP, opts->queues, opts->iface, opts->pinned,
			info.type, info.max_entries);
		return -EINVAL;
	}
	look_at_anothers(p, opts, "uses the map", opts->pinned);
	return 0;
}

static bool
copy_text(char **to, const char *from)
{
	*to = from != NULL ? strdup(from) : NULL;
	return from == NULL || *to != NULL;
}

struct slabio_xdp_prog *
slabio_xdp_prog_get(const struct slabio_xdp_prog_opts *opts)
{
	struct slabio_xdp_prog *p = find(opts->ifindex);
	int ret;

	if (p != NULL)
		return join(p, opts);
	p = calloc(1, sizeof(*p));
	if (p == NULL) {
		SLABIO_LOG(ERR, "%s: no memory for the XDP program", opts->device);
		rte_errno = ENOMEM;
		return NULL;
	}
	*p = (struct slabio_xdp_prog){
		.refs = 1, .ifindex = opts->ifindex, .map = -1, .prog = -1, .link = -1};
	if (!copy_text(&p->file, opts->file) || !copy_text(&p->name, opts->name) ||
		!copy_text(&p->pinned, opts->pinned) || !copy_text(&p->given, opts->given)) {
		SLABIO_LOG(ERR, "%s: no memory for the XDP program", opts->device);
		ret = -ENOMEM;
	} else if (opts->given != NULL) {
		look_at_anothers(p, opts, "belongs to", opts->given);
		ret = 0;
	} else {
		ret = opts->pinned != NULL ? take_pinned(p, opts)
		      : opts->file != NULL ? take_object(p, opts)
					   : take_own(p, opts);
	}
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

const char *
slabio_xdp_prog_text(const struct slabio_xdp_prog *p)
{
	if (is_anothers(p))
		return p->native ? "native program of another process"
				 : "generic program of another process";
	if (p->file != NULL)
		return p->native ? "native program from xdp_prog="
				 : "generic program from xdp_prog=";
	return p->native ? "native program" : "generic program";
}

int
slabio_xdp_prog_set(const struct slabio_xdp_prog *p, uint32_t queue, int fd)
{
	if (p->given != NULL)
		return slabio_xdp_given_enter(p->given, p->ifindex, queue, fd);
	/* in a map that others use too, nobody is pushed out */
	return bpf_map_update_elem(p->map, &queue, &fd, BPF_NOEXIST);
}

void
slabio_xdp_prog_clear(const struct slabio_xdp_prog *p, uint32_t queue)
{
	/* a socket that was closed or lost its interface has left the map by itself */
	if (p->given != NULL)
		(void)slabio_xdp_given_leave(p->given, p->ifindex, queue);
	else
		(void)bpf_map_delete_elem(p->map, &queue);
}
