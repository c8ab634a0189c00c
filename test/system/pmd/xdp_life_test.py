#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""AF_XDP ports with several queues, and what becomes of them and their mbufs when the interface flaps or goes,
the port is stopped under traffic, or the pool runs dry."""

import contextlib
import os
import re
import subprocess
import threading
import time

from live_test import Wire, ip, link, untagged
from secondary_test import hugepages
from testpmd import BUILD, Program, Skip, check, eal, equal, need, new_prefix, plugins, wait_for
from xdplab import Port, main, pairs, program_of, same
import pcapcmp

TWO = ["net_slabio0,iface=a0", "net_slabio1,iface=b0"]


def state(pmd, port=0):
    return re.search(r"Link status: (\w+)", pmd.command(f"show port info {port}")).group(1)


def done(pmd):
    """Forwarding and ports stop; no mbuf is missing."""
    pmd.commands("stop", "port stop all")
    pmd.mbufs_back()


def cross(pkts, what, order="flow"):
    """Packets of many flows from a1 to b1, in order within each flow."""
    with Wire("a1") as a, Wire("b1") as b:
        a.send(pkts)
        diff = pcapcmp.compare(pkts, b.receive(len(pkts)), macs=True, order=order)
        check(not diff, f"{what}: {diff}")


def quiet(pmd):
    """Waits until what the senders left in the wires is through."""
    before = None
    while before != (before := [pmd.stats(port)["rx_good_packets"] for port in (0, 1)]):
        time.sleep(0.2)


@contextlib.contextmanager
def traffic(name):
    """Packets, as fast as this process can send them, until the end."""
    stop, pkts = threading.Event(), untagged(100)

    def send():
        with Wire(name) as wire:
            while not stop.is_set():
                with contextlib.suppress(OSError):  # the interface may go down or away
                    wire.send(pkts)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        stop.set()
        sender.join()


def packets_of_all_queues_arrive(_):
    pairs("a", "b", queues=4)
    with Port(TWO, options=["--rxq=4", "--txq=4", "--rxd=1024", "--txd=512",
                            "--total-num-mbufs=16384"]) as pmd:
        pmd.commands("set fwd io", "start")
        # the far end's kernel may send fragments of one flow through several queues
        cross(untagged(800), "four queues", order="none")
        stats = pmd.stats(0)
        received = [stats[f"rx_q{i}_packets"] for i in range(4)]
        equal(sum(received), 800, f"packets of all queues {received}")
        check(sum(n > 0 for n in received) > 1, f"all packets came through one queue: {received}")
        done(pmd)
        pmd.quit()


def receive_and_transmit_queues_differ_in_number(_):
    for counts in (["--rxq=1", "--txq=4"], ["--rxq=4", "--txq=1"]):
        pairs("a", "b", queues=4)
        # so that all packets come through queue 0
        subprocess.run(["ethtool", "-L", "a1", "rx", "4", "tx", "1"], check=True)
        with Port(TWO, options=[*counts, "--rxd=1024"]) as pmd:
            warned = sum("the application uses 1 receive queues" in line for line in pmd.messages())
            equal(warned, 2 if "--rxq=1" in counts else 0, "warnings of queues that nobody polls")
            pmd.commands("set fwd io", "start")
            cross(untagged(200), str(counts))
            done(pmd)
            pmd.quit()


def a_port_that_only_sends_has_a_pool_of_its_own(_):
    pairs("a")
    with Wire("a1") as wire, Port(["net_slabio0,iface=a0"], options=["--rxq=0", "--txq=1"]) as pmd:
        equal(program_of("a0"), None, "program")
        pmd.commands("set fwd txonly", "start")
        equal(len(wire.receive(500)), 500, "packets sent")
        pmd.command("stop")
        stats = pmd.stats(0)
        equal(stats["tx_q0_copies"], stats["tx_good_packets"], "copies")
        done(pmd)
        pmd.quit()


def two_ports_share_an_interface_queue_by_queue(_):
    pairs("a", queues=4)
    vdevs = ["net_slabio0,iface=a0,queue_count=2", "net_slabio1,iface=a0,start_queue=2"]
    with Wire("a1") as wire, Port(vdevs, options=["--rxq=2", "--txq=2", "--rxd=1024"]) as pmd:
        pmd.commands("set fwd rxonly", "start")
        wire.send(untagged(800))

        def all_there():
            now = [pmd.stats(0), pmd.stats(1)]
            return now if sum(s["rx_good_packets"] for s in now) >= 800 else None

        stats = wait_for(all_there, "all packets in one port or the other")
        check(all(s["rx_good_packets"] > 0 for s in stats), "one port got everything")
        # the program stays for as long as one of the two needs it
        pmd.commands("stop", "port stop 0")
        check(program_of("a0"), "the program went with the first port")
        pmd.command("port stop 1")
        equal(program_of("a0"), None, "program after both stopped")
        pmd.mbufs_back()
        pmd.quit()


def a_stopped_queue_leaves_its_packets_to_the_host(_):
    pairs("a")
    pkts = untagged(50)
    with Wire("a1") as wire, Wire("a0") as host, Port(["net_slabio0,iface=a0"]) as pmd:
        pmd.commands("set fwd rxonly", "start")
        wire.send(pkts)
        pmd.wait_stats(0, "before", rx_good_packets=50)
        equal(host.receive(1, 0.1), [], "packets at the host")
        pmd.commands("stop", "port 0 rxq 0 stop", "start")
        wire.send(pkts)
        same(pkts, host.receive(len(pkts)), "at the host")
        equal(pmd.stats(0)["rx_good_packets"], 50, "received by the stopped queue")
        pmd.commands("stop", "port 0 rxq 0 start", "start")
        wire.send(pkts)
        pmd.wait_stats(0, "afterwards", rx_good_packets=100)
        equal(host.receive(1, 0.1), [], "packets at the host")
        done(pmd)
        pmd.quit()


def the_link_is_the_interfaces_and_traffic_goes_on_after_a_flap(_):
    pairs("a", "b")
    with Port(TWO) as pmd:
        pmd.commands("set fwd io", "start")
        equal(state(pmd), "up", "link")
        for end in ("a1", "a0", "b1", "b0"):
            ip("link", "set", end, "down")
            port = 0 if end[0] == "a" else 1
            wait_for(lambda: state(pmd, port) == "down", f"link down with {end}")
            ip("link", "set", end, "up")
            wait_for(lambda: state(pmd, port) == "up", f"link up with {end}")
            cross(untagged(200), f"after a flap of {end}")
        done(pmd)
        pmd.quit()


def the_application_is_told_of_the_link_without_asking(_):
    pairs("a")
    for options, told in (([], True), (["--no-lsc-interrupt"], False)):
        with Port(["net_slabio0,iface=a0"], options=options) as pmd:
            for way in ("down", "up"):
                since = len(pmd.output)
                ip("link", "set", "a1", way)
                # testpmd prints this from its callback
                if told:
                    pmd.expect("Port 0: link state change event", since)
                wait_for(lambda: state(pmd) == way, f"link {way}")
                check(told or "link state change" not in pmd.output, "told though not asked to be")
            pmd.quit()


def two_threads_share_a_queue_pair(_):
    pairs("a", "b")
    pkts = untagged(300)
    # one receives from port 0 and sends to port 1, the other the opposite
    with Port(TWO, options=["--nb-cores=2"], lcores=3) as pmd:
        text = pmd.commands("set fwd io", "start")
        check("forwards packets on 1 streams" in text, text)
        with traffic("b1"):
            with Wire("a1") as a:
                for _ in range(30):
                    a.send(pkts)
            pmd.wait_stats(0, "from one thread", rx_good_packets=1000, tx_good_packets=1000)
            pmd.wait_stats(1, "from the other", rx_good_packets=1000, tx_good_packets=1000)
        quiet(pmd)
        cross(pkts, "afterwards")
        bad = {k: v for port in (0, 1) for k, v in pmd.stats(port).items() if re.search("bad_|invalid", k) and v}
        check(not bad, f"invalid addresses: {bad}")
        done(pmd)
        pmd.quit()


def an_application_can_sleep_until_there_are_packets(_):
    pairs("a")
    program = os.path.join(BUILD, "test", "system", "pmd", "rx_sleep")
    if not os.path.exists(program):
        raise Skip(f"{program} was not built")
    with Wire("a1") as wire, Program([program, *eal(), "--vdev=net_slabio0,iface=a0", "--", "200"]) as app:
        app.expect("ready")
        for packet in untagged(200):
            wire.send([packet])
            time.sleep(0.005)
        found = app.expect(r"packets=(\d+) wakeups=(\d+) cpu_ms=(\d+) wall_ms=(\d+)")
        equal(app.finish(), 0, "exit status")
    packets, wakeups, cpu, wall = map(int, found.groups())
    equal(packets, 200, "packets")
    check(wakeups > 20, f"woken up {wakeups} times for 200 packets apart")
    check(cpu < wall / 2, f"took {cpu} ms of CPU in {wall} ms, most of them asleep")


def secondaries_read_statistics_and_take_nothing_along(folder):
    need("dpdk-proc-info")
    pairs("a")
    with hugepages(folder) as memory, Wire("a1") as wire:
        prefix = new_prefix()
        with Port(["net_slabio0,iface=a0"], prefix=prefix, memory=memory) as pmd:
            pmd.commands("set fwd rxonly", "start")
            wire.send(untagged(100))
            before = pmd.wait_stats(0, "primary", rx_good_packets=100)
            argv = ["dpdk-proc-info", "--no-pci", "--file-prefix", prefix, *memory[:2], *plugins(), "--", "-p", "1"]
            for option in ("--xstats", "--stats", "--show-port"):
                with Program([*argv, option]) as info:
                    equal(info.finish(), 0, f"exit status of dpdk-proc-info {option}")
                    seen = dict(re.findall(r"^(\w+): (\d+)", info.output, re.M))
                if option == "--xstats":
                    for name in ("rx_good_packets", "rx_q0_is_native", "tx_q0_copies"):
                        equal(int(seen.get(name, -1)), before[name], f"{name} in the secondary")
            wire.send(untagged(100))
            pmd.wait_stats(0, "primary afterwards", rx_good_packets=200)
            done(pmd)
            pmd.quit()


def a_removed_interface_is_a_dead_link_and_no_more(_):
    pairs("a", "b")
    with Port(TWO) as pmd:
        pmd.commands("set fwd io", "start")
        with traffic("a1"):
            pmd.wait_stats(1, "traffic", tx_good_packets=1000)
            ip("link", "del", "b0")
            wait_for(lambda: state(pmd, 1) == "down", "link down when the interface is gone")
            pmd.wait_stats(1, "packets for an interface that is gone", tx_q0_dropped_no_output=100)
            ip("link", "del", "a0")
            wait_for(lambda: state(pmd, 0) == "down", "link down when the interface is gone")
        stats = pmd.stats(0)
        time.sleep(0.2)
        equal(pmd.stats(0)["rx_good_packets"], stats["rx_good_packets"], "received from nowhere")
        done(pmd)
        lines = pmd.messages()
        # new ones with the old names are others, and are taken at the next start
        pairs("a", "b")
        equal((state(pmd, 0), state(pmd, 1)), ("down", "down"), "links of stopped ports")
        pmd.commands("port start all", "start")
        cross(untagged(100), "with new interfaces")
        done(pmd)
        pmd.quit()
    check(not [x for x in lines if "queues 0 to 0" not in x], f"messages: {lines}")


def a_new_interface_with_an_old_name_gets_the_ports_modes(_):
    pairs("a")
    with Port(["net_slabio0,iface=a0"]) as pmd:
        pmd.commands("set promisc 0 on", "set allmulti 0 on", "port config mtu 0 1400")
        equal((link("a0")["promiscuity"], link("a0")["allmulti"]), (1, 1), "promiscuous, allmulticast")
        ip("link", "del", "a0")
        pmd.command("port stop 0")
        pairs("a")
        ip("link", "set", "a0", "mtu", "1700")
        pmd.command("port start 0")
        # and its address, which is not the new one's own: for that a veth is promiscuous once more
        equal((link("a0")["promiscuity"], link("a0")["allmulti"]), (2, 1), "the same of the new one")
        pmd.commands("port stop 0", "port close 0")
        equal(link("a0")["mtu"], 1700, "MTU of the new one, which no port has changed")
        pmd.quit()


def so_is_one_whose_namespace_ends(_):
    pairs("a")
    holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo ready; exec sleep 60"],
                              stdout=subprocess.PIPE)
    try:
        holder.stdout.readline()
        ip("link", "set", "a1", "netns", str(holder.pid))
        subprocess.run(["nsenter", "-t", str(holder.pid), "-n", "ip", "link", "set", "a1", "up"], check=True)
        with Port(["net_slabio0,iface=a0"]) as pmd:
            pmd.commands("set fwd txonly", "start")
            pmd.wait_stats(0, "traffic", tx_good_packets=1000)
            holder.kill()
            wait_for(lambda: state(pmd) == "down", "link down when the namespace is gone")
            pmd.wait_stats(0, "packets for nobody", tx_q0_dropped_no_output=100)
            done(pmd)
            pmd.quit()
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


def restarts_under_traffic_lose_no_mbuf(_):
    pairs("a", "b")
    with Port(TWO) as pmd:
        pmd.command("set fwd io")
        with traffic("a1"), traffic("b1"):
            for turn in range(5):
                pmd.commands("port start all", "start", f"clear port stats all")
                pmd.wait_stats(0, f"turn {turn}", rx_good_packets=200)
                done(pmd)
                equal((program_of("a0"), program_of("b0")), (None, None), "programs")
        pmd.commands("port start all", "start")
        quiet(pmd)
        cross(untagged(200), "afterwards")
        bad = {k: v for port in (0, 1) for k, v in pmd.stats(port).items() if re.search("bad_|invalid", k) and v}
        check(not bad, f"invalid addresses: {bad}")
        done(pmd)
        pmd.quit()


def a_pool_that_runs_dry_starves_the_port_until_there_are_mbufs_again(_):
    pairs("a", "b")
    with Port(TWO, options=["--total-num-mbufs=1536", "--rxd=512", "--txd=1024"]) as pmd:
        # what is sent to a dead link stays in the transmit ring, and in the end holds all mbufs
        pmd.commands("set fwd io", "start")
        ip("link", "set", "b0", "down")
        with Wire("a1") as wire:
            for _ in range(6):
                wire.send(untagged(400))
        pmd.wait_stats(0, "no mbuf for the fill ring", rx_q0_nombuf=1)
        pmd.wait_stats(0, "packets without a frame", rx_missed_errors=1)
        ip("link", "set", "b0", "up")
        wait_for(lambda: state(pmd, 1) == "up", "link up")
        wait_for(lambda: pmd.stats(1)["tx_q0_xsk_ring_empty"] > 0, "what was stuck is sent")
        cross(untagged(200), "afterwards")
        done(pmd)
        pmd.quit()


if __name__ == "__main__":
    main(packets_of_all_queues_arrive,
         receive_and_transmit_queues_differ_in_number,
         a_port_that_only_sends_has_a_pool_of_its_own,
         two_ports_share_an_interface_queue_by_queue,
         a_stopped_queue_leaves_its_packets_to_the_host,
         the_link_is_the_interfaces_and_traffic_goes_on_after_a_flap,
         the_application_is_told_of_the_link_without_asking,
         two_threads_share_a_queue_pair,
         an_application_can_sleep_until_there_are_packets,
         secondaries_read_statistics_and_take_nothing_along,
         a_removed_interface_is_a_dead_link_and_no_more,
         a_new_interface_with_an_old_name_gets_the_ports_modes,
         so_is_one_whose_namespace_ends,
         restarts_under_traffic_lose_no_mbuf,
         a_pool_that_runs_dry_starves_the_port_until_there_are_mbufs_again)
