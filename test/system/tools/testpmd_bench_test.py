#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""usertools/testpmd-bench: tiny runs, bad usage, what is missing, and an interrupt. How fast anything
is, is not looked at."""

import csv
import glob
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SKIP = 77
TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
BUILD = os.environ.get("SLABIO_BUILD", os.path.join(TOP, "build"))
TOOL = os.path.join(TOP, "usertools", "testpmd-bench")
TINY = ["--build", BUILD, "--no-huge", "--pairs", "1", "--seconds", "0.05", "--repeats", "0",
        "--mbufs", "4096"]

failed = 0


def check(condition, message):
    global failed
    if not condition:
        failed += 1
        print(f"FAILED: {message}", flush=True)


def start(*argv):
    return subprocess.Popen([sys.executable, TOOL, *argv], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def run(*argv, status=0):
    """Runs the tool and returns what it wrote; nothing it made may be left."""
    child = start(*argv)
    out, err = child.communicate(timeout=80)
    check(child.returncode == status, f"{' '.join(argv)}: expected exit status {status}, found "
                                      f"{child.returncode}:\n{err}")
    nothing_left(child.pid)
    return out, err


def processes(pid):
    """Processes that run with the file prefix of the tool's process."""
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as f:
                if f"testpmd-bench-{pid}-".encode() in f.read():
                    found.append(path)
        except OSError:
            pass
    return found


def nothing_left(pid):
    left = glob.glob(f"/dev/shm/testpmd-bench-{pid}-*") + \
        glob.glob(f"{tempfile.gettempdir()}/testpmd-bench-{pid}-*") + \
        glob.glob(f"/var/run/dpdk/testpmd-bench-{pid}-*") + processes(pid)
    check(not left, f"left behind: {left}")


def has_all_rows(folder):
    path = os.path.join(folder, "out.json")
    table, _ = run(*TINY, "--what", "pools,ports", "--modes", "io,txonly,rxonly,noisy", "--mbcache",
                   "0,250", "--json", path, "--csv", "/dev/stderr", "--quiet")
    with open(path, encoding="utf-8") as f:
        result = json.load(f)
    rows = result["rows"]
    found = [(r["mode"], r["a"]["source"], r["a"]["pool"], r["a"]["mbcache"], r["b"]["source"],
              r["b"]["pool"], r["b"]["mbcache"]) for r in rows]
    expected = [(mode, "net_null", "slab", cache, "net_null", "ring_mp_mc", cache)
                for cache in (0, 250) for mode in ("io", "txonly", "rxonly", "noisy")]
    expected += [(mode, "net_slabio", pool, cache, "net_pcap", "ring_mp_mc", 250)
                 for mode in ("replay", "endless") for pool, cache in (("ring_mp_mc", 250), ("slab", 0))]
    check(found == expected, f"rows: expected {expected}, found {found}")
    for row in rows:
        check(all(len(row[side]["mpps"]) == 1 and row[side]["mpps"][0] > 0 for side in "ab"),
              f"{row['mode']}: expected a rate for each run, found {row}")
    check(result["settings"]["dpdk"].startswith("DPDK "), f"DPDK's version: {result['settings']}")
    lines = table.splitlines()
    for row in rows:
        names = [f"{row[side]['pool']}+{row[side]['mbcache']}" for side in "ab"]
        check(any(line.split()[:1] == [row["mode"]] and all(n in line for n in names)
                  for line in lines), f"{row['mode']} {names}: not in the table:\n{table}")


def writes_csv_to_standard_output(_):
    out, err = run(*TINY, "--what", "pools", "--modes", "io", "--mbcache", "0", "--rivals",
                   "ring_mp_mc,stack", "--csv", "-")
    rows = list(csv.DictReader(io.StringIO(out)))
    found = [(r["mode"], r["a_pool"], r["b_pool"]) for r in rows]
    check(found == [("io", "slab", "ring_mp_mc"), ("io", "slab", "stack")], f"CSV: {out}")
    check("pair 1 of 1" in err, f"expected progress, found {err}")


