/* SPDX-License-Identifier: MIT */
#include "mount/exit_report.h"

#include "base/log.h"
#include "mount/socket.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NAME_SIZE 64

/* FNV-1a, because paths are longer than the name of a socket. After a collision the second mount has no
 * socket. */
static uint64_t hash(uint64_t h, const char *s)
{
        do
                h = (h ^ (uint8_t)*s) * UINT64_C(0x100000001b3);
        while (*s++);
        return h;
}

static void name_of(const char *url, const char *dir, char ret[NAME_SIZE])
{
        uint64_t h = hash(hash(UINT64_C(0xcbf29ce484222325), url), dir);

        snprintf(ret, NAME_SIZE, "ashlar-%016llx", (unsigned long long)h);
}

int exit_report_listen(const char *url, const char *dir, int *ret)
{
        char name[NAME_SIZE];

        name_of(url, dir, name);
        return mount_socket_listen(name, ret);
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
        char name[NAME_SIZE];

        name_of(url, dir, name);
        return mount_socket_connect(name, owner, ret);
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
