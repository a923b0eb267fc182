# SPDX-License-Identifier: MIT
# A temporary FoundationDB cluster for a test. To be sourced by bash.
#
# Environment: ASHLAR_FDB_BIN (the directory of fdbserver and fdbcli; otherwise PATH), ASHLAR_FDB_LIB (the client
# library; otherwise the one beside ASHLAR_FDB_BIN, or the system's), TMPDIR.
#
#   cluster_start N     starts N processes on loopback, waits until the cluster is usable, and exports
#                       FDB_CLUSTER_FILE, ASHLAR_TEST_CLUSTER, ASHLAR_FDB_LIB and FDBCLI; exit code 77 if there is no
#                       FoundationDB here
#   cluster_kill I      kills process I (from 0) as a crash would
#   cluster_restart I   starts process I again
#   cluster_stop        kills all and removes the data; called at exit
# shellcheck shell=bash

cluster_dir=
cluster_ports=()
cluster_pids=()

cluster_skip() {
        printf '%s: SKIPPED: %s\n' "${0##*/}" "$*" >&2
        exit 77
}

cluster_find() {
        local bin=${ASHLAR_FDB_BIN:-} lib

        fdbserver=$(PATH="$bin:$PATH:/usr/sbin" command -v fdbserver) ||
                cluster_skip "no fdbserver on PATH or in ASHLAR_FDB_BIN"
        fdbcli=$(PATH="$bin:$PATH" command -v fdbcli) || cluster_skip "no fdbcli on PATH or in ASHLAR_FDB_BIN"
        lib="${bin:-/usr/bin}/../lib/libfdb_c.so"
        if [[ -n ${ASHLAR_TEST_FDB_LIB:-} ]]; then
                export ASHLAR_FDB_LIB=$ASHLAR_TEST_FDB_LIB
        elif [[ -z ${ASHLAR_FDB_LIB:-} && -e $lib ]]; then
                export ASHLAR_FDB_LIB=$lib
        fi
}

cluster_cli() { # COMMAND [SECONDS]
        timeout "${2:-30}" "$fdbcli" -C "$FDB_CLUSTER_FILE" --exec "$1" --timeout "${2:-30}" 2>&1
}

cluster_restart() { # I
        local i=$1

        mkdir -p "$cluster_dir/data/$i" "$cluster_dir/log/$i"
        "$fdbserver" -p "127.0.0.1:${cluster_ports[i]}" -C "$FDB_CLUSTER_FILE" -d "$cluster_dir/data/$i" \
                -L "$cluster_dir/log/$i" -m 8GiB --cache-memory 200MiB >"$cluster_dir/log/$i/out" 2>&1 &
        cluster_pids[i]=$!
}

cluster_kill() { # I
        kill -KILL "${cluster_pids[$1]}" 2>/dev/null || :
        wait "${cluster_pids[$1]}" 2>/dev/null || :
}

cluster_stop() {
        local i

        for i in "${!cluster_pids[@]}"; do
                cluster_kill "$i"
        done
        cluster_pids=()
        [[ -z $cluster_dir ]] || rm -rf "$cluster_dir"
        cluster_dir=
}

# Whether the $2 ports from $1 on are free: no process answers there. If two scripts choose the same ports, one of
# them cannot bind, and its cluster_try fails.
cluster_ports_free() {
        local p

        for ((p = $1; p < $1 + $2; p++)); do
                ! (exec 3<>"/dev/tcp/127.0.0.1/$p") 2>/dev/null || return 1
        done
}

# One attempt: fails if a process ended, as for a port that is in use.
cluster_try() { # N
        local n=$1 base i

        base=$((20000 + (RANDOM * 32768 + RANDOM) % 10000))
        cluster_ports_free "$base" "$n" || return 1
        printf 'test%d:test%d@127.0.0.1:%d\n' "$$" "$base" "$base" >"$FDB_CLUSTER_FILE"
        for ((i = 0; i < n; i++)); do
                cluster_ports[i]=$((base + i))
                cluster_restart "$i"
        done
        sleep 1
        for ((i = 0; i < n; i++)); do
                kill -0 "${cluster_pids[i]}" 2>/dev/null || return 1
        done
        cluster_cli 'configure new single ssd' 60 >"$cluster_dir/configure"
}

cluster_wait() {
        local i

        for ((i = 0; i < 60; i++)); do
                ! cluster_cli 'status minimal' 10 | grep -q 'database is available' || return 0
                sleep 1
        done
        return 1
}

cluster_start() { # N
        local try

        cluster_find
        cluster_dir=$(mktemp -d "${TMPDIR:-/tmp}/ashlar-cluster.XXXXXX")
        export FDB_CLUSTER_FILE=$cluster_dir/fdb.cluster
        export ASHLAR_TEST_CLUSTER=$FDB_CLUSTER_FILE
        export FDBCLI=$fdbcli
        trap cluster_stop EXIT
        for ((try = 0; try < 5; try++)); do
                if cluster_try "$1" && cluster_wait; then
                        return 0
                fi
                for i in "${!cluster_pids[@]}"; do
                        cluster_kill "$i"
                done
                cluster_pids=()
                rm -rf "$cluster_dir/data"
        done
        printf '%s: FAILED: the cluster does not start: %s\n' "${0##*/}" "$(cat "$cluster_dir"/log/*/out \
                "$cluster_dir/configure" 2>/dev/null | head -c 2000)" >&2
        exit 1
}
