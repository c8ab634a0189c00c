#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""AF_XDP ports and XDP programs that are not the driver's own: a user's, from an object file; one that somebody
else has attached; one whose map of sockets is pinned."""

import contextlib
import errno
import os
import pwd
import re
import socket
import struct
import subprocess

from bpf import Loaded, bpffs, compiled
from live_test import Wire, ip, untagged
from testpmd import BUILD, Program, Skip, check, data, equal, need, wait_for
from xdplab import Port, main, pairs, program_of, same
import pcapcmp

def udp(packet):
    return packet.data[12:14] == b"\x08\x00" and packet.data[23] == 17


def split(pkts):
    return [p for p in pkts if udp(p)], [p for p in pkts if not udp(p)]


def udp_to_port_rest_to_host(args, **testpmd):
    """What the program in user_prog.bpf.c is there for, in all."""
    pkts = untagged(300)
    ours, hosts = split(pkts)
    check(ours and hosts, "the capture has only one kind of packets")
    with Wire("a1") as wire, Wire("a0") as host, Port([f"net_slabio0,iface=a0,{args}"], **testpmd) as pmd:
        said = "\n".join(pmd.messages())
        pmd.commands("set fwd rxonly", "start")
        wire.send(pkts)
        pmd.wait_stats(0, "UDP", rx_good_packets=len(ours))
        same(hosts, host.receive(len(hosts)), "at the host")
        equal(pmd.stats(0)["rx_good_packets"], len(ours), "received")
        pmd.commands("stop", "port stop all")
        pmd.mbufs_back()
        pmd.quit()
    return said


def a_users_own_program_chooses_the_packets(folder):
    pairs("a")
    path = compiled(folder)
    for mode, number in (("native", 1), ("generic", 2)):
        said = udp_to_port_rest_to_host(f"xdp_prog={path},mode={mode}")
        check(f"{mode} program from xdp_prog=" in said, said)
        equal(program_of("a0"), None, "program after the port's end")
        with Port([f"net_slabio0,iface=a0,xdp_prog={path},mode={mode}"]) as pmd:
            equal(program_of("a0"), (number, "udp_only"), "program")
            pmd.child.kill()
            pmd.finish()
        wait_for(lambda: program_of("a0") is None, "the program is gone after a kill")


def its_map_grows_with_the_queues_and_one_of_several_is_chosen(folder):
    pairs("a", queues=4)
    path = compiled(folder, "TWO_PROGRAMS")
    options = ["--rxq=4", "--txq=4", "--rxd=1024"]
    # by the name of the program and by that of its section
    for name, program in (("everything", "everything"), ("xdp.frags", "udp_only")):
        with Wire("a1") as wire, Port([f"net_slabio0,iface=a0,xdp_prog={path},xdp_prog_name={name}"],
                                      options=options) as pmd:
            equal(program_of("a0"), (1, program), "program")
            if program == "everything":
                pmd.commands("set fwd rxonly", "start")
                wire.send(untagged(800))
                pmd.wait_stats(0, "of all queues", rx_good_packets=800)
            pmd.quit()


def two_ports_on_an_interface_have_the_same_program(folder):
    pairs("a", queues=4)
    path = compiled(folder)
    vdevs = [f"net_slabio0,iface=a0,queue_count=2,xdp_prog={path}",
             f"net_slabio1,iface=a0,start_queue=2,xdp_prog={path}"]
    options = ["--rxq=2", "--txq=2", "--rxd=1024"]
    with Port(vdevs, options=options) as pmd:
        pmd.messages()
        pmd.commands("port stop 1", "port close 1", "port attach net_slabio2,iface=a0,start_queue=2", "port start 1")
        lines = pmd.messages()
        check(len(lines) == 1 and "expected the XDP program that another port of this process has" in lines[0], lines)
        pmd.commands("port stop all")
        pmd.mbufs_back()
        pmd.quit()


def refused(cases, **kwargs):
    """Each of these arguments, at attach or start, gets one message, with these texts, and leaves nothing behind."""
    with Port([f"net_slabio0,rx_pcap={data('small.pcap')}"], **kwargs) as pmd:
        for number, (args, *expected) in enumerate(cases):
            pmd.messages()
            since, there = len(pmd.errors), program_of("a0")
            text = pmd.command(f"port attach net_slabio{number + 1},{args}")
            if "is attached" in text:
                pmd.command("port start 1")
            # testpmd asks for promiscuous mode by itself
            lines = [line for line in pmd.messages() if "receive filter" not in line]
            errors = pmd.errors[since:]
            equal(len(lines), 1, f"messages for {args!r}: {lines}; number")
            for word in expected:
                check(word in errors, f"{args!r}: expected {word!r} in {errors!r}")
            equal(program_of("a0"), there, "program on a0")
            if "is attached" in text:
                check("Fail to start port 1" in errors, f"{args!r} was started: {errors!r}")
                pmd.commands("port stop 1", "port close 1")
        pmd.command("port stop all")
        pmd.mbufs_back()
        pmd.quit()


def a_program_that_will_not_do_is_refused_with_the_reason(folder):
    pairs("a")
    text = os.path.join(folder, "text.o")
    with open(text, "w", encoding="ascii") as f:
        f.write("not an object file\n" * 10)
    refused([
        (f"iface=a0,xdp_prog={folder}/none.o", "expected an object file", "No such file or directory"),
        (f"iface=a0,xdp_prog={text}", "expected an object file", "ELF"),
        (f"iface=a0,xdp_prog={compiled(folder, 'NO_PROGRAM')}", "expected an XDP program, in a section", "found none"),
        (f"iface=a0,xdp_prog={compiled(folder, 'TWO_PROGRAMS')}",
         "found 2: udp_only, everything; choose one with xdp_prog_name="),
        (f"iface=a0,xdp_prog={compiled(folder)},xdp_prog_name=other", "xdp_prog_name=other",
         "found 0; there are: udp_only"),
        (f"iface=a0,xdp_prog={compiled(folder, 'WRONG_MAP_NAME')}", "with the name xsks_map",
         "found no map of that name"),
        (f"iface=a0,xdp_prog={compiled(folder, 'WRONG_MAP_TYPE')}", "BPF_MAP_TYPE_XSKMAP", "found another type"),
        (f"iface=a0,xdp_prog={compiled(folder, 'REFUSED_BY_VERIFIER')}", "cannot load the XDP program udp_only",
         "the kernel's verifier:", "invalid access to packet"),
        ("iface=a0,xdp_prog_name=x", "expected xdp_prog= beside xdp_prog_name="),
        ("iface=a0,xdp_prog=a,xsk_map=b", "expected one of xdp_prog="),
        ("iface=a0,xsk_socket=a,xsk_map=b", "expected one of xdp_prog="),
        ("iface=a0,xsk_map=b,mode=generic", "expected mode=auto, zerocopy or copy beside xsk_map="),
        ("iface=a0,xdp_prog=a,xdp_prog=b", "expected one xdp_prog=, found a and b"),
        (f"rx_pcap={data('small.pcap')},xsk_map=x", "expected iface= beside"),
    ])


@contextlib.contextmanager
def attached(folder, mode):
    """Another's program, attached as ip does it: until it is taken off again."""
    path = compiled(folder)
    ip("link", "set", "a0", mode, "obj", path, "sec", "xdp.frags")
    try:
        yield
    finally:
        ip("link", "set", "a0", mode, "off")


