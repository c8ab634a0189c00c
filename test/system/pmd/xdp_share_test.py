#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""AF_XDP ports whose queues several processes poll: a queue each, a secondary that is killed under traffic, ports that
are stopped and started under a living one, and one that is stopped itself."""

import contextlib
import os
import re
import signal
import time

from live_test import Wire, link, untagged
from secondary_test import hugepages
from testpmd import BUILD, MEMPOOL, Program, Skip, check, eal, equal, new_prefix, wait_for
from xdp_life_test import cross, traffic
from xdp_offload_test import summed, wrongly_summed
from xdplab import main, pairs
import pcapcmp

SHARE_PORT = os.path.join(BUILD, "test", "system", "pmd", "share_port")
VDEVS = ["--vdev=net_slabio0,iface=a0", "--vdev=net_slabio1,iface=b0"]
MBUFS = 8192


class Share(Program):
    """One of the processes; more: arguments of the ports."""

    def __init__(self, options, kind, env, vdevs=VDEVS, more=""):
        argv = [*options, *([vdev + more for vdev in vdevs] if kind == "primary" else ()), f"--proc-type={kind}"]
        super().__init__([SHARE_PORT, *argv], env=env)
        try:
            self.expect("ready\n")
        except BaseException:
            self.__exit__(Exception, None, None)
            raise

    def ask(self, line):
        since = len(self.output)
        self.child.stdin.write(line.encode() + b"\n")
        self.child.stdin.flush()
        return self.expect(r"(.*)\n", since).group(1)

    def numbers(self, line):
        return [int(n) for n in re.findall(r"-?\d+", self.ask(line))]

    def quiet(self):
        """Waits until what was under way is through."""
        before = None
        while before != (before := self.numbers("stats")[2:]):
            time.sleep(0.2)

    def kill(self):
        self.child.kill()
        self.child.wait()

    def end(self):
        """Ends it; the primary says how many mbufs are free at the end."""
        self.child.stdin.write(b"close\n")
        self.child.stdin.flush()
        equal(self.finish(), 0, "exit status")
        left = re.search(r"left (\d+) of", self.output)
        return int(left.group(1)) if left else None


@contextlib.contextmanager
def processes(folder, env=None, more=""):
    """A primary, and what starts secondaries beside it."""
    pairs("a", "b", queues=2)
    with hugepages(folder) as memory:
        options = eal(new_prefix(), memory=memory)
        with Share(options, "primary", env, more=more) as primary:
            yield primary, lambda: Share(options, "secondary", env)


def kept_on_exec(pid):
    """The descriptors of a process that came with slabio's messages and do not end with exec()."""
    kept = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii") as f:
            where, flags = os.readlink(f"/proc/{pid}/fd/{fd}"), int(re.search(r"flags:\s+(\d+)", f.read()).group(1), 8)
            if "memfd:slabio-" in where and not flags & os.O_CLOEXEC:
                kept.append(where)
    return kept


def each_process_polls_a_queue(folder):
    with processes(folder) as (primary, start):
        with start() as second, start() as third:
            primary.ask("poll 0")
            second.ask("poll 1")
            cross(untagged(600), "a queue each", order="none")
            equal(kept_on_exec(second.child.pid), [], "what a program keeps that a secondary starts")
            stats = [primary.numbers("stats"), second.numbers("stats")]
            check(all(s[0] > 0 for s in stats), f"one of the processes received nothing: {stats}")
            for i in (0, 1):
                equal(stats[0][i] + stats[1][i], 600, "packets of both")
                equal(stats[0][2 + i], 600, "packets by the ports' counters")
            # one that never polls gets nothing and reads the same counters
            equal(third.numbers("stats"), [0, 0, *stats[0][2:]], "what a third one sees")
            # both queues pass to another process and back, which need not be the primary
            second.ask("poll")
            third.ask("poll 1")
            cross(untagged(200), "a third process", order="none")
            check(third.numbers("stats")[0] > 0, "the third process received nothing")
            third.ask("poll")
            primary.ask("poll 0 1")
            cross(untagged(200), "the primary", order="none")
            equal(third.end(), None, "end of the third process")
            second.end()
            cross(untagged(200), "after the secondaries' end", order="none")
        equal(primary.numbers("stats")[4], 0, "errors")
        equal(primary.end(), MBUFS, "free mbufs at the end")


