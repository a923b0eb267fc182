#!/bin/bash
# SPDX-License-Identifier: MIT
# Bad input gets one clear line and the right exit code: 2 for wrong arguments, 1 for operations that fail.
. "$(dirname "$0")/lib.sh"

# ---- arguments
bad 2 'no command' </dev/null
bad 2 "unknown command 'frobnicate'" frobnicate
bad 2 "unknown option '--frobnicate'" --frobnicate
bad 2 "unknown command 'frobnicate'" help frobnicate
bad 2 'one command' help mkfs fsck
for c in mkfs mounts evict fsck keys; do
        bad 2 "$c: no STORE.*--help" "$c"
        bad 2 "$c: unknown option '--frobnicate'.*--help" "$c" --frobnicate "$WORK/x"
        bad 2 "$c: unknown option '-Z'" "$c" -Z "$WORK/x"
done
bad 2 'mkfs: more than one STORE' mkfs "$WORK/x" "$WORK/y"
bad 2 'fsck: more than one STORE' fsck "$WORK/x" "$WORK/y"
bad 2 'keys: more than one PREFIX' keys "$WORK/x" i d
bad 2 'mounts: more than one STORE' mounts "$WORK/x" "$WORK/y"
bad 2 'evict: give the ID' evict "$WORK/x"
bad 2 "evict: 'abc' is no ID" evict "$WORK/x" abc
bad 2 'evict: too many' evict --all-stale "$WORK/x" "$WORK/y"
bad 2 "evict: 'x' is no number" evict --all-stale --wait x "$WORK/x"
bad 2 "keys: .*PREFIX" keys "$WORK/x" 'i\xg0'
bad 2 "keys: .*PREFIX" keys "$WORK/x" 'i\'
bad 2 "option '--label' needs an argument" mkfs --label
for n in 0 3 4079 4095 5001 128k 65537 -4096 4k4 99999999999999999999 ''; do
        bad 2 "block size '$n'" mkfs --block-size "$n" "$WORK/x"
done
bad 2 'label is longer' mkfs --label "$(printf '%300s' x)" "$WORK/x"
bad 2 'mount: ' mount
bad 2 'umount: ' umount
[[ ! -e $WORK/x && ! -e $WORK/y ]] || failed "wrong arguments left something behind"

# ---- stores that are none
mkdir "$WORK/mnt"

# Without FUSE, mount may report that first.
bad_mount() { # STATUS PATTERN ARGS...
        [[ -r /dev/fuse && -w /dev/fuse ]] || return 0
        bad "$1" "$2" mount "${@:3}"
}

# All commands that take an existing store.
every() { # PATTERN STORE
        bad 1 "$1" fsck "$2"
        bad 1 "$1" keys "$2"
        bad 1 "$1" mounts "$2"
        bad 1 "$1" evict --all-stale "$2"
        bad_mount 1 "$1" "$2" "$WORK/mnt"
}

every "unknown kind of store 'foo'" foo:bar
bad 1 "unknown kind of store 'foo'" mkfs foo:bar
every 'empty' ''
bad 1 'empty' mkfs ''
every "$WORK/none" "$WORK/none"
every "$WORK/none/deeper" "lmdb:$WORK/none/deeper"
bad 1 "$WORK/none/deeper" mkfs "$WORK/none/deeper"
echo text >"$WORK/file"
every "$WORK/file" "$WORK/file"
bad 1 "$WORK/file" mkfs "$WORK/file"
[[ $(<"$WORK/file") == text ]] || failed "a plain file was changed"

# ---- clusters that are none
echo 'test:test@127.0.0.1:1' >"$WORK/cluster"
export ASHLAR_FDB_LIB=$WORK/none.so FDB_CLUSTER_FILE=$WORK/nowhere
every "no cluster file $WORK/nowhere" fdb:
bad 1 "no cluster file $WORK/nowhere" mkfs 'fdb:?prefix=x'
every "no cluster file $WORK/none" "fdb:$WORK/none?prefix=x"
every 'client library.*foundationdb-clients' "fdb:$WORK/cluster"
every 'a prefix has' "fdb:$WORK/cluster?prefix=ä"
every 'prefix=NAME' "fdb:$WORK/cluster?name=x"
unset ASHLAR_FDB_LIB FDB_CLUSTER_FILE

mkdir "$WORK/empty"
every "$WORK/empty" "$WORK/empty"
[[ -z $(ls -A "$WORK/empty") ]] || failed "looking for a store left something behind"

mkdir "$WORK/photos"
echo picture >"$WORK/photos/a.jpg"
every "$WORK/photos" "$WORK/photos"
bad 1 "$WORK/photos" mkfs "$WORK/photos"
bad 1 "$WORK/photos" mkfs --force "$WORK/photos"
[[ $(ls -A "$WORK/photos") == a.jpg ]] || failed "a directory with other files was changed"

mkdir "$WORK/foreign"
"$KVTOOL" foreign "$WORK/foreign" || failed kvtool
sum=$(sha256sum "$WORK/foreign/data.mdb")
every "$WORK/foreign" "$WORK/foreign"
bad 1 "$WORK/foreign" mkfs "$WORK/foreign"
bad 1 "$WORK/foreign" mkfs --force "$WORK/foreign"
[[ $(sha256sum "$WORK/foreign/data.mdb") == "$sum" ]] || failed "a foreign database was changed"

