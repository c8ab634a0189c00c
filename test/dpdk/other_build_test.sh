#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# A mempool driver that was built with another libslabio than the one that is loaded says so, and
# does not register: the application ends with DPDK's own message, and crashes nowhere.
#
# usage: other_build_test.sh PRELOAD PLUGIN

set -u
. "$(dirname "$0")/common.sh"

preload=$1
plugin=$2

setup_run other
check_plugin "$plugin"
# shellcheck disable=SC2086 # options are several words
LD_PRELOAD=$preload timeout -k 5 60 dpdk-testpmd $LCORES --no-huge -m 128 --no-pci \
	--file-prefix="$PREFIX" -d "$plugin" --mbuf-pool-ops-name=slab --vdev=net_null0 -- \
	--total-num-mbufs=2048 --auto-start --stats-period 1 >"$LOG" 2>&1 </dev/null
status=$?
[ $status -ne 0 ] || fail "testpmd ran"
[ $status -lt 124 ] || fail "testpmd did not end by itself: status $status"
grep -q "SLAB: this driver was built with another libslabio" "$LOG" || fail "no message"
left=$(left_files)
[ -z "$left" ] || fail "files left: $left"
echo "refused: OK"
