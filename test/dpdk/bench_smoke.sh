#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# A tiny run of slabio-bench: every suite and pattern works, all objects are there afterwards, and
# what it writes can be read. Says nothing about speed.
#
# usage: bench_smoke.sh BENCH PLUGIN

set -u
. "$(dirname "$0")/common.sh"

bench=$1
plugin=$2

setup_run bench
check_plugin "$plugin"
if [ "$(huge_free_mb)" -ge 200 ]; then
	memory=
else
	memory="--no-huge -m 256 --"
fi

# shellcheck disable=SC2086 # options are several words
timeout -k 5 150 "$bench" $memory --pairs 1 --ms 2 --objects 4095 --bulk 1,32 \
	--rival ring_mp_mc,stack --json "$LOG.json" --csv "$LOG.csv" >"$LOG" 2>&1 </dev/null ||
	fail "slabio-bench: exit status $?"

jq -e '.conserved == true and (.results | length) > 0' "$LOG.json" >/dev/null ||
	fail "its JSON is not valid, or objects were lost"
if [ "$(nproc)" -ge 2 ]; then
	for suite in mempool pool ring recovery; do
		jq -e --arg suite "$suite" '[.results[] | select(.suite == $suite)] | length > 0' \
			"$LOG.json" >/dev/null || fail "no result of the suite $suite"
	done
	jq -e '.recovery | length > 0' "$LOG.json" >/dev/null || fail "it does not say what came back"
	jq -e '.skipped == []' "$LOG.json" >/dev/null ||
		fail "it skipped: $(jq -c .skipped "$LOG.json")"
fi
jq -e 'all(.results[]; .subject_value.median > 0 and .rival_value.median > 0 and
	.ratio.min <= .ratio.median and .ratio.median <= .ratio.max)' "$LOG.json" >/dev/null ||
	fail "a result without a figure"

# as many fields in each line as in the first
awk -F, 'NR == 1 { n = NF } NF != n + gsub(/, /, ", ") { bad = 1 } END { exit bad || NR < 2 }' \
	"$LOG.csv" || fail "its CSV has lines of different lengths"

"$bench" --bulk 0 >/dev/null 2>"$LOG" && fail "a bulk of 0 was accepted"
grep -q 'found "0", expected a number from 1 to' "$LOG" ||
	fail "the message on a bulk of 0 is unclear"

left=$(left_files)
[ -z "$left" ] || fail "files were left: $left"
