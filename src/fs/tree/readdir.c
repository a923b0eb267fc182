/* SPDX-License-Identifier: MIT */
/* Listing directories. Entries are passed to the callback while the transaction that read them is open, and a
 * transaction that runs again goes on behind the last entry that was taken. */
#include "fs/gc/gc.h"
#include "fs/inode/inode.h"
#include "fs/run.h"
#include "fs/writeback/writeback.h"
#include "record/dirent.h"
#include "record/inode.h"

/* Entries whose inodes are read together. On a local store a large group only costs reads of entries that do
 * not fit into the reply. */
#define GROUP_LOCAL  16u
#define GROUP_REMOTE 64u

struct readdir {
        struct fs *fs;
        uint64_t dir;
        uint8_t after[FMT_NAME_MAX]; /* the last name that was taken */
        size_t after_len;
        bool plus;
        fs_entry_fn fn;
        void *arg;
        struct timespec now;
        uint64_t generation;    /* of the collector, from before the transaction */
        fs_writeback_mark mark; /* from before the transaction */
        bool again;             /* run again: the collector or a flush came between */
        uint64_t held;          /* an inode with a reference from before the transaction; 0: none */
        bool noatime, atime_due;
        bool delivered; /* something was taken */
        int broken;     /* the error of the entry after the last one read */
};

struct item {
        struct fmt_dirent dirent;
        uint8_t name_len;
        uint8_t name[FMT_NAME_MAX];
        struct rec_inode_read read;
        bool has_attr;
        struct fs_attr attr;
};

/* Reads the next entries into ITEMS; returns their number, 0 at the end. A damaged entry ends the group
 * before it: its error is the result of the next call. */
static int fill_group(struct readdir *d, struct rec_dirents *entries, struct item *items, unsigned max)
{
        unsigned n = 0;

        while (n < max) {
                struct slice name;
                int r = d->broken < 0 ? d->broken : rec_dirents_next(entries, &name, &items[n].dirent);

                if (r == 0)
                        break;
                if (r < 0) {
                        d->broken = r;
                        return n > 0 ? (int)n : r;
                }
                items[n].name_len = (uint8_t)name.len;
                memcpy(items[n].name, name.data, name.len);
                items[n].has_attr = false;
                n++;
        }
        return (int)n;
}

/* Reads the inodes of a group. A missing one leaves its name without attributes. */
static int fill_attrs(struct readdir *d, struct kv_txn *t, struct item *items, unsigned n)
{
        for (unsigned i = 0; i < n; i++)
                rec_inode_start(t, &items[i].read, items[i].dirent.ino,
                                rec_inode_want_dirent(&items[i].dirent), KV_SNAPSHOT);
        for (unsigned i = 0; i < n; i++) {
                struct rec_inode inode;
                int r = rec_inode_wait_dirent(t, &items[i].read, &items[i].dirent, &inode);

                if (r < 0 && r != -ERR_CORRUPT)
                        return r;
                items[i].has_attr = r >= 0;
                if (items[i].has_attr)
                        fs_attr_fill(&inode, &items[i].attr);
        }
        return 0;
}

/* Takes the reference that goes with an entry's attributes. 1: it counts from the read on, because the
 * collector has not looked at the table since (see fs_lookup). 0: it is held, and the inode must be read
 * again. */
static int take_reference(struct readdir *d, uint64_t ino)
{
        int r;

        if (ino == d->held) {
                d->held = 0;
                return 1;
        }
        r = fs_inuse_add(d->fs->inuse, ino);
        if (r < 0)
                return r;
        if (fs_gc_generation(d->fs) == d->generation)
                return 1;
        if (d->held != 0)
                fs_forget(d->fs, d->held, 1);
        d->held = ino;
        d->again = true;
        return 0;
}

