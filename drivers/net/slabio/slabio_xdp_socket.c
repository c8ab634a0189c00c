/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * AF_XDP sockets: the memory is registered by the first socket that is bound in a mode, and shared
 * by all that follow in the same mode, on any queue of any interface.
 *
 * A socket that failed to bind is not used again: what it keeps of the attempt is not documented.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_errno.h>

#include "slabio_xdp.h"

/* A queue is free again only a while after its last socket was closed. */
#define BUSY_WAIT_MS  2000
#define BUSY_STEP_US  5000
#define LIMIT_WAIT_MS 300

#define RX_BATCH 32

/* One registration of a pool's memory; what it says of its sockets is the first one's mode. */
struct slabio_xdp_umem {
	TAILQ_ENTRY(slabio_xdp_umem) next;
	LIST_HEAD(, slabio_xdp_queue) queues;
	struct slabio_xdp_mode mode;
};

/* ---- rings ---- */

static void
unmap_ring(struct slabio_xdp_ring *ring)
{
	if (ring->map != NULL)
		munmap(ring->map, ring->map_len);
	memset(ring, 0, sizeof(*ring));
}

static int
map_ring(int fd, struct slabio_xdp_ring *ring, const struct xdp_ring_offset *off, uint32_t size,
	size_t entry, uint64_t page_offset)
{
	uint8_t *map;

	ring->map_len = off->desc + size * entry;
	map = mmap(NULL, ring->map_len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
		(off_t)page_offset);
	if (map == MAP_FAILED)
		return -errno;
	ring->map = map;
	ring->producer = (_Atomic uint32_t *)(map + off->producer);
	ring->consumer = (_Atomic uint32_t *)(map + off->consumer);
	ring->flags = (_Atomic uint32_t *)(map + off->flags);
	ring->entries = map + off->desc;
	ring->mask = size - 1;
	return 0;
}

static int
set_size(int fd, int option, uint32_t size)
{
	return setsockopt(fd, SOL_XDP, option, &size, sizeof(size)) == 0 ? 0 : -errno;
}

void
slabio_xdp_rings_unmap(struct slabio_xdp_queue *q)
{
	unmap_ring(&q->rx.ring);
	unmap_ring(&q->rx.fill);
	unmap_ring(&q->tx.ring);
	unmap_ring(&q->tx.completion);
}

int
slabio_xdp_rings_map(struct slabio_xdp_queue *q, uint32_t rx, uint32_t tx)
{
	struct xdp_mmap_offsets off;
	socklen_t len = sizeof(off);
	int ret = 0;

	if (getsockopt(q->fd, SOL_XDP, XDP_MMAP_OFFSETS, &off, &len) != 0)
		ret = -errno;
	/* before 5.4 the rings had no flags, and packets nobody to wake up for them */
	if (ret == 0 && len != sizeof(off))
		ret = -ENOSYS;
	if (ret == 0)
		ret = map_ring(q->fd, &q->rx.fill, &off.fr, rx, sizeof(uint64_t),
			XDP_UMEM_PGOFF_FILL_RING);
	if (ret == 0)
		ret = map_ring(q->fd, &q->tx.completion, &off.cr, tx, sizeof(uint64_t),
			XDP_UMEM_PGOFF_COMPLETION_RING);
	if (ret == 0 && q->has_rx)
		ret = map_ring(q->fd, &q->rx.ring, &off.rx, rx, sizeof(struct xdp_desc),
			XDP_PGOFF_RX_RING);
	if (ret == 0 && q->has_tx)
		ret = map_ring(q->fd, &q->tx.ring, &off.tx, tx, sizeof(struct xdp_desc),
			XDP_PGOFF_TX_RING);
	return ret;
}

/* The kernel binds no socket without a fill and a completion ring, also where one stays empty. */
static int
create_rings(struct slabio_xdp_queue *q, const struct slabio_xdp_socket_opts *opts)
{
	const uint32_t rx = rte_align32pow2(RTE_MAX(opts->rx_desc, 2u));
	const uint32_t tx = rte_align32pow2(RTE_MAX(opts->tx_desc, 2u));
	int ret;

	ret = set_size(q->fd, XDP_UMEM_FILL_RING, rx);
	if (ret == 0)
		ret = set_size(q->fd, XDP_UMEM_COMPLETION_RING, tx);
	if (ret == 0 && q->has_rx)
		ret = set_size(q->fd, XDP_RX_RING, rx);
	if (ret == 0 && q->has_tx)
		ret = set_size(q->fd, XDP_TX_RING, tx);
	return ret == 0 ? slabio_xdp_rings_map(q, rx, tx) : ret;
}

