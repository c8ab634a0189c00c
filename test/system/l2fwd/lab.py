# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""Runs slabio-l2fwd and slabio-worker for the tests, with names of their own, and cleans up after them."""

import argparse
import contextlib
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

WAIT_S = 20
SKIPPED = 77


class Failure(Exception):
    pass


class Skip(Exception):
    pass


def check(condition, text, *args):
    if not condition:
        raise Failure(text % args if args else text)


class Process:
    """A process with its output in a file."""

    def __init__(self, argv, env, log):
        self.argv, self.log = argv, log
        with open(log, "wb") as out:
            self.popen = subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=out,
                                          stderr=subprocess.STDOUT)

    @property
    def pid(self):
        return self.popen.pid

    def output(self):
        with open(self.log, "rb") as f:
            return f.read().decode(errors="replace")

    def wait_for(self, text, count=1, seconds=WAIT_S):
        until = time.monotonic() + seconds
        while self.output().count(text) < count:
            check(time.monotonic() < until, "no \"%s\" within %d s", text, seconds)
            check(self.popen.poll() is None or self.output().count(text) >= count,
                  "%s ended with %s before it said \"%s\"", self.argv[0], self.popen.returncode, text)
            time.sleep(0.005)

    def close_input(self):
        self.popen.stdin.close()

    def send(self, sig):
        self.popen.send_signal(sig)

    def end(self, seconds=WAIT_S):
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure("%s still runs after %d s" % (self.argv[0], seconds)) from None


class Lab:
    def __init__(self, args):
        self.args = args
        self.dir = tempfile.mkdtemp(prefix="slabio-l2fwd-test-")
        self.runtime = os.path.join("/dev/shm", os.path.basename(self.dir))
        os.mkdir(self.runtime, 0o700)
        self.env = dict(os.environ, SLABIO_RUNTIME_DIR=self.runtime)
        self.prefix = os.path.basename(self.dir)
        self.processes = []
        self.memory = ["--no-huge", "-m", "128"]
        self.name = "t%d" % os.getpid()
        self.huge = None

    def path(self, name):
        return os.path.join(self.dir, name)

    def vdev(self, number, rx=None, tx=None):
        """A port on captures. Port numbers follow the order of these arguments."""
        text = "--vdev=%s%d" % (self.args.driver, number)
        for key, value in (("rx_pcap", rx), ("tx_pcap", tx)):
            if value is not None:
                text += ",%s=%s" % (key, value)
        return text

    def run(self, argv):
        p = Process(argv, self.env, self.path("log%d" % len(self.processes)))
        self.processes.append(p)
        return p

    def l2fwd(self, ports, options, before=()):
        return self.run(list(before) + [self.args.l2fwd] + self.memory + self.eal(0) + ports
                        + ["--", "-T", "0", "--name", self.name]
                        + options)

    def eal(self, lcore):
        """EAL options that all processes of an instance have, but for the lcore's number."""
        options = ["--lcores", "%d@(0-%d)" % (lcore, os.cpu_count() - 1), "--no-pci", "--file-prefix",
                   self.prefix]
        for plugin in self.args.plugin:
            options += ["-d", plugin]
        return options

    def share_memory(self, mb=64):
        """From now on on hugepages of a mount of its own, as EAL secondaries need it."""
        if self.huge is not None:
            return
        if os.geteuid() != 0:
            raise Skip("needs root, to mount hugetlbfs")
        with open("/proc/meminfo", encoding="ascii") as f:
            free = re.search(r"HugePages_Free:\s+(\d+)", f.read())
        if free is None or int(free.group(1)) < mb:
            raise Skip("needs %d free hugepages" % mb)
        self.huge = self.path("huge")
        os.mkdir(self.huge)
        subprocess.run(["mount", "-t", "hugetlbfs", "-o", "pagesize=2M", "slabio-test", self.huge],
                       check=True)
        self.memory = ["--huge-dir", self.huge, "-m", str(mb)]

    def eal_worker(self, slot, *options, program=None):
        """An EAL worker started by hand, on an lcore id of its own."""
        return self.run([program or self.args.eal_worker] + self.memory[:2] + self.eal(10 + slot)
                        + ["--proc-type=secondary", "--no-telemetry", "--", "--attach", self.name,
                           "--slot", str(slot)] + list(options))

    def replay(self, source, sink, options, ports="3"):
        return self.l2fwd([self.vdev(0, rx=source), self.vdev(1, tx=sink)],
                          ["-p", ports, "--exit-idle", "0.3", "--stats-file", self.path("stats")]
                          + options)

    def wait_for_traffic(self):
        """Until some of what is sent to out.pcap is in that file: workers have packets by then."""
        until = time.monotonic() + WAIT_S
        while not os.path.exists(self.path("out.pcap")) or os.path.getsize(self.path("out.pcap")) <= 24:
            check(time.monotonic() < until, "nothing was sent within %d s", WAIT_S)
            time.sleep(0.002)

    def worker(self, *options, program=None):
        return self.run([program or self.args.worker, "--attach", self.name] + list(options))

    def peer(self, *options):
        return self.run([self.args.peer] + list(options))

    def stats(self):
        with open(self.path("stats"), encoding="ascii") as f:
            return json.load(f)

    def leftovers(self):
        """Names of segments that are still there."""
        return [n for n in os.listdir(self.runtime) if n != ".lock"]

    def show(self):
        for p in self.processes:
            print("---- %s\n%s" % (" ".join(p.argv), p.output()))

    def close(self):
        for p in self.processes:
            if p.popen.poll() is None:
                p.popen.kill()
                p.popen.wait()
        # workers that l2fwd started end by themselves once it is gone; their segments can then go too
        deadline = time.monotonic() + 3
        while self._workers_left() and time.monotonic() < deadline:
            time.sleep(0.05)
        # unless they hang, or a test that failed has left them stopped
        for pid in self._workers_left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.huge is not None:
            subprocess.run(["umount", "-l", self.huge], check=False)
        for path in [self.dir, self.runtime, "/var/run/dpdk/" + self.prefix]:
            shutil.rmtree(path, ignore_errors=True)
        for path in glob.glob("/dev/hugepages/slabio.*@%s.*" % self.name):
            os.unlink(path)

    def _workers_left(self):
        """Processes with this lab's runtime folder."""
        key = ("SLABIO_RUNTIME_DIR=" + self.runtime).encode()
        found = []
        for environ in glob.glob("/proc/[0-9]*/environ"):
            pid = int(environ.split("/")[2])
            with contextlib.suppress(OSError), open(environ, "rb") as f:
                if pid != os.getpid() and key in f.read().split(b"\0"):
                    found.append(pid)
        return found


