/* SPDX-License-Identifier: MIT */
/* Starting and stopping the cache, and the timer that flushes by age. */
#include "fs/writeback/cache.h"
#include "fs/writeback/entry.h"
#include "fs/writeback/flush.h"

#include "base/rng.h"
#include "base/thread.h"
#include "fs/session/session.h"

#define INODE_BYTES (32u << 20)
#define TOTAL_BYTES (64u << 20)
#define THREADS     8u
#define AGE_MS      1000u

static void request_aged_locked(struct writeback *wb, uint64_t age_ns)
{
        uint64_t now = writeback_now_ns(wb);
        struct writeback_entry *e;

        lock_assert_held(&wb->lock);
        list_each(e, &wb->entries, link)
                if (e->dirty_since_ns != 0 && now - e->dirty_since_ns >= age_ns)
                        flush_request_locked(e);
}

static void *timer_main(void *arg)
{
        struct writeback *wb = arg;
        uint64_t age_ns = wb->age_ms * UINT64_C(1000000);

        LOCK_GUARD(&wb->lock);
        while (!wb->stop) {
                struct timespec until;

                request_aged_locked(wb, age_ns);
                if (wb->bytes == 0) {
                        lock_wait(&wb->lock, &wb->tick);
                        continue;
                }
                until = thread_deadline(age_ns / 4);
                lock_wait_until(&wb->lock, &wb->tick, &until);
        }
        return NULL;
}

size_t fs_writeback_bytes(struct fs *fs)
{
        LOCK_GUARD(&fs->writeback->lock);
        return fs->writeback->bytes;
}

static void writeback_free(struct writeback *wb)
{
        pool_free(wb->workers);
        entries_free(wb);
        pthread_cond_destroy(&wb->tick);
        lock_destroy(&wb->lock);
        free(wb);
}

/* The id that intent records name: the session's, the options', or a random one. */
static void choose_pid(struct writeback *wb, const struct fs_session *session, const uint8_t *pid)
{
        static const uint8_t none[FMT_PID_SIZE];

        memcpy(wb->pid, session ? fs_session_pid(session) : pid, sizeof(wb->pid));
        if (memcmp(wb->pid, none, sizeof(none)) != 0)
                return;
        rng_system(wb->pid, sizeof(wb->pid));
        wb->pid[0] &= 0xf; /* never 'l' */
}

int fs_writeback_start(struct fs *fs, const struct fs_writeback_opts *opts)
{
        struct writeback *wb = calloc(1, sizeof(*wb));
        int r;

        if (!wb)
                return -ENOMEM;
        wb->fs = fs;
        wb->inode_bytes = opts->inode_bytes ? opts->inode_bytes : INODE_BYTES;
        wb->total_bytes = opts->total_bytes ? opts->total_bytes : TOTAL_BYTES;
        wb->age_ms = opts->age_ms ? opts->age_ms : AGE_MS;
        wb->block_bytes = sizeof(struct dirty_block) + fs->block_size;
        choose_pid(wb, fs->session, opts->pid);
        lock_init(&wb->lock);
        list_init(&wb->entries);
        thread_cond_init(&wb->tick);
        wb->workers = pool_new(opts->threads ? opts->threads : THREADS);
        r = wb->workers ? thread_start(&wb->timer, timer_main, wb) : -ENOMEM;
        if (r < 0) {
                writeback_free(wb);
                return r;
        }
        fs->writeback = wb;
        return 0;
}

int fs_writeback_stop(struct fs *fs)
{
        struct writeback *wb = fs->writeback;
        int r;

        if (!wb)
                return 0;
        r = fs_writeback_flush_all(fs);
        lock_acquire(&wb->lock);
        wb->stop = true;
        pthread_cond_signal(&wb->tick);
        lock_release(&wb->lock);
        pthread_join(wb->timer, NULL);
        fs->writeback = NULL;
        writeback_free(wb);
        return r;
}
