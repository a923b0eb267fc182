/* SPDX-License-Identifier: MIT */
/* Shared by the tests of src/fs: a file system over a stack of stores, short names for common calls, and
 * assertions that print the name of the error. */
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
/* cmocka.h needs the four headers above. */
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ROOT FMT_ROOT_INO

/* A clock that only tick() moves. */
struct test_clock {
        struct clock clock;
        _Atomic int64_t seconds;
};

struct fixture {
        const char *spec; /* "mem", "lmdb", "fdb" (the stand-in), then "+fault", "+stats",
                                      * "+writebehind"; "+odd": the block size is no power of 2; "+remote":
                                      * the store reports that reads cost round trips; "+writeback": with a
                                      * write-back cache (fixture_writeback); "+small": transactions of few
                                      * blocks, so that flushes are parallel */
        char dir[64];     /* directory of an lmdb store; "" otherwise */
        struct kv_store *bottom, *fault, *stats; /* layers of the stack; NULL: absent */
        struct kv_store *store;                  /* the whole stack */
        struct test_clock clock;
        struct fs_open_opts opts; /* for the next fs_open */
        struct fs *fs;
};

/* Faults that retries hide: conflicts, commits with unknown results, reads that fail once, slow calls. */
extern const struct kv_fault_opts fixture_faults;

/* Sets OPTS to a write-back cache with so little memory that flushes are frequent. */
extern const struct fs_writeback_opts fixture_writeback;

/* Makes STORE report that reads cost round trips. */
void fixture_make_remote(struct kv_store *store);

/* Creates the store of SPEC and a file system with blocks of 4096 bytes in it, and opens both. */
void fixture_open(struct fixture *f, const char *spec);
/* Closes the file system, and the store unless it is in memory, and opens them again. All references are
 * gone. */
void fixture_remount(struct fixture *f);
/* Asserts that maint_check finds nothing; RET may be NULL. */
void fixture_check(struct fixture *f, struct maint_check_result *ret);
/* Waits until nothing is left under 'g'. */
void fixture_drain(struct fixture *f);
/* Runs maint_check and closes everything. */
void fixture_close(struct fixture *f);

/* Setup and teardown of one cmocka test over the spec that fixture_main was given. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* The spec of the command line (argv[1], default "mem"). */
extern const char *fixture_spec;
#define FIXTURE_TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

/* Returns the seed of ASHLAR_SEED, or a random one; prints the line that replays PROGRAM. */
uint64_t fixture_seed(int argc, char **argv);
/* Returns the number in the environment variable NAME, or N. */
uint64_t fixture_number(const char *name, uint64_t n);

/* Moves the clock by one second. */
void tick(struct fixture *f);
struct timespec now(const struct fixture *f);

/* ---- assertions --------------------------------------------------------------------------------- */

void assert_result(int64_t got, int64_t expected, const char *what, const char *file, int line);
#define assert_ok(r)       assert_result((r), 0, #r, __FILE__, __LINE__)
#define assert_fails(r, e) assert_result((r), -(e), #r, __FILE__, __LINE__)
void assert_time(struct timespec got, struct timespec expected, const char *what, const char *file, int line);
#define assert_times(a, b) assert_time((a), (b), #a, __FILE__, __LINE__)

/* ---- short names: names are C strings; new inodes keep no reference ------------------------------ */

struct slice str(const char *s);
uint64_t new_file(struct fixture *f, uint64_t dir, const char *name);
uint64_t new_dir(struct fixture *f, uint64_t dir, const char *name);
uint64_t new_symlink(struct fixture *f, uint64_t dir, const char *name, const char *target);
uint64_t new_node(struct fixture *f, uint64_t dir, const char *name, uint32_t mode, uint64_t rdev);
/* Returns 0 or the error; *RET_INO may be NULL. Keeps no reference. */
int look(struct fixture *f, uint64_t dir, const char *name, uint64_t *ret_ino);
/* Makes a hard link. */
int hardlink(struct fixture *f, uint64_t ino, uint64_t dir, const char *name);
struct fs_attr attr(struct fixture *f, uint64_t ino);
void put(struct fixture *f, uint64_t ino, uint64_t offset, const char *text);
/* Returns the number of bytes read into BUF, or the error. */
ssize_t get(struct fixture *f, uint64_t ino, uint64_t offset, void *buf, size_t len);
/* Asserts that the file holds exactly LEN bytes of DATA at OFFSET. */
void assert_data(struct fixture *f, uint64_t ino, uint64_t offset, const void *data, size_t len);
/* Asserts that [OFFSET, OFFSET + LEN) reads as zeros. */
void assert_zeros(struct fixture *f, uint64_t ino, uint64_t offset, size_t len);
int truncate_to(struct fixture *f, uint64_t ino, uint64_t size);
int chmod_to(struct fixture *f, uint64_t ino, uint32_t mode);
/* Returns all names of a directory, each followed by '/', in a buffer of the thread. */
const char *names(struct fixture *f, uint64_t dir);
/* Counts the pairs of the store whose keys begin with PREFIX. */
uint64_t count_keys(struct kv_store *store, const char *prefix);

#endif
