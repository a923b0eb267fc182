/* SPDX-License-Identifier: MIT */
#include "memfs.h"

#include <stdlib.h>
#include <time.h>

struct timespec mem_now(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_REALTIME_COARSE, &ts);
        return ts;
}

struct mem_inode *mem_inode_new(mode_t mode, uid_t uid, gid_t gid, dev_t rdev)
{
        struct mem_inode *i = calloc(1, sizeof(*i));

        if (!i)
                return NULL;
        pthread_rwlock_init(&i->lock, NULL);
        atomic_init(&i->refs, 1);
        i->type = mode & S_IFMT;
        i->st = (struct stat){
                .st_ino = (uintptr_t)i, /* the kernel's node id */
                .st_mode = mode,
                .st_nlink = S_ISDIR(mode) ? 2 : 1,
                .st_uid = uid,
                .st_gid = gid,
                .st_rdev = rdev,
                .st_blksize = MEM_BLOCK,
        };
        i->st.st_atim = i->st.st_mtim = i->st.st_ctim = mem_now();
        if (S_ISDIR(mode))
                mem_dir_init(&i->dir);
        return i;
}

void mem_inode_ref(struct mem_inode *i)
{
        atomic_fetch_add_explicit(&i->refs, 1, memory_order_relaxed);
}

void mem_inode_unref(struct mem_inode *i, uint64_t n)
{
        if (atomic_fetch_sub_explicit(&i->refs, n, memory_order_acq_rel) != n)
                return;
        if (S_ISDIR(i->type))
                mem_dir_destroy(&i->dir);
        else if (S_ISREG(i->type))
                mem_data_truncate(&i->data, 0);
        else if (S_ISLNK(i->type))
                free(i->target);
        pthread_rwlock_destroy(&i->lock);
        free(i);
}
