/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* A network interface, through ioctl and the memberships of a packet socket. */

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/ethtool.h>
#include <linux/if_arp.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>

#include "slabio_netif.h"
#include "slabio_pmd.h"

/* Several ports may have one interface, by different queues. */
static struct slabio_netif *all;
static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;

/* An interface request by name; 0 or a negative errno. */
static int
request(const struct slabio_netif *netif, unsigned long what, struct ifreq *ifr)
{
	memcpy(ifr->ifr_name, netif->name, sizeof(netif->name));
	return ioctl(netif->fd, what, ifr) == 0 ? 0 : -errno;
}

int
slabio_netif_find(struct slabio_netif *netif)
{
	struct ifreq ifr = {0};
	int ret = request(netif, SIOCGIFINDEX, &ifr);

	if (ret != 0) {
		SLABIO_LOG(ERR,
			"%s: expected an interface of this network namespace at %s=%s, found: %s; "
			"see 'ip link'",
			netif->device, netif->key, netif->name, strerror(-ret));
		return ret;
	}
	/* what was changed on the one before went with it */
	if (ifr.ifr_ifindex != netif->index) {
		netif->mtu_before = 0;
		netif->promiscuous = netif->allmulticast = netif->has_mac = false;
	}
	netif->index = ifr.ifr_ifindex;
	ret = request(netif, SIOCGIFHWADDR, &ifr);
	if (ret != 0 || (ifr.ifr_hwaddr.sa_family != ARPHRD_ETHER &&
				ifr.ifr_hwaddr.sa_family != ARPHRD_LOOPBACK)) {
		SLABIO_LOG(ERR, "%s: expected an Ethernet interface at %s=%s, found %s",
			netif->device, netif->key, netif->name,
			ret != 0 ? strerror(-ret) : "another type");
		return ret != 0 ? ret : -EINVAL;
	}
	memcpy(&netif->own_mac, ifr.ifr_hwaddr.sa_data, sizeof(netif->own_mac));
	return 0;
}

int
slabio_netif_open(
	struct slabio_netif *netif, const char *device, const char *key, const char *name, bool raw)
{
	int ret;