def a_secondary_leaves_checksums_to_the_kernel(folder):
    pkts = summed()
    for name, more in (("kernel", ",tx_csum=kernel"), ("port", "")):
        os.mkdir(os.path.join(folder, name))
        with processes(os.path.join(folder, name), more=more) as (primary, start), start() as second:
            second.ask("sums")
            second.ask("poll 0 1")
            with Wire("a1") as a, Wire("b1") as b:
                a.send([wrongly_summed(p) for p in pkts])
                diff = pcapcmp.compare(pkts, b.receive(len(pkts)), macs=True, order="none")
                check(not diff, diff)
            # counted by whoever sends, where the primary reads it
            by_kernel, by_port = primary.numbers("csums")
            equal((by_kernel > 200, by_port > 200), (more != "", more == ""), "who has filled them in")
            second.end()
            equal(primary.end(), MBUFS, "free mbufs at the end")


def a_killed_secondarys_queue_goes_on(folder):
    with processes(folder) as (primary, start):
        primary.ask("poll 0")
        for _ in range(2):
            with start() as second, traffic("a1"), traffic("b1"):
                second.ask("poll 1")
                wait_for(lambda: second.numbers("stats")[1] > 1000, "traffic in the secondary")
                second.kill()
        # by the primary, and then by another secondary
        primary.ask("poll 0 1")
        primary.quiet()
        cross(untagged(300), "the primary in place of the dead", order="none")
        primary.ask("poll 0")
        with start() as second:
            second.ask("poll 1")
            cross(untagged(300), "another secondary", order="none")
            with traffic("a1"):
                wait_for(lambda: second.numbers("stats")[1] > 1000, "traffic in the secondary")
                second.kill()
        # nobody polls the dead one's queue any more
        missing = MBUFS - primary.end()
        # what the dead had in their hands: a burst each way and a shard's worth at most, and less
        check(0 <= missing <= 3 * 64, f"{missing} mbufs are missing after three kills")


def a_stop_takes_the_port_from_secondaries(folder):
    with processes(folder) as (primary, start), start() as second:
        primary.ask("poll 0")
        second.ask("poll 1")
        for _ in range(2):
            with traffic("a1"), traffic("b1"):
                before = second.numbers("stats")[0]
                wait_for(lambda: second.numbers("stats")[0] > before + 500, "traffic in the secondary")
                equal(primary.ask("stop"), "stopped 0", "stop")
                # all of them are back while it polls on
                free = primary.numbers("free")
                check(MBUFS - 64 <= free[0] <= MBUFS, f"free mbufs after the stop: {free}")
                there = second.numbers("stats")
                equal(second.numbers("stats")[:2], there[:2], "packets in the secondary after the stop")
                equal(primary.ask("start"), "started 0", "start")
        primary.quiet()
        cross(untagged(300), "after stops and starts", order="none")
        check(second.numbers("stats")[0] > there[0], "the secondary received nothing after a start")
        # one that is stopped costs the primary a moment, and what it holds until it is gone
        second.ask("poll")
        os.kill(second.child.pid, signal.SIGSTOP)
        equal(primary.ask("stop"), "stopped 0", "stop")
        check("does not let go" in "".join(primary.messages()), "no word about the stopped process")
        second.kill()
        equal(primary.ask("start"), "started 0", "start")
        primary.ask("poll 0 1")
        cross(untagged(300), "after the end of the stopped one", order="none")
        check(MBUFS - 64 <= primary.end() <= MBUFS, "mbufs are missing at the end")


