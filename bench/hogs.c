/* SPDX-License-Identifier: MIT */
/* Processes that use all of the CPU all of the time, so that all others compete for it. */
#include "bench.h"

#include "base/cleanup.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct hogs {
        unsigned n;
        pid_t pids[];
};

static void spin_on(unsigned cpu, pid_t parent)
{
        volatile unsigned n = 0;
        cpu_set_t set;

        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        CPU_ZERO(&set);
        CPU_SET(cpu, &set);
        sched_setaffinity(0, sizeof(set), &set);
        if (getppid() != parent)
                _exit(0);
        for (;;)
                n++;
}

int hogs_start(unsigned per_cpu, struct hogs **ret)
{
        unsigned cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN), n = per_cpu * cpus;
        struct hogs *h = calloc(1, sizeof(*h) + n * sizeof(h->pids[0]));
        pid_t parent = getpid();

        if (!h)
                return -ENOMEM;
        while (h->n < n) {
                pid_t pid = fork();

                if (pid < 0) {
                        int err = errno;

                        hogs_stop(h);
                        return -err;
                }
                if (pid == 0)
                        spin_on(h->n % cpus, parent);
                h->pids[h->n++] = pid;
        }
        *ret = h;
        return 0;
}

void hogs_stop(struct hogs *h)
{
        if (!h)
                return;
        for (unsigned i = 0; i < h->n; i++) {
                kill(h->pids[i], SIGKILL);
                waitpid(h->pids[i], NULL, 0);
        }
        free(h);
}
