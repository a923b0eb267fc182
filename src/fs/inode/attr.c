/* SPDX-License-Identifier: MIT */
/* Attributes as stat(2) shows them. */
#include "fs/inode/inode.h"

/* st_blksize: a size of requests that is efficient with every block size. A power of two, which programs
 * expect. */
#define BLKSIZE 65536u

static void record_attr(uint64_t ino, const struct fmt_inode *rec, struct fs_attr *ret)
{
        *ret = (struct fs_attr){
                .ino = ino,
                .mode = rec->mode,
                .nlink = rec->nlink,
                .uid = rec->uid,
                .gid = rec->gid,
                .rdev = rec->rdev,
                .size = rec->size,
                /* Negative while a part of it is under FMT_ATTR_BLOCKS. */
                .blocks = rec->allocated > INT64_MAX ? 0 : rec->allocated / 512,
                .blksize = BLKSIZE,
                .atime = rec->atime,
                .mtime = rec->mtime,
                .ctime = rec->ctime,
                .btime = rec->btime,
        };
}

void fs_attr_fill_new(uint64_t ino, const struct fmt_inode *rec, struct fs_attr *ret)
{
        record_attr(ino, rec, ret);
        if (S_ISDIR(rec->mode))
                ret->nlink = 2;
}

void fs_attr_fill(const struct rec_inode *inode, struct fs_attr *ret)
{
        record_attr(inode->ino, &inode->rec, ret);
        if (S_ISDIR(inode->rec.mode) && inode->rec.nlink > 0)
                ret->nlink = 2 + inode->subdirs;
}