def state(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        return f.read().rsplit(") ")[1][0]


def stop_in_a_burst(primary, start):
    """A secondary that has stopped in the middle of a burst, then the ports; and the mbufs there were before."""
    primary.ask("poll")
    equal(primary.ask("stop"), "stopped 0", "stop")
    before = primary.numbers("free")[0]
    equal(primary.ask("start"), "started 0", "start")
    with contextlib.ExitStack() as stack:
        second = stack.enter_context(start())
        second.ask("poll 0 1")
        with traffic("a1"), traffic("b1"):
            wait_for(lambda: second.numbers("stats")[0] > 500, "traffic in the secondary")
            equal(second.ask("halt"), "halting", "the secondary")
            wait_for(lambda: state(second.child.pid) == "T", "a stop in a burst")
            primary.messages()
            equal(primary.ask("stop"), "stopped 0", "stop")
        check("in the middle of a burst" in "".join(primary.messages()), "no word about the burst")
        # the caller's from now on
        stack.pop_all()
    return second, before


def what_was_left_to_a_stopped_burst_comes_back(folder):
    def all_back():
        # but for what the secondary had in its hands; a queue has 512 at least
        return primary.numbers("free")[0] >= before - 128

    with processes(folder) as (primary, start):
        # it goes on, and lets go
        second, before = stop_in_a_burst(primary, start)
        with second:
            check(not all_back(), "mbufs are back that a burst may go on with")
            os.kill(second.child.pid, signal.SIGCONT)
            wait_for(all_back, "mbufs after the burst went on")
            equal(primary.ask("start"), "started 0", "start")
            second.end()
        # it is killed, and nobody starts or stops the ports after that
        second, before = stop_in_a_burst(primary, start)
        with second:
            check(not all_back(), "mbufs are back that a burst may go on with")
            second.kill()
            wait_for(all_back, "mbufs after the kill")
            equal(primary.ask("start"), "started 0", "start")
        primary.ask("poll 0 1")
        primary.quiet()
        cross(untagged(300), "after both", order="none")
        # it is there until the ports are closed
        second, before = stop_in_a_burst(primary, start)
        with second:
            primary.messages()
            check(primary.end() < before - 128, "mbufs are back that a burst may go on with")
            equal("".join(primary.messages()).count("left to it and not freed"), 2, "words about shared memory")
            # it goes on in what it was doing, and finds nothing any more
            os.kill(second.child.pid, signal.SIGCONT)
            time.sleep(0.3)
            equal(second.ask("poll 0 1"), "polling", "the secondary")
            second.kill()


def the_primary_closes_under_a_secondary(folder):
    with processes(folder) as (primary, start), start() as second:
        mac = link("a0")["address"].upper()
        # what only the primary may change fails
        equal(second.ask("ask"), f"failed 5 link 1 mac {mac}", "what an open port says")
        primary.ask("poll 0")
        second.ask("poll 1")
        with traffic("a1"):
            wait_for(lambda: second.numbers("stats")[0] > 500, "traffic in the secondary")
            equal(primary.end(), MBUFS, "free mbufs at the end")
        # it polls on and finds nothing
        equal(second.ask("poll 0 1"), "polling", "the secondary")
        # and whatever it asks of the port is answered
        before = second.numbers("stats")
        equal(before[2:], [0, 0, 0], "statistics of a closed port")
        equal(second.numbers("stats"), before, "what it receives")
        equal(second.ask("ask"), f"failed 10 link 0 mac {mac}", "what a closed port says")
        second.end()


def a_port_that_only_sends_gets_its_memory_beside_secondaries(folder):
    pairs("a", "b", "c", queues=2)
    with hugepages(folder, mb=96) as memory:
        # the rest of it is to come later
        options = eal(new_prefix(), memory=[*memory[:2], "-m", "64"])
        with Share(options, "primary", None, [*VDEVS, "--vdev=net_slabio2,iface=c0"]) as primary, \
                Share(options, "secondary", None) as second:
            began = time.monotonic()
            equal(primary.ask("sender"), "sender 0", "start of a port that only sends")
            # EAL gives up on an answer after five seconds
            check(time.monotonic() - began < 5, "it took as long as a message that is lost")
            primary.ask("poll 0")
            second.ask("poll 1")
            cross(untagged(600), "a queue each", order="none")
            second.end()
            primary.end()


def an_exact_pools_port_is_the_primarys(folder):
    if not os.path.exists(MEMPOOL):
        raise Skip(f"{MEMPOOL} was not built")
    config = os.path.join(folder, "pools.cfg")
    with open(config, "w", encoding="ascii") as f:
        f.write("[shared]\nmode=exact\n")
    with processes(folder, {"SLABIO_CONFIG": config}) as (primary, start), start() as second:
        second.messages()
        second.ask("poll 1")
        primary.ask("poll 0")
        with traffic("a1"):
            wait_for(lambda: primary.numbers("stats")[0] > 500, "traffic in the primary")
            equal(second.numbers("stats")[:2], [0, 0], "packets in the secondary")
        said = [m for m in second.messages() if "mode=exact" in m]
        equal(len(said), 2, f"messages, one for each port: {said}")
        primary.ask("poll 0 1")
        primary.quiet()
        cross(untagged(200), "the primary alone", order="none")
        second.end()
        equal(primary.end(), MBUFS, "free mbufs at the end")


if __name__ == "__main__":
    main(each_process_polls_a_queue,
         a_secondary_leaves_checksums_to_the_kernel,
         a_killed_secondarys_queue_goes_on,
         a_stop_takes_the_port_from_secondaries,
         what_was_left_to_a_stopped_burst_comes_back,
         the_primary_closes_under_a_secondary,
         a_port_that_only_sends_gets_its_memory_beside_secondaries,
         an_exact_pools_port_is_the_primarys)
