#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Checks the models of the ownership protocol: as it is, each must hold in every reachable state; with a planted fault,
# each must fail. See README.md.
#
#   run.sh          what CI runs, two minutes on one core
#   run.sh --long   larger bounds and two recoverers at once as well, twenty minutes
#   run.sh --trail <model> [-D...]   the shortest counterexample of one model, step by step
#
# Exit status: 0 all as it must be, 1 not, 2 wrong use, 77 spin or a compiler is missing.

set -u
here=$(cd "$(dirname "$0")" && pwd)
usage() { sed -n '7,9s/^# *//p' "$0" >&2; exit 2; }

long=
trail=
case "${1-}" in
'') ;;
--long) long=1 ;;
--trail) [ $# -ge 2 ] || usage; trail=1; shift ;;
*) usage ;;
esac

for tool in spin gcc timeout; do
	if ! command -v $tool >/dev/null; then
		echo "skipped: $tool is not installed"
		exit 77
	fi
done

tmp=$(mktemp -d "${TMPDIR:-/tmp}/slabio-model.XXXXXX") || exit 1
child=
clean_up() {
	[ -n "$child" ] && kill "$child" 2>/dev/null && wait "$child" 2>/dev/null
	rm -rf "$tmp"
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP

depth=20000
limit=${SLABIO_MODEL_TIMEOUT:-${long:+600}}
limit=${limit:-300}
failed=0
begin=$SECONDS
# the short searches end before a compiler that optimises has; the long ones keep states small
if [ -n "$long" ]; then effort="-O2 -DCOLLAPSE"; else effort=-O0; fi

# build <model> <compiler options> <-D...>: the verifier, as $tmp/pan
build() {
	local model=$1 options=$2
	shift 2
	rm -rf "${tmp:?}"/*
	cp "$here"/*.inc "$here/$model.pml" "$tmp" || return 1
	# the generated code indexes its state vector in ways that gcc -O2 warns of
	(cd "$tmp" && spin -a "$@" "$model.pml" >spin.out 2>&1 &&
		gcc -w $options -DSAFETY -DMEMLIM=4000 -o pan pan.c >gcc.out 2>&1)
}

# search <pan options>: runs the verifier; its output in $tmp/pan.out
search() {
	(cd "$tmp" && exec timeout "$limit" ./pan -m$depth "$@") >"$tmp/pan.out" 2>&1 &
	child=$!
	wait $child
	status=$?
	child=
}

report() { # <model> <variant> <verdict>
	local states reached seconds
	states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' "$tmp/pan.out" | head -n 1)
	reached=$(sed -n 's/.*depth reached \([0-9]*\).*/\1/p' "$tmp/pan.out" | head -n 1)
	seconds=$(sed -n 's/^pan: elapsed time \([0-9.e+-]*\) seconds.*/\1/p' "$tmp/pan.out")
	printf '%-9s %-42s %10s %6s %6s  %s\n' "$1" "$2" "${states:--}" "${reached:--}" "${seconds:--}" "$3"
}

bad() { # <model> <variant> <what is wrong>
	failed=1
	report "$1" "$2" "WRONG: $3"
	sed 's/^/    /' "$tmp"/pan.out "$tmp"/gcc.out "$tmp"/spin.out 2>/dev/null | grep -v '^ *$' | head -n 25
}

declare -A missed # steps that no run of a model has reached so far

# holds <model> [-D...]: must be right in every reachable state
holds() {
	local model=$1 variant why= step still= options=$effort
	shift
	variant=${*:-as it is}
	variant=${variant//-D/}
	: >"$tmp/pan.out"
	# the one search that is long in CI, too
	[ "$model" != ring ] || [ -n "$long" ] || options=-O2
	if ! build "$model" "$options" -DCOUNT_REACHED "$@"; then
		bad "$model" "$variant" "does not build"
		return
	fi
	search
	if [ $status -eq 124 ]; then
		why="not finished within $limit s"
	elif [ $status -ne 0 ]; then
		why="the verifier ended with status $status"
	elif ! grep -q 'errors: 0$' "$tmp/pan.out"; then
		why="an error was found"
	elif grep -Eq 'max search depth too small|Search not completed|out of memory|reached -DMEMLIM|aborted' "$tmp/pan.out"; then
		why="the search is not complete"
	elif ! grep -q '^Full statespace search' "$tmp/pan.out" ||
		! grep -Eq 'invalid end states[[:space:]]+\+' "$tmp/pan.out" ||
		! grep -Eq 'assertion violations[[:space:]]+\+' "$tmp/pan.out"; then
		why="not everything was searched for"
	elif ! grep -q '^reached: done' "$tmp/pan.out"; then
		why="the verifier did not come to its end"
	fi
	if [ -n "$why" ]; then
		bad "$model" "$variant" "$why"
		return
	fi
	for step in $(sed -n 's/^never reached: step //p' "$tmp/pan.out"); do
		case " ${missed[$model]-$step} " in
		*" $step "*) still="$still $step" ;;
		esac
	done
	if [ -z "${missed[$model]+set}" ]; then
		missed[$model]=$(sed -n 's/^never reached: step //p' "$tmp/pan.out" | tr '\n' ' ')
	else
		missed[$model]=$still
	fi
	report "$model" "$variant" "holds"
}

# fails <model> <-DFAULT_...> [-D...]: must run into a failed assertion
fails() {
	local model=$1 variant
	shift
	variant=${*//-D/}
	: >"$tmp/pan.out"
	# the order of the search that comes to these faults soonest
	if ! build "$model" "$effort -DT_REVERSE" "$@"; then
		bad "$model" "$variant" "does not build"
		return
	fi
	search
	if grep -q 'assertion violated' "$tmp/pan.out"; then
		report "$model" "$variant" "fails, as it must"
	else
		bad "$model" "$variant" "the fault was not found"
	fi
}

if [ -n "$trail" ]; then
	model=$1
	shift
	[ -f "$here/$model.pml" ] || { echo "no model $here/$model.pml" >&2; exit 2; }
	build "$model" "-O2 -DREACH" "$@" || { cat "$tmp"/*.out; exit 1; }
	search -i
	if ! [ -f "$tmp/$model.pml.trail" ]; then
		tail -n 30 "$tmp/pan.out"
		echo "no counterexample"
		exit 0
	fi
	(cd "$tmp" && spin -t -p -g -l "$@" "$model.pml")
	exit 1
fi

printf '%-9s %-42s %10s %6s %6s  %s\n' model variant states depth s verdict
holds steal
holds steal -DSTART_WITH_TWO
holds steal -DOWNER_FENCES
holds steal -DTHREE -DOPS_A=1 -DOPS_B=1 -DSB=2
fails steal -DFAULT_NO_BARRIER
fails steal -DFAULT_TAG_NOT_ADVANCED
fails steal -DFAULT_OWNER_COMPARED_ONLY
fails steal -DFAULT_FORGET
fails steal -DFAULT_NOT_LOOKED_AGAIN
fails steal -DFAULT_ANY_MARKED -DTHREE -DOPS_A=1 -DOPS_B=1 -DSB=2
holds ring
fails ring -DFAULT_CONSUMED_FIRST
fails ring -DFAULT_RING_NOT_LOOKED
fails ring -DFAULT_PLACE_TAKEN_EARLY
fails ring -DFAULT_HEAD_FIRST
fails ring -DFAULT_TAIL_KEPT
holds ending
fails ending -DFAULT_ENTRY_LOOKED_FIRST
fails ending -DFAULT_OFFERS_LEFT
holds closing
fails closing -DFAULT_GIVEN_FIRST
fails closing -DFAULT_CLOSING_NOT_LOOKED
fails closing -DFAULT_NAME_FIRST
holds recovery
holds recovery -DSTART_IN_DEPOT
fails recovery -DFAULT_NAME_NOT_KEPT
fails recovery -DFAULT_DEAD_THIEF_TRUSTED
fails recovery -DFAULT_ONLY_DEPOT_LEFT
fails recovery -DFAULT_HALF_TAKEN_KEPT -DSTART_IN_DEPOT
holds contig
holds contig -DCELLS=1 -DBPC=2
fails contig -DFAULT_OUT_BEFORE_HOLDERS
fails contig -DFAULT_TAKING_NOT_MARKED
if [ -n "$long" ]; then
	holds steal -DOPS_A=3
	holds steal -DSTART_WITH_TWO -DOPS_B=3
	holds steal -DSB=4
	holds steal -DTHREE -DOPS_A=1 -DSB=2
	holds recovery -DSTART_EARLY
	fails recovery -DFAULT_LATE_DEATH -DSTART_EARLY
	holds recovery -DTWO_AT_ONCE
	holds recovery -DTWO_AT_ONCE -DSTART_IN_DEPOT
	holds recovery -DOPS_A=2
	holds recovery -DOPS_B=2 -DSTART_IN_DEPOT
	holds ring -DTWO_AT_ONCE
	holds ring -DSB=3
	holds closing -DTWO_AT_ONCE
	holds contig -DOPS_A=2
	holds contig -DCELLS=1 -DTWO_AT_ONCE
	fails contig -DFAULT_TAKING_OF_THE_LIVING -DTWO_AT_ONCE
	fails contig -DFAULT_LATE_DEATH -DTWO_AT_ONCE
fi

for model in "${!missed[@]}"; do
	for step in ${missed[$model]}; do
		echo "WRONG: no run of $model came to the step marked REACHED($step)"
		failed=1
	done
done
echo "$((SECONDS - begin)) s in all; $([ $failed -eq 0 ] && echo 'all as it must be' || echo 'NOT all as it must be')"
exit $failed
