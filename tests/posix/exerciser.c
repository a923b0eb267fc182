/* SPDX-License-Identifier: MIT */
/* exerciser DIR: random operations on one file in DIR, compared byte by byte with a copy in memory.
 *
 *     -n N       operations (100,000)
 *     -s SEED    replays a run; printed at the start
 *     -l BYTES   the file's largest size (400,000)
 *     -a         append-only and other O_APPEND writes too: not for files that other mounts write
 *     -q         nothing on success
 *
 * Writes, reads, reads and writes through a shared map, truncation both ways, punched and zeroed ranges,
 * copies within the file and from another one, direct I/O, fsync, closing and opening again, a read of
 * everything. At the first difference the last operations are printed; exit 1. Map, copy and direct I/O are
 * left out where the file system refuses them.
 */
#include "base/rng.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
        PAGE = 4096,
        IO_MAX = 70000,
        HISTORY = 40,
};

enum op {
        OP_WRITE,
        OP_READ,
        OP_MAP_READ,
        OP_MAP_WRITE,
        OP_TRUNCATE,
        OP_PUNCH,
        OP_ZERO,
        OP_COPY,
        OP_DIRECT_WRITE,
        OP_DIRECT_READ,
        OP_APPEND,
        OP_FSYNC,
        OP_REOPEN,
        OP_CHECK,
        OP_ALLOCATE,
        OP_COUNT
};

static const char *const op_names[OP_COUNT] = {
        "write",        "read",        "map read", "map write", "truncate", "punch", "zero",     "copy",
        "direct write", "direct read", "append",   "fsync",     "reopen",   "check", "allocate",
};

/* How often each is chosen, in parts of the sum. */
static const unsigned weights[OP_COUNT] = {
        20, 20, 8, 8, 8, 6, 4, 5, 6, 6, 4, 1, 3, 1, 2,
};

struct exerciser {
        char path[4000];
        struct rng rng;
        uint64_t seed, n;
        size_t limit, size;
        uint8_t *model; /* LIMIT bytes; zeros from SIZE on */
        uint8_t *buf;   /* LIMIT + PAGE bytes, page-aligned */
        int fd, direct_fd;
        bool no_map, no_copy, appends;
        struct {
                enum op op;
                size_t at, len, to;
        } history[HISTORY];
};

static void print_history(const struct exerciser *x)
{
        uint64_t first = x->n > HISTORY ? x->n - HISTORY : 0;

        for (uint64_t i = first; i <= x->n; i++)
                fprintf(stderr, "  %" PRIu64 " %s at %zu len %zu to %zu\n", i,
                        op_names[x->history[i % HISTORY].op], x->history[i % HISTORY].at,
                        x->history[i % HISTORY].len, x->history[i % HISTORY].to);
        fprintf(stderr, "size %zu; replay with -s %" PRIu64 "\n", x->size, x->seed);
}

static void die(const struct exerciser *x, const char *what)
{
        fprintf(stderr, "operation %" PRIu64 ": %s: %s\n", x->n, what, strerror(errno));
        print_history(x);
        exit(1);
}

static void compare(const struct exerciser *x, const uint8_t *got, size_t at, size_t len, const char *how)
{
        for (size_t i = 0; i < len; i++)
                if (got[i] != x->model[at + i]) {
                        size_t end = i;

                        while (end < len && got[end] != x->model[at + end])
                                end++;
                        fprintf(stderr,
                                "operation %" PRIu64 ": %s: byte %zu is %02x, not %02x (%zu bytes differ)\n",
                                x->n, how, at + i, got[i], x->model[at + i], end - i);
                        print_history(x);
                        exit(1);
                }
}

static size_t below(struct exerciser *x, size_t bound)
{
        return bound > 0 ? (size_t)rng_below(&x->rng, bound) : 0;
}

/* Lengths: many small ones, some whole pages, few large ones. */
static size_t some_len(struct exerciser *x)
{
        switch (below(x, 4)) {
        case 0:
                return 1 + below(x, 100);
        case 1:
                return PAGE * (1 + below(x, 8));
        default:
                return 1 + below(x, IO_MAX);
        }
}

static size_t some_offset(struct exerciser *x, size_t bound)
{
        size_t at = below(x, bound);

        return below(x, 3) == 0 ? at / PAGE * PAGE : at;
}

static void pattern(struct exerciser *x, uint8_t *out, size_t len)
{
        if (below(x, 10) == 0)
                memset(out, 0, len);
        else
                rng_fill(&x->rng, out, len);
}

/* The model after bytes [AT, AT + LEN) were written from DATA. */
static void model_write(struct exerciser *x, size_t at, const uint8_t *data, size_t len)
{
        memcpy(x->model + at, data, len);
        if (at + len > x->size)
                x->size = at + len;
}

