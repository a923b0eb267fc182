/* memfs [--writeback] DIR: mounts a file system in RAM at DIR and serves it in the foreground until it is
 * unmounted. A yardstick for ashlar-bench; see memfs.h. */
#include "ops.h"

#include "cleanup.h"

#include <errno.h>
#include <linux/fuse.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#define READ_AHEAD_KB 2048
#define MAX_THREADS 32

DEFINE_CLEANUP(struct fuse_session, fuse_session_destroy);
DEFINE_CLEANUP(struct fuse_loop_config, fuse_loop_cfg_destroy);

/* Notes what the kernel offers. Nothing else arrives before INIT was answered. */
static ssize_t io_read(int fd, void *buf, size_t len, void *userdata)
{
        struct memfs *m = userdata;
        ssize_t n = read(fd, buf, len);
        const struct fuse_in_header *in = buf;
        const struct fuse_init_in *init = (const void *)(in + 1);

        if (n >= (ssize_t)(sizeof(*in) + 16) && !atomic_load(&m->initialized) && in->opcode == FUSE_INIT)
                m->offered = init->flags;
        return n;
}

/* Completes the INIT reply with flags that libfuse 3.14 accepts but does not send. */
static ssize_t io_writev(int fd, struct iovec *iov, int count, void *userdata)
{
        const uint64_t missing = FUSE_PARALLEL_DIROPS | FUSE_HANDLE_KILLPRIV_V2;
        struct memfs *m = userdata;

        if (!atomic_load_explicit(&m->initialized, memory_order_relaxed) && count == 2 &&
            iov[1].iov_len == sizeof(struct fuse_init_out)) {
                struct fuse_init_out *out = iov[1].iov_base;

                out->flags |= (uint32_t)(missing & m->offered);
                atomic_store(&m->initialized, true);
        }
        return writev(fd, iov, count);
}

/* The kernel reads 128 KiB ahead unless root allows more. Asking the mount itself for its device would
 * wait for an answer from this process. */
static void raise_read_ahead(const char *dir)
{
        _cleanup_fclose_ FILE *mounts = fopen("/proc/self/mountinfo", "re");
        char line[8192], path[4096], device[32], bdi[96];
        bool found = false;

        while (mounts && fgets(line, sizeof(line), mounts))
                if (sscanf(line, "%*s %*s %31s %*s %4095s", device, path) == 2 && strcmp(path, dir) == 0)
                        found = true;
        if (found) {
                _cleanup_fclose_ FILE *f = NULL;

                snprintf(bdi, sizeof(bdi), "/sys/class/bdi/%s/read_ahead_kb", device);
                f = fopen(bdi, "we");
                if (f)
                        fprintf(f, "%d\n", READ_AHEAD_KB);
        }
}

static int serve(struct fuse_session *session, const char *dir)
{
        static const struct fuse_custom_io io = { .read = io_read, .writev = io_writev };
        _cleanup_(fuse_loop_cfg_destroy_ptr) struct fuse_loop_config *config = fuse_loop_cfg_create();
        int r;

        if (!config || fuse_set_signal_handlers(session) != 0)
                return 1;
        if (fuse_session_mount(session, dir) != 0)
                return 1;
        raise_read_ahead(dir);
        r = fuse_session_custom_io(session, &io, fuse_session_fd(session));
        if (r == 0) {
                fuse_loop_cfg_set_clone_fd(config, 1);
                fuse_loop_cfg_set_max_threads(config, MAX_THREADS);
                r = fuse_session_loop_mt(session, config);
        }
        fuse_session_unmount(session);
        fuse_remove_signal_handlers(session);
        return r < 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
        char *fuse_argv[] = { argv[0], "-odefault_permissions,fsname=memfs,subtype=memfs", NULL };
        struct fuse_args args = FUSE_ARGS_INIT(2, fuse_argv);
        _cleanup_(fuse_session_destroy_ptr) struct fuse_session *session = NULL;
        _cleanup_free_ char *dir = NULL;
        struct memfs m = { .writeback = argc == 3 && strcmp(argv[1], "--writeback") == 0 };

        if (argc != (m.writeback ? 3 : 2) || argv[argc - 1][0] == '-') {
                fprintf(stderr, "usage: memfs [--writeback] DIR\n");
                return 2;
        }
        dir = realpath(argv[argc - 1], NULL);
        if (!dir) {
                fprintf(stderr, "memfs: %s: %s\n", argv[argc - 1], strerror(errno));
                return 1;
        }
        mallopt(M_TRIM_THRESHOLD, 1 << 30); /* freed blocks are soon used again */
        mallopt(M_MMAP_THRESHOLD, 1 << 24);
        m.root = mem_inode_new(S_IFDIR | 0755, getuid(), getgid(), 0);
        if (!m.root)
                return 1;
        session = fuse_session_new(&args, &memfs_ops, sizeof(memfs_ops), &m);
        fuse_opt_free_args(&args);
        /* The tree itself goes with the process. */
        return session ? serve(session, dir) : 1;
}
