/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Sweeps over receive and transmit bursts of the poll-mode driver on capture files: the driver as
 * it is installed, libpcap and libc included, with mbufs from a mempool on the ops "slab". Besides
 * the pool, what was written of a capture is looked at.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "eal_world.h"
#include "mempool_scene.h"

#define ROOM	      256u
#define PACKETS	      16u
#define SMALL	      60u
#define LARGE	      600u /* three mbufs */
#define SEGMENTS      ((LARGE + ROOM - 1) / ROOM)
#define FILE_HEADER   24u
#define RECORD_HEADER 16u

struct pmd_start {
	struct pool_start pool; /**< n: mbufs that the burst can have in its hands */
	const char *port;
	unsigned int length; /**< of its packets */
	uint16_t burst;	     /**< packets asked for, or sent */
	uint16_t expect;     /**< packets of the burst where nobody disturbs it */
};

struct pmd_user {
	struct pool_user pool;
	_Atomic uint32_t told_sent;
};

static uint16_t port;
/* packets to send, made before the operation */
static struct rte_mbuf *ready[PACKETS];

static const struct pmd_start *
start_of(struct crash_scene *s)
{
	return s->arg;
}

/* ---- captures ---- */

static void
put32(FILE *f, uint32_t value)
{
	fwrite(&value, sizeof(value), 1, f);
}

/* Packets of one length, each filled with its number. */
static void
write_capture(const char *dir, const char *name, unsigned int length)
{
	unsigned char data[LARGE];
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	if (f == NULL)
		exit(1);
	put32(f, 0xa1b2c3d4);
	put32(f, 2 | 4 << 16);
	put32(f, 0);
	put32(f, 0);
	put32(f, 65535);
	put32(f, 1); /* Ethernet */
	for (unsigned int i = 0; i < PACKETS; i++) {
		memset(data, (int)i, length);
		put32(f, 1000);
		put32(f, i);
		put32(f, length);
		put32(f, length);
		fwrite(data, length, 1, f);
	}
	if (fclose(f) != 0)
		exit(1);
}

static void
write_captures(const char *dir)
{
	write_capture(dir, "small.pcap", SMALL);
	write_capture(dir, "large.pcap", LARGE);
}

/* All of a packet is its number. */
static void
check_packet(struct crash_scene *s, const unsigned char *data, unsigned int length, unsigned int i)
{
	for (unsigned int b = 0; b < length; b++)
		if (data[b] != i)
			crash_fault(s, CRASH_WRONG, "byte %u of packet %u is %u", b, i, data[b]);
}

/* Packets that were reported as sent are in the file, which has whole packets only. */
static void
check_output(struct crash_scene *s)
{
	const unsigned int told = atomic_load(&((struct pmd_user *)s->user)->told_sent);
	const unsigned int length = start_of(s)->length;
	unsigned char data[RECORD_HEADER + LARGE];
	unsigned int n = 0;
	char path[128];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "%s/%s.out.pcap", eal_world_dir(), start_of(s)->port);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	crash_check(s, fd >= 0);
	crash_check(s, read(fd, data, FILE_HEADER) == FILE_HEADER);
	while ((got = read(fd, data, RECORD_HEADER + length)) > 0) {
		crash_check(s, got == (ssize_t)(RECORD_HEADER + length));
		check_packet(s, data + RECORD_HEADER, length, n++);
	}
	close(fd);
	if (n < told)
		crash_fault(s, CRASH_LOST, "%u packets are in the file, %u were sent", n, told);
	if (n > start_of(s)->burst)
		crash_fault(s, CRASH_DOUBLED, "%u packets are in the file", n);
}

/* ---- the victim ---- */

static void
start_port(struct crash_scene *s)
{
	const struct rte_eth_conf conf = {
		.rxmode.offloads = RTE_ETH_RX_OFFLOAD_SCATTER,
		.txmode.offloads = RTE_ETH_TX_OFFLOAD_MULTI_SEGS,
	};

	crash_ok(s, rte_eth_dev_get_port_by_name(start_of(s)->port, &port));
	crash_ok(s, rte_eth_dev_configure(port, 1, 1, &conf));
	crash_ok(s, rte_eth_rx_queue_setup(port, 0, 64, 0, NULL, mempool_scene_mp));
	crash_ok(s, rte_eth_tx_queue_setup(port, 0, 64, 0, NULL));
	crash_ok(s, rte_eth_dev_start(port));
}

