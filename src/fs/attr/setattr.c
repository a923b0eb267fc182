/* SPDX-License-Identifier: MIT */
/* Attributes: reading and changing them. */
#include "fs/data/data.h"
#include "fs/extent/extent.h"
#include "fs/gc/gc.h"
#include "fs/inode/inode.h"
#include "fs/run.h"
#include "fs/writeback/writeback.h"
#include "record/inode.h"

struct getattr {
        struct fs *fs;
        uint64_t ino;
        struct fs_attr attr;
};

static int getattr_body(struct kv_txn *t, void *arg)
{
        struct getattr *g = arg;
        struct rec_inode inode;
        int r = rec_inode_load(t, g->ino, fs_hint_want(g->fs, g->ino), KV_SNAPSHOT, &inode);

        if (r < 0)
                return r;
        fs_attr_fill(&inode, &g->attr);
        return 0;
}

int fs_getattr(struct fs *fs, uint64_t ino, struct fs_attr *ret)
{
        struct getattr g = { .fs = fs, .ino = ino };
        fs_writeback_mark mark;
        int r;

        do {
                mark = fs_writeback_now(fs);
                r = fs_run_read(fs, getattr_body, &g);
                if (r < 0)
                        return r;
        } while (fs_writeback_attr(fs, mark, &g.attr) != 0);
        *ret = g.attr;
        return 0;
}

/* ---- setattr ------------------------------------------------------------------------------------ */

struct setattr {
        struct fs *fs;
        uint64_t ino;
        const struct fs_setattr *set;
        struct timespec now;
        struct fs_attr attr;
        bool trim; /* blocks are still to be cleared */
};

#define SET_OWNER (FS_SET_UID | FS_SET_GID | FS_SET_CHOWN)
#define SET_TIMES (FS_SET_ATIME | FS_SET_MTIME | FS_SET_CTIME | FS_SET_ATIME_NOW | FS_SET_MTIME_NOW)

/* Whether file privileges are removed: on request, and with a change of owner as chown(2) says. */
static bool kills_priv(const struct fs_setattr *set, const struct rec_inode *inode)
{
        return (set->set & (FS_SET_KILL_PRIV | SET_OWNER)) && !S_ISDIR(inode->rec.mode);
}

/* Sets mode and owner. Returns whether anything changed. */
static bool apply_owner(const struct fs_setattr *set, struct rec_inode *inode)
{
        struct fmt_inode *rec = &inode->rec;
        enum fs_priv_kill why = set->set & FS_SET_KILL_PRIV ? FS_PRIV_WRITE : FS_PRIV_CHOWN;
        bool changed = set->set & (FS_SET_MODE | SET_OWNER);

        if (kills_priv(set, inode) && fs_priv_kill_mode(&rec->mode, why))
                changed = true;
        if (set->set & FS_SET_MODE)
                rec->mode = (rec->mode & S_IFMT) | (set->mode & 07777);
        if (set->set & FS_SET_UID)
                rec->uid = set->uid;
        if (set->set & FS_SET_GID)
                rec->gid = set->gid;
        return changed;
}

static void apply_times(const struct fs_setattr *set, struct rec_inode *inode, struct timespec now)
{
        struct fmt_inode *rec = &inode->rec;

        rec->ctime = set->set & FS_SET_CTIME ? set->ctime : now;
        if (set->set & FS_SET_SIZE)
                rec->mtime = now;
        if (set->set & FS_SET_ATIME)
                rec->atime = set->atime;
        if (set->set & FS_SET_ATIME_NOW)
                rec->atime = now;
        if (set->set & FS_SET_MTIME)
                rec->mtime = set->mtime;
        if (set->set & FS_SET_MTIME_NOW)
                rec->mtime = now;
}

static int check_resizable(const struct rec_inode *inode)
{
        if (S_ISREG(inode->rec.mode))
                return 0;
        return S_ISDIR(inode->rec.mode) ? -EISDIR : -EINVAL;
}

