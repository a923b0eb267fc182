/* SPDX-License-Identifier: MIT */
/* The mounts that are registered in a store, with the state of their processes. */
#ifndef CMD_MOUNT_TABLE_H
#define CMD_MOUNT_TABLE_H

#include "record/session_table.h"

#include <stdbool.h>

#define MOUNT_ID_SIZE (2 * FMT_PID_SIZE + 1) /* in hexadecimal, with the final zero */

enum mount_state {
        MOUNT_UNKNOWN, /* its process is on another machine, or in another namespace of processes */
        MOUNT_RUNS,    /* its process runs, on this machine */
        MOUNT_GONE,    /* its process is gone */
};

struct mount_row {
        uint8_t pid[FMT_PID_SIZE];
        char id[MOUNT_ID_SIZE];
        enum mount_state state;
        bool damaged, exclusive;
        char host[256], boot_id[65], mountpoint[1001], version[65]; /* as stored, cut at a zero byte */
        uint64_t unix_pid, start_time, pid_namespace, heartbeat;
        struct timespec since;
};

struct mount_table {
        struct mount_row *rows;
        size_t n;
};

/* Reads the table. Free it with mount_table_clear, also after an error. */
int mount_table_read(struct kv_store *store, struct mount_table *ret);
void mount_table_clear(struct mount_table *t);
const struct mount_row *mount_table_find(const struct mount_table *t, const char *id);

#endif
