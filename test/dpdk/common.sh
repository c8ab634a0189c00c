# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh disable=SC2034
#
# Sourced by the scripts of this folder: a place of its own for each run, and what it leaves behind
# removed.

skip() {
	echo "SKIP: $*"
	exit 77
}

fail() {
	echo "FAIL: $*" >&2
	[ -n "${LOG:-}" ] && [ -s "$LOG" ] && tail -n 40 "$LOG" >&2
	exit 1
}

# need PROGRAM...
need() {
	for program in "$@"; do
		command -v "$program" >/dev/null || skip "$program is not installed"
	done
}

# pids of what a script has started in the background
PIDS=""

setup_run() {
	[ "$(id -u)" -eq 0 ] || skip "EAL needs root here"
	PREFIX="slabtest.$1.$$"
	SLABIO_RUNTIME_DIR=$(mktemp -d /dev/shm/slabio-test-XXXXXX) || fail "no folder in /dev/shm"
	export SLABIO_RUNTIME_DIR
	LOG=$(mktemp /tmp/slabio-test-XXXXXX) || fail "no file in /tmp"
	trap teardown_run EXIT
	trap 'exit 1' INT TERM HUP
	if [ "$(nproc)" -ge 2 ]; then
		LCORES="-l 0-1"
	else
		LCORES="--lcores (0,1)@0"
	fi
}

teardown_run() {
	for pid in $PIDS; do
		# a timeout, which ends what it runs, by force if need be: only then is nothing made any more
		kill -TERM "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	rm -rf "$SLABIO_RUNTIME_DIR" "/run/dpdk/$PREFIX" "/var/run/dpdk/$PREFIX" "$LOG" "$LOG".*
	awk '$3 == "hugetlbfs" { print $2 }' /proc/mounts | while read -r mount; do
		rm -f "$mount/${PREFIX}map_"*
	done
}

# what a run that ended well should not leave: all but the folder's own lock
left_files() {
	find "$SLABIO_RUNTIME_DIR" -type f ! -name .lock -printf '%f '
}

# start_testpmd OPTION...: an interactive testpmd with its mbufs on slab, between two net_null ports, at
# its prompt, for tell; it is $pid, and its output is in $LOG.
start_testpmd() {
	: >"$LOG" # the prompt of a run before may be in it
	[ -p "$LOG.fifo" ] || mkfifo "$LOG.fifo" || fail "no fifo $LOG.fifo"
	# shellcheck disable=SC2086 # options are several words
	timeout -k 5 60 dpdk-testpmd $LCORES --no-pci --file-prefix="$PREFIX" \
		--mbuf-pool-ops-name=slab --vdev=net_null0 --vdev=net_null1 "$@" \
		<"$LOG.fifo" >"$LOG" 2>&1 &
	pid=$!
	PIDS=$pid
	exec 7>"$LOG.fifo"
	await_prompts 1
	grep -q "preferred mempool ops selected: slab" "$LOG" || fail "testpmd is not on slab"
}

prompts() {
	grep -o "testpmd> " "$LOG" | wc -l
}

# until testpmd has shown its prompt so many times; what it prints comes later, a buffer at a time
await_prompts() {
	i=0
	until [ "$(prompts)" -ge "$1" ]; do
		kill -0 $pid 2>/dev/null || fail "testpmd ended instead of showing its prompt"
		[ $i -lt 200 ] || fail "testpmd did not show its prompt within 20 s"
		sleep 0.1
		i=$((i + 1))
	done
}

# tell COMMAND: until testpmd has done it
tell() {
	seen=$(prompts)
	echo "$1" >&7
	await_prompts $((seen + 1))
}

# ends it: well, with the driver content, and nothing left behind
end_testpmd() {
	echo quit >&7
	exec 7>&-
	wait $pid || fail "testpmd ended with status $?"
	PIDS=
	grep -q "SLAB: .*\(failed\|cannot\|expected\|was put\)" "$LOG" && fail "the driver complains"
	left=$(left_files)
	[ -z "$left" ] || fail "testpmd left files: $left"
}

# free 2 MB pages, in MB, if a hugetlbfs to use them is mounted
huge_free_mb() {
	awk '$3 == "hugetlbfs"' /proc/mounts | grep -q . || { echo 0; return; }
	cat /sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages 2>/dev/null |
		awk '{ print $1 * 2 } END { if (NR == 0) print 0 }'
}

# world-writable folders above a plugin make EAL refuse it
check_plugin() {
	[ -f "$1" ] || fail "no plugin $1"
	dir=$(dirname "$(realpath "$1")")
	while [ "$dir" != / ]; do
		case $(stat -c %A "$dir") in
		????????w?) skip "EAL loads no plugins from below the world-writable $dir" ;;
		esac
		dir=$(dirname "$dir")
	done
}
