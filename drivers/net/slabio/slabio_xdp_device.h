/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SLABIO_XDP_DEVICE_H
#define SLABIO_XDP_DEVICE_H

/**
 * @file
 * What the kernel says of an interface's driver (family "netdev" of generic netlink, since Linux
 * 6.3; transmit metadata and NAPI instances since 6.8).
 */

#include <stddef.h>
#include <stdint.h>

/**
 * Whether the driver fills in checksums of packets sent in zero-copy mode.
 *
 * @return 1, 0, or a negative errno: the kernel does not say
 */
int slabio_xdp_device_sums(int ifindex);

/**
 * The number of the interface's NAPI instance.
 *
 * @return 0; -ENOENT if it has none, -E2BIG if it has several, another negative errno: the kernel
 *         does not say
 */
int slabio_xdp_device_napi(int ifindex, uint32_t *id);

/**
 * An attribute of a generic netlink message.
 *
 * @param size its bytes
 * @return NULL if the message has none of this type and size
 */
const void *slabio_xdp_device_attr(const void *msg, size_t len, uint16_t type, size_t size);

#endif /* SLABIO_XDP_DEVICE_H */
