/* SPDX-License-Identifier: MIT */
/* The process that serves one mount: opens the store, mounts, answers requests, commits and leaves. */
#ifndef MOUNT_SERVE_H
#define MOUNT_SERVE_H

#include "mount/options.h"

struct mount_job {
        const char *url; /* absolute (store_url.h) */
        const char *dir; /* absolute, without symlinks */
        struct mount_options options;
        /* Called once, when the directory answers, with the transport in use (fuse_server_transport); from
         * another thread. Other than 0: nobody waits for it any more, unmount again. May be NULL. */
        int (*ready)(const char *transport, void *arg);
        void *arg;
};

/* Serves until unmounted, or told to by SIGTERM, SIGINT or SIGHUP. 0 when everything is committed. A
 * negative error with TEXT: it could not be mounted, or what was changed last could not be committed.
 * Call once, before other threads exist; changes the process's signal mask and handlers. */
int mount_serve(const struct mount_job *job, struct err_text *text);

#endif
