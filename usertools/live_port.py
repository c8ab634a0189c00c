#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""usage: live_port.py [PLUGIN]

Prints which argument of net_slabio makes a port of an interface here: "iface" where kernel, rights and
driver have AF_XDP, else "pcap_iface", followed by the reason. PLUGIN is librte_net_slabio.so.

SLABIO_LIVE=afxdp or SLABIO_LIVE=pcap in the environment is the answer, whatever there is."""

import errno
import os
import re
import socket
import sys

AF_XDP = 44
FORCED = {"afxdp": "iface", "pcap": "pcap_iface"}
# attaching a program so that it goes with its process
KERNEL = (5, 9)


def missing(plugin):
    """What AF_XDP ports lack here, or None."""
    release = os.uname().release
    found = re.match(r"(\d+)\.(\d+)", release)
    if found and tuple(map(int, found.groups())) < KERNEL:
        return f"Linux {release} is older than {KERNEL[0]}.{KERNEL[1]}"
    try:
        socket.socket(AF_XDP, socket.SOCK_RAW).close()
    except OSError as error:
        if error.errno == errno.EAFNOSUPPORT:
            return "the kernel was built without CONFIG_XDP_SOCKETS"
        return f"no AF_XDP socket can be opened: {error.strerror}"
    if plugin:
        try:
            with open(plugin, "rb") as f:
                if b"libbpf.so" not in f.read():
                    return "the driver was built without libbpf"
        except OSError as error:
            return str(error)
    return None


def choose(plugin=None):
    """The argument's name, and why."""
    forced = os.environ.get("SLABIO_LIVE", "")
    if forced:
        if forced not in FORCED:
            raise ValueError(f'expected SLABIO_LIVE to be one of {", ".join(FORCED)}, found "{forced}"')
        return FORCED[forced], f"SLABIO_LIVE={forced}"
    why = missing(plugin)
    return ("pcap_iface", why) if why else ("iface", "the kernel has AF_XDP")


def main():
    if len(sys.argv) > 2 or sys.argv[1:] in (["-h"], ["--help"]):
        print(__doc__)
        return 0 if len(sys.argv) == 2 else 2
    try:
        name, why = choose(*sys.argv[1:])
    except ValueError as error:
        print(f"live_port: {error}", file=sys.stderr)
        return 1
    print(name, why)
    return 0


if __name__ == "__main__":
    sys.exit(main())
