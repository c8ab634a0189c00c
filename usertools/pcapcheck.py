#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""Checks that what a forwarder sent is what it received.

pcapcheck.py [options] SENT-TO-IT RECEIVED-FROM-IT

Every packet of the first capture must be in the second one, byte for byte, nothing may be there twice or
besides, and the packets of a flow must be in the order they had. Exit status 0 if all of that holds, 1 if not,
2 for wrong usage or an unreadable capture.

What a flow is: see flow_of() in capture.py.
"""

import argparse
import collections
import sys

from capture import CaptureError, flow_of, read


def read_capture(path):
    """All packets of a pcap or pcapng file, as a list of bytes. None of them may be cut."""
    try:
        found = read(path)
    except OSError as e:
        raise CaptureError("%s: %s" % (path, e.strerror)) from e
    except CaptureError as e:
        raise CaptureError("%s %s" % (path, e)) from e
    for packet in found:
        if packet.length != len(packet.data):
            raise CaptureError("%s holds a packet of %u bytes cut to %u" % (
                path, packet.length, len(packet.data)))
    return [packet.data for packet in found]


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
