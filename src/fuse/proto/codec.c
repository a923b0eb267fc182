/* SPDX-License-Identifier: MIT */
#include "fuse/proto/codec.h"

#include "base/log.h"
#include "fuse/proto/decode.h"
#include "fuse/proto/interrupts.h"

/* ---- table of requests ------------------------------------------------------------------------------- */

struct request {
        const char *name;
        fuse_decode_fn *decode;
        size_t op; /* offset in struct fuse_ops of the operation that DECODE calls */
        /* allow_root does not apply: the request works on an open file, or is harmless. */
        bool for_all_users;
};

#define REQUEST(opcode, op, function, for_all_users) \
        [FUSE_##opcode] = { #opcode, fuse_decode_##function, offsetof(struct fuse_ops, op), for_all_users }

static const struct request requests[] = {
        REQUEST(LOOKUP, lookup, lookup, false),
        REQUEST(GETATTR, getattr, getattr, false),
        REQUEST(SETATTR, setattr, setattr, false),
        REQUEST(READLINK, readlink, readlink, false),
        REQUEST(SYMLINK, symlink, symlink, false),
        REQUEST(MKNOD, mknod, mknod, false),
        REQUEST(MKDIR, mkdir, mkdir, false),
        REQUEST(UNLINK, unlink, unlink, false),
        REQUEST(RMDIR, rmdir, rmdir, false),
        REQUEST(RENAME, rename, rename, false),
        REQUEST(LINK, link, link, false),
        REQUEST(OPEN, open, open, false),
        REQUEST(READ, read, read, true),
        REQUEST(WRITE, write, write, true),
        REQUEST(STATFS, statfs, statfs, false),
        REQUEST(RELEASE, release, release, true),
        REQUEST(FSYNC, sync, fsync, true),
        REQUEST(SETXATTR, setxattr, setxattr, false),
        REQUEST(GETXATTR, getxattr, getxattr, false),
        REQUEST(LISTXATTR, listxattr, listxattr, false),
        REQUEST(REMOVEXATTR, removexattr, removexattr, false),
        REQUEST(FLUSH, flush, flush, true),
        REQUEST(OPENDIR, opendir, opendir, false),
        REQUEST(READDIR, readdir, readdir, true),
        REQUEST(RELEASEDIR, releasedir, releasedir, true),
        REQUEST(FSYNCDIR, sync, fsync, true),
        REQUEST(GETLK, getlk, getlk, true),
        REQUEST(SETLK, setlk, setlk, true),
        REQUEST(SETLKW, setlk, setlkw, true),
        REQUEST(CREATE, create, create, false),
        REQUEST(FALLOCATE, fallocate, fallocate, true),
        REQUEST(READDIRPLUS, readdir, readdirplus, true),
        REQUEST(RENAME2, rename, rename2, false),
        REQUEST(LSEEK, lseek, lseek, true),
        REQUEST(COPY_FILE_RANGE, copy, copy, true),
        REQUEST(SYNCFS, sync, syncfs, true),
        REQUEST(TMPFILE, tmpfile, tmpfile, false),
        [ABI_OPCODE_STATX] = { "STATX", fuse_decode_statx, offsetof(struct fuse_ops, statx), false },
        [ABI_OPCODE_COPY_FILE_RANGE_64] = { "COPY_FILE_RANGE_64", fuse_decode_copy_64,
                                            offsetof(struct fuse_ops, copy), true },
};

static const struct request *find_request(uint32_t opcode)
{
        if (opcode >= sizeof(requests) / sizeof(requests[0]) || !requests[opcode].decode)
                return NULL;
        return &requests[opcode];
}

static bool has_operation(const struct fuse_ops *ops, const struct request *request)
{
        void *function;

        memcpy(&function, (const char *)ops + request->op, sizeof(function));
        return function != NULL;
}

const char *fuse_opcode_name(uint32_t opcode)
{
        const struct request *request = find_request(opcode);

        switch (opcode) {
        case FUSE_FORGET:
                return "FORGET";
        case FUSE_BATCH_FORGET:
                return "BATCH_FORGET";
        case FUSE_INTERRUPT:
                return "INTERRUPT";
        case FUSE_DESTROY:
                return "DESTROY";
        case FUSE_INIT:
                return "INIT";
        }
        return request ? request->name : "?";
}

/* ---- requests without a reply ------------------------------------------------------------------------ */

static void forget(struct fuse_conn *conn, uint64_t node, struct fuse_input *in)
{
        const struct fuse_forget_in *arg = fuse_take(in, sizeof(*arg));

        if (arg && conn->ops->forget)
                conn->ops->forget(conn, node, arg->nlookup);
}

static void batch_forget(struct fuse_conn *conn, struct fuse_input *in)
{
        const struct fuse_batch_forget_in *arg = fuse_take(in, sizeof(*arg));
        const struct fuse_forget_one *one;

        if (!arg || !conn->ops->forget)
                return;
        for (uint32_t i = 0; i < arg->count && (one = fuse_take(in, sizeof(*one))); i++)
                conn->ops->forget(conn, one->nodeid, one->nlookup);
}

static void interrupt(const struct fuse_req *r, struct fuse_input *in)
{
        const struct fuse_interrupt_in *arg = fuse_take(in, sizeof(*arg));

        if (fuse_policy_refuses(&r->conn->policy, FUSE_INTERRUPT) || !r->conn->ops->interrupt)
                fuse_reply_enosys(r); /* the only reply that INTERRUPT may have */
        else if (arg)
                r->conn->ops->interrupt(r->conn, arg->unique);
}

/* ---- requests with a reply --------------------------------------------------------------------------- */

/* The kernel checks allow_other alone; allow_root is this server's. */
static bool is_denied(const struct fuse_conn *conn, const struct request *request, uint32_t uid)
{
        return conn->opts.allow_root && uid != conn->owner && uid != 0 && !request->for_all_users;
}

static void serve(struct fuse_req *r, const struct fuse_in_header *h, struct fuse_input *in)
{
        const struct request *request = find_request(h->opcode);
        const struct fuse_ops *ops = r->conn->ops;

        if (request && is_denied(r->conn, request, h->uid))
                fuse_reply_err(r, -EACCES);
        else if (!request || fuse_policy_refuses(&r->conn->policy, h->opcode))
                fuse_reply_enosys(r);
        else if (has_operation(ops, request)) {
                if (!request->decode(ops, r, h->nodeid, in))
                        fuse_reply_err(r, -EIO);
        } else if (h->opcode == FUSE_RELEASE || h->opcode == FUSE_RELEASEDIR)
                fuse_reply_result(r, 0);
        else
                fuse_reply_enosys(r);
}

static void serve_interruptible(struct fuse_req *r, const struct fuse_in_header *h, struct fuse_input *in)
{
        struct fuse_interruptible request;

        fuse_interruptible_begin(r->conn->interrupts, &request, r->unique, r->conn->opts.timeout_ms);
        serve(r, h, in);
        fuse_interruptible_end(r->conn->interrupts, &request);
}

void fuse_codec_request(struct fuse_conn *conn, struct fuse_channel *channel, const void *data, size_t len)
{
        const struct fuse_in_header *h = data;
        struct fuse_input in = { .at = data, .end = (const uint8_t *)data + len };
        struct fuse_req r = { .conn = conn, .channel = channel };

        if (!fuse_take(&in, sizeof(*h)))
                return; /* without a number there is nothing to reply to */
        r.unique = h->unique;
        r.cred = (struct fs_cred){ .uid = h->uid, .gid = h->gid };
        r.pid = (pid_t)h->pid;
        if (conn->opts.on_request)
                conn->opts.on_request(h->opcode, conn->opts.on_request_arg);
        if (conn->opts.debug)
                log_debug("request %llu: %s of inode %llu, %zu bytes, by pid %u",
                          (unsigned long long)h->unique, fuse_opcode_name(h->opcode),
                          (unsigned long long)h->nodeid, len, h->pid);
        switch (h->opcode) {
        case FUSE_FORGET:
                forget(conn, h->nodeid, &in);
                return;
        case FUSE_BATCH_FORGET:
                batch_forget(conn, &in);
                return;
        case FUSE_INTERRUPT:
                interrupt(&r, &in);
                return;
        case FUSE_NOTIFY_REPLY: /* answers a notification that is never sent; has no reply */
                return;
        case FUSE_DESTROY:
                fuse_reply_result(&r, 0);
                return;
        }
        if (conn->interrupts)
                serve_interruptible(&r, h, &in);
        else
                serve(&r, h, &in);
}
