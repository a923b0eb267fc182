/* SPDX-License-Identifier: MIT */
/* Input: a request of the kernel. Exactly one operation is called or one reply is sent; FORGET gets no
 * reply. */
#include "codec_harness.h"
#include "fuse/transport/kernel_abi.h"

#include "../format/fuzz.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        /* Aligned as a transport does, and of exactly this length. */
        uint8_t *copy = aligned_alloc(8, len + (8 - len % 8) % 8 + (len == 0 ? 8 : 0));
        struct codec_result result;
        uint32_t opcode = 0;

        FUZZ_CHECK(copy);
        memcpy(copy, data, len);
        if (len >= sizeof(struct fuse_in_header))
                memcpy(&opcode, data + offsetof(struct fuse_in_header, opcode), sizeof(opcode));
        result = codec_serve(copy, len, 0);
        if (len < sizeof(struct fuse_in_header) || opcode == FUSE_INTERRUPT || opcode == FUSE_NOTIFY_REPLY)
                FUZZ_CHECK(result.calls + result.replies <= 1);
        else if (opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET)
                FUZZ_CHECK(result.replies == 0);
        else
                FUZZ_CHECK(result.calls + result.replies == 1);
        free(copy);
        return 0;
}
