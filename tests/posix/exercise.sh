#!/bin/bash
# SPDX-License-Identifier: MIT
# exercise.sh EXERCISER exclusive|shared: random operations on files of a mount (exerciser.c), two files at a time; then
# the store is checked.
# A shared mount commits each operation. Durability is not the subject, so its store is in memory where possible.
[[ $2 != shared || ! -w /dev/shm ]] || export TMPDIR=/dev/shm
# shellcheck source=tests/mounted/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../mounted/lib.sh"

choose_seed
mount_store -o "$2"
operations=${ASHLAR_OPERATIONS:-$([[ $2 == shared ]] && echo 4000 || echo 30000)}
"$1" -a -n "$operations" -s "$ASHLAR_SEED" "$MNT" &
"$1" -a -n "$operations" -s $((ASHLAR_SEED + 1)) -l 70000 "$MNT" || fail "small file"
wait $! || fail "large file"
umount_store
check_clean
