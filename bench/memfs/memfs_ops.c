/* SPDX-License-Identifier: MIT */
#include "memfs_ops.h"

#include <assert.h>
#include <errno.h>
#include <linux/fs.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>

static struct mem_inode *inode_in(struct fuse_conn *conn, uint64_t ino)
{
        struct memfs *m = (struct memfs *)conn;

        return ino == FUSE_ROOT_ID ? m->root : (struct mem_inode *)(uintptr_t)ino;
}

static struct mem_inode *inode_of(const struct fuse_req *r, uint64_t ino)
{
        return inode_in(r->conn, ino);
}

/* Names of requests end with a zero byte. */
static const char *str(struct slice s)
{
        return (const char *)s.data;
}

static void touch(struct mem_inode *i)
{
        i->st.st_mtim = i->st.st_ctim = mem_now();
}

static struct fs_attr attr_of(const struct stat *st)
{
        return (struct fs_attr){
                .ino = st->st_ino,
                .mode = st->st_mode,
                .nlink = (uint32_t)st->st_nlink,
                .uid = st->st_uid,
                .gid = st->st_gid,
                .rdev = st->st_rdev,
                .size = (uint64_t)st->st_size,
                .blocks = (uint64_t)st->st_blocks,
                .blksize = (uint32_t)st->st_blksize,
                .atime = st->st_atim,
                .mtime = st->st_mtim,
                .ctime = st->st_ctim,
        };
}

/* Returns the attributes for a reply with an entry, and takes the reference that the kernel gets by it. */
static struct fs_attr entry_of(struct mem_inode *i)
{
        struct fs_attr a;

        mem_inode_ref(i);
        pthread_rwlock_rdlock(&i->lock);
        a = attr_of(&i->st);
        pthread_rwlock_unlock(&i->lock);
        return a;
}

static void op_lookup(const struct fuse_req *r, uint64_t parent, struct slice name)
{
        struct mem_inode *dir = inode_of(r, parent);
        struct mem_entry *found;
        struct fs_attr a;

        pthread_rwlock_rdlock(&dir->lock);
        found = mem_dir_find(&dir->dir, str(name));
        if (found)
                a = entry_of(found->inode);
        pthread_rwlock_unlock(&dir->lock);
        if (found)
                fuse_reply_entry(r, &a);
        else
                fuse_reply_no_entry(r);
}

static void op_forget(struct fuse_conn *conn, uint64_t ino, uint64_t n)
{
        mem_inode_unref(inode_in(conn, ino), n);
}

static void op_getattr(const struct fuse_req *r, uint64_t ino)
{
        struct mem_inode *i = inode_of(r, ino);
        struct fs_attr a;

        pthread_rwlock_rdlock(&i->lock);
        a = attr_of(&i->st);
        pthread_rwlock_unlock(&i->lock);
        fuse_reply_attr(r, &a);
}

static void set_times(struct mem_inode *i, const struct fs_setattr *s)
{
        if (s->set & (FS_SET_ATIME | FS_SET_ATIME_NOW))
                i->st.st_atim = s->set & FS_SET_ATIME_NOW ? mem_now() : s->atime;
        if (s->set & (FS_SET_MTIME | FS_SET_MTIME_NOW))
                i->st.st_mtim = s->set & FS_SET_MTIME_NOW ? mem_now() : s->mtime;
        i->st.st_ctim = s->set & FS_SET_CTIME ? s->ctime : mem_now();
}

static void set_size(struct mem_inode *i, uint64_t size)
{
        if (size < (uint64_t)i->st.st_size)
                mem_data_truncate(&i->data, size);
        i->st.st_size = (off_t)size;
        i->st.st_blocks = (blkcnt_t)((size + 511) / 512);
        touch(i);
}

static void op_setattr(const struct fuse_req *r, uint64_t ino, const struct fs_setattr *s)
{
        struct mem_inode *i = inode_of(r, ino);
        struct fs_attr now;

        if ((s->set & FS_SET_SIZE) && s->size > MEM_FILE_MAX) {
                fuse_reply_err(r, -EFBIG);
                return;
        }
        pthread_rwlock_wrlock(&i->lock);
        if (s->set & FS_SET_MODE)
                i->st.st_mode = (i->st.st_mode & S_IFMT) | s->mode;
        if (s->set & FS_SET_UID)
                i->st.st_uid = s->uid;
        if (s->set & FS_SET_GID)
                i->st.st_gid = s->gid;
        if (s->set & FS_SET_SIZE)
                set_size(i, s->size);
        set_times(i, s);
        now = attr_of(&i->st);
        pthread_rwlock_unlock(&i->lock);
        fuse_reply_attr(r, &now);
}

static void op_readlink(const struct fuse_req *r, uint64_t ino)
{
        const char *target = inode_of(r, ino)->target; /* never changes */

        fuse_reply_data(r, target, strlen(target));
}

