/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * A network interface as a port: received from through libpcap, sent to through a packet socket.
 *
 * libpcap's own sending takes one packet per call and may block, so each transmit queue has a
 * socket that takes a burst per call and does not. What is the interface's own, such as its MTU and
 * the addresses that it receives, is changed by slabio_netif.c.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/if_packet.h>

#include "slabio_pcap.h"
#include "slabio_vlan.h"

/* Room for packets that arrive while the application does something else. */
#define CAPTURE_BUFFER (32 * 1024 * 1024)
#define DISCARD_MAX    1000000
#define SEND_MAX       64
#define SEND_IOV       (4 * SEND_MAX)

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

static struct slabio_pcap_iface *
iface_of(const struct rte_eth_dev *eth)
{
	return &((struct slabio_pcap_port *)eth->process_private)->iface;
}

static const char *
name_of(const struct rte_eth_dev *eth)
{
	return slabio_pcap_args(eth)->pcap_iface;
}

int
slabio_pcap_iface_open(struct rte_eth_dev *eth)
{
	struct slabio_dev *dev = eth->data->dev_private;
	struct slabio_pcap_iface *iface = iface_of(eth);
	unsigned int mtu;
	int ret;

	rte_spinlock_init(&iface->stats_lock);
	ret = slabio_netif_open(&iface->netif, eth->data->name, "pcap_iface", name_of(eth), true);
	if (ret != 0)
		return ret;
	if (rte_is_valid_assigned_ether_addr(&iface->netif.own_mac))
		dev->mac = iface->netif.own_mac;
	mtu = slabio_netif_mtu(&iface->netif);
	if (mtu != 0)
		eth->data->mtu = RTE_MIN(mtu, (unsigned int)SLABIO_MAX_MTU);
	return 0;
}

static int
activate(pcap_t *handle, const char *device, const char *name, uint32_t snaplen, int buffer_size)
{
	char reason[PCAP_ERRBUF_SIZE];
	int ret;

	pcap_set_snaplen(handle, snaplen == 0 ? SLABIO_MAX_PKT : (int)snaplen);
	pcap_set_promisc(handle, 0);
	pcap_set_immediate_mode(handle, 1);
	pcap_set_timeout(handle, 1);
	pcap_set_buffer_size(handle, buffer_size);
	pcap_set_tstamp_precision(handle, PCAP_TSTAMP_PRECISION_NANO);
	ret = pcap_activate(handle);
	if (ret < 0) {
		SLABIO_LOG(ERR, "%s: cannot receive from pcap_iface=%s: %s%s%s", device, name,
			pcap_statustostr(ret), ret == PCAP_ERROR ? ": " : "",
			ret == PCAP_ERROR		 ? pcap_geterr(handle)
			: ret == PCAP_ERROR_IFACE_NOT_UP ? "; see 'ip link set ... up'"
							 : "");
		return -EIO;
	}
	if (pcap_datalink(handle) != DLT_EN10MB) {
		SLABIO_LOG(ERR,
			"%s: expected Ethernet packets from pcap_iface=%s, found link type %d",
			device, name, pcap_datalink(handle));
		return -EINVAL;
	}
	if (pcap_setnonblock(handle, 1, reason) != 0) {
		SLABIO_LOG(ERR, "%s: cannot poll pcap_iface=%s without blocking: %s", device, name,
			reason);
		return -EIO;
	}
	/* so that what is sent does not come back */
	if (pcap_setdirection(handle, PCAP_D_IN) != 0) {
		SLABIO_LOG(ERR, "%s: cannot receive from pcap_iface=%s in one direction only: %s",
			device, name, pcap_geterr(handle));
		return -EIO;
	}
	return 0;
}

/* What arrived before the queue had its share only is in another queue too. */
static void
discard(pcap_t *handle)
{
	struct pcap_pkthdr *hdr;
	const u_char *data;
	unsigned int i;

	for (i = 0; i < DISCARD_MAX && pcap_next_ex(handle, &hdr, &data) == 1; i++)
		;
}

