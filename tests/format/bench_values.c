/* SPDX-License-Identifier: MIT */
/* The cost of one encode and one decode in nanoseconds; run by `meson test --benchmark`. */
#include "base/clock.h"
#include "format/format.h"

#include <stdio.h>

#define ROUNDS 1000000u

/* Makes the compiler assume that P's memory is read and written here, so that it keeps the work. */
static inline void touch(void *p)
{
        __asm__ volatile("" : : "r"(p) : "memory");
}

static double since(uint64_t start_ns)
{
        return (double)(clock_system.monotonic_ns(&clock_system) - start_ns) / ROUNDS;
}

static uint64_t now(void)
{
        return clock_system.monotonic_ns(&clock_system);
}

static void bench_inode(void)
{
        struct timespec t = { .tv_sec = 1700000000, .tv_nsec = 123456789 };
        struct fmt_inode i = { .mode = S_IFREG | 0644,
                               .uid = 1000,
                               .gid = 1000,
                               .nlink = 1,
                               .size = 123456,
                               .allocated = 131072,
                               .atime = t,
                               .mtime = t,
                               .ctime = t,
                               .btime = t };
        uint8_t out[FMT_INODE_MAX];
        struct fmt_scratch scratch;
        size_t len = 0;
        uint64_t start = now();

        for (unsigned n = 0; n < ROUNDS; n++) {
                len = fmt_inode_encode(&i, out);
                touch(out);
        }
        printf("inode  encode %6.1f ns, %zu bytes\n", since(start), len);
        start = now();
        for (unsigned n = 0; n < ROUNDS; n++) {
                if (fmt_inode_decode(slice_of(out, len), &scratch, &i) < 0)
                        return;
                touch(&i);
        }
        printf("inode  decode %6.1f ns\n", since(start));
}

static void bench_dirent(void)
{
        struct fmt_dirent d = { .ino = 1234567, .type = S_IFREG };
        uint8_t out[FMT_DIRENT_MAX];
        size_t len = 0;
        uint64_t start = now();

        for (unsigned n = 0; n < ROUNDS; n++) {
                len = fmt_dirent_encode(&d, out);
                touch(out);
        }
        printf("dirent encode %6.1f ns, %zu bytes\n", since(start), len);
        start = now();
        for (unsigned n = 0; n < ROUNDS; n++) {
                if (fmt_dirent_decode(slice_of(out, len), &d) < 0)
                        return;
                touch(&d);
        }
        printf("dirent decode %6.1f ns\n", since(start));
}

static void bench_keys(void)
{
        struct fmt_parsed_key p;
        struct fmt_key k;
        uint64_t start = now();

        for (unsigned n = 0; n < ROUNDS; n++) {
                fmt_key_dirent(&k, n + 1, slice_str("some-file-name.txt"));
                touch(&k);
        }
        printf("key    build  %6.1f ns\n", since(start));
        start = now();
        for (unsigned n = 0; n < ROUNDS; n++) {
                if (fmt_key_parse(fmt_slice(&k), &p) < 0)
                        return;
                touch(&p);
        }
        printf("key    parse  %6.1f ns\n", since(start));
}

static void bench_trim(void)
{
        static uint8_t block[65536];
        size_t n = 0;
        uint64_t start = now();
        double ns;

        for (unsigned i = 0; i < ROUNDS / 100; i++) {
                touch(block);
                n += fmt_block_trim(block, sizeof(block));
        }
        ns = since(start) * 100;
        printf("trim   64 KiB of zeros %6.1f ns, %.1f GB/s%s\n", ns, sizeof(block) / ns, n ? "!" : "");
}

int main(void)
{
        bench_inode();
        bench_dirent();
        bench_keys();
        bench_trim();
        return 0;
}
