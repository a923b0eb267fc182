/* SPDX-License-Identifier: MIT */
/* The collector's thread: schedules passes and chooses their inodes. */
#include "base/thread.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "fs/gc/clear.h"
#include "fs/run.h"
#include "record/walk.h"

#define DELAY_MS 50u /* from the first queued inode to a pass, so that a few inodes share its transactions */
#define RETRY_MS 1000u /* after an error of the store */
#define LEFT_S   5     /* between two reads of the session table, if inodes were left to other mounts */
#define SCAN_S   30    /* otherwise */

/* ---- passes ------------------------------------------------------------------------------------- */

/* Reads the next inodes of a walk over 'g' into INOS, leaving out damaged keys; returns their number, 0 at
 * the end. */
static int next_inos(struct rec_walk *walk, uint64_t inos[GC_GROUP])
{
        struct slice key, value;
        int r = 0, n = 0;

        while (n < (int)GC_GROUP && (r = rec_walk_next(walk, &key, &value)) > 0) {
                struct fmt_parsed_key parsed;

                if (fmt_key_parse(key, &parsed) >= 0)
                        inos[n++] = parsed.ino;
        }
        return r < 0 ? r : n;
}

/* Collects all that 'g' lists. */
static int collect_all(struct fs_gc *c, bool at_unmount)
{
        _cleanup_walk_ struct rec_walk walk = { .chunk = NULL };
        uint64_t inos[GC_GROUP];
        struct fmt_key begin, end;
        int r, n;

        if (fs_is_fenced(c->fs))
                return -ERR_FENCED;
        rec_part_keys(REC_PART_GARBAGE, &begin, &end);
        r = rec_walk_start(&walk, c->fs->store, NULL, fmt_slice(&begin), fmt_slice(&end));
        if (r < 0)
                return r;
        do {
                n = next_inos(&walk, inos);
                if (n < 0)
                        return fs_check_fence(c->fs, n);
                if (n == 0)
                        return 0;
                r = gc_clear(c, inos, (unsigned)n, at_unmount);
                if (r < 0)
                        return r;
        } while (at_unmount || !gc_stopping(c));
        return 0;
}

/* The work of a pass. */
struct work {
        uint64_t *inos;
        size_t count, capacity;
        bool scan;
};

static int collect(struct fs_gc *c, const struct work *w)
{
        int r = w->scan ? collect_all(c, false) : 0;

        for (size_t done = 0; r >= 0 && done < w->count && !gc_stopping(c); done += GC_GROUP) {
                size_t left = w->count - done;

                r = gc_clear(c, w->inos + done, left < GC_GROUP ? (unsigned)left : GC_GROUP, false);
        }
        return r;
}

/* ---- waiting ------------------------------------------------------------------------------------ */

/* Waits for MS, unless many inodes are queued or a thread waits for a pass. */
static void delay_locked(struct fs_gc *c, unsigned ms)
{
        struct timespec until = thread_deadline(ms * UINT64_C(1000000));

        lock_assert_held(&c->lock);
        while (!c->stop && c->count < GC_MANY && c->waiters == 0 &&
               lock_wait_until(&c->lock, &c->wake, &until))
                ;
}

static int only_mount_body(struct kv_txn *t, void *arg)
{
        return gc_is_only_mount(arg, t);
}

/* Reads the session table, with the lock released. */
static bool read_sessions_locked(struct fs_gc *c)
{
        bool only;

        lock_assert_held(&c->lock);
        lock_release(&c->lock);
        only = fs_run_read(c->fs, only_mount_body, c->fs) > 0;
        atomic_store(&c->others, !only);
        lock_acquire(&c->lock);
        clock_gettime(CLOCK_MONOTONIC, &c->looked);
        return only;
}

/* Waits until something is queued, or until all that 'g' lists should be looked at: in a shared mount from
 * time to time, because other mounts unlink, too. */
static void wait_for_work_locked(struct fs_gc *c)
{
        struct timespec until = c->looked;

        lock_assert_held(&c->lock);
        if (!c->fs->shared) {
                lock_wait(&c->lock, &c->wake);
                return;
        }
        if (!atomic_load(&c->left) || atomic_load(&c->others)) {
                until.tv_sec += atomic_load(&c->left) ? LEFT_S : SCAN_S;
                if (lock_wait_until(&c->lock, &c->wake, &until) || !read_sessions_locked(c))
                        return;
        }
        atomic_store(&c->left, false);
        c->scan = true;
}

/* ---- the thread --------------------------------------------------------------------------------- */

/* Waits for work and until the file system is writable, and takes the work; the queue gets the array of the
 * work before. False: the thread ends. */
static bool begin_pass(struct fs_gc *c, struct work *w)
{
        struct work next;

        LOCK_GUARD(&c->lock);
        while (!c->stop && ((c->count == 0 && !c->scan) || c->fs->rdonly)) {
                wait_for_work_locked(c);
                if (c->count > 0 && !c->scan)
                        delay_locked(c, DELAY_MS);
        }
        if (c->stop)
                return false;
        next = (struct work){ c->queue, c->count, c->capacity, c->scan };
        c->queue = w->inos;
        c->capacity = w->capacity;
        c->count = 0;
        c->scan = false;
        c->busy = true;
        *w = next;
        return true;
}

/* R: the result. After an error a scan finds all that is still to be done. */
static void end_pass(struct fs_gc *c, int r)
{
        LOCK_GUARD(&c->lock);
        c->busy = false;
        c->passes++;
        waitlist_wake_all(&c->pass_done);
        if (r >= 0)
                return;
        c->scan = true;
        c->count = 0;
        delay_locked(c, RETRY_MS);
}

static void *collector_main(void *arg)
{
        struct fs_gc *c = arg;
        struct work work = { .inos = NULL };
        bool failing = false;

        while (begin_pass(c, &work)) {
                int r = collect(c, &work);

                if (r < 0 && r != -EROFS && !failing && !fs_is_fenced(c->fs))
                        log_warning("unlinked files wait to be collected: %s", err_str(r));
                failing = r < 0;
                end_pass(c, r);
        }
        free(work.inos);
        return NULL;
}

void fs_gc_free(struct fs_gc *c)
{
        if (!c)
                return;
        pthread_cond_destroy(&c->wake);
        lock_destroy(&c->lock);
        free(c->queue);
        free(c);
}

int fs_gc_start(struct fs *fs)
{
        struct fs_gc *c = calloc(1, sizeof(*c));
        int r;

        if (!c)
                return -ENOMEM;
        c->fs = fs;
        c->scan = true;
        clock_gettime(CLOCK_MONOTONIC, &c->looked);
        lock_init(&c->lock);
        thread_cond_init(&c->wake);
        fs->gc = c;
        r = thread_start(&c->thread, collector_main, c);
        if (r < 0) {
                fs->gc = NULL;
                fs_gc_free(c);
        }
        return r;
}

static void request_stop(struct fs_gc *c)
{
        LOCK_GUARD(&c->lock);
        c->stop = true;
        pthread_cond_signal(&c->wake);
        waitlist_wake_all(&c->pass_done);
}

void fs_gc_stop(struct fs *fs)
{
        struct fs_gc *c = fs->gc;
        int r;

        request_stop(c);
        pthread_join(c->thread, NULL);
        r = fs_is_fenced(fs) || fs->rdonly ? 0 : collect_all(c, true);
        if (r < 0)
                log_warning("unlinked files are left to be collected by the next mount: %s", err_str(r));
}
