/* SPDX-License-Identifier: MIT */
/* Serves a file system (fs/fs.h) to the kernel through FUSE.
 *
 *     fuse_mount(dir, ..., &fd)              mount and open /dev/fuse (fuse/mountpoint/mountpoint.h)
 *     fuse_server_new(fs, opts, fd, &server) negotiate features and choose a transport
 *     fuse_serve(server)                     serve until unmounted or stopped
 *     fuse_server_free(server)               close the connection
 *
 * An exclusive mount is the only one that changes the file system. The kernel then caches names, attributes,
 * directories and pages without limit, and does not send OPEN, RELEASE and other requests that only
 * cost a round trip. A shared mount is one of several. The kernel then asks each time, and an open file shows
 * what was in the store when it was opened.
 */
#ifndef FUSE_FUSE_H
#define FUSE_FUSE_H

#include "base/err.h"
#include "fs/fs.h"
#include "fuse/options.h"

struct fuse_server;

/* Creates a server of FS on FUSE_FD, the mounted /dev/fuse of fuse_mount. FS stays the caller's and must
 * outlive the server; FUSE_FD is taken over on success. Waits for the kernel's first request, INIT.
 *
 * Errors, with TEXT: EOPNOTSUPP (io_uring is required but not available), EPROTO (the kernel is too old),
 * ENODEV (already unmounted), ... */
int fuse_server_new(struct fs *fs, const struct fuse_opts *opts, int fuse_fd, struct fuse_server **ret,
                    struct err_text *text);

/* Serves requests with threads of the server. Returns 0 after an unmount or fuse_stop, or the error by which
 * the connection failed. Once per server. */
int fuse_serve(struct fuse_server *s);

/* Returns the transport in use as text for logs: "classic" or "rings", with the number of CPUs or the reason
 * of the choice. Valid as long as the server. */
const char *fuse_server_transport(const struct fuse_server *s);

/* Makes fuse_serve return although the file system is still mounted; system calls on it fail once the
 * server is freed. Any thread, and signal handlers. */
void fuse_stop(struct fuse_server *s);

/* Closes the connection to the kernel and frees the server, after fuse_serve has returned. Takes NULL. */
void fuse_server_free(struct fuse_server *s);

#endif
