/* SPDX-License-Identifier: MIT */
/* Passes requests to the codec. The operations record their arguments and read every byte of them, so that a
 * sanitizer reports bytes outside the request. */
#ifndef TESTS_FUSE_CODEC_HARNESS_H
#define TESTS_FUSE_CODEC_HARNESS_H

#include "fuse/proto/conn.h"

struct codec_result {
        unsigned calls;      /* of operations; FORGET: one for each inode */
        unsigned replies;    /* by the codec */
        int error;           /* of the last reply, positive */
        char last_call[256]; /* the last operation called and its arguments */
};

/* Serves the request in DATA. REFUSED: opcodes that the policy answers with ENOSYS. */
struct codec_result codec_serve(const void *data, size_t len, uint64_t refused);

#endif
