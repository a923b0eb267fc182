/* From a request as the kernel sent it to a call of an operation.
 *
 * The kernel is trusted to mean what it says, and not to be without faults: lengths and ends of strings are
 * checked, and a request that is not as <linux/fuse.h> has it gets EIO.
 */
#ifndef FUSE_CODEC_H
#define FUSE_CODEC_H

#include "fuse/core.h"
#include "fuse/transport.h"

/* Serves the request in DATA (as struct af_handler says), any but INIT: calls one operation of CORE->ops at
 * most, or answers by itself. Any thread. */
void af_codec_request(struct af_core *core, struct af_channel *channel, const void *data, size_t len);

/* For the log; "?" if it has none. */
const char *af_opcode_name(uint32_t opcode);

#endif
