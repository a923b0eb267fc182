#!/bin/bash
# SPDX-License-Identifier: MIT
# Two mounts of one store: each sees the changes of the other; which mounts exclude each other; one is killed, evicted
# or stopped.
#
# shared.sh [STORE]: on a new store, or on STORE, which is erased.
. "$(dirname "$0")/lib.sh"

need_command python3 stat setsid
[[ $# -eq 0 ]] || STORE=$1
[[ $# -eq 0 ]] || "$ASHLAR" mkfs -q --force "$STORE" || fail "mkfs failed"
A=$WORK/a
B=$WORK/b
mkdir "$A" "$B"

unmount_all() {
        local d

        for d in "$A" "$B"; do
                mountpoint -q "$d" && { "$ASHLAR" umount "$d" || umount -l "$d" || fusermount3 -u -z "$d"; }
        done
        clean_up
}
trap unmount_all EXIT

mount_at() { # DIR [OPTIONS]
        "$ASHLAR" mount -o "shared${2:+,$2}" "$STORE" "$1" || fail "mount at $1"
}

# refused PATTERN COMMAND...: fails with one line that matches.
refused() {
        local pattern=$1

        shift
        if timeout 120 "$@" >"$WORK/out" 2>"$WORK/err"; then
                fail "$* succeeded"
        fi
        [[ $(wc -l <"$WORK/err") -eq 1 ]] || fail "$*: $(<"$WORK/err")"
        grep -qE -- "$pattern" "$WORK/err" || fail "$*: no '$pattern' in $(<"$WORK/err")"
}

same() { # WHAT GOT WANTED
        [[ $2 == "$3" ]] || fail "$1: '$2', not '$3'"
}

# The process that serves DIR, and the id of that mount.
server_of() { # DIR
        "$ASHLAR" mounts --json "$STORE" |
                python3 -c 'import json, sys
for m in map(json.loads, sys.stdin):
    if m["mountpoint"] == sys.argv[1]: print(m["pid"], m["id"])' "$1"
}

gone() { # PID
        local state

        state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null)
        [[ $state == [ZX] || ! -e /proc/$1 ]]
}

# soon COMMAND...: waits until it succeeds.
soon() {
        local i

        for ((i = 0; i < 600; i++)); do
                "$@" 2>/dev/null && return
                sleep 0.1
        done
        fail "'$*' did not come true"
}

not_mounted() { # DIR
        ! mountpoint -q "$1"
}

# ---- seeing one another
mount_at "$A"
mount_at "$B"
same "mounts" "$("$ASHLAR" mounts "$STORE" | wc -l)" 2
[[ ! -e $B/file ]] || fail "a file that was not made"
echo one >"$A/file"
same "created here, read there" "$(<"$B/file")" one
echo two >"$B/file"
same "overwritten there, read here" "$(<"$A/file")" two
printf 'a longer text' >"$A/file"
same "size" "$(stat -c %s "$B/file")" 13
mkdir -p "$A/dir/sub"
same "directories" "$(cd "$B" && find . -type d | sort | tr '\n' ' ')" ". ./dir ./dir/sub "
mv "$B/file" "$B/dir/moved"
[[ ! -e $A/file && -f $A/dir/moved ]] || fail "a rename there is not seen here"
same "listing" "$(ls "$A/dir")" "moved
sub"
rm "$A/dir/moved"
[[ ! -e $B/dir/moved ]] || fail "an unlink here is not seen there"
same "listing" "$(ls "$B/dir")" sub
ln -s first "$A/link"
same "symlink" "$(readlink "$B/link")" first
ln -sfn second "$B/link"
same "symlink" "$(readlink "$A/link")" second
chmod 600 "$A/dir"
same "mode" "$(stat -c %a "$B/dir")" 600
rmdir "$B/dir/sub"
rmdir "$A/dir"

# Writes are in the write-back cache of one mount for a second at most, and visible on the other when the file is
# closed. On an overloaded machine one check may come too late.
buffered() {
        python3 - "$A/buffered" "$B/buffered" <<'END'
import os, sys
fd = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
os.write(fd, b"x")
size = os.stat(sys.argv[2]).st_size
os.close(fd)
assert os.stat(sys.argv[2]).st_size == 1
os.unlink(sys.argv[1])
sys.exit(size)
END
}
soon buffered

# A file that is open on one mount and removed on the other stays readable.
python3 - "$A" "$B" <<'END' || fail "an open file that the other mount removed"
import os, sys
a, b = sys.argv[1:]
with open(a + "/open", "w+") as f:
    f.write("still there"); f.flush(); os.fsync(f.fileno())
    os.unlink(b + "/open")
    assert not os.path.exists(a + "/open")
    f.seek(0)
    assert f.read() == "still there"
    assert os.fstat(f.fileno()).st_nlink == 0
END

# A reader follows what the other mount appends, without zeros where the end was.
python3 - "$A" "$B" <<'END' || fail "following a growing file"
import os, sys
a, b = sys.argv[1:]
w = os.open(a + "/grows", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
local = os.open(a + "/grows", os.O_RDONLY)
far = os.open(b + "/grows", os.O_RDONLY)
want = b""
for i in range(300):
    piece = b"%05d\n" % i
    os.write(w, piece); os.fsync(w)
    want += piece
    for name, fd in ("same mount", local), ("other mount", far):
        os.fstat(fd)
        got = os.pread(fd, 1 << 20, 0)
        assert got == want, (name, i, got[-20:], want[-20:])
END

# ---- both at once
cat >"$WORK/append.py" <<'END'
import os, sys
path, me = sys.argv[1], sys.argv[2].encode()
fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
for i in range(300):
    record = me + b" %04d " % i + me * 90 + b"\n"
    assert os.write(fd, record) == len(record)
os.close(fd)
END
pids=()
for w in "$A a" "$B b" "$A c" "$B d"; do
        read -r dir me <<<"$w"
        python3 "$WORK/append.py" "$dir/log" "$me" &
        pids+=($!)
done
for p in "${pids[@]}"; do
        wait "$p" || fail "appending"
done
python3 - "$A/log" "$B/log" <<'END' || fail "records of two mounts that appended to one file"
import sys
a, b = (open(p, "rb").read() for p in sys.argv[1:])
assert a == b
lines = a.split(b"\n")
assert lines.pop() == b""
for me in b"a", b"b", b"c", b"d":
    mine = [l for l in lines if l.startswith(me + b" ")]
    assert mine == [me + b" %04d " % i + me * 90 for i in range(300)], me
assert len(lines) == 1200
END

# Many files made in one directory by both.
mkdir "$A/many"
for w in "$A 1" "$B 2"; do
        read -r dir me <<<"$w"
        (for ((i = 0; i < 200; i++)); do echo "$me $i" >"$dir/many/$me-$i"; done) &
done
wait
same "files made by both" "$(ls "$A/many" | wc -l)" 400
same "the same files" "$(cd "$A/many" && cat ./* | sha256sum)" "$(cd "$B/many" && cat ./* | sha256sum)"
rm -r "$B/many"
[[ ! -e $A/many ]] || fail "a tree that was removed there is still here"

# ---- exclusion
mkdir "$WORK/c"
refused "in use by pid [0-9]+ .*($A|$B)" "$ASHLAR" mount -o exclusive "$STORE" "$WORK/c"
refused "writeback_cache" "$ASHLAR" mount -o shared,writeback_cache "$STORE" "$WORK/c"
read -r pid id <<<"$(server_of "$B")"
refused "$id is alive.*--force" "$ASHLAR" evict "$STORE" "$id"
refused "no mount 0123456789abcdef" "$ASHLAR" evict "$STORE" 0123456789abcdef0123456789abcdef

# ---- one is killed: the other goes on, its entry is cleared by the next
echo kept >"$B/closed"
kill -9 "$pid"
soon gone "$pid"
same "a closed file of a mount that was killed" "$(<"$A/closed")" kept
soon not_mounted "$B"
"$ASHLAR" mounts "$STORE" | grep -q "^$id  shared  gone" || fail "the killed mount is not shown as gone"
mount_at "$B"
"$ASHLAR" mounts "$STORE" | grep -q "^$id" && fail "the entry of a killed mount was not cleared"
same "after the kill" "$(<"$B/closed")" kept

read -r pid id <<<"$(server_of "$B")"
kill -9 "$pid"
soon gone "$pid"
soon not_mounted "$B"
"$ASHLAR" evict --all-stale "$STORE" >"$WORK/out" || fail "evict --all-stale"
same "evict --all-stale" "$(<"$WORK/out")" "evicted $id"
same "mounts" "$("$ASHLAR" mounts "$STORE" | wc -l)" 1

# ---- one is stopped, evicted and continued: its calls fail
mount_at "$B"
echo before >"$B/victim"
read -r pid id <<<"$(server_of "$B")"
# If it is stopped while it holds the write lock of an LMDB store, all other mounts wait.
for ((i = 0; ; i++)); do
        kill -STOP "$pid"
        timeout 20 "$ASHLAR" evict --force "$STORE" "$id" >/dev/null && break
        [[ $i -lt 5 ]] || fail "evict --force"
        kill -CONT "$pid"
        sleep 0.3
done
echo after >"$A/victim"
kill -CONT "$pid"
if echo evil 2>/dev/null >"$B/victim"; then
        fail "an evicted mount could write"
fi
cat "$B/victim" >/dev/null 2>&1 && fail "an evicted mount could read"
ls "$B" >/dev/null 2>&1 && fail "an evicted mount could list"
same "after the eviction" "$(<"$A/victim")" after
"$ASHLAR" umount "$B" || fail "unmounting an evicted mount"
soon gone "$pid"

# ---- states of mounts
read -r pid id <<<"$(server_of "$A")"
"$ASHLAR" mounts "$STORE" | grep -q "^$id  shared  runs" || fail "the mount is not shown as running"
# A machine with another name and the same boot id (a copy of this one) cannot know these processes.
# shellcheck disable=SC2016
if unshare --uts hostname other 2>/dev/null; then
        unshare --uts sh -c 'hostname other && "$1" mounts "$2"' - "$ASHLAR" "$STORE" >"$WORK/out" ||
                fail "mounts, under another name"
        grep -q "^$id  shared  unknown" "$WORK/out" || fail "under another name: $(<"$WORK/out")"
fi
"$ASHLAR" fsck --json "$STORE" >"$WORK/out" 2>"$WORK/err" || fail "fsck of a mounted store: $(<"$WORK/out")"
grep -q '"in_use": true' "$WORK/out" || fail "fsck does not see that it is mounted: $(<"$WORK/out")"
grep -q 'in use' "$WORK/err" || fail "fsck does not say that it is mounted: $(<"$WORK/err")"

# ---- umount without a report: the queue of the process may be full
mkfifo "$WORK/hold"
python3 -c 'import os, socket, sys
own = {os.readlink(f.path) for f in os.scandir("/proc/%s/fd" % sys.argv[1])}
for line in open("/proc/net/unix"):
    words = line.split()
    if len(words) == 8 and words[7].startswith("@ashlar-") and "socket:[%s]" % words[6] in own:
        name = "\0" + words[7][1:]
callers = []
while True:
    s = socket.socket(socket.AF_UNIX)
    s.setblocking(False)
    try:
        s.connect(name)
    except BlockingIOError:
        break
    callers.append(s)
print("full", flush=True)
sys.stdin.read()' "$pid" <"$WORK/hold" >"$WORK/full" &
caller=$!
exec 9>"$WORK/hold"
soon grep -q full "$WORK/full"
if ! timeout 120 "$ASHLAR" umount "$A"; then
        kill "$caller"
        fail "umount while too many have called"
fi
soon gone "$pid"
exec 9>&-
wait "$caller" || fail "the callers"
mount_at "$A"

# ---- the end
same "mounts" "$("$ASHLAR" mounts "$STORE" | wc -l)" 1
"$ASHLAR" umount "$A" || fail umount
same "mounts" "$("$ASHLAR" mounts "$STORE" | wc -l)" 0
same "keys of mounts" "$("$ASHLAR" keys "$STORE" p)" ""
same "garbage" "$("$ASHLAR" keys "$STORE" g)" ""
check_clean

# Exclusively again, with the same contents.
"$ASHLAR" mount -o exclusive "$STORE" "$A" || fail "mount -o exclusive"
refused "in use by pid [0-9]+ .*$A" "$ASHLAR" mount -o shared "$STORE" "$B"
same "after a mount alone" "$(<"$A/victim") $(<"$A/closed")" "after kept"
"$ASHLAR" umount "$A" || fail umount
check_clean
