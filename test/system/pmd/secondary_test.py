#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""Secondary processes see a net_slabio port of the primary, and take nothing from it when they end."""

import contextlib
import os
import re
import subprocess

from testpmd import (Program, Skip, Testpmd, check, data, eal, equal, need, need_root, new_prefix, plugins,
                     run)
import pcapcmp


@contextlib.contextmanager
def hugepages(folder, mb=64):
    """EAL memory options for processes that share hugepages, in a mount of this test's own."""
    need_root()
    with open("/proc/meminfo") as f:
        free = re.search(r"HugePages_Free:\s+(\d+)", f.read())
    if free is None or int(free.group(1)) < mb:
        raise Skip(f"needs {mb} free hugepages")
    path = os.path.join(folder, "huge")
    os.mkdir(path)
    subprocess.run(["mount", "-t", "hugetlbfs", "-o", "pagesize=2M", "slabio-test", path], check=True)
    try:
        yield ["--huge-dir", path, "-m", str(mb)]
    finally:
        subprocess.run(["umount", path], check=True)


def secondaries_read_state_and_change_nothing(folder):
    need("dpdk-proc-info")
    into, out = data("small.pcap"), os.path.join(folder, "out.pcap")
    once = pcapcmp.read(into)
    with hugepages(folder) as memory:
        prefix = new_prefix()
        # the secondary is given the second queue
        with Testpmd([f"net_slabio0,rx_pcap={into},tx_pcap={out}"], prefix=prefix, memory=memory,
                     options=["--port-topology=loop", "--rxq=2", "--txq=2"]) as pmd:
            pmd.command("start")
            before = pmd.wait_stats(0, "primary", tx_good_packets=len(once))

            options = [*eal(prefix, memory=memory[:2]), "--proc-type=secondary"]
            # it brings its own process type and core
            argv = ["dpdk-proc-info", "--no-pci", "--file-prefix", prefix, *memory[:2], *plugins()]
            with Program([*argv, "--", "-p", "1", "--xstats"]) as info:
                equal(info.finish(), 0, "exit status of dpdk-proc-info")
                seen = dict(re.findall(r"^(\w+): (\d+)", info.output, re.M))
                for name in ("rx_good_packets", "tx_q0_packets", "rx_q0_end_of_file"):
                    equal(int(seen.get(name, -1)), before[name], f"{name} in the secondary")

            argv = ["dpdk-testpmd", *options, "--", "-i", "--num-procs=2", "--proc-id=1",
                    "--rxq=2", "--txq=2"]
            with Program(argv) as second:
                second.expect("testpmd> ")
                Testpmd.command(second, "show port stats 0")
                info = Testpmd.command(second, "show port info 0")
                check("Driver name: net_slabio" in info and "Link status: up" in info, info)
                for mode in ("rxonly", "txonly"):
                    Testpmd.command(second, f"set fwd {mode}")
                    Testpmd.command(second, "start")
                    text = Testpmd.command(second, "stop")
                    equal(set(re.findall(r"[RT]X-packets: (\d+)", text)), {"0"}, f"packets by {mode}")
                second.child.stdin.write(b"set promisc 0 off\nquit\n")
                second.child.stdin.flush()
                equal(second.finish(), 0, "exit status of the secondary")
                said = [m for m in second.messages() if "expected the primary process" in m]
                for what in ("to receive", "to send", "promiscuous"):
                    equal(sum(what in m for m in said), 1, f"messages about {what}: {said}")

            # one that names the port and its files itself, as some do, opens none of them
            argv = ["dpdk-proc-info", "--no-pci", "--file-prefix", prefix, *memory[:2], *plugins(),
                    f"--vdev=net_slabio0,rx_pcap={into},tx_pcap={out}"]
            with Program([*argv, "--", "-p", "1", "--stats"]) as info:
                equal(info.finish(), 0, "exit status of dpdk-proc-info with --vdev")
            equal(len(pcapcmp.read(out)), len(once), "packets in the file after secondaries ended")
            pmd.commands("stop", "port stop 0", "port start 0", "start")
            pmd.wait_stats(0, "primary afterwards", tx_good_packets=2 * len(once))
            pmd.commands("stop", "port stop 0")
            pmd.mbufs_back()
            pmd.quit()
    diff = pcapcmp.compare(once * 2, pcapcmp.read(out), macs=True, order="total")
    check(not diff, diff)


if __name__ == "__main__":
    run(secondaries_read_state_and_change_nothing)
