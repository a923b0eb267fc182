/* SPDX-License-Identifier: MIT */
/* The memory of read-ahead: chunks of files that are read from the front. */
#ifndef FS_DATA_STREAM_H
#define FS_DATA_STREAM_H

#include "base/lock.h"
#include "base/pool.h"
#include "base/waitlist.h"
#include "fs/writeback/writeback.h"

#define READAHEAD_CHUNK_BYTES (512u << 10) /* fetched by one transaction, at most */
#define READAHEAD_DEPTH       8u           /* chunks ahead of a reader */
#define READAHEAD_STREAMS     32u          /* files */
#define READAHEAD_CHUNKS      64u          /* of all files */
#define READAHEAD_SLACK_BYTES (1u << 20)   /* how far requests of one reader may come out of order */

/* A chunk of a file. OFFSET, MARK and so on are constant; the data belongs to its fetch until DONE. */
struct readahead_chunk {
        struct pool_job job;
        struct readahead *readahead;
        struct readahead_chunk *next; /* of the same stream */
        uint64_t ino, offset;
        uint64_t begun_ns;
        fs_writeback_mark mark; /* from before the fetch */
        unsigned refs;
        bool done;
        int error;
        size_t len; /* less than a whole chunk at the end of the file */
        uint8_t data[];
};

/* A file that is read from the front. */
struct readahead_stream {
        uint64_t ino;  /* 0: free */
        uint64_t next; /* where the next request is expected */
        unsigned run;  /* requests that followed each other */
        unsigned depth;
        uint64_t last_use;
        struct readahead_chunk *chunks; /* with a reference to each */
};

struct readahead {
        struct fs *fs;
        size_t chunk_bytes; /* a multiple of the block size */
        uint64_t max_age_ns;
        struct pool *workers;

        struct lock lock; /* protects what follows */
        struct waitlist fetched;
        struct readahead_stream streams[READAHEAD_STREAMS];
        uint64_t uses;
        unsigned chunks;
};

/* All functions: with the lock of RA held. */

/* Gives a reference back. */
void chunk_put_locked(struct readahead *ra, struct readahead_chunk *c);
/* Starts fetching the chunk at OFFSET, unless there are too many or there is no memory. */
void chunk_fetch_locked(struct readahead *ra, struct readahead_stream *s, uint64_t offset);

/* The stream of INO, or NULL. */
struct readahead_stream *stream_find_locked(struct readahead *ra, uint64_t ino);
/* The same, but takes the least recently used stream if there is none. */
struct readahead_stream *stream_make_locked(struct readahead *ra, uint64_t ino);
/* The chunk at OFFSET, or NULL. */
struct readahead_chunk *stream_chunk_locked(const struct readahead_stream *s, uint64_t offset);
/* Notes a request for LEN bytes at OFFSET. */
void stream_note_locked(struct readahead *ra, struct readahead_stream *s, uint64_t offset, size_t len);
/* Fetches the chunks that the reader is expected to read next. */
void stream_fetch_ahead_locked(struct readahead *ra, struct readahead_stream *s);
/* Drops all chunks. */
void stream_drop_locked(struct readahead *ra, struct readahead_stream *s);
/* Drops all chunks and starts with a small depth again: the reader reached the end of the file. */
void stream_end_locked(struct readahead *ra, struct readahead_stream *s);

#endif
