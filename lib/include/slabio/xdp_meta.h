/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SLABIO_XDP_META_H
#define SLABIO_XDP_META_H

/**
 * @file
 * What a user's own XDP program can tell a net_slabio port about a packet (device argument
 * xdp_meta=on). For BPF programs and for C.
 *
 * The program makes room for it in front of the packet with bpf_xdp_adjust_meta(), fills it in
 * whole, and redirects the packet. It does so with every packet that it redirects to the port.
 */

#include <linux/types.h>

/** In the last word before the packet: tells that the rest is there. */
#define SIO_XDP_META_MAGIC 0x736c6d31

#define SIO_XDP_META_TIMESTAMP (1U << 0)
#define SIO_XDP_META_HASH      (1U << 1)
#define SIO_XDP_META_MARK      (1U << 2)

struct sio_xdp_meta {
	__u64 timestamp; /**< when it was received, in nanoseconds */
	__u32 hash;	 /**< of its flow: mbuf->hash.rss */
	__u32 mark;	 /**< for the application: mbuf->hash.fdir.hi */
	__u32 flags;	 /**< which of these are valid: SIO_XDP_META_* */
	__u32 magic;	 /**< SIO_XDP_META_MAGIC */
};

#endif /* SLABIO_XDP_META_H */
