/* SPDX-License-Identifier: MIT */
/* Requests for the codec as bytes, with operations that only look at what they are given: every byte of it,
 * so that a sanitizer sees one that lies outside the request. */
#ifndef TESTS_FUSE_HOSTILE_H
#define TESTS_FUSE_HOSTILE_H

#include "fuse/proto/conn.h"

struct hostile_result {
        unsigned calls;   /* of operations, FORGET's for each inode */
        unsigned replies; /* by the codec itself */
        int error;        /* of the last of those, positive */
        char said[256];   /* the last operation and its arguments */
};

/* Has the codec serve DATA. REFUSED: opcodes that the policy answers with ENOSYS. */
struct hostile_result hostile_serve(const void *data, size_t len, uint64_t refused);

#endif