static int setattr_body(struct kv_txn *t, void *arg)
{
        struct setattr *s = arg;
        const struct fs_setattr *set = s->set;
        struct rec_inode_read inode_read;
        struct fs_priv_read priv_read;
        struct rec_inode inode;
        unsigned changed = 0;
        bool touched = set->set & (FS_SET_SIZE | SET_TIMES);
        int r;

        rec_inode_start(t, &inode_read, s->ino, REC_INODE_ATTR, 0);
        if (set->set & (FS_SET_KILL_PRIV | SET_OWNER))
                fs_priv_start(t, &priv_read, s->ino);
        r = rec_inode_wait(t, &inode_read, &inode);
        if (r < 0)
                return r;
        r = set->set & FS_SET_SIZE ? check_resizable(&inode) : 0;
        if (r < 0)
                return r;
        if (kills_priv(set, &inode)) {
                r = fs_priv_wait_clear(t, &priv_read);
                if (r < 0)
                        return r;
                touched = touched || r > 0;
        }
        if (set->set & FS_SET_SIZE) {
                changed |= REC_CHANGED_SIZE;
                r = fs_resize(s->fs, t, &inode, set->size);
                if (r < 0 || r == FS_TRIM_FIRST)
                        return r;
        }
        if (apply_owner(set, &inode))
                changed |= REC_CHANGED_OWNER;
        s->trim = (set->set & FS_SET_SIZE) && inode.rec.trim_from != 0;
        if (touched || changed != 0) {
                apply_times(set, &inode, s->now);
                r = rec_inode_store(t, &inode, changed);
                if (r < 0)
                        return r;
        }
        fs_attr_fill(&inode, &s->attr);
        return 0;
}

static bool time_valid(struct timespec t)
{
        return t.tv_nsec >= 0 && t.tv_nsec < 1000000000;
}

static bool times_valid(const struct fs_setattr *set)
{
        return (!(set->set & FS_SET_ATIME) || time_valid(set->atime)) &&
               (!(set->set & FS_SET_MTIME) || time_valid(set->mtime)) &&
               (!(set->set & FS_SET_CTIME) || time_valid(set->ctime));
}

/* Commits what was written before. A change of size needs that; after other changes a later flush would at
 * most change the times once more. */
static int flush_before(struct fs *fs, uint64_t ino, const struct fs_setattr *set)
{
        if (set->set & FS_SET_SIZE)
                return fs_writeback_flush_cut(fs, ino, set->size);
        (void)fs_writeback_flush(fs, ino);
        return 0;
}

int fs_setattr(struct fs *fs, uint64_t ino, const struct fs_setattr *set, struct fs_attr *ret)
{
        struct setattr s = { .fs = fs, .ino = ino, .set = set, .now = fs_now(fs) };
        /* Cutting a file frees space, also in a full store. */
        unsigned flags = set->set & FS_SET_SIZE ? KV_RESERVE : 0;
        fs_writeback_mark mark;
        int r;

        if (!times_valid(set))
                return -EINVAL;
        r = flush_before(fs, ino, set);
        if (r < 0)
                return r;
        mark = fs_writeback_now(fs);
        while ((r = fs_run_write(fs, flags, setattr_body, &s)) == FS_TRIM_FIRST) {
                r = fs_trim_finish(fs, ino);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        if (set->set & FS_SET_SIZE)
                fs_readahead_drop(fs, ino);
        if (s.trim) {
                if (fs_trim_begin(fs, ino) != 0)
                        fs_gc_add(fs, ino);
                /* Blocks that are cleared by now must not be counted. */
                return fs_getattr(fs, ino, ret);
        }
        if (fs_writeback_attr(fs, mark, &s.attr) != 0)
                return fs_getattr(fs, ino, ret);
        *ret = s.attr;
        return 0;
}
