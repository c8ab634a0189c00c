#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""DPDK's own examples that cannot run on every net_slabio port, on slab mempools and net_tap ports:

symmetric_mp and client_server_mp receive or send in secondary processes, and l3fwd insists on receive checksum
offloads: net_slabio has both on AF_XDP ports only.

In a network namespace that ends with this process; packets are checked at the kernel's end of the taps."""

import contextlib
import os
import re
import shutil
import signal
import struct
import sys

from examples import example, lcores
from live_test import Wire, ip
from secondary_test import hugepages
from testpmd import SKIP, TOP, Program, check, equal, new_prefix, run, wait_for
import pcapcmp

MACS = bytes.fromhex("020000000005 020000000006")
MEMORY = ("--no-huge", "-m", "1024")
TAPS = ["--vdev=net_tap0,iface=tapa", "--vdev=net_tap1,iface=tapb"]


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total ^ 0xffff


def ipv4(source, target, payload, ident=1):
    def header(check):
        return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), ident, 0, 64, 17, check,
                           bytes(map(int, source.split("."))), bytes(map(int, target.split("."))))
    return header(checksum(header(0))) + payload


def udp(sport, dport, length):
    """A datagram without a checksum; its bytes tell where they belong."""
    text = bytes((i * 7 + sport) % 251 for i in range(length))
    return struct.pack("!HHHH", sport, dport, 8 + length, 0) + text


def ethernet(packet):
    return pcapcmp.Packet(MACS + b"\x08\x00" + packet)


@contextlib.contextmanager
def taps():
    """The kernel's ends of the two ports."""
    for name in ("tapa", "tapb"):
        ip("link", "set", name, "up")
    with Wire("tapa") as a, Wire("tapb") as b:
        yield a, b


@contextlib.contextmanager
def running(argv, sign):
    """An example that says that it forwards, and the kernel's ends of its ports."""
    with Program(argv) as program:
        program.expect(sign)
        with taps() as (a, b):
            yield program, a, b


def end(program, status=0):
    program.child.send_signal(signal.SIGINT)
    equal(program.finish(), status, f"exit status of {program.argv[0]}")


def l3fwd(vdevs):
    rules = os.path.join(TOP, "dpdk-sdk", "examples", "l3fwd", "lpm_default_v%d.cfg")
    return [example("l3fwd"), *lcores(1, memory=MEMORY), *vdevs, "--", "-p", "3", "-P", "--parse-ptype",
            "--config=(0,0,0),(1,0,0)", f"--rule_ipv4={rules % 4}", f"--rule_ipv6={rules % 6}"]


def routed(a, b):
    """Packets to l3fwd's networks leave by their port, one hop older."""
    for wire, other, target, port in ((a, b, "198.18.1.9", 1), (b, a, "198.18.0.9", 0)):
        sent = [ipv4("192.0.2.1", target, udp(1000 + i, 53, 20 + i * 5), ident=i) for i in range(200)]
        wire.send(map(ethernet, sent))
        found = other.receive(len(sent))
        equal(len(found), len(sent), f"packets out of port {port}")
        for before, frame in zip(sent, found):
            packet = frame.data[14:14 + len(before)]
            equal((frame.data[:6].hex(), packet[8], checksum(packet[:20])),
                  (f"0200000000{port:02x}", 63, 0), "destination, time to live, checksum")
            equal(packet[:8] + packet[12:], before[:8] + before[12:], "all else")


def l3fwd_routes_each_flow_to_its_port(_):
    with running(l3fwd(TAPS), "Port 1 Link up") as (program, a, b):
        routed(a, b)
        end(program)


def flows(count, each):
    return [ethernet(ipv4("192.0.2.1", "192.0.2.2", udp(4000 + i, 53, 60 + n), ident=n))
            for n in range(each) for i in range(count)]


def exchange(a, b, order):
    """The same packets both ways, a few at a time: rings in between are small, and CPUs few."""
    for wire, other in ((a, b), (b, a)):
        sent, found = flows(50, 8), []
        for at in range(0, len(sent), 50):
            wire.send(sent[at:at + 50])
            found += other.receive(50)
        diff = pcapcmp.compare(sent, found, macs=True, order=order)
        check(not diff, diff)


def symmetric_mp_shares_two_ports_between_two_processes(folder):
    with hugepages(folder, mb=256) as memory:
        prefix = new_prefix()

        def process(number):
            return [example("symmetric_mp"), *lcores(1, number, prefix=prefix, memory=memory),
                    "--proc-type=" + ("primary", "secondary")[number],
                    *(TAPS if number == 0 else []), "--", "-p", "3", "--num-procs=2", f"--proc-id={number}"]
        with running(process(0), "using queue 0 of each port") as (first, a, b), \
                Program(process(1)) as second:
            second.expect("using queue 1 of each port")
            exchange(a, b, "flow")
            for program in (second, first):
                end(program)
            shares = [int(p.expect(r"Port 0: RX - (\d+)").group(1)) for p in (first, second)]
            check(min(shares) > 0, f"packets of the two: {shares}")
            equal(sum(shares), 400, "packets of both together")


def client_server_mp_sends_from_a_client(folder):
    """A tap has as many queues in both directions, and the server receives from one: one client."""
    with hugepages(folder, mb=256) as memory:
        prefix = new_prefix()
        server = [example("mp_server"), *lcores(2, prefix=prefix, memory=memory), "--proc-type=primary",
                  *TAPS, "--", "-p", "3", "-n", "1"]
        with running(server, "Port 1 Link up") as (program, a, b), \
                Program([example("mp_client"), *lcores(1, 2, prefix=prefix, memory=memory),
                         "--proc-type=secondary", "--", "-n", "0"]) as client:
            client.expect("handling packets")
            exchange(a, b, "total")
            wait_for(lambda: server_has_counted(program, 800), "statistics of the server")
            client.child.kill()  # it has no handler for signals
            client.finish()
            end(program)


def server_has_counted(program, packets):
    program.pump(0.2)
    found = re.findall(r"Client\s+0 - rx:\s+(\d+), rx_drop:\s+0\b", program.output)
    return found and int(found[-1]) == packets


if __name__ == "__main__":
    if "SLABIO_TEST_IN_NETNS" not in os.environ:
        if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "ip"))) or \
                not os.path.exists("/dev/net/tun"):
            print("skipped: needs root, unshare, ip and /dev/net/tun")
            sys.exit(SKIP)
        os.environ["SLABIO_TEST_IN_NETNS"] = "1"
        os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])
    with open("/proc/sys/net/ipv6/conf/default/disable_ipv6", "w", encoding="ascii") as f:
        f.write("1")
    run(l3fwd_routes_each_flow_to_its_port,
        symmetric_mp_shares_two_ports_between_two_processes,
        client_server_mp_sends_from_a_client)
