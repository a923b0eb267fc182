/* SPDX-License-Identifier: MIT */
/* Seeded random operations on fs and on the model beside it: the same results, the same errors, the same
 * tree.
 *
 * test_model SPEC: environment ASHLAR_SEED, ASHLAR_STEPS. */
#include "fixture.h"
#include "model.h"

#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define FILE_MAX  (200u * 1024u)
#define WRITE_MAX (70u * 1024u)

struct pair {
        struct fixture f;
        struct model m;
        struct rng rng;
        uint64_t step;
};

static uint64_t below(struct pair *p, uint64_t n)
{
        return rng_below(&p->rng, n);
}

/* ---- choosing ----------------------------------------------------------------------------------- */

static struct model_inode *any_inode(struct pair *p)
{
        return p->m.inodes[below(p, p->m.n_inodes)];
}

/* Chooses an inode, mostly of the wanted type. */
static struct model_inode *some(struct pair *p, uint32_t type)
{
        struct model_inode *inode = any_inode(p);

        for (int i = 0; i < 20 && (inode->mode & S_IFMT) != type; i++)
                inode = any_inode(p);
        return below(p, 30) == 0 ? any_inode(p) : inode;
}

static struct model_inode *some_dir(struct pair *p)
{
        return below(p, 4) == 0 ? p->m.inodes[0] : some(p, S_IFDIR);
}

/* Chooses one of few names, so that operations collide; some are long, some too long. */
static const char *some_name(struct pair *p, char *buf)
{
        uint64_t kind = below(p, 60);

        if (kind > 1) {
                sprintf(buf, "%c%llu", "abc"[below(p, 3)], (unsigned long long)below(p, 5));
                return buf;
        }
        memset(buf, 'l', 255 + kind);
        buf[255 + kind] = '\0';
        return buf;
}

/* Chooses a name, in half of the cases an existing one of DIR. */
static const char *known_name(struct pair *p, const struct model_inode *dir, char *buf)
{
        if (S_ISDIR(dir->mode) && dir->n_entries > 0 && below(p, 5) > 0)
                return strcpy(buf, dir->entries[below(p, dir->n_entries)].name);
        return some_name(p, buf);
}

/* ---- comparing ---------------------------------------------------------------------------------- */

static void check_verdict(struct pair *p, const char *what, int r, struct model_verdict v)
{
        if (model_allows(&v, r < 0 ? -r : 0))
                return;
        print_error("step %llu: %s gave %d (%s); allowed:", (unsigned long long)p->step, what, r,
                    r < 0 ? err_str(r) : "success");
        for (int i = 0; i < v.n; i++)
                print_error(" %s;", err_str(v.err[i]));
        if (v.n == 0)
                print_error(" success");
        print_error("\n");
        fail();
}

static void compare_time(struct pair *p, const struct model_inode *inode, const char *what,
                         struct timespec got, struct timespec expected)
{
        if (got.tv_sec != expected.tv_sec || got.tv_nsec != expected.tv_nsec)
                fail_msg("step %llu: %s of inode %llu is %lld.%09ld, not %lld.%09ld",
                         (unsigned long long)p->step, what, (unsigned long long)inode->ino,
                         (long long)got.tv_sec, got.tv_nsec, (long long)expected.tv_sec, expected.tv_nsec);
}

static void compare_number(struct pair *p, const struct model_inode *inode, const char *what, uint64_t got,
                           uint64_t expected)
{
        if (got != expected)
                fail_msg("step %llu: %s of inode %llu is %llu, not %llu", (unsigned long long)p->step, what,
                         (unsigned long long)inode->ino, (unsigned long long)got,
                         (unsigned long long)expected);
}

/* Checks st_blocks: each block counts at least without the zeros at its end, at most with them, because a
 * change to a part of a block may leave zeros behind. Dirty blocks are counted as far as their form is
 * known. */
