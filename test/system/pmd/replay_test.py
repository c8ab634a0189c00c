#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""Which packets of a capture arrive, on which queue, when and how often."""

import collections
import os
import re
import statistics
import time

from testpmd import Testpmd, check, data, equal, run, wait_for
import pcapcmp

LOOPED = ["--port-topology=loop"]


def forwarded(folder, args, count, options=(), queues=1, mode="io", commands=()):
    """Replays captures with such arguments into one file per queue. Returns their packets, the
    statistics and the messages; all mbufs are back."""
    outs = [os.path.join(folder, f"out{len(os.listdir(folder))}-{i}.pcap") for i in range(queues)]
    vdev = ",".join(["net_slabio0", args, *(f"tx_pcap={out}" for out in outs)])
    with Testpmd([vdev], options=[*LOOPED, f"--rxq={queues}", f"--txq={queues}", *options]) as pmd:
        pmd.commands(*commands, f"set fwd {mode}", "start")
        pmd.wait_stats(0, args, tx_good_packets=count)
        time.sleep(0.05)  # what comes beyond that is seen
        pmd.command("stop")
        stats, messages = pmd.stats(0), pmd.messages()
        pmd.command("port stop 0")
        pmd.mbufs_back()
        pmd.quit()
    found = [pcapcmp.read(out) for out in outs]
    return (found[0] if queues == 1 else found), stats, messages


def same(expected, found, what):
    diff = pcapcmp.compare(expected, found, macs=True, order="total")
    check(not diff, f"{what}: {diff}")


def made(folder, count, gap_ns, size=100, start=1_600_000_000_123_456_789):
    """A capture with stamps at such distances, and its packets."""
    pkts = [pcapcmp.Packet(bytes(12) + b"\x88\xb5" + i.to_bytes(4, "big") + bytes(size - 18),
                           ns=start + i * gap_ns) for i in range(count)]
    path = os.path.join(folder, f"made-{count}-{gap_ns}.pcap")
    pcapcmp.write(path, pkts)
    return path, pkts


def a_filter_lets_through_what_the_expression_says_and_counts_the_rest(folder):
    every = pcapcmp.read(data("main.pcap"))
    cases = [("ip6", lambda p: p[12:14] == b"\x86\xdd"),
             ("ip and udp[4:2] > 100",
              lambda p: p[12:14] == b"\x08\x00" and p[23] == 17 and not int.from_bytes(p[20:22], "big") & 0x1fff
              and int.from_bytes(p[14 + (p[14] & 15) * 4 + 4:][:2], "big") > 100),
             ("greater 600", lambda p: len(p) >= 600)]
    for expression, predicate in cases:
        expected = [p for p in every if predicate(p.data)]
        check(0 < len(expected) < len(every), f"{expression}: {len(expected)} packets expected")
        found, stats, _ = forwarded(folder, f"rx_pcap={data('main.pcap')},filter={expression}", len(expected))
        same(expected, found, expression)
        equal(stats["rx_q0_filtered"], len(every) - len(expected), "rx_q0_filtered")
        equal(stats["rx_q0_end_of_file"], 1, "rx_q0_end_of_file")
    # one burst never reads a whole file because nothing of it is wanted
    found, stats, _ = forwarded(folder, f"rx_pcap={data('main.pcap')},filter=ip proto 99,loop=endless", 0)
    equal((found, stats["rx_q0_filtered"]), ([], len(every)), "packets, filtered")


def check_pace(folder, args, due, path):
    """due: when each packet may be there at the earliest, in seconds after the first."""
    found, _, _ = forwarded(folder, f"rx_pcap={path},{args}", len(due))
    equal(len(found), len(due), f"packets with {args}")
    late = [(p.ns - found[0].ns) / 1e9 - d for p, d in zip(found, due)]
    # the first one may have been late itself
    check(min(late) > -0.02, f"{args}: a packet came {-min(late):.3f} s too early")
    check(statistics.median(late) < 0.1, f"{args}: packets came {statistics.median(late):.3f} s late")


