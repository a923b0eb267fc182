#!/bin/bash
# SPDX-License-Identifier: MIT
# A cluster mounted exclusively: a tree copied there, unmounted, checked, mounted again and compared; which mounts
# exclude each other; shared mounts see the same contents; a mount that is evicted while it is stopped cannot write
# anything any more, not even acknowledged changes.
#
# cluster_alone.sh STORE: erases STORE; with_cluster.sh runs it beside a cluster.
. "$(dirname "$0")/lib.sh"

STORE=${1:?the store, which is erased}
TREE=${SOURCE_ROOT:?the tree to copy}/src
"$ASHLAR" mkfs -q "$STORE" || fail "mkfs failed"

mount_store -o exclusive
cp -a "$TREE" "$MNT/tree"
head -c 5000000 /dev/urandom >"$MNT/large"
ln -s tree "$MNT/link"
ln "$MNT/large" "$MNT/other-name"
mkdir "$WORK/second"
"$ASHLAR" mount "$STORE" "$WORK/second" 2>"$WORK/said" && fail "a shared mount beside an exclusive one"
grep -q 'in use by pid' "$WORK/said" || fail "refused with: $(<"$WORK/said")"
sums_of "$MNT" >"$WORK/sums"
umount_store
same_tree_as_source() {
        sums_of "$TREE" >"$WORK/source"
        same_tree "$MNT/tree" "$WORK/source"
}
check_clean

mount_store -o exclusive
same_tree "$MNT" "$WORK/sums"
same_tree_as_source
rm -r "$MNT/tree" "$MNT/other-name"
sums_of "$MNT" >"$WORK/sums"
umount_store
check_clean

mount_store -o shared
same_tree "$MNT" "$WORK/sums"
umount_store
[[ -z $("$ASHLAR" mounts "$STORE") ]] || fail "a mount is still registered"
check_clean

mount_store -o exclusive
printf 'kept\n' >"$MNT/kept"
sync "$MNT/kept"
"$ASHLAR" mounts --json "$STORE" >"$WORK/mounts"
id=$(grep -oE '[0-9a-f]{32}' "$WORK/mounts" | head -n 1)
pid=$(grep -oE '"pid": *[0-9]+' "$WORK/mounts" | grep -oE '[0-9]+')
printf 'acknowledged\n' >"$MNT/acknowledged"
kill -STOP "$pid"
"$ASHLAR" evict --force "$STORE" "$id" >/dev/null || fail "evict --force"
"$ASHLAR" keys "$STORE" d >"$WORK/names"
kill -CONT "$pid"
sync "$MNT/kept" 2>/dev/null && fail "an evicted mount could write"
"$ASHLAR" umount "$MNT" 2>"$WORK/said" && fail "an evicted mount says that all is well"
grep -q 'CHANGES ARE LOST' "$WORK/said" || fail "umount said: $(<"$WORK/said")"
"$ASHLAR" keys "$STORE" d | cmp -s - "$WORK/names" || fail "an evicted mount wrote"
check_clean
