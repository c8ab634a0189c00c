#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""usertools/deploy on the deployments in config/: each works as a reader would start it, and leaves nothing."""

import contextlib
import glob
import os
import re
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "pmd"))

from testpmd import (BUILD, TOP, Failed, Program, check, data, equal, need, need_root, run,  # noqa: E402
                     wait_for)
import pcapcmp  # noqa: E402

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


def deploy(path, *options):
    need_root()
    need("ip", "ethtool", "ping", "stdbuf")
    return Deploy([sys.executable, DEPLOY, "--id", ID, "--build", BUILD, *options, path])


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


def every_deployment_is_tested(_):
    names = {os.path.basename(p)[:-4] for p in glob.glob(os.path.join(CONFIG, "*.cfg"))}
    equal(names, {"mempool", "two-workers", "replay", "container"}, "files in config/")


def two_workers_join_two_namespaces_and_one_may_be_killed(_):
    with deploy(example("two-workers")) as program:
        program.expect("deploy: running")
        ping("a", "10.77.0.2")
        ping("b", "10.77.0.1")
        pid = int(re.search(r"worker 0 \(pid (\d+)\) has joined", program.output).group(1))
        os.kill(pid, signal.SIGKILL)
        program.expect(rf"worker 0 \(pid {pid}\) is gone")
        ping("a", "10.77.0.2")
        end(program)
        check("worker 1: slabio-worker 1: " in program.output, "no word of the other worker's end")


def a_capture_is_replayed_and_the_end_comes_by_itself(folder):
    with deploy(example("replay"), "--out", folder) as program:
        equal(program.finish(), 0, "exit status of deploy")
    equal(left(), [], "left behind")
    diff = pcapcmp.compare(pcapcmp.read(data("main.pcap")), pcapcmp.read(os.path.join(folder, "replay.pcap")),
                           macs=True)
    check(not diff, diff)


def a_port_in_a_containers_namespace_answers_pings(_):
    with deploy(example("container"), "--no-huge") as program:
        program.expect("deploy: running")
        ping("a", "10.77.1.2")
        end(program)


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
        two_workers_join_two_namespaces_and_one_may_be_killed,
        a_capture_is_replayed_and_the_end_comes_by_itself,
        a_port_in_a_containers_namespace_answers_pings,
        an_interrupt_while_it_starts_leaves_nothing,
        faults_in_a_file_and_failing_programs_are_told_and_leave_nothing)
