/* SPDX-License-Identifier: MIT */
#include "fuse/proto/codec.h"

#include "base/log.h"
#include "fuse/proto/kernel_abi.h"
#include "fuse/proto/ops.h"
#include "fuse/proto/waits.h"

#include <linux/fs.h>

/* ---- pieces of a request -------------------------------------------------------------------------- */

/* What is left of a request. */
struct input {
        const uint8_t *at, *end;
};

/* The next SIZE bytes; NULL if there are fewer. */
static const void *take(struct input *in, size_t size)
{
        const void *p = in->at;

        if ((size_t)(in->end - in->at) < size)
                return NULL;
        in->at += size;
        return p;
}

/* A string and its zero byte. */
static bool take_string(struct input *in, struct slice *ret)
{
        const uint8_t *zero = memchr(in->at, '\0', (size_t)(in->end - in->at));

        if (!zero)
                return false;
        *ret = slice_of(in->at, (size_t)(zero - in->at));
        in->at = zero + 1;
        return true;
}

/* ---- one function a request ----------------------------------------------------------------------- */

/* Each returns false, without having answered, if the request is not complete. OPS has the operation (it is
 * looked up in `requests`). */
typedef bool decode_fn(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in);

static bool do_lookup(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        struct slice name;

        if (!take_string(in, &name))
                return false;
        ops->lookup(r, node, name);
        return true;
}

static bool do_getattr(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        const struct fuse_getattr_in *arg = take(in, sizeof(*arg));

        if (!arg)
                return false;
        if (arg->getattr_flags & FUSE_GETATTR_FH)
                r->fh = arg->fh;
        ops->getattr(r, node);
        return true;
}

static bool do_statx(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        const struct abi_statx_in *arg = take(in, sizeof(*arg));

        if (!arg)
                return false;
        if (arg->getattr_flags & FUSE_GETATTR_FH)
                r->fh = arg->fh;
        ops->statx(r, node);
        return true;
}

static unsigned set_flags(uint32_t valid)
{
        static const struct {
                uint32_t kernel;
                unsigned fs;
        } map[] = {
                { FATTR_MODE, FS_SET_MODE },   { FATTR_UID, FS_SET_UID },
                { FATTR_GID, FS_SET_GID },     { FATTR_SIZE, FS_SET_SIZE },
                { FATTR_CTIME, FS_SET_CTIME }, { FATTR_KILL_SUIDGID, FS_SET_KILL_PRIV },
        };
        unsigned set = 0;

        for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
                if (valid & map[i].kernel)
                        set |= map[i].fs;
        /* "Now" comes together with a time, which is then not to be used. */
        if (valid & FATTR_ATIME_NOW)
                set |= FS_SET_ATIME_NOW;
        else if (valid & FATTR_ATIME)
                set |= FS_SET_ATIME;
        if (valid & FATTR_MTIME_NOW)
                set |= FS_SET_MTIME_NOW;
        else if (valid & FATTR_MTIME)
                set |= FS_SET_MTIME;
        return set;
}

static struct timespec time_of(uint64_t seconds, uint32_t nanoseconds)
{
        return (struct timespec){ .tv_sec = (time_t)seconds, .tv_nsec = nanoseconds };
}

static bool do_setattr(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        const struct fuse_setattr_in *arg = take(in, sizeof(*arg));
        struct fs_setattr set;

        if (!arg)
                return false;
        if (arg->valid & FATTR_FH)
                r->fh = arg->fh;
        if (arg->valid & FATTR_LOCKOWNER)
                r->lock_owner = arg->lock_owner;
        set = (struct fs_setattr){
                .set = set_flags(arg->valid),
                .mode = arg->mode & 07777,
                .uid = arg->uid,
                .gid = arg->gid,
                .size = arg->size,
                .atime = time_of(arg->atime, arg->atimensec),
                .mtime = time_of(arg->mtime, arg->mtimensec),
                .ctime = time_of(arg->ctime, arg->ctimensec),
        };
        ops->setattr(r, node, &set);
        return true;
}

