# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""What the tests of AF_XDP ports share: interfaces in a network namespace of the test's own."""

import os
import shutil
import subprocess
import sys

from live_test import ip, link
from testpmd import SKIP, Testpmd, check, run
import pcapcmp


def pairs(*names, queues=1):
    """As veths(), with so many queues, and checksums filled in by who sends."""
    for name in names:
        if os.path.exists(f"/proc/sys/net/ipv4/conf/{name}0"):
            ip("link", "del", f"{name}0")
        number = ["numtxqueues", str(queues), "numrxqueues", str(queues)]
        ip("link", "add", f"{name}0", *number, "type", "veth", "peer", f"{name}1", *number)
        for end in (f"{name}0", f"{name}1"):
            subprocess.run(["ethtool", "-K", end, "gso", "off", "tso", "off", "gro", "off", "tx", "off"],
                           check=True, stdout=subprocess.DEVNULL)
            ip("link", "set", end, "up")


def program_of(name):
    """The XDP program on an interface: its mode (1 native, 2 generic) and name, or None."""
    found = link(name).get("xdp")
    return (found["mode"], found["prog"].get("name")) if found else None


def same(expected, found, what):
    diff = pcapcmp.compare(expected, found, macs=True, order="total")
    check(not diff, f"{what}: {diff}")


class Port(Testpmd):
    """A testpmd with mbufs for two ports of the default number of descriptors."""

    def __init__(self, vdevs, options=(), **kwargs):
        super().__init__(vdevs, options=["--total-num-mbufs=8192", *options], **kwargs)


def main(*tests):
    """Runs tests in a network namespace that ends with this process; so do mounts."""
    if "SLABIO_TEST_IN_NETNS" not in os.environ:
        if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "ip", "ethtool"))):
            print("skipped: needs root, unshare, ip and ethtool")
            sys.exit(SKIP)
        os.environ["SLABIO_TEST_IN_NETNS"] = "1"
        os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable, *sys.argv])
    with open("/proc/sys/net/ipv6/conf/default/disable_ipv6", "w", encoding="ascii") as f:
        f.write("1")
    run(*tests)
