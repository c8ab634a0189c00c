#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""Tags and checksums that AF_XDP ports do in software, for applications that leave them to the port."""

import re
import struct

from live_test import PACKET_OUTGOING, Wire, untagged
from testpmd import check, data, equal
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


def checksums_are_filled_in(_):
    pairs("a", "b")
    pkts = summed()
    with Wire("a1") as a, Wire("b1") as b, Port(TWO) as pmd:
        pmd.commands("port stop 1", "csum set ip hw 1", "csum set udp hw 1", "csum set tcp hw 1",
                     "port start 1", "set fwd csum", "start")
        # with wrong ones in them on the way in
        a.send([changed(p, 24) for p in pkts])
        diff = pcapcmp.compare(pkts, b.receive(len(pkts)), order="total")
        check(not diff, diff)
        pmd.commands("stop")
        equal(pmd.stats(1)["tx_q0_bad_offloads"], 0, "packets that were not as their flags said")
        pmd.command("port stop all")
        pmd.mbufs_back()
        pmd.quit()


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
         wrong_checksums_are_marked)