static void compare_blocks(struct pair *p, const struct model_inode *inode, uint64_t got)
{
        size_t block_size = fs_block_size(p->f.fs);
        uint64_t least = 0, most = 0;

        for (size_t at = 0; at < inode->size; at += block_size) {
                size_t len = inode->size - at < block_size ? inode->size - at : block_size;

                least += (fmt_block_trim(inode->data + at, len) + 511) / 512;
                most += (len + 511) / 512;
        }
        if (p->f.opts.writeback)
                least = 0;
        if (got < least || got > most)
                fail_msg("step %llu: inode %llu takes %llu blocks, not %llu to %llu",
                         (unsigned long long)p->step, (unsigned long long)inode->ino, (unsigned long long)got,
                         (unsigned long long)least, (unsigned long long)most);
}

static void compare_attr(struct pair *p, const struct model_inode *inode, const struct fs_attr *a)
{
        uint32_t nlink = inode->nlink;

        if (S_ISDIR(inode->mode) && nlink > 0)
                nlink = 2 + (uint32_t)inode->n_subdirs;
        compare_number(p, inode, "number", a->ino, inode->ino);
        compare_number(p, inode, "mode", a->mode, inode->mode);
        compare_number(p, inode, "nlink", a->nlink, nlink);
        compare_number(p, inode, "uid", a->uid, inode->uid);
        compare_number(p, inode, "gid", a->gid, inode->gid);
        compare_number(p, inode, "rdev", a->rdev, inode->rdev);
        if (!S_ISDIR(inode->mode))
                compare_number(p, inode, "size", a->size, inode->size);
        if (S_ISREG(inode->mode))
                compare_blocks(p, inode, a->blocks);
        compare_time(p, inode, "atime", a->atime, inode->atime);
        compare_time(p, inode, "mtime", a->mtime, inode->mtime);
        compare_time(p, inode, "ctime", a->ctime, inode->ctime);
        compare_time(p, inode, "btime", a->btime, inode->btime);
}

static void compare_inode(struct pair *p, const struct model_inode *inode)
{
        struct fs_attr a;
        int r = fs_getattr(p->f.fs, inode->ino, &a);

        if (r < 0)
                fail_msg("step %llu: getattr of inode %llu: %s", (unsigned long long)p->step,
                         (unsigned long long)inode->ino, err_str(r));
        compare_attr(p, inode, &a);
}

static void compare_data(struct pair *p, const struct model_inode *inode)
{
        static uint8_t buf[FILE_MAX + WRITE_MAX + 1];
        ssize_t n = get(&p->f, inode->ino, 0, buf, sizeof(buf));

        compare_number(p, inode, "bytes read", (uint64_t)n, inode->size);
        for (size_t i = 0; i < inode->size; i++)
                if (buf[i] != inode->data[i])
                        fail_msg("step %llu: byte %zu of inode %llu is %02x, not %02x",
                                 (unsigned long long)p->step, i, (unsigned long long)inode->ino, buf[i],
                                 inode->data[i]);
}

struct listing {
        struct pair *p;
        const struct model_inode *dir;
        size_t at, limit;
        bool plus;
        char last[256];
};

static int compare_entry(const struct fs_entry *entry, void *arg)
{
        struct listing *l = arg;
        const struct model_entry *expected = &l->dir->entries[l->at];

        assert_true(l->at < l->dir->n_entries);
        if (l->limit == 0)
                return 0;
        l->limit--;
        l->at++;
        assert_true(slice_eq(entry->name, slice_str(expected->name)));
        compare_number(l->p, expected->inode, "number in its entry", entry->ino, expected->inode->ino);
        compare_number(l->p, expected->inode, "type in its entry", entry->type,
                       expected->inode->mode & S_IFMT);
        assert_true(l->plus || !entry->attr);
        if (entry->attr) { /* not while the collector is busy */
                compare_attr(l->p, expected->inode, entry->attr);
                expected->inode->refs++;
        }
        strcpy(l->last, expected->name);
        return 1;
}

