#!/bin/bash
# A cluster mounted exclusively: a tree copied there, unmounted, checked, mounted again and compared; who keeps
# whom out; and what is in it then is there for shared mounts too.
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
[[ -z $("$ASHLAR" mounts "$STORE") ]] || fail "somebody is still registered"
check_clean
