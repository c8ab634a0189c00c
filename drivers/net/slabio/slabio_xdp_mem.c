/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Finding out where a mempool's mbufs lie, and whether the kernel can have them as frames.
 *
 * Control threads only. The list and everything in it that is not for the data path is changed
 * under slabio_xdp_lock, which the callers hold.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_errno.h>

#include "slabio_pmd.h"
#include "slabio_xdp_uapi.h"
#include "slabio_xdp_mem.h"

static TAILQ_HEAD(, slabio_xdp_mem) mems = TAILQ_HEAD_INITIALIZER(mems);

/* ---- where the mbufs, or their external buffers, are ---- */

struct extent {
	uintptr_t low;
	uintptr_t high;
	uint64_t divisor; /* of all distances from the first object that was seen */
	uintptr_t seen;
};

static uint64_t
common_divisor(uint64_t a, uint64_t b)
{
	while (b != 0) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

static bool
is_external(struct rte_mempool *mp)
{
	return rte_pktmbuf_priv_flags(mp) & RTE_PKTMBUF_POOL_F_PINNED_EXT_BUF;
}

static void
look_at_object(struct rte_mempool *mp, void *arg, void *obj, unsigned int i)
{
	struct extent *e = arg;
	uintptr_t p =
		is_external(mp) ? (uintptr_t)((struct rte_mbuf *)obj)->buf_addr : (uintptr_t)obj;

	if (i == 0)
		*e = (struct extent){.low = p, .high = p, .seen = p};
	e->low = RTE_MIN(e->low, p);
	e->high = RTE_MAX(e->high, p);
	e->divisor = common_divisor(p > e->seen ? p - e->seen : e->seen - p, e->divisor);
}

struct chunk_search {
	uintptr_t at;
	uintptr_t next;
};

static void
look_at_chunk(struct rte_mempool *mp __rte_unused, void *arg, struct rte_mempool_memhdr *chunk,
	unsigned int i __rte_unused)
{
	struct chunk_search *s = arg;
	uintptr_t start = (uintptr_t)chunk->addr;

	if (s->at >= start && s->at < start + chunk->len)
		s->next = start + chunk->len;
}

/* Where the chunk that holds an address ends; the address itself if none does. */
static uintptr_t
chunk_end(struct rte_mempool *mp, uintptr_t at)
{
	struct chunk_search s = {.at = at, .next = at};

	rte_mempool_mem_iter(mp, look_at_chunk, &s);
	return s.next;
}

/* Whether all mbufs are in memory without a gap; the chunks may be several. */
static bool
contiguous(struct rte_mempool *mp, uintptr_t low, uintptr_t high)
{
	while (low < high) {
		uintptr_t end = chunk_end(mp, low);

		if (end == low)
			return false;
		low = end;
	}
	return true;
}

/* ---- frames ---- */

/*
 * One page at most, which every kernel takes. Aligned frames have less to say and to check in the
 * kernel, so they are chosen where the objects lie that way.
 */
static void
choose_frames(struct slabio_xdp_mem *mem, const struct extent *e, uint64_t total, uint32_t buf_off)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const uint32_t more = RTE_PKTMBUF_HEADROOM > SLABIO_XDP_HEADROOM
				      ? RTE_PKTMBUF_HEADROOM - SLABIO_XDP_HEADROOM
				      : 0;
	const uint64_t size = mem->granule;
	const uint64_t within = mem->first & (size - 1);

	mem->unaligned = !(size >= SLABIO_XDP_MIN_FRAME && size <= page &&
			   rte_is_power_of_2(size) && within + total <= size);
	if (mem->unaligned) {
		mem->frame = (uint32_t)RTE_MIN((uint64_t)mem->buf_len, page);
		mem->headroom = more;
		mem->buf_off = 0;
		mem->base = RTE_ALIGN_FLOOR(mem->first + buf_off, page);
		mem->origin = mem->first + buf_off - mem->base;
		mem->room = mem->frame - RTE_MIN(mem->frame, more + SLABIO_XDP_HEADROOM);
	} else {
		mem->frame = (uint32_t)size;
		mem->headroom = (uint32_t)within + buf_off + more;
		mem->buf_off = (uint32_t)within + buf_off;
		mem->base = RTE_ALIGN_FLOOR(mem->first, page);
		mem->origin = mem->first - within - mem->base;
		mem->room = mem->buf_len - RTE_MIN(mem->buf_len, more + SLABIO_XDP_HEADROOM);
	}
	mem->len = RTE_ALIGN_CEIL(e->high + total, page) - mem->base;
}

