#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""net_slabio on AF_XDP sockets (iface=), in a network namespace that ends with this process."""

import os
import re
import shutil

from live_test import Wire, untagged
from testpmd import Skip, check, data, equal, wait_for
from xdplab import Port, main, pairs, program_of, same

def there_and_back(vdevs, options=(), in_place=True, expect=(), **testpmd):
    """Packets through two ports in both directions, seen at the far ends; all mbufs come back."""
    pairs("a", "b")
    there, back = untagged(400), untagged(500)[400:]
    with Wire("a1") as a, Wire("b1") as b, Port(vdevs, options=options, **testpmd) as pmd:
        said = "\n".join(pmd.messages())
        for text in expect:
            check(text in said, f"expected {text!r} in {said!r}")
        pmd.commands("set fwd io", "start")
        for source, sink, pkts in ((a, b, there), (b, a, back)):
            source.send(pkts)
            same(pkts, sink.receive(len(pkts)), "at the far end")
        equal(a.receive(1, 0.2) + b.receive(1, 0), [], "packets that came round again")
        pmd.command("stop")
        stats = [pmd.stats(0), pmd.stats(1)]
        pmd.command("port stop all")
        pmd.mbufs_back()
        pmd.quit()
    for port, rx, tx in ((0, there, back), (1, back, there)):
        equal(stats[port]["rx_good_packets"], len(rx), f"received by port {port}")
        equal(stats[port]["tx_good_packets"], len(tx), f"sent by port {port}")
        equal(stats[port]["rx_good_bytes"], sum(len(p.data) for p in rx), f"bytes received by port {port}")
        equal(stats[port]["tx_good_bytes"], sum(len(p.data) for p in tx), f"bytes sent by port {port}")
        if in_place:
            equal(stats[port]["tx_q0_copies"], 0, f"copies of port {port}")
        for name, value in stats[port].items():
            if re.search("bad|invalid|errors|missed|dropped|nombuf", name):
                equal(value, 0, f"{name} of port {port}")
    equal((program_of("a0"), program_of("b0")), (None, None), "programs left behind")
    return stats


PORTS = ["net_slabio0,iface=a0", "net_slabio1,iface=b0"]


def packets_cross_in_place_between_two_ports_on_one_pool(_):
    there_and_back(PORTS, expect=["a0 queues 0 to 0: native program, copy mode", "unaligned frames of 2176",
                                  "registered before"])


def so_they_do_on_a_stock_pool(_):
    os.environ["SLABIO_TEST_POOL"] = "stock"
    try:
        there_and_back(PORTS)
    finally:
        del os.environ["SLABIO_TEST_POOL"]


def so_they_do_on_hugepages(_):
    with open("/proc/meminfo", encoding="ascii") as f:
        free = int(re.search(r"HugePages_Free:\s+(\d+)", f.read()).group(1))
    if free < 64:
        raise Skip(f"needs 64 free hugepages, there are {free}")
    there_and_back(PORTS, memory=("-m", "100"))


def so_they_do_in_aligned_frames(folder):
    config = os.path.join(folder, "slab.cfg")
    with open(config, "w", encoding="ascii") as f:
        f.write("[*]\npitch=pow2\n")
    there_and_back(PORTS, env={"SLABIO_CONFIG": config}, expect=["aligned frames of 4096"])


def so_they_do_in_generic_mode(_):
    stats = there_and_back([f"{port},mode=generic" for port in PORTS], expect=["generic program, copy mode"])
    equal([s["rx_q0_is_native"] for s in stats], [0, 0], "native, by the statistics")


def so_they_do_with_busy_polling(_):
    release = tuple(map(int, re.match(r"(\d+)\.(\d+)", os.uname().release).groups()))
    try:
        with open("/proc/sys/kernel/io_uring_disabled", encoding="ascii") as f:
            allowed = f.read().strip() != "2"
    except FileNotFoundError:
        allowed = False
    # sockets on a veth know of no NAPI instance, and io_uring takes its number since Linux 6.13
    there_and_back([f"{port},busy_poll=64" for port in PORTS],
                   expect=[f"busy polling of {name} is by io_uring" for name in ("a0", "b0")]
                   if allowed and release >= (6, 13) else ())


