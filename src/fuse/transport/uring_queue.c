/* SPDX-License-Identifier: MIT */
#include "fuse/transport/uring_worker.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/futex.h"
#include "base/log.h"
#include "fuse/transport/mapped.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* In front of the payload, so that a request can be put together there. */
#define ROOM_BYTES 4096u

/* The entry, and the wait for the end. */
#define RING_ENTRIES 4u

/* Operations take some ten KiB. */
#define STACK_BYTES (512u << 10)

enum { TAG_ENTRY = 1, TAG_STOP };

/* ---- a reply --------------------------------------------------------------------------------------- */

/* Any thread. The worker sends it: only the thread that owns a ring uses it. */
static void send_reply(struct fuse_channel *channel, uint64_t unique, int error, const struct iovec *iov,
                       int n)
{
        struct uring_worker *w = (struct uring_worker *)channel;
        struct fuse_out_header out = { .error = -error, .unique = unique };
        size_t used = 0;

        for (int i = 0; i < n; i++) {
                /* More than was asked for, or a disk error: the data may be in a store's file. */
                if (iov[i].iov_len > FUSE_IO_BYTES - used ||
                    fuse_mapped_copy(w->payload + used, iov[i].iov_base, iov[i].iov_len) < 0) {
                        out.error = -EIO;
                        used = 0;
                        break;
                }
                used += iov[i].iov_len;
        }
        out.len = (uint32_t)(sizeof(out) + used);
        memcpy(w->header.in_out, &out, sizeof(out));
        w->header.in_out_sizes.payload_sz = (uint32_t)used;
        if (pthread_equal(pthread_self(), w->self)) {
                atomic_store_explicit(&w->replied, 1, memory_order_relaxed);
        } else {
                atomic_store_explicit(&w->replied, 1, memory_order_release);
                futex_wake(&w->replied);
        }
}

static void wait_for_reply(struct uring_worker *w)
{
        while (!atomic_load_explicit(&w->replied, memory_order_acquire))
                futex_wait(&w->replied, 0, NULL);
}

/* ---- pairs of threads -------------------------------------------------------------------------------- */

/* False: the end. */
static bool wait_for_turn(struct uring_worker *w, int number)
{
        int driver;

        while ((driver = atomic_load(&w->driver)) != number && driver != DRIVER_NONE)
                futex_wait(&w->driver, driver, NULL);
        return driver == number;
}

/* There is nothing more to drive: lets the other one go. */
static void end_driving(struct uring_worker *w)
{
        atomic_store(&w->driver, DRIVER_NONE);
        futex_wake(&w->driver);
}

/* The other thread of the pair goes on, and this one waits until it is its turn again. False: the end. */
static bool hand_over(struct uring_worker *w, int number)
{
        atomic_store(&w->driver, 1 - number);
        futex_wake(&w->driver);
        return wait_for_turn(w, number);
}

/* ---- a request ------------------------------------------------------------------------------------- */

/* Puts the request together in front of its payload, which stays where it is. Returns where it begins, or
 * NULL if the sizes do not fit together. */
static const void *assemble(struct uring_worker *w, size_t *ret_len)
{
        struct fuse_in_header in;
        size_t payload = w->header.in_out_sizes.payload_sz, fixed;
        uint8_t *at;

        memcpy(&in, w->header.in_out, sizeof(in));
        if (payload > FUSE_IO_BYTES || in.len < sizeof(in) + payload)
                return NULL;
        fixed = in.len - sizeof(in) - payload;
        if (fixed > sizeof(w->header.op_in) || fixed % 8 != 0)
                return NULL;
        at = w->payload - fixed - sizeof(in);
        memcpy(at, &in, sizeof(in));
        memcpy(at + sizeof(in), w->header.op_in, fixed);
        *ret_len = in.len;
        return at;
}

static void serve_request(struct uring_worker *w)
{
        struct fuse_uring_queue *q = w->queue;
        size_t len;
        const void *request = assemble(w, &len);

        atomic_store_explicit(&w->replied, 0, memory_order_relaxed);
        atomic_store_explicit(&w->used, true, memory_order_relaxed);
        if (request) {
                q->handler.request(q->handler.arg, &w->channel, request, len);
                wait_for_reply(w);
        } else {
                struct fuse_in_header in;

                memcpy(&in, w->header.in_out, sizeof(in));
                log_warning("a request of %u bytes with %u bytes of payload makes no sense", in.len,
                            w->header.in_out_sizes.payload_sz);
                send_reply(&w->channel, in.unique, EIO, NULL, 0);
        }
        if (q->sched)
                fuse_sched_note(q->sched, q->cpu);
}

/* ---- commands -------------------------------------------------------------------------------------- */

