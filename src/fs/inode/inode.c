/* SPDX-License-Identifier: MIT */
/* Loading and storing inodes. */
#include "fs/inode/inode.h"

#include <assert.h>

/* st_blksize: a size of requests that costs little, whatever the blocks are. A power of two, which programs
 * take for granted. */
#define BLKSIZE 65536u

/* The reads of many inodes are kept at once, so their keys are small copies. */
static struct slice small_key(const struct fmt_key *k, uint8_t out[FS_INODE_KEY_MAX])
{
        assert(k->len <= FS_INODE_KEY_MAX);
        memcpy(out, k->data, k->len);
        return slice_of(out, k->len);
}

static void start_extras(struct kv_txn *t, struct fs_inode_read *r)
{
        struct fmt_key k;

        fmt_key_attr(&k, r->ino, FMT_ATTR_TIMES);
        kv_get_start(t, &r->times, small_key(&k, r->times_key), r->flags);
        fmt_key_attr(&k, r->ino, FMT_ATTR_NLINK);
        kv_get_start(t, &r->subdirs, small_key(&k, r->subdirs_key), r->flags);
        r->extras = true;
}

void fs_inode_start(struct fs *fs, struct kv_txn *t, struct fs_inode_read *r, uint64_t ino,
                    enum fs_inode_want want, unsigned flags)
{
        struct fmt_key k;

        r->ino = ino;
        r->want = want;
        r->flags = flags;
        r->extras = false;
        fmt_key_inode(&k, ino);
        kv_get_start(t, &r->record, small_key(&k, r->record_key), flags);
        /* Where a read costs a round trip, two needless ones at the same time are cheaper than to wait for
         * the type. */
        if (want == FS_INODE_DIR || (want == FS_INODE_ATTR && fs->limits->remote))
                start_extras(t, r);
}

/* Times under \xfe override: they are cleared whenever the record gets others. The ctime only grows. */
static int wait_times(struct kv_txn *t, struct fs_inode_read *r, struct fs_inode *inode)
{
        struct timespec time;
        struct slice value;
        int q = kv_get_wait(t, &r->times, &value);

        if (q == -ENOENT)
                return 0;
        if (q == 0)
                q = fmt_time_decode(value, &time);
        if (q < 0)
                return q;
        inode->dir_times = true;
        inode->rec.mtime = time;
        if (fs_time_before(inode->rec.ctime, time))
                inode->rec.ctime = time;
        return 0;
}

static int wait_subdirs(struct kv_txn *t, struct fs_inode_read *r, struct fs_inode *inode)
{
        struct slice value;
        int64_t n;
        int q = kv_get_wait(t, &r->subdirs, &value);

        if (q == -ENOENT)
                return 0;
        if (q == 0)
                q = fmt_counter_decode(value, &n);
        if (q < 0)
                return q;
        if (n < 0 || n > UINT32_MAX - 2)
                return -ERR_CORRUPT;
        inode->subdirs = (uint32_t)n;
        return 0;
}

int fs_inode_wait(struct kv_txn *t, struct fs_inode_read *r, struct fs_inode *ret)
{
        struct slice value;
        int q = kv_get_wait(t, &r->record, &value);

        /* No inode has the number 0: it means "none" all over. */
        if (q == 0 && r->ino == 0)
                q = -ENOENT;
        if (q < 0)
                return q;
        ret->ino = r->ino;
        ret->dir_times = false;
        ret->subdirs = 0;
        ret->scratch.used = 0;
        q = fmt_inode_decode(value, &ret->scratch, &ret->rec);
        if (q >= 0 && ret->rec.size > FS_SIZE_MAX)
                q = -ERR_CORRUPT;
        if (q < 0 || r->want == FS_INODE_RECORD || !S_ISDIR(ret->rec.mode))
                return q;
        if (!r->extras)
                start_extras(t, r);
        q = wait_times(t, r, ret);
        return q < 0 ? q : wait_subdirs(t, r, ret);
}

int fs_inode_load(struct fs *fs, struct kv_txn *t, uint64_t ino, enum fs_inode_want want, unsigned flags,
                  struct fs_inode *ret)
{
        struct fs_inode_read r;

        fs_inode_start(fs, t, &r, ino, want, flags);
        return fs_inode_wait(t, &r, ret);
}

int fs_inode_wait_dirent(struct kv_txn *t, struct fs_inode_read *r, const struct fmt_dirent *d,
                         struct fs_inode *ret)
{
        int q = fs_inode_wait(t, r, ret);

        if (q < 0)
                return q == -ENOENT ? -ERR_CORRUPT : q;
        return ret->rec.nlink == 0 || (ret->rec.mode & S_IFMT) != d->type ? -ERR_CORRUPT : 0;
}

static int conflict(struct kv_txn *t, enum kv_conflict kind, uint64_t ino, enum fmt_attr attr)
{
        struct fmt_key k;

        fmt_key_attr(&k, ino, attr);
        return kv_conflict_key(t, kind, fmt_slice(&k));
}

int fs_inode_depend(struct kv_txn *t, uint64_t ino, enum fmt_attr attr)
{
        return conflict(t, KV_CONFLICT_READ, ino, attr);
}

