#!/bin/bash
# SPDX-License-Identifier: MIT
# Very many files in one directory: made, listed (each name once), found, renamed, deleted while the directory
# is read. 20,000; 200,000 with ASHLAR_BIG=1.
. "$(dirname "$0")/lib.sh"

n=$((BIG == 1 ? 200000 : 20000))
mount_store
mkdir "$MNT/many"
cd "$MNT/many"

# Names of different lengths; each file contains its name.
names() {
        seq -f 'file-%.0f' 1 "$n"
}
names | xargs -n 5000 bash -c 'for f; do echo "$f" >"$f"; done' bash
say "$n files made"

names | LC_ALL=C sort >"$WORK/names"
list_is() { # NAMES: ls shows exactly these, each once
        ls -U "$MNT/many" | LC_ALL=C sort | cmp -s - "$1" || fail "the directory lists other names"
}
contents_are_names() {
        find "$MNT/many" -type f -print0 | xargs -0 grep -H '' |
                awk -F : -v n="$1" '{ k = split($1, p, "/"); if (p[k] != $2) bad = 1 }
                        END { exit bad || NR != n }' ||
                fail "files do not hold what was written"
}
list_is "$WORK/names"
contents_are_names "$n"

cd /
remount_store
cd "$MNT/many"
list_is "$WORK/names"
contents_are_names "$n"
choose_seed
for ((i = 0; i < 500; i++)); do
        f=file-$(((RANDOM * 32768 + RANDOM) % n + 1))
        [[ $(<"$f") == "$f" ]] || fail "$f"
done
[[ ! -e file-0 ]] || fail "file-0 exists"

# Every tenth is deleted, every tenth renamed, every tenth of the rest linked.
grep '3$' "$WORK/names" | xargs rm
grep '7$' "$WORK/names" | while read -r f; do mv -n -- "$f" "renamed-$f"; done
grep '1$' "$WORK/names" | while read -r f; do ln -- "$f" "linked-$f"; done
{
        grep -v '[37]$' "$WORK/names"
        grep '7$' "$WORK/names" | sed 's/^/renamed-/'
        grep '1$' "$WORK/names" | sed 's/^/linked-/'
} | LC_ALL=C sort >"$WORK/names2"
list_is "$WORK/names2"
cd /
remount_store
list_is "$WORK/names2"
[[ $(stat -c %h "$MNT/many/linked-file-1") == 2 ]] || fail "link count"

# rm reads the directory while it deletes.
rm -r "$MNT/many"
[[ -z $(ls -A "$MNT") ]] || fail "the root is not empty"
umount_store
check_clean
