#!/bin/bash
# SPDX-License-Identifier: MIT
# Processes of the cluster are killed and started again while mounts work on it: the mounts wait and go on, every step
# of a program succeeds, and afterwards all acknowledged data is there and fsck finds no violation. Once with two
# shared mounts, once with an exclusive one.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/../kv/fdb/cluster.sh"

KILLS=${ASHLAR_CLUSTER_KILLS:-4}
LOAD=$(dirname "$0")/cluster_load.py

need_command python3
A=$WORK/a
B=$WORK/b
mkdir "$A" "$B"
cluster_start 3
choose_seed
STORE=fdb:?prefix=kills

clean_up_all() {
        local d

        touch "$WORK/stop"
        for d in "$A" "$B"; do
                ! mountpoint -q "$d" || umount -l "$d" || fusermount3 -u -z "$d" || true
        done
        # The mounts end without the cluster: they need not unregister.
        kill -KILL $("$ASHLAR" mounts --json "$STORE" 2>/dev/null | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p') \
                2>/dev/null || true
        cluster_stop
        clean_up
}
trap clean_up_all EXIT

# under_load NAME DIR...: runs a program on each DIR while processes are killed, in turn and all at once.
under_load() {
        local name=$1 i pids=() d

        shift
        rm -f "$WORK/stop"
        for d in "$@"; do
                timeout 400 python3 "$LOAD" write "$d/$name-${d##*/}" "$WORK/account-${d##*/}" "$WORK/stop" &
                pids+=($!)
        done
        for ((i = 0; i < KILLS; i++)); do
                sleep $((1 + RANDOM % 3))
                if ((i % 4 == 3)); then
                        cluster_kill 0
                        cluster_kill 1
                        cluster_kill 2
                        sleep 1
                        cluster_restart 0
                        cluster_restart 1
                        cluster_restart 2
                else
                        cluster_kill $((i % 3))
                        sleep $((RANDOM % 2))
                        cluster_restart $((i % 3))
                fi
                cluster_wait || fail "the cluster does not come back"
        done
        sleep 2
        touch "$WORK/stop"
        for i in "${pids[@]}"; do
                wait "$i" || fail "a program on a mount failed"
        done
}

compare() { # NAME DIR OF
        python3 "$LOAD" compare "$2/$1-$3" "$WORK/account-$3" || fail "$1: what $3 wrote, seen at ${2##*/}"
}

# ---- two shared mounts
"$ASHLAR" mkfs -q "$STORE" || fail "mkfs failed"
"$ASHLAR" mount -o shared "$STORE" "$A" || fail "mount"
"$ASHLAR" mount -o shared "$STORE" "$B" || fail "mount"
under_load shared "$A" "$B"
for d in "$A" "$B"; do
        compare shared "$d" a
        compare shared "$d" b
done
"$ASHLAR" umount "$A" || fail "umount"
"$ASHLAR" umount "$B" || fail "umount"
check_clean

# ---- an exclusive one
"$ASHLAR" mount -o exclusive "$STORE" "$A" || fail "mount"
under_load exclusive "$A"
compare exclusive "$A" a
"$ASHLAR" umount "$A" || fail "umount"
check_clean
"$ASHLAR" mount -o shared "$STORE" "$A" || fail "mount"
compare exclusive "$A" a
"$ASHLAR" umount "$A" || fail "umount"
