/* SPDX-License-Identifier: MIT */
/* Identity of a process, by which another one finds out later whether it still runs. */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

struct process_id {
        char host[256];
        char boot_id[65];       /* of the running kernel; no process survives a reboot */
        uint64_t pid_namespace; /* inode number of the PID namespace; PID is valid in it only */
        uint64_t pid;
        uint64_t start_time; /* ticks since boot; distinguishes processes with the same PID */
};

/* Describes the calling process. Fields that cannot be determined are empty or 0. */
void process_self(struct process_id *ret);

/* Whether the process PID of this boot and namespace, started at START_TIME, has certainly ended with all its
 * threads. False if in doubt. */
bool process_is_gone(uint64_t pid, uint64_t start_time);

#endif
