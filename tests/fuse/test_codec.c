/* SPDX-License-Identifier: MIT */
/* Decoding of requests: complete ones, and ones that are truncated, lack the end of a string, have wrong
 * lengths or an unknown opcode. */
#include "codec_harness.h"
#include "fuse/proto/init.h"
#include "fuse/transport/kernel_abi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define DIR_INO 7u

struct bytes {
        size_t len;
        uint8_t data[512] __attribute__((aligned(8)));
};

static void put(struct bytes *b, const void *data, size_t len)
{
        assert_true(b->len + len <= sizeof(b->data));
        memcpy(b->data + b->len, data, len);
        b->len += len;
}

/* ARG may be NULL. TAIL: strings, TAIL_LEN bytes with their zero bytes. */
static struct bytes request(uint32_t opcode, const void *arg, size_t arg_len, const char *tail,
                            size_t tail_len)
{
        struct bytes b = { .len = 0 };
        struct fuse_in_header h = {
                .len = (uint32_t)(sizeof(h) + arg_len + tail_len),
                .opcode = opcode,
                .unique = 42,
                .nodeid = DIR_INO,
                .uid = 1000,
                .gid = 1000,
                .pid = 1,
        };

        put(&b, &h, sizeof(h));
        if (arg)
                put(&b, arg, arg_len);
        put(&b, tail, tail_len);
        return b;
}

#define REQUEST(opcode, tail, ...) \
        request(opcode, &(__VA_ARGS__), sizeof(__VA_ARGS__), tail, sizeof(tail) - 1)
#define BARE_REQUEST(opcode, tail) request(opcode, NULL, 0, tail, sizeof(tail) - 1)

static struct codec_result serve(const struct bytes *b, size_t len)
{
        /* Memory of exactly this size, so that a sanitizer reports reads beyond it. */
        uint8_t *copy = malloc(len > 0 ? len : 1);
        struct codec_result result;

        assert_non_null(copy);
        memcpy(copy, b->data, len);
        result = codec_serve(copy, len, 0);
        free(copy);
        return result;
}

struct sample {
        struct bytes bytes;
        const char *last_call; /* recorded by the harness */
};

#define SAMPLES 35

