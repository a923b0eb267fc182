#!/bin/bash
# A full disk: writers get ENOSPC, what was acknowledged and fsynced stays, deleting works and makes room again.
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

for round in 1 2; do
        mkdir "$MNT/d"
        echo kept >"$MNT/d/first"
        sync "$MNT/d/first"
        # Until the disk is full; each file that could be written is to be whole.
        n=0
        while head -c 50000 /dev/urandom >"$WORK/data" && cp "$WORK/data" "$MNT/d/f$n" 2>"$WORK/err"; do
                n=$((n + 1))
                [[ $n -lt 5000 ]] || fail "a 64 MB disk took $n files of 50 KB"
        done
        grep -q 'No space left' "$WORK/err" || fail "not ENOSPC but: $(<"$WORK/err")"
        rm -f "$MNT/d/f$n"
        [[ $n -gt 300 ]] || fail "full after $n files of 50 KB"
        sync "$MNT/d/first" || fail "round $round: fsync fails on a full disk"
        sums_of "$MNT/d" >"$WORK/sums"
        remount_store
        same_tree "$MNT/d" "$WORK/sums"
        say "round $round: full after $n files"
        rm -r "$MNT/d" || fail "round $round: cannot delete on a full disk"
done
sync "$MNT"
remount_store
[[ -z $(ls -A "$MNT") ]] || fail "not empty after everything was deleted"
umount_store
check_clean
