#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""Installed for real: the loader finds the library, EAL the plugins, and stock programs, primaries and
secondaries, run without -d. In a mount namespace in which /usr, /etc, /run and the hugepages are copies
that end with this process, and a network namespace: nobody else sees any of it, and what is left
afterwards can be listed."""

import os
import re
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "pmd"))

from testpmd import (BUILD, PMD, SKIP, TOP, Program, Testpmd, check, data, equal, need, run,  # noqa: E402
                     wait_for)
from staged import expected_files, log_kept, plugin_dir  # noqa: E402
from live_test import Wire, untagged, veths  # noqa: E402
import pcapcmp  # noqa: E402

COPIES = ("/usr", "/etc", "/var/cache")
# the loader's own records change with every library that comes or goes
LOADER = {"/etc/ld.so.cache", "/var/cache/ldconfig/aux-cache"}
SPACE = "/mnt"  # a tmpfs for what is written to the copies


def mount(*args):
    subprocess.run(["mount", *args], check=True)


def make_copies():
    mount("-t", "tmpfs", "slabio-test", SPACE)
    for path in COPIES:
        upper, work = (os.path.join(SPACE, kind + path.replace("/", "-")) for kind in ("upper", "work"))
        os.mkdir(upper)
        os.mkdir(work)
        lower = os.path.join(SPACE, "lower" + path.replace("/", "-"))
        os.mkdir(lower)
        mount("--bind", path, lower)
        mount("-t", "overlay", "slabio-test", "-o", f"lowerdir={lower},upperdir={upper},workdir={work}", path)
    mount("-t", "tmpfs", "slabio-test", "/run")
    os.makedirs("/dev/hugepages", exist_ok=True)
    mount("-t", "hugetlbfs", "-o", "pagesize=2M", "slabio-test", "/dev/hugepages")


def changes():
    """Files that differ from the machine's: new, changed, or removed; and new folders."""
    files, folders = set(), set()
    for path in COPIES:
        upper = os.path.join(SPACE, "upper" + path.replace("/", "-"))
        lower = os.path.join(SPACE, "lower" + path.replace("/", "-"))
        for folder, subfolders, names in os.walk(upper):
            below = os.path.relpath(folder, upper)
            files |= {os.path.normpath(os.path.join(path, below, name)) for name in names}
            folders |= {os.path.normpath(os.path.join(path, below, name)) for name in subfolders
                        if not os.path.isdir(os.path.join(lower, below, name))}
    # written anew with the same contents, as by an ldconfig that finds what it found before
    same = {f for f in files if not os.path.islink(f) and os.path.isfile(f) and f in LOADER}
    return files - same, folders


