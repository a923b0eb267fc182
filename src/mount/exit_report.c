/* SPDX-License-Identifier: MIT */
#include "mount/exit_report.h"

#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* How many programs may be connected; more are refused. */
#define PEERS_MAX 64

/* A mount of the same store at the same place that is ending may still have the name. */
#define LISTEN_TRIES    50
#define LISTEN_PAUSE_MS 10

/* FNV-1a, because paths are longer than the name of a socket. After a collision the second mount has no socket. */
static uint64_t hash(uint64_t h, const char *s)
{
        do
                h = (h ^ (uint8_t)*s) * UINT64_C(0x100000001b3);
        while (*s++);
        return h;
}

/* Makes a name in the abstract namespace: the first byte is zero. Returns the length. */
static socklen_t address(const char *url, const char *dir, struct sockaddr_un *ret)
{
        uint64_t h = hash(hash(UINT64_C(0xcbf29ce484222325), url), dir);
        int n;

        *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
        n = snprintf(ret->sun_path + 1, sizeof(ret->sun_path) - 1, "ashlar-%016llx", (unsigned long long)h);
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

static int open_socket(int flags)
{
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

        return fd < 0 ? -errno : fd;
}

int exit_report_listen(const char *url, const char *dir, int *ret)
{
        struct sockaddr_un name;
        socklen_t len = address(url, dir, &name);
        int fd = open_socket(0), r = 0;

        if (fd < 0)
                return fd;
        for (int i = 0; i < LISTEN_TRIES; i++) {
                r = bind(fd, (const struct sockaddr *)&name, len) < 0 ? -errno : 0;
                if (r != -EADDRINUSE)
                        break;
                nanosleep(&(struct timespec){ .tv_nsec = LISTEN_PAUSE_MS * 1000000 }, NULL);
        }
        if (r >= 0 && listen(fd, PEERS_MAX) < 0)
                r = -errno;
        if (r < 0) {
                close(fd);
                return r;
        }
        *ret = fd;
        return 0;
}

void exit_report_send(int fd, const char *text)
{
        if (fd < 0)
                return;
        for (;;) {
                struct pollfd waiting = { .fd = fd, .events = POLLIN };
                int peer;

                if (poll(&waiting, 1, 0) <= 0)
                        break;
                peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
                if (peer < 0)
                        break;
                /* A zero byte, or the text without one; it fits into the socket's buffer. */
                if (send(peer, text ? text : "", text ? strlen(text) : 1, MSG_NOSIGNAL) < 0)
                        log_debug("a report was not received: %s", err_str(errno));
                close(peer);
        }
        close(fd);
}

int exit_report_connect(const char *url, const char *dir, uid_t owner, int *ret)
{
        struct sockaddr_un name;
        socklen_t len = address(url, dir, &name), peer_len = sizeof(struct ucred);
        struct ucred peer;
        int fd = open_socket(SOCK_NONBLOCK), r = 0; /* fails if the queue is full, does not wait */

        if (fd < 0)
                return fd;
        if (connect(fd, (const struct sockaddr *)&name, len) < 0 ||
            getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_len) < 0)
                r = -errno;
        else if (peer.uid != owner && peer.uid != 0)
                r = -EPERM; /* any user may take a name */
        if (r < 0) {
                close(fd);
                return r;
        }
        *ret = fd;
        return 0;
}

int exit_report_receive(int fd, int timeout_ms, struct err_text *text)
{
        struct pollfd waiting = { .fd = fd, .events = POLLIN };
        size_t used = 0;
        ssize_t n;
        int r = poll(&waiting, 1, timeout_ms);

        if (r == 0 || (r < 0 && errno == EINTR))
                return -EAGAIN;
        do {
                n = read(fd, text->text + used, sizeof(text->text) - 1 - used);
                if (n > 0)
                        used += (size_t)n;
        } while ((n > 0 && used < sizeof(text->text) - 1) || (n < 0 && errno == EINTR));
        text->text[used] = '\0';
        if (used == 0)
                return -ECONNRESET;
        return text->text[0] == '\0' ? 0 : -EIO;
}
