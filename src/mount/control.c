/* SPDX-License-Identifier: MIT */
#include "mount/control.h"

#include "base/cleanup.h"
#include "base/thread.h"
#include "mount/socket.h"

#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>

#define NAME_SIZE   64
#define REQUEST_MAX 256

/* How long a connected program may take to send its request. */
#define REQUEST_TIMEOUT_MS 2000

static void name_of(dev_t dev, char ret[NAME_SIZE])
{
        snprintf(ret, NAME_SIZE, "ashlar-control-%u:%u", major(dev), minor(dev));
}

/* Reads until the other end has shut down its direction: *RET ends with a zero byte. TIMEOUT_MS (-1: no
 * limit) is for each part. Negative errno. */
static int receive(int fd, char *ret, size_t cap, int timeout_ms)
{
        size_t used = 0;

        while (used < cap - 1) {
                struct pollfd wait = { .fd = fd, .events = POLLIN };
                ssize_t n;

                if (poll(&wait, 1, timeout_ms) == 0)
                        return -ETIMEDOUT;
                n = recv(fd, ret + used, cap - 1 - used, 0);
                if (n < 0 && (errno == EINTR || errno == EAGAIN))
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                used += (size_t)n;
        }
        ret[used] = '\0';
        return (int)used;
}

/* ---- the mount process ---------------------------------------------------------------------------- */

struct mount_control {
        int listener, stop; /* a socket and an eventfd */
        pthread_t thread;
        mount_control_fn fn;
        void *arg;
};

/* The answer is one zero byte, or the text of an error. */
static void answer(struct mount_control *c, int fd)
{
        char request[REQUEST_MAX];
        struct err_text text = { "not permitted" };
        uid_t peer;
        int r = mount_socket_peer(fd, &peer);

        if (r < 0 || (peer != 0 && peer != geteuid()))
                r = -EPERM;
        else if (receive(fd, request, sizeof(request), REQUEST_TIMEOUT_MS) < 0)
                return;
        else
                r = c->fn(request, c->arg, &text);
        if (send(fd, r < 0 ? text.text : "", r < 0 ? strlen(text.text) : 1, MSG_NOSIGNAL) < 0)
                return; /* the program is gone */
}

static void *control_main(void *arg)
{
        struct mount_control *c = arg;
        struct pollfd fds[] = {
                { .fd = c->listener, .events = POLLIN },
                { .fd = c->stop, .events = POLLIN },
        };

        for (;;) {
                _cleanup_close_ int fd = -1;

                if (poll(fds, 2, -1) < 0)
                        continue;
                if (fds[1].revents)
                        return NULL;
                fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC);
                if (fd >= 0)
                        answer(c, fd);
        }
}

static void control_free(struct mount_control *c)
{
        close_ptr(&c->listener);
        close_ptr(&c->stop);
        free(c);
}

DEFINE_CLEANUP(struct mount_control, control_free);

int mount_control_start(dev_t dev, mount_control_fn fn, void *arg, struct mount_control **ret)
{
        _cleanup_(control_free_ptr) struct mount_control *c = calloc(1, sizeof(*c));
        char name[NAME_SIZE];
        int r;

        if (!c)
                return -ENOMEM;
        *c = (struct mount_control){ .listener = -1, .stop = -1, .fn = fn, .arg = arg };
        name_of(dev, name);
        r = mount_socket_listen(name, &c->listener);
        if (r < 0)
                return r;
        c->stop = eventfd(0, EFD_CLOEXEC);
        if (c->stop < 0)
                return -errno;
        r = thread_start(&c->thread, control_main, c);
        if (r < 0)
                return r;
        *ret = steal_ptr(c);
        return 0;
}

void mount_control_stop(struct mount_control *c)
{
        if (!c)
                return;
        eventfd_write(c->stop, 1);
        pthread_join(c->thread, NULL);
        control_free(c);
}

/* ---- other programs ------------------------------------------------------------------------------- */

int mount_control_call(dev_t dev, uid_t owner, const char *request, struct err_text *text)
{
        _cleanup_close_ int fd = -1;
        char name[NAME_SIZE];
        struct err_text why;
        int r;

        name_of(dev, name);
        r = mount_socket_connect(name, owner, &fd);
        if (r < 0)
                return err_set(text, -r, "the process that serves the mount cannot be reached: %s",
                               err_str(r));
        /* A refusal may come before the request is read: it is received below. */
        if (send(fd, request, strlen(request), MSG_NOSIGNAL) >= 0)
                shutdown(fd, SHUT_WR);
        r = receive(fd, why.text, sizeof(why.text), -1);
        if (r <= 0)
                return err_set(text, EIO, "the process that serves the mount has ended");
        return why.text[0] ? err_set(text, EIO, "%s", why.text) : 0;
}
