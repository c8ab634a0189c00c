#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""System tests of slabio-l2fwd with its workers, on captures. Each function is a test."""

import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../usertools"))

import pcapcheck  # noqa: E402
import traffic  # noqa: E402
from lab import arguments, check, run_tests  # noqa: E402

ANY_MAC = (None, None)
# with --mac-updating: l2fwd's destination for port 1
L2FWD_MAC = (bytes.fromhex("020000000001"), None)
# receive no faster than the workers work, so that nothing needs to be dropped
LOSSLESS = ["--backpressure", "5000"]
# a worker that takes its time, so that a test can do something meanwhile
SLOW = ["--cost", "20000"]


def make(lab, n, n_flows, seed, **sizes):
    frames = traffic.packets(n, n_flows, seed, **sizes)
    traffic.write_pcap(lab.path("in.pcap"), frames)
    return frames


def settled(lab, l2fwd):
    """The run ended well: status 0, every packet accounted for, every buffer back, nothing left."""
    check(l2fwd.end() == 0, "l2fwd ended with %s", l2fwd.popen.returncode)
    stats = lab.stats()
    check(stats["accounted"], "packets are missing in l2fwd's accounts")
    check(stats["buffers_clean"], "buffers are missing")
    check(not lab.leftovers(), "left behind: %s", ", ".join(lab.leftovers()))
    return stats


def compared(lab, frames, missing=0, **how):
    """What came out is what came in, but for that many packets, in order."""
    got = pcapcheck.read_capture(lab.path("out.pcap"))
    result = pcapcheck.compare(frames, got, **how)
    print(result)
    check(len(result.missing) == missing, "%d packets expected to be missing: %s", missing, result)
    check(not result.extra and not result.disordered and not result.wrong_mac, "%s", result)
    return got


def all_drops(stats):
    return sum(stats["dropped"].values())


def forwards_every_packet_by_itself(lab):
    frames = make(lab, 20000, 100, 1)
    l2fwd = lab.replay(lab.path("in.pcap"), lab.path("out.pcap"), ["-q", "2"])
    settled(lab, l2fwd)
    compared(lab, frames, rewrite=L2FWD_MAC)


def forwards_every_packet_in_order_through_workers(lab):
    frames = make(lab, 40000, 300, 2)
    l2fwd = lab.replay(lab.path("in.pcap"), lab.path("out.pcap"), ["--workers", "3"] + LOSSLESS)
    stats = settled(lab, l2fwd)
    compared(lab, frames, rewrite=L2FWD_MAC)
    for i, worker in enumerate(stats["workers"]):
        check(worker["returned"] > 0, "worker %d had no part in it", i)
    check(sum(w["returned"] for w in stats["workers"]) == len(frames), "not all through workers")


def leaves_mac_addresses_alone_when_told(lab):
    frames = make(lab, 5000, 50, 3)
    l2fwd = lab.replay(lab.path("in.pcap"), lab.path("out.pcap"),
                       ["--workers", "2", "--no-mac-updating"] + LOSSLESS)
    settled(lab, l2fwd)
    compared(lab, frames)


def worker_swaps_mac_addresses(lab):
    frames = make(lab, 5000, 50, 4)
    l2fwd = lab.replay(lab.path("in.pcap"), lab.path("out.pcap"),
                       ["--workers", "2", "--no-mac-updating", "--worker-fn", "macswap"] + LOSSLESS)
    settled(lab, l2fwd)
    compared(lab, frames, swapped=True)


def worker_filter_rejects_what_the_expression_rejects(lab):
    frames = make(lab, 5000, 70, 5)
    l2fwd = lab.replay(lab.path("in.pcap"), lab.path("out.pcap"),
                       ["--workers", "2", "--no-mac-updating", "--worker-fn",
                        "filter=tcp port 80 and greater 200"] + LOSSLESS)
    stats = settled(lab, l2fwd)
    kept = [f for f in frames if f[12:14] == b"\x08\x00" and f[23] == 6 and len(f) >= 200]
    check(0 < len(kept) < len(frames), "the traffic does not test the filter")
    compared(lab, kept)
    check(stats["dropped"]["verdict"] == len(frames) - len(kept), "verdicts: %s", stats["dropped"])


