/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Mbufs into a capture file.
 *
 * A burst is copied into a buffer of the queue's and written with one system call before it is
 * reported as sent. So the counters are exact even on a full disk, where one sees which packets
 * went out whole, and packets that were reported as sent are in the file even if the process is
 * killed. A buffer kept across bursts would save the call and lose both.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "slabio_pcap.h"
#include "slabio_vlan.h"

#define BUF_SIZE (256 * 1024)

_Static_assert(BUF_SIZE >= SLABIO_MAX_PKT + SLABIO_PCAP_OVERHEAD_MAX, "one packet fits");

/* What is in the buffer: packets that nobody has written yet. */
struct batch {
	size_t used;
	unsigned int packets;
	uint64_t bytes;
};

/* What a burst has to count besides what is sent. */
struct tally {
	unsigned int multi;
	unsigned int oversize;
	unsigned int snapped;
	unsigned int unwritten;
};

/* As many bytes as the file takes; fewer than len with a reason in err. */
static size_t
write_all(int fd, const uint8_t *buf, size_t len, int *err)
{
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		n = write(fd, buf + done, len - done);
		if (n > 0) {
			done += (size_t)n;
		} else if (n == 0 || errno != EINTR) {
			*err = n == 0 ? ENOSPC : errno;
			break;
		}
	}
	return done;
}

/* The part of a batch that made it into the file whole, when only len bytes of it did. */
static struct batch
whole_packets(enum slabio_pcap_format format, const uint8_t *buf, size_t len)
{
	struct batch whole = {0};
	uint32_t length;
	size_t size;

	for (;;) {
		size = slabio_pcap_next_record(format, buf + whole.used, len - whole.used, &length);
		if (size == 0)
			return whole;
		whole.used += size;
		whole.packets++;
		whole.bytes += length;
	}
}

/* Cuts off what is left of something that was not written whole: the file stays a valid capture. */
static void
cut_file(const struct slabio_pcap_tx *tx)
{
	if (ftruncate(tx->fd, (off_t)tx->size) != 0 || lseek(tx->fd, (off_t)tx->size, SEEK_SET) < 0)
		SLABIO_LOG(ERR, "%s: tx queue %u: cannot cut %s after its last whole packet: %s",
			tx->device, tx->queue, tx->target, strerror(errno));
}

static __rte_noinline void
write_failed(struct slabio_txq *q, struct slabio_pcap_tx *tx, unsigned int packets, int err)
{
	tx->failed = true;
	tx->dropped += packets;
	slabio_count(&q->stats[SLABIO_TX_ERRORS], packets);
	slabio_count(&q->stats[SLABIO_TX_WRITE_ERRORS], 1);
	SLABIO_LOG(ERR,
		"%s: tx queue %u: cannot write %s: %s; it ends with the last whole packet, further "
		"ones are dropped and counted until the port is started again",
		tx->device, q->queue_id, tx->target, strerror(err));
	cut_file(tx);
}

static void
flush(struct slabio_txq *q, struct slabio_pcap_tx *tx, struct batch *batch)
{
	struct batch written = *batch;
	int err = 0;
	size_t n;

	if (batch->used == 0)
		return;
	n = write_all(tx->fd, tx->buf, batch->used, &err);
	if (n < batch->used)
		written = whole_packets(tx->format, tx->buf, n);
	tx->size += written.used;
	tx->packets += batch->packets;
	slabio_count(&q->stats[SLABIO_TX_PACKETS], written.packets);
	slabio_count(&q->stats[SLABIO_TX_BYTES], written.bytes);
	if (n < batch->used)
		write_failed(q, tx, batch->packets - written.packets, err);
	*batch = (struct batch){0};
}

/* Goes on to the next file if this one would grow or get older than it may. */
static __rte_noinline void
rotate(struct slabio_txq *q, struct slabio_pcap_tx *tx, struct batch *batch, uint32_t record)
{
	const struct slabio_pcap_opts *opts = tx->opts;
	bool empty = tx->size + batch->used == tx->empty_size;
	struct timespec now;
	bool full, old = false;

	full = opts->rotate_size != 0 &&
	       tx->size + batch->used + record + tx->stats_size > opts->rotate_size;
	if (opts->rotate_seconds != 0) {
		clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
		old = now.tv_sec - tx->opened.tv_sec >= (time_t)opts->rotate_seconds;
	}
	/* a packet that is too large for any file has one of its own */
	if (!old && (!full || empty))
		return;
	flush(q, tx, batch);
	if (tx->failed || slabio_pcap_rotate(q, tx))
		return;
	tx->failed = true;
	slabio_count(&q->stats[SLABIO_TX_WRITE_ERRORS], 1);
}

__rte_noinline void
slabio_pcap_copy_tagged(uint8_t *to, const struct rte_mbuf *m, uint32_t len)
{
	const uint32_t tag = slabio_vlan_tag(m), after = SLABIO_VLAN_OFFSET + sizeof(tag);

	slabio_pcap_copy(to, m, 0, SLABIO_VLAN_OFFSET);
	memcpy(to + SLABIO_VLAN_OFFSET, &tag, RTE_MIN(sizeof(tag), len - SLABIO_VLAN_OFFSET));
	if (len > after)
		slabio_pcap_copy(to + after, m, SLABIO_VLAN_OFFSET, len - after);
}

