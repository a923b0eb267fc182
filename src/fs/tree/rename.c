/* SPDX-License-Identifier: MIT */
/* rename(2) and renameat2(2) with RENAME_NOREPLACE and RENAME_EXCHANGE. */
#include "fs/gc/gc.h"
#include "fs/inode/inode.h"
#include "fs/run.h"
#include "fs/tree/internal.h"
#include "record/dirent.h"
#include "record/garbage.h"

#include <linux/fs.h>

struct rename {
        struct fs *fs;
        uint64_t dir, new_dir;
        struct slice name, new_name;
        unsigned flags;
        struct timespec now;
        uint64_t orphan; /* the inode that lost its last name; 0: none */
        struct fs_moved moved;
};

/* Both names of a rename, as they were read. */
struct ends {
        struct fmt_dirent source_entry, target_entry;
        struct fs_guess source_guess, target_guess;
        bool has_target;
        struct rec_inode source, target; /* target: if has_target */
        uint64_t epoch;
};

/* EINVAL if INO is on the way from DIR up to the root. Each step is read with conflict, so that two
 * renames cannot make a loop together. In a damaged store there may be a loop already, which Brent's
 * algorithm finds. */
static int check_not_below(struct fs *fs, struct kv_txn *t, uint64_t ino, uint64_t dir)
{
        uint64_t marked = 0, steps = 0, power = 1;

        while (dir != FMT_ROOT_INO) {
                struct rec_inode inode;
                int r;

                if (dir == ino)
                        return -EINVAL;
                if (dir == marked)
                        return -ERR_CORRUPT;
                if (++steps == power) {
                        marked = dir;
                        power *= 2;
                        steps = 0;
                }
                r = rec_inode_load(t, dir, REC_INODE_RECORD, 0, &inode);
                if (r < 0)
                        return r == -ENOENT ? -ERR_CORRUPT : r;
                if (!S_ISDIR(inode.rec.mode))
                        return -ERR_CORRUPT;
                dir = inode.rec.parent;
        }
        return 0;
}

/* Reads both entries, and checks the directory that gets the new name. */
static int read_entries(struct kv_txn *t, struct rename *n, struct ends *e)
{
        struct rec_dirent_read source_read, target_read;
        struct rec_inode_read parent_read;
        struct rec_epoch_read epoch_read;
        struct rec_inode parent;
        int r;

        rec_dirent_start(t, &source_read, n->dir, n->name);
        rec_dirent_start(t, &target_read, n->new_dir, n->new_name);
        fs_guess_start(n->fs, t, &e->source_guess, n->dir, n->name, false, 0);
        fs_guess_start(n->fs, t, &e->target_guess, n->new_dir, n->new_name, false, 0);
        rec_epoch_start(t, &epoch_read);
        /* A directory that has an entry exists, so only another one has to be read. */
        if (n->new_dir != n->dir) {
                r = rec_parent_start(t, &parent_read, n->new_dir);
                if (r < 0)
                        return r;
                r = rec_parent_wait(t, &parent_read, &parent);
                if (r < 0)
                        return r;
        }
        r = rec_dirent_wait(t, &source_read, &e->source_entry);
        if (r < 0)
                return r == -ENOENT ? rec_dirent_missing(t, n->dir) : r;
        r = rec_dirent_wait(t, &target_read, &e->target_entry);
        if (r < 0 && r != -ENOENT)
                return r;
        e->has_target = r == 0;
        return rec_epoch_wait(t, &epoch_read, &e->epoch);
}

static int read_inodes(struct kv_txn *t, struct rename *n, struct ends *e)
{
        int r;

        if (e->source_entry.ino == FMT_ROOT_INO || (e->has_target && e->target_entry.ino == FMT_ROOT_INO))
                return -ERR_CORRUPT;
        fs_guess_resolve(n->fs, t, &e->source_guess, &e->source_entry);
        if (e->has_target)
                fs_guess_resolve(n->fs, t, &e->target_guess, &e->target_entry);
        r = fs_guess_wait(t, &e->source_guess, &e->source_entry, &e->source);
        if (r < 0 || !e->has_target)
                return r;
        return fs_guess_wait(t, &e->target_guess, &e->target_entry, &e->target);
}

static bool source_is_dir(const struct ends *e)
{
        return S_ISDIR(e->source_entry.type);
}

static bool target_is_dir(const struct ends *e)
{
        return e->has_target && S_ISDIR(e->target_entry.type);
}

/* Whether neither directory would become its own ancestor. */
static int check_tree(struct kv_txn *t, struct rename *n, struct ends *e)
{
        int r = 0;

        if (n->new_dir == n->dir)
                return 0;
        if (source_is_dir(e))
                r = check_not_below(n->fs, t, e->source.ino, n->new_dir);
        if (r < 0 || !(n->flags & RENAME_EXCHANGE) || !target_is_dir(e))
                return r;
        return check_not_below(n->fs, t, e->target.ino, n->dir);
}