/* ---- binding ---- */

/*
 * Bounded too: the kernel counts a registration against the user's limit of locked memory until a
 * while after its last socket was closed, which an attempt in another mode just was.
 */
static int
register_memory(int fd, const struct slabio_xdp_mem *mem, bool tx_meta)
{
	const struct slabio_xdp_umem_reg reg = {
		.addr = mem->base,
		.len = mem->len,
		.chunk_size = mem->frame,
		.headroom = mem->headroom,
		.flags = (mem->unaligned ? XDP_UMEM_UNALIGNED_CHUNK_FLAG : 0) |
			 (tx_meta ? XDP_UMEM_TX_METADATA_LEN : 0),
		.tx_metadata_len = tx_meta ? sizeof(struct slabio_xdp_tx_meta) : 0,
	};

	unsigned int waited;
	int ret = 0;

	for (waited = 0; waited < LIMIT_WAIT_MS * 1000; waited += BUSY_STEP_US) {
		ret = setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)) == 0 ? 0 : -errno;
		if (ret != -ENOBUFS)
			break;
		rte_delay_us_sleep(BUSY_STEP_US);
	}
	return ret;
}

/* Bounded: a queue whose last socket was just closed is busy for some milliseconds. */
static int
bind_socket(int fd, const struct sockaddr_xdp *to)
{
	unsigned int waited;
	int ret = 0;

	for (waited = 0; waited < BUSY_WAIT_MS * 1000; waited += BUSY_STEP_US) {
		ret = bind(fd, (const struct sockaddr *)to, sizeof(*to)) == 0 ? 0 : -errno;
		if (ret != -EBUSY)
			break;
		rte_delay_us_sleep(BUSY_STEP_US);
	}
	return ret;
}

static void
close_attempt(struct slabio_xdp_queue *q)
{
	slabio_xdp_rings_unmap(q);
	if (q->fd >= 0)
		close(q->fd);
	if (q->rx.polls_napi)
		close(q->rx.napi_fd);
	q->rx.polls_napi = false;
	q->fd = -1;
}

/* A descriptor or a negative errno. */
static int
new_socket(const char *given, int ifindex, uint32_t queue)
{
	int fd;

	if (given != NULL)
		return slabio_xdp_given_socket(given, ifindex, queue);
	fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	return fd >= 0 ? fd : -errno;
}

/* What failed, for the message. */
struct attempt {
	const char *what;
	const char *advice; /* NULL: what there is to say of the error */
	bool registering;
	int err;
};

/* One socket, one try: with `umem`, or with a registration of its own if that is NULL. */
static int
try_bind(struct slabio_xdp_queue *q, const struct slabio_xdp_socket_opts *opts,
	const struct slabio_xdp_umem *umem, const struct slabio_xdp_mode *mode,
	struct attempt *failed)
{
	struct sockaddr_xdp to = {
		.sxdp_family = AF_XDP,
		.sxdp_ifindex = (uint32_t)opts->ifindex,
		.sxdp_queue_id = q->queue,
	};
	int ret;

	failed->what = opts->given == NULL ? "open an AF_XDP socket"
					   : "get an AF_XDP socket from xsk_socket=";
	q->fd = new_socket(opts->given, opts->ifindex, q->queue);
	ret = RTE_MIN(q->fd, 0);
	failed->advice = opts->given == NULL || ret == 0
				 ? NULL
				 : "; expected a slabio-xsk for this interface there, whose socket "
				   "this user may write to";
	failed->registering = ret == 0 && umem == NULL;
	if (failed->registering) {
		failed->what = "register the pool's memory";
		ret = register_memory(q->fd, q->mem, mode->tx_meta);
	}
	if (ret == 0) {
		failed->registering = false;
		failed->what = "create the rings";
		ret = create_rings(q, opts);
	}
	if (ret == 0) {
		failed->what = mode->zero_copy ? "bind the socket in zero-copy mode"
					       : "bind the socket in copy mode";
		if (umem != NULL) {
			/* mode and flags are those of the socket it shares with */
			to.sxdp_flags = XDP_SHARED_UMEM;
			to.sxdp_shared_umem_fd = (uint32_t)LIST_FIRST(&umem->queues)->fd;
		} else {
			to.sxdp_flags = XDP_USE_NEED_WAKEUP |
					(mode->zero_copy ? XDP_ZEROCOPY : XDP_COPY) |
					(mode->multi_buffer ? XDP_USE_SG : 0);
		}
		ret = bind_socket(q->fd, &to);
	}
	if (ret != 0)
		close_attempt(q);
	failed->err = ret;
	return ret;
}

