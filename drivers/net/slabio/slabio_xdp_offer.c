/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Secondaries get copies of a port's sockets from the primary, and map the rings themselves. Here is
 * the primary's side: it answers who asks, and sees to it that nobody has a socket any more when it
 * is closed. It waits for no secondary but briefly when it stops, and then for living ones only.
 */

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <rte_errno.h>

#include "slabio_slab.h"
#include "slabio_xdp.h"
#include "slabio_xdp_offer.h"

/* The ports that answer, under slabio_xdp_lock: a request may come when its port is gone. */
static struct rte_eth_dev *ports[RTE_MAX_ETHPORTS];

static void
describe(struct slabio_xdp_answer *a, const struct slabio_xdp_queue *q)
{
	const struct slabio_xdp_mem *mem = q->mem;

	a->has_rx = q->has_rx;
	a->has_tx = q->has_tx;
	a->zero_copy = q->mode.zero_copy;
	a->busy_poll = q->rx.busy_poll;
	a->unaligned = mem->unaligned;
	a->external = mem->mbufs != NULL;
	a->rx_tag = slabio_xdp_tag(q->slot, false);
	a->tx_tag = slabio_xdp_tag(q->slot, true);
	a->rx_ring = q->rx.fill.mask + 1;
	a->tx_ring = q->tx.completion.mask + 1;
	a->batch = q->rx.batch;
	a->max_frame = q->tx.max_frame;
	a->copy_room = q->tx.copy_room;
	a->max_segs = q->tx.max_segs;
	a->meta_len = q->tx.meta_len;
	a->rearm = q->rx.rearm;
	a->mp = mem->mp;
	a->first = mem->first;
	a->base = mem->base;
	a->origin = mem->origin;
	a->granule = mem->granule;
	a->inverse = mem->inverse;
	a->count = mem->count;
	a->buf_off = mem->buf_off;
	a->buf_len = mem->buf_len;
}

static int
answer_queue(
	const struct rte_eth_dev *eth, const struct slabio_xdp_request *r, struct rte_mp_msg *reply)
{
	const struct slabio_xdp_port *port = eth->process_private;
	struct slabio_dev *dev = eth->data->dev_private;
	const struct slabio_xdp_queue *q;

	/* relaxed: changed under the lock that the caller holds */
	if (!port->offered || r->queue >= SLABIO_MAX_QUEUES ||
		atomic_load_explicit(&dev->generation, memory_order_relaxed) != r->generation)
		return -ENOENT;
	q = &port->queues[r->queue];
	if (q->fd < 0)
		return -ENOENT;
	if (slabio_slab_is_exact(q->mem->mp))
		return -ENOTSUP;
	describe((struct slabio_xdp_answer *)reply->param, q);
	reply->num_fds = 2;
	reply->fds[0] = q->fd;
	reply->fds[1] = q->mem->holder_fd;
	return 0;
}

static int
answer(const struct rte_mp_msg *msg, const void *peer)
{
	const struct slabio_xdp_request *r = (const struct slabio_xdp_request *)msg->param;
	struct rte_mp_msg reply = {.len_param = sizeof(struct slabio_xdp_answer)};
	struct slabio_xdp_answer *a = (struct slabio_xdp_answer *)reply.param;
	const struct rte_eth_dev *eth;
	int ret = -EINVAL;

	strcpy(reply.name, msg->name);
	pthread_mutex_lock(&slabio_xdp_lock);
	eth = msg->len_param == sizeof(*r) && r->port < RTE_MAX_ETHPORTS ? ports[r->port] : NULL;
	if (eth == NULL || strncmp(eth->data->name, r->name, sizeof(r->name)) != 0) {
		ret = -ENODEV;
	} else if (r->ask == SLABIO_XDP_ASK_QUEUE) {
		ret = answer_queue(eth, r, &reply);
	} else if (r->ask == SLABIO_XDP_ASK_TOKENS) {
		const struct slabio_xdp_port *port = eth->process_private;

		reply.num_fds = 1;
		reply.fds[0] = port->peers.token_fd;
		ret = 0;
	}
	a->err = ret;
	/* while nobody closes the descriptors */
	ret = rte_mp_reply(&reply, peer);
	pthread_mutex_unlock(&slabio_xdp_lock);
	return ret;
}

int
slabio_xdp_offer_open(struct rte_eth_dev *eth)
{
	struct slabio_xdp_port *port = eth->process_private;
	int ret = slabio_peers_create(&port->peers, eth->data->dev_private);

	if (ret != 0) {
		SLABIO_LOG(ERR, "%s: cannot create a file for secondary processes: %s",
			eth->data->name, strerror(-ret));
		return ret;
	}
	/* there is one for all ports; none where there are no secondary processes */
	if (rte_mp_action_register(SLABIO_XDP_OFFER, answer) != 0 && rte_errno != EEXIST &&
		rte_errno != ENOTSUP)
		SLABIO_LOG(WARNING,
			"%s: secondary processes will not be able to receive and send: %s",
			eth->data->name, rte_strerror(rte_errno));
	pthread_mutex_lock(&slabio_xdp_lock);
	ports[eth->data->port_id] = eth;
	pthread_mutex_unlock(&slabio_xdp_lock);
	return 0;
}

bool
slabio_xdp_offer_close(struct rte_eth_dev *eth)
{
	struct slabio_xdp_port *port = eth->process_private;
	struct slabio_dev *dev = eth->data->dev_private;
	bool left;

	pthread_mutex_lock(&slabio_xdp_lock);
	ports[eth->data->port_id] = NULL;
	pthread_mutex_unlock(&slabio_xdp_lock);
	/* release: pairs with the acquire of a secondary that is told */
	atomic_store_explicit(&dev->closing, 1, memory_order_release);
	slabio_peers_tell(dev);
	left = slabio_peers_wait(&port->peers, true);
	if (!left)
		SLABIO_LOG(WARNING,
			"%s: the port is closed while a secondary process that does not answer has "
			"it open; %zu bytes that they share are left to it and not freed",
			eth->data->name, sizeof(*dev));
	return left;
}

void
slabio_xdp_offer(struct rte_eth_dev *eth)
{
	struct slabio_xdp_port *port = eth->process_private;
	struct slabio_dev *dev = eth->data->dev_private;

	pthread_mutex_lock(&slabio_xdp_lock);
	port->offered = true;
	if (++port->generation == 0)
		port->generation = 1;
	atomic_store_explicit(&dev->generation, port->generation, memory_order_release);
	pthread_mutex_unlock(&slabio_xdp_lock);
	slabio_peers_tell(dev);
}

void
slabio_xdp_withdraw(struct rte_eth_dev *eth)
{
	struct slabio_xdp_port *port = eth->process_private;
	struct slabio_dev *dev = eth->data->dev_private;

	pthread_mutex_lock(&slabio_xdp_lock);
	port->offered = false;
	/*
	 * seq_cst, and the queues were marked as stopped before: who enters a queue from now on finds
	 * that, and who is in one is found.
	 */
	atomic_store_explicit(&dev->generation, 0, memory_order_seq_cst);
	atomic_thread_fence(memory_order_seq_cst);
	pthread_mutex_unlock(&slabio_xdp_lock);
	slabio_peers_tell(dev);
	/* without the lock: a secondary may just be asking */
	port->peers.held = !slabio_peers_wait(&port->peers, false);
	if (port->peers.held)
		SLABIO_LOG(WARNING,
			"%s: a secondary process does not let go of the port's sockets, perhaps it "
			"is stopped; the interface's queues stay in use until it does or ends",
			eth->data->name);
}