def the_mode_asked_for_is_had_or_refused_with_the_reason(_):
    pairs("a")
    with Port(["net_slabio0,iface=a0,mode=native"]) as pmd:
        equal((program_of("a0"), pmd.stats(0)["rx_q0_is_native"]), ((1, "slabio_xdp"), 1), "native program")
        pmd.quit()
    with Port(["net_slabio0,iface=a0,mode=copy"]) as pmd:
        stats = pmd.stats(0)
        equal((stats["rx_q0_is_zero_copy"], stats["rx_q0_is_native"]), (0, 1), "zero copy, native")
        # a reset of the statistics changes nothing about the mode
        pmd.command("clear port xstats 0")
        equal(pmd.stats(0)["rx_q0_is_native"], 1, "native, after a reset")
        pmd.messages()
        pmd.commands("port stop 0", "port close 0", "port attach net_slabio1,iface=a0,mode=zerocopy",
                     "port start 0")
        lines = pmd.messages()
        check(len(lines) == 1 and "zero-copy mode: Operation not supported; the interface's driver" in lines[0],
              f"messages: {lines}")
        pmd.quit()


def a_killed_port_leaves_no_program_behind(_):
    pairs("a")
    with Port(["net_slabio0,iface=a0"]) as pmd:
        check(program_of("a0"), "there is no program")
        pmd.child.kill()
        pmd.finish()
    wait_for(lambda: program_of("a0") is None, "the program is gone")
    with Port(["net_slabio0,iface=a0"]) as pmd, Wire("a1") as wire:
        pmd.commands("set fwd rxonly", "start")
        wire.send(untagged(10))
        pmd.wait_stats(0, "received by the next one", rx_good_packets=10)
        pmd.quit()


def what_cannot_be_is_said_once_and_clearly(_):
    pairs("a", queues=2)
    good = data("small.pcap")
    attach = [
        ("iface=no-such-iface", "expected an interface of this network namespace at iface=no-such-iface"),
        ("iface=a-name-longer-than-any", "the name is too long"),
        (f"iface=a0,rx_pcap={good}", "expected iface= without rx_pcap="),
        ("iface=a0,pcap_iface=a0", "expected iface= without rx_pcap="),
        ("iface=a0,iface=a0", "expected one iface=, found a0 and a0"),
        (f"rx_pcap={good},mode=copy", "expected iface= beside mode="),
        ("iface=a0,mode=fast", "expected mode= with auto, zerocopy, copy, native or generic, found 'fast'"),
        ("iface=a0,mode=copy,mode=copy", "expected one mode=, found a second"),
        ("iface=a0,start_queue=2", "expected queues 2 to 2 (start_queue= and queue_count=) of a0, which has 2"),
        ("iface=a0,start_queue=1,queue_count=2", "expected queues 1 to 2"),
        ("iface=a0,queue_count=0", "expected queue_count= with a number from 1 to 16, found '0'"),
        ("iface=a0,start_queue=-1", "expected start_queue= with a number from 0 to 65535, found '-1'"),
        ("iface=a0,busy_poll=x", "expected busy_poll= with a number"),
        ("iface=a0,tx_csum=hw", "expected tx_csum= with auto, kernel or software, found 'hw'"),
        ("iface=a0,tx_csum=auto,tx_csum=auto", "expected one tx_csum=, found a second"),
        (f"rx_pcap={good},tx_csum=software", "expected iface= beside mode="),
    ]
    with Port([f"net_slabio0,rx_pcap={good}"]) as pmd:
        pmd.messages()
        for number, (args, expected) in enumerate(attach):
            text = pmd.command(f"port attach net_slabio{number + 1},{args}")
            lines = pmd.messages()
            equal(len(lines), 1, f"messages for {args!r}: {lines}; number")
            check(expected in lines[0], f"{args!r}: expected {expected!r} in {lines[0]!r}")
            check("is attached" not in text, f"{args!r} was attached")
        pmd.quit()