def packets_come_at_the_original_pace_or_a_factor_of_it(folder):
    path, pkts = made(folder, 12, 40_000_000)
    check_pace(folder, "pace=2.5x", [i * 0.016 for i in range(12)], path)
    check_pace(folder, "pace=0.5x,loop=1", [i * 0.080 for i in range(12)], path)
    # the next round begins one average gap after the last packet
    check_pace(folder, "pace=original,loop=2", [i * 0.040 for i in range(24)], path)
    same(pkts, forwarded(folder, f"rx_pcap={path},pace=full", 12)[0], "full pace")


def packets_come_at_a_fixed_rate_whatever_their_stamps(folder):
    path, _ = made(folder, 40, 10**12, size=250)
    # 250 bytes at 100 kbit/s take 20 ms
    check_pace(folder, "pace=100kbps", [i * 0.020 for i in range(40)], path)
    check_pace(folder, "pace=0.2kpps,loop=3", [i * 0.005 for i in range(120)], path)
    # cut packets count as long as they are delivered
    check_pace(folder, "pace=100kbps,snaplen=125", [i * 0.010 for i in range(40)], path)


def stamps_that_jump_or_go_back_do_not_hold_up_the_replay(folder):
    start = 1_600_000_000 * 10**9
    stamps = [start, start - 10**15, start + 10**7, 0, start + 5 * 10**6, start + 2 * 10**7]
    path = os.path.join(folder, "jumps.pcap")
    pkts = [pcapcmp.Packet(bytes(60) + bytes([i]), ns=ns) for i, ns in enumerate(stamps)]
    pcapcmp.write(path, pkts)
    found, _, _ = forwarded(folder, f"rx_pcap={path},pace=original", 6)
    same(pkts, found, "jumps")


def a_paced_port_keeps_no_mbufs_and_catches_up(folder):
    gap = 0.04  # time enough to stop it before the last one, on a busy machine as well
    path, pkts = made(folder, 40, int(gap * 1e9))
    out = os.path.join(folder, "out.pcap")
    with Testpmd([f"net_slabio0,rx_pcap={path},pace=original,tx_pcap={out}"], options=LOOPED) as pmd:
        pmd.commands("set fwd io", "start")
        pmd.wait_stats(0, "begun", tx_good_packets=2)
        pmd.command("stop")
        time.sleep(40 * gap)  # all the others become due, nobody asks for them
        seen = pmd.stats(0)["rx_good_packets"]
        pmd.command("start")
        pmd.wait_stats(0, "caught up", timeout=5, tx_good_packets=40)
        pmd.commands("stop", "port stop 0")
        pmd.mbufs_back()
        pmd.quit()
    check(seen < 40, "nothing was left to catch up with")
    same(pkts, pcapcmp.read(out), "packets")


def a_capture_is_repeated_in_order_as_often_as_asked(folder):
    for name, whole, errors in (("small.pcap", 120, 0), ("truncated.pcap", 20, 1), ("corrupt.pcap", 10, 1)):
        once = pcapcmp.read(data("small.pcap"))[:whole]
        found, stats, messages = forwarded(folder, f"rx_pcap={data(name)},loop=3", 3 * whole)
        same(once * 3, found, name)
        equal(stats["rx_q0_loops"], 2, f"rx_q0_loops of {name}")
        equal(stats["rx_q0_end_of_file"], 1, f"rx_q0_end_of_file of {name}")
        equal(stats["rx_errors"], errors, f"rx_errors of {name}")
        equal(len(messages), errors, f"messages about {name}: {messages}; number")


def endless_replay_leaves_the_pool_to_the_application(folder):
    # more packets in the capture than there are mbufs
    once = pcapcmp.read(data("main.pcap"))
    out = os.path.join(folder, "out.pcap")
    with Testpmd([f"net_slabio0,rx_pcap={data('main.pcap')},loop=endless,tx_pcap={out}"],
                 options=[*LOOPED, "--total-num-mbufs=1025"]) as pmd:
        check(len(once) > 1025, "the capture is too small for this test")
        pmd.mbufs_back()  # started, and not one is taken
        pmd.commands("set fwd io", "start")
        stats = pmd.wait_stats(0, "endless", rx_good_packets=4 * len(once), rx_q0_loops=3)
        pmd.commands("stop", "port stop 0")
        pmd.mbufs_back()
        stats = pmd.stats(0)
        equal(stats["rx_mbuf_allocation_errors"], 0, "allocation errors")
        equal(stats["rx_q0_end_of_file"], 0, "rx_q0_end_of_file")
        # a start begins anew, with the file as it is then
        pmd.commands("clear port stats 0", "port start 0", "start")
        pmd.wait_stats(0, "endless again", rx_good_packets=len(once))
        pmd.quit()
    found = pcapcmp.read(out)[: 4 * len(once)]
    same(once * 4, found, "four rounds")


