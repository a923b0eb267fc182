/* SPDX-License-Identifier: MIT */
/* Taking privileges away, as Linux' file_remove_privs does. */
#include "fs/inode/inode.h"

#define CAPABILITY "security.capability"

bool fs_priv_kill_mode(uint32_t *mode)
{
        uint32_t kill = *mode & S_ISUID;

        if (*mode & S_IXGRP)
                kill |= *mode & S_ISGID;
        *mode &= ~kill;
        return kill != 0;
}

void fs_priv_start(struct kv_txn *t, struct fs_priv_read *r, uint64_t ino)
{
        fmt_key_xattr(&r->key, ino, slice_str(CAPABILITY));
        kv_get_start(t, &r->read, fmt_slice(&r->key), 0);
}

int fs_priv_wait_clear(struct kv_txn *t, struct fs_priv_read *r)
{
        struct slice value;
        int q = kv_get_wait(t, &r->read, &value);

        if (q == 0)
                q = kv_clear(t, fmt_slice(&r->key));
        else if (q == -ENOENT)
                return 0;
        return q < 0 ? q : 1;
}
