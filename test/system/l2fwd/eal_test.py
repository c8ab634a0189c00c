#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""System tests of slabio-l2fwd with EAL secondaries as workers, on captures. Each function is a test."""

import os
import re
import signal
import subprocess
import sys
import time

from l2fwd_test import L2FWD_MAC, LOSSLESS, SLOW, all_drops, compared, make, refuse, settled
from lab import arguments, check, run_tests

HANDS = 32  # most packets of one mbuf that a worker has in its hands
END_S = 3   # within which workers of a killed primary end, on a machine that others use, too
BY_HAND = ["--no-spawn", "--wait-workers", "10"]


def pool_of(l2fwd):
    return re.search(r'slab pool "([^"]+)"', l2fwd.output()).group(1)


def ctl(lab, *argv):
    result = subprocess.run([lab.args.ctl, *argv], env=lab.env, capture_output=True, text=True, check=False)
    return result.returncode, result.stdout + result.stderr


def at_rest(lab, l2fwd):
    """When all traffic is through, every block is met once and nobody has one; l2fwd is then told to end."""
    pool, until = pool_of(l2fwd), time.monotonic() + 60
    while True:
        status, text = ctl(lab, "audit", "--at-rest", pool)
        sent = os.path.getsize(lab.path("out.pcap")) if os.path.exists(lab.path("out.pcap")) else 0
        if status == 0 and sent > 24:
            break
        check(time.monotonic() < until, "not at rest: %s", text)
        time.sleep(0.1)
    check(re.search(r"in quarantine +0\n", text), "%s", text)
    l2fwd.send(signal.SIGTERM)
    print("at rest beside the living l2fwd: " + text.splitlines()[-1])


def no_more_comes(lab, l2fwd, frames, lost):
    """Of the frames all but so many are in the file of what was sent, which does not grow any more; l2fwd is then
    told to end."""
    whole = sum(16 + len(f) for f in frames) - lost * (16 + max(map(len, frames)))
    size, since, until = 0, time.monotonic(), time.monotonic() + 60
    while size < whole or time.monotonic() - since < 0.7:
        check(time.monotonic() < until, "l2fwd does not come to an end: %d bytes", size)
        time.sleep(0.05)
        now = os.path.getsize(lab.path("out.pcap"))
        if now != size:
            size, since = now, time.monotonic()
    l2fwd.send(signal.SIGTERM)


def start(lab, options, exit_idle=True):
    """l2fwd with slots whose workers the test starts, on shared memory."""
    lab.share_memory()
    ports = [lab.vdev(0, rx=lab.path("in.pcap")), lab.vdev(1, tx=lab.path("out.pcap"))]
    l2fwd = lab.l2fwd(ports, ["-p", "3", "--stats-file", lab.path("stats")] + options
                      + (["--exit-idle", "1"] if exit_idle else []))
    return l2fwd


def started(lab, n_plain, n_eal, options, exit_idle=True):
    l2fwd = start(lab, ["--workers", str(n_plain), "--eal-workers", str(n_eal)] + BY_HAND + options,
                  exit_idle)
    l2fwd.wait_for("is open for")
    workers = [lab.worker("--slot", str(i), *SLOW) for i in range(n_plain)]
    for i in range(n_plain, n_plain + n_eal):
        # one after the other, as EAL wants it
        l2fwd.wait_for("has joined", count=i)
        workers.append(lab.eal_worker(i, *SLOW))
    l2fwd.wait_for("forwarding")
    return l2fwd, workers


def forwards_every_packet_in_order_through_both_kinds_of_workers(lab):
    frames = make(lab, 30000, 300, 31)
    l2fwd = start(lab, ["--workers", "1", "--eal-workers", "2"] + LOSSLESS)
    stats = settled(lab, l2fwd)
    compared(lab, frames, rewrite=L2FWD_MAC)
    check([w["eal"] for w in stats["workers"]] == [False, True, True], "kinds: %s", stats["workers"])
    check(all(w["returned"] > 0 for w in stats["workers"]), "one had no part in it: %s", stats["workers"])
    check(sum(w["returned"] for w in stats["workers"]) == len(frames), "not all through workers")


def chains_pass_whole_through_eal_workers(lab):
    frames = make(lab, 4000, 70, 32)
    l2fwd = start(lab, ["--eal-workers", "2", "--no-mac-updating", "--mbuf-size", "384", "--worker-fn",
                        "filter=greater 400"] + LOSSLESS)
    settled(lab, l2fwd)
    compared(lab, [f for f in frames if len(f) >= 400])