/* Makes a source one of the group among which the kernel spreads flows. The first founds it. */
static int
join(struct rte_eth_dev *eth, pcap_t *handle, uint16_t queue)
{
	struct slabio_pcap_iface *iface = iface_of(eth);
	uint32_t group = PACKET_FANOUT_HASH << 16;
	int fd = pcap_fileno(handle), ret;
	socklen_t len = sizeof(group);

	if (queue == 0)
		group |= (uint32_t)PACKET_FANOUT_FLAG_UNIQUEID << 16;
	else
		group |= iface->group;
	ret = setsockopt(fd, SOL_PACKET, PACKET_FANOUT, &group, sizeof(group));
	if (ret == 0 && queue == 0) {
		ret = getsockopt(fd, SOL_PACKET, PACKET_FANOUT, &group, &len);
		iface->group = group & UINT16_MAX;
	}
	if (ret != 0) {
		ret = -errno;
		SLABIO_LOG(ERR,
			"%s: the kernel cannot spread flows of pcap_iface=%s over queues: %s; "
			"leave out rx_spread=",
			eth->data->name, name_of(eth), strerror(-ret));
		return ret;
	}
	if (queue > 0)
		discard(handle);
	return 0;
}

int
slabio_pcap_iface_rx_open(
	struct slabio_pcap_rx *rx, struct rte_eth_dev *eth, uint16_t queue, uint16_t nb_queues)
{
	const struct slabio_pcap_opts *opts = &slabio_pcap_args(eth)->pcap;
	const char *device = eth->data->name, *name = name_of(eth);
	char reason[PCAP_ERRBUF_SIZE];
	pcap_t *handle = pcap_create(name, reason);
	int one = 1, ret;

	if (handle == NULL) {
		SLABIO_LOG(ERR, "%s: cannot receive from pcap_iface=%s: %s", device, name, reason);
		return -EIO;
	}
	ret = activate(handle, device, name, opts->snaplen, CAPTURE_BUFFER / nb_queues);
	if (ret == 0 && opts->filter != NULL)
		ret = slabio_pcap_filter_live(handle, device, opts->filter);
	if (ret == 0 && nb_queues > 1)
		ret = join(eth, handle, queue);
	if (ret != 0) {
		pcap_close(handle);
		return ret;
	}
	/* libpcap drops what was sent after the kernel has copied it; since 4.20 that is spared */
	(void)setsockopt(
		pcap_fileno(handle), SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one));
	*rx = (struct slabio_pcap_rx){
		.handle = handle,
		.device = device,
		.source = name,
		.live = true,
		/* one that is quiet has no use for more */
		.batch = 1,
		.nb_queues = 1,
	};
	return 0;
}

int
slabio_pcap_iface_tx_open(struct slabio_pcap_tx *tx, const struct slabio_pcap_iface *iface,
	const char *device, const char *name)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = iface->netif.index};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), ret = 0;

	if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
		ret = -errno;
	tx->buf = malloc(SLABIO_MAX_PKT);
	if (tx->buf == NULL)
		ret = -ENOMEM;
	if (ret != 0) {
		SLABIO_LOG(
			ERR, "%s: cannot send to pcap_iface=%s: %s", device, name, strerror(-ret));
		if (fd >= 0)
			close(fd);
		free(tx->buf);
		tx->buf = NULL;
		return ret;
	}
	tx->fd = fd;
	tx->live = true;
	tx->device = device;
	tx->target = name;
	return 0;
}

void
slabio_pcap_iface_tx_close(struct slabio_pcap_tx *tx)
{
	close(tx->fd);
	free(tx->buf);
	*tx = (struct slabio_pcap_tx){.fd = -1};
}

/* What one call sends: packets, the pieces that they lie in, and tags that go between these. */
struct send {
	struct mmsghdr msgs[SEND_MAX];
	struct iovec iov[SEND_IOV];
	uint32_t tags[SEND_MAX];
};

/* Points to the pieces of a packet, from an offset within its first segment on. */
static unsigned int
point_to(struct iovec *iov, const struct rte_mbuf *m, uint32_t offset)
{
	unsigned int n = 0;

	for (; m != NULL; m = m->next, offset = 0)
		iov[n++] = (struct iovec){
			rte_pktmbuf_mtod_offset(m, void *, offset), m->data_len - offset};
	return n;
}

/*
 * Fills in packets up to the first that cannot be part of this call: one for whose pieces there is
 * no room, or that is too large altogether. One with too many pieces for any call is copied
 * together, for which there is one buffer.
 */
