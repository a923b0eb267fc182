/* SPDX-License-Identifier: MIT */
/* memfs [--writeback] [--transport auto|uring|classic] DIR: mounts a file system in RAM at DIR and serves
 * it in the foreground until it is unmounted. The reference for ashlar-bench; see memfs.h. */
#include "memfs_ops.h"

#include "base/cleanup.h"
#include "fuse/mountpoint/mountinfo.h"
#include "fuse/mountpoint/mountpoint.h"
#include "fuse/server.h"

#include <fcntl.h>
#include <getopt.h>
#include <linux/fuse.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>

#define READ_AHEAD_KB 2048

static struct fuse_server *server;

static void on_signal(int sig)
{
        fuse_stop(server);
}

/* The kernel limits readahead to 128 KiB unless root raises it. stat(2) on the mount, for its device,
 * would wait for a reply of this process. */
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

static int usage(void)
{
        fprintf(stderr, "usage: memfs [--writeback] [--transport auto|uring|classic] DIR\n");
        return 2;
}

static int failed(const struct err_text *text)
{
        fprintf(stderr, "memfs: %s\n", text->text);
        return 1;
}

static int serve(struct memfs *m, const char *dir)
{
        const struct fuse_mount_opts mount_opts = {
                .source = "memfs",
                .flags = MS_NOSUID | MS_NODEV,
                .allow_other = geteuid() == 0,
        };
        struct err_text text;
        int fd, r;

        if (fuse_mount(dir, &mount_opts, &fd, &text) < 0)
                return failed(&text);
        raise_read_ahead(dir);
        if (fuse_server_new_with(&m->conn, fd, &server, &text) < 0)
                return failed(&text);
        signal(SIGTERM, on_signal);
        signal(SIGINT, on_signal);
        r = fuse_serve(server);
        fuse_server_free(server);
        fuse_unmount(dir, true, NULL); /* fails if it is unmounted already */
        return r < 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
        static const struct option options[] = {
                { "writeback", no_argument, NULL, 'w' },
                { "transport", required_argument, NULL, 't' },
                { 0 },
        };
        _cleanup_free_ char *dir = NULL;
        struct memfs m = { .conn.ops = &memfs_ops };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
                if (c == 'w')
                        m.conn.opts.writeback_cache = true;
                else if (c == 't' && strcmp(optarg, "uring") == 0)
                        m.conn.opts.transport = FUSE_TRANSPORT_URING;
                else if (c == 't' && strcmp(optarg, "classic") == 0)
                        m.conn.opts.transport = FUSE_TRANSPORT_CLASSIC;
                else if (c != 't' || strcmp(optarg, "auto") != 0)
                        return usage();
        }
        if (argc != optind + 1)
                return usage();
        dir = realpath(argv[optind], NULL);
        if (!dir) {
                fprintf(stderr, "memfs: %s: %s\n", argv[optind], strerror(errno));
                return 1;
        }
        mallopt(M_TRIM_THRESHOLD, 1 << 30); /* freed blocks are soon reused */
        mallopt(M_MMAP_THRESHOLD, 1 << 24);
        m.conn.policy = fuse_policy_exclusive(&m.conn.opts);
        m.root = mem_inode_new(S_IFDIR | 0755, getuid(), getgid(), 0);
        if (!m.root)
                return 1;
        m.root->st.st_ino = FUSE_ROOT_ID;
        /* The exit of the process frees the tree. */
        return serve(&m, dir);
}
