/* SPDX-License-Identifier: MIT */
/* Extended attributes: a key each, beside the inode's record. */
#include "record/xattr.h"
#include "fs/inode/inode.h"
#include "fs/run.h"
#include "record/inode.h"

#include <sys/xattr.h>

/* The longest result of listxattr(2): the kernel's XATTR_LIST_MAX. */
#define LIST_MAX 65536u

static int check_name(struct slice name)
{
        if (name.len == 0 || name.len > FMT_NAME_MAX)
                return -ERANGE;
        return memchr(name.data, '\0', name.len) ? -EINVAL : 0;
}

/* ---- set and remove ----------------------------------------------------------------------------- */

struct change {
        struct fs *fs;
        uint64_t ino;
        struct slice name, value;
        int flags;
        bool remove;
        struct timespec now;
};

static int change_body(struct kv_txn *t, void *arg)
{
        struct change *c = arg;
        struct rec_inode_read inode_read;
        struct rec_xattr_read xattr_read;
        struct rec_inode inode;
        struct slice former;
        bool exists;
        int r;

        rec_inode_start(t, &inode_read, c->ino, REC_INODE_RECORD, 0);
        rec_xattr_start(t, &xattr_read, c->ino, c->name, 0);
        r = rec_inode_wait(t, &inode_read, &inode);
        if (r < 0)
                return r;
        r = rec_xattr_wait(t, &xattr_read, &former);
        if (r < 0 && r != -ENOENT)
                return r;
        exists = r == 0;
        if (exists && (c->flags & XATTR_CREATE))
                return -EEXIST;
        if (!exists && (c->remove || (c->flags & XATTR_REPLACE)))
                return -ENODATA;

        r = c->remove ? rec_xattr_clear(t, c->ino, c->name) : rec_xattr_set(t, c->ino, c->name, c->value);
        if (r < 0)
                return r;
        inode.rec.ctime = c->now;
        return rec_inode_store(t, &inode, 0);
}

int fs_setxattr(struct fs *fs, uint64_t ino, struct slice name, struct slice value, int flags)
{
        struct change c = {
                .fs = fs, .ino = ino, .name = name, .value = value, .flags = flags, .now = fs_now(fs)
        };
        int r = check_name(name);

        if (r < 0)
                return r;
        if (flags & ~(XATTR_CREATE | XATTR_REPLACE))
                return -EINVAL;
        if (value.len > FMT_XATTR_MAX)
                return -E2BIG;
        r = fs_run_write(fs, 0, change_body, &c);
        return r < 0 ? r : 0;
}

int fs_removexattr(struct fs *fs, uint64_t ino, struct slice name)
{
        struct change c = { .fs = fs, .ino = ino, .name = name, .remove = true, .now = fs_now(fs) };
        int r = check_name(name);

        if (r < 0)
                return r;
        r = fs_run_write(fs, KV_RESERVE, change_body, &c);
        return r < 0 ? r : 0;
}

/* ---- get ---------------------------------------------------------------------------------------- */

struct get {
        struct fs *fs;
        uint64_t ino;
        struct slice name;
        void *buf;
        size_t cap;
};

static int get_body(struct kv_txn *t, void *arg)
{
        struct get *g = arg;
        struct rec_inode_read inode_read;
        struct rec_xattr_read xattr_read;
        struct rec_inode inode;
        struct slice value;
        int r;

        /* Only an absent attribute needs the inode, but most attributes that are asked for are absent
         * (security.capability, with each first write): both reads start at once. */
        rec_inode_start(t, &inode_read, g->ino, REC_INODE_RECORD, KV_SNAPSHOT);
        rec_xattr_start(t, &xattr_read, g->ino, g->name, KV_SNAPSHOT);
        r = rec_xattr_wait(t, &xattr_read, &value);
        if (r == -ENOENT) {
                r = rec_inode_wait(t, &inode_read, &inode);
                return r < 0 ? r : -ENODATA;
        }
        if (r < 0)
                return r;
        if (value.len > FMT_XATTR_MAX)
                return -ERR_CORRUPT;
        if (g->cap > 0) {
                if (value.len > g->cap)
                        return -ERANGE;
                memcpy(g->buf, value.data, value.len);
        }
        return (int)value.len;
}

int fs_getxattr(struct fs *fs, uint64_t ino, struct slice name, void *buf, size_t cap)
{
        struct get g = { .fs = fs, .ino = ino, .name = name, .buf = buf, .cap = cap };
        int r = check_name(name);

        return r < 0 ? r : fs_run_read(fs, get_body, &g);
}

/* ---- list --------------------------------------------------------------------------------------- */

struct list {
        struct fs *fs;
        uint64_t ino;
        char *buf;
        size_t cap, len;
};

/* Appends NAME and its zero byte. */
static int list_one(struct list *l, struct slice name)
{
        if (name.len + 1 > LIST_MAX - l->len)
                return -E2BIG;
        if (l->cap > 0) {
                if (name.len + 1 > l->cap - l->len)
                        return -ERANGE;
                memcpy(l->buf + l->len, name.data, name.len);
                l->buf[l->len + name.len] = '\0';
        }
        l->len += name.len + 1;
        return 0;
}

static int list_body(struct kv_txn *t, void *arg)
{
        struct list *l = arg;
        _cleanup_xattrs_ struct rec_xattrs names;
        struct rec_inode_read inode_read;
        struct rec_inode inode;
        struct slice name;
        int r;

        l->len = 0;
        rec_inode_start(t, &inode_read, l->ino, REC_INODE_RECORD, KV_SNAPSHOT);
        rec_xattrs_start(t, &names, l->ino);
        while ((r = rec_xattrs_next(&names, &name)) > 0) {
                r = list_one(l, name);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        r = rec_inode_wait(t, &inode_read, &inode);
        return r < 0 ? r : (int)l->len;
}

int fs_listxattr(struct fs *fs, uint64_t ino, char *buf, size_t cap)
{
        struct list l = { .fs = fs, .ino = ino, .buf = buf, .cap = cap };

        return fs_run_read(fs, list_body, &l);
}
