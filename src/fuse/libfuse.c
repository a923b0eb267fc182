/* The transport and the codec of requests: libfuse's low-level API. The only file that knows it.
 *
 * FUSE_USE_VERSION (312 or 317) is set by the build after the library that is there.
 *
 * libfuse 3.14 neither passes on nor sends everything that matters here, so reads and writes of the
 * device go through hooks of ours (fuse_session_custom_io): the read keeps the raw request, for what
 * libfuse drops of it, and the write completes the reply to INIT with the features that libfuse does not
 * know or has no say in.
 */
#include "cleanup.h"
#include "log.h"
#include "ops.h"
#include "policy.h"

#include <assert.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <stdatomic.h>
#include <sys/ioctl.h>

/* Threads exist as long as the server, and as many as there were requests at the same time; an fsync
 * keeps its thread until the disk is done. */
#define MAX_THREADS 32u

/* What is remembered of directory positions. */
#define POSITIONS_BYTES (4u << 20)

struct af_server {
        struct af_core core;
        struct fuse_session *session;
        uint64_t offered;      /* flags of the kernel's INIT */
        atomic_bool connected; /* INIT was answered */
};

/* The request that this thread is serving, as it came from the kernel. */
static _Thread_local const struct fuse_in_header *raw_request;

/* ---- hooks of reading and writing the device ----------------------------------------------------- */

static void note_init(struct af_server *s, const struct fuse_in_header *h)
{
        const struct fuse_init_in *in = (const void *)(h + 1);

        if (h->len < sizeof(*h) + offsetof(struct fuse_init_in, flags2))
                return;
        s->offered = in->flags;
        if ((in->flags & FUSE_INIT_EXT) && h->len >= sizeof(*h) + sizeof(*in))
                s->offered |= (uint64_t)in->flags2 << 32;
}

static ssize_t read_request(int fd, void *buf, size_t cap, void *arg)
{
        struct af_server *s = arg;
        ssize_t n = read(fd, buf, cap);

        if (n < (ssize_t)sizeof(struct fuse_in_header))
                return n;
        raw_request = buf;
        if (raw_request->opcode == FUSE_INIT)
                note_init(s, raw_request);
        if (s->core.opts.on_request)
                s->core.opts.on_request(raw_request->opcode, s->core.opts.on_request_arg);
        return n;
}

static void complete_init(const struct af_server *s, struct fuse_init_out *out)
{
        uint64_t flags = af_init_flags(&s->core.opts, s->offered);

        out->flags = (uint32_t)flags;
        out->flags2 = (uint32_t)(flags >> 32);
        out->max_readahead = AF_READAHEAD_BYTES;
        out->max_background = AF_MAX_BACKGROUND;
        out->congestion_threshold = AF_MAX_BACKGROUND * 3 / 4;
        out->time_gran = 1;
}

static ssize_t write_reply(int fd, struct iovec *iov, int n, void *arg)
{
        struct af_server *s = arg;
        const struct fuse_out_header *h = iov[0].iov_base;
        struct fuse_init_out init;

        if (atomic_load_explicit(&s->connected, memory_order_relaxed) || h->error != 0 || n != 2 ||
            iov[1].iov_len != sizeof(init))
                return writev(fd, iov, n);
        /* Until INIT is answered the kernel sends nothing else. */
        memcpy(&init, iov[1].iov_base, sizeof(init));
        complete_init(s, &init);
        iov[1].iov_base = &init;
        atomic_store_explicit(&s->connected, true, memory_order_relaxed);
        return writev(fd, iov, n);
}

#if FUSE_USE_VERSION >= 317
/* Another descriptor of the same connection, with a queue of its own; from 3.17 on libfuse leaves that
 * to us. */
static int clone_device(int fd)
{
        _cleanup_close_ int clone = open("/dev/fuse", O_RDWR | O_CLOEXEC);
        uint32_t original = (uint32_t)fd;

        if (clone < 0 || ioctl(clone, FUSE_DEV_IOC_CLONE, &original) < 0)
                return -1;
        return steal_fd(&clone);
}

