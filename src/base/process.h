/* SPDX-License-Identifier: MIT */
/* Which process on which machine: so that it can be told later whether it still runs. */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

struct process_id {
        char host[256];
        char boot_id[65];       /* of the kernel's start: what ran before it does not run any more */
        uint64_t pid_namespace; /* in which PID means anything */
        uint64_t pid;
        uint64_t start_time; /* since the boot, in ticks: PIDs are used again */
};

/* The calling process. What cannot be found out is empty or 0. */
void process_self(struct process_id *ret);

/* Whether the process PID of this boot and namespace that started at START_TIME certainly does not run any
 * more, nor any of its threads. False if in doubt. */
bool process_is_gone(uint64_t pid, uint64_t start_time);

#endif
