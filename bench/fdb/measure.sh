#!/bin/bash
# What a mount over a cluster does, beside what a plain program does with it: prints Markdown rows.
#
#     ASHLAR=build/ashlar tests/fdb/with_cluster.sh 1 bench/fdb/measure.sh [BLOCK_SIZE...]
#
# With block sizes: only sequential throughput, for each. Build directory: that of ASHLAR. Needs root to drop the
# kernel's caches.
set -euo pipefail

ASHLAR=$(realpath "${ASHLAR:?the program}")
BENCH=$(dirname "$ASHLAR")/bench/fdb
MIB=${MIB:-256}
WORK=$(mktemp -d "${TMPDIR:-/tmp}/ashlar-measure.XXXXXX")
A=$WORK/a
B=$WORK/b
mkdir "$A" "$B"
n=0

finish() {
        local d

        for d in "$A" "$B"; do
                ! mountpoint -q "$d" || "$ASHLAR" umount "$d" || umount -l "$d"
        done
        rm -rf --one-file-system "$WORK"
}
trap finish EXIT

mount_at() { # MODE DIR
        "$ASHLAR" mount -o "$1" "$STORE" "$2"
}

new_store() { # [MKFS OPTIONS...]
        n=$((n + 1))
        STORE=fdb:?prefix=measure-$n
        "$ASHLAR" mkfs -q "$@" "$STORE"
}

# Seconds that COMMAND takes.
seconds() {
        local begin=$EPOCHREALTIME

        "$@" >/dev/null
        printf '%s %s\n' "$begin" "$EPOCHREALTIME" | awk '{ print $2 - $1 }'
}

rate() { # AMOUNT SECONDS
        awk "BEGIN { printf \"%.0f\", $1 / $2 }"
}

# Transactions that the cluster has committed and refused so far. It counts in intervals of five seconds.
counters() {
        sleep 11
        "$FDBCLI" -C "$FDB_CLUSTER_FILE" --exec 'status json' --timeout 30 | python3 -c 'import json, sys
t = json.loads(sys.stdin.read())["cluster"]["workload"]["transactions"]
print(t["committed"]["counter"], t["conflicted"]["counter"])'
}

sequential() { # MODE
        local w u r

        mount_at "$1" "$A"
        w=$(seconds dd if="$WORK/data" of="$A/data" bs=1M conv=fsync status=none)
        u=$(seconds "$ASHLAR" umount "$A")
        mount_at "$1" "$A"
        r=$(seconds dd if="$A/data" of=/dev/null bs=1M status=none)
        cmp -s "$WORK/data" "$A/data" || printf 'DIFFERENT DATA\n'
        "$ASHLAR" umount "$A"
        printf '| %s | %s | %s | (umount %s s) |\n' "$1" "$(rate "$MIB" "$w")" "$(rate "$MIB" "$r")" "$u"
}

# One phase of files_bench at A, with transactions per operation; from a mount that has just begun.
phase() { # MODE PHASE THREADS FILES
        local before after line umount_s

        mount_at "$1" "$A"
        before=$(counters)
        line=$("$BENCH/files_bench" "$2" "$A" threads="$3" files="$4")
        umount_s=$(seconds "$ASHLAR" umount "$A")
        after=$(counters)
        printf '%s %s\n' "$before" "$after" | awk -v l="$line" -v m="$1" -v f="$4" -v u="$umount_s" \
                '{ printf "| %s | %s | %.2f | %.3f | umount %.2f s |\n", m, l, ($3 - $1) / f, ($4 - $2) / f, u }'
}

# The same at both mounts at once.
phase_of_two() { # PHASE THREADS FILES
        local a b pid

        "$BENCH/files_bench" "$1" "$A" threads="$2" files="$3" >"$WORK/a.out" &
        pid=$!
        "$BENCH/files_bench" "$1" "$B" threads="$2" files="$3" first=500 >"$WORK/b.out"
        wait "$pid"
        printf '| two mounts | %s | %s |\n' "$(<"$WORK/a.out")" "$(<"$WORK/b.out")"
}

head -c "${MIB}M" /dev/urandom >"$WORK/data"
uptime
if [[ $# -gt 0 ]]; then
        for size in "$@"; do
                printf 'block size %s\n' "$size"
                for mode in shared exclusive; do
                        new_store -b "$size"
                        sequential "$mode"
                done
        done
        exit
fi

"$BENCH/fdb_bench" mib="$MIB"
for mode in shared exclusive; do
        new_store
        sequential "$mode"
done
for threads in 1 8 32; do
        for mode in shared exclusive; do
                new_store
                files=$((threads == 1 ? 500 : threads == 8 ? 1600 : 3200))
                [[ $mode == shared ]] || files=$((threads == 1 ? 4000 : 8000))
                for p in create stat list unlink; do
                        phase "$mode" "$p" "$threads" "$files"
                done
        done
done
new_store
mount_at shared "$A"
mount_at shared "$B"
for threads in 1 8; do
        for p in create stat list unlink; do
                phase_of_two "$p" "$threads" $((threads == 1 ? 400 : 800))
        done
done
uptime
