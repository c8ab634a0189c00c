/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Mbufs into a capture file: classic pcap with nanosecond stamps in this machine's byte order.
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

struct file_header {
	uint32_t magic;
	uint16_t major;
	uint16_t minor;
	uint32_t zone;
	uint32_t accuracy;
	uint32_t snaplen;
	uint32_t link_type;
};

struct packet_header {
	uint32_t seconds;
	uint32_t nanoseconds;
	uint32_t captured;
	uint32_t length;
};

_Static_assert(sizeof(struct file_header) == 24, "as the format has it");
_Static_assert(sizeof(struct packet_header) == 16, "as the format has it");

#define MAGIC_NANOSECONDS 0xa1b23c4dU
#define BUF_SIZE	  (256 * 1024)

_Static_assert(BUF_SIZE >= SLABIO_MAX_PKT + sizeof(struct packet_header), "one packet fits");

/* What is in the buffer: packets that nobody has written yet. */
struct batch {
	size_t used;
	unsigned int packets;
	uint64_t bytes;
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
whole_packets(const uint8_t *buf, size_t len)
{
	struct batch whole = {0};
	struct packet_header hdr;

	while (whole.used + sizeof(hdr) <= len) {
		memcpy(&hdr, buf + whole.used, sizeof(hdr));
		if (whole.used + sizeof(hdr) + hdr.captured > len)
			break;
		whole.used += sizeof(hdr) + hdr.captured;
		whole.packets++;
		whole.bytes += hdr.captured;
	}
	return whole;
}

static __rte_noinline void
write_failed(struct slabio_txq *q, struct slabio_pcap_tx *tx, unsigned int packets, int err)
{
	tx->failed = true;
	slabio_count(&q->stats[SLABIO_TX_ERRORS], packets);
	slabio_count(&q->stats[SLABIO_TX_WRITE_ERRORS], 1);
	SLABIO_LOG(ERR,
		"%s: tx queue %u: cannot write %s: %s; it ends with the last whole packet, further "
		"ones are "
		"dropped and counted until the port is started again",
		tx->device, q->queue_id, tx->target, strerror(err));
	/* cut off what is left of a packet, so that the file stays a valid capture */
	if (ftruncate(tx->fd, (off_t)tx->size) != 0 || lseek(tx->fd, (off_t)tx->size, SEEK_SET) < 0)
		SLABIO_LOG(ERR, "%s: tx queue %u: cannot cut %s after its last whole packet: %s",
			tx->device, q->queue_id, tx->target, strerror(errno));
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
		written = whole_packets(tx->buf, n);
	tx->size += written.used;
	slabio_count(&q->stats[SLABIO_TX_PACKETS], written.packets);
	slabio_count(&q->stats[SLABIO_TX_BYTES], written.bytes);
	if (n < batch->used)
		write_failed(q, tx, batch->packets - written.packets, err);
	*batch = (struct batch){0};
}

uint16_t
slabio_pcap_writer_burst(
	struct slabio_txq *q, struct slabio_pcap_tx *tx, struct rte_mbuf **pkts, uint16_t n)
{
	unsigned int multi = 0, oversize = 0, unwritten = 0, i;
	struct packet_header hdr;
	struct batch batch = {0};
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	hdr.seconds = (uint32_t)now.tv_sec;
	hdr.nanoseconds = (uint32_t)now.tv_nsec;
	for (i = 0; i < n; i++) {
		const struct rte_mbuf *m = pkts[i];

		multi += m->nb_segs > 1;
		if (unlikely(m->pkt_len > SLABIO_MAX_PKT)) {
			oversize++;
			continue;
		}
		if (batch.used + sizeof(hdr) + m->pkt_len > BUF_SIZE)
			flush(q, tx, &batch);
		if (unlikely(tx->failed)) {
			unwritten++;
			continue;
		}
		hdr.captured = hdr.length = m->pkt_len;
		memcpy(tx->buf + batch.used, &hdr, sizeof(hdr));
		slabio_pcap_copy_out(tx->buf + batch.used + sizeof(hdr), m);
		batch.used += sizeof(hdr) + m->pkt_len;
		batch.packets++;
		batch.bytes += m->pkt_len;
	}
	flush(q, tx, &batch);
	if (multi > 0)
		slabio_count(&q->stats[SLABIO_TX_MULTI_SEGS], multi);
	if (oversize + unwritten > 0) {
		slabio_count(&q->stats[SLABIO_TX_ERRORS], oversize + unwritten);
		slabio_count(&q->stats[SLABIO_TX_OVERSIZE], oversize);
	}
	slabio_tx_free(q, pkts, n, multi == 0);
	return n;
}

int
slabio_pcap_writer_check(const char *device, const char *path)
{
	char folder[PATH_MAX];
	struct stat st;
	char *slash;
	int err;

	if (stat(path, &st) == 0) {
		if (!S_ISREG(st.st_mode)) {
			SLABIO_LOG(ERR,
				"%s: expected a regular file or nothing at tx_pcap=%s, found "
				"something else",
				device, path);
			return -EINVAL;
		}
		if (access(path, W_OK) == 0)
			return 0;
		err = errno;
	} else if (errno != ENOENT) {
		err = errno;
	} else if (strlen(path) >= sizeof(folder)) {
		err = ENAMETOOLONG;
	} else {
		strcpy(folder, path);
		slash = strrchr(folder, '/');
		if (slash == NULL)
			strcpy(folder, ".");
		else
			slash[slash == folder ? 1 : 0] = '\0';
		if (access(folder, W_OK | X_OK) == 0)
			return 0;
		err = errno;
	}
	SLABIO_LOG(ERR, "%s: expected to be able to write tx_pcap=%s, found: %s", device, path,
		strerror(err));
	return -err;
}

static int
write_file_header(int fd)
{
	const struct file_header header = {
		.magic = MAGIC_NANOSECONDS,
		.major = 2,
		.minor = 4,
		.snaplen = SLABIO_MAX_PKT,
		.link_type = DLT_EN10MB,
	};
	int err = 0;

	write_all(fd, (const uint8_t *)&header, sizeof(header), &err);
	return -err;
}

int
slabio_pcap_writer_open(struct slabio_pcap_tx *tx, const char *device, const char *path)
{
	bool created = true;
	int ret, fd;

	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 && errno == EEXIST) {
		created = false;
		fd = open(path, O_WRONLY | O_CLOEXEC);
	}
	if (fd < 0) {
		ret = -errno;
		SLABIO_LOG(ERR, "%s: cannot create tx_pcap=%s: %s", device, path, strerror(-ret));
		return ret;
	}
	/* two ports that write one file would make it unreadable: the second is refused */
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		SLABIO_LOG(ERR,
			"%s: expected tx_pcap=%s for this port alone, another one is writing it",
			device, path);
		close(fd);
		return -EBUSY;
	}
	tx->buf = malloc(BUF_SIZE);
	ret = tx->buf == NULL ? -ENOMEM : 0;
	if (ret == 0 && ftruncate(fd, 0) != 0)
		ret = -errno;
	if (ret == 0)
		ret = write_file_header(fd);
	if (ret != 0) {
		SLABIO_LOG(ERR, "%s: cannot write tx_pcap=%s: %s", device, path, strerror(-ret));
		if (created)
			unlink(path);
		close(fd);
		free(tx->buf);
		tx->buf = NULL;
		return ret;
	}
	tx->fd = fd;
	tx->device = device;
	tx->target = path;
	tx->size = sizeof(struct file_header);
	return 0;
}

void
slabio_pcap_writer_close(struct slabio_pcap_tx *tx)
{
	if (tx->fd >= 0 && close(tx->fd) != 0)
		SLABIO_LOG(ERR, "%s: %s may be incomplete: %s", tx->device, tx->target,
			strerror(errno));
	free(tx->buf);
	*tx = (struct slabio_pcap_tx){.fd = -1};
}
