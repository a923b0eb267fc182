/* SPDX-License-Identifier: MIT */
/* An entry: its commands, the request in its buffers, and the reply. */
#include "fuse/transport/uring_worker.h"

#include "base/futex.h"
#include "base/log.h"
#include "fuse/transport/mapped.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>

/* In front of the payload, for the headers of the request. */
#define HEADROOM_BYTES 4096u
#define BUFFER_BYTES   (HEADROOM_BYTES + FUSE_IO_BYTES)

/* Commands of a ring: the entry, the poll of stop_fd, and as many that replace them. */
#define RING_ENTRIES 4u

enum { TAG_ENTRY = 1, TAG_STOP };

/* ---- replies ------------------------------------------------------------------------------------------- */

/* Copies the reply into the entry's buffers; only the thread that owns the ring can send it. The data may
 * lie in a mapped file. -EIO: it is longer than the payload buffer, or cannot be read. */
static int copy_reply(struct uring_worker *w, const struct iovec *iov, int n, size_t *ret_len)
{
        size_t used = 0;

        for (int i = 0; i < n; i++) {
                if (iov[i].iov_len > FUSE_IO_BYTES - used)
                        return -EIO;
                if (fuse_mapped_copy(w->payload + used, iov[i].iov_base, iov[i].iov_len) < 0)
                        return -EIO;
                used += iov[i].iov_len;
        }
        *ret_len = used;
        return 0;
}

static void send_reply(struct fuse_channel *channel, uint64_t unique, int error, const struct iovec *iov,
                       int n)
{
        struct uring_worker *w = (struct uring_worker *)channel;
        struct fuse_out_header out = { .error = -error, .unique = unique };
        size_t len = 0;

        if (copy_reply(w, iov, n, &len) < 0)
                out.error = -EIO;
        out.len = (uint32_t)(sizeof(out) + len);
        memcpy(w->header.in_out, &out, sizeof(out));
        w->header.in_out_sizes.payload_sz = (uint32_t)len;
        if (pthread_equal(pthread_self(), w->server)) {
                atomic_store_explicit(&w->replied, 1, memory_order_relaxed);
                return;
        }
        atomic_store_explicit(&w->replied, 1, memory_order_release);
        futex_wake(&w->replied);
}

static void wait_for_reply(struct uring_worker *w)
{
        while (!atomic_load_explicit(&w->replied, memory_order_acquire))
                futex_wait(&w->replied, 0, NULL);
}

/* ---- commands ------------------------------------------------------------------------------------------ */

static void put_command(struct uring_worker *w, uint32_t op, uint64_t commit_id)
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

static void poll_stop_fd(struct uring_worker *w)
{
        struct io_uring_sqe *sqe = fuse_ring_command(&w->ring);

        sqe->opcode = IORING_OP_POLL_ADD;
        sqe->fd = w->queue->stop_fd;
        sqe->poll32_events = POLLIN;
        sqe->user_data = TAG_STOP;
}

/* Whether a command failed with ERR because the connection has ended. The error depends on the stage of
 * the unmount, and a reply may be too late for an aborted request (ENOENT); POLLERR distinguishes these from
 * other errors. */
static bool has_ended(const struct uring_worker *w, int err)
{
        struct pollfd p = { .fd = w->queue->fuse_fd };

        if (err == -ENOTCONN || err == -ECONNABORTED)
                return true;
        return poll(&p, 1, 0) == 1 && (p.revents & POLLERR);
}

int fuse_uring_entry_wait(struct uring_worker *w)
{
        uint64_t tag;
        int result, r;

        for (;;) {
                while (fuse_ring_completion(&w->ring, &tag, &result)) {
                        if (result < 0)
                                return has_ended(w, result) ? 0 : result;
                        if (tag == TAG_ENTRY)
                                return 1;
                        fuse_ring_submit(&w->ring); /* the last reply may not be submitted yet */
                        return 0;
                }
                r = fuse_ring_wait(&w->ring);
                if (r < 0 && r != -EINTR && r != -EAGAIN && r != -EBUSY)
                        return r;
        }
}

int fuse_uring_entry_register(struct uring_worker *w)
{
        uint64_t tag;
        int result, r;

        poll_stop_fd(w);
        put_command(w, ABI_URING_REGISTER, 0);
        do
                r = fuse_ring_submit(&w->ring);
        while (r >= 0 ? w->ring.to_submit > 0 : r == -EINTR || r == -EAGAIN);
        if (r < 0)
                return r;
        /* The kernel completes a command that it refuses at once, and others with a request, which stays
         * in the ring for fuse_uring_entry_wait. */
        if (fuse_ring_peek(&w->ring, &tag, &result) && tag == TAG_ENTRY && result < 0)
                return result;
        return 0;
}

/* ---- requests ------------------------------------------------------------------------------------------ */

/* Puts the headers right in front of the payload, which is not copied. Returns the request, or NULL if its
 * sizes contradict each other. */
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

static void reject(struct uring_worker *w)
{
        struct fuse_in_header in;

        memcpy(&in, w->header.in_out, sizeof(in));
        log_warning("a request of %u bytes with %u bytes of payload is invalid", in.len,
                    w->header.in_out_sizes.payload_sz);
        send_reply(&w->channel, in.unique, EIO, NULL, 0);
}

void fuse_uring_entry_serve(struct uring_worker *w)
{
        const struct fuse_handler *handler = &w->queue->handler;
        size_t len;
        const void *request = assemble(w, &len);

        w->server = pthread_self();
        atomic_store_explicit(&w->replied, 0, memory_order_relaxed);
        if (request) {
                handler->request(handler->arg, &w->channel, request, len);
                wait_for_reply(w);
        } else {
                reject(w);
        }
        put_command(w, ABI_URING_COMMIT_AND_FETCH, w->header.in_out_sizes.commit_id);
}

/* ---- creating an entry --------------------------------------------------------------------------------- */

int fuse_uring_entry_init(struct uring_worker *w, struct fuse_uring_queue *q)
{
        void *buffer;
        int r;

        w->channel.send = send_reply;
        w->channel.deferred_max = FUSE_URING_ENTRIES_MIN - 1;
        w->queue = q;
        r = fuse_ring_init(&w->ring, RING_ENTRIES);
        if (r < 0)
                return r;
        buffer = mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                      -1, 0);
        if (buffer == MAP_FAILED)
                return -errno;
        /* Most requests use a page or two of it. */
        madvise(buffer, BUFFER_BYTES, MADV_NOHUGEPAGE);
        w->buffer = buffer;
        w->payload = (uint8_t *)buffer + HEADROOM_BYTES;
        w->iov[0] = (struct iovec){ .iov_base = &w->header, .iov_len = sizeof(w->header) };
        w->iov[1] = (struct iovec){ .iov_base = w->payload, .iov_len = FUSE_IO_BYTES };
        return 0;
}

void fuse_uring_entry_destroy(struct uring_worker *w)
{
        fuse_ring_destroy(&w->ring);
        if (w->buffer)
                munmap(w->buffer, BUFFER_BYTES);
}
