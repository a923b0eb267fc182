/* SPDX-License-Identifier: MIT */
#include "bench.h"

const struct row bench_rows[ROW_COUNT] = {
        [ROW_CREATE] = { "create", ROW_SMALL, UNIT_KOPS },
        [ROW_CREATE_4K] = { "create-4k", ROW_SMALL, UNIT_KOPS },
        [ROW_STAT_COLD] = { "stat-cold", ROW_SMALL, UNIT_KOPS },
        [ROW_STAT_WARM] = { "stat-warm", ROW_WARM, UNIT_KOPS },
        [ROW_READ_4K_COLD] = { "read-4k-cold", ROW_SMALL, UNIT_KOPS },
        [ROW_READ_4K_WARM] = { "read-4k-warm", ROW_WARM, UNIT_KOPS },
        [ROW_RENAME] = { "rename", ROW_SMALL, UNIT_KOPS },
        [ROW_READDIR_COLD] = { "readdir-cold", ROW_SMALL, UNIT_KOPS },
        [ROW_READDIR_WARM] = { "readdir-warm", ROW_WARM, UNIT_KOPS },
        [ROW_LS_COLD] = { "ls-l-cold", ROW_SMALL, UNIT_KOPS },
        [ROW_LS_WARM] = { "ls-l-warm", ROW_WARM, UNIT_KOPS },
        [ROW_UNLINK] = { "unlink", ROW_SMALL, UNIT_KOPS },
        [ROW_MKDIR] = { "mkdir", ROW_SMALL, UNIT_KOPS },
        [ROW_RMDIR] = { "rmdir", ROW_SMALL, UNIT_KOPS },
        [ROW_SEQ_WRITE] = { "seq-write", ROW_BULK, UNIT_MIBS },
        [ROW_SEQ_READ_COLD] = { "seq-read-cold", ROW_BULK, UNIT_MIBS },
        [ROW_SEQ_READ_WARM] = { "seq-read-warm", ROW_WARM, UNIT_MIBS },
        [ROW_RANDOM_WRITE] = { "random-write-4k", ROW_BULK, UNIT_KOPS },
        [ROW_RANDOM_READ_COLD] = { "random-read-4k-cold", ROW_BULK, UNIT_KOPS },
        [ROW_RANDOM_READ_WARM] = { "random-read-4k-warm", ROW_WARM, UNIT_KOPS },
        [ROW_APPEND] = { "append-100b", ROW_BULK, UNIT_KOPS },
        [ROW_FSYNC] = { "write-4k-fsync", ROW_BULK, UNIT_US },
        [ROW_UNTAR] = { "untar", ROW_SMALL, UNIT_KOPS },
        [ROW_RM] = { "rm-r", ROW_SMALL, UNIT_KOPS },
        [ROW_GIT_STATUS_COLD] = { "git-status-cold", ROW_SMALL, UNIT_MS },
        [ROW_GIT_STATUS_WARM] = { "git-status-warm", ROW_BULK, UNIT_MS },
};

const struct group bench_groups[] = {
        { "files", ROW_CREATE, ROW_UNLINK, BENCH_THREADS_MAX, group_files },
        { "directories", ROW_MKDIR, ROW_RMDIR, BENCH_THREADS_MAX, group_dirs },
        { "stream", ROW_SEQ_WRITE, ROW_SEQ_READ_WARM, BENCH_THREADS_MAX, group_stream },
        { "random", ROW_RANDOM_WRITE, ROW_RANDOM_READ_WARM, BENCH_THREADS_MAX, group_random },
        { "append", ROW_APPEND, ROW_APPEND, BENCH_THREADS_MAX, group_append },
        { "fsync", ROW_FSYNC, ROW_FSYNC, BENCH_THREADS_MAX, group_fsync },
        { "tree", ROW_UNTAR, ROW_RM, 1, group_tree },
        { "git", ROW_GIT_STATUS_COLD, ROW_GIT_STATUS_WARM, 1, group_git },
};

const unsigned bench_n_groups = sizeof(bench_groups) / sizeof(bench_groups[0]);
