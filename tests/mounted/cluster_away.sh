#!/bin/bash
# A cluster that is away: requests wait, signals end the waiting, -o timeout ends it with EIO, and everything goes
# on by itself when the cluster is back.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/../fdb/cluster.sh"

need_command python3
A=$WORK/a
B=$WORK/b
mkdir "$A" "$B"
cluster_start 1
STORE=fdb:?prefix=away

clean_up_all() {
        local d

        for d in "$A" "$B"; do
                ! mountpoint -q "$d" || umount -l "$d" || fusermount3 -u -z "$d" || true
        done
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

# Without one it waits until a signal comes.
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

# What waits when it comes back is done then.
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
