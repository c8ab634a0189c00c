/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SLABIO_XDP_DEVICE_H
#define SLABIO_XDP_DEVICE_H

/**
 * @file
 * What the kernel says that an interface's driver can do for AF_XDP sockets in zero-copy mode
 * (family "netdev" of generic netlink, since Linux 6.3; transmit metadata since 6.8).
 */

#include <stddef.h>
#include <stdint.h>

/**
 * Whether it fills in checksums of packets sent in zero-copy mode.
 *
 * @return 1, 0, or a negative errno: the kernel does not say
 */
int slabio_xdp_device_sums(int ifindex);

/**
 * An attribute of a generic netlink message.
 *
 * @param size its bytes
 * @return NULL if the message has none of this type and size
 */
const void *slabio_xdp_device_attr(const void *msg, size_t len, uint16_t type, size_t size);

#endif /* SLABIO_XDP_DEVICE_H */