static inline void
add_packet(struct slabio_txq *q, struct slabio_pcap_tx *tx, struct batch *batch,
	const struct rte_mbuf *m, uint64_t stamp, struct slabio_pcap_record_header *h,
	struct tally *tally)
{
	bool tagged = slabio_vlan_wanted(q, m);
	uint32_t record;
	uint8_t *to;

	h->length = m->pkt_len + (tagged ? sizeof(struct rte_vlan_hdr) : 0);
	if (unlikely(h->length > SLABIO_MAX_PKT)) {
		tally->oversize++;
		return;
	}
	h->captured = RTE_MIN(h->length, tx->snaplen);
	record = slabio_pcap_record_size(tx->format, h->captured);
	if (batch->used + record > BUF_SIZE)
		flush(q, tx, batch);
	if (tx->rotates && !tx->failed)
		rotate(q, tx, batch, record);
	if (unlikely(tx->failed)) {
		tally->unwritten++;
		return;
	}
	to = slabio_pcap_put_record(tx->format, tx->buf + batch->used, stamp, h);
	if (tagged)
		slabio_pcap_copy_tagged(to, m, h->captured);
	else
		slabio_pcap_copy(to, m, 0, h->captured);
	tally->snapped += h->captured < h->length;
	batch->used += record;
	batch->packets++;
	batch->bytes += h->length;
}

uint16_t
slabio_pcap_writer_burst(
	struct slabio_txq *q, struct slabio_pcap_tx *tx, struct rte_mbuf **pkts, uint16_t n)
{
	struct slabio_pcap_record_header h;
	struct tally tally = {0};
	struct batch batch = {0};
	struct timespec now;
	uint64_t stamp;
	unsigned int i;

	clock_gettime(CLOCK_REALTIME, &now);
	stamp = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	h.seconds = (uint32_t)now.tv_sec;
	h.nanoseconds = (uint32_t)now.tv_nsec;
	for (i = 0; i < n; i++) {
		tally.multi += pkts[i]->nb_segs > 1;
		add_packet(q, tx, &batch, pkts[i], stamp, &h, &tally);
	}
	flush(q, tx, &batch);
	if (tally.multi + tally.snapped > 0) {
		slabio_count(&q->stats[SLABIO_TX_MULTI_SEGS], tally.multi);
		slabio_count(&q->stats[SLABIO_TX_SNAPPED], tally.snapped);
	}
	if (tally.oversize + tally.unwritten > 0) {
		slabio_count(&q->stats[SLABIO_TX_ERRORS], tally.oversize + tally.unwritten);
		slabio_count(&q->stats[SLABIO_TX_OVERSIZE], tally.oversize);
		tx->packets += tally.oversize + tally.unwritten;
		tx->dropped += tally.oversize + tally.unwritten;
	}
	slabio_tx_free(q, pkts, n, tally.multi == 0);
	return n;
}

/* Whether a file can be created or written at path; 0 or a negative errno. */
static int
check_access(const char *path)
{
	char folder[PATH_MAX];
	struct stat st;
	char *slash;

	if (stat(path, &st) == 0) {
		if (!S_ISREG(st.st_mode))
			return -EINVAL;
		return access(path, W_OK) == 0 ? 0 : -errno;
	}
	if (errno != ENOENT)
		return -errno;
	if (strlen(path) >= sizeof(folder))
		return -ENAMETOOLONG;
	strcpy(folder, path);
	slash = strrchr(folder, '/');
	if (slash == NULL)
		strcpy(folder, ".");
	else
		slash[slash == folder ? 1 : 0] = '\0';
	return access(folder, W_OK | X_OK) == 0 ? 0 : -errno;
}

int
slabio_pcap_writer_check(const char *device, const struct slabio_pcap_opts *opts, const char *path)
{
	char *name = slabio_pcap_rotate_name(opts, path, 1);
	int ret = name == NULL ? -ENOMEM : check_access(name);

	if (ret == -EINVAL)
		SLABIO_LOG(ERR,
			"%s: expected a regular file or nothing at tx_pcap=%s, found something "
			"else",
			device, name);
	else if (ret != 0)
		SLABIO_LOG(ERR, "%s: expected to be able to write tx_pcap=%s, found: %s", device,
			name == NULL ? path : name, strerror(-ret));
	free(name);
	return ret;
}

/* Writes the header of a file that is locked for us. */
static int
begin_file(struct slabio_pcap_tx *tx)
{
	uint8_t header[SLABIO_PCAP_HEADER_MAX];
	struct timespec now;
	int err = 0;

	if (ftruncate(tx->fd, 0) != 0)
		return -errno;
	tx->size = slabio_pcap_put_header(tx->format, header, &tx->about);
	tx->empty_size = tx->size;
	tx->packets = 0;
	tx->dropped = 0;
	tx->summarized = 0;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &tx->opened);
	clock_gettime(CLOCK_REALTIME, &now);
	tx->from = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	write_all(tx->fd, header, tx->size, &err);
	return -err;
}

