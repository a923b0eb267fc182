/* SPDX-License-Identifier: MIT */
#include "fuse/transport/mapped.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <ucontext.h>

/* Where the copy in progress in this thread resumes after SIGBUS; NULL: no copy is in progress. */
static _Thread_local sigjmp_buf *resume_at;

static void on_bus_error(int number, siginfo_t *info, void *context)
{
        const ucontext_t *interrupted = context;

        if (resume_at) {
                /* Restores the mask, as a return would; saving it before each copy would cost a system
                 * call. */
                pthread_sigmask(SIG_SETMASK, &interrupted->uc_sigmask, NULL);
                siglongjmp(*resume_at, 1);
        }
        signal(SIGBUS, SIG_DFL); /* the access faults again and ends the process */
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
        sigjmp_buf env;

        if (sigsetjmp(env, 0) != 0) {
                resume_at = NULL;
                return -EIO;
        }
        resume_at = &env;
        atomic_signal_fence(memory_order_seq_cst);
        memcpy(to, from, len);
        atomic_signal_fence(memory_order_seq_cst);
        resume_at = NULL;
        return 0;
}