def another_program_on_the_interface_is_named_and_left_alone(folder):
    pairs("a", queues=2)
    for mode, name in (("xdpdrv", "native"), ("xdpgeneric", "generic")):
        with attached(folder, mode):
            refused([("iface=a0", "expected a0 to have no XDP program, found program", f"udp_only in {name} mode",
                      f"'ip link set dev a0 {mode} off'", "xsk_map=")])
    # by a link: another port's, on the other queue
    with Port(["net_slabio0,iface=a0,queue_count=1"]):
        refused([("iface=a0,start_queue=1", "slabio_xdp in native mode, attached by link")])


def the_pinned_map_of_a_program_that_is_there_will_do(folder):
    pairs("a")
    path = compiled(folder)
    with bpffs(folder) as pins, Loaded(path, "udp_only", "a0") as prog:
        prog.pin("xsks_map", f"{pins}/sockets")
        there = program_of("a0")
        # several times: the entry of the map is free again afterwards
        for _ in range(2):
            said = udp_to_port_rest_to_host(f"xsk_map={pins}/sockets")
            check("native program of another process" in said, said)
            equal(program_of("a0"), there, "program")
        # it is the only socket of the map for as long as it is there, and after a kill there is none
        with Port([f"net_slabio0,iface=a0,xsk_map={pins}/sockets"]) as pmd:
            pmd.child.kill()
            pmd.finish()
        udp_to_port_rest_to_host(f"xsk_map={pins}/sockets")