def measures_ports_on_a_veth(_):
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "ip", "ethtool"))):
        print("measures_ports_on_a_veth: not run, needs root, unshare, ip and ethtool", flush=True)
        return
    out, _ = run(*TINY, "--mbufs", "16384", "--what", "veth", "--paths", "veth,veth-oneway",
                 "--csv", "-", "--quiet")
    rows = list(csv.DictReader(io.StringIO(out)))
    found = [(r["mode"], r["a_source"], r["b_source"]) for r in rows]
    expected = []
    for path in ("veth", "veth-oneway"):
        if path != "veth" and len(os.sched_getaffinity(0)) < 2:
            continue
        expected += [(path, "net_slabio" + ours, "net_af_xdp" + theirs)
                     for ours in ("", ",busy_poll=64") for theirs in ("", ",busy_budget=0")]
    check(found == expected, f"CSV: {out}")
    check(all(float(r[side]) > 0 for r in rows for side in ("a_mpps", "b_mpps")), f"rates: {out}")


def says_what_is_wrong(folder):
    for argv, status, text in (
            (["--pairs", "0"], 2, "expected a number from 1 to 99"),
            (["--modes", "io,warp"], 2, "found 'warp', expected one of io,"),
            (["--mbcache", "0,0"], 2, "names something twice"),
            (["--rivals", "slab"], 2, "slab is the subject"),
            (["--cpus", "0"], 2, "expected two CPUs"),
            (["--what"], 2, "expected one argument"),
            (["--no-such"], 2, "unrecognized arguments"),
            (["--testpmd", "/nowhere/testpmd"], 3, "/nowhere/testpmd was not found"),
            (["--build", folder], 3, "expected the plugin"),
            ([*TINY, "--what", "ports", "--capture", "/nowhere.pcap"], 3, "No such file"),
            ([*TINY, "--what", "ports", "--capture", TOOL], 3, "expected a capture in pcap format"),
            ([*TINY, "--what", "pools", "--json", "/nowhere/x.json"], 3, "cannot be written"),
            ([*TINY, "--what", "pools", "--rivals", "no_such_handler"], 1,
             "is there a mempool handler no_such_handler?")):
        _, err = run(*argv, status=status)
        check(text in err, f"{' '.join(argv)}: expected {text!r}, found:\n{err}")
    out, _ = run("--help")
    check(out.startswith("NAME"), "expected a help text")


def leaves_nothing_when_interrupted(_):
    for signum in (signal.SIGINT, signal.SIGTERM):
        child = start(*TINY, "--pairs", "99", "--what", "pools")
        end = time.monotonic() + 20
        while not processes(child.pid) and time.monotonic() < end:
            time.sleep(0.02)
        check(processes(child.pid), "testpmd was not started")
        time.sleep(0.3)
        child.send_signal(signum)
        child.communicate(timeout=30)
        check(child.returncode == 128 + signum,
              f"expected exit status {128 + signum}, found {child.returncode}")
        nothing_left(child.pid)


def main():
    for program in ("dpdk-testpmd", "stdbuf"):
        if shutil.which(program) is None:
            print(f"SKIP: {program} is not installed")
            return SKIP
    for plugin in ("mempool/slab/librte_mempool_slab.so", "net/slabio/librte_net_slabio.so"):
        if not os.path.exists(os.path.join(BUILD, "drivers", plugin)):
            print(f"SKIP: {plugin} was not built")
            return SKIP
    for test in (says_what_is_wrong, has_all_rows, writes_csv_to_standard_output,
                 measures_ports_on_a_veth, leaves_nothing_when_interrupted):
        before, begin = failed, time.monotonic()
        with tempfile.TemporaryDirectory(prefix="slabio-test-") as folder:
            test(folder)
        print(f"{test.__name__}: {'ok' if failed == before else 'FAILED'} "
              f"({time.monotonic() - begin:.1f} s)", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
