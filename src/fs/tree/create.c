/* SPDX-License-Identifier: MIT */
/* New inodes with their first name. */
#include "fs/gc/gc.h"
#include "fs/inode/inode.h"
#include "fs/run.h"
#include "fs/tree/internal.h"
#include "fs/writeback/writeback.h"
#include "record/counter.h"
#include "record/dirent.h"
#include "record/garbage.h"
#include "record/inode.h"

struct create {
        struct fs *fs;
        uint64_t dir;
        struct slice name;
        uint64_t ino;
        const struct fmt_inode *wanted; /* before inherit() */
        struct fmt_inode rec;           /* as it was made */
};

/* As Linux' inode_init_owner: new inodes in a directory with setgid get its group, and new directories the
 * bit. */
static void inherit(struct fmt_inode *rec, const struct fmt_inode *parent)
{
        if (!(parent->mode & S_ISGID))
                return;
        rec->gid = parent->gid;
        if (S_ISDIR(rec->mode))
                rec->mode |= S_ISGID;
}

static int create_body(struct kv_txn *t, void *arg)
{
        struct create *c = arg;
        struct rec_inode_read parent_read;
        struct rec_dirent_read dirent_read;
        struct rec_inode parent;
        struct fmt_dirent existing;
        int r;

        r = rec_parent_start(t, &parent_read, c->dir);
        if (r < 0)
                return r;
        rec_dirent_start(t, &dirent_read, c->dir, c->name);
        r = rec_parent_wait(t, &parent_read, &parent);
        if (r < 0)
                return r;
        r = rec_dirent_wait(t, &dirent_read, &existing);
        if (r != -ENOENT)
                return r < 0 ? r : -EEXIST;

        c->rec = *c->wanted;
        inherit(&c->rec, &parent.rec);
        r = rec_dirent_set(t, c->dir, c->name, c->ino, c->rec.mode);
        if (r < 0)
                return r;
        r = rec_inode_store_new(t, c->ino, &c->rec);
        if (r < 0)
                return r;
        r = rec_counter_add(t, FMT_COUNTER_INODES, 1);
        return r < 0 ? r : rec_dir_touch(t, c->dir, c->rec.btime, S_ISDIR(c->rec.mode) ? 1 : 0);
}

/* Makes an inode without a name. It is listed as garbage from the beginning; the reference to it keeps it. */
static int tmpfile_body(struct kv_txn *t, void *arg)
{
        struct create *c = arg;
        struct rec_inode_read parent_read;
        struct rec_epoch_read epoch_read;
        struct rec_inode parent;
        uint64_t epoch;
        int r;

        r = rec_parent_start(t, &parent_read, c->dir);
        if (r < 0)
                return r;
        rec_epoch_start(t, &epoch_read);
        r = rec_parent_wait(t, &parent_read, &parent);
        if (r < 0)
                return r;
        r = rec_epoch_wait(t, &epoch_read, &epoch);
        if (r < 0)
                return r;
        c->rec = *c->wanted;
        inherit(&c->rec, &parent.rec);
        r = rec_inode_store_new(t, c->ino, &c->rec);
        if (r < 0)
                return r;
        r = rec_garbage_set(t, c->ino, epoch);
        return r < 0 ? r : rec_counter_add(t, FMT_COUNTER_INODES, 1);
}

/* Makes the inode REC; owner, times and links are filled in here. NAME empty: an inode without a name. */
static int create(struct fs *fs, const struct fs_cred *cred, uint64_t dir, struct slice name,
                  struct fmt_inode *rec, struct fs_attr *ret)
{
        struct create c = { .fs = fs, .dir = dir, .name = name, .wanted = rec };
        bool named = name.len > 0;
        int r;

        rec->uid = cred->uid;
        rec->gid = cred->gid;
        rec->nlink = named ? 1 : 0;
        rec->atime = rec->mtime = rec->ctime = rec->btime = fs_now(fs);
        if (S_ISDIR(rec->mode))
                rec->parent = dir;

