#!/bin/bash
# SPDX-License-Identifier: MIT
# A shared mount on a full disk: space that df shows can be used at once, what memory holds is committed at
# unmount once there is space for it, and what is lost all the same is reported.
. "$(dirname "$0")/lib.sh"

[[ $EUID -eq 0 ]] || skip "needs root, for a small file system to fill"
SMALL=$WORK/small
mkdir "$SMALL"
mount -t tmpfs -o size=24M none "$SMALL" || skip "cannot mount a tmpfs here"
small_clean_up() {
        cd /
        is_mounted && "$ASHLAR" umount "$MNT"
        umount -l "$SMALL" || true
        clean_up
}
trap small_clean_up EXIT
STORE=$SMALL/store

# put FILE BLOCKS SIZE: writes a file of random bytes and commits it.
put() {
        dd if=/dev/urandom of="$MNT/$1" bs="$3" count="$2" conv=fsync 2>"$WORK/err"
}

# begin MEGABYTES: a new store, mounted, with one file of this size.
begin() {
        rm -rf "$STORE"
        "$ASHLAR" mkfs -q "$STORE"
        mount_store -o shared
        put large "$1" 1M || fail "cannot write $1 MiB to an empty store"
}

# Fills the store until nothing of 256 KiB fits.
fill() {
        local i=0

        while put "fill$i" 1 256k; do
                i=$((i + 1))
                [[ $i -lt 100 ]] || fail "a disk of 24 MiB took more than that"
        done
        grep -q 'No space left' "$WORK/err" || fail "not ENOSPC but: $(<"$WORK/err")"
        rm -f "$MNT/fill$i"
}

# leave_in_memory: a file whose close says ENOSPC, and which reads back.
leave_in_memory() {
        head -c "$1" /dev/urandom >"$WORK/source"
        cp "$WORK/source" "$MNT/kept" 2>"$WORK/err" && fail "$1 bytes fit into a full store"
        grep -q 'No space left' "$WORK/err" || fail "not ENOSPC but: $(<"$WORK/err")"
        cmp "$WORK/source" "$MNT/kept" || fail "what close could not commit does not read back"
}

# ---- deleted, then written at once
begin 8
put b 4 1M && put c 8 1M && put d 1 1M || fail "21 MiB do not fit into 24: $(<"$WORK/err")"
rm "$MNT/large"
for size in 2 2 1 1; do
        put "e$RANDOM" "$size" 1M || fail "$size MiB of 8 that were deleted: $(<"$WORK/err")"
done
umount_store
check_clean
say "what was deleted can be used"

# ---- space is made, and the mount ends at once
for how in truncated deleted; do
        begin 8
        fill
        leave_in_memory 300k
        if [[ $how == truncated ]]; then truncate -s 0 "$MNT/large"; else rm "$MNT/large"; fi
        umount_store
        mount_store -o shared
        cmp "$WORK/source" "$MNT/kept" || fail "lost at unmount after another file was $how"
        umount_store
        check_clean
done
say "what was in memory is committed at unmount"

# ---- no space is made
begin 8
fill
leave_in_memory 2M
r=0
"$ASHLAR" umount "$MNT" 2>"$WORK/err" || r=$?
[[ $r -eq 1 ]] || fail "umount exits with $r although changes are lost"
grep -q 'CHANGES ARE LOST' "$WORK/err" || fail "umount does not report the loss: $(<"$WORK/err")"
check_clean
say "a loss is reported"