static int use_device(struct fuse_session *session, int fd)
{
        const struct fuse_custom_io io = { .read = read_request, .writev = write_reply,
                                           .clone_fd = clone_device };

        return fuse_session_custom_io(session, &io, sizeof(io), fd);
}
#else
static int use_device(struct fuse_session *session, int fd)
{
        const struct fuse_custom_io io = { .read = read_request, .writev = write_reply };

        return fuse_session_custom_io(session, &io, fd);
}
#endif

void af_send(const struct af_req *r, int error, const struct iovec *iov, int n)
{
        if (error != 0 || n == 0)
                fuse_reply_err(r->handle, error);
        else if (n == 1)
                fuse_reply_buf(r->handle, iov[0].iov_base, iov[0].iov_len);
        else
                fuse_reply_iov(r->handle, iov, n);
}

void af_reply_none(const struct af_req *r)
{
        fuse_reply_none(r->handle);
}

/* ---- requests ----------------------------------------------------------------------------------- */

static struct af_req request(fuse_req_t req)
{
        const struct fuse_ctx *ctx = fuse_req_ctx(req);
        struct af_server *s = fuse_req_userdata(req);

        return (struct af_req){
                .core = &s->core,
                .handle = req,
                .cred = { .uid = ctx->uid, .gid = ctx->gid },
        };
}

static void on_init(void *arg, struct fuse_conn_info *conn)
{
        /* libfuse's buffers and the number of pages that it tells the kernel follow from this. */
        if (conn->max_write > AF_IO_BYTES)
                conn->max_write = AF_IO_BYTES;
}

static void on_lookup(fuse_req_t req, fuse_ino_t dir, const char *name)
{
        struct af_req r = request(req);

        af_op_lookup(&r, dir, slice_str(name));
}

static void on_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
        struct af_req r = request(req);

        fs_forget(r.core->fs, ino, n);
        af_reply_none(&r);
}

static void on_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
        struct af_req r = request(req);

        for (size_t i = 0; i < count; i++)
                fs_forget(r.core->fs, forgets[i].ino, forgets[i].nlookup);
        af_reply_none(&r);
}

static void on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
        struct af_req r = request(req);

        af_op_getattr(&r, ino);
}

static unsigned set_flags(int to_set)
{
        static const struct {
                int fuse;
                unsigned fs;
        } map[] = {
                { FUSE_SET_ATTR_MODE, FS_SET_MODE },
                { FUSE_SET_ATTR_UID, FS_SET_UID },
                { FUSE_SET_ATTR_GID, FS_SET_GID },
                { FUSE_SET_ATTR_SIZE, FS_SET_SIZE },
                { FUSE_SET_ATTR_CTIME, FS_SET_CTIME },
                { FUSE_SET_ATTR_KILL_SUID, FS_SET_KILL_PRIV }, /* the kernel's FATTR_KILL_SUIDGID */
        };
        unsigned set = 0;

        for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
                if (to_set & map[i].fuse)
                        set |= map[i].fs;
        /* "Now" comes together with a time, which is then not to be used. */
        if (to_set & FUSE_SET_ATTR_ATIME_NOW)
                set |= FS_SET_ATIME_NOW;
        else if (to_set & FUSE_SET_ATTR_ATIME)
                set |= FS_SET_ATIME;
        if (to_set & FUSE_SET_ATTR_MTIME_NOW)
                set |= FS_SET_MTIME_NOW;
        else if (to_set & FUSE_SET_ATTR_MTIME)
                set |= FS_SET_MTIME;
        return set;
}

static void on_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                       struct fuse_file_info *fi)
{
        struct af_req r = request(req);
        struct fs_setattr set = {
                .set = set_flags(to_set),
                .mode = attr->st_mode & 07777,
                .uid = attr->st_uid,
                .gid = attr->st_gid,
                .size = (uint64_t)attr->st_size,
                .atime = attr->st_atim,
                .mtime = attr->st_mtim,
                .ctime = attr->st_ctim,
        };

        af_op_setattr(&r, ino, &set);
}

static void on_readlink(fuse_req_t req, fuse_ino_t ino)
{
        struct af_req r = request(req);

        af_op_readlink(&r, ino);
}

