#!/bin/bash
# SPDX-License-Identifier: MIT
# One large file: written, read back by checksum, overwritten in the middle, truncated and extended; and a
# sparse one whose holes stay holes. All is checked again after a new mount. 512 MiB; 4 GiB with ASHLAR_BIG=1.
. "$(dirname "$0")/lib.sh"

mib=$((BIG == 1 ? 4096 : 512))
need_space $((mib * 2 + 500))
need_command openssl
mount_store

# Prints the first BYTES of data that is derived from KEY and does not repeat.
pattern() { # KEY BYTES
        local key zero

        printf -v key '%032x' "$1"
        printf -v zero '%032x' 0
        { openssl enc -aes-128-ctr -K "$key" -iv "$zero" </dev/zero 2>/dev/null || true; } | head -c "$2"
}

# Prints COUNT bytes of the big file from FROM on.
slice() { # FROM COUNT
        dd if="$MNT/big" bs=1M iflag=skip_bytes,count_bytes skip="$1" count="$2" status=none
}

sum() {
        sha256sum | cut -d ' ' -f 1
}

expect() { # WHAT GOT EXPECTED
        [[ $2 == "$3" ]] || fail "$1: $2, not $3"
}

size=$((mib << 20))
pattern 1 "$size" | tee "$MNT/big" | sum >"$WORK/sum"
expect "size" "$(stat -c %s "$MNT/big")" "$size"
expect "read back" "$(sum <"$MNT/big")" "$(<"$WORK/sum")"
say "$mib MiB written and read back"
remount_store
expect "read after a new mount" "$(sum <"$MNT/big")" "$(<"$WORK/sum")"

# Overwrite 5 MiB at an odd offset.
at=100000001
len=$((5 << 20))
pattern 2 "$len" >"$WORK/patch"
dd if="$WORK/patch" of="$MNT/big" bs=1M seek=$at oflag=seek_bytes conv=notrunc status=none
expect "before the patch" "$(slice 0 $at | sum)" "$(pattern 1 $at | sum)"
expect "the patch" "$(slice $at $len | sum)" "$(sum <"$WORK/patch")"
expect "behind the patch" "$(slice $((at + len)) "$size" | sum)" \
        "$(pattern 1 "$size" | tail -c +$((at + len + 1)) | sum)"

# After it is truncated inside a block and extended again, the bytes cut off are zeros.
truncate -s 50000001 "$MNT/big"
truncate -s 60000000 "$MNT/big"
zeros_after_truncation() {
        expect "zeros behind a truncation" "$(slice 50000001 60000000 | tr -d '\0' | wc -c)" 0
        expect "kept by truncation" "$(slice 0 50000001 | sum)" "$(pattern 1 50000001 | sum)"
}
zeros_after_truncation
used=$(du -k "$MNT/big" | cut -f 1)
[[ $used -le 49500 ]] || fail "a truncated file still uses $used KiB"

# 1 MiB of data in each 64 MiB of a sparse file.
for ((i = 0; i < mib / 64; i++)); do
        pattern $((i + 10)) 1048576 |
                dd of="$MNT/sparse" bs=1M iflag=fullblock seek=$((i * 64 + 7)) conv=notrunc status=none
done
truncate -s "${mib}M" "$MNT/sparse"
# uses_mib N: the sparse file takes space for its data, N MiB, and for up to one more block at either end of each
# MiB.
uses_mib() {
        local used

        used=$(du -k "$MNT/sparse" | cut -f 1)
        [[ $used -ge $(($1 * 1024)) && $used -le $(($1 * (1024 + 128))) ]] ||
                fail "a sparse file with $1 MiB of data uses $used KiB"
}
uses_mib $((mib / 64))
sparse_sum=$(sum <"$MNT/sparse")
fallocate --punch-hole --offset $((7 << 20)) --length $((1 << 20)) "$MNT/sparse"
uses_mib $((mib / 64 - 1))
pattern 10 1048576 | dd of="$MNT/sparse" bs=1M iflag=fullblock seek=7 conv=notrunc status=none

remount_store
expect "sparse file after a new mount" "$(sum <"$MNT/sparse")" "$sparse_sum"
uses_mib $((mib / 64))
zeros_after_truncation
cp --sparse=always "$MNT/sparse" "$MNT/copy"
expect "copy" "$(sum <"$MNT/copy")" "$sparse_sum"
umount_store
check_clean
