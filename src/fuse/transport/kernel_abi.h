/* SPDX-License-Identifier: MIT */
/* <linux/fuse.h>, and declarations of later versions of it, with names of our own, for older headers. */
#ifndef FUSE_TRANSPORT_KERNEL_ABI_H
#define FUSE_TRANSPORT_KERNEL_ABI_H

#include <linux/fuse.h>

/* ---- 7.39: STATX ---------------------------------------------------------------------------------- */

#define ABI_OPCODE_STATX 52u

struct abi_sx_time {
        int64_t tv_sec;
        uint32_t tv_nsec;
        int32_t reserved;
};

struct abi_statx {
        uint32_t mask, blksize;
        uint64_t attributes;
        uint32_t nlink, uid, gid;
        uint16_t mode, spare0;
        uint64_t ino, size, blocks, attributes_mask;
        struct abi_sx_time atime, btime, ctime, mtime;
        uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
        uint64_t spare2[14];
};

struct abi_statx_in {
        uint32_t getattr_flags, reserved;
        uint64_t fh;
        uint32_t sx_flags, sx_mask;
};

struct abi_statx_out {
        uint64_t attr_valid;
        uint32_t attr_valid_nsec, flags;
        uint64_t spare[2];
        struct abi_statx stat;
};

_Static_assert(sizeof(struct abi_statx_in) == 24, "size in the kernel's interface");
_Static_assert(sizeof(struct abi_statx) == 256, "size in the kernel's interface");
_Static_assert(sizeof(struct abi_statx_out) == 288, "size in the kernel's interface");

/* ---- 7.39: memory maps of files with FOPEN_DIRECT_IO (Linux 6.6) ------------------------------------- */

#define ABI_DIRECT_IO_ALLOW_MMAP (UINT64_C(1) << 36) /* a feature of INIT */

/* ---- 7.42: io_uring (Linux 6.14) ------------------------------------------------------------------- */

#define ABI_OVER_IO_URING (UINT64_C(1) << 41) /* a feature of INIT */

#define ABI_URING_REGISTER         1u /* adds an entry with its buffers; completes with a request */
#define ABI_URING_COMMIT_AND_FETCH 2u /* sends the reply; completes with the next request */

/* Part of the header buffer. */
struct abi_uring_in_out {
        uint64_t flags;
        uint64_t commit_id;  /* identifies the request in COMMIT_AND_FETCH */
        uint32_t payload_sz; /* bytes in the payload buffer */
        uint32_t padding;
        uint64_t reserved;
};

/* The first of an entry's two buffers; the second is for the payload. */
struct abi_uring_header {
        char in_out[128]; /* struct fuse_in_header, then struct fuse_out_header */
        char op_in[128];  /* the fixed part of the request */
        struct abi_uring_in_out in_out_sizes;
};

/* The command in the SQE. */
struct abi_uring_cmd {
        uint64_t flags;
        uint64_t commit_id;
        uint16_t qid; /* the queue, which is the number of a CPU */
        uint8_t padding[6];
};

_Static_assert(sizeof(struct abi_uring_header) == 288, "size in the kernel's interface");
_Static_assert(sizeof(struct abi_uring_cmd) == 24, "size in the kernel's interface");

/* ---- 7.44: pages stay marked until their WRITE is answered (Linux 6.16) ------------------------------ */

/* Older kernels mark a page clean, and can drop it, while its WRITE is still queued. */
#define ABI_MINOR_MARKS_WRITEBACK 44u

/* ---- 7.45: COPY_FILE_RANGE with a reply of 64 bits (Linux 6.18) --------------------------------------- */

#define ABI_OPCODE_COPY_FILE_RANGE_64 53u

struct abi_copy_file_range_out {
        uint64_t bytes_copied;
};

/* The protocol version that this code implements. */
#define ABI_PROTO_MINOR 42u

/* The oldest version supported (Linux 4.20); before it some requests and replies are shorter. */
#define ABI_PROTO_MINOR_LEAST 28u

#endif
