#!/bin/bash
# SPDX-License-Identifier: MIT
# Thousands of real files, unpacked by tar, are unchanged: at once, after a new mount, and after half of them was
# deleted.
. "$(dirname "$0")/lib.sh"

need_space 1500
mount_store

# Real trees differ between machines; take what is there, but not gigabytes.
sources=()
for dir in /usr/include /usr/share/doc /usr/share/perl; do
        [[ -d $dir ]] && sources+=("${dir#/}")
done
[[ ${#sources[@]} -gt 0 ]] || skip "no real files found"
# Only files that all users can read, and none of packages that are being installed.
(cd / && find "${sources[@]}" -readable \( -type f -o -type d -o -type l \) -print0 |
        tar --format=posix -cf "$WORK/real.tar" --null --no-recursion --files-from=-)
mkdir "$WORK/native" "$MNT/copy"
tar -xf "$WORK/real.tar" -C "$WORK/native"
tar -xf "$WORK/real.tar" -C "$MNT/copy"
sums_of "$WORK/native" >"$WORK/sums"
say "$(find "$MNT/copy" -type f | wc -l) files unpacked"

same_tree "$MNT/copy" "$WORK/sums"
# Times too, of all that is in the archive (the directories above it are just made).
times_of() {
        (cd "$1" && find "${sources[@]}" -printf '%T@ %p\n' | LC_ALL=C sort)
}
cmp <(times_of "$WORK/native") <(times_of "$MNT/copy") || fail "times differ"

remount_store
same_tree "$MNT/copy" "$WORK/sums"

rm -rf "$MNT/copy/${sources[0]}" "$WORK/native/${sources[0]}"
sums_of "$WORK/native" >"$WORK/sums"
same_tree "$MNT/copy" "$WORK/sums"
remount_store
same_tree "$MNT/copy" "$WORK/sums"
umount_store
check_clean