def an_empty_capture_ends_at_once_however_often_it_is_repeated(folder):
    _, stats, _ = forwarded(folder, f"rx_pcap={data('empty.pcap')},loop=endless,pace=original", 0)
    equal((stats["rx_q0_loops"], stats["rx_q0_end_of_file"]), (0, 1), "loops, ends")


def flow(packet):
    """Both directions have the same; see slabio_pcap_flow.c for what counts."""
    at = 12
    for _ in range(2):
        if packet[at:at + 2] in (b"\x81\x00", b"\x88\xa8"):
            at += 4
    kind, at = packet[at:at + 2], at + 2
    if kind == b"\x08\x00":
        protocol, ends = packet[at + 9], (packet[at + 12:at + 16], packet[at + 16:at + 20])
        ports = at + (packet[at] & 15) * 4
        fragment = int.from_bytes(packet[at + 6:at + 8], "big") & 0x3fff
    elif kind == b"\x86\xdd":
        protocol, ends = packet[at + 6], (packet[at + 8:at + 24], packet[at + 24:at + 40])
        ports, fragment = at + 40, False
    else:
        return kind, frozenset((packet[:6], packet[6:12]))
    if protocol == 44:
        protocol, fragment = packet[at + 40], True
    if protocol in (6, 17, 132) and not fragment:
        ends = (ends[0] + packet[ports:ports + 2], ends[1] + packet[ports + 2:ports + 4])
    return protocol, frozenset(ends)


def one_capture_is_spread_over_queues_by_flow(folder):
    every = pcapcmp.read(data("main.pcap"))
    for more in ("", ",loop=1,filter=ip or ip6 or vlan"):
        found, stats, _ = forwarded(folder, f"rx_pcap={data('main.pcap')},rx_spread=flow{more}",
                                    len(every) if not more else 0, queues=4)
        if not more:
            diff = pcapcmp.compare(every, [p for q in found for p in q], macs=True, order="none")
            check(not diff, diff)
        where = collections.defaultdict(set)
        for queue, pkts in enumerate(found):
            check(len(pkts) > len(every) / 20, f"queue {queue} has {len(pkts)} packets of {len(every)}")
            equal(stats[f"rx_q{queue}_packets"], len(pkts), f"rx_q{queue}_packets")
            for p in pkts:
                where[flow(p.data)].add(queue)
        check(len(where) > 20, "too few flows")
        torn = {f: q for f, q in where.items() if len(q) > 1}
        check(not torn, f"flows on several queues: {torn}")
        # each queue has its packets in the order of the capture
        order = {p.data: i for i, p in reversed(list(enumerate(every)))}
        unique = {d for d, n in collections.Counter(p.data for p in every).items() if n == 1}
        for queue, pkts in enumerate(found):
            places = [order[p.data] for p in pkts if p.data in unique]
            equal(places, sorted(places), f"order on queue {queue}")


def spread_queues_keep_the_pace_of_the_whole_capture(folder):
    pkts = []
    for i in range(40):
        ends = bytes([10, 0, 0, i % 8, 10, 0, 1, 1])
        ip = b"\x45\0\0\x30\0\0\0\0\x40\x11\0\0" + ends + bytes([0, i % 8 + 1, 0, 9]) + bytes(24)
        pkts.append(pcapcmp.Packet(bytes(12) + b"\x08\0" + ip, ns=10**18))
    path = os.path.join(folder, "paced.pcap")
    pcapcmp.write(path, pkts)
    found, _, _ = forwarded(folder, f"rx_pcap={path},rx_spread=flow,pace=50pps", 40, queues=2)
    check(all(found), f"packets of the queues: {[len(q) for q in found]}")
    took = (max(p.ns for q in found for p in q) - min(p.ns for q in found for p in q)) / 1e9
    check(0.7 < took < 2, f"40 packets at 50 a second took {took:.2f} s")


