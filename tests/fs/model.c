/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <assert.h>
#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#define NAME_MAX_BYTES 255u

/* ---- verdicts ----------------------------------------------------------------------------------- */

static void blame(struct model_verdict *v, bool applies, int err)
{
        if (applies)
                v->err[v->n++] = err;
}

bool model_allows(const struct model_verdict *v, int err)
{
        for (int i = 0; i < v->n; i++)
                if (v->err[i] == err)
                        return true;
        return v->n == 0 && err == 0;
}

static bool is_dir(const struct model_inode *inode)
{
        return inode && S_ISDIR(inode->mode);
}

/* Adds the errors that every lookup of NAME in DIR may give. */
static void blame_place(struct model_verdict *v, const struct model_inode *dir, const char *name)
{
        blame(v, !is_dir(dir), ENOTDIR);
        blame(v, strlen(name) > NAME_MAX_BYTES, ENAMETOOLONG);
        blame(v, is_dir(dir) && dir->nlink == 0, ENOENT);
}

struct model_verdict model_may_lookup(const struct model_inode *dir, const char *name)
{
        struct model_verdict v = { 0 };

        blame_place(&v, dir, name);
        if (v.n == 0)
                blame(&v, !model_find(dir, name), ENOENT);
        return v;
}

struct model_verdict model_may_create(const struct model_inode *dir, const char *name)
{
        struct model_verdict v = { 0 };

        blame_place(&v, dir, name);
        if (v.n == 0)
                blame(&v, model_find(dir, name), EEXIST);
        return v;
}

struct model_verdict model_may_link(const struct model_inode *inode, const struct model_inode *dir,
                                    const char *name)
{
        struct model_verdict v = model_may_create(dir, name);

        blame(&v, is_dir(inode), EPERM);
        blame(&v, inode->nlink == 0, ENOENT);
        return v;
}

struct model_verdict model_may_unlink(const struct model_inode *dir, const char *name)
{
        struct model_verdict v = model_may_lookup(dir, name);

        if (v.n == 0)
                blame(&v, is_dir(model_find(dir, name)), EISDIR);
        return v;
}

struct model_verdict model_may_rmdir(const struct model_inode *dir, const char *name)
{
        struct model_verdict v = model_may_lookup(dir, name);
        struct model_inode *inode;

        if (v.n > 0)
                return v;
        inode = model_find(dir, name);
        blame(&v, !is_dir(inode), ENOTDIR);
        blame(&v, is_dir(inode) && inode->n_entries > 0, ENOTEMPTY);
        return v;
}

/* Returns whether INODE is ABOVE or below ABOVE. */
static bool is_within(const struct model_inode *inode, const struct model_inode *above)
{
        while (inode != above && inode->parent != inode)
                inode = inode->parent;
        return inode == above;
}

struct model_verdict model_may_rename(const struct model_inode *dir, const char *name,
                                      const struct model_inode *new_dir, const char *new_name, unsigned flags)
{
        struct model_verdict v = { 0 };
        const struct model_inode *from, *to;
        bool exchange = flags & RENAME_EXCHANGE;

        blame_place(&v, dir, name);
        blame_place(&v, new_dir, new_name);
        blame(&v, exchange && flags & RENAME_NOREPLACE, EINVAL);
        from = is_dir(dir) ? model_find(dir, name) : NULL;
        to = is_dir(new_dir) ? model_find(new_dir, new_name) : NULL;
        blame(&v, is_dir(dir) && !from, ENOENT);
        blame(&v, is_dir(new_dir) && exchange && !to, ENOENT);
        if (v.n > 0)
                return v;
        blame(&v, flags & RENAME_NOREPLACE && to, EEXIST);
        blame(&v, is_dir(from) && is_within(new_dir, from), EINVAL);
        blame(&v, exchange && is_dir(to) && is_within(dir, to), EINVAL);
        if (!to || exchange || from == to)
                return v;
        blame(&v, is_dir(from) && !is_dir(to), ENOTDIR);
        blame(&v, !is_dir(from) && is_dir(to), EISDIR);
        blame(&v, is_dir(to) && to->n_entries > 0, ENOTEMPTY);
        return v;
}

struct model_verdict model_may_access_data(const struct model_inode *inode)
{
        struct model_verdict v = { 0 };

        blame(&v, is_dir(inode), EISDIR);
        blame(&v, !S_ISREG(inode->mode), EINVAL);
        return v;
}

struct model_verdict model_may_setxattr(struct model_inode *inode, const char *name, int flags)
{
        struct model_verdict v = { 0 };
        bool exists = model_find_xattr(inode, name);

