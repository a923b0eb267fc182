/* SPDX-License-Identifier: MIT */
/* Listing directories. Entries are handed out while the transaction that read them is open, and a
 * transaction that has to be run again goes on behind the last entry that was taken. */
#include "fs/gc/gc.h"
#include "fs/inode/inode.h"
#include "fs/run.h"
#include "fs/tree/internal.h"
#include "fs/writeback/writeback.h"
#include "record/inode.h"

/* Entries whose inodes are read together. On a local store this only costs what the caller then has no
 * room for. */
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
        bool again;             /* run again: the collector came between */
        uint64_t held;          /* an inode with a reference from before the transaction; 0: none */
        bool atime_due;
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

/* The next entries: their number, 0 at the end. */
static int fill_group(struct readdir *d, struct kv_range *range, struct item *items, unsigned max)
{
        unsigned n = 0;

        while (n < max) {
                struct fmt_parsed_key parsed;
                struct slice key, value;
                int r = d->broken < 0 ? d->broken : kv_range_next(range, &key, &value);

                if (r == 0)
                        break;
                if (r > 0)
                        r = fmt_key_parse(key, &parsed);
                if (r >= 0)
                        r = fmt_dirent_decode(value, &items[n].dirent);
                if (r < 0) {
                        /* What comes before it can be listed. */
                        d->broken = r;
                        return n > 0 ? (int)n : r;
                }
                items[n].name_len = (uint8_t)parsed.name.len;
                memcpy(items[n].name, parsed.name.data, parsed.name.len);
                items[n].has_attr = false;
                n++;
        }
        return (int)n;
}

/* Reads the inodes of a group. One that is missing leaves its name without attributes. */
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

/* Takes the reference that goes with an entry's attributes. It counts from the read on if the collector has
 * not looked since (see fs_lookup); otherwise 0: it is held, and the inode to be read again. */
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

/* Hands out one entry: 1 if it was taken, 0 to stop. */
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

static int deliver_all(struct readdir *d, struct kv_txn *t, struct kv_range *range)
{
        struct item items[GROUP_REMOTE];
        unsigned max = d->fs->limits->remote ? GROUP_REMOTE : GROUP_LOCAL;
        bool confirmed = false;

        for (;;) {
                int r, n = fill_group(d, range, items, max);

                if (n <= 0)
                        return n < 0 ? n : 1;
                r = d->plus ? fill_attrs(d, t, items, (unsigned)n) : 0;
                if (r >= 0 && !confirmed)
                        r = kv_confirm(t);
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

/* A removed directory is an empty one. Whoever begins to list a directory accesses it. */
static int wait_dir(struct readdir *d, struct kv_txn *t, struct rec_inode_read *read)
{
        struct rec_inode dir;
        int r = rec_inode_wait(t, read, &dir);

        if (r < 0)
                return r;
        if (!S_ISDIR(dir.rec.mode))
                return -ENOTDIR;
        if (d->after_len == 0)
                d->atime_due = fs_atime_due(d->fs, &dir, d->now);
        return 0;
}

static int readdir_body(struct kv_txn *t, void *arg)
{
        struct readdir *d = arg;
        struct slice after = slice_of(d->after, d->after_len);
        struct rec_inode_read dir_read;
        struct fmt_key begin, end;
        struct kv_range range;
        int r;

        d->broken = 0;
        rec_inode_start(t, &dir_read, d->dir, REC_INODE_DIR, KV_SNAPSHOT);
        if (after.len > 0)
                fmt_key_dirent_after(&begin, d->dir, after);
        else
                fmt_key_dirent(&begin, d->dir, after);
        fmt_key_dir_end(&end, d->dir);
        kv_range_start(t, &range,
                       &(struct kv_range_opts){
                               .begin = fmt_slice(&begin), .end = fmt_slice(&end), .snapshot = true });
        r = wait_dir(d, t, &dir_read);
        if (r >= 0)
                r = deliver_all(d, t, &range);
        kv_range_end(&range);
        return r;
}

int fs_readdir(struct fs *fs, uint64_t dir, struct slice after, unsigned flags, fs_entry_fn fn, void *arg)
{
        struct readdir d = {
                .fs = fs, .dir = dir, .plus = flags & FS_READDIR_PLUS, .fn = fn, .arg = arg, .now = fs_now(fs)
        };
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
                /* What was handed out stays so; the error comes again with the next call. */
                return d.delivered ? 0 : r;
        if (d.atime_due)
                fs_atime_set(fs, dir, d.now);
        return r;
}
