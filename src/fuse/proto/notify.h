/* SPDX-License-Identifier: MIT */
/* Notifications: the server makes the kernel drop cached names, attributes and pages.
 *
 * Any thread. fuse_notify_pages and fuse_notify_entry wait for kernel locks that are held while the kernel
 * waits for a reply, so a thread that serves requests must not call them. Errors: ENOENT (the kernel has
 * cached no such inode or name), ENODEV (unmounted), ...
 */
#ifndef FUSE_PROTO_NOTIFY_H
#define FUSE_PROTO_NOTIFY_H

#include "base/slice.h"
#include "fuse/proto/conn.h"

/* Drops the attributes of INO. Safe in any thread. */
int fuse_notify_attr(const struct fuse_conn *conn, uint64_t ino);

/* Drops the attributes of INO and its pages in LEN bytes from OFFSET (LEN 0: to the end of the file). Dirty
 * pages are written back first. */
int fuse_notify_pages(const struct fuse_conn *conn, uint64_t ino, uint64_t offset, uint64_t len);

/* Drops the cached listing and the attributes of directory DIR. Safe in any thread: the kernel holds no page
 * of a listing while it waits for a reply. */
int fuse_notify_listing(const struct fuse_conn *conn, uint64_t dir);

/* Drops NAME in directory DIR, or the knowledge that it does not exist. */
int fuse_notify_entry(const struct fuse_conn *conn, uint64_t dir, struct slice name);

#endif
