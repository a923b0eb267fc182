/* SPDX-License-Identifier: MIT */
#include "fs/data/readahead.h"
#include "fs/run.h"
#include "record/inode.h"

#include "base/cleanup.h"
#include "base/pool.h"
#include "base/waitlist.h"
#include "fs/inode/inode.h"
#include "fs/session/session.h"
#include "fs/writeback/writeback.h"
#include "record/block.h"

#include <assert.h>
#include <stdlib.h>

#define CHUNK_BYTES (512u << 10) /* fetched by one transaction */
#define DEPTH       8u           /* chunks ahead of the reader */
#define STREAMS     32u          /* files that are read from the front at a time */
#define TOTAL       64u          /* chunks of all of them */
#define SLACK_BYTES (1u << 20)   /* how far requests of one reader may come out of order */

struct chunk {
        struct pool_job job;
        struct readahead *readahead;
        struct chunk *next; /* of the same stream */
        uint64_t ino, offset;
        uint64_t begun_ns;
        fs_writeback_mark mark; /* from before the fetch */
        unsigned refs;
        bool done;
        int error;
        size_t len; /* less than a chunk at the end of the file */
        uint8_t data[];
};

struct stream {
        uint64_t ino;  /* 0: free */
        uint64_t next; /* where it goes on */
        unsigned run;  /* requests that did */
        unsigned depth;
        uint64_t used;
        struct chunk *chunks; /* with a reference to each */
};

struct readahead {
        struct fs *fs;
        size_t chunk_bytes; /* a multiple of the block size */
        uint64_t max_age_ns;
        struct pool *workers;

        struct lock lock; /* protects what follows */
        struct waitlist fetched;
        struct stream streams[STREAMS];
        uint64_t uses;
        unsigned chunks;
};

static uint64_t now_ns(const struct readahead *ra)
{
        return ra->fs->clock->monotonic_ns(ra->fs->clock);
}

/* ---- chunks: under the lock ----------------------------------------------------------------------- */

static void chunk_put(struct readahead *ra, struct chunk *c)
{
        assert(c->refs > 0);
        if (--c->refs == 0) {
                ra->chunks--;
                free(c);
        }
}

static void drop_chunks(struct readahead *ra, struct stream *s)
{
        while (s->chunks) {
                struct chunk *c = s->chunks;

                s->chunks = c->next;
                chunk_put(ra, c);
        }
}

static struct chunk *find_chunk(const struct stream *s, uint64_t offset)
{
        struct chunk *c = s->chunks;

        while (c && c->offset != offset)
                c = c->next;
        return c;
}

/* Those that lie before OFFSET, or are too old to serve anybody. Whether there was one of the latter. */
static bool drop_passed(struct readahead *ra, struct stream *s, uint64_t offset)
{
        uint64_t now = now_ns(ra);
        bool late = false;

        for (struct chunk **at = &s->chunks; *at;) {
                struct chunk *c = *at;
                bool passed = c->offset + ra->chunk_bytes <= offset, old = now - c->begun_ns > ra->max_age_ns;

                if (!passed && !old) {
                        at = &c->next;
                        continue;
                }
                late = late || !passed;
                *at = c->next;
                chunk_put(ra, c);
        }
        return late;
}

/* ---- fetching ----------------------------------------------------------------------------------- */

static int fetch_body(struct kv_txn *t, void *arg)
{
        struct chunk *c = arg;
        struct readahead *ra = c->readahead;
        struct fs *fs = ra->fs;
        size_t n = ra->chunk_bytes / fs->block_size;
        _cleanup_free_ struct rec_block_read *reads = calloc(n, sizeof(*reads));
        struct rec_inode_read inode_read;
        struct rec_inode inode;
        int r;

        if (!reads)
                return -ENOMEM;
        rec_inode_start(t, &inode_read, c->ino, REC_INODE_RECORD, KV_SNAPSHOT);
        for (size_t i = 0; i < n; i++)
                rec_block_start(t, &reads[i], c->ino, c->offset + i * fs->block_size, KV_SNAPSHOT);
        r = rec_inode_wait(t, &inode_read, &inode);
        if (r >= 0 && !S_ISREG(inode.rec.mode))
                r = -EINVAL;
        if (r < 0)
                return r;
        c->len = 0;
        if (inode.rec.size > c->offset)
                c->len = inode.rec.size - c->offset < ra->chunk_bytes ? (size_t)(inode.rec.size - c->offset)
                                                                      : ra->chunk_bytes;
        for (size_t at = 0; at < c->len; at += fs->block_size) {
                struct slice value;
                size_t stored;

                r = rec_block_wait(t, fs->block_size, &reads[at / fs->block_size], &value);
                if (r < 0)
                        return r;
                stored = value.len < c->len - at ? value.len : c->len - at;
                if (stored > 0)
                        memcpy(c->data + at, value.data, stored);
                memset(c->data + at + stored, 0, fs->block_size - stored);
        }
        return 0;
}