static bool do_readlink(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        ops->readlink(r, node);
        return true;
}

static bool do_mknod(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        const struct fuse_mknod_in *arg = take(in, sizeof(*arg));
        struct slice name;

        if (!arg || !take_string(in, &name))
                return false;
        ops->mknod(r, node, name, arg->mode, arg->rdev);
        return true;
}

static bool do_mkdir(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        const struct fuse_mkdir_in *arg = take(in, sizeof(*arg));
        struct slice name;

        if (!arg || !take_string(in, &name))
                return false;
        ops->mkdir(r, node, name, arg->mode);
        return true;
}

static bool do_unlink(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        struct slice name;

        if (!take_string(in, &name))
                return false;
        ops->unlink(r, node, name);
        return true;
}

static bool do_rmdir(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        struct slice name;

        if (!take_string(in, &name))
                return false;
        ops->rmdir(r, node, name);
        return true;
}

static bool do_symlink(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        struct slice name, target;

        if (!take_string(in, &name) || !take_string(in, &target))
                return false;
        ops->symlink(r, node, name, target);
        return true;
}

static bool rename_to(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in,
                      uint64_t new_dir, unsigned flags)
{
        struct slice name, new_name;

        if (!take_string(in, &name) || !take_string(in, &new_name))
                return false;
        ops->rename(r, node, name, new_dir, new_name, flags);
        return true;
}

static bool do_rename(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        const struct fuse_rename_in *arg = take(in, sizeof(*arg));

        return arg && rename_to(ops, r, node, in, arg->newdir, 0);
}

static bool do_rename2(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        const struct fuse_rename2_in *arg = take(in, sizeof(*arg));

        return arg && rename_to(ops, r, node, in, arg->newdir, arg->flags);
}

static bool do_link(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        const struct fuse_link_in *arg = take(in, sizeof(*arg));
        struct slice name;

        if (!arg || !take_string(in, &name))
                return false;
        ops->link(r, arg->oldnodeid, node, name);
        return true;
}

static bool do_create(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        const struct fuse_create_in *arg = take(in, sizeof(*arg));
        struct slice name;

        if (!arg || !take_string(in, &name))
                return false;
        r->file_flags = arg->flags;
        ops->create(r, node, name, arg->mode);
        return true;
}

/* The name that comes with it is the kernel's own invention. */
static bool do_tmpfile(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        const struct fuse_create_in *arg = take(in, sizeof(*arg));

        if (!arg)
                return false;
        r->file_flags = arg->flags;
        ops->tmpfile(r, node, arg->mode);
        return true;
}

static bool do_open(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        const struct fuse_open_in *arg = take(in, sizeof(*arg));

        if (!arg)
                return false;
        r->file_flags = arg->flags;
        ops->open(r, node, arg->open_flags & FUSE_OPEN_KILL_SUIDGID);
        return true;
}

static bool do_opendir(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        const struct fuse_open_in *arg = take(in, sizeof(*arg));

        if (!arg)
                return false;
        r->file_flags = arg->flags;
        ops->opendir(r, node);
        return true;
}

static bool do_flush(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        const struct fuse_flush_in *arg = take(in, sizeof(*arg));

        if (!arg)
                return false;
        r->fh = arg->fh;
        r->lock_owner = arg->lock_owner;
        ops->flush(r, node);
        return true;
}

static const struct fuse_release_in *take_release(struct input *in, struct fuse_req *r)
{
        const struct fuse_release_in *arg = take(in, sizeof(*arg));

        if (arg) {
                r->fh = arg->fh;
                r->file_flags = arg->flags;
                r->lock_owner = arg->lock_owner;
        }
        return arg;
}

static bool do_release(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        const struct fuse_release_in *arg = take_release(in, r);

        if (!arg)
                return false;
        ops->release(r, node, arg->release_flags & FUSE_RELEASE_FLOCK_UNLOCK);
        return true;
}