static unsigned int
fill_vectors(struct slabio_txq *q, struct slabio_pcap_tx *tx, struct rte_mbuf **pkts,
	unsigned int n, struct send *s)
{
	unsigned int used = 0, i, pieces;
	bool buf_used = false;

	for (i = 0; i < RTE_MIN(n, (unsigned int)SEND_MAX); i++) {
		const struct rte_mbuf *m = pkts[i];
		bool tagged = slabio_vlan_wanted(q, m);
		struct iovec *iov = &s->iov[used];
		uint32_t len = m->pkt_len + (tagged ? sizeof(s->tags[0]) : 0);

		if (len > SLABIO_MAX_PKT)
			break;
		pieces = m->nb_segs + (tagged ? 2 : 0);
		if (pieces > SEND_IOV || (tagged && m->data_len < SLABIO_VLAN_OFFSET)) {
			if (buf_used || used == SEND_IOV)
				break;
			buf_used = true;
			if (tagged)
				slabio_pcap_copy_tagged(tx->buf, m, len);
			else
				slabio_pcap_copy(tx->buf, m, 0, len);
			*iov = (struct iovec){tx->buf, len};
			pieces = 1;
		} else if (pieces > SEND_IOV - used) {
			break;
		} else if (tagged) {
			s->tags[i] = slabio_vlan_tag(m);
			iov[0] = (struct iovec){rte_pktmbuf_mtod(m, void *), SLABIO_VLAN_OFFSET};
			iov[1] = (struct iovec){&s->tags[i], sizeof(s->tags[i])};
			pieces = 2 + point_to(iov + 2, m, SLABIO_VLAN_OFFSET);
		} else {
			pieces = point_to(iov, m, 0);
		}
		s->msgs[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = iov, .msg_iovlen = pieces}};
		used += pieces;
	}
	return i;
}

/* The kernel or the device has no room at the moment: the packet stays with the caller. */
static bool
try_later(int err)
{
	return err == EAGAIN || err == EWOULDBLOCK || err == ENOBUFS || err == EINTR;
}

static __rte_noinline void
send_failed(struct slabio_txq *q, struct slabio_pcap_tx *tx, const struct rte_mbuf *m, int err)
{
	slabio_count(&q->stats[SLABIO_TX_ERRORS], 1);
	slabio_count(&q->stats[err == EMSGSIZE ? SLABIO_TX_OVERSIZE : SLABIO_TX_WRITE_ERRORS], 1);
	if (tx->reported)
		return;
	tx->reported = true;
	SLABIO_LOG(ERR,
		"%s: tx queue %u: cannot send %u bytes to %s: %s; such packets are dropped and "
		"counted, this is "
		"said once",
		tx->device, q->queue_id, m->pkt_len, tx->target, strerror(err));
}

uint16_t
slabio_pcap_iface_burst(
	struct slabio_txq *q, struct slabio_pcap_tx *tx, struct rte_mbuf **pkts, uint16_t n)
{
	uint64_t packets = 0, bytes = 0, multi = 0;
	struct send s; /* not initialised as a whole: it is large */
	uint16_t done = 0;
	int sent, err, i;

	while (done < n) {
		unsigned int ready = fill_vectors(q, tx, pkts + done, n - done, &s);

		sent = ready == 0 ? -1 : sendmmsg(tx->fd, s.msgs, ready, MSG_DONTWAIT);
		err = ready == 0 ? EMSGSIZE : errno;
		if (sent < 0 && try_later(err)) {
			slabio_count(&q->stats[SLABIO_TX_BACKPRESSURE], 1);
			break;
		}
		if (sent < 0) {
			/* it was the first one that failed; the others are tried again */
			send_failed(q, tx, pkts[done], err);
			multi += pkts[done]->nb_segs > 1;
			done++;
			continue;
		}
		for (i = 0; i < sent; i++) {
			bytes += s.msgs[i].msg_len;
			multi += pkts[done + i]->nb_segs > 1;
		}
		packets += sent;
		done += sent;
	}
	slabio_count(&q->stats[SLABIO_TX_PACKETS], packets);
	slabio_count(&q->stats[SLABIO_TX_BYTES], bytes);
	slabio_count(&q->stats[SLABIO_TX_MULTI_SEGS], multi);
	slabio_tx_free(q, pkts, done, multi == 0);
	return done;
}

void
slabio_pcap_iface_missed(struct rte_eth_dev *eth)
{
	struct slabio_pcap_port *port = eth->process_private;
	struct slabio_dev *dev = eth->data->dev_private;
	struct pcap_stat stat;
	uint16_t i;

	/* any thread may ask for statistics, libpcap answers one at a time */
	rte_spinlock_lock(&port->iface.stats_lock);
	for (i = 0; i < SLABIO_MAX_QUEUES; i++) {
		struct slabio_pcap_rx *rx = &port->rx[i];

		if (rx->handle == NULL || pcap_stats(rx->handle, &stat) != 0)
			continue;
		/* counts since activation, modulo 2^32 */
		slabio_count(&dev->missed, (uint32_t)stat.ps_drop - rx->last_drops);
		rx->last_drops = stat.ps_drop;
	}
	rte_spinlock_unlock(&port->iface.stats_lock);
}
