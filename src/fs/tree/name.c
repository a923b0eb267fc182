/* SPDX-License-Identifier: MIT */
/* Directory entries, lookup, and the parent of a directory. */
#include "fs/gc/collect.h"
#include "fs/inode/hints.h"
#include "fs/inode/inuse.h"
#include "fs/writeback/writeback.h"

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

void fs_dirent_start(struct kv_txn *t, struct fs_dirent_read *r, uint64_t dir, struct slice name)
{
        fmt_key_dirent(&r->key, dir, name);
        kv_get_start(t, &r->read, fmt_slice(&r->key), 0);
}

int fs_dirent_wait(struct kv_txn *t, struct fs_dirent_read *r, struct fmt_dirent *ret)
{
        struct slice value;
        int q = kv_get_wait(t, &r->read, &value);

        return q < 0 ? q : fmt_dirent_decode(value, ret);
}

int fs_dirent_set(struct kv_txn *t, uint64_t dir, struct slice name, uint64_t ino, uint32_t mode)
{
        const struct fmt_dirent d = { .ino = ino, .type = mode & S_IFMT };
        uint8_t value[FMT_DIRENT_MAX];
        struct fmt_key k;

        fmt_key_dirent(&k, dir, name);
        return kv_set(t, fmt_slice(&k), slice_of(value, fmt_dirent_encode(&d, value)));
}

int fs_dirent_clear(struct kv_txn *t, uint64_t dir, struct slice name)
{
        struct fmt_key k;

        fmt_key_dirent(&k, dir, name);
        return kv_clear(t, fmt_slice(&k));
}

int fs_dirent_missing_wait(struct kv_txn *t, struct fs_inode_read *dir)
{
        struct fs_inode inode;
        int r = fs_inode_wait(t, dir, &inode);

        if (r < 0)
                return r;
        return S_ISDIR(inode.rec.mode) ? -ENOENT : -ENOTDIR;
}

int fs_dirent_missing(struct fs *fs, struct kv_txn *t, uint64_t dir)
{
        struct fs_inode_read read;

        fs_inode_start(fs, t, &read, dir, FS_INODE_RECORD, KV_SNAPSHOT);
        return fs_dirent_missing_wait(t, &read);
}

/* ---- lookup ------------------------------------------------------------------------------------- */

struct lookup {
        struct fs *fs;
        uint64_t dir;
        struct slice name;
        struct fs_attr attr;
};

/* "." and "..": an inode by its number, as NFS servers ask for it, and the way up from there. */
static int lookup_dots(struct kv_txn *t, struct lookup *l, struct fs_inode *inode)
{
        int r = fs_inode_load(l->fs, t, l->dir, FS_INODE_ATTR, KV_SNAPSHOT, inode);

        if (r >= 0 && is_dot_dot(l->name)) {
                if (!S_ISDIR(inode->rec.mode))
                        return -ENOTDIR;
                r = fs_inode_load(l->fs, t, inode->rec.parent, FS_INODE_DIR, KV_SNAPSHOT, inode);
        }
        if (r < 0)
                return r;
        return inode->rec.nlink == 0 ? -ENOENT : 0;
}

static int lookup_name(struct kv_txn *t, struct lookup *l, struct fs_inode *inode)
{
        struct fs_inode_read dir_read;
        struct fs_dirent_read dirent;
        struct fs_guess guess;
        struct fmt_dirent d;
        bool is_dir, ahead;
        int r;

        fs_dirent_start(t, &dirent, l->dir, l->name);
        fs_guess_start(l->fs, t, &guess, l->dir, l->name, true, KV_SNAPSHOT);
        /* The directory only matters where there is no entry, which is worth a read but not a round. */
        is_dir = fs_hint_want(l->fs, l->dir) == FS_INODE_DIR;
        ahead = l->fs->limits->remote && !guess.made && !is_dir;
        if (ahead)
                fs_inode_start(l->fs, t, &dir_read, l->dir, FS_INODE_RECORD, KV_SNAPSHOT);
        r = fs_dirent_wait(t, &dirent, &d);
        if (r == -ENOENT && is_dir)
                return r;
        if (r == -ENOENT)
                return ahead ? fs_dirent_missing_wait(t, &dir_read) : fs_dirent_missing(l->fs, t, l->dir);
        if (r < 0)
                return r;
        fs_guess_settle(l->fs, t, &guess, &d);
        return fs_guess_wait(t, &guess, &d, inode);
}

static int lookup_body(struct kv_txn *t, void *arg)
{
        struct lookup *l = arg;
        struct fs_inode inode;
        int r = is_dot(l->name) || is_dot_dot(l->name) ? lookup_dots(t, l, &inode)
                                                       : lookup_name(t, l, &inode);

        if (r >= 0)
                fs_inode_attr(l->fs, &inode, &l->attr);
        return r;
}

/* The reference must be taken before the read that finds the inode alive, or it could be unlinked and
 * collected in between. The number is not known before, so read first, and read again if the collector has
 * looked at the table since the read began. */
int fs_lookup(struct fs *fs, uint64_t dir, struct slice name, struct fs_attr *ret)
{
        struct lookup l = { .fs = fs, .dir = dir, .name = name };
        uint64_t held = 0;
        int r;

        if (name.len > FMT_NAME_MAX)
                return -ENAMETOOLONG;
        for (;;) {
                uint64_t generation = fs_collector_generation(fs);
                fs_writeback_mark mark = fs_writeback_now(fs);

                r = fs_run_read(fs, lookup_body, &l);
                if (r >= 0 && fs_writeback_attr(fs, mark, &l.attr) != 0)
                        continue;
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
                if (fs_collector_generation(fs) == generation)
                        break;
        }
        fs_hint(fs, dir, name, l.attr.ino, l.attr.mode);
        *ret = l.attr;
        return 0;
}

void fs_forget(struct fs *fs, uint64_t ino, uint64_t n)
{
        if (fs_inuse_drop(fs->inuse, ino, n))
                fs_collector_orphan(fs, ino);
}

/* ---- parent ------------------------------------------------------------------------------------- */

struct parent {
        struct fs *fs;
        uint64_t dir, parent;
};

static int parent_body(struct kv_txn *t, void *arg)
{
        struct parent *p = arg;
        struct fs_inode inode;
        int r = fs_inode_load(p->fs, t, p->dir, FS_INODE_RECORD, KV_SNAPSHOT, &inode);

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
