/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * What a secondary process does with any port: it reads what processes share, as long as there is
 * something.
 *
 * And its bursts on ports that it cannot poll: those of files and of libpcap, and an
 * AF_XDP port that it could not join. Nothing is received or sent, and it is told so once, for a
 * silent port looks like one without traffic.
 *
 * A capture file has one position and one end, both in libpcap's memory in the primary. A second
 * handle of the same file would receive its packets a second time, write over those of the primary,
 * or truncate them; one of the same interface would receive each packet once more. So there is
 * none.
 */

#include <stdatomic.h>

#include "slabio_pmd.h"

pthread_mutex_t slabio_sharing = PTHREAD_MUTEX_INITIALIZER;

struct slabio_dev *
slabio_dev_hold(const struct rte_eth_dev *eth)
{
	struct slabio_dev *dev;

	if (rte_eal_process_type() == RTE_PROC_PRIMARY)
		return eth->data->dev_private;
	pthread_mutex_lock(&slabio_sharing);
	dev = eth->data->dev_private;
	if (dev == NULL)
		pthread_mutex_unlock(&slabio_sharing);
	return dev;
}

void
slabio_dev_release(void)
{
	if (rte_eal_process_type() != RTE_PROC_PRIMARY)
		pthread_mutex_unlock(&slabio_sharing);
}

/* Relaxed: all that matters is that one thread is the first. */
static void
say_once(atomic_flag *said, const char *verb, const char *done)
{
	if (!atomic_flag_test_and_set_explicit(said, memory_order_relaxed))
		SLABIO_LOG(ERR,
			"expected the primary process to %s, this is a secondary: nothing is %s "
			"here; let the primary poll the queues",
			verb, done);
}

uint16_t
slabio_secondary_rx(void *rxq, struct rte_mbuf **mbufs, uint16_t n)
{
	static atomic_flag said = ATOMIC_FLAG_INIT;

	RTE_SET_USED(rxq);
	RTE_SET_USED(mbufs);
	RTE_SET_USED(n);
	say_once(&said, "receive", "received");
	return 0;
}

uint16_t
slabio_secondary_tx(void *txq, struct rte_mbuf **mbufs, uint16_t n)
{
	static atomic_flag said = ATOMIC_FLAG_INIT;

	RTE_SET_USED(txq);
	RTE_SET_USED(mbufs);
	if (n > 0)
		say_once(&said, "send", "sent");
	return 0;
}