static bool
same_mode(const struct slabio_xdp_mode *a, const struct slabio_xdp_mode *b)
{
	return a->zero_copy == b->zero_copy && a->multi_buffer == b->multi_buffer &&
	       a->tx_meta == b->tx_meta;
}

static int
join_or_register(struct slabio_xdp_queue *q, const struct slabio_xdp_socket_opts *opts,
	const struct slabio_xdp_mode *mode, struct attempt *failed)
{
	struct slabio_xdp_umem *umem;
	int ret;

	TAILQ_FOREACH(umem, &q->mem->umems, next)
	{
		if (!same_mode(&umem->mode, mode))
			continue;
		if (try_bind(q, opts, umem, mode, failed) == 0)
			goto bound;
		if (failed->err == -EBUSY)
			return failed->err;
	}
	ret = try_bind(q, opts, NULL, mode, failed);
	if (ret != 0)
		return ret;
	umem = calloc(1, sizeof(*umem));
	if (umem == NULL) {
		close_attempt(q);
		return failed->err = -ENOMEM;
	}
	LIST_INIT(&umem->queues);
	umem->mode = *mode;
	TAILQ_INSERT_TAIL(&q->mem->umems, umem, next);
bound:
	q->mode = *mode;
	q->mode.shared = !LIST_EMPTY(&umem->queues);
	q->umem = umem;
	LIST_INSERT_HEAD(&umem->queues, q, next);
	return 0;
}

static const char *
advice(int err)
{
	switch (-err) {
	case EPERM:
		return "; run as root or with CAP_NET_RAW, and CAP_IPC_LOCK or a higher limit of "
		       "locked memory ('ulimit -l')";
	case ENOBUFS:
		return "; raise the limit of locked memory ('ulimit -l') or run with CAP_IPC_LOCK";
	case EAFNOSUPPORT:
		return "; the kernel was built without CONFIG_XDP_SOCKETS, use pcap_iface= instead";
	case EBUSY:
		return "; another socket has that queue, see start_queue= and queue_count=";
	case EOPNOTSUPP:
		return "; the interface's driver cannot do that, see mode=";
	case EINVAL:
		return "; the kernel does not have such a queue, or not this mode";
	case ENOSYS:
		return "; Linux 5.4 or later is needed";
	default:
		return "";
	}
}

/*
 * Whether metadata is of use: not where it would only be the cause of more rules. In copy mode the
 * kernel leaves the sum to the interface, and a veth to whoever reads at its other end: that is
 * done only if it was asked for.
 */
static bool
wants_tx_meta(const struct slabio_xdp_socket_opts *opts, bool zero_copy)
{
	if (!opts->want_sums || opts->csum == SLABIO_CSUM_SOFTWARE)
		return false;
	return zero_copy ? opts->device_sums : opts->csum == SLABIO_CSUM_KERNEL;
}

/* With metadata if it is of use; without if the kernel does not know it. */
static int
bind_in_mode(struct slabio_xdp_queue *q, const struct slabio_xdp_socket_opts *opts, bool zero_copy,
	bool multi, struct attempt *failed)
{
	struct slabio_xdp_mode mode = {.zero_copy = zero_copy,
		.multi_buffer = multi,
		.tx_meta = wants_tx_meta(opts, zero_copy)};
	int ret = join_or_register(q, opts, &mode, failed);

	if (ret != -EINVAL || !mode.tx_meta || !failed->registering)
		return ret;
	mode.tx_meta = false;
	return join_or_register(q, opts, &mode, failed);
}

