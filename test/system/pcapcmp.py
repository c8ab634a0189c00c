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
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "usertools"))

from capture import (CaptureError, Packet, flow_of, packets, read, write,  # noqa: E402,F401
                     write_pcapng)


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
            key = flow_of(p.data, macs) if order == "flow" else None
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