/* ---- names ---------------------------------------------------------------------------------------- */

/* Adds a name for the inode. Takes over the caller's reference, also on an error. */
static int add_name(struct mem_inode *dir, const char *name, struct mem_inode *i)
{
        bool is_dir = S_ISDIR(i->type);
        int r;

        pthread_rwlock_wrlock(&dir->lock);
        r = mem_dir_find(&dir->dir, name) ? -EEXIST : mem_dir_add(&dir->dir, name, i);
        if (r == 0) {
                if (is_dir) {
                        i->parent = dir;
                        dir->st.st_nlink++;
                }
                touch(dir);
        }
        pthread_rwlock_unlock(&dir->lock);
        if (r < 0)
                mem_inode_unref(i, 1);
        return r;
}

/* Creates an inode with a name. TARGET: of a symlink, else NULL. */
static int make(const struct fuse_req *r, uint64_t parent, struct slice name, mode_t mode, dev_t rdev,
                const char *target, struct fs_attr *ret)
{
        struct mem_inode *dir = inode_of(r, parent), *i;
        bool setgid = dir->st.st_mode & S_ISGID;
        struct fs_attr a;
        int result;

        if (setgid && S_ISDIR(mode))
                mode |= S_ISGID;
        i = mem_inode_new(mode, r->cred.uid, setgid ? dir->st.st_gid : r->cred.gid, rdev);
        if (!i)
                return -ENOMEM;
        if (target) {
                i->target = strdup(target);
                if (!i->target) {
                        mem_inode_unref(i, 1);
                        return -ENOMEM;
                }
                i->st.st_size = (off_t)strlen(target);
        }
        a = entry_of(i); /* before another thread can remove it */
        result = add_name(dir, str(name), i);
        if (result < 0) {
                mem_inode_unref(i, 1);
                return result;
        }
        *ret = a;
        return 0;
}

static void reply_made(const struct fuse_req *r, int result, const struct fs_attr *a)
{
        if (result < 0)
                fuse_reply_err(r, result);
        else
                fuse_reply_entry(r, a);
}

static void op_mknod(const struct fuse_req *r, uint64_t parent, struct slice name, uint32_t mode,
                     uint64_t rdev)
{
        struct fs_attr a;
        int result = make(r, parent, name, mode, rdev, NULL, &a);

        reply_made(r, result, &a);
}

static void op_mkdir(const struct fuse_req *r, uint64_t parent, struct slice name, uint32_t mode)
{
        struct fs_attr a;
        int result = make(r, parent, name, S_IFDIR | (mode & ~(mode_t)S_IFMT), 0, NULL, &a);

        reply_made(r, result, &a);
}

static void op_symlink(const struct fuse_req *r, uint64_t parent, struct slice name, struct slice target)
{
        struct fs_attr a;
        int result = make(r, parent, name, S_IFLNK | 0777, 0, str(target), &a);

        reply_made(r, result, &a);
}

static void op_create(const struct fuse_req *r, uint64_t parent, struct slice name, uint32_t mode)
{
        struct fs_attr a;
        int result = make(r, parent, name, S_IFREG | (mode & ~(mode_t)S_IFMT), 0, NULL, &a);

        if (result < 0)
                fuse_reply_err(r, result);
        else
                fuse_reply_created(r, &a, 0);
}

static void op_link(const struct fuse_req *r, uint64_t ino, uint64_t parent, struct slice name)
{
        struct mem_inode *i = inode_of(r, ino);
        struct fs_attr a;
        int result;

        mem_inode_ref(i); /* for the new entry */
        result = add_name(inode_of(r, parent), str(name), i);
        if (result < 0) {
                fuse_reply_err(r, result);
                return;
        }
        pthread_rwlock_wrlock(&i->lock);
        i->st.st_nlink++;
        i->st.st_ctim = mem_now();
        pthread_rwlock_unlock(&i->lock);
        a = entry_of(i);
        fuse_reply_entry(r, &a);
}

/* Removes a name; DIR is locked for writing. Passes the entry's reference to the caller, which drops it after
 * unlocking. */
static struct mem_inode *remove_name_locked(struct mem_inode *dir, struct mem_entry *e)
{
        struct mem_inode *i = e->inode;

        mem_dir_remove(&dir->dir, e);
        pthread_rwlock_wrlock(&i->lock);
        if (S_ISDIR(i->type)) {
                i->st.st_nlink = 0;
                i->parent = NULL;
                dir->st.st_nlink--;
        } else {
                i->st.st_nlink--;
        }
        i->st.st_ctim = mem_now();
        pthread_rwlock_unlock(&i->lock);
        touch(dir);
        return i;
}

static bool is_full_dir(const struct mem_inode *i)
{
        return S_ISDIR(i->type) && i->dir.n_entries > 0;
}

