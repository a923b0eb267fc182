/* SPDX-License-Identifier: MIT */
/* A file system (fs.h) served to the kernel through FUSE.
 *
 * In the exclusive mode nothing but this mount changes the file system, so the kernel may cache names,
 * attributes, directories and pages without end, and is told to stop sending OPEN, RELEASE and what else only
 * costs. In the shared mode others change it too: the kernel asks each time, and what an open finds is as
 * fresh as the open.
 */
#ifndef FUSE_FUSE_H
#define FUSE_FUSE_H

#include "base/err.h"
#include "fs/fs.h"

#include <stdbool.h>
#include <stdint.h>

struct fuse_server;

enum fuse_transport_kind {
        FUSE_TRANSPORT_AUTO,    /* rings where they can be had, else classic */
        FUSE_TRANSPORT_URING,   /* rings, or nothing */
        FUSE_TRANSPORT_CLASSIC, /* reads and writes of /dev/fuse */
};

struct fuse_opts {
        enum fuse_transport_kind transport;
        bool shared;          /* other mounts change the file system too */
        bool writeback_cache; /* the kernel buffers writes, and owns size and times of files meanwhile; not if
                               * shared (asserted) */
        bool waits;           /* the store may be away, and requests wait for it: until they are interrupted,
                               * and TIMEOUT_MS at most (0: without end) */
        unsigned timeout_ms;
        bool noxattr;    /* no extended attributes at all: spares the kernel's questions about them */
        bool allow_root; /* only root and the user who mounts are let in (with FUSE_MOUNT_ALLOW_OTHER) */
        bool debug;      /* log each request and reply at LOG_LEVEL_DEBUG */
        bool force_uid, force_gid; /* show every file as UID's or GID's, whatever the store says */
        uint32_t uid, gid;
        /* Called for each request that the kernel sends, with its opcode (linux/fuse.h), from any thread,
         * before it is served. May be NULL. */
        void (*on_request)(uint32_t opcode, void *arg);
        void *on_request_arg;
        /* Called once by fuse_serve when requests are being served. Other than 0: fuse_serve ends, and
         * returns that. May be NULL. */
        int (*on_started)(void *arg);
        void *on_started_arg;
        /* Called once by fuse_serve when serving is over, before the requests under way are waited for. May
         * be NULL. */
        void (*on_ending)(void *arg);
        void *on_ending_arg;
};

/* Serves FS, which stays the caller's, on FUSE_FD, the open and mounted /dev/fuse that fuse_mount gave;
 * takes that over on success. Errors with TEXT: EOPNOTSUPP (rings are wanted and cannot be had), EPROTO (the
 * kernel is too old), ENODEV (unmounted again), ... */
int fuse_server_new(struct fs *fs, const struct fuse_opts *opts, int fuse_fd, struct fuse_server **ret,
                    struct err_text *text);

/* Answers requests with threads of its own until the file system is unmounted (0), fuse_stop was called (0),
 * or the connection fails. Once per server. */
int fuse_serve(struct fuse_server *s);

/* The transport in use, for people: "rings" or "classic", with a reason where that is not what one would
 * want. Lives as long as the server. */
const char *fuse_server_transport(const struct fuse_server *s);

/* Makes fuse_serve return although the file system is mounted; whoever still uses it gets errors once the
 * server is freed. Any thread, also in a signal handler. */
void fuse_stop(struct fuse_server *s);

/* Ends the connection to the kernel. fuse_serve must have returned. Takes NULL. */
void fuse_server_free(struct fuse_server *s);

#endif
