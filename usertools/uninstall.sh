#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# usage: uninstall.sh BUILD
#
# Removes what "meson install" installs from this build folder, below DESTDIR if it is set, and those
# folders that are empty then and are the project's own or were made by the last installation. May be run
# any number of times.

set -eu

fail() {
	echo "uninstall: $*" >&2
	exit 1
}

[ $# -eq 1 ] || fail "expected one build folder, found \"$*\""
[ -f "$1/build.ninja" ] || fail "$1 is no build folder: what was installed from it is not known"
PATH=$PATH:/sbin:/usr/sbin
DESTDIR=${DESTDIR:-}

list=$(meson introspect --installed "$1" | python3 -c '
import json, sys
print("\n".join(sorted(set(json.load(sys.stdin).values()))))') || fail "Meson does not list what it installs"

removed=0
old_ifs=$IFS
IFS='
'
for file in $list; do
	file=$DESTDIR$file
	if [ -e "$file" ] || [ -L "$file" ]; then
		rm -f "$file" || fail "cannot remove $file (are you root?)"
		removed=$((removed + 1))
	fi
	folder=$(dirname "$file")
	while case $folder in */slabio | */slabio/*) true ;; *) false ;; esac; do
		rmdir "$folder" 2>/dev/null || break
		folder=$(dirname "$folder")
	done
done
# What Meson notes are also the folders that it had to make, each before the one that it is in. A folder that
# was there before the last installation is not among them and stays, and so does one with anything in it.
log=$1/meson-logs/install-log.txt
if [ -f "$log" ]; then
	for folder in $(grep -v '^#' "$log"); do
		case $folder in "$DESTDIR"/*) [ ! -d "$folder" ] || rmdir "$folder" 2>/dev/null || true ;; esac
	done
fi
IFS=$old_ifs

if [ -z "$DESTDIR" ] && [ "$(id -u)" -eq 0 ]; then
	ldconfig
fi
echo "uninstall: $removed files removed"