int fs_inode_depend_record(struct kv_txn *t, uint64_t ino)
{
        struct fmt_key k;

        fmt_key_inode(&k, ino);
        return kv_conflict_key(t, KV_CONFLICT_READ, fmt_slice(&k));
}

int fs_inode_disturb(struct kv_txn *t, uint64_t ino, enum fmt_attr attr)
{
        return conflict(t, KV_CONFLICT_WRITE, ino, attr);
}

int fs_inode_add(struct kv_txn *t, uint64_t ino, enum fmt_attr attr, int64_t n)
{
        struct fmt_key k;
        uint8_t operand[8];

        fmt_key_attr(&k, ino, attr);
        fmt_counter_encode(n, operand);
        return kv_atomic(t, KV_ADD, fmt_slice(&k), slice_of(operand, sizeof(operand)));
}

int fs_inode_store_new(struct kv_txn *t, uint64_t ino, const struct fmt_inode *rec)
{
        uint8_t value[FMT_INODE_MAX];
        struct fmt_key k;

        fmt_key_inode(&k, ino);
        return kv_set(t, fmt_slice(&k), slice_of(value, fmt_inode_encode(rec, value)));
}

int fs_inode_store(struct kv_txn *t, const struct fs_inode *inode, unsigned changed)
{
        static const struct {
                unsigned changed;
                enum fmt_attr attr;
        } keys[] = {
                { FS_CHANGED_SIZE, FMT_ATTR_SIZE },
                { FS_CHANGED_OWNER, FMT_ATTR_OWNER },
                { FS_CHANGED_EXIST, FMT_ATTR_EXIST },
        };
        int r = fs_inode_store_new(t, inode->ino, &inode->rec);

        for (size_t i = 0; r >= 0 && i < sizeof(keys) / sizeof(keys[0]); i++)
                if (changed & keys[i].changed)
                        r = conflict(t, KV_CONFLICT_WRITE, inode->ino, keys[i].attr);
        if (r >= 0 && inode->dir_times) {
                struct fmt_key k;

                fmt_key_attr(&k, inode->ino, FMT_ATTR_TIMES);
                r = kv_clear(t, fmt_slice(&k));
        }
        return r < 0 ? r : fs_inode_add(t, inode->ino, FMT_ATTR_CHANGE, 1);
}

int fs_parent_start(struct fs *fs, struct kv_txn *t, struct fs_inode_read *r, uint64_t dir)
{
        int q;

        fs_inode_start(fs, t, r, dir, FS_INODE_RECORD, KV_SNAPSHOT);
        q = fs_inode_depend(t, dir, FMT_ATTR_EXIST);
        return q < 0 ? q : fs_inode_depend(t, dir, FMT_ATTR_OWNER);
}

int fs_parent_wait(struct kv_txn *t, struct fs_inode_read *r, struct fs_inode *ret)
{
        int q = fs_inode_wait(t, r, ret);

        if (q < 0)
                return q;
        if (!S_ISDIR(ret->rec.mode))
                return -ENOTDIR;
        return ret->rec.nlink == 0 ? -ENOENT : 0;
}

int fs_dir_touch(struct kv_txn *t, uint64_t dir, struct timespec now, int subdirs)
{
        uint8_t time[FMT_TIME_SIZE];
        struct fmt_key k;
        int r;

        fmt_time_encode(now, time);
        fmt_key_attr(&k, dir, FMT_ATTR_TIMES);
        r = kv_atomic(t, KV_BYTE_MAX, fmt_slice(&k), slice_of(time, sizeof(time)));
        if (r >= 0 && subdirs != 0)
                r = fs_inode_add(t, dir, FMT_ATTR_NLINK, subdirs);
        return r < 0 ? r : fs_inode_add(t, dir, FMT_ATTR_CHANGE, 1);
}

static void record_attr(const struct fs *fs, uint64_t ino, const struct fmt_inode *rec, struct fs_attr *ret)
{
        *ret = (struct fs_attr){
                .ino = ino,
                .mode = rec->mode,
                .nlink = rec->nlink,
                .uid = rec->uid,
                .gid = rec->gid,
                .rdev = rec->rdev,
                .size = rec->size,
                /* Negative: what blocks took is still under \xfe,
                 * for the next writer of the record to add. */
                .blocks = rec->allocated > INT64_MAX ? 0 : rec->allocated / 512,
                .blksize = BLKSIZE,
                .atime = rec->atime,
                .mtime = rec->mtime,
                .ctime = rec->ctime,
                .btime = rec->btime,
        };
}

void fs_inode_attr_new(const struct fs *fs, uint64_t ino, const struct fmt_inode *rec, struct fs_attr *ret)
{
        record_attr(fs, ino, rec, ret);
        if (S_ISDIR(rec->mode))
                ret->nlink = 2;
}

void fs_inode_attr(const struct fs *fs, const struct fs_inode *inode, struct fs_attr *ret)
{
        record_attr(fs, inode->ino, &inode->rec, ret);
        if (S_ISDIR(inode->rec.mode) && inode->rec.nlink > 0)
                ret->nlink = 2 + inode->subdirs;
}