static bool do_releasedir(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        if (!take_release(in, r))
                return false;
        ops->releasedir(r, node);
        return true;
}

static const struct fuse_read_in *take_read(struct input *in, struct fuse_req *r)
{
        const struct fuse_read_in *arg = take(in, sizeof(*arg));

        if (arg) {
                r->fh = arg->fh;
                r->file_flags = arg->flags;
                r->lock_owner = arg->lock_owner;
        }
        return arg;
}

static bool do_read(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        const struct fuse_read_in *arg = take_read(in, r);

        if (!arg || arg->size > FUSE_IO_BYTES)
                return false;
        ops->read(r, node, arg->offset, arg->size);
        return true;
}

static bool do_write(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        const struct fuse_write_in *arg = take(in, sizeof(*arg));
        const void *data = arg ? take(in, arg->size) : NULL;

        if (!data)
                return false;
        r->fh = arg->fh;
        r->file_flags = arg->flags;
        if (arg->write_flags & FUSE_WRITE_LOCKOWNER)
                r->lock_owner = arg->lock_owner;
        ops->write(r, node, arg->offset, slice_of(data, arg->size), arg->write_flags & FUSE_WRITE_CACHE,
                   arg->write_flags & FUSE_WRITE_KILL_SUIDGID);
        return true;
}

static bool do_fsync(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        const struct fuse_fsync_in *arg = take(in, sizeof(*arg));

        if (!arg)
                return false;
        r->fh = arg->fh;
        ops->sync(r, node);
        return true;
}

static bool do_syncfs(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        ops->sync(r, 0);
        return true;
}

static bool do_readdir(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        const struct fuse_read_in *arg = take_read(in, r);

        if (!arg)
                return false;
        ops->readdir(r, node, arg->offset, arg->size, false);
        return true;
}

static bool do_readdirplus(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        const struct fuse_read_in *arg = take_read(in, r);

        if (!arg)
                return false;
        ops->readdir(r, node, arg->offset, arg->size, true);
        return true;
}

static bool do_statfs(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        ops->statfs(r);
        return true;
}

/* Short, as it is without the feature SETXATTR_EXT. */
static bool do_setxattr(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        const struct fuse_setxattr_in *arg = take(in, FUSE_COMPAT_SETXATTR_IN_SIZE);
        struct slice name;
        const void *value;

        if (!arg || !take_string(in, &name) || !(value = take(in, arg->size)))
                return false;
        ops->setxattr(r, node, name, slice_of(value, arg->size), (int)arg->flags);
        return true;
}

static bool do_getxattr(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        const struct fuse_getxattr_in *arg = take(in, sizeof(*arg));
        struct slice name;

        if (!arg || !take_string(in, &name))
                return false;
        ops->getxattr(r, node, name, arg->size);
        return true;
}

static bool do_listxattr(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        const struct fuse_getxattr_in *arg = take(in, sizeof(*arg));

        if (!arg)
                return false;
        ops->listxattr(r, node, arg->size);
        return true;
}

static bool do_removexattr(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        struct slice name;

        if (!take_string(in, &name))
                return false;
        ops->removexattr(r, node, name);
        return true;
}

static bool do_fallocate(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        const struct fuse_fallocate_in *arg = take(in, sizeof(*arg));

        if (!arg)
                return false;
        r->fh = arg->fh;
        ops->fallocate(r, node, (int)arg->mode, arg->offset, arg->length);
        return true;
}

static bool do_lseek(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        const struct fuse_lseek_in *arg = take(in, sizeof(*arg));

        if (!arg)
                return false;
        r->fh = arg->fh;
        ops->lseek(r, node, arg->offset, (int)arg->whence);
        return true;
}

static bool take_lock(struct input *in, struct fuse_req *r, struct fuse_lock *ret)
{
        const struct fuse_lk_in *arg = take(in, sizeof(*arg));

        if (!arg)
                return false;
        r->fh = arg->fh;
        r->lock_owner = arg->owner;
        *ret = (struct fuse_lock){
                .owner = arg->owner,
                .start = arg->lk.start,
                .end = arg->lk.end,
                .type = arg->lk.type,
                .pid = arg->lk.pid,
                .flock = arg->lk_flags & FUSE_LK_FLOCK,
        };
        return true;
}

