/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Basic and extended statistics. The polling threads only ever add to their counters; a reset
 * remembers where they stood, so it takes no part in the data path and loses nothing.
 *
 * Both are read in secondaries as well: the counters lie in dev_private.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "slabio_pmd.h"

static const char *const rx_names[SLABIO_RX_STATS] = {
	[SLABIO_RX_NOMBUF] = "nombuf",
	[SLABIO_RX_SCATTERED] = "scattered",
	[SLABIO_RX_SNAPPED] = "snapped",
	[SLABIO_RX_RUNTS] = "runts",
	[SLABIO_RX_OVERSIZE] = "oversize",
	[SLABIO_RX_TRUNCATED] = "truncated",
	[SLABIO_RX_READ_ERRORS] = "read_errors",
	[SLABIO_RX_END_OF_FILE] = "end_of_file",
	[SLABIO_RX_FILTERED] = "filtered",
	[SLABIO_RX_LOOPS] = "loops",
	[SLABIO_RX_KICKS] = "wakeups",
	[SLABIO_RX_BAD_DESCS] = "bad_descriptors",
	[SLABIO_RX_XSK_DROPPED] = "xsk_dropped",
	[SLABIO_RX_XSK_RING_FULL] = "xsk_ring_full",
	[SLABIO_RX_XSK_FILL_EMPTY] = "xsk_fill_ring_empty",
	[SLABIO_RX_XSK_INVALID] = "xsk_invalid_descriptors",
	[SLABIO_RX_NO_META] = "no_metadata",
	[SLABIO_RX_IS_ZERO_COPY] = "is_zero_copy",
	[SLABIO_RX_IS_NATIVE] = "is_native",
	[SLABIO_RX_IS_MULTI_BUFFER] = "is_multi_buffer",
};

static const char *const tx_names[SLABIO_TX_STATS] = {
	[SLABIO_TX_MULTI_SEGS] = "multi_segs",
	[SLABIO_TX_OVERSIZE] = "oversize",
	[SLABIO_TX_WRITE_ERRORS] = "write_errors",
	[SLABIO_TX_NO_OUTPUT] = "dropped_no_output",
	[SLABIO_TX_BACKPRESSURE] = "backpressure",
	[SLABIO_TX_SNAPPED] = "snapped",
	[SLABIO_TX_ROTATIONS] = "rotations",
	[SLABIO_TX_RUNTS] = "runts",
	[SLABIO_TX_NOMBUF] = "nombuf",
	[SLABIO_TX_COPIES] = "copies",
	[SLABIO_TX_KICKS] = "kicks",
	[SLABIO_TX_BAD_COMPLETIONS] = "bad_completions",
	[SLABIO_TX_BAD_OFFLOADS] = "bad_offloads",
	[SLABIO_TX_XSK_INVALID] = "xsk_invalid_descriptors",
	[SLABIO_TX_XSK_RING_EMPTY] = "xsk_ring_empty",
	[SLABIO_TX_KERNEL_CSUMS] = "kernel_checksums",
	[SLABIO_TX_SOFTWARE_CSUMS] = "software_checksums",
	[SLABIO_TX_IS_KERNEL_CSUM] = "is_kernel_checksum",
};

static uint64_t
rx_stat(const struct slabio_rxq *q, unsigned int stat)
{
	return slabio_counted(&q->stats[stat]) - q->base[stat];
}

static uint64_t
tx_stat(const struct slabio_txq *q, unsigned int stat)
{
	return slabio_counted(&q->stats[stat]) - q->base[stat];
}

/* What the source lost is asked of it where it is open; elsewhere the last answer has to do. */
static void
update_missed(struct rte_eth_dev *eth, const struct slabio_dev *dev)
{
	const struct slabio_backend *be = slabio_backend(dev);

	if (rte_eal_process_type() == RTE_PROC_PRIMARY && be->update_missed != NULL)
		be->update_missed(eth);
}

int
slabio_stats_fill(
	struct rte_eth_dev *eth, struct rte_eth_stats *stats, struct slabio_queue_stats *queues)
{
	const struct slabio_dev *dev = slabio_dev_hold(eth);
	unsigned int i;

