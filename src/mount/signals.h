/* SPDX-License-Identifier: MIT */
/* The end of a mount process: by signals, and with a store that does not answer.
 *
 * SIGTERM, SIGINT and SIGHUP unmount. If the directory is in use, it is detached, so that it is not entered
 * any more, and programs with open files get a few seconds to end; a second signal ends serving at once. In
 * either case the store is committed before the process ends.
 *
 * The wait for a store that does not answer is bounded then: after the timeout, which is logged when the wait
 * begins, or at one more signal it is given up (kv_give_up), and what is not committed is lost. While a store
 * answers, the wait is not bounded, also after further signals.
 */
#ifndef MOUNT_SIGNALS_H
#define MOUNT_SIGNALS_H

#include "fuse/fuse.h"
#include "kv/kv.h"

struct mount_signals;

/* Blocks the signals for the whole process, before it has threads, which inherit the mask. */
void mount_signals_block(void);

/* All borrowed until mount_signals_stop. */
struct mount_signals_opts {
        const char *url, *dir;
        struct fuse_server *server; /* NULL: serving never began */
        struct kv_store *store;
        unsigned timeout_ms; /* how long the store may not answer once the end has begun */
};

/* Starts the thread that waits for signals. Negative errno. */
int mount_signals_start(const struct mount_signals_opts *opts, struct mount_signals **ret);

/* Reports to the thread that serving has ended, while requests may still be in progress. May be called again.
 * Takes NULL. */
void mount_signals_ending(struct mount_signals *x);

/* Returns when the unmounting that a signal began has ended. The server must have been freed, because the
 * kernel may wait for its answers. Takes NULL. */
void mount_signals_leave(struct mount_signals *x);

/* Ends the thread, before the store is closed. Takes NULL. */
void mount_signals_stop(struct mount_signals *x);

#endif
