#!/bin/bash
# SPDX-License-Identifier: MIT
# Mount options, mount(8), umount(8), fstab, and ordinary users.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh" || exit 1

mount_() { "$ASHLAR" mount "$@"; }
umount_() { "$ASHLAR" umount "$@"; }

# with OPTIONS COMMAND...: mounted like that, COMMAND is run.
with() {
        local options=$1
        shift

        ok mount_ -o "$options" "$STORE" "$MNT"
        "$@"
        ok umount_ "$MNT"
}

has_flags() {
        local flag flags
        flags=,$(findmnt -no VFS-OPTIONS,FS-OPTIONS "$MNT" | tr -s ' ' ,),

        for flag in "$@"; do
                [[ $flags == *,$flag,* ]] || failed "no $flag in $flags"
        done
}

prepare() {
        echo "text" >"$MNT/file"
        printf '#!/bin/sh\nexit 0\n' >"$MNT/program"
        chmod 755 "$MNT/program"
        "$MNT/program" || failed "cannot run a program"
}
with defaults,_netdev,nofail,noauto,user,x-systemd.automount,comment=x prepare
with rw has_flags rw nosuid nodev default_permissions

read_only() {
        has_flags ro
        same "read-only content" "$(<"$MNT/file")" text
        { : >"$MNT/new"; } 2>/dev/null && failed "could write with ro"
        touch "$MNT/file" 2>/dev/null && failed "could touch with ro"
}
with ro read_only
ok mount_ -r "$STORE" "$MNT"
read_only
ok umount_ "$MNT"

no_exec() {
        "$MNT/program" 2>/dev/null && failed "could run a program with noexec"
}
with noexec no_exec

no_xattr() {
        setfattr -n user.a -v b "$MNT/file" 2>/dev/null && failed "could set an attribute with noxattr"
}
command -v setfattr >/dev/null && with noxattr no_xattr

owned() {
        same "owner" "$(stat -c %u:%g "$MNT/file")" 4711:4712
        if [[ $EUID -eq 0 ]]; then
                chown 4711 "$MNT/file" || failed "chown to the owner that shows"
                chown 4713 "$MNT/file" 2>/dev/null && failed "could chown with uid="
        fi
}
with uid=4711,gid=4712 owned
same_owner() {
        same "owner" "$(stat -c %u "$MNT/file")" "$EUID"
}
with rw same_owner

written_back() {
        for i in {1..100}; do echo "line $i"; done >"$MNT/lines"
        same "lines" "$(wc -l <"$MNT/lines")" 100
}
with writeback_cache written_back
with nowriteback_cache,relatime written_back

atime_after_read() { # OPTION
        ok mount_ -o "$1" "$STORE" "$MNT"
        touch -d @1000 "$MNT/file"
        ok umount_ "$MNT"
        ok mount_ -o "$1" "$STORE" "$MNT"
        cat "$MNT/file" >/dev/null
        stat -c %X "$MNT/file"
        ok umount_ "$MNT"
}
same "noatime" "$(atime_after_read noatime)" 1000
[[ $(atime_after_read strictatime) -gt 1000 ]] || failed "strictatime did not set the time of last access"

if [[ $EUID -ne 0 ]]; then
        finish
        exit
fi

# ---- the transport
transport_is() { # OPTIONS PATTERN
        local said

        said=$(mount_ -v -o "$1" "$STORE" "$MNT") || failed "with -o $1"
        # shellcheck disable=SC2053
        [[ $said == *", transport: "$2 ]] || failed "with -o $1: '$said'"
        echo "$1" >"$MNT/transport" || failed "with -o $1: not writable"
        ok umount_ "$MNT"
}
transport_is transport=classic classic
transport_is shared,transport=auto classic
refused 1 "*: no transport by rings: shared mounts*" mount_ -o shared,transport=uring "$STORE" "$MNT"
if [[ ${ASHLAR_TRANSPORT:-} == uring ]]; then
        transport_is transport=auto "rings*"
        transport_is transport=uring "rings*"
fi

# ---- what only root can ask for
privileged() {
        local flags
        flags=,$(findmnt -no VFS-OPTIONS "$MNT"),

        [[ $flags != *,nosuid,* && $flags != *,nodev,* ]] || failed "suid,dev were ignored: $flags"
        mknod "$MNT/null" c 1 3
        echo x >"$MNT/null" || failed "a device file does not work with dev"
}
with suid,dev privileged
as_nobody() {
        setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}
seen_by_all() {
        same "seen by another user" "$(as_nobody cat "$MNT/file" 2>&1)" text
}
with rw seen_by_all
seen_by_root_only() {
        as_nobody cat "$MNT/file" >/dev/null 2>&1 && failed "another user was let in with $1"
}
with noallow_other seen_by_root_only noallow_other
with allow_root seen_by_root_only allow_root

