#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""AF_XDP ports and packets that are not one mbuf of the port's own pool: jumbo frames, chains, clones."""

import subprocess
import sys

from live_test import Wire, ip, link, untagged
from testpmd import check, data, equal, wait_for
from xdplab import Port, main, pairs, same
import pcapcmp

TWO = ["net_slabio0,iface=a0", "net_slabio1,iface=b0"]


def jumbo():
    """Up to the largest that fits an MTU of 9000."""
    return [p for p in pcapcmp.read(data("jumbo.pcap")) if p.data[12:14] != b"\x81\x00"]


def mtu(size, *names):
    for name in names:
        for end in (f"{name}0", f"{name}1"):
            ip("link", "set", end, "mtu", str(size))


def forwarded(pkts, options, vdevs=TWO, **expected):
    """Packets from one far end to the other; returns the statistics of both ports."""
    with Wire("a1") as a, Wire("b1") as b, Port(vdevs, options=options) as pmd:
        pmd.commands("set fwd io", "start")
        a.send(pkts)
        same(pkts, b.receive(len(pkts)), "at the far end")
        pmd.command("stop")
        stats = [pmd.stats(0), pmd.stats(1)]
        pmd.command("port stop all")
        pmd.mbufs_back()
        pmd.quit()
    for name, value in expected.items():
        equal(stats[name.startswith("tx")][name], value, name)
    return stats


def jumbo_frames_pass_as_chains_in_place(_):
    pairs("a", "b")
    mtu(9000, "a", "b")
    pkts = jumbo() * 4
    check(max(len(p.data) for p in pkts) == 9014, "no packet of 9014 bytes")
    chains = sum(len(p.data) > 1920 for p in pkts)
    forwarded(pkts, ["--max-pkt-len=9022", "--tx-offloads=0x8000", "--enable-scatter"],
              rx_q0_is_multi_buffer=1, rx_q0_scattered=chains, tx_q0_multi_segs=chains, tx_q0_copies=0)


def an_mtu_that_frames_do_not_hold_makes_them_chains_unasked(_):
    pairs("a", "b")
    mtu(3000, "a", "b")
    pkts = [p for p in jumbo() if len(p.data) <= 3014]
    forwarded(pkts, ["--max-pkt-len=3022"], rx_q0_is_multi_buffer=1)


def an_mtu_that_the_port_is_configured_for_is_given_to_the_interface(_):
    pairs("a")
    ip("link", "set", "a1", "mtu", "9000")
    pkts = jumbo()
    with Wire("a1") as wire, Port(["net_slabio0,iface=a0"], options=["--max-pkt-len=9022"]) as pmd:
        equal(link("a0")["mtu"], 9000, "MTU")
        lines = pmd.messages()
        check("raised the MTU of a0 from 1500 to the 9000" in lines[0], lines)
        # nothing but the interface's MTU stands in the way of what is sent either
        pmd.commands("set fwd io", "start")
        wire.send(pkts)
        same(pkts, wire.receive(len(pkts)), "sent back")
        pmd.commands("stop", "port stop 0", "port close 0")
        equal(link("a0")["mtu"], 1500, "MTU after close")
        pmd.quit()
    # what one port has raised is not taken away from another one on the interface
    pairs("a", queues=2)
    ip("link", "set", "a1", "mtu", "9000")
    with Port([f"net_slabio{i},iface=a0,start_queue={i},queue_count=1" for i in range(2)],
              options=["--max-pkt-len=9022"]) as pmd:
        for number, expected in ((0, 9000), (1, 1500)):
            pmd.commands(f"port stop {number}", f"port close {number}")
            equal(link("a0")["mtu"], expected, f"MTU after the close of port {number}")
        pmd.quit()
    # a larger one of the interface's stays
    ip("link", "set", "a0", "mtu", "5000")
    with Port(["net_slabio0,iface=a0"], options=["--max-pkt-len=3022"]) as pmd:
        equal(link("a0")["mtu"], 5000, "MTU")
        pmd.quit()


