#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""What is sent lies in the file as the format has it, or in the series of files that was asked for."""

import contextlib
import os
import shutil
import struct
import subprocess
import time

from testpmd import Testpmd, check, data, equal, run, small_disk, wait_for
import pcapcmp

LOOPED = ["--port-topology=loop"]
SECTION, INTERFACE, STATISTICS, PACKET = 0x0A0D0D0A, 1, 5, 6


def blocks(path):
    """The blocks of a pcapng file of this machine's byte order: type and body."""
    with open(path, "rb") as f:
        buf = f.read()
    found = []
    while buf:
        kind, total = struct.unpack("<II", buf[:8])
        check(12 <= total <= len(buf) and total % 4 == 0, f"{path}: a block of {total} bytes")
        equal(struct.unpack("<I", buf[total - 4:total])[0], total, "a block's size at its end")
        found.append((kind, buf[8:total - 4]))
        buf = buf[total:]
    return found


def options(body):
    found, ended = {}, False
    while body:
        check(not ended, "options after the end of options")
        code, n = struct.unpack("<HH", body[:4])
        found[code] = body[4:4 + n]
        equal(body[4 + n:4 + (n + 3) // 4 * 4], bytes(-n % 4), "padding of an option")
        body = body[4 + (n + 3) // 4 * 4:]
        ended = code == 0
    check(ended, "no end of options")
    return found


def statistics(path):
    """What the statistics of a file say, the last ones at its end: received, dropped."""
    stats = [body for kind, body in blocks(path) if kind == STATISTICS]
    check(stats, f"{path} has no statistics")
    interface, high, low = struct.unpack("<III", stats[-1][:12])
    opts = options(stats[-1][12:])
    equal(interface, 0, "interface of the statistics")
    begin, end = (high << 32 | low for high, low in (struct.unpack("<II", opts[code]) for code in (2, 3)))
    equal(high << 32 | low, end, "time of the statistics")
    check(begin <= end <= time.time_ns(), f"statistics from {begin} to {end}")
    return tuple(struct.unpack("<Q", opts[code])[0] for code in (4, 5))


def same(expected, found, what):
    diff = pcapcmp.compare(expected, found, macs=True, order="total")
    check(not diff, f"{what}: {diff}")


def pcapng_says_who_sent_what_and_that_nothing_was_lost(folder):
    before = time.time_ns()
    into = data("main.pcap")
    once = pcapcmp.read(into)
    for name, args in (("by-suffix.pcapng", ""), ("asked-for.cap", ",tx_format=pcapng,snaplen=61")):
        out = os.path.join(folder, name)
        with Testpmd([f"net_slabio0,rx_pcap={into}", f"net_slabio1,tx_pcap={out}{args},mac=02:00:00:00:00:2a"],
                     options=["--mbuf-size=512"]) as pmd:
            pmd.commands("set fwd io", "start")
            pmd.wait_stats(1, name, tx_good_packets=len(once))
            pmd.commands("stop", "port stop 1")
            equal(statistics(out), (len(once), 0), "statistics after the first stop")
            count = len(blocks(out))
            pmd.commands("port start 1", "port stop 1")
            equal(len(blocks(out)), count, "blocks after a start and stop without any packet")
            # a port may be started again, and its statistics with it
            pmd.commands("port stop 0", "port start 0", "port start 1", "start")
            pmd.wait_stats(1, name, tx_good_packets=2 * len(once))
            pmd.quit()
        found = blocks(out)
        equal([kind for kind, _ in found[:2]], [SECTION, INTERFACE], "the first blocks")
        link, _, snaplen = struct.unpack("<HHI", found[1][1][:8])
        about = options(found[1][1][8:])
        equal((link, snaplen), (1, 61 if args else 0), "link type, snaplen")
        equal(about[2], b"net_slabio1-tx0", "interface name")
        check(b"net_slabio1" in about[3], f"description: {about[3]}")
        equal((about[6], about[9]), (bytes.fromhex("02000000002a"), b"\x09"), "address, resolution")
        equal([kind for kind, _ in found].count(PACKET), 2 * len(once), "packet blocks")
        equal(statistics(out), (2 * len(once), 0), "statistics at the end")
        pkts = pcapcmp.read(out)
        same([pcapcmp.Packet(p.data[:61] if args else p.data) for p in once * 2], pkts, name)
        equal([p.length for p in pkts], [len(p.data) for p in once * 2], "original lengths")
        check(all(before <= p.ns <= time.time_ns() for p in pkts), "stamps")
        if shutil.which("capinfos"):
            text = subprocess.run(["capinfos", "-M", out], check=True, capture_output=True, text=True).stdout
            check("pcapng" in text and str(2 * len(once)) in text, text)
        if shutil.which("tshark"):
            text = subprocess.run(["tshark", "-r", out, "-T", "fields", "-e", "frame.interface_name"],
                                  check=True, capture_output=True, text=True).stdout
            equal(set(text.split()), {"net_slabio1-tx0"}, "interface name as tshark has it")


def pcap_can_be_asked_for_under_any_name(folder):
    out = os.path.join(folder, "out.pcapng")
    once = pcapcmp.read(data("small.pcap"))
    with Testpmd([f"net_slabio0,rx_pcap={data('small.pcap')},tx_pcap={out},tx_format=pcap"], options=LOOPED) as pmd:
        pmd.commands("set fwd io", "start")
        pmd.wait_stats(0, "pcap", tx_good_packets=len(once))
        pmd.quit()
    with open(out, "rb") as f:
        equal(f.read(4), b"\x4d\x3c\xb2\xa1", "magic number")
    same(once, pcapcmp.read(out), "packets")


def a_killed_process_leaves_a_pcapng_with_all_that_was_sent(folder):
    out = os.path.join(folder, "out.pcapng")
    with Testpmd([f"net_slabio0,rx_pcap={data('small.pcap')},loop=endless,tx_pcap={out}"], options=LOOPED) as pmd:
        pmd.commands("set fwd io", "start")
        sent = pmd.wait_stats(0, "some", tx_good_packets=1000)["tx_good_packets"]
        pmd.child.kill()
        pmd.finish()
    try:
        pkts = pcapcmp.read(out)
    except pcapcmp.CaptureError:  # killed in the middle of a write
        pkts = []
        with contextlib.suppress(pcapcmp.CaptureError):
            for p in pcapcmp.packets(out):
                pkts.append(p)
    check(len(pkts) >= sent, f"{sent} packets were reported as sent, {len(pkts)} are in the file")


def a_full_disk_is_in_the_statistics_of_the_file(folder):
    into = data("main.pcap")
    once = pcapcmp.read(into)
    with small_disk(folder, "128k") as disk:
        full, other = os.path.join(disk, "full.pcapng"), os.path.join(folder, "other.pcapng")
        with Testpmd([f"net_slabio0,rx_pcap={into},rx_pcap={into},tx_pcap={full},tx_pcap={other}"],
                     options=["--rxq=2", "--txq=2", *LOOPED]) as pmd:
            pmd.commands("set fwd io", "start")
            pmd.wait_stats(0, "full disk", rx_q0_end_of_file=1, rx_q1_end_of_file=1)
            pmd.command("stop")
            stats, lines = pmd.stats(0), pmd.messages()
            check(len(lines) == 1 and "No space left" in lines[0], f"messages: {lines}")
            equal(stats["tx_q0_packets"] + stats["tx_errors"], len(once), "packets of queue 0")
            equal(stats["tx_q1_packets"], len(once), "packets of queue 1")
            written = pcapcmp.read(full)
            equal(len(written), stats["tx_q0_packets"], "packets in the file on the full disk")
            subprocess.run(["mount", "-o", "remount,size=4m", disk], check=True)
            pmd.command("port stop 0")
            equal(statistics(full), (len(once), stats["tx_errors"]), "statistics")
            # with room again, the next start goes on where the file ends
            pmd.commands("port start 0", "start")
            pmd.wait_stats(0, "more room", tx_q0_packets=len(written) + len(once))
            pmd.quit()
        same(once[: len(written)] + once, pcapcmp.read(full), "packets")
        equal(statistics(full), (2 * len(once), stats["tx_errors"]), "statistics")
        equal(statistics(other), (2 * len(once), 0), "statistics of the other queue")


def series(folder, stem, suffix):
    return sorted(os.path.join(folder, name) for name in os.listdir(folder)
                  if name.startswith(stem + "-") and name.endswith(suffix))


def files_are_rotated_by_size_without_losing_a_packet(folder):
    into = data("main.pcap")
    once = pcapcmp.read(into)
    for suffix, more in ((".pcap", ""), (".pcapng", ""), ("", ",tx_format=pcapng,snaplen=200")):
        out = os.path.join(folder, "a.dir" + suffix.replace(".", "-"))
        os.mkdir(out)
        with Testpmd([f"net_slabio0,rx_pcap={into},tx_pcap={out}/out{suffix},rotate_size=20k{more}"],
                     options=LOOPED) as pmd:
            pmd.commands("set fwd io", "start")
            stats = pmd.wait_stats(0, "rotated", tx_good_packets=len(once))
            pmd.quit()
        files = series(out, "out", suffix)
        equal(len(os.listdir(out)), len(files), "files that are no part of the series")
        equal(files[0], f"{out}/out-00001{suffix}", "the first file")
        equal(files[-1], f"{out}/out-{len(files):05}{suffix}", "the last file")
        equal(stats["tx_q0_rotations"], len(files) - 1, "tx_q0_rotations")
        check(len(files) > 5, f"{len(files)} files")
        pkts = [pcapcmp.read(f) for f in files]
        same([pcapcmp.Packet(p.data[:200] if more else p.data) for p in once], sum(pkts, []), "the series")
        for f, held in zip(files, pkts):
            check(held, f"{f} is empty")
            size = os.path.getsize(f)
            check(size <= 20000, f"{f} has {size} bytes")
            check(size > 15000 or f == files[-1], f"{f} has only {size} bytes")
            if suffix != ".pcap":
                equal(statistics(f), (len(held), 0), f"statistics of {f}")


def a_packet_larger_than_a_file_may_be_has_one_of_its_own(folder):
    into = data("jumbo.pcap")
    once = pcapcmp.read(into)
    with Testpmd([f"net_slabio0,rx_pcap={into},tx_pcap={folder}/out.pcap,rotate_size=1k"], options=LOOPED) as pmd:
        pmd.commands("set fwd io", "start")
        pmd.wait_stats(0, "rotated", tx_good_packets=len(once))
        pmd.quit()
    pkts = [pcapcmp.read(f) for f in series(folder, "out", ".pcap")]
    check(all(pkts), "an empty file")
    check(any(len(p[0].data) > 1000 for p in pkts), "the capture has no large packets")
    check(all(len(p) == 1 for p in pkts if len(p[0].data) > 1000), "a large packet is not alone")
    same(once, sum(pkts, []), "the series")


def only_so_many_files_are_kept_and_a_restart_goes_on(folder):
    into, stem = data("main.pcap"), os.path.join(folder, "out")
    once = pcapcmp.read(into)
    with Testpmd([f"net_slabio0,rx_pcap={into},tx_pcap={stem}.pcap,rotate_size=20k,rotate_files=3"],
                 options=LOOPED) as pmd:
        for rounds in (1, 2):
            pmd.commands("set fwd io", "start")
            stats = pmd.wait_stats(0, "rotated", tx_good_packets=rounds * len(once))
            pmd.commands("stop", "port stop 0")
            last = stats["tx_q0_rotations"] + 1
            files = series(folder, "out", ".pcap")
            equal(files, [f"{stem}-{n:05}.pcap" for n in range(last - 2, last + 1)], "files")
            kept = sum((pcapcmp.read(f) for f in files), [])
            same((once * rounds)[-len(kept):], kept, "packets kept")
            pmd.command("port start 0")
        pmd.quit()


def files_are_rotated_by_time(folder):
    into, gap = os.path.join(folder, "paced.pcap"), 250_000_000
    pkts = [pcapcmp.Packet(bytes(60) + bytes([i]), ns=i * gap) for i in range(13)]
    pcapcmp.write(into, pkts)
    with Testpmd([f"net_slabio0,rx_pcap={into},pace=original,tx_pcap={folder}/out.pcapng,rotate_time=1"],
                 options=LOOPED) as pmd:
        pmd.commands("set fwd io", "start")
        pmd.wait_stats(0, "rotated", tx_good_packets=13)
        pmd.quit()
    files = [pcapcmp.read(f) for f in series(folder, "out", ".pcapng")]
    same(pkts, sum(files, []), "the series")
    check(2 <= len(files) <= 4, f"3 s went into {len(files)} files")
    for held in files:
        check(held[-1].ns - held[0].ns < 1.5e9, f"a file of {(held[-1].ns - held[0].ns) / 1e9} s")


def a_file_that_cannot_be_opened_stops_that_queue_with_the_last_one_whole(folder):
    into = data("main.pcap")
    once = pcapcmp.read(into)
    os.mkdir(os.path.join(folder, "out-00003.pcap"))
    with Testpmd([f"net_slabio0,rx_pcap={into},rx_pcap={into},tx_pcap={folder}/out.pcap,tx_pcap={folder}/b.pcap,"
                  "rotate_size=20k"], options=["--rxq=2", "--txq=2", *LOOPED]) as pmd:
        pmd.commands("set fwd io", "start")
        pmd.wait_stats(0, "end", rx_q0_end_of_file=1, rx_q1_end_of_file=1, tx_q1_packets=len(once))
        pmd.command("stop")
        stats, lines = pmd.stats(0), pmd.messages()
        check(len(lines) == 1 and "out-00003.pcap" in lines[0] and "Is a directory" in lines[0], lines)
        equal(stats["tx_q0_packets"] + stats["tx_errors"], len(once), "packets of queue 0")
        equal(stats["tx_q0_write_errors"], 1, "tx_q0_write_errors")
        held = pcapcmp.read(f"{folder}/out-00001.pcap") + pcapcmp.read(f"{folder}/out-00002.pcap")
        same(once[: stats["tx_q0_packets"]], held, "files before the error")
        # it goes on once the reason is gone
        os.rmdir(os.path.join(folder, "out-00003.pcap"))
        pmd.commands("port stop 0", "port start 0", "start")
        pmd.wait_stats(0, "again", tx_q0_packets=stats["tx_q0_packets"] + len(once))
        pmd.quit()
    held = sum((pcapcmp.read(f) for f in series(folder, "out", ".pcap")), [])
    same(once[: stats["tx_q0_packets"]] + once, held, "the series")


def a_series_never_overwrites_a_capture_that_is_being_read(folder):
    into = os.path.join(folder, "out-00002.pcap")
    shutil.copy(data("main.pcap"), into)
    once = pcapcmp.read(into)
    with Testpmd([f"net_slabio0,rx_pcap={into},tx_pcap={folder}/out.pcap,rotate_size=20k"], options=LOOPED) as pmd:
        pmd.commands("set fwd io", "start")
        pmd.wait_stats(0, "end", rx_q0_end_of_file=1)
        pmd.command("stop")
        lines = pmd.messages()
        check(len(lines) == 1 and "for this port alone" in lines[0] and into in lines[0], lines)
        pmd.quit()
    same(once, pcapcmp.read(into), "the capture that was read")


if __name__ == "__main__":
    run(pcapng_says_who_sent_what_and_that_nothing_was_lost,
        pcap_can_be_asked_for_under_any_name,
        a_killed_process_leaves_a_pcapng_with_all_that_was_sent,
        a_full_disk_is_in_the_statistics_of_the_file,
        files_are_rotated_by_size_without_losing_a_packet,
        a_packet_larger_than_a_file_may_be_has_one_of_its_own,
        only_so_many_files_are_kept_and_a_restart_goes_on,
        files_are_rotated_by_time,
        a_file_that_cannot_be_opened_stops_that_queue_with_the_last_one_whole,
        a_series_never_overwrites_a_capture_that_is_being_read)
