/* SPDX-License-Identifier: MIT */
/* A server with operations of one's own, for programs that are no ashlar mount (bench/memfs) but want its
 * codec and transports. */
#ifndef FUSE_SERVER_H
#define FUSE_SERVER_H

#include "fuse/proto/conn.h"

/* As fuse_server_new, with CORE (which stays the caller's) instead of a file system. */
int fuse_server_new_with(struct fuse_conn *conn, int fuse_fd, struct fuse_server **ret,
                         struct err_text *text);

#endif