        r = fs_number_take(fs, &c.ino);
        if (r < 0)
                return r;
        /* Before another thread can unlink it. */
        r = fs_inuse_add(fs->inuse, c.ino);
        if (r < 0)
                return r;
        r = fs_run_write(fs, 0, named ? create_body : tmpfile_body, &c);
        if (r < 0) {
                fs_forget(fs, c.ino, 1);
                return r;
        }
        if (!named) {
                fs_inuse_set_nameless(fs->inuse, c.ino, true);
                fs_gc_unlinked(fs, c.ino);
        } else {
                fs_hint(fs, dir, name, c.ino, c.rec.mode);
        }
        if (S_ISREG(c.rec.mode))
                fs_writeback_created(fs, c.ino);
        fs_attr_fill_new(c.ino, &c.rec, ret);
        return 0;
}

static int create_named(struct fs *fs, const struct fs_cred *cred, uint64_t dir, struct slice name,
                        struct fmt_inode *rec, struct fs_attr *ret)
{
        int r = fs->rdonly ? -EROFS : fs_name_check(name);

        return r < 0 ? r : create(fs, cred, dir, name, rec, ret);
}

int fs_tmpfile(struct fs *fs, const struct fs_cred *cred, uint64_t dir, uint32_t mode, struct fs_attr *ret)
{
        struct fmt_inode rec = { .mode = S_IFREG | (mode & 07777) };

        return fs->rdonly ? -EROFS : create(fs, cred, dir, slice_of(NULL, 0), &rec, ret);
}

int fs_mknod(struct fs *fs, const struct fs_cred *cred, uint64_t dir, struct slice name, uint32_t mode,
             uint64_t rdev, struct fs_attr *ret)
{
        struct fmt_inode rec = { .mode = mode & (S_IFMT | 07777) };

        switch (mode & S_IFMT) {
        case S_IFREG:
        case S_IFIFO:
        case S_IFSOCK:
                break;
        case S_IFCHR:
        case S_IFBLK:
                rec.rdev = rdev;
                break;
        default:
                return -EINVAL;
        }
        return create_named(fs, cred, dir, name, &rec, ret);
}

int fs_mkdir(struct fs *fs, const struct fs_cred *cred, uint64_t dir, struct slice name, uint32_t mode,
             struct fs_attr *ret)
{
        struct fmt_inode rec = { .mode = S_IFDIR | (mode & 07777) };

        return create_named(fs, cred, dir, name, &rec, ret);
}

int fs_symlink(struct fs *fs, const struct fs_cred *cred, uint64_t dir, struct slice name,
               struct slice target, struct fs_attr *ret)
{
        struct fmt_inode rec = { .mode = S_IFLNK | 0777, .target = target, .size = target.len };

        if (target.len == 0)
                return -ENOENT;
        if (target.len > FMT_SYMLINK_MAX)
                return -ENAMETOOLONG;
        if (memchr(target.data, '\0', target.len))
                return -EINVAL;
        return create_named(fs, cred, dir, name, &rec, ret);
}

/* ---- readlink ----------------------------------------------------------------------------------- */

struct readlink {
        struct fs *fs;
        uint64_t ino;
        char *buf;
        struct timespec now;
        bool atime_due;
};

static int readlink_body(struct kv_txn *t, void *arg)
{
        struct readlink *l = arg;
        struct rec_inode inode;
        struct slice target;
        int r = rec_inode_load(t, l->ino, REC_INODE_RECORD, KV_SNAPSHOT, &inode);

        if (r < 0)
                return r;
        if (!S_ISLNK(inode.rec.mode))
                return -EINVAL;
        target = inode.rec.target;
        if (target.len == 0 || target.len > FMT_SYMLINK_MAX)
                return -ERR_CORRUPT;
        memcpy(l->buf, target.data, target.len);
        l->buf[target.len] = '\0';
        l->atime_due = fs_atime_due(l->fs, &inode, l->now);
        return (int)target.len;
}

int fs_readlink(struct fs *fs, uint64_t ino, char *buf)
{
        struct readlink l = { .fs = fs, .ino = ino, .buf = buf, .now = fs_now(fs) };
        int len = fs_run_read(fs, readlink_body, &l);

        if (len >= 0 && l.atime_due)
                fs_atime_set(fs, ino, l.now);
        return len;
}
