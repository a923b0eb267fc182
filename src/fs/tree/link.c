/* SPDX-License-Identifier: MIT */
/* Adding and removing names of existing inodes: link, unlink, rmdir. */
#include "fs/gc/gc.h"
#include "fs/inode/inode.h"
#include "fs/run.h"
#include "fs/tree/internal.h"
#include "fs/writeback/writeback.h"
#include "record/dirent.h"
#include "record/garbage.h"

/* ---- link --------------------------------------------------------------------------------------- */

struct link {
        struct fs *fs;
        uint64_t ino, dir;
        struct slice name;
        struct timespec now;
        bool nameless; /* the inode never had a name */
        struct fs_attr attr;
};

/* Takes a file that gets its first name from the garbage, unless blocks are left to be trimmed. The caller's
 * reference keeps it from being collected. */
static int revive(struct kv_txn *t, const struct rec_inode *inode)
{
        return inode->rec.trim_from != 0 ? 0 : rec_garbage_clear(t, inode->ino);
}

static int link_body(struct kv_txn *t, void *arg)
{
        struct link *l = arg;
        struct rec_inode_read inode_read, parent_read;
        struct rec_dirent_read dirent_read;
        struct rec_inode inode, parent;
        struct fmt_dirent existing;
        int r;

        rec_inode_start(t, &inode_read, l->ino, REC_INODE_RECORD, 0);
        r = rec_parent_start(t, &parent_read, l->dir);
        if (r < 0)
                return r;
        rec_dirent_start(t, &dirent_read, l->dir, l->name);
        r = rec_parent_wait(t, &parent_read, &parent);
        if (r < 0)
                return r;
        r = rec_dirent_wait(t, &dirent_read, &existing);
        if (r != -ENOENT)
                return r < 0 ? r : -EEXIST;
        r = rec_inode_wait(t, &inode_read, &inode);
        if (r < 0)
                return r;
        if (S_ISDIR(inode.rec.mode))
                return -EPERM;
        if (inode.rec.nlink == 0 && !l->nameless)
                return -ENOENT;
        if (inode.rec.nlink >= FMT_LINK_MAX)
                return -EMLINK;

        r = inode.rec.nlink == 0 ? revive(t, &inode) : 0;
        if (r < 0)
                return r;
        inode.rec.nlink++;
        inode.rec.ctime = l->now;
        fs_attr_fill(&inode, &l->attr);
        r = rec_inode_store(t, &inode, REC_CHANGED_EXIST);
        if (r < 0)
                return r;
        r = rec_dirent_set(t, l->dir, l->name, l->ino, inode.rec.mode);
        return r < 0 ? r : rec_dir_touch(t, l->dir, l->now, 0);
}

int fs_link(struct fs *fs, uint64_t ino, uint64_t dir, struct slice name, struct fs_attr *ret)
{
        struct link l = { .fs = fs, .ino = ino, .dir = dir, .name = name, .now = fs_now(fs) };
        fs_writeback_mark mark = fs_writeback_now(fs);
        int r = fs->rdonly ? -EROFS : fs_name_check(name);

        if (r < 0)
                return r;
        r = fs_inuse_add(fs->inuse, ino);
        if (r < 0)
                return r;
        l.nameless = fs_inuse_is_nameless(fs->inuse, ino);
        r = fs_run_write(fs, 0, link_body, &l);
        if (r < 0) {
                fs_forget(fs, ino, 1);
                return r;
        }
        fs_hint(fs, dir, name, ino, l.attr.mode);
        if (l.nameless)
                fs_inuse_set_nameless(fs->inuse, ino, false);
        if (fs_writeback_attr(fs, mark, &l.attr) != 0) {
                r = fs_getattr(fs, ino, ret);
                if (r < 0)
                        fs_forget(fs, ino, 1); /* the caller gets no attributes, so no reference either */
                return r;
        }
        *ret = l.attr;
        return 0;
}

/* ---- unlink and rmdir --------------------------------------------------------------------------- */

int fs_link_drop(struct kv_txn *t, struct rec_inode *inode, uint64_t epoch, struct timespec now)
{
        inode->rec.nlink = S_ISDIR(inode->rec.mode) ? 0 : inode->rec.nlink - 1;
        inode->rec.ctime = now;
        if (inode->rec.nlink == 0) {
                int r = rec_garbage_set(t, inode->ino, epoch);

                if (r < 0)
                        return r;
        }
        return rec_inode_store(t, inode, REC_CHANGED_EXIST);
}

struct unlink {
        struct fs *fs;
        uint64_t dir;
        struct slice name;
        bool directory; /* rmdir */
        struct timespec now;
        uint64_t orphan; /* the inode that lost its last name; 0: none */
};

static int unlink_body(struct kv_txn *t, void *arg)
{
        struct unlink *u = arg;
        struct rec_dirent_read dirent_read;
        struct rec_epoch_read epoch_read;
        struct rec_inode inode;
        struct fs_guess guess;
        struct fmt_dirent d;
        uint64_t epoch;
        int r;

        /* While the entry exists, so does its directory: rmdir would conflict with the entry. */
        rec_dirent_start(t, &dirent_read, u->dir, u->name);
        fs_guess_start(u->fs, t, &guess, u->dir, u->name, false, 0);
        rec_epoch_start(t, &epoch_read);
        r = rec_dirent_wait(t, &dirent_read, &d);
        if (r == -ENOENT)
                return rec_dirent_missing(t, u->dir);
        if (r < 0)
                return r;
        if (S_ISDIR(d.type) != u->directory)
                return u->directory ? -ENOTDIR : -EISDIR;
        if (d.ino == FMT_ROOT_INO)
                return -ERR_CORRUPT;
        fs_guess_resolve(u->fs, t, &guess, &d);
        r = rec_epoch_wait(t, &epoch_read, &epoch);
        if (r < 0)
                return r;
        r = fs_guess_wait(t, &guess, &d, &inode);
        if (r < 0)
                return r;
        r = u->directory ? rec_dir_check_empty(t, d.ino) : 0;
        if (r < 0)
                return r;

        r = rec_dirent_clear(t, u->dir, u->name);
        if (r < 0)
                return r;
        r = fs_link_drop(t, &inode, epoch, u->now);
        u->orphan = inode.rec.nlink == 0 ? d.ino : 0;
        return r < 0 ? r : rec_dir_touch(t, u->dir, u->now, u->directory ? -1 : 0);
}

static int unlink_or_rmdir(struct fs *fs, uint64_t dir, struct slice name, bool directory)
{
        struct unlink u = { .fs = fs, .dir = dir, .name = name, .directory = directory, .now = fs_now(fs) };
        int r = fs->rdonly ? -EROFS : fs_name_check(name);

        if (r < 0)
                return r;
        r = fs_run_write(fs, KV_RESERVE, unlink_body, &u);
        if (r < 0)
                return r;
        if (u.orphan != 0)
                fs_gc_unlinked(fs, u.orphan);
        return 0;
}

int fs_unlink(struct fs *fs, uint64_t dir, struct slice name)
{
        return unlink_or_rmdir(fs, dir, name, false);
}

int fs_rmdir(struct fs *fs, uint64_t dir, struct slice name)
{
        return unlink_or_rmdir(fs, dir, name, true);
}
