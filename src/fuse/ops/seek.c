/* SPDX-License-Identifier: MIT */
/* SEEK_DATA and SEEK_HOLE.
 *
 * Pages that were changed through a memory map, or lie in the kernel's writeback cache, reach the store late,
 * and LSEEK does not make the kernel write them back. The answer of the store is right where it says data.
 * Before a hole is reported, the kernel is made to write back and drop the pages in it, and the store is
 * asked again.
 *
 * That notification waits for replies to WRITE and READ, so a separate thread sends it, which also replies.
 * It needs no lock of the inode, which the kernel holds during LSEEK. Where the request occupies an entry of
 * a ring, only a few may wait; others are answered as if the rest of the file were data, which is always
 * allowed.
 */
#include "fuse/ops/ops.h"

#include "base/lock.h"
#include "base/pool.h"
#include "fuse/proto/interrupts.h"
#include "fuse/proto/notify.h"

#include <stdlib.h>
#include <unistd.h>

/* Threads for stores that may be away. Others have one: threads that are started later inherit the scheduling
 * class of a thread that serves a ring. */
#define REMOTE_THREADS 4u

#define FILE_END UINT64_MAX

struct fuse_seeker {
        struct pool *workers;
        struct lock lock; /* protects what follows */
        unsigned n_deferred;
        bool stopped;
};

/* The answer of the store: RESULT is 0 and AT the offset, or RESULT is an error. It is right unless the
 * kernel has dirty pages in [FROM, END). */
struct answer {
        int result;
        uint64_t at, from, end;
};

/* An LSEEK that is answered later. */
struct seek {
        struct pool_job job;
        struct fuse_req req;
        uint64_t ino, offset;
        int whence;
        struct answer first;
};

/* ---- answers ------------------------------------------------------------------------------------------- */

static struct answer failed(int result)
{
        return (struct answer){ .result = result };
}

static bool is_final(const struct answer *a)
{
        return a->end <= a->from;
}

/* The end of a hole that no data follows: of the file, unless only the kernel knows its size. */
static int last_end(const struct fuse_req *r, uint64_t ino, uint64_t *ret)
{
        struct fs_attr attr;
        int result;

        *ret = FILE_END;
        if (r->conn->opts.writeback_cache)
                return 0;
        result = fs_getattr(fuse_fs_of(r), ino, &attr);
        if (result >= 0)
                *ret = attr.size;
        return result;
}

static struct answer ask(const struct fuse_req *r, uint64_t ino, uint64_t offset, int whence)
{
        struct fs *fs = fuse_fs_of(r);
        struct answer a = { .from = offset };
        int result = a.result = fs_lseek(fs, ino, offset, whence, &a.at);

        if (result >= 0 && whence == SEEK_HOLE) {
                a.from = a.at;
                result = fs_lseek(fs, ino, a.at, SEEK_DATA, &a.end);
        } else if (result >= 0) {
                a.end = a.at;
        }
        if (result == -ENXIO)
                result = last_end(r, ino, &a.end);
        return result < 0 ? failed(result) : a;
}

static void reply(const struct fuse_req *r, const struct answer *a)
{
        if (a->result < 0)
                fuse_reply_err(r, a->result);
        else
                fuse_reply_offset(r, a->at);
}

/* Replies that all bytes from OFFSET, which is within the file, to its end are data. */
static void reply_data(const struct fuse_req *r, uint64_t ino, uint64_t offset, int whence)
{
        struct answer a = { .at = offset };
        struct fs_attr attr;

        if (whence == SEEK_HOLE) {
                a.result = fs_getattr(fuse_fs_of(r), ino, &attr);
                a.at = attr.size;
        }
        reply(r, &a);
}

/* ---- later answers ------------------------------------------------------------------------------------- */

/* Has the kernel write back and drop its pages in holes until the answer depends on none. */
static struct answer settle(const struct seek *s)
{
        struct answer a = s->first;
        uint64_t clean_from = 0, clean_end = 0;

        while (!is_final(&a) && (a.from < clean_from || a.end > clean_end)) {
                int result = fuse_notify_pages(s->req.conn, s->ino, a.from,
                                               a.end == FILE_END ? 0 : a.end - a.from);

                if (result < 0 && result != -ENOENT)
                        return failed(result);
                clean_from = a.from;
                clean_end = a.end;
                a = ask(&s->req, s->ino, s->offset, s->whence);
        }
        return a;
}

static struct answer settle_interruptibly(const struct seek *s)
{
        const struct fuse_conn *conn = s->req.conn;
        struct fuse_interruptible request;
        struct answer a;

        if (!conn->interrupts)
                return settle(s);
        fuse_interruptible_begin(conn->interrupts, &request, s->req.unique, conn->opts.timeout_ms);
        a = settle(s);
        fuse_interruptible_end(conn->interrupts, &request);
        return a;
}

static void run(struct pool_job *job)
{
        struct seek *s = (struct seek *)((char *)job - offsetof(struct seek, job));
        struct fuse_seeker *seeker = fuse_fs_conn_of(&s->req)->seeker;
        struct answer a = settle_interruptibly(s);

        lock_acquire(&seeker->lock);
        seeker->n_deferred--;
        lock_release(&seeker->lock);
        reply(&s->req, &a);
        free(s);
}

/* Takes S over: 0; or EAGAIN (it cannot wait), EIO (the end), ENOMEM. */
static int defer(struct fuse_seeker *seeker, const struct seek *s)
{
        unsigned max = s->req.channel->deferred_max;
        struct seek *copy;
        LOCK_GUARD(&seeker->lock);

        if (seeker->stopped)
                return -EIO;
        if (max != 0 && seeker->n_deferred >= max)
                return -EAGAIN;
        copy = malloc(sizeof(*copy));
        if (!copy)
                return -ENOMEM;
        *copy = *s;
        seeker->n_deferred++;
        pool_submit(seeker->workers, &copy->job);
        return 0;
}

void fuse_op_lseek(const struct fuse_req *r, uint64_t ino, uint64_t offset, int whence)
{
        struct seek s = { .job.fn = run, .req = *r, .ino = ino, .offset = offset, .whence = whence };
        int result;

        s.first = ask(r, ino, offset, whence);
        if (is_final(&s.first)) {
                reply(r, &s.first);
                return;
        }
        result = defer(fuse_fs_conn_of(r)->seeker, &s);
        if (result == -EAGAIN)
                reply_data(r, ino, offset, whence);
        else if (result < 0)
                fuse_reply_err(r, result);
}

/* ---- the threads --------------------------------------------------------------------------------------- */

int fuse_seeker_new(const struct fuse_opts *opts, struct fuse_seeker **ret)
{
        struct fuse_seeker *s = calloc(1, sizeof(*s));

        if (!s)
                return -ENOMEM;
        lock_init(&s->lock);
        s->workers = pool_new(opts->remote_store ? REMOTE_THREADS : 1);
        if (!s->workers) {
                fuse_seeker_free(s);
                return -ENOMEM;
        }
        *ret = s;
        return 0;
}

void fuse_seeker_stop(struct fuse_seeker *s)
{
        lock_acquire(&s->lock);
        s->stopped = true;
        lock_release(&s->lock);
        pool_free(s->workers);
        s->workers = NULL;
}

void fuse_seeker_free(struct fuse_seeker *s)
{
        if (!s)
                return;
        fuse_seeker_stop(s);
        lock_destroy(&s->lock);
        free(s);
}
