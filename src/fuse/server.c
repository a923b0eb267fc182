/* A server: negotiates with the kernel, chooses the transport, and waits for the end. */
#include "server.h"

#include "cleanup.h"
#include "codec.h"
#include "init.h"
#include "kernel_abi.h"
#include "log.h"
#include "ops.h"
#include "transport.h"
#include "waiting.h"

#include <assert.h>
#include <semaphore.h>
#include <stdatomic.h>

/* Threads exist as long as the server, and as many as there were requests at the same time; an fsync
 * keeps its thread until the disk is done. */
#define MAX_THREADS 32u

/* What is remembered of directory positions. */
#define POSITIONS_BYTES (4u << 20)

struct af_server {
        struct af_core *core;
        struct af_core own; /* what core points to, unless it is somebody else's */
        int fuse_fd;
        struct af_transport *transport;
        sem_t end;          /* posted when there is a reason to end */
        atomic_int result;  /* the first error; 0: none */
};

/* ---- what the transport tells ----------------------------------------------------------------------- */

static void on_request(void *arg, struct af_channel *c, const void *data, size_t len)
{
        struct af_server *s = arg;

        af_codec_request(s->core, c, data, len);
}

static void on_ended(void *arg, int result)
{
        struct af_server *s = arg;
        int none = 0;

        if (result < 0)
                atomic_compare_exchange_strong(&s->result, &none, result);
        sem_post(&s->end);
}

/* ---- life ------------------------------------------------------------------------------------------- */

/* Waits for INIT and answers it, which lets requests come. */
static int negotiate(struct af_server *s)
{
        struct af_init init;
        struct err_text text;
        int r = af_init_read(s->fuse_fd, &init, &text);

        if (r < 0) {
                if (r != -ENODEV)
                        log_error("%s", text.text);
                return r;
        }
        if (s->core->opts.on_request)
                s->core->opts.on_request(FUSE_INIT, s->core->opts.on_request_arg);
        if (s->core->opts.shared)
                s->core->policy = af_policy_shared(&s->core->opts, init.offered);
        return af_init_reply(s->fuse_fd, &init, s->core->policy.features & init.offered);
}

int af_serve(struct af_server *s)
{
        const struct af_handler handler = { .request = on_request, .ended = on_ended, .arg = s };
        int r = negotiate(s);

        if (r == -ENODEV)
                return 0;
        if (r >= 0)
                r = af_classic_start(s->fuse_fd, MAX_THREADS, &handler, &s->transport);
        if (r < 0)
                return r;
        while (sem_wait(&s->end) < 0 && errno == EINTR)
                ;
        af_transport_stop(s->transport);
        return atomic_load(&s->result);
}

void af_stop(struct af_server *s)
{
        sem_post(&s->end);
}

int af_server_new_with(struct af_core *core, int fuse_fd, struct af_server **ret, struct err_text *text)
{
        struct af_server *s = calloc(1, sizeof(*s));

        if (!s)
                return err_set(text, ENOMEM, "out of memory");
        sem_init(&s->end, 0, 0);
        core->owner = getuid();
        core->fuse_fd = fuse_fd;
        s->core = core;
        s->fuse_fd = fuse_fd;
        *ret = s;
        return 0;
}

int af_server_new(struct fs *fs, const struct af_opts *opts, int fuse_fd, struct af_server **ret,
                  struct err_text *text)
{
        struct af_core core = {
                .ops = opts->shared ? &af_ops_shared : &af_ops_exclusive,
                .policy = opts->shared ? af_policy_shared(opts, 0) : af_policy_exclusive(opts),
                .opts = *opts,
                .fs = fs,
        };
        struct fs_statfs st;
        int r;

        assert(!opts->shared || !opts->writeback_cache);
        r = fs_statfs(fs, &st);
        if (r < 0)
                return err_set(text, -r, "cannot read the file system: %s", err_str(r));
        if (dirpos_new(st.uuid, POSITIONS_BYTES, &core.positions) < 0)
                return err_set(text, ENOMEM, "out of memory");
        if (opts->waits)
                core.waiting = af_waiting_new();
        if (opts->waits && !core.waiting)
                r = err_set(text, ENOMEM, "out of memory");
        else
                r = af_server_new_with(&core, fuse_fd, ret, text);
        if (r < 0) {
                af_waiting_free(core.waiting);
                dirpos_free(core.positions);
                return r;
        }
        (*ret)->own = core;
        (*ret)->core = &(*ret)->own;
        return 0;
}

void af_server_free(struct af_server *s)
{
        if (!s)
                return;
        af_transport_free(s->transport);
        close(s->fuse_fd);
        dirpos_free(s->own.positions);
        af_waiting_free(s->own.waiting);
        sem_destroy(&s->end);
        free(s);
}
