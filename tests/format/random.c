/* SPDX-License-Identifier: MIT */
#include "random.h"

#include <fcntl.h>

uint64_t random_number(struct rng *r)
{
        uint64_t n = rng_next(r) >> rng_below(r, 64);

        switch (rng_below(r, 4)) {
        case 0:
                return UINT64_C(1) << rng_below(r, 64);
        case 1:
                return (UINT64_C(1) << rng_below(r, 64)) - 1;
        default:
                return n;
        }
}

struct timespec random_time(struct rng *r)
{
        return (struct timespec){
                .tv_sec = (time_t)(rng_below(r, 2) ? random_number(r) : -random_number(r)),
                .tv_nsec = rng_below(r, 4) ? (long)rng_below(r, 1000000000) : 0,
        };
}

struct slice random_text(struct rng *r, uint8_t *buf, size_t min, size_t max)
{
        size_t len = min + rng_below(r, max - min + 1);

        rng_fill(r, buf, len);
        for (size_t i = 0; i < len; i++)
                if (buf[i] == 0 || buf[i] == '/')
                        buf[i] = 'x';
        if (len <= 2 && buf[0] == '.')
                buf[0] = 'x';
        return slice_of(buf, len);
}

static uint32_t random_type(struct rng *r)
{
        static const uint32_t types[] = { S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK };

        return types[rng_below(r, sizeof(types) / sizeof(*types))];
}

struct fmt_inode random_inode(struct rng *r, uint8_t *buf)
{
        uint32_t type = random_type(r);
        struct fmt_inode i = {
                .mode = type | (uint32_t)rng_below(r, 010000),
                .uid = (uint32_t)random_number(r),
                .gid = (uint32_t)random_number(r),
                .nlink = (uint32_t)random_number(r),
                .allocated = random_number(r),
                .atime = random_time(r),
                .mtime = random_time(r),
                .ctime = random_time(r),
                .btime = random_time(r),
        };

        if (type == S_IFDIR)
                i.parent = random_number(r) | 1;
        else
                i.size = random_number(r) & INT64_MAX;
        if (type == S_IFREG)
                i.trim_from = random_number(r);
        if (i.trim_from != 0 && rng_below(r, 2)) {
                rng_fill(r, buf, FMT_PID_SIZE);
                buf[0] &= 0xf; /* no 'l' */
                i.writer = slice_of(buf, FMT_PID_SIZE);
                i.writing = random_number(r) | 1;
        }
        if (type == S_IFCHR || type == S_IFBLK)
                i.rdev = random_number(r);
        if (type == S_IFLNK)
                i.target = random_text(r, buf, 1, rng_below(r, 2) ? 20 : FMT_SYMLINK_MAX);
        return i;
}

struct fmt_dirent random_dirent(struct rng *r)
{
        return (struct fmt_dirent){ .ino = random_number(r) | 1, .type = random_type(r) };
}

struct fmt_lock random_lock(struct rng *r)
{
        uint64_t a = random_number(r), b = random_number(r);

        return (struct fmt_lock){
                .start = a < b ? a : b,
                .end = a < b ? b : a,
                .type = rng_below(r, 2) ? F_RDLCK : F_WRLCK,
                .owner = random_number(r),
                .unix_pid = random_number(r),
                .sequence = random_number(r),
                .flock = rng_below(r, 2),
        };
}

struct fmt_process random_process(struct rng *r, uint8_t *buf)
{
        uint64_t a = random_number(r), b = random_number(r);

        return (struct fmt_process){
                .host = random_text(r, buf, 0, 255),
                .boot_id = random_text(r, buf + 256, 0, 64),
                .version = random_text(r, buf + 320, 0, 64),
                .mountpoint = random_text(r, buf + 384, 0, 1000),
                .unix_pid = random_number(r),
                .start_time = random_number(r),
                .registered = random_time(r),
                .exclusive = rng_below(r, 2),
                .ino_first = a < b ? a : b,
                .ino_end = a < b ? b : a,
                .pid_namespace = random_number(r),
        };
}

struct fmt_meta random_meta(struct rng *r, uint8_t *buf)
{
        struct fmt_meta m = {
                .version = FMT_VERSION,
                .block_size = FMT_BLOCK_SIZE_MIN + 16 * (uint32_t)rng_below(r, 3841),
                .created = random_time(r),
                .label = random_text(r, buf, 0, 255),
        };

        rng_fill(r, m.uuid, sizeof(m.uuid));
        return m;
}
