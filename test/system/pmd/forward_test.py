#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""Stock testpmd forwards between net_slabio ports and to net_null, and every packet is accounted for."""

import os

from testpmd import Testpmd, check, data, equal, run
import pcapcmp


def forward(folder, mode, source="main.pcap"):
    """One capture through port 0 to port 1's file; returns what went in, what came out, all the stats."""
    out = os.path.join(folder, f"{mode}.pcap")
    into = data(source)
    expected = pcapcmp.read(into)
    vdevs = [f"net_slabio0,rx_pcap={into}", f"net_slabio1,tx_pcap={out}"]
    with Testpmd(vdevs) as pmd:
        pmd.commands(f"set fwd {mode}", "start")
        pmd.wait_stats(1, mode, tx_good_packets=len(expected))
        pmd.command("stop")
        stats = [pmd.stats(0), pmd.stats(1)]
        pmd.command("port stop all")
        pmd.mbufs_back()
        pmd.quit()
    return expected, pcapcmp.read(out), stats


def io_mode_passes_every_packet_byte_for_byte(folder):
    expected, found, stats = forward(folder, "io")
    diff = pcapcmp.compare(expected, found, macs=True, order="total")
    check(not diff, diff)
    total = sum(len(p.data) for p in expected)
    for name, value in (("rx_good_packets", len(expected)), ("rx_good_bytes", total),
                        ("rx_q0_packets", len(expected)), ("rx_q0_end_of_file", 1), ("rx_errors", 0)):
        equal(stats[0][name], value, name)
    for name, value in (("tx_good_packets", len(expected)), ("tx_good_bytes", total), ("tx_errors", 0)):
        equal(stats[1][name], value, name)


def mac_mode_changes_only_the_addresses_and_pcapng_is_read(folder):
    expected, found, _ = forward(folder, "mac", source="small.pcapng")
    diff = pcapcmp.compare(expected, found, order="total")
    check(not diff, diff)
    check(pcapcmp.compare(expected, found, macs=True), "mac mode left the addresses alone")
    for p in found:
        equal(p.data[6:12], bytes.fromhex("0273 6c61 0001"), "source address")


def rxonly_counts_what_the_capture_has_and_txonly_what_the_file_gets(folder):
    into, out = data("main.pcap"), os.path.join(folder, "txonly.pcap")
    expected = pcapcmp.read(into)
    with Testpmd([f"net_slabio0,rx_pcap={into},tx_pcap={out}"]) as pmd:
        pmd.commands("set fwd rxonly", "start")
        pmd.wait_stats(0, "rxonly", rx_good_packets=len(expected))
        text = pmd.command("stop")
        check(f"RX-total: {len(expected)}" in text, f"rxonly total: {text}")
        equal(pmd.stats(0)["rx_good_bytes"], sum(len(p.data) for p in expected), "bytes received")
        equal(os.path.getsize(out), 24, "bytes of a file to which nothing was sent")

        # segments of several mbufs come out as one packet
        pmd.commands("set fwd txonly", "set txpkts 64,100,36", "start")
        pmd.wait_stats(0, "txonly", tx_good_packets=1000)
        pmd.command("stop")
        stats = pmd.stats(0)
        pmd.quit()
    found = pcapcmp.read(out)
    equal(len(found), stats["tx_good_packets"], "packets in the file")
    equal({len(p.data) for p in found}, {200}, "sizes in the file")
    equal(stats["tx_q0_multi_segs"], len(found), "tx_q0_multi_segs")
    equal(stats["tx_good_bytes"], 200 * len(found), "bytes sent")


def totals_add_up_beside_net_null(folder):
    into, out = data("main.pcap"), os.path.join(folder, "null.pcap")
    expected = pcapcmp.read(into)
    vdevs = [f"net_slabio0,rx_pcap={into},tx_pcap={out}", "net_null0,size=96,no-rx=0"]
    with Testpmd(vdevs) as pmd:
        pmd.commands("set fwd io", "start")
        pmd.wait_stats(0, "io", rx_good_packets=len(expected), tx_good_packets=1000)
        pmd.command("stop")
        slabio, null = pmd.stats(0), pmd.stats(1)
        pmd.commands("port stop all")
        pmd.mbufs_back()
        pmd.quit()
    equal(null["tx_good_packets"], len(expected), "packets that net_null took")
    equal(slabio["tx_good_packets"], null["rx_good_packets"], "packets that net_null gave")
    equal(len(pcapcmp.read(out)), slabio["tx_good_packets"], "packets in the file")


def each_queue_has_a_file_and_further_ones_are_empty_or_drop(folder):
    names = ["main.pcap", "small.pcapng"]
    inputs = [data(name) for name in names]
    outputs = [os.path.join(folder, f"queue{i}.pcap") for i in (0, 1)]
    args = [f"rx_pcap={p}" for p in inputs] + [f"tx_pcap={p}" for p in outputs]
    expected = [pcapcmp.read(p) for p in inputs]
    with Testpmd(["net_slabio0," + ",".join(args), f"net_slabio1,rx_pcap={inputs[1]}"],
                 options=["--rxq=3", "--txq=3", "--port-topology=loop"]) as pmd:
        pmd.commands("set fwd io", "start")
        pmd.wait_stats(0, "loop", tx_q0_packets=len(expected[0]), tx_q1_packets=len(expected[1]))
        pmd.wait_stats(1, "loop", tx_q0_dropped_no_output=len(expected[1]))
        pmd.command("stop")
        stats = [pmd.stats(0), pmd.stats(1)]
        pmd.quit()
    for i in (0, 1):
        diff = pcapcmp.compare(expected[i], pcapcmp.read(outputs[i]), macs=True, order="total")
        check(not diff, f"queue {i}: {diff}")
    equal(stats[0]["rx_q2_packets"], 0, "packets of a queue without a file")
    equal(stats[1]["tx_errors"], len(expected[1]), "what a port without tx_pcap= was given")
    equal(stats[1]["tx_good_packets"], 0, "what a port without tx_pcap= has sent")


def jumbo_packets_come_in_chains_of_small_mbufs(folder):
    into, out = data("jumbo.pcap"), os.path.join(folder, "jumbo.pcap")
    expected = pcapcmp.read(into)
    with Testpmd([f"net_slabio0,rx_pcap={into},tx_pcap={out}"],
                 options=["--mbuf-size=384", "--port-topology=loop"]) as pmd:
        pmd.commands("set fwd io", "start")
        pmd.wait_stats(0, "jumbo", tx_good_packets=len(expected))
        stats = pmd.stats(0)
        pmd.commands("stop", "port stop all")
        pmd.mbufs_back()
        pmd.quit()
    diff = pcapcmp.compare(expected, pcapcmp.read(out), macs=True, order="total")
    check(not diff, diff)
    chained = sum(len(p.data) > 384 - 128 for p in expected)
    check(chained > 8, "the capture has no large packets")
    equal(stats["rx_q0_scattered"], chained, "rx_q0_scattered")
    equal(stats["tx_q0_multi_segs"], chained, "tx_q0_multi_segs")


if __name__ == "__main__":
    run(io_mode_passes_every_packet_byte_for_byte,
        mac_mode_changes_only_the_addresses_and_pcapng_is_read,
        rxonly_counts_what_the_capture_has_and_txonly_what_the_file_gets,
        totals_add_up_beside_net_null,
        each_queue_has_a_file_and_further_ones_are_empty_or_drop,
        jumbo_packets_come_in_chains_of_small_mbufs)
