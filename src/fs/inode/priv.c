/* SPDX-License-Identifier: MIT */
/* Removing privileges, as Linux' file_remove_privs does. */
#include "fs/inode/inode.h"

#define CAPABILITY "security.capability"

bool fs_priv_kill_mode(uint32_t *mode, enum fs_priv_kill why)
{
        uint32_t kill = *mode & S_ISUID;

        /* Without execution for the group the bit once meant mandatory locking, and an owner keeps it. */
        if (why == FS_PRIV_WRITE || (*mode & S_IXGRP))
                kill |= *mode & S_ISGID;
        *mode &= ~kill;
        return kill != 0;
}

void fs_priv_start(struct kv_txn *t, struct fs_priv_read *r, uint64_t ino)
{
        r->ino = ino;
        rec_xattr_start(t, &r->xattr, ino, slice_str(CAPABILITY), 0);
}

int fs_priv_wait_clear(struct kv_txn *t, struct fs_priv_read *r)
{
        struct slice value;
        int q = rec_xattr_wait(t, &r->xattr, &value);

        if (q < 0)
                return q == -ENOENT ? 0 : q;
        q = rec_xattr_clear(t, r->ino, slice_str(CAPABILITY));
        return q < 0 ? q : 1;
}
