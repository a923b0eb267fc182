#!/bin/bash
# SPDX-License-Identifier: MIT
# run.sh POSIX exclusive|shared: runs the conformance tests POSIX (main.c) on a mount. run.sh POSIX ext4: runs them on
# ext4, in a directory of TMPDIR if that is one, else in an image. What fails there is wrong in the test.
# A shared mount commits each operation. Durability is not the subject, so its store is in memory where possible.
[[ $2 != shared || ! -w /dev/shm ]] || export TMPDIR=/dev/shm
# shellcheck source=tests/mounted/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../mounted/lib.sh"

[[ $(id -u) -eq 0 ]] || skip "must be root, to become other users"

POSIX=$1
case $2 in
exclusive | shared)
        mount_store -o "$2,suid,dev"
        ;;
ext4)
        if [[ $(stat -f -c %T "$WORK") != ext2/ext3 ]]; then
                need_command mke2fs losetup
                truncate -s 256M "$WORK/image"
                mke2fs -q -t ext4 "$WORK/image"
                mount -o loop "$WORK/image" "$MNT" || skip "cannot mount an ext4 image here"
                trap 'umount "$MNT"; clean_up' EXIT
        fi
        ;;
*)
        fail "unknown file system '$2'"
        ;;
esac
chmod 755 "$WORK"
chmod 777 "$MNT"
"$POSIX" "$MNT" || fail "on $2"
[[ $2 == ext4 ]] && exit 0
umount_store
check_clean
