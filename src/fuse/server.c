/* SPDX-License-Identifier: MIT */
#include "fuse/server.h"

#include "base/cleanup.h"
#include "fuse/ops/ops.h"
#include "fuse/proto/codec.h"
#include "fuse/proto/init.h"
#include "fuse/transport/kernel_abi.h"
#include "fuse/transport/transport.h"

#include <semaphore.h>
#include <stdatomic.h>

/* Threads of the classic transport. An fsync keeps its thread until the disk is done. */
#define MAX_THREADS 32u

struct fuse_server {
        struct fuse_conn *conn;
        struct fuse_fs_conn *own; /* what conn points into if the server made it; else NULL */
        int fuse_fd;
        struct fuse_init init;                  /* the kernel's INIT */
        struct fuse_transport *classic, *rings; /* rings: NULL if not used */
        char transport[256];                    /* fuse_server_transport */
        sem_t end;                              /* posted when fuse_serve has to return */
        atomic_int result;                      /* the first error of a transport */
};

/* ---- calls by the transports -------------------------------------------------------------------------- */

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

/* ---- choice of the transport -------------------------------------------------------------------------- */

#define PARAMETER "/sys/module/fuse/parameters/enable_uring"

#define SWITCHED_OFF                                                                       \
        "they are switched off in this kernel; the line 'options fuse enable_uring=1' in " \
        "/etc/modprobe.d/fuse.conf, or fuse.enable_uring=1 on its command line, switches them on"

/* Rings are for requests that wait for this machine only. The kernel does not report a signal that arrives
 * before a ring takes the request, so a wait for a lock or a cluster could not be interrupted. */
static bool allows_rings(const struct fuse_opts *opts)
{
        return !opts->shared && !opts->remote_store;
}

static bool kernel_has_rings(void)
{
        return access(PARAMETER, F_OK) == 0;
}

/* Returns NULL, or the reason why there are no rings. */
static const char *prepare_rings(struct fuse_server *s)
{
        const struct fuse_handler handler = handler_of(s);
        int r;

        if (!allows_rings(&s->conn->opts))
                return "shared mounts, and mounts of stores in a network, are served the classic way";
        if (!(s->init.offered & ABI_OVER_IO_URING))
                return kernel_has_rings() ? SWITCHED_OFF : "the kernel has none; they came with Linux 6.14";
        r = fuse_uring_prepare(s->fuse_fd, &handler, &s->rings);
        if (r == -EPERM || r == -ENOSYS)
                return "io_uring is forbidden (by the sysctl kernel.io_uring_disabled, or in this container)";
        return r < 0 ? err_str(r) : NULL;
}

static int choose_transport(struct fuse_server *s, struct err_text *text)
{
        const struct fuse_opts *opts = &s->conn->opts;
        const char *reason = opts->transport == FUSE_TRANSPORT_CLASSIC ? NULL : prepare_rings(s);

        if (opts->transport == FUSE_TRANSPORT_URING && reason)
                return err_set(text, EOPNOTSUPP, "no transport by rings: %s", reason);
        if (s->rings)
                snprintf(s->transport, sizeof(s->transport), "rings (%u CPUs)", fuse_uring_queues(s->rings));
        else if (reason && allows_rings(opts) && kernel_has_rings())
                snprintf(s->transport, sizeof(s->transport), "classic (rings would be faster; %s)", reason);
        else
                snprintf(s->transport, sizeof(s->transport), "classic");
        return 0;
}

const char *fuse_server_transport(const struct fuse_server *s)
{
        return s->transport;
}

/* ---- serving ------------------------------------------------------------------------------------------ */

/* Replies to INIT, after which requests arrive, and starts the transports. */
static int start(struct fuse_server *s)
{
        const struct fuse_handler handler = handler_of(s);
        uint64_t features = s->conn->policy.features & s->init.offered;
        int r;

        if (s->rings)
                features |= ABI_OVER_IO_URING;
        r = fuse_init_reply(s->fuse_fd, &s->init, features);
        if (r < 0)
                return r;
        r = fuse_classic_start(s->fuse_fd, MAX_THREADS, &handler, &s->classic);
        if (r < 0 || !s->rings)
                return r;
        r = fuse_uring_start(s->rings);
        if (r < 0)
                snprintf(s->transport, sizeof(s->transport), "classic (the rings cannot be used: %s)",
                         err_str(r));
        return 0;
}

static void stop(struct fuse_server *s)
{
        const struct fuse_opts *opts = &s->conn->opts;

        if (opts->on_ending)
                opts->on_ending(opts->on_ending_arg);
        if (s->own)
                fuse_fs_conn_stop(s->own); /* waits for requests that the transports serve */
        if (s->rings)
                fuse_transport_stop(s->rings);
        fuse_transport_stop(s->classic);
}

int fuse_serve(struct fuse_server *s)
{
        const struct fuse_opts *opts = &s->conn->opts;
        int r = start(s);

        if (r < 0)
                return r == -ENODEV ? 0 : r;
        if (opts->on_started)
                r = opts->on_started(opts->on_started_arg);
        while (r == 0 && sem_wait(&s->end) < 0 && errno == EINTR)
                ;
        stop(s);
        return r != 0 ? r : atomic_load(&s->result);
}

void fuse_stop(struct fuse_server *s)
{
        sem_post(&s->end);
}

/* ---- creating a server -------------------------------------------------------------------------------- */

/* A hole is reported only once the kernel has written back all pages in it (ops/seek.c). Old kernels cannot
 * be made to. With the writeback cache the kernel alone knows the size, so a request that cannot wait has no
 * safe answer; on rings not all can wait. */
static bool allows_seeking(const struct fuse_server *s)
{
        return s->init.minor >= ABI_MINOR_MARKS_WRITEBACK && !(s->rings && s->conn->opts.writeback_cache);
}

static int server_init(struct fuse_server *s, struct err_text *text)
{
        struct fuse_conn *conn = s->conn;
        int r = fuse_init_read(s->fuse_fd, &s->init, text);

        if (r < 0)
                return r;
        if (conn->opts.on_request)
                conn->opts.on_request(FUSE_INIT, conn->opts.on_request_arg);
        if (conn->opts.shared)
                conn->policy = fuse_policy_shared(&conn->opts, s->init.offered);
        r = choose_transport(s, text);
        if (r < 0)
                return r;
        if (!allows_seeking(s))
                fuse_policy_refuse_seeking(&conn->policy);
        return 0;
}

int fuse_server_new_with(struct fuse_conn *conn, int fuse_fd, struct fuse_server **ret, struct err_text *text)
{
        struct fuse_server *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return err_set(text, ENOMEM, "out of memory");
        conn->owner = getuid();
        conn->fuse_fd = fuse_fd;
        s->conn = conn;
        s->fuse_fd = fuse_fd;
        sem_init(&s->end, 0, 0);
        r = server_init(s, text);
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
        struct fuse_fs_conn *conn;
        int r;

        r = fuse_fs_conn_new(fs, opts, &conn, text);
        if (r < 0)
                return r;
        r = fuse_server_new_with(&conn->conn, fuse_fd, ret, text);
        if (r < 0) {
                fuse_fs_conn_free(conn);
                return r;
        }
        (*ret)->own = conn;
        return 0;
}

void fuse_server_free(struct fuse_server *s)
{
        if (!s)
                return;
        fuse_transport_free(s->rings);
        fuse_transport_free(s->classic);
        close(s->fuse_fd);
        fuse_fs_conn_free(s->own);
        sem_destroy(&s->end);
        free(s);
}
