#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The hand-over example: receivers are killed; on an exact pool every block comes back, on a conservative one
# every block is free or in quarantine. The example itself checks that, and contents; its exit status says so.

set -u
program=${1:?the example}
SLABIO_RUNTIME_DIR=$(mktemp -d /dev/shm/slabio-handover-XXXXXX) || exit 1
export SLABIO_RUNTIME_DIR
trap 'rm -rf "$SLABIO_RUNTIME_DIR"' EXIT

failed=0
for mode in '' --conservative; do
	"$program" $mode --kills 8 --ms 30 || { echo "FAILED: $program $mode"; failed=1; }
	if [ -n "$(ls "$SLABIO_RUNTIME_DIR")" ]; then
		echo "FAILED: left behind: $(ls "$SLABIO_RUNTIME_DIR")"
		failed=1
	fi
done
"$program" --nonsense 2>/dev/null
[ $? -eq 2 ] || { echo "FAILED: wrong usage is not told"; failed=1; }
exit $failed