        blame(&v, flags & XATTR_CREATE && exists, EEXIST);
        blame(&v, flags & XATTR_REPLACE && !exists, ENODATA);
        return v;
}

/* ---- entries ------------------------------------------------------------------------------------ */

/* Returns the index of NAME, or the one where it would be inserted. */
static size_t entry_place(const struct model_inode *dir, const char *name)
{
        size_t i = 0;

        while (i < dir->n_entries && strcmp(dir->entries[i].name, name) < 0)
                i++;
        return i;
}

struct model_inode *model_find(const struct model_inode *dir, const char *name)
{
        size_t i = entry_place(dir, name);

        return i < dir->n_entries && strcmp(dir->entries[i].name, name) == 0 ? dir->entries[i].inode : NULL;
}

static void entry_add(struct model_inode *dir, const char *name, struct model_inode *inode)
{
        size_t i = entry_place(dir, name);

        assert(dir->n_entries < MODEL_NAMES);
        memmove(&dir->entries[i + 1], &dir->entries[i], (dir->n_entries - i) * sizeof(dir->entries[0]));
        strcpy(dir->entries[i].name, name);
        dir->entries[i].inode = inode;
        dir->n_entries++;
        if (is_dir(inode)) {
                inode->parent = dir;
                dir->n_subdirs++;
        }
}

static struct model_inode *entry_remove(struct model_inode *dir, const char *name)
{
        size_t i = entry_place(dir, name);
        struct model_inode *inode = dir->entries[i].inode;

        assert(i < dir->n_entries);
        dir->n_entries--;
        memmove(&dir->entries[i], &dir->entries[i + 1], (dir->n_entries - i) * sizeof(dir->entries[0]));
        if (is_dir(inode))
                dir->n_subdirs--;
        return inode;
}

static void dir_changed(const struct model *m, struct model_inode *dir)
{
        dir->mtime = dir->ctime = m->now;
}

/* ---- life --------------------------------------------------------------------------------------- */

static struct model_inode *inode_new(struct model *m, uint64_t ino, uint32_t mode)
{
        struct model_inode *inode = calloc(1, sizeof(*inode));

        assert(inode && m->n_inodes < MODEL_INODES);
        inode->ino = ino;
        inode->mode = mode;
        inode->nlink = 1;
        inode->atime = inode->mtime = inode->ctime = inode->btime = m->now;
        inode->entries = calloc(MODEL_NAMES, sizeof(inode->entries[0]));
        assert(inode->entries);
        m->inodes[m->n_inodes++] = inode;
        return inode;
}

static void inode_free(struct model_inode *inode)
{
        for (size_t i = 0; i < inode->n_xattrs; i++)
                free(inode->xattrs[i].value);
        free(inode->entries);
        free(inode->data);
        free(inode);
}

static void drop_if_unused(struct model *m, struct model_inode *inode)
{
        size_t i = 0;

        if (inode->nlink > 0 || inode->refs > 0)
                return;
        while (m->inodes[i] != inode)
                i++;
        m->inodes[i] = m->inodes[--m->n_inodes];
        inode_free(inode);
}

void model_init(struct model *m, uint64_t root_ino, struct timespec now)
{
        *m = (struct model){ .now = now };
        inode_new(m, root_ino, S_IFDIR | 0755)->parent = m->inodes[0];
}

void model_free(struct model *m)
{
        for (size_t i = 0; i < m->n_inodes; i++)
                inode_free(m->inodes[i]);
}

void model_forget(struct model *m, struct model_inode *inode, uint64_t n)
{
        assert(inode->refs >= n);
        inode->refs -= n;
        drop_if_unused(m, inode);
}

void model_forget_all(struct model *m)
{
        for (size_t i = m->n_inodes; i-- > 0;)
                model_forget(m, m->inodes[i], m->inodes[i]->refs);
}

/* ---- names -------------------------------------------------------------------------------------- */

struct model_inode *model_create(struct model *m, struct model_inode *dir, const char *name, uint64_t ino,
                                 uint32_t mode, uint32_t uid, uint32_t gid, uint64_t rdev)
{
        struct model_inode *inode = inode_new(m, ino, mode);

        inode->uid = uid;
        inode->gid = gid;
        inode->rdev = rdev;
        inode->refs = 1;
        if (dir->mode & S_ISGID) {
                inode->gid = dir->gid;
                if (S_ISDIR(mode))
                        inode->mode |= S_ISGID;
        }
        entry_add(dir, name, inode);
        dir_changed(m, dir);
        return inode;
}

