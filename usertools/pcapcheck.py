#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""Checks that what a forwarder sent is what it received.

pcapcheck.py [options] SENT-TO-IT RECEIVED-FROM-IT

Every packet of the first capture must be in the second one, byte for byte, nothing may be there twice or
besides, and the packets of a flow must be in the order they had. Exit status 0 if all of that holds, 1 if not,
2 for wrong usage or an unreadable capture.

A flow is what a receive-side-scaling NIC takes for one: VLAN ids, IP addresses, protocol and ports; fragments
without ports, as a flow of their own; anything else by MAC addresses and ether type.
"""

import argparse
import collections
import struct
import sys

ETH_P_VLAN = (0x8100, 0x88A8)
ETH_P_IPV4 = 0x0800
ETH_P_IPV6 = 0x86DD
WITH_PORTS = (6, 17, 132)
IPV6_EXTENSIONS = (0, 43, 60)
IPV6_FRAGMENT = 44


class CaptureError(Exception):
    pass


def _read_pcap(data, order):
    at = 24
    while at < len(data):
        if at + 16 > len(data):
            raise CaptureError("ends inside a record header")
        caplen, length = struct.unpack_from(order + "II", data, at + 8)
        at += 16
        if at + caplen > len(data):
            raise CaptureError("ends inside a packet")
        if caplen != length:
            raise CaptureError("holds a packet of %u bytes cut to %u" % (length, caplen))
        yield data[at:at + caplen]
        at += caplen


def _read_pcapng(data):
    at, order = 0, "<"
    while at + 12 <= len(data):
        if data[at:at + 4] == b"\x0a\x0d\x0d\x0a":
            order = "<" if data[at + 8:at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
        kind, total = struct.unpack_from(order + "II", data, at)
        if total < 12 or at + total > len(data):
            raise CaptureError("holds a block of %u bytes at %u" % (total, at))
        if kind == 6:
            caplen = struct.unpack_from(order + "I", data, at + 20)[0]
            yield data[at + 28:at + 28 + caplen]
        elif kind == 3:
            length = struct.unpack_from(order + "I", data, at + 8)[0]
            yield data[at + 12:at + 12 + min(length, total - 16)]
        at += total


def read_capture(path):
    """All packets of a pcap or pcapng file, as a list of bytes."""
    try:
        with open(path, "rb") as f:
            data = f.read()
    except OSError as e:
        raise CaptureError("%s: %s" % (path, e.strerror)) from e
    magic = data[:4]
    try:
        if magic in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1"):
            return list(_read_pcap(data, "<"))
        if magic in (b"\xa1\xb2\xc3\xd4", b"\xa1\xb2\x3c\x4d"):
            return list(_read_pcap(data, ">"))
        if magic == b"\x0a\x0d\x0d\x0a":
            return list(_read_pcapng(data))
    except CaptureError as e:
        raise CaptureError("%s %s" % (path, e)) from e
    raise CaptureError("%s is no pcap or pcapng file" % path)


def _ports(packet, at):
    return packet[at:at + 4] if at + 4 <= len(packet) else b""


def _ipv4_flow(packet, at):
    header = (packet[at] & 15) * 4
    protocol = packet[at + 9]
    ends = packet[at + 12:at + 20]
    if struct.unpack_from(">H", packet, at + 6)[0] & 0x3FFF:
        return ("fragment4", protocol, ends)
    if protocol in WITH_PORTS:
        return ("ipv4", protocol, ends, _ports(packet, at + header))
    return ("ipv4", protocol, ends)


def _ipv6_flow(packet, at):
    protocol = packet[at + 6]
    ends = packet[at + 8:at + 40]
    at += 40
    while protocol in IPV6_EXTENSIONS and at + 8 <= len(packet):
        protocol, length = packet[at], packet[at + 1]
        at += 8 + length * 8
    if protocol == IPV6_FRAGMENT:
        return ("fragment6", ends)
    if protocol in WITH_PORTS:
        return ("ipv6", protocol, ends, _ports(packet, at))
    return ("ipv6", protocol, ends)


def flow_of(packet):
    """Names the flow of an Ethernet frame, one direction of it."""
    at, vlans = 12, b""
    if len(packet) < 14:
        return ("runt",)
    kind = struct.unpack_from(">H", packet, at)[0]
    while kind in ETH_P_VLAN and at + 6 <= len(packet):
        vlans += packet[at + 2:at + 4]
        at += 4
        kind = struct.unpack_from(">H", packet, at)[0]
    at += 2
    try:
        if kind == ETH_P_IPV4 and packet[at] >> 4 == 4:
            return _ipv4_flow(packet, at) + (vlans,)
        if kind == ETH_P_IPV6 and packet[at] >> 4 == 6:
            return _ipv6_flow(packet, at) + (vlans,)
    except (IndexError, struct.error):
        pass
    return ("other", kind, packet[:12], vlans)


class Result:
    def __init__(self):
        self.sent = self.received = self.flows = 0
        self.missing, self.extra, self.disordered, self.wrong_mac = [], [], [], []

    def __str__(self):
        return ("%u packets in, %u out, %u flows: %u missing, %u too many, %u out of order, "
                "%u with wrong MAC addresses" % (
                    self.sent, self.received, self.flows, len(self.missing), len(self.extra),
                    len(self.disordered), len(self.wrong_mac)))


def compare(sent, received, rewrite=None, swapped=False):
    """Compares two lists of packets.

    rewrite: (destination, source) that every packet must have got, as bytes; None in it: any.
    swapped: destination and source must have changed places.
    """
    result = Result()
    result.sent, result.received = len(sent), len(received)

    def expected(packet):
        if rewrite is not None:
            return packet[12:]
        if swapped:
            return packet[6:12] + packet[:6] + packet[12:]
        return packet

    waiting = collections.defaultdict(collections.deque)
    flows = []
    for i, packet in enumerate(sent):
        waiting[expected(packet)].append(i)
        flows.append(flow_of(packet))
    result.flows = len(set(flows))
    last = {}
    for i, packet in enumerate(received):
        queue = waiting.get(packet[12:] if rewrite is not None else packet)
        if not queue:
            result.extra.append(i)
            continue
        # of several alike, the first that keeps its flow in order
        for number in queue:
            if number > last.get(flows[number], -1):
                break
        else:
            number = queue[0]
            result.disordered.append(i)
        queue.remove(number)
        last[flows[number]] = max(number, last.get(flows[number], -1))
        if rewrite is not None:
            for at, mac in ((0, rewrite[0]), (6, rewrite[1])):
                if mac is not None and packet[at:at + 6] != mac:
                    result.wrong_mac.append(i)
                    break
    for queue in waiting.values():
        result.missing.extend(queue)
    result.missing.sort()
    return result


def _mac(text):
    octets = bytes(int(o, 16) for o in text.split(":"))
    if len(octets) != 6:
        raise ValueError
    return octets


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("sent")
    parser.add_argument("received")
    parser.add_argument("--rewritten", action="store_true", help="MAC addresses may differ")
    parser.add_argument("--dst", type=_mac, help="destination MAC address every packet must have got")
    parser.add_argument("--src", type=_mac, help="source MAC address every packet must have got")
    parser.add_argument("--swapped", action="store_true", help="MAC addresses changed places")
    parser.add_argument("--missing", type=int, default=0, help="packets that are known to be missing")
    args = parser.parse_args()
    rewrite = None
    if args.rewritten or args.dst or args.src:
        rewrite = (args.dst, args.src)
    try:
        sent, received = read_capture(args.sent), read_capture(args.received)
    except CaptureError as e:
        print("pcapcheck: %s" % e, file=sys.stderr)
        return 2
    result = compare(sent, received, rewrite, args.swapped)
    print("pcapcheck: %s" % result)
    good = (len(result.missing) == args.missing and not result.extra and
            not result.disordered and not result.wrong_mac)
    if not good:
        for what in ("missing", "extra", "disordered", "wrong_mac"):
            numbers = getattr(result, what)
            if numbers:
                print("pcapcheck: %s: %s%s" % (what, ", ".join(map(str, numbers[:10])),
                                               ", ..." if len(numbers) > 10 else ""))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