static bool do_getlk(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        struct fuse_lock lock;

        if (!take_lock(in, r, &lock))
                return false;
        ops->getlk(r, node, &lock);
        return true;
}

static bool do_setlk(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        struct fuse_lock lock;

        if (!take_lock(in, r, &lock))
                return false;
        ops->setlk(r, node, &lock, false);
        return true;
}

static bool do_setlkw(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct input *in)
{
        struct fuse_lock lock;

        if (!take_lock(in, r, &lock))
                return false;
        ops->setlk(r, node, &lock, true);
        return true;
}

/* ---- which function for which ---------------------------------------------------------------------- */

/* OP: the member of struct fuse_ops that must be there. ANYBODY: on what is open already, or harmless, so
 * that allow_root does not turn it away. */
#define REQUEST(opcode, op, function, anybody) \
        [opcode] = { #opcode, function, offsetof(struct fuse_ops, op), anybody }

static const struct request {
        const char *name;
        decode_fn *decode;
        size_t op;
        bool anybody;
} requests[] = {
        REQUEST(FUSE_LOOKUP, lookup, do_lookup, false),
        REQUEST(FUSE_GETATTR, getattr, do_getattr, false),
        REQUEST(FUSE_SETATTR, setattr, do_setattr, false),
        REQUEST(FUSE_READLINK, readlink, do_readlink, false),
        REQUEST(FUSE_SYMLINK, symlink, do_symlink, false),
        REQUEST(FUSE_MKNOD, mknod, do_mknod, false),
        REQUEST(FUSE_MKDIR, mkdir, do_mkdir, false),
        REQUEST(FUSE_UNLINK, unlink, do_unlink, false),
        REQUEST(FUSE_RMDIR, rmdir, do_rmdir, false),
        REQUEST(FUSE_RENAME, rename, do_rename, false),
        REQUEST(FUSE_LINK, link, do_link, false),
        REQUEST(FUSE_OPEN, open, do_open, false),
        REQUEST(FUSE_READ, read, do_read, true),
        REQUEST(FUSE_WRITE, write, do_write, true),
        REQUEST(FUSE_STATFS, statfs, do_statfs, false),
        REQUEST(FUSE_RELEASE, release, do_release, true),
        REQUEST(FUSE_FSYNC, sync, do_fsync, true),
        REQUEST(FUSE_SETXATTR, setxattr, do_setxattr, false),
        REQUEST(FUSE_GETXATTR, getxattr, do_getxattr, false),
        REQUEST(FUSE_LISTXATTR, listxattr, do_listxattr, false),
        REQUEST(FUSE_REMOVEXATTR, removexattr, do_removexattr, false),
        REQUEST(FUSE_FLUSH, flush, do_flush, true),
        REQUEST(FUSE_OPENDIR, opendir, do_opendir, false),
        REQUEST(FUSE_READDIR, readdir, do_readdir, true),
        REQUEST(FUSE_RELEASEDIR, releasedir, do_releasedir, true),
        REQUEST(FUSE_FSYNCDIR, sync, do_fsync, true),
        REQUEST(FUSE_GETLK, getlk, do_getlk, true),
        REQUEST(FUSE_SETLK, setlk, do_setlk, true),
        REQUEST(FUSE_SETLKW, setlk, do_setlkw, true),
        REQUEST(FUSE_CREATE, create, do_create, false),
        REQUEST(FUSE_FALLOCATE, fallocate, do_fallocate, true),
        REQUEST(FUSE_READDIRPLUS, readdir, do_readdirplus, true),
        REQUEST(FUSE_RENAME2, rename, do_rename2, false),
        REQUEST(FUSE_LSEEK, lseek, do_lseek, true),
        REQUEST(FUSE_SYNCFS, sync, do_syncfs, true),
        REQUEST(FUSE_TMPFILE, tmpfile, do_tmpfile, false),
        [ABI_OPCODE_STATX] = { "FUSE_STATX", do_statx, offsetof(struct fuse_ops, statx), false },
};

static const struct request *find_request(uint32_t opcode)
{
        if (opcode >= sizeof(requests) / sizeof(requests[0]) || !requests[opcode].decode)
                return NULL;
        return &requests[opcode];
}

static bool is_there(const struct fuse_ops *ops, const struct request *request)
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
        return request ? request->name + strlen("FUSE_") : "?";
}