/* Reads with calls of random sizes. */
static void compare_listing(struct pair *p, const struct model_inode *dir)
{
        struct listing l = { .p = p, .dir = dir };
        int r = 0;

        while (r == 0) {
                l.limit = 1 + below(p, 20);
                l.plus = below(p, 2);
                r = fs_readdir(p->f.fs, dir->ino, str(l.last), l.plus ? FS_READDIR_PLUS : 0, compare_entry,
                               &l);
                assert_true(r >= 0);
        }
        compare_number(p, dir, "number of entries", l.at, dir->n_entries);
}

static void compare_xattrs(struct pair *p, const struct model_inode *inode)
{
        char list[MODEL_NAMES * 32], expected[MODEL_NAMES * 32];
        static uint8_t value[70000];
        size_t at = 0;

        for (size_t i = 0; i < inode->n_xattrs; i++) {
                const struct model_xattr *x = &inode->xattrs[i];

                strcpy(expected + at, x->name);
                at += strlen(x->name) + 1;
                assert_int_equal(fs_getxattr(p->f.fs, inode->ino, str(x->name), value, sizeof(value)),
                                 (int)x->len);
                assert_memory_equal(value, x->value, x->len);
        }
        assert_int_equal(fs_listxattr(p->f.fs, inode->ino, list, sizeof(list)), (int)at);
        assert_memory_equal(list, expected, at);
}

static void compare_all(struct pair *p)
{
        for (size_t i = 0; i < p->m.n_inodes; i++) {
                struct model_inode *inode = p->m.inodes[i];
                char buf[FMT_SYMLINK_MAX + 1];
                uint64_t parent;

                compare_inode(p, inode);
                compare_xattrs(p, inode);
                if (S_ISREG(inode->mode))
                        compare_data(p, inode);
                if (S_ISLNK(inode->mode)) {
                        assert_int_equal(fs_readlink(p->f.fs, inode->ino, buf), (int)inode->size);
                        assert_memory_equal(buf, inode->data, inode->size);
                }
                if (S_ISDIR(inode->mode) && inode->nlink > 0) {
                        compare_listing(p, inode);
                        assert_ok(fs_parent(p->f.fs, inode->ino, &parent));
                        compare_number(p, inode, "parent", parent, inode->parent->ino);
                }
        }
        fixture_check(&p->f, NULL);
}

/* ---- steps -------------------------------------------------------------------------------------- */

static void step_create(struct pair *p)
{
        static const uint32_t types[] = { S_IFREG, S_IFREG, S_IFREG, S_IFDIR,
                                          S_IFDIR, S_IFLNK, S_IFIFO, S_IFCHR };
        struct model_inode *dir = some_dir(p), *inode;
        uint32_t type = types[below(p, 8)], mode = (uint32_t)below(p, 01000);
        struct fs_cred cred = { .uid = (uint32_t)below(p, 3), .gid = (uint32_t)below(p, 3) };
        uint64_t rdev = type == S_IFCHR ? makedev(4, below(p, 9)) : 0;
        char name[300], target[300];
        struct fs_attr a;
        int r;

        if (p->m.n_inodes + 2 > MODEL_INODES || (S_ISDIR(dir->mode) && dir->n_entries + 2 > MODEL_NAMES))
                return;
        some_name(p, name);
        some_name(p, target);
        if (type == S_IFDIR) {
                r = fs_mkdir(p->f.fs, &cred, dir->ino, str(name), mode, &a);
        } else if (type == S_IFLNK) {
                r = fs_symlink(p->f.fs, &cred, dir->ino, str(name), str(target), &a);
                mode = 0777;
        } else {
                r = fs_mknod(p->f.fs, &cred, dir->ino, str(name), type | mode, rdev, &a);
        }
        check_verdict(p, "create", r, model_may_create(dir, name));
        if (r < 0)
                return;
        inode = model_create(&p->m, dir, name, a.ino, type | mode, cred.uid, cred.gid, rdev);
        if (type == S_IFLNK)
                model_set_target(inode, target);
        compare_attr(p, inode, &a);
        compare_inode(p, dir);
}

