/* SPDX-License-Identifier: MIT */
/* A server with other operations than those of fuse/ops, for programs that use the codec and the transports
 * without a struct fs (bench/memfs, tests). */
#ifndef FUSE_SERVER_H
#define FUSE_SERVER_H

#include "fuse/fuse.h"
#include "fuse/proto/conn.h"

/* As fuse_server_new, with the operations, policy and options of CONN, which stays the caller's and must
 * outlive the server. */
int fuse_server_new_with(struct fuse_conn *conn, int fuse_fd, struct fuse_server **ret,
                         struct err_text *text);

#endif
