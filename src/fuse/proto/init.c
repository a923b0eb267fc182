/* SPDX-License-Identifier: MIT */
#include "fuse/proto/init.h"

#include "base/cleanup.h"
#include "fuse/proto/policy.h"
#include "fuse/transport/kernel_abi.h"
#include "fuse/transport/transport.h"

#include <sys/uio.h>

/* The kernel refuses reads into a buffer smaller than its largest possible request before INIT. */
#define BUFFER_BYTES (64u << 10)

int fuse_init_decode(const void *data, size_t len, struct fuse_init *ret, struct err_text *text)
{
        const struct fuse_in_header *h = data;
        const struct fuse_init_in *in = (const void *)(h + 1);
        struct fuse_init init;

        if (len < sizeof(*h) + offsetof(struct fuse_init_in, flags2) || h->opcode != FUSE_INIT)
                return err_set(text, EPROTO, "the first request of the kernel is not INIT");
        if (in->major != FUSE_KERNEL_VERSION || in->minor < ABI_PROTO_MINOR_LEAST)
                return err_set(text, EPROTO,
                               "the kernel has version %u.%u of FUSE; %u.%u (Linux 4.20) or "
                               "later is needed",
                               in->major, in->minor, FUSE_KERNEL_VERSION, ABI_PROTO_MINOR_LEAST);
        init = (struct fuse_init){
                .unique = h->unique,
                .minor = in->minor,
                .max_readahead = in->max_readahead,
                .offered = in->flags,
        };
        if ((in->flags & FUSE_INIT_EXT) && len >= sizeof(*h) + sizeof(*in))
                init.offered |= (uint64_t)in->flags2 << 32;
        *ret = init;
        return 0;
}

int fuse_init_read(int fuse_fd, struct fuse_init *ret, struct err_text *text)
{
        _cleanup_free_ void *buffer = malloc(BUFFER_BYTES);
        ssize_t n;

        if (!buffer)
                return err_set(text, ENOMEM, "out of memory");
        do
                n = read(fuse_fd, buffer, BUFFER_BYTES);
        while (n < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT));
        if (n < 0)
                return err_set(text, errno, "cannot read from /dev/fuse: %s", err_str(errno));
        return fuse_init_decode(buffer, (size_t)n, ret, text);
}

int fuse_init_reply(int fuse_fd, const struct fuse_init *init, uint64_t features)
{
        struct {
                struct fuse_out_header header;
                struct fuse_init_out init;
        } out = {
                .header = { .len = sizeof(out), .unique = init->unique },
                .init = {
                        .major = FUSE_KERNEL_VERSION,
                        .minor = init->minor < ABI_PROTO_MINOR ? init->minor : ABI_PROTO_MINOR,
                        .max_readahead = FUSE_READAHEAD_BYTES,
                        .flags = (uint32_t)features,
                        .flags2 = (uint32_t)(features >> 32),
                        .max_background = FUSE_MAX_BACKGROUND,
                        .congestion_threshold = FUSE_MAX_BACKGROUND * 3 / 4,
                        .max_write = FUSE_IO_BYTES,
                        .time_gran = 1,
                        .max_pages = (uint16_t)(FUSE_IO_BYTES / (uint32_t)sysconf(_SC_PAGESIZE)),
                },
        };

        return write(fuse_fd, &out, sizeof(out)) < 0 ? -errno : 0;
}