void model_set_target(struct model_inode *inode, const char *target)
{
        inode->size = strlen(target);
        inode->data = (uint8_t *)strdup(target);
}

void model_link(struct model *m, struct model_inode *inode, struct model_inode *dir, const char *name)
{
        inode->nlink++;
        inode->refs++;
        inode->ctime = m->now;
        entry_add(dir, name, inode);
        dir_changed(m, dir);
}

static void lose_link(struct model *m, struct model_inode *inode)
{
        inode->nlink--;
        inode->ctime = m->now;
        drop_if_unused(m, inode);
}

void model_unlink(struct model *m, struct model_inode *dir, const char *name)
{
        lose_link(m, entry_remove(dir, name));
        dir_changed(m, dir);
}

void model_rmdir(struct model *m, struct model_inode *dir, const char *name)
{
        model_unlink(m, dir, name);
}

void model_rename(struct model *m, struct model_inode *dir, const char *name, struct model_inode *new_dir,
                  const char *new_name, unsigned flags)
{
        struct model_inode *from = model_find(dir, name), *to = model_find(new_dir, new_name);

        if (from == to)
                return;
        entry_remove(dir, name);
        if (to)
                entry_remove(new_dir, new_name);
        entry_add(new_dir, new_name, from);
        from->ctime = m->now;
        if (flags & RENAME_EXCHANGE) {
                entry_add(dir, name, to);
                to->ctime = m->now;
        } else if (to) {
                lose_link(m, to);
        }
        dir_changed(m, dir);
        dir_changed(m, new_dir);
}

/* ---- data --------------------------------------------------------------------------------------- */

static void resize(struct model_inode *inode, size_t size)
{
        inode->data = realloc(inode->data, size + 1);
        assert(inode->data);
        if (size > inode->size)
                memset(inode->data + inode->size, 0, size - inode->size);
        inode->size = size;
}

void model_write(struct model *m, struct model_inode *inode, uint64_t offset, const void *data, size_t len)
{
        if (len == 0)
                return;
        if (offset + len > inode->size)
                resize(inode, offset + len);
        memcpy(inode->data + offset, data, len);
        inode->mtime = inode->ctime = m->now;
}

void model_truncate(struct model *m, struct model_inode *inode, uint64_t size)
{
        resize(inode, size);
        inode->mtime = inode->ctime = m->now;
}

void model_zero(struct model_inode *inode, uint64_t offset, uint64_t len, bool keep_size)
{
        if (offset + len > inode->size && !keep_size)
                resize(inode, offset + len);
        if (offset >= inode->size)
                return;
        memset(inode->data + offset, 0, len < inode->size - offset ? len : inode->size - offset);
}

void model_chown(struct model *m, struct model_inode *inode, uint32_t uid, uint32_t gid)
{
        inode->uid = uid;
        inode->gid = gid;
        if (!is_dir(inode))
                inode->mode &= ~(uint32_t)(S_ISUID | (inode->mode & S_IXGRP ? S_ISGID : 0));
        inode->ctime = m->now;
}

/* ---- extended attributes ------------------------------------------------------------------------ */

struct model_xattr *model_find_xattr(struct model_inode *inode, const char *name)
{
        for (size_t i = 0; i < inode->n_xattrs; i++)
                if (strcmp(inode->xattrs[i].name, name) == 0)
                        return &inode->xattrs[i];
        return NULL;
}

void model_setxattr(struct model *m, struct model_inode *inode, const char *name, const void *value,
                    size_t len)
{
        struct model_xattr *x = model_find_xattr(inode, name);

        if (!x) {
                size_t i = inode->n_xattrs++;

                assert(i < MODEL_NAMES);
                for (; i > 0 && strcmp(inode->xattrs[i - 1].name, name) > 0; i--)
                        inode->xattrs[i] = inode->xattrs[i - 1];
                x = &inode->xattrs[i];
                strcpy(x->name, name);
                x->value = NULL;
        }
        x->value = realloc(x->value, len + 1);
        assert(x->value);
        memcpy(x->value, value, len);
        x->len = len;
        inode->ctime = m->now;
}

void model_removexattr(struct model *m, struct model_inode *inode, const char *name)
{
        struct model_xattr *x = model_find_xattr(inode, name);

        free(x->value);
        inode->n_xattrs--;
        memmove(x, x + 1, (size_t)(&inode->xattrs[inode->n_xattrs] - x) * sizeof(*x));
        inode->ctime = m->now;
}