static void step_lookup(struct pair *p)
{
        struct model_inode *dir = some_dir(p), *inode;
        char name[300];
        struct fs_attr a;
        int r;

        known_name(p, dir, name);
        r = fs_lookup(p->f.fs, dir->ino, str(name), &a);
        check_verdict(p, "lookup", r, model_may_lookup(dir, name));
        if (r < 0)
                return;
        inode = model_find(dir, name);
        inode->refs++;
        compare_attr(p, inode, &a);
}

static void step_forget(struct pair *p)
{
        struct model_inode *inode = any_inode(p);
        uint64_t n = below(p, inode->refs + 1);

        if (n == 0)
                return;
        fs_forget(p->f.fs, inode->ino, n);
        model_forget(&p->m, inode, n);
}

static void step_link(struct pair *p)
{
        struct model_inode *inode = any_inode(p), *dir = some_dir(p);
        char name[300];
        struct fs_attr a;
        int r;

        if (S_ISDIR(dir->mode) && dir->n_entries + 2 > MODEL_NAMES)
                return;
        some_name(p, name);
        r = fs_link(p->f.fs, inode->ino, dir->ino, str(name), &a);
        check_verdict(p, "link", r, model_may_link(inode, dir, name));
        if (r < 0)
                return;
        model_link(&p->m, inode, dir, name);
        compare_attr(p, inode, &a);
        compare_inode(p, dir);
}

static void step_unlink(struct pair *p)
{
        struct model_inode *dir = some_dir(p);
        char name[300];
        int r;

        known_name(p, dir, name);
        r = fs_unlink(p->f.fs, dir->ino, str(name));
        check_verdict(p, "unlink", r, model_may_unlink(dir, name));
        if (r < 0)
                return;
        model_unlink(&p->m, dir, name);
        compare_inode(p, dir);
}

static void step_rmdir(struct pair *p)
{
        struct model_inode *dir = some_dir(p);
        char name[300];
        int r;

        known_name(p, dir, name);
        r = fs_rmdir(p->f.fs, dir->ino, str(name));
        check_verdict(p, "rmdir", r, model_may_rmdir(dir, name));
        if (r < 0)
                return;
        model_rmdir(&p->m, dir, name);
        compare_inode(p, dir);
}

static void step_rename(struct pair *p)
{
        static const unsigned flags[] = {
                0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_NOREPLACE | RENAME_EXCHANGE
        };
        struct model_inode *dir = some_dir(p), *new_dir = some_dir(p);
        unsigned flag = flags[below(p, 6)];
        char name[300], new_name[300];
        int r;

        if (S_ISDIR(new_dir->mode) && new_dir->n_entries + 2 > MODEL_NAMES)
                return;
        known_name(p, dir, name);
        known_name(p, new_dir, new_name);
        r = fs_rename(p->f.fs, dir->ino, str(name), new_dir->ino, str(new_name), flag, NULL);
        check_verdict(p, "rename", r, model_may_rename(dir, name, new_dir, new_name, flag));
        if (r < 0)
                return;
        model_rename(&p->m, dir, name, new_dir, new_name, flag);
        compare_inode(p, dir);
        compare_inode(p, new_dir);
}

/* Chooses an offset, often at the edge of a block. */
static uint64_t some_offset(struct pair *p, const struct model_inode *inode)
{
        uint64_t max = inode->size + 10000 < FILE_MAX ? inode->size + 10000 : FILE_MAX;

        switch (below(p, 4)) {
        case 0:
                return below(p, max / 4096 + 1) * 4096;
        case 1:
                return inode->size < FILE_MAX ? inode->size : FILE_MAX;
        default:
                return below(p, max);
        }
}

