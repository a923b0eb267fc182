#!/bin/bash
# SPDX-License-Identifier: MIT
# A full disk: writers get ENOSPC, acknowledged and synced data stays, deleting works and frees space.
. "$(dirname "$0")/lib.sh"

[[ $EUID -eq 0 ]] || skip "needs root, for a small file system to fill"
SMALL=$WORK/small
mkdir "$SMALL"
mount -t tmpfs -o size=64M none "$SMALL" || skip "cannot mount a tmpfs here"
small_clean_up() {
        cd /
        is_mounted && "$ASHLAR" umount "$MNT"
        umount -l "$SMALL" || true
        clean_up
}
trap small_clean_up EXIT
STORE=$SMALL/store
"$ASHLAR" mkfs -q "$STORE"
mount_store

# fill NAME SIZE MAX: writes files of SIZE random bytes until one fails; $n is their number.
fill() {
        local name=$1 size=$2 max=$3 last

        head -c $((size * max)) /dev/urandom 2>"$WORK/err.head" |
                split -a 5 -d -b "$size" - "$MNT/d/$name" 2>"$WORK/err" || {
                grep -q 'No space left' "$WORK/err" || fail "not ENOSPC but: $(<"$WORK/err")"
                last=$(find "$MNT/d" -maxdepth 1 -name "$name*" | sort | tail -n 1)
                [[ -z $last ]] || rm "$last" || fail "cannot delete the file that was cut short"
        }
        n=$(find "$MNT/d" -maxdepth 1 -name "$name*" | wc -l)
}

for round in 1 2; do
        mkdir "$MNT/d"
        echo kept >"$MNT/d/first"
        sync "$MNT/d/first"
        fill some 50000 5000
        [[ $n -lt 5000 ]] || fail "a 64 MB disk took $n files of 50 KB"
        [[ $n -gt 300 ]] || fail "full after $n files of 50 KB"
        sync "$MNT/d/first" || fail "round $round: fsync fails on a full disk"
        sums_of "$MNT/d" >"$WORK/sums"
        remount_store
        same_tree "$MNT/d" "$WORK/sums"
        say "round $round: full after $n files"
        rm -r "$MNT/d" || fail "round $round: cannot delete on a full disk"
done

# All files are complete, and the mount works.
check_all() {
        sync "$MNT/d" || fail "$1: fsync fails"
        sums_of "$MNT/d" >"$WORK/sums"
        remount_store
        same_tree "$MNT/d" "$WORK/sums"
        check_usable "$1"
}

# Only calls that need space may fail on a full disk.
check_usable() {
        local f

        truncate -s 0 "$MNT/d/large00000" || fail "$1: cannot truncate"
        f=$(find "$MNT/d" -type f -print -quit)
        mv "$f" "$f.moved" 2>"$WORK/err" || grep -q 'No space left' "$WORK/err" || fail "$1: $(<"$WORK/err")"
}

# ---- a disk full of holes: small files, two thirds deleted at random, then large ones
mkdir "$MNT/d"
fill large 8000000 3
fill small 3000 30000
say "full after $n small files"
[[ $n -gt 1000 ]] || fail "full after $n files of 3 KB"
deleted=$((n * 2 / 3))
find "$MNT/d" -name 'small*' -printf '%P\n' | shuf -n $deleted | (cd "$MNT/d" && xargs rm -f) ||
        fail "cannot delete two thirds"
fill big 5000000 10
say "then $n large ones"
fill little 3000 $deleted
say "and $n small ones for $deleted"
[[ $n -gt $((deleted / 3)) ]] || fail "only $n small files fit for $deleted that were deleted"
check_all "a disk full of holes"
rm -r "$MNT/d" || fail "cannot delete what is left"

# ---- many deletes at once when full
mkdir "$MNT/d"
fill large 8000000 4
(cd "$MNT/d" && for ((i = 0; i < 120; i++)); do mkdir "t$i" && touch "t$i/"{1..150} || exit; done) 2>"$WORK/err" ||
        grep -q 'No space left' "$WORK/err" || fail "not ENOSPC but: $(head -n 3 "$WORK/err")"
fill rest 20000 2000
find "$MNT/d" -type f -path '*/t*' -printf '%P\n' | shuf | (cd "$MNT/d" && xargs rm -f) || fail "cannot delete many at once"
check_all "many deletes"
rm -r "$MNT/d" || fail "cannot delete the rest"

# ---- the space is free again
mkdir "$MNT/d"
fill again 50000 400
[[ $n -eq 400 ]] || fail "only $n files of 50 KB fit after everything was deleted"
rm -r "$MNT/d"
sync "$MNT"
remount_store
[[ -z $(ls -A "$MNT") ]] || fail "not empty after everything was deleted"
umount_store
check_clean
