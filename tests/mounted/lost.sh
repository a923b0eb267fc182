#!/bin/bash
# SPDX-License-Identifier: MIT
# A disk that fails while the last changes are written: the mount process tries for a limited time and then reports lost
# changes to ashlar umount, and by the exit code of a mount in the foreground. If the disk recovers in time, nothing is
# lost.
. "$(dirname "$0")/lib.sh"

need_command prlimit

# The mount process, found by its command line.
server_of() {
        pgrep -f -- "^$ASHLAR mount .*$STORE $MNT" | head -n 1
}

# No write beyond the first page of a file: every commit fails.
disk_fails() {
        prlimit --fsize=4096:unlimited --pid "$1"
}

disk_works() {
        prlimit --fsize=unlimited:unlimited --pid "$1"
}

mount_store
echo kept >"$MNT/kept"
sync "$MNT/kept"
pid=$(server_of)
disk_fails "$pid"
echo lost >"$MNT/lost"
if "$ASHLAR" umount "$MNT" 2>"$WORK/said"; then
        fail "umount says that all is well when changes are lost"
fi
grep -q 'CHANGES ARE LOST' "$WORK/said" || fail "umount only said: $(<"$WORK/said")"
is_mounted && fail "still mounted"
say "said: $(<"$WORK/said")"

# Durable data is still there, and the store has no violations.
check_clean
mount_store
[[ $(<"$MNT/kept") == kept ]] || fail "what was durable is gone"
[[ ! -e $MNT/lost ]] || fail "what was lost is there"

# The disk recovers while umount waits.
pid=$(server_of)
disk_fails "$pid"
echo late >"$MNT/late"
(
        sleep 2
        disk_works "$pid"
) &
umount_store
wait
check_clean

# In the foreground.
"$ASHLAR" mount -f "$STORE" "$MNT" 2>"$WORK/said" &
pid=$!
for ((i = 0; i < 200; i++)); do
        is_mounted && break
        sleep 0.1
done
[[ $(<"$MNT/late") == late ]] || fail "what was written in the end is gone"
disk_fails "$pid"
echo lost >"$MNT/lost"
fusermount3 -u "$MNT" || umount -i "$MNT"
if wait "$pid"; then
        fail "a mount in the foreground ends well when changes are lost"
fi
grep -q 'CHANGES ARE LOST' "$WORK/said" || fail "the mount only said: $(<"$WORK/said")"
check_clean
