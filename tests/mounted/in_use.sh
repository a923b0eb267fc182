#!/bin/bash
# SPDX-License-Identifier: MIT
# Commands on a mounted store name the mount, do not harm it, and can read its last durable state.
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
refused "mounted at $MNT; to see its files at $WORK/other too: mount --bind $MNT $WORK/other\$" \
        "$ASHLAR" mount "$STORE" "$WORK/other"
if [[ $EUID -eq 0 ]]; then
        # The command of the message works.
        eval "$(sed 's/.*too: //' "$WORK/err")" || fail "the command of the message: $(<"$WORK/err")"
        [[ $(<"$WORK/other/file") == kept ]] || fail "no second view"
        umount "$WORK/other"
fi
refused "$MNT" "$ASHLAR" mkfs "$STORE"
refused "$MNT" "$ASHLAR" mkfs --force "$STORE"
mountpoint -q "$WORK/other" && fail "a refused mount left a mount point"
"$ASHLAR" mkfs -q "$WORK/second"
refused "$MNT" "$ASHLAR" mount "$WORK/second" "$MNT"

"$ASHLAR" fsck "$STORE" >"$WORK/out" 2>"$WORK/err" ||
        fail "fsck beside a mount: $(cat "$WORK/out" "$WORK/err")"
grep -q "$MNT" "$WORK/err" || fail "fsck does not name the user of the store: $(<"$WORK/err")"
"$ASHLAR" keys "$STORE" >"$WORK/out" || fail "keys beside a mount"
grep -q 'file' "$WORK/out" || fail "keys does not show what was fsynced"

[[ $(<"$MNT/file") == kept ]] || fail "the file changed"
umount_store
"$ASHLAR" mount "$STORE" "$WORK/other"
[[ $(<"$WORK/other/file") == kept ]] || fail "the file changed after a new mount"
"$ASHLAR" umount "$WORK/other"
check_clean

[[ ${ASHLAR_TRANSPORT:-} != uring ]] || exit 0 # rings serve no shared mounts

# Of several users of a store the message names those that exist: not a command that has ended, nor a mount that
# has.
none=00000000000000000000000000000000
mkdir "$WORK/third"
mount_store -o shared
"$ASHLAR" mount -o shared "$STORE" "$WORK/other"
refused "no mount $none" "$ASHLAR" evict "$STORE" "$none"
refused "in use by pid [0-9]* on [^ ]*, mounted at $MNT and pid [0-9]* on [^ ]*, mounted at $WORK/other" \
        "$ASHLAR" mount -o exclusive "$STORE" "$WORK/third"
"$ASHLAR" umount "$WORK/other"
refused "in use by pid [0-9]* on [^ ]*, mounted at $MNT;" "$ASHLAR" mount -o exclusive "$STORE" "$WORK/third"
umount_store
check_clean
