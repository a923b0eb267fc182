# SPDX-License-Identifier: MIT
# Shared by the tests of the command line. Sourced; bash.
# Environment: ASHLAR (the program) and KVTOOL (set by meson). $WORK is a fresh directory, removed at the end.
# shellcheck shell=bash
set -uo pipefail

ASHLAR=${ASHLAR:?the program to test}
KVTOOL=${KVTOOL:?the helper that prepares stores}
failures=0

say() {
        printf '%s: %s\n' "${0##*/}" "$*"
}

failed() {
        printf '%s: FAILED: %s\n' "${0##*/}" "$*" >&2
        failures=$((failures + 1))
}

# Prints the arguments of a failure.
shown() {
        printf '%q ' "$@"
}

# ok ARGS...: ashlar ARGS succeeds and prints nothing to stderr. Its output is in $WORK/out.
ok() {
        local status=0

        "$ASHLAR" "$@" >"$WORK/out" 2>"$WORK/err" || status=$?
        [[ $status -eq 0 ]] || failed "$(shown "$@")ended with $status: $(<"$WORK/err")"
        [[ ! -s $WORK/err ]] || failed "$(shown "$@")printed to stderr: $(<"$WORK/err")"
}

# bad STATUS PATTERN ARGS...: ashlar ARGS ends with STATUS and prints to stderr exactly one line, which begins
# with "ashlar: " and matches PATTERN (an extended regular expression). RUN_AS, if set, is a prefix command.
bad() {
        local expected=$1 pattern=$2 status=0 lines

        shift 2
        ${RUN_AS:-} timeout 60 "$ASHLAR" "$@" >"$WORK/out" 2>"$WORK/err" </dev/null || status=$?
        lines=$(wc -l <"$WORK/err")
        [[ $status -eq $expected ]] ||
                failed "$(shown "$@")ended with $status, not $expected: $(<"$WORK/err")"
        [[ $lines -eq 1 ]] || failed "$(shown "$@")printed $lines lines: $(<"$WORK/err")"
        grep -q '^ashlar: ' "$WORK/err" || failed "$(shown "$@")printed no 'ashlar: ': $(<"$WORK/err")"
        grep -qE -- "$pattern" "$WORK/err" || failed "$(shown "$@")printed no '$pattern': $(<"$WORK/err")"
        ! grep -qi 'assertion' "$WORK/err" || failed "$(shown "$@")failed an assertion"
}

# out_has PATTERN: the last output matches.
out_has() {
        grep -qE -- "$1" "$WORK/out" || failed "no '$1' in the output: $(head -c 500 "$WORK/out")"
}

finish() {
        [[ $failures -eq 0 ]] || exit 1
        exit 0
}

# bad_input.sh hides /dev, and /dev/shm with it.
[[ ${TMPDIR:-} != /dev/* ]] || TMPDIR=/tmp
WORK=$(mktemp -d "${TMPDIR:-/tmp}/ashlar-cmd.XXXXXX")
trap 'rm -rf "$WORK"' EXIT