static void command(struct uring_worker *w, uint32_t op, uint64_t commit_id)
{
        struct io_uring_sqe *sqe = fuse_ring_command(&w->ring);
        struct abi_uring_cmd cmd = { .commit_id = commit_id, .qid = (uint16_t)w->queue->cpu };

        sqe->opcode = IORING_OP_URING_CMD;
        sqe->fd = w->queue->fuse_fd;
        sqe->cmd_op = op;
        sqe->user_data = TAG_ENTRY;
        if (op == ABI_URING_REGISTER) {
                sqe->addr = (uint64_t)(uintptr_t)w->iov;
                sqe->len = 2;
        }
        memcpy(sqe->cmd, &cmd, sizeof(cmd));
}

static void watch_for_stop(struct uring_worker *w)
{
        struct io_uring_sqe *sqe = fuse_ring_command(&w->ring);

        sqe->opcode = IORING_OP_POLL_ADD;
        sqe->fd = w->queue->stop_fd;
        sqe->poll32_events = POLLIN;
        sqe->user_data = TAG_STOP;
}

/* Whether a command failed with ERR because the connection ends. What it is told then depends on how far the
 * kernel is; a reply can come after its request was taken back (ENOENT). */
static bool is_over(const struct uring_worker *w, int err)
{
        struct pollfd p = { .fd = w->queue->fuse_fd };

        return err == -ENOTCONN || err == -ECONNABORTED || (poll(&p, 1, 0) == 1 && (p.revents & POLLERR));
}

/* Waits for the next request: 1. 0: told to stop, or the connection is over. Negative: failed. */
static int next_request(struct uring_worker *w)
{
        uint64_t tag;
        int result, r;

        for (;;) {
                while (fuse_ring_completion(&w->ring, &tag, &result)) {
                        if (result < 0)
                                return is_over(w, result) ? 0 : result;
                        if (tag == TAG_ENTRY)
                                return 1;
                        fuse_ring_submit(&w->ring); /* a reply may be left */
                        return 0;
                }
                r = fuse_ring_wait(&w->ring);
                if (r < 0 && r != -EINTR && r != -EAGAIN && r != -EBUSY)
                        return r;
        }
}

/* Registers the entry. The kernel completes a command that it refuses at once, and others when there is a
 * request. */
static int register_entry(struct uring_worker *w)
{
        uint64_t tag;
        int result, r;

        watch_for_stop(w);
        command(w, ABI_URING_REGISTER, 0);
        do
                r = fuse_ring_submit(&w->ring);
        while (r >= 0 ? w->ring.to_submit > 0 : r == -EINTR || r == -EAGAIN);
        if (r < 0)
                return r;
        /* A request that is there already is kept for next_request. */
        if (fuse_ring_peek(&w->ring, &tag, &result) && tag == TAG_ENTRY && result < 0)
                return result;
        return 0;
}

/* As next_request; the one that was left to this thread first. */
static int take_request(struct uring_worker *w)
{
        int r;

        if (w->has_request)
                return 1;
        r = next_request(w);
        if (r > 0)
                fuse_uring_note_request(w);
        return r;
}

/* Serves until the end. Negative: the ring failed. */
static int drive(struct uring_worker *w, int number)
{
        int r;

        for (;;) {
                r = take_request(w);
                if (r <= 0)
                        return r;
                w->has_request = fuse_uring_is_for_other(w, number);
                if (w->has_request) {
                        if (!hand_over(w, number))
                                return 0;
                        continue;
                }
                fuse_uring_choose_place(w, number);
                w->self = pthread_self();
                serve_request(w);
                command(w, ABI_URING_COMMIT_AND_FETCH, w->header.in_out_sizes.commit_id);
        }
}

/* What the first to drive does. */
static int begin(struct uring_worker *w)
{
        struct fuse_uring_queue *q = w->queue;
        int r = register_entry(w);

        if (r < 0)
                atomic_store(&q->register_error, r);
        else
                atomic_fetch_add(&q->n_registered, 1);
        sem_post(&q->tried);
        return r;
}

/* For others, who change its class. */
static void set_tid(struct uring_worker *w, pid_t tid)
{
        pthread_mutex_lock(&w->queue->lock);
        w->tid = tid;
        pthread_mutex_unlock(&w->queue->lock);
}

static void *work(void *arg)
{
        const struct uring_thread *t = arg;
        struct uring_worker *w = t->worker;
        struct fuse_uring_queue *q = w->queue;
        bool has_driven;
        int r = 0;

        pthread_setname_np(pthread_self(), "fuse-ring");
        fuse_sched_pin(q->cpu);
        if (q->in_pairs)
                fuse_sched_set(0, (enum fuse_sched_class)t->number);
        else
                set_tid(w, gettid());
        if (t->number == FIRST_DRIVER)
                r = begin(w);
        has_driven = r >= 0 && wait_for_turn(w, t->number);
        if (has_driven)
                r = drive(w, t->number);
        end_driving(w);
        if (!q->in_pairs) {
                fuse_sched_set(0, FUSE_SCHED_NORMAL); /* it holds the lock that others need to do that */
                set_tid(w, 0);                        /* the number may soon be somebody else's */
        }
        if (!has_driven)
                return NULL;
        if (r < 0)
                log_error("the ring of CPU %u failed: %s", q->cpu, err_str(r));
        q->handler.ended(q->handler.arg, r);
        return NULL;
}

