/* SPDX-License-Identifier: MIT */
/* Bytes: streams, random access, appends, fsync. The time includes writing to the disk. */
#include "bench.h"

#include "base/rng.h"

#include <fcntl.h>
#include <unistd.h>

enum { BLOCK = 4096, RECORD = 100 };

static const char data_file[] = "data";

static int open_data(struct pass *p, int flags)
{
        for (unsigned i = 0; i < p->threads; i++) {
                struct worker *w = &p->workers[i];

                if (w->fd >= 0)
                        close(w->fd);
                w->fd = openat(w->dir_fd, data_file, flags | O_CREAT | O_CLOEXEC, 0644);
                if (w->fd < 0)
                        return -errno;
        }
        return 0;
}

static void close_data(struct pass *p)
{
        for (unsigned i = 0; i < p->threads; i++) {
                close(p->workers[i].fd);
                p->workers[i].fd = -1;
        }
}

static int whole(ssize_t n, ssize_t want)
{
        return n == want ? 0 : n < 0 ? -errno : -EIO;
}

static int op_fsync(struct worker *w, uint64_t n)
{
        return fsync(w->fd) < 0 ? -errno : 0;
}

static int op_stream_write(struct worker *w, uint64_t i)
{
        return whole(pwrite(w->fd, work_source(), WORK_BUFFER, (off_t)i * WORK_BUFFER), WORK_BUFFER);
}

static int op_stream_read(struct worker *w, uint64_t i)
{
        return whole(pread(w->fd, work_sink(w->index), WORK_BUFFER, (off_t)i * WORK_BUFFER), WORK_BUFFER);
}

static off_t random_offset(struct worker *w)
{
        uint64_t blocks = (uint64_t)w->pass->b->sizes.random_mib * WORK_BUFFER / w->pass->threads / BLOCK;
        struct rng rng;

        /* A separate generator for each step: the workers share nothing. */
        rng_seed(&rng, w->random++);
        return (off_t)(rng_below(&rng, blocks) * BLOCK);
}

static int op_random_write(struct worker *w, uint64_t i)
{
        return whole(pwrite(w->fd, work_source() + i % 256 * BLOCK, BLOCK, random_offset(w)), BLOCK);
}

static int op_random_read(struct worker *w, uint64_t i)
{
        return whole(pread(w->fd, work_sink(w->index), BLOCK, random_offset(w)), BLOCK);
}

static int op_append(struct worker *w, uint64_t i)
{
        return whole(write(w->fd, work_source() + i % 10000 * RECORD, RECORD), RECORD);
}

static int op_write_fsync(struct worker *w, uint64_t i)
{
        int r = whole(pwrite(w->fd, work_source() + i % 256 * BLOCK, BLOCK, (off_t)i * BLOCK), BLOCK);

        return r < 0 ? r : op_fsync(w, i);
}

static int read_all(int fd)
{
        ssize_t n;

        do
                n = read(fd, work_sink(0), WORK_BUFFER);
        while (n > 0);
        return n < 0 ? -errno : 0;
}

/* Reads cold (if possible) and then warm. The file is opened anew: an open file is in use and stays in
 * memory. */
static int read_twice(struct pass *p, enum row_id cold, enum row_id warm, uint64_t total, double amount,
                      worker_op op)
{
        int r = 0;

        close_data(p);
        if (p->b->can_drop && pass_wants(p, cold)) {
                r = target_make_cold(p->t, p->dir_fd);
                if (r == 0)
                        r = open_data(p, O_RDONLY);
                if (r == 0)
                        r = pass_measure(p, cold, total, amount, op, NULL);
        }
        if (r == 0)
                r = open_data(p, O_RDONLY);
        for (unsigned i = 0; i < p->threads && r == 0; i++)
                r = read_all(p->workers[i].fd);
        return r < 0 ? r : pass_measure(p, warm, total, amount, op, NULL);
}

int group_stream(struct pass *p)
{
        uint64_t mib = p->b->sizes.stream_mib;
        struct cost cost;
        int r = open_data(p, O_WRONLY);

        if (r == 0)
                r = pass_run(p, mib, op_stream_write, op_fsync, &cost);
        if (r < 0)
                return r;
        pass_record(p, ROW_SEQ_WRITE, (double)mib, cost);
        return read_twice(p, ROW_SEQ_READ_COLD, ROW_SEQ_READ_WARM, mib, (double)mib, op_stream_read);
}

int group_random(struct pass *p)
{
        uint64_t ops = p->b->sizes.random_ops;
        struct cost cost;
        int r = open_data(p, O_RDWR);

        if (r == 0)
                r = pass_run(p, p->b->sizes.random_mib, op_stream_write, op_fsync, &cost);
        if (r == 0)
                r = target_settle(p->t);
        if (r == 0)
                r = pass_measure(p, ROW_RANDOM_WRITE, ops, (double)ops, op_random_write, op_fsync);
        return r < 0 ? r
                     : read_twice(p, ROW_RANDOM_READ_COLD, ROW_RANDOM_READ_WARM, ops, (double)ops,
                                  op_random_read);
}

int group_append(struct pass *p)
{
        uint64_t n = p->b->sizes.appends;
        int r = open_data(p, O_WRONLY | O_APPEND);

        return r < 0 ? r : pass_measure(p, ROW_APPEND, n, (double)n, op_append, op_fsync);
}

int group_fsync(struct pass *p)
{
        uint64_t n = p->b->sizes.fsyncs;
        int r = open_data(p, O_WRONLY);

        /* The time that one caller waits, for any number of callers. */
        return r < 0 ? r : pass_measure(p, ROW_FSYNC, n, (double)n / p->threads, op_write_fsync, NULL);
}
