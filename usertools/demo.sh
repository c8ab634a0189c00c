#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Shows the whole of slabio at work, and checks it: packets from a capture, then from two real network stacks,
# through the slab pool, net_slabio ports, rings and worker processes. Needs root, no network card, and no
# hugepages (it uses them where there are some). Takes less than a minute.
#
#   demo.sh [BUILD FOLDER]     default: build, beside this folder
#
# With NO_HUGE=1 in the environment EAL gets no hugepages even where there are some. The live ports are AF_XDP
# sockets where the kernel has those, else libpcap's; SLABIO_LIVE=afxdp or SLABIO_LIVE=pcap decides instead.
#
# Exit status 0 only if every check held. Whatever it makes has names of its own and is removed in the end,
# also when it is interrupted; two can run side by side.

set -u

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${1:-$top/build}
build=$(cd "$build" 2>/dev/null && pwd) || build=${1:-$top/build}
tools=$top/usertools
capture=$top/test/data/main.pcap

l2fwd=$build/apps/l2fwd/slabio-l2fwd
worker=$build/apps/worker/slabio-worker
ctl=$build/apps/ctl/slabioctl
pmd=$build/drivers/net/slabio/librte_net_slabio.so
slab=$build/drivers/mempool/slab/librte_mempool_slab.so

id=siodemo$$
dir=
lab=
pids=()
failures=0
checks=0

say() { printf '%s\n' "$*"; }
title() { printf '\n== %s\n' "$*"; }

# check TEXT COMMAND...: one line of the result
check() {
	local text=$1
	shift
	checks=$((checks + 1))
	if "$@"; then
		say "   [ok]     $text"
	else
		say "   [FAILED] $text"
		failures=$((failures + 1))
	fi
}

give_up() {
	say "demo: $*" >&2
	exit 1
}

# Ends what still runs, gently first, and removes what was made. Runs once, on every way out.
clean_up() {
	local pid status=$?
	trap '' EXIT INT TERM HUP
	for pid in "${pids[@]}"; do
		# a stopped one first has to go on
		kill -CONT "$pid" 2>/dev/null
		kill -TERM "$pid" 2>/dev/null
	done
	for _ in $(seq 50); do
		local left=
		for pid in "${pids[@]}"; do
			kill -0 "$pid" 2>/dev/null && left=1
		done
		[ -n "$left" ] || break
		sleep 0.1
	done
	for pid in "${pids[@]}"; do
		kill -KILL "$pid" 2>/dev/null
	done
	wait 2>/dev/null
	[ -z "$lab" ] || "$tools/veth-lab.sh" down "$lab"
	if [ -n "$dir" ]; then
		rm -rf "$dir" "$SLABIO_RUNTIME_DIR" "/var/run/dpdk/$id"
		# the payload segment of an l2fwd that had to be killed
		awk '$3 == "hugetlbfs" { print $2 }' /proc/mounts | while read -r mount; do
			rm -f "$mount"/slabio.*@"$id".* "$mount/$id"map_*
		done
	fi
	exit "$status"
}

prepare() {
	local file tool
	[ "$(id -u)" -eq 0 ] || give_up "needs root for namespaces: sudo make demo"
	for file in "$l2fwd" "$worker" "$pmd" "$slab" "$capture"; do
		[ -e "$file" ] || give_up "$file is missing: run make first"
	done
	for tool in ip ethtool ping iperf3 python3; do
		command -v "$tool" >/dev/null || give_up "needs $tool: run usertools/setup.sh"
	done
	trap clean_up EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	dir=$(mktemp -d) || give_up "no temporary folder"
	export SLABIO_RUNTIME_DIR=/dev/shm/$id
	mkdir -m 700 "$SLABIO_RUNTIME_DIR" || give_up "cannot make $SLABIO_RUNTIME_DIR"

	eal=(--lcores "0@(0-$(($(nproc) - 1)))" --no-pci --file-prefix "$id" -d "$slab" -d "$pmd")
	if [ -z "${NO_HUGE:-}" ] && [ "$(awk '/^HugePages_Free/ { print $2 }' /proc/meminfo)" -ge 128 ] 2>/dev/null &&
		grep -q ' hugetlbfs ' /proc/mounts; then
		eal+=(--huge-unlink)
		say "memory: hugepages"
	else
		eal+=(--no-huge -m 128)
		say "memory: normal pages (fewer than 128 hugepages are free, or NO_HUGE is set)"
	fi
}

