/* SPDX-License-Identifier: MIT */
/* The life of what buffers: its bounds, and the timer. */
#include "fs/writeback/internal.h"

#include "base/log.h"
#include "base/rng.h"
#include "base/thread.h"
#include "fs/session/session.h"

#include <stdlib.h>

#define INODE_BYTES (32u << 20)
#define TOTAL_BYTES (64u << 20)
#define THREADS     8u
#define AGE_MS      1000u

static void *timer_main(void *arg)
{
        struct writeback *g = arg;
        uint64_t age_ns = g->age_ms * UINT64_C(1000000);

        lock_acquire(&g->lock);
        while (!g->stop) {
                struct writeback_entry *e;
                struct timespec until;
                uint64_t now = writeback_now_ns(g);

                list_each(e, &g->all, link)
                        if (e->dirty_since_ns != 0 && now - e->dirty_since_ns >= age_ns)
                                writeback_kick(g, e);
                if (g->bytes == 0) {
                        lock_wait(&g->lock, &g->tick);
                        continue;
                }
                until = thread_deadline(age_ns / 4);
                lock_wait_until(&g->lock, &g->tick, &until);
        }
        lock_release(&g->lock);
        return NULL;
}

size_t fs_writeback_bytes(struct fs *fs)
{
        struct writeback *g = fs->writeback;
        size_t bytes;

        lock_acquire(&g->lock);
        bytes = g->bytes;
        lock_release(&g->lock);
        return bytes;
}

static void writeback_free(struct writeback *g)
{
        pool_free(g->workers);
        writeback_entries_free(g);
        pthread_cond_destroy(&g->tick);
        lock_destroy(&g->lock);
        free(g);
}

int fs_writeback_start(struct fs *fs, const struct fs_writeback_opts *opts)
{
        static const uint8_t none[FMT_PID_SIZE];
        struct writeback *g = calloc(1, sizeof(*g));
        int r;

        if (!g)
                return -ENOMEM;
        g->fs = fs;
        g->inode_bytes = opts->inode_bytes ? opts->inode_bytes : INODE_BYTES;
        g->total_bytes = opts->total_bytes ? opts->total_bytes : TOTAL_BYTES;
        g->age_ms = opts->age_ms ? opts->age_ms : AGE_MS;
        g->block_bytes = sizeof(struct dirty_block) + fs->block_size;
        memcpy(g->pid, fs->session ? fs_session_pid(fs->session) : opts->pid, sizeof(g->pid));
        if (memcmp(g->pid, none, sizeof(none)) == 0) {
                rng_system(g->pid, sizeof(g->pid));
                g->pid[0] &= 0xf; /* never 'l' */
        }
        lock_init(&g->lock);
        list_init(&g->all);
        thread_cond_init(&g->tick);
        g->workers = pool_new(opts->threads ? opts->threads : THREADS);
        r = g->workers ? thread_start(&g->timer, timer_main, g) : -ENOMEM;
        if (r < 0) {
                writeback_free(g);
                return r;
        }
        fs->writeback = g;
        return 0;
}

int fs_writeback_stop(struct fs *fs)
{
        struct writeback *g = fs->writeback;
        int r;

        if (!g)
                return 0;
        r = fs_writeback_flush_all(fs);
        lock_acquire(&g->lock);
        g->stop = true;
        pthread_cond_signal(&g->tick);
        lock_release(&g->lock);
        pthread_join(g->timer, NULL);
        fs->writeback = NULL;
        writeback_free(g);
        return r;
}
