#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# usage: make-capture.sh [folder]
#
# Records the captures in test/data (or folder) anew: two network namespaces joined by one veth
# pair, real kernel stacks at both ends, every offload off that would show frames which no wire
# carries. Then derives the small files that readers are tested with, and checks that everything
# test/data/README.md promises is in them. Needs root, and the packages of usertools/setup.sh.

set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
out=${1:-$top/test/data}
west=slabio-west-$$
east=slabio-east-$$
work=$(mktemp -d)
children=()

fail() { echo "make-capture: $*" >&2; exit 1; }
say() { echo "make-capture: $*"; }

cleanup() {
	local p
	for p in "${children[@]}"; do
		kill "$p" 2>/dev/null || true
	done
	wait
	ip netns del "$west" 2>/dev/null || true
	ip netns del "$east" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

[ "$(id -u)" -eq 0 ] || fail "needs root for network namespaces"
mkdir -p "$out"

in_west() { ip netns exec "$west" "$@"; }
in_east() { ip netns exec "$east" "$@"; }
# Runs a program in a namespace until the script ends; its output is in $work/<log>.
start() {
	local ns=$1 log=$work/$2
	shift 2
	: >"$log"
	ip netns exec "$ns" "$@" </dev/null >>"$log" 2>&1 &
	children+=($!)
}

# Waits until a program has written a line that matches.
wait_for() {
	local i
	for i in $(seq 100); do
		if grep -q "$2" "$1" 2>/dev/null; then
			return
		fi
		sleep 0.05
	done
	cat "$1" >&2
	fail "expected '$2' in $(basename "$1") after $i tries"
}

# VLAN sub-interfaces as a user-space program, for kernels built without 802.1Q: each is a TAP
# device with the trunk's MAC address. What a stack sends into it gets the tag (or two) and goes out
# on the trunk.
cat >"$work/vlan.py" <<'PY'
import fcntl, os, select, socket, struct, sys

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
SOL_PACKET, PACKET_AUXDATA, PACKET_OUTGOING, VLAN_VALID = 263, 8, 4, 1 << 4

def open_tap(name):
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return fd

def tags(names):
    """tap12 carries tag 12; tap12.34 carries 802.1ad tag 12 around tag 34"""
    found = {}
    for name in names:
        ids = [int(i) for i in name.removeprefix("tap").split(".")]
        types = [0x8100] if len(ids) == 1 else [0x88A8, 0x8100]
        found[b"".join(struct.pack("!HH", t, i) for t, i in zip(types, ids))] = open_tap(name)
    return found

trunk = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
trunk.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
trunk.bind((sys.argv[1], 0))
taps = tags(sys.argv[2:])
print("ready", flush=True)
while True:
    readable, _, _ = select.select([trunk, *taps.values()], [], [])
    for tag, tap in taps.items():
        if tap in readable:
            frame = os.read(tap, 65536)
            trunk.send(frame[:12] + tag + frame[12:])
    if trunk in readable:
        frame, aux, _, sender = trunk.recvmsg(65536, 256)
        if sender[2] == PACKET_OUTGOING:
            continue
        for _, _, data in aux:
            status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", data[:20])
            if status & VLAN_VALID:
                frame = frame[:12] + struct.pack("!HH", tpid, tci) + frame[12:]
        for tag, tap in taps.items():
            if frame[12:12 + len(tag)] == tag:
                try:
                    os.write(tap, frame[:12] + frame[12 + len(tag):])
                except OSError:
                    pass  # the device is not up yet
PY

# Flows between the ends: a server for both protocols, and a client that runs them all.
cat >"$work/flows.py" <<'PY'
import random, select, socket, sys

def pattern(n, seed):
    return random.Random(seed).randbytes(n)

def server(addresses, tcp_port, udp_port):
    listeners, udps = [], []
    for a in addresses:
        family = socket.AF_INET6 if ":" in a else socket.AF_INET
        s = socket.create_server((a, tcp_port), family=family)
        listeners.append(s)
        u = socket.socket(family, socket.SOCK_DGRAM)
        u.bind((a, udp_port))
        udps.append(u)
    print("ready", flush=True)
    streams = []
    while True:
        for s in select.select(listeners + udps + streams, [], [])[0]:
            if s in listeners:
                streams.append(s.accept()[0])
            elif s in udps:
                data, peer = s.recvfrom(65536)
                s.sendto(data[: max(1, len(data) // 2)], peer)
            else:
                data = s.recv(65536)
                if data:
                    s.sendall(data[: len(data) // 4])
                else:
                    streams.remove(s)
                    s.close()

def tcp(source, to, size, seed, port=7001):
    with socket.create_connection((to, port), timeout=5, source_address=(source, 0)) as s:
        s.sendall(pattern(size, seed))
        s.shutdown(socket.SHUT_WR)
        while s.recv(65536):
            pass

def udp(source, to, sizes, seed, port=7002):
    family = socket.AF_INET6 if ":" in to else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.bind((source, 0))
        s.settimeout(2)
        s.connect((to, port))
        for i, n in enumerate(sizes):
            s.send(pattern(n, seed + i))
            s.recv(65536)

if sys.argv[1] == "server":
    server(sys.argv[2:], 7001, 7002)
elif sys.argv[1] == "plain":
    for i in range(8):
        a, b = f"198.51.100.{1 + i % 4}", f"198.51.100.{11 + i % 3}"
        tcp(a, b, (300, 3000, 9000, 1460)[i % 4], i)
        # 18 bytes of payload make a frame of 60 bytes, 1472 one of 1514
        udp(a, b, [1, 18, 64, 18, 256, 512, 18, 1024, 1472, 18, 700, 18], 100 * i)
    udp("198.51.100.1", "198.51.100.11", [3000, 4500], 5000)
    udp("2001:db8::1", "2001:db8::11", [18, 200, 1452, 2500], 6000)
    tcp("2001:db8::1", "2001:db8::11", 8000, 61)
    try:
        udp("198.51.100.1", "198.51.100.11", [18], 1, port=9)
    except ConnectionRefusedError:
        pass
elif sys.argv[1] == "vlan":
    base, mtu = sys.argv[2], int(sys.argv[3])
    for i in range(3):
        tcp(base + ".1", base + ".2", 4000 * i + 200, 70 + i)
        udp(base + ".1", base + ".2", [18, 100, mtu - 28, 18, 600], 700 + i)
elif sys.argv[1] == "jumbo":
    tcp("198.51.100.1", "198.51.100.11", 50000, 80)
    udp("198.51.100.1", "198.51.100.11", [8972, 18, 3000, 8972], 800)
PY

# One end: the name space, its half of the trunk, its addresses.
setup_end() {
	local ns=$1 mac=$2 mtu=$3 a
	shift 3
	ip -n "$ns" link set lo up
	ip -n "$ns" link set trunk address "$mac" mtu "$mtu"
	ip netns exec "$ns" ethtool -K trunk tso off gso off gro off tx off rx off \
		txvlan off rxvlan off >/dev/null 2>&1
	ip netns exec "$ns" sysctl -q -w net.ipv4.tcp_timestamps=1 net.ipv4.tcp_mtu_probing=0
	for a in "$@"; do
		case $a in
		*:*) ip -n "$ns" addr add "$a/64" dev trunk ;;
		*) ip -n "$ns" addr add "$a/24" dev trunk ;;
		esac
	done
	ip -n "$ns" link set trunk up
}

setup_lab() {
	ip netns add "$west"
	ip netns add "$east"
	ip -n "$west" link add trunk type veth peer name trunk netns "$east"
}

vlan_tap() {
	ip -n "$1" link set "$2" address "$3" mtu "$4"
	ip -n "$1" addr add "$5/24" dev "$2"
	ip -n "$1" link set "$2" up
}

# tcpdump in the east, so that the arriving frames carry what west's stack made of them
start_tcpdump() {
	start "$east" tcpdump.log tcpdump -i trunk -n -p -s 0 -B 8192 --immediate-mode -U -Z root \
		--time-stamp-precision=nano -w "$1"
	tcpdump=$!
	wait_for "$work/tcpdump.log" 'listening on'
}

stop_tcpdump() {
	sleep 0.5
	kill -INT "$tcpdump"
	wait "$tcpdump" || true
	grep -q '^0 packets dropped by kernel' "$work/tcpdump.log" ||
		fail "the capture lost packets: $(cat "$work/tcpdump.log")"
}

record_main() {
	local mac_w=02:00:00:00:01:01 mac_e=02:00:00:00:02:01

	setup_lab
	# listening before the links are up: address detection and router solicitation are in the capture
	ip -n "$east" link set trunk up
	start_tcpdump "$work/main.pcap"
	setup_end "$west" $mac_w 1500 198.51.100.{1,2,3,4} 2001:db8::1
	setup_end "$east" $mac_e 1500 198.51.100.{11,12,13} 2001:db8::11
	for ns in "$west" "$east"; do
		start "$ns" "vlan.$ns" python3 "$work/vlan.py" trunk tap100 tap200 tap300.7
		wait_for "$work/vlan.$ns" ready
	done
	# with its tags no frame is longer than 1514 bytes
	vlan_tap "$west" tap100 $mac_w 1496 192.0.2.1
	vlan_tap "$east" tap100 $mac_e 1496 192.0.2.2
	vlan_tap "$west" tap200 $mac_w 1496 203.0.113.1
	vlan_tap "$east" tap200 $mac_e 1496 203.0.113.2
	vlan_tap "$west" tap300.7 $mac_w 1492 100.64.0.1
	vlan_tap "$east" tap300.7 $mac_e 1492 100.64.0.2
	sleep 2.5	# IPv6 addresses are usable once nobody else claimed them

	start "$east" server python3 "$work/flows.py" server 198.51.100.{11,12,13} 2001:db8::11 \
		192.0.2.2 203.0.113.2 100.64.0.2
	wait_for "$work/server" ready
	start "$east" iperf3 iperf3 -s --forceflush
	wait_for "$work/iperf3" listening

	say "recording about 15 seconds of traffic"
	in_west ping -q -c 5 -i 0.2 198.51.100.11 >/dev/null
	in_east ping -q -c 3 -i 0.2 198.51.100.2 >/dev/null
	in_west ping -q -c 3 -i 0.2 -s 1472 198.51.100.12 >/dev/null
	in_west ping -q -c 4 -i 0.2 -s 4000 198.51.100.13 >/dev/null
	in_west ping -q -c 4 -i 0.2 2001:db8::11 >/dev/null
	in_west ping -q -c 2 -i 0.2 -s 4000 2001:db8::11 >/dev/null
	in_west python3 "$work/flows.py" plain
	for net in 192.0.2 203.0.113; do
		in_west ping -q -c 3 -i 0.2 $net.2 >/dev/null
		in_west python3 "$work/flows.py" vlan $net 1496
	done
	in_west ping -q -c 2 -i 0.2 -s 3000 192.0.2.2 >/dev/null
	in_west python3 "$work/flows.py" vlan 100.64.0 1492
	in_west iperf3 -c 198.51.100.11 -n 60K -P 2 >/dev/null
	in_west iperf3 -c 198.51.100.12 -n 40K -R >/dev/null
	in_west iperf3 -c 198.51.100.11 -u -b 1M -l 400 -n 20K >/dev/null
	stop_tcpdump
}

teardown_lab() {
	local p
	for p in "${children[@]}"; do
		kill "$p" 2>/dev/null || true
	done
	wait
	children=()
	ip netns del "$west"
	ip netns del "$east"
}

record_jumbo() {
	setup_lab
	setup_end "$west" 02:00:00:00:01:01 9000 198.51.100.1
	setup_end "$east" 02:00:00:00:02:01 9000 198.51.100.11
	in_west sysctl -q -w net.ipv6.conf.all.disable_ipv6=1
	in_east sysctl -q -w net.ipv6.conf.all.disable_ipv6=1
	start "$east" server python3 "$work/flows.py" server 198.51.100.11
	wait_for "$work/server" ready
	start_tcpdump "$work/jumbo.pcap"
	in_west python3 "$work/flows.py" jumbo
	stop_tcpdump
}

# The files with faults are made from the first packets of the sound one.
derive() {
	editcap -F nsecpcap -r "$work/main.pcap" "$work/small.pcap" 1-120
	editcap -F pcapng "$work/small.pcap" "$work/small.pcapng"
	python3 - "$work" <<-'PY'
	import struct, sys
	work = sys.argv[1]
	whole = open(f"{work}/small.pcap", "rb").read()
	header, records, at = whole[:24], [], 24
	while at < len(whole):
	    n = struct.unpack_from("<I", whole, at + 8)[0]
	    records.append(whole[at:at + 16 + n])
	    at += 16 + n
	def write(name, data):
	    open(f"{work}/{name}", "wb").write(data)
	write("empty.pcap", header)
	half = 16 + (len(records[20]) - 16) // 2
	write("truncated.pcap", header + b"".join(records[:20]) + records[20][:half])
	# the length of the 11th record reaches far beyond every limit
	bad = bytearray(records[10])
	struct.pack_into("<I", bad, 8, 0x7FFFFFF0)
	write("corrupt.pcap", header + b"".join(records[:10]) + bytes(bad) + b"".join(records[11:20]))
	write("not-a-capture.pcap", b"This file has the name of a capture and none of its bytes.\n")
	# the other byte order, microseconds
	swapped = struct.pack(">IHHIIII", 0xA1B2C3D4, *struct.unpack("<HHIIII", header[4:]))
	for r in records[:20]:
	    s, ns, caplen, length = struct.unpack_from("<IIII", r)
	    swapped += struct.pack(">IIII", s, ns // 1000, caplen, length) + r[16:]
	write("big-endian.pcap", swapped)
	# a link type without Ethernet headers (raw IP)
	raw = [r for r in records if r[28:30] == b"\x08\x00"][:10]
	data = header[:20] + struct.pack("<I", 101)
	for r in raw:
	    s, ns, caplen, length = struct.unpack_from("<IIII", r)
	    data += struct.pack("<IIII", s, ns, caplen - 14, length - 14) + r[30:]
	write("raw-ip.pcap", data)
	PY
}

# Every property that tests rely on.
count() { tshark -r "$1" -o ip.defragment:FALSE -Y "$2" 2>/dev/null | wc -l; }
expect() {
	local file=$1 what=$2 filter=$3 least=$4 most=${5:-1000000} n
	n=$(count "$work/$file" "$filter")
	printf '  %-12s %-34s %6d\n' "$file" "$what" "$n"
	if [ "$n" -lt "$least" ] || [ "$n" -gt "$most" ]; then
		fail "expected $least to $most of '$what' in $file, found $n"
	fi
}

check() {
	local bytes wrong f
	expect main.pcap "packets" frame 600 4000
	expect main.pcap "ARP" arp 8
	expect main.pcap "ICMP" icmp 20
	expect main.pcap "ICMP port unreachable" 'icmp.type==3' 1
	expect main.pcap "IPv4 fragments" 'ip.flags.mf==1 || ip.frag_offset>0' 20
	expect main.pcap "TCP" tcp 150
	expect main.pcap "UDP" udp 150
	expect main.pcap "IPv6" ipv6 30
	expect main.pcap "IPv6 fragments" 'ipv6.fraghdr' 8
	expect main.pcap "IPv6 neighbour discovery" 'icmpv6.type>=133 && icmpv6.type<=136' 6
	expect main.pcap "VLAN 100" 'vlan.id==100' 40
	expect main.pcap "VLAN 200" 'vlan.id==200' 40
	expect main.pcap "two tags, 802.1ad" 'ieee8021ad' 20
	expect main.pcap "frames of 1514 bytes" 'frame.len==1514' 40
	expect main.pcap "frames above 1514 bytes" 'frame.len>1514' 0 0
	expect main.pcap "frames up to 60 bytes" 'frame.len<=60' 60
	expect main.pcap "cut frames" 'frame.cap_len!=frame.len' 0 0
	expect jumbo.pcap "packets" frame 15 60
	expect jumbo.pcap "frames of 9014 bytes" 'frame.len==9014' 3 40
	expect jumbo.pcap "frames above 9014 bytes" 'frame.len>9014' 0 0
	for f in main.pcap jumbo.pcap; do
		wrong=$(tshark -r "$work/$f" -o ip.check_checksum:TRUE -o tcp.check_checksum:TRUE \
			-o udp.check_checksum:TRUE -o ip.defragment:TRUE -Y 'ip.checksum.status==0 ||
			tcp.checksum.status==0 || udp.checksum.status==0 || icmp.checksum.status==0' \
			2>/dev/null | wc -l)
		[ "$wrong" -eq 0 ] || fail "$wrong packets in $f have a wrong checksum"
	done
	bytes=$(cat "$work"/*.pcap "$work"/*.pcapng | wc -c)
	[ "$bytes" -lt 1000000 ] || fail "the files have $bytes bytes, expected less than 1000000"
	say "$bytes bytes in all files; every checksum is right"
}

record_main
teardown_lab
record_jumbo
teardown_lab
derive
check
install -m 644 "$work"/*.pcap "$work"/*.pcapng "$out/"
ls -l "$out"/*.pcap*
