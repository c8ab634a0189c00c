#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# usage: dpdk-examples.sh [folder [name...]]
#
# Builds DPDK's own examples, unchanged, against the installed DPDK into folder (default
# build/examples): those named, or all of them. Their sources are what setup.sh --examples extracted.
# What is up to date is not built again.
#
# Exit status: 0 built; 77 there are no sources, or they are of another version; 1 does not compile;
# 2 wrong usage.

set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
sdk=$top/dpdk-sdk
out=${1:-$top/build/examples}
shift $(($# > 0 ? 1 : 0))

# where each one's sources are, and what its own Makefile adds to the flags
declare -A source=(
	[l2fwd]=l2fwd [skeleton]=skeleton [l2fwd-event]=l2fwd-event [l3fwd]=l3fwd
	[rxtx_callbacks]=rxtx_callbacks [packet_ordering]=packet_ordering
	[ip_fragmentation]=ip_fragmentation [ip_reassembly]=ip_reassembly
	[symmetric_mp]=multi_process/symmetric_mp
	[mp_server]=multi_process/client_server_mp/mp_server
	[mp_client]=multi_process/client_server_mp/mp_client
)
declare -A include=(
	[l3fwd]=common [mp_server]=multi_process/client_server_mp/shared
	[mp_client]=multi_process/client_server_mp/shared
)

skip() {
	echo "dpdk-examples: $*" >&2
	exit 77
}

[ $# -gt 0 ] || set -- "${!source[@]}"
for name; do
	if [ -z "${source[$name]-}" ]; then
		echo "dpdk-examples: expected names out of ${!source[*]}, found '$name'" >&2
		exit 2
	fi
	[ -d "$sdk/examples/${source[$name]}" ] ||
		skip "no sources in dpdk-sdk/examples: run usertools/setup.sh --examples"
done
installed=$(pkg-config --modversion libdpdk) || skip "DPDK is not installed"
version=$(cat "$sdk/VERSION")
[ "$version" = "$installed" ] || skip "sources are of DPDK $version, installed is $installed"

mkdir -p "$out"
exec 9<"$out"
flock 9

read -r -a cflags < <(pkg-config --cflags libdpdk)
read -r -a libs < <(pkg-config --libs libdpdk)
for name; do
	stamp=$out/.$name.version
	if [ -x "$out/$name" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$(cat "$sdk/SOURCE_VERSION")" ]; then
		continue
	fi
	echo "dpdk-examples: building $name of DPDK $version"
	files=()
	for file in "$sdk/examples/${source[$name]}"/*.c; do
		case $file in
		*/l3fwd/*_route_parse.c) ;; # included by others
		*) files+=("$file") ;;
		esac
	done
	# the examples use calls that DPDK still marks as experimental
	"${CC:-cc}" -O2 -g "${cflags[@]}" ${include[$name]:+-I"$sdk/examples/${include[$name]}"} \
		-DALLOW_EXPERIMENTAL_API -o "$out/$name" \
		"${files[@]}" "${libs[@]}"
	cp "$sdk/SOURCE_VERSION" "$stamp"
done
