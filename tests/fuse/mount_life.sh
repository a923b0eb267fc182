#!/bin/bash
# SPDX-License-Identifier: MIT
# The life cycle of a mount: usable when mount returns, unmounted in every possible way, committed when it has
# ended, and never a dead mount point.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh" || exit 1

mount_() { "$ASHLAR" mount "$@"; }

# The store is not in use and consistent.
check_committed() {
        local said

        said=$("$ASHLAR" fsck -q "$STORE" 2>&1) || failed "$1: fsck found violations"
        same "$1: what fsck said" "$said" ""
}

# ---- in the background: usable at once, and detached from the caller
exec 8>"$WORK/inherited"
for i in 1 2 3 4 5; do
        ok mount_ "$STORE" "$MNT"
        ls "$MNT" >"$WORK/out" || failed "not usable when mount returned"
        echo "$i" >"$MNT/count" || failed "not writable when mount returned"
        ok "$ASHLAR" umount "$MNT"
        check_committed "umount $i"
done
ok mount_ "$STORE" "$MNT"
same "what was written before" "$(<"$MNT/count")" 5
pid=$(server_pid "$STORE")
same "its directory" "$(readlink "/proc/$pid/cwd")" /
for fd in 0 1 2; do
        same "its descriptor $fd" "$(readlink "/proc/$pid/fd/$fd")" /dev/null
done
grep -q . <(find "/proc/$pid/fd" -lname "$WORK/inherited") && failed "it keeps a descriptor of its caller"
same "its session" "$(ps -o sid= -p "$pid" | tr -d ' ')" "$pid"
same "its terminal" "$(ps -o tty= -p "$pid")" "?"
same "source" "$(findmnt -no SOURCE "$MNT")" "lmdb:$STORE"
same "type" "$(findmnt -no FSTYPE "$MNT")" fuse.ashlar

# ---- umount waits until everything is committed
mkdir "$MNT/many"
for i in {1..2000}; do
        echo "$i" >"$MNT/many/$i"
done
ok "$ASHLAR" umount "$MNT"
check_committed "umount after many files"
gone "$pid" || soon 2 gone "$pid"

# ---- a mount right after an unmount that does not wait
ok mount_ "$STORE" "$MNT"
for i in {1..2000}; do
        echo "more $i" >"$MNT/many/$i"
done
if [[ $EUID -eq 0 ]]; then
        umount --no-canonicalize -i "$MNT" || failed "umount -i"
else
        fusermount3 -u "$MNT" || failed "fusermount3 -u"
fi
ok mount_ "$STORE" "$MNT"
same "the last file" "$(<"$MNT/many/2000")" "more 2000"
fusermount3 -u "$MNT" || failed "fusermount3 -u"
ok mount_ "$STORE" "$MNT"

# ---- signals
for signal in TERM INT HUP; do
        pid=$(server_pid "$STORE")
        echo "$signal" >"$MNT/signal"
        kill -"$signal" "$pid"
        soon 10 not is_mounted "$MNT"
        soon 10 gone "$pid"
        check_committed "SIG$signal"
        ok mount_ "$STORE" "$MNT"
        same "written before SIG$signal" "$(<"$MNT/signal")" "$signal"
done

# ---- a signal while a file is open: detached at once, cut off a few seconds later, everything committed
pid=$(server_pid "$STORE")
exec 9>"$MNT/open"
echo "before" >&9
kill -TERM "$pid"
soon 3 not is_mounted "$MNT"
echo "after" >&9 || failed "an open file was cut off at once"
soon 10 gone "$pid"
{ echo "too late" >&9; } 2>/dev/null && failed "a file survived its mount"
exec 9>&-
check_committed "SIGTERM while busy"
ok mount_ "$STORE" "$MNT"
same "written by the open file" "$(tr '\n' ' ' <"$MNT/open")" "before after "

# ---- the same, ended by the last user
pid=$(server_pid "$STORE")
exec 9>"$MNT/open"
start=$SECONDS
kill -TERM "$pid"
soon 3 not is_mounted "$MNT"
exec 9>&-
soon 10 gone "$pid"
((SECONDS - start < 4)) || failed "did not end with its last user"
check_committed "last user"