def packets_larger_than_a_buffer_stay_whole(lab):
    frames = make(lab, 4000, 70, 6, sizes=(64, 1514))
    l2fwd = lab.replay(lab.path("in.pcap"), lab.path("out.pcap"),
                       ["--workers", "2", "--no-mac-updating", "--mbuf-size", "384", "--worker-fn",
                        "filter=greater 400"] + LOSSLESS)
    settled(lab, l2fwd)
    compared(lab, [f for f in frames if len(f) >= 400])


def killed_worker_loses_only_what_was_in_its_hands(lab):
    frames = make(lab, 60000, 300, 7, sizes=(64, 300))
    # on a busy machine the successor comes after the last packet
    l2fwd = lab.replay(lab.path("in.pcap"), lab.path("out.pcap"),
                       ["--workers", "2", "--no-spawn", "--wait-workers", "10", "--exit-idle", "3"]
                       + LOSSLESS)
    l2fwd.wait_for("is open for")
    victim = lab.worker("--slot", "0", *SLOW)
    other = lab.worker("--slot", "1", *SLOW)
    l2fwd.wait_for("forwarding")
    lab.wait_for_traffic()
    victim.send(signal.SIGKILL)
    l2fwd.wait_for("worker 0 (pid %d) is gone" % victim.pid)
    successor = lab.worker("--slot", "0", *SLOW)
    l2fwd.wait_for("worker 0 (pid %d) has joined, incarnation 2" % successor.pid)
    stats = settled(lab, l2fwd)
    check(other.end() == 0 and successor.end() == 0, "a worker that was asked to go did not go well")
    worker = stats["workers"][0]
    check(worker["joins"] == 2 and worker["deaths"] == 1, "worker 0: %s", worker)
    check(worker["taken_back"] > 0, "the kill found nothing queued: %s", worker)
    check(stats["dropped"]["in_hands"] == worker["in_hands"], "in hands: %s", stats["dropped"])
    check(worker["in_hands"] <= 32, "more in its hands than a burst: %s", worker)
    compared(lab, frames, missing=all_drops(stats), rewrite=L2FWD_MAC)
    print("killed with %d queued, %d in its hands; drops %s" % (
        worker["taken_back"], worker["in_hands"], stats["dropped"]))


def killed_workers_one_after_another_lose_no_buffer(lab):
    frames = make(lab, 60000, 300, 8, sizes=(64, 300))
    # on a busy machine the last kills come after the last packet
    l2fwd = lab.replay(lab.path("in.pcap"), lab.path("out.pcap"),
                       ["--workers", "3", "--no-spawn", "--wait-workers", "10", "--exit-idle", "3"]
                       + LOSSLESS)
    l2fwd.wait_for("is open for")
    workers = [lab.worker("--slot", str(i), *SLOW) for i in range(3)]
    l2fwd.wait_for("forwarding")
    for turn in range(6):
        slot = turn % 3
        workers[slot].send(signal.SIGKILL)
        l2fwd.wait_for("worker %d (pid %d) is gone" % (slot, workers[slot].pid))
        workers[slot] = lab.worker("--slot", str(slot), *SLOW)
        l2fwd.wait_for("has joined", count=4 + turn)
    stats = settled(lab, l2fwd)
    check(sum(w["deaths"] for w in stats["workers"]) == 6, "deaths: %s", stats["workers"])
    compared(lab, frames, missing=all_drops(stats), rewrite=L2FWD_MAC)
    print("six kills: drops %s, moves %d" % (stats["dropped"], stats["moves"]))


def workers_killed_at_once_hand_on_what_they_had(lab):
    frames = make(lab, 40000, 300, 22, sizes=(64, 300))
    l2fwd = lab.replay(lab.path("in.pcap"), lab.path("out.pcap"),
                       ["--workers", "3", "--no-spawn", "--wait-workers", "10"] + LOSSLESS)
    l2fwd.wait_for("is open for")
    workers = [lab.worker("--slot", str(i), *SLOW) for i in range(3)]
    l2fwd.wait_for("forwarding")
    lab.wait_for_traffic()
    for worker in workers:
        worker.send(signal.SIGKILL)
    stats = settled(lab, l2fwd)
    check(sum(w["deaths"] for w in stats["workers"]) == 3, "deaths: %s", stats["workers"])
    check(sum(w["taken_back"] for w in stats["workers"]) > 0, "no kill found anything queued")
    check(all_drops(stats) == stats["dropped"]["in_hands"], "drops: %s", stats["dropped"])
    compared(lab, frames, missing=all_drops(stats), rewrite=L2FWD_MAC)


