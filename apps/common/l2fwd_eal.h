/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef L2FWD_EAL_H
#define L2FWD_EAL_H

/**
 * @file
 * What slabio-l2fwd and slabio-eal-worker do alike: arguments of their own behind those of EAL, the
 * payload at the same address in both, and mbufs made new.
 */

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <rte_common.h>
#include <rte_mbuf.h>

#include <slabio/segment.h>

/** Where a program's own arguments begin: at the "--" that ends EAL's. */
static inline int
l2fwd_eal_own_args(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--") == 0)
			return i;
	}
	return argc;
}

/** Where the primary tries to have the payload: away from where EAL and the kernel put things. */
#define L2FWD_EAL_BASE ((uintptr_t)0x200000000000)

/**
 * Maps a payload segment so that its data starts at base, in addition to where it is.
 *
 * @param base 0: anywhere
 * @return 0; -EEXIST something is there; another negative errno
 */
static inline int
l2fwd_eal_map(const struct sio_segment *seg, uintptr_t base, void **data, size_t *bytes)
{
	void *want = base == 0 ? NULL : (void *)(base - SIO_SEGMENT_HEADER_SIZE), *at;

	*bytes = RTE_ALIGN_CEIL(SIO_SEGMENT_HEADER_SIZE + sio_segment_size(seg),
		(size_t)sio_segment_page_size(seg));
	at = mmap(want, *bytes, PROT_READ | PROT_WRITE,
		MAP_SHARED | (want == NULL ? 0 : MAP_FIXED_NOREPLACE), sio_segment_fd(seg), 0);
	if (at == MAP_FAILED)
		return -errno;
	if (want != NULL && at != want) {
		munmap(at, *bytes);
		return -EEXIST;
	}
	*data = RTE_PTR_ADD(at, SIO_SEGMENT_HEADER_SIZE);
	return 0;
}

static inline void
l2fwd_eal_unmap(void *data, size_t bytes)
{
	munmap(RTE_PTR_SUB(data, SIO_SEGMENT_HEADER_SIZE), bytes);
}

/** What recovery does with each mbuf that comes back from the hands of the dead. */
static inline void
l2fwd_eal_renew(void *object, void *mempool)
{
	struct rte_mbuf *m = object;

	RTE_SET_USED(mempool);
	rte_mbuf_ext_refcnt_set(m->shinfo, 1);
	rte_mbuf_refcnt_set(m, 1);
	m->ol_flags = RTE_MBUF_F_EXTERNAL;
	m->nb_segs = 1;
	m->next = NULL;
}

#endif /* L2FWD_EAL_H */
