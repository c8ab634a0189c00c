/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * XDP programs for tests of xdp_prog=: one that a user might have, and, if the macro that names the
 * fault is defined, ones that the port has to refuse.
 */

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/in.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct {
#ifdef WRONG_MAP_TYPE
	__uint(type, BPF_MAP_TYPE_ARRAY);
#else
	__uint(type, BPF_MAP_TYPE_XSKMAP);
#endif
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
#ifdef WRONG_MAP_NAME
} my_sockets SEC(".maps");
#define xsks_map my_sockets
#else
} xsks_map SEC(".maps");
#endif

#ifdef NO_PROGRAM
SEC("socket")
int
not_xdp(struct __sk_buff *skb)
{
	return 0;
}
#else
/* UDP over IPv4 goes to the sockets, everything else to the host. */
SEC("xdp.frags")
int
udp_only(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);

#ifndef REFUSED_BY_VERIFIER
	if ((void *)(ip + 1) > end)
		return XDP_PASS;
#endif
	if (eth->h_proto != bpf_htons(ETH_P_IP) || ip->protocol != IPPROTO_UDP)
		return XDP_PASS;
#ifdef WRONG_MAP_TYPE
	return bpf_map_lookup_elem(&xsks_map, &(__u32){0}) != NULL ? XDP_DROP : XDP_PASS;
#else
	return (int)bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_PASS);
#endif
}
#endif

#ifdef METADATA
#include <slabio/xdp_meta.h>

/* Everything, with metadata made from the last byte of the source address; with none for 0. */
SEC("xdp.frags")
int
with_metadata(struct xdp_md *ctx)
{
	struct sio_xdp_meta *meta;
	struct ethhdr *eth;
	__u8 number;

	eth = (void *)(long)ctx->data;
	if ((void *)(eth + 1) > (void *)(long)ctx->data_end)
		return XDP_PASS;
	number = eth->h_source[5];
	if (number != 0) {
		if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*meta)) != 0)
			return XDP_DROP;
		meta = (void *)(long)ctx->data_meta;
		if ((void *)(meta + 1) > (void *)(long)ctx->data)
			return XDP_DROP;
		meta->timestamp = 1000000000ULL + number;
		meta->hash = 0xabcd0000 + number;
		meta->mark = 0x4200 + number;
		meta->flags = number % 8;
		meta->magic = SIO_XDP_META_MAGIC;
	}
	return (int)bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_PASS);
}
#endif

#ifdef TWO_PROGRAMS
SEC("xdp")
int
everything(struct xdp_md *ctx)
{
	return (int)bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_DROP);
}
#endif

char program_license[] SEC("license") = "Dual BSD/GPL";