# ---- mount(8) and umount(8), in a namespace with our helpers in /sbin and a /dev/fuse that all may use
mkdir "$WORK/scratch"
inner=$WORK/inner.sh
cat >"$inner" <<'INNER'
set -u
: "${WORK:?}"
fail() { echo "$*"; exit 1; }
mount -t tmpfs none "$WORK/scratch" && mkdir "$WORK/scratch/upper" "$WORK/scratch/work" &&
        cd "$WORK/scratch" &&
        mount -t overlay -o "lowerdir=$(realpath /sbin),upperdir=upper,workdir=work" \
                overlay "$(realpath /sbin)" || exit 77
cd /
ln -s "$ASHLAR" /sbin/mount.ashlar || exit 77
ln -s "$ASHLAR" /sbin/umount.fuse.ashlar || exit 77

mount -t ashlar "$STORE" "$MNT" || fail "mount -t ashlar: exit code $?"
[ "$(cat "$MNT/file")" = text ] || fail "mount -t ashlar: wrong content"
umount "$MNT" || fail "umount: exit code $?"
grep -q " $MNT " /proc/self/mountinfo && fail "umount: still mounted"
[ -z "$("$ASHLAR" fsck -q "$STORE" 2>&1)" ] || fail "umount did not wait"

echo "lmdb:$STORE $MNT ashlar ro,noauto,nofail,x-systemd.requires=y,noatime 0 0" >"$WORK/fstab"
mount -T "$WORK/fstab" "$MNT" || fail "fstab: exit code $?"
touch "$MNT/new" 2>/dev/null && fail "fstab: ro was lost"
umount "$MNT" || fail "fstab: umount: exit code $?"

mount -t ashlar -o nonsense "$STORE" "$MNT" 2>"$WORK/said"
[ $? -eq 1 ] || fail "an unknown option's exit code is not 1"
mount -t ashlar "$WORK/missing" "$MNT" 2>"$WORK/said"
[ $? -eq 32 ] || fail "a failed mount's exit code is not 32"
mount -f -t ashlar "$STORE" "$MNT" || fail "mount -f: exit code $?"
grep -q " $MNT " /proc/self/mountinfo && fail "mount -f mounted"
exit 0
INNER
said=$(WORK=$WORK STORE=$STORE MNT=$MNT ASHLAR=$(realpath "$ASHLAR") unshare -m bash "$inner" 2>&1)
case $? in
0) ;;
77) echo "${0##*/}: mount(8) not tested: cannot lay helpers over /sbin here: $said" >&2 ;;
*) failed "$said" ;;
esac

# ---- an ordinary user, through fusermount3
if [[ ! -u $(command -v fusermount3) ]]; then
        echo "${0##*/}: ordinary users not tested: fusermount3 is not set-user-id here" >&2
        finish
        exit
fi
mkdir "$WORK/user"
mknod -m 666 "$WORK/fuse" c 10 229
chown 65534:65534 "$WORK/user"
cp -r "$STORE" "$WORK/readable"
chmod -R a+rX,go-w "$WORK/readable"
cat >"$inner" <<'INNER'
set -u
: "${WORK:?}"
fail() { echo "$*"; exit 1; }
mkdir "$WORK/user/mnt" && "$ASHLAR" mkfs "$WORK/user/store" >/dev/null || fail "mkfs"
for i in 1 2; do
        "$ASHLAR" mount "$WORK/user/store" "$WORK/user/mnt" || fail "mount $i"
        echo "$i" >"$WORK/user/mnt/file" || fail "write $i"
        "$ASHLAR" umount "$WORK/user/mnt" || fail "umount $i"
done
"$ASHLAR" mount -o ro "$WORK/readable" "$WORK/user/mnt" || fail "mount of a store that can only be read"
[ "$(cat "$WORK/user/mnt/file")" = text ] || fail "content of a store that can only be read"
"$ASHLAR" umount "$WORK/user/mnt" || fail "umount of a store that can only be read"
"$ASHLAR" mount "lmdb:$WORK/user/store" "$WORK/user/mnt" || fail "mount 3"
exec 9>"$WORK/user/mnt/open"
"$ASHLAR" umount "$WORK/user/mnt" 2>"$WORK/user/said" && fail "unmounted while busy"
grep -q "is busy" "$WORK/user/said" || fail "busy: $(cat "$WORK/user/said")"
exec 9>&-
mkdir "$WORK/user/other"
pid=$("$ASHLAR" mount "$WORK/user/store" "$WORK/user/other" 2>&1 | sed -n 's/.*pid \([0-9]*\) .*/\1/p')
kill -9 "$pid" || fail "no pid"
for i in $(seq 100); do
        grep -q " $WORK/user/mnt " /proc/self/mountinfo || exit 0
        sleep 0.1
done
fail "a dead mount point after kill -9"
INNER
said=$(WORK=$WORK ASHLAR=$ASHLAR unshare -m bash -c \
        'mount --bind "$WORK/fuse" /dev/fuse &&
         setpriv --reuid=65534 --regid=65534 --clear-groups bash "$1"' - "$inner" 2>&1) ||
        failed "as an ordinary user: $said"
finish