/* ---- a worker -------------------------------------------------------------------------------------- */

static int worker_init(struct uring_worker *w, struct fuse_uring_queue *q)
{
        void *buffer;
        int r;

        w->channel.send = send_reply;
        w->queue = q;
        r = fuse_ring_init(&w->ring, RING_ENTRIES);
        if (r < 0)
                return r;
        buffer = mmap(NULL, ROOM_BYTES + FUSE_IO_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (buffer == MAP_FAILED)
                return -errno;
        /* Most requests touch a page or two of it. */
        madvise(buffer, ROOM_BYTES + FUSE_IO_BYTES, MADV_NOHUGEPAGE);
        w->buffer = buffer;
        w->payload = (uint8_t *)buffer + ROOM_BYTES;
        w->iov[0] = (struct iovec){ .iov_base = &w->header, .iov_len = sizeof(w->header) };
        w->iov[1] = (struct iovec){ .iov_base = w->payload, .iov_len = FUSE_IO_BYTES };
        return 0;
}

static void worker_destroy(struct uring_worker *w)
{
        fuse_ring_destroy(&w->ring);
        if (w->buffer)
                munmap(w->buffer, ROOM_BYTES + FUSE_IO_BYTES);
}

static int start_thread(struct uring_worker *w, unsigned number)
{
        pthread_attr_t attr;
        int r;

        w->thread_args[number] = (struct uring_thread){ .worker = w, .number = (int)number };
        pthread_attr_init(&attr);
        pthread_attr_setstacksize(&attr, STACK_BYTES);
        r = pthread_create(&w->threads[number], &attr, work, &w->thread_args[number]);
        pthread_attr_destroy(&attr);
        return -r;
}

static int worker_start(struct uring_worker *w)
{
        unsigned wanted = w->queue->in_pairs ? 2 : 1;
        int r = 0;

        /* The first driver last: without it nothing has begun. */
        for (unsigned i = wanted; i-- > 0 && r >= 0;) {
                r = start_thread(w, i);
                if (r >= 0)
                        w->started[i] = true;
        }
        if (r < 0)
                end_driving(w);
        return r;
}

static void worker_stop(struct uring_worker *w)
{
        for (unsigned i = 0; i < 2; i++)
                if (w->started[i])
                        pthread_join(w->threads[i], NULL);
}

/* ---- the queue ------------------------------------------------------------------------------------- */

int fuse_uring_queue_init(struct fuse_uring_queue *q, unsigned cpu, unsigned n_entries, int fuse_fd,
                          int stop_fd, const struct fuse_handler *handler)
{
        int r = 0;

        q->cpu = cpu;
        q->fuse_fd = fuse_fd;
        q->stop_fd = stop_fd;
        q->handler = *handler;
        pthread_mutex_init(&q->lock, NULL);
        sem_init(&q->tried, 0, 0);
        q->workers = calloc(n_entries, sizeof(*q->workers));
        if (!q->workers)
                return -ENOMEM;
        while (q->n_workers < n_entries && r >= 0)
                r = worker_init(&q->workers[q->n_workers++], q);
        return r;
}

void fuse_uring_queue_schedule(struct fuse_uring_queue *q, struct fuse_sched *sched, bool may_return)
{
        q->sched = sched;
        q->in_pairs = !may_return;
}

int fuse_uring_queue_start(struct fuse_uring_queue *q)
{
        unsigned n_started = 0;
        int r = 0;

        while (n_started < q->n_workers && (r = worker_start(&q->workers[n_started])) >= 0)
                n_started++;
        while (n_started > 0)
                if (sem_wait(&q->tried) == 0)
                        n_started--;
        fuse_uring_queue_set_class(q, atomic_load(&q->class));
        if (atomic_load(&q->n_registered) == q->n_workers)
                return 0;
        r = r < 0 ? r : atomic_load(&q->register_error);
        if (atomic_load(&q->n_registered) == 0)
                return r;
        log_warning("the ring of CPU %u has %u entries instead of %u: %s", q->cpu,
                    atomic_load(&q->n_registered), q->n_workers, err_str(r));
        return 0;
}

void fuse_uring_queue_stop(struct fuse_uring_queue *q)
{
        for (unsigned i = 0; i < q->n_workers; i++)
                worker_stop(&q->workers[i]);
}

void fuse_uring_queue_destroy(struct fuse_uring_queue *q)
{
        for (unsigned i = 0; i < q->n_workers; i++)
                worker_destroy(&q->workers[i]);
        free(q->workers);
        sem_destroy(&q->tried);
        pthread_mutex_destroy(&q->lock);
}
