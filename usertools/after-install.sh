#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# usage: after-install.sh LIBDIR
#
# Run by "meson install", after the files are in place: makes the loader know libslabio. With DESTDIR
# set nothing is installed on this machine yet, so whoever unpacks the files has to do it.

set -eu

libdir=$1
PATH=$PATH:/sbin:/usr/sbin

[ -z "${DESTDIR:-}" ] || exit 0

if [ "$(id -u)" -eq 0 ]; then
	ldconfig
fi
if ! ldconfig -p | grep -qF "=> $libdir/libslabio.so."; then
	echo "slabio: the loader does not look in $libdir by itself: the installed tools and plugins find" \
		"libslabio there, other programs need -Wl,-rpath or a line in /etc/ld.so.conf.d"
fi
