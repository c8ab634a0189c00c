# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""Makes captures for the tests: many flows, every packet different."""

import random
import struct


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(kind, payload, vlan=None, src=1, dst=2):
    header = b"\x02\x00\x00\x00\x01" + bytes([dst]) + b"\x02\x00\x00\x00\x01" + bytes([src])
    if vlan is not None:
        header += struct.pack(">HH", 0x8100, vlan)
    frame = header + struct.pack(">H", kind) + payload
    return frame + b"\0" * max(0, 60 - len(frame))


def ipv4(protocol, src, dst, payload, number=0, fragment=0):
    header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), number & 0xFFFF, fragment,
                         64, protocol, 0, bytes(src), bytes(dst))
    return header[:10] + struct.pack(">H", checksum(header)) + header[12:] + payload


def udp(sport, dport, payload):
    return struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload


def tcp(sport, dport, seq, payload):
    return struct.pack(">HHIIBBHHH", sport, dport, seq, 0, 0x50, 0x10, 65535, 0, 0) + payload


def packet(number, flow, size):
    """Packet of a flow, with its number in it. Flows differ in protocol, VLAN and being fragments."""
    filling = struct.pack(">II", flow, number) * (size // 8 + 1)
    src, dst = (10, 1, flow >> 8 & 255, flow & 255), (10, 2, flow >> 8 & 255, flow & 255)
    vlan = 100 + flow % 8 if flow % 5 == 0 else None
    kind = flow % 7
    if kind == 6:
        body = ipv4(17, src, dst, filling[:max(size - 34, 8)], number,
                    0x2000 if number % 2 else 0x0010)
    elif kind % 2:
        body = ipv4(6, src, dst, tcp(1000 + flow % 5000, 80, number, filling[:max(size - 54, 8)]), number)
    else:
        body = ipv4(17, src, dst, udp(2000 + flow % 5000, 53, filling[:max(size - 42, 8)]), number)
    return ethernet(0x0800, body, vlan)


def packets(n, n_flows, seed, sizes=(64, 1514)):
    """n packets of n_flows flows in random order, sizes evenly between the two given."""
    rand = random.Random(seed)
    return [packet(i, rand.randrange(n_flows), rand.randint(*sizes)) for i in range(n)]


def write_pcap(path, frames):
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for i, frame in enumerate(frames):
            f.write(struct.pack("<IIII", i // 1000000, i % 1000000, len(frame), len(frame)))
            f.write(frame)
