#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The sweep runs every program, and the figures of doc/design/kill-sweep.md have a row for each of their operations and
no other.

    test/crash/figures_test.py <kill-sweep.md> <program>...
"""

import os
import re
import subprocess
import sys

import sweep


def swept(programs):
    names = set()
    for program in programs:
        done = subprocess.run([program, "-l"], stdout=subprocess.PIPE, text=True, check=True)
        # each is listed once for each mode, as "operation (mode)"
        names |= {re.sub(r" \([^()]*\)$", "", line) for line in done.stdout.splitlines()}
    return names


def figures(path):
    with open(path, encoding="utf-8") as f:
        text = f.read().partition("\n## Figures\n")[2]
    rows = re.search(r"\| operation \| instructions .*\n\|[ -:|]*\n((?:\|.*\n)+)", text)
    return {row.split("|")[1].strip() for row in rows.group(1).splitlines()} if rows else set()


def main():
    faults = []
    have, want = figures(sys.argv[1]), swept(sys.argv[2:])
    faults += ["no row for '%s': run make crash" % name for name in sorted(want - have)]
    faults += ["a row for '%s', which no program sweeps" % name for name in sorted(have - want)]
    faults += ["%s is not run by sweep.py" % os.path.basename(p) for p in sys.argv[2:]
               if os.path.basename(p) not in sweep.PROGRAMS]
    print("\n".join(faults) or "%d operations" % len(want))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