def packets_are_cut_to_snaplen_on_both_sides(folder):
    once = pcapcmp.read(data("small.pcap"))
    for n, more in ((14, ""), (101, ",loop=1")):
        found, stats, _ = forwarded(folder, f"rx_pcap={data('small.pcap')},snaplen={n}{more}", len(once))
        same([pcapcmp.Packet(p.data[:n]) for p in once], found, f"snaplen={n}{more}")
        equal(stats["rx_q0_snapped"], sum(len(p.data) > n for p in once), "rx_q0_snapped")
    out = os.path.join(folder, "cut.pcap")
    with Testpmd([f"net_slabio0,rx_pcap={data('small.pcap')}", f"net_slabio1,tx_pcap={out},snaplen=64"]) as pmd:
        pmd.commands("set fwd io", "start")
        stats = pmd.wait_stats(1, "cut", tx_good_packets=len(once))
        pmd.quit()
    found = pcapcmp.read(out)
    same([pcapcmp.Packet(p.data[:64]) for p in once], found, "written")
    equal([p.length for p in found], [len(p.data) for p in once], "original lengths")
    equal(stats["tx_q0_snapped"], sum(len(p.data) > 64 for p in once), "tx_q0_snapped")
    equal(stats["tx_good_bytes"], sum(len(p.data) for p in once), "tx_good_bytes")


def received(pmd, pattern, count):
    """Starts a verbose port and returns what it says of so many packets. No command may be given
    meanwhile: output of both threads would mix."""
    since = len(pmd.output)
    pmd.child.stdin.write(b"start\n")
    pmd.child.stdin.flush()

    def reached():
        pmd.pump(0.05)
        found = re.findall(pattern, pmd.output[since:])
        return found if len(found) >= count else None

    found = wait_for(reached, f"{count} packets said to be received")
    pmd.command("stop")
    return found


def stamps_reach_the_application_to_the_nanosecond(folder):
    path, pkts = made(folder, 30, 1_000_000_007)
    for args, rounds in (("", 1), (",loop=2", 2)):
        with Testpmd([f"net_slabio0,rx_pcap={path}{args}"], options=["--disable-device-start"]) as pmd:
            pmd.commands("port config 0 rx_offload timestamp on", "set fwd rxonly", "set verbose 1",
                         "port start 0")
            found = [int(t) for t in received(pmd, r"- timestamp (\d+)", 30 * rounds)]
            pmd.quit()
        # later rounds go on one average gap after the last packet
        expected = [pkts[0].ns + i * 1_000_000_007 for i in range(30 * rounds)]
        equal(found, expected, "stamps")
    with Testpmd([f"net_slabio0,rx_pcap={path}"]) as pmd:
        pmd.commands("set fwd rxonly", "set verbose 1")
        received(pmd, r"- type=0x88b5 -", 30)
        check("- timestamp" not in pmd.output, "stamps though nobody asked for them")
        pmd.quit()


def link_state(pmd):
    return re.search(r"Link status: (\w+)", pmd.command("show port info 0")).group(1)


def the_end_of_all_captures_takes_the_link_down_where_asked(folder):
    two = f"rx_pcap={data('small.pcap')},rx_pcap={data('main.pcap')}"
    polled = ["--no-lsc-interrupt"]  # ethdev asks for the state, with the interrupt it remembers it
    for args, expected, lsc in ((f"{two},eof=link_down", "down", []), (f"{two},eof=link_down", "down", polled),
                                (f"{two},eof=keep", "up", polled),
                                (f"rx_pcap={data('corrupt.pcap')},eof=link_down", "down", polled),
                                (f"rx_pcap={data('small.pcap')},loop=2,rx_spread=flow,eof=link_down", "down", [])):
        with Testpmd([f"net_slabio0,{args}"], options=["--rxq=2", "--txq=2", *lsc]) as pmd:
            equal(link_state(pmd), "up", f"link before the end ({args})")
            pmd.commands("set fwd rxonly", "port 0 rxq 1 stop", "start")
            pmd.wait_stats(0, args, rx_good_packets=1)
            if "rx_pcap=" in args.split(",", 1)[-1]:
                time.sleep(0.2)
                equal(link_state(pmd), "up", f"link before the other file's end ({args})")
            pmd.commands("stop", "port 0 rxq 1 start")
            since = len(pmd.output)
            pmd.command("start")
            if expected == "up":
                pmd.wait_stats(0, args, rx_q0_end_of_file=1, rx_q1_end_of_file=1)
                time.sleep(0.2)
            wait_for(lambda: link_state(pmd) == expected, f"link {expected} after the end ({args})")
            if expected == "down" and not lsc:
                pmd.expect("Port 0: link state change event", since)
            pmd.command("stop")
            if lsc:  # testpmd would wait for the link before it stops the port
                continue
            pmd.commands("port stop 0", "port start 0")
            equal(link_state(pmd), "up", f"link after another start ({args})")
            pmd.quit()