def the_mtu_is_the_interfaces_and_put_back_at_close(_):
    pairs("a")
    with Port(["net_slabio0,iface=a0"]) as pmd:
        pmd.messages()
        pmd.command("port config mtu 0 1800")
        equal(link("a0")["mtu"], 1800, "MTU")
        pmd.command("port config mtu 0 3000")
        lines = pmd.messages()
        check(len(lines) == 1 and "3000 + 22 = 3022 bytes do not fit into the 1920 of one frame" in lines[0], lines)
        equal(link("a0")["mtu"], 1800, "MTU")
        pmd.commands("port stop 0", "port config mtu 0 3000", "port start 0")
        equal((link("a0")["mtu"], pmd.stats(0)["rx_q0_is_multi_buffer"]), (3000, 1), "MTU, packets of several frames")
        pmd.commands("port stop 0", "port close 0")
        equal(link("a0")["mtu"], 1500, "MTU after close")
        pmd.quit()


def modes_and_addresses_reach_the_interface_and_go_with_the_port(_):
    pairs("a")
    own = link("a0")["address"]
    with Port(["net_slabio0,iface=a0"]) as pmd:
        check(own.upper() in pmd.command("show port info 0"), "the port has not the interface's address")
        pmd.commands("set promisc 0 on", "set allmulti 0 on")
        equal((link("a0")["promiscuity"], link("a0")["allmulti"]), (1, 1), "promiscuous, allmulticast")
        pmd.commands("set promisc 0 off", "set allmulti 0 off")
        equal((link("a0")["promiscuity"], link("a0")["allmulti"]), (0, 0), "promiscuous, allmulticast")
        pmd.command("mac_addr set 0 02:00:00:00:00:77")
        equal((link("a0")["promiscuity"], link("a0")["address"]), (1, own), "promiscuous for a second address")
        pmd.child.kill()
        pmd.finish()
    wait_for(lambda: link("a0")["promiscuity"] == 0, "promiscuous mode undone after a kill")


def an_mtu_that_larger_mbufs_hold_needs_no_chains(_):
    pairs("a", "b")
    mtu(3000, "a", "b")
    pkts = [p for p in jumbo() if len(p.data) <= 3014]
    forwarded(pkts, ["--max-pkt-len=3022", "--mbuf-size=3500"],
              rx_q0_is_multi_buffer=0, rx_q0_scattered=0, tx_q0_copies=0)


def chains_are_copied_into_one_frame_where_the_socket_has_none(_):
    pairs("a")
    with Wire("a1") as wire, Port(["net_slabio0,iface=a0"], options=["--txpkts=100,60,40"]) as pmd:
        pmd.commands("set fwd txonly", "start")
        found = wire.receive(500)
        equal({len(p.data) for p in found}, {200}, "sizes of packets")
        pmd.command("stop")
        stats = pmd.stats(0)
        equal(stats["tx_q0_copies"], stats["tx_good_packets"], "copies")
        equal(stats["tx_q0_multi_segs"], stats["tx_good_packets"], "chains")
        pmd.command("port stop all")
        pmd.mbufs_back()
        pmd.quit()


def chains_are_sent_in_place_where_it_has(_):
    pairs("a")
    with Wire("a1") as wire, \
            Port(["net_slabio0,iface=a0"], options=["--txpkts=100,60,40", "--tx-offloads=0x8000"]) as pmd:
        pmd.commands("set fwd txonly", "start")
        found = wire.receive(500)
        equal({len(p.data) for p in found}, {200}, "sizes of packets")
        pmd.command("stop")
        stats = pmd.stats(0)
        equal(stats["tx_q0_copies"], 0, "copies")
        equal(stats["tx_q0_multi_segs"], stats["tx_good_packets"], "chains")
        pmd.command("port stop all")
        pmd.mbufs_back()
        pmd.quit()