def without_any_worker_left_it_forwards_by_itself(lab):
    frames = make(lab, 30000, 100, 9, sizes=(64, 300))
    l2fwd = lab.replay(lab.path("in.pcap"), lab.path("out.pcap"),
                       ["--workers", "1", "--no-spawn", "--wait-workers", "10"] + LOSSLESS)
    l2fwd.wait_for("is open for")
    victim = lab.worker(*SLOW)
    l2fwd.wait_for("forwarding")
    lab.wait_for_traffic()
    victim.send(signal.SIGKILL)
    stats = settled(lab, l2fwd)
    check(stats["workers"][0]["returned"] < len(frames) - 1000, "the worker was killed too late")
    compared(lab, frames, missing=stats["dropped"]["in_hands"], rewrite=L2FWD_MAC)


def without_any_worker_left_it_drops_when_told(lab):
    frames = make(lab, 30000, 100, 10, sizes=(64, 300))
    l2fwd = lab.replay(lab.path("in.pcap"), lab.path("out.pcap"),
                       ["--workers", "1", "--no-spawn", "--wait-workers", "10", "--no-worker",
                        "drop"] + LOSSLESS)
    l2fwd.wait_for("is open for")
    victim = lab.worker(*SLOW)
    l2fwd.wait_for("forwarding")
    lab.wait_for_traffic()
    victim.send(signal.SIGKILL)
    stats = settled(lab, l2fwd)
    check(stats["dropped"]["no_worker"] > 0, "drops: %s", stats["dropped"])
    compared(lab, frames, missing=all_drops(stats), rewrite=L2FWD_MAC)


def stopped_worker_stops_nobody_and_its_overflow_is_counted(lab):
    # the patience is long enough that a busy machine does not make the other worker look stopped too
    frames = make(lab, 60000, 300, 11, sizes=(64, 300))
    l2fwd = lab.replay(lab.path("in.pcap"), lab.path("out.pcap"),
                       ["--workers", "2", "--no-spawn", "--wait-workers", "10", "--ring-size", "256",
                        "--backpressure", "1500"])
    l2fwd.wait_for("is open for")
    stopped = lab.worker("--slot", "0", *SLOW)
    lab.worker("--slot", "1", *SLOW)
    l2fwd.wait_for("forwarding")
    lab.wait_for_traffic()
    stopped.send(signal.SIGSTOP)
    l2fwd.wait_for("worker 0 (pid %d) stands still" % stopped.pid)
    time.sleep(0.2)
    stopped.send(signal.SIGCONT)
    l2fwd.wait_for("worker 0 (pid %d) moves again" % stopped.pid)
    stats = settled(lab, l2fwd)
    first, second = stats["workers"]
    check(first["overflow"] > 0 and second["overflow"] == 0, "overflow: %s", stats["workers"])
    check(first["stalls"] >= 1 and first["deaths"] == 0, "worker 0: %s", first)
    check(second["stalls"] == 0, "the other worker did not go on: %s", second)
    compared(lab, frames, missing=all_drops(stats), rewrite=L2FWD_MAC)
    print("stopped: overflow %d, returned %d and %d" % (
        first["overflow"], first["returned"], second["returned"]))


def worker_stopped_for_good_holds_up_no_end(lab):
    frames = make(lab, 20000, 100, 12, sizes=(64, 300))
    l2fwd = lab.replay(lab.path("in.pcap"), lab.path("out.pcap"),
                       ["--workers", "2", "--no-spawn", "--wait-workers", "10", "--ring-size", "256"])
    l2fwd.wait_for("is open for")
    stopped = lab.worker("--slot", "0")
    l2fwd.wait_for("worker 0 (pid %d) has joined" % stopped.pid)
    stopped.send(signal.SIGSTOP)
    lab.worker("--slot", "1")
    stats = settled(lab, l2fwd)
    check(stats["dropped"]["overflow"] > 0, "drops: %s", stats["dropped"])
    compared(lab, frames, missing=all_drops(stats), rewrite=L2FWD_MAC)


