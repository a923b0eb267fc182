/* SPDX-License-Identifier: MIT */
/* Two mounts of one store. A has a write-back cache with little memory, so that a file is flushed while it is
 * written from the beginning to the end. The commits of A are counted. */
#ifndef STREAM_H
#define STREAM_H

#include "fixture.h"
#include "kv/layer/filter.h"
#include "kv/testing/testing.h"

#include <pthread.h>

#define BLOCK         4096u
#define STREAM_PLAN   40000u     /* five blocks a transaction */
#define STREAM_BLOCKS 64u        /* of one inode that A may hold */
#define STREAM_BYTES  (8u << 20) /* size of the longest file */

/* Counts of A's successful commits. */
struct spy {
        struct filter filter;
        struct fs *fs; /* NULL: no commit is delayed */
        size_t full_bytes;
        uint64_t ino; /* the inode whose record is counted */
        /* While it is set, a commit waits until A's memory is full, so that the writer is always ahead. */
        _Atomic bool behind_writer;
        /* If AHEAD_MAX is not 0, also until its blocks begin at TURN, where the parts before ended, and fewer
         * than AHEAD_MAX blocks were committed since the last step: no thread is so far ahead of another one
         * that there is nothing to do. */
        _Atomic uint64_t turn;
        _Atomic size_t ahead;
        size_t ahead_max;
        /* Transactions: with blocks and blind; with blocks and reads (but no size step); with an intent
         * record; that changed the record of INO; that removed an intent record. */
        _Atomic unsigned blind, reading, intents, records, ended;
};

struct stream_opts {
        unsigned threads, age_ms; /* of A; 0: 4 threads, no timer */
        size_t blocks;            /* of one inode that A may hold; 0: STREAM_BLOCKS */
        size_t total_blocks;      /* of all inodes; 0: no limit that matters */
        bool unregistered;        /* A has no session, so that collectors interfere with it */
        bool read_ahead;          /* A reads ahead */
        bool faults;              /* the faults of "+fault" (slow calls are always injected) */
};

struct stream {
        struct fixture a, b; /* the store of A is a counting layer over that of B */
        struct spy *spy;
        struct kv_fault_opts faults;
        bool unregistered, evicted, standin_faults;
};

/* Opens both over SPEC: "mem", "fdb" (the stand-in), with "+fault" also with errors, and with those of the
 * stand-in: commits that are reported as failed and happen later. Written bytes follow stream_byte. */
void stream_open(struct stream *s, const char *spec, uint64_t seed, const struct stream_opts *opts);
/* Runs maint_check and closes everything. */
void stream_close(struct stream *s);
/* Runs maint_check without faults. */
void stream_check(struct stream *s);
/* Evicts A by removing its entry, unless it is unregistered. Any thread. */
void stream_evict(struct stream *s);

/* Returns the byte that is written at an offset: never 0, nor above 250. */
extern uint8_t stream_pattern[STREAM_BYTES];

/* Starts a thread; an error ends the program. */
#define must(cond)                                            \
        do {                                                  \
                if (!(cond))                                  \
                        must_fail(#cond, __FILE__, __LINE__); \
        } while (0)
void must_fail(const char *cond, const char *file, int line) __attribute__((noreturn));

/* ---- a writer, in a separate thread ---------------------------------------------------------------- */

/* The clock may move between requests. */
struct writer {
        struct stream *s;
        uint64_t ino, seed;
        uint64_t len;       /* bytes of the file */
        size_t most;        /* bytes of a request at most */
        bool whole_blocks;  /* requests are of whole blocks (but for the last one) */
        uint64_t gap;       /* bytes of holes between requests, at most; 0: none */
        uint64_t kill_from; /* offset from which requests have FS_WRITE_KILL_PRIV; 0: never */
        bool may_fail;      /* the file may be removed */
        uint8_t *model;     /* NULL, or a copy of the written data; LEN bytes */

        pthread_t thread;
        /* End of the data that was written; of the request that is being written. */
        _Atomic uint64_t written, under_way;
        _Atomic bool done, stop;
        int result; /* the error that ended it */
};

void writer_start(struct writer *w);
void writer_join(struct writer *w);

/* ---- others ---------------------------------------------------------------------------------------- */

/* Reads random ranges of the written data through A until the writer ends, and asserts the bytes of the model
 * (NULL: the pattern). A byte equal to EXCEPT, if it is not 0, is right everywhere. */
struct reader {
        struct writer *w;
        uint64_t seed;
        const uint8_t *expected;
        uint8_t except;
        pthread_t thread;
        unsigned reads;
};

void reader_start(struct reader *r);
/* The same through B: reads a prefix of the expected data, which never becomes shorter. */
void watcher_start(struct reader *r);
void reader_join(struct reader *r);

/* Asserts that F reads LEN bytes, as expected, and no more. */
void stream_compare(struct fixture *f, uint64_t ino, const uint8_t *expected, uint64_t len);
/* Returns st_blocks of a file of these bytes that B writes with one flush. */
uint64_t stream_blocks_of(struct stream *s, const uint8_t *data, uint64_t len);

#endif
