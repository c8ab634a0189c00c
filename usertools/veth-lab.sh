#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A lab of veth pairs for whatever forwards packets between two interfaces:
#
#   namespace ID.a                 namespace ID.m                  namespace ID.b
#   eth0 10.77.0.1/24  ---------  port0        port1  ---------  eth0 10.77.0.2/24
#        fd00:77::1/64                                                fd00:77::2/64
#
# Nothing joins port0 and port1 until a forwarder is started in ID.m. Offloads that would hand over frames of
# 64 KB or unfinished checksums are off, and the kernel sends nothing of its own on port0 and port1.
#
#   veth-lab.sh up ID      makes it; status 0, or 1 with a message and nothing left behind
#   veth-lab.sh down ID    removes it and whatever runs in it is left without its interfaces
#
# With a third argument "container" it is one pair, one end of which is in a namespace of a container's kind:
# an interface that is up and has no address.
#
#   namespace ID.a                 namespace ID.c
#   eth0 10.77.1.1/24  ---------  eth0

set -u

die() {
	echo "veth-lab: $*" >&2
	exit 1
}

down() {
	for n in a m b c; do
		ip netns delete "$1.$n" 2>/dev/null
	done
	return 0
}

end() { # end ID SIDE PORT ADDRESS: one pair, with both its ends up
	local near=$1.$2 mid=$1.m port=$3 host=$4
	ip -n "$near" link add eth0 type veth peer name "$port" netns "$mid" || return 1
	for at in "$near eth0" "$mid $port"; do
		# shellcheck disable=SC2086
		set -- $at
		offloads_off "$1" "$2" || return 1
	done
	ip -n "$near" address add "10.77.0.$host/24" dev eth0 || return 1
	if [ -d /proc/sys/net/ipv6 ]; then
		ip -n "$near" address add "fd00:77::$host/64" dev eth0 nodad || return 1
	fi
	ip -n "$near" link set lo up && ip -n "$near" link set eth0 up &&
		ip -n "$mid" link set "$port" up promisc on
}

offloads_off() {
	ip netns exec "$1" ethtool -K "$2" tx off rx off tso off gso off gro off sg off txvlan off rxvlan off \
		>/dev/null
}

no_ipv6() {
	[ ! -d /proc/sys/net/ipv6 ] || ip netns exec "$1" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 \
		net.ipv6.conf.default.disable_ipv6=1
}

container() {
	ip netns list | grep -q "^$1\.[ambc]\b" && die "a lab \"$1\" is there already: veth-lab.sh down $1"
	ip netns add "$1.a" && ip netns add "$1.c" && no_ipv6 "$1.a" && no_ipv6 "$1.c" || return 1
	ip -n "$1.a" link add eth0 type veth peer name eth0 netns "$1.c" || return 1
	offloads_off "$1.a" eth0 && offloads_off "$1.c" eth0 || return 1
	ip -n "$1.a" address add 10.77.1.1/24 dev eth0 && ip -n "$1.a" link set eth0 up &&
		ip -n "$1.c" link set eth0 up
}

up() {
	ip netns list | grep -q "^$1\.[ambc]\b" && die "a lab \"$1\" is there already: veth-lab.sh down $1"
	for n in a m b; do
		ip netns add "$1.$n" || return 1
	done
	no_ipv6 "$1.m" || return 1
	end "$1" a port0 1 && end "$1" b port1 2
}

{ [ $# -eq 2 ] || { [ $# -eq 3 ] && [ "$3" = container ]; }; } ||
	die "expected up ID or down ID, and possibly \"container\", found \"$*\""
for tool in ip ethtool sysctl; do
	command -v $tool >/dev/null || die "needs $tool: run usertools/setup.sh"
done
[ "$(id -u)" -eq 0 ] || die "needs root to make network namespaces"
case $1 in
up)
	if [ $# -eq 3 ]; then kind=container; else kind=up; fi
	if ! $kind "$2"; then
		down "$2"
		die "could not make the lab \"$2\""
	fi
	;;
down)
	down "$2"
	;;
*)
	die "expected up ID or down ID, found \"$*\""
	;;
esac
