/* SPDX-License-Identifier: MIT */
#include "mount/signals.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "fuse/mountpoint/mountpoint.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* How long programs may keep files open after a signal. */
#define GRACE_S 5

/* How long the store does not answer before that is logged, and before a signal means to give it up. */
#define QUIET_NS (UINT64_C(3) * 1000000000)
/* Interval at which the store is checked, once the end has begun. */
#define CHECK_MS 100

enum phase { SERVING, ENDING, OVER };

struct mount_signals {
        struct mount_signals_opts o;
        int signals, wake; /* a signalfd, and an eventfd for a new phase */
        pthread_t thread, unmounter;
        _Atomic uint64_t unmounted_ns; /* when UNMOUNTER ended; 0: not yet */

        struct lock lock; /* protects what follows */
        enum phase phase;
        bool unmounting; /* UNMOUNTER was started */

        /* Of the thread alone. */
        uint64_t began_ns; /* when the end began, by a signal or by itself; 0: not yet */
        bool stopped;      /* fuse_stop was called */
        bool warned;       /* the log says that the store does not answer */
        bool asked;        /* a signal asks to give it up */
        bool given_up;
};

static uint64_t now_ns(void)
{
        return clock_system.monotonic_ns(&clock_system);
}

static void signals_handled(sigset_t *set)
{
        sigemptyset(set);
        sigaddset(set, SIGTERM);
        sigaddset(set, SIGINT);
        sigaddset(set, SIGHUP);
}

void mount_signals_block(void)
{
        sigset_t set;

        signals_handled(&set);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
        signal(SIGPIPE, SIG_IGN);
        signal(SIGXFSZ, SIG_IGN); /* a store that reaches the limit of a file's size is full */
}

/* ---- unmounting ---------------------------------------------------------------------------------- */

/* Pages changed through mmap(2) reach this process only when the kernel writes them back. */
static void flush_pages(const char *dir)
{
        int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return;
        syncfs(fd);
        close(fd);
}

/* Runs in a separate thread, because the kernel may wait for answers of this process. */
static void *unmount(void *arg)
{
        struct mount_signals *x = arg;
        struct err_text text;
        int r = fuse_unmount(x->o.dir, false, &text);

        if (r == -EBUSY) {
                log_warning("%s is in use: detached; open files are cut off in %d seconds, or by a second "
                            "signal",
                            x->o.dir, GRACE_S);
                flush_pages(x->o.dir);
                r = fuse_unmount(x->o.dir, true, &text);
        }
        if (r < 0)
                log_warning("%s", text.text);
        atomic_store(&x->unmounted_ns, now_ns());
        return NULL;
}

static void stop_serving(struct mount_signals *x)
{
        if (!x->stopped)
                fuse_stop(x->o.server);
        x->stopped = true;
}

static void begin_to_unmount(struct mount_signals *x, unsigned sig)
{
        int r;

        log_info("%s: unmounting %s", strsignal((int)sig), x->o.dir);
        r = pthread_create(&x->unmounter, NULL, unmount, x);
        x->unmounting = r == 0;
        if (r == 0)
                return;
        log_warning("cannot start a thread: %s", err_str(r));
        stop_serving(x); /* mount_serve unmounts then */
}

/* ---- a store that does not answer ------------------------------------------------------------------- */

static void give_up(struct mount_signals *x)
{
        log_warning("%s does not answer: it is given up", x->o.url);
        kv_give_up(x->o.store);
        x->given_up = true;
}

/* How long the store has not answered, not counting the time before the end, when waits are not bounded. */
static uint64_t unanswered_ns(const struct mount_signals *x, uint64_t now)
{
        uint64_t waiting = kv_waiting_ns(x->o.store), since = now - x->began_ns;

        return waiting < since ? waiting : since;
}

static void check_store(struct mount_signals *x, uint64_t unanswered)
{
        uint64_t timeout_ns = x->o.timeout_ms * UINT64_C(1000000);

        if (x->given_up)
                return;
        if (unanswered >= timeout_ns || (x->asked && unanswered >= QUIET_NS)) {
                give_up(x);
        } else if (unanswered >= QUIET_NS && !x->warned) {
                x->warned = true;
                log_warning("%s does not answer: waiting for %u more seconds, or until the next signal (kill "
                            "%ld); then what is not written is lost",
                            x->o.url, (unsigned)((timeout_ns - unanswered) / 1000000000) + 1, (long)getpid());
        }
}

/* ---- the thread ---------------------------------------------------------------------------------- */

