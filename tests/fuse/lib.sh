# SPDX-License-Identifier: MIT
# Functions of the mount tests. Sourced by bash.
#
# Environment: ASHLAR (the program, set by meson), TMPDIR (where stores are made). Afterwards $WORK is a
# new directory that all users may enter, with a store in $STORE and an empty directory in $MNT. At the end
# everything mounted under $WORK is unmounted and $WORK is removed.
# shellcheck shell=bash
set -uo pipefail

ASHLAR=${ASHLAR:?the program to test}
failures=0

skip() {
        printf '%s: SKIPPED: %s\n' "${0##*/}" "$*" >&2
        exit 77
}

failed() {
        printf '%s: FAILED: %s\n' "${0##*/}" "$*" >&2
        failures=$((failures + 1))
}

finish() {
        [[ $failures -eq 0 ]] || exit 1
        printf '%s: passed\n' "${0##*/}"
}

# ok COMMAND...: it succeeds and writes nothing to stderr.
ok() {
        local said code=0

        said=$("$@" 2>&1 >/dev/null) || code=$?
        [[ $code -eq 0 && -z $said ]] || failed "'$*' gave exit code $code and said '$said'"
}

# refused CODE PATTERN COMMAND...: it fails with CODE and one line, which matches PATTERN (of [[ = ]]).
refused() {
        local want=$1 pattern=$2 said code=0
        shift 2

        said=$("$@" 2>&1 >/dev/null </dev/null) || code=$?
        [[ $code -eq $want ]] || failed "'$*' gave exit code $code instead of $want ('$said')"
        # shellcheck disable=SC2053
        [[ $said == $pattern ]] || failed "'$*' said '$said' instead of '$pattern'"
        [[ $said != *$'\n'* ]] || failed "'$*' said more than one line: '$said'"
}

# same WHAT GOT WANT
same() {
        [[ $2 == "$3" ]] || failed "$1: '$2' instead of '$3'"
}

is_mounted() { # DIR
        grep -q " $1 .* - fuse.ashlar " /proc/self/mountinfo
}

# soon SECONDS COMMAND...: it succeeds within that time.
soon() {
        local end=$((SECONDS + $1))
        shift

        until "$@" 2>/dev/null; do
                if ((SECONDS >= end)); then
                        failed "'$*' did not succeed in time"
                        return 1
                fi
                sleep 0.05
        done
}

# Prints the pid of the process that serves STORE, from the message of a refused mount.
server_pid() { # STORE
        "$ASHLAR" mount "$1" "$WORK/nowhere" 2>&1 | sed -n 's/.*pid \([0-9]*\) .*/\1/p'
}

# The process has ended; it may be a zombie until its parent waits for it.
gone() { # PID
        local state

        state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null)
        [[ $state == [ZX] || ! -e /proc/$1 ]]
}

not() {
        ! "$@"
}

clean_up() {
        local dir

        cd /
        while read -r dir; do
                umount -l "$dir" 2>/dev/null || fusermount3 -u -z "$dir"
        done < <(awk -v work="$WORK/" 'index($5, work) == 1 { print $5 }' /proc/self/mountinfo)
        rm -rf --one-file-system "$WORK"
}

[[ -r /dev/fuse && -w /dev/fuse ]] || skip "no /dev/fuse here, or no permission to use it"

WORK=$(mktemp -d "${TMPDIR:-/tmp}/ashlar-mount-test.XXXXXX") || exit 1
chmod 755 "$WORK"
STORE=$WORK/store
MNT=$WORK/mnt
mkdir "$MNT" "$WORK/nowhere"
trap clean_up EXIT
trap 'exit 1' INT TERM HUP
"$ASHLAR" mkfs "$STORE" >/dev/null || failed "mkfs"