# a user's own limit of locked memory must hold the pool: 8 MiB where nobody has changed it
SMALL = ["--total-num-mbufs=2048", "--rxd=512", "--txd=512"]


class User:
    """A user without rights, who is let into a folder of the test's."""

    def __init__(self, folder):
        need("setpriv")
        self.id = 60000 + os.getpid() % 5000
        os.chmod(folder, 0o711)
        self.env = {}
        for variable in ("XDG_RUNTIME_DIR", "SLABIO_RUNTIME_DIR"):
            self.env[variable] = os.path.join(folder, variable.lower())
            os.mkdir(self.env[variable], 0o700)
            os.chown(self.env[variable], self.id, self.id)

    def with_rights(self, *capabilities):
        """What a testpmd of theirs, with these rights alone, has to be started with."""
        caps = ",".join(["-all", *(f"+{name}" for name in capabilities)])
        before = ["setpriv", f"--reuid={self.id}", f"--regid={self.id}", "--clear-groups",
                  f"--bounding-set={caps}", f"--inh-caps={caps}",
                  *([f"--ambient-caps={caps}"] if capabilities else []), "--no-new-privs", "--"]
        return {"before": before, "env": self.env, "options": SMALL}


def with_a_pinned_map_raw_sockets_are_the_only_right_needed(folder):
    pairs("a")
    path = compiled(folder)
    user = User(folder)
    with bpffs(folder) as pins, Loaded(path, "udp_only", "a0") as prog:
        os.chmod(pins, 0o711)
        prog.pin("xsks_map", f"{pins}/sockets", owner=user.id)
        udp_to_port_rest_to_host(f"xsk_map={pins}/sockets", **user.with_rights("net_raw"))
        # and what needs others says so
        needs = user.with_rights("net_raw")
        needs["options"] = [*SMALL, "--max-pkt-len=3022"]
        refused([(f"iface=a0,xsk_map={pins}/sockets",
                  "cannot set the MTU of a0 from 1500 to 3000", "or with CAP_NET_ADMIN")], **needs)


def a_program_tells_time_hash_and_mark_of_a_packet(folder):
    pairs("a")
    path = compiled(folder, "METADATA")
    template = next(p.data for p in untagged(300) if udp(p))
    pkts = [pcapcmp.Packet(template[:6] + bytes([2, 0, 0, 0, 0, i]) + template[12:]) for i in range(16)]
    for mode in ("native", "generic"):
        with Wire("a1") as wire, Port([f"net_slabio0,iface=a0,mode={mode},xdp_prog={path},"
                                       "xdp_prog_name=with_metadata,xdp_meta=on"],
                                      options=["--rx-offloads=0x4000"]) as pmd:
            pmd.commands("set fwd rxonly", "set verbose 1", "start")
            since = len(pmd.output)
            # twice, so that frames that had metadata before are there too, with other packets
            wire.send(pkts + pkts[::-1])

            def said():
                # no command before all is said: it would come into the middle of a line
                pmd.pump(0.05)
                lines = re.findall(r"src=02:00:00:00:00:([0-9A-F]{2}) - dst=(.*)\n", pmd.output[since:])
                return lines if len(lines) >= 2 * len(pkts) else None

            found = wait_for(said, f"all packets, {mode}")
            pmd.command("set verbose 0")
            equal(pmd.stats(0)["rx_q0_no_metadata"], 2, f"packets without metadata, {mode}")
            equal([int(number, 16) for number, _ in found], [*range(16), *reversed(range(16))], "packets")
            for number, text in ((int(number, 16), text) for number, text in found):
                for bit, expected in ((1, f"timestamp {1000000000 + number}"),
                                      (2, f"RSS hash=0x{0xabcd0000 + number:x}"),
                                      (4, f"ID=0x{0x4200 + number:x}")):
                    word = expected.split("=")[0].split(" ")[0]
                    if number % 8 & bit:
                        check(expected in text, f"packet {number}, {mode}: expected {expected!r} in {text!r}")
                    else:
                        check(word not in text, f"packet {number}, {mode}: found {word!r} in {text!r}")
            pmd.commands("stop", "port stop all")
            pmd.mbufs_back()
            pmd.quit()
    refused([("iface=a0,xdp_meta=on", "expected xdp_prog=, xsk_map= or xsk_socket= beside xdp_meta=on"),
             ("iface=a0,xdp_meta=1", "expected xdp_meta= with on or off, found '1'")])


