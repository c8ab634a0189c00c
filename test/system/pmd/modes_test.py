#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""Stock testpmd in the forwarding modes that change, answer, make or hold packets, on slab pools and
capture files; io, mac, rxonly and txonly are in forward_test.py. What comes out is worked out here anew."""

import os
import struct

from testpmd import Testpmd, check, data, equal, run
import pcapcmp

IPV4 = b"\x08\x00"
ARP = b"\x08\x06"


def filtered(folder, wanted):
    """The packets of the main capture that are wanted, and a capture with them alone."""
    path = os.path.join(folder, "in.pcap")
    pkts = [p for p in pcapcmp.read(data("main.pcap")) if wanted(p.data)]
    check(len(pkts) > 5, f"only {len(pkts)} packets of the capture are of use")
    pcapcmp.write(path, pkts)
    return pkts, path


def forward(folder, mode, source, count, options=()):
    """A capture through port 0 to port 1's file; what came out, once it is so much."""
    out = os.path.join(folder, "out.pcap")
    with Testpmd([f"net_slabio0,rx_pcap={source}", f"net_slabio1,tx_pcap={out}"], options=options) as pmd:
        pmd.commands(f"set fwd {mode}", "start")
        pmd.wait_stats(1, mode, tx_good_packets=count)
        pmd.commands("stop", "port stop all")
        pmd.mbufs_back()
        pmd.quit()
    return [p.data for p in pcapcmp.read(out)]


def macswap_exchanges_the_addresses(folder):
    pkts = [p.data for p in pcapcmp.read(data("main.pcap"))]
    found = forward(folder, "macswap", data("main.pcap"), len(pkts))
    equal(found, [p[6:12] + p[:6] + p[12:] for p in pkts], "packets")


def csum_leaves_right_checksums_right_and_mends_wrong_ones(folder):
    def udp_or_tcp(p):
        return p[12:14] == IPV4 and p[14] == 0x45 and p[20:22] in (b"\0\0", b"\x40\0") and p[23] in (6, 17) \
            and (p[23] == 6 or p[40:42] != b"\0\0")
    pkts, source = filtered(folder, udp_or_tcp)
    broken = [pcapcmp.Packet(p.data[:24] + b"\x12\x34" + p.data[26:]) for p in pkts]
    pcapcmp.write(source, broken)
    found = forward(folder, "csum", source, len(pkts))
    equal([p[12:] for p in found], [p.data[12:] for p in pkts], "packets, apart from the addresses")


def five_tuple_swap_turns_packets_round(folder):
    def plain(p):
        return p[12:14] == IPV4 and p[14] == 0x45 and p[20:22] in (b"\0\0", b"\x40\0") and p[23] in (6, 17)
    pkts, source = filtered(folder, plain)
    found = forward(folder, "5tswap", source, len(pkts))
    equal(found, [p[6:12] + p[:6] + p[12:26] + p[30:34] + p[26:30] + p[36:38] + p[34:36] + p[38:]
                  for p in (p.data for p in pkts)], "packets")


def icmpecho_answers_arp_and_echo_requests(folder):
    def request(p):
        return (p[12:14] == ARP and p[20:22] == b"\0\1") or \
            (p[12:14] == IPV4 and p[14] == 0x45 and p[20:22] in (b"\0\0", b"\x40\0") and p[23] == 1
             and p[34] == 8)
    pkts, source = filtered(folder, request)
    out = os.path.join(folder, "out.pcap")
    with Testpmd([f"net_slabio0,rx_pcap={source},tx_pcap={out}"], options=["--port-topology=loop"]) as pmd:
        pmd.commands("set fwd icmpecho", "start")
        pmd.wait_stats(0, "icmpecho", tx_good_packets=len(pkts))
        pmd.commands("stop", "port stop all")
        pmd.mbufs_back()
        pmd.quit()
    found = [p.data for p in pcapcmp.read(out)]
    equal(len(found), len(pkts), "answers")
    for asked, answer in zip((p.data for p in pkts), found):
        equal(answer[:6].hex(), asked[6:12].hex(), "who is answered")
        if asked[12:14] == ARP:
            equal((answer[20:22], answer[28:32], answer[38:42]), (b"\0\2", asked[38:42], asked[28:32]),
                  "ARP reply: operation, sender, target")
        else:
            equal((answer[34], answer[26:34]), (0, asked[30:34] + asked[26:30]), "echo reply: type, addresses")
            equal(answer[38:], asked[38:], "echo reply: identifier, sequence, data")


def flowgen_makes_as_many_flows_as_it_should(folder):
    out = os.path.join(folder, "out.pcap")
    with Testpmd([f"net_slabio0,tx_pcap={out}"], options=["--port-topology=loop", "--flowgen-flows=64"]) as pmd:
        pmd.commands("set fwd flowgen", "start")
        pmd.wait_stats(0, "flowgen", tx_good_packets=2000)
        pmd.command("stop")
        sent = pmd.stats(0)["tx_good_packets"]
        pmd.command("port stop all")
        pmd.mbufs_back()
        pmd.quit()
    found = [p.data for p in pcapcmp.read(out)]
    equal(len(found), sent, "packets in the file")
    equal({(p[12:14], p[23], struct.unpack("!H", p[16:18])[0]) for p in found}, {(IPV4, 17, 46)},
          "type, protocol and length")
    equal(len({p[26:34] for p in found}), 64, "flows")


def noisy_holds_packets_back_and_lets_all_go(folder):
    pkts = [p.data for p in pcapcmp.read(data("main.pcap"))]
    found = forward(folder, "noisy", data("main.pcap"), len(pkts),
                    ["--noisy-tx-sw-buffer-size=256", "--noisy-tx-sw-buffer-flushtime=20",
                     "--noisy-lkup-memory=1", "--noisy-lkup-num-reads-writes=2"])
    equal(found, pkts, "packets")


if __name__ == "__main__":
    run(macswap_exchanges_the_addresses,
        csum_leaves_right_checksums_right_and_mends_wrong_ones,
        five_tuple_swap_turns_packets_round,
        icmpecho_answers_arp_and_echo_requests,
        flowgen_makes_as_many_flows_as_it_should,
        noisy_holds_packets_back_and_lets_all_go)