	*netif = (struct slabio_netif){.device = device, .key = key, .fd = -1, .raw = raw};
	if (strlen(name) >= IFNAMSIZ) {
		SLABIO_LOG(ERR,
			"%s: expected an interface of this network namespace at %s=%s, the name is "
			"too long for one",
			device, key, name);
		return -ENODEV;
	}
	memcpy(netif->name, name, strlen(name) + 1);
	netif->fd =
		socket(raw ? AF_PACKET : AF_UNIX, (raw ? SOCK_RAW : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
	if (netif->fd < 0) {
		ret = -errno;
		SLABIO_LOG(ERR, "%s: expected to be allowed packet sockets for %s=%s, found: %s%s",
			device, key, name, strerror(-ret),
			ret == -EPERM ? "; run as root or with CAP_NET_RAW" : "");
		return ret;
	}
	ret = slabio_netif_find(netif);
	if (ret != 0) {
		close(netif->fd);
		netif->fd = -1;
		return ret;
	}
	pthread_mutex_lock(&all_lock);
	netif->next = all;
	all = netif;
	pthread_mutex_unlock(&all_lock);
	return 0;
}

/* Takes it off the list. Another one that has the interface sees to its MTU, if there is one. */
static void
leave(struct slabio_netif *netif)
{
	struct slabio_netif **at, *other;

	pthread_mutex_lock(&all_lock);
	for (at = &all; *at != NULL && *at != netif; at = &(*at)->next)
		;
	if (*at != NULL)
		*at = netif->next;
	for (other = all; other != NULL && other->index != netif->index; other = other->next)
		;
	if (other != NULL && netif->mtu_before != 0) {
		other->mtu_before = netif->mtu_before;
		netif->mtu_before = 0;
	}
	pthread_mutex_unlock(&all_lock);
}

void
slabio_netif_close(struct slabio_netif *netif)
{
	struct ifreq ifr = {0};
	int ret;

	if (netif->fd < 0)
		return;
	leave(netif);
	if (netif->mtu_before != 0 && slabio_netif_present(netif)) {
		ifr.ifr_mtu = (int)netif->mtu_before;
		ret = request(netif, SIOCSIFMTU, &ifr);
		if (ret != 0)
			SLABIO_LOG(WARNING, "%s: could not put back the MTU %u of %s: %s",
				netif->device, netif->mtu_before, netif->name, strerror(-ret));
	}
	close(netif->fd);
	netif->fd = -1;
}

bool
slabio_netif_present(const struct slabio_netif *netif)
{
	struct ifreq ifr = {0};

	return request(netif, SIOCGIFINDEX, &ifr) == 0 && ifr.ifr_ifindex == netif->index;
}

unsigned int
slabio_netif_queues(const struct slabio_netif *netif)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	struct ifreq ifr = {0};

	ifr.ifr_data = (void *)&channels;
	/* a driver that cannot tell has one */
	if (request(netif, SIOCETHTOOL, &ifr) != 0)
		return 1;
	return RTE_MAX(1u, channels.combined_count + RTE_MAX(channels.rx_count, channels.tx_count));
}

unsigned int
slabio_netif_mtu(const struct slabio_netif *netif)
{
	struct ifreq ifr = {0};

	return request(netif, SIOCGIFMTU, &ifr) == 0 ? (unsigned int)ifr.ifr_mtu : 0;
}

void
slabio_netif_link(const struct slabio_netif *netif, struct rte_eth_link *link)
{
	struct ethtool_cmd cmd = {.cmd = ETHTOOL_GSET};
	struct ifreq ifr = {0};
	uint32_t speed;

	link->link_speed = RTE_ETH_SPEED_NUM_UNKNOWN;
	link->link_status = RTE_ETH_LINK_DOWN;
	if (!slabio_netif_present(netif) || request(netif, SIOCGIFFLAGS, &ifr) != 0)
		return;
	if ((ifr.ifr_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING))
		link->link_status = RTE_ETH_LINK_UP;
	ifr.ifr_data = (void *)&cmd;
	if (request(netif, SIOCETHTOOL, &ifr) != 0)
		return;
	speed = ethtool_cmd_speed(&cmd);
	if (speed != 0 && speed != (uint32_t)SPEED_UNKNOWN)
		link->link_speed = speed;
	if (cmd.duplex == DUPLEX_HALF)
		link->link_duplex = RTE_ETH_LINK_HALF_DUPLEX;
	if (cmd.autoneg == AUTONEG_ENABLE)
		link->link_autoneg = RTE_ETH_LINK_AUTONEG;
}

int
slabio_netif_set_mtu(struct slabio_netif *netif, uint16_t mtu)
{
	unsigned int before = slabio_netif_mtu(netif);
	struct ifreq ifr = {0};
	int ret;

	ifr.ifr_mtu = mtu;
	ret = before == mtu ? 0 : request(netif, SIOCSIFMTU, &ifr);
	if (ret != 0) {
		SLABIO_LOG(ERR, "%s: cannot set the MTU of %s from %u to %u: %s%s", netif->device,
			netif->name, before, mtu, strerror(-ret),
			ret == -EPERM	 ? "; run as root or with CAP_NET_ADMIN"
			: ret == -EINVAL ? "; its limits are shown by 'ip -d link', as minmtu and "
					   "maxmtu"
			: ret == -ERANGE ? "; the XDP program on it takes no packets of several "
					   "frames"
					 : "");
		return ret;
	}
	if (netif->mtu_before == 0 && before != mtu)
		netif->mtu_before = before;
	return 0;
}

static int
membership(struct slabio_netif *netif, int type, const struct rte_ether_addr *mac, bool on)
{
	struct packet_mreq mreq = {.mr_ifindex = netif->index, .mr_type = type};
	int ret = 0;

	if (!netif->raw) {
		SLABIO_LOG(ERR,
			"%s: cannot change the receive filter of %s without CAP_NET_RAW, which a "
			"port with xsk_socket= does not use; 'ip link set dev %s promisc on' does "
			"it for all",
			netif->device, netif->name, netif->name);
		return -ENOTSUP;
	}
	if (mac != NULL) {
		mreq.mr_alen = sizeof(*mac);
		memcpy(mreq.mr_address, mac, sizeof(*mac));
	}
	if (setsockopt(netif->fd, SOL_PACKET, on ? PACKET_ADD_MEMBERSHIP : PACKET_DROP_MEMBERSHIP,
		    &mreq, sizeof(mreq)) != 0)
		ret = -errno;
	/* an interface that is gone has no memberships left to drop */
	if (!on && (ret == -ENODEV || ret == -EADDRNOTAVAIL))
		ret = 0;
	if (ret != 0)
		SLABIO_LOG(ERR, "%s: cannot change the receive filter of %s: %s", netif->device,
			netif->name, strerror(-ret));
	return ret;
}

int
slabio_netif_set_promiscuous(struct slabio_netif *netif, bool on)
{
	int ret = netif->promiscuous == on ? 0 : membership(netif, PACKET_MR_PROMISC, NULL, on);

	if (ret == 0)
		netif->promiscuous = on;
	return ret;
}

int
slabio_netif_set_allmulticast(struct slabio_netif *netif, bool on)
{
	int ret = netif->allmulticast == on ? 0 : membership(netif, PACKET_MR_ALLMULTI, NULL, on);

	if (ret == 0)
		netif->allmulticast = on;
	return ret;
}

/* The interface keeps its address, which is the host's, and receives this one besides. */
int
slabio_netif_set_mac(struct slabio_netif *netif, const struct rte_ether_addr *mac)
{
	bool wanted = !rte_is_same_ether_addr(mac, &netif->own_mac);
	int ret = 0;

	if (netif->has_mac && wanted && rte_is_same_ether_addr(mac, &netif->mac))
		return 0;
	if (wanted)
		ret = membership(netif, PACKET_MR_UNICAST, mac, true);
	if (ret != 0)
		return ret;
	if (netif->has_mac)
		membership(netif, PACKET_MR_UNICAST, &netif->mac, false);
	netif->has_mac = wanted;
	netif->mac = *mac;
	return 0;
}
