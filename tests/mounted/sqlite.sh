#!/bin/bash
# SPDX-License-Identifier: MIT
# SQLite databases under the load of several processes, with a rollback journal and with a write-ahead log
# (whose index is shared memory on the mount), stay intact, and every transaction is there once.
. "$(dirname "$0")/lib.sh"

need_command sqlite3
writers=4
transactions=$((BIG == 1 ? 1000 : 100))
rows=10
mount_store

writer() { # DATABASE WRITER
        local i j

        for ((i = 0; i < transactions; i++)); do
                echo 'BEGIN IMMEDIATE;'
                for ((j = 0; j < rows; j++)); do
                        echo "INSERT INTO log(writer, n, body)" \
                                "VALUES ($2, $((i * rows + j)), randomblob(300));"
                done
                echo "UPDATE total SET n = n + $rows;"
                echo 'COMMIT;'
        done | sqlite3 -bail -cmd '.timeout 60000' "$1"
}

check_db() { # DATABASE
        local expected=$((writers * transactions * rows)) got

        got=$(sqlite3 "$1" 'PRAGMA integrity_check; SELECT count(*), (SELECT n FROM total) FROM log;
                SELECT count(*) FROM (SELECT writer, n FROM log GROUP BY writer, n);')
        [[ $got == "ok"$'\n'"$expected|$expected"$'\n'"$expected" ]] || fail "$1: $got"
}

for mode in delete wal; do
        db=$MNT/$mode.db
        sqlite3 "$db" "PRAGMA journal_mode=$mode; PRAGMA synchronous=FULL;
                CREATE TABLE log(id INTEGER PRIMARY KEY, writer INT, n INT, body BLOB);
                CREATE INDEX by_writer ON log(writer, n);
                CREATE TABLE total(n INT); INSERT INTO total VALUES (0);" >/dev/null
        pids=()
        for ((w = 0; w < writers; w++)); do
                writer "$db" "$w" &
                pids+=($!)
        done
        # A concurrent reader must never see a part of a transaction.
        for ((k = 0; k < 20; k++)); do
                half=$(sqlite3 -cmd '.timeout 60000' "$db" \
                        "SELECT (SELECT count(*) FROM log) = (SELECT n FROM total);")
                [[ $half == 1 ]] || fail "$mode: a reader saw half of a transaction"
        done
        for pid in "${pids[@]}"; do
                wait "$pid" || fail "$mode: a writer failed"
        done
        check_db "$db"
        say "journal mode $mode: $((writers * transactions)) transactions"
done

remount_store
for mode in delete wal; do
        check_db "$MNT/$mode.db"
        sqlite3 "$MNT/$mode.db" 'DELETE FROM log WHERE n % 3 = 0; VACUUM; PRAGMA integrity_check;' |
                grep -qx ok || fail "$mode: VACUUM"
done
umount_store
check_clean
