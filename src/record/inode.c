/* SPDX-License-Identifier: MIT */
#include "record/inode.h"

#include "base/clock.h"

#include <assert.h>

/* Many reads are in flight at once, so each keeps small copies of its keys. */
static struct slice small_key(const struct fmt_key *k, uint8_t out[REC_INODE_KEY_MAX])
{
        assert(k->len <= REC_INODE_KEY_MAX);
        memcpy(out, k->data, k->len);
        return slice_of(out, k->len);
}

static void start_extras(struct kv_txn *t, struct rec_inode_read *r)
{
        struct fmt_key k;

        fmt_key_attr(&k, r->ino, FMT_ATTR_TIMES);
        kv_get_start(t, &r->times, small_key(&k, r->times_key), r->flags);
        fmt_key_attr(&k, r->ino, FMT_ATTR_NLINK);
        kv_get_start(t, &r->subdirs, small_key(&k, r->subdirs_key), r->flags);
        r->extras = true;
}

void rec_inode_start(struct kv_txn *t, struct rec_inode_read *r, uint64_t ino, enum rec_inode_want want,
                     unsigned flags)
{
        struct fmt_key k;

        r->ino = ino;
        r->want = want;
        r->flags = flags;
        r->extras = false;
        fmt_key_inode(&k, ino);
        kv_get_start(t, &r->record, small_key(&k, r->record_key), flags);
        /* Where a read costs a round trip, two unneeded ones at the same time are cheaper than waiting for
         * the type. */
        if (want == REC_INODE_DIR || (want == REC_INODE_ATTR && kv_txn_limits(t)->remote))
                start_extras(t, r);
}

/* Times under \xfe override those of the record: storing the record clears them. The ctime only grows. */
static int wait_times(struct kv_txn *t, struct rec_inode_read *r, struct rec_inode *inode)
{
        struct timespec time;
        struct slice value;
        int q = kv_get_wait(t, &r->times, &value);

        if (q < 0)
                return q == -ENOENT ? 0 : q;
        q = fmt_time_decode(value, &time);
        if (q < 0)
                return q;
        inode->dir_times = true;
        inode->rec.mtime = time;
        if (time_before(inode->rec.ctime, time))
                inode->rec.ctime = time;
        return 0;
}

static int wait_subdirs(struct kv_txn *t, struct rec_inode_read *r, struct rec_inode *inode)
{
        struct slice value;
        int64_t n;
        int q = kv_get_wait(t, &r->subdirs, &value);

        if (q < 0)
                return q == -ENOENT ? 0 : q;
        q = fmt_counter_decode(value, &n);
        if (q < 0)
                return q;
        if (n < 0 || n > UINT32_MAX - 2)
                return -ERR_CORRUPT;
        inode->subdirs = (uint32_t)n;
        return 0;
}

int rec_inode_wait(struct kv_txn *t, struct rec_inode_read *r, struct rec_inode *ret)
{
        struct slice value;
        int q = kv_get_wait(t, &r->record, &value);

        if (q < 0)
                return q;
        if (r->ino == 0)
                return -ENOENT; /* 0 means "none" wherever a number is stored */
        ret->ino = r->ino;
        ret->dir_times = false;
        ret->subdirs = 0;
        ret->scratch.used = 0;
        q = fmt_inode_decode(value, &ret->scratch, &ret->rec);
        if (q < 0)
                return q;
        if (ret->rec.size > FMT_FILE_SIZE_MAX)
                return -ERR_CORRUPT;
        if (r->want == REC_INODE_RECORD || !S_ISDIR(ret->rec.mode))
                return 0;
        if (!r->extras)
                start_extras(t, r);
        q = wait_times(t, r, ret);
        return q < 0 ? q : wait_subdirs(t, r, ret);
}

int rec_inode_load(struct kv_txn *t, uint64_t ino, enum rec_inode_want want, unsigned flags,
                   struct rec_inode *ret)
{
        struct rec_inode_read r;

        rec_inode_start(t, &r, ino, want, flags);
        return rec_inode_wait(t, &r, ret);
}

