/* SPDX-License-Identifier: MIT */
/* A server: negotiates with the kernel, chooses the transport, and waits for the end. */
#include "fuse/server.h"
#include "fuse/ops/dirpos.h"

#include "base/cleanup.h"
#include "fuse/ops/ops.h"
#include "fuse/proto/codec.h"
#include "fuse/proto/init.h"
#include "fuse/proto/kernel_abi.h"
#include "fuse/proto/waits.h"
#include "fuse/transport/transport.h"

#include <assert.h>
#include <semaphore.h>
#include <stdatomic.h>

/* Threads exist as long as the server, and as many as there were requests at the same time; an fsync
 * keeps its thread until the disk is done. */
#define MAX_THREADS 32u

/* What is remembered of directory positions. */
#define POSITIONS_BYTES (4u << 20)

struct fuse_server {
        struct fuse_conn *conn;
        struct fuse_conn own; /* what conn points to, unless it is somebody else's */
        int fuse_fd;
        struct fuse_init init;                  /* what the kernel began with */
        struct fuse_transport *classic, *rings; /* rings: NULL if there are none */
        char transport[256];                    /* fuse_server_transport */
        sem_t end;                              /* posted when there is a reason to end */
        atomic_int result;                      /* the first error; 0: none */
};

/* ---- what the transport tells ----------------------------------------------------------------------- */

static void on_request(void *arg, struct fuse_channel *c, const void *data, size_t len)
{
        struct fuse_server *s = arg;

        fuse_codec_request(s->conn, c, data, len);
}

static void on_ended(void *arg, int result)
{
        struct fuse_server *s = arg;
        int none = 0;

        if (result < 0)
                atomic_compare_exchange_strong(&s->result, &none, result);
        sem_post(&s->end);
}

static struct fuse_handler handler_of(struct fuse_server *s)
{
        return (struct fuse_handler){ .request = on_request, .ended = on_ended, .arg = s };
}

/* ---- the choice of the transport --------------------------------------------------------------------- */

#define PARAMETER "/sys/module/fuse/parameters/enable_uring"

#define SWITCHED_OFF                                                                       \
        "they are switched off in this kernel; the line 'options fuse enable_uring=1' in " \
        "/etc/modprobe.d/fuse.conf, or fuse.enable_uring=1 on its command line, switches them on"

/* Rings are for requests that wait for nothing but this machine. The kernel does not tell us of a signal that
 * comes before its request is taken by a ring: a wait for a lock or a cluster could not be interrupted. */
static bool may_have_rings(const struct fuse_opts *opts)
{
        return !opts->shared && !opts->waits;
}

static bool kernel_knows_rings(void)
{
        return access(PARAMETER, F_OK) == 0;
}

/* Prepares rings. If they cannot be had: false, and WHY. */
static bool prepare_rings(struct fuse_server *s, const char **ret_why)
{
        const struct fuse_handler handler = handler_of(s);
        int r;

        if (!(s->init.offered & ABI_OVER_IO_URING)) {
                *ret_why = kernel_knows_rings() ? SWITCHED_OFF
                                                : "the kernel has none; they came with Linux 6.14";
                return false;
        }
        r = fuse_uring_prepare(s->fuse_fd, &handler, &s->rings);
        if (r < 0)
                *ret_why = r == -EPERM || r == -ENOSYS ? "io_uring is forbidden (by the sysctl "
                                                         "kernel.io_uring_disabled, or in this container)"
                                                       : err_str(r);
        return r >= 0;
}

static int choose_transport(struct fuse_server *s, struct err_text *text)
{
        const struct fuse_opts *opts = &s->conn->opts;
        const char *why = NULL;

        if (opts->transport != FUSE_TRANSPORT_CLASSIC) {
                if (!may_have_rings(opts))
                        why = "shared mounts, and mounts of stores in a network, are served the classic way";
                else if (prepare_rings(s, &why))
                        why = NULL;
        }
        if (opts->transport == FUSE_TRANSPORT_URING && why)
                return err_set(text, EOPNOTSUPP, "no transport by rings: %s", why);
        if (s->rings)
                snprintf(s->transport, sizeof(s->transport), "rings (%u CPUs)", fuse_uring_queues(s->rings));
        else if (why && may_have_rings(opts) && kernel_knows_rings())
                snprintf(s->transport, sizeof(s->transport), "classic (rings would be faster; %s)", why);
        else
                snprintf(s->transport, sizeof(s->transport), "classic");
        return 0;
}

const char *fuse_server_transport(const struct fuse_server *s)
{
        return s->transport;
}