static void fetch(struct pool_job *job)
{
        struct chunk *c = (struct chunk *)((char *)job - offsetof(struct chunk, job));
        struct readahead *ra = c->readahead;
        int r = fs_run_read(ra->fs, fetch_body, c);

        lock_acquire(&ra->lock);
        c->error = r < 0 ? r : 0;
        c->done = true;
        waitlist_wake_all(&ra->fetched);
        chunk_put(ra, c);
        lock_release(&ra->lock);
}

/* Under the lock. */
static void begin_fetch(struct readahead *ra, struct stream *s, uint64_t offset)
{
        struct chunk *c;

        if (ra->chunks >= TOTAL || offset > FMT_FILE_SIZE_MAX - ra->chunk_bytes)
                return;
        c = malloc(sizeof(*c) + ra->chunk_bytes);
        if (!c)
                return;
        *c = (struct chunk){ .job.fn = fetch,
                             .readahead = ra,
                             .next = s->chunks,
                             .ino = s->ino,
                             .offset = offset,
                             .begun_ns = now_ns(ra),
                             .mark = fs_writeback_now(ra->fs),
                             .refs = 2 };
        s->chunks = c;
        ra->chunks++;
        pool_submit(ra->workers, &c->job);
}

/* ---- streams: under the lock ---------------------------------------------------------------------- */

static struct stream *find_stream(struct readahead *ra, uint64_t ino)
{
        for (unsigned i = 0; i < STREAMS; i++)
                if (ra->streams[i].ino == ino)
                        return &ra->streams[i];
        return NULL;
}

static struct stream *make_stream(struct readahead *ra, uint64_t ino)
{
        struct stream *s = find_stream(ra, ino);

        if (!s) {
                s = &ra->streams[0];
                for (unsigned i = 1; i < STREAMS; i++)
                        if (ra->streams[i].used < s->used)
                                s = &ra->streams[i];
                drop_chunks(ra, s);
                *s = (struct stream){ .ino = ino, .depth = 1 };
        }
        s->used = ++ra->uses;
        return s;
}

/* Notes a request. The kernel sends several at a time, and they may overtake each other. */
static void note(struct readahead *ra, struct stream *s, uint64_t offset, size_t len)
{
        if (offset <= s->next + SLACK_BYTES && offset + SLACK_BYTES >= s->next) {
                s->run += offset + len > s->next; /* again and again the same is no pattern */
        } else {
                drop_chunks(ra, s);
                s->run = 0;
                s->depth = 1;
                s->next = 0;
        }
        if (offset + len > s->next)
                s->next = offset + len;
}

/* Chunks of readers that stopped in the middle serve nobody, and are not to be in the way of others. */
static void make_room(struct readahead *ra, unsigned wanted)
{
        for (unsigned i = 0; i < STREAMS && ra->chunks + wanted > TOTAL; i++)
                drop_passed(ra, &ra->streams[i], 0);
}

/* Who has read a file to its end wants nothing more of it. */
static void end_stream(struct readahead *ra, struct stream *s)
{
        drop_chunks(ra, s);
        s->run = 0;
        s->depth = 1;
}

/* Has everything under way that the reader will want next. */
static void fetch_ahead(struct readahead *ra, struct stream *s)
{
        uint64_t from = s->next - s->next % ra->chunk_bytes, end = UINT64_MAX;

        if (s->run < 2)
                return;
        make_room(ra, s->depth);
        for (struct chunk *c = s->chunks; c; c = c->next)
                if (c->done && c->len < ra->chunk_bytes && c->offset < end)
                        end = c->offset + 1; /* the file ends there */
        for (unsigned i = 0; i < s->depth; i++) {
                uint64_t offset = from + i * ra->chunk_bytes;

                if (offset >= end)
                        break;
                if (!find_chunk(s, offset))
                        begin_fetch(ra, s, offset);
        }
}

/* ---- reading ------------------------------------------------------------------------------------ */

/* The chunks that a request touches; it is longer than one, so that they are few. */
#define SPAN 4u

struct span {
        struct chunk *chunks[SPAN]; /* with a reference to each */
        unsigned n;
};

static void span_put(struct readahead *ra, struct span *span)
{
        for (unsigned i = 0; i < span->n; i++)
                chunk_put(ra, span->chunks[i]);
        span->n = 0;
}

/* Takes references to all that the request needs: false if one is not there. */
static bool span_take(struct readahead *ra, struct stream *s, struct span *span, uint64_t offset, size_t len)
{
        uint64_t at = offset - offset % ra->chunk_bytes;

        for (span->n = 0; at < offset + len; at += ra->chunk_bytes) {
                struct chunk *c = span->n < SPAN ? find_chunk(s, at) : NULL;

                if (!c)
                        return false;
                c->refs++;
                span->chunks[span->n++] = c;
        }
        return true;
}

