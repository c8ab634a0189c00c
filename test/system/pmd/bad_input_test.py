#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""Whatever is wrong with a port's arguments or files is said once, in words that help, and leaves nothing
behind; what was right up to there is delivered."""

import contextlib
import os
import re
import subprocess

from testpmd import Testpmd, check, data, equal, run, small_disk
import pcapcmp


def wrong_arguments_are_refused_with_one_clear_message(folder):
    good, out = data("small.pcap"), os.path.join(folder, "out.pcap")
    held = os.path.join(folder, "a folder")
    os.mkdir(held)
    cases = [
        ("speed=10", "unknown argument 'speed'; there are: rx_pcap=<file>"),
        (f"rx_pcap={good},Rx_pcap={good}", "unknown argument 'Rx_pcap'"),
        ("", "expected at least one of rx_pcap=, tx_pcap=, pcap_iface=, iface=, found none"),
        (f"mac=02:00:00:00:00:01", "expected at least one of"),
        ("rx_pcap=", "expected a value after rx_pcap="),
        ("rx_pcap", "expected a value after rx_pcap="),
        (f"rx_pcap={good},pcap_iface=lo", "expected either pcap_iface= or rx_pcap= and tx_pcap=, found both"),
        ("pcap_iface=lo,pcap_iface=lo", "expected one pcap_iface=, found lo and lo"),
        (f"rx_pcap={good},mac=02:00:00", "expected mac= with a unicast address"),
        (f"rx_pcap={good},mac=03:00:00:00:00:01", "found '03:00:00:00:00:01'"),
        (f"rx_pcap={good},mac=02:00:00:00:00:01,mac=02:00:00:00:00:01", "expected one mac="),
        (f"rx_pcap={good},filter=udp&&&", "parse filter expression: syntax error"),
        (f"rx_pcap={good},filter=udp,filter=tcp", "expected one filter=, found a second: tcp"),
        ("pcap_iface=lo,filter=no-such-host-name.invalid", "at filter=no-such-host-name.invalid"),
        (f"tx_pcap={out},filter=udp", "expected rx_pcap= or pcap_iface= together with filter="),
        (f"rx_pcap={good},filter=", "expected a value after filter="),
        *[(f"rx_pcap={good},pace={wrong}", f"expected pace= with full, original, a factor")
          for wrong in ("fast", "0x", "1001x", "-1x", "1e3pps", "0pps", "2Gpps", "1..5x", "5", "1bps",
                        "10Mbpsx", "kpps", "inf", "1." + "0" * 40 + "x", "99999999999999999999G")],
        (f"tx_pcap={out},pace=2x", "expected rx_pcap= together with pace=, found no file to read"),
        ("pcap_iface=lo,pace=1kpps", "expected rx_pcap= together with pace=, found pcap_iface="),
        *[(f"rx_pcap={good},loop={wrong}", "expected loop= with endless or a number of rounds")
          for wrong in ("0", "-1", "1.5", "forever", "1000000001", "2x")],
        ("pcap_iface=lo,loop=2", "expected rx_pcap= together with loop="),
        (f"rx_pcap={good},rx_spread=hash", "expected rx_spread= with flow, found 'hash'"),
        (f"rx_pcap={good},rx_pcap={good},rx_spread=flow", "expected one rx_pcap= together with rx_spread="),
        *[(f"rx_pcap={good},snaplen={wrong}", "expected snaplen= with a number of bytes from 14 to 65535")
          for wrong in ("0", "13", "65536", "64.5", "all")],
        (f"rx_pcap={good},eof=1", "expected eof= with keep or link_down, found '1'"),
        ("pcap_iface=lo,eof=link_down", "expected rx_pcap= together with eof="),
        (f"rx_pcap={good},eof=link_down,loop=endless", "expected either eof=link_down or loop=endless"),
        (f"tx_pcap={out},tx_format=erf", "expected tx_format= with pcap or pcapng, found 'erf'"),
        (f"rx_pcap={good},tx_format=pcap", "expected tx_pcap= together with tx_format="),
        *[(f"tx_pcap={out},rotate_size={wrong}", "expected rotate_size= with a number of bytes")
          for wrong in ("999", "1001G", "1T", "-5")],
        *[(f"tx_pcap={out},rotate_time={wrong}", "expected rotate_time= with a number of seconds")
          for wrong in ("0", "2592001", "0.5", "1h")],
        (f"tx_pcap={out},rotate_size=1M,rotate_files=0", "expected rotate_files= with a number of files"),
        (f"tx_pcap={out},rotate_files=3", "expected rotate_size= or rotate_time= together with rotate_files="),
        ("pcap_iface=lo,rotate_size=1M", "expected tx_pcap= together with rotate_size=, found pcap_iface="),
        (",".join(f"tx_pcap=o{i}" for i in range(17)), "expected tx_pcap= at most 16 times"),
        (f"tx_pcap={out},tx_pcap={out}", "expected each tx_pcap= to be a file of its own"),
        (f"rx_pcap={good},tx_pcap={good}", "to be different files"),
        (f"rx_pcap={folder}/none.pcap", "found: No such file or directory"),
        (f"rx_pcap={folder}", "expected a regular file at rx_pcap="),
        (f"rx_pcap={data('not-a-capture.pcap')}", "expected a pcap or pcapng capture"),
        (f"rx_pcap={data('raw-ip.pcap')}", "expected Ethernet packets"),
        (f"rx_pcap=/dev/null", "expected a regular file"),
        (f"tx_pcap={folder}/none/out.pcap", "No such file or directory"),
        (f"tx_pcap={held}", "expected a regular file or nothing"),
        (f"tx_pcap=/proc/version", "expected to be able to write"),
        ("pcap_iface=no-such-iface", "expected an interface of this network namespace"),
        ("pcap_iface=a-name-longer-than-any", "expected an interface of this network namespace"),
    ]
    if os.geteuid() == 0:  # root may write where the mode says no
        cases = [c for c in cases if c[0] != "tx_pcap=/proc/version"]
    before = sorted(os.listdir(folder))
    with Testpmd([f"net_slabio0,rx_pcap={good}"], cwd=folder) as pmd:
        for number, (args, expected) in enumerate(cases):
            text = pmd.command(f"port attach net_slabio{number + 1},{args}")
            lines = pmd.messages()
            equal(len(lines), 1, f"messages for {args!r}: {lines}; number")
            check(expected in lines[0], f"{args!r}: expected {expected!r} in {lines[0]!r}")
            check("is attached" not in text, f"{args!r} was attached")
        equal(sorted(os.listdir(folder)), before, "files left behind")
        # nothing is left of the failed ports: the next one is number 1, and the names are free
        text = pmd.command(f"port attach net_slabio1,rx_pcap={good}")
        check("Port 1 is attached" in text, text)
        pmd.quit()


def a_second_writer_of_a_file_is_refused(folder):
    out = os.path.join(folder, "out.pcap")
    with Testpmd([f"net_slabio0,tx_pcap={out}"]) as pmd:
        pmd.command(f"port attach net_slabio1,tx_pcap={out}")
        pmd.command("port start 1")
        lines = pmd.messages()
        check(len(lines) == 1 and "for this port alone" in lines[0], f"messages: {lines}")
        pmd.quit()
    equal(pcapcmp.read(out), [], "packets in the file")


def whole_packets_before_a_fault_in_the_capture_are_delivered(folder):
    for name, whole, counter in (("truncated.pcap", 20, "rx_q0_truncated"),
                                 ("corrupt.pcap", 10, "rx_q0_read_errors"), ("empty.pcap", 0, None)):
        into, out = data(name), os.path.join(folder, name)
        with Testpmd([f"net_slabio0,rx_pcap={into},tx_pcap={out}"],
                     options=["--port-topology=loop"]) as pmd:
            pmd.commands("set fwd io", "start")
            stats = pmd.wait_stats(0, name, tx_good_packets=whole, **{counter or "rx_q0_end_of_file": 1})
            pmd.command("stop")
            errors = [line for line in pmd.messages() if into in line]
            equal(len(errors), 1 if counter else 0, f"messages about {name}: {errors}; number")
            equal(stats["rx_good_packets"], whole, f"packets of {name}")
            equal(stats["rx_errors"], 1 if counter else 0, f"errors of {name}")
            pmd.quit()
        expected = pcapcmp.read(data("small.pcap"))[:whole]
        diff = pcapcmp.compare(expected, pcapcmp.read(out), macs=True, order="total")
        check(not diff, f"{name}: {diff}")


def a_capture_with_runts_and_cut_packets_is_taken_as_far_as_it_goes(folder):
    into = os.path.join(folder, "odd.pcap")
    whole = bytes(range(60))
    pcapcmp.write(into, [pcapcmp.Packet(whole), pcapcmp.Packet(b""), pcapcmp.Packet(b"x" * 13),
                         pcapcmp.Packet(bytes(65536)), pcapcmp.Packet(whole, length=1500),
                         pcapcmp.Packet(bytes(65535)), pcapcmp.Packet(b"x" * 14)])
    out = os.path.join(folder, "out.pcap")
    with Testpmd([f"net_slabio0,rx_pcap={into},tx_pcap={out}"], options=["--port-topology=loop"]) as pmd:
        pmd.commands("set fwd io", "start")
        stats = pmd.wait_stats(0, "odd sizes", rx_q0_end_of_file=1, tx_good_packets=4)
        pmd.quit()
    equal([len(p.data) for p in pcapcmp.read(out)], [60, 60, 65535, 14], "sizes of packets")
    for name, value in (("rx_good_packets", 4), ("rx_errors", 3), ("rx_q0_runts", 2),
                        ("rx_q0_oversize", 1), ("rx_q0_snapped", 1)):
        equal(stats[name], value, name)


def a_full_disk_stops_that_queue_alone_and_counts_what_it_dropped(folder):
    into = data("main.pcap")
    expected = pcapcmp.read(into)
    with small_disk(folder, "128k") as disk:
        full, other = os.path.join(disk, "full.pcap"), os.path.join(folder, "other.pcap")
        with Testpmd([f"net_slabio0,rx_pcap={into},rx_pcap={into},tx_pcap={full},tx_pcap={other}"],
                     options=["--rxq=2", "--txq=2", "--port-topology=loop"]) as pmd:
            pmd.commands("set fwd io", "start")
            pmd.wait_stats(0, "full disk", rx_q0_end_of_file=1, rx_q1_end_of_file=1)
            pmd.commands("stop")
            stats = pmd.stats(0)
            lines = pmd.messages()
            check(len(lines) == 1 and "No space left" in lines[0], f"messages: {lines}")
            equal(stats["tx_q0_write_errors"], 1, "tx_q0_write_errors")
            equal(stats["tx_q0_packets"] + stats["tx_errors"], len(expected), "packets of queue 0")
            equal(stats["tx_q1_packets"], len(expected), "packets of queue 1")
            written = pcapcmp.read(full)
            equal(len(written), stats["tx_q0_packets"], "packets in the file on the full disk")
            check(0 < len(written) < len(expected), "the disk was not full")

            # with room again, the next start goes on where the file ends
            pmd.command("port stop 0")
            pmd.mbufs_back()
            subprocess.run(["mount", "-o", "remount,size=4m", disk], check=True)
            pmd.commands("port start 0", "start")
            pmd.wait_stats(0, "more room", tx_q0_packets=len(written) + len(expected))
            pmd.quit()
        found = pcapcmp.read(full)
    diff = pcapcmp.compare(expected[: len(written)] + expected, found, macs=True, order="total")
    check(not diff, diff)


def no_room_for_the_file_at_start_leaves_no_file(folder):
    with small_disk(folder, "16k") as disk:
        with open(os.path.join(disk, "filler"), "wb", buffering=0) as f:
            with contextlib.suppress(OSError):
                while True:
                    f.write(bytes(4096))
        out = os.path.join(disk, "out.pcap")
        with Testpmd([f"net_slabio0,tx_pcap={out}"], options=["--disable-device-start"]) as pmd:
            pmd.command("port start 0")
            lines = pmd.messages()
            check(len(lines) == 1 and re.search(r"cannot (create|write) tx_pcap", lines[0]), lines)
            check(not os.path.exists(out), "the file was left behind")
            pmd.quit()


if __name__ == "__main__":
    run(wrong_arguments_are_refused_with_one_clear_message,
        a_second_writer_of_a_file_is_refused,
        whole_packets_before_a_fault_in_the_capture_are_delivered,
        a_capture_with_runts_and_cut_packets_is_taken_as_far_as_it_goes,
        a_full_disk_stops_that_queue_alone_and_counts_what_it_dropped,
        no_room_for_the_file_at_start_leaves_no_file)