def packets_that_others_refer_to_are_copied(_):
    pairs("a")
    with Wire("a1") as wire, \
            Port(["net_slabio0,iface=a0"], options=["--flowgen-clones=4", "--tx-offloads=0"]) as pmd:
        pmd.commands("set fwd flowgen", "start")
        found = wire.receive(1000)
        equal(len(found), 1000, "packets at the far end")
        pmd.command("stop")
        stats = pmd.stats(0)
        check(stats["tx_q0_copies"] > 0, "nothing was copied")
        pmd.command("port stop all")
        pmd.mbufs_back()
        pmd.quit()


def packets_larger_than_the_interface_takes_are_dropped_and_counted(_):
    pairs("a", "b")
    mtu(3000, "a")
    mtu(600, "b")
    pkts = untagged(200)
    fit = [p for p in pkts if len(p.data) <= 614]
    with Wire("a1") as a, Wire("b1") as b, Port(TWO) as pmd:
        pmd.commands("set fwd io", "start")
        a.send(pkts)
        same(fit, b.receive(len(fit)), "at the far end")
        stats = pmd.wait_stats(1, "dropped", tx_errors=len(pkts) - len(fit))
        equal(stats["tx_q0_oversize"], len(pkts) - len(fit), "dropped for their size")
        pmd.commands("stop", "port stop all")
        pmd.mbufs_back()
        pmd.quit()


TALK = """
import hashlib, socket, sys
data = bytes(range(256)) * 8192
if sys.argv[1] == "serve":
    s = socket.create_server(("192.0.2.1", 7777))
    print("ready", flush=True)
    c, _ = s.accept()
    got = b"".join(iter(lambda: c.recv(65536), b""))
    c.sendall(hashlib.sha256(got).digest())
    c.close()
else:
    c = socket.create_connection(("192.0.2.1", 7777), timeout=15)
    c.sendall(data)
    c.shutdown(socket.SHUT_WR)
    answer = b"".join(iter(lambda: c.recv(64), b""))
    sys.exit(answer != hashlib.sha256(data).digest())
"""


def a_tcp_connection_passes_unharmed(_):
    pairs("a", "b")
    # b1 goes to a namespace of its own, which ends with the program in it
    start = "ip link set b1 up; ip addr add 192.0.2.1/24 dev b1; exec \"$@\""
    server = subprocess.Popen(["unshare", "--net", "sh", "-c", f"echo; read go; {start}", "sh",
                               sys.executable, "-c", TALK, "serve"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        server.stdout.readline()
        ip("link", "set", "b1", "netns", str(server.pid))
        server.stdin.write("\n")
        server.stdin.flush()
        equal(server.stdout.readline(), "ready\n", "the server's first words")
        ip("addr", "add", "192.0.2.2/24", "dev", "a1")
        with Port(TWO) as pmd:
            pmd.commands("set fwd io", "start")
            done = subprocess.run([sys.executable, "-c", TALK, "ask"], check=False, timeout=30)
            equal(done.returncode, 0, "exit status of the client: 2 MB and their digest")
            pmd.commands("stop", "port stop all")
            pmd.mbufs_back()
            pmd.quit()
    finally:
        server.kill()
        server.wait()
        server.stdin.close()
        server.stdout.close()


if __name__ == "__main__":
    main(jumbo_frames_pass_as_chains_in_place,
         an_mtu_that_frames_do_not_hold_makes_them_chains_unasked,
         an_mtu_that_the_port_is_configured_for_is_given_to_the_interface,
         the_mtu_is_the_interfaces_and_put_back_at_close,
         modes_and_addresses_reach_the_interface_and_go_with_the_port,
         an_mtu_that_larger_mbufs_hold_needs_no_chains,
         chains_are_copied_into_one_frame_where_the_socket_has_none,
         chains_are_sent_in_place_where_it_has,
         packets_that_others_refer_to_are_copied,
         packets_larger_than_the_interface_takes_are_dropped_and_counted,
         a_tcp_connection_passes_unharmed)
