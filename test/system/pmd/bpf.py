# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""XDP programs for tests, through libbpf: compiled, attached, and their maps pinned, as an operator's own tools do."""

import contextlib
import ctypes
import os
import platform
import socket
import subprocess

from testpmd import Skip, TOP, check, equal, need

SOURCE = os.path.join(TOP, "test", "system", "pmd", "user_prog.bpf.c")


def compiled(folder, *macros):
    """The object file of the programs in user_prog.bpf.c, with these macros defined."""
    need("clang")
    path = os.path.join(folder, "-".join(["user", *macros]) + ".o")
    includes = f"/usr/include/{platform.machine()}-linux-gnu"
    made = subprocess.run(["clang", "-O2", "-g", "-target", "bpf", "-I", includes,
                           "-I", os.path.join(TOP, "lib", "include"), *(f"-D{m}" for m in macros),
                           "-c", SOURCE, "-o", path], capture_output=True, text=True, check=False)
    if made.returncode != 0 and "No available targets" in made.stderr:
        raise Skip("clang has no BPF target")
    equal(made.returncode, 0, f"exit status of clang: {made.stderr}")
    return path


@contextlib.contextmanager
def bpffs(folder):
    """A BPF file system of the test's own; what is pinned there goes with it."""
    path = os.path.join(folder, "bpf")
    os.mkdir(path)
    if subprocess.run(["mount", "-t", "bpf", "slabio-test", path], check=False).returncode != 0:
        raise Skip("cannot mount a BPF file system")
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


class Loaded:
    """A program of an object file in the kernel, attached to an interface by a link until close()."""

    def __init__(self, path, program, interface=None):
        try:
            self.lib = lib = ctypes.CDLL("libbpf.so.1")
        except OSError as error:
            raise Skip("libbpf.so.1 is not installed") from error
        for name in ("bpf_object__open", "bpf_object__find_program_by_name", "bpf_object__find_map_by_name",
                     "bpf_program__attach_xdp"):
            getattr(lib, name).restype = ctypes.c_void_p
        self.object = ctypes.c_void_p(lib.bpf_object__open(path.encode()))
        check(self.object.value, f"cannot open {path}")
        self.link = None
        equal(lib.bpf_object__load(self.object), 0, f"loading {path}")
        if interface is not None:
            prog = ctypes.c_void_p(lib.bpf_object__find_program_by_name(self.object, program.encode()))
            self.link = ctypes.c_void_p(lib.bpf_program__attach_xdp(prog, socket.if_nametoindex(interface)))
            check(self.link.value, f"cannot attach {program} to {interface}")

    def pin(self, name, path, mode=0o600, owner=0):
        """Pins a map, for whoever may open the file."""
        found = ctypes.c_void_p(self.lib.bpf_object__find_map_by_name(self.object, name.encode()))
        equal(self.lib.bpf_map__pin(found, path.encode()), 0, f"pinning {name} at {path}")
        os.chown(path, owner, owner)
        os.chmod(path, mode)

    def close(self):
        if self.link:
            self.lib.bpf_link__destroy(self.link)
        self.lib.bpf_object__close(self.object)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
