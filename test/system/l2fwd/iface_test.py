#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""System tests of slabio-l2fwd and its workers on AF_XDP ports, between two network namespaces."""

import contextlib
import ctypes
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import time

USERTOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../usertools")
sys.path.insert(0, USERTOOLS)

import live_port  # noqa: E402
import traffic  # noqa: E402
from eal_test import BY_HAND, HANDS, ctl, pool_of  # noqa: E402
from l2fwd_test import LOSSLESS, all_drops  # noqa: E402
from lab import arguments, check, run_tests  # noqa: E402

SKIP = 77
# so slow that what is on the way is with the workers when one of them is killed
SLOWER = ["--cost", "100000"]
MARK = b"slabio stream"
CLONE_NEWNET = 0x40000000


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


def socket_in(namespace):
    """A raw socket on eth0 of a network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net", "rb") as here, open("/run/netns/" + namespace, "rb") as there:
        check(libc.setns(there.fileno(), CLONE_NEWNET) == 0, "setns: errno %d", ctypes.get_errno())
        try:
            found = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
            found.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
            found.bind(("eth0", 0x0800))
        finally:
            check(libc.setns(here.fileno(), CLONE_NEWNET) == 0, "setns back: errno %d", ctypes.get_errno())
    return found


class Stream:
    """Numbered packets of many flows from ID.a to ID.b, so few on the way that the kernel drops none."""

    FLOWS = 200
    STUCK_S = 60

    def __init__(self, lab, sizes, seed):
        for side in "ab":
            # nothing else is on the way
            subprocess.run(["ip", "netns", "exec", f"{lab.name}.{side}", "sysctl", "-qw",
                            "net.ipv6.conf.all.disable_ipv6=1"], check=True)
        self.source, self.sink = socket_in(lab.name + ".a"), socket_in(lab.name + ".b")
        self.sink.setblocking(False)
        self.rand, self.sizes = random.Random(seed), sizes
        self.sent, self.got = [], {}
        self.last = [-1] * self.FLOWS
        self.window = 400  # of the 1 024 that the port's rings have room for
        self.came = time.monotonic()

    def _send_one(self):
        number, flow = len(self.sent), self.rand.randrange(self.FLOWS)
        body = (MARK + struct.pack(">II", number, flow)).ljust(self.rand.randint(*self.sizes) - 42, b"x")
        frame = traffic.ethernet(0x0800, traffic.ipv4(17, (10, 1, 0, flow), (10, 2, 0, flow),
                                                      traffic.udp(2000 + flow, 53, body), number))
        self.source.send(frame)
        self.sent.append(frame)

    def _take_in(self):
        while True:
            try:
                frame = self.sink.recv(16384)
            except BlockingIOError:
                return
            if frame[42:42 + len(MARK)] != MARK:
                continue
            number, flow = struct.unpack_from(">II", frame, 42 + len(MARK))
            check(number not in self.got, "packet %d came twice", number)
            check(frame == self.sent[number], "packet %d has changed", number)
            check(number > self.last[flow], "packet %d of flow %d came after %d", number, flow, self.last[flow])
            self.last[flow] = number
            self.got[number] = True
            self.came = time.monotonic()

    def run(self, packets):
        """Sends so many more, as fast as they come out at the other end."""
        until = len(self.sent) + packets
        self.came = time.monotonic()
        while len(self.sent) < until:
            self._take_in()
            if len(self.sent) - len(self.got) < self.window:
                self._send_one()
            else:
                check(time.monotonic() - self.came < self.STUCK_S, "nothing comes: %d sent, %d came", len(self.sent),
                      len(self.got))
                time.sleep(0.0005)

    def kill(self, worker):
        """What was in its hands is missing from now on."""
        worker.send(signal.SIGKILL)
        self.window += HANDS

    def drain(self):
        """Takes in the rest. @return how many are missing"""
        self.came = time.monotonic()
        while len(self.got) < len(self.sent) and time.monotonic() - self.came < 1:
            self._take_in()
            time.sleep(0.001)
        return len(self.sent) - len(self.got)


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


def start_eal(lab, *options):
    """slabio-l2fwd for EAL workers in the namespace between the others."""
    lab.share_memory(128)
    return lab.l2fwd(["--vdev=net_slabio0,iface=port0", "--vdev=net_slabio1,iface=port1"],
                     ["-p", "3", "-P", "--no-mac-updating", "--stats-file", lab.path("stats"), *LOSSLESS, *options],
                     before=["ip", "netns", "exec", lab.name + ".m"])


def eal_workers(lab, *options, n=2):
    """l2fwd, and so many EAL workers of it by hand."""
    l2fwd = start_eal(lab, "--eal-workers", str(n), *BY_HAND, *options)
    l2fwd.wait_for("is open for")
    workers = []
    for slot in range(n):
        workers.append(lab.eal_worker(slot, *SLOWER))
        l2fwd.wait_for("has joined", count=slot + 1)
    l2fwd.wait_for("forwarding")
    return l2fwd, workers


def killed_in_turn(lab, l2fwd, workers, stream, kills):
    """Kills one after the other under traffic, and starts another in its place. @return packets missing"""
    for turn in range(kills):
        slot = turn % len(workers)
        stream.run(800)
        stream.kill(workers[slot])
        stream.run(800)
        l2fwd.wait_for("EAL worker %d (pid %d) is gone" % (slot, workers[slot].pid))
        workers[slot] = lab.eal_worker(slot, *SLOWER)
        l2fwd.wait_for("has joined", count=len(workers) + turn + 1)
    stream.run(800)
    return stream.drain()


def killed_eal_workers_on_interfaces_lose_only_what_was_in_their_hands(lab):
    with namespaces(lab, mtu=4000):
        l2fwd, workers = eal_workers(lab)
        check("the pool is exact" in l2fwd.output(), "the pool is not exact")
        # the larger ones are chains of two mbufs
        stream = Stream(lab, (60, 3000), 51)
        missing = killed_in_turn(lab, l2fwd, workers, stream, 2)
        # what the kernel's rings have is l2fwd's, the dead have nothing, and nothing is in quarantine
        _, text = ctl(lab, "audit", pool_of(l2fwd))
        check(re.search(r"in quarantine +0\n", text), "%s", text)
        xstats = end(lab, l2fwd)
        stats = lab.stats()
        check(sum(w["deaths"] for w in stats["workers"]) == 2, "deaths: %s", stats["workers"])
        check(all(w["returned"] > 0 for w in stats["workers"]), "one had no part in it: %s", stats["workers"])
        check(stats["dropped"]["in_hands"] <= 2 * HANDS, "in hands: %s", stats["dropped"])
        check(missing == all_drops(stats) == stats["dropped"]["in_hands"], "%d are missing, dropped: %s", missing,
              stats["dropped"])
        check(xstats["rx_q0_scattered"] > 0 and xstats["tx_q0_multi_segs"] > 0, "no chains: %s", xstats)
        for name in ("tx_q0_copies", "rx_q0_bad_descriptors", "tx_q0_bad_completions"):
            check(xstats[name] == 0, "%s: %d", name, xstats[name])
        print("%d packets, two kills: %d in hands, all others through" % (len(stream.sent), missing))


def killed_eal_workers_on_interfaces_of_a_conservative_pool_leave_a_quarantine(lab):
    with namespaces(lab):
        # the sockets of these ports are given to secondaries, which do not use them
        l2fwd, workers = eal_workers(lab, "--pool-mode", "conservative")
        stream = Stream(lab, (60, 1514), 52)
        missing = killed_in_turn(lab, l2fwd, workers, stream, 1)
        l2fwd.send(signal.SIGTERM)
        check(l2fwd.end() == 1, "l2fwd ended with %s", l2fwd.popen.returncode)
        stats = lab.stats()
        check(stats["accounted"] and not stats["buffers_clean"], "accounts: %s", stats)
        check(missing == all_drops(stats) == stats["dropped"]["in_hands"] > 0, "%d are missing, dropped: %s", missing,
              stats["dropped"])
        # each packet is one mbuf here
        for text in (r"%d missing\n" % missing, r"in quarantine +%d\n" % missing, r"met twice +0\n"):
            check(re.search(text, l2fwd.output()), "no \"%s\" in the audit", text)
        check(not lab.leftovers(), "left behind: %s", ", ".join(lab.leftovers()))
        print("one kill: %d in hands, as many in quarantine" % missing)


def killed_l2fwd_with_eal_workers_starts_again_on_its_interfaces(lab):
    with namespaces(lab):
        for mode in ("exact", "conservative"):
            l2fwd, workers = eal_workers(lab, "--pool-mode", mode)
            Stream(lab, (60, 1514), 53).run(1000)
            l2fwd.send(signal.SIGKILL)
            l2fwd.end()
            again = start_eal(lab, "--eal-workers", "1", "--pool-mode", mode)
            for worker in workers:
                check(worker.end() == 3, "worker ended with %s", worker.popen.returncode)
            again.wait_for("forwarding")
            stream = Stream(lab, (60, 1514), 54)
            stream.run(1000)
            check(stream.drain() == 0, "packets are missing")
            end(lab, again)
            check(lab.stats()["workers"][0]["returned"] >= 1000, "%s", lab.stats()["workers"])


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
