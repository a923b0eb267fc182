/* SPDX-License-Identifier: MIT */
/* The life of the process that serves one mount: opens the store, mounts, answers requests, commits and
 * ends. */
#ifndef MOUNT_SERVE_H
#define MOUNT_SERVE_H

#include "mount/options.h"

struct mount_job {
        const char *url; /* absolute (store_url.h) */
        const char *dir; /* absolute, without symlinks */
        struct mount_options options;
        /* Called once, from another thread, when requests are served, with the transport in use
         * (fuse_server_transport). A result other than 0 unmounts again. May be NULL. */
        int (*ready)(const char *transport, void *arg);
        void *arg;
};

/* Serves until it is unmounted, or until SIGTERM, SIGINT or SIGHUP. Returns 0 when everything is committed.
 * Errors with TEXT: it could not be mounted, or the last changes could not be committed. To be called once,
 * before other threads exist; changes the process's signal mask and handlers. */
int mount_serve(const struct mount_job *job, struct err_text *text);

#endif
