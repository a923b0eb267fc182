/* SPDX-License-Identifier: MIT */
/* Records what is done to a store's data file, so that every state in which a power failure could have left
 * it can be built. The recorder stands in for the C library's write and flush calls in this program, LMDB
 * included.
 *
 * The model: when a flush (fsync, fdatasync, the end of a write through O_DSYNC) returns, what it covers is
 * on the disk for good. Of everything else any part may be there, in any order, torn at sectors, and the
 * file's size may be any that it had or grew through since. A rename is there for certain only after its
 * directory was flushed.
 */
#ifndef POWERLOSS_RECORD_H
#define POWERLOSS_RECORD_H

#include "base/rng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum event_kind {
        EVENT_WRITE,    /* data[len] at offset */
        EVENT_TRUNCATE, /* to size offset */
        EVENT_FLUSH,    /* of the file, it has returned */
        EVENT_RENAME,   /* the file has its final name */
        EVENT_DIR_FLUSH,
        EVENT_STARTED, /* a transaction, NUMBER, may have begun to reach the file */
        EVENT_DURABLE, /* all transactions up to NUMBER were promised to be durable */
};

struct event {
        enum event_kind kind;
        bool synced; /* WRITE: durable when it returned (O_DSYNC) */
        uint64_t offset, number;
        size_t len;
        uint8_t *data;
};

struct recording {
        struct event *events;
        size_t n;
};

/* From now on, until record_stop(), which hands out the recording (record_free()). One at a time. */
void record_start(void);
struct recording record_stop(void);
void record_free(struct recording *r);
/* A STARTED or DURABLE event. */
void record_note(enum event_kind kind, uint64_t number);

/* A state after a crash. */
struct crash_state {
        uint8_t *bytes; /* of the file */
        size_t size;
        bool renamed;              /* it has its final name */
        uint64_t started, durable; /* newest transactions that may and that must be in it */
        bool opened;               /* a DURABLE event came before: the store must exist */
};

/* Walks through the points in time of a recording in order. */
struct replay {
        const struct recording *recording;
        size_t at;      /* events before this one have happened */
        size_t flushed; /* of these, writes before this one are in `disk` */
        uint8_t *disk;  /* what is durable for certain */
        size_t disk_size, disk_cap;
        bool renamed, rename_durable;
        uint64_t started, durable;
        bool opened;
};

/* Goes on to the moment before event AT, which must not be earlier than the last one. */
void replay_to(struct replay *p, const struct recording *r, size_t at);
/* One of the states that a crash at this moment may leave, chosen by G. state->bytes is to be freed. */
void replay_crash(const struct replay *p, struct rng *g, struct crash_state *state);
void replay_free(struct replay *p);

#endif
