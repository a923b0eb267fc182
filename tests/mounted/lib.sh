# SPDX-License-Identifier: MIT
# Shared by the tests on a real mount. Sourced; bash.
#
# Environment: ASHLAR (the program, set by meson), ASHLAR_BIG=1 (full sizes), TMPDIR (where stores are made).
# Afterwards $WORK is a fresh directory with the store in $STORE and the mount point $MNT; at the end of the
# script it is unmounted and $WORK removed, also after a failure.
# shellcheck shell=bash
set -euo pipefail

ASHLAR=${ASHLAR:?the program to test}
BIG=${ASHLAR_BIG:-0}

say() {
        printf '%s: %s\n' "${0##*/}" "$*"
}

fail() {
        printf '%s: FAILED: %s\n' "${0##*/}" "$*" >&2
        exit 1
}

# Exit code 77 means to meson that a test was skipped.
skip() {
        printf '%s: SKIPPED: %s\n' "${0##*/}" "$*" >&2
        exit 77
}

# choose_seed: from here on $RANDOM, and the programs that are started, follow ASHLAR_SEED, which is printed.
choose_seed() {
        export ASHLAR_SEED=${ASHLAR_SEED:-$((RANDOM * 32768 + RANDOM))}
        say "ASHLAR_SEED=$ASHLAR_SEED"
        RANDOM=$((ASHLAR_SEED))
}

need_command() {
        local c

        for c in "$@"; do
                command -v "$c" >/dev/null || skip "$c is not installed"
        done
}

# need_space MEGABYTES
need_space() {
        local free

        free=$(df --output=avail -BM "$WORK" | tail -n 1 | tr -dc 0-9)
        [[ $free -ge $1 ]] || skip "needs $1 MB in ${WORK%/*}, $free MB are free"
}

is_mounted() {
        mountpoint -q "$MNT" 2>/dev/null
}

mount_store() { # [MOUNT OPTIONS...]
        "$ASHLAR" mount "$@" "$STORE" "$MNT" || fail "mount failed"
        is_mounted || fail "mount returned before $MNT was usable"
}

umount_store() {
        "$ASHLAR" umount "$MNT" || fail "umount failed"
        is_mounted && fail "$MNT is still mounted after umount"
        return 0
}

remount_store() {
        umount_store
        mount_store
}

# The unmounted store must have no violations.
check_clean() {
        "$ASHLAR" fsck "$STORE" || fail "fsck found violations"
}

# sums_of DIR: prints a sorted line for each file in it: type, mode, size (files), link target and checksum.
sums_of() (
        cd "$1"
        export LC_ALL=C
        find . -mindepth 1 \( -type f -printf 'f %m %s %p\n' -o -printf '%y %m %p %l\n' \) | sort
        find . -type f -print0 | sort -z | xargs -0 -r sha256sum
)

# same_tree DIR SUMS: DIR is still what sums_of wrote into the file SUMS.
same_tree() {
        sums_of "$1" | cmp -s - "$2" && return
        sums_of "$1" | diff "$2" - | head -n 20 >&2
        fail "$1 differs"
}

clean_up() {
        cd /
        if is_mounted; then
                "$ASHLAR" umount "$MNT" || fusermount3 -u -z "$MNT" || umount -l "$MNT" || true
        fi
        rm -rf --one-file-system "$WORK"
}

[[ -r /dev/fuse && -w /dev/fuse ]] || skip "no /dev/fuse here, or no permission to use it"

WORK=$(mktemp -d "${TMPDIR:-/tmp}/ashlar-test.XXXXXX")
STORE=$WORK/store
MNT=$WORK/mnt
mkdir "$MNT"
trap clean_up EXIT
trap 'exit 1' INT TERM HUP
"$ASHLAR" mkfs -q "$STORE" || fail "mkfs failed"
