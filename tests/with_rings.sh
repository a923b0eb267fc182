#!/bin/bash
# SPDX-License-Identifier: MIT
# with_rings.sh HAS_IO_URING COMMAND...: runs a test on the transport by rings (ASHLAR_TRANSPORT=uring). Skipped
# where the kernel has none, where HAS_IO_URING (has_io_uring.c) says no, or where rings are switched off and
# only root could change that; as root it switches them on. The last of several that run at a time puts the
# kernel's parameter back.
set -u

PARAMETER=/sys/module/fuse/parameters/enable_uring
STATE=/tmp/ashlar-test-rings # holds what the parameter was; locked while it is another

skip() {
        printf 'SKIPPED: no transport by rings here: %s\n' "$*" >&2
        exit 77
}

switch_on() {
        local was

        was=$(<"$PARAMETER") || skip "cannot read $PARAMETER"
        [[ $was == N ]] || return 0
        [[ $EUID -eq 0 ]] || skip "switched off; root could write Y to $PARAMETER"
        printf 'N' >"$STATE"
        echo Y >"$PARAMETER" || skip "cannot write $PARAMETER"
}

put_back() {
        flock -x -n 9 || return 0 # others are still running
        [[ $(<"$STATE") == N ]] || return 0
        echo N >"$PARAMETER"
        : >"$STATE"
}

[[ -c /dev/fuse ]] || skip "no /dev/fuse"
[[ -e $PARAMETER ]] || skip "the kernel has none (Linux 6.14 and later may)"
said=$("$1") || skip "io_uring cannot be used: $said"
shift
exec 9>>"$STATE" || skip "cannot write $STATE"
flock -s 9
switch_on
# A test that got a signal to end may still be unmounting: wait for it.
trap ':' TERM INT
ASHLAR_TRANSPORT=uring "$@" 9>&- &
pid=$!
trap 'kill "$pid" 2>/dev/null' TERM INT
wait "$pid"
code=$?
while kill -0 "$pid" 2>/dev/null; do
        wait "$pid"
        code=$?
done
put_back
exit "$code"
