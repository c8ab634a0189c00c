#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Makes a Debian 12 machine ready to build, test and run slabio:
#
#   1. installs the packages that are missing;
#   2. puts the driver headers of exactly the installed DPDK into dpdk-sdk/include, where the
#      distribution does not install them. They come from the distribution's own source package,
#      fetched through a private apt configuration: the system's own stays as it is.
#
# May be run any number of times; what is there is left alone. Without driver headers everything but
# the poll-mode driver still builds, so their absence is reported but is no failure.

set -euo pipefail

usage() {
	cat <<-USAGE
	usage: setup.sh [--examples] [--sdk-only]
	  --examples  also extract those examples of DPDK that the tests build
	  --sdk-only  do not look at the installed packages
	USAGE
}

want_examples=no
want_packages=yes
for arg in "$@"; do
	case $arg in
	--examples) want_examples=yes ;;
	--sdk-only) want_packages=no ;;
	-h | --help) usage; exit 0 ;;
	*) echo "setup: unknown option '$arg'" >&2; usage >&2; exit 2 ;;
	esac
done

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
sdk=$top/dpdk-sdk
work=
staging=

packages=(
	# build
	gcc libc6-dev make meson ninja-build pkg-config xz-utils
	libdpdk-dev dpdk dpdk-dev libpcap-dev libbpf-dev libcmocka-dev
	# checks
	clang clang-format libclang-rt-14-dev spin
	# tests and demo
	iproute2 ethtool iperf3 iputils-ping tcpdump tshark procps util-linux
	python3 python3-pyelftools jq gnuplot-nox groff-base
)

# The headers a virtual device's driver includes. bus_driver.h: included by the others.
sdk_headers=(
	lib/eal/include/dev_driver.h
	lib/eal/include/bus_driver.h
	drivers/bus/vdev/bus_vdev_driver.h
	lib/ethdev/ethdev_driver.h
	lib/ethdev/ethdev_vdev.h
)
sdk_examples=(
	examples/common examples/l2fwd examples/l2fwd-event examples/l3fwd examples/skeleton
	examples/rxtx_callbacks examples/packet_ordering examples/ip_fragmentation
	examples/ip_reassembly examples/multi_process/symmetric_mp
	examples/multi_process/client_server_mp
)

say() { echo "setup: $*"; }
fail() { echo "setup: $*" >&2; exit 1; }

