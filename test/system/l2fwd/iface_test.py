#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""System tests of slabio-l2fwd and its workers on AF_XDP ports, between two network namespaces."""

import contextlib
import os
import signal
import subprocess
import sys

USERTOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../usertools")
sys.path.insert(0, USERTOOLS)

import live_port  # noqa: E402
from lab import arguments, check, run_tests  # noqa: E402

SKIP = 77


@contextlib.contextmanager
def namespaces(lab, mtu=1500):
    """The lab of usertools/veth-lab.sh, all interfaces with that MTU."""
    script = os.path.join(USERTOOLS, "veth-lab.sh")
    try:
        subprocess.run([script, "up", lab.name], check=True)
        for where, interface in (("a", "eth0"), ("b", "eth0"), ("m", "port0"), ("m", "port1")):
            subprocess.run(["ip", "-n", f"{lab.name}.{where}", "link", "set", interface, "mtu", str(mtu)], check=True)
        yield
    finally:
        for process in lab.processes:
            if process.popen.poll() is None:
                process.popen.kill()
                process.popen.wait()
        subprocess.run([script, "down", lab.name], check=True)


def start(lab, *options):
    """slabio-l2fwd with two workers in the namespace between the others."""
    return lab.l2fwd(["--vdev=net_slabio0,iface=port0", "--vdev=net_slabio1,iface=port1"],
                     ["-p", "3", "-P", "--no-mac-updating", "--workers", "2", "--stats-file", lab.path("stats"),
                      *options], before=["ip", "netns", "exec", lab.name + ".m"])


def ping(lab, where, address, size):
    """All are answered, however late."""
    for _ in range(5):
        out = subprocess.run(["ip", "netns", "exec", f"{lab.name}.{where}", "ping", "-q", "-c", "1", "-W", "10",
                              "-s", str(size), "-M", "do", address], capture_output=True, text=True)
        check(" 0% packet loss" in out.stdout, "%s", out.stdout + out.stderr)


def end(lab, l2fwd):
    """It ended well. Returns the extended statistics, added up over both ports."""
    l2fwd.send(signal.SIGTERM)
    check(l2fwd.end() == 0, "l2fwd ended with %s", l2fwd.popen.returncode)
    stats = lab.stats()
    check(stats["accounted"] and stats["buffers_clean"], "packets or buffers are missing")
    check(not lab.leftovers(), "left behind: %s", ", ".join(lab.leftovers()))
    ports = [p["xstats"] for p in stats["ports"]]
    return {name: sum(p[name] for p in ports) for name in ports[0]}


def workers_see_packets_where_the_kernel_put_them(lab):
    with namespaces(lab):
        for size, frames in ((2048, "aligned frames of 2048"), (2176, "unaligned frames of 2176"),
                             (4096, "aligned frames of 4096")):
            l2fwd = start(lab, "--mbuf-size", str(size))
            l2fwd.wait_for("forwarding")
            check(frames in l2fwd.output(), "no \"%s\" in its messages", frames)
            ping(lab, "a", "10.77.0.2", 56)
            ping(lab, "b", "10.77.0.1", 1472)
            xstats = end(lab, l2fwd)
            check(xstats["rx_q0_packets"] >= 20, "packets received: %d", xstats["rx_q0_packets"])
            for name in ("tx_q0_copies", "tx_q0_bad_completions", "rx_q0_bad_descriptors", "rx_q0_nombuf"):
                check(xstats[name] == 0, "%s with buffers of %d: %d", name, size, xstats[name])


def packets_of_several_frames_pass_through_workers_as_chains(lab):
    with namespaces(lab, mtu=9000):
        l2fwd = start(lab)
        l2fwd.wait_for("forwarding")
        ping(lab, "a", "10.77.0.2", 8972)
        ping(lab, "b", "10.77.0.1", 8972)
        xstats = end(lab, l2fwd)
        check(xstats["rx_q0_scattered"] >= 20, "packets of several frames: %d", xstats["rx_q0_scattered"])
        check(xstats["tx_q0_multi_segs"] >= 20, "chains sent: %d", xstats["tx_q0_multi_segs"])
        check(xstats["tx_q0_copies"] == 0, "copies: %d", xstats["tx_q0_copies"])


def buffers_that_are_too_small_for_the_kernel_are_refused(lab):
    with namespaces(lab):
        l2fwd = start(lab, "--mbuf-size", "1024")
        check(l2fwd.end() == 1, "ended with %s", l2fwd.popen.returncode)
        check("expected mbufs with at least 2048 bytes of room" in l2fwd.output(), "no clear message")
        check(not lab.leftovers(), "left behind: %s", ", ".join(lab.leftovers()))


def main():
    args = arguments()
    # the driver is the last of the plugins
    why = live_port.missing(args.plugin[-1]) if os.geteuid() == 0 else "needs root"
    if why:
        print(f"skipped: {why}")
        return SKIP
    return run_tests(args, globals())


if __name__ == "__main__":
    sys.exit(main())