/*
 * Zero copy before copy, several frames for a packet before one; of what was asked for. What could
 * not be had, but had to, is the kernel's to explain.
 */
static int
bind_best(struct slabio_xdp_queue *q, const struct slabio_xdp_socket_opts *opts)
{
	struct attempt failed = {.what = "choose a mode", .err = -EINVAL};
	int zero_copy, multi;

	for (zero_copy = opts->want_zero_copy; zero_copy >= !opts->want_copy; zero_copy--)
		for (multi = opts->want_multi_buffer; multi >= 0; multi--) {
			int ret = bind_in_mode(q, opts, zero_copy, multi, &failed);

			/* the same in every mode */
			if (ret == 0)
				return 0;
			if (ret == -EBUSY || ret == -EPERM || ret == -ENODEV ||
				failed.advice != NULL)
				goto out;
		}
out:
	SLABIO_LOG(ERR, "%s: %s queue %u: cannot %s: %s%s", opts->device, opts->iface, q->queue,
		failed.what, strerror(-failed.err),
		failed.advice != NULL ? failed.advice : advice(failed.err));
	return failed.err;
}

/* ---- after binding ---- */

/* Relaxed: nobody else has the queue. */
static void
set_owner(struct slabio_poll *poll)
{
	atomic_store_explicit(&poll->owner, SLABIO_PRIMARY, memory_order_relaxed);
	atomic_store_explicit(&poll->inside, SLABIO_NOBODY, memory_order_relaxed);
}

static int
prepare_rx(struct slabio_xdp_queue *q, const struct slabio_xdp_socket_opts *opts)
{
	struct slabio_xdp_rx *rx = &q->rx;

	rx->mem = q->mem;
	rx->fd = q->fd;
	rx->queue = q;
	rx->q = opts->rxq;
	rx->peers = opts->peers;
	rx->rearm = slabio_xdp_rearm(opts->port_id);
	rx->tag = slabio_xdp_tag(q->slot, false);
	rx->batch = RTE_MIN(RX_BATCH, RTE_MAX(opts->rx_desc / 4, 1u));
	rx->owed = opts->rx_desc;
	rx->q->head = NULL;
	rx->q->skip = false;
	atomic_store_explicit(&rx->q->nb_journal, 0, memory_order_relaxed);
	set_owner(&rx->q->poll);
	if (slabio_xdp_refill(rx))
		return 0;
	SLABIO_LOG(ERR,
		"%s: rx queue on %s queue %u: expected %u free mbufs in pool %s, one for each "
		"descriptor, found %u; use more mbufs (testpmd: --total-num-mbufs) or fewer "
		"descriptors (testpmd: --rxd)",
		opts->device, opts->iface, q->queue, opts->rx_desc, opts->mp->name,
		opts->rx_desc - rx->owed + rte_mempool_avail_count(opts->mp));
	return -ENOMEM;
}

static void
prepare_tx(struct slabio_xdp_queue *q, const struct slabio_xdp_socket_opts *opts)
{
	struct slabio_xdp_tx *tx = &q->tx;
	const uint32_t budget = tx->ring.mask + 1;

	tx->mem = q->mem;
	tx->fd = q->fd;
	tx->q = opts->txq;
	tx->peers = opts->peers;
	tx->me = SLABIO_PRIMARY;
	set_owner(&tx->q->poll);
	atomic_store_explicit(&tx->q->completing, SLABIO_NOBODY, memory_order_relaxed);
	atomic_store_explicit(&tx->q->nb_written, 0, memory_order_relaxed);
	tx->tag = slabio_xdp_tag(q->slot, true);
	tx->zero_copy = q->mode.zero_copy;
	tx->meta_len = q->mode.tx_meta ? sizeof(struct slabio_xdp_tx_meta) : 0;
	/* for the kernel, metadata is a part of the frame, also before packets that have none */
	tx->max_frame = q->mem->frame - tx->meta_len;
	tx->copy_room = RTE_MIN(q->mem->buf_len - RTE_PKTMBUF_HEADROOM, tx->max_frame);
	tx->max_segs = !q->mode.multi_buffer ? 1 : SLABIO_XDP_TX_FRAMES;
	/* one call for a whole ring; older kernels take 32 packets, and say that there is more */
	(void)setsockopt(q->fd, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &budget, sizeof(budget));
}

