/* SPDX-License-Identifier: MIT */
/* From a request as the kernel sent it to a call of an operation.
 *
 * The kernel is trusted to mean what it says, and not to be without faults: lengths and ends of strings are
 * checked, and a request that is not as <linux/fuse.h> has it gets EIO.
 */
#ifndef FUSE_PROTO_CODEC_H
#define FUSE_PROTO_CODEC_H

#include "fuse/proto/conn.h"
#include "fuse/transport/transport.h"

/* Serves the request in DATA (as struct fuse_handler says), any but INIT: calls one operation of CORE->ops at
 * most, or answers by itself. Any thread. */
void fuse_codec_request(struct fuse_conn *conn, struct fuse_channel *channel, const void *data, size_t len);

/* For the log; "?" if it has none. */
const char *fuse_opcode_name(uint32_t opcode);

#endif