static void on_mknod(fuse_req_t req, fuse_ino_t dir, const char *name, mode_t mode, dev_t rdev)
{
        struct af_req r = request(req);

        af_op_mknod(&r, dir, slice_str(name), mode, rdev);
}

static void on_mkdir(fuse_req_t req, fuse_ino_t dir, const char *name, mode_t mode)
{
        struct af_req r = request(req);

        af_op_mkdir(&r, dir, slice_str(name), mode);
}

static void on_unlink(fuse_req_t req, fuse_ino_t dir, const char *name)
{
        struct af_req r = request(req);

        af_op_unlink(&r, dir, slice_str(name));
}

static void on_rmdir(fuse_req_t req, fuse_ino_t dir, const char *name)
{
        struct af_req r = request(req);

        af_op_rmdir(&r, dir, slice_str(name));
}

static void on_symlink(fuse_req_t req, const char *target, fuse_ino_t dir, const char *name)
{
        struct af_req r = request(req);

        af_op_symlink(&r, dir, slice_str(name), slice_str(target));
}

static void on_rename(fuse_req_t req, fuse_ino_t dir, const char *name, fuse_ino_t new_dir,
                      const char *new_name, unsigned flags)
{
        struct af_req r = request(req);

        af_op_rename(&r, dir, slice_str(name), new_dir, slice_str(new_name), flags);
}

static void on_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t dir, const char *name)
{
        struct af_req r = request(req);

        af_op_link(&r, ino, dir, slice_str(name));
}

static void on_create(fuse_req_t req, fuse_ino_t dir, const char *name, mode_t mode,
                      struct fuse_file_info *fi)
{
        struct af_req r = request(req);

        af_op_create(&r, dir, slice_str(name), mode);
}

static void on_read(fuse_req_t req, fuse_ino_t ino, size_t len, off_t offset, struct fuse_file_info *fi)
{
        struct af_req r = request(req);

        af_op_read(&r, ino, (uint64_t)offset, len);
}

static void on_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t len, off_t offset,
                     struct fuse_file_info *fi)
{
        struct af_req r = request(req);
        const struct fuse_write_in *in = (const void *)(raw_request + 1);

        assert(raw_request->opcode == FUSE_WRITE);
        af_op_write(&r, ino, (uint64_t)offset, slice_of(data, len), in->write_flags & FUSE_WRITE_CACHE,
                    in->write_flags & FUSE_WRITE_KILL_SUIDGID);
}

static void on_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
        struct af_req r = request(req);

        af_op_sync(&r);
}

static void on_readdir(fuse_req_t req, fuse_ino_t dir, size_t cap, off_t offset, struct fuse_file_info *fi)
{
        struct af_req r = request(req);

        af_op_readdir(&r, dir, (uint64_t)offset, cap, false);
}

static void on_readdirplus(fuse_req_t req, fuse_ino_t dir, size_t cap, off_t offset,
                           struct fuse_file_info *fi)
{
        struct af_req r = request(req);

        af_op_readdir(&r, dir, (uint64_t)offset, cap, true);
}

static void on_statfs(fuse_req_t req, fuse_ino_t ino)
{
        struct af_req r = request(req);

        af_op_statfs(&r);
}

static void on_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t len,
                        int flags)
{
        struct af_req r = request(req);

        af_op_setxattr(&r, ino, slice_str(name), slice_of(value, len), flags);
}

static void on_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t cap)
{
        struct af_req r = request(req);

        af_op_getxattr(&r, ino, slice_str(name), cap);
}

static void on_listxattr(fuse_req_t req, fuse_ino_t ino, size_t cap)
{
        struct af_req r = request(req);

        af_op_listxattr(&r, ino, cap);
}

static void on_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
        struct af_req r = request(req);

        af_op_removexattr(&r, ino, slice_str(name));
}

static void on_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t len,
                         struct fuse_file_info *fi)
{
        struct af_req r = request(req);

        af_op_fallocate(&r, ino, mode, (uint64_t)offset, (uint64_t)len);
}

static void on_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi)
{
        struct af_req r = request(req);

        af_op_lseek(&r, ino, (uint64_t)offset, whence);
}

/* An open file costs nothing: the kernel keeps what it needs (page cache and cached directories
 * included), and sends neither OPEN nor RELEASE again. */