# wait_for FILE TEXT SECONDS: until the text is in the file
wait_for() {
	local i
	for ((i = 0; i < $3 * 20; i++)); do
		grep -qsF -- "$2" "$1" && return 0
		sleep 0.05
	done
	return 1
}

# number FILE EXPRESSION: a figure of l2fwd's statistics
number() {
	python3 -c 'import json, sys; s = json.load(open(sys.argv[1])); print(int(eval(sys.argv[2])))' "$@"
}

figure_is() { [ "$(number "$1" "$2" 2>/dev/null)" = "$3" ]; }
figure_above() { [ "$(number "$1" "$2" 2>/dev/null || echo -1)" -gt "$3" ]; }

show_table() { sed -n '/^====/,$ s/^/   /p' "$1"; }

# ---- 1: a capture ----

replay() {
	local log=$dir/replay.log stats=$dir/replay.json status
	title "1. replay: $(basename "$capture") -> port 0 -> l2fwd -> two workers -> port 1 -> out.pcap"
	"$l2fwd" "${eal[@]}" --vdev="net_slabio0,rx_pcap=$capture" \
		--vdev="net_slabio1,tx_pcap=$dir/out.pcap" -- -p 3 -T 0 --name "$id" --workers 2 \
		--backpressure 1000 --exit-idle 1 --exit-after 30 --stats-file "$stats" >"$log" 2>&1 &
	pids+=($!)
	wait $!
	status=$?
	check "slabio-l2fwd ended well, with all its packets accounted for" [ "$status" -eq 0 ]
	[ "$status" -eq 0 ] || sed 's/^/   | /' "$log"
	# 02:00:00:00:00:01 is what l2fwd writes as destination for port 1
	python3 "$tools/pcapcheck.py" --dst 02:00:00:00:00:01 "$capture" "$dir/out.pcap" >"$dir/compare" 2>&1
	status=$?
	sed 's/^pcapcheck: /   /' "$dir/compare"
	check "every packet came out, byte for byte apart from the MAC rewrite, in order per flow" \
		[ "$status" -eq 0 ]
	check "both workers had packets" figure_above "$stats" "min(w['returned'] for w in s['workers'])" 0
	check "all buffers are back in the pool" figure_is "$stats" "s['buffers_clean']" 1
	show_table "$log"
}

# ---- 2: two network stacks ----

# What runs in the background is called without a function around it, so that $! is its own process.

# pings FROM TO COUNT: all answered?
pings() {
	local out
	out=$(ip netns exec "$lab.$1" ping -q -c "$3" -i 0.02 -W 2 "$2" 2>&1)
	say "   $(grep transmitted <<<"$out")"
	grep -q ' 0% packet loss' <<<"$out"
}

start_worker() { # start_worker SLOT LOG
	ip netns exec "$lab.m" "$worker" --attach "$id" --slot "$1" --fn count >"$2" 2>&1 &
	worker_pid=$!
	pids+=("$worker_pid")
}

start_live() {
	ip netns exec "$lab.m" "$l2fwd" "${eal[@]}" --vdev="net_slabio0,$live_port=port0" \
		--vdev="net_slabio1,$live_port=port1" -- -p 3 -P -T 0 --no-mac-updating --name "$id" \
		--workers 2 --no-spawn --wait-workers 20 --exit-after 90 --stats-file "$dir/live.json" \
		>"$dir/live.log" 2>&1 &
	live_pid=$!
	pids+=("$live_pid")
	wait_for "$dir/live.log" "is open for 2 workers" 20 || return 1
	start_worker 0 "$dir/worker0.log"
	first_pid=$worker_pid
	start_worker 1 "$dir/worker1.log"
	wait_for "$dir/live.log" "forwarding" 20
}

# Prints the packets in all intervals of iperf3 and fails if one of them had none.
intervals_moved() {
	python3 - "$1" <<-'PY'
	import json, sys
	report = json.load(open(sys.argv[1]))
	if "error" in report:
	    sys.exit("   iperf3: " + report["error"])
	rates = [i["sum"]["bits_per_second"] / 1e6 for i in report["intervals"]]
	print("   Mbit/s, each half second: " + " ".join("%.0f" % r for r in rates))
	print("   in all: %.0f Mbit/s, %d retransmitted" % (
	    report["end"]["sum_received"]["bits_per_second"] / 1e6,
	    report["end"]["sum_sent"]["retransmits"]))
	sys.exit(0 if rates and min(rates) > 0 else 1)
	PY
}