static uint64_t some_len(struct pair *p)
{
        switch (below(p, 4)) {
        case 0:
                return below(p, WRITE_MAX);
        case 1:
                return (1 + below(p, 8)) * 4096;
        default:
                return below(p, 5000);
        }
}

static void step_write(struct pair *p)
{
        static uint8_t data[WRITE_MAX];
        struct model_inode *inode = some(p, S_IFREG);
        uint64_t offset = some_offset(p, inode), len = some_len(p);
        bool append = below(p, 6) == 0;
        ssize_t n;

        if (append && inode->size > FILE_MAX - WRITE_MAX)
                return;
        if (below(p, 5) == 0)
                memset(data, 0, len);
        else
                rng_fill(&p->rng, data, len);
        n = fs_write(p->f.fs, inode->ino, offset, slice_of(data, len), append ? FS_WRITE_APPEND : 0);
        if (len > 0 || n < 0)
                check_verdict(p, "write", n < 0 ? (int)n : 0, model_may_access_data(inode));
        if (n < 0 || len == 0)
                return;
        compare_number(p, inode, "bytes written", (uint64_t)n, len);
        model_write(&p->m, inode, append ? inode->size : offset, data, len);
        compare_inode(p, inode);
}

static void step_read(struct pair *p)
{
        static uint8_t buf[WRITE_MAX];
        struct model_inode *inode = some(p, S_IFREG);
        uint64_t offset = some_offset(p, inode), len = some_len(p), expected = 0;
        ssize_t n;

        if (len == 0)
                return;
        n = get(&p->f, inode->ino, offset, buf, len);
        check_verdict(p, "read", n < 0 ? (int)n : 0, model_may_access_data(inode));
        if (n < 0)
                return;
        if (offset < inode->size)
                expected = len < inode->size - offset ? len : inode->size - offset;
        compare_number(p, inode, "bytes read", (uint64_t)n, expected);
        if (n > 0)
                assert_memory_equal(buf, inode->data + offset, (size_t)n);
}

static void step_truncate(struct pair *p)
{
        struct model_inode *inode = some(p, S_IFREG);
        struct fs_setattr set = { .set = FS_SET_SIZE, .size = some_offset(p, inode) };
        struct fs_attr a;
        int r = fs_setattr(p->f.fs, inode->ino, &set, &a);

        check_verdict(p, "truncate", r, model_may_access_data(inode));
        if (r < 0)
                return;
        model_truncate(&p->m, inode, set.size);
        compare_attr(p, inode, &a);
}

static void step_setattr(struct pair *p)
{
        struct model_inode *inode = any_inode(p);
        struct fs_setattr set = { .mode = (uint32_t)below(p, 01000),
                                  .uid = (uint32_t)below(p, 9),
                                  .gid = (uint32_t)below(p, 9) };
        struct timespec some_time = { (time_t)below(p, UINT64_C(1) << 33) - 1000,
                                      (long)below(p, 1000000000) };
        struct fs_attr a;

        set.atime = set.mtime = some_time;
        switch (below(p, 5)) {
        case 0:
                if (S_ISLNK(inode->mode))
                        return;
                if (S_ISREG(inode->mode) && below(p, 2))
                        set.mode |= S_ISUID | S_ISGID | S_IXGRP;
                if (S_ISDIR(inode->mode))
                        set.mode |= (uint32_t)below(p, 2) * S_ISGID;
                set.set = FS_SET_MODE;
                inode->mode = (inode->mode & S_IFMT) | set.mode;
                inode->ctime = p->m.now;
                break;
        case 1:
                set.set = FS_SET_UID | FS_SET_GID;
                model_chown(&p->m, inode, set.uid, set.gid);
                break;
        case 2:
                set.set = FS_SET_GID;
                model_chown(&p->m, inode, inode->uid, set.gid);
                break;
        case 3:
                set.set = FS_SET_ATIME | FS_SET_MTIME;
                inode->atime = inode->mtime = some_time;
                inode->ctime = p->m.now;
                break;
        case 4:
                set.set = FS_SET_ATIME_NOW | FS_SET_MTIME_NOW;
                inode->atime = inode->mtime = inode->ctime = p->m.now;
                break;
        }
        assert_ok(fs_setattr(p->f.fs, inode->ino, &set, &a));
        compare_attr(p, inode, &a);
        compare_inode(p, inode);
}

