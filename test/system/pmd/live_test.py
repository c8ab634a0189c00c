#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""net_slabio on live interfaces (pcap_iface=), in a network namespace that ends with this process."""

import json
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import time

from testpmd import SKIP, Skip, Testpmd, check, data, equal, run, wait_for
import pcapcmp

PACKET_OUTGOING = 4
ETH_P_ALL = 3


def ip(*args):
    subprocess.run(["ip", *args], check=True)


def link(name):
    text = subprocess.run(["ip", "-d", "-j", "link", "show", name], check=True, capture_output=True).stdout
    return json.loads(text)[0]


def veths(*names):
    """A pair name0-name1 for each; the ends 0 are for ports, the ends 1 for this test."""
    for name in names:
        if os.path.exists(f"/proc/sys/net/ipv4/conf/{name}0"):
            ip("link", "del", f"{name}0")
        ip("link", "add", f"{name}0", "type", "veth", "peer", f"{name}1")
        # with these on libpcap must reckon with packets of 64 KB, and has room for few
        for end in (f"{name}0", f"{name}1"):
            subprocess.run(["ethtool", "-K", end, "gso", "off", "tso", "off", "gro", "off"], check=True)
            ip("link", "set", end, "up")


class Wire:
    """This test's end of a cable."""

    def __init__(self, name):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.bind((name, ETH_P_ALL))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.socket.close()

    def send(self, pkts):
        for p in pkts:
            self.socket.send(p.data)

    def receive(self, count, seconds=10):
        """As many packets as expected, or those that came in time."""
        found, end = [], time.monotonic() + seconds
        while len(found) < count and select.select([self.socket], [], [], max(0, end - time.monotonic()))[0]:
            packet, address = self.socket.recvfrom(65536)
            if address[2] != PACKET_OUTGOING:
                found.append(pcapcmp.Packet(packet))
        return found


def untagged(count):
    """Packets of the main capture; without those whose tag the kernel's receive path takes off."""
    pkts = [p for p in pcapcmp.read(data("main.pcap")) if p.data[12:14] not in (b"\x81\x00", b"\x88\xa8")]
    return pkts[:count]


def packets_cross_between_two_interfaces_and_no_port_hears_itself(_):
    veths("a", "b")
    there, back = untagged(400), untagged(500)[400:]
    with Wire("a1") as a, Wire("b1") as b, \
            Testpmd(["net_slabio0,pcap_iface=a0", "net_slabio1,pcap_iface=b0"]) as pmd:
        pmd.commands("set fwd io", "start")
        for source, sink, pkts in ((a, b, there), (b, a, back)):
            source.send(pkts)
            diff = pcapcmp.compare(pkts, sink.receive(len(pkts)), macs=True, order="total")
            check(not diff, diff)
        equal(a.receive(1, 0.2) + b.receive(1, 0), [], "packets that came round again")
        pmd.command("stop")
        stats = [pmd.stats(0), pmd.stats(1)]
        pmd.command("port stop all")
        pmd.mbufs_back()
        pmd.quit()
    for port, rx, tx in ((0, there, back), (1, back, there)):
        equal(stats[port]["rx_good_packets"], len(rx), f"received by port {port}")
        equal(stats[port]["tx_good_packets"], len(tx), f"sent by port {port}")
        equal(stats[port]["tx_good_bytes"], sum(len(p.data) for p in tx), f"bytes sent by port {port}")
        equal(stats[port]["rx_missed_errors"], 0, f"missed by port {port}")


def tags_and_chains_of_mbufs_pass_both_ways(_):
    veths("a", "b")
    pkts = pcapcmp.read(data("main.pcap"))[:300]
    with Wire("a1") as a, Testpmd(["net_slabio0,pcap_iface=a0", "net_slabio1,pcap_iface=b0",
                                   "net_slabio2,pcap_iface=b1"],
                                  options=["--mbuf-size=256", "--portlist=0,1"]) as pmd:
        # what port 1 sends, port 2 receives with its tags; two of three segments make it a chain
        pmd.commands("set fwd io", "set portlist 0,1", "start")
        a.send(pkts)
        stats = pmd.wait_stats(1, "chains", tx_good_packets=len(pkts))
        chains = sum(len(p.data) > 128 for p in pkts)
        equal(stats["tx_q0_multi_segs"], chains, "chains sent")
        pmd.commands("stop", "set portlist 2", "set fwd rxonly", "start")
        stats = pmd.wait_stats(2, "chains", rx_good_packets=len(pkts))
        equal(stats["rx_good_bytes"], sum(len(p.data) for p in pkts), "bytes of tagged packets")
        equal(stats["rx_q0_scattered"], chains, "chains received")
        pmd.quit()


