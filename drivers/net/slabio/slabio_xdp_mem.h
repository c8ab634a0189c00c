/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SLABIO_XDP_MEM_H
#define SLABIO_XDP_MEM_H

/**
 * @file
 * A mempool's memory as the kernel sees it: the UMEM whose frames are the mbufs.
 *
 * Addresses in the rings count from the region's first byte. A frame is either the mbuf's data
 * buffer (unaligned frames, any size) or, where objects lie at a power of two, the whole object
 * (aligned frames). With the former the kernel is never shown an mbuf's header. Mbufs that hold
 * their data in external buffers, bound to them for good, are known by those buffers: the region
 * is that of the buffers, and an array leads from them to the mbufs.
 *
 * Which frames are in the kernel's hands is kept here, not believed: holder[] has a tag for each
 * object, written when its frame goes into a ring and cleared when it comes out. An address that
 * comes from the kernel must name an object that carries the tag of that ring, or it is counted and
 * ignored. What still carries a tag when a socket is closed goes back to the pool.
 *
 * holder[] is accessed relaxed: an entry changes only while its mbuf belongs to the thread that
 * changes it, and who passes mbufs between threads orders their contents already.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <rte_branch_prediction.h>
#include <rte_mbuf.h>

#define SLABIO_XDP_SOCKETS 1024 /* of one mempool */

struct slabio_xdp_umem;

struct slabio_xdp_mem {
	/* what the data path needs */
	uintptr_t first;  /* the first mbuf, or the first external buffer */
	uintptr_t base;	  /* address 0 of the rings */
	uint64_t origin;  /* the ring address of the first frame */
	uint64_t granule; /* all of them are at multiples of it from the first */
	uint64_t inverse; /* 2^64 / granule, rounded up */
	uint64_t count;	  /* multiples that may be mbufs */
	uint32_t buf_off; /* from the first byte of a frame to its mbuf's data buffer */
	uint32_t buf_len;
	bool unaligned;
	atomic_ushort *holder;	 /* shared with secondaries, at another address there */
	struct rte_mbuf **mbufs; /* of external buffers; NULL if mbufs hold their data themselves */
	uint64_t ol_flags;	 /* that every mbuf of the pool has: RTE_MBUF_F_EXTERNAL, or 0 */
	struct rte_mempool *mp;

	/* for set-up, in the primary */
	int holder_fd;
	TAILQ_ENTRY(slabio_xdp_mem) next;
	TAILQ_HEAD(, slabio_xdp_umem) umems;
	unsigned int refs;
	uint64_t len;
	uint32_t frame;	   /* its size */
	uint32_t headroom; /* before the kernel's own */
	uint32_t room;	   /* what of a packet fits into one */
	uint64_t slots[SLABIO_XDP_SOCKETS / 64];
};

/**
 * The memory of a mempool, laid out at the first call.
 *
 * @return NULL after a message, with rte_errno set
 */
struct slabio_xdp_mem *slabio_xdp_mem_get(struct rte_mempool *mp, const char *device);
void slabio_xdp_mem_put(struct slabio_xdp_mem *mem);
/** Finds out which mbuf has which external buffer; 0 or -ENOMEM. For every process that polls. */
int slabio_xdp_mem_list(struct slabio_xdp_mem *mem);

/** A number for one socket's tags, or -ENOSPC. */
int slabio_xdp_slot_get(struct slabio_xdp_mem *mem);
/** Frees the mbufs that still carry a tag of this socket, and its number. Returns how many. */
unsigned int slabio_xdp_slot_put(struct slabio_xdp_mem *mem, int slot);

static inline uint16_t
slabio_xdp_tag(int slot, bool tx)
{
	return (uint16_t)(2 * slot + 2 + tx);
}

static __rte_always_inline uint64_t
slabio_xdp_index(const struct slabio_xdp_mem *mem, uint64_t distance)
{
	return (uint64_t)(((unsigned __int128)distance * mem->inverse) >> 64);
}

