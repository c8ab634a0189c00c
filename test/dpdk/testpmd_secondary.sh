#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# A stock testpmd with its mbufs on slab, and the stock dpdk-proc-info beside it reading the
# mempool: on Debian the two build their ops tables in different orders. Then dpdk-pdump, whose
# mempool, created in a secondary, is used by testpmd. It asks for a ring by name, so that the
# preloaded library has to put it on slab. With and without the mempool cache.
#
# usage: testpmd_secondary.sh PLUGIN PRELOAD

set -u
. "$(dirname "$0")/common.sh"

plugin=$1
preload=$2
mbufs=8192

need dpdk-testpmd dpdk-proc-info dpdk-pdump
setup_run testpmd
check_plugin "$plugin"
[ "$(huge_free_mb)" -ge 200 ] ||
	skip "secondary processes need 200 MB of free 2 MB hugepages, $(huge_free_mb) MB are free"

# what the pool has free, as a secondary process reads it
count() {
	timeout -k 5 30 dpdk-proc-info --no-pci --no-telemetry --file-prefix="$PREFIX" -d "$plugin" \
		-- --show-mempool=mb_pool_0 >"$LOG.info" 2>&1 || return 1
	grep -q "ops_name slab$" "$LOG.info" || return 1
	sed -n 's/.*Count: avail (\([0-9]*\)).*/\1/p' "$LOG.info"
}

# Starts a capture. It must not end while testpmd forwards: it frees its mempool without waiting
# for those who are just copying into it.
capture_start() {
	LD_PRELOAD=$preload timeout -k 5 -s INT 30 dpdk-pdump --no-pci --no-telemetry \
		--file-prefix="$PREFIX" -d "$plugin" -- \
		--pdump "port=0,queue=*,rx-dev=/dev/null,total-num-mbufs=4095" >"$LOG.pdump" 2>&1 &
	pdump=$!
	PIDS="$PIDS $pdump"
	i=0
	until [ "$(left_files | wc -w)" -ge 2 ] || [ $i -ge 100 ]; do
		sleep 0.1
		i=$((i + 1))
	done
}

# ends it, and prints how many packets it got
capture_end() {
	# to timeout its time is over: it passes SIGINT on, which a shell's background processes
	# else ignore
	kill -ALRM $pdump
	wait $pdump
	sed -n 's/.*packets dequeued:[^0-9]*\([0-9]*\).*/\1/p' "$LOG.pdump"
}

for cache in 0 128; do
	start_testpmd -d "$plugin" -- -i --total-num-mbufs=$mbufs --mbcache=$cache

	free=$(count) || { cat "$LOG.info" >&2; fail "dpdk-proc-info cannot read the pool"; }
	[ -n "$free" ] && [ "$free" -le $mbufs ] && [ "$free" -gt 0 ] ||
		{ cat "$LOG.info" >&2; fail "dpdk-proc-info reads \"$free\" free of $mbufs"; }
	[ "$free" -eq $mbufs ] || fail "before the start $free of $mbufs are free"

	tell start
	sleep 1
	count >/dev/null || { cat "$LOG.info" >&2; fail "dpdk-proc-info fails beside forwarding"; }
	capture_start
	sleep 1
	kill -0 $pid 2>/dev/null || fail "testpmd ended beside dpdk-pdump"
	tell stop
	capture_end >"$LOG.captured"
	captured=$(cat "$LOG.captured")
	[ "${captured:-0}" -gt 0 ] || { tail "$LOG.pdump" >&2; fail "dpdk-pdump captured nothing"; }
	grep -q "preload_slab: 0 requests" "$LOG.pdump" && fail "dpdk-pdump was not put on slab"
	free=$(count)
	[ "$free" = $mbufs ] || fail "after the stop $free of $mbufs are free"
	end_testpmd
	grep -q "RX-total: 0$" "$LOG" && fail "nothing was forwarded"
	echo "cache $cache: $mbufs of $mbufs mbufs free before and after, $captured packets captured"
done
