/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SLABIO_XDP_UAPI_H
#define SLABIO_XDP_UAPI_H

/**
 * @file
 * What the kernel offers to AF_XDP sockets and the installed headers may not name yet. Whether the
 * running kernel has it is found out by asking for it.
 */

#include <stdint.h>
#include <sys/socket.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>

#ifndef AF_XDP
#define AF_XDP 44
#endif
#ifndef SOL_XDP
#define SOL_XDP 283
#endif

/* bind: packets of several frames, since Linux 6.6 */
#ifndef XDP_USE_SG
#define XDP_USE_SG (1 << 4)
#endif
/* descriptor: the packet goes on in the next one */
#ifndef XDP_PKT_CONTD
#define XDP_PKT_CONTD (1 << 0)
#endif
/* socket option: packets that one send call transmits in copy mode, since Linux 6.17 */
#ifndef XDP_MAX_TX_SKB_BUDGET
#define XDP_MAX_TX_SKB_BUDGET 9
#endif
/*
 * registration: there may be metadata before what is sent. Since Linux 6.11; 6.8 knew the metadata
 * but not the flag, without which a registration cannot tell a kernel that has it from one that has
 * not.
 */
#ifndef XDP_UMEM_TX_METADATA_LEN
#define XDP_UMEM_TX_METADATA_LEN (1 << 2)
#endif
/* descriptor: there is */
#ifndef XDP_TX_METADATA
#define XDP_TX_METADATA (1 << 1)
#endif
/* metadata: sum up from csum_start to the end, into the field at csum_offset from there */
#ifndef XDP_TXMD_FLAGS_CHECKSUM
#define XDP_TXMD_FLAGS_CHECKSUM (1 << 1)
#endif
/* busy polling, since Linux 5.11 */
#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#endif
#ifndef SO_BUSY_POLL_BUDGET
#define SO_BUSY_POLL_BUDGET 70
#endif
/* which network namespace a socket is of, since Linux 5.14 */
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/* struct xdp_umem_reg as it is since Linux 6.8; as long as it was */
struct slabio_xdp_umem_reg {
	uint64_t addr;
	uint64_t len;
	uint32_t chunk_size;
	uint32_t headroom;
	uint32_t flags;
	uint32_t tx_metadata_len;
};
_Static_assert(sizeof(struct slabio_xdp_umem_reg) == sizeof(struct xdp_umem_reg),
	"the kernel tells the structure's versions by its size");

/* struct xsk_tx_metadata, as far as it asks for something */
struct slabio_xdp_tx_meta {
	uint64_t flags;
	uint16_t csum_start; /* from the packet's first byte */
	uint16_t csum_offset;
	uint32_t pad;
	uint64_t launch_time;
};
_Static_assert(sizeof(struct slabio_xdp_tx_meta) % 8 == 0,
	"the kernel takes metadata of whole words of 8 bytes");

/* what the kernel leaves free before a packet in each frame */
#define SLABIO_XDP_HEADROOM 256
/* the smallest frame that the kernel takes */
#define SLABIO_XDP_MIN_FRAME 2048
/* frames of one packet sent in copy mode: the fragments an skb has, in any configuration */
#define SLABIO_XDP_TX_FRAMES 17

#endif /* SLABIO_XDP_UAPI_H */
