#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the whole kill sweep and prints one table: operation, points, hung, lost, doubled, quarantined; then DPDK's
own structures in the same harness.

    test/crash/sweep.py [-C build] [-j 2] [-o FILE] [--compact]

Every program below build/test/crash, in its full form, -j of them at a time. Exit status: 0 without a fault, 1 with
one, 77 if this machine cannot step processes.
"""

import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import time

# those that take longest come first
PROGRAMS = ["crash_pmd", "crash_mempool", "crash_ring_blocks", "crash_rbuff", "crash_pool", "crash_segment",
            "crash_contig", "crash_rivals", "crash_pool_life", "crash_recover_rings", "crash_recover",
            "crash_hand_over"]
# prints a table of its own
RIVALS = "crash_rivals"
MODES = ["kill, partner working", "kill", "stop"]
ROW = re.compile(r"^(?P<operation>.{40,}?) +(?P<mode>%s) +(?P<numbers>\d+ +\d+ +\w+ +\d+/\d+.*)$" % "|".join(MODES))


class Row:
    def __init__(self, operation):
        self.operation = operation
        self.instructions = self.states = 0
        self.points = {mode: "" for mode in MODES}
        self.hung = self.lost = self.doubled = self.wrong = self.quarantined = self.figure = 0
        self.visited = 0
        self.unfinished = False

    def add(self, mode, numbers):
        (instructions, states, depth, visited, hung, lost, doubled, wrong, quarantined, figure,
         _) = numbers.split()
        done, of = visited.split("/")
        self.instructions = max(self.instructions, int(instructions))
        self.states = max(self.states, int(states))
        self.points[mode] = done + ("" if depth == "every" else " " + depth[0])
        self.visited += int(done)
        self.unfinished |= done != of or done == "0"
        self.hung += int(hung)
        self.lost += int(lost)
        self.doubled += int(doubled)
        self.wrong += int(wrong)
        self.quarantined = max(self.quarantined, int(quarantined))
        self.figure = max(self.figure, int(figure))

    def bad(self):
        return self.unfinished or self.hung + self.lost + self.doubled + self.wrong > 0


def run(args, program):
    env = dict(os.environ)
    env["SLABIO_CRASH_FULL"] = "0" if args.compact else "1"
    path = os.path.join(args.build, "test", "crash", program)
    began = time.monotonic()
    done = subprocess.run([path], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    print("%s: %s, %.0f s" % (program, {0: "no fault", 77: "cannot run here"}.get(done.returncode, "FAULTS"),
                              time.monotonic() - began), file=sys.stderr, flush=True)
    return program, done.returncode, done.stdout


def table(rows):
    out = ["| operation | instructions | states | killed | stopped | killed beside a partner "
           "| hung | lost | doubled | wrong | quarantined | figure |",
           "| --- |" + " ---: |" * 11]
    for row in rows:
        out.append("| %s | %d | %d | %s | %s | %s | %d | %d | %d | %d | %d | %d |" % (
            row.operation, row.instructions, row.states, row.points["kill"], row.points["stop"],
            row.points["kill, partner working"], row.hung, row.lost, row.doubled, row.wrong,
            row.quarantined, row.figure))
    return "\n".join(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-C", "--build", default="build")
    parser.add_argument("-j", "--jobs", type=int, default=2)
    parser.add_argument("-o", "--output", help="the table goes there as well")
    parser.add_argument("--compact", action="store_true", help="as in CI")
    args = parser.parse_args()
    programs = [p for p in PROGRAMS if os.path.exists(os.path.join(args.build, "test", "crash", p))]
    if not programs:
        print("nothing to run below %s/test/crash: build with tests, without sanitizers" % args.build)
        return 1
    began = time.time()
    rows, rivals, faults, skipped = {}, [], [], False
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for program, status, text in pool.map(lambda p: run(args, p), programs):
            skipped |= status == 77
            for line in text.splitlines():
                found = ROW.match(line)
                if found:
                    name = found["operation"].strip()
                    row = rows.setdefault((program, name), Row(name))
                    row.add(found["mode"], found["numbers"])
                elif program == RIVALS and line.startswith("|"):
                    rivals.append(line)
                elif line.startswith("  -> "):
                    faults.append("%s: %s" % (program, line[5:]))
            if status not in (0, 77) and not any(f.startswith(program + ":") for f in faults):
                faults.append("%s ended with status %d" % (program, status))
    text = table(rows.values())
    points = sum(r.visited for r in rows.values())
    text += "\n\n%d operations, %d points, %.0f s: hung %d, lost %d, doubled %d, wrong %d\n" % (
        len(rows), points, time.time() - began, sum(r.hung for r in rows.values()),
        sum(r.lost for r in rows.values()), sum(r.doubled for r in rows.values()),
        sum(r.wrong for r in rows.values()))
    if rivals:
        text += "\nFor comparison, slab and DPDK's own:\n\n%s\n\n" % "\n".join(rivals)
    text += "".join("  -> %s\n" % f for f in faults)
    print(text, end="")
    if args.output:
        with open(args.output, "w", encoding="utf-8") as out:
            out.write(text)
    if skipped and not rows:
        return 77
    return 1 if faults or any(r.bad() for r in rows.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
