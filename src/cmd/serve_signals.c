#include "serve_signals.h"

#include "log.h"
#include "mountpoint.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define GRACE_S 5

struct serve_signals {
        const char *dir;
        struct af_server *server;
        pthread_t thread;
        atomic_bool served; /* af_serve returned */
};

static void signals_handled(sigset_t *set)
{
        sigemptyset(set);
        sigaddset(set, SIGTERM);
        sigaddset(set, SIGINT);
        sigaddset(set, SIGHUP);
}

void serve_signals_block(void)
{
        sigset_t set;

        signals_handled(&set);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
        signal(SIGPIPE, SIG_IGN);
        signal(SIGXFSZ, SIG_IGN); /* a store that reaches the limit of a file's size is full */
}

/* Pages that were changed through mmap(2) reach us only when the kernel writes them back. */
static void flush_pages(const char *dir)
{
        int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return;
        syncfs(fd);
        close(fd);
}

static void unmount(struct serve_signals *x, const sigset_t *set)
{
        struct timespec grace = { .tv_sec = GRACE_S };
        struct err_text text;
        int r = af_unmount(x->dir, false, &text);

        if (r == -EBUSY) {
                log_warning("%s is in use: detached; open files are cut off in %d seconds, or by a second "
                            "signal", x->dir, GRACE_S);
                flush_pages(x->dir);
                r = af_unmount(x->dir, true, &text);
        }
        if (r < 0)
                log_warning("%s", text.text);
        /* After an unmount af_serve returns by itself, unless a copy of the mount lives on in another
         * namespace. */
        sigtimedwait(set, NULL, &grace);
        af_stop(x->server);
}

static void *wait_for_signals(void *arg)
{
        struct serve_signals *x = arg;
        sigset_t set;
        int sig;

        signals_handled(&set);
        /* The last signal is serve_signals_stop's, which unmount() may have taken for a second one. */
        while (!atomic_load(&x->served) && sigwait(&set, &sig) == 0) {
                if (atomic_load(&x->served))
                        break;
                log_info("%s: unmounting %s", strsignal(sig), x->dir);
                unmount(x, &set);
        }
        return NULL;
}

int serve_signals_start(const char *dir, struct af_server *s, struct serve_signals **ret)
{
        struct serve_signals *x = calloc(1, sizeof(*x));
        int r;

        if (!x)
                return -ENOMEM;
        x->dir = dir;
        x->server = s;
        r = pthread_create(&x->thread, NULL, wait_for_signals, x);
        if (r != 0) {
                free(x);
                return -r;
        }
        *ret = x;
        return 0;
}

void serve_signals_stop(struct serve_signals *x)
{
        if (!x)
                return;
        atomic_store(&x->served, true);
        pthread_kill(x->thread, SIGTERM);
        pthread_join(x->thread, NULL);
        free(x);
}
