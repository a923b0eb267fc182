#include "uring_queue.h"

#include "cleanup.h"
#include "futex.h"
#include "kernel_abi.h"
#include "log.h"
#include "policy.h"
#include "ring.h"

#include <poll.h>
#include <semaphore.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* In front of the payload, so that a request can be put together there. */
#define ROOM_BYTES 4096u

/* The entry, and the wait for the end. */
#define RING_ENTRIES 4u

/* Entries that are to be idle, so that a new one is there before it is needed. */
#define SPARE_ENTRIES 2u

enum { TAG_ENTRY = 1, TAG_STOP };

#define DRIVER_NONE  (-1)
#define FIRST_DRIVER 0

/* One of a worker's threads. */
struct uring_thread {
        struct uring_worker *worker;
        int number;
};

struct uring_worker {
        struct af_channel channel;
        struct af_uring_queue *queue;
        struct uring_worker *next;
        struct af_ring ring;
        struct af_uring_header header __attribute__((aligned(8))); /* what the kernel writes and reads */
        struct iovec iov[2]; /* the buffers, as the kernel is told */
        void *buffer;        /* ROOM_BYTES, and payload */
        uint8_t *payload;    /* of AF_IO_BYTES */
        atomic_int replied;  /* a futex */
        pthread_t threads[2]; /* by class; without pairs only the first, whatever its class */
        unsigned n_threads;
        atomic_int driver;    /* which of them drives the entry; DRIVER_NONE: the end has come. A futex */
        bool added;           /* while others were serving */
        bool has_request;     /* which the other thread took and left to this one */
        pthread_t self;       /* the one that serves a request */
        pid_t tid;            /* of the only thread; 0: does not run yet */
        bool is_long;         /* does what takes long, in the normal class; protected by the queue's lock */
        struct uring_thread thread_args[2];
        sem_t registered;
        int register_result; /* of registering; valid once that is posted */
};

/* ---- a reply --------------------------------------------------------------------------------------- */

