#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""DPDK's own l2fwd and skeleton, built from the distribution's source, run unmodified on net_slabio."""

import os
import signal
import subprocess

from testpmd import BUILD, TOP, Failed, Program, Skip, check, data, eal, equal, need, run, wait_for
import pcapcmp

EXAMPLES = os.path.join(BUILD, "examples")


def example(name):
    need("stdbuf", "pkg-config", "cc")
    script = os.path.join(TOP, "usertools", "dpdk-examples.sh")
    built = subprocess.run([script, EXAMPLES], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if built.returncode == 77:
        raise Skip(built.stdout.strip())
    equal(built.returncode, 0, f"status of dpdk-examples.sh: {built.stdout}")
    return os.path.join(EXAMPLES, name)


def two_ports(folder):
    """Arguments for two ports; what they read and the files they write."""
    inputs = [data("main.pcap"), data("small.pcapng")]
    outputs = [os.path.join(folder, f"out{i}.pcap") for i in (0, 1)]
    vdevs = [f"--vdev=net_slabio{i},rx_pcap={inputs[i]},tx_pcap={outputs[i]}" for i in (0, 1)]
    return vdevs, [pcapcmp.read(p) for p in inputs], outputs


def arrived(path, count):
    """The packets of a file that is being written, once there are as many as expected."""
    found = []
    try:
        found.extend(pcapcmp.packets(path))
    except (OSError, pcapcmp.CaptureError):
        return None
    return found if len(found) >= count else None


def check_crossed(program, expected, outputs, macs):
    """Each port's input comes out of the other one, whole and in order."""
    for i in (0, 1):
        path = outputs[1 - i]

        def ready():
            program.pump(0)
            return arrived(path, len(expected[i]))

        found = wait_for(ready, f"{len(expected[i])} packets in {path}")
        diff = pcapcmp.compare(expected[i], found, macs=macs, order="total")
        check(not diff, f"port {i} to port {1 - i}: {diff}")
        yield 1 - i, found


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


if __name__ == "__main__":
    run(l2fwd_forwards_with_changed_addresses_and_ends_at_a_signal,
        l2fwd_without_a_usable_port_ends_with_an_error,
        skeleton_forwards_and_what_it_sent_outlives_its_sudden_end)