def eal_worker_swaps_and_rejects(lab):
    frames = make(lab, 5000, 50, 33)
    l2fwd = start(lab, ["--eal-workers", "1", "--no-mac-updating", "--worker-fn", "macswap"] + LOSSLESS)
    settled(lab, l2fwd)
    compared(lab, frames, swapped=True)


def kill_in_turn(lab, l2fwd, workers, first, kills):
    """Kills one EAL worker after the other and starts another in its place, under traffic."""
    for turn in range(kills):
        slot = first + turn % (len(workers) - first)
        workers[slot].send(signal.SIGKILL)
        l2fwd.wait_for("EAL worker %d (pid %d) is gone" % (slot, workers[slot].pid))
        workers[slot] = lab.eal_worker(slot, *SLOW)
        l2fwd.wait_for("has joined", count=len(workers) + turn + 1)


def killed_eal_workers_lose_only_what_was_in_their_hands(lab):
    frames = make(lab, 60000, 300, 34, sizes=(64, 200))
    l2fwd, workers = started(lab, 1, 2, LOSSLESS, exit_idle=False)
    kill_in_turn(lab, l2fwd, workers, 1, 3)
    at_rest(lab, l2fwd)
    stats = settled(lab, l2fwd)
    deaths = sum(w["deaths"] for w in stats["workers"])
    check(deaths == 3 and stats["workers"][0]["deaths"] == 0, "deaths: %s", stats["workers"])
    check(sum(w["taken_back"] for w in stats["workers"]) > 0, "no kill found anything queued")
    check(stats["dropped"]["in_hands"] <= 3 * HANDS, "in hands: %s", stats["dropped"])
    check(all_drops(stats) == stats["dropped"]["in_hands"], "drops: %s", stats["dropped"])
    compared(lab, frames, missing=all_drops(stats), rewrite=L2FWD_MAC)
    print("three kills: %d in hands, %d queued went to others, %d moves" % (
        stats["dropped"]["in_hands"], sum(w["taken_back"] for w in stats["workers"]), stats["moves"]))


def all_workers_killed_at_once_leave_nothing_behind(lab):
    frames = make(lab, 40000, 300, 44, sizes=(64, 200))
    l2fwd, workers = started(lab, 1, 2, LOSSLESS)
    lab.wait_for_traffic()
    for worker in workers:
        worker.send(signal.SIGKILL)
    stats = settled(lab, l2fwd)
    check(sum(w["deaths"] for w in stats["workers"]) == 3, "deaths: %s", stats["workers"])
    check(sum(w["taken_back"] for w in stats["workers"]) > 0, "no kill found anything queued")
    check(stats["dropped"]["in_hands"] <= 3 * HANDS, "in hands: %s", stats["dropped"])
    compared(lab, frames, missing=stats["dropped"]["in_hands"], rewrite=L2FWD_MAC)


def killed_eal_workers_of_chains_lose_no_buffer(lab):
    frames = make(lab, 16000, 100, 35, sizes=(64, 1500))
    l2fwd, workers = started(lab, 0, 2, LOSSLESS + ["--mbuf-size", "384"], exit_idle=False)
    kill_in_turn(lab, l2fwd, workers, 0, 2)
    at_rest(lab, l2fwd)
    stats = settled(lab, l2fwd)
    check(sum(w["deaths"] for w in stats["workers"]) == 2, "deaths: %s", stats["workers"])
    compared(lab, frames, missing=all_drops(stats), rewrite=L2FWD_MAC)


def eal_worker_that_dies_within_a_packet_leaves_no_half_of_it(lab):
    for where, packets in (("read", 1), ("back", 1), ("both", 2)):
        frames = make(lab, 6000, 100, 45, sizes=(64, 1500))
        l2fwd = start(lab, ["--eal-workers", "2", "--mbuf-size", "384"] + BY_HAND + LOSSLESS, exit_idle=False)
        l2fwd.wait_for("is open for")
        lab.env["HALF"] = where
        victim = lab.eal_worker(0, program=lab.args.half_eal)
        l2fwd.wait_for("has joined")
        lab.eal_worker(1)
        l2fwd.wait_for("EAL worker 0 (pid %d) is gone" % victim.pid)
        at_rest(lab, l2fwd)
        stats = settled(lab, l2fwd)
        check("dies: " + where in victim.output(), "did not get that far")
        check(stats["workers"][0]["in_hands"] == packets, "%s: %s", where, stats["workers"][0])
        check(all_drops(stats) == packets, "%s: drops: %s", where, stats["dropped"])
        compared(lab, frames, missing=packets, rewrite=L2FWD_MAC)


