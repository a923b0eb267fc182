/* SPDX-License-Identifier: MIT */
/* The collector's state: its queue (gc.c), and the thread that empties it (collect.c). Private to gc. */
#ifndef FS_GC_QUEUE_H
#define FS_GC_QUEUE_H

#include "fs/gc/gc.h"

#include <pthread.h>
#include <stdatomic.h>

/* So many inodes are worth beginning at once. */
#define FS_GC_MANY 1024u

struct fs_gc {
        struct fs *fs;
        pthread_t thread;
        _Atomic uint64_t generation;
        /* Another mount was registered when last looked, so that unlinked inodes are left alone; and there
         * are some. Only of shared mounts. */
        atomic_bool others, left;

        pthread_mutex_t lock; /* protects what follows */
        pthread_cond_t wake;
        uint64_t *queue;
        size_t count, capacity;
        bool scan; /* look under 'g': at the start, and after the queue could not grow */
        bool stop;
        pthread_cond_t settled; /* after each pass */
        uint64_t passes;
        unsigned hurried;       /* threads that wait for a pass */
        struct timespec looked; /* whether other mounts have gone, when */
        bool busy;
};

#endif
