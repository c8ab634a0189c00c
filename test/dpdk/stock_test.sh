#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# Runs tests of DPDK's own test program with mbuf pools on the slab ops; with -p LIBRARY all its
# mempools, by preloading.
#
# usage: stock_test.sh [-p PRELOAD] [-e 'EAL OPTIONS'] [-x 'EXPECTED TEXT'] PLUGIN TEST...

set -u
. "$(dirname "$0")/common.sh"

preload= eal= expect=
while getopts p:e:x: opt; do
	case $opt in
	p) preload=$OPTARG ;;
	e) eal=$OPTARG ;;
	x) expect=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
plugin=$1
shift

need dpdk-test
setup_run stock
check_plugin "$plugin"

if [ "$(huge_free_mb)" -ge 600 ]; then
	memory=
else
	memory="--no-huge -m 512"
	case $eal in
	*iova-mode=pa*) skip "physical addresses need 600 MB of free 2 MB hugepages, $(huge_free_mb) MB are free" ;;
	esac
fi

for test in "$@"; do
	# shellcheck disable=SC2086 # options are several words
	LD_PRELOAD=$preload timeout -k 5 100 dpdk-test $LCORES $memory $eal --no-pci \
		--file-prefix="$PREFIX" -d "$plugin" --mbuf-pool-ops-name=slab "$test" \
		>"$LOG" 2>&1 </dev/null
	status=$?
	case $eal in
	*iova-mode=pa*)
		grep -q "physical addresses are not available\|IOVA as 'PA'.*not" "$LOG" &&
			skip "this kernel gives no physical addresses"
		;;
	esac
	grep -q "^Test OK" "$LOG" || fail "$test: exit status $status and no \"Test OK\""
	[ "$status" -eq 0 ] || fail "$test: exit status $status"
	grep -q "SLAB: .*\(failed\|cannot\|expected\|was put\)" "$LOG" && fail "$test: the driver complains"
	if [ -n "$expect" ]; then
		grep -q "$expect" "$LOG" || fail "$test: no \"$expect\" in its output"
	fi
	if [ -n "$preload" ]; then
		line=$(grep "^preload_slab: " "$LOG") || fail "$test: nothing was preloaded"
		case $line in
		"preload_slab: 0 "*) fail "$test: no mempool was redirected" ;;
		*", 0 of them refused") ;;
		*) fail "$test: $line" ;;
		esac
		echo "$test: OK ($line)"
	else
		echo "$test: OK"
	fi
	left=$(left_files)
	[ -z "$left" ] || fail "$test left files: $left"
done
