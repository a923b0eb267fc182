/* SPDX-License-Identifier: MIT */
/* Requests that may wait for a store which is away: a signal to whoever waits for the answer ends the
 * waiting, and so does time. All functions: any thread. */
#ifndef FUSE_PROTO_WAITS_H
#define FUSE_PROTO_WAITS_H

#include "kv/kv.h"

struct fuse_waits;

/* NULL: no memory. */
struct fuse_waits *fuse_waits_new(void);
/* Takes NULL. */
void fuse_waits_free(struct fuse_waits *w);

/* A request being served by this thread; the caller's memory. Fields are private. */
struct fuse_wait {
        uint64_t unique;
        struct deadline deadline;
        struct fuse_wait *next;
};

/* Until fuse_wait_end, what the store does for this thread ends with EINTR after an interrupt of UNIQUE,
 * which may have come already, and with ERR_AWAY after TIMEOUT_MS (0: never). */
void fuse_wait_begin(struct fuse_waits *w, struct fuse_wait *wait, uint64_t unique, unsigned timeout_ms);
void fuse_wait_end(struct fuse_waits *w, struct fuse_wait *wait);

/* Whoever waits for the request UNIQUE would rather not. It may be answered already. */
void fuse_waits_interrupt(struct fuse_waits *w, uint64_t unique);

#endif
