# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""DPDK's own examples, built unmodified from the distribution's source, and what their tests share."""

import os
import subprocess

from testpmd import BUILD, TOP, Skip, check, data, eal, equal, need, wait_for
import pcapcmp

EXAMPLES = os.path.join(BUILD, "examples")


def example(name):
    need("stdbuf", "pkg-config", "cc")
    script = os.path.join(TOP, "usertools", "dpdk-examples.sh")
    built = subprocess.run([script, EXAMPLES, name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
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
            check(program.child.poll() is None, "the program has ended")
            return arrived(path, len(expected[i]))

        found = wait_for(ready, f"{len(expected[i])} packets in {path}")
        diff = pcapcmp.compare(expected[i], found, macs=macs, order="total")
        check(not diff, f"port {i} to port {1 - i}: {diff}")
        yield 1 - i, found


def lcores(count, first=0, **options):
    """EAL options for a process with so many lcores, however few CPUs there are. Not for service cores. No two
    processes that use one mempool have an lcore id in common."""
    argv = eal(**options)
    allowed = sorted(os.sched_getaffinity(0))
    argv[1] = ",".join(f"{i}@{allowed[i % len(allowed)]}" for i in range(first, first + count))
    return argv