/* Packets of what the victim holds. */
static void
make_ready(struct crash_scene *s)
{
	const struct pmd_start *st = start_of(s);

	for (unsigned int i = 0; i < st->burst; i++) {
		for (unsigned int left = st->length; left > 0;) {
			const uint32_t handle = view.held[--view.n];
			struct rte_mbuf *m = mempool_scene_object(handle);
			const uint16_t part = (uint16_t)RTE_MIN(left, ROOM);

			rte_pktmbuf_reset(m);
			memset(rte_pktmbuf_append(m, part), (int)i, part);
			if (left == st->length)
				ready[i] = m;
			else
				crash_ok(s, rte_pktmbuf_chain(ready[i], m));
			left -= part;
		}
	}
}

static void
prepare_rx(struct crash_scene *s)
{
	pool_scene_prepare(s);
	start_port(s);
}

static void
prepare_tx(struct crash_scene *s)
{
	pool_scene_prepare(s);
	start_port(s);
	make_ready(s);
}

static void
own_packet(struct crash_scene *s, struct rte_mbuf *m, unsigned int i)
{
	unsigned int length = 0;

	for (; m != NULL; m = m->next) {
		const uint32_t handle = mempool_scene_handle(s, m);

		view_own(s, handle);
		view.held[view.n++] = handle;
		check_packet(s, rte_pktmbuf_mtod(m, unsigned char *), m->data_len, i);
		length += m->data_len;
	}
	crash_check(s, length == start_of(s)->length);
}

static uint16_t
receive(struct crash_scene *s, struct rte_mbuf **packets)
{
	const struct pmd_start *st = start_of(s);
	uint16_t n = rte_eth_rx_burst(port, 0, packets, st->burst);

	for (uint16_t i = 0; i < n; i++)
		own_packet(s, packets[i], i);
	if (n != st->expect && (s->mode == CRASH_KILL || n > st->burst))
		crash_fault(s, CRASH_WRONG, "%u packets received, expected %u", n, st->expect);
	return n;
}

static void
send_packets(struct crash_scene *s, struct rte_mbuf **packets, uint16_t n)
{
	struct pmd_user *u = s->user;
	uint16_t sent;

	for (uint16_t i = 0; i < n; i++)
		for (struct rte_mbuf *m = packets[i]; m != NULL; m = m->next)
			view_disown(s, mempool_scene_handle(s, m));
	sent = rte_eth_tx_burst(port, 0, packets, n);
	atomic_store(&u->told_sent, sent);
	crash_check(s, sent == n);
}

static void
op_rx(struct crash_scene *s)
{
	struct rte_mbuf *packets[PACKETS];

	receive(s, packets);
}

static void
op_tx(struct crash_scene *s)
{
	send_packets(s, ready, start_of(s)->burst);
}

/* What a forwarding application does all the time. */
static void
op_forward(struct crash_scene *s)
{
	const unsigned int held = view.n;
	struct rte_mbuf *packets[PACKETS];
	uint16_t n = receive(s, packets);

	view.n = held;
	send_packets(s, packets, n);
}

static void
audit(struct crash_scene *s, enum crash_how how)
{
	check_output(s);
	pool_scene_audit(s, how);
}

/* ---- states ---- */

#define FILE_PORT   "net_slabio0"
#define LARGE_PORT  "net_slabio1"
#define MEMORY_PORT "net_slabio2"

static const char *const devices[] = {
	FILE_PORT ",rx_pcap=%s/small.pcap,tx_pcap=%s/" FILE_PORT ".out.pcap",
	LARGE_PORT ",rx_pcap=%s/large.pcap,tx_pcap=%s/" LARGE_PORT ".out.pcap",
	MEMORY_PORT ",rx_pcap=%s/small.pcap,loop=1,tx_pcap=%s/" MEMORY_PORT ".out.pcap",
	NULL,
};

/* the loaded magazine has what the burst needs */
static const struct pmd_start loaded = {
	.pool = {.exact = true, .victim_takes = 4, .victim_returns = 4, .n = 4},
	.port = FILE_PORT,
	.length = SMALL,
	.burst = 4,
	.expect = 4};
static const struct pmd_start loaded_held = {
	.pool = {.victim_takes = 4, .victim_returns = 4, .n = 4},
	.port = FILE_PORT,
	.length = SMALL,
	.burst = 4,
	.expect = 4};
/* mbufs come from the depot, in magazines that carry the survivor's name */
static const struct pmd_start others = {
	.pool = {.exact = true, .survivor_returns = BLOCKS, .n = 10},
	.port = FILE_PORT,
	.length = SMALL,
	.burst = 10,
	.expect = 10};
/* two are left, in the survivor's shard: the burst ends there */
static const struct pmd_start dry = {
	.pool = {.exact = true, .survivor_keeps = 22, .survivor_returns = 2, .n = 4},
	.port = FILE_PORT,
	.length = SMALL,
	.burst = 4,
	.expect = 2};
