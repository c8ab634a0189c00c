#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""Tags and checksums that applications leave to AF_XDP ports, which do them in software or leave them to the kernel."""

import json
import os
import re
import socket
import struct
import subprocess

from live_test import PACKET_OUTGOING, Wire, ip, untagged
from testpmd import BUILD, Program, check, data, equal, wait_for
from xdplab import Port, main, pairs
import pcapcmp

TWO = ["net_slabio0,iface=a0", "net_slabio1,iface=b0"]
SOL_PACKET, PACKET_AUXDATA = 263, 8
VLAN = b"\x81\x00"


def ipv4(packet):
    return packet.data[12:14] == b"\x08\x00"


def whole(packet):
    return not struct.unpack("!H", packet.data[20:22])[0] & 0x3fff


def protocol(packet):
    return packet.data[23]


def summed():
    """Packets of TCP and UDP, not fragmented: those whose checksums testpmd's csum mode makes anew."""
    return [p for p in untagged(1200) if ipv4(p) and whole(p) and protocol(p) in (6, 17)][:300]


def changed(packet, offset):
    return pcapcmp.Packet(packet.data[:offset] + bytes([packet.data[offset] ^ 0x55]) + packet.data[offset + 1:])


def wrongly_summed(packet):
    """With another checksum of TCP or UDP; none stays none."""
    offset = 14 + 4 * (packet.data[14] & 15) + (16 if protocol(packet) == 6 else 6)
    return changed(packet, offset) if any(packet.data[offset:offset + 2]) else packet


def with_tag(wire):
    """The next packet that arrives, and the tag it had."""
    while True:
        packet, parts, _, address = wire.socket.recvmsg(65536, 256)
        if address[2] != PACKET_OUTGOING:
            aux = next(d for level, kind, d in parts if (level, kind) == (SOL_PACKET, PACKET_AUXDATA))
            return pcapcmp.Packet(packet), struct.unpack("=IIIHHHH", aux)[5]


def tags_are_taken_off(_):
    pairs("a", "b")
    tagged = [p for p in pcapcmp.read(data("main.pcap")) if p.data[12:14] == VLAN]
    check(tagged, "the capture has no tagged packets")
    with Wire("a1") as a, Wire("b1") as b, Port(TWO, options=["--enable-hw-vlan-strip"]) as pmd:
        pmd.commands("set fwd io", "start")
        a.send(tagged)
        bare = [pcapcmp.Packet(p.data[:12] + p.data[16:]) for p in tagged]
        diff = pcapcmp.compare(bare, b.receive(len(bare)), macs=True, order="total")
        check(not diff, diff)
        pmd.command("stop")
        # and are left where they are from now on
        pmd.commands("vlan set strip off 0", "set fwd rxonly", "start", "clear port stats all")
        a.send(tagged)
        stats = pmd.wait_stats(0, "tagged", rx_good_packets=len(tagged))
        equal(stats["rx_good_bytes"], sum(len(p.data) for p in tagged), "bytes of tagged packets")
        pmd.commands("stop", "port stop all")
        pmd.mbufs_back()
        pmd.quit()


def tags_are_put_in(_):
    pairs("a", "b")
    pkts = [p for p in untagged(200) if len(p.data) < 1000]
    with Wire("a1") as a, Wire("b1") as b, Port(TWO, options=["--tx-offloads=0x1"]) as pmd:
        b.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        b.socket.settimeout(10)
        pmd.commands("port stop 1", "tx_vlan set 1 100", "port start 1", "set fwd mac", "start")
        a.send(pkts)
        # the kernel takes tags off and says separately which there were
        found = [with_tag(b) for _ in pkts]
        diff = pcapcmp.compare(pkts, [packet for packet, _ in found], order="total")
        check(not diff, diff)
        equal({tag for _, tag in found}, {100}, "tags")
        pmd.command("stop")
        stats = pmd.stats(1)
        equal(stats["tx_good_bytes"], sum(len(p.data) + 4 for p in pkts), "bytes sent with tags")
        pmd.commands("port stop all")
        pmd.mbufs_back()
        pmd.quit()


def leave_to_port(pmd, *numbers):
    """testpmd's csum mode makes checksums anew, and has these ports fill them in. Returns what the ports say."""
    pmd.messages()
    for i in numbers:
        pmd.commands(f"port stop {i}", *[f"csum set {what} hw {i}" for what in ("ip", "udp", "tcp")], f"port start {i}")
    pmd.commands("set fwd csum", "start")
    return "".join(pmd.messages())


def padded(packet):
    """With bytes behind it that its headers know nothing of."""
    end = 14 + struct.unpack("!H", packet.data[16:18])[0]
    return pcapcmp.Packet(packet.data[:end] + b"\xa5" * 7)


