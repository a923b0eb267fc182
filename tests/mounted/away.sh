#!/bin/bash
# SPDX-License-Identifier: MIT
# A mount that ends while its cluster is away waits for a limited time, which -o timeout and signals shorten, and then
# reports lost changes to ashlar umount and by its exit code. If the cluster comes back in time, nothing is lost. The
# cluster is a stand-in inside the mount process (standin_mount.c).
. "$(dirname "$0")/lib.sh"

need_command mkfifo python3
STANDIN_MOUNT=${STANDIN_MOUNT:?the program that mounts}
echo standin:standin@127.0.0.1:1 >"$WORK/cluster"
mkfifo "$WORK/orders"
pid=

clean_up_server() {
        exec 7>&-
        if [[ -n $pid ]]; then
                kill -KILL "$pid" 2>/dev/null || :
                wait "$pid" 2>/dev/null || :
        fi
        ! is_mounted || umount -l "$MNT" || fusermount3 -u -z "$MNT" || true
        clean_up
}
trap clean_up_server EXIT

until_in() { # FILE PATTERN
        local i

        for ((i = 0; i < 2400; i++)); do
                ! grep -q -- "$2" "$1" || return 0
                sleep 0.05
        done
        fail "there never was '$2' but: $(<"$1"); the server said: $(<"$WORK/said")"
}

# until_said PATTERN: waits until a line on the standard error of the mount process matches.
until_said() {
        until_in "$WORK/said" "$1"
}

start() { # OPTIONS
        local i

        : >"$WORK/said"
        "$STANDIN_MOUNT" "$WORK/cluster" "$MNT" -o "$1" <"$WORK/orders" >"$WORK/names" 2>"$WORK/said" &
        pid=$!
        exec 7>"$WORK/orders"
        for ((i = 0; i < 600; i++)); do
                ! is_mounted || break
                sleep 0.05
        done
        is_mounted || fail "not mounted: $(<"$WORK/said")"
        echo kept >"$MNT/kept"
        sync "$MNT/kept"
}

order() { # refuse|away|back
        local i before

        before=$(grep -c '^done: ' "$WORK/said") || :
        echo "$1" >&7
        for ((i = 0; i < 1200; i++)); do
                [[ $(grep -c '^done: ' "$WORK/said") -le $before ]] || return 0
                sleep 0.05
        done
        fail "the order $1 is not carried out"
}

# ended EXIT_CODES: the mount process ends by itself with one of these.
ended() {
        local i code=0

        for ((i = 0; i < 2400; i++)); do
                [[ -d /proc/$pid && $(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$pid/status" 2>/dev/null) != Z ]] || break
                sleep 0.05
        done
        [[ $i -lt 2400 ]] || fail "the server does not end; it said: $(<"$WORK/said")"
        wait "$pid" || code=$?
        pid=
        exec 7>&-
        [[ $code =~ ^($1)$ ]] || fail "exit code $code; the server said: $(<"$WORK/said")"
        ! is_mounted || fail "still mounted"
        grep -qx kept "$WORK/names" || fail "what was durable is gone"
}

# A write is acknowledged but cannot be committed, then the cluster is away.
write_then_away() { # NAME
        order refuse
        # shellcheck disable=SC2016
        timeout 300 sh -c 'echo new >"$1"' - "$MNT/$1" || fail "write"
        order away
}

says_lost() {
        grep -q 'CHANGES ARE LOST' "$1" || fail "the lost changes are not reported: $(<"$1")"
        ! grep -qx "$2" "$WORK/names" || fail "$2 is not lost"
}

say "exclusive: the timeout ends it, and ashlar umount reports it"
start exclusive,timeout=10
write_then_away new
if timeout 300 "$ASHLAR" umount "$MNT" 2>"$WORK/umount"; then
        fail "umount says that all is well"
fi
ended 1
says_lost "$WORK/umount" new
says_lost "$WORK/said" new

say "exclusive: the second signal ends it"
start exclusive
write_then_away new
kill -TERM "$pid"
until_said 'does not answer: waiting'
kill -TERM "$pid"
ended 1
says_lost "$WORK/said" new

say "exclusive: the cluster is back in time"
start exclusive,timeout=600
write_then_away new
kill -TERM "$pid"
until_said 'does not answer: waiting'
order back
ended 0
grep -qx new "$WORK/names" || fail "a change is lost"

say "shared: nothing is lost, but the entry in the table of mounts stays"
start shared,timeout=10
echo new >"$MNT/new"
order away
timeout 300 "$ASHLAR" umount "$MNT" || fail "umount"
ended 0
grep -q 'this mount is still registered' "$WORK/said" || fail "said: $(<"$WORK/said")"
grep -qx new "$WORK/names" || fail "a change is lost"

say "shared: dirty data is lost"
start shared,timeout=10
mkfifo "$WORK/go-on"
# Not by this shell: each process that it starts would also close the file, which flushes it.
python3 -c 'import os, sys
f = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
print("open", flush=True)
sys.stdin.readline()
os.write(f, b"buffered")
print("written", flush=True)
sys.stdin.readline()
try:
    os.close(f)
except OSError:
    print("reported")' "$MNT/new" <"$WORK/go-on" >"$WORK/writer" &
writer=$!
exec 8>"$WORK/go-on"
until_in "$WORK/writer" open
order refuse
echo >&8
until_in "$WORK/writer" written
order away
exec 8>&-
wait "$writer"
grep -q reported "$WORK/writer" || fail "close(2) reports nothing"
if timeout 300 "$ASHLAR" umount "$MNT" 2>"$WORK/umount"; then
        fail "umount says that all is well"
fi
ended 1
grep -q 'CHANGES ARE LOST' "$WORK/umount" || fail "umount only said: $(<"$WORK/umount")"

say "shared: while a request waits for an answer"
start shared
exec 8<"$MNT/kept"
order away
cat <&8 >/dev/null 2>&1 8<&- &
reader=$!
kill -INT "$pid"
until_said 'is in use: detached'
until_said 'does not answer: waiting'
kill -INT "$pid"
exec 8<&-
wait "$reader" || :
ended 0

say "exclusive: while the kernel has pages to write back"
start exclusive
python3 -c 'import mmap, os, sys
f = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
os.ftruncate(f, 1 << 20)
os.fsync(f)
m = mmap.mmap(f, 1 << 20)
os.close(f)
m[:] = b"x" * (1 << 20)' "$MNT/mapped"
order away
sleep 1.5
kill -TERM "$pid"
until_said 'does not answer: waiting'
kill -TERM "$pid"
ended '0|1'
