#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# A stock testpmd with its mbufs on slab and the example's options, read with dpdk-telemetry.py: at
# rest, forwarding, and at rest again.
#
# usage: testpmd_telemetry.sh PLUGIN EXAMPLE

set -u
. "$(dirname "$0")/common.sh"

plugin=$1
mbufs=8192

need dpdk-testpmd dpdk-telemetry.py python3
setup_run telemetry
check_plugin "$plugin"
SLABIO_CONFIG=$2
export SLABIO_CONFIG
memory=
[ "$(huge_free_mb)" -ge 200 ] || memory="--no-huge -m 256"

# whether python statements hold for the replies, in which r is the list of them
holds() {
	printf '%b' "$1" | timeout -k 5 20 dpdk-telemetry.py -f "$PREFIX" >"$LOG.json" 2>&1 ||
		fail "dpdk-telemetry.py: $(cat "$LOG.json")"
	python3 - "$LOG.json" "$2" <<-'END'
		import json, sys
		r = [list(json.loads(line).values())[0] for line in open(sys.argv[1])]
		exec(sys.argv[2])
	END
}

ask() {
	holds "$1" "$2" || fail "replies: $(cat "$LOG.json")"
}

# shellcheck disable=SC2086 # options are several words
start_testpmd $memory -d "$plugin" -- -i --total-num-mbufs=$mbufs --mbcache=0

ask '/slab/list\n/help,/slab/list\n/help,/slab/info\n/help,/slab/shards\n' '
assert r[0] == ["mb_pool_0"], r[0]
for help in r[1:]:
    assert len(help) == 1 and "slab" in list(help.values())[0], help
'
ask '/slab/info,mb_pool_0\n' "
i = r[0]
assert i['name'] == 'mb_pool_0'
assert i['pool'].startswith('dpdk.') and i['pool'].endswith('.mb_pool_0')
assert i['blocks'] == i['populated'] == i['free'] == $mbufs and i['in_use'] == 0
# by the example
assert i['pitch'] == 4096 and i['block_size'] < 4096
assert i['magazine_size'] == 64 and i['shards_max'] == 8
assert i['flags'] == 'same_map,check' and i['members'] == 1
assert i['magazines'] * i['magazine_size'] >= $mbufs
"
tell start
i=0
until holds '/slab/shards,mb_pool_0\n' 'assert sum(s["taken"] for s in r[0].values()) > 100000' 2>/dev/null; do
	[ $i -lt 100 ] || fail "nothing is forwarded: $(cat "$LOG.json")"
	sleep 0.1
	i=$((i + 1))
done
ask '/slab/shards,mb_pool_0\n/slab/info,mb_pool_0\n/slab/shards,mb_pool_0,1\n' "
shards, i, rest = r
keys = {'member', 'free', 'taken', 'given', 'exchanges', 'steals', 'put_back', 'lost', 'failures'}
assert 1 <= len(shards) <= 8 and 'next' not in shards
assert all(set(s) == keys for s in shards.values())
assert sum(s['member'] == '0/1' for s in shards.values()) == i['shards_used']
assert i['free'] + i['in_use'] == $mbufs
assert set(rest) == set(shards) - {'0'}
"
tell stop
ask '/slab/info,mb_pool_0\n/slab/shards,mb_pool_0\n/slab/info,none\n/slab/shards\n' "
i, shards, none, nothing = r
assert i['free'] == $mbufs and i['in_use'] == 0
assert sum(s['taken'] - s['given'] for s in shards.values()) == 0
assert none is None and nothing is None
"
end_testpmd