/* Waits until they are fetched. Under the lock, which is released meanwhile. */
static bool span_wait(struct readahead *ra, struct span *span)
{
        for (unsigned i = 0; i < span->n; i++) {
                while (!span->chunks[i]->done)
                        if (waitlist_wait(&ra->fetched, &ra->lock) < 0)
                                return false; /* the next to wait will say why */
                if (span->chunks[i]->error)
                        return false;
        }
        return true;
}

/* Whether nothing was written here that they do not show. */
static bool span_current(struct readahead *ra, const struct span *span, uint64_t ino)
{
        if (fs_writeback_end(ra->fs, ino) != 0)
                return false;
        for (unsigned i = 0; i < span->n; i++)
                if (fs_writeback_apply(ra->fs, span->chunks[i]->mark, ino, 0, NULL, 0) != 0)
                        return false;
        return true;
}

/* Whether a request for the bytes up to END takes the last ones of the file. */
static bool span_ends(const struct readahead *ra, const struct span *span, uint64_t end)
{
        const struct chunk *last = span->chunks[span->n - 1];

        return last->len < ra->chunk_bytes && end >= last->offset + last->len;
}

static int hand_out(struct readahead *ra, const struct span *span, uint64_t offset, size_t len, fs_read_fn fn,
                    void *arg)
{
        struct iovec iov[SPAN];
        size_t total = 0;
        int n = 0;

        for (unsigned i = 0; i < span->n; i++) {
                struct chunk *c = span->chunks[i];
                uint64_t from = offset > c->offset ? offset - c->offset : 0;
                uint64_t to = offset + len - c->offset < c->len ? offset + len - c->offset : c->len;

                if (from < to) {
                        iov[n++] =
                                (struct iovec){ .iov_base = c->data + from, .iov_len = (size_t)(to - from) };
                        total += (size_t)(to - from);
                }
                if (c->len < ra->chunk_bytes)
                        break; /* the file ends here */
        }
        return fn(iov, n, total, arg);
}

int fs_readahead_read(struct fs *fs, uint64_t ino, uint64_t offset, size_t len, fs_read_fn fn, void *arg,
                      int *ret_result)
{
        struct readahead *ra = fs->readahead;
        struct span span = { .n = 0 };
        struct stream *s;
        bool served;

        if (!ra || fs_is_fenced(fs) || ino == 0 || len == 0 || offset > FMT_FILE_SIZE_MAX - len)
                return 0;
        lock_acquire(&ra->lock);
        s = make_stream(ra, ino);
        note(ra, s, offset, len);
        if (drop_passed(ra, s, offset > SLACK_BYTES ? offset - SLACK_BYTES : 0))
                s->depth = 1; /* the reader is slower than that */
        served = span_take(ra, s, &span, offset, len);
        if (served && s->depth < DEPTH)
                s->depth *= 2;
        fetch_ahead(ra, s);
        served = served && span_wait(ra, &span);
        lock_release(&ra->lock);

        served = served && span_current(ra, &span, ino);
        if (served)
                *ret_result = hand_out(ra, &span, offset, len, fn, arg);
        lock_acquire(&ra->lock);
        if (served && span_ends(ra, &span, offset + len) && (s = find_stream(ra, ino)))
                end_stream(ra, s);
        span_put(ra, &span);
        lock_release(&ra->lock);
        return served;
}

void fs_readahead_drop(struct fs *fs, uint64_t ino)
{
        struct readahead *ra = fs->readahead;
        struct stream *s;

        if (!ra || ino == 0)
                return;
        lock_acquire(&ra->lock);
        s = find_stream(ra, ino);
        if (s)
                drop_chunks(ra, s);
        lock_release(&ra->lock);
}

/* ---- life --------------------------------------------------------------------------------------- */

int fs_readahead_start(struct fs *fs)
{
        struct readahead *ra = calloc(1, sizeof(*ra));

        if (!ra)
                return -ENOMEM;
        ra->fs = fs;
        ra->chunk_bytes = CHUNK_BYTES / fs->block_size * fs->block_size;
        ra->max_age_ns = READAHEAD_MS * UINT64_C(1000000);
        ra->workers = pool_new(DEPTH);
        if (!ra->workers) {
                free(ra);
                return -ENOMEM;
        }
        lock_init(&ra->lock);
        fs->readahead = ra;
        return 0;
}

void fs_readahead_stop(struct fs *fs)
{
        struct readahead *ra = fs->readahead;

        if (!ra)
                return;
        pool_free(ra->workers);
        for (unsigned i = 0; i < STREAMS; i++)
                drop_chunks(ra, &ra->streams[i]);
        assert(ra->chunks == 0);
        fs->readahead = NULL;
        lock_destroy(&ra->lock);
        free(ra);
}
