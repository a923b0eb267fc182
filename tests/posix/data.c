/* SPDX-License-Identifier: MIT */
/* read, write, lseek, mmap, fallocate, copy_file_range. */
#include "posix.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>

static char big[300000];

static void fill(char seed)
{
        for (size_t i = 0; i < sizeof(big); i++)
                big[i] = (char)(seed + i * 7 + i / 251);
}

static void read_and_write(void)
{
        char buf[sizeof(big)];
        int fd = OK(open("f", O_RDWR | O_CREAT, 0666));

        fill(1);
        EQUAL(read(fd, buf, 10), 0);
        EQUAL(write(fd, big, sizeof(big)), (ssize_t)sizeof(big));
        EQUAL(lseek(fd, 0, SEEK_CUR), sizeof(big));
        EQUAL(pread(fd, buf, sizeof(buf), 0), (ssize_t)sizeof(buf));
        CHECK(memcmp(buf, big, sizeof(big)) == 0);
        EQUAL(pread(fd, buf, 100, sizeof(big) - 10), 10);
        EQUAL(pread(fd, buf, 100, sizeof(big)), 0);
        EQUAL(pread(fd, buf, 100, sizeof(big) + 1000), 0);
        EQUAL(pwrite(fd, "zz", 2, 4095), 2);
        EQUAL(pread(fd, buf, 4, 4094), 4);
        CHECK(buf[1] == 'z' && buf[2] == 'z' && buf[0] == big[4094] && buf[3] == big[4097]);
        FAILS(pwrite(fd, "z", 1, -1), EINVAL);
        FAILS(pread(fd, buf, 1, -1), EINVAL);
}

static void vectors(void)
{
        struct iovec iov[3] = { { "abc", 3 }, { "", 0 }, { "defg", 4 } };
        int fd = OK(open("f", O_RDWR | O_CREAT, 0666));

        EQUAL(writev(fd, iov, 3), 7);
        EQUAL(pwritev(fd, iov, 1, 7), 3);
        CHECK(strcmp(content("f"), "abcdefgabc") == 0);
}

static void appends(void)
{
        int a = OK(open("f", O_WRONLY | O_CREAT | O_APPEND, 0666)), b = OK(open("f", O_RDWR));

        EQUAL(write(a, "one", 3), 3);
        EQUAL(write(b, "ONETWO", 6), 6);
        EQUAL(write(a, "three", 5), 5);
        EQUAL(lseek(a, 0, SEEK_CUR), 11);
        CHECK(strcmp(content("f"), "ONETWOthree") == 0);
        OK(lseek(a, 0, SEEK_SET));
        EQUAL(write(a, "!", 1), 1);
        CHECK(strcmp(content("f"), "ONETWOthree!") == 0);
}

static void holes_read_as_zeros(void)
{
        char buf[4096], zeros[4096] = { 0 };
        int fd = OK(open("f", O_RDWR | O_CREAT, 0666));

        EQUAL(pwrite(fd, "end", 3, 10000000), 3);
        EQUAL(pread(fd, buf, sizeof(buf), 5000000), (ssize_t)sizeof(buf));
        CHECK(memcmp(buf, zeros, sizeof(buf)) == 0);
        EQUAL(stat_of("f").st_size, 10000003);
}

static void large_offsets(void)
{
        char buf[3];
        int fd = OK(open("f", O_RDWR | O_CREAT, 0666));
        off_t at = INT64_C(5) << 40;

        EQUAL(pwrite(fd, "abc", 3, at), 3);
        EQUAL(pread(fd, buf, 3, at), 3);
        CHECK(memcmp(buf, "abc", 3) == 0);
        EQUAL(lseek(fd, 0, SEEK_END), at + 3);
        EQUAL(stat_of("f").st_size, at + 3);
        OK(ftruncate(fd, 0));
}

