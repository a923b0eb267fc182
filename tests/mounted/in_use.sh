#!/bin/bash
# SPDX-License-Identifier: MIT
# A mounted store says by whom it is used, is not harmed by those who ask, and can be looked at meanwhile.
. "$(dirname "$0")/lib.sh"

mount_store
echo kept >"$MNT/file"
sync "$MNT/file"

# refused PATTERN COMMAND...: fails with one line that matches.
refused() {
        local pattern=$1

        shift
        if timeout 120 "$@" >"$WORK/out" 2>"$WORK/err"; then
                fail "$* succeeded"
        fi
        [[ $(wc -l <"$WORK/err") -eq 1 ]] || fail "$*: $(<"$WORK/err")"
        grep -qE -- "$pattern" "$WORK/err" || fail "$*: no '$pattern' in $(<"$WORK/err")"
}

mkdir "$WORK/other"
refused "$MNT" "$ASHLAR" mount "$STORE" "$WORK/other"
refused "$MNT" "$ASHLAR" mkfs "$STORE"
refused "$MNT" "$ASHLAR" mkfs --force "$STORE"
mountpoint -q "$WORK/other" && fail "a refused mount left a mount point"
"$ASHLAR" mkfs -q "$WORK/second"
refused "$MNT" "$ASHLAR" mount "$WORK/second" "$MNT"

"$ASHLAR" fsck "$STORE" >"$WORK/out" 2>"$WORK/err" ||
        fail "fsck beside a mount: $(cat "$WORK/out" "$WORK/err")"
grep -q "$MNT" "$WORK/err" || fail "fsck does not say who uses the store: $(<"$WORK/err")"
"$ASHLAR" keys "$STORE" >"$WORK/out" || fail "keys beside a mount"
grep -q 'file' "$WORK/out" || fail "keys does not show what was fsynced"

[[ $(<"$MNT/file") == kept ]] || fail "the file changed"
umount_store
"$ASHLAR" mount "$STORE" "$WORK/other"
[[ $(<"$WORK/other/file") == kept ]] || fail "the file changed after a new mount"
"$ASHLAR" umount "$WORK/other"
check_clean