static void
note_mbuf(struct rte_mempool *mp __rte_unused, void *arg, void *obj, unsigned int i __rte_unused)
{
	struct slabio_xdp_mem *mem = arg;

	mem->mbufs[slabio_xdp_distance(mem, obj) / mem->granule] = obj;
}

int
slabio_xdp_mem_list(struct slabio_xdp_mem *mem)
{
	mem->mbufs = calloc(mem->count, sizeof(*mem->mbufs));
	if (mem->mbufs == NULL)
		return -ENOMEM;
	mem->ol_flags = RTE_MBUF_F_EXTERNAL;
	rte_mempool_obj_iter(mem->mp, note_mbuf, mem);
	return 0;
}

/* Which mbuf has which external buffer: there are as many of one as of the other. */
static int
list_buffers(struct slabio_xdp_mem *mem, const char *device)
{
	struct rte_mempool *mp = mem->mp;

	if (mem->count != mp->populated_size || mem->granule < mem->buf_len) {
		SLABIO_LOG(ERR,
			"%s: expected the %u external buffers of pool %s in one piece, one behind "
			"the other, found them spread over %" PRIu64 " bytes; give them to "
			"rte_pktmbuf_pool_create_extbuf() as one area",
			device, mp->populated_size, mp->name,
			(mem->count - 1) * mem->granule + mem->buf_len);
		return -EINVAL;
	}
	if (slabio_xdp_mem_list(mem) == 0)
		return 0;
	SLABIO_LOG(ERR, "%s: no memory for a list of %" PRIu64 " external buffers", device,
		mem->count);
	return -ENOMEM;
}

/* In a file that secondaries can be given. */
static atomic_ushort *
share_holders(struct slabio_xdp_mem *mem)
{
	const size_t len = mem->count * sizeof(*mem->holder);
	void *map = MAP_FAILED;

	mem->holder_fd = memfd_create("slabio-holders", MFD_CLOEXEC);
	if (mem->holder_fd >= 0 && ftruncate(mem->holder_fd, (off_t)len) == 0)
		map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, mem->holder_fd, 0);
	if (map != MAP_FAILED)
		return map;
	if (mem->holder_fd >= 0)
		close(mem->holder_fd);
	return NULL;
}