def make(goal):
    out = subprocess.run(["make", "--no-print-directory", "-C", TOP, goal, f"BUILD={BUILD}"],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    equal(out.returncode, 0, f"status of make {goal}: {out.stdout}")
    return out.stdout


def loader_knows():
    out = subprocess.run(["/sbin/ldconfig", "-p"], check=True, capture_output=True, text=True)
    return "libslabio.so.0" in out.stdout


def installed(test):
    """A test between "make install" and "make uninstall"."""
    def wrapped(folder):
        before, _ = changes()
        equal(before, set(), "files before the installation")
        with log_kept():
            text = make("install")
            try:
                check("does not look" not in text, text)
                files, _ = changes()
                equal(files, expected_files(), "files installed")
                test(folder)
            finally:
                make("uninstall")
                for name in os.listdir("/dev/hugepages"):
                    os.unlink(os.path.join("/dev/hugepages", name))
        files, folders = changes()
        equal(files, set(), "files left")
        equal([f for f in folders if "slabio" in f], [], "folders left")
        check(not loader_knows(), "the loader still knows libslabio")
    wrapped.__name__ = test.__name__
    return wrapped


def same_ops_table():
    """An environment for dpdk-pdump and dpdk-dumpcap. They make a mempool of rings for testpmd to use, and
    name its ops by an index. testpmd as Debian builds it is linked with a mempool driver, which takes
    index 0; the others have it from the folder, in another place. Nothing of this project is involved:
    beside testpmd on stock mempools, too, they capture only if both tables happen to agree."""
    linked = subprocess.run(["readelf", "-d", shutil.which("dpdk-testpmd")], check=True,
                            capture_output=True, text=True)
    first = re.findall(r"NEEDED.*\[(librte_mempool_\w+\.so[.\d]*)\]", linked.stdout)
    return {"LD_PRELOAD": " ".join(first)} if first else {}


def stock(program, *args, prefix, env=None):
    """A stock secondary process, which is told nothing of where drivers are."""
    return Program([program, "--no-pci", "--no-telemetry", "--file-prefix", prefix, "--", *args],
                   env=env)


def primary(folder, prefix, out):
    into = data("main.pcap")
    return Testpmd([f"net_slabio0,rx_pcap={into}", f"net_slabio1,tx_pcap={out}"], prefix=prefix,
                   memory=("-m", "64"))


@installed
def stock_programs_find_library_and_plugins_by_themselves(folder):
    prefix, out = "slabio-installed", os.path.join(folder, "out.pcap")
    expected = pcapcmp.read(data("main.pcap"))
    with primary(folder, prefix, out) as pmd:
        with open(f"/proc/{pmd.child.pid}/maps", encoding="utf-8") as f:
            mapped = {line.split()[-1] for line in f if "slab" in line and ".so" in line}
        equal({m for m in mapped if m.startswith(BUILD)}, set(), "libraries of the build folder in use")
        equal({os.path.join(plugin_dir(), n) for n in ("librte_mempool_slab.so", "librte_net_slabio.so")}
              <= mapped, True, f"plugins in use: {mapped}")
        equal(pmd.messages(), [], "messages of the driver")

        with stock("dpdk-proc-info", "--show-mempool=mb_pool_0", prefix=prefix) as info:
            equal(info.finish(), 0, "exit status of dpdk-proc-info")
            check(re.search(r"ops_name slab\b", info.output), info.output)
            free = int(re.search(r"Count: avail \((\d+)\)", info.output).group(1))
            check(0 < free <= 2048, f"free mbufs: {free}")

        capture = os.path.join(folder, "dumpcap.pcapng")
        with Program(["dpdk-dumpcap", "-i", "net_slabio0", "-w", capture,
                      "--file-prefix=" + prefix], env=same_ops_table()) as dumpcap:
            wait_for(lambda: dumpcap.pump(0.05) and "Capturing on" in dumpcap.output + dumpcap.errors,
                     "dpdk-dumpcap captures")
            pmd.commands("set fwd io", "start")
            pmd.wait_stats(1, "io", tx_good_packets=len(expected))
            with stock("dpdk-proc-info", "--xstats", "-p", "3", prefix=prefix) as info:
                equal(info.finish(), 0, "exit status of dpdk-proc-info")
                found = re.findall(r"^(?:rx|tx)_good_packets: (\d+)", info.output, re.M)
                equal(sorted(map(int, found))[-2:], [len(expected)] * 2, "packets by dpdk-proc-info")
            # it must not end while testpmd forwards: it frees its mempool without waiting
            pmd.command("stop")
            dumpcap.child.send_signal(signal.SIGINT)
            equal(dumpcap.finish(), 0, "exit status of dpdk-dumpcap")
        check_capture(capture, expected)
        pmd.command("port stop all")
        pmd.mbufs_back()
        pmd.quit()
    diff = pcapcmp.compare(expected, pcapcmp.read(out), macs=True, order="total")
    check(not diff, diff)


def check_capture(capture, expected):
    """tshark finds the packets that came in, byte for byte, in order."""
    need("tshark")
    listed = subprocess.run(["tshark", "-r", capture, "-T", "fields", "-e", "frame.len"], check=True,
                            capture_output=True, text=True, env={**os.environ, "HOME": "/nonexistent"})
    equal([int(n) for n in listed.stdout.split()], [len(p.data) for p in expected], "lengths by tshark")
    diff = pcapcmp.compare(expected, pcapcmp.read(capture), macs=True, order="total")
    check(not diff, diff)


@installed
def pdump_captures_what_a_port_sends(folder):
    prefix, capture = "slabio-pdump", os.path.join(folder, "pdump.pcap")
    veths("a", "b")
    pkts = untagged(200)
    with Wire("a1") as a, Wire("b1") as b, \
            Testpmd(["net_slabio0,pcap_iface=a0", "net_slabio1,pcap_iface=b0"], prefix=prefix,
                    memory=("-m", "64")) as pmd:
        # started before: with the port that dpdk-pdump makes for its file, testpmd would refuse
        pmd.commands("set fwd mac", "start")
        with stock("dpdk-pdump", "--pdump", f"port=1,queue=*,tx-dev={capture}", prefix=prefix,
                   env=same_ops_table()) as pdump:
            pdump.expect("capture for")
            a.send(pkts)
            sent = b.receive(len(pkts))
            equal(len(sent), len(pkts), "packets sent")
            pmd.command("stop")
            pdump.child.send_signal(signal.SIGINT)
            equal(pdump.finish(), 0, "exit status of dpdk-pdump")
            diff = pcapcmp.compare(sent, pcapcmp.read(capture), macs=True, order="total")
            check(not diff, diff)
        pmd.quit()


@installed
def plugins_given_with_d_go_before_installed_ones(folder):
    """As when a build is tried on a machine that has slabio installed."""
    out = os.path.join(folder, "out.pcap")
    expected = pcapcmp.read(data("small.pcap"))
    del os.environ["SLABIO_TEST_INSTALLED"]
    try:
        with Testpmd([f"net_slabio0,rx_pcap={data('small.pcap')},tx_pcap={out}"],
                     options=["--port-topology=loop"]) as pmd:
            pmd.commands("set fwd io", "start")
            pmd.wait_stats(0, "io", tx_good_packets=len(expected))
            pmd.command("stop")
            check("SLAB: " not in pmd.output + pmd.errors, "messages of the second copy")
            with open(f"/proc/{pmd.child.pid}/maps", encoding="utf-8") as f:
                check(PMD in f.read(), "the build's driver is not loaded")
            pmd.quit()
    finally:
        os.environ["SLABIO_TEST_INSTALLED"] = "1"
    equal(len(pcapcmp.read(out)), len(expected), "packets sent")


@installed
def installed_tools_run_as_they_are(folder):
    out, stats = os.path.join(folder, "out.pcap"), os.path.join(folder, "stats.json")
    cores = sorted(os.sched_getaffinity(0))
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
    with Program(["slabio-l2fwd", "--lcores", f"0@{cores[0]}", "--no-pci", "--no-huge", "-m", "128",
                  "--file-prefix", "slabio-tools", "--vdev=net_slabio0,rx_pcap=/usr/local/share/slabio/main.pcap",
                  f"--vdev=net_slabio1,tx_pcap={out}", "--", "-p", "3", "-T", "0", "--workers", "2",
                  "--no-mac-updating", "--backpressure", "1000", "--exit-idle", "1", "--stats-file", stats],
                 env=env) as l2fwd:
        equal(l2fwd.finish(), 0, "exit status of slabio-l2fwd")
    diff = pcapcmp.compare(pcapcmp.read(data("main.pcap")), pcapcmp.read(out), macs=True)
    check(not diff, diff)
    with Program(["testpmd-bench", "--no-huge", "--pairs", "1", "--seconds", "0.05", "--repeats", "0",
                  "--mbufs", "4096", "--what", "pools", "--modes", "io", "--mbcache", "0"], env=env) as bench:
        equal(bench.finish(60), 0, "exit status of testpmd-bench")
    with Program(["slabio-bench", "--no-huge", "-m", "256", "--", "--pairs", "1", "--ms", "2", "--objects",
                  "4095", "--bulk", "32", "--pattern", "getput", "mempool"], env=env) as bench:
        equal(bench.finish(60), 0, "exit status of slabio-bench")
    with Program(["slabioctl", "list"], env=env) as ctl:
        equal(ctl.finish(), 0, "exit status of slabioctl")


if __name__ == "__main__":
    if "SLABIO_TEST_IN_MOUNTNS" not in os.environ:
        if os.geteuid() != 0 or not all(map(shutil.which, (
                "unshare", "mount", "make", "ip", "ethtool", "dpdk-testpmd", "dpdk-dumpcap", "dpdk-pdump"))):
            print("skipped: needs root, unshare, mount, make and DPDK's programs")
            sys.exit(SKIP)
        if subprocess.run(["unshare", "--net", "--mount", "--propagation", "private", "true"],
                          check=False).returncode != 0:
            print("skipped: no namespaces to be had here, as in a container or a chroot")
            sys.exit(SKIP)
        with open("/proc/meminfo", encoding="ascii") as meminfo:
            if int(re.search(r"HugePages_Free:\s+(\d+)", meminfo.read()).group(1)) < 128:
                print("skipped: needs 128 free hugepages")
                sys.exit(SKIP)
        os.environ["SLABIO_TEST_IN_MOUNTNS"] = "1"
        os.execvp("unshare", ["unshare", "--net", "--mount", "--propagation", "private", sys.executable, *sys.argv])
    make_copies()
    with open("/proc/sys/net/ipv6/conf/default/disable_ipv6", "w", encoding="ascii") as f:
        f.write("1")
    os.environ["SLABIO_TEST_INSTALLED"] = "1"
    # "meson test" names the build's libraries in it
    os.environ.pop("LD_LIBRARY_PATH", None)
    run(stock_programs_find_library_and_plugins_by_themselves,
        pdump_captures_what_a_port_sends,
        plugins_given_with_d_go_before_installed_ones,
        installed_tools_run_as_they_are)
