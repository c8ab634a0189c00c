#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""usertools/deploy on the deployments in config/: each works as a reader would start it, and leaves nothing."""

import contextlib
import glob
import json
import os
import re
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "pmd"))

from testpmd import (BUILD, TOP, Failed, Program, Skip, check, data, equal, need, need_root, run,  # noqa: E402
                     wait_for)
import pcapcmp  # noqa: E402

sys.path.insert(0, os.path.join(TOP, "usertools"))

import live_port  # noqa: E402

DEPLOY = os.path.join(TOP, "usertools", "deploy")
CONFIG = os.path.join(TOP, "config")
ID = f"siodep{os.getpid()}"


class Deploy(Program):
    def __exit__(self, *exc):
        """Also when a check failed, it is to take down what it has made."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGINT)
            with contextlib.suppress(Failed):
                self.finish()
        super().__exit__(*exc)


def deploy(path, *options, live=""):
    need_root()
    need("ip", "ethtool", "ping", "stdbuf")
    return Deploy([sys.executable, DEPLOY, "--id", ID, "--build", BUILD, *options, path],
                  env={"SLABIO_LIVE": live} if live else None)


def name_of(pid):
    """A process's program; "" once it has ended."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8") as f:
        return f.read().strip()
    return ""


def example(name):
    return os.path.join(CONFIG, name + ".cfg")


def left():
    """What a deployment could leave behind."""
    names = subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True).stdout
    found = [n for n in names.split() if n.startswith(ID + ".")]
    found += [p for p in (f"/dev/shm/{ID}", f"/var/run/dpdk/{ID}") if os.path.exists(p)]
    with open("/proc/mounts", encoding="utf-8") as f:
        for mount in {line.split()[1] for line in f if line.split()[2] == "hugetlbfs"}:
            found += glob.glob(f"{mount}/{ID}map_*") + glob.glob(f"{mount}/slabio.*@{ID}.*")
    return found


def end(program, status=0):
    program.child.send_signal(signal.SIGINT)
    equal(program.finish(), status, "exit status of deploy")
    equal(left(), [], "left behind")


def ping(namespace, address):
    """All are answered, however late: with several at a time, ping counts late answers as lost."""
    for _ in range(10):
        out = subprocess.run(["ip", "netns", "exec", f"{ID}.{namespace}", "ping", "-q", "-c", "1", "-W", "10",
                              address], capture_output=True, text=True)
        check(" 0% packet loss" in out.stdout, out.stdout + out.stderr)


def program_of(namespace, interface):
    """Whether an XDP program is on an interface."""
    out = subprocess.run(["ip", "-n", f"{ID}.{namespace}", "-json", "link", "show", interface], check=True,
                         capture_output=True, text=True).stdout
    return "xdp" in json.loads(out)[0]


def need_xdp():
    why = live_port.missing(os.path.join(BUILD, "drivers", "net", "slabio", "librte_net_slabio.so"))
    if why:
        raise Skip(why)


def every_deployment_is_tested(_):
    names = {os.path.basename(p)[:-4] for p in glob.glob(os.path.join(CONFIG, "*.cfg"))}
    equal(names, {"mempool", "two-workers", "replay", "container"}, "files in config/")


def two_workers_on(live):
    """Pings both ways, also after the kill of a worker."""
    with deploy(example("two-workers"), live=live) as program:
        program.expect("deploy: running")
        equal(program_of("m", "port0"), live == "afxdp", "an XDP program on port0")
        ping("a", "10.77.0.2")
        ping("b", "10.77.0.1")
        pid = int(re.search(r"worker 0 \(pid (\d+)\) has joined", program.output).group(1))
        os.kill(pid, signal.SIGKILL)
        program.expect(rf"worker 0 \(pid {pid}\) is gone")
        ping("a", "10.77.0.2")
        end(program)
        check("worker 1: slabio-worker 1: " in program.output, "no word of the other worker's end")


def two_workers_join_two_namespaces_through_af_xdp_and_one_may_be_killed(_):
    need_xdp()
    two_workers_on("afxdp")


def two_workers_join_two_namespaces_through_libpcap_and_one_may_be_killed(_):
    two_workers_on("pcap")


def the_best_ports_there_are_are_chosen_and_told(_):
    name, why = live_port.choose(os.path.join(BUILD, "drivers", "net", "slabio", "librte_net_slabio.so"))
    with deploy(example("two-workers")) as program:
        program.expect(re.escape(f"deploy: ports of interfaces are {name}=: {why}"))
        program.expect("deploy: running")
        equal(program_of("m", "port0"), name == "iface", "an XDP program on port0")
        end(program)
    with deploy(example("two-workers"), live="verbs") as program:
        equal(program.finish(), 1, "exit status with an unknown SLABIO_LIVE")
        check('found "verbs"' in program.errors, program.errors)
    equal(left(), [], "left behind")


