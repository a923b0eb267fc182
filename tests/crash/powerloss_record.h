/* SPDX-License-Identifier: MIT */
/* Records the changes of a store's data file and builds the states in which a power failure can leave it. The
 * recorder replaces the C library's write and sync calls in this program, also those of LMDB.
 *
 * The model: when a sync (fsync, fdatasync, a write through O_DSYNC) returns, what it covers is durable. Of
 * all other writes any part may be on the disk, in any order, torn at sectors, and the file's size may be any
 * that it has had or passed since. A rename is durable only after its directory was synced.
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
        EVENT_SYNC,     /* of the file, it has returned */
        EVENT_RENAME,   /* the file has its final name */
        EVENT_DIR_SYNC,
        EVENT_STARTED, /* from here on transaction NUMBER may reach the file */
        EVENT_DURABLE, /* all transactions up to NUMBER are acknowledged as durable */
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

/* Records until record_stop, which returns the recording (free it with record_free). One at a time. */
void record_start(void);
struct recording record_stop(void);
void record_free(struct recording *r);
/* Adds a STARTED or DURABLE event. */
void record_note(enum event_kind kind, uint64_t number);

/* A state after a crash. */
struct crash_state {
        uint8_t *bytes; /* of the file */
        size_t size;
        bool renamed;              /* it has its final name */
        uint64_t started, durable; /* newest transactions that may and must be in it */
        bool opened;               /* a DURABLE event came before: the store must exist */
};

/* Walks through the points in time of a recording in order. */
struct replay {
        const struct recording *recording;
        size_t at;       /* events before this one have happened */
        size_t n_synced; /* of these, writes before this one are in `disk` */
        uint8_t *disk;   /* durable contents */
        size_t disk_size, disk_cap;
        bool renamed, rename_durable;
        uint64_t started, durable;
        bool opened;
};

/* Advances to the point before event AT, which must not be earlier than the last one. */
void replay_to(struct replay *p, const struct recording *r, size_t at);
/* Builds one of the states that a crash at this point may leave, chosen by G. The caller frees
 * state->bytes. */
void replay_crash(const struct replay *p, struct rng *g, struct crash_state *state);
void replay_free(struct replay *p);

#endif