class Broker(Program):
    """A slabio-xsk, which has the rights that a port without them needs."""

    program = os.path.join(BUILD, "apps", "xsk", "slabio-xsk")

    def __init__(self, *args):
        self.path = args[args.index("--listen") + 1]
        if not os.path.exists(self.program):
            raise Skip(f"{self.program} was not built")
        super().__init__([self.program, *args])

    def __enter__(self):
        self.expect("slabio-xsk: .* queues of")
        return self

    def end(self):
        self.child.terminate()
        equal(self.finish(), 0, "exit status of slabio-xsk")
        check(not os.path.exists(self.path), f"{self.path} was left behind")


def sockets_given_by_another_process_need_no_right_at_all(folder):
    pairs("a", "b")
    user = User(folder)
    path = f"{folder}/a0.sock"
    listen = ["--iface", "a0", "--listen", path]
    with Broker(*listen) as broker:
        os.chown(path, user.id, user.id)
        equal(program_of("a0"), (1, "slabio_xdp"), "program")
        # several times: what one had is free again, also after a kill
        for turn in range(3):
            with Wire("a1") as wire, Port([f"net_slabio0,iface=a0,xsk_socket={path}"],
                                          **user.with_rights()) as pmd:
                said = "\n".join(pmd.messages())
                check("native program of another process" in said, said)
                pmd.commands("set fwd io", "start")
                wire.send(untagged(100))
                same(untagged(100), wire.receive(100), "sent back")
                if turn == 1:
                    pmd.child.kill()
                    pmd.finish()
                    continue
                pmd.commands("stop", "port stop all")
                pmd.mbufs_back()
                pmd.commands("port start 0", "start")
                wire.send(untagged(50))
                same(untagged(50), wire.receive(50), "sent back after a restart")
                pmd.commands("stop", "port stop all")
                pmd.mbufs_back()
                pmd.quit()
            check(program_of("a0"), "the program went with the port")
        # an interface that is not its own, and one who may not ask
        refused([(f"iface=b0,xsk_socket={path}", "cannot get an AF_XDP socket", "Numerical result out of range",
                  "expected a slabio-xsk for this interface")], **user.with_rights())
        os.chown(path, 0, 0)
        refused([(f"iface=a0,xsk_socket={path}", "cannot get an AF_XDP socket", "Permission denied")],
                **user.with_rights())
        broker.end()
    equal(program_of("a0"), None, "program after the end of slabio-xsk")
    refused([(f"iface=a0,xsk_socket={path}", "cannot get an AF_XDP socket", "No such file or directory")],
            **user.with_rights())


def another_process_gives_sockets_of_a_users_program_too(folder):
    pairs("a")
    user = User(folder)
    with bpffs(folder) as pins, Loaded(compiled(folder), "udp_only", "a0") as prog:
        prog.pin("xsks_map", f"{pins}/sockets")
        path = f"{folder}/a0.sock"
        with Broker("--iface", "a0", "--xsk-map", f"{pins}/sockets", "--listen", path) as broker:
            os.chown(path, user.id, user.id)
            udp_to_port_rest_to_host(f"xsk_socket={path}", **user.with_rights())
            # a port that runs needs it for nothing more, not to end either
            pkts = untagged(300)
            with Wire("a1") as wire, Port([f"net_slabio0,iface=a0,xsk_socket={path}"], **user.with_rights()) as pmd:
                broker.end()
                pmd.commands("set fwd rxonly", "start")
                wire.send(pkts)
                pmd.wait_stats(0, "UDP without slabio-xsk", rx_good_packets=len(split(pkts)[0]))
                pmd.commands("stop", "port stop all")
                pmd.mbufs_back()
                pmd.quit()