def killed_eal_workers_of_a_conservative_pool_leave_a_quarantine(lab):
    frames = make(lab, 30000, 300, 36, sizes=(64, 200))
    l2fwd, workers = started(lab, 0, 2, LOSSLESS + ["--pool-mode", "conservative"], exit_idle=False)
    kill_in_turn(lab, l2fwd, workers, 0, 2)
    no_more_comes(lab, l2fwd, frames, 2 * HANDS)
    check(l2fwd.end() == 1, "l2fwd ended with %s", l2fwd.popen.returncode)
    stats = lab.stats()
    check(stats["accounted"], "packets are missing in l2fwd's accounts")
    check(not stats["buffers_clean"], "an audit found nothing missing")
    lost = stats["dropped"]["in_hands"]
    check(lost > 0, "nothing was in hands: %s", stats)
    # each packet is one mbuf here
    for text in (r"%d missing\n" % lost, r"in quarantine +%d\n" % lost, r"met twice +0\n"):
        check(re.search(text, l2fwd.output()), "no \"%s\" in the audit", text)
    compared(lab, frames, missing=all_drops(stats), rewrite=L2FWD_MAC)
    check(not lab.leftovers(), "left behind: %s", ", ".join(lab.leftovers()))
    print("two kills: %d in hands, %d in quarantine" % (lost, lost))


def stopped_eal_worker_stops_nobody(lab):
    frames = make(lab, 30000, 300, 37, sizes=(64, 200))
    l2fwd, workers = started(lab, 0, 2, ["--ring-size", "256", "--backpressure", "1500"], exit_idle=False)
    lab.wait_for_traffic()
    workers[0].send(signal.SIGSTOP)
    l2fwd.wait_for("worker 0 (pid %d) stands still" % workers[0].pid)
    time.sleep(0.2)
    # nothing of a stopped one is taken: not by its neighbour's death either
    workers[1].send(signal.SIGKILL)
    l2fwd.wait_for("EAL worker 1 (pid %d) is gone" % workers[1].pid)
    workers[0].send(signal.SIGCONT)
    l2fwd.wait_for("worker 0 (pid %d) moves again" % workers[0].pid)
    at_rest(lab, l2fwd)
    stats = settled(lab, l2fwd)
    first = stats["workers"][0]
    check(first["stalls"] >= 1 and first["deaths"] == 0 and first["in_hands"] == 0, "worker 0: %s", first)
    compared(lab, frames, missing=all_drops(stats), rewrite=L2FWD_MAC)
    print("stopped: %s" % stats["dropped"])


def eal_worker_stopped_for_good_holds_up_no_end(lab):
    frames = make(lab, 20000, 100, 38, sizes=(64, 200))
    l2fwd = start(lab, ["--eal-workers", "2", "--ring-size", "256"])
    l2fwd.wait_for("forwarding")
    # of those that l2fwd started it makes an end itself, so that the pool is whole
    pid = int(re.search(r"worker 0 \(pid (\d+)\) has joined", l2fwd.output()).group(1))
    os.kill(pid, signal.SIGSTOP)
    stats = settled(lab, l2fwd)
    compared(lab, frames, missing=all_drops(stats), rewrite=L2FWD_MAC)


def workers_of_both_kinds_end_when_l2fwd_is_killed_and_it_starts_again(lab):
    make(lab, 60000, 100, 39, sizes=(64, 200))
    l2fwd, workers = started(lab, 1, 2, LOSSLESS)
    lab.wait_for_traffic()
    l2fwd.send(signal.SIGKILL)
    l2fwd.end()
    killed = time.monotonic()
    for worker in workers:
        check(worker.end(END_S) == 3, "worker ended with %s", worker.popen.returncode)
        check("slabio-l2fwd is gone" in worker.output(), "no clear message")
    print("workers ended %.2f s after l2fwd was killed" % (time.monotonic() - killed))
    again(lab, l2fwd)


