/* SPDX-License-Identifier: MIT */
#include "fs/gc/queue.h"

#include "base/array.h"
#include "fs/inode/inode.h"

uint64_t fs_gc_generation(const struct fs *fs)
{
        return fs->gc ? atomic_load(&fs->gc->generation) : 0;
}

bool gc_stopping(struct fs_gc *c)
{
        LOCK_GUARD(&c->lock);
        return c->stop;
}

void fs_gc_add(struct fs *fs, uint64_t ino)
{
        struct fs_gc *c = fs->gc;

        if (!c)
                return;
        LOCK_GUARD(&c->lock);
        if (array_reserve(&c->queue, &c->capacity, c->count + 1) >= 0)
                c->queue[c->count++] = ino;
        else
                c->scan = true; /* no memory: a scan of 'g' finds it */
        if (c->count == 1 || c->count == GC_MANY || c->scan)
                pthread_cond_signal(&c->wake);
}

void fs_gc_orphan(struct fs *fs, uint64_t ino)
{
        struct fs_gc *c = fs->gc;

        if (!c || !atomic_load(&c->others)) {
                fs_gc_add(fs, ino);
        } else if (!atomic_exchange(&c->left, true)) {
                LOCK_GUARD(&c->lock);
                pthread_cond_signal(&c->wake);
        }
}

void fs_gc_unlinked(struct fs *fs, uint64_t ino)
{
        if (!fs_inuse_orphan(fs->inuse, ino))
                fs_gc_orphan(fs, ino);
}

int fs_gc_remounted(struct fs *fs)
{
        struct fs_gc *c = fs->gc;
        int r = 0;

        if (!c)
                return 0;
        LOCK_GUARD(&c->lock);
        pthread_cond_signal(&c->wake);
        waitlist_wake_all(&c->pass_done);
        while (r >= 0 && fs->rdonly && c->busy)
                r = waitlist_wait(&c->pass_done, &c->lock);
        return r;
}

void fs_gc_drain(struct fs *fs)
{
        struct fs_gc *c = fs->gc;
        uint64_t last;

        if (!c)
                return;
        LOCK_GUARD(&c->lock);
        /* Other mounts unlink, too, and what was left because of them may be collected once they are gone. */
        c->scan |= fs->shared;
        /* The pass under way may have begun without what was added since. */
        last = c->passes + 2;
        c->waiters++;
        pthread_cond_signal(&c->wake);
        while (!c->stop && !fs->rdonly && (c->count > 0 || c->scan || c->busy) && c->passes < last)
                if (waitlist_wait(&c->pass_done, &c->lock) < 0)
                        break;
        c->waiters--;
}