def what_others_say_to_it_is_checked(folder):
    pairs("a", queues=2)
    path, ours = f"{folder}/a0.sock", socket.if_nametoindex("a0")
    magic, get, enter, leave = 0x786b0001, 1, 2, 3

    def ask(message, *fds):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.settimeout(5)
            s.connect(path)
            if message or fds:
                socket.send_fds(s, [message], fds)
            answer, got, *_ = socket.recv_fds(s, 64, 4)
            for fd in got:
                os.close(fd)
            return (struct.unpack("=Ii", answer)[1], len(got)) if answer else None

    def request(op, ifindex, queue, *fds):
        return ask(struct.pack("=IIII", magic, op, ifindex, queue), *fds)

    with Broker("--iface", "a0", "--listen", path) as broker, open("/dev/null", "rb") as null:
        before = os.listdir(f"/proc/{broker.child.pid}/fd")
        equal(request(get, ours, 1), (0, 1), "a socket")
        equal(request(get, ours, 2), (-errno.ERANGE, 0), "a socket for a queue that there is not")
        equal(request(get, ours + 1, 0), (-errno.ERANGE, 0), "a socket for another interface")
        equal(request(9, ours, 0), (-errno.ENOTSUP, 0), "no such request")
        equal(request(enter, ours, 0), (-errno.EBADF, 0), "no socket to enter")
        check(request(enter, ours, 0, null.fileno())[0] < 0, "something else than a socket was entered")
        check(request(enter, ours, 0, null.fileno(), null.fileno())[0] < 0, "two of them were")
        equal(request(leave, ours, 0), (0, 0), "leaving an empty entry")
        for message in (b"", b"x", b"x" * 16, b"x" * 4096):
            equal(ask(message), None, f"answer to {len(message)} bytes of nonsense")
        equal(request(get, ours, 0), (0, 1), "a socket afterwards")
        # it closes what it has of a request after who asked has gone on
        wait_for(lambda: len(os.listdir(f"/proc/{broker.child.pid}/fd")) == len(before),
                 "slabio-xsk has as many descriptors as before")
        broker.end()


def nobody_waits_for_another_one_who_asks_it(folder):
    pairs("a")
    ip("link", "set", "lo", "up")
    path = f"{folder}/a0.sock"
    question = struct.pack("=IIII", 0x786b0001, 1, socket.if_nametoindex("a0"), 0)

    def connect():
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.settimeout(3)  # half a second for each silent one makes five in turn
        s.connect(path)
        return s

    def answered(s):
        socket.send_fds(s, [question], [])
        answer, fds, *_ = socket.recv_fds(s, 64, 4)
        for fd in fds:
            os.close(fd)
        return len(answer) == 8 and len(fds) == 1

    with contextlib.ExitStack() as stack, Broker("--iface", "a0", "--listen", path) as broker:
        # a descriptor whose last close waits for a peer that reads nothing
        peer = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        slow = socket.create_connection(peer.getsockname())
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 30))
        slow.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                slow.send(b"x" * 65536)
        with connect() as s:
            socket.send_fds(s, [question], [slow.fileno()])
            slow.close()
            check(answered(stack.enter_context(connect())), "no answer beside a close that takes its time")
        # more silent ones than the wait is enough for in turn
        for _ in range(10):
            stack.enter_context(connect())
        check(answered(stack.enter_context(connect())), "no answer behind silent ones")
        # they end by themselves
        wait_for(lambda: not open(f"/proc/{broker.child.pid}/task/{broker.child.pid}/children",
                                  encoding="ascii").read(), "end of the requests")
        broker.end()


