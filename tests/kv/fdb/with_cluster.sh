#!/bin/bash
# SPDX-License-Identifier: MIT
# with_cluster.sh N COMMAND...: runs COMMAND beside a cluster of N processes of its own, which its environment
# names (cluster.sh).
set -uo pipefail
. "$(dirname "$0")/cluster.sh"

cluster_start "$1"
"${@:2}"
