/* Requests that may wait for a store which is away: a signal to whoever waits for the answer ends the
 * waiting, and so does time. All functions: any thread. */
#ifndef FUSE_WAITING_H
#define FUSE_WAITING_H

#include "kv/kv.h"

struct af_waiting;

/* NULL: no memory. */
struct af_waiting *af_waiting_new(void);
/* Takes NULL. */
void af_waiting_free(struct af_waiting *w);

/* A request being served by this thread; the caller's memory. Fields are private. */
struct af_wait {
        uint64_t unique;
        struct deadline deadline;
        struct af_wait *next;
};

/* Until af_wait_end, what the store does for this thread ends with EINTR after an interrupt of UNIQUE,
 * which may have come already, and with ERR_AWAY after TIMEOUT_MS (0: never). */
void af_wait_begin(struct af_waiting *w, struct af_wait *wait, uint64_t unique, unsigned timeout_ms);
void af_wait_end(struct af_waiting *w, struct af_wait *wait);

/* Whoever waits for the request UNIQUE would rather not. It may be answered already. */
void af_waiting_interrupt(struct af_waiting *w, uint64_t unique);

#endif