	if (dev == NULL)
		return -ENODEV;
	update_missed(eth, dev);
	for (i = 0; i < SLABIO_MAX_QUEUES; i++) {
		const struct slabio_rxq *rxq = &dev->rxq[i];
		const struct slabio_txq *txq = &dev->txq[i];

		stats->ipackets += rx_stat(rxq, SLABIO_RX_PACKETS);
		stats->ibytes += rx_stat(rxq, SLABIO_RX_BYTES);
		stats->ierrors += rx_stat(rxq, SLABIO_RX_ERRORS);
		stats->rx_nombuf += rx_stat(rxq, SLABIO_RX_NOMBUF);
		stats->opackets += tx_stat(txq, SLABIO_TX_PACKETS);
		stats->obytes += tx_stat(txq, SLABIO_TX_BYTES);
		stats->oerrors += tx_stat(txq, SLABIO_TX_ERRORS);
		if (queues == NULL || i >= RTE_ETHDEV_QUEUE_STAT_CNTRS)
			continue;
		queues->q_ipackets[i] = rx_stat(rxq, SLABIO_RX_PACKETS);
		queues->q_ibytes[i] = rx_stat(rxq, SLABIO_RX_BYTES);
		queues->q_errors[i] = rx_stat(rxq, SLABIO_RX_ERRORS);
		queues->q_opackets[i] = tx_stat(txq, SLABIO_TX_PACKETS);
		queues->q_obytes[i] = tx_stat(txq, SLABIO_TX_BYTES);
	}
	stats->imissed = slabio_counted(&dev->missed) - dev->missed_base;
	slabio_dev_release();
	return 0;
}

int
slabio_stats_reset(struct rte_eth_dev *eth)
{
	struct slabio_dev *dev = slabio_dev_hold(eth);
	unsigned int i, stat;

	if (dev == NULL)
		return -ENODEV;
	update_missed(eth, dev);
	for (i = 0; i < SLABIO_MAX_QUEUES; i++) {
		for (stat = 0; stat < SLABIO_RX_STATS; stat++)
			if ((SLABIO_RX_STATES >> stat & 1) == 0)
				dev->rxq[i].base[stat] = slabio_counted(&dev->rxq[i].stats[stat]);
		for (stat = 0; stat < SLABIO_TX_STATS; stat++)
			if ((SLABIO_TX_STATES >> stat & 1) == 0)
				dev->txq[i].base[stat] = slabio_counted(&dev->txq[i].stats[stat]);
	}
	dev->missed_base = slabio_counted(&dev->missed);
	slabio_dev_release();
	return 0;
}

static unsigned int
xstats_count(const struct rte_eth_dev *eth, const struct slabio_backend *be)
{
	return eth->data->nb_rx_queues * (unsigned int)__builtin_popcountll(be->rx_xstats) +
	       eth->data->nb_tx_queues * (unsigned int)__builtin_popcountll(be->tx_xstats);
}

static unsigned int
name_all(const struct rte_eth_dev *eth, const struct slabio_backend *be,
	struct rte_eth_xstat_name *names)
{
	unsigned int n = 0, i, stat;

	for (i = 0; i < eth->data->nb_rx_queues; i++)
		for (stat = 0; stat < SLABIO_RX_STATS; stat++)
			if (be->rx_xstats >> stat & 1)
				snprintf(names[n++].name, sizeof(names[0].name), "rx_q%u_%s", i,
					rx_names[stat]);
	for (i = 0; i < eth->data->nb_tx_queues; i++)
		for (stat = 0; stat < SLABIO_TX_STATS; stat++)
			if (be->tx_xstats >> stat & 1)
				snprintf(names[n++].name, sizeof(names[0].name), "tx_q%u_%s", i,
					tx_names[stat]);
	return n;
}

int
slabio_xstats_get_names(
	struct rte_eth_dev *eth, struct rte_eth_xstat_name *names, unsigned int size)
{
	const struct slabio_dev *dev = slabio_dev_hold(eth);
	unsigned int n;

	if (dev == NULL)
		return -ENODEV;
	n = xstats_count(eth, slabio_backend(dev));
	if (names != NULL && size >= n)
		n = name_all(eth, slabio_backend(dev), names);
	slabio_dev_release();
	return (int)n;
}

static unsigned int
add(struct rte_eth_xstat *xstats, unsigned int n, uint64_t value)
{
	xstats[n].id = n;
	xstats[n].value = value;
	return n + 1;
}

static unsigned int
get_all(const struct rte_eth_dev *eth, const struct slabio_dev *dev, struct rte_eth_xstat *xstats)
{
	const struct slabio_backend *be = slabio_backend(dev);
	unsigned int n = 0, i, stat;

	for (i = 0; i < eth->data->nb_rx_queues; i++)
		for (stat = 0; stat < SLABIO_RX_STATS; stat++)
			if (be->rx_xstats >> stat & 1)
				n = add(xstats, n, rx_stat(&dev->rxq[i], stat));
	for (i = 0; i < eth->data->nb_tx_queues; i++)
		for (stat = 0; stat < SLABIO_TX_STATS; stat++)
			if (be->tx_xstats >> stat & 1)
				n = add(xstats, n, tx_stat(&dev->txq[i], stat));
	return n;
}

int
slabio_xstats_get(struct rte_eth_dev *eth, struct rte_eth_xstat *xstats, unsigned int size)
{
	const struct slabio_dev *dev = slabio_dev_hold(eth);
	unsigned int n;

	if (dev == NULL)
		return -ENODEV;
	n = xstats_count(eth, slabio_backend(dev));
	if (xstats != NULL && size >= n) {
		update_missed(eth, dev);
		n = get_all(eth, dev, xstats);
	}
	slabio_dev_release();
	return (int)n;
}