audit_from_outside() {
	local pool
	[ -x "$ctl" ] || return 0
	pool=$(sed -n 's/.*slab pool "\(.*\)"$/\1/p' "$dir/live.log")
	say "   slabioctl audit $pool"
	"$ctl" audit "$pool" >"$dir/audit" 2>&1
	local status=$?
	sed 's/^/   | /' "$dir/audit"
	check "slabioctl finds every block once, from outside, while traffic is possible" [ $status -eq 0 ]
}

traffic_with_kill() {
	local iperf_status
	ip netns exec "$lab.b" iperf3 -s -1 >"$dir/iperf-server.log" 2>&1 &
	pids+=($!)
	sleep 0.3
	say "   iperf3: four TCP connections for six seconds"
	ip netns exec "$lab.a" iperf3 -c 10.77.0.2 -t 6 -P 4 -i 0.5 -J >"$dir/iperf.json" 2>&1 &
	local iperf_pid=$!
	pids+=("$iperf_pid")
	sleep 2
	say "   SIGKILL to worker 0 (pid $first_pid) under full traffic"
	kill -KILL "$first_pid"
	wait "$first_pid" 2>/dev/null
	check "l2fwd noticed by its life token and took its packets back" \
		wait_for "$dir/live.log" "worker 0 (pid $first_pid) is gone" 5
	sed -n 's/^l2fwd: \(worker 0 .* is gone.*\)/   \1/p' "$dir/live.log"
	sleep 1
	start_worker 0 "$dir/worker0b.log"
	check "a new worker joined in its slot" \
		wait_for "$dir/live.log" "worker 0 (pid $worker_pid) has joined, incarnation 2" 5
	wait "$iperf_pid"
	iperf_status=$?
	check "traffic went on in every half second" intervals_moved "$dir/iperf.json"
	check "iperf3 ended well" [ "$iperf_status" -eq 0 ]
}

live() {
	local stats=$dir/live.json status choice
	title "2. live: namespace a <-> port 0, l2fwd and two workers, port 1 <-> namespace b"
	choice=$("$tools/live_port.py" "$pmd") || give_up "cannot choose between AF_XDP and libpcap"
	live_port=${choice%% *}
	say "   ports: $live_port=port0 and $live_port=port1 (${choice#* })"
	"$tools/veth-lab.sh" up "$id" || give_up "no lab of network namespaces"
	lab=$id
	check "slabio-l2fwd runs on live interfaces, two workers joined" start_live
	[ "$failures" -eq 0 ] || sed 's/^/   | /' "$dir/live.log"
	sed -n 's/^.*\(net_slabio[01]: port[01] queues.*\)/   \1/p' "$dir/live.log"
	check "ping from a to b" pings a 10.77.0.2 50
	check "ping from b to a" pings b 10.77.0.1 50
	traffic_with_kill
	check "ping from a to b, with the new worker" pings a 10.77.0.2 50
	check "ping from b to a, with the new worker" pings b 10.77.0.1 50
	audit_from_outside
	kill -TERM "$live_pid"
	wait "$live_pid"
	status=$?
	check "slabio-l2fwd ended well, with all its packets accounted for" [ "$status" -eq 0 ]
	[ "$status" -eq 0 ] || sed 's/^/   | /' "$dir/live.log"
	wait "$worker_pid"
	check "the new worker had its part and went when told" \
		grep -qE 'slabio-worker 0: [1-9][0-9]* packets' "$dir/worker0b.log"
	check "no buffer is missing" figure_is "$stats" "s['buffers_clean']" 1
	if [ "$live_port" = iface ]; then
		check "no packet was copied between the sockets and the workers" \
			figure_is "$stats" "sum(p['xstats']['tx_q0_copies'] for p in s['ports'])" 0
	fi
	show_table "$dir/live.log"
}

prepare
replay
live
title "result: $((checks - failures)) of $checks checks held"
left=$(find "$SLABIO_RUNTIME_DIR" -type f ! -name .lock 2>/dev/null)
if [ -n "$left" ]; then
	say "   [FAILED] left behind: $left"
	failures=$((failures + 1))
fi
[ "$failures" -eq 0 ]