/* UNLINK and RMDIR. The kernel has checked the type of the inode. */
static void op_remove(const struct fuse_req *r, uint64_t parent, struct slice name)
{
        struct mem_inode *dir = inode_of(r, parent), *gone = NULL;
        struct mem_entry *e;
        int result = 0;

        pthread_rwlock_wrlock(&dir->lock);
        e = mem_dir_find(&dir->dir, str(name));
        if (!e)
                result = -ENOENT;
        else if (is_full_dir(e->inode))
                result = -ENOTEMPTY;
        else
                gone = remove_name_locked(dir, e);
        pthread_rwlock_unlock(&dir->lock);
        if (gone)
                mem_inode_unref(gone, 1);
        fuse_reply_result(r, result);
}

static void lock_two(struct mem_inode *a, struct mem_inode *b)
{
        pthread_rwlock_wrlock(a < b ? &a->lock : &b->lock);
        if (a != b)
                pthread_rwlock_wrlock(a < b ? &b->lock : &a->lock);
}

static void unlock_two(struct mem_inode *a, struct mem_inode *b)
{
        pthread_rwlock_unlock(&a->lock);
        if (a != b)
                pthread_rwlock_unlock(&b->lock);
}

/* The ".." of a directory counts in nlink of its parent. */
static void set_parent(struct mem_inode *i, struct mem_inode *from, struct mem_inode *to)
{
        if (!S_ISDIR(i->type) || from == to)
                return;
        pthread_rwlock_wrlock(&i->lock);
        i->parent = to;
        pthread_rwlock_unlock(&i->lock);
        from->st.st_nlink--;
        to->st.st_nlink++;
}

static int exchange(struct mem_inode *from, struct mem_entry *a, struct mem_inode *to, struct mem_entry *b)
{
        struct mem_inode *moved = a->inode;

        mem_entry_set(a, b->inode);
        mem_entry_set(b, moved);
        set_parent(b->inode, from, to);
        set_parent(a->inode, to, from);
        touch(from);
        touch(to);
        return 0;
}

static int move(struct mem_inode *from, struct mem_entry *e, struct mem_inode *to, const char *new_name,
                struct mem_entry *target, struct mem_inode **ret_gone)
{
        struct mem_inode *moved = e->inode;
        int r;

        if (target && target->inode == moved)
                return 0; /* two names of one file */
        if (target && is_full_dir(target->inode))
                return -ENOTEMPTY;
        if (target)
                *ret_gone = remove_name_locked(to, target);
        r = mem_dir_add(&to->dir, new_name, moved);
        if (r < 0)
                return r;
        mem_dir_remove(&from->dir, e);
        set_parent(moved, from, to);
        touch(from);
        touch(to);
        return 0;
}

static void op_rename(const struct fuse_req *r, uint64_t parent, struct slice name, uint64_t new_parent,
                      struct slice new_name, unsigned flags)
{
        struct mem_inode *from = inode_of(r, parent), *to = inode_of(r, new_parent), *gone = NULL;
        struct mem_entry *e, *target;
        int result;

        lock_two(from, to);
        e = mem_dir_find(&from->dir, str(name));
        target = mem_dir_find(&to->dir, str(new_name));
        if (!e || (!target && (flags & RENAME_EXCHANGE)))
                result = -ENOENT;
        else if (target && (flags & RENAME_NOREPLACE))
                result = -EEXIST;
        else if (flags & RENAME_EXCHANGE)
                result = exchange(from, e, to, target);
        else
                result = move(from, e, to, str(new_name), target, &gone);
        unlock_two(from, to);
        if (gone)
                mem_inode_unref(gone, 1);
        fuse_reply_result(r, result);
}

/* ---- data ----------------------------------------------------------------------------------------- */

static void op_read(const struct fuse_req *r, uint64_t ino, uint64_t offset, size_t size)
{
        struct mem_inode *i = inode_of(r, ino);
        struct iovec iov[MEM_READ_IOV_MAX];
        int n = 0;

        pthread_rwlock_rdlock(&i->lock);
        if (offset < (uint64_t)i->st.st_size) {
                uint64_t left = (uint64_t)i->st.st_size - offset;

                n = mem_data_map(&i->data, offset, size < left ? size : left, iov);
        }
        fuse_reply_iov(r, iov, n); /* before unlocking: the reply is copied from the blocks */
        pthread_rwlock_unlock(&i->lock);
}