/** The tag of what a secondary has taken out of a ring, but not made the kernel know so yet. */
static __rte_always_inline uint16_t
slabio_xdp_taken(uint16_t tag)
{
	return (uint16_t)(tag | 0x8000);
}

/** Where an mbuf lies, for its index: itself, or its external buffer. */
static __rte_always_inline uint64_t
slabio_xdp_distance(const struct slabio_xdp_mem *mem, const struct rte_mbuf *m)
{
	return (mem->mbufs == NULL ? (uintptr_t)m : (uintptr_t)m->buf_addr) - mem->first;
}

static __rte_always_inline struct rte_mbuf *
slabio_xdp_mbuf(const struct slabio_xdp_mem *mem, uint64_t index)
{
	return mem->mbufs == NULL ? (struct rte_mbuf *)(mem->first + index * mem->granule)
				  : mem->mbufs[index];
}

/** Whether an mbuf of the pool has its data where it belongs, and nobody else refers to them. */
static __rte_always_inline bool
slabio_xdp_is_whole(const struct slabio_xdp_mem *mem, const struct rte_mbuf *m)
{
	const uint64_t attached = RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;

	if ((m->ol_flags & attached) != mem->ol_flags || rte_mbuf_refcnt_read(m) != 1)
		return false;
	/* clones of an mbuf with an external buffer count as references to the buffer */
	return mem->mbufs == NULL || rte_mbuf_ext_refcnt_read(m->shinfo) == 1;
}

/** Marks an mbuf as being in a ring; with a tag of 0 as being in none. */
static __rte_always_inline void
slabio_xdp_hold(const struct slabio_xdp_mem *mem, const struct rte_mbuf *m, uint16_t tag)
{
	uint64_t i = slabio_xdp_index(mem, slabio_xdp_distance(mem, m));

	atomic_store_explicit(&mem->holder[i], tag, memory_order_relaxed);
}

/** The ring address that makes an mbuf's frame the kernel's to fill. */
static __rte_always_inline uint64_t
slabio_xdp_fill_addr(const struct slabio_xdp_mem *mem, const struct rte_mbuf *m)
{
	return slabio_xdp_distance(mem, m) + mem->origin;
}

/** The ring address of an mbuf's data. */
static __rte_always_inline uint64_t
slabio_xdp_data_addr(const struct slabio_xdp_mem *mem, const struct rte_mbuf *m)
{
	uint64_t buf = (uintptr_t)m->buf_addr - mem->base;

	if (mem->unaligned)
		return buf | (uint64_t)m->data_off << XSK_UNALIGNED_BUF_OFFSET_SHIFT;
	return buf + m->data_off;
}

/**
 * The mbuf that a ring address from the kernel names, no longer held.
 *
 * @param next its new tag
 * @param[out] offset from the start of its data buffer; may be anything
 * @return NULL if the address names no mbuf with this tag
 */
static __rte_always_inline struct rte_mbuf *
slabio_xdp_claim(const struct slabio_xdp_mem *mem, uint64_t addr, uint16_t tag, uint16_t next,
	uint64_t *offset)
{
	uint64_t base = mem->unaligned ? addr & XSK_UNALIGNED_BUF_ADDR_MASK : addr;
	uint64_t distance = base - mem->origin;
	uint64_t i = slabio_xdp_index(mem, distance);

	/* an address before the origin has become a very large distance */
	if (unlikely(i >= mem->count ||
		     atomic_load_explicit(&mem->holder[i], memory_order_relaxed) != tag))
		return NULL;
	distance -= i * mem->granule;
	if (mem->unaligned) {
		if (unlikely(distance != 0))
			return NULL;
		*offset = addr >> XSK_UNALIGNED_BUF_OFFSET_SHIFT;
	} else {
		*offset = distance - mem->buf_off;
	}
	atomic_store_explicit(&mem->holder[i], next, memory_order_relaxed);
	return slabio_xdp_mbuf(mem, i);
}

#endif /* SLABIO_XDP_MEM_H */