/* ---- what has no reply ----------------------------------------------------------------------------- */

static void forget(struct fuse_conn *conn, uint64_t node, struct input *in)
{
        const struct fuse_forget_in *arg = take(in, sizeof(*arg));

        if (arg && conn->ops->forget)
                conn->ops->forget(conn, node, arg->nlookup);
}

static void batch_forget(struct fuse_conn *conn, struct input *in)
{
        const struct fuse_batch_forget_in *arg = take(in, sizeof(*arg));
        const struct fuse_forget_one *one;

        for (uint32_t i = 0; arg && i < arg->count && (one = take(in, sizeof(*one))); i++)
                if (conn->ops->forget)
                        conn->ops->forget(conn, one->nodeid, one->nlookup);
}

static void interrupt(const struct fuse_req *r, struct input *in)
{
        const struct fuse_interrupt_in *arg = take(in, sizeof(*arg));

        if (fuse_policy_is_never(&r->conn->policy, FUSE_INTERRUPT) || !r->conn->ops->interrupt)
                fuse_reply_never_again(r); /* the one reply that it may have */
        else if (arg)
                r->conn->ops->interrupt(r->conn, arg->unique);
}

/* ---- a request -------------------------------------------------------------------------------------- */

/* With allow_root the kernel lets everybody in. */
static bool is_turned_away(const struct fuse_conn *conn, const struct request *request, uint32_t uid)
{
        return conn->opts.allow_root && uid != conn->owner && uid != 0 && !request->anybody;
}

static void answer(struct fuse_req *r, const struct fuse_in_header *h, struct input *in)
{
        const struct request *request = find_request(h->opcode);
        const struct fuse_ops *ops = r->conn->ops;

        if (request && is_turned_away(r->conn, request, h->uid))
                fuse_reply_err(r, -EACCES);
        else if (!request || fuse_policy_is_never(&r->conn->policy, h->opcode))
                fuse_reply_never_again(r);
        else if (is_there(ops, request)) {
                if (!request->decode(ops, r, h->nodeid, in))
                        fuse_reply_err(r, -EIO);
        } else if (h->opcode == FUSE_RELEASE || h->opcode == FUSE_RELEASEDIR)
                fuse_reply_result(r, 0);
        else
                fuse_reply_never_again(r);
}

static void answer_patiently(struct fuse_req *r, const struct fuse_in_header *h, struct input *in)
{
        struct fuse_wait wait;

        fuse_wait_begin(r->conn->waiting, &wait, r->unique, r->conn->opts.timeout_ms);
        answer(r, h, in);
        fuse_wait_end(r->conn->waiting, &wait);
}

void fuse_codec_request(struct fuse_conn *conn, struct fuse_channel *channel, const void *data, size_t len)
{
        const struct fuse_in_header *h = data;
        struct input in = { .at = data, .end = (const uint8_t *)data + len };
        struct fuse_req r = { .conn = conn, .channel = channel };

        if (!take(&in, sizeof(*h)))
                return; /* not even a number to answer to */
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
        case FUSE_NOTIFY_REPLY: /* never asked for; has no reply */
                return;
        case FUSE_DESTROY:
                fuse_reply_result(&r, 0);
                return;
        }
        if (conn->waiting)
                answer_patiently(&r, h, &in);
        else
                answer(&r, h, &in);
}
