/* SPDX-License-Identifier: MIT */
/* Decoding of request bodies: one function for each request that calls an operation. Private to codec.c and
 * decode_*.c. Any thread.
 */
#ifndef FUSE_PROTO_DECODE_H
#define FUSE_PROTO_DECODE_H

#include "fuse/proto/ops.h"
#include "fuse/transport/kernel_abi.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* The part of a request that is not decoded yet. */
struct fuse_input {
        const uint8_t *at, *end;
};

/* Takes the next SIZE bytes. NULL if fewer are left. */
static inline const void *fuse_take(struct fuse_input *in, size_t size)
{
        const void *p = in->at;

        if ((size_t)(in->end - in->at) < size)
                return NULL;
        in->at += size;
        return p;
}

/* Takes a string and its zero byte. False if no zero byte is left. */
static inline bool fuse_take_string(struct fuse_input *in, struct slice *ret)
{
        const uint8_t *zero = memchr(in->at, '\0', (size_t)(in->end - in->at));

        if (!zero)
                return false;
        *ret = slice_of(in->at, (size_t)(zero - in->at));
        in->at = zero + 1;
        return true;
}

/* Decodes the body of a request on inode NODE and calls its operation, which OPS must have. False if the body
 * is incomplete; then no operation was called and no reply sent. */
typedef bool fuse_decode_fn(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node,
                            struct fuse_input *in);

/* decode_names.c */
fuse_decode_fn fuse_decode_lookup;
fuse_decode_fn fuse_decode_mknod;
fuse_decode_fn fuse_decode_create;
fuse_decode_fn fuse_decode_tmpfile;
fuse_decode_fn fuse_decode_mkdir;
fuse_decode_fn fuse_decode_symlink;
fuse_decode_fn fuse_decode_link;
fuse_decode_fn fuse_decode_unlink;
fuse_decode_fn fuse_decode_rmdir;
fuse_decode_fn fuse_decode_rename;
fuse_decode_fn fuse_decode_rename2;
fuse_decode_fn fuse_decode_readlink;

/* decode_attr.c */
fuse_decode_fn fuse_decode_getattr;
fuse_decode_fn fuse_decode_statx;
fuse_decode_fn fuse_decode_setattr;
fuse_decode_fn fuse_decode_statfs;
fuse_decode_fn fuse_decode_setxattr;
fuse_decode_fn fuse_decode_getxattr;
fuse_decode_fn fuse_decode_listxattr;
fuse_decode_fn fuse_decode_removexattr;

/* decode_data.c */
fuse_decode_fn fuse_decode_open;
fuse_decode_fn fuse_decode_release;
fuse_decode_fn fuse_decode_flush;
fuse_decode_fn fuse_decode_read;
fuse_decode_fn fuse_decode_write;
fuse_decode_fn fuse_decode_fallocate;
fuse_decode_fn fuse_decode_lseek;
fuse_decode_fn fuse_decode_copy;
fuse_decode_fn fuse_decode_copy_64;
fuse_decode_fn fuse_decode_fsync;
fuse_decode_fn fuse_decode_syncfs;
fuse_decode_fn fuse_decode_opendir;
fuse_decode_fn fuse_decode_releasedir;
fuse_decode_fn fuse_decode_readdir;
fuse_decode_fn fuse_decode_readdirplus;

/* decode_lock.c */
fuse_decode_fn fuse_decode_getlk;
fuse_decode_fn fuse_decode_setlk;
fuse_decode_fn fuse_decode_setlkw;

#endif