int
slabio_pcap_writer_create(struct slabio_pcap_tx *tx)
{
	char *name = slabio_pcap_rotate_name(tx->opts, tx->path, tx->number);
	/* the first file is opened at a start, which fails; for others the queue stops */
	const char *then = tx->number == 1 ? ""
					   : "; packets are dropped and counted until the port is "
					     "started again";
	bool created = true;
	int ret;

	if (name == NULL)
		return -ENOMEM;
	tx->fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (tx->fd < 0 && errno == EEXIST) {
		created = false;
		tx->fd = open(name, O_WRONLY | O_CLOEXEC);
	}
	if (tx->fd < 0) {
		ret = -errno;
		SLABIO_LOG(
			ERR, "%s: cannot create tx_pcap=%s: %s", tx->device, name, strerror(-ret));
		free(name);
		return ret;
	}
	/* two ports that write one file would make it unreadable: the second is refused */
	if (flock(tx->fd, LOCK_EX | LOCK_NB) != 0) {
		SLABIO_LOG(ERR,
			"%s: tx queue %u: expected tx_pcap=%s for this port alone, another one is "
			"using it%s",
			tx->device, tx->queue, name, then);
		created = false;
		ret = -EBUSY;
	} else {
		ret = begin_file(tx);
		if (ret != 0)
			SLABIO_LOG(ERR, "%s: tx queue %u: cannot write tx_pcap=%s: %s%s",
				tx->device, tx->queue, name, strerror(-ret), then);
	}
	if (ret == 0) {
		tx->name = name;
		tx->target = name;
		return 0;
	}
	if (created)
		unlink(name);
	close(tx->fd);
	tx->fd = -1;
	free(name);
	return ret;
}

int
slabio_pcap_writer_open(
	struct slabio_pcap_tx *tx, struct rte_eth_dev *eth, const char *path, uint16_t queue)
{
	const struct slabio_pcap_opts *opts = &slabio_pcap_args(eth)->pcap;
	const struct slabio_dev *dev = eth->data->dev_private;
	size_t len = strlen(path);
	int ret;

	*tx = (struct slabio_pcap_tx){
		.fd = -1,
		.buf = malloc(BUF_SIZE),
		.opts = opts,
		.device = eth->data->name,
		.path = path,
		.queue = queue,
		.number = 1,
		.snaplen = opts->snaplen == 0 ? SLABIO_MAX_PKT : opts->snaplen,
		.rotates = slabio_pcap_rotates(opts),
		.format = opts->format,
		.about = {eth->data->name, queue, opts->snaplen, dev->mac},
	};
	if (tx->buf == NULL) {
		SLABIO_LOG(ERR, "%s: no memory to write tx_pcap=%s", tx->device, path);
		return -ENOMEM;
	}
	if (tx->format == SLABIO_FORMAT_BY_SUFFIX)
		tx->format = len > 7 && strcmp(path + len - 7, ".pcapng") == 0
				     ? SLABIO_FORMAT_PCAPNG
				     : SLABIO_FORMAT_PCAP;
	tx->stats_size = tx->format == SLABIO_FORMAT_PCAPNG ? SLABIO_PCAP_STATS_MAX : 0;
	ret = slabio_pcap_writer_create(tx);
	if (ret != 0) {
		free(tx->buf);
		*tx = (struct slabio_pcap_tx){.fd = -1};
	}
	return ret;
}

void
slabio_pcap_writer_summarize(struct slabio_pcap_tx *tx)
{
	uint8_t block[SLABIO_PCAP_STATS_MAX];
	struct slabio_pcap_summary summary;
	struct timespec now;
	int err = 0;
	size_t len;

	if (tx->fd < 0 || tx->format != SLABIO_FORMAT_PCAPNG || tx->packets == tx->summarized)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	summary = (struct slabio_pcap_summary){tx->from,
		(uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec, tx->packets,
		tx->dropped};
	len = slabio_pcapng_put_stats(block, &summary);
	if (write_all(tx->fd, block, len, &err) < len) {
		cut_file(tx);
		if (!tx->failed)
			SLABIO_LOG(ERR, "%s: tx queue %u: no statistics at the end of %s: %s",
				tx->device, tx->queue, tx->target, strerror(err));
		return;
	}
	tx->size += len;
	tx->summarized = tx->packets;
}

void
slabio_pcap_writer_finish(struct slabio_pcap_tx *tx)
{
	slabio_pcap_writer_summarize(tx);
	if (tx->fd >= 0 && close(tx->fd) != 0)
		SLABIO_LOG(ERR, "%s: %s may be incomplete: %s", tx->device, tx->target,
			strerror(errno));
	free(tx->name);
}

void
slabio_pcap_writer_close(struct slabio_pcap_tx *tx)
{
	if (tx->fd >= 0)
		slabio_pcap_writer_finish(tx);
	free(tx->buf);
	*tx = (struct slabio_pcap_tx){.fd = -1};
}