int rec_inode_wait_dirent(struct kv_txn *t, struct rec_inode_read *r, const struct fmt_dirent *d,
                          struct rec_inode *ret)
{
        int q = rec_inode_wait(t, r, ret);

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

int rec_inode_depend(struct kv_txn *t, uint64_t ino, enum fmt_attr attr)
{
        return conflict(t, KV_CONFLICT_READ, ino, attr);
}

int rec_inode_depend_record(struct kv_txn *t, uint64_t ino)
{
        struct fmt_key k;

        fmt_key_inode(&k, ino);
        return kv_conflict_key(t, KV_CONFLICT_READ, fmt_slice(&k));
}

int rec_inode_disturb(struct kv_txn *t, uint64_t ino, enum fmt_attr attr)
{
        return conflict(t, KV_CONFLICT_WRITE, ino, attr);
}

int rec_inode_add(struct kv_txn *t, uint64_t ino, enum fmt_attr attr, int64_t n)
{
        struct fmt_key k;
        uint8_t operand[8];

        fmt_key_attr(&k, ino, attr);
        fmt_counter_encode(n, operand);
        return kv_atomic(t, KV_ADD, fmt_slice(&k), slice_of(operand, sizeof(operand)));
}

int rec_inode_store_new(struct kv_txn *t, uint64_t ino, const struct fmt_inode *rec)
{
        uint8_t value[FMT_INODE_MAX];
        struct fmt_key k;

        fmt_key_inode(&k, ino);
        return kv_set(t, fmt_slice(&k), slice_of(value, fmt_inode_encode(rec, value)));
}

int rec_inode_store(struct kv_txn *t, const struct rec_inode *inode, unsigned changed)
{
        static const struct {
                unsigned changed;
                enum fmt_attr attr;
        } keys[] = {
                { REC_CHANGED_SIZE, FMT_ATTR_SIZE },
                { REC_CHANGED_OWNER, FMT_ATTR_OWNER },
                { REC_CHANGED_EXIST, FMT_ATTR_EXIST },
        };
        int r = rec_inode_store_new(t, inode->ino, &inode->rec);

        for (size_t i = 0; r >= 0 && i < sizeof(keys) / sizeof(keys[0]); i++)
                if (changed & keys[i].changed)
                        r = conflict(t, KV_CONFLICT_WRITE, inode->ino, keys[i].attr);
        if (r < 0)
                return r;
        if (inode->dir_times) {
                struct fmt_key k;

                fmt_key_attr(&k, inode->ino, FMT_ATTR_TIMES);
                r = kv_clear(t, fmt_slice(&k));
                if (r < 0)
                        return r;
        }
        return rec_inode_add(t, inode->ino, FMT_ATTR_CHANGE, 1);
}

int rec_inode_clear(struct kv_txn *t, uint64_t ino)
{
        struct fmt_key begin, end;

        fmt_key_inode(&begin, ino);
        fmt_key_inode_end(&end, ino);
        return kv_clear_range(t, fmt_slice(&begin), fmt_slice(&end));
}

/* ---- allocated bytes beside the record ----------------------------------------------------------- */

void rec_allocated_start(struct kv_txn *t, struct rec_allocated_read *r, uint64_t ino)
{
        fmt_key_attr(&r->key, ino, FMT_ATTR_BLOCKS);
        kv_get_start(t, &r->read, fmt_slice(&r->key), 0);
}

int rec_allocated_wait(struct kv_txn *t, struct rec_allocated_read *r)
{
        struct slice value;
        int q = kv_get_wait(t, &r->read, &value);

        r->exists = q == 0;
        if (q < 0)
                return q == -ENOENT ? 0 : q;
        return fmt_counter_decode(value, &r->n);
}

int rec_allocated_fold(struct kv_txn *t, const struct rec_allocated_read *r, struct fmt_inode *rec)
{
        if (!r->exists)
                return 0;
        rec->allocated += (uint64_t)r->n;
        return kv_clear(t, fmt_slice(&r->key));
}
