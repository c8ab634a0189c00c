#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# Runs the driver's own test program in a runtime folder of its own.
#
# usage: own_test.sh PROGRAM MODE; SLAB_PLUGIN names the driver

set -u
. "$(dirname "$0")/common.sh"

setup_run own
check_plugin "$SLAB_PLUGIN"
SLAB_TEST_PREFIX=$PREFIX
export SLAB_TEST_PREFIX
timeout -k 5 110 "$1" "$2"
status=$?
[ "$status" -eq 77 ] && exit 77
[ "$status" -eq 0 ] || fail "$1 $2: exit status $status"
left=$(left_files)
[ -z "$left" ] || fail "$1 $2 left files: $left"