def again(lab, l2fwd):
    """The same again, and nothing of the first is left at its end."""
    frames = make(lab, 20000, 100, 40)
    options = l2fwd.argv[:l2fwd.argv.index("--") + 1]
    second = lab.run(options + ["-T", "0", "--name", lab.name, "-p", "3", "--workers", "1", "--eal-workers",
                                "1", "--exit-idle", "1", "--stats-file", lab.path("stats")] + LOSSLESS)
    settled(lab, second)
    compared(lab, frames, rewrite=L2FWD_MAC)


def restarts_at_once_beside_eal_workers_of_the_killed_one(lab):
    make(lab, 60000, 100, 41, sizes=(64, 200))
    l2fwd, _ = started(lab, 1, 1, LOSSLESS)
    l2fwd.send(signal.SIGKILL)
    l2fwd.end()
    again(lab, l2fwd)


def refuses_to_start_beside_a_stopped_eal_worker_of_the_dead(lab):
    make(lab, 60000, 100, 42, sizes=(64, 200))
    l2fwd, workers = started(lab, 0, 1, LOSSLESS)
    workers[0].send(signal.SIGSTOP)
    l2fwd.send(signal.SIGKILL)
    l2fwd.end()
    second = lab.run(l2fwd.argv)
    check(second.end() == 1, "ended with %s", second.popen.returncode)
    check("EAL worker (pid %d) of the dead instance" % workers[0].pid in second.output(), "no clear message")
    workers[0].send(signal.SIGCONT)
    check(workers[0].end(END_S) == 3, "worker ended with %s", workers[0].popen.returncode)
    again(lab, l2fwd)


def refuses_bad_input_about_eal_workers(lab):
    make(lab, 10, 1, 43)
    ports = [lab.vdev(0, rx=lab.path("in.pcap")), lab.vdev(1, tx=lab.path("out.pcap"))]
    mask = ["-p", "3"]
    one = mask + ["--eal-workers", "1"]
    # in memory that nobody else can map
    refuse(lab, lab.l2fwd(ports, one), 1, "expected hugepages")
    lab.share_memory()
    config = lab.path("slab.cfg")
    with open(config, "w", encoding="ascii") as f:
        f.write("[default]\nmode=conservative\n")
    cases = [
        (mask + ["--eal-workers", "17"], 2, "--eal-workers expects 0 to 16"),
        (mask + ["--eal-workers", "9", "--workers", "8"], 2, "up to 16 together, found 17"),
        (one + ["--pool-mode", "fuzzy"], 2, "exact or conservative"),
        (mask + ["--pool-mode", "exact"], 2, "--pool-mode expects --eal-workers"),
        (mask + ["--workers", "1", "--eal-worker-path", "x"], 2, "--eal-worker-path expects"),
        (one + ["--no-spawn", "--eal-worker-path", "x"], 2, "contradict"),
        (one + ["--eal-worker-path", "/no/such/worker"], 1, "/no/such/worker"),
        (one + ["--eal-worker-path", "/bin/false"], 1, "ended before it was ready"),
        (one + ["--worker-fn", "dance"], 1, "count, macswap or filter"),
    ]
    for options, status, text in cases:
        refuse(lab, lab.l2fwd(ports, options), status, text)
    lab.env["SLABIO_CONFIG"] = config
    refuse(lab, lab.l2fwd(ports, one + ["--pool-mode", "exact"]), 1, "is conservative by SLABIO_CONFIG=")
    del lab.env["SLABIO_CONFIG"]
    plugins, lab.args.plugin = lab.args.plugin, [p for p in lab.args.plugin if "mempool" not in p]
    refuse(lab, lab.l2fwd(ports, one), 1, "expects the \"slab\" mempool ops")
    lab.args.plugin = plugins

    l2fwd = lab.l2fwd(ports, mask + ["--workers", "1", "--eal-workers", "1", "--no-spawn"])
    l2fwd.wait_for("forwarding")
    for worker, text in ((lab.worker("--slot", "1"), "slot 1 of instance \"%s\" is for slabio-eal-worker"),
                         (lab.eal_worker(0), "slot 0 of instance \"%s\" is for slabio-worker")):
        check(worker.end() == 1, "worker ended with %s", worker.popen.returncode)
        check(text % lab.name in worker.output(), "no \"%s\" in its message", text)
    l2fwd.send(signal.SIGTERM)
    check(l2fwd.end() == 0, "l2fwd ended with %s", l2fwd.popen.returncode)
    check(not lab.leftovers(), "left behind: %s", ", ".join(lab.leftovers()))
    print("%d cases" % (len(cases) + 5))


if __name__ == "__main__":
    sys.exit(run_tests(arguments(), globals()))
