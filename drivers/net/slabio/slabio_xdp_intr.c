/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Receive interrupts: each receive queue's socket is a descriptor that an application can sleep on.
 * The kernel makes it readable when there are packets, so there is nothing to switch on or off, and
 * nobody pays for it who does not sleep.
 */

#include <errno.h>
#include <string.h>

#include <rte_interrupts.h>

#include "slabio_xdp.h"

static int
list_sockets(struct rte_intr_handle *handle, const struct slabio_xdp_port *port, uint16_t n)
{
	uint16_t i;
	int ret;

	ret = rte_intr_type_set(handle, RTE_INTR_HANDLE_VDEV);
	if (ret == 0)
		ret = rte_intr_vec_list_alloc(handle, NULL, n);
	/* nothing is read from the descriptors at a wake-up */
	if (ret == 0)
		ret = rte_intr_efd_counter_size_set(handle, 0);
	if (ret == 0)
		ret = rte_intr_nb_efd_set(handle, n);
	if (ret == 0)
		ret = rte_intr_max_intr_set(handle, n + RTE_INTR_VEC_RXTX_OFFSET);
	for (i = 0; i < n && ret == 0; i++) {
		ret = rte_intr_vec_list_index_set(handle, i, i + RTE_INTR_VEC_RXTX_OFFSET);
		if (ret == 0)
			ret = rte_intr_efds_index_set(handle, i, port->queues[i].fd);
	}
	return ret;
}

int
slabio_xdp_intr_start(struct rte_eth_dev *eth)
{
	int ret;

	if (!eth->data->dev_conf.intr_conf.rxq)
		return 0;
	eth->intr_handle = rte_intr_instance_alloc(RTE_INTR_INSTANCE_F_PRIVATE);
	ret = eth->intr_handle == NULL ? -ENOMEM
				       : list_sockets(eth->intr_handle, eth->process_private,
						 eth->data->nb_rx_queues);
	if (ret == 0)
		return 0;
	SLABIO_LOG(ERR, "%s: cannot list %u sockets for receive interrupts: %s", eth->data->name,
		eth->data->nb_rx_queues, strerror(-ret));
	slabio_xdp_intr_stop(eth);
	return ret;
}

void
slabio_xdp_intr_stop(struct rte_eth_dev *eth)
{
	if (eth->intr_handle == NULL)
		return;
	rte_intr_vec_list_free(eth->intr_handle);
	rte_intr_instance_free(eth->intr_handle);
	eth->intr_handle = NULL;
}

/* By the receiving thread: frames that are owed have to be there before it sleeps. */
int
slabio_xdp_intr_enable(struct rte_eth_dev *eth, uint16_t queue)
{
	struct slabio_xdp_port *port = eth->process_private;
	struct slabio_xdp_rx *rx = &port->queues[queue].rx;

	/* relaxed: only this process writes its own name there */
	if (atomic_load_explicit(&rx->q->poll.owner, memory_order_relaxed) == SLABIO_PRIMARY ||
		slabio_xdp_rx_take_back(rx))
		(void)slabio_xdp_refill(rx);
	return 0;
}
