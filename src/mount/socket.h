/* SPDX-License-Identifier: MIT */
/* Sockets by which other programs reach a mount process. Their names are in the abstract namespace, which
 * needs no writable directory. */
#ifndef MOUNT_SOCKET_H
#define MOUNT_SOCKET_H

#include <sys/types.h>

/* Listens at NAME, of up to 100 characters. The name may be in use by a process that is ending, which is
 * waited for. Negative errno. */
int mount_socket_listen(const char *name, int *ret);

/* Connects to the process that listens at NAME, if it belongs to OWNER or root: any user may take a name.
 * *RET does not block. Negative errno: ECONNREFUSED: there is none, EPERM: it is another user's. */
int mount_socket_connect(const char *name, uid_t owner, int *ret);

/* The user of the process at the other end of FD. Negative errno. */
int mount_socket_peer(int fd, uid_t *ret);

#endif