static void size_limit(void)
{
        struct rlimit limit = { 5000, 5000 };
        int fd = OK(open("f", O_RDWR | O_CREAT, 0666));

        signal(SIGXFSZ, SIG_IGN);
        OK(setrlimit(RLIMIT_FSIZE, &limit));
        fill(1);
        EQUAL(write(fd, big, 10000), 5000);
        FAILS(write(fd, big, 1), EFBIG);
        FAILS(ftruncate(fd, 6000), EFBIG);
}

static void seek(void)
{
        int fd = OK(open("f", O_RDWR | O_CREAT, 0666));

        OK(ftruncate(fd, 100));
        EQUAL(lseek(fd, -10, SEEK_END), 90);
        EQUAL(lseek(fd, 200, SEEK_SET), 200);
        FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
        FAILS(lseek(fd, 0, 99), EINVAL);
        FAILS(lseek(fd, 100, SEEK_DATA), ENXIO);
        FAILS(lseek(fd, 100, SEEK_HOLE), ENXIO);
        EQUAL(lseek(fd, 50, SEEK_HOLE) <= 100, 1);
}

/* Holes may be answered as data, but data never as a hole; also what only a map has changed. */
static void seek_never_skips_data(void)
{
        enum { SIZE = 1 << 20, AT = 700000 };
        int fd = OK(open("f", O_RDWR | O_CREAT, 0666));
        char *map;

        OK(ftruncate(fd, SIZE));
        map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (map == MAP_FAILED)
                posix_skip("no writable shared maps here");
        map[AT] = 'x';
        CHECK(OK(lseek(fd, 0, SEEK_DATA)) <= AT);
        CHECK(OK(lseek(fd, AT, SEEK_DATA)) == AT);
        CHECK(OK(lseek(fd, AT, SEEK_HOLE)) > AT);
        EQUAL(pwrite(fd, "y", 1, 100000), 1);
        CHECK(OK(lseek(fd, 0, SEEK_DATA)) <= 100000);
}

static void maps(void)
{
        int fd = OK(open("f", O_RDWR | O_CREAT, 0666));
        char *map, c;

        EQUAL(write(fd, "hello", 5), 5);
        map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (map == MAP_FAILED)
                posix_skip("no writable shared maps here");
        CHECK(memcmp(map, "hello\0\0", 7) == 0);
        map[0] = 'H';
        EQUAL(pread(fd, &c, 1, 0), 1);
        EQUAL(c, 'H');
        EQUAL(pwrite(fd, "E", 1, 1), 1);
        EQUAL(map[1], 'E');
        map[100] = 'x'; /* behind the end: never in the file */
        OK(msync(map, 4096, MS_SYNC));
        EQUAL(stat_of("f").st_size, 5);
        OK(ftruncate(fd, 4096));
        CHECK(strcmp(content("f"), "HEllo") == 0);
}

static void private_maps(void)
{
        char *map;
        int fd;

        make("f", 0666, "hello");
        fd = OK(open("f", O_RDONLY));
        map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
        CHECK(map != MAP_FAILED);
        map[0] = 'H';
        CHECK(strcmp(content("f"), "hello") == 0);
}

static void fallocate_grows(void)
{
        int fd = OK(open("f", O_RDWR | O_CREAT, 0666));

        EQUAL(posix_fallocate(fd, 0, 100000), 0);
        EQUAL(stat_of("f").st_size, 100000);
        EQUAL(posix_fallocate(fd, 0, 10), 0);
        EQUAL(stat_of("f").st_size, 100000);
        OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 100000, 100000));
        EQUAL(stat_of("f").st_size, 100000);
        EQUAL(posix_fallocate(fd, 0, 0), EINVAL);
        FAILS(fallocate(fd, 0, -1, 10), EINVAL);
        FAILS(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 10), EOPNOTSUPP);
        fd = OK(open("f", O_RDONLY));
        FAILS(fallocate(fd, 0, 0, 10), EBADF);
        fd = OK(open(".", O_RDONLY));
        FAILS(fallocate(fd, 0, 0, 10), EBADF);
}

