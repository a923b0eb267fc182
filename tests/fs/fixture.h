/* SPDX-License-Identifier: MIT */
/* What the tests of src/fs share: a file system over a stack of stores, short names for common calls, and
 * assertions that show the error's name. */
#ifndef FIXTURE_H
#define FIXTURE_H

#include "base/rng.h"
#include "format/format.h"
#include "fs/fs.h"
#include "kv/testing/testing.h"
#include "maint/maint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
/* After the four headers that it needs. */
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ROOT FMT_ROOT_INO

/* A clock that stands still between tick()s. */
struct test_clock {
        struct clock clock;
        _Atomic int64_t seconds;
};

struct fixture {
        const char *spec; /* "mem", "lmdb", "fdb" (the stand-in), with "+fault", "+stats",
                                      * "+writebehind" behind; "+odd": blocks of a size that is no power of 2;
                                      * "+remote": as if reads cost round trips; "+writeback": writes are
                                      * dirty, as fixture_writeback says; "+small": transactions of few
                                      * blocks, so that much is written in parallel */
        char dir[64];     /* of an lmdb store; "" otherwise */
        struct kv_store *bottom, *fault, *stats; /* parts of the stack; NULL: not in it */
        struct kv_store *store;                  /* the whole stack */
        struct test_clock clock;
        struct fs_open_opts opts; /* of the next fs_open */
        struct fs *fs;
};

/* Faults that a program does not notice: conflicts, commits with unknown results, reads to be tried again,
 * slow calls. */
extern const struct kv_fault_opts fixture_faults;

/* Little memory, so that much is flushed. */
extern const struct fs_writeback_opts fixture_writeback;

/* Has STORE say that it is behind a network. */
void fixture_make_remote(struct kv_store *store);

/* Makes the store of SPEC, a file system with blocks of 4096 bytes in it, and opens it. */
void fixture_open(struct fixture *f, const char *spec);
/* Closes the file system (and the store, if it survives that) and opens it again. All references are gone. */
void fixture_remount(struct fixture *f);
/* Asserts that maint_check finds nothing; RET may be NULL. */
void fixture_check(struct fixture *f, struct maint_check_result *ret);
/* Waits until nothing waits under 'g' any more. */
void fixture_drain(struct fixture *f);
/* Checks and closes everything. */
void fixture_close(struct fixture *f);

/* cmocka's setup and teardown of one test over the spec that fixture_main was given. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* The spec of the command line (argv[1], default "mem"). */
extern const char *fixture_spec;
#define FIXTURE_TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

/* The seed of ASHLAR_SEED, or a random one; prints the line that replays PROGRAM. */
uint64_t fixture_seed(int argc, char **argv);
/* The number in the environment variable NAME, or N. */
uint64_t fixture_number(const char *name, uint64_t n);

/* Lets a second pass. */
void tick(struct fixture *f);
struct timespec now(const struct fixture *f);

/* ---- assertions --------------------------------------------------------------------------------- */

void assert_result(int64_t got, int64_t expected, const char *what, const char *file, int line);
#define assert_ok(r)       assert_result((r), 0, #r, __FILE__, __LINE__)
#define assert_fails(r, e) assert_result((r), -(e), #r, __FILE__, __LINE__)
void assert_time(struct timespec got, struct timespec expected, const char *what, const char *file, int line);
#define assert_times(a, b) assert_time((a), (b), #a, __FILE__, __LINE__)

/* ---- short names: names are C strings; what they make keeps no reference ------------------------- */

struct slice str(const char *s);
uint64_t new_file(struct fixture *f, uint64_t dir, const char *name);
uint64_t new_dir(struct fixture *f, uint64_t dir, const char *name);
uint64_t new_symlink(struct fixture *f, uint64_t dir, const char *name, const char *target);
uint64_t new_node(struct fixture *f, uint64_t dir, const char *name, uint32_t mode, uint64_t rdev);
/* 0 or the error; *RET_INO may be NULL. Keeps no reference. */
int look(struct fixture *f, uint64_t dir, const char *name, uint64_t *ret_ino);
/* A new link. */
int hardlink(struct fixture *f, uint64_t ino, uint64_t dir, const char *name);
struct fs_attr attr(struct fixture *f, uint64_t ino);
void put(struct fixture *f, uint64_t ino, uint64_t offset, const char *text);
/* Bytes read into BUF, or the error. */
ssize_t get(struct fixture *f, uint64_t ino, uint64_t offset, void *buf, size_t len);
/* Asserts that the file holds exactly LEN bytes of DATA at OFFSET. */
void assert_data(struct fixture *f, uint64_t ino, uint64_t offset, const void *data, size_t len);
/* Asserts that [OFFSET, OFFSET + LEN) reads as zeros. */
void assert_zeros(struct fixture *f, uint64_t ino, uint64_t offset, size_t len);
int truncate_to(struct fixture *f, uint64_t ino, uint64_t size);
int chmod_to(struct fixture *f, uint64_t ino, uint32_t mode);
/* All names of a directory, each followed by '/'; in a static buffer of the thread. */
const char *names(struct fixture *f, uint64_t dir);
/* Pairs in the store whose keys begin with PREFIX. */
uint64_t count_keys(struct kv_store *store, const char *prefix);

#endif
