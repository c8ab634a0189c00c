#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# usage: hugepages.sh [MiB]
#
# Sees to it that MiB megabytes (default 1024) of 2 MB hugepages are free and that hugetlbfs is
# mounted. Reserves only what is missing, at most half of the memory that is available, and never
# lowers the number.
#
# Exit status: 0 all there; 3 fewer than asked for, or none, or not mounted: run without (--no-huge);
# 2 wrong usage.

set -euo pipefail

want_mib=${1:-1024}
if [ $# -gt 1 ] || ! [[ $want_mib =~ ^[1-9][0-9]{0,6}$ ]]; then
	echo "hugepages: expected one number of MiB, found '$*'" >&2
	exit 2
fi

pool=/sys/kernel/mm/hugepages/hugepages-2048kB
mount_point=/dev/hugepages

say() { echo "hugepages: $*"; }
short() {
	say "$*"
	exit 3
}
available() { echo $(($(cat $pool/free_hugepages) - $(cat $pool/resv_hugepages))); }
# A write that the kernel may refuse; what it granted is read back afterwards.
try_write() { (echo "$1" >"$2") 2>/dev/null || true; }

[ -d $pool ] || short "the kernel has no 2 MB hugepages ($pool does not exist)"

want=$(((want_mib + 1) / 2))
have=$(available)
if [ "$have" -lt "$want" ]; then
	missing=$((want - have))
	affordable=$(($(awk '/^MemAvailable:/ {print $2}' /proc/meminfo) / 2 / 2048))
	[ "$missing" -le "$affordable" ] || missing=$affordable
	target=$(($(cat $pool/nr_hugepages) + missing))
	try_write "$target" $pool/nr_hugepages
	if [ "$(cat $pool/nr_hugepages)" -lt "$target" ]; then
		# fragmented memory: once more after compaction
		try_write 1 /proc/sys/vm/compact_memory
		[ "$(cat $pool/nr_hugepages)" -ge "$target" ] || try_write "$target" $pool/nr_hugepages
	fi
	have=$(available)
fi

mounted=
while read -r _ where type options _; do
	[ "$type" = hugetlbfs ] || continue
	case ,$options, in
	*,pagesize=2M,*) mounted=$where ;;
	*,pagesize=*) ;;
	*) mounted=$where ;;
	esac
done </proc/mounts

if [ -z "$mounted" ] && [ "$have" -gt 0 ]; then
	if mkdir -p $mount_point 2>/dev/null &&
		mount -t hugetlbfs -o pagesize=2M,mode=0755 nodev $mount_point 2>/dev/null; then
		mounted=$mount_point
	else
		short "hugetlbfs could not be mounted on $mount_point (are you root?)"
	fi
fi

[ "$have" -gt 0 ] || short "the kernel gave none of the $want pages of 2 MB asked for"
[ "$have" -ge "$want" ] || short "$have pages of 2 MB are free on $mounted, asked for were $want"
say "$have pages of 2 MB are free on $mounted"