TAGGED = b"\x81\x00"


def stripped(pkts):
    return [pcapcmp.Packet(p.data[:12] + p.data[16:]) if p.data[12:14] == TAGGED else p for p in pkts]


def tags_are_stripped_where_asked(folder):
    once = pcapcmp.read(data("main.pcap"))
    tagged = sum(p.data[12:14] == TAGGED for p in once)
    check(tagged > 10, "the capture has no tags")
    source = f"rx_pcap={data('main.pcap')}"
    same(once, forwarded(folder, source, len(once))[0], "without the offload")
    # at configuration, at run time, and with chains of small mbufs
    for options, commands in ((["--enable-hw-vlan-strip"], []), ([], ["vlan set strip on 0"]),
                              (["--enable-hw-vlan-strip", "--mbuf-size=256"], [])):
        found, _, _ = forwarded(folder, source, len(once), options=options, commands=commands)
        same(stripped(once), found, f"stripped with {options} {commands}")
    found, _, _ = forwarded(folder, source, len(once), options=["--enable-hw-vlan-strip"],
                            commands=["vlan set strip off 0"])
    same(once, found, "switched off")
    with Testpmd([f"net_slabio0,{source},filter=vlan"], options=["--enable-hw-vlan-strip"]) as pmd:
        pmd.commands("set fwd rxonly", "set verbose 1")
        found = [int(t, 16) for t in received(pmd, r"VLAN tci=0x([0-9a-f]+)", tagged)]
        pmd.quit()
    equal(found, [int.from_bytes(p.data[14:16], "big") for p in once if p.data[12:14] == TAGGED], "tags")


def tags_are_inserted_where_asked(folder):
    once = pcapcmp.read(data("jumbo.pcap"))
    with_tag = [pcapcmp.Packet(p.data[:12] + b"\x81\x00\x01\x23" + p.data[12:]) for p in once]
    for options in ([], ["--mbuf-size=256"]):
        found, stats, _ = forwarded(folder, f"rx_pcap={data('jumbo.pcap')}", len(once), options=options, mode="mac",
                                    commands=["port stop 0", "tx_vlan set 0 0x123", "port start 0"])
        diff = pcapcmp.compare(with_tag, found, order="total")
        check(not diff, diff)
        equal(stats["tx_good_bytes"], sum(len(p.data) for p in with_tag), "tx_good_bytes")


if __name__ == "__main__":
    run(a_filter_lets_through_what_the_expression_says_and_counts_the_rest,
        packets_come_at_the_original_pace_or_a_factor_of_it,
        packets_come_at_a_fixed_rate_whatever_their_stamps,
        stamps_that_jump_or_go_back_do_not_hold_up_the_replay,
        a_paced_port_keeps_no_mbufs_and_catches_up,
        a_capture_is_repeated_in_order_as_often_as_asked,
        endless_replay_leaves_the_pool_to_the_application,
        an_empty_capture_ends_at_once_however_often_it_is_repeated,
        one_capture_is_spread_over_queues_by_flow,
        spread_queues_keep_the_pace_of_the_whole_capture,
        packets_are_cut_to_snaplen_on_both_sides,
        stamps_reach_the_application_to_the_nanosecond,
        the_end_of_all_captures_takes_the_link_down_where_asked,
        tags_are_stripped_where_asked,
        tags_are_inserted_where_asked)
