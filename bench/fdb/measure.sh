#!/bin/bash
# SPDX-License-Identifier: MIT
# Measures mounts over a cluster beside a plain program (fdb_bench), and prints Markdown tables.
#
#     ASHLAR=build/ashlar tests/kv/fdb/with_cluster.sh 1 bash bench/fdb/measure.sh [BLOCK_SIZE...]
#
# With block sizes: only sequential throughput, for each of them. The build directory is that of ASHLAR. Environment:
# RUNS (3), MIB (256, of the large file), SHARE (100, percent of the usual numbers of files) and ONLY (large: only the
# large file).
#
# Each measurement begins with a new mount, so that neither the kernel nor the mount has cached the files. The servers
# keep theirs in memory: their disks are not measured. Before a large file is written, the script waits until the
# servers have written earlier data to their disks, which would take a part of their time. Numbers are medians of RUNS,
# most with minimum and maximum. Commits and conflicts are the cluster's counts for all runs of a row, with mounting and
# unmounting, without those of an idle cluster.
set -euo pipefail

ASHLAR=$(realpath "${ASHLAR:?the program}")
BENCH=$(dirname "$ASHLAR")/bench/fdb
RUNS=${RUNS:-3}
MIB=${MIB:-256}
SHARE=${SHARE:-100}
: "${FDBCLI:?with_cluster.sh sets it}" "${FDB_CLUSTER_FILE:?with_cluster.sh sets it}"
WORK=$(mktemp -d "${TMPDIR:-/tmp}/ashlar-measure.XXXXXX")
A=$WORK/a
B=$WORK/b
STORE=fdb:?prefix=measure
mkdir "$A" "$B"

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
        "$ASHLAR" mkfs -q --force "$@" "$STORE"
}

# Seconds that COMMAND takes.
seconds() {
        local begin=$EPOCHREALTIME

        "$@" >/dev/null
        printf '%s %s\n' "$begin" "$EPOCHREALTIME" | awk '{ print $2 - $1 }'
}

rate() { # AMOUNT SECONDS
        awk -v a="$1" -v s="$2" 'BEGIN { printf "%.0f\n", a / s }'
}