/* A change of data that leaves the size may leave the times: the model takes over the times of fs. */
static void take_times(struct pair *p, struct model_inode *inode)
{
        struct fs_attr a = attr(&p->f, inode->ino);

        if (a.mtime.tv_sec == p->m.now.tv_sec)
                inode->mtime = p->m.now;
        if (a.ctime.tv_sec == p->m.now.tv_sec)
                inode->ctime = p->m.now;
        compare_attr(p, inode, &a);
}

static void step_fallocate(struct pair *p)
{
        static const int modes[] = { 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                     FALLOC_FL_ZERO_RANGE, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE };
        struct model_inode *inode = some(p, S_IFREG);
        int mode = modes[below(p, 5)];
        uint64_t offset = some_offset(p, inode), len = 1 + some_len(p);

        if (!S_ISREG(inode->mode))
                return;
        assert_ok(fs_fallocate(p->f.fs, inode->ino, mode, offset, len));
        if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
                model_zero(inode, offset, len, mode & FALLOC_FL_KEEP_SIZE);
        else if (mode == 0 && offset + len > inode->size)
                model_zero(inode, inode->size, offset + len - inode->size, false);
        take_times(p, inode);
}

static void step_copy(struct pair *p)
{
        static uint8_t data[WRITE_MAX];
        struct model_inode *from = some(p, S_IFREG), *to = below(p, 4) == 0 ? from : some(p, S_IFREG);
        uint64_t at = some_offset(p, from), to_at = some_offset(p, to), len = some_len(p), expected = 0;
        int64_t n;

        if (!S_ISREG(from->mode) || !S_ISREG(to->mode) || len == 0)
                return;
        if (below(p, 3) == 0)
                to_at = to_at / 4096 * 4096 + at % 4096;
        if (at < from->size)
                expected = len < from->size - at ? len : from->size - at;
        n = fs_copy(p->f.fs, from->ino, at, to->ino, to_at, len);
        if (from == to && at < to_at + expected && to_at < at + expected) {
                assert_fails(n, EINVAL);
                return;
        }
        compare_number(p, to, "bytes copied", (uint64_t)n, expected);
        if (n == 0)
                return;
        memcpy(data, from->data + at, (size_t)n); /* which the write may move */
        model_write(&p->m, to, to_at, data, (size_t)n);
        from->atime = attr(&p->f, from->ino).atime; /* as by a read */
        compare_inode(p, to);
}

static bool zeros(const uint8_t *data, size_t len)
{
        for (size_t i = 0; i < len; i++)
                if (data[i] != 0)
                        return false;
        return true;
}

/* A hole may be anywhere where zeros are. */
static void step_seek(struct pair *p)
{
        struct model_inode *inode = some(p, S_IFREG);
        uint64_t offset = some_offset(p, inode), at;
        bool data = below(p, 2);
        int r;

        if (!S_ISREG(inode->mode))
                return;
        r = fs_lseek(p->f.fs, inode->ino, offset, data ? SEEK_DATA : SEEK_HOLE, &at);
        if (offset >= inode->size) {
                assert_fails(r, ENXIO);
        } else if (r == -ENXIO) {
                assert_true(data && zeros(inode->data + offset, inode->size - offset));
        } else {
                assert_ok(r);
                assert_true(at >= offset && at <= inode->size);
                if (data)
                        assert_true(zeros(inode->data + offset, at - offset));
                else if (at < inode->size)
                        assert_true(zeros(inode->data + at, 1));
        }
}