/* Any thread. The worker sends it: only the thread that owns a ring uses it. */
static void send_reply(struct af_channel *channel, uint64_t unique, int error, const struct iovec *iov, int n)
{
        struct uring_worker *w = (struct uring_worker *)channel;
        struct fuse_out_header out = { .error = -error, .unique = unique };
        size_t used = 0;

        for (int i = 0; i < n; i++) {
                if (iov[i].iov_len > AF_IO_BYTES - used) {
                        out.error = -EIO; /* more than was asked for */
                        used = 0;
                        break;
                }
                memcpy(w->payload + used, iov[i].iov_base, iov[i].iov_len);
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

/* ---- the scheduling class ---------------------------------------------------------------------------- */

/* Of the calling thread, the worker's only one. */
static void set_own_class(struct uring_worker *w, bool is_long)
{
        struct af_uring_queue *q = w->queue;

        pthread_mutex_lock(&q->lock);
        w->tid = gettid();
        w->is_long = is_long;
        af_sched_set(0, is_long ? AF_SCHED_NORMAL : q->class);
        pthread_mutex_unlock(&q->lock);
}

void af_uring_queue_set_class(struct af_uring_queue *q, enum af_sched_class class)
{
        pthread_mutex_lock(&q->lock);
        q->class = class;
        for (struct uring_worker *w = q->workers; w && !q->in_pairs; w = w->next)
                if (w->tid != 0 && !w->is_long)
                        af_sched_set(w->tid, class);
        pthread_mutex_unlock(&q->lock);
}

/* What takes long needs a thread that others do not keep from running for as long as they like; it may hold
 * locks, too. */
static bool takes_long(const struct uring_worker *w)
{
        const struct fuse_in_header *in = (const void *)w->header.in_out;

        switch (in->opcode) {
        case FUSE_FSYNC:
        case FUSE_FSYNCDIR:
        case FUSE_SYNCFS:
        case FUSE_FALLOCATE:
                return true;
        }
        return false;
}

/* Whether the request that has come is for the other thread of the pair. */
static bool is_for_other(struct uring_worker *w, int number)
{
        int wanted = takes_long(w) ? AF_SCHED_NORMAL : (int)atomic_load(&w->queue->class);

        return w->n_threads == 2 && number != wanted;
}

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
        if (payload > AF_IO_BYTES || in.len < sizeof(in) + payload)
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

/* One entry less is waiting. */
static void become_busy(struct af_uring_queue *q)
{
        if (atomic_fetch_sub_explicit(&q->n_idle, 1, memory_order_relaxed) <= SPARE_ENTRIES)
                q->on_full(q->on_full_arg);
}

/* A request that came while no entry was idle waits for the next reply in this queue; the kernel does not
 * give it to an entry that is added meanwhile. So a new entry has a request sent to itself, by asking for a
 * page of the root directory, which has none: its reply sets those that wait going. */
static void poke(const struct uring_worker *w)
{
        /* A number that no other request has: the kernel's own are small. */
        const uint64_t unique = (uint64_t)(uintptr_t)w | UINT64_C(1) << 62;
        struct {
                struct fuse_out_header header;
                struct fuse_notify_retrieve_out retrieve;
        } out = {
                .header = { .len = sizeof(out), .error = FUSE_NOTIFY_RETRIEVE },
                .retrieve = { .notify_unique = unique, .nodeid = FUSE_ROOT_ID },
        };
        ssize_t n = write(w->queue->fuse_fd, &out, sizeof(out));

        (void)n; /* the connection is over */
}

static bool is_poke(const struct uring_worker *w)
{
        const struct fuse_in_header *in = (const void *)w->header.in_out;

        return in->opcode == FUSE_NOTIFY_REPLY;
}

static void serve_request(struct uring_worker *w)
{
        struct af_uring_queue *q = w->queue;
        size_t len;
        const void *request = assemble(w, &len);

        atomic_store_explicit(&w->replied, 0, memory_order_relaxed);
        if (is_poke(w)) {
                const struct fuse_in_header *in = (const void *)w->header.in_out;

                send_reply(&w->channel, in->unique, 0, NULL, 0);
                return;
        }
        become_busy(q);
        if (request) {
                bool is_long = q->sched && w->n_threads == 1 && takes_long(w);

                if (is_long)
                        set_own_class(w, true);
                q->handler.request(q->handler.arg, &w->channel, request, len);
                wait_for_reply(w);
                if (is_long)
                        set_own_class(w, false);
        } else {
                struct fuse_in_header in;

                memcpy(&in, w->header.in_out, sizeof(in));
                log_warning("a request of %u bytes with %u bytes of payload makes no sense", in.len,
                            w->header.in_out_sizes.payload_sz);
                send_reply(&w->channel, in.unique, EIO, NULL, 0);
        }
        if (q->sched)
                af_sched_note(q->sched, q->cpu);
        atomic_fetch_add_explicit(&q->n_idle, 1, memory_order_relaxed);
}

/* ---- commands -------------------------------------------------------------------------------------- */

static void command(struct uring_worker *w, uint32_t op, uint64_t commit_id)
{
        struct io_uring_sqe *sqe = af_ring_command(&w->ring);
        struct af_uring_cmd cmd = { .commit_id = commit_id, .qid = (uint16_t)w->queue->cpu };

        sqe->opcode = IORING_OP_URING_CMD;
        sqe->fd = w->queue->fuse_fd;
        sqe->cmd_op = op;
        sqe->user_data = TAG_ENTRY;
        if (op == AF_URING_REGISTER) {
                sqe->addr = (uint64_t)(uintptr_t)w->iov;
                sqe->len = 2;
        }
        memcpy(sqe->cmd, &cmd, sizeof(cmd));
}

static void watch_for_stop(struct uring_worker *w)
{
        struct io_uring_sqe *sqe = af_ring_command(&w->ring);

        sqe->opcode = IORING_OP_POLL_ADD;
        sqe->fd = w->queue->stop_fd;
        sqe->poll32_events = POLLIN;
        sqe->user_data = TAG_STOP;
}

/* Waits for the next request: 1. 0: told to stop, or the connection is over. Negative: failed. */
static int next_request(struct uring_worker *w)
{
        uint64_t tag;
        int result, r;

        for (;;) {
                while (af_ring_completion(&w->ring, &tag, &result)) {
                        if (tag == TAG_STOP) {
                                af_ring_submit(&w->ring); /* a reply may be left */
                                return 0;
                        }
                        if (result == -ENOTCONN || result == -ECONNABORTED)
                                return 0;
                        return result < 0 ? result : 1;
                }
                r = af_ring_wait(&w->ring);
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
        command(w, AF_URING_REGISTER, 0);
        do
                r = af_ring_submit(&w->ring);
        while (r == -EINTR || r == -EAGAIN);
        if (r < 0)
                return r;
        /* A request that is there already is kept for next_request. */
        if (af_ring_peek(&w->ring, &tag, &result) && tag == TAG_ENTRY && result < 0)
                return result;
        return 0;
}

/* Serves until the end. Negative: the ring failed. */
static int drive(struct uring_worker *w, int number)
{
        int r;

        for (;;) {
                r = w->has_request ? 1 : next_request(w);
                if (r <= 0)
                        return r;
                w->has_request = is_for_other(w, number);
                if (w->has_request) {
                        if (!hand_over(w, number))
                                return 0;
                        continue;
                }
                w->self = pthread_self();
                serve_request(w);
                command(w, AF_URING_COMMIT_AND_FETCH, w->header.in_out_sizes.commit_id);
        }
}

/* The first to drive, with class and place as they are to be. */
static int begin(struct uring_worker *w)
{
        int r = w->register_result = register_entry(w);

        if (r >= 0)
                atomic_fetch_add_explicit(&w->queue->n_idle, 1, memory_order_relaxed);
        sem_post(&w->registered);
        if (r >= 0 && w->added)
                poke(w);
        return r;
}

static void *work(void *arg)
{
        const struct uring_thread *t = arg;
        struct uring_worker *w = t->worker;
        struct af_uring_queue *q = w->queue;
        int r = 0;

        pthread_setname_np(pthread_self(), "fuse-ring");
        af_sched_pin(q->cpu);
        if (w->n_threads == 1)
                set_own_class(w, false);
        else
                af_sched_set(0, (enum af_sched_class)t->number);
        if (t->number == FIRST_DRIVER) {
                r = begin(w);
                if (r < 0) {
                        end_driving(w);
                        return NULL;
                }
        } else if (!wait_for_turn(w, t->number)) {
                return NULL;
        }
        r = drive(w, t->number);
        end_driving(w);
        pthread_mutex_lock(&q->lock);
        w->tid = 0; /* the number may soon be somebody else's */
        pthread_mutex_unlock(&q->lock);
        if (r < 0)
                log_error("the ring of CPU %u failed: %s", q->cpu, err_str(r));
        q->handler.ended(q->handler.arg, r);
        return NULL;
}

/* ---- a worker -------------------------------------------------------------------------------------- */

static void worker_free(struct uring_worker *w)
{
        if (!w)
                return;
        af_ring_destroy(&w->ring);
        if (w->buffer)
                munmap(w->buffer, ROOM_BYTES + AF_IO_BYTES);
        sem_destroy(&w->registered);
        free(w);
}
DEFINE_CLEANUP(struct uring_worker, worker_free);

static int worker_new(struct af_uring_queue *q, struct uring_worker **ret)
{
        _cleanup_(worker_free_ptr) struct uring_worker *w = calloc(1, sizeof(*w));
        void *buffer;
        int r;

        if (!w)
                return -ENOMEM;
        sem_init(&w->registered, 0, 0);
        w->channel.send = send_reply;
        w->queue = q;
        w->ring.fd = -1;
        r = af_ring_init(&w->ring, RING_ENTRIES);
        if (r < 0)
                return r;
        buffer = mmap(NULL, ROOM_BYTES + AF_IO_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (buffer == MAP_FAILED)
                return -errno;
        w->buffer = buffer;
        w->payload = (uint8_t *)buffer + ROOM_BYTES;
        w->iov[0] = (struct iovec){ .iov_base = &w->header, .iov_len = sizeof(w->header) };
        w->iov[1] = (struct iovec){ .iov_base = w->payload, .iov_len = AF_IO_BYTES };
        *ret = steal_ptr(w);
        return 0;
}

/* With the lock held. The worker is the queue's afterwards. */
static int worker_run(struct af_uring_queue *q, struct uring_worker *w)
{
        unsigned wanted = q->in_pairs ? 2 : 1;
        int r;

        w->n_threads = wanted;
        /* The first driver last: without it nothing has begun. */
        for (unsigned i = wanted; i-- > 0;) {
                w->thread_args[i] = (struct uring_thread){ .worker = w, .number = (int)i };
                r = pthread_create(&w->threads[i], NULL, work, &w->thread_args[i]);
                if (r != 0) {
                        end_driving(w);
                        if (i == 0 && wanted == 2)
                                pthread_join(w->threads[1], NULL);
                        return -r;
                }
        }
        w->next = q->workers;
        q->workers = w;
        q->n_workers++;
        return 0;
}

/* With the lock held. LATE: others are serving already. */
static int add_worker(struct af_uring_queue *q, bool late)
{
        _cleanup_(worker_free_ptr) struct uring_worker *w = NULL;
        int r = worker_new(q, &w);

        if (r >= 0) {
                w->added = late;
                r = worker_run(q, w);
        }
        if (r >= 0)
                (void)steal_ptr(w);
        return r;
}

/* ---- the queue ------------------------------------------------------------------------------------- */

int af_uring_queue_init(struct af_uring_queue *q, unsigned cpu, int fuse_fd, int stop_fd,
                        const struct af_handler *handler, void (*on_full)(void *arg), void *on_full_arg)
{
        q->on_full = on_full;
        q->on_full_arg = on_full_arg;
        q->cpu = cpu;
        q->fuse_fd = fuse_fd;
        q->stop_fd = stop_fd;
        q->handler = *handler;
        pthread_mutex_init(&q->lock, NULL);
        return worker_new(q, &q->first);
}

void af_uring_queue_schedule(struct af_uring_queue *q, struct af_sched *sched, bool may_return)
{
        q->sched = sched;
        q->in_pairs = !may_return;
        q->class = AF_SCHED_IDLE;
}

void af_uring_queue_grow(struct af_uring_queue *q)
{
        int missing = (int)SPARE_ENTRIES - (int)atomic_load(&q->n_idle);

        if (missing <= 0)
                return;
        pthread_mutex_lock(&q->lock);
        /* Without memory for another one, those that are there go on. */
        while (q->n_workers < AF_URING_ENTRIES_MAX && !q->stopping && missing-- > 0)
                if (add_worker(q, true) < 0)
                        break;
        pthread_mutex_unlock(&q->lock);
}

static int wait_registered(struct uring_worker *w)
{
        while (sem_wait(&w->registered) < 0)
                ; /* interrupted */
        return w->register_result;
}

int af_uring_queue_start(struct af_uring_queue *q)
{
        struct uring_worker *w = q->first;
        int r;

        pthread_mutex_lock(&q->lock);
        r = worker_run(q, w);
        pthread_mutex_unlock(&q->lock);
        if (r < 0)
                return r;
        q->first = NULL;
        r = wait_registered(w);
        for (unsigned i = 0; i < SPARE_ENTRIES && r >= 0; i++) {
                pthread_mutex_lock(&q->lock);
                r = add_worker(q, false);
                w = q->workers; /* the newest; nobody else adds yet */
                pthread_mutex_unlock(&q->lock);
                if (r >= 0)
                        r = wait_registered(w);
        }
        return r;
}

void af_uring_queue_stop(struct af_uring_queue *q)
{
        pthread_mutex_lock(&q->lock);
        q->stopping = true; /* the list stays as it is from now on */
        pthread_mutex_unlock(&q->lock);
        for (struct uring_worker *w = q->workers; w; w = w->next)
                for (unsigned i = 0; i < w->n_threads; i++)
                        pthread_join(w->threads[i], NULL);
}

void af_uring_queue_destroy(struct af_uring_queue *q)
{
        struct uring_worker *next;

        for (struct uring_worker *w = q->workers; w; w = next) {
                next = w->next;
                worker_free(w);
        }
        worker_free(q->first);
        pthread_mutex_destroy(&q->lock);
}