# ---- a second signal does not wait
ok mount_ "$STORE" "$MNT"
pid=$(server_pid "$STORE")
exec 9>"$MNT/open"
start=$SECONDS
kill -TERM "$pid"
soon 3 not is_mounted "$MNT"
kill -TERM "$pid"
soon 10 gone "$pid"
((SECONDS - start < 4)) || failed "a second signal waited"
exec 9>&-
check_committed "second signal"

# ---- detached with umount -l
ok mount_ "$STORE" "$MNT"
exec 9>"$MNT/lazy"
ok "$ASHLAR" umount -l "$MNT"
is_mounted "$MNT" && failed "still there after umount -l"
echo "still open" >&9 || failed "umount -l cut a file off"
exec 9>&-
ok mount_ "$STORE" "$MNT"
same "written after umount -l" "$(<"$MNT/lazy")" "still open"

# ---- killed: no dead mount point, and what was fsynced is there
echo "fsynced" >"$MNT/fsynced"
sync "$MNT/fsynced"
kill -KILL "$(server_pid "$STORE")"
soon 10 not is_mounted "$MNT"
ls "$MNT" >"$WORK/out" || failed "a dead mount point after kill -9"
ok mount_ "$STORE" "$MNT"
same "fsynced before kill -9" "$(<"$MNT/fsynced")" fsynced

# ---- killed while a thread of it waits in the kernel for a reply of the same process
cat >"$WORK/seek.py" <<'PY'
# seek.py FILE PID: kills PID while the kernel writes back the pages of FILE for one of its threads.
import glob, mmap, os, sys, time

SIZE = 64 << 20

def notifies(pid):
    for name in glob.glob(f"/proc/{pid}/task/*/stack"):
        try:
            if "fuse_reverse_inval_inode" in open(name).read():
                return True
        except OSError:
            pass
    return False

fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
child = os.fork()
while child == 0:
    os.ftruncate(fd, 0)
    os.ftruncate(fd, SIZE)
    pages = mmap.mmap(fd, SIZE)
    for at in range(0, SIZE, 8192):
        pages[at] = 1
    os.lseek(fd, 0, os.SEEK_HOLE)
end = time.monotonic() + 10
while not notifies(sys.argv[2]) and time.monotonic() < end:
    pass
os.kill(int(sys.argv[2]), 9)
os.kill(child, 9)
PY
if [[ $EUID -eq 0 ]] && command -v python3 >/dev/null; then
        pid=$(server_pid "$STORE")
        python3 "$WORK/seek.py" "$MNT/map" "$pid" &
        soon 30 not is_mounted "$MNT"
        umount -f -l "$MNT" 2>/dev/null
        wait $! || failed "seek.py"
        ok mount_ "$STORE" "$MNT"
fi

# ---- killed together with its watcher: the next mount clears the dead mount point away
pid=$(server_pid "$STORE")
watcher=$(pgrep -P "$pid")
kill -KILL "$watcher" "$pid"
soon 10 gone "$pid"
is_mounted "$MNT" || failed "expected a dead mount point"
ls "$MNT" >"$WORK/out" 2>&1 && failed "expected a dead mount point"
ok mount_ "$STORE" "$MNT"
same "after a dead mount point" "$(<"$MNT/fsynced")" fsynced
same "mounts there" "$(grep -c " $MNT " /proc/self/mountinfo)" 1
ok "$ASHLAR" umount "$MNT"

# ---- in the foreground
"$ASHLAR" mount -f "$STORE" "$MNT" 2>"$WORK/log" &
pid=$!
soon 10 is_mounted "$MNT"
echo "foreground" >"$MNT/foreground" || failed "not writable in the foreground"
kill -INT "$pid"
wait "$pid" || failed "exit code $? in the foreground"
grep -q "unmounting $MNT" "$WORK/log" || failed "nothing logged: $(<"$WORK/log")"
check_committed "foreground"

# ---- no process is left
soon 5 not pgrep -f "ashlar mount .*$WORK" >"$WORK/out"
finish