def without_the_rights_it_says_which_are_missing(_):
    pairs("a")
    if shutil.which("setpriv") is None:
        raise Skip("setpriv is not installed")
    for gone, expected in (("-net_raw", "expected to be allowed packet sockets for iface=a0, found: Operation not "
                                        "permitted; run as root or with CAP_NET_RAW"),
                           ("-bpf,-sys_admin,-net_admin", "run as root, or with CAP_BPF and CAP_NET_ADMIN")):
        argv = ["setpriv", f"--bounding-set={gone}", f"--inh-caps={gone}", "--"]
        with Port([f"net_slabio0,rx_pcap={data('small.pcap')}"], before=argv) as pmd:
            pmd.messages()
            pmd.commands("port attach net_slabio1,iface=a0", "port start 1")
            lines = pmd.messages()
            check(len(lines) == 1 and expected in lines[0], f"expected {expected!r} in {lines}")
            pmd.quit()
    equal(program_of("a0"), None, "program left behind")


def refused_at_start(vdev, options, expected):
    """A port that cannot start says why in one message, and leaves neither program nor mbufs behind."""
    with Port([f"net_slabio0,rx_pcap={data('small.pcap')}"], options=options) as pmd:
        pmd.messages()
        pmd.command(f"port attach {vdev}")
        pmd.command("port start 1")
        lines = pmd.messages()
        check(len(lines) == 1 and all(x in lines[0] for x in expected), f"expected {expected} in {lines}")
        check("Fail to start port 1" in pmd.errors, pmd.errors)
        pmd.command("port stop all")
        pmd.mbufs_back()
        pmd.quit()
    equal(program_of("a0"), None, "program left behind")


def pools_that_will_not_do_are_refused_with_the_sums(_):
    pairs("a")
    refused_at_start("net_slabio1,iface=a0", ["--mbuf-size=1024"],
                     ["at least 2048 bytes of room each", "found 1024", "--mbuf-size=2176"])
    refused_at_start("net_slabio1,iface=a0", ["--rxd=4096", "--total-num-mbufs=2048"],
                     ["expected 4096 free mbufs in pool mb_pool_0, one for each descriptor, found 2048"])


def an_interface_that_is_taken_is_refused_and_free_again_afterwards(_):
    pairs("a")
    with Port(["net_slabio0,iface=a0"]):
        refused = ["another socket has that queue"]
        with Port([f"net_slabio0,rx_pcap={data('small.pcap')}"]) as pmd:
            pmd.messages()
            pmd.commands("port attach net_slabio1,iface=a0", "port start 1")
            lines = pmd.messages()
            check(len(lines) == 1 and all(x in lines[0] for x in refused), f"expected {refused} in {lines}")
            pmd.quit()
    # nothing but the end of the first process stands in the way: it was killed a moment ago
    with Port(["net_slabio0,iface=a0"]) as pmd:
        check(program_of("a0"), "there is no program")
        pmd.quit()


if __name__ == "__main__":
    main(packets_cross_in_place_between_two_ports_on_one_pool,
         so_they_do_on_a_stock_pool,
         so_they_do_on_hugepages,
         so_they_do_in_aligned_frames,
         so_they_do_in_generic_mode,
         so_they_do_with_busy_polling,
         the_mode_asked_for_is_had_or_refused_with_the_reason,
         a_killed_port_leaves_no_program_behind,
         what_cannot_be_is_said_once_and_clearly,
         without_the_rights_it_says_which_are_missing,
         pools_that_will_not_do_are_refused_with_the_sums,
         an_interface_that_is_taken_is_refused_and_free_again_afterwards)
