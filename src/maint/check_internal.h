/* SPDX-License-Identifier: MIT */
/* Types and functions that the passes of the checker share. Private to check*.c. */
#ifndef MAINT_CHECK_INTERNAL_H
#define MAINT_CHECK_INTERNAL_H

#include "format/format.h"
#include "kv/kv.h"
#include "maint/maint.h"
#include "record/walk.h"

/* An inode between the passes: 24 bytes, so that 10 million inodes take 240 MB. */
struct check_node {
        uint64_t ino;
        uint64_t parent; /* directories: by their record */
        /* The count of the records minus the number found, in the end 0. Directories: subdirectories; others:
         * names. */
        int32_t missing;
        uint8_t type;  /* st_mode >> 12 */
        uint8_t flags; /* enum check_node_flags */
};

_Static_assert(sizeof(struct check_node) == 24, "documented in maint_check's memory");

enum check_node_flags {
        NODE_DAMAGED = 1 << 0,  /* the record cannot be decoded: it counts nothing */
        NODE_UNLINKED = 1 << 1, /* nlink 0: to be collected */
        NODE_NAMED = 1 << 2,    /* directories: a name was found */
        NODE_ON_PATH = 1 << 3,  /* directories: on the path that is being followed to the root */
        NODE_ROOTED = 1 << 4,   /* directories: the path to the root was followed, or reported */
};

struct check_nodes {
        struct check_node *node; /* sorted by inode number */
        size_t n, cap;
};

struct check {
        struct kv_store *store;
        struct kv_txn *txn; /* of the whole walk; NULL: cursors read in separate transactions */
        maint_check_fn fn;
        void *fn_arg;
        void (*progress)(uint64_t keys, void *arg);
        void *progress_arg;
        struct maint_check_result result;
        uint64_t keys;                   /* seen so far */
        uint32_t block_size;             /* 0: unknown, because the metadata block is damaged */
        int64_t next_ino, inodes, epoch; /* the counters of 'M'; -1: absent or damaged */
        struct check_nodes nodes;
        struct fmt_scratch scratch;
        uint8_t block[FMT_BLOCK_SIZE_MAX]; /* an unpacked block */
};

/* A position in a range of keys: the pair there, its key parsed. Zeros: not started. */
struct check_cursor {
        struct rec_walk walk;
        struct fmt_key begin, end; /* check_cursor_start_part */
        bool valid;                /* there is a pair; false: the end */
        struct slice key, value;
        struct fmt_parsed_key parsed;
};

/* Starts a cursor over [BEGIN, END), which must live until check_cursor_end, and steps to the first pair. */
int check_cursor_start(struct check *c, struct check_cursor *cur, struct slice begin, struct slice end);
/* Steps to the next pair whose key can be parsed; reports those that cannot. 0 also at the end. */
int check_cursor_next(struct check *c, struct check_cursor *cur);
/* The same over all keys of PART. */
int check_cursor_start_part(struct check *c, struct check_cursor *cur, enum rec_part part);
/* Takes a cursor that was not started. */
void check_cursor_end(struct check_cursor *cur);
#define _cleanup_cursor_ _cleanup_(check_cursor_end)

/* Reports a violation. */
void check_report(struct check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Reports a violation about the pair under CUR, and describes the pair. */
void check_report_pair(struct check *c, const char *what, const struct check_cursor *cur);

/* Adds a node behind all others: inode numbers rise. */
int check_nodes_add(struct check_nodes *nodes, const struct check_node *node);
/* NULL if there is none. */
struct check_node *check_nodes_find(const struct check_nodes *nodes, uint64_t ino);

/* The passes after the first one. Each returns 0 or an error of the store. */
int check_inodes(struct check *c); /* inodes with their blocks and garbage entries: fills in the nodes */
int check_names(struct check *c);  /* directory entries, then the tree as a whole: needs the nodes */

#endif
