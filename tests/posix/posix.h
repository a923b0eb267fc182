/* SPDX-License-Identifier: MIT */
/* Conformance tests of a mounted directory, from the specification: POSIX.1-2017 and Linux' manual pages
 * where POSIX leaves a choice or does not know the call. They are not about ashlar: they pass on ext4, and
 * run.sh runs them there too, so that a test is known to be right.
 *
 * A test is a function in one of the groups (one file a group, by call). It runs in a separate process, in
 * an empty directory that is its working directory, as root with umask 0.
 */
#ifndef POSIX_H
#define POSIX_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

struct posix_test {
        const char *name;
        void (*run)(void);
};

struct posix_group {
        const char *name;
        const struct posix_test *tests; /* ends with a NULL name */
};

extern const struct posix_group posix_attr, posix_data, posix_dir, posix_lock, posix_name, posix_open,
        posix_rename, posix_setid, posix_time, posix_xattr;

/* Two users without privileges, and a group that both are in. */
#define USER_A  65501u
#define USER_B  65502u
#define GROUP_C 65503u

/* Ends the test as failed, with one line. */
void posix_fail(const char *file, int line, const char *format, ...)
        __attribute__((format(printf, 3, 4), noreturn));
/* Ends the test as skipped: the kernel cannot do what it is about. */
void posix_skip(const char *why) __attribute__((noreturn));

#define CHECK(condition)                                                  \
        do {                                                              \
                if (!(condition))                                         \
                        posix_fail(__FILE__, __LINE__, "%s", #condition); \
        } while (0)

/* CALL returns anything but -1; its value. */
#define OK(call)                                                                                 \
        ({                                                                                       \
                __typeof__(call) ok_ = (call);                                                   \
                if (ok_ == (__typeof__(call))-1)                                                 \
                        posix_fail(__FILE__, __LINE__, "%s: %s", #call, strerrorname_np(errno)); \
                ok_;                                                                             \
        })

/* CALL returns -1 with errno ERR. */
#define FAILS(call, err)                                                                                     \
        do {                                                                                                 \
                errno = 0;                                                                                   \
                if ((call) != -1)                                                                            \
                        posix_fail(__FILE__, __LINE__, "%s: succeeded, %s expected", #call, #err);           \
                if (errno != (err))                                                                          \
                        posix_fail(__FILE__, __LINE__, "%s: %s, %s expected", #call, strerrorname_np(errno), \
                                   #err);                                                                    \
        } while (0)

#define EQUAL(a, b)                                                                                        \
        do {                                                                                               \
                long long a_ = (long long)(a), b_ = (long long)(b);                                        \
                if (a_ != b_)                                                                              \
                        posix_fail(__FILE__, __LINE__, "%s is %lld (%#llo), not %s: %lld (%#llo)", #a, a_, \
                                   (unsigned long long)a_, #b, b_, (unsigned long long)b_);                \
        } while (0)

/* Runs FN(ARG) in a child with the credentials of UID (group UID as well, and GROUP_C); its failures are the
 * test's. */
void as_user(unsigned uid, void (*fn)(void *arg), void *arg);

/* Makes a file with CONTENT, mode MODE, and closes it. */
void make(const char *path, mode_t mode, const char *content);
/* The content of the file, at most 4,095 bytes; static memory. */
const char *content(const char *path);
struct stat stat_of(const char *path);
struct stat lstat_of(const char *path);
mode_t mode_of(const char *path); /* without the type */
bool exists(const char *path);

#endif
