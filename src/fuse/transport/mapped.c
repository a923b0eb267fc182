/* SPDX-License-Identifier: MIT */
#include "fuse/transport/mapped.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <ucontext.h>

/* Where the copy that this thread is at goes on after a bus error; NULL: it is at none. */
static _Thread_local sigjmp_buf *way_out;

static void on_bus_error(int number, siginfo_t *info, void *context)
{
        const ucontext_t *interrupted = context;

        if (way_out) {
                /* What a return would do: the copies save no mask, which would cost a system call. */
                pthread_sigmask(SIG_SETMASK, &interrupted->uc_sigmask, NULL);
                siglongjmp(*way_out, 1);
        }
        signal(SIGBUS, SIG_DFL); /* what was interrupted is tried again, or the signal sent again */
        raise(SIGBUS);
}

void fuse_mapped_init(void)
{
        struct sigaction action = { .sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO };

        sigemptyset(&action.sa_mask);
        sigaction(SIGBUS, &action, NULL);
}

int fuse_mapped_copy(void *to, const void *from, size_t len)
{
        sigjmp_buf here;

        if (sigsetjmp(here, 0) != 0) {
                way_out = NULL;
                return -EIO;
        }
        way_out = &here;
        atomic_signal_fence(memory_order_seq_cst);
        memcpy(to, from, len);
        atomic_signal_fence(memory_order_seq_cst);
        way_out = NULL;
        return 0;
}