static void open_file(struct exerciser *x)
{
        x->fd = open(x->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (x->fd < 0)
                die(x, "open");
        x->direct_fd = open(x->path, O_RDWR | O_DIRECT | O_CLOEXEC);
}

static void do_write(struct exerciser *x, size_t at, size_t len)
{
        pattern(x, x->buf, len);
        for (size_t done = 0; done < len;) {
                ssize_t n = pwrite(x->fd, x->buf + done, len - done, (off_t)(at + done));

                if (n <= 0)
                        die(x, "write");
                done += (size_t)n;
        }
        model_write(x, at, x->buf, len);
}

static void do_append(struct exerciser *x, size_t len)
{
        int fd = open(x->path, O_WRONLY | O_APPEND | O_CLOEXEC);

        if (fd < 0)
                die(x, "open for append");
        pattern(x, x->buf, len);
        if (write(fd, x->buf, len) != (ssize_t)len)
                die(x, "append");
        close(fd);
        model_write(x, x->size, x->buf, len);
}

static void do_read(struct exerciser *x, int fd, uint8_t *buf, size_t at, size_t len, const char *how)
{
        size_t want = at < x->size ? (len < x->size - at ? len : x->size - at) : 0, done = 0;

        memset(buf, 0xa5, len);
        while (done < len) {
                ssize_t n = pread(fd, buf + done, len - done, (off_t)(at + done));

                if (n < 0)
                        die(x, how);
                if (n == 0)
                        break;
                done += (size_t)n;
                if (fd == x->direct_fd && done % PAGE != 0)
                        break; /* the end: another direct read would not be aligned */
        }
        if (done != want) {
                fprintf(stderr, "%s: %zu bytes, not %zu\n", how, done, want);
                die(x, how);
        }
        compare(x, buf, at, want, how);
}

static void do_map(struct exerciser *x, size_t at, size_t len, bool write)
{
        size_t from = at / PAGE * PAGE, map_len;
        uint8_t *map;

        if (x->no_map || at >= x->size)
                return;
        if (len > x->size - at)
                len = x->size - at;
        map_len = at + len - from;
        map = mmap(NULL, map_len, PROT_READ | (write ? PROT_WRITE : 0), MAP_SHARED, x->fd, (off_t)from);
        if (map == MAP_FAILED) {
                x->no_map = true;
                return;
        }
        if (write) {
                pattern(x, x->buf, len);
                memcpy(map + (at - from), x->buf, len);
                model_write(x, at, x->buf, len);
                if (below(x, 4) == 0 && msync(map, map_len, MS_SYNC) < 0)
                        die(x, "msync");
        } else {
                compare(x, map + (at - from), at, len, "map read");
        }
        munmap(map, map_len);
}

static void do_truncate(struct exerciser *x, size_t size)
{
        if (ftruncate(x->fd, (off_t)size) < 0)
                die(x, "truncate");
        if (size < x->size)
                memset(x->model + size, 0, x->size - size);
        x->size = size;
}

static void do_zero(struct exerciser *x, size_t at, size_t len, int mode, const char *how)
{
        if (fallocate(x->fd, mode, (off_t)at, (off_t)len) < 0)
                die(x, how);
        memset(x->model + at, 0, len);
        if (!(mode & FALLOC_FL_KEEP_SIZE) && at + len > x->size)
                x->size = at + len;
}

static void do_allocate(struct exerciser *x, size_t at, size_t len)
{
        if (fallocate(x->fd, 0, (off_t)at, (off_t)len) < 0)
                die(x, "allocate");
        if (at + len > x->size)
                x->size = at + len;
}

static void do_copy(struct exerciser *x, size_t at, size_t len, size_t to)
{
        off_t from = (off_t)at, dest = (off_t)to;

        if (x->no_copy || at >= x->size)
                return;
        if (len > x->size - at)
                len = x->size - at;
        if (len == 0 || (at < to + len && to < at + len))
                return; /* they overlap */
        while (len > 0) {
                off_t begin = dest;
                ssize_t n = copy_file_range(x->fd, &from, x->fd, &dest, len, 0);

                if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EXDEV)) {
                        x->no_copy = true;
                        return;
                }
                if (n <= 0)
                        die(x, "copy");
                model_write(x, (size_t)begin, x->model + (size_t)(from - n), (size_t)n);
                len -= (size_t)n;
        }
}

static void do_direct(struct exerciser *x, size_t at, size_t len, bool write)
{
        at = at / PAGE * PAGE;
        len = (len + PAGE - 1) / PAGE * PAGE;
        if (x->direct_fd < 0)
                return;
        if (at + len > x->limit)
                len = (x->limit - at) / PAGE * PAGE;
        if (len == 0)
                return;
        if (!write) {
                do_read(x, x->direct_fd, x->buf, at, len, "direct read");
                return;
        }
        pattern(x, x->buf, len);
        if (pwrite(x->direct_fd, x->buf, len, (off_t)at) != (ssize_t)len)
                die(x, "direct write");
        model_write(x, at, x->buf, len);
}