/* Waits for a signal, a new phase or, once the end has begun, CHECK_MS. Returns the signal; 0: none. */
static unsigned wait_for_signal(struct mount_signals *x)
{
        struct pollfd fds[] = {
                { .fd = x->signals, .events = POLLIN },
                { .fd = x->wake, .events = POLLIN },
        };
        struct signalfd_siginfo info;
        uint64_t unused;

        if (poll(fds, 2, x->began_ns > 0 ? CHECK_MS : -1) <= 0)
                return 0;
        if (fds[1].revents && read(x->wake, &unused, sizeof(unused)) < 0)
                return 0;
        if (!fds[0].revents || read(x->signals, &info, sizeof(info)) != sizeof(info))
                return 0;
        return info.ssi_signo;
}

static void on_signal_locked(struct mount_signals *x, unsigned sig, uint64_t unanswered)
{
        bool serving = x->phase == SERVING;

        lock_assert_held(&x->lock);
        if (serving && !x->unmounting && !x->stopped) {
                begin_to_unmount(x, sig);
                return;
        }
        if (!serving || unanswered >= QUIET_NS)
                x->asked = true;
        if (serving)
                stop_serving(x);
}

/* After an unmount fuse_serve returns by itself, unless files are still open, or another mount namespace has
 * a copy of the mount. */
static bool grace_is_over_locked(const struct mount_signals *x, uint64_t now)
{
        uint64_t unmounted_ns = atomic_load(&x->unmounted_ns);

        lock_assert_held(&x->lock);
        return x->phase == SERVING && unmounted_ns > 0 &&
               now - unmounted_ns >= GRACE_S * UINT64_C(1000000000);
}

/* Checks everything once. SIG: a signal that has arrived; 0: none. */
static void check_locked(struct mount_signals *x, unsigned sig)
{
        uint64_t now = now_ns(), unanswered;

        lock_assert_held(&x->lock);
        if (x->began_ns == 0 && sig == 0 && x->phase == SERVING)
                return;
        if (x->began_ns == 0)
                x->began_ns = now;
        unanswered = unanswered_ns(x, now);
        if (sig > 0)
                on_signal_locked(x, sig, unanswered);
        check_store(x, unanswered);
        if (grace_is_over_locked(x, now))
                stop_serving(x);
}

/* Returns false when the thread is to end. */
static bool check(struct mount_signals *x, unsigned sig)
{
        LOCK_GUARD(&x->lock);

        if (x->phase == OVER)
                return false;
        check_locked(x, sig);
        return true;
}

static void *watch(void *arg)
{
        struct mount_signals *x = arg;

        while (check(x, wait_for_signal(x)))
                ;
        return NULL;
}

static void enter(struct mount_signals *x, enum phase phase)
{
        const uint64_t one = 1;

        lock_acquire(&x->lock);
        x->phase = phase;
        lock_release(&x->lock);
        if (write(x->wake, &one, sizeof(one)) < 0)
                return; /* the counter is full: the thread is awake */
}

/* ---- life ---------------------------------------------------------------------------------------- */

static void signals_free(struct mount_signals *x)
{
        if (x->signals >= 0)
                close(x->signals);
        if (x->wake >= 0)
                close(x->wake);
        lock_destroy(&x->lock);
        free(x);
}

int mount_signals_start(const struct mount_signals_opts *opts, struct mount_signals **ret)
{
        struct mount_signals *x = calloc(1, sizeof(*x));
        sigset_t set;
        int r;

        if (!x)
                return -ENOMEM;
        x->o = *opts;
        x->phase = opts->server ? SERVING : ENDING;
        x->began_ns = opts->server ? 0 : now_ns();
        lock_init(&x->lock);
        signals_handled(&set);
        x->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        x->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        r = x->signals < 0 || x->wake < 0 ? -errno : -pthread_create(&x->thread, NULL, watch, x);
        if (r < 0) {
                signals_free(x);
                return r;
        }
        *ret = x;
        return 0;
}

void mount_signals_ending(struct mount_signals *x)
{
        if (x)
                enter(x, ENDING);
}

void mount_signals_leave(struct mount_signals *x)
{
        if (!x)
                return;
        mount_signals_ending(x); /* a signal does not begin to unmount any more */
        if (x->unmounting)
                pthread_join(x->unmounter, NULL);
        x->unmounting = false;
}

void mount_signals_stop(struct mount_signals *x)
{
        if (!x)
                return;
        enter(x, OVER);
        pthread_join(x->thread, NULL);
        signals_free(x);
}