def filled_in(arguments, expected, frames="unaligned", **options):
    """Packets with wrong checksums in them on the way in arrive with the right ones. Returns the last port's numbers."""
    pkts = summed()
    pkts[10:20] = [padded(p) for p in pkts[10:20]]
    with Wire("a1") as a, Wire("b1") as b, Port([TWO[0], TWO[1] + arguments], **options) as pmd:
        said = leave_to_port(pmd, 1)
        check(f" {frames} frames" in said and f"transmit checksums {expected}" in said, said)
        a.send([changed(p, 24) for p in pkts])
        diff = pcapcmp.compare(pkts, b.receive(len(pkts)), order="total")
        check(not diff, diff)
        pmd.commands("stop")
        stats = pmd.stats(1)
        equal(stats["tx_q0_bad_offloads"], 0, "packets that were not as their flags said")
        equal(stats["tx_q0_xsk_invalid_descriptors"], 0, "packets that the kernel refused")
        equal(stats["tx_q0_copies"], 0, "copies")
        pmd.command("port stop all")
        pmd.mbufs_back()
        pmd.quit()
    return stats


def checksums_are_filled_in(_):
    # also for who reads packets at the other end, unless the kernel is asked for them
    for arguments in ("", ",tx_csum=software"):
        pairs("a", "b")
        for end in ("b0", "b1"):
            subprocess.run(["ethtool", "-K", end, "tx", "on"], check=True, stdout=subprocess.DEVNULL)
        stats = filled_in(arguments, "in software")
        equal(stats["tx_q0_is_kernel_checksum"], 0, "checksums by the kernel")
        equal(stats["tx_q0_kernel_checksums"], 0, "checksums by the kernel")
        check(stats["tx_q0_software_checksums"] > 200, "the port has filled in few checksums")


def the_kernel_fills_checksums_in(folder):
    config = os.path.join(folder, "pools.cfg")
    with open(config, "w", encoding="ascii") as f:
        f.write("[*]\npitch=pow2\n")
    for frames, env in (("unaligned", {}), ("aligned", {"SLABIO_CONFIG": config})):
        pairs("a", "b")
        stats = filled_in(",tx_csum=kernel", "by the kernel", frames, env=env)
        equal(stats["tx_q0_is_kernel_checksum"], 1, "checksums by the kernel")
        check(stats["tx_q0_kernel_checksums"] > 200, "few checksums were left to the kernel")
        # padded ones, of which the kernel would sum up too much, are the port's
        check(0 < stats["tx_q0_software_checksums"] <= 20, "padded packets were left to the kernel")


def kernel(which):
    """Environment with another kernel: one that knows no metadata, or a zero-copy device that fills in checksums."""
    library = os.path.join(BUILD, "test", "system", "pmd", "libother_kernel.so")
    check(os.path.exists(library), f"expected {library}")
    return {"LD_PRELOAD": library, "SLABIO_TEST_KERNEL": which}


def a_zero_copy_device_fills_checksums_in_unasked(_):
    for arguments, expected, sums in (("", "by the kernel", 200), (",tx_csum=software", "in software", 0)):
        pairs("a", "b")
        stats = filled_in(arguments, expected, env=kernel("device"))
        equal(stats["rx_q0_is_zero_copy"], 1, "zero-copy mode")
        equal(stats["tx_q0_is_kernel_checksum"], int(sums > 0), "checksums by the kernel")
        check(stats["tx_q0_kernel_checksums"] >= sums, f"checksums left to the kernel: {stats}")


def a_kernel_that_cannot_is_told_of(_):
    pairs("a", "b")
    with Port([TWO[0], TWO[1] + ",tx_csum=kernel"], env=kernel("old")) as pmd:
        # as long as nobody asks for checksums there is nothing to refuse
        check("transmit checksums" not in "".join(pmd.messages()), "checksums that nobody asked for")
        said = leave_to_port(pmd, 1)
        check("cannot have tx_csum=kernel in copy mode: the kernel knows no transmit metadata; Linux 6.11" in said, said)
        pmd.commands("port stop all")
        pmd.mbufs_back()
        pmd.quit()
    stats = filled_in("", "in software", env=kernel("old"))
    equal(stats["tx_q0_is_kernel_checksum"], 0, "checksums by the kernel")


# In a namespace of its own, once there is an interface in it.
SERVER = """
import socket
input()
tcp, udp = socket.create_server(("10.9.0.2", 7000)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("10.9.0.2", 7000))
print("ready", flush=True)
peer = tcp.accept()[0]
while data := peer.recv(65536):
    peer.sendall(data)
while True:
    udp.sendto(*udp.recvfrom(65536))
"""


def wrong_checksums(pid):
    """How many the stack of a process's namespace has found."""
    with open(f"/proc/{pid}/net/snmp", encoding="ascii") as f:
        lines = [line.split() for line in f]
    values = {kind: dict(zip(names, found)) for (kind, *names), (_, *found) in zip(lines[::2], lines[1::2])}
    return [int(values[kind]["InCsumErrors"]) for kind in ("Tcp:", "Udp:")]


def address(name, *before):
    text = subprocess.run([*before, "ip", "-j", "link", "show", name], check=True, capture_output=True).stdout
    return json.loads(text)[0]["address"]