/* Passes one entry to the callback: 1 if it was taken, 0 to stop. */
static int deliver(struct readdir *d, struct item *item)
{
        const struct fs_entry entry = { .name = slice_of(item->name, item->name_len),
                                        .ino = item->dirent.ino,
                                        .type = item->dirent.type,
                                        .attr = item->has_attr ? &item->attr : NULL };
        int r;

        if (item->has_attr && fs_writeback_attr(d->fs, d->mark, &item->attr) != 0) {
                d->again = true;
                return 0;
        }
        if (item->has_attr) {
                r = take_reference(d, entry.ino);
                if (r <= 0)
                        return r;
        }
        if (d->fn(&entry, d->arg) <= 0) {
                if (item->has_attr)
                        fs_forget(d->fs, entry.ino, 1);
                return 0;
        }
        fs_hint(d->fs, d->dir, entry.name, entry.ino, entry.type);
        d->delivered = true;
        d->after_len = item->name_len;
        memcpy(d->after, item->name, item->name_len);
        return 1;
}

static int deliver_all(struct readdir *d, struct kv_txn *t, struct rec_dirents *entries)
{
        struct item items[GROUP_REMOTE];
        unsigned max = d->fs->limits->remote ? GROUP_REMOTE : GROUP_LOCAL;
        bool confirmed = false;

        for (;;) {
                int r, n = fill_group(d, entries, items, max);

                if (n <= 0)
                        return n < 0 ? n : 1;
                r = d->plus ? fill_attrs(d, t, items, (unsigned)n) : 0;
                if (r < 0)
                        return r;
                r = confirmed ? 0 : kv_confirm(t);
                if (r < 0)
                        return r;
                confirmed = true;
                for (int i = 0; i < n; i++) {
                        r = deliver(d, &items[i]);
                        if (r <= 0)
                                return r;
                }
        }
}

/* A removed directory is an empty one. Listing from the beginning is an access. */
static int wait_dir(struct readdir *d, struct kv_txn *t, struct rec_inode_read *read)
{
        struct rec_inode dir;
        int r = rec_inode_wait(t, read, &dir);

        if (r < 0)
                return r;
        if (!S_ISDIR(dir.rec.mode))
                return -ENOTDIR;
        if (d->after_len == 0)
                d->atime_due = !d->noatime && fs_atime_due(d->fs, &dir, d->now);
        return 0;
}

static int readdir_body(struct kv_txn *t, void *arg)
{
        struct readdir *d = arg;
        _cleanup_dirents_ struct rec_dirents entries;
        struct rec_inode_read dir_read;
        int r;

        d->broken = 0;
        rec_inode_start(t, &dir_read, d->dir, REC_INODE_DIR, KV_SNAPSHOT);
        rec_dirents_start(t, &entries, d->dir, slice_of(d->after, d->after_len));
        r = wait_dir(d, t, &dir_read);
        return r < 0 ? r : deliver_all(d, t, &entries);
}

int fs_readdir(struct fs *fs, uint64_t dir, struct slice after, unsigned flags, fs_entry_fn fn, void *arg)
{
        struct readdir d = { .fs = fs,
                             .dir = dir,
                             .plus = flags & FS_READDIR_PLUS,
                             .noatime = flags & FS_READDIR_NOATIME,
                             .fn = fn,
                             .arg = arg,
                             .now = fs_now(fs) };
        int r;

        if (after.len > FMT_NAME_MAX)
                return -ENAMETOOLONG;
        memcpy(d.after, after.data, after.len);
        d.after_len = after.len;
        do {
                d.again = false;
                d.generation = fs_gc_generation(fs);
                d.mark = fs_writeback_now(fs);
                r = fs_run_read(fs, readdir_body, &d);
        } while (r >= 0 && d.again);
        if (d.held != 0)
                fs_forget(fs, d.held, 1);
        if (r < 0)
                /* Entries were already passed to the callback; the error comes again with the next call. */
                return d.delivered ? 0 : r;
        if (d.atime_due)
                fs_atime_set(fs, dir, d.now);
        return r;
}
