#!/bin/bash
# SPDX-License-Identifier: MIT
# This project, cloned into a mount, builds there and passes its unit tests there.
# Environment: SOURCE_ROOT (the tree, set by meson).
. "$(dirname "$0")/lib.sh"

SOURCE_ROOT=${SOURCE_ROOT:?the source tree}
need_command git meson ninja
need_space 1500
# As root some unit tests act as another user, which needs access.
options=()
if [[ $(id -u) -eq 0 ]]; then
        options=(-o allow_other)
        chmod 755 "$WORK"
fi
mount_store "${options[@]}"

git config --file "$WORK/gitconfig" safe.directory '*'
export GIT_CONFIG_GLOBAL=$WORK/gitconfig
if git -C "$SOURCE_ROOT" rev-parse -q --verify HEAD >/dev/null 2>&1; then
        git clone -q --no-hardlinks "$SOURCE_ROOT" "$MNT/ashlar"
else
        mkdir "$MNT/ashlar"
        tar -C "$SOURCE_ROOT" --exclude='./build*' --exclude=./.git -cf - . | tar -C "$MNT/ashlar" -xf -
fi
cd "$MNT/ashlar"
if [[ -d .git ]]; then
        git fsck --full --no-progress 2>&1 || fail "git fsck"
        [[ -z $(git status --porcelain) ]] || fail "a fresh clone is not clean"
fi
meson setup build --buildtype=debug >"$WORK/log" 2>&1 || { cat "$WORK/log"; fail "meson setup"; }
ninja -C build >"$WORK/log" 2>&1 || { tail -n 50 "$WORK/log"; fail "build"; }
say "built in $SECONDS s"
ninja -C build | grep -q 'no work to do' || fail "a second build finds work to do"
# Files of the tests, LMDB's memory maps among them, are on the mount, too. Left out unless ASHLAR_BIG=1 are tests
# that sync the disk some thousand times, and tests whose stores are in memory, which do not use the mount.
slow='kv_contract lmdb|lmdb space|fs model lmdb$| (mem|fdb)([+-][^ ]*)?$'
[[ $BIG != 1 ]] || slow='^$'
mapfile -t tests < <(meson test -C build --list --suite unit 2>/dev/null | sed -n 's|^.* / ||p' |
        grep -vE "$slow")
[[ ${#tests[@]} -gt 20 ]] || fail "only ${#tests[@]} unit tests found"
mkdir "$MNT/tmp"
TMPDIR=$MNT/tmp meson test -C build --no-rebuild --print-errorlogs --suite unit -t 2 "${tests[@]}" \
        >"$WORK/log" 2>&1 || { grep -vE ' OK +[0-9.]+s$' "$WORK/log" | tail -n 80; fail "unit tests on the mount"; }
grep -E '^(Ok|Fail|Skipped):' "$WORK/log"
sums_of "$MNT/ashlar" >"$WORK/sums"

cd /
remount_store
same_tree "$MNT/ashlar" "$WORK/sums"
cd "$MNT/ashlar"
build/ashlar --version || fail "the program built on the mount does not run"
if [[ -d .git ]]; then
        [[ -z $(git status --porcelain) ]] || fail "the clone is not clean after a new mount"
fi
cd /
umount_store
check_clean
