#!/bin/bash
# SPDX-License-Identifier: MIT
# sparse.sh: programs that look for holes keep them, and copy the same bytes.
# shellcheck source=tests/mounted/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_command tar cp
[[ $(printf '%s\n' 6.16 "$(uname -r)" | sort -V | head -n 1) == 6.16 ]] || skip "the kernel is older than 6.16"

blocks_of() {
        stat -c %b "$1"
}

# same FILE COPY: they have the same bytes, and the copy takes no more space.
same() {
        cmp "$1" "$2" || fail "$2 differs"
        [[ $(blocks_of "$2") -le $(blocks_of "$1") ]] || fail "$2 takes more space than $1"
}

check() {
        truncate -s 200M "$MNT/sparse"
        for at in 0 7 50 120; do
                head -c 300000 /dev/urandom | dd of="$MNT/sparse" bs=1M seek=$at conv=notrunc status=none
        done
        truncate -s 1G "$MNT/empty"
        [[ $(blocks_of "$MNT/sparse") -lt 8192 ]] || fail "holes take space"
        cp --sparse=auto "$MNT/sparse" "$MNT/copied"
        same "$MNT/sparse" "$MNT/copied"
        cp --sparse=auto "$MNT/sparse" "$WORK/outside"
        cmp "$MNT/sparse" "$WORK/outside" || fail "the copy outside differs"
        [[ $(blocks_of "$WORK/outside") -lt 16384 ]] || fail "the copy outside has no holes"
        tar -C "$MNT" -cSf "$WORK/tar" sparse empty
        [[ $(stat -c %s "$WORK/tar") -lt 4000000 ]] || fail "the archive has no holes"
        mkdir "$MNT/unpacked"
        tar -C "$MNT/unpacked" -xSf "$WORK/tar"
        same "$MNT/sparse" "$MNT/unpacked/sparse"
        [[ $(blocks_of "$MNT/unpacked/empty") -eq 0 && $(stat -c %s "$MNT/unpacked/empty") -eq 1073741824 ]] ||
                fail "the empty file is not what it was"
        rm -r "${MNT:?}"/* "$WORK/outside" "$WORK/tar"
}

mount_store
check
umount_store
check_clean
if [[ ${ASHLAR_TRANSPORT:-} == classic ]]; then
        mount_store -o shared
        check
        umount_store
        check_clean
fi
