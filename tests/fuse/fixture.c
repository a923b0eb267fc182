/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include "base/thread.h"
#include "fuse/mountpoint/mountpoint.h"
#include "kv/testing/testing.h"
#include "maint/maint.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cmocka.h>

void require_fuse(void)
{
        int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

        if (fd >= 0) {
                close(fd);
                return;
        }
        fprintf(stderr, "SKIPPED: FUSE cannot be used here: /dev/fuse: %s\n", err_str(errno));
        exit(77);
}

static enum fuse_transport_kind transport_of_environment(void)
{
        const char *wanted = getenv("ASHLAR_TRANSPORT");

        if (!wanted)
                return FUSE_TRANSPORT_AUTO;
        return strcmp(wanted, "uring") == 0 ? FUSE_TRANSPORT_URING : FUSE_TRANSPORT_CLASSIC;
}

static void count(uint32_t opcode, void *arg)
{
        struct mounted *m = arg;

        if (opcode < COUNTED_OPCODES) {
                LOCK_GUARD(&m->lock);
                atomic_fetch_add(&m->counts[opcode], 1);
                pthread_cond_broadcast(&m->counted);
        }
        if (m->hook)
                m->hook(opcode, m);
}

void wait_for_count(struct mounted *m, uint32_t opcode, unsigned n)
{
        const struct timespec until = thread_deadline(UINT64_C(60000000000));

        LOCK_GUARD(&m->lock);
        while (atomic_load(&m->counts[opcode]) < n)
                assert_true(lock_wait_until(&m->lock, &m->counted, &until));
}

static void *serve(void *arg)
{
        struct mounted *m = arg;

        return (void *)(intptr_t)fuse_serve(m->server);
}

struct mounted *mounted_new(const struct fuse_opts *opts)
{
        return mounted_new_over("mem:", opts);
}

struct mounted *mounted_new_over(const char *url, const struct fuse_opts *opts)
{
        struct mounted *m = calloc(1, sizeof(*m));
        struct kv_open_opts open_opts = { .flags = KV_OPEN_CREATE };
        struct maint_mkfs_opts mkfs_opts = { .root_mode = 0777, .force = true };
        struct fs_open_opts fs_opts = { .atime = FS_RELATIME };
        struct fuse_mount_opts mount_opts = {
                .source = "mem:",
                .flags = MS_NODEV,
                .allow_other = geteuid() == 0,
        };
        struct fuse_opts fuse_opts = *opts;
        struct err_text text;
        int fd;

        assert_non_null(m);
        lock_init(&m->lock);
        thread_cond_init(&m->counted);
        m->shared = opts->shared;
        snprintf(m->dir, sizeof(m->dir), "/tmp/ashlar-fuse-test-XXXXXX");
        assert_non_null(mkdtemp(m->dir));
        assert_int_equal(kv_testing_open(url, &open_opts, &m->store, &text), 0);
        assert_int_equal(kv_set_markers(m->store, slice_str("plthe mark of a test")), 0);
        assert_int_equal(maint_mkfs(m->store, &mkfs_opts, &clock_system, &text), 0);
        assert_int_equal(fs_open(m->store, &fs_opts, &m->fs, &text), 0);
        if (fuse_mount(m->dir, &mount_opts, &fd, &text) < 0)
                fail_msg("%s", text.text);
        fuse_opts.transport = transport_of_environment();
        fuse_opts.on_request = count;
        fuse_opts.on_request_arg = m;
        if (fuse_server_new(m->fs, &fuse_opts, fd, &m->server, &text) < 0)
                fail_msg("%s", text.text);
        assert_int_equal(pthread_create(&m->thread, NULL, serve, m), 0);
        return m;
}

void mounted_free(struct mounted *m)
{
        struct err_text text;
        void *result;

        /* A failed test may have left files open; its mount must go nevertheless. */
        if (fuse_unmount(m->dir, false, &text) < 0) {
                fuse_unmount(m->dir, true, NULL);
                fuse_stop(m->server);
                pthread_join(m->thread, &result);
                /* Else the exit of this process would wait for its own reply. */
                fuse_server_free(m->server);
                fail_msg("%s", text.text);
        }
        pthread_join(m->thread, &result);
        assert_null(result);
        fuse_server_free(m->server);
        fs_close(m->fs);
        assert_int_equal(kv_close(m->store), 0);
        assert_int_equal(rmdir(m->dir), 0);
        pthread_cond_destroy(&m->counted);
        lock_destroy(&m->lock);
        free(m);
}

const char *at(const struct mounted *m, const char *name)
{
        static char paths[4][512];
        static unsigned next;
        char *path = paths[next++ % 4];

        snprintf(path, sizeof(paths[0]), "%s/%s", m->dir, name);
        return path;
}
