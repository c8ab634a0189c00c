# SPDX-License-Identifier: BSD-3-Clause shellcheck shell=sh disable=SC2034 Sourced by the scripts
# of this folder: a place of its own for each run, and what it leaves behind removed.

skip() {
	echo "SKIP: $*"
	exit 77
}

fail() {
	echo "FAIL: $*" >&2
	[ -n "${LOG:-}" ] && [ -s "$LOG" ] && tail -n 40 "$LOG" >&2
	exit 1
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