static void fill_samples(struct sample *s)
{
        const struct sample all[SAMPLES] = {
                { BARE_REQUEST(FUSE_LOOKUP, "name\0"), "lookup 7 name" },
                { BARE_REQUEST(FUSE_UNLINK, "name\0"), "unlink 7 name" },
                { BARE_REQUEST(FUSE_RMDIR, "name\0"), "rmdir 7 name" },
                { BARE_REQUEST(FUSE_SYMLINK, "name\0to/where\0"), "symlink 7 name to/where" },
                { BARE_REQUEST(FUSE_REMOVEXATTR, "user.a\0"), "removexattr 7 user.a" },
                { REQUEST(FUSE_FORGET, "", (struct fuse_forget_in){ .nlookup = 3 }), "forget 7 3" },
                { REQUEST(FUSE_GETATTR, "",
                          (struct fuse_getattr_in){ .getattr_flags = FUSE_GETATTR_FH, .fh = 9 }),
                  "inode 7 fh 9" },
                { REQUEST(ABI_OPCODE_STATX, "", (struct abi_statx_in){ .fh = 9 }), "inode 7 fh 0" },
                { REQUEST(FUSE_SETATTR, "",
                          (struct fuse_setattr_in){ .valid = FATTR_MODE | FATTR_SIZE | FATTR_ATIME |
                                                             FATTR_ATIME_NOW | FATTR_KILL_SUIDGID,
                                                    .mode = S_IFREG | 0640,
                                                    .size = 11 }),
                  "setattr 7 289 640 0 11" },
                { REQUEST(FUSE_MKNOD, "name\0", (struct fuse_mknod_in){ .mode = S_IFIFO | 0644, .rdev = 5 }),
                  "mknod 7 name 10644 5" },
                { REQUEST(FUSE_MKDIR, "name\0", (struct fuse_mkdir_in){ .mode = 0755 }), "mkdir 7 name 755" },
                { REQUEST(FUSE_RENAME, "a\0b\0", (struct fuse_rename_in){ .newdir = 8 }),
                  "rename 7 a 8 b 0" },
                { REQUEST(FUSE_RENAME2, "a\0b\0", (struct fuse_rename2_in){ .newdir = 8, .flags = 2 }),
                  "rename 7 a 8 b 2" },
                { REQUEST(FUSE_LINK, "name\0", (struct fuse_link_in){ .oldnodeid = 5 }), "link 5 7 name" },
                { REQUEST(FUSE_CREATE, "name\0", (struct fuse_create_in){ .mode = 0600 }),
                  "create 7 name 600" },
                { REQUEST(FUSE_TMPFILE, "", (struct fuse_create_in){ .mode = 0600 }), "tmpfile 7 600" },
                { REQUEST(FUSE_OPEN, "", (struct fuse_open_in){ .flags = 0x400, .open_flags = 1 }),
                  "open 7 400 1" },
                { REQUEST(FUSE_RELEASE, "", (struct fuse_release_in){ .fh = 9, .release_flags = 2 }),
                  "release 7 fh 9 1" },
                { REQUEST(FUSE_FLUSH, "", (struct fuse_flush_in){ .fh = 9 }), "inode 7 fh 9" },
                { REQUEST(FUSE_READ, "", (struct fuse_read_in){ .offset = 4096, .size = 1 << 20 }),
                  "read 7 4096 1048576" },
                { REQUEST(FUSE_WRITE, "data",
                          (struct fuse_write_in){
                                  .offset = 5, .size = 4, .write_flags = FUSE_WRITE_KILL_SUIDGID }),
                  "write 7 5 4 0 1" },
                { REQUEST(FUSE_FSYNC, "", (struct fuse_fsync_in){ .fh = 9 }), "inode 7 fh 9" },
                { REQUEST(FUSE_SETXATTR, "user.a\0value", (uint64_t){ 5 }), "setxattr 7 user.a 5 0" },
                { REQUEST(FUSE_GETXATTR, "user.a\0", (struct fuse_getxattr_in){ .size = 10 }),
                  "getxattr 7 user.a 10" },
                { REQUEST(FUSE_LISTXATTR, "", (struct fuse_getxattr_in){ .size = 10 }), "listxattr 7 10" },
                { REQUEST(FUSE_FALLOCATE, "", (struct fuse_fallocate_in){ .mode = 3, .length = 9 }),
                  "fallocate 7 3 0 9" },
                { REQUEST(FUSE_COPY_FILE_RANGE, "",
                          (struct fuse_copy_file_range_in){ .off_in = 1,
                                                            .nodeid_out = 8,
                                                            .fh_out = 9,
                                                            .off_out = 2,
                                                            .len = UINT64_C(1) << 40 }),
                  "copy 7 1 8 2 4294967295 0 fh 9" },
                { REQUEST(ABI_OPCODE_COPY_FILE_RANGE_64, "",
                          (struct fuse_copy_file_range_in){ .off_in = 1,
                                                            .nodeid_out = 8,
                                                            .fh_out = 9,
                                                            .off_out = 2,
                                                            .len = UINT64_C(1) << 40 }),
                  "copy 7 1 8 2 1099511627776 1 fh 9" },
                { REQUEST(FUSE_LSEEK, "", (struct fuse_lseek_in){ .offset = 6, .whence = 3 }),
                  "lseek 7 6 3" },
                { REQUEST(FUSE_GETLK, "", (struct fuse_lk_in){ .fh = 9, .owner = 77 }), "getlk 7" },
                { REQUEST(FUSE_SETLK, "",
                          (struct fuse_lk_in){ .owner = 77, .lk = { .start = 1, .end = 2, .type = 2 } }),
                  "setlk 7 1-2 type 2 owner 77 flock 0 wait 0" },
                { REQUEST(FUSE_SETLKW, "",
                          (struct fuse_lk_in){ .owner = 77,
                                               .lk = { .start = 1, .end = 2, .type = 1 },
                                               .lk_flags = 1 }),
                  "setlk 7 1-2 type 1 owner 77 flock 1 wait 1" },
                { REQUEST(FUSE_READDIR, "", (struct fuse_read_in){ .offset = 3, .size = 4096 }),
                  "readdir 7 3 4096 0" },
                { REQUEST(FUSE_READDIRPLUS, "", (struct fuse_read_in){ .offset = 3, .size = 4096 }),
                  "readdir 7 3 4096 1" },
                { REQUEST(FUSE_INTERRUPT, "", (struct fuse_interrupt_in){ .unique = 40 }), "interrupt 40" },
        };

        memcpy(s, all, sizeof(all));
}

static bool has_no_reply(const struct bytes *b)
{
        const struct fuse_in_header *h = (const void *)b->data;

        return h->opcode == FUSE_FORGET || h->opcode == FUSE_INTERRUPT;
}

static void test_complete(void **state)
{
        struct sample samples[SAMPLES];

        fill_samples(samples);
        for (size_t i = 0; i < SAMPLES; i++) {
                struct codec_result result = serve(&samples[i].bytes, samples[i].bytes.len);

                assert_string_equal(result.last_call, samples[i].last_call);
                assert_int_equal(result.calls, 1);
                assert_int_equal(result.replies, 0);
        }
}

/* A request truncated at any byte gets an error, and no operation is called. */
static void test_truncated(void **state)
{
        struct sample samples[SAMPLES];

        fill_samples(samples);
        for (size_t i = 0; i < SAMPLES; i++) {
                const struct bytes *b = &samples[i].bytes;

                for (size_t len = 0; len < b->len; len++) {
                        struct codec_result result = serve(b, len);
                        bool answered = len >= sizeof(struct fuse_in_header) && !has_no_reply(b);

                        assert_int_equal(result.calls, 0);
                        assert_int_equal(result.replies, answered);
                        if (answered)
                                assert_int_equal(result.error, EIO);
                }
        }
}

