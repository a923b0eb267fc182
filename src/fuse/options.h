/* SPDX-License-Identifier: MIT */
/* Options of a FUSE server. */
#ifndef FUSE_OPTIONS_H
#define FUSE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum fuse_transport_kind {
        FUSE_TRANSPORT_AUTO,    /* io_uring if it is available, else classic */
        FUSE_TRANSPORT_URING,   /* io_uring; fail if it is not available */
        FUSE_TRANSPORT_CLASSIC, /* read(2) and write(2) on /dev/fuse */
};

/* All zero is a valid set of options: an exclusive mount of a local store. */
struct fuse_opts {
        enum fuse_transport_kind transport;

        /* Other mounts change the file system too: the kernel caches as little as that requires. Default: it
         * caches names, attributes and data without limit. */
        bool shared;
        /* The kernel buffers writes, and owns the size and times of a file until it has written them back.
         * Not with SHARED (asserted). */
        bool writeback_cache;
        /* The store is on a network and may be unavailable. A request then waits for it until it is
         * interrupted, and TIMEOUT_MS at most (0: no limit). */
        bool remote_store;
        unsigned timeout_ms;

        bool noxattr;              /* no extended attributes; the kernel stops asking for them */
        bool allow_root;           /* admit only root and the mounting user; needs allow_other in the mount */
        bool debug;                /* log each request and reply at LOG_LEVEL_DEBUG */
        bool force_uid, force_gid; /* report UID or GID as the owner of every file */
        uint32_t uid, gid;

        /* Called before each request is served, with its opcode (linux/fuse.h). Any thread. May be NULL. */
        void (*on_request)(uint32_t opcode, void *arg);
        void *on_request_arg;
        /* Called once by fuse_serve when requests are being served. A result other than 0 ends fuse_serve,
         * which returns it. May be NULL. */
        int (*on_started)(void *arg);
        void *on_started_arg;
        /* Called once by fuse_serve when serving ends, before it waits for the requests in progress. May be
         * NULL. */
        void (*on_ending)(void *arg);
        void *on_ending_arg;
};

#endif
