#!/bin/bash
# SPDX-License-Identifier: MIT
# A cluster that is away: requests wait, signals end the wait, -o timeout ends it with EIO, and requests go on when the
# cluster is back. A mount that ends while the cluster is away waits for a limited time and then reports lost changes.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/../kv/fdb/cluster.sh"

need_command python3
A=$WORK/a
B=$WORK/b
server=
mkdir "$A" "$B"
cluster_start 1
STORE=fdb:?prefix=away

clean_up_all() {
        local d

        for d in "$A" "$B"; do
                ! mountpoint -q "$d" || umount -l "$d" || fusermount3 -u -z "$d" || true
        done
        [[ -z $server ]] || kill -KILL "$server" 2>/dev/null || true
        cluster_stop
        clean_up
}
trap clean_up_all EXIT

"$ASHLAR" mkfs -q "$STORE" || fail "mkfs failed"
"$ASHLAR" mount -o shared "$STORE" "$A" || fail "mount"
"$ASHLAR" mount -o shared,timeout=2 "$STORE" "$B" || fail "mount"
echo before >"$A/file"
cluster_kill 0

# With a timeout: EIO, again and again.
for i in 1 2; do
        timeout 60 stat "$B/file" >/dev/null 2>"$WORK/said" && fail "stat succeeded without a cluster"
        grep -q 'Input/output error' "$WORK/said" || fail "stat: $(<"$WORK/said")"
done
timeout 60 sh -c 'echo x >"$1"' - "$B/new" 2>"$WORK/said" && fail "a file was made without a cluster"
grep -q 'Input/output error\|I/O error' "$WORK/said" || fail "create: $(<"$WORK/said")"

# Without a timeout a request waits until a signal.
for signal in INT TERM KILL; do
        python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
open(sys.argv[2], "w").close()
os.stat(sys.argv[1])' "$A/file" "$WORK/began-$signal" &
        pid=$!
        for ((i = 0; i < 600; i++)); do
                [[ ! -e $WORK/began-$signal ]] || break
                sleep 0.1
        done
        sleep 1
        kill -0 "$pid" || fail "stat ended while the cluster was away"
        kill -"$signal" "$pid"
        for ((i = 0; i < 600; i++)); do
                kill -0 "$pid" 2>/dev/null || break
                [[ $(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$pid/status" 2>/dev/null) != Z ]] || break
                sleep 0.1
        done
        [[ $i -lt 600 ]] || fail "SIG$signal does not end the waiting"
        wait "$pid" 2>/dev/null && fail "stat succeeded without a cluster"
done

# Requests that wait when the cluster comes back are carried out.
(cat "$A/file" >"$WORK/read") &
reader=$!
(echo after >"$A/later") &
writer=$!
sleep 1
cluster_restart 0
cluster_wait || fail "the cluster does not come back"
wait "$reader" || fail "a reader that waited"
wait "$writer" || fail "a writer that waited"
[[ $(<"$WORK/read") == before ]] || fail "read '$(<"$WORK/read")'"
[[ $(<"$B/later") == after ]] || fail "the other mount reads '$(<"$B/later")'"
echo again >"$B/later"
[[ $(<"$A/later") == again ]] || fail "what the mount with a timeout writes afterwards"
"$ASHLAR" umount "$A" || fail "umount"
"$ASHLAR" umount "$B" || fail "umount"
check_clean

# ---- unmounted while away -------------------------------------------------------------------------

# start OPTIONS: a mount in the foreground at $A, whose log is $WORK/log.
start() {
        local i

        "$ASHLAR" mount -f -o "$1" "$STORE" "$A" 2>"$WORK/log" &
        server=$!
        for ((i = 0; i < 600; i++)); do
                ! mountpoint -q "$A" || break
                sleep 0.1
        done
        mountpoint -q "$A" || fail "not mounted: $(<"$WORK/log")"
}

# ended EXIT_CODES: the mount process ends by itself with one of these.
ended() {
        local i code=0

        for ((i = 0; i < 1800; i++)); do
                kill -0 "$server" 2>/dev/null || break
                [[ $(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$server/status" 2>/dev/null) != Z ]] || break
                sleep 0.1
        done
        [[ $i -lt 1800 ]] || fail "the mount does not end; it said: $(<"$WORK/log")"
        wait "$server" || code=$?
        server=
        [[ $code =~ ^($1)$ ]] || fail "exit code $code; the mount said: $(<"$WORK/log")"
        [[ $code -eq 0 ]] || grep -q 'CHANGES ARE LOST' "$WORK/log" || fail "the mount only said: $(<"$WORK/log")"
        ! mountpoint -q "$A" || fail "still mounted"
}

until_logged() {
        local i

        for ((i = 0; i < 600; i++)); do
                ! grep -q -- "$1" "$WORK/log" || return 0
                sleep 0.1
        done
        fail "the mount never said '$1' but: $(<"$WORK/log")"
}

come_back() {
        cluster_restart 0
        cluster_wait || fail "the cluster does not come back"
}

# The last write may or may not have reached the cluster before it dies; if it has, nothing is lost. away.sh tests that
# a loss is reported.
start exclusive,timeout=3
echo kept >"$A/kept"
sync "$A/kept"
echo new >"$A/new"
cluster_kill 0
code=0
timeout 300 "$ASHLAR" umount "$A" 2>"$WORK/said" || code=$?
ended "$code"
[[ $code -eq 0 ]] || grep -q 'CHANGES ARE LOST' "$WORK/said" || fail "umount only said: $(<"$WORK/said")"
come_back

start exclusive
[[ $(<"$A/kept") == kept ]] || fail "what was durable is gone"
echo new >"$A/second"
cluster_kill 0
kill -TERM "$server"
until_logged 'does not answer: waiting'
kill -TERM "$server"
ended '0|1'
come_back

start exclusive,timeout=600
echo new >"$A/third"
cluster_kill 0
kill -TERM "$server"
until_logged 'does not answer: waiting'
come_back
ended 0
start shared,timeout=3
[[ $(<"$A/third") == new ]] || fail "a change is lost although the cluster came back in time"
echo new >"$A/fourth"
cluster_kill 0
timeout 300 "$ASHLAR" umount "$A" || fail "umount of a shared mount without changes"
ended 0
grep -q 'still registered' "$WORK/log" || fail "said: $(<"$WORK/log")"
come_back

start shared
[[ $(<"$A/fourth") == new ]] || fail "what was closed is gone"
kill -TERM "$server"
ended 0
check_clean