static void step_xattr(struct pair *p)
{
        static uint8_t value[FMT_XATTR_MAX];
        static const int flags[] = { 0, 0, XATTR_CREATE, XATTR_REPLACE };
        struct model_inode *inode = any_inode(p);
        size_t len = below(p, 20) == 0 ? below(p, sizeof(value)) : below(p, 100);
        int flag = flags[below(p, 4)], r;
        char name[32];

        snprintf(name, sizeof(name), "user.%llu", (unsigned long long)below(p, 6));
        if (below(p, 3) > 0) {
                rng_fill(&p->rng, value, len);
                r = fs_setxattr(p->f.fs, inode->ino, str(name), slice_of(value, len), flag);
                check_verdict(p, "setxattr", r, model_may_setxattr(inode, name, flag));
                if (r >= 0)
                        model_setxattr(&p->m, inode, name, value, len);
        } else {
                r = fs_removexattr(p->f.fs, inode->ino, str(name));
                check_verdict(p, "removexattr", r, model_may_setxattr(inode, name, XATTR_REPLACE));
                if (r >= 0)
                        model_removexattr(&p->m, inode, name);
        }
        compare_xattrs(p, inode);
        compare_inode(p, inode);
}

static void step_readdir(struct pair *p)
{
        struct model_inode *dir = some_dir(p);

        if (S_ISDIR(dir->mode) && dir->nlink > 0)
                compare_listing(p, dir);
}

static void step_remount(struct pair *p)
{
        if (below(p, 40) > 0)
                return;
        fixture_remount(&p->f);
        model_forget_all(&p->m);
}

static void step_sync(struct pair *p)
{
        if (below(p, 10) == 0)
                assert_ok(fs_sync(p->f.fs));
}

static const struct {
        void (*run)(struct pair *p);
        unsigned weight;
} steps[] = {
        { step_create, 24 }, { step_lookup, 8 },    { step_forget, 20 },  { step_link, 8 },
        { step_unlink, 12 }, { step_rmdir, 5 },     { step_rename, 20 },  { step_write, 20 },
        { step_read, 10 },   { step_truncate, 10 }, { step_setattr, 10 }, { step_fallocate, 8 },
        { step_copy, 8 },    { step_seek, 5 },      { step_xattr, 10 },   { step_readdir, 3 },
        { step_remount, 4 }, { step_sync, 3 },
};

static void one_step(struct pair *p)
{
        unsigned total = 0, at;

        for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
                total += steps[i].weight;
        at = (unsigned)below(p, total);
        for (size_t i = 0;; i++) {
                if (at < steps[i].weight) {
                        steps[i].run(p);
                        return;
                }
                at -= steps[i].weight;
        }
}

/* The test has one thread. ThreadSanitizer can find races with the threads of layers only, and slows it down
 * twentyfold. */
#ifdef __SANITIZE_THREAD__
#define STEPS 8000u
#else
#define STEPS 30000u
#endif

static uint64_t seed, n_steps;

static void test_model(void **state)
{
        struct pair *p = calloc(1, sizeof(*p));

        assert_non_null(p);
        rng_seed(&p->rng, seed);
        fixture_open(&p->f, fixture_spec);
        model_init(&p->m, ROOT, now(&p->f));
        for (p->step = 0; p->step < n_steps; p->step++) {
                tick(&p->f);
                p->m.now = now(&p->f);
                one_step(p);
                if (p->step % 500 == 499)
                        compare_all(p);
        }
        compare_all(p);
        fixture_remount(&p->f);
        model_forget_all(&p->m);
        compare_all(p);
        model_free(&p->m);
        fixture_close(&p->f);
        free(p);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_model) };

        if (argc > 1)
                fixture_spec = argv[1];
        seed = fixture_seed(argc, argv);
        n_steps = fixture_number("ASHLAR_STEPS", STEPS);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