static void op_write(const struct fuse_req *r, uint64_t ino, uint64_t offset, struct slice data, bool cached,
                     bool kill_priv)
{
        struct mem_inode *i = inode_of(r, ino);
        int result;

        pthread_rwlock_wrlock(&i->lock);
        result = mem_data_write(&i->data, offset, data.data, data.len);
        if (result == 0) {
                off_t end = (off_t)(offset + data.len);

                if (end > i->st.st_size) {
                        i->st.st_size = end;
                        i->st.st_blocks = (end + 511) / 512;
                }
                if (!cached)
                        touch(i); /* else the kernel owns the times */
        }
        pthread_rwlock_unlock(&i->lock);
        if (result < 0)
                fuse_reply_err(r, result);
        else
                fuse_reply_written(r, data.len);
}

static void op_sync(const struct fuse_req *r, uint64_t ino)
{
        fuse_reply_result(r, 0);
}

/* ---- reading directories -------------------------------------------------------------------------- */

/* One READDIR or READDIRPLUS reply being filled. */
struct filling {
        const struct fuse_req *req;
        char *buf;
        size_t size, used;
        bool plus;
};

/* Adds an entry. READDIRPLUS: with the attributes of I and a reference, unless I is NULL ("." and "..").
 * False: it does not fit. */
static bool fill(struct filling *f, const char *name, ino_t ino, mode_t type, struct mem_inode *i,
                 uint64_t position)
{
        size_t left = f->size - f->used, used;
        struct slice s = slice_str(name);

        if (!f->plus) {
                used = fuse_put_dirent(f->buf + f->used, left, s, ino, type, position);
        } else {
                struct fs_attr a;

                if (i)
                        a = entry_of(i);
                used = fuse_put_direntplus(f->req->conn, f->buf + f->used, left, s, ino, type, position,
                                           i ? &a : NULL);
                if (i && used == 0)
                        mem_inode_unref(i, 1);
        }
        f->used += used;
        return used > 0;
}

static void fill_from(struct filling *f, struct mem_inode *dir, uint64_t position)
{
        const struct mem_inode *parent = dir->parent ? dir->parent : dir;
        const struct mem_dir *d = &dir->dir;

        if (position < MEM_POSITION_DOT && !fill(f, ".", dir->st.st_ino, S_IFDIR, NULL, MEM_POSITION_DOT))
                return;
        if (position < MEM_POSITION_DOTDOT &&
            !fill(f, "..", parent->st.st_ino, S_IFDIR, NULL, MEM_POSITION_DOTDOT))
                return;
        for (size_t k = mem_dir_seek(d, position); k < d->n_slots; k++) {
                const struct mem_entry *e = d->slots[k].entry;

                if (e && !fill(f, e->name, e->ino, e->type, e->inode, d->slots[k].position))
                        return;
        }
}

static void op_readdir(const struct fuse_req *r, uint64_t ino, uint64_t position, size_t size, bool plus)
{
        struct mem_inode *dir = inode_of(r, ino);
        struct filling f = { .req = r, .size = size, .plus = plus, .buf = malloc(size) };

        if (!f.buf) {
                fuse_reply_err(r, -ENOMEM);
                return;
        }
        pthread_rwlock_rdlock(&dir->lock);
        fill_from(&f, dir, position);
        pthread_rwlock_unlock(&dir->lock);
        fuse_reply_data(r, f.buf, f.used);
        free(f.buf);
}

/* ---- operations ----------------------------------------------------------------------------------- */

static void op_statfs(const struct fuse_req *r)
{
        const struct fs_statfs s = {
                .block_size = MEM_BLOCK,
                .blocks = 1 << 24,
                .blocks_free = 1 << 24,
                .inodes = 1 << 30,
                .inodes_free = 1 << 30,
        };

        fuse_reply_statfs(r, &s);
}

/* Not ENOSYS, after which the kernel would stop asking: the cost must be that of ashlar, which has
 * attributes. */
static void op_getxattr(const struct fuse_req *r, uint64_t ino, struct slice name, size_t size)
{
        fuse_reply_err(r, -ENODATA);
}

static void op_listxattr(const struct fuse_req *r, uint64_t ino, size_t size)
{
        if (size == 0)
                fuse_reply_xattr_size(r, 0);
        else
                fuse_reply_result(r, 0);
}

static void op_setxattr(const struct fuse_req *r, uint64_t ino, struct slice name, struct slice value,
                        int flags)
{
        fuse_reply_err(r, -EOPNOTSUPP);
}

const struct fuse_ops memfs_ops = {
        .lookup = op_lookup,
        .forget = op_forget,
        .getattr = op_getattr,
        .setattr = op_setattr,
        .readlink = op_readlink,
        .mknod = op_mknod,
        .mkdir = op_mkdir,
        .unlink = op_remove,
        .rmdir = op_remove,
        .symlink = op_symlink,
        .rename = op_rename,
        .link = op_link,
        .read = op_read,
        .write = op_write,
        .sync = op_sync,
        .readdir = op_readdir,
        .statfs = op_statfs,
        .setxattr = op_setxattr,
        .getxattr = op_getxattr,
        .listxattr = op_listxattr,
        .create = op_create,
};
