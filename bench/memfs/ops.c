#include "ops.h"

#include <assert.h>
#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>

#define FOREVER_S 1e9 /* nothing changes behind the kernel's back */

static struct mem_inode *inode_of(fuse_req_t req, fuse_ino_t ino)
{
        struct memfs *m = fuse_req_userdata(req);

        return ino == FUSE_ROOT_ID ? m->root : (struct mem_inode *)(uintptr_t)ino;
}

static void touch(struct mem_inode *i)
{
        i->st.st_mtim = i->st.st_ctim = mem_now();
}

/* The entry for a reply; takes the reference that the kernel gets with it. */
static struct fuse_entry_param entry_of(struct mem_inode *i)
{
        struct fuse_entry_param e = {
                .ino = (uintptr_t)i, .attr_timeout = FOREVER_S, .entry_timeout = FOREVER_S,
        };

        mem_inode_ref(i);
        pthread_rwlock_rdlock(&i->lock);
        e.attr = i->st;
        pthread_rwlock_unlock(&i->lock);
        return e;
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
        struct memfs *m = userdata;
        unsigned want = FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO | FUSE_CAP_READDIRPLUS |
                        FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_EXPLICIT_INVAL_DATA |
                        (m->writeback ? FUSE_CAP_WRITEBACK_CACHE : 0);

        /* Not ATOMIC_O_TRUNC: no OPEN is sent that could carry it. */
        conn->want = want & conn->capable;
        conn->max_write = 1 << 20;
        conn->max_readahead = 2 << 20;
        conn->max_background = 64;
        conn->congestion_threshold = 48;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
        struct mem_inode *dir = inode_of(req, parent);
        struct fuse_entry_param e = { .entry_timeout = FOREVER_S };
        struct mem_entry *found;

        pthread_rwlock_rdlock(&dir->lock);
        found = mem_dir_find(&dir->dir, name);
        if (found)
                e = entry_of(found->inode);
        pthread_rwlock_unlock(&dir->lock);
        fuse_reply_entry(req, &e); /* of node 0: a negative entry */
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
        mem_inode_unref(inode_of(req, ino), n);
        fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
        for (size_t k = 0; k < count; k++)
                mem_inode_unref(inode_of(req, forgets[k].ino), forgets[k].nlookup);
        fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
        struct mem_inode *i = inode_of(req, ino);
        struct stat st;

        pthread_rwlock_rdlock(&i->lock);
        st = i->st;
        pthread_rwlock_unlock(&i->lock);
        fuse_reply_attr(req, &st, FOREVER_S);
}

static void set_times(struct mem_inode *i, const struct stat *st, int set)
{
        if (set & FUSE_SET_ATTR_ATIME)
                i->st.st_atim = set & FUSE_SET_ATTR_ATIME_NOW ? mem_now() : st->st_atim;
        if (set & FUSE_SET_ATTR_MTIME)
                i->st.st_mtim = set & FUSE_SET_ATTR_MTIME_NOW ? mem_now() : st->st_mtim;
        i->st.st_ctim = set & FUSE_SET_ATTR_CTIME ? st->st_ctim : mem_now();
}

static void set_size(struct mem_inode *i, uint64_t size)
{
        if (size < (uint64_t)i->st.st_size)
                mem_data_truncate(&i->data, size);
        i->st.st_size = (off_t)size;
        i->st.st_blocks = (blkcnt_t)((size + 511) / 512);
        touch(i);
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int set, struct fuse_file_info *fi)
{
        struct mem_inode *i = inode_of(req, ino);
        struct stat now;

        if ((set & FUSE_SET_ATTR_SIZE) && st->st_size > MEM_FILE_MAX) {
                fuse_reply_err(req, EFBIG);
                return;
        }
        pthread_rwlock_wrlock(&i->lock);
        if (set & FUSE_SET_ATTR_MODE)
                i->st.st_mode = (i->st.st_mode & S_IFMT) | (st->st_mode & ~S_IFMT);
        if (set & FUSE_SET_ATTR_UID)
                i->st.st_uid = st->st_uid;
        if (set & FUSE_SET_ATTR_GID)
                i->st.st_gid = st->st_gid;
        if (set & FUSE_SET_ATTR_SIZE)
                set_size(i, (uint64_t)st->st_size);
        set_times(i, st, set);
        now = i->st;
        pthread_rwlock_unlock(&i->lock);
        fuse_reply_attr(req, &now, FOREVER_S);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
        fuse_reply_readlink(req, inode_of(req, ino)->target); /* never changes */
}

/* ---- names ---------------------------------------------------------------------------------------- */

/* Gives the new inode its name; takes over the caller's reference in any case. */
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

