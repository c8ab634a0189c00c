# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""Reads and writes capture files, and tells the flows in them apart. Standard library only."""

import struct

ETHERNET = 1
ETH_P_VLAN = (0x8100, 0x88A8)
ETH_P_IPV4 = 0x0800
ETH_P_IPV6 = 0x86DD
WITH_PORTS = (6, 17, 132)
IPV6_EXTENSIONS = (0, 43, 60)
IPV6_FRAGMENT = 44


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


def flow_of(packet, macs=True):
    """Names the flow of an Ethernet frame, one direction of it: VLAN ids, IP addresses, protocol and ports;
    fragments without ports, as a flow of their own; anything else by ether type and, unless they may be
    rewritten (macs=False), MAC addresses."""
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
    return ("other", kind, packet[:12] if macs else b"", vlans)