def workers_end_when_l2fwd_is_killed_and_it_starts_again(lab):
    make(lab, 60000, 100, 13, sizes=(64, 300))
    ports = [lab.path("in.pcap"), lab.path("out.pcap")]
    l2fwd = lab.replay(*ports, ["--workers", "2", "--no-spawn", "--wait-workers", "10"] + LOSSLESS)
    l2fwd.wait_for("is open for")
    workers = [lab.worker(*SLOW) for i in range(2)]
    l2fwd.wait_for("forwarding")
    lab.wait_for_traffic()
    l2fwd.send(signal.SIGKILL)
    l2fwd.end()
    killed = time.monotonic()
    for worker in workers:
        check(worker.end(3) == 3, "worker ended with %s", worker.popen.returncode)
    print("workers ended %.2f s after l2fwd was killed" % (time.monotonic() - killed))
    # the same again at once, and nothing of the first is left at its end
    frames = make(lab, 20000, 100, 14)
    l2fwd = lab.replay(*ports, ["--workers", "2"] + LOSSLESS)
    settled(lab, l2fwd)
    compared(lab, frames, rewrite=L2FWD_MAC)


def restarts_while_workers_of_the_killed_one_still_run(lab):
    frames = make(lab, 60000, 100, 15, sizes=(64, 300))
    ports = [lab.path("in.pcap"), lab.path("out.pcap")]
    l2fwd = lab.replay(*ports, ["--workers", "2", "--worker-fn", "macswap"] + LOSSLESS)
    l2fwd.wait_for("forwarding")
    l2fwd.send(signal.SIGKILL)
    l2fwd.end()
    l2fwd = lab.replay(*ports, ["--workers", "2"] + LOSSLESS)
    settled(lab, l2fwd)
    compared(lab, frames, rewrite=L2FWD_MAC)


def ends_well_on_a_signal_under_traffic(lab):
    frames = make(lab, 60000, 100, 16, sizes=(64, 300))
    l2fwd = lab.replay(lab.path("in.pcap"), lab.path("out.pcap"),
                       ["--workers", "2", "--no-spawn", "--wait-workers", "10"] + LOSSLESS)
    l2fwd.wait_for("is open for")
    workers = [lab.worker(*SLOW) for i in range(2)]
    l2fwd.wait_for("forwarding")
    lab.wait_for_traffic()
    l2fwd.send(signal.SIGTERM)
    stats = settled(lab, l2fwd)
    received = stats["ports"][0]["rx"]
    check(0 < received < len(frames), "the signal came too late or too early")
    check(all_drops(stats) == 0, "drops: %s", stats["dropped"])
    compared(lab, frames[:received], rewrite=L2FWD_MAC)
    check(all(w.end() == 0 for w in workers), "a worker did not end well")


def misbehaving(lab, fault):
    frames = make(lab, 5000, 50, 17, sizes=(64, 300))
    l2fwd = lab.replay(lab.path("in.pcap"), lab.path("out.pcap"),
                       ["--workers", "2", "--no-spawn", "--wait-workers", "10"] + LOSSLESS)
    l2fwd.wait_for("is open for")
    lab.peer(fault, lab.name)
    lab.worker("--slot", "1")
    l2fwd.wait_for("worker 0 (pid %d) breaks the rules" % lab.processes[1].pid)
    stats = settled(lab, l2fwd)
    worker = stats["workers"][0]
    check(worker["broken"] == 1, "worker 0: %s", worker)
    check(worker["returned"] == 100, "worker 0: %s", worker)
    compared(lab, frames, missing=all_drops(stats), rewrite=L2FWD_MAC)
    print("%s: %s" % (fault, stats["dropped"]))


def worker_that_answers_out_of_order_is_shut_out(lab):
    misbehaving(lab, "position")


def worker_that_returns_another_block_is_shut_out(lab):
    misbehaving(lab, "handle")


def worker_that_points_outside_the_block_is_shut_out(lab):
    misbehaving(lab, "length")


def worker_that_lengthens_a_packet_is_shut_out(lab):
    misbehaving(lab, "more")


def worker_that_cuts_a_packet_below_its_header_is_shut_out(lab):
    misbehaving(lab, "short")


def worker_that_returns_a_block_twice_is_shut_out(lab):
    misbehaving(lab, "again")


def worker_that_dies_while_attaching_leaves_the_slot_free(lab):
    frames = make(lab, 5000, 50, 18)
    l2fwd = lab.replay(lab.path("in.pcap"), lab.path("out.pcap"),
                       ["--workers", "1", "--no-spawn", "--wait-workers", "10"] + LOSSLESS)
    l2fwd.wait_for("is open for")
    check(lab.peer("claim", lab.name).end() == -signal.SIGKILL, "the claimant did not die")
    l2fwd.wait_for("ended before it was ready")
    lab.worker("--slot", "0")
    stats = settled(lab, l2fwd)
    check(stats["workers"][0]["returned"] == len(frames), "%s", stats["workers"])
    compared(lab, frames, rewrite=L2FWD_MAC)