/* Makes an inode of TYPE with a name. TARGET only for symlinks. */
static int make(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev,
                const char *target, struct fuse_entry_param *ret)
{
        const struct fuse_ctx *ctx = fuse_req_ctx(req);
        struct mem_inode *dir = inode_of(req, parent), *i;
        bool setgid = dir->st.st_mode & S_ISGID;
        struct fuse_entry_param e;
        int r;

        if (setgid && S_ISDIR(mode))
                mode |= S_ISGID;
        i = mem_inode_new(mode, ctx->uid, setgid ? dir->st.st_gid : ctx->gid, rdev);
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
        e = entry_of(i); /* now, while nobody else can take it away */
        r = add_name(dir, name, i);
        if (r < 0) {
                mem_inode_unref(i, 1);
                return r;
        }
        *ret = e;
        return 0;
}

static void reply_made(fuse_req_t req, int r, const struct fuse_entry_param *e)
{
        if (r < 0)
                fuse_reply_err(req, -r);
        else
                fuse_reply_entry(req, e);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
        struct fuse_entry_param e;
        int r = make(req, parent, name, mode, rdev, NULL, &e);

        reply_made(req, r, &e);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
        struct fuse_entry_param e;
        int r = make(req, parent, name, S_IFDIR | (mode & ~S_IFMT), 0, NULL, &e);

        reply_made(req, r, &e);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
        struct fuse_entry_param e;
        int r = make(req, parent, name, S_IFLNK | 0777, 0, target, &e);

        reply_made(req, r, &e);
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *fi)
{
        struct fuse_entry_param e;
        int r = make(req, parent, name, S_IFREG | (mode & ~S_IFMT), 0, NULL, &e);

        fi->keep_cache = 1;
        if (r < 0)
                fuse_reply_err(req, -r);
        else
                fuse_reply_create(req, &e, fi);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
        struct mem_inode *i = inode_of(req, ino);
        struct fuse_entry_param e;
        int r;

        mem_inode_ref(i); /* the new entry's */
        r = add_name(inode_of(req, parent), name, i);
        if (r < 0) {
                fuse_reply_err(req, -r);
                return;
        }
        pthread_rwlock_wrlock(&i->lock);
        i->st.st_nlink++;
        i->st.st_ctim = mem_now();
        pthread_rwlock_unlock(&i->lock);
        e = entry_of(i);
        fuse_reply_entry(req, &e);
}

/* Takes a name away, with DIR locked; the entry's reference goes to the caller, who gives it back
 * unlocked. */
static struct mem_inode *drop_name(struct mem_inode *dir, struct mem_entry *e)
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

/* The kernel has checked that the name is (for RMDIR) or is not (for UNLINK) a directory. */
static void remove_name(fuse_req_t req, fuse_ino_t parent, const char *name)
{
        struct mem_inode *dir = inode_of(req, parent), *gone = NULL;
        struct mem_entry *e;
        int r = 0;

        pthread_rwlock_wrlock(&dir->lock);
        e = mem_dir_find(&dir->dir, name);
        if (!e)
                r = ENOENT;
        else if (is_full_dir(e->inode))
                r = ENOTEMPTY;
        else
                gone = drop_name(dir, e);
        pthread_rwlock_unlock(&dir->lock);
        if (gone)
                mem_inode_unref(gone, 1);
        fuse_reply_err(req, r);
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

/* A directory's ".." counts in the parent that it moved to. */
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
                *ret_gone = drop_name(to, target);
        r = mem_dir_add(&to->dir, new_name, moved);
        if (r < 0)
                return r;
        mem_dir_remove(&from->dir, e);
        set_parent(moved, from, to);
        touch(from);
        touch(to);
        return 0;
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                      const char *new_name, unsigned flags)
{
        struct mem_inode *from = inode_of(req, parent), *to = inode_of(req, new_parent), *gone = NULL;
        struct mem_entry *e, *target;
        int r;

        lock_two(from, to);
        e = mem_dir_find(&from->dir, name);
        target = mem_dir_find(&to->dir, new_name);
        if (!e || (!target && (flags & RENAME_EXCHANGE)))
                r = -ENOENT;
        else if (target && (flags & RENAME_NOREPLACE))
                r = -EEXIST;
        else if (flags & RENAME_EXCHANGE)
                r = exchange(from, e, to, target);
        else
                r = move(from, e, to, new_name, target, &gone);
        unlock_two(from, to);
        if (gone)
                mem_inode_unref(gone, 1);
        fuse_reply_err(req, -r);
}

/* ---- data ----------------------------------------------------------------------------------------- */