def modes_address_and_mtu_reach_the_interface_and_are_undone(_):
    veths("a")
    own = link("a0")["address"]
    pmd = Testpmd(["net_slabio0,pcap_iface=a0"])
    with pmd:
        check(own.upper() in pmd.command("show port info 0"), "the port has not the interface's address")
        pmd.commands("set promisc 0 on", "set allmulti 0 on")
        equal((link("a0")["promiscuity"], link("a0")["allmulti"]), (1, 1), "promiscuous, allmulticast")
        pmd.commands("set promisc 0 off", "set allmulti 0 off")
        equal((link("a0")["promiscuity"], link("a0")["allmulti"]), (0, 0), "promiscuous, allmulticast")
        pmd.command("mac_addr set 0 02:00:00:00:00:77")
        # a veth has no address filter: the kernel makes it promiscuous for a second address
        equal(link("a0")["promiscuity"], 1, "promiscuous for a second address")
        pmd.command(f"mac_addr set 0 {own}")
        equal(link("a0")["promiscuity"], 0, "promiscuous with the own address alone")
        equal(link("a0")["address"], own, "the host's own address")
        pmd.command("port config mtu 0 1400")
        equal(link("a0")["mtu"], 1400, "MTU")
        pmd.command("port config mtu 0 65513")  # a veth takes it; what it does not take is refused
        equal(link("a0")["mtu"], 65513, "MTU")
        pmd.commands("set promisc 0 on", "port stop 0", "port close 0")
        equal((link("a0")["promiscuity"], link("a0")["mtu"]), (0, 1500), "promiscuous, MTU after close")
        pmd.quit()
    with Testpmd(["net_slabio0,pcap_iface=a0"]) as pmd:
        pmd.command("set promisc 0 on")
        equal(link("a0")["promiscuity"], 1, "promiscuous")
        pmd.child.kill()
        pmd.finish()
    wait_for(lambda: link("a0")["promiscuity"] == 0, "promiscuous mode undone after a kill")


def link_state_is_the_interfaces_and_traffic_goes_on_after_a_flap(_):
    veths("a")

    def state():
        return re.search(r"Link status: (\w+)", pmd.command("show port info 0")).group(1)

    pkts = untagged(20)
    def send():
        with Wire("a1") as wire:
            wire.send(pkts)

    with Testpmd(["net_slabio0,pcap_iface=a0"]) as pmd:
        pmd.commands("set fwd rxonly", "start")
        equal(state(), "up", "link")
        ip("link", "set", "a1", "down")
        wait_for(lambda: state() == "down", "link down when the other end is")
        ip("link", "set", "a1", "up")
        wait_for(lambda: state() == "up", "link up again")
        send()
        pmd.wait_stats(0, "after a flap of the other end", rx_good_packets=20)
        ip("link", "set", "a0", "down")
        wait_for(lambda: state() == "down", "link down with the interface")
        ip("link", "set", "a0", "up")
        wait_for(lambda: state() == "up", "link up with the interface")
        send()
        pmd.wait_stats(0, "after a flap of the interface", rx_good_packets=40)
        ip("link", "del", "a0")
        wait_for(lambda: state() == "down", "link down when the interface is gone")
        time.sleep(0.1)
        pmd.command("stop")
        lines = [x for x in pmd.messages() if "a0" in x]
        check(len(lines) <= 1, f"messages: {lines}")
        pmd.quit()


def what_cannot_be_sent_is_counted_and_said_once(folder):
    veths("a")
    ip("link", "set", "a0", "mtu", "600")
    small = [p for p in pcapcmp.read(data("main.pcap")) if len(p.data) <= 600 + 14]
    count = len(pcapcmp.read(data("main.pcap")))
    with Testpmd([f"net_slabio0,rx_pcap={data('main.pcap')}", "net_slabio1,pcap_iface=a0"]) as pmd:
        pmd.commands("set fwd io", "start")

        def all_taken():
            now = pmd.stats(1)
            return now if now["tx_good_packets"] + now["tx_errors"] >= count else None

        stats = wait_for(all_taken, "all packets sent or dropped")
        check(len(small) <= stats["tx_good_packets"] < count, f"sent: {stats['tx_good_packets']}")
        equal(stats["tx_q0_oversize"], stats["tx_errors"], "dropped for their size")
        lines = pmd.messages()
        check(len(lines) == 1 and "Message too long" in lines[0], lines)
        pmd.commands("stop", "port stop all")
        pmd.mbufs_back()
        ip("link", "set", "a0", "down")
        pmd.command("port start 1")
        lines = pmd.messages()
        check(len(lines) == 1 and "ip link set" in lines[0], lines)
        pmd.quit()