static int
lay_out(struct slabio_xdp_mem *mem, const char *device)
{
	struct rte_mempool *mp = mem->mp;
	const bool external = is_external(mp);
	const uint32_t buf_off = external ? 0 : sizeof(struct rte_mbuf) + rte_pktmbuf_priv_size(mp);
	const uint64_t total =
		external ? rte_pktmbuf_data_room_size(mp) : mp->elt_size + mp->trailer_size;
	struct extent e = {0};
	int ret;

	rte_mempool_obj_iter(mp, look_at_object, &e);
	if (e.low == 0) {
		SLABIO_LOG(
			ERR, "%s: expected a pool with mbufs, pool %s is empty", device, mp->name);
		return -EINVAL;
	}
	if (!external && !contiguous(mp, e.low, e.high + mp->elt_size)) {
		SLABIO_LOG(ERR,
			"%s: expected the memory of pool %s in one piece, found %u pieces with "
			"gaps; create fewer mbufs, or take a handler that asks for one piece (slab "
			"does)",
			device, mp->name, mp->nb_mem_chunks);
		return -EINVAL;
	}
	mem->first = e.low;
	mem->granule = e.divisor != 0 ? e.divisor : rte_align64pow2(total);
	mem->inverse = UINT64_MAX / mem->granule + 1;
	mem->count = (e.high - e.low) / mem->granule + 1;
	mem->buf_len = rte_pktmbuf_data_room_size(mp);
	if (external) {
		ret = list_buffers(mem, device);
		if (ret != 0)
			return ret;
	}
	choose_frames(mem, &e, total, buf_off);
	if (mem->frame < SLABIO_XDP_MIN_FRAME) {
		SLABIO_LOG(ERR,
			"%s: expected mbufs with at least %u bytes of room each for pool %s, found "
			"%u: the kernel takes no smaller frames; use larger mbufs (testpmd: "
			"--mbuf-size=%u)",
			device, SLABIO_XDP_MIN_FRAME, mp->name, mem->buf_len,
			SLABIO_XDP_MIN_FRAME + RTE_PKTMBUF_HEADROOM);
		return -EINVAL;
	}
	mem->holder = share_holders(mem);
	if (mem->holder == NULL) {
		SLABIO_LOG(
			ERR, "%s: no memory for %" PRIu64 " holders of frames", device, mem->count);
		return -ENOMEM;
	}
	return 0;
}

struct slabio_xdp_mem *
slabio_xdp_mem_get(struct rte_mempool *mp, const char *device)
{
	struct slabio_xdp_mem *mem;
	int ret;

	TAILQ_FOREACH(mem, &mems, next)
	if (mem->mp == mp) {
		mem->refs++;
		return mem;
	}
	mem = calloc(1, sizeof(*mem));
	if (mem == NULL) {
		SLABIO_LOG(ERR, "%s: no memory for the frames of pool %s", device, mp->name);
		rte_errno = ENOMEM;
		return NULL;
	}
	mem->mp = mp;
	mem->refs = 1;
	TAILQ_INIT(&mem->umems);
	ret = lay_out(mem, device);
	if (ret != 0) {
		free(mem->mbufs);
		free(mem);
		rte_errno = -ret;
		return NULL;
	}
	TAILQ_INSERT_TAIL(&mems, mem, next);
	return mem;
}

void
slabio_xdp_mem_put(struct slabio_xdp_mem *mem)
{
	if (--mem->refs != 0)
		return;
	TAILQ_REMOVE(&mems, mem, next);
	munmap((void *)mem->holder, mem->count * sizeof(*mem->holder));
	close(mem->holder_fd);
	free(mem->mbufs);
	free(mem);
}

/* ---- sockets ---- */

int
slabio_xdp_slot_get(struct slabio_xdp_mem *mem)
{
	unsigned int i;

	for (i = 0; i < SLABIO_XDP_SOCKETS; i++)
		if ((mem->slots[i / 64] & UINT64_C(1) << (i % 64)) == 0) {
			mem->slots[i / 64] |= UINT64_C(1) << (i % 64);
			return (int)i;
		}
	return -ENOSPC;
}

unsigned int
slabio_xdp_slot_put(struct slabio_xdp_mem *mem, int slot)
{
	const uint16_t rx = slabio_xdp_tag(slot, false), tx = slabio_xdp_tag(slot, true);
	unsigned int n = 0;
	uint64_t i;

	for (i = 0; i < mem->count; i++) {
		uint16_t tag = atomic_load_explicit(&mem->holder[i], memory_order_relaxed);

		if (tag != rx && tag != tx)
			continue;
		atomic_store_explicit(&mem->holder[i], 0, memory_order_relaxed);
		rte_mbuf_raw_free(slabio_xdp_mbuf(mem, i));
		n++;
	}
	mem->slots[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
	return n;
}
