/* SPDX-License-Identifier: MIT */
/* How a mount process comes to its end: signals, and a store that is away just then.
 *
 * SIGTERM, SIGINT and SIGHUP unmount. If the directory is in use, it is detached, so that nobody new
 * comes in, and those who have files open get a few seconds to end; a second signal cuts them off at once.
 * Either way the store is committed before the process ends.
 *
 * A store that does not answer is not waited for without end then: after a while, which the log tells, or
 * at one more signal it is given up (kv_give_up), and what is not written is lost. A store that answers is
 * waited for as long as it takes, whatever signals come.
 */
#ifndef MOUNT_SIGNALS_H
#define MOUNT_SIGNALS_H

#include "fuse/fuse.h"
#include "kv/kv.h"

struct mount_signals;

/* For the whole process: before it has threads, which inherit the mask. */
void mount_signals_block(void);

/* What it watches; all borrowed until mount_signals_stop. */
struct mount_signals_opts {
        const char *url, *dir;
        struct fuse_server *server; /* NULL: there is none, as serving never began */
        struct kv_store *store;
        unsigned timeout_ms; /* how long the store may be silent once the end has begun */
};

/* Starts the thread that waits for them. Negative errno. */
int mount_signals_start(const struct mount_signals_opts *opts, struct mount_signals **ret);

/* Serving is over, while requests may still be under way. May be called again. Takes NULL. */
void mount_signals_ending(struct mount_signals *x);

/* Returns when nothing of what a signal began is left in the directory. The server must have been freed,
 * because the kernel may wait for it. Takes NULL. */
void mount_signals_leave(struct mount_signals *x);

/* The end. Before the store is closed. Takes NULL. */
void mount_signals_stop(struct mount_signals *x);

#endif
