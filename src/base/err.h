/* SPDX-License-Identifier: MIT */
/* Errors: functions return 0 (or a count) on success and a negative number on failure: a negative errno, or
 * the negative of a private code below where no errno fits. Private codes never reach an application:
 * src/fuse translates them. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <errno.h>

enum {
        /* The transaction conflicts with another one, or its snapshot is too old: run it again. Returned by
         * reads and kv_commit(); kv_run() consumes it. */
        ERR_CONFLICT = 4001,
        /* The commit may or may not have happened. Returned by kv_commit(); kv_run() consumes it. */
        ERR_UNKNOWN_RESULT,
        /* A transient failure of the store (overload, recovery): run the transaction again. */
        ERR_RETRY,
        /* A stored key or value violates the format. Applications see EIO. */
        ERR_CORRUPT,
        /* The store was written by a newer version of ashlar. */
        ERR_NEWER,
        /* The store exists, but holds no ashlar file system. */
        ERR_NO_FS,
        /* The session of this mount was evicted; it must not go on. */
        ERR_FENCED,
        /* The store did not answer before the deadline. If a commit had been sent, its outcome is unknown. */
        ERR_AWAY,
};

/* One line for the user, without a final newline: what failed and what to do about it. Functions that open,
 * create or parse something fill it in beside their return value. */
struct err_text {
        char text[512];
};

/* Formats into T (which may be NULL) and returns -ERR:
 * `return err_set(text, ENOENT, "no such store: %s", path);`. */
int err_set(struct err_text *t, int err, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Describes an errno or private code, positive or negative. The string is valid until the next call in the
 * same thread. */
const char *err_str(int err);

/* The positive errno that an application gets for the error ERR; private codes become EIO. */
int err_to_errno(int err);

#endif
