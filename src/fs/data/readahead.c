/* SPDX-License-Identifier: MIT */
#include "fs/data/readahead.h"
#include "fs/data/data.h"
#include "fs/data/stream.h"
#include "fs/run.h"

/* ---- reading ------------------------------------------------------------------------------------ */

/* The chunks that a request touches; a request is not much longer than one, so they are few. */
#define CHUNKS 4u

struct request {
        uint64_t ino, offset;
        size_t len;
        unsigned n;
        struct readahead_chunk *chunks[CHUNKS]; /* with a reference to each */
};

static void put_chunks_locked(struct readahead *ra, struct request *q)
{
        for (unsigned i = 0; i < q->n; i++)
                chunk_put_locked(ra, q->chunks[i]);
        q->n = 0;
}

/* Takes references to all chunks of the request. False: one is missing. */
static bool take_chunks_locked(struct readahead *ra, const struct readahead_stream *s, struct request *q)
{
        for (uint64_t at = q->offset - q->offset % ra->chunk_bytes; at < q->offset + q->len;
             at += ra->chunk_bytes) {
                struct readahead_chunk *c = q->n < CHUNKS ? stream_chunk_locked(s, at) : NULL;

                if (!c)
                        return false;
                c->refs++;
                q->chunks[q->n++] = c;
        }
        return true;
}

/* Waits until the chunks are fetched. Releases the lock while it waits. */
static bool wait_chunks_locked(struct readahead *ra, const struct request *q)
{
        for (unsigned i = 0; i < q->n; i++) {
                while (!q->chunks[i]->done)
                        if (waitlist_wait(&ra->fetched, &ra->lock) < 0)
                                return false; /* the read itself will return the reason */
                if (q->chunks[i]->error)
                        return false;
        }
        return true;
}

/* Whether the chunks contain all writes of this mount. */
static bool is_current(const struct readahead *ra, const struct request *q)
{
        if (fs_writeback_end(ra->fs, q->ino) != 0)
                return false;
        for (unsigned i = 0; i < q->n; i++)
                if (fs_writeback_apply(ra->fs, q->chunks[i]->mark, q->ino, 0, NULL, 0) != 0)
                        return false;
        return true;
}

/* Whether the request takes the last bytes of the file. */
static bool reaches_end(const struct readahead *ra, const struct request *q)
{
        const struct readahead_chunk *last = q->chunks[q->n - 1];

        return last->len < ra->chunk_bytes && q->offset + q->len >= last->offset + last->len;
}

static int hand_out(const struct readahead *ra, const struct request *q, fs_read_fn fn, void *arg)
{
        struct iovec iov[CHUNKS];
        size_t total = 0;
        int n = 0;

        for (unsigned i = 0; i < q->n; i++) {
                struct readahead_chunk *c = q->chunks[i];
                uint64_t from = q->offset > c->offset ? q->offset - c->offset : 0;
                uint64_t to = q->offset + q->len - c->offset;

                if (to > c->len)
                        to = c->len;
                if (from < to) {
                        iov[n].iov_base = c->data + from;
                        iov[n++].iov_len = (size_t)(to - from);
                        total += (size_t)(to - from);
                }
                if (c->len < ra->chunk_bytes)
                        break; /* the file ends here */
        }
        return fn(iov, n, total, arg);
}

/* Notes the request, fetches ahead, and waits for the chunks of the request if all of them are there. */
static bool get_chunks(struct readahead *ra, struct request *q)
{
        struct readahead_stream *s;
        bool all;

        LOCK_GUARD(&ra->lock);
        s = stream_make_locked(ra, q->ino);
        stream_note_locked(ra, s, q->offset, q->len);
        all = take_chunks_locked(ra, s, q);
        if (all && s->depth < READAHEAD_DEPTH)
                s->depth *= 2;
        stream_fetch_ahead_locked(ra, s);
        return all && wait_chunks_locked(ra, q);
}

/* Gives the chunks back, and ends the stream with its file. */
static void put_chunks(struct readahead *ra, struct request *q, bool served)
{
        struct readahead_stream *s;

        LOCK_GUARD(&ra->lock);
        s = served && reaches_end(ra, q) ? stream_find_locked(ra, q->ino) : NULL;
        if (s)
                stream_end_locked(ra, s);
        put_chunks_locked(ra, q);
}

int fs_readahead_read(struct fs *fs, uint64_t ino, uint64_t offset, size_t len, fs_read_fn fn, void *arg,
                      int *ret_result)
{
        struct readahead *ra = fs->readahead;
        struct request q = { .ino = ino, .offset = offset, .len = len };
        bool served;

        if (!ra || fs_is_fenced(fs) || ino == 0 || len == 0 || offset > FMT_FILE_SIZE_MAX - len)
                return 0;
        served = get_chunks(ra, &q) && is_current(ra, &q);
        if (served)
                *ret_result = hand_out(ra, &q, fn, arg);
        put_chunks(ra, &q, served);
        return served;
}

void fs_readahead_drop(struct fs *fs, uint64_t ino)
{
        struct readahead *ra = fs->readahead;
        struct readahead_stream *s;

        if (!ra || ino == 0)
                return;
        LOCK_GUARD(&ra->lock);
        s = stream_find_locked(ra, ino);
        if (s)
                stream_drop_locked(ra, s);
}

void fs_drop_read_ahead(struct fs *fs, uint64_t ino)
{
        fs_readahead_drop(fs, ino);
}

/* ---- life --------------------------------------------------------------------------------------- */

int fs_readahead_start(struct fs *fs)
{
        struct readahead *ra = calloc(1, sizeof(*ra));

        if (!ra)
                return -ENOMEM;
        ra->fs = fs;
        ra->chunk_bytes = READAHEAD_CHUNK_BYTES / fs->block_size * fs->block_size;
        ra->max_age_ns = READAHEAD_MS * UINT64_C(1000000);
        ra->workers = pool_new(READAHEAD_DEPTH);
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
        lock_acquire(&ra->lock);
        for (unsigned i = 0; i < READAHEAD_STREAMS; i++)
                stream_drop_locked(ra, &ra->streams[i]);
        lock_release(&ra->lock);
        assert(ra->chunks == 0);
        fs->readahead = NULL;
        lock_destroy(&ra->lock);
        free(ra);
}
