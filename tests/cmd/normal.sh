#!/bin/bash
# SPDX-License-Identifier: MIT
# Normal use of mkfs, fsck, keys, mounts, evict, --help and --version.
. "$(dirname "$0")/lib.sh"

ok --version
out_has '^ashlar [0-9]+\.[0-9]+\.[0-9]+$'
ok --help
out_has '^Usage: ashlar COMMAND'
ok help
for c in mkfs mount umount mounts evict fsck keys; do
        ok "$c" --help
        out_has "^Usage: ashlar $c"
        cp "$WORK/out" "$WORK/help"
        ok help "$c"
        cmp -s "$WORK/out" "$WORK/help" || failed "help $c is not $c --help"
done

store=$WORK/store
ok mkfs "$store"
out_has 'made an empty file system'
ok mkfs -q "lmdb:$WORK/second"
[[ ! -s $WORK/out ]] || failed "mkfs -q printed something"
ok mkfs --block-size 4k --label 'a "label"' "$WORK/with options"
ok mkfs --force "$store"

for s in "$store" "lmdb:$WORK/second" "$WORK/with options"; do
        ok fsck "$s"
        out_has ': clean$'
        out_has '1 inodes \(1 directories'
        ok fsck -q "$s"
        [[ ! -s $WORK/out ]] || failed "fsck -q printed something"
done
ok fsck --json "$store"
out_has '"clean": true'

ok keys "$store"
[[ $(wc -l <"$WORK/out") -ge 3 ]] || failed "keys printed less than a metadata block and an inode"
cp "$WORK/out" "$WORK/all"
ok keys "$store" i
[[ -s $WORK/out ]] || failed "keys printed no inode"
grep -vxFf "$WORK/all" "$WORK/out" && failed "keys i printed what keys did not"
ok keys --hex "$store" 'i\x00\x00\x00\x00\x00\x00\x00\x01'
out_has '^690000000000000001 [0-9a-f]+$'
ok keys --json "$store" '\x4d'
out_has '^\{"key": "4d", "value": "[0-9a-f]+", "text": ".*"\}$'
ok keys "$store" 'no such prefix'
[[ ! -s $WORK/out ]] || failed "keys printed what does not begin with the prefix"

if command -v python3 >/dev/null; then
        ok keys --json "$store"
        python3 -c 'import json, sys; [json.loads(l) for l in sys.stdin]' <"$WORK/out" ||
                failed "invalid JSON"
        ok fsck --json "$store"
        python3 -c 'import json, sys; json.load(sys.stdin)' <"$WORK/out" || failed "invalid JSON"
fi

# Mounts: none, one that is gone (its boot is another one), one that cannot be read.
ok mounts "$store"
[[ ! -s $WORK/out ]] || failed "a mount that does not exist"
ok evict --all-stale "$store"
[[ ! -s $WORK/out ]] || failed "evicted without a mount: $(<"$WORK/out")"
"$KVTOOL" mount "$store" || failed kvtool
ok mounts "$store"
out_has '^0102030405060708090a0b0c0d0e0f10  exclusive  gone  2001-09-09T01:46:40Z  4242@alpha  /mnt\?here$'
out_has '^ff02030405060708090a0b0c0d0e0f10  damaged$'
ok mounts --json "$store"
out_has '"id": "0102030405060708090a0b0c0d0e0f10".*"state": "gone".*"host": "alpha"'
if command -v python3 >/dev/null; then
        python3 -c 'import json, sys; [json.loads(l) for l in sys.stdin]' <"$WORK/out" ||
                failed "invalid JSON"
fi
ok evict --all-stale --wait 0 "$store"
out_has '^evicted 0102030405060708090a0b0c0d0e0f10$'
out_has '^evicted ff02030405060708090a0b0c0d0e0f10$'
ok mounts "$store"
[[ ! -s $WORK/out ]] || failed "evicted mounts are still there: $(<"$WORK/out")"
"$KVTOOL" mount "$store" || failed kvtool
ok evict "$store" 0102030405060708090a0b0c0d0e0f10
ok evict "$store" ff02030405060708090a0b0c0d0e0f10
ok fsck -q "$store"

# A violation is printed, and sets the exit code.
"$KVTOOL" orphan "$store" || failed kvtool
"$ASHLAR" fsck "$store" >"$WORK/out" 2>"$WORK/err"
[[ $? -eq 1 ]] || failed "fsck did not end with 1"
out_has 'orphan'
out_has '[1-9][0-9]* violations$'
"$ASHLAR" fsck --json "$store" >"$WORK/out" 2>"$WORK/err"
[[ $? -eq 1 ]] || failed "fsck --json did not end with 1"
out_has '"clean": false'
if command -v python3 >/dev/null; then
        python3 -c 'import json, sys; sys.exit(not json.load(sys.stdin)["violations"])' <"$WORK/out" ||
                failed "invalid JSON"
fi

# Beside an owner: fsck says which state it checks, keys reads.
coproc HOLD { "$KVTOOL" hold "$WORK/second" "the test, process $$ on this host"; }
hold_in=${HOLD[1]} hold_pid=$HOLD_PID
read -r _ <&"${HOLD[0]}"
"$ASHLAR" fsck "$WORK/second" >"$WORK/out" 2>"$WORK/err" || failed "fsck beside an owner: $(<"$WORK/err")"
out_has ': clean$'
grep -q 'last durable state' "$WORK/err" || failed "fsck does not say what it looks at"
grep -q "process $$" "$WORK/err" || failed "fsck does not name the process that has the store"
ok keys "$WORK/second"
exec {hold_in}>&-
wait "$hold_pid"
ok fsck "$WORK/second"

finish
