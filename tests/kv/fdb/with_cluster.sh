#!/bin/bash
# SPDX-License-Identifier: MIT
# with_cluster.sh N COMMAND...: starts a temporary cluster of N processes and runs COMMAND, with the cluster in its
# environment (cluster.sh).
set -uo pipefail
. "$(dirname "$0")/cluster.sh"

cluster_start "$1"
"${@:2}"
