/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SLABIO_XDP_LOAD_H
#define SLABIO_XDP_LOAD_H

/**
 * @file
 * The XDP program of those who have none: packets of a queue that has a socket go there, all others
 * to the host. It is five instructions, so it is written down here and no compiler or object file
 * is needed.
 */

#include <errno.h>
#include <stddef.h>
#include <linux/bpf.h>

#include <bpf/bpf.h>

/* program load: it takes packets of several frames, since Linux 5.18 */
#ifndef BPF_F_XDP_HAS_FRAGS
#define BPF_F_XDP_HAS_FRAGS (1U << 5)
#endif

/** A map of sockets, one for each queue; a descriptor or a negative errno. */
static inline int
slabio_xdp_create_map(unsigned int queues)
{
	return bpf_map_create(
		BPF_MAP_TYPE_XSKMAP, "slabio_xsks", sizeof(int), sizeof(int), queues, NULL);
}

/** The program that uses such a map; a descriptor or a negative errno. */
static inline int
slabio_xdp_load(int map)
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
	const size_t n = sizeof(code) / sizeof(code[0]);
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = BPF_F_XDP_HAS_FRAGS);
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "slabio_xdp", "Dual BSD/GPL", code, n, &opts);

	if (fd >= 0 || fd == -EPERM)
		return fd;
	/* before 5.18 there were no packets of several frames */
	opts.prog_flags = 0;
	return bpf_prog_load(BPF_PROG_TYPE_XDP, "slabio_xdp", "Dual BSD/GPL", code, n, &opts);
}

#endif /* SLABIO_XDP_LOAD_H */
