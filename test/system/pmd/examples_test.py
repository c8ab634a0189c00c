#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""DPDK's own examples, built from the distribution's source, run unmodified on net_slabio's capture files."""

import os
import signal

from examples import arrived, check_crossed, example, lcores, two_ports
from testpmd import Program, check, eal, equal, run, wait_for
import pcapcmp

MEMORY = ("--no-huge", "-m", "768")  # their mempools are sized for fast cards


def l2fwd_forwards_with_changed_addresses_and_ends_at_a_signal(folder):
    vdevs, expected, outputs = two_ports(folder)
    argv = [example("l2fwd"), *eal(), *vdevs, "--", "-p", "0x3", "-T", "0"]
    with Program(argv) as program:
        for port, found in check_crossed(program, expected, outputs, macs=False):
            for p in found:
                equal(p.data[:12].hex(), f"0200000000{port:02x}02736c6100{port:02x}", "addresses")
        program.child.send_signal(signal.SIGINT)
        equal(program.finish(), 0, "exit status of l2fwd")
        check("Closing port 1... Done" in program.output, "l2fwd did not close its ports")


def l2fwd_without_a_usable_port_ends_with_an_error(folder):
    argv = [example("l2fwd"), *eal(), "--vdev=net_slabio0,rx_pcap=/none",
            "--", "-p", "0x1"]
    with Program(argv) as program:
        status = program.finish()
        check(status > 0, f"status {status}")
        lines = program.messages()
        check(len(lines) == 1 and "expected a capture file" in lines[0], lines)


def skeleton_forwards_and_what_it_sent_outlives_its_sudden_end(folder):
    vdevs, expected, outputs = two_ports(folder)
    argv = [example("skeleton"), *eal(), *vdevs]
    with Program(argv) as program:
        for _ in check_crossed(program, expected, outputs, macs=True):
            pass
        # it has no handler for signals: nobody stops or closes the ports
        program.child.kill()
        equal(program.finish(), -signal.SIGKILL, "exit status of skeleton")
    for i in (0, 1):
        equal(len(pcapcmp.read(outputs[1 - i])), len(expected[i]), f"packets out of port {1 - i}")


def rxtx_callbacks_forwards_and_times_every_packet(folder):
    vdevs, expected, outputs = two_ports(folder)
    with Program([example("rxtx_callbacks"), *eal(memory=MEMORY), *vdevs]) as program:
        for _ in check_crossed(program, expected, outputs, macs=True):
            pass


def event_mode(folder, options, app):
    """Both modes of l2fwd-event: addresses change as l2fwd changes them."""
    vdevs, expected, outputs = two_ports(folder)
    argv = [example("l2fwd-event"), *options, *vdevs, "--", "-p", "0x3", "-q", "2", "-T", "0", *app]
    with Program(argv) as program:
        for port, found in check_crossed(program, expected, outputs, macs=False):
            equal({p.data[:6].hex() for p in found}, {f"0200000000{port:02x}"}, "destinations")
        program.child.send_signal(signal.SIGINT)
        equal(program.finish(), 0, "exit status of l2fwd-event")


def l2fwd_event_polls(folder):
    event_mode(folder, eal(memory=MEMORY), ["--mode=poll"])


def l2fwd_event_schedules_packets_by_a_software_event_device(folder):
    # lcore 1 runs the event device and the adapters, lcore 2 the application
    event_mode(folder, [*lcores(3, memory=MEMORY), "-S", "1", "--vdev=event_sw0"],
               ["--mode=eventdev", "--eventq-sched=atomic"])


def packet_ordering_keeps_the_order_over_two_workers(folder):
    """It sends in bursts of 32 and never flushes: what is behind the last whole burst stays with it."""
    vdevs, expected, outputs = two_ports(folder)
    with Program([example("packet_ordering"), *lcores(4, memory=MEMORY), *vdevs, "--", "-p", "0x3"]) as program:
        for i in (0, 1):
            whole = len(expected[i]) // 32 * 32
            def ready():
                program.pump(0)
                return arrived(outputs[1 - i], whole)
            found = wait_for(ready, f"{whole} packets out of port {1 - i}")
            diff = pcapcmp.compare(expected[i][:len(found)], found, macs=True, order="total")
            check(not diff, f"port {i} to port {1 - i}: {diff}")
        program.child.send_signal(signal.SIGINT)
        equal(program.finish(), 0, "exit status of packet_ordering")


def symmetric_mp_of_one_process_forwards_without_rss_and_checksums(folder):
    """Ports of capture files have one queue with packets and no RSS, and are polled by the primary alone:
    with two processes see examples_tap_test.py."""
    vdevs, expected, outputs = two_ports(folder)
    argv = [example("symmetric_mp"), *eal(memory=MEMORY), *vdevs, "--", "-p", "3", "--num-procs=1",
            "--proc-id=0"]
    with Program(argv) as program:
        for _ in check_crossed(program, expected, outputs, macs=True):
            pass
        program.child.send_signal(signal.SIGINT)
        program.expect(rf"Port 0: RX - {len(expected[0])}, TX - {len(expected[1])}, Drop - 0")
        equal(program.finish(), 0, "exit status of symmetric_mp")


if __name__ == "__main__":
    run(l2fwd_forwards_with_changed_addresses_and_ends_at_a_signal,
        l2fwd_without_a_usable_port_ends_with_an_error,
        skeleton_forwards_and_what_it_sent_outlives_its_sudden_end,
        rxtx_callbacks_forwards_and_times_every_packet,
        l2fwd_event_polls,
        l2fwd_event_schedules_packets_by_a_software_event_device,
        packet_ordering_keeps_the_order_over_two_workers,
        symmetric_mp_of_one_process_forwards_without_rss_and_checksums)
