/* SPDX-License-Identifier: MIT */
/* Recognizing files that are read from the front. */
#include "fs/data/stream.h"

void stream_drop_locked(struct readahead *ra, struct readahead_stream *s)
{
        while (s->chunks) {
                struct readahead_chunk *c = s->chunks;

                s->chunks = c->next;
                chunk_put_locked(ra, c);
        }
}

struct readahead_chunk *stream_chunk_locked(const struct readahead_stream *s, uint64_t offset)
{
        struct readahead_chunk *c = s->chunks;

        while (c && c->offset != offset)
                c = c->next;
        return c;
}

/* Drops chunks that lie before OFFSET or are too old to serve a read. Whether there was one of the latter. */
static bool drop_passed_locked(struct readahead *ra, struct readahead_stream *s, uint64_t offset)
{
        uint64_t now = ra->fs->clock->monotonic_ns(ra->fs->clock);
        bool late = false;

        for (struct readahead_chunk **at = &s->chunks; *at;) {
                struct readahead_chunk *c = *at;
                bool passed = c->offset + ra->chunk_bytes <= offset, old = now - c->begun_ns > ra->max_age_ns;

                if (!passed && !old) {
                        at = &c->next;
                        continue;
                }
                late = late || !passed;
                *at = c->next;
                chunk_put_locked(ra, c);
        }
        return late;
}

struct readahead_stream *stream_find_locked(struct readahead *ra, uint64_t ino)
{
        lock_assert_held(&ra->lock);
        for (unsigned i = 0; i < READAHEAD_STREAMS; i++)
                if (ra->streams[i].ino == ino)
                        return &ra->streams[i];
        return NULL;
}

struct readahead_stream *stream_make_locked(struct readahead *ra, uint64_t ino)
{
        struct readahead_stream *s = stream_find_locked(ra, ino);

        if (!s) {
                s = &ra->streams[0];
                for (unsigned i = 1; i < READAHEAD_STREAMS; i++)
                        if (ra->streams[i].last_use < s->last_use)
                                s = &ra->streams[i];
                stream_drop_locked(ra, s);
                *s = (struct readahead_stream){ .ino = ino, .depth = 1 };
        }
        s->last_use = ++ra->uses;
        return s;
}

void stream_note_locked(struct readahead *ra, struct readahead_stream *s, uint64_t offset, size_t len)
{
        lock_assert_held(&ra->lock);
        /* The kernel sends several requests at a time, and they may overtake each other. */
        if (offset <= s->next + READAHEAD_SLACK_BYTES && offset + READAHEAD_SLACK_BYTES >= s->next) {
                s->run += offset + len > s->next; /* the same request again is no pattern */
        } else {
                stream_end_locked(ra, s);
                s->next = 0;
        }
        if (offset + len > s->next)
                s->next = offset + len;
        /* A chunk that grew too old says that the reader is slower than its depth. */
        if (drop_passed_locked(ra, s, offset > READAHEAD_SLACK_BYTES ? offset - READAHEAD_SLACK_BYTES : 0))
                s->depth = 1;
}

void stream_end_locked(struct readahead *ra, struct readahead_stream *s)
{
        stream_drop_locked(ra, s);
        s->run = 0;
        s->depth = 1;
}

/* Drops old chunks of other streams, whose readers stopped in the middle, until WANTED more fit. */
static void free_old_locked(struct readahead *ra, unsigned wanted)
{
        for (unsigned i = 0; i < READAHEAD_STREAMS && ra->chunks + wanted > READAHEAD_CHUNKS; i++)
                (void)drop_passed_locked(ra, &ra->streams[i], 0);
}

/* The end of the file, as far as chunks show it. */
static uint64_t known_end_locked(const struct readahead *ra, const struct readahead_stream *s)
{
        uint64_t end = UINT64_MAX;

        for (struct readahead_chunk *c = s->chunks; c; c = c->next)
                if (c->done && c->len < ra->chunk_bytes && c->offset < end)
                        end = c->offset + 1;
        return end;
}

void stream_fetch_ahead_locked(struct readahead *ra, struct readahead_stream *s)
{
        uint64_t offset = s->next - s->next % ra->chunk_bytes, end;

        lock_assert_held(&ra->lock);
        if (s->run < 2)
                return;
        free_old_locked(ra, s->depth);
        end = known_end_locked(ra, s);
        for (unsigned i = 0; i < s->depth && offset < end; i++, offset += ra->chunk_bytes)
                if (!stream_chunk_locked(s, offset))
                        chunk_fetch_locked(ra, s, offset);
}
