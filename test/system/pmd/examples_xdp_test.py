#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""DPDK's own examples that insist on checksum offloads, unmodified, on AF_XDP ports: l3fwd, ip_fragmentation and
ip_reassembly; and those whose secondary processes receive or send: symmetric_mp and client_server_mp. Packets are
checked at the kernel's ends of veth pairs."""

import contextlib
import signal
import struct
import subprocess

from examples import example, lcores
from examples_tap_test import MEMORY, checksum, end, ethernet, exchange, ipv4, l3fwd, routed, udp
from live_test import Wire, ip
from secondary_test import hugepages
from testpmd import Program, check, equal, new_prefix
from xdplab import main, pairs

PORTS = ["--vdev=net_slabio0,iface=a0", "--vdev=net_slabio1,iface=b0"]
SIZES = (100, 1400, 1473, 2000, 2900)  # of what an IP packet carries


@contextlib.contextmanager
def running(argv, sign, queues=1):
    pairs("a", "b", queues=queues)
    for name in ("a0", "a1", "b0", "b1"):
        ip("link", "set", name, "mtu", "3000")
    with Program(argv) as program, Wire("a1") as a, Wire("b1") as b:
        program.expect(sign)
        yield program, a, b


def l3fwd_routes_each_flow_to_its_port(_):
    with running(l3fwd(PORTS), "Port 1 Link up") as (program, a, b):
        routed(a, b)
        end(program)


def payload(size):
    return udp(1000 + size, 53, size - 8)


def fragments(target, size, mtu, ident):
    """An IP packet of that size as its sender would cut it."""
    data, step = payload(size), (mtu - 20) // 8 * 8
    for at in range(0, size, step):
        part = data[at:at + step]
        more = 0x2000 if at + step < size else 0
        header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(part), ident, more | at // 8, 64, 17, 0,
                             bytes((192, 0, 2, 1)), bytes(map(int, target.split("."))))
        yield header[:10] + struct.pack("!H", checksum(header)) + header[12:] + part


def put_together(frames):
    """What the fragments of each IP packet carry, by its identification."""
    parts = {}
    for frame in frames:
        total, ident, offset = struct.unpack("!HHH", frame.data[16:22])
        packet = frame.data[14:14 + total]
        equal(checksum(packet[:20]), 0, "checksum of a header")
        parts.setdefault(ident, []).append((offset & 0x1fff, offset >> 13 & 1, packet[20:]))
    for ident, found in parts.items():
        found.sort()
        equal([more for _, more, _ in found], [1] * (len(found) - 1) + [0], f"ends of packet {ident}")
        for (at, _, data), (following, _, _) in zip(found, found[1:]):
            equal(following * 8, at * 8 + len(data), f"offset in packet {ident}")
    return {ident: b"".join(data for _, _, data in found) for ident, found in parts.items()}


def ip_fragmentation_cuts_what_is_larger_than_its_mtu(_):
    argv = [example("ip_fragmentation"), *lcores(1, memory=MEMORY), *PORTS, "--", "-p", "3", "-q", "2"]
    with running(argv, "Port 1 Link up") as (program, a, b):
        for wire, other, target in ((a, b, "100.20.0.9"), (b, a, "100.10.0.9")):
            wire.send([ethernet(ipv4("192.0.2.1", target, payload(size), ident=i)) for i, size in enumerate(SIZES)])
            frames = other.receive(sum(-(-size // 1480) for size in SIZES))
            check(all(len(f.data) <= 1514 for f in frames), "a fragment is larger than 1500 bytes")
            equal(put_together(frames), {i: payload(size) for i, size in enumerate(SIZES)}, "what came through")
        end(program, -signal.SIGINT)  # it has no handler


def ip_reassembly_puts_fragments_together(_):
    argv = [example("ip_reassembly"), *lcores(1, memory=MEMORY), *PORTS, "--", "-p", "3", "-q", "2",
            "--maxflows=256"]
    with running(argv, "Port 1 Link up") as (program, a, b):
        for wire, other, target in ((a, b, "100.20.0.9"), (b, a, "100.10.0.9")):
            for i, size in enumerate(SIZES):
                wire.send(map(ethernet, fragments(target, size, 1500, i)))
            frames = other.receive(len(SIZES))
            equal(len(frames), len(SIZES), "packets")
            equal(put_together(frames), {i: payload(size) for i, size in enumerate(SIZES)}, "what came through")
        end(program)


def symmetric_mp_shares_two_ports_between_two_processes(folder):
    with hugepages(folder, mb=256) as memory:
        prefix = new_prefix()

        def process(number):
            return [example("symmetric_mp"), *lcores(1, number, prefix=prefix, memory=memory),
                    "--proc-type=" + ("primary", "secondary")[number],
                    *(PORTS if number == 0 else []), "--", "-p", "3", "--num-procs=2", f"--proc-id={number}"]
        with running(process(0), "using queue 0 of each port", queues=2) as (first, a, b), \
                Program(process(1)) as second:
            second.expect("using queue 1 of each port")
            exchange(a, b, "flow")
            for program in (second, first):
                end(program)
            shares = [int(p.expect(r"Port 0: RX - (\d+)").group(1)) for p in (first, second)]
            check(min(shares) > 0, f"packets of the two: {shares}")


def client_server_mp_sends_from_two_clients(folder):
    with hugepages(folder, mb=256) as memory:
        prefix = new_prefix()
        server = [example("mp_server"), *lcores(2, prefix=prefix, memory=memory), "--proc-type=primary",
                  *PORTS, "--", "-p", "3", "-n", "2"]

        def client(number):
            return Program([example("mp_client"), *lcores(1, 2 + number, prefix=prefix, memory=memory),
                            "--proc-type=secondary", "--", "-n", str(number)])
        with running(server, "Port 1 Link up", queues=2) as (program, a, b), client(0) as one, client(1) as two:
            # the server receives from queue 0 alone
            for name in ("a1", "b1"):
                subprocess.run(["ethtool", "-L", name, "tx", "1"], check=True)
            for each in (one, two):
                each.expect("handling packets")
            exchange(a, b, "none")
            # one of them dies, and another takes its place
            one.child.kill()
            one.finish()
            with client(0) as again:
                again.expect("handling packets")
                exchange(a, b, "none")
                for each in (again, two):
                    each.child.kill()  # it has no handler for signals
                    each.finish()
            end(program)


if __name__ == "__main__":
    main(l3fwd_routes_each_flow_to_its_port,
         ip_fragmentation_cuts_what_is_larger_than_its_mtu,
         ip_reassembly_puts_fragments_together,
         symmetric_mp_shares_two_ports_between_two_processes,
         client_server_mp_sends_from_two_clients)