static int
set_busy_poll(const struct slabio_xdp_queue *q, const struct slabio_xdp_socket_opts *opts)
{
	const int prefer = 1, usecs = 20, budget = (int)opts->busy_poll;

	if (setsockopt(q->fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, &prefer, sizeof(prefer)) == 0 &&
		setsockopt(q->fd, SOL_SOCKET, SO_BUSY_POLL, &usecs, sizeof(usecs)) == 0 &&
		setsockopt(q->fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET, &budget, sizeof(budget)) == 0)
		return 0;
	SLABIO_LOG(ERR, "%s: %s queue %u: cannot have busy_poll=%u: %s%s", opts->device,
		opts->iface, q->queue, opts->busy_poll, strerror(errno),
		errno == EPERM ? "; run with CAP_NET_ADMIN" : "; Linux 5.11 or later is needed");
	return -errno;
}

/* What was asked for has to be. */
static int
check_csum(const struct slabio_xdp_queue *q, const struct slabio_xdp_socket_opts *opts)
{
	if (!opts->want_sums || opts->csum != SLABIO_CSUM_KERNEL || q->mode.tx_meta)
		return 0;
	SLABIO_LOG(ERR, "%s: %s queue %u: cannot have tx_csum=kernel in %s mode: %s", opts->device,
		opts->iface, q->queue, q->mode.zero_copy ? "zero-copy" : "copy",
		q->mode.zero_copy && !opts->device_sums
			? "the interface's driver does not say that it fills in checksums there; "
			  "see mode=copy and tx_csum=auto"
			: "the kernel knows no transmit metadata; Linux 6.11 or later is needed");
	return -EOPNOTSUPP;
}

int
slabio_xdp_socket_open(struct slabio_xdp_queue *q, const struct slabio_xdp_socket_opts *opts)
{
	int ret;

	q->fd = -1;
	q->in_map = false;
	q->kept = false;
	q->peers = opts->peers;
	q->has_rx = opts->rx_desc != 0;
	q->has_tx = opts->tx_desc != 0;
	q->umem = NULL;
	memset(&q->rx, 0, sizeof(q->rx));
	memset(&q->tx, 0, sizeof(q->tx));
	memset(&q->seen, 0, sizeof(q->seen));
	q->mem = slabio_xdp_mem_get(opts->mp, opts->device);
	if (q->mem == NULL)
		return -rte_errno;
	q->slot = slabio_xdp_slot_get(q->mem);
	if (q->slot < 0) {
		SLABIO_LOG(ERR, "%s: expected at most %d sockets on pool %s", opts->device,
			SLABIO_XDP_SOCKETS, opts->mp->name);
		slabio_xdp_mem_put(q->mem);
		return q->slot;
	}
	ret = bind_best(q, opts);
	if (ret != 0) {
		slabio_xdp_slot_put(q->mem, q->slot);
		slabio_xdp_mem_put(q->mem);
		return ret;
	}
	if (q->has_tx)
		prepare_tx(q, opts);
	if (q->has_rx)
		ret = prepare_rx(q, opts);
	if (ret == 0)
		ret = check_csum(q, opts);
	if (ret == 0 && opts->busy_poll != 0) {
		q->rx.busy_poll = true;
		ret = set_busy_poll(q, opts);
	}
	if (ret != 0)
		(void)slabio_xdp_socket_close(q, opts->device, opts->ifindex, opts->given);
	return ret;
}

/* ---- closing ---- */

/*
 * Whether the kernel has let go of the queue. Only then has it stopped using the frames: a
 * zero-copy device goes on writing to them for a while after the socket was closed. Found out by
 * binding a socket that has next to nothing.
 */
