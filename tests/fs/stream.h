/* SPDX-License-Identifier: MIT */
/* Two mounts of one store, of which one (A) buffers writes in little memory, so that a file which is written
 * from the beginning to the end is flushed while it is written. What A commits is counted. */
#ifndef STREAM_H
#define STREAM_H

#include "fixture.h"
#include "kv/layer/filter.h"
#include "kv/testing/testing.h"

#include <pthread.h>

#define BLOCK         4096u
#define STREAM_PLAN   40000u     /* five blocks a transaction */
#define STREAM_BLOCKS 64u        /* that A holds of one inode at most */
#define STREAM_BYTES  (8u << 20) /* of the longest file */

/* What A's store saw, successful commits only. */
struct spy {
        struct filter filter;
        struct fs *fs; /* NULL: nothing is held up */
        size_t full_bytes;
        uint64_t ino; /* whose record is looked for */
        /* While it is set, a commit waits until A's memory is full: the writer is always ahead. */
        _Atomic bool behind_writer;
        /* Transactions with blocks that were blind, or read (and were no steps); those that announced, that
         * changed the record of INO, and that took an announcement out. */
        _Atomic unsigned blind, reading, announced, records, ended;
};

struct stream_opts {
        unsigned threads, age_ms; /* of A; 0: 4, and for ever */
        size_t blocks;            /* that A holds of one inode; 0: STREAM_BLOCKS */
        size_t total_blocks;      /* 0: room enough */
        bool unregistered;        /* nobody knows that A lives, so that collectors get in its way */
        bool read_ahead;          /* in A */
        bool faults;              /* what "+fault" says, beside slow calls, that are always some */
};

struct stream {
        struct fixture a, b; /* B's is the whole; A's store is the spy on B's */
        struct spy *spy;
        struct kv_fault_opts faults;
        bool unregistered, evicted, standin_faults;
};

/* Over SPEC: "mem", "fdb" (the stand-in), with "+fault" for errors, too, also those of the stand-in's:
 * commits that are told as failed and land late. Each byte that is written is that of the pattern. */
void stream_open(struct stream *s, const char *spec, uint64_t seed, const struct stream_opts *opts);
/* Checks and closes everything. */
void stream_close(struct stream *s);
/* Checks the store with the faults off. */
void stream_check(struct stream *s);
/* Takes A's entry away, which each of its transactions depends on, unless it is unregistered. Any thread. */
void stream_evict(struct stream *s);

/* What is written at each place: never 0, nor above 250. */
extern uint8_t stream_pattern[STREAM_BYTES];

/* As a thread: fails in a way that ends the program. */
#define must(cond)                                            \
        do {                                                  \
                if (!(cond))                                  \
                        must_fail(#cond, __FILE__, __LINE__); \
        } while (0)
void must_fail(const char *cond, const char *file, int line) __attribute__((noreturn));

/* ---- a writer, in a thread of its own -------------------------------------------------------------- */

/* Each request may come later than the one before, by the clock. */
struct writer {
        struct stream *s;
        uint64_t ino, seed;
        uint64_t len;       /* of the file, bytes */
        size_t most;        /* bytes of a request */
        bool whole_blocks;  /* requests are of whole blocks (but for the last one) */
        uint64_t gap;       /* 0, or between requests there are holes of at most that many bytes */
        uint64_t kill_from; /* 0, or where requests begin to have FS_WRITE_KILL_PRIV */
        bool may_fail;      /* the file may go away meanwhile */
        uint8_t *model;     /* NULL, or gets what was written; LEN bytes */

        pthread_t thread;
        /* Everything below it was written; or is being written. */
        _Atomic uint64_t written, under_way;
        _Atomic bool done, stop;
        int result; /* the error that ended it */
};

void writer_start(struct writer *w);
void writer_join(struct writer *w);

/* ---- others ---------------------------------------------------------------------------------------- */

/* Until the writer is done: reads at random what it wrote, through A, and demands the model's bytes (NULL:
 * the pattern); bytes equal to EXCEPT are right everywhere, if it is not 0. */
struct reader {
        struct writer *w;
        uint64_t seed;
        const uint8_t *expected;
        uint8_t except;
        pthread_t thread;
        unsigned reads;
};

void reader_start(struct reader *r);
/* The same through B: always a prefix of what is expected, which never becomes shorter. */
void watcher_start(struct reader *r);
void reader_join(struct reader *r);

/* Asserts that F sees LEN bytes, as expected, and no more. */
void stream_compare(struct fixture *f, uint64_t ino, const uint8_t *expected, uint64_t len);
/* What a file of these bytes takes that B writes with one flush. */
uint64_t stream_blocks_of(struct stream *s, const uint8_t *data, uint64_t len);

#endif