/* ---- life ------------------------------------------------------------------------------------------- */

/* Answers INIT, which lets requests come, and takes them. */
static int start(struct fuse_server *s)
{
        const struct fuse_handler handler = handler_of(s);
        uint64_t features = s->conn->policy.features & s->init.offered;
        int r;

        if (s->rings)
                features |= ABI_OVER_IO_URING;
        r = fuse_init_reply(s->fuse_fd, &s->init, features);
        if (r >= 0)
                r = fuse_classic_start(s->fuse_fd, MAX_THREADS, &handler, &s->classic);
        if (r < 0 || !s->rings)
                return r < 0 ? r : 0;
        r = fuse_uring_start(s->rings);
        if (r < 0)
                snprintf(s->transport, sizeof(s->transport), "classic (the rings cannot be used: %s)",
                         err_str(r));
        return 0;
}

int fuse_serve(struct fuse_server *s)
{
        int r = start(s);

        if (r < 0)
                return r == -ENODEV ? 0 : r;
        if (s->conn->opts.on_started)
                r = s->conn->opts.on_started(s->conn->opts.on_started_arg);
        while (r == 0 && sem_wait(&s->end) < 0 && errno == EINTR)
                ;
        if (s->conn->opts.on_ending)
                s->conn->opts.on_ending(s->conn->opts.on_ending_arg);
        if (s->rings)
                fuse_transport_stop(s->rings);
        fuse_transport_stop(s->classic);
        return r != 0 ? r : atomic_load(&s->result);
}

void fuse_stop(struct fuse_server *s)
{
        sem_post(&s->end);
}

/* Takes over neither CORE nor FUSE_FD if it fails. */
static int server_init(struct fuse_server *s, struct fuse_conn *conn, int fuse_fd, struct err_text *text)
{
        int r;

        sem_init(&s->end, 0, 0);
        conn->owner = getuid();
        conn->fuse_fd = fuse_fd;
        s->conn = conn;
        s->fuse_fd = fuse_fd;
        r = fuse_init_read(fuse_fd, &s->init, text);
        if (r < 0)
                return r;
        if (conn->opts.on_request)
                conn->opts.on_request(FUSE_INIT, conn->opts.on_request_arg);
        if (conn->opts.shared)
                conn->policy = fuse_policy_shared(&conn->opts, s->init.offered);
        return choose_transport(s, text);
}

int fuse_server_new_with(struct fuse_conn *conn, int fuse_fd, struct fuse_server **ret, struct err_text *text)
{
        struct fuse_server *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return err_set(text, ENOMEM, "out of memory");
        r = server_init(s, conn, fuse_fd, text);
        if (r < 0) {
                sem_destroy(&s->end);
                free(s);
                return r;
        }
        *ret = s;
        return 0;
}

int fuse_server_new(struct fs *fs, const struct fuse_opts *opts, int fuse_fd, struct fuse_server **ret,
                    struct err_text *text)
{
        struct fuse_server *s = calloc(1, sizeof(*s));
        struct fs_statfs st;
        int r;

        assert(!opts->shared || !opts->writeback_cache);
        if (!s)
                return err_set(text, ENOMEM, "out of memory");
        r = fs_statfs(fs, &st);
        if (r < 0) {
                free(s);
                return err_set(text, -r, "cannot read the file system: %s", err_str(r));
        }
        s->own = (struct fuse_conn){
                .ops = opts->shared ? &fuse_ops_shared : &fuse_ops_exclusive,
                .policy = opts->shared ? fuse_policy_shared(opts, 0) : fuse_policy_exclusive(opts),
                .opts = *opts,
                .fs = fs,
        };
        if (opts->waits)
                s->own.waiting = fuse_waits_new();
        if (dirpos_new(st.uuid, POSITIONS_BYTES, &s->own.positions) < 0 || (opts->waits && !s->own.waiting))
                r = err_set(text, ENOMEM, "out of memory");
        else
                r = server_init(s, &s->own, fuse_fd, text);
        if (r < 0) {
                fuse_waits_free(s->own.waiting);
                dirpos_free(s->own.positions);
                free(s);
                return r;
        }
        *ret = s;
        return 0;
}

void fuse_server_free(struct fuse_server *s)
{
        if (!s)
                return;
        fuse_transport_free(s->rings);
        fuse_transport_free(s->classic);
        close(s->fuse_fd);
        dirpos_free(s->own.positions);
        fuse_waits_free(s->own.waiting);
        sem_destroy(&s->end);
        free(s);
}
