# SPDX-License-Identifier: BSD-3-Clause
"""Counts the tests in a testlog.json of meson test, for .ci/run.

usage: count.py testlog.json layer status

Writes "count <passed> <failed>", one "layer <suite> <tenths of a second> <remark>" for each suite of
the layer "test", and "text ..." lines for people. A program that reports CMocka test cases counts as
that many; any other as one. With CI=true in the environment what was skipped counts as failed.
"""

import json
import os
import re
import sys

CASE = re.compile(r"^\[\s+(OK|FAILED|SKIPPED)\s+\]\s+(\S+)\s*$", re.M)
GOOD = ("OK", "EXPECTEDFAIL")


def cases(test):
    """sets of the names of test cases that passed, failed, were skipped"""
    found = {"OK": set(), "FAILED": set(), "SKIPPED": set()}
    for stream in ("stdout", "stderr"):
        for state, name in CASE.findall(test.get(stream) or ""):
            found[state].add(name)
    found["OK"] -= found["FAILED"] | found["SKIPPED"]
    return found


def output(test):
    text = (test.get("stdout") or "") + (test.get("stderr") or "")
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def reasons(test, names):
    """for each skipped test case what it said before; for a skipped program its last line"""
    lines = output(test)
    if not names:
        return lines[-1:]
    said = []
    for name in sorted(names):
        pattern = rf"\[ RUN\s+\] {re.escape(name)}\n(.*?)\[\s+SKIPPED\s+\] {re.escape(name)}$"
        match = re.search(pattern, "\n".join(lines), re.M | re.S)
        said.append(f"{name}: {match.group(1).strip() if match else ''}")
    return said


def suite_of(name, path):
    """meson leaves the suite out of a test's name where there is only one"""
    if " / " in name:
        return name.split(" / ")[0].split(":")[-1]
    build = os.path.dirname(os.path.dirname(path))
    with open(f"{build}/meson-info/intro-tests.json", encoding="utf-8") as info:
        for test in json.load(info):
            if test["name"] == name:
                return test["suite"][0].split(":")[-1]
    return "other"


def main(path, layer, status):
    strict = os.environ.get("CI") == "true"
    passed = failed = skipped = 0
    suites = {}
    with open(path, encoding="utf-8") as log:
        tests = [json.loads(line) for line in log if line.strip()]
    for test in tests:
        name, result = test["name"], test["result"]
        suite = suite_of(name, path)
        found = cases(test)
        ok, bad, skip = (len(found[k]) for k in ("OK", "FAILED", "SKIPPED"))
        if result == "SKIP":
            ok, skip = 0, max(skip, 1)
        elif result in GOOD:
            ok = ok if ok + skip else 1
        else:
            bad = max(bad, 1)
        if result != "SKIP" and result not in GOOD:
            print(f"text FAILED {name}: {result}; what failed, and the end of its output:")
            lines = output(test)
            for line in [x for x in lines[:-40] if "FAILED" in x][:10] + lines[-40:]:
                print("text    |", line)
        if skip:
            for reason in reasons(test, found["SKIPPED"]):
                print(f"text SKIPPED {name}: {reason}")
        passed, failed, skipped = passed + ok, failed + bad, skipped + skip
        entry = suites.setdefault(suite, [0.0, 0, 0, 0])
        for i, n in enumerate((float(test.get("duration") or 0), ok, bad, skip)):
            entry[i] += n
    if status != 0 and failed == 0:
        print(f"text FAILED {layer}: meson test ended with status {status}")
        failed += 1
    if skipped and strict:
        print(f"text {skipped} skipped tests count as failed")
        failed += skipped
    if layer == "test":
        for suite, (seconds, ok, bad, skip) in suites.items():
            print(f"layer {suite} {round(seconds * 10)} {ok} passed, {bad} failed, {skip} skipped")
    print(f"count {passed} {failed}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
