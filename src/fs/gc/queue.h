/* SPDX-License-Identifier: MIT */
/* The collector's state: its queue (queue.c), which its thread empties (thread.c). Private to gc. */
#ifndef FS_GC_QUEUE_H
#define FS_GC_QUEUE_H

#include "base/lock.h"
#include "base/waitlist.h"
#include "fs/gc/gc.h"

/* This many queued inodes are collected at once, without waiting for more. */
#define GC_MANY 1024u

struct fs_gc {
        struct fs *fs;
        pthread_t thread;
        _Atomic uint64_t generation;
        /* Only of shared mounts. OTHERS: when the session table was last read, another mount was registered,
         * which may use unlinked inodes. LEFT: some were left alone for that reason. */
        atomic_bool others, left;

        struct lock lock; /* protects what follows */
        pthread_cond_t wake;
        uint64_t *queue;
        size_t count, capacity;
        bool scan; /* collect all that 'g' lists: at the start, and after the queue could not grow */
        bool stop;
        bool busy; /* a pass is under way */
        uint64_t passes;
        struct waitlist pass_done; /* after each pass */
        unsigned waiters;          /* threads that wait for a pass */
        struct timespec looked;    /* when the table of sessions was last read */
};

/* Whether fs_gc_stop was called. */
bool gc_stopping(struct fs_gc *c);

#endif
