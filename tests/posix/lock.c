/* SPDX-License-Identifier: MIT */
/* fcntl, OFD and flock locks between the programs of one mount. */
#include "posix.h"

#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

static int set(int fd, int cmd, short type, off_t start, off_t len)
{
        struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };

        return fcntl(fd, cmd, &l);
}

static void conflicting(void *arg)
{
        struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 5, .l_len = 1 };
        int fd = OK(open("f", O_RDWR));

        FAILS(set(fd, F_SETLK, F_WRLCK, 0, 10), EAGAIN);
        FAILS(set(fd, F_SETLK, F_RDLCK, 9, 1), EAGAIN);
        OK(set(fd, F_SETLK, F_WRLCK, 10, 0));
        OK(fcntl(fd, F_GETLK, &l));
        EQUAL(l.l_type, F_WRLCK);
        EQUAL(l.l_start, 0);
        EQUAL(l.l_len, 10);
        EQUAL(l.l_pid, getppid());
}

static void ranges_conflict(void)
{
        int fd = OK(open("f", O_RDWR | O_CREAT, 0666));

        OK(set(fd, F_SETLK, F_WRLCK, 0, 10));
        as_user(0, conflicting, NULL);
        OK(close(OK(open("f", O_RDONLY)))); /* POSIX: closing any descriptor drops the process's locks */
        OK(chmod("f", 0666));
}

static void take_all(void *arg)
{
        OK(set(OK(open("f", O_RDWR)), F_SETLK, F_WRLCK, 0, 0));
}

static void closing_any_descriptor_unlocks(void)
{
        int fd = OK(open("f", O_RDWR | O_CREAT, 0666));

        OK(set(fd, F_SETLK, F_WRLCK, 0, 0));
        OK(close(OK(open("f", O_RDONLY))));
        as_user(0, take_all, NULL);
}

static void split_and_merge(void)
{
        int fd = OK(open("f", O_RDWR | O_CREAT, 0666));
        pid_t pid;
        int status;

        OK(set(fd, F_SETLK, F_WRLCK, 0, 30));
        OK(set(fd, F_SETLK, F_UNLCK, 10, 10));
        OK(set(fd, F_SETLK, F_RDLCK, 25, 5));
        pid = OK(fork());
        if (pid == 0) {
                FAILS(set(fd, F_SETLK, F_RDLCK, 0, 1), EAGAIN);
                OK(set(fd, F_SETLK, F_WRLCK, 10, 10));
                FAILS(set(fd, F_SETLK, F_RDLCK, 20, 1), EAGAIN);
                OK(set(fd, F_SETLK, F_RDLCK, 25, 5));
                FAILS(set(fd, F_SETLK, F_WRLCK, 25, 5), EAGAIN);
                _exit(0);
        }
        OK(waitpid(pid, &status, 0));
        EQUAL(status, 0);
}

static void open_file_descriptions(void)
{
        int a = OK(open("f", O_RDWR | O_CREAT, 0666)), b = OK(open("f", O_RDWR)), c = OK(dup(a));

        OK(set(a, F_OFD_SETLK, F_WRLCK, 0, 0));
        FAILS(set(b, F_OFD_SETLK, F_RDLCK, 0, 1), EAGAIN);
        OK(close(a));
        FAILS(set(b, F_OFD_SETLK, F_RDLCK, 0, 1), EAGAIN);
        OK(close(c));
        OK(set(b, F_OFD_SETLK, F_RDLCK, 0, 1));
}

static void flocks(void)
{
        int a = OK(open("f", O_RDWR | O_CREAT, 0666)), b = OK(open("f", O_RDONLY));

        OK(flock(a, LOCK_EX));
        FAILS(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
        OK(flock(a, LOCK_SH));
        OK(flock(b, LOCK_SH | LOCK_NB));
        FAILS(flock(a, LOCK_EX | LOCK_NB), EWOULDBLOCK);
        OK(close(b));
        OK(flock(a, LOCK_EX | LOCK_NB));
}

static void on_alarm(int sig)
{
        (void)sig;
}

static void wait_interrupted(void *arg)
{
        struct sigaction act = { .sa_handler = on_alarm };
        int fd = OK(open("f", O_RDWR));

        OK(sigaction(SIGALRM, &act, NULL));
        ualarm(50000, 20000);
        FAILS(set(fd, F_SETLKW, F_WRLCK, 0, 0), EINTR);
}

static void waiting_is_interrupted(void)
{
        int fd = OK(open("f", O_RDWR | O_CREAT, 0666));

        OK(set(fd, F_SETLK, F_WRLCK, 0, 0));
        as_user(0, wait_interrupted, NULL);
}

static void waiting_ends_with_the_unlock(void)
{
        int fd = OK(open("f", O_RDWR | O_CREAT, 0666)), status;
        pid_t pid;

        OK(set(fd, F_SETLK, F_WRLCK, 0, 0));
        pid = OK(fork());
        if (pid == 0) {
                OK(set(fd, F_SETLKW, F_WRLCK, 0, 0));
                _exit(0);
        }
        usleep(50000);
        EQUAL(waitpid(pid, &status, WNOHANG), 0);
        OK(set(fd, F_SETLK, F_UNLCK, 0, 0));
        OK(waitpid(pid, &status, 0));
        EQUAL(status, 0);
}

static const struct posix_test tests[] = {
        { "ranges_conflict", ranges_conflict },
        { "closing_any_descriptor_unlocks", closing_any_descriptor_unlocks },
        { "split_and_merge", split_and_merge },
        { "open_file_descriptions", open_file_descriptions },
        { "flocks", flocks },
        { "waiting_is_interrupted", waiting_is_interrupted },
        { "waiting_ends_with_the_unlock", waiting_ends_with_the_unlock },
        { NULL, NULL },
};

const struct posix_group posix_lock = { "lock", tests };
