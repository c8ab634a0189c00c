#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# usage: dpdk-examples.sh [folder]
#
# Builds DPDK's own l2fwd and skeleton examples, unchanged, against the installed DPDK into folder
# (default build/examples), as folder/l2fwd and folder/skeleton. Their sources are what
# setup.sh --examples extracted. What is up to date is not built again.
#
# Exit status: 0 built; 77 there are no sources, or they are of another version; 1 does not compile.

set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
sdk=$top/dpdk-sdk
out=${1:-$top/build/examples}

skip() {
	echo "dpdk-examples: $*" >&2
	exit 77
}

[ -f "$sdk/examples/l2fwd/main.c" ] ||
	skip "no sources in dpdk-sdk/examples: run usertools/setup.sh --examples"
installed=$(pkg-config --modversion libdpdk) || skip "DPDK is not installed"
version=$(cat "$sdk/VERSION")
[ "$version" = "$installed" ] || skip "sources are of DPDK $version, installed is $installed"

mkdir -p "$out"
exec 9<"$out"
flock 9

read -r -a cflags < <(pkg-config --cflags libdpdk)
read -r -a libs < <(pkg-config --libs libdpdk)
for example in l2fwd skeleton; do
	stamp=$out/.$example.version
	if [ -x "$out/$example" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$(cat "$sdk/SOURCE_VERSION")" ]; then
		continue
	fi
	echo "dpdk-examples: building $example of DPDK $version"
	# the examples use calls that DPDK still marks as experimental
	"${CC:-cc}" -O2 -g "${cflags[@]}" -DALLOW_EXPERIMENTAL_API -o "$out/$example" \
		"$sdk/examples/$example"/*.c "${libs[@]}"
	cp "$sdk/SOURCE_VERSION" "$stamp"
done