def worker_that_dies_within_a_packet_leaves_no_half_of_it(lab):
    for where, packets in (("read", 1), ("back", 1), ("both", 2)):
        frames = make(lab, 6000, 100, 24, sizes=(64, 1500))
        l2fwd = lab.replay(lab.path("in.pcap"), lab.path("out.pcap"),
                           ["--workers", "2", "--no-spawn", "--wait-workers", "10", "--mbuf-size", "384"] + LOSSLESS)
        l2fwd.wait_for("is open for")
        lab.env["HALF"] = where
        victim = lab.worker("--slot", "0", program=lab.args.half)
        lab.worker("--slot", "1")
        l2fwd.wait_for("worker 0 (pid %d) is gone" % victim.pid)
        stats = settled(lab, l2fwd)
        check("dies: " + where in victim.output(), "did not get that far")
        check(stats["workers"][0]["in_hands"] == packets, "%s: %s", where, stats["workers"][0])
        check(all_drops(stats) == packets, "%s: drops: %s", where, stats["dropped"])
        compared(lab, frames, missing=packets, rewrite=L2FWD_MAC)


def refuse(lab, process, status, *texts):
    """The process ends with that status and a message with those texts in it, and leaves nothing behind."""
    check(process.end() == status, "ended with %s, %d expected", process.popen.returncode, status)
    for text in texts:
        check(text in process.output(), "no \"%s\" in its message", text)
    check(not lab.leftovers(), "left behind: %s", ", ".join(lab.leftovers()))
    process.output()


def l2fwd_refuses_bad_input(lab):
    make(lab, 10, 1, 19)
    ports = [lab.vdev(0, rx=lab.path("in.pcap")), lab.vdev(1, tx=lab.path("out.pcap"))]
    mask = ["-p", "3"]
    cases = [
        (["--no-such-option"], 2, "no-such-option"),
        (mask + ["stray"], 2, "stray"),
        ([], 2, "-p PORTMASK is missing"),
        (["-p", "0"], 2, "expects a hexadecimal port mask"),
        (["-p", "xyz"], 2, "expects a hexadecimal port mask"),
        (["-p", "f"], 1, "ports that do not exist"),
        (mask + ["-q", "0"], 2, "-q expects"),
        (mask + ["-q", "1"], 1, "need 2 lcores"),
        (mask + ["-q", "1", "--workers", "1"], 1, "-q expects at least 2"),
        (mask + ["-T", "soon"], 2, "-T expects"),
        (mask + ["--portmap", "(0,1"], 2, "--portmap expects"),
        (mask + ["--portmap", "(0,1),"], 2, "--portmap expects"),
        (mask + ["--portmap", "(0,7)"], 1, "port 7 is not among"),
        (mask + ["--portmap", "(0,1),(1,0)"], 1, "is in two pairs"),
        (mask + ["--portmap", "(0,0)"], 1, "port 1 of -p 0x3 is in no pair"),
        (mask + ["--workers", "17"], 2, "--workers expects 0 to 16"),
        (mask + ["--workers", "-1"], 2, "--workers expects 0 to 16"),
        (mask + ["--name", "a/b"], 2, "--name expects"),
        (mask + ["--exit-idle", "never"], 2, "--exit-idle expects"),
        (mask + ["--ring-size", "1000"], 2, "power of two"),
        (mask + ["--no-worker", "wait"], 2, "forward or drop"),
        (mask + ["--no-spawn"], 2, "--workers N"),
        (mask + ["--no-spawn", "--workers", "1", "--worker-path", "x"], 2, "contradict"),
        (mask + ["--workers", "1", "--worker-path", "/no/such/worker"], 1, "/no/such/worker"),
        (mask + ["--workers", "1", "--worker-path", "/bin/false"], 1, "ended before it was ready"),
        (mask + ["--workers", "2", "--worker-fn", "dance"], 1, "count, macswap or filter"),
        (mask + ["--workers", "2", "--worker-fn", "filter=((("], 1, "filter \"(((\""),
        (mask + ["--workers", "1", "--no-spawn", "--wait-workers", "1"], 1, "0 of 1 workers"),
        (mask + ["-q", "2", "--mbufs", "100"], 1, "the pool is too small"),
        (mask + ["-q", "2", "--mbuf-size", "100"], 2, "--mbuf-size expects"),
    ]
    for options, status, text in cases:
        refuse(lab, lab.l2fwd(ports, options), status, text)
    refuse(lab, lab.l2fwd(ports, mask + ["-q", "2", "--exit-after", "0.1", "--stats-file",
                                         "/no/such/folder/stats"]), 1, "/no/such/folder/stats")
    print("%d cases" % (len(cases) + 1))