static void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
        struct af_req r = request(req);

        af_reply_never_again(&r);
}

/* What is left out is answered with ENOSYS by libfuse: FLUSH and ACCESS, which are not needed; BMAP,
 * IOCTL and POLL, which files of this kind do not have; locks, which the kernel keeps; COPY_FILE_RANGE,
 * which the kernel then does by itself. OPEN and OPENDIR it would answer otherwise. */
static const struct fuse_lowlevel_ops operations = {
        .init = on_init,
        .lookup = on_lookup,
        .forget = on_forget,
        .forget_multi = on_forget_multi,
        .getattr = on_getattr,
        .setattr = on_setattr,
        .readlink = on_readlink,
        .mknod = on_mknod,
        .mkdir = on_mkdir,
        .unlink = on_unlink,
        .rmdir = on_rmdir,
        .symlink = on_symlink,
        .rename = on_rename,
        .link = on_link,
        .create = on_create,
        .open = on_open,
        .opendir = on_open,
        .read = on_read,
        .write = on_write,
        .fsync = on_fsync,
        .fsyncdir = on_fsync,
        .readdir = on_readdir,
        .readdirplus = on_readdirplus,
        .statfs = on_statfs,
        .setxattr = on_setxattr,
        .getxattr = on_getxattr,
        .listxattr = on_listxattr,
        .removexattr = on_removexattr,
        .fallocate = on_fallocate,
        .lseek = on_lseek,
};

/* ---- the server --------------------------------------------------------------------------------- */

static void log_libfuse(enum fuse_log_level level, const char *format, va_list ap)
{
        char line[512];
        size_t n;

        vsnprintf(line, sizeof(line), format, ap);
        n = strlen(line);
        if (n > 0 && line[n - 1] == '\n')
                line[n - 1] = '\0';
        log_line(level >= FUSE_LOG_DEBUG ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING, "%s", line);
}

static struct fuse_session *session_new(struct af_server *s)
{
        struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
        struct fuse_session *session = NULL;

        if (fuse_opt_add_arg(&args, "ashlar") == 0 &&
            (!s->core.opts.debug || fuse_opt_add_arg(&args, "-odebug") == 0) &&
            (!s->core.opts.allow_root || fuse_opt_add_arg(&args, "-oallow_root") == 0))
                session = fuse_session_new(&args, &operations, sizeof(operations), s);
        fuse_opt_free_args(&args);
        return session;
}

int af_server_new(struct fs *fs, const struct af_opts *opts, int fuse_fd, struct af_server **ret,
                  struct err_text *text)
{
        struct fs_statfs st;
        struct af_server *s;
        int r;

        r = fs_statfs(fs, &st);
        if (r < 0)
                return err_set(text, -r, "cannot read the file system: %s", err_str(r));
        s = calloc(1, sizeof(*s));
        if (!s)
                return err_set(text, ENOMEM, "out of memory");
        s->core.fs = fs;
        s->core.opts = *opts;
        fuse_set_log_func(log_libfuse);
        if (dirpos_new(st.uuid, POSITIONS_BYTES, &s->core.positions) < 0 || !(s->session = session_new(s)) ||
            use_device(s->session, fuse_fd) < 0) {
                af_server_free(s);
                return err_set(text, ENOMEM, "cannot set up the FUSE session: out of memory");
        }
        *ret = s;
        return 0;
}

int af_serve(struct af_server *s)
{
        struct fuse_loop_config *config = fuse_loop_cfg_create();
        int r;

        if (!config)
                return -ENOMEM;
        fuse_loop_cfg_set_clone_fd(config, 1);
        fuse_loop_cfg_set_max_threads(config, MAX_THREADS);
        r = fuse_session_loop_mt(s->session, config);
        fuse_loop_cfg_destroy(config);
        return r > 0 ? -EIO : r;
}

void af_stop(struct af_server *s)
{
        fuse_session_exit(s->session);
}

void af_server_free(struct af_server *s)
{
        if (!s)
                return;
        if (s->session)
                fuse_session_destroy(s->session);
        dirpos_free(s->core.positions);
        free(s);
}
