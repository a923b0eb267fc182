#!/bin/bash
# SPDX-License-Identifier: MIT
# mount(8) and fstab: called as the helper, suid and dev are on unless nosuid and nodev are given; remount, in both modes.
. "$(dirname "$0")/lib.sh"

[[ $EUID -eq 0 ]] || skip "needs root"
need_command unshare setpriv mknod
chmod 755 "$WORK"
export MODES="exclusive shared"
[[ ${ASHLAR_TRANSPORT:-} != uring ]] || MODES=exclusive # rings serve no shared mounts

# In a separate mount namespace, with the helpers in /sbin.
cat >"$WORK/inner.sh" <<'INNER'
set -u
: "${WORK:?}"
fail() { echo "$*"; exit 1; }
mkdir "$WORK/scratch" && mount -t tmpfs none "$WORK/scratch" && cd "$WORK/scratch" && mkdir upper work &&
        mount -t overlay -o "lowerdir=$(realpath /sbin),upperdir=upper,workdir=work" overlay "$(realpath /sbin)" ||
        exit 77
cd /
for name in mount.ashlar mount.fuse.ashlar umount.fuse.ashlar; do
        ln -s "$ASHLAR" "/sbin/$name" || exit 77
done

as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }

fstab() { # OPTIONS
        echo "lmdb:$STORE $MNT ashlar $1,noauto 0 0" >"$WORK/fstab"
        mount -T "$WORK/fstab" "$MNT" || fail "mount by fstab with $1: $?"
}
# privileged YES|NO WHAT: whether set-user-ID programs and device files have an effect.
privileged() {
        user=$(as_nobody "$MNT/id" -u)
        device=no
        { echo x >"$MNT/null"; } 2>/dev/null && device=yes
        case $1 in
        yes) [ "$user $device" = "4711 yes" ] ;;
        no) [ "$user $device" = "65534 no" ] ;;
        esac || fail "$2: user $user, device $device"
}
read_only() { # YES|NO WHAT
        writable=no
        { echo "$2" >"$MNT/written"; } 2>/dev/null && writable=yes
        [ "$1 $writable" = "yes no" ] || [ "$1 $writable" = "no yes" ] || fail "$2: read-only $1, writable $writable"
}

for mode in $MODES; do
        fstab "suid,dev,$mode"
        if [ ! -e "$MNT/id" ]; then
                cp "$(command -v id)" "$MNT/id" && chown 4711 "$MNT/id" && chmod 4755 "$MNT/id" || fail "set-user-ID"
                mknod -m 666 "$MNT/null" c 1 3 || fail "mknod"
        fi
        privileged yes "fstab with suid,dev"
        umount "$MNT" || fail "umount: $?"
        fstab "defaults,$mode"
        privileged yes "fstab with defaults"
        umount "$MNT"
        fstab "nosuid,nodev,$mode"
        privileged no "fstab with nosuid,nodev"

        # Remount by the table of mounts (type fuse.ashlar), and by fstab.
        mount -o remount,suid,dev "$MNT" || fail "remount,suid,dev: $?"
        privileged yes "remount,suid,dev"
        mount -o remount,ro "$MNT" || fail "remount,ro: $?"
        read_only yes "remount,ro"
        privileged yes "remount,ro keeps suid and dev"
        mount -o remount,rw "$MNT" || fail "remount,rw: $?"
        read_only no "remount,rw"
        mount -T "$WORK/fstab" -o remount,ro "$MNT" || fail "remount by fstab: $?"
        read_only yes "remount by fstab"
        privileged no "remount by fstab, with nosuid,nodev"
        mount -T "$WORK/fstab" -o remount,rw,noatime "$MNT" || fail "remount,rw by fstab: $?"
        read_only no "remount,rw by fstab"
        mount -o remount,ro "$MNT" && mount -o remount,rw "$MNT" || fail "remount: $?"
        grep -q " $MNT [^ ]*noatime" /proc/self/mountinfo || fail "noatime was lost by another remount"
        exec 9>"$MNT/open"
        mount -o remount,ro "$MNT" 2>"$WORK/said"
        [ $? -eq 32 ] || fail "a refused remount's exit code is not 32"
        grep -q "is busy" "$WORK/said" || fail "a refused remount said: $(cat "$WORK/said")"
        exec 9>&-
        umount "$MNT" || fail "umount: $?"
        [ -z "$("$ASHLAR" fsck -q "$STORE" 2>&1)" ] || fail "fsck"

        # Called directly, it takes only what it is given.
        "$ASHLAR" mount -o "$mode" "$STORE" "$MNT" || fail "ashlar mount"
        privileged no "ashlar mount"
        "$ASHLAR" umount "$MNT"
        "$ASHLAR" mount -o "$mode,suid,dev" "$STORE" "$MNT" || fail "ashlar mount -o suid,dev"
        privileged yes "ashlar mount -o suid,dev"
        "$ASHLAR" umount "$MNT"
done
exit 0
INNER
code=0
said=$(WORK=$WORK STORE=$STORE MNT=$MNT ASHLAR=$(realpath "$ASHLAR") unshare -m bash "$WORK/inner.sh" 2>&1) || code=$?
[[ $code -ne 77 ]] || skip "cannot lay helpers over /sbin here: $said"
[[ $code -eq 0 ]] || fail "$said"