cleanup() {
	[ -z "$work" ] || rm -rf "$work"
	[ -z "$staging" ] || rm -rf "$staging"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

missing_packages() {
	local p
	for p in "${packages[@]}"; do
		[ "${installed[$p]-}" = installed ] || echo "$p"
	done
}

read_installed() {
	local name state
	declare -gA installed=()
	while read -r name state; do
		installed[$name]=$state
	done < <(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${packages[@]}" 2>/dev/null || true)
}

install_packages() {
	if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
		fail "needs dpkg-query and apt-get; without them install by hand: ${packages[*]}"
	fi

	local missing
	read_installed
	mapfile -t missing < <(missing_packages)
	if [ ${#missing[@]} -eq 0 ]; then
		say "all ${#packages[@]} packages are installed"
		return
	fi
	[ "$(id -u)" -eq 0 ] ||
		fail "must be root to install ${missing[*]}: run 'sudo make setup'"

	say "installing ${#missing[@]} packages: ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	apt-get -q -o DPkg::Lock::Timeout=300 update </dev/null >&2 ||
		say "some package lists could not be refreshed; going on with those at hand"
	apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
		install --no-install-recommends "${missing[@]}" </dev/null >&2 ||
		fail "apt-get could not install: ${missing[*]} (its own message is above)"

	read_installed
	mapfile -t missing < <(missing_packages)
	[ ${#missing[@]} -eq 0 ] || fail "still not installed after apt-get: ${missing[*]}"
}

# Whether the installed DPDK has the driver headers itself.
system_has_headers() {
	local h
	command -v cc >/dev/null || return 1
	pkg-config --exists libdpdk 2>/dev/null || return 1
	for h in dev_driver.h bus_vdev_driver.h ethdev_driver.h ethdev_vdev.h; do
		# shellcheck disable=SC2046 # the flags are words
		echo "#include <$h>" | cc $(pkg-config --cflags libdpdk) -DALLOW_INTERNAL_API \
			-E -x c - >/dev/null 2>&1 || return 1
	done
}

no_sdk() {
	say "no DPDK driver headers: $*"
	say "the library, the mempool driver and the worker still build; the poll-mode driver does not"
	exit 0
}

# A copy of the system's package sources in which every deb line reads deb-src.
copy_sources() {
	local from to=$1 kind f
	mkdir -p "$to"
	for kind in sourcelist sourceparts; do
		from=$(apt-config shell v "Dir::Etc::$kind/f")
		from=${from#v=\'}
		from=${from%\'}
		[ -n "$from" ] || continue
		for f in "$from" "$from"/*.list "$from"/*.sources; do
			if [ ! -f "$f" ] || [ ! -r "$f" ]; then
				continue
			fi
			case $f in
			*.sources) sed -E 's/^(Types:).*/\1 deb-src/I' "$f" >"$to/$(basename "$f")" ;;
			*) sed -E 's/^[[:space:]]*deb([[:space:]])/deb-src\1/' "$f" \
				>"$to/$(basename "$f" .list).list" ;;
			esac
		done
	done
}

fetch_source() {
	local version=$1 o
	work=$(mktemp -d "${TMPDIR:-/tmp}/slabio-setup.XXXXXX")
	copy_sources "$work/sources"
	mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial" "$work/source"
	: >"$work/none.list"
	o=(
		-q -o "Dir::Etc::sourcelist=$work/none.list" -o "Dir::Etc::sourceparts=$work/sources"
		-o "Dir::State::lists=$work/state/lists" -o "Dir::Cache=$work/cache"
		-o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
		-o Acquire::Languages=none -o Acquire::Retries=3 -o APT::Sandbox::User=root
	)
	# the system's update hooks would refresh caches that belong to the system
	cat >"$work/apt.conf" <<-'CONF'
	#clear APT::Update::Pre-Invoke;
	#clear APT::Update::Post-Invoke;
	#clear APT::Update::Post-Invoke-Success;
	#clear DPkg::Post-Invoke;
	CONF
	say "fetching the source package of dpdk $version"
	# A third party's repository may have no sources: whether the update reached the right one
	# shows when the package is asked for.
	if ! (cd "$work/source" &&
		{ apt-get -c "$work/apt.conf" "${o[@]}" update || true; } &&
		apt-get -c "$work/apt.conf" "${o[@]}" source --download-only --only-source \
			"dpdk=$version") </dev/null >"$work/log" 2>&1; then
		tail -n 5 "$work/log" >&2
		no_sdk "the distribution's source package dpdk $version could not be fetched"
	fi
}

# Checks what was fetched and fills $staging, which then takes the place of dpdk-sdk at once.
extract_sdk() {
	local version=$1 upstream dsc found tarball patches h tree

	dsc=$(find "$work/source" -maxdepth 1 -name 'dpdk_*.dsc')
	[ -f "$dsc" ] || no_sdk "expected one dpdk_*.dsc in the source package, found '${dsc:-none}'"
	found=$(sed -n 's/^Version: *//p' "$dsc" | head -n 1)
	[ "$found" = "$version" ] || no_sdk "source package is version $found, installed is $version"
	upstream=${version#*:}
	upstream=${upstream%-*}

	tarball=$(find "$work/source" -maxdepth 1 -name 'dpdk_*.orig.tar.*' ! -name '*.asc')
	[ -f "$tarball" ] || no_sdk "expected one dpdk_*.orig.tar.* in the source package"
	mkdir "$work/tree"
	tar -xf "$tarball" -C "$work/tree" --strip-components=1 --no-same-owner --wildcards \
		'*/VERSION' '*/license' "${sdk_headers[@]/#/*/}" "${sdk_examples[@]/#/*/}" ||
		no_sdk "the source package lacks files that DPDK $upstream should have"
	tree=$work/tree
	found=$(cat "$tree/VERSION")
	[ "$found" = "$upstream" ] || no_sdk "source tree is version $found, installed is $upstream"

	# The distribution's changes are not applied, so none may concern what is taken.
	patches=$(find "$work/source" -maxdepth 1 -name 'dpdk_*.debian.tar.*')
	if [ -f "$patches" ]; then
		for h in "${sdk_headers[@]}" "${sdk_examples[@]}"; do
			if tar -xOf "$patches" debian/patches 2>/dev/null |
				grep "^+++ [^/]*/$h" >/dev/null; then
				no_sdk "the distribution patches $h, which this script does not apply"
			fi
		done
	fi

	staging=$(mktemp -d "$top/.dpdk-sdk.XXXXXX")
	chmod 755 "$staging"
	mkdir "$staging/include" "$staging/examples"
	for h in "${sdk_headers[@]}"; do
		cp "$tree/$h" "$staging/include/"
	done
	for h in "${sdk_examples[@]}"; do
		mkdir -p "$staging/$(dirname "$h")"
		cp -r "$tree/$h" "$staging/$h"
	done
	cp "$tree/license/bsd-3-clause.txt" "$staging/LICENSE"
	cat >"$staging/README" <<-NOTE
	Driver headers and examples of DPDK $upstream, taken unchanged from the distribution's source
	package dpdk $version by usertools/setup.sh. They are DPDK's work under the licence in LICENSE
	(BSD-3-Clause), no part of slabio, and may be deleted at any time.
	NOTE
	echo "$version" >"$staging/SOURCE_VERSION"
	echo "$upstream" >"$staging/VERSION"

	# shellcheck disable=SC2046 # the flags are words
	printf '#include <%s>\n' ethdev_driver.h ethdev_vdev.h bus_vdev_driver.h dev_driver.h |
		cc $(pkg-config --cflags libdpdk) -DALLOW_INTERNAL_API -I"$staging/include" \
			-fsyntax-only -x c - >"$work/log" 2>&1 || {
		tail -n 5 "$work/log" >&2
		no_sdk "those of $version do not compile against the installed DPDK"
	}

	rm -rf "$sdk"
	mv "$staging" "$sdk"
	staging=
	say "driver headers of DPDK $upstream are in dpdk-sdk/include"
}

have_examples() {
	local e
	for e in "${sdk_examples[@]}"; do
		[ -d "$sdk/$e" ] || return 1
	done
}

provide_sdk() {
	local version modversion

	if [ "$want_examples" = no ] && system_has_headers; then
		say "the installed DPDK has its driver headers"
		return
	fi
	command -v dpkg-query >/dev/null || no_sdk "no dpkg here, so no source package either"
	version=$(dpkg-query -W -f '${source:Version}\n' libdpdk-dev 2>/dev/null | head -n 1) || true
	[ -n "$version" ] || no_sdk "libdpdk-dev is not installed as a package"
	modversion=$(pkg-config --modversion libdpdk 2>/dev/null) || true
	case ${version#*:} in
	"$modversion"-* | "$modversion") ;;
	*) no_sdk "pkg-config finds DPDK '$modversion', but the package libdpdk-dev is $version" ;;
	esac
	if [ "$(cat "$sdk/SOURCE_VERSION" 2>/dev/null)" = "$version" ] &&
		[ -f "$sdk/include/ethdev_driver.h" ] && have_examples; then
		say "driver headers of dpdk $version are in place"
		return
	fi
	fetch_source "$version"
	extract_sdk "$version"
}

# one at a time per source tree
exec 9<"$top"
flock 9

[ "$want_packages" = no ] || install_packages
provide_sdk
