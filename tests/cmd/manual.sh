#!/bin/bash
# SPDX-License-Identifier: MIT
# The manual page of each subcommand names every option that --help names, mount options included.
# Environment: also MAN (the folder of the manual pages).
. "$(dirname "$0")/lib.sh"

MAN=${MAN:?the manual pages}

# has_option PAGE OPTION: PAGE has an entry for the option "-x" or "--name".
has_option() {
        grep -qE -- "^\.It .*Fl ${2#-}( |\$)" "$1" || failed "${1##*/} has no entry for $2"
}

# has_word PAGE WORD: PAGE marks the mount option WORD as a literal.
has_word() {
        grep -qE -- "^\.(It )?Cm (.* )?$2( |\$)" "$1" || failed "${1##*/} does not name the mount option $2"
}

for c in mkfs mount umount mounts evict fsck keys; do
        page=$(echo "$MAN/ashlar-$c".[1-8])
        ok "$c" --help
        options=$(sed -nE 's/^  (-[a-zA-Z])?,? *(--[a-z-]+)?( .*)?$/\1 \2/p' "$WORK/out")
        [[ $options == *--help* ]] || failed "$c --help names no --help"
        for o in $options; do
                has_option "$page" "$o"
        done
done

words=$("$ASHLAR" mount --help | sed -nE 's/^ {6}([a-zA-Z_].*)/\1/p' | sed -E 's/  .*//; s/=[^,]*//g; s/[*,]/ /g')
[[ $words == *relatime*remount* ]] || failed "mount --help names no mount options"
for w in $words; do
        has_word "$MAN/ashlar-mount.8" "$w"
done
finish
