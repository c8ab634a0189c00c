/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SLABIO_XDP_OBJECT_H
#define SLABIO_XDP_OBJECT_H

/**
 * @file
 * A user's own XDP program, from an object file. Callers hold slabio_xdp_lock.
 */

struct bpf_object;
struct slabio_xdp_prog_opts;

/** The map that such a program redirects packets with: the sockets by number of their queue. */
#define SLABIO_XDP_MAP_NAME "xsks_map"

struct slabio_xdp_object {
	struct bpf_object *obj; /* NULL: none; has the descriptors */
	int prog;
	int map;
};

/** 0, or a negative errno after a message, which has the verifier's words in it. */
int slabio_xdp_object_load(struct slabio_xdp_object *o, const struct slabio_xdp_prog_opts *opts);
/** Does nothing without an object. */
void slabio_xdp_object_close(struct slabio_xdp_object *o);

#endif /* SLABIO_XDP_OBJECT_H */