def a_killed_primary_leaves_no_program_on_its_interfaces(_):
    need_xdp()
    with deploy(example("two-workers"), live="afxdp") as program:
        program.expect("deploy: running")
        check(program_of("m", "port0") and program_of("m", "port1"), "no XDP program on the ports")
        pids = subprocess.run(["ip", "netns", "pids", f"{ID}.m"], check=True, capture_output=True, text=True)
        primary = [p for p in pids.stdout.split() if name_of(p) == "slabio-l2fwd"]
        equal(len(primary), 1, "primaries")
        # deploy itself is stopped meanwhile, or the interfaces would be gone
        program.child.send_signal(signal.SIGSTOP)
        try:
            os.kill(int(primary[0]), signal.SIGKILL)
            wait_for(lambda: not program_of("m", "port0") and not program_of("m", "port1"), "detaching")
        finally:
            program.child.send_signal(signal.SIGCONT)
        check(program.finish() != 0, "deploy calls that a success")
    equal(left(), [], "left behind")


def a_capture_is_replayed_at_its_pace_and_the_end_comes_by_itself(folder):
    with deploy(example("replay"), "--out", folder) as program:
        equal(program.finish(), 0, "exit status of deploy")
    equal(left(), [], "left behind")
    given, got = (pcapcmp.read(p) for p in (data("main.pcap"), os.path.join(folder, "replay.pcap")))
    diff = pcapcmp.compare(given, got, macs=True)
    check(not diff, diff)
    # a busy machine makes packets late; 0.3 s is how much the first one may be
    for number, (was, now) in enumerate(zip(given, got)):
        due, came = (was.ns - given[0].ns) / 4, now.ns - got[0].ns
        check(came > due - 0.3e9, f"packet {number} is due after {due / 1e9} s, came after {came / 1e9} s")


def container_on(live):
    with deploy(example("container"), "--no-huge", live=live) as program:
        program.expect("deploy: running")
        equal(program_of("c", "eth0"), live == "afxdp", "an XDP program in the container")
        ping("a", "10.77.1.2")
        end(program)


def an_af_xdp_port_in_a_containers_namespace_answers_pings(_):
    need_xdp()
    container_on("afxdp")


def a_libpcap_port_in_a_containers_namespace_answers_pings(_):
    container_on("pcap")


def an_interrupt_while_it_starts_leaves_nothing(_):
    with deploy(example("two-workers")) as program:
        wait_for(left, "the beginning")
        program.child.send_signal(signal.SIGTERM)
        check(program.finish() in (0, 1, 128 + signal.SIGTERM), f"exit status {program.child.returncode}")
    equal(left(), [], "left behind")


def faults_in_a_file_and_failing_programs_are_told_and_leave_nothing(folder):
    good = "[primary]\nprogram=slabio-l2fwd\neal=-l 0 --no-pci\n"
    for text, message in (
            ("", "expected program= in [primary]"),
            (good + "speed=9\n", 'found "speed"'),
            (good + "[workers]\n", 'found "workers"'),
            (good + "[deployment]\nlab=moon\n", 'found "moon"'),
            (good.replace("slabio-l2fwd", "no-such-program"), "no-such-program"),
            (good + "port0=rx_pcap=/none\noptions=-p 1\nrunning=forwarding\n", "it has ended"),
            (good + "running=forwarding\n[deployment]\nlab=veth\n", "it has ended")):
        path = os.path.join(folder, "bad.cfg")
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        with deploy(path, "--no-huge") as program:
            equal(program.finish(), 1, f"exit status for {text!r}: {program.output}")
            check(message in program.errors, f"expected {message!r}, found {program.errors!r}")
        equal(left(), [], f"left behind by {text!r}")


if __name__ == "__main__":
    run(every_deployment_is_tested,
        two_workers_join_two_namespaces_through_af_xdp_and_one_may_be_killed,
        two_workers_join_two_namespaces_through_libpcap_and_one_may_be_killed,
        the_best_ports_there_are_are_chosen_and_told,
        a_killed_primary_leaves_no_program_on_its_interfaces,
        a_capture_is_replayed_at_its_pace_and_the_end_comes_by_itself,
        an_af_xdp_port_in_a_containers_namespace_answers_pings,
        a_libpcap_port_in_a_containers_namespace_answers_pings,
        an_interrupt_while_it_starts_leaves_nothing,
        faults_in_a_file_and_failing_programs_are_told_and_leave_nothing)
