/* SPDX-License-Identifier: MIT */
/* What the server tells the kernel unasked: that something which it caches is no longer true.
 *
 * From any thread, except that invalidating pages or names waits for locks which the kernel holds while it
 * waits for an answer: never do that while serving a request. Errors: ENOENT (the kernel knows no such
 * inode or name, which is as well), ENODEV (unmounted), ...
 */
#ifndef FUSE_PROTO_NOTIFY_H
#define FUSE_PROTO_NOTIFY_H

#include "fuse/proto/conn.h"

/* Attributes alone: safe everywhere. */
int fuse_notify_attr(const struct fuse_conn *conn, uint64_t ino);

/* Attributes, and pages from OFFSET on, LEN bytes of them (0: to the end). Dirty pages are written back
 * first. */
int fuse_notify_pages(const struct fuse_conn *conn, uint64_t ino, uint64_t offset, uint64_t len);

/* A name in a directory, also one that is known to be missing. */
int fuse_notify_entry(const struct fuse_conn *conn, uint64_t dir, struct slice name);

#endif
