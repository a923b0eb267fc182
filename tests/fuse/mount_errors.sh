#!/bin/bash
# SPDX-License-Identifier: MIT
# Each error of mount and umount gives one clear line and an exit code.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh" || exit 1

mount_() { "$ASHLAR" mount "$@"; }
umount_() { "$ASHLAR" umount "$@"; }

# ---- arguments
refused 2 "ashlar: mount: give a STORE and a DIR*" mount_
refused 2 "ashlar: mount: give a STORE and a DIR*" mount_ "$STORE"
refused 2 "ashlar: mount: more than one DIR given: 'x'*" mount_ "$STORE" "$MNT" x
refused 2 "ashlar: mount: unknown option '-q'*" mount_ -q "$STORE" "$MNT"
refused 2 "ashlar: mount: option '-o' needs an argument*" mount_ "$STORE" "$MNT" -o
refused 2 "ashlar: mount: unknown mount option 'nonsense'*" mount_ -o ro,nonsense "$STORE" "$MNT"
refused 2 "ashlar: mount: mount option 'uid=root': the value must be a number*" \
        mount_ -o uid=root "$STORE" "$MNT"
refused 2 "ashlar: mount: mount option 'gid=': the value must be a number*" mount_ -o gid= "$STORE" "$MNT"
refused 1 "ashlar: $MNT is not a mount point" mount_ -o remount,ro "$STORE" "$MNT"
refused 2 "ashlar: umount: no DIR given*" umount_
refused 2 "ashlar: umount: more than one DIR given*" umount_ "$MNT" "$MNT"
ok mount_ --help
ok umount_ --help

# ---- the mount point
refused 1 "ashlar: mount point $WORK/missing does not exist" mount_ "$STORE" "$WORK/missing"
touch "$WORK/file"
refused 1 "ashlar: mount point $WORK/file is not a directory" mount_ "$STORE" "$WORK/file"
refused 1 "ashlar: lmdb:$STORE lies inside the mount point $WORK, which would hide it" mount_ "$STORE" "$WORK"
refused 1 "*would hide it" mount_ "$STORE" "$STORE"
refused 1 "*would hide it" mount_ "lmdb:$STORE" /

# ---- the store
refused 1 "ashlar: *$WORK/missing*" mount_ "$WORK/missing" "$MNT"
refused 1 "ashlar: *unknown kind of store 'ftp'*" mount_ "ftp:x" "$MNT"
refused 1 "ashlar: *" mount_ "mem:" "$MNT"
mkdir "$WORK/empty"
refused 1 "ashlar: *$WORK/empty*" mount_ "$WORK/empty" "$MNT"
is_mounted "$MNT" && failed "a refused store left a mount behind"
same "a refused mount's directory" "$(ls -A "$WORK/empty")" ""

# ---- in use
ok mount_ "$STORE" "$MNT"
refused 1 "ashlar: mount point $MNT is busy: lmdb:$STORE is mounted there*" mount_ "$STORE" "$MNT"
start=$SECONDS
refused 1 "ashlar: *pid [0-9]* on *, mounted at $MNT*" mount_ "$STORE" "$WORK/nowhere"
((SECONDS - start < 5)) || failed "waited for a store that is plainly in use"
exec 9>"$MNT/open"
refused 1 "ashlar: $MNT is busy: *ashlar umount -l $MNT*" umount_ "$MNT"
is_mounted "$MNT" || failed "a refused umount unmounted"
exec 9>&-
ok umount_ "$MNT"
refused 1 "ashlar: $MNT is not a mount point" umount_ "$MNT"
refused 1 "ashlar: /proc is not an ashlar file system but proc" umount_ /proc
refused 1 "ashlar: $WORK/missing: No such file or directory" umount_ "$WORK/missing"

if [[ $EUID -ne 0 ]]; then
        finish
        exit
fi

# ---- what only root can set up: another user, and a machine without FUSE
as_nobody() {
        setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}
refused 1 "ashlar: *$STORE*ermission*" as_nobody "$ASHLAR" mount "$STORE" "$MNT"
refused 2 "ashlar: mount: only root can mount with option 'suid'*" \
        as_nobody "$ASHLAR" mount -o suid "$STORE" "$MNT"
if ! grep -q '^[[:space:]]*user_allow_other' /etc/fuse.conf 2>/dev/null; then
        refused 1 "ashlar: option 'allow_other' needs the line 'user_allow_other' in /etc/fuse.conf" \
                as_nobody "$ASHLAR" mount -o allow_other "$STORE" "$MNT"
        refused 1 "ashlar: option 'allow_root' needs the line 'user_allow_other' in /etc/fuse.conf" \
                as_nobody "$ASHLAR" mount -o allow_root "$STORE" "$MNT"
fi
chown -R 65534:65534 "$STORE"
refused 1 "ashlar: fusermount3 is missing: *" \
        as_nobody env PATH=/nonexistent "$ASHLAR" mount "$STORE" "$MNT"
# fusermount3 wants a mount point that its caller may write to; $MNT is root's.
if [[ -u $(command -v fusermount3) ]]; then
        refused 1 "ashlar: cannot mount at $MNT: *" as_nobody "$ASHLAR" mount "$STORE" "$MNT"
fi
# shellcheck disable=SC2016
without_fuse='mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && exec "$@"'
refused 1 "ashlar: /dev/fuse is missing: *" \
        unshare -m bash -c "$without_fuse" - "$ASHLAR" mount "$STORE" "$MNT"
finish