def an_interfaces_packets_are_filtered_by_the_kernel_and_cut(_):
    veths("a")
    every = pcapcmp.read(data("main.pcap"))
    wanted = [p for p in every if p.data[12:14] == b"\x86\xdd"]
    with Testpmd(["net_slabio0,pcap_iface=a0,filter=ip6 and not vlan,snaplen=70"]) as pmd, Wire("a1") as wire:
        pmd.commands("set fwd rxonly", "start")
        wire.send(every)
        stats = pmd.wait_stats(0, "ip6", rx_good_packets=len(wanted))
        time.sleep(0.1)
        equal(pmd.stats(0)["rx_good_packets"], len(wanted), "packets that the filter lets through")
        equal(stats["rx_good_bytes"], sum(min(70, len(p.data)) for p in wanted), "bytes")
        equal(stats["rx_q0_snapped"], sum(len(p.data) > 70 for p in wanted), "rx_q0_snapped")
        pmd.quit()


def an_interfaces_flows_are_spread_over_queues(folder):
    veths("a")
    pkts = []
    for i in range(600):
        ends = bytes([10, 0, 0, i % 30 + 1, 10, 0, 1, 1])
        ip = b"\x45\0\0\x30\0\0\0\0\x40\x11\0\0" + ends + bytes([4, i % 30, 0, 9, 0, 28, 0, 0]) + bytes(20)
        pkts.append(pcapcmp.Packet(b"\xff" * 6 + b"\2\0\0\0\0\1\x08\0" + ip[:-2] + i.to_bytes(2, "big")))
    outs = [os.path.join(folder, f"q{i}.pcap") for i in range(3)]
    with Testpmd(["net_slabio0,pcap_iface=a0,rx_spread=flow,filter=udp",
                  "net_slabio1," + ",".join(f"tx_pcap={o}" for o in outs)],
                 options=["--rxq=3", "--txq=3"]) as pmd, Wire("a1") as wire:
        pmd.commands("set fwd io", "start")
        for rounds in (1, 2):
            wire.send(pkts)
            stats = pmd.wait_stats(0, "spread", rx_good_packets=rounds * len(pkts))
            pmd.command("stop")
            equal(stats["rx_good_packets"], rounds * len(pkts), "packets received, each once")
            # the group of queues is founded anew at each start
            pmd.commands("port stop 0", "port start 0", "start")
        pmd.quit()
    found = [pcapcmp.read(o) for o in outs]
    diff = pcapcmp.compare(pkts * 2, sum(found, []), macs=True, order="none")
    check(not diff, diff)
    flows = [{p.data[26:38] for p in q[: len(q) // 2]} for q in found]
    check(sum(map(bool, flows)) > 1, "all flows are on one queue")
    check(not flows[0] & flows[1] and not flows[0] & flows[2] and not flows[1] & flows[2], "a flow is on two queues")


def packets_wait_while_the_interface_has_no_room(folder):
    """Behind a slow queueing discipline the kernel says first that the socket's buffer is full, then that the
    queue is: what it did not take stays with the application."""
    if shutil.which("tc") is None:
        raise Skip("tc is not installed")
    pkts = [pcapcmp.Packet(b"\xff" * 6 + bytes(6) + b"\x88\xb5" + i.to_bytes(2, "big") + bytes(984))
            for i in range(900)]
    into = os.path.join(folder, "in.pcap")
    pcapcmp.write(into, pkts)
    for limit in ("200k", "4k"):
        veths("a")
        shaper = ["tc", "qdisc", "add", "dev", "a0", "root", "tbf", "rate", "8mbit", "burst", "4k", "limit", limit]
        if subprocess.run(shaper, capture_output=True).returncode != 0:
            raise Skip("the kernel has no tbf")
        with Testpmd([f"net_slabio0,rx_pcap={into}", "net_slabio1,pcap_iface=a0"]) as pmd, Wire("a1") as wire:
            pmd.commands("set fwd io retry", "set burst tx delay 1000 retry 64", "start")
            found = wire.receive(len(pkts), 15)
            pmd.command("stop")
            stats = pmd.stats(1)
            pmd.commands("port stop all")
            pmd.mbufs_back()
            pmd.quit()
        check(stats["tx_q0_backpressure"] > 0, f"the kernel always had room ({limit})")
        equal(stats["tx_errors"], 0, f"tx_errors ({limit})")
        equal(stats["tx_good_packets"], len(pkts), f"packets sent ({limit})")
        diff = pcapcmp.compare(pkts, found, macs=True, order="total")
        check(not diff, f"{limit}: {diff}")


def tags_are_inserted_between_the_pieces_of_a_packet(folder):
    veths("a")
    for end in ("a0", "a1"):
        ip("link", "set", end, "mtu", "9100")
    once = [p for p in pcapcmp.read(data("jumbo.pcap")) if p.data[12:14] != b"\x81\0" and len(p.data) < 9100]
    check(any(len(p.data) > 8000 for p in once), "the capture has no large packets")
    into, out = os.path.join(folder, "in.pcap"), os.path.join(folder, "out.pcap")
    pcapcmp.write(into, once)
    # a few segments, and more than one call can take in pieces
    for size in (2048 + 128, 192):
        with Testpmd([f"net_slabio0,rx_pcap={into}", "net_slabio1,pcap_iface=a0", "net_slabio2,pcap_iface=a1",
                      f"net_slabio3,tx_pcap={out}"],
                     options=[f"--mbuf-size={size}", "--total-num-mbufs=16384"]) as pmd:
            pmd.commands("port stop 1", "tx_vlan set 1 0x123", "port start 1", "set fwd mac", "start")
            stats = pmd.wait_stats(3, f"tagged, mbufs of {size}", tx_good_packets=len(once))
            equal(pmd.stats(1)["tx_good_bytes"], sum(len(p.data) + 4 for p in once), "bytes sent")
            equal(stats["tx_good_packets"], len(once), "packets received")
            pmd.quit()
        expected = [pcapcmp.Packet(p.data[:12] + b"\x81\x00\x01\x23" + p.data[12:]) for p in once]
        diff = pcapcmp.compare(expected, pcapcmp.read(out), order="total")
        check(not diff, f"mbufs of {size}: {diff}")


def packets_carry_the_kernels_time_in_nanoseconds(_):
    veths("a")
    pkts = untagged(40)
    with Testpmd(["net_slabio0,pcap_iface=a0"], options=["--disable-device-start"]) as pmd, Wire("a1") as wire:
        pmd.commands("port config 0 rx_offload timestamp on", "set fwd rxonly", "set verbose 1", "port start 0",
                     "start")
        before = time.time_ns()
        wire.send(pkts)

        def reached():
            pmd.pump(0.05)
            found = re.findall(r"- timestamp (\d+)", pmd.output)
            return found if len(found) >= len(pkts) else None

        stamps = [int(t) for t in wait_for(reached, "stamps")]
        after = time.time_ns()
        pmd.quit()
    equal(stamps, sorted(stamps), "order of stamps")
    check(before <= stamps[0] and stamps[-1] <= after, f"stamps {stamps[0]} to {stamps[-1]}, now {before} to {after}")
    check(any(t % 1000 for t in stamps), "no stamp is finer than a microsecond")


def applications_hear_of_link_changes(_):
    veths("a")
    with Testpmd(["net_slabio0,pcap_iface=a0"]) as pmd:
        for state in ("down", "up"):
            since = len(pmd.output)
            ip("link", "set", "a1", state)
            pmd.expect("Port 0: link state change event", since)
            check(f"Link status: {state}" in pmd.command("show port info 0"), f"link {state}")
        pmd.quit()


if __name__ == "__main__":
    if "SLABIO_TEST_IN_NETNS" not in os.environ:
        if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "ip", "ethtool"))):
            print("skipped: needs root, unshare, ip and ethtool")
            sys.exit(SKIP)
        os.environ["SLABIO_TEST_IN_NETNS"] = "1"
        os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])
    with open("/proc/sys/net/ipv6/conf/default/disable_ipv6", "w") as f:
        f.write("1")
    run(packets_cross_between_two_interfaces_and_no_port_hears_itself,
        tags_and_chains_of_mbufs_pass_both_ways,
        modes_address_and_mtu_reach_the_interface_and_are_undone,
        link_state_is_the_interfaces_and_traffic_goes_on_after_a_flap,
        what_cannot_be_sent_is_counted_and_said_once,
        an_interfaces_packets_are_filtered_by_the_kernel_and_cut,
        an_interfaces_flows_are_spread_over_queues,
        packets_wait_while_the_interface_has_no_room,
        tags_are_inserted_between_the_pieces_of_a_packet,
        packets_carry_the_kernels_time_in_nanoseconds,
        applications_hear_of_link_changes)