def set_up(name, number, mtu, *before):
    """An end of the cable as one of a stack's interfaces, which knows the other one."""
    for args in (("link", "set", name, "mtu", str(mtu), "up"), ("addr", "add", f"10.9.0.{number}/24", "dev", name),
                 ("neigh", "replace", f"10.9.0.{3 - number}", "lladdr", "02:00:00:00:00:09", "dev", name)):
        subprocess.run([*before, "ip", *args], check=True)


def talk(largest):
    """TCP and UDP to the server: all there is comes back as it went."""
    with socket.create_connection(("10.9.0.2", 7000), timeout=20) as tcp:
        sent, received = os.urandom(300000), b""
        for at in range(0, len(sent), 20000):
            tcp.sendall(sent[at:at + 20000])
            while len(received) < at + 20000:
                received += tcp.recv(65536)
    check(received == sent, "TCP: something else came back")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(20)
        for size in (1, 2, 17, 18, 19, 100, 1001, largest - 1, largest):
            sent = os.urandom(size)
            udp.sendto(sent, ("10.9.0.2", 7000))
            equal(udp.recv(65536), sent, "UDP")


def stacks_talk(mtu, offload, options=()):
    """Two stacks, and between them ports in whose packets the kernel fills in the checksums: at once, so that the far
    stack looks at them, or never, with the interfaces' offload, where it takes the kernel's word for them."""
    pairs("a", "b")
    with Program(["unshare", "--net", "python3", "-c", SERVER]) as server:
        there = ["nsenter", "-t", str(server.child.pid), "-n"]
        wait_for(lambda: os.readlink(f"/proc/{server.child.pid}/ns/net") != os.readlink("/proc/self/ns/net"),
                 "the server's namespace")
        ip("link", "set", "b1", "netns", str(server.child.pid))
        set_up("a1", 1, mtu)
        set_up("b1", 2, mtu, *there)
        for end in ("a0", "b0"):
            ip("link", "set", end, "mtu", str(mtu))
            subprocess.run(["ethtool", "-K", end, "tx", offload], check=True, stdout=subprocess.DEVNULL)
        server.child.stdin.write(b"\n")
        server.child.stdin.flush()
        server.expect("ready\n")
        before = wrong_checksums("self")
        with Port([f"{one},tx_csum=kernel" for one in TWO], options=options) as pmd:
            pmd.commands(f"set eth-peer 0 {address('a1')}", f"set eth-peer 1 {address('b1', *there)}")
            leave_to_port(pmd, 0, 1)
            talk(mtu - 28)
            pmd.command("stop")
            for i in (0, 1):
                stats = pmd.stats(i)
                check(stats["tx_q0_kernel_checksums"] > 50, f"port {i} has left few checksums to the kernel: {stats}")
                equal(stats["tx_q0_xsk_invalid_descriptors"], 0, "packets that the kernel refused")
                equal(stats["tx_q0_multi_segs"] > 0, mtu > 1500, "whether packets had several frames")
            equal([wrong_checksums("self"), wrong_checksums(server.child.pid)], [before, [0, 0]], "wrong checksums")
            pmd.command("port stop all")
            pmd.mbufs_back()
            pmd.quit()


def stacks_find_the_kernels_checksums_right(_):
    stacks_talk(1500, "off")


def stacks_take_packets_whose_checksums_are_still_due(_):
    stacks_talk(1500, "on")


def packets_of_several_frames_have_one_checksum(_):
    stacks_talk(9000, "off", ["--max-pkt-len=9018"])


def wrong_checksums_are_marked(_):
    pairs("a", "b")
    pkts = summed()
    bad_ip = [changed(p, 24) for p in pkts[:7]]
    # the last byte is payload or in the end part of a header, which is summed either way
    bad_l4 = [changed(p, 14 + struct.unpack("!H", p.data[16:18])[0] - 1) for p in pkts[7:20]
              if protocol(p) == 6 or p.data[40:42] != b"\0\0"]
    with Wire("a1") as a, Port(TWO, options=["--enable-rx-cksum"]) as pmd:
        pmd.commands("set fwd csum", "start")
        a.send(bad_ip + bad_l4 + pkts[20:])
        pmd.wait_stats(0, "received", rx_good_packets=len(bad_ip) + len(bad_l4) + len(pkts[20:]))
        text = pmd.command("stop")
        equal(int(re.search(r"Bad-ipcsum: (\d+)", text).group(1)), len(bad_ip), "bad IP checksums")
        equal(int(re.search(r"Bad-l4csum: (\d+)", text).group(1)), len(bad_l4), "bad TCP and UDP checksums")
        pmd.command("port stop all")
        pmd.mbufs_back()
        pmd.quit()


if __name__ == "__main__":
    main(tags_are_taken_off,
         tags_are_put_in,
         checksums_are_filled_in,
         the_kernel_fills_checksums_in,
         a_zero_copy_device_fills_checksums_in_unasked,
         a_kernel_that_cannot_is_told_of,
         stacks_find_the_kernels_checksums_right,
         stacks_take_packets_whose_checksums_are_still_due,
         packets_of_several_frames_have_one_checksum,
         wrong_checksums_are_marked)
