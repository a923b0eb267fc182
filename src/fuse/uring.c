/* The transport over io_uring: a queue for each CPU (uring_queue.c).
 *
 * The kernel holds all requests back from the reply to INIT on that promises rings, until the queue of
 * every possible CPU has an entry, those of CPUs that are offline included. So all that can fail is done
 * before that reply. What fails afterwards nevertheless is told the kernel by a registration that it must
 * refuse: that turns rings off for this connection.
 */
#include "transport.h"

#include "cleanup.h"
#include "futex.h"
#include "kernel_abi.h"
#include "log.h"
#include "ring.h"
#include "uring_queue.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#define POSSIBLE "/sys/devices/system/cpu/possible"

struct uring {
        struct af_transport base;
        int fuse_fd, stop_fd;
        unsigned n_queues, n_initialized;
        struct af_uring_queue *queues;
        struct af_sched *sched; /* NULL: all threads stay in the normal class */
        pthread_t grower;
        bool has_grower;
        atomic_int full;        /* 1: a queue may want another entry; -1: the end. A futex */
};

/* Ranges as in "0-3,8". */
static int count_possible_cpus(unsigned *ret)
{
        _cleanup_fclose_ FILE *f = fopen(POSSIBLE, "re");
        unsigned first, last, count = 0;
        int separator = ',';

        if (!f)
                return -errno;
        while (separator == ',' && fscanf(f, "%u", &first) == 1) {
                last = first;
                separator = fgetc(f);
                if (separator == '-') {
                        if (fscanf(f, "%u", &last) != 1)
                                return -EPROTO;
                        separator = fgetc(f);
                }
                if (last < first)
                        return -EPROTO;
                count += last - first + 1;
        }
        if (count == 0 || count > UINT16_MAX)
                return -EPROTO;
        *ret = count;
        return 0;
}

/* ---- more entries ----------------------------------------------------------------------------------- */

/* Told by a thread that has a request to serve, and may be of the idle class. */
static void on_queue_full(void *arg)
{
        struct uring *u = arg;
        int none = 0;

        if (atomic_compare_exchange_strong(&u->full, &none, 1))
                futex_wake(&u->full);
}

static void *grow_queues(void *arg)
{
        struct uring *u = arg;
        int full;

        pthread_setname_np(pthread_self(), "fuse-grow");
        while ((full = atomic_load(&u->full)) >= 0) {
                if (full == 0 || !atomic_compare_exchange_strong(&u->full, &full, 0)) {
                        futex_wait(&u->full, 0, NULL);
                        continue;
                }
                for (unsigned i = 0; i < u->n_queues; i++)
                        af_uring_queue_grow(&u->queues[i]);
        }
        return NULL;
}

static void stop_growing(struct uring *u)
{
        if (!u->has_grower)
                return;
        atomic_store(&u->full, -1);
        futex_wake(&u->full);
        pthread_join(u->grower, NULL);
}

/* ---- the transport ---------------------------------------------------------------------------------- */

static void uring_stop(struct af_transport *t)
{
        struct uring *u = (struct uring *)t;
        const uint64_t one = 1;
        ssize_t n = write(u->stop_fd, &one, sizeof(one));

        stop_growing(u);
        (void)n; /* a counter that is far from full takes it */
        for (unsigned i = 0; i < u->n_initialized; i++)
                af_uring_queue_stop(&u->queues[i]);
        /* Ring threads tell it of requests up to their end. */
        af_sched_free(u->sched);
}

static void uring_free(struct af_transport *t)
{
        struct uring *u = (struct uring *)t;

        for (unsigned i = 0; i < u->n_initialized; i++)
                af_uring_queue_destroy(&u->queues[i]);
        if (u->stop_fd >= 0)
                close(u->stop_fd);
        free(u->queues);
        free(u);
}

static const struct af_transport_ops uring_ops = { .stop = uring_stop, .free = uring_free };

int af_uring_prepare(int fuse_fd, const struct af_handler *handler, struct af_transport **ret)
{
        struct uring *u = calloc(1, sizeof(*u));
        int r;

        if (!u)
                return -ENOMEM;
        u->base.ops = &uring_ops;
        u->fuse_fd = fuse_fd;
        u->stop_fd = eventfd(0, EFD_CLOEXEC);
        r = u->stop_fd < 0 ? -errno : count_possible_cpus(&u->n_queues);
        if (r >= 0 && !(u->queues = calloc(u->n_queues, sizeof(*u->queues))))
                r = -ENOMEM;
        while (r >= 0 && u->n_initialized < u->n_queues) {
                unsigned cpu = u->n_initialized++;

                r = af_uring_queue_init(&u->queues[cpu], cpu, fuse_fd, u->stop_fd, handler, on_queue_full, u);
        }
        if (r < 0) {
                uring_free(&u->base);
                return r;
        }
        *ret = &u->base;
        return 0;
}

/* Registers an entry for a CPU that cannot be. */
static void turn_rings_off(int fuse_fd)
{
        const struct af_uring_cmd cmd = { .qid = UINT16_MAX };
        struct af_ring ring;
        struct io_uring_sqe *sqe;

        if (af_ring_init(&ring, 1) < 0)
                return;
        sqe = af_ring_command(&ring);
        sqe->opcode = IORING_OP_URING_CMD;
        sqe->fd = fuse_fd;
        sqe->cmd_op = AF_URING_REGISTER;
        memcpy(sqe->cmd, &cmd, sizeof(cmd));
        af_ring_submit(&ring);
        af_ring_destroy(&ring);
}

static void on_class_change(void *arg, unsigned cpu, enum af_sched_class class)
{
        struct uring *u = arg;

        af_uring_queue_set_class(&u->queues[cpu], class);
}

static void start_judging(struct uring *u)
{
        bool may_return = af_sched_may_return();

        /* Without a judge all threads stay in the normal class. */
        if (af_sched_new(u->n_queues, on_class_change, u, &u->sched) < 0)
                return;
        for (unsigned i = 0; i < u->n_queues; i++)
                af_uring_queue_schedule(&u->queues[i], u->sched, may_return);
}

int af_uring_start(struct af_transport *t)
{
        struct uring *u = (struct uring *)t;
        int r = 0;

        start_judging(u);
        for (unsigned i = 0; i < u->n_queues && r >= 0; i++)
                r = af_uring_queue_start(&u->queues[i]);
        u->has_grower = r >= 0 && pthread_create(&u->grower, NULL, grow_queues, u) == 0;
        if (r < 0)
                turn_rings_off(u->fuse_fd);
        return r;
}

unsigned af_uring_queues(const struct af_transport *t)
{
        return ((const struct uring *)t)->n_queues;
}
