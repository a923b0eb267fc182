/* SPDX-License-Identifier: MIT */
/* The transport over io_uring: a queue for each CPU (uring_queue.h).
 *
 * After a reply to INIT that enables rings the kernel holds all requests back until the queue of every
 * possible CPU, online or not, has an entry. So everything that can fail precedes that reply. If the
 * registration fails nevertheless, a registration that the kernel must refuse turns rings off for this
 * connection.
 */
#include "fuse/transport/transport.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "fuse/transport/kernel_abi.h"
#include "fuse/transport/mapped.h"
#include "fuse/transport/ring.h"
#include "fuse/transport/uring_queue.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#define POSSIBLE "/sys/devices/system/cpu/possible"

/* Entries of all CPUs together, and the bounds of the share of one CPU. The total is what limits the
 * requests that can wait for a disk at the same time. */
#define ENTRIES         128u
#define ENTRIES_CPU_MAX 16u

struct uring {
        struct fuse_transport base;
        int fuse_fd, stop_fd;
        unsigned n_queues, n_initialized;
        struct fuse_uring_queue *queues;
        struct fuse_cpu_monitor *monitor; /* NULL: all threads stay in the normal class */
};

/* The file has ranges, as in "0-3,8". */
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

/* ---- the transport ---------------------------------------------------------------------------------- */

static void uring_stop(struct fuse_transport *t)
{
        struct uring *u = (struct uring *)t;
        const uint64_t one = 1;
        ssize_t n = write(u->stop_fd, &one, sizeof(one));

        (void)n; /* cannot fail: the counter is far from its limit */
        for (unsigned i = 0; i < u->n_initialized; i++)
                fuse_uring_queue_stop(&u->queues[i]);
        /* Last: ring threads use it until they end. */
        fuse_cpu_monitor_free(u->monitor);
}

static void uring_free(struct fuse_transport *t)
{
        struct uring *u = (struct uring *)t;

        for (unsigned i = 0; i < u->n_initialized; i++)
                fuse_uring_queue_destroy(&u->queues[i]);
        if (u->stop_fd >= 0)
                close(u->stop_fd);
        free(u->queues);
        free(u);
}

static const struct fuse_transport_ops uring_ops = { .stop = uring_stop, .free = uring_free };

static unsigned entries_of_cpu(unsigned n_cpus)
{
        unsigned share = ENTRIES / n_cpus;

        if (share < FUSE_URING_ENTRIES_MIN)
                return FUSE_URING_ENTRIES_MIN;
        return share < ENTRIES_CPU_MAX ? share : ENTRIES_CPU_MAX;
}

/* Raises the limit of descriptors: each ring is one, and there may be hundreds of CPUs. */
static void allow_descriptors(unsigned more)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
                return;
        limit.rlim_cur = limit.rlim_max - limit.rlim_cur < more ? limit.rlim_max : limit.rlim_cur + more;
        setrlimit(RLIMIT_NOFILE, &limit);
}

/* U is freed also after an error. */
static int uring_init(struct uring *u, const struct fuse_handler *handler)
{
        unsigned n_entries;
        int r;

        u->stop_fd = eventfd(0, EFD_CLOEXEC);
        if (u->stop_fd < 0)
                return -errno;
        r = count_possible_cpus(&u->n_queues);
        if (r < 0)
                return r;
        u->queues = calloc(u->n_queues, sizeof(*u->queues));
        if (!u->queues)
                return -ENOMEM;
        n_entries = entries_of_cpu(u->n_queues);
        allow_descriptors(u->n_queues * n_entries);
        while (u->n_initialized < u->n_queues) {
                unsigned cpu = u->n_initialized++;

                r = fuse_uring_queue_init(&u->queues[cpu], cpu, n_entries, u->fuse_fd, u->stop_fd, handler);
                if (r < 0)
                        return r;
        }
        return 0;
}

int fuse_uring_prepare(int fuse_fd, const struct fuse_handler *handler, struct fuse_transport **ret)
{
        struct uring *u = calloc(1, sizeof(*u));
        int r;

        if (!u)
                return -ENOMEM;
        fuse_mapped_init();
        u->base.ops = &uring_ops;
        u->fuse_fd = fuse_fd;
        r = uring_init(u, handler);
        if (r < 0) {
                uring_free(&u->base);
                return r;
        }
        *ret = &u->base;
        return 0;
}

/* Registers an entry for a CPU that does not exist. Not once rings are in use: if the module parameter
 * were switched off later, the kernel would refuse the replies to requests from rings. */
static void turn_rings_off(int fuse_fd)
{
        const struct abi_uring_cmd cmd = { .qid = UINT16_MAX };
        struct fuse_ring ring;
        struct io_uring_sqe *sqe;

        if (fuse_ring_init(&ring, 1) < 0)
                return;
        sqe = fuse_ring_command(&ring);
        sqe->opcode = IORING_OP_URING_CMD;
        sqe->fd = fuse_fd;
        sqe->cmd_op = ABI_URING_REGISTER;
        memcpy(sqe->cmd, &cmd, sizeof(cmd));
        fuse_ring_submit(&ring);
        fuse_ring_destroy(&ring);
}

static void on_class_change(void *arg, unsigned cpu, enum fuse_sched_class class)
{
        struct uring *u = arg;

        fuse_uring_queue_set_class(&u->queues[cpu], class);
}

static void start_monitor(struct uring *u)
{
        bool may_return = fuse_sched_may_return();

        /* On an error all threads stay in the normal class. */
        if (fuse_cpu_monitor_new(u->n_queues, may_return, on_class_change, u, &u->monitor) < 0)
                return;
        for (unsigned i = 0; i < u->n_queues; i++)
                fuse_uring_queue_monitor(&u->queues[i], u->monitor, may_return);
}

int fuse_uring_start(struct fuse_transport *t)
{
        struct uring *u = (struct uring *)t;
        int r = 0;

        start_monitor(u);
        for (unsigned i = 0; i < u->n_queues && r >= 0; i++)
                r = fuse_uring_queue_start(&u->queues[i]);
        if (r < 0)
                turn_rings_off(u->fuse_fd);
        return r;
}

unsigned fuse_uring_queues(const struct fuse_transport *t)
{
        return ((const struct uring *)t)->n_queues;
}