/* OPEN and OPENDIR: the kernel does not ask again. */
static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
        fuse_reply_err(req, ENOSYS);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
        struct mem_inode *i = inode_of(req, ino);
        struct iovec iov[MEM_READ_IOV_MAX];
        int n = 0;

        pthread_rwlock_rdlock(&i->lock);
        if (offset < i->st.st_size) {
                uint64_t left = (uint64_t)(i->st.st_size - offset);

                n = mem_data_map(&i->data, (uint64_t)offset, size < left ? size : left, iov);
        }
        fuse_reply_iov(req, iov, n); /* under the lock: straight from the blocks */
        pthread_rwlock_unlock(&i->lock);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t offset,
                     struct fuse_file_info *fi)
{
        struct mem_inode *i = inode_of(req, ino);
        int r;

        pthread_rwlock_wrlock(&i->lock);
        r = mem_data_write(&i->data, (uint64_t)offset, buf, size);
        if (r == 0) {
                off_t end = offset + (off_t)size;

                if (end > i->st.st_size) {
                        i->st.st_size = end;
                        i->st.st_blocks = (end + 511) / 512;
                }
                if (!fi->writepage)
                        touch(i); /* else the kernel keeps the times */
        }
        pthread_rwlock_unlock(&i->lock);
        if (r < 0)
                fuse_reply_err(req, -r);
        else
                fuse_reply_write(req, size);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
        fuse_reply_err(req, 0);
}

/* ---- reading directories -------------------------------------------------------------------------- */

/* One READDIR or READDIRPLUS reply being filled. */
struct filling {
        fuse_req_t req;
        char *buf;
        size_t size, used;
        bool plus;
};

/* The entry NAME; with I (NULL: for "." and "..") it carries attributes if the kernel wants them, and
 * then also a reference. False: no room. */
static bool fill(struct filling *f, const char *name, ino_t ino, mode_t type, struct mem_inode *i,
                 uint64_t position)
{
        struct fuse_entry_param e = { .attr = { .st_ino = ino, .st_mode = type } };
        size_t room = f->size - f->used, need;

        if (!f->plus) {
                need = fuse_add_direntry(f->req, f->buf + f->used, room, name, &e.attr, (off_t)position);
        } else {
                if (i)
                        e = entry_of(i);
                need = fuse_add_direntry_plus(f->req, f->buf + f->used, room, name, &e, (off_t)position);
                if (i && need > room)
                        mem_inode_unref(i, 1);
        }
        if (need > room)
                return false;
        f->used += need;
        return true;
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

static void read_dir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t position, bool plus)
{
        struct mem_inode *dir = inode_of(req, ino);
        struct filling f = { .req = req, .size = size, .plus = plus, .buf = malloc(size) };

        if (!f.buf) {
                fuse_reply_err(req, ENOMEM);
                return;
        }
        pthread_rwlock_rdlock(&dir->lock);
        fill_from(&f, dir, (uint64_t)position);
        pthread_rwlock_unlock(&dir->lock);
        fuse_reply_buf(req, f.buf, f.used);
        free(f.buf);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t position, struct fuse_file_info *fi)
{
        read_dir(req, ino, size, position, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t position,
                           struct fuse_file_info *fi)
{
        read_dir(req, ino, size, position, true);
}

/* ---- the whole ------------------------------------------------------------------------------------ */

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
        struct statvfs s = {
                .f_bsize = MEM_BLOCK, .f_frsize = MEM_BLOCK, .f_blocks = 1 << 24, .f_bfree = 1 << 24,
                .f_bavail = 1 << 24, .f_files = 1 << 30, .f_ffree = 1 << 30, .f_namemax = UINT8_MAX,
        };

        fuse_reply_statfs(req, &s);
}

/* "No such attribute" and not ENOSYS, after which the kernel would stop asking: ashlar has attributes. */
static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
        fuse_reply_err(req, ENODATA);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
        if (size == 0)
                fuse_reply_xattr(req, 0);
        else
                fuse_reply_buf(req, NULL, 0);
}

static void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
                        int flags)
{
        fuse_reply_err(req, EOPNOTSUPP);
}

const struct fuse_lowlevel_ops memfs_ops = {
        .init = op_init,
        .lookup = op_lookup,
        .forget = op_forget,
        .forget_multi = op_forget_multi,
        .getattr = op_getattr,
        .setattr = op_setattr,
        .readlink = op_readlink,
        .mknod = op_mknod,
        .mkdir = op_mkdir,
        .unlink = remove_name,
        .rmdir = remove_name,
        .symlink = op_symlink,
        .rename = op_rename,
        .link = op_link,
        .open = op_open,
        .read = op_read,
        .write = op_write,
        .fsync = op_fsync,
        .opendir = op_open,
        .readdir = op_readdir,
        .readdirplus = op_readdirplus,
        .fsyncdir = op_fsync,
        .statfs = op_statfs,
        .setxattr = op_setxattr,
        .getxattr = op_getxattr,
        .listxattr = op_listxattr,
        .create = op_create,
};
