#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""Reads, writes and compares capture files. Standard library only.

    pcapcmp.py [--macs] [--order flow|total|none] expected found

says whether every packet of `expected` is in `found` and nothing else is: byte for byte, except for
the two MAC addresses unless --macs is given, and in the same order within each flow (default), over the
whole file, or in any. Exit status 0 if so, 1 if not (with a summary), 2 if a file cannot be read.

    pcapcmp.py --count file

prints the number of packets and bytes.
"""

import argparse
import collections
import struct
import sys

ETHERNET = 1


class CaptureError(Exception):
    """A file is no capture, or ends in the middle of something."""


class Packet:
    """One packet: its bytes, its length on the wire, its time in nanoseconds since 1970."""

    __slots__ = ("data", "length", "ns")

    def __init__(self, data, ns=0, length=None):
        self.data = bytes(data)
        self.length = len(self.data) if length is None else length
        self.ns = ns


def _take(buf, at, n, what):
    if at + n > len(buf):
        raise CaptureError(f"ends in the middle of {what}: {n} bytes expected, {len(buf) - at} found")
    return buf[at : at + n]


def _read_pcap(buf):
    magic = {0xA1B2C3D4: 1000, 0xA1B23C4D: 1}
    for order in "<>":
        unit = magic.get(struct.unpack(order + "I", buf[:4])[0])
        if unit:
            break
    else:
        raise CaptureError("neither pcap nor pcapng")
    link = struct.unpack(order + "HHIIII", _take(buf, 4, 20, "the file header"))[5]
    if link & 0xFFFF != ETHERNET:
        raise CaptureError(f"link type {link & 0xFFFF}, expected Ethernet")
    at = 24
    while at < len(buf):
        sec, frac, incl, orig = struct.unpack(order + "IIII", _take(buf, at, 16, "a packet header"))
        yield Packet(_take(buf, at + 16, incl, "a packet"), sec * 10**9 + frac * unit, orig)
        at += 16 + incl


def _pcapng_resolution(order, options):
    at = 0
    while at + 4 <= len(options):
        code, n = struct.unpack(order + "HH", options[at : at + 4])
        if code == 0:
            break
        if code == 9 and n == 1:
            raw = options[at + 4]
            return 2 ** (raw & 0x7F) if raw & 0x80 else 10**raw
        at += 4 + (n + 3) // 4 * 4
    return 10**6


def _read_pcapng(buf):
    at, order, interfaces = 0, "<", []
    while at < len(buf):
        head = _take(buf, at, 12, "a block header")
        if head[:4] == b"\x0a\x0d\x0d\x0a":
            order = "<" if head[8:12] == b"\x4d\x3c\x2b\x1a" else ">"
            interfaces = []
        kind, total = struct.unpack(order + "II", head[:8])
        if total < 12 or total % 4:
            raise CaptureError(f"a block of {total} bytes")
        body = _take(buf, at, total, "a block")[8:-4]
        at += total
        if kind == 1:
            if struct.unpack(order + "H", body[:2])[0] != ETHERNET:
                raise CaptureError("an interface that is not Ethernet")
            snaplen = struct.unpack(order + "I", body[4:8])[0]
            interfaces.append((_pcapng_resolution(order, body[8:]), snaplen))
        elif kind == 6:
            iface, high, low, incl, orig = struct.unpack(order + "IIIII", body[:20])
            if iface >= len(interfaces):
                raise CaptureError(f"a packet of interface {iface}, which is not described")
            ns = ((high << 32) | low) * 10**9 // interfaces[iface][0]
            yield Packet(_take(body, 20, incl, "a packet block"), ns, orig)
        elif kind == 3:
            orig = struct.unpack(order + "I", body[:4])[0]
            incl = min(orig, interfaces[0][1] or orig) if interfaces else orig
            yield Packet(_take(body, 4, incl, "a packet block"), 0, orig)


def packets(path):
    """The packets of a pcap or pcapng file, in order. Raises CaptureError at the first bad byte, after
    the whole packets before it."""
    with open(path, "rb") as f:
        buf = f.read()
    if len(buf) < 4:
        raise CaptureError("shorter than any capture")
    yield from _read_pcapng(buf) if buf[:4] == b"\x0a\x0d\x0d\x0a" else _read_pcap(buf)


def read(path):
    return list(packets(path))


def write(path, pkts, link=ETHERNET):
    """Writes a pcap file with nanosecond stamps."""
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHIIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, link))
        for p in pkts:
            f.write(struct.pack("<IIII", p.ns // 10**9, p.ns % 10**9, len(p.data), p.length))
            f.write(p.data)


def write_pcapng(path, pkts):
    """Writes a pcapng file: one section, one interface, nanosecond stamps."""

    def block(kind, body):
        body += bytes(-len(body) % 4)
        total = struct.pack("<I", len(body) + 12)
        return struct.pack("<I", kind) + total + body + total

    with open(path, "wb") as f:
        f.write(block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)))
        f.write(block(1, struct.pack("<HHI", ETHERNET, 0, 0) + struct.pack("<HHB3xHH", 9, 1, 9, 0, 0)))
        for p in pkts:
            head = struct.pack("<IIIII", 0, p.ns >> 32, p.ns & 0xFFFFFFFF, len(p.data), p.length)
            f.write(block(6, head + p.data))


def flow_of(data):
    """What tells one flow from another; MAC addresses have no part in it. Fragments, which carry ports
    only in the first one, are a flow per pair of addresses."""
    at, tags = 12, ()
    while data[at : at + 2] in (b"\x81\x00", b"\x88\xa8"):
        tags += (data[at + 2 : at + 4],)
        at += 4
    kind, ip = data[at : at + 2], data[at + 2 :]
    if kind == b"\x08\x00" and len(ip) >= 20:
        size, proto = (ip[0] & 15) * 4, ip[9]
        fragment = struct.unpack(">H", ip[6:8])[0] & 0x3FFF
        ports = b"" if fragment or proto not in (6, 17, 132) else ip[size : size + 4]
        return (tags, ip[12:20], proto, bool(fragment), ports)
    if kind == b"\x86\xdd" and len(ip) >= 40:
        ports = ip[40:44] if ip[6] in (6, 17, 132) else b""
        return (tags, ip[8:40], ip[6], False, ports)
    return (tags, kind)


class Difference:
    """The result of compare(): empty (false) when nothing differs."""

    def __init__(self):
        self.missing = collections.Counter()
        self.extra = collections.Counter()
        self.reordered = 0

    def __bool__(self):
        return bool(self.missing or self.extra or self.reordered)

    def __str__(self):
        lines = []
        for name, which in (("missing", self.missing), ("unexpected", self.extra)):
            if which:
                first = next(iter(which))
                lines.append(f"{which.total()} packets {name}, one of {len(first)} bytes: {first[:48].hex()}")
        if self.reordered:
            lines.append(f"{self.reordered} flows with their packets out of order")
        return "\n".join(lines) or "no difference"


def compare(expected, found, macs=False, order="flow"):
    """Compares two lists of packets; macs: whether the 12 bytes of addresses have to match too."""
    start = 0 if macs else 12
    diff = Difference()
    flows = [collections.defaultdict(list), collections.defaultdict(list)]
    for which, pkts in zip(flows, (expected, found)):
        for p in pkts:
            key = flow_of(p.data) if order == "flow" else None
            which[key].append(p.data[start:])
    for key in flows[0].keys() | flows[1].keys():
        a, b = flows[0].get(key, []), flows[1].get(key, [])
        if a == b:
            continue
        have, got = collections.Counter(a), collections.Counter(b)
        diff.missing += have - got
        diff.extra += got - have
        if have == got and order != "none":
            diff.reordered += 1
    return diff


def main():
    parser = argparse.ArgumentParser(description="Compares two captures.")
    parser.add_argument("--macs", action="store_true", help="MAC addresses have to match as well")
    parser.add_argument("--order", choices=("flow", "total", "none"), default="flow")
    parser.add_argument("--count", action="store_true", help="only count one file's packets and bytes")
    parser.add_argument("files", nargs="+")
    args = parser.parse_args()
    if len(args.files) != (1 if args.count else 2):
        parser.error("expected one file with --count, two without")
    captures = []
    for path in args.files:
        try:
            captures.append(read(path))
        except (OSError, CaptureError) as e:
            print(f"{path}: {e}", file=sys.stderr)
            return 2
    if args.count:
        print(len(captures[0]), sum(len(p.data) for p in captures[0]))
        return 0
    diff = compare(*captures, macs=args.macs, order=args.order)
    print(f"{len(captures[0])} packets expected, {len(captures[1])} found: {diff}")
    return 1 if diff else 0


if __name__ == "__main__":
    sys.exit(main())
