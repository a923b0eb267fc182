/* SPDX-License-Identifier: MIT */
/* The parts of a mount below the front end: the store, the mount's session in it, the layers over it and the
 * file system. */
#ifndef MOUNT_STACK_H
#define MOUNT_STACK_H

#include "base/deadline.h"
#include "base/err.h"

#include <stdbool.h>

struct mount_job;

struct mount_stack {
        const struct mount_job *job;
        bool shared;
        bool writable;           /* the store is */
        struct kv_store *bottom; /* the store */
        struct kv_store *store;  /* the store that the file system uses: BOTTOM, or the top layer over it */
        struct fs_session *session; /* NULL: the store is locked instead */
        struct fs *fs;
};

/* Opens everything that JOB, which is borrowed, asks for; waits for a mount of the same store that is ending.
 * Errors with TEXT, also by the thread's deadline. In either case mount_stack_commit and mount_stack_close
 * are to be called. */
int mount_stack_open(const struct mount_job *job, struct mount_stack *ret, struct err_text *text);

/* Changes the file system to what the flags FLAGS (MS_*) say; see fs_remount. Errors with TEXT. */
int mount_stack_remount(struct mount_stack *s, unsigned long flags, struct err_text *text);

/* Closes the file system, commits what it acknowledged and removes the registration. Negative: not everything
 * could be committed. Then the registration stays; mount_stack_close tries to commit once more. */
int mount_stack_commit(struct mount_stack *s);

/* Closes the store. Negative: not everything could be committed. */
int mount_stack_close(struct mount_stack *s);

/* How long to wait for a store that is away when mounting, and when closing it. */
unsigned mount_timeout_ms(const struct mount_job *job);

/* Puts a deadline of that time in force for this thread, until mount_deadline_end. No deadline for a store on
 * this machine, which is never away. */
void mount_deadline_begin(const struct mount_job *job, struct deadline *d);
void mount_deadline_end(const struct mount_job *job, struct deadline *d);

#endif
