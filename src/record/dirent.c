/* SPDX-License-Identifier: MIT */
#include "record/dirent.h"

void rec_dirent_start(struct kv_txn *t, struct rec_dirent_read *r, uint64_t dir, struct slice name)
{
        fmt_key_dirent(&r->key, dir, name);
        kv_get_start(t, &r->read, fmt_slice(&r->key), 0);
}

int rec_dirent_wait(struct kv_txn *t, struct rec_dirent_read *r, struct fmt_dirent *ret)
{
        struct slice value;
        int q = kv_get_wait(t, &r->read, &value);

        return q < 0 ? q : fmt_dirent_decode(value, ret);
}

int rec_dirent_set(struct kv_txn *t, uint64_t dir, struct slice name, uint64_t ino, uint32_t mode)
{
        const struct fmt_dirent d = { .ino = ino, .type = mode & S_IFMT };
        uint8_t value[FMT_DIRENT_MAX];
        struct fmt_key k;

        fmt_key_dirent(&k, dir, name);
        return kv_set(t, fmt_slice(&k), slice_of(value, fmt_dirent_encode(&d, value)));
}

int rec_dirent_clear(struct kv_txn *t, uint64_t dir, struct slice name)
{
        struct fmt_key k;

        fmt_key_dirent(&k, dir, name);
        return kv_clear(t, fmt_slice(&k));
}

void rec_dirents_start(struct kv_txn *t, struct rec_dirents *r, uint64_t dir, struct slice after)
{
        if (after.len > 0)
                fmt_key_dirent_after(&r->begin, dir, after);
        else
                fmt_key_dirent(&r->begin, dir, after);
        fmt_key_dir_end(&r->end, dir);
        kv_range_start(t, &r->range,
                       &(struct kv_range_opts){
                               .begin = fmt_slice(&r->begin), .end = fmt_slice(&r->end), .snapshot = true });
}

int rec_dirents_next(struct rec_dirents *r, struct slice *ret_name, struct fmt_dirent *ret)
{
        struct fmt_parsed_key parsed;
        struct slice key, value;
        int q = kv_range_next(&r->range, &key, &value);

        if (q <= 0)
                return q;
        q = fmt_key_parse(key, &parsed);
        if (q < 0)
                return q;
        q = fmt_dirent_decode(value, ret);
        if (q < 0)
                return q;
        *ret_name = parsed.name;
        return 1;
}

void rec_dirents_end(struct rec_dirents *r)
{
        kv_range_end(&r->range);
}

/* ---- the directory itself ------------------------------------------------------------------------ */

int rec_dirent_missing_wait(struct kv_txn *t, struct rec_inode_read *dir)
{
        struct rec_inode inode;
        int r = rec_inode_wait(t, dir, &inode);

        if (r < 0)
                return r;
        return S_ISDIR(inode.rec.mode) ? -ENOENT : -ENOTDIR;
}

int rec_dirent_missing(struct kv_txn *t, uint64_t dir)
{
        struct rec_inode_read read;

        rec_inode_start(t, &read, dir, REC_INODE_RECORD, KV_SNAPSHOT);
        return rec_dirent_missing_wait(t, &read);
}

int rec_dir_check_empty(struct kv_txn *t, uint64_t dir)
{
        struct fmt_key begin, end;
        _cleanup_range_ struct kv_range range = KV_RANGE_NONE;
        struct slice key, value;
        int r;

        fmt_key_dirent(&begin, dir, slice_of(NULL, 0));
        fmt_key_dir_end(&end, dir);
        kv_range_start(t, &range,
                       &(struct kv_range_opts){
                               .begin = fmt_slice(&begin), .end = fmt_slice(&end), .limit = 1 });
        r = kv_range_next(&range, &key, &value);
        return r > 0 ? -ENOTEMPTY : r;
}

int rec_parent_start(struct kv_txn *t, struct rec_inode_read *r, uint64_t dir)
{
        int q;

        rec_inode_start(t, r, dir, REC_INODE_RECORD, KV_SNAPSHOT);
        q = rec_inode_depend(t, dir, FMT_ATTR_EXIST);
        return q < 0 ? q : rec_inode_depend(t, dir, FMT_ATTR_OWNER);
}

int rec_parent_wait(struct kv_txn *t, struct rec_inode_read *r, struct rec_inode *ret)
{
        int q = rec_inode_wait(t, r, ret);

        if (q < 0)
                return q;
        if (!S_ISDIR(ret->rec.mode))
                return -ENOTDIR;
        return ret->rec.nlink == 0 ? -ENOENT : 0;
}

int rec_dir_touch(struct kv_txn *t, uint64_t dir, struct timespec now, int subdirs)
{
        uint8_t time[FMT_TIME_SIZE];
        struct fmt_key k;
        int r;

        fmt_time_encode(now, time);
        fmt_key_attr(&k, dir, FMT_ATTR_TIMES);
        r = kv_atomic(t, KV_BYTE_MAX, fmt_slice(&k), slice_of(time, sizeof(time)));
        if (r < 0)
                return r;
        if (subdirs != 0) {
                r = rec_inode_add(t, dir, FMT_ATTR_NLINK, subdirs);
                if (r < 0)
                        return r;
        }
        return rec_inode_add(t, dir, FMT_ATTR_CHANGE, 1);
}