static const struct pmd_start chains = {.pool = {.exact = true, .n = 2 * SEGMENTS},
	.port = LARGE_PORT,
	.length = LARGE,
	.burst = 2,
	.expect = 2};
static const struct pmd_start memory = {
	.pool = {.exact = true, .victim_takes = 4, .victim_returns = 4, .n = 4},
	.port = MEMORY_PORT,
	.length = SMALL,
	.burst = 4,
	.expect = 4};
/* the loaded magazine has room for what is sent */
static const struct pmd_start sends = {.pool = {.exact = true, .victim_takes = 4, .n = 4},
	.port = FILE_PORT,
	.length = SMALL,
	.burst = 4};
static const struct pmd_start sends_held = {
	.pool = {.victim_takes = 4, .n = 4}, .port = FILE_PORT, .length = SMALL, .burst = 4};
/* what is sent fills two magazines and begins a third */
static const struct pmd_start sends_many = {.pool = {.exact = true, .victim_takes = 12, .n = 12},
	.port = FILE_PORT,
	.length = SMALL,
	.burst = 12};
static const struct pmd_start sends_chains = {
	.pool = {.exact = true, .victim_takes = 2 * SEGMENTS, .n = 2 * SEGMENTS},
	.port = LARGE_PORT,
	.length = LARGE,
	.burst = 2};

#define CASE(id, title, ready_fn, fn, state, path)          \
	static const struct crash_case id = {.name = title, \
		.through = path,                            \
		.arg = &state,                              \
		.world = mempool_scene_world,               \
		.setup = pool_scene_setup,                  \
		.prepare = ready_fn,                        \
		.op = fn,                                   \
		.finish = pool_scene_finish,                \
		.partner = pool_scene_partner,              \
		.survive = pool_scene_survive,              \
		.audit = audit}

CASE(rx, "rx burst", prepare_rx, op_rx, loaded, "slabio_pcap_rx_burst");
CASE(rx_held, "rx burst, conservative", prepare_rx, op_rx, loaded_held, "slabio_pcap_rx_burst");
CASE(rx_refill, "rx burst, exchange", prepare_rx, op_rx, others, "sio_take_over");
CASE(rx_dry, "rx burst, steal, pool dry", prepare_rx, op_rx, dry, "sio_steal_round");
CASE(rx_chains, "rx burst, chains", prepare_rx, op_rx, chains, "to_chain");
CASE(rx_memory, "rx burst from memory", prepare_rx, op_rx, memory, "slabio_pcap_rx_burst");
CASE(tx, "tx burst", prepare_tx, op_tx, sends, "slabio_pcap_writer_burst");
CASE(tx_held, "tx burst, conservative", prepare_tx, op_tx, sends_held, "slabio_pcap_writer_burst");
CASE(tx_many, "tx burst, exchange", prepare_tx, op_tx, sends_many, "sio_depot_give");
CASE(tx_chains, "tx burst, chains", prepare_tx, op_tx, sends_chains, "slabio_pcap_writer_burst");
CASE(forward, "rx burst and tx burst", prepare_rx, op_forward, loaded, "slabio_pcap_writer_burst");

int
main(int argc, char **argv)
{
	/* clang-format off */
	static const struct crash_row rows[] = {
		{&rx, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&rx_held, CRASH_KILL, CRASH_NONE, CRASH_DEEP},
		{&rx_refill, CRASH_KILL, CRASH_NONE, CRASH_DEEP},
		{&rx_dry, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&rx_chains, CRASH_KILL, CRASH_NONE, CRASH_DEEP},
		{&rx_memory, CRASH_KILL, CRASH_NONE, CRASH_DEEP},
		{&tx, CRASH_KILL, CRASH_NONE, CRASH_DEEP},
		{&tx_held, CRASH_KILL, CRASH_NONE, CRASH_DEEP},
		{&tx_many, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&tx_chains, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&forward, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&rx, CRASH_STOP, CRASH_NONE, CRASH_DISTINCT},
		{&rx_dry, CRASH_STOP, CRASH_NONE, CRASH_DISTINCT},
		{&tx_many, CRASH_STOP, CRASH_NONE, CRASH_DISTINCT},
		{&forward, CRASH_STOP, CRASH_NONE, CRASH_DISTINCT},
		{&rx, CRASH_BUSY, CRASH_NONE, CRASH_DISTINCT},
		{&tx_many, CRASH_BUSY, CRASH_NONE, CRASH_DISTINCT},
	};
	/* clang-format on */

	eal_world_start(argv, mempool_scene_config, devices, write_captures);
	pool_scene_ways = &mempool_ways;
	mempool_scene_room = ROOM;
	return crash_main(argc, argv, rows, sizeof(rows) / sizeof(rows[0]));
}
