# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""What the system tests that drive stock DPDK programs share: finding things, a working folder of
their own, a running testpmd to talk to, checks and a result."""

import contextlib
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

# pcapcmp, which other tests and the demo use as well
sys.path.insert(0, os.path.realpath(os.path.join(os.path.dirname(__file__), "..")))

SKIP = 77

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
BUILD = os.environ.get("SLABIO_BUILD", os.path.join(TOP, "build"))
DATA = os.path.join(TOP, "test", "data")
PMD = os.path.join(BUILD, "drivers", "net", "slabio", "librte_net_slabio.so")
MEMPOOL = os.path.join(BUILD, "drivers", "mempool", "slab", "librte_mempool_slab.so")

TIMEOUT = 20  # seconds that any single step may take


class Skip(Exception):
    """The test cannot run here; the reason is its text."""


class Failed(Exception):
    """A check did not hold."""


def check(condition, message):
    if not condition:
        raise Failed(message)


def equal(found, expected, what):
    check(found == expected, f"{what}: expected {expected!r}, found {found!r}")


def need(*programs):
    for program in programs:
        if shutil.which(program) is None:
            raise Skip(f"{program} is not installed")


def need_root():
    if os.geteuid() != 0:
        raise Skip("needs root")


def data(name):
    path = os.path.join(DATA, name)
    check(os.path.exists(path), f"expected the capture {path}")
    return path


def plugins():
    """The drivers to load, and the mbuf pool to ask for. More EAL options: SLABIO_TEST_EAL. With
    SLABIO_TEST_INSTALLED in the environment EAL has to find the drivers by itself."""
    if os.environ.get("SLABIO_TEST_INSTALLED"):
        return ["--mbuf-pool-ops-name=slab"]
    if not os.path.exists(PMD):
        raise Skip(f"{PMD} was not built")
    options = ["-d", PMD]
    if os.path.exists(MEMPOOL) and os.environ.get("SLABIO_TEST_POOL", "slab") == "slab":
        options += ["-d", MEMPOOL, "--mbuf-pool-ops-name=slab"]
    return options + os.environ.get("SLABIO_TEST_EAL", "").split()


prefixes = []


def new_prefix():
    """An EAL file prefix that nobody else uses; what EAL leaves under it goes with the working folder."""
    prefixes.append(f"slabio-test-{os.getpid()}-{len(prefixes)}")
    return prefixes[-1]


def forget_prefixes():
    while prefixes:
        shutil.rmtree(f"/var/run/dpdk/{prefixes.pop()}", ignore_errors=True)


def eal(prefix=None, memory=("--no-huge", "-m", "128"), lcores=2):
    """EAL options for a process with two lcores or more (on one core, if it may use no more); by default a
    primary with a prefix of its own, without hugepages."""
    prefix = prefix or new_prefix()
    allowed = sorted(os.sched_getaffinity(0))
    where = ",".join(f"{i}@{allowed[-1 if i % 2 else 0]}" for i in range(lcores))
    return ["--lcores", where, "--no-pci", "--file-prefix", prefix,
            *memory, *plugins()]


@contextlib.contextmanager
def workdir():
    """A folder of this test's own, in the working directory of its processes; gone afterwards. Slab
    pools get a runtime folder of their own too."""
    runtime = tempfile.mkdtemp(prefix="slabio-test-", dir="/dev/shm")
    os.environ["SLABIO_RUNTIME_DIR"] = runtime
    path = tempfile.mkdtemp(prefix="slabio-test-")
    try:
        yield path
    finally:
        forget_prefixes()
        shutil.rmtree(path, ignore_errors=True)
        shutil.rmtree(runtime, ignore_errors=True)


@contextlib.contextmanager
def small_disk(folder, size):
    need_root()
    path = os.path.join(folder, "disk")
    os.mkdir(path)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "slabio-test", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


def wait_for(condition, what, timeout=TIMEOUT):
    """Waits until condition() is true, and returns what it returned."""
    end = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        check(time.monotonic() < end, f"{what}: did not happen within {timeout} s")
        time.sleep(0.02)


class Program:
    """A child process whose output is kept, and which never outlives the test."""

    def __init__(self, argv, env=None, **kwargs):
        self.argv = argv
        self.output = ""
        self.errors = ""
        self.errors_seen = 0
        # unbuffered, so that what two layers print comes in the order they print it
        self.child = subprocess.Popen(["stdbuf", "-o0", *argv], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                      env={**os.environ, **(env or {})}, **kwargs)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        self.pump(0)
        self.child.stdout.close()
        self.child.stderr.close()
        with contextlib.suppress(OSError):
            self.child.stdin.close()
        if exc[0] is not None and exc[0] is not Skip:
            print(f"--- output of {' '.join(self.argv)}:\n{self.output[-6000:]}\n"
                  f"--- its errors:\n{self.errors[-6000:]}\n---", flush=True)

    def pump(self, seconds):
        """Reads what there is, waiting at most so long for something; false at the end of output."""
        out, err = self.child.stdout, self.child.stderr
        ready = select.select([out, err], [], [], seconds)[0]
        ended = 0
        for stream in ready:
            chunk = os.read(stream.fileno(), 65536)
            ended += not chunk
            if stream is out:
                self.output += chunk.decode(errors="replace")
            else:
                self.errors += chunk.decode(errors="replace")
        return ended < 2

    def messages(self):
        """What the driver under test has logged since the last call, line by line."""
        had = -1
        while had < len(self.errors):
            had = len(self.errors)
            self.pump(0)
        seen, self.errors_seen = self.errors_seen, len(self.errors)
        return [line for line in self.errors[seen:].splitlines() if line.startswith("slabio: ")]

    def expect(self, pattern, since=0, timeout=TIMEOUT):
        """Waits for a pattern in the output from an offset on; returns the match."""
        end = time.monotonic() + timeout
        regex = re.compile(pattern)
        while True:
            match = regex.search(self.output, since)
            if match:
                return match
            left = end - time.monotonic()
            check(left > 0, f"expected {pattern!r} within {timeout} s")
            check(self.pump(min(left, 0.5)), f"expected {pattern!r}, the program ended instead")

    def finish(self, timeout=TIMEOUT):
        """Waits for the end; returns the exit status."""
        end = time.monotonic() + timeout
        while self.pump(0.2):
            check(time.monotonic() < end, f"expected the program to end within {timeout} s")
        return self.child.wait(timeout)


# What testpmd says of events, from another thread and between any two characters of its prompt's
# line, which it writes one by one.
EVENT = r"(?:\r?\n?Port \d+: [\w ]+ event\r?\n)*"


def typed(text):
    """A pattern for text that events may have come into."""
    return EVENT.join(re.escape(character) for character in text)


class Testpmd(Program):
    """A stock testpmd at its prompt."""

    def __init__(self, vdevs=(), options=(), env=None, cwd=None, before=(), **eal_options):
        """before: a program and its arguments that runs testpmd."""
        need("dpdk-testpmd", "stdbuf")
        argv = [*before, "dpdk-testpmd", *eal(**eal_options)]
        for vdev in vdevs:
            argv.append(f"--vdev={vdev}")
        argv += ["--", "-i", "--no-flush-rx", "--total-num-mbufs=2048", "--mbcache=32", *options]
        super().__init__(argv, env=env, cwd=cwd)
        try:
            self.expect(r"testpmd> ")
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise

    def command(self, line):
        """Gives a command and returns what it printed."""
        since = len(self.output)
        self.child.stdin.write(line.encode() + b"\n")
        self.child.stdin.flush()
        echo = self.expect(typed(line) + EVENT + r"\r?\n", since)
        prompt = self.expect(typed("testpmd> "), echo.end())
        return self.output[echo.end():prompt.start()]

    def commands(self, *lines):
        return "".join(self.command(line) for line in lines)

    def stats(self, port):
        """Basic and extended statistics, by name."""
        text = self.command(f"show port xstats {port}")
        return {name: int(value) for name, value in re.findall(r"^(\w+): (\d+)\r?$", text, re.M)}

    def wait_stats(self, port, what, timeout=TIMEOUT, **expected):
        def reached():
            now = self.stats(port)
            return now if all(now.get(name, 0) >= value for name, value in expected.items()) else None
        return wait_for(reached, f"{what}: {expected} on port {port}", timeout)

    def mbufs_back(self):
        """No mbuf is out while ports are stopped: those in the pool and its caches are all there are."""
        text = self.command("dump_mempool")
        names = set(re.findall(r"mempool <(mb_pool_\w+)>", text))
        check(names, "testpmd has no mbuf pool")
        for name in names:
            text = self.command(f"dump_mempool {name}")
            size = int(re.search(r"^\s+size=(\d+)", text, re.M).group(1))
            cached = int(re.search(r"total_cache_count=(\d+)", text).group(1))
            common = int(re.search(r"common_pool_count=(\d+)", text).group(1))
            equal(cached + common, size, f"mbufs of {name} that are free")

    def quit(self):
        self.child.stdin.write(b"quit\n")
        self.child.stdin.flush()
        equal(self.finish(), 0, "exit status of testpmd")


def interrupted(number, _):
    """Everything is taken down on the way out."""
    sys.exit(f"interrupted by signal {number}")


def run(*tests):
    """Runs tests, or those named on the command line, and exits with the result of all."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    wanted = sys.argv[1:]
    failed = skipped = 0
    for test in tests:
        if wanted and test.__name__ not in wanted:
            continue
        start = time.monotonic()
        try:
            with workdir() as path:
                test(path)
            result = "ok"
        except Skip as reason:
            result, skipped = f"skipped: {reason}", skipped + 1
        except Failed as reason:
            result, failed = f"FAILED: {reason}", failed + 1
            traceback.print_exc()
        except Exception as error:  # a broken test is a failed test, and the others still run
            result, failed = f"FAILED: {error!r}", failed + 1
            traceback.print_exc()
        print(f"{test.__name__}: {result} ({time.monotonic() - start:.1f} s)", flush=True)
    sys.exit(1 if failed else SKIP if skipped else 0)
