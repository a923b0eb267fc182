/* SPDX-License-Identifier: MIT */
/* Errors: functions return 0 (or a count) on success and a negative number on failure. The number is a
 * negative errno, or one of the private codes below for what errno cannot say. Private codes never
 * reach an application: src/fuse translates them.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <errno.h>

enum {
        /* The transaction conflicts with another one, or its snapshot is too old: run it again.
         * Leaves src/kv only through kv_commit() and reads; kv_run() consumes it. */
        ERR_CONFLICT = 4001,
        /* The commit may or may not have happened. Leaves src/kv only through kv_commit(). */
        ERR_UNKNOWN_RESULT,
        /* A transient failure of the store (overload, a process that is recovering): run it again. */
        ERR_RETRY,
        /* A stored key or value is not what the format allows. Applications see EIO. */
        ERR_CORRUPT,
        /* The store was written by a newer version of ashlar. */
        ERR_NEWER,
        /* There is a store, but no ashlar file system in it. */
        ERR_NO_FS,
        /* This mount lost its registration (its session was evicted) and must not go on. */
        ERR_FENCED,
        /* The store did not answer in time. If a commit was on its way, its outcome is unknown. */
        ERR_AWAY,
};

/* One line of text for a user, without a final newline: what failed and what to do about it. Filled by
 * functions that open, create or parse something, next to their return value. */
struct err_text {
        char text[512];
};

/* Formats into T (which may be NULL) and returns -ERR, so that a failing function can end with
 * `return err_set(text, ENOENT, "no such store: %s", path);`. */
int err_set(struct err_text *t, int err, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* A short description of a negative or positive errno or private code. Static or thread-local
 * storage, valid until the next call in the same thread. */
const char *err_str(int err);

/* The errno (positive) that an application sees for the negative error ERR: private codes become EIO
 * (corrupt, unknown), EAGAIN never. */
int err_to_errno(int err);

#endif
