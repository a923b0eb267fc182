#!/bin/bash
# SPDX-License-Identifier: MIT
# ashlar mount -o remount: read-only and back, access times, and what the kernel alone enforces; in both modes.
#
# remount.sh [STORE]: erases STORE; with_cluster.sh runs it on a cluster.
. "$(dirname "$0")/lib.sh"

if [[ $# -gt 0 ]]; then
        STORE=$1
        "$ASHLAR" mkfs -q "$STORE" || fail "mkfs failed"
fi

MODES="exclusive shared"
[[ ${ASHLAR_TRANSPORT:-} != uring ]] || MODES=exclusive # rings serve no shared mounts

remount() { # OPTIONS
        "$ASHLAR" mount -o "remount,$1" "$MNT" || fail "remount,$1"
}

# refused PATTERN COMMAND...: fails with one line that matches.
refused() {
        local pattern=$1

        shift
        "$@" >"$WORK/out" 2>"$WORK/err" && fail "$* succeeded"
        [[ $(wc -l <"$WORK/err") -eq 1 ]] || fail "$*: $(<"$WORK/err")"
        grep -qE -- "$pattern" "$WORK/err" || fail "$*: no '$pattern' in $(<"$WORK/err")"
}

# same WHAT GOT WANT
same() {
        [[ $2 == "$3" ]] || fail "$1: '$2' instead of '$3'"
}

has_flags() { # FLAG...
        local f flags

        flags=,$(awk -v dir="$MNT" '$5 == dir { print $6 }' /proc/self/mountinfo),
        for f in "$@"; do
                [[ $flags == *,$f,* ]] || fail "no $f in $flags"
        done
}

if [[ $EUID -ne 0 ]]; then
        mount_store
        refused 'only root can remount' "$ASHLAR" mount -o remount,ro "$MNT"
        umount_store
        exit 0
fi

is_read_only() {
        { echo new >"$MNT/new"; } 2>/dev/null && fail "$1: could create a file"
        { echo more >>"$MNT/file"; } 2>/dev/null && fail "$1: could append"
        touch "$MNT/file" 2>/dev/null && fail "$1: could set times"
        rm "$MNT/file" 2>/dev/null && fail "$1: could delete"
        same "$1: content" "$(<"$MNT/file")" text
}

read_atime() { # OPTIONS REMOUNT: the time of last access, 1000 before a read after such a remount
        mount_store -o "$mode,$1"
        echo text >"$MNT/times"
        touch -d @1000 "$MNT/times"
        remount "$2"
        dd if="$MNT/times" iflag=direct of=/dev/null status=none
        umount_store
        mount_store -o "$mode,noatime"
        stat -c %X "$MNT/times"
        umount_store
}

for mode in $MODES; do
        say "$mode"
        # What was not committed yet is committed by the remount, and survives the process.
        mount_store -o "$mode"
        echo text >"$MNT/file"
        mkdir "$MNT/dir-$mode"
        server=$(pgrep -o -f "mount -o $mode .* $MNT\$")
        remount ro
        has_flags ro
        is_read_only "remount,ro"
        kill -9 "$server"
        for ((i = 0; i < 200; i++)); do
                is_mounted || break
                sleep 0.05
        done
        is_mounted && fail "still mounted after kill -9"
        check_clean
        mount_store -o "$mode"
        same "content after kill -9" "$(<"$MNT/file")" text
        [[ -d $MNT/dir-$mode ]] || fail "a directory was lost"

        # A file that is open for writing.
        exec 9>"$MNT/open"
        refused "$MNT is busy: a file is open there for writing" "$ASHLAR" mount -o remount,ro "$MNT"
        echo on >&9 || fail "a refused remount stopped a writer"
        exec 9>&-

        # Again and again, while it is read.
        for i in 1 2 3 4 5; do
                remount ro
                is_read_only "round $i"
                remount rw
                echo "$i" >"$MNT/round" || fail "not writable in round $i"
        done
        same "the last round" "$(<"$MNT/round")" 5

        # Deleted while open: it must be collected, so the file system cannot become read-only.
        echo gone >"$MNT/gone"
        exec 9<"$MNT/gone"
        rm "$MNT/gone"
        refused 'busy' "$ASHLAR" mount -o remount,ro "$MNT"
        exec 9<&-
        remount ro
        remount rw

        # Flags that are not named stay; others change.
        remount noexec
        has_flags rw nosuid nodev noexec relatime
        remount suid,exec,noatime
        has_flags rw nodev noatime
        remount dev,nosuid
        has_flags rw nosuid noatime
        refused "option 'timeout' cannot be changed" "$ASHLAR" mount -o remount,timeout=5 "$MNT"
        refused "/proc is not an ashlar file system" "$ASHLAR" mount -o remount,ro /proc
        refused "$WORK is not a mount point" "$ASHLAR" mount -o remount,ro "$WORK"

        # By another path to the same mount.
        mkdir -p "$WORK/bound"
        mount --bind "$MNT" "$WORK/bound"
        "$ASHLAR" mount -o remount,ro "$WORK/bound" || fail "remount of a bind mount"
        is_read_only "bind mount"
        "$ASHLAR" mount -o remount,rw "$WORK/bound" || fail "remount,rw of a bind mount"

        # Unmounted while the bind mount stays: what was written is committed, the bind mount goes on.
        echo bound >"$MNT/bound"
        timeout 60 "$ASHLAR" umount "$MNT" || fail "umount beside a bind mount"
        same "content in the bind mount" "$(<"$WORK/bound/bound")" bound
        "$ASHLAR" umount "$WORK/bound" || fail "umount of the bind mount"
        check_clean

        # The same beside a bind mount of a single file.
        mount_store -o "$mode"
        : >"$WORK/bound-file"
        mount --bind "$MNT/file" "$WORK/bound-file"
        timeout 60 "$ASHLAR" umount "$MNT" || fail "umount beside a bind mount of a file"
        same "content of the file's bind mount" "$(<"$WORK/bound-file")" text
        "$ASHLAR" umount "$WORK/bound-file" || fail "umount of the file's bind mount"
        check_clean

        # Mounted read-only at first.
        mount_store -o "ro,$mode"
        is_read_only "ro"
        remount rw
        echo written >"$MNT/later" || fail "not writable after remount,rw"
        umount_store
        check_clean
        mount_store -o "$mode"
        same "written after remount,rw" "$(<"$MNT/later")" written
        umount_store

        same "atime after remount,noatime" "$(read_atime strictatime noatime)" 1000
        same "atime after remount,ro" "$(read_atime strictatime ro)" 1000
        [[ $(read_atime noatime strictatime) -gt 1000 ]] || fail "remount,strictatime has no effect"
        check_clean
done

# The process takes no requests of other users.
need_command python3
mount_store
python3 - "$(stat -c %Hd:%Ld "$MNT")" <<'PY' || fail "a request of another user was accepted"
import os, socket, sys
os.setgid(65534); os.setuid(65534)
s = socket.socket(socket.AF_UNIX)
s.connect("\0ashlar-control-" + sys.argv[1])
try:
    s.send(b"ro")
except BrokenPipeError:
    pass  # it was refused unread
sys.exit(s.recv(100) != b"not permitted")
PY
echo still >"$MNT/writable"
umount_store
check_clean

[[ -d $STORE ]] || exit 0

# A store that cannot be written to stays read-only.
mkdir "$WORK/frozen"
cp "$STORE/data.mdb" "$WORK/frozen/"
mount --bind "$WORK/frozen" "$WORK/frozen"
mount -o remount,bind,ro "$WORK/frozen"
"$ASHLAR" mount -o ro "$WORK/frozen" "$MNT" || fail "mount of a store on a read-only file system"
refused 'can only be mounted read-only' "$ASHLAR" mount -o remount,rw "$MNT"
is_read_only "refused remount,rw"
umount_store
umount "$WORK/frozen"