static bool
queue_released(int ifindex, uint32_t queue, const char *given)
{
	const size_t len = (size_t)sysconf(_SC_PAGESIZE);
	const struct sockaddr_xdp to = {
		.sxdp_family = AF_XDP,
		.sxdp_flags = XDP_COPY,
		.sxdp_ifindex = (uint32_t)ifindex,
		.sxdp_queue_id = queue,
	};
	struct xdp_umem_reg reg = {.len = len, .chunk_size = SLABIO_XDP_MIN_FRAME};
	void *page = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = new_socket(given, ifindex, queue);
	int ret = 0;

	reg.addr = (uintptr_t)page;
	if (page == MAP_FAILED || fd < 0 ||
		setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)) != 0 ||
		set_size(fd, XDP_UMEM_FILL_RING, 2) != 0 ||
		set_size(fd, XDP_UMEM_COMPLETION_RING, 2) != 0 || set_size(fd, XDP_TX_RING, 2) != 0)
		ret = -EBUSY; /* nothing was found out */
	else
		ret = bind_socket(fd, &to);
	if (fd >= 0)
		close(fd);
	if (page != MAP_FAILED)
		munmap(page, len);
	return ret != -EBUSY;
}

/* What was sent is out, unless nobody takes it. */
static void
drain(struct slabio_xdp_tx *tx)
{
	const uint32_t size = tx->ring.mask + 1;
	unsigned int i;

	for (i = 0; i < 100 && slabio_xdp_room(&tx->ring, size) < size && !tx->gone; i++) {
		slabio_xdp_complete(tx);
		slabio_xdp_kick(tx, 4);
		rte_delay_us_sleep(100);
	}
	slabio_xdp_complete(tx);
}

/* Relaxed: who enters from now on finds that the queue is stopped. */
static bool
is_elsewhere(const struct slabio_poll *poll)
{
	return atomic_load_explicit(&poll->owner, memory_order_relaxed) != SLABIO_PRIMARY ||
	       atomic_load_explicit(&poll->inside, memory_order_relaxed) != SLABIO_NOBODY;
}

/* All of the queue is the primary's then, unless a secondary has stopped in the middle of it. */
static bool
take_back(struct slabio_xdp_queue *q)
{
	bool all = true;

	if (q->has_tx && is_elsewhere(&q->tx.q->poll))
		all = slabio_xdp_tx_take_back(&q->tx);
	if (q->has_rx && is_elsewhere(&q->rx.q->poll))
		all = slabio_xdp_rx_take_back(&q->rx) && all;
	return all;
}

static void
close_rings(struct slabio_xdp_queue *q)
{
	struct slabio_xdp_umem *umem = q->umem;

	close_attempt(q);
	LIST_REMOVE(q, next);
	if (LIST_EMPTY(&umem->queues)) {
		TAILQ_REMOVE(&q->mem->umems, umem, next);
		free(umem);
	}
	q->umem = NULL;
	q->kept = false;
}

void
slabio_xdp_socket_abandon(struct slabio_xdp_queue *q)
{
	if (q->fd < 0)
		return;
	close_rings(q);
	/* the slot stays taken: who goes on with the burst uses its tags */
	slabio_xdp_mem_put(q->mem);
}

bool
slabio_xdp_socket_close(
	struct slabio_xdp_queue *q, const char *device, int ifindex, const char *given)
{
	if (q->fd < 0)
		return true;
	if (!take_back(q)) {
		if (!q->kept)
			SLABIO_LOG(WARNING,
				"%s: queue %u: a secondary process has been stopped in the middle "
				"of a burst and may go on with it; the queue's mbufs are left to "
				"it until it has done so or ends",
				device, q->queue);
		q->kept = true;
		return false;
	}
	if (q->has_tx)
		drain(&q->tx);
	close_rings(q);
	if (q->has_rx) {
		rte_pktmbuf_free(q->rx.q->head);
		q->rx.q->head = NULL;
	}
	/* while a secondary has the socket there is no use in trying */
	if ((q->peers->held || !queue_released(ifindex, q->queue, given)) && q->mode.zero_copy) {
		SLABIO_LOG(ERR,
			"%s: queue %u is still in use after its socket was closed, perhaps by a "
			"secondary or child process; its mbufs stay with the kernel",
			device, q->queue);
		return true;
	}
	slabio_xdp_slot_put(q->mem, q->slot);
	slabio_xdp_mem_put(q->mem);
	return true;
}

bool
slabio_xdp_socket_stats(const struct slabio_xdp_queue *q, struct xdp_statistics *now)
{
	socklen_t len = sizeof(*now);

	memset(now, 0, sizeof(*now));
	/* kernels before 5.9 give the first three */
	return q->fd >= 0 && getsockopt(q->fd, SOL_XDP, XDP_STATISTICS, now, &len) == 0;
}
