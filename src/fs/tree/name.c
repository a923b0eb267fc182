/* SPDX-License-Identifier: MIT */
/* Names: which are valid, lookup, and the parent of a directory. */
#include "fs/gc/gc.h"
#include "fs/inode/inode.h"
#include "fs/run.h"
#include "fs/tree/internal.h"
#include "fs/writeback/writeback.h"
#include "record/dirent.h"

static bool is_dot(struct slice name)
{
        return name.len == 1 && name.data[0] == '.';
}

static bool is_dot_dot(struct slice name)
{
        return name.len == 2 && name.data[0] == '.' && name.data[1] == '.';
}

int fs_name_check(struct slice name)
{
        if (name.len > FMT_NAME_MAX)
                return -ENAMETOOLONG;
        if (name.len == 0 || is_dot(name) || is_dot_dot(name) || memchr(name.data, '/', name.len) ||
            memchr(name.data, '\0', name.len))
                return -EINVAL;
        return 0;
}

/* ---- lookup ------------------------------------------------------------------------------------- */

struct lookup {
        struct fs *fs;
        uint64_t dir;
        struct slice name;
        struct fs_attr attr;
};

/* "." and "..": NFS servers look up an inode by its number, and the way up from there. */
static int lookup_dots(struct kv_txn *t, struct lookup *l, struct rec_inode *inode)
{
        int r = rec_inode_load(t, l->dir, REC_INODE_ATTR, KV_SNAPSHOT, inode);

        if (r < 0)
                return r;
        if (is_dot_dot(l->name)) {
                if (!S_ISDIR(inode->rec.mode))
                        return -ENOTDIR;
                r = rec_inode_load(t, inode->rec.parent, REC_INODE_DIR, KV_SNAPSHOT, inode);
                if (r < 0)
                        return r;
        }
        return inode->rec.nlink == 0 ? -ENOENT : 0;
}

static int lookup_name(struct kv_txn *t, struct lookup *l, struct rec_inode *inode)
{
        struct rec_inode_read dir_read;
        struct rec_dirent_read dirent;
        struct fs_guess guess;
        struct fmt_dirent d;
        bool is_dir, ahead;
        int r;

        rec_dirent_start(t, &dirent, l->dir, l->name);
        fs_guess_start(l->fs, t, &guess, l->dir, l->name, true, KV_SNAPSHOT);
        /* The directory only matters if there is no entry: that justifies a read, but not a round trip. */
        is_dir = fs_hint_want(l->fs, l->dir) == REC_INODE_DIR;
        ahead = l->fs->limits->remote && !guess.made && !is_dir;
        if (ahead)
                rec_inode_start(t, &dir_read, l->dir, REC_INODE_RECORD, KV_SNAPSHOT);
        r = rec_dirent_wait(t, &dirent, &d);
        if (r == -ENOENT && is_dir)
                return r;
        if (r == -ENOENT)
                return ahead ? rec_dirent_missing_wait(t, &dir_read) : rec_dirent_missing(t, l->dir);
        if (r < 0)
                return r;
        fs_guess_resolve(l->fs, t, &guess, &d);
        return fs_guess_wait(t, &guess, &d, inode);
}

static int lookup_body(struct kv_txn *t, void *arg)
{
        struct lookup *l = arg;
        struct rec_inode inode;
        int r = is_dot(l->name) || is_dot_dot(l->name) ? lookup_dots(t, l, &inode)
                                                       : lookup_name(t, l, &inode);

        if (r < 0)
                return r;
        fs_attr_fill(&inode, &l->attr);
        return 0;
}

/* Reads the entry and its inode, again if a flush came between. */
static int read_name(struct fs *fs, struct lookup *l)
{
        fs_writeback_mark mark;
        int r;

        do {
                mark = fs_writeback_now(fs);
                r = fs_run_read(fs, lookup_body, l);
                if (r < 0)
                        return r;
        } while (fs_writeback_attr(fs, mark, &l->attr) != 0);
        return 0;
}

/* The reference must be taken before the read that finds the inode, or the inode could be unlinked and
 * collected in between. But the number is only known after a read: so this reads first, and reads again if
 * the collector has looked at the table of references since the read began. */
int fs_lookup(struct fs *fs, uint64_t dir, struct slice name, struct fs_attr *ret)
{
        struct lookup l = { .fs = fs, .dir = dir, .name = name };
        uint64_t held = 0;
        int r;

        if (name.len > FMT_NAME_MAX)
                return -ENAMETOOLONG;
        for (;;) {
                uint64_t generation = fs_gc_generation(fs);

                r = read_name(fs, &l);
                if (r >= 0 && l.attr.ino == held)
                        break;
                if (held != 0)
                        fs_forget(fs, held, 1);
                if (r < 0)
                        return r;
                r = fs_inuse_add(fs->inuse, l.attr.ino);
                if (r < 0)
                        return r;
                held = l.attr.ino;
                if (fs_gc_generation(fs) == generation)
                        break;
        }
        fs_hint(fs, dir, name, l.attr.ino, l.attr.mode);
        *ret = l.attr;
        return 0;
}

void fs_forget(struct fs *fs, uint64_t ino, uint64_t n)
{
        if (fs_inuse_drop(fs->inuse, ino, n))
                fs_gc_orphan(fs, ino);
}

/* ---- parent ------------------------------------------------------------------------------------- */

struct parent {
        struct fs *fs;
        uint64_t dir, parent;
};

static int parent_body(struct kv_txn *t, void *arg)
{
        struct parent *p = arg;
        struct rec_inode inode;
        int r = rec_inode_load(t, p->dir, REC_INODE_RECORD, KV_SNAPSHOT, &inode);

        if (r < 0)
                return r;
        if (!S_ISDIR(inode.rec.mode))
                return -ENOTDIR;
        p->parent = inode.rec.parent;
        return 0;
}

int fs_parent(struct fs *fs, uint64_t dir, uint64_t *ret)
{
        struct parent p = { .fs = fs, .dir = dir };
        int r = fs_run_read(fs, parent_body, &p);

        if (r < 0)
                return r;
        *ret = p.parent;
        return 0;
}