# median FORMAT: of the numbers on standard input.
median() {
        sort -g | awk -v f="$1" '{ v[NR] = $1 }
                END { printf f, NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# spread FILE: the median (minimum-maximum) of its numbers.
spread() {
        printf '%s (%s-%s)' "$(median %.0f <"$1")" "$(sort -g "$1" | head -n 1)" "$(sort -g "$1" | tail -n 1)"
}

# ---- counters of the cluster ------------------------------------------------------------------------

# Transactions that the cluster has begun, committed and refused, as of some seconds ago.
counted() {
        "$FDBCLI" -C "$FDB_CLUSTER_FILE" --exec 'status json' --timeout 30 | python3 -c 'import json, sys
t = json.loads(sys.stdin.read())["cluster"]["workload"]["transactions"]
print(t["started"]["counter"], t["committed"]["counter"], t["conflicted"]["counter"])'
}

# Committed and refused transactions, with all that ended before the call, and the time. The cluster updates its counts
# every five seconds, and they always change, because the cluster itself begins transactions.
counters() {
        local before now i

        before=$(counted)
        for ((i = 0; i < 40; i++)); do
                sleep 0.5
                now=$(counted)
                [[ ${now%% *} == "${before%% *}" ]] || break
        done
        printf '%s %s\n' "${now#* }" "$EPOCHREALTIME"
}

# Transactions that an idle cluster commits and refuses in a second.
idle_rate() {
        local before

        before=$(counters)
        sleep 10
        printf '%s %s\n' "$before" "$(counters)" | awk '{ print ($4 - $1) / ($6 - $3), ($5 - $2) / ($6 - $3) }'
}

# cost BEFORE AFTER N: commits and conflicts divided by N, between two results of counters.
cost() {
        printf '%s %s %s\n' "$1" "$2" "$IDLE" | awk -v n="$3" '{
                s = $6 - $3; c = ($4 - $1 - s * $7) / n; r = ($5 - $2 - s * $8) / n
                printf "%.2f | %.3f", c < 0 ? 0 : c, r < 0 ? 0 : r }'
}

# Bytes that are not on disk yet, of the storage server with most of them.
behind() {
        "$FDBCLI" -C "$FDB_CLUSTER_FILE" --exec 'status json' --timeout 30 | python3 -c 'import json, sys
qos = json.loads(sys.stdin.read())["cluster"].get("qos", {})
print(qos.get("worst_queue_bytes_storage_server", 1 << 40))'
}

# Waits until the servers have written nearly all data to their disks.
settle() {
        local i

        for ((i = 0; i < 120 && $(behind) > 10000000; i++)); do
                sleep 1
        done
}

# ---- a large file -----------------------------------------------------------------------------------

# One run: appends to $WORK/NAME-write, -read and -umount.
sequential_once() { # NAME MODE [MKFS OPTIONS...]
        new_store "${@:3}"
        settle
        mount_at "$2" "$A"
        rate "$MIB" "$(seconds dd if="$WORK/data" of="$A/data" bs=1M conv=fsync status=none)" >>"$WORK/$1-write"
        seconds "$ASHLAR" umount "$A" >>"$WORK/$1-umount"
        mount_at "$2" "$A"
        rate "$MIB" "$(seconds dd if="$A/data" of=/dev/null bs=1M status=none)" >>"$WORK/$1-read"
        if ! cmp -s "$WORK/data" "$A/data"; then
                echo 'measure.sh: what was read is not what was written' >&2
                exit 1
        fi
        "$ASHLAR" umount "$A"
}

sequential_row() { # TITLE NAME
        printf '| %s | %s | %s | %s |\n' "$1" "$(spread "$WORK/$2-write")" "$(spread "$WORK/$2-read")" \
                "$(median %.2f <"$WORK/$2-umount")"
}

# The plain program: the same bytes as values of 64 KiB in transactions of 900 KB, eight at a time.
plain_once() {
        local i

        settle
        "$BENCH/fdb_bench" mib="$MIB" >"$WORK/plain"
        for i in write get range; do
                awk -v p="$i" '$1 == p { printf "%.0f\n", $2 }' "$WORK/plain" >>"$WORK/plain-$i"
        done
}

plain_rows() {
        printf '| plain program, by gets | %s | %s | |\n' "$(spread "$WORK/plain-write")" \
                "$(spread "$WORK/plain-get")"
        printf '| plain program, by ranges | | %s | |\n' "$(spread "$WORK/plain-range")"
}

sequential_head() { # TITLE
        printf '\n### %s\n\nMiB/s, %s MiB, %s runs.\n\n' "$1" "$MIB" "$RUNS"
        printf '| | write, then fsync | read | umount after it, s |\n| --- | ---: | ---: | ---: |\n'
}

# ---- small files ------------------------------------------------------------------------------------

files_bench() { # PHASE DIR THREADS FILES FIRST
        "$BENCH/files_bench" "$1" "$2" threads="$3" files="$4" first="$5" | awk '{ print $NF + 0 }'
}

# One row, from counters $last on: each run has its own directories, which all phases go through in turn.
phase() { # MODE PHASE THREADS FILES
        local before=$last i

        rm -f "$WORK/rate" "$WORK/umount"
        for ((i = 0; i < RUNS; i++)); do
                mount_at "$1" "$A"
                files_bench "$2" "$A" "$3" "$4" $((100 * i)) >>"$WORK/rate"
                seconds "$ASHLAR" umount "$A" >>"$WORK/umount"
        done
        last=$(counters)
        printf '| %s | %s | %s | %s | %s | %s | %s |\n' "$2" "$1" "$3" "$4" "$(spread "$WORK/rate")" \
                "$(cost "$before" "$last" $((RUNS * $4)))" "$(median %.2f <"$WORK/umount")"
}

# The same at two shared mounts at once, in separate directories.
phase_of_two() { # PHASE THREADS FILES
        local before=$last i pid

        rm -f "$WORK/rate-a" "$WORK/rate-b"
        for ((i = 0; i < RUNS; i++)); do
                mount_at shared "$A"
                mount_at shared "$B"
                files_bench "$1" "$A" "$2" "$3" $((100 * i)) >>"$WORK/rate-a" &
                pid=$!
                files_bench "$1" "$B" "$2" "$3" $((100 * i + 50)) >>"$WORK/rate-b"
                wait "$pid"
                "$ASHLAR" umount "$A"
                "$ASHLAR" umount "$B"
        done
        last=$(counters)
        printf '| %s | %s | %s | %s | %s | %s |\n' "$1" "$2" "$3" "$(spread "$WORK/rate-a")" \
                "$(spread "$WORK/rate-b")" "$(cost "$before" "$last" $((2 * RUNS * $3)))"
}

share() { # FILES: SHARE percent of it, and no less than there are threads
        local n=$(($1 * SHARE / 100))

        echo $((n < 64 ? 64 : n))
}

# ---- all of it --------------------------------------------------------------------------------------

head -c "${MIB}M" /dev/urandom >"$WORK/data"
printf 'Load at the begin: %s\n' "$(</proc/loadavg)"
if [[ $# -gt 0 ]]; then
        sequential_head "Block sizes"
        for size in "$@"; do
                for mode in shared exclusive; do
                        for ((i = 0; i < RUNS; i++)); do
                                sequential_once "$mode-$size" "$mode" -b "$size"
                        done
                        sequential_row "$mode, blocks of $size" "$mode-$size"
                done
        done
        printf '\nLoad at the end: %s\n' "$(</proc/loadavg)"
        exit
fi

sequential_head "A large file"
for ((i = 0; i < RUNS; i++)); do
        plain_once
        sequential_once shared shared
        sequential_once exclusive exclusive
done
plain_rows
sequential_row shared shared
sequential_row exclusive exclusive
if [[ ${ONLY:-} == large ]]; then
        exit
fi

new_store
IDLE=$(idle_rate)
printf '\n### Small files\n\n'
printf 'Files of 4 KiB per second, made (write and close), looked at by name, listed with attributes, removed;\n'
printf 'a directory for each thread, %s runs. Commits and conflicts are for each file.\n\n' "$RUNS"
printf '| | mode | threads | files | per second | commits | conflicts | umount after it, s |\n'
printf '| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n'
last=$(counters)
for threads in 1 8 32; do
        for mode in shared exclusive; do
                case $mode-$threads in
                shared-1) files=$(share 500) ;;
                shared-8) files=$(share 1600) ;;
                shared-32) files=$(share 3200) ;;
                exclusive-1) files=$(share 4000) ;;
                *) files=$(share 8000) ;;
                esac
                for p in create stat list unlink; do
                        phase "$mode" "$p" "$threads" "$files"
                done
        done
done

printf '\n### Small files at two shared mounts at once\n\n'
printf 'The same at each of two mounts at the same time, in separate directories.\n\n'
printf '| | threads each | files each | per second at one | at the other | commits | conflicts |\n'
printf '| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n'
for threads in 1 8; do
        for p in create stat list unlink; do
                phase_of_two "$p" "$threads" "$(share $((threads == 1 ? 400 : 800)))"
        done
done
printf '\nLoad at the end: %s. It took %s s.\n' "$(</proc/loadavg)" "$SECONDS"