def its_file_is_whose_it_shall_be(folder):
    pairs("a")
    path, user = f"{folder}/a0.sock", pwd.getpwnam("nobody")
    with Broker("--iface", "a0", "--listen", path) as broker:
        st = os.stat(path)
        equal((st.st_uid, st.st_mode & 0o7777), (0, 0o600), "owner and permissions")
        broker.end()
    with Broker("--iface", "a0", "--listen", path, "--owner", user.pw_name, "--file-mode", "660") as broker:
        st = os.stat(path)
        equal((st.st_uid, st.st_gid, st.st_mode & 0o7777), (user.pw_uid, user.pw_gid, 0o660),
              "owner, group and permissions")
        broker.end()
    # what is there is nobody's to take
    for args, words in ((["--owner", "no-such-user"], "cannot find the user no-such-user"),
                        (["--owner", user.pw_name], "then remove the file")):
        if "remove" in words:
            open(path, "wb").close()
        done = subprocess.run([Broker.program, "--iface", "a0", "--listen", path, *args], capture_output=True,
                              text=True, check=False, timeout=10)
        equal(done.returncode, 1, f"exit status with {args}")
        check(words in done.stderr, done.stderr)
    equal(os.stat(path).st_uid, 0, "owner of a file that was there")
    equal(program_of("a0"), None, "program after a failure")


def one_of_another_network_namespace_is_none(folder):
    pairs("a")
    path, number = f"{folder}/a0.sock", socket.if_nametoindex("a0")
    # there the interface has the same name and number
    script = (f"ip link add a0 index {number} type veth peer a1 && ip link set a0 up && "
              f"exec {Broker.program} --iface a0 --listen {path}")
    with Program(["unshare", "--net", "sh", "-c", script]) as broker:
        broker.expect("slabio-xsk: .* queues of")
        refused([(f"iface=a0,xsk_socket={path}", "cannot get an AF_XDP socket", "Invalid cross-device link",
                  "expected a slabio-xsk for this interface")])
        broker.child.terminate()
        equal(broker.finish(), 0, "exit status of slabio-xsk")


def what_is_wrong_with_a_pinned_map_is_said(folder):
    pairs("a", queues=2)
    path = compiled(folder)
    with bpffs(folder) as pins, Loaded(path, "udp_only") as prog, \
            Loaded(compiled(folder, "WRONG_MAP_TYPE"), "udp_only") as array:
        os.chmod(pins, 0o711)
        prog.pin("xsks_map", f"{pins}/sockets")
        array.pin("xsks_map", f"{pins}/array")
        refused([(f"iface=a0,xsk_map={pins}/none", "expected a pinned map", "No such file or directory"),
                 (f"iface=a0,xsk_map={pins}/array", "expected a map of type XSKMAP", "found type 2"),
                 (f"iface=a0,start_queue=1,xsk_map={pins}/sockets", "with at least 2 entries", "with 1 entries")])
        refused([(f"iface=a0,xsk_map={pins}/sockets", "that this user may read and write", "Permission denied")],
                **User(folder).with_rights("net_raw"))
        with Port([f"net_slabio0,iface=a0,queue_count=1,xsk_map={pins}/sockets"]) as pmd:
            said = "\n".join(pmd.messages())
            check("a0 has no XDP program: nothing arrives" in said, said)
            pmd.quit()


if __name__ == "__main__":
    main(a_users_own_program_chooses_the_packets,
         its_map_grows_with_the_queues_and_one_of_several_is_chosen,
         two_ports_on_an_interface_have_the_same_program,
         a_program_that_will_not_do_is_refused_with_the_reason,
         another_program_on_the_interface_is_named_and_left_alone,
         the_pinned_map_of_a_program_that_is_there_will_do,
         with_a_pinned_map_raw_sockets_are_the_only_right_needed,
         a_program_tells_time_hash_and_mark_of_a_packet,
         sockets_given_by_another_process_need_no_right_at_all,
         another_process_gives_sockets_of_a_users_program_too,
         what_others_say_to_it_is_checked,
         nobody_waits_for_another_one_who_asks_it,
         its_file_is_whose_it_shall_be,
         one_of_another_network_namespace_is_none,
         what_is_wrong_with_a_pinned_map_is_said)
