/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SLABIO_NETIF_H
#define SLABIO_NETIF_H

/**
 * @file
 * A network interface of the process's namespace: what is asked of it and changed on it.
 *
 * Promiscuous and all-multicast mode and a second address are memberships of a packet socket: the
 * kernel undoes them when that closes, also at a kill. Only the MTU is the interface's own, and is
 * put back when the last port of this process that has the interface is closed.
 *
 * An interface is told by its index. One that was removed stays gone, also when another has got its
 * name meanwhile, until slabio_netif_find() is called.
 */

#include <stdbool.h>
#include <net/if.h>

#include <rte_ether.h>
#include <ethdev_driver.h>

struct slabio_netif {
	const char *device; /* names of the port and the argument, for messages */
	const char *key;
	char name[IFNAMSIZ];
	int fd;
	int index;
	bool raw;
	unsigned int mtu_before; /* 0 unless changed by us */
	bool promiscuous;
	bool allmulticast;
	bool has_mac;
	struct rte_ether_addr own_mac; /* the interface's */
	struct rte_ether_addr mac;     /* one that it receives besides */
	struct slabio_netif *next;     /* of those that this process has open */
};

/**
 * Finds an Ethernet interface; 0, or a negative errno after a message.
 *
 * @param raw whether to have a packet socket, which needs CAP_NET_RAW and without which there are
 *   no memberships
 */
int slabio_netif_open(struct slabio_netif *netif, const char *device, const char *key,
	const char *name, bool raw);
void slabio_netif_close(struct slabio_netif *netif);
/** Looks for the interface again, by its name. */
int slabio_netif_find(struct slabio_netif *netif);
/** Whether the interface that was found is still there. */
bool slabio_netif_present(const struct slabio_netif *netif);

/** The number of receive and transmit queues that the interface uses, whichever are more. */
unsigned int slabio_netif_queues(const struct slabio_netif *netif);
/** 0 where it cannot be told. */
unsigned int slabio_netif_mtu(const struct slabio_netif *netif);
void slabio_netif_link(const struct slabio_netif *netif, struct rte_eth_link *link);

int slabio_netif_set_mtu(struct slabio_netif *netif, uint16_t mtu);
int slabio_netif_set_mac(struct slabio_netif *netif, const struct rte_ether_addr *mac);
int slabio_netif_set_promiscuous(struct slabio_netif *netif, bool on);
int slabio_netif_set_allmulticast(struct slabio_netif *netif, bool on);

/** Changes of an interface, told as they happen. */
struct slabio_netif_watch {
	const struct slabio_netif *netif;
	struct rte_intr_handle *handle; /* NULL: nobody listens */
	int fd;
	void (*changed)(void *arg);
	void *arg;
};

/** From now on, EAL's interrupt thread calls changed() when something about it may have. */
int slabio_netif_watch_start(struct slabio_netif_watch *watch, const struct slabio_netif *netif,
	void (*changed)(void *arg), void *arg);
/** After this it does not any more. Not from within changed(). */
void slabio_netif_watch_stop(struct slabio_netif_watch *watch);

#endif /* SLABIO_NETIF_H */
