#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""Ports of net_slabio start, stop, change and go, with nothing lost and nothing left behind."""

import os
import re

from testpmd import Testpmd, check, data, equal, run
import pcapcmp


def a_restart_replays_the_input_and_adds_to_the_output(folder):
    into, out = data("small.pcap"), os.path.join(folder, "out.pcap")
    with open(out, "wb") as f:
        f.write(b"what was there before is replaced at the first start, not at probe")
    once = pcapcmp.read(into)
    with Testpmd([f"net_slabio0,rx_pcap={into},tx_pcap={out}"],
                 options=["--disable-device-start", "--port-topology=loop"]) as pmd:
        check(open(out, "rb").read().startswith(b"what was"), "the output was emptied before the start")
        pmd.command("port start 0")
        for round in (1, 2, 3):
            pmd.command("start")
            pmd.wait_stats(0, "replay", tx_good_packets=round * len(once))
            pmd.commands("stop", "port stop 0")
            equal(len(pcapcmp.read(out)), round * len(once), "packets in the file after a stop")
            pmd.mbufs_back()
            # as many queues again, and once another number: both are set up anew
            pmd.commands("port config all rxq 2", "port config all txq 2") if round == 2 else None
            pmd.command("port start 0")
        pmd.quit()
    diff = pcapcmp.compare(once * 3, pcapcmp.read(out), macs=True, order="total")
    check(not diff, diff)


def ports_are_attached_and_detached_while_others_run(folder):
    into, out = data("small.pcap"), os.path.join(folder, "out.pcap")
    once = pcapcmp.read(into)
    with Testpmd([f"net_slabio0,rx_pcap={into},tx_pcap={os.path.join(folder, 'first.pcap')}"]) as pmd:
        for round in (1, 2):
            pmd.command(f"port attach net_slabio7,rx_pcap={into},tx_pcap={out}")
            pmd.commands("port start 1", "set portlist 0,1", "start")
            pmd.wait_stats(1, "attached", rx_good_packets=len(once), tx_good_packets=len(once) // round)
            pmd.commands("stop", "port stop 1")
            text = pmd.command("port close 1") + pmd.command("device detach net_slabio7")
            check("detached" in text, f"detach: {text}")
            pmd.commands("port stop 0", "port start 0")
            pmd.mbufs_back()
            # opened and emptied by each new port
            equal(len(pcapcmp.read(out)), len(once), "packets in the file")
        pmd.command(f"port attach net_slabio8,tx_pcap={out}")
        text = pmd.command("port detach 1")
        check("detached" in text, f"detach without a close: {text}")
        pmd.quit()


def settings_of_a_file_port_are_kept_and_checked(folder):
    into = data("small.pcap")
    with Testpmd([f"net_slabio0,rx_pcap={into},mac=02:00:00:00:00:2a"]) as pmd:
        info = pmd.command("show port info 0")
        for line in ("MAC address: 02:00:00:00:00:2A", "Link status: up", "Link speed: 10 Gbps",
                     "Max possible RX queues: 16", "Minimum size of RX buffer: 64",
                     "Maximum configurable length of RX packet: 65535", "MTU: 1500"):
            check(line in info, f"expected {line!r} in {info}")
        pmd.commands("port config mtu 0 9000", "mac_addr set 0 02:00:00:00:00:2b", "set promisc 0 off",
                     "set allmulti 0 on")
        info = pmd.command("show port info 0")
        for line in ("MTU: 9000", "02:00:00:00:00:2B", "Promiscuous mode: disabled",
                     "Allmulticast mode: enabled"):
            check(line in info, f"expected {line!r} in {info}")
        pmd.command("port config mtu 0 65514")
        check("MTU: 9000" in pmd.command("show port info 0"), "an MTU beyond the largest was taken")
        check("libpcap" in pmd.command("show rxq info 0 0"), "burst mode of the rx queue")
        check("system call" in pmd.command("show txq info 0 0"), "burst mode of the tx queue")
        pmd.command("port stop 0")
        check("Link status: down" in pmd.command("show port info 0"), "link of a stopped port")
        pmd.quit()


def statistics_are_reset_and_queues_stopped_one_by_one(folder):
    into, out = data("small.pcap"), os.path.join(folder, "out.pcap")
    once = len(pcapcmp.read(into))
    with Testpmd([f"net_slabio0,rx_pcap={into},rx_pcap={into},tx_pcap={out}"],
                 options=["--rxq=2", "--txq=2", "--port-topology=loop"]) as pmd:
        pmd.commands("port 0 rxq 1 stop", "start")
        stats = pmd.wait_stats(0, "queue 0", tx_q0_packets=once)
        equal(stats["rx_q1_packets"], 0, "packets of a stopped queue")
        pmd.commands("stop", "port 0 rxq 1 start", "start")
        stats = pmd.wait_stats(0, "queue 1", rx_q1_packets=once, tx_q1_dropped_no_output=once)
        pmd.commands("stop", "clear port xstats all")
        text = pmd.command("show port xstats 0")
        values = {k: int(v) for k, v in re.findall(r"^(\w+): (\d+)", text, re.M)}
        check(len(values) > 20, "too few statistics")
        equal({k: v for k, v in values.items() if v}, {}, "statistics after a reset")
        pmd.quit()


def no_packet_is_lost_when_there_are_no_mbufs_for_it(folder):
    into, out = data("main.pcap"), os.path.join(folder, "out.pcap")
    expected = pcapcmp.read(into)
    # the forwarder holds on to more packets than there are mbufs, and lets go of them now and then
    with Testpmd([f"net_slabio0,rx_pcap={into},tx_pcap={out}"],
                 options=["--total-num-mbufs=1025", "--mbuf-size=256", "--port-topology=loop",
                          "--forward-mode=noisy", "--noisy-tx-sw-buffer-size=4096",
                          "--noisy-tx-sw-buffer-flushtime=5"]) as pmd:
        pmd.command("start")
        pmd.wait_stats(0, "noisy", tx_good_packets=len(expected))
        stats = pmd.stats(0)
        pmd.commands("stop", "port stop all")
        pmd.mbufs_back()
        pmd.quit()
    check(stats["rx_q0_nombuf"] > 0, "the pool never ran dry")
    equal(stats["rx_mbuf_allocation_errors"], stats["rx_q0_nombuf"], "rx_mbuf_allocation_errors")
    diff = pcapcmp.compare(expected, pcapcmp.read(out), macs=True, order="total")
    check(not diff, diff)


if __name__ == "__main__":
    run(a_restart_replays_the_input_and_adds_to_the_output,
        ports_are_attached_and_detached_while_others_run,
        settings_of_a_file_port_are_kept_and_checked,
        statistics_are_reset_and_queues_stopped_one_by_one,
        no_packet_is_lost_when_there_are_no_mbufs_for_it)