/* Whether the source may replace the target. */
static int check_types(struct kv_txn *t, struct rename *n, struct ends *e)
{
        if ((n->flags & RENAME_EXCHANGE) || !e->has_target)
                return 0;
        if (source_is_dir(e) != target_is_dir(e))
                return target_is_dir(e) ? -EISDIR : -ENOTDIR;
        return target_is_dir(e) ? rec_dir_check_empty(t, e->target.ino) : 0;
}

/* Makes DIR/NAME a name of INODE. */
static int move(struct kv_txn *t, struct rename *n, struct rec_inode *inode, uint64_t dir, struct slice name)
{
        int r = rec_dirent_set(t, dir, name, inode->ino, inode->rec.mode);

        if (r < 0)
                return r;
        inode->rec.ctime = n->now;
        if (S_ISDIR(inode->rec.mode) && inode->rec.parent != dir) {
                inode->rec.parent = dir;
                n->moved.dirs[n->moved.count++] = inode->ino;
        }
        return rec_inode_store(t, inode, 0);
}

/* SUBDIRS_*: the changes of the numbers of directories in them. */
static int touch_parents(struct kv_txn *t, struct rename *n, int subdirs_old, int subdirs_new)
{
        int r;

        if (n->dir == n->new_dir)
                return rec_dir_touch(t, n->dir, n->now, subdirs_old + subdirs_new);
        r = rec_dir_touch(t, n->dir, n->now, subdirs_old);
        return r < 0 ? r : rec_dir_touch(t, n->new_dir, n->now, subdirs_new);
}

static int exchange(struct kv_txn *t, struct rename *n, struct ends *e)
{
        int subdirs_new = source_is_dir(e) - target_is_dir(e);
        int r = move(t, n, &e->source, n->new_dir, n->new_name);

        if (r < 0)
                return r;
        r = move(t, n, &e->target, n->dir, n->name);
        return r < 0 ? r : touch_parents(t, n, -subdirs_new, subdirs_new);
}

static int replace(struct kv_txn *t, struct rename *n, struct ends *e)
{
        int r = rec_dirent_clear(t, n->dir, n->name);

        if (r < 0)
                return r;
        r = move(t, n, &e->source, n->new_dir, n->new_name);
        if (r < 0)
                return r;
        if (e->has_target) {
                r = fs_link_drop(t, &e->target, e->epoch, n->now);
                if (r < 0)
                        return r;
                n->orphan = e->target.rec.nlink == 0 ? e->target.ino : 0;
        }
        return touch_parents(t, n, -source_is_dir(e), source_is_dir(e) - target_is_dir(e));
}

static int rename_body(struct kv_txn *t, void *arg)
{
        struct rename *n = arg;
        struct ends e;
        int r;

        n->orphan = 0;
        n->moved.count = 0;
        r = read_entries(t, n, &e);
        if (r < 0)
                return r;
        if (e.has_target && (n->flags & RENAME_NOREPLACE))
                return -EEXIST;
        if (!e.has_target && (n->flags & RENAME_EXCHANGE))
                return -ENOENT;
        /* Two names of one file: POSIX keeps both. */
        if (e.has_target && e.source_entry.ino == e.target_entry.ino)
                return 0;
        r = read_inodes(t, n, &e);
        if (r < 0)
                return r;
        r = check_tree(t, n, &e);
        if (r < 0)
                return r;
        r = check_types(t, n, &e);
        if (r < 0)
                return r;
        return n->flags & RENAME_EXCHANGE ? exchange(t, n, &e) : replace(t, n, &e);
}

int fs_rename(struct fs *fs, uint64_t dir, struct slice name, uint64_t new_dir, struct slice new_name,
              unsigned flags, struct fs_moved *ret)
{
        struct rename n = { .fs = fs,
                            .dir = dir,
                            .new_dir = new_dir,
                            .name = name,
                            .new_name = new_name,
                            .flags = flags,
                            .now = fs_now(fs) };
        int r;

        if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE) ||
            flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
                return -EINVAL;
        if (fs->rdonly)
                return -EROFS;
        r = fs_name_check(name);
        if (r < 0)
                return r;
        r = fs_name_check(new_name);
        if (r < 0)
                return r;
        r = fs_run_write(fs, 0, rename_body, &n);
        if (r < 0)
                return r;
        if (n.orphan != 0)
                fs_gc_unlinked(fs, n.orphan);
        if (ret)
                *ret = n.moved;
        return 0;
}
