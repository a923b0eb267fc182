/* SPDX-License-Identifier: MIT */
/* The classic transport: read(2) and writev(2) on /dev/fuse.
 *
 * All threads read from one queue of requests. Each has a clone of the device (FUSE_DEV_IOC_CLONE) with
 * its own list of requests in progress, and a reply is written to the clone from which the request was
 * read. A thread is added when the last idle one takes a request, and stays until the end.
 */
#include "fuse/transport/transport.h"

#include "base/cleanup.h"
#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

/* The largest request is a write, with a header of 80 bytes. Untouched pages of the buffer cost no memory. */
#define BUFFER_BYTES (FUSE_IO_BYTES + 4096u)

struct classic;

struct worker {
        struct fuse_channel channel;
        struct classic *owner;
        struct worker *next;
        pthread_t thread;
        int fd; /* a clone of the device, or the device */
        bool is_clone;
        void *buffer; /* of BUFFER_BYTES */
};

struct classic {
        struct fuse_transport base;
        struct fuse_handler handler;
        int fuse_fd;
        unsigned max_threads;
        struct lock lock; /* protects the fields below */
        struct worker *workers;
        unsigned n_workers, n_idle;
        bool stopping;
};

static void send_reply(struct fuse_channel *channel, uint64_t unique, int error, const struct iovec *iov,
                       int n)
{
        struct worker *w = (struct worker *)channel;
        struct fuse_out_header header = { .len = sizeof(header), .error = -error, .unique = unique };
        struct iovec all[FUSE_REPLY_IOV_MAX + 1] __attribute__((uninitialized));
        ssize_t written;

        all[0] = (struct iovec){ .iov_base = &header, .iov_len = sizeof(header) };
        for (int i = 0; i < n; i++) {
                all[i + 1] = iov[i];
                header.len += (uint32_t)iov[i].iov_len;
        }
        do
                written = writev(w->fd, all, n + 1);
        while (written < 0 && errno == EINTR);
}

/* ---- threads -------------------------------------------------------------------------------------- */

static int worker_start_locked(struct classic *c);

/* Adds a thread if this was the last idle one. */
static void become_busy(struct classic *c)
{
        LOCK_GUARD(&c->lock);
        c->n_idle--;
        /* An error leaves the existing threads to serve. */
        if (c->n_idle == 0 && c->n_workers < c->max_threads && !c->stopping)
                worker_start_locked(c);
}

static void become_idle(struct classic *c)
{
        LOCK_GUARD(&c->lock);
        c->n_idle++;
}

/* The only call in which classic_stop can cancel the thread. */
static ssize_t read_request(struct worker *w)
{
        ssize_t n;
        int state;

        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
        n = read(w->fd, w->buffer, BUFFER_BYTES);
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
        return n < 0 ? -errno : n;
}

static void *worker_main(void *arg)
{
        struct worker *w = arg;
        struct classic *c = w->owner;
        ssize_t n;
        int state;

        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
        pthread_setname_np(pthread_self(), "fuse-classic");
        for (;;) {
                n = read_request(w);
                /* ENOENT: the request was aborted while it was read. */
                if (n == -EINTR || n == -EAGAIN || n == -ENOENT)
                        continue;
                if (n < 0)
                        break;
                if (c->max_threads > 1)
                        become_busy(c);
                c->handler.request(c->handler.arg, &w->channel, w->buffer, (size_t)n);
                if (c->max_threads > 1)
                        become_idle(c);
        }
        c->handler.ended(c->handler.arg, n == -ENODEV ? 0 : (int)n);
        return NULL;
}

/* ---- a worker ------------------------------------------------------------------------------------- */

static int clone_device(int fuse_fd)
{
        _cleanup_close_ int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
        uint32_t original = (uint32_t)fuse_fd;

        if (fd < 0 || ioctl(fd, FUSE_DEV_IOC_CLONE, &original) < 0)
                return -errno;
        return steal_fd(&fd);
}

static void worker_free(struct worker *w)
{
        if (!w)
                return;
        if (w->buffer)
                munmap(w->buffer, BUFFER_BYTES);
        if (w->is_clone)
                close(w->fd);
        free(w);
}
DEFINE_CLEANUP(struct worker, worker_free);

static int worker_new(struct classic *c, struct worker **ret)
{
        _cleanup_(worker_free_ptr) struct worker *w = calloc(1, sizeof(*w));
        void *buffer;
        int fd;

        if (!w)
                return -ENOMEM;
        w->channel.send = send_reply;
        w->owner = c;
        /* Without permission to open the device (fusermount3 opened it) the threads share one descriptor. */
        fd = c->max_threads > 1 ? clone_device(c->fuse_fd) : -1;
        w->is_clone = fd >= 0;
        w->fd = fd >= 0 ? fd : c->fuse_fd;
        buffer = mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                      -1, 0);
        if (buffer == MAP_FAILED)
                return -errno;
        w->buffer = buffer;
        *ret = steal_ptr(w);
        return 0;
}

static int worker_start_locked(struct classic *c)
{
        _cleanup_(worker_free_ptr) struct worker *w = NULL;
        int r;

        lock_assert_held(&c->lock);
        r = worker_new(c, &w);
        if (r < 0)
                return r;
        c->n_idle++; /* before the thread can become busy */
        r = pthread_create(&w->thread, NULL, worker_main, w);
        if (r != 0) {
                c->n_idle--;
                return -r;
        }
        w->next = c->workers;
        c->workers = steal_ptr(w);
        c->n_workers++;
        return 0;
}

/* ---- the transport -------------------------------------------------------------------------------- */

/* No thread is added after this, so the list does not change any more. */
static void forbid_workers(struct classic *c)
{
        LOCK_GUARD(&c->lock);
        c->stopping = true;
}

static int start_first_worker(struct classic *c)
{
        LOCK_GUARD(&c->lock);
        return worker_start_locked(c);
}

static void classic_stop(struct fuse_transport *t)
{
        struct classic *c = (struct classic *)t;

        forbid_workers(c);
        for (struct worker *w = c->workers; w; w = w->next)
                pthread_cancel(w->thread);
        for (struct worker *w = c->workers; w; w = w->next)
                pthread_join(w->thread, NULL);
}

static void classic_free(struct fuse_transport *t)
{
        struct classic *c = (struct classic *)t;
        struct worker *next;

        for (struct worker *w = c->workers; w; w = next) {
                next = w->next;
                worker_free(w);
        }
        lock_destroy(&c->lock);
        free(c);
}

int fuse_classic_start(int fuse_fd, unsigned max_threads, const struct fuse_handler *handler,
                       struct fuse_transport **ret)
{
        static const struct fuse_transport_ops ops = { .stop = classic_stop, .free = classic_free };
        struct classic *c = calloc(1, sizeof(*c));
        int r;

        if (!c)
                return -ENOMEM;
        c->base.ops = &ops;
        c->handler = *handler;
        c->fuse_fd = fuse_fd;
        c->max_threads = max_threads;
        lock_init(&c->lock);
        r = start_first_worker(c);
        if (r < 0) {
                classic_free(&c->base);
                return r;
        }
        *ret = &c->base;
        return 0;
}
