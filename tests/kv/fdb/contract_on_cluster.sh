#!/bin/bash
# SPDX-License-Identifier: MIT
# The store contract on a real cluster: KV_CONTRACT (the program) over each SPEC.
set -uo pipefail
. "$(dirname "$0")/cluster.sh"

cluster_start 3
failed=0
for spec in "$@"; do
        echo "# $spec"
        timeout 240 "${KV_CONTRACT:?}" "$spec" || failed=1
done
exit "$failed"