static void do_reopen(struct exerciser *x)
{
        if (close(x->fd) < 0)
                die(x, "close");
        if (x->direct_fd >= 0)
                close(x->direct_fd);
        open_file(x);
}

static void do_check(struct exerciser *x)
{
        struct stat st;

        if (fstat(x->fd, &st) < 0)
                die(x, "fstat");
        if ((size_t)st.st_size != x->size) {
                fprintf(stderr, "the size is %lld, not %zu\n", (long long)st.st_size, x->size);
                die(x, "fstat");
        }
        do_read(x, x->fd, x->buf, 0, x->limit, "check");
}

static enum op choose(struct exerciser *x)
{
        unsigned sum = 0;
        size_t at;

        for (int i = 0; i < OP_COUNT; i++)
                sum += weights[i];
        at = below(x, sum);
        for (int i = 0; i < OP_COUNT; i++) {
                if (at < weights[i])
                        return (enum op)i;
                at -= weights[i];
        }
        abort();
}

static void step(struct exerciser *x)
{
        enum op op = choose(x);
        size_t at = some_offset(x, x->limit), len = some_len(x), to = some_offset(x, x->limit);

        if (op == OP_COPY && to + len > x->limit)
                len = x->limit - to;
        if (at + len > x->limit)
                len = x->limit - at;
        if (op == OP_APPEND && (!x->appends || x->size + len > x->limit))
                op = OP_READ;
        x->history[x->n % HISTORY].op = op;
        x->history[x->n % HISTORY].at = at;
        x->history[x->n % HISTORY].len = len;
        x->history[x->n % HISTORY].to = to;
        if (len == 0)
                return;
        switch (op) {
        case OP_WRITE:
                do_write(x, at, len);
                break;
        case OP_READ:
                do_read(x, x->fd, x->buf, at, len, "read");
                break;
        case OP_MAP_READ:
        case OP_MAP_WRITE:
                do_map(x, at, len, op == OP_MAP_WRITE);
                break;
        case OP_TRUNCATE:
                do_truncate(x, at);
                break;
        case OP_PUNCH:
                /* Behind the end nothing is there to be punched, and the model keeps zeros there. */
                do_zero(x, at, len, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, "punch");
                break;
        case OP_ZERO:
                do_zero(x, at, len, FALLOC_FL_ZERO_RANGE, "zero");
                break;
        case OP_COPY:
                do_copy(x, at, len, to);
                break;
        case OP_DIRECT_WRITE:
        case OP_DIRECT_READ:
                do_direct(x, at, len, op == OP_DIRECT_WRITE);
                break;
        case OP_APPEND:
                do_append(x, len);
                break;
        case OP_ALLOCATE:
                do_allocate(x, at, len);
                break;
        case OP_FSYNC:
                if (fsync(x->fd) < 0)
                        die(x, "fsync");
                break;
        case OP_REOPEN:
                do_reopen(x);
                break;
        default:
                do_check(x);
        }
}

int main(int argc, char **argv)
{
        struct exerciser *x = calloc(1, sizeof(*x));
        uint64_t count = 100000;
        bool quiet = false;
        int c;

        x->limit = 400000;
        x->seed = (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid();
        while ((c = getopt(argc, argv, "n:s:l:aq")) >= 0) {
                switch (c) {
                case 'n':
                        count = strtoull(optarg, NULL, 0);
                        break;
                case 's':
                        x->seed = strtoull(optarg, NULL, 0);
                        break;
                case 'l':
                        x->limit = strtoull(optarg, NULL, 0);
                        break;
                case 'a':
                        x->appends = true;
                        break;
                case 'q':
                        quiet = true;
                        break;
                default:
                        return 2;
                }
        }
        if (optind + 1 != argc || x->limit < PAGE) {
                fprintf(stderr, "usage: %s [-n N] [-s SEED] [-l BYTES] [-a] [-q] DIR\n", argv[0]);
                return 2;
        }
        snprintf(x->path, sizeof(x->path), "%s/exercised-%ld", argv[optind], (long)getpid());
        x->model = calloc(1, x->limit + PAGE);
        x->buf = aligned_alloc(PAGE, (x->limit + 2 * PAGE) / PAGE * PAGE);
        rng_seed(&x->rng, x->seed);
        if (!quiet)
                printf("seed %" PRIu64 "\n", x->seed);
        fflush(stdout);
        open_file(x);
        for (x->n = 0; x->n < count; x->n++)
                step(x);
        x->n--;
        do_check(x);
        do_reopen(x);
        do_check(x);
        unlink(x->path);
        if (!quiet)
                printf("%" PRIu64 " operations%s%s%s\n", count, x->no_map ? ", no maps" : "",
                       x->no_copy ? ", no copies" : "", x->direct_fd < 0 ? ", no direct I/O" : "");
        return 0;
}
