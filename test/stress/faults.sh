#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Shows that the tests find the faults that the build option plant_fault plants (doc/design/faults.md): with each of
# them the test named for it must fail, and without any all of these tests must pass.
#
#   test/stress/faults.sh [-C <folder for the builds>] [<fault>...]
#
# Exit status: 0 all as it must be, 1 not, 2 wrong use.

set -u
top=$(cd "$(dirname "$0")/../.." && pwd -P)
builds=$top/build-faults

# fault, program, test case
tests="
no_barrier          stress_races    an_owner_and_a_thief_never_both_have_a_block
tag_dropped         stress_races    an_audit_beside_threads_meets_no_block_twice
hint_trusted        stress_threads  random_takes_and_gives_keep_every_block_once
counted_twice       stress_threads  random_takes_and_gives_keep_every_block_once
end_word_first      stress_threads  blocks_cross_a_pipeline_in_order_and_come_back
head_first          stress_packets  a_reader_beside_a_writer_finds_whole_packets_only
tail_kept           unit_rbuff      what_is_written_and_not_published_is_not_there
"

usage() { sed -n '7s/^# *//p' "$0" >&2; exit 2; }
while getopts C: option; do
	case $option in
	C) builds=$OPTARG ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
chosen=${*:-none $(awk 'NF {print $1}' <<<"$tests")}
for fault in $chosen; do
	[ "$fault" = none ] || grep -q "^$fault " <<<"$tests" || usage
done

child=
trap '[ -z "$child" ] || kill "$child"; exit 1' INT TERM HUP
run() {
	"$@" &
	child=$!
	wait "$child"
	local status=$?
	child=
	return $status
}

# build <fault>: only the library and the tests that are named
build() {
	local folder=$builds/$1 log=$builds/$1.log
	mkdir -p "$builds"
	if [ -f "$folder/build.ninja" ]; then
		: >"$log"
	else
		run meson setup -Dapps=false -Dplant_fault="$1" "$folder" "$top" >"$log" 2>&1
	fi && run ninja -C "$folder" test/stress/stress_{races,threads,packets} \
		test/unit/unit_rbuff >>"$log" 2>&1
}

failed=0
verdict() { # <fault> <test case> <0 as it must be> <what>
	[ "$3" -eq 0 ] || failed=1
	printf '%-19s %-48s %s\n' "$1" "$2" "$4"
}

# try <fault> <program> <test case>
try() {
	local log=$builds/$1.$3.out begin=$EPOCHREALTIME status=0 took line
	# a fault ends the test as soon as it is seen; on a busy machine that may take a while
	export SLABIO_STRESS_SECONDS=60
	[ "$1" != none ] || unset SLABIO_STRESS_SECONDS
	run timeout --kill-after=5 60 "$builds/$1/test/${2%%_*}/$2" "$3" >"$log" 2>&1 || status=$?
	took=$(((${EPOCHREALTIME/./} - ${begin/./}) / 1000))
	if [ "$1" = none ]; then
		if [ $status -eq 0 ] && grep -q "\[       OK \] $3\$" "$log"; then
			verdict "$1" "$3" 0 "passes ($took ms)"
		else
			verdict "$1" "$3" 1 "WRONG: status $status, see $log"
			tail -n 20 "$log"
		fi
		return
	fi
	if [ $status -eq 124 ] || [ $status -eq 137 ]; then
		verdict "$1" "$3" 1 "WRONG: it did not end, see $log"
	elif [ $status -ne 0 ] && grep -q "\[  FAILED  \] $3\$" "$log"; then
		line=$(sed -n 's/.*the first: //p; s/^ERROR: //p' "$log" | head -n 1)
		verdict "$1" "$3" 0 "fails, as it must ($took ms)${line:+: $line}"
	else
		verdict "$1" "$3" 1 "WRONG: the fault was not found (status $status), see $log"
	fi
}

for fault in $chosen; do
	if ! build "$fault"; then
		verdict "$fault" - 1 "WRONG: does not build"
		tail -n 20 "$builds/$fault.log"
		continue
	fi
	seen=
	while read -r planted program name; do
		[ -n "$planted" ] || continue
		[ "$fault" != none ] || [ "${seen/ $name /}" = "$seen" ] || continue
		seen="$seen $name "
		case $fault in
		none | "$planted") try "$fault" "$program" "$name" ;;
		esac
	done <<<"$tests"
done
[ $failed -eq 0 ] && echo "all as it must be" || echo "NOT all as it must be"
exit $failed
