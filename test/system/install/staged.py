# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""Installing below a folder of a test's own, and what has to be there then."""

import contextlib
import functools
import glob
import json
import os
import shutil
import subprocess

from testpmd import BUILD, Skip, TOP, need

TOOLS = ("slabio-bench", "slabio-eal-worker", "slabio-l2fwd", "slabio-worker", "slabio-xsk", "slabioctl",
         "testpmd-bench")
PLUGINS = ("librte_mempool_slab.so", "librte_net_slabio.so")
LOG = os.path.join(BUILD, "meson-logs", "install-log.txt")


def introspect(what):
    need("meson")
    out = subprocess.run(["meson", "introspect", what, BUILD], check=True, capture_output=True, text=True)
    return json.loads(out.stdout)


@functools.lru_cache(maxsize=None)
def options():
    return {o["name"]: o["value"] for o in introspect("--buildoptions")}


def option(name):
    """The value of a Meson option; folders as absolute paths."""
    value = options()[name]
    return os.path.join(options()["prefix"], value) if name.endswith("dir") and value else value


@functools.lru_cache(maxsize=None)
def plugin_dir():
    """Named by the option, else what the installed DPDK was built with, as its own headers say."""
    if option("plugin_dir"):
        return option("plugin_dir")
    flags = subprocess.run(["pkg-config", "--cflags", "libdpdk"], check=True, capture_output=True, text=True)
    out = subprocess.run(["cc", *flags.stdout.split(), "-include", "rte_config.h", "-E", "-dM", "-x", "c", "-"],
                         input="", check=True, capture_output=True, text=True)
    for line in out.stdout.splitlines():
        if line.startswith("#define RTE_EAL_PMD_PATH "):
            return line.split(None, 2)[2].strip('"')
    raise Skip("the installed DPDK has no folder of plugins")


def expected_files():
    """Said here once more, and not asked of Meson, which would be right by definition."""
    lib, version = option("libdir"), introspect("--projectinfo")["version"]
    files = {os.path.join(plugin_dir(), name) for name in PLUGINS}
    files |= {os.path.join(lib, name) for name in (
        "libslabio.a", "libslabio.so", f"libslabio.so.{version.split('.')[0]}", f"libslabio.so.{version}",
        "pkgconfig/libslabio.pc")}
    for header in glob.glob(os.path.join(TOP, "lib", "include", "slabio", "*.h")):
        files.add(os.path.join(option("includedir"), "slabio", os.path.basename(header)))
    for tool in TOOLS:
        files.add(os.path.join(option("bindir"), tool))
        files.add(os.path.join(option("mandir"), "man1", f"{tool}.1"))
    data = os.path.join(option("datadir"), "slabio")
    return files | {os.path.join(data, "main.pcap"), os.path.join(data, "config", "mempool.cfg")}


def found_files(root):
    """Paths of all files below a folder, as seen from there."""
    return {os.path.join(folder, name)[len(root):] for folder, _, names in os.walk(root) for name in names}


@contextlib.contextmanager
def log_kept():
    """Meson's own record of an installation, which "ninja uninstall" goes by, is put back afterwards."""
    kept = LOG + ".test"
    if os.path.exists(LOG):
        shutil.copy2(LOG, kept)
    try:
        yield
    finally:
        if os.path.exists(kept):
            os.replace(kept, LOG)
        else:
            os.unlink(LOG)


@contextlib.contextmanager
def staged(folder):
    """An installation below a DESTDIR."""
    if not all(os.path.exists(os.path.join(BUILD, p)) for p in (
            "drivers/net/slabio/librte_net_slabio.so", "apps/l2fwd/slabio-l2fwd")):
        raise Skip("the poll-mode driver or the applications were not built")
    stage = os.path.join(folder, "stage")
    with log_kept():
        subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", stage],
                       check=True, stdout=subprocess.DEVNULL)
        yield stage