def l2fwd_refuses_a_name_that_is_in_use(lab):
    make(lab, 10, 1, 20)
    ports = [lab.vdev(0, rx=lab.path("in.pcap")), lab.vdev(1, tx=lab.path("out.pcap"))]
    first = lab.l2fwd(ports, ["-p", "3", "--workers", "1", "--no-spawn", "--exit-after", "60"])
    first.wait_for("forwarding")
    second = lab.run([a if a != lab.prefix else lab.prefix + "b" for a in first.argv])
    check(second.end() == 1, "the second ended with %s", second.popen.returncode)
    check("choose another --name" in second.output(), "no clear message")
    first.send(signal.SIGTERM)
    check(first.end() == 0, "the first ended with %s", first.popen.returncode)
    os.system("rm -rf /var/run/dpdk/%sb" % lab.prefix)
    check(not lab.leftovers(), "left behind: %s", ", ".join(lab.leftovers()))


def worker_refuses_bad_input(lab):
    cases = [
        (["--attach", lab.name, "--no-such-option"], 2, "no-such-option"),
        (["--attach", "a/b"], 2, "instance name"),
        (["--attach", "x" * 32], 2, "instance name"),
        (["--attach", lab.name, "--slot", "16"], 2, "--slot expects 0 to 15"),
        (["--attach", lab.name, "--slot", "x"], 2, "--slot expects 0 to 15"),
        (["--attach", lab.name, "--fn", "dance"], 2, "count, macswap or filter"),
        (["--attach", lab.name, "--fn", "filter="], 2, "found none"),
        (["--attach", lab.name, "--fn", "filter=tcp prot 80"], 2, "filter \"tcp prot 80\""),
        (["--attach", lab.name, "stray"], 2, "stray"),
        (["--attach", lab.name], 1, "is slabio-l2fwd running?"),
    ]
    refuse(lab, lab.run([lab.args.worker]), 2, "instance name")
    for options, status, text in cases:
        refuse(lab, lab.run([lab.args.worker] + options), status, text)
    print("%d cases" % (len(cases) + 1))


def worker_refuses_an_instance_that_is_none_or_of_another_version(lab):
    for kind, version in (("POOL", "1"), ("RAW ", "1"), ("L2FW", "999")):
        peer = lab.peer("segment", lab.name + ".ctl", kind, version)
        peer.wait_for("ready")
        worker = lab.worker()
        check(worker.end() == 1, "ended with %s", worker.popen.returncode)
        check("use the worker built with that slabio-l2fwd" in worker.output(), "no clear message")
        peer.close_input()
        check(peer.end() == 0, "peer ended with %s", peer.popen.returncode)


def worker_refuses_a_slot_that_is_taken_or_does_not_exist(lab):
    make(lab, 10, 1, 21)
    ports = [lab.vdev(0, rx=lab.path("in.pcap")), lab.vdev(1, tx=lab.path("out.pcap"))]
    l2fwd = lab.l2fwd(ports, ["-p", "3", "--workers", "1", "--exit-after", "60"])
    l2fwd.wait_for("forwarding")
    for options, text in ((["--slot", "0", "--wait", "0"], "slot 0 of instance"),
                          (["--wait", "0"], "all 1 slots"), (["--slot", "1"], "slots 0 to 0")):
        worker = lab.worker(*options)
        check(worker.end() == 1, "ended with %s", worker.popen.returncode)
        check(text in worker.output(), "no \"%s\" in its message", text)
    l2fwd.send(signal.SIGINT)
    check(l2fwd.end() == 0, "l2fwd ended with %s", l2fwd.popen.returncode)
    check(not lab.leftovers(), "left behind: %s", ", ".join(lab.leftovers()))


def main():
    args = arguments()
    return run_tests(args, globals())


if __name__ == "__main__":
    sys.exit(main())