mkdir "$WORK/random"
head -c 100000 /dev/urandom >"$WORK/random/data.mdb"
every "$WORK/random" "$WORK/random"
bad 1 "$WORK/random" mkfs "$WORK/random"
bad 1 "$WORK/random" mkfs --force "$WORK/random"

mkdir "$WORK/text"
yes 'not a database' | head -c 8192 >"$WORK/text/data.mdb"
every "$WORK/text" "$WORK/text"

# ---- stores that must not be changed
ok mkfs -q "$WORK/store"
bad 1 "$WORK/store.*--force" mkfs "$WORK/store"

cp -r "$WORK/store" "$WORK/newer"
"$KVTOOL" newer "$WORK/newer" || failed kvtool
every "$WORK/newer.*newer" "$WORK/newer"
ok keys --hex "$WORK/newer"

cp -r "$WORK/store" "$WORK/damaged"
"$KVTOOL" damage "$WORK/damaged" || failed kvtool
"$ASHLAR" fsck "$WORK/damaged" >"$WORK/out"
[[ $? -eq 1 ]] || failed "fsck of a damaged store did not end with 1"
out_has 'metadata block is damaged'
bad_mount 1 "$WORK/damaged.*damaged" "$WORK/damaged" "$WORK/mnt"
ok keys "$WORK/damaged"

# Cut off in the middle, as by a failed copy.
cp -r "$WORK/store" "$WORK/short"
truncate -s 5000 "$WORK/short/data.mdb"
every "$WORK/short" "$WORK/short"

# ---- in use
coproc HOLD { "$KVTOOL" hold "$WORK/store" "the test, process $$ on this host"; }
hold_in=${HOLD[1]} hold_pid=$HOLD_PID
read -r _ <&"${HOLD[0]}"
bad 1 "$WORK/store.*process $$" mkfs --force "$WORK/store"
bad_mount 1 "$WORK/store.*process $$" "$WORK/store" "$WORK/mnt"
exec {hold_in}>&-
wait "$hold_pid"

# ---- mounts
bad 1 "$WORK/store.*no mount 0123456789abcdef0123456789abcdef" evict "$WORK/store" 0123456789abcdef0123456789abcdef
"$KVTOOL" mount "$WORK/store" || failed kvtool
bad_mount 1 "$WORK/store.*damaged entry.*ashlar evict .*ff0203" -o shared "$WORK/store" "$WORK/mnt"
ok evict "$WORK/store" ff02030405060708090a0b0c0d0e0f10

# ---- mount points
bad_mount 1 "$WORK/nowhere" "$WORK/store" "$WORK/nowhere"
bad_mount 1 "$WORK/file" "$WORK/store" "$WORK/file"
bad 2 'frobnicate' mount -o frobnicate "$WORK/store" "$WORK/mnt"
bad 1 "$WORK/mnt" umount "$WORK/mnt"
bad 1 "$WORK/nowhere" umount "$WORK/nowhere"

# ---- cases that only root can set up
if [[ $(id -u) -eq 0 ]] && id nobody >/dev/null 2>&1; then
        chmod 755 "$WORK"
        chmod 700 "$WORK/store"
        # The program may be in a directory that other users cannot enter.
        cp "$ASHLAR" "$WORK/ashlar"
        ASHLAR=$WORK/ashlar
        RUN_AS='setpriv --reuid=nobody --regid=nogroup --clear-groups'
        bad 1 "$WORK/store.*[Pp]ermission" fsck "$WORK/store"
        bad 1 "$WORK/store.*[Pp]ermission" keys "$WORK/store"
        bad 1 "$WORK/store.*[Pp]ermission" mkfs "$WORK/store"
        bad 1 "$WORK/new.*[Pp]ermission" mkfs "$WORK/new"
        bad_mount 1 "$WORK/store.*[Pp]ermission" "$WORK/store" "$WORK/mnt"

        # A namespace without /dev/fuse, as many containers are.
        printf '#!/bin/sh\nmount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && exec "$@"\n' >"$WORK/without_fuse"
        chmod +x "$WORK/without_fuse"
        RUN_AS="unshare -m $WORK/without_fuse"
        bad_mount 1 '/dev/fuse' "$WORK/store" "$WORK/mnt"
        RUN_AS=

        mkdir "$WORK/full"
        if mount -t tmpfs -o size=64k tmpfs "$WORK/full" 2>/dev/null; then
                head -c 60000 /dev/zero >"$WORK/full/ballast"
                bad 1 "$WORK/full/store.*[Ss]pace" mkfs "$WORK/full/store"
                rm "$WORK/full/ballast"
                umount "$WORK/full"
        fi
else
        say "not root: permission and full-disk cases left out"
fi

# ---- output that cannot be written
if [[ -w /dev/full ]]; then
        "$ASHLAR" keys "$WORK/store" >/dev/full 2>"$WORK/err"
        [[ $? -eq 1 ]] || failed "keys to a full disk did not end with 1"
        [[ $(wc -l <"$WORK/err") -eq 1 ]] || failed "keys to a full disk: $(<"$WORK/err")"
fi

finish