def interrupted(sig, frame):
    raise Failure("interrupted by signal %d" % sig)


def run_test(args, test):
    """Runs one test. @return exit status"""
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, interrupted)
    lab = Lab(args)
    try:
        test(lab)
        print("ok: %s" % test.__name__)
        return 0
    except Skip as e:
        print("skipped: %s: %s" % (test.__name__, e))
        return SKIPPED
    except Failure as e:
        print("FAILED: %s: %s" % (test.__name__, e))
        lab.show()
        return 1
    except Exception:  # a broken test is a failed test, and the others still run
        print("FAILED: %s: %s" % (test.__name__, traceback.format_exc()))
        lab.show()
        return 1
    finally:
        lab.close()
        sys.stdout.flush()


def arguments():
    """Where things are, and which tests to run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--l2fwd", required=True)
    parser.add_argument("--worker", required=True)
    parser.add_argument("--eal-worker", required=True)
    parser.add_argument("--ctl", required=True)
    parser.add_argument("--peer", required=True)
    parser.add_argument("--half", required=True)
    parser.add_argument("--half-eal", required=True)
    parser.add_argument("--driver", default="net_slabio")
    parser.add_argument("--plugin", action="append", default=[])
    parser.add_argument("tests", nargs="+")
    return parser.parse_args()


def run_tests(args, functions):
    """Runs those of the functions that are named. @return exit status"""
    results = [run_test(args, functions[name]) for name in args.tests]
    # a failure says more than a skip
    return max(results, key=lambda result: (result not in (0, SKIPPED), result))
