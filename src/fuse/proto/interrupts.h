/* SPDX-License-Identifier: MIT */
/* Interruption of requests that wait for a remote store: each request has a deadline (base/deadline.h)
 * while it is served, and INTERRUPT cancels it. All functions: any thread.
 */
#ifndef FUSE_PROTO_INTERRUPTS_H
#define FUSE_PROTO_INTERRUPTS_H

#include "base/deadline.h"

/* The requests being served. */
struct fuse_interrupts;

/* NULL: no memory. */
struct fuse_interrupts *fuse_interrupts_new(void);
/* Takes NULL. */
void fuse_interrupts_free(struct fuse_interrupts *t);

/* A request being served by the calling thread. The caller's memory; fields are private. */
struct fuse_interruptible {
        uint64_t unique;
        struct deadline deadline;
        struct fuse_interruptible *next;
};

/* Puts a deadline of TIMEOUT_MS (0: none) in force for the calling thread until fuse_interruptible_end. An
 * interrupt of UNIQUE cancels it, also one that arrived before this call. */
void fuse_interruptible_begin(struct fuse_interrupts *t, struct fuse_interruptible *r, uint64_t unique,
                              unsigned timeout_ms);
void fuse_interruptible_end(struct fuse_interrupts *t, struct fuse_interruptible *r);

/* Cancels the deadline of request UNIQUE, now or when it arrives. No effect if it is answered already. */
void fuse_interrupts_deliver(struct fuse_interrupts *t, uint64_t unique);

#endif
