/* SPDX-License-Identifier: MIT */
#include "mount/socket.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

/* How many programs may be connected; more are refused. */
#define PEERS_MAX 64

/* How often a name in use is tried again, and after how long. */
#define LISTEN_TRIES    50
#define LISTEN_PAUSE_MS 10

/* A name in the abstract namespace begins with a zero byte. Returns the length. */
static socklen_t address(const char *name, struct sockaddr_un *ret)
{
        size_t n = strlen(name);

        *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
        memcpy(ret->sun_path + 1, name, n);
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n);
}

static int open_socket(int flags)
{
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

        return fd < 0 ? -errno : fd;
}

static int bind_name(int fd, const char *name)
{
        struct sockaddr_un at;
        socklen_t len = address(name, &at);

        for (int i = 0; bind(fd, (const struct sockaddr *)&at, len) < 0; i++) {
                if (errno != EADDRINUSE || i == LISTEN_TRIES)
                        return -errno;
                nanosleep(&(struct timespec){ .tv_nsec = LISTEN_PAUSE_MS * 1000000 }, NULL);
        }
        return 0;
}

int mount_socket_listen(const char *name, int *ret)
{
        _cleanup_close_ int fd = open_socket(0);
        int r;

        if (fd < 0)
                return fd;
        r = bind_name(fd, name);
        if (r < 0)
                return r;
        if (listen(fd, PEERS_MAX) < 0)
                return -errno;
        *ret = steal_fd(&fd);
        return 0;
}

int mount_socket_peer(int fd, uid_t *ret)
{
        struct ucred peer;
        socklen_t len = sizeof(peer);

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
                return -errno;
        *ret = peer.uid;
        return 0;
}

int mount_socket_connect(const char *name, uid_t owner, int *ret)
{
        _cleanup_close_ int fd = open_socket(SOCK_NONBLOCK);
        struct sockaddr_un at;
        socklen_t len = address(name, &at);
        uid_t peer;
        int r;

        if (fd < 0)
                return fd;
        if (connect(fd, (const struct sockaddr *)&at, len) < 0)
                return -errno;
        r = mount_socket_peer(fd, &peer);
        if (r < 0)
                return r;
        if (peer != owner && peer != 0)
                return -EPERM;
        *ret = steal_fd(&fd);
        return 0;
}
