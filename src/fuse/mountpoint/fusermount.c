/* SPDX-License-Identifier: MIT */
#include "fuse/mountpoint/fusermount.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define PROGRAM    "fusermount3"
#define COMMFD_ENV "_FUSE_COMMFD" /* the socket through which fusermount3 sends the mounted device */

extern char **environ;

/* Returns the environment with the socket's number added. To be freed by environment_free. NULL: no
 * memory. */
static char **environment_with(int socket)
{
        size_t n = 0;
        char **env;

        while (environ[n])
                n++;
        env = calloc(n + 2, sizeof(*env));
        if (!env)
                return NULL;
        if (asprintf(&env[0], COMMFD_ENV "=%d", socket) < 0) {
                free(env);
                return NULL;
        }
        memcpy(env + 1, environ, n * sizeof(*env));
        return env;
}

static void environment_free(char **env)
{
        if (!env)
                return;
        free(env[0]);
        free(env);
}

/* Reads FD to its end into OUT: the first line, truncated to CAP, without the name of the program. */
static void read_message(int fd, char *out, size_t cap)
{
        static const char prefix[] = PROGRAM ": ";
        char rest[256];
        size_t used = 0;
        ssize_t n;

        while (used < cap - 1 && (n = read(fd, out + used, cap - 1 - used)) > 0)
                used += (size_t)n;
        while (read(fd, rest, sizeof(rest)) > 0)
                ;
        out[used] = '\0';
        out[strcspn(out, "\n")] = '\0';
        if (strncmp(out, prefix, sizeof(prefix) - 1) == 0)
                memmove(out, out + sizeof(prefix) - 1, strlen(out + sizeof(prefix) - 1) + 1);
}

/* Runs fusermount3 and reads the first line of its stderr into MESSAGE. SOCKET: inherited, or -1. 0: it
 * succeeded; 1: it failed; negative: it could not be run. */
static int run(const char *const *argv, int socket, char *message, size_t cap, struct err_text *text)
{
        _cleanup_close_ int from = -1, to = -1;
        posix_spawn_file_actions_t actions;
        char **env = environ, **own_env = NULL;
        int pipe_fds[2], status, r;
        pid_t pid;

        if (pipe2(pipe_fds, O_CLOEXEC) < 0)
                return err_set(text, errno, "cannot make a pipe: %s", err_str(errno));
        from = pipe_fds[0];
        to = pipe_fds[1];
        if (socket >= 0 && !(env = own_env = environment_with(socket)))
                return err_set(text, ENOMEM, "out of memory");
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, to, STDERR_FILENO);
        if (socket >= 0) /* dup2 to the same number clears close-on-exec in the child */
                posix_spawn_file_actions_adddup2(&actions, socket, socket);
        r = posix_spawnp(&pid, PROGRAM, &actions, NULL, (char *const *)argv, env);
        posix_spawn_file_actions_destroy(&actions);
        environment_free(own_env);
        if (r == ENOENT)
                return err_set(text, ENOENT,
                               PROGRAM " is missing: install the package fuse3, or do this as "
                                       "root");
        if (r != 0)
                return err_set(text, r, "cannot run " PROGRAM ": %s", err_str(r));
        close(steal_fd(&to));
        read_message(from, message, cap);
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return err_set(text, errno, "cannot wait for " PROGRAM ": %s", err_str(errno));
        return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1;
}

static int receive_fd(int socket, int *ret)
{
        char byte;
        union {
                struct cmsghdr align;
                char buf[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
        struct msghdr msg = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = control.buf,
                .msg_controllen = sizeof(control.buf),
        };
        struct cmsghdr *c;

        if (recvmsg(socket, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0)
                return -EPROTO;
        c = CMSG_FIRSTHDR(&msg);
        if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
            c->cmsg_len != CMSG_LEN(sizeof(int)))
                return -EPROTO;
        memcpy(ret, CMSG_DATA(c), sizeof(*ret));
        return 0;
}

/* Returns the options in the syntax of fusermount3, with commas in the source escaped by backslashes. */
static char *format_options(const struct fuse_mount_opts *opts)
{
        static const struct {
                unsigned long flag;
                const char *set, *unset;
        } flags[] = {
                { MS_RDONLY, "ro", "rw" },       { MS_NOSUID, ",nosuid", ",suid" },
                { MS_NODEV, ",nodev", ",dev" },  { MS_NOEXEC, ",noexec", "" },
                { MS_SYNCHRONOUS, ",sync", "" }, { MS_DIRSYNC, ",dirsync", "" },
                { MS_NOATIME, ",noatime", "" },
        };
        char *out = NULL;
        size_t size;
        FILE *f = open_memstream(&out, &size);
        bool failed;

        if (!f)
                return NULL;
        for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
                fputs(opts->flags & flags[i].flag ? flags[i].set : flags[i].unset, f);
        fputs(",default_permissions", f);
        if (opts->allow_other)
                fputs(",allow_other", f);
        fputs(",subtype=ashlar,fsname=", f);
        for (const char *p = opts->source; *p; p++) {
                if (*p == ',' || *p == '\\')
                        fputc('\\', f);
                fputc(*p, f);
        }
        failed = ferror(f);
        if (fclose(f) != 0 || failed) {
                free(out);
                return NULL;
        }
        return out;
}

int fusermount_mount(const char *dir, const struct fuse_mount_opts *opts, int *ret, struct err_text *text)
{
        _cleanup_free_ char *options = format_options(opts);
        _cleanup_close_ int own = -1, child = -1;
        char message[256];
        int sockets[2], r;

        if (!options)
                return err_set(text, ENOMEM, "out of memory");
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
                return err_set(text, errno, "cannot make a socket: %s", err_str(errno));
        own = sockets[0];
        child = sockets[1];
        r = run((const char *[]){ PROGRAM, "-o", options, "--", dir, NULL }, child, message, sizeof(message),
                text);
        if (r < 0)
                return r;
        if (r == 0 && receive_fd(own, ret) == 0)
                return 0;
        return err_set(text, EPERM, "cannot mount at %s: %s", dir,
                       message[0] ? message : PROGRAM " failed without a message");
}

int fusermount_unmount(const char *dir, bool lazy, struct err_text *text)
{
        const char *const plain[] = { PROGRAM, "-u", "--", dir, NULL };
        const char *const detach[] = { PROGRAM, "-u", "-z", "--", dir, NULL };
        char message[256];
        int r;

        r = run(lazy ? detach : plain, -1, message, sizeof(message), text);
        if (r <= 0)
                return r;
        return err_set(text, strstr(message, "busy") ? EBUSY : EPERM, "cannot unmount %s: %s", dir,
                       message[0] ? message : PROGRAM " failed without a message");
}
