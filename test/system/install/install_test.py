#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the slabio authors
"""What "meson install" puts where, below a DESTDIR; what others make of it; that it goes again."""

import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "pmd"))

from testpmd import BUILD, TOP, check, equal, need, run  # noqa: E402
from staged import expected_files, found_files, option, staged  # noqa: E402

TOOLS = {
    "slabio-bench": ["--help"],
    "slabio-eal-worker": ["--", "--help"],
    "slabio-l2fwd": ["--no-huge", "-m", "16", "--no-pci", "--no-shconf", "--no-telemetry",
                     "-l", str(min(os.sched_getaffinity(0))), "--", "--help"],
    "slabio-worker": ["--help"],
    "slabio-xsk": ["--help"],
    "slabioctl": ["--help"],
    "testpmd-bench": ["--help"],
}


def below(stage, path):
    return stage + path


def loader(stage):
    """The environment in which what lies below a DESTDIR can be started."""
    return {**os.environ, "LD_LIBRARY_PATH": below(stage, option("libdir"))}


def every_file_is_installed_once_and_uninstall_removes_all(folder):
    with staged(folder) as stage:
        equal(found_files(stage), expected_files(), "files installed")
        for path in expected_files():
            if "/bin/" in path:
                check(os.access(below(stage, path), os.X_OK), f"{path} is not executable")
        subprocess.run([os.path.join(TOP, "usertools", "uninstall.sh"), BUILD], check=True,
                       env={**os.environ, "DESTDIR": stage}, stdout=subprocess.DEVNULL)
        equal(found_files(stage), set(), "files left by uninstall")
        left = [folder for folder, _, _ in os.walk(stage) if folder != stage]
        equal(left, [], "folders left by uninstall, all of which the installation made")


def a_program_is_built_with_pkg_config_alone(folder):
    need("pkg-config", "cc")
    source = os.path.join(os.path.dirname(os.path.realpath(__file__)), "consumer.c")
    with staged(folder) as stage:
        env = {**os.environ, "PKG_CONFIG_SYSROOT_DIR": stage,
               "PKG_CONFIG_PATH": below(stage, os.path.join(option("libdir"), "pkgconfig"))}

        def flags(*what):
            return subprocess.run(["pkg-config", *what, "libslabio"], env=env, check=True,
                                  capture_output=True, text=True).stdout.split()

        static = [f if f != "-lslabio" else "-l:libslabio.a" for f in flags("--static", "--libs")]
        for name, libs in (("shared", flags("--libs")), ("static", static)):
            program = os.path.join(folder, name)
            subprocess.run(["cc", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o", program,
                            source, *flags("--cflags"), *libs], check=True)
            out = subprocess.run([program], env=loader(stage), check=True, capture_output=True, text=True)
            equal(out.stdout, "64 of 64 blocks are free\n", f"what the {name} program says")
            needed = subprocess.run(["readelf", "-d", program], check=True, capture_output=True, text=True)
            equal("libslabio.so.0" in needed.stdout, name == "shared", f"{name} needs the shared library")


def manual_pages_and_help_name_the_same_options(folder):
    with staged(folder) as stage:
        for tool, args in TOOLS.items():
            argv = [below(stage, os.path.join(option("bindir"), tool)), *args]
            out = subprocess.run(argv, env=loader(stage), capture_output=True, text=True)
            equal(out.returncode, 0, f"exit status of {tool} {' '.join(args)}: {out.stderr}")
            text = out.stdout + out.stderr
            text = text[text.index(tool):]
            text = re.sub(r"--\[no-\](\S+)", r"--\1, --no-\1", text)
            told = set(re.findall(r"(?:^|\[|, )\s*(--?[a-zA-Z][\w-]*)", text, re.M))
            page = below(stage, os.path.join(option("mandir"), "man1", f"{tool}.1"))
            with open(page, encoding="ascii") as f:
                lines = [line for line in f if re.match(r"\.(It|Op|Pq) ", line)]
            written = {"-" + name.replace("\\", "")
                       for line in lines for name in re.findall(r"\bFl (\S+)", line)}
            common = {"-h", "--help", "--", "-"}
            equal(sorted(written - common), sorted(told - common), f"options of {tool}: manual page, --help")
            check(len(told - common) > 3 or tool == "slabioctl", f"{tool} --help: {told}")


def manual_pages_are_formatted_without_a_warning(_):
    need("groff")
    pages = os.path.join(TOP, "doc", "man")
    for page in sorted(os.listdir(pages)):
        if page.endswith(".1"):
            out = subprocess.run(["groff", "-mandoc", "-Tascii", "-ww", os.path.join(pages, page)],
                                 capture_output=True, text=True)
            equal((out.returncode, out.stderr), (0, ""), f"groff on {page}")


if __name__ == "__main__":
    run(every_file_is_installed_once_and_uninstall_removes_all,
        a_program_is_built_with_pkg_config_alone,
        manual_pages_and_help_name_the_same_options,
        manual_pages_are_formatted_without_a_warning)