static void punch_and_zero(void)
{
        char buf[sizeof(big)];
        int fd = OK(open("f", O_RDWR | O_CREAT, 0666));

        fill(1);
        EQUAL(write(fd, big, sizeof(big)), (ssize_t)sizeof(big));
        OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1000, 100000));
        memset(big + 1000, 0, 100000);
        OK(fallocate(fd, FALLOC_FL_ZERO_RANGE, 200000, 50));
        memset(big + 200000, 0, 50);
        EQUAL(pread(fd, buf, sizeof(buf), 0), (ssize_t)sizeof(buf));
        CHECK(memcmp(buf, big, sizeof(buf)) == 0);
        OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, sizeof(big) - 10, 100000));
        EQUAL(stat_of("f").st_size, sizeof(big));
        OK(fallocate(fd, FALLOC_FL_ZERO_RANGE, sizeof(big), 1000));
        EQUAL(stat_of("f").st_size, sizeof(big) + 1000);
}

static void copies(void)
{
        char buf[sizeof(big)];
        int a = OK(open("a", O_RDWR | O_CREAT, 0666)), b = OK(open("b", O_RDWR | O_CREAT, 0666));
        size_t done = 0;

        fill(3);
        EQUAL(write(a, big, sizeof(big)), (ssize_t)sizeof(big));
        while (done < sizeof(big)) {
                off_t from = (off_t)done, to = (off_t)done;
                ssize_t n = OK(copy_file_range(a, &from, b, &to, sizeof(big) - done, 0));

                CHECK(n > 0);
                done += (size_t)n;
        }
        EQUAL(pread(b, buf, sizeof(buf), 0), (ssize_t)sizeof(buf));
        CHECK(memcmp(buf, big, sizeof(buf)) == 0);
        off_t end = sizeof(big), at = 0;
        EQUAL(copy_file_range(a, &end, b, &at, 10, 0), 0);
        off_t from = 0, to = 10;
        FAILS(copy_file_range(a, &from, a, &to, 100, 0), EINVAL); /* they overlap */
}

static void direct(void)
{
        char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), buf[8192];
        int fd = OK(open("f", O_RDWR | O_CREAT | O_DIRECT, 0666)), cached = OK(open("f", O_RDWR));

        memset(page, 'd', 8192);
        EQUAL(write(fd, page, 8192), 8192);
        EQUAL(pread(cached, buf, 8192, 0), 8192);
        CHECK(memcmp(buf, page, 8192) == 0);
        EQUAL(pwrite(cached, "c", 1, 4096), 1);
        EQUAL(pread(fd, page, 4096, 4096), 4096);
        EQUAL(page[0], 'c');
        memset(page, 'e', 4096);
        EQUAL(pwrite(fd, page, 4096, 0), 4096);
        EQUAL(pread(cached, buf, 4096, 0), 4096);
        CHECK(memcmp(buf, page, 4096) == 0);
}

static void syncs(void)
{
        int fd = OK(open("f", O_WRONLY | O_CREAT | O_SYNC, 0666));

        EQUAL(write(fd, "abc", 3), 3);
        OK(fsync(fd));
        OK(fdatasync(fd));
        OK(syncfs(fd));
        OK(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
}

static const struct posix_test tests[] = {
        { "read_and_write", read_and_write },
        { "vectors", vectors },
        { "appends", appends },
        { "holes_read_as_zeros", holes_read_as_zeros },
        { "large_offsets", large_offsets },
        { "size_limit", size_limit },
        { "seek", seek },
        { "seek_never_skips_data", seek_never_skips_data },
        { "maps", maps },
        { "private_maps", private_maps },
        { "fallocate_grows", fallocate_grows },
        { "punch_and_zero", punch_and_zero },
        { "copies", copies },
        { "direct", direct },
        { "syncs", syncs },
        { NULL, NULL },
};

const struct posix_group posix_data = { "data", tests };