static void test_wrong_lengths(void **state)
{
        struct bytes b;

        b = REQUEST(FUSE_WRITE, "data", (struct fuse_write_in){ .size = 5 });
        assert_int_equal(serve(&b, b.len).error, EIO);
        b = REQUEST(FUSE_WRITE, "data", (struct fuse_write_in){ .size = UINT32_MAX });
        assert_int_equal(serve(&b, b.len).error, EIO);
        b = REQUEST(FUSE_READ, "", (struct fuse_read_in){ .size = UINT32_MAX });
        assert_int_equal(serve(&b, b.len).error, EIO);
        b = REQUEST(FUSE_SETXATTR, "user.a\0value", (uint64_t){ 6 });
        assert_int_equal(serve(&b, b.len).error, EIO);
        b = BARE_REQUEST(FUSE_LOOKUP, "without end");
        assert_int_equal(serve(&b, b.len).error, EIO);
        b = BARE_REQUEST(FUSE_SYMLINK, "one string only\0");
        assert_int_equal(serve(&b, b.len).error, EIO);
}

static void test_batch_forget(void **state)
{
        const struct {
                struct fuse_batch_forget_in head;
                struct fuse_forget_one one[2];
        } arg = { .head.count = 1000, .one = { { 3, 1 }, { 4, 5 } } };
        struct bytes b = REQUEST(FUSE_BATCH_FORGET, "", arg);
        struct codec_result result = serve(&b, b.len);

        assert_int_equal(result.calls, 2); /* as many as the request contains, not as many as it claims */
        assert_int_equal(result.replies, 0);
        assert_string_equal(result.last_call, "forget 4 5");
}

static void test_unknown(void **state)
{
        static const uint32_t opcodes[] = { 0, 7, 19, FUSE_BMAP, FUSE_IOCTL, 54, 63, 64, 4096, UINT32_MAX };

        for (size_t i = 0; i < sizeof(opcodes) / sizeof(opcodes[0]); i++) {
                struct bytes b = BARE_REQUEST(opcodes[i], "whatever\0");
                struct codec_result result = serve(&b, b.len);

                assert_int_equal(result.calls, 0);
                assert_int_equal(result.replies, 1);
                assert_int_equal(result.error, ENOSYS);
        }
}

static void test_policy(void **state)
{
        struct bytes b = BARE_REQUEST(FUSE_LOOKUP, "name\0");
        struct codec_result result = codec_serve(b.data, b.len, UINT64_C(1) << FUSE_LOOKUP);

        assert_int_equal(result.calls, 0);
        assert_int_equal(result.error, ENOSYS);
        b = REQUEST(FUSE_INTERRUPT, "", (struct fuse_interrupt_in){ .unique = 40 });
        result = codec_serve(b.data, b.len, UINT64_C(1) << FUSE_INTERRUPT);
        assert_int_equal(result.calls, 0);
        assert_int_equal(result.error, ENOSYS);
}

static void test_init(void **state)
{
        const struct fuse_init_in now = { .major = 7,
                                          .minor = 45,
                                          .max_readahead = 131072,
                                          .flags = FUSE_INIT_EXT | FUSE_MAX_PAGES,
                                          .flags2 = 1u << 9 };
        const struct fuse_init_in old = { .major = 7, .minor = 27 }, newer = { .major = 8 };
        struct bytes b = REQUEST(FUSE_INIT, "", now);
        struct fuse_init init = { 0 };
        struct err_text text;

        assert_int_equal(fuse_init_decode(b.data, b.len, &init, &text), 0);
        assert_int_equal(init.unique, 42);
        assert_int_equal(init.minor, 45);
        assert_true(init.offered == (FUSE_INIT_EXT | FUSE_MAX_PAGES | UINT64_C(1) << 41));
        for (size_t len = 0; len < b.len - sizeof(now) + offsetof(struct fuse_init_in, flags2); len++)
                assert_int_equal(fuse_init_decode(b.data, len, &init, &text), -EPROTO);
        /* Kernels before 5.17 send no second flags. */
        assert_int_equal(fuse_init_decode(b.data, b.len - sizeof(now) + 16, &init, &text), 0);
        assert_true(init.offered == (FUSE_INIT_EXT | FUSE_MAX_PAGES));
        b = REQUEST(FUSE_INIT, "", old);
        assert_int_equal(fuse_init_decode(b.data, b.len, &init, &text), -EPROTO);
        b = REQUEST(FUSE_INIT, "", newer);
        assert_int_equal(fuse_init_decode(b.data, b.len, &init, &text), -EPROTO);
        b = BARE_REQUEST(FUSE_LOOKUP, "a name that is long enough\0");
        assert_int_equal(fuse_init_decode(b.data, b.len, &init, &text), -EPROTO);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_complete),      cmocka_unit_test(test_truncated),
                cmocka_unit_test(test_wrong_lengths), cmocka_unit_test(test_batch_forget),
                cmocka_unit_test(test_unknown),       cmocka_unit_test(test_policy),
                cmocka_unit_test(test_init),
        };

        return cmocka_run_group_tests_name("codec", tests, NULL, NULL);
}
