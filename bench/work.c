/* SPDX-License-Identifier: MIT */
/* One pass: worker threads that start together, and the clock around them. */
#include "bench.h"

#include "base/rng.h"

#include <assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_SIZE = 12 };

/* Data that all workers use, made once: formatting names would be a part of every warm row. */
static struct {
        char (*names)[NAME_SIZE];
        uint64_t n_names;
        char *source;
        char *sinks;
} work;

int work_init(uint64_t n_names, uint64_t seed)
{
        struct rng rng;

        work.names = calloc(n_names, NAME_SIZE);
        work.source = malloc(WORK_BUFFER);
        work.sinks = malloc((size_t)WORK_BUFFER * BENCH_THREADS_MAX);
        if (!work.names || !work.source || !work.sinks)
                return -ENOMEM;
        work.n_names = n_names;
        for (uint64_t i = 0; i < n_names; i++)
                snprintf(work.names[i], NAME_SIZE, "file%06u", (unsigned)i % 10000000);
        rng_seed(&rng, seed);
        rng_fill(&rng, work.source, WORK_BUFFER);
        memset(work.sinks, 0, (size_t)WORK_BUFFER * BENCH_THREADS_MAX);
        return 0;
}

const char *work_name(uint64_t i)
{
        assert(i < work.n_names);
        return work.names[i];
}

const char *work_source(void)
{
        return work.source;
}

char *work_sink(unsigned worker_index)
{
        return work.sinks + (size_t)worker_index * WORK_BUFFER;
}

int pass_begin(struct pass *p, struct bench *b, struct target *t, unsigned threads, unsigned round)
{
        *p = (struct pass){ .b = b, .t = t, .threads = threads, .round = round, .dir_fd = -1 };
        for (unsigned i = 0; i < threads; i++)
                p->workers[i] = (struct worker){
                        .pass = p, .index = i, .dir_fd = -1, .fd = -1, .random = b->seed + i
                };
        if (snprintf(p->dir, sizeof(p->dir), "%s/pass", t->dir) >= (int)sizeof(p->dir))
                return -ENAMETOOLONG;
        if (mkdir(p->dir, 0755) < 0)
                return -errno;
        p->dir_fd = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (p->dir_fd < 0)
                return -errno;
        for (unsigned i = 0; i < threads; i++) {
                struct worker *w = &p->workers[i];

                snprintf(w->name, sizeof(w->name), "thread%u", i);
                if (mkdirat(p->dir_fd, w->name, 0755) < 0)
                        return -errno;
                w->dir_fd = openat(p->dir_fd, w->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (w->dir_fd < 0)
                        return -errno;
        }
        return target_settle(t);
}

void pass_end(struct pass *p)
{
        for (unsigned i = 0; i < p->threads; i++) {
                if (p->workers[i].fd >= 0)
                        close(p->workers[i].fd);
                if (p->workers[i].dir_fd >= 0)
                        close(p->workers[i].dir_fd);
        }
        if (p->dir_fd >= 0)
                close(p->dir_fd);
        bench_spawn((const char *[]){ "rm", "-rf", p->dir, NULL }, NULL, -1, -1);
        target_settle(p->t);
}

/* ---- running a step ------------------------------------------------------------------------------- */

struct step {
        worker_op op, finish;
        pthread_barrier_t start;
        double begin, end[BENCH_THREADS_MAX];
};

struct step_worker {
        struct step *step;
        struct worker *worker;
};

static void *step_work(void *arg)
{
        struct step_worker *sw = arg;
        struct worker *w = sw->worker;
        int r = 0;

        pthread_barrier_wait(&sw->step->start);
        if (w->index == 0)
                sw->step->begin = bench_now();
        for (uint64_t i = 0; i < w->count && r == 0; i++)
                r = bench_interrupted() ? -EINTR : sw->step->op(w, i);
        if (r == 0 && sw->step->finish)
                r = sw->step->finish(w, w->count);
        sw->step->end[w->index] = bench_now();
        w->result = r;
        return NULL;
}

int pass_run(struct pass *p, uint64_t total, worker_op op, worker_op finish, struct cost *ret)
{
        struct step step = { .op = op, .finish = finish };
        struct step_worker sw[BENCH_THREADS_MAX];
        pthread_t threads[BENCH_THREADS_MAX];
        double end = 0, cpu_begin = target_cpu_s(p->t), cpu_end;

        pthread_barrier_init(&step.start, NULL, p->threads);
        for (unsigned i = 0; i < p->threads; i++) {
                sw[i] = (struct step_worker){ .step = &step, .worker = &p->workers[i] };
                p->workers[i].count = total / p->threads;
        }
        for (unsigned i = 1; i < p->threads; i++)
                if (pthread_create(&threads[i], NULL, step_work, &sw[i]) != 0)
                        abort(); /* the others would wait for ever */
        step_work(&sw[0]);
        for (unsigned i = 1; i < p->threads; i++)
                pthread_join(threads[i], NULL);
        cpu_end = target_cpu_s(p->t);
        pthread_barrier_destroy(&step.start);
        for (unsigned i = 0; i < p->threads; i++) {
                if (p->workers[i].result < 0)
                        return p->workers[i].result;
                if (step.end[i] > end)
                        end = step.end[i];
        }
        *ret = (struct cost){ .seconds = end - step.begin, .cpu_s = cpu_end - cpu_begin };
        return 0;
}

bool pass_wants(const struct pass *p, enum row_id row)
{
        return p->b->rows_wanted[row];
}

struct cost pass_clock(const struct pass *p)
{
        return (struct cost){ .seconds = bench_now(), .cpu_s = target_cpu_s(p->t) };
}

struct cost pass_clock_since(const struct pass *p, struct cost begin)
{
        struct cost now = pass_clock(p);

        return (struct cost){ .seconds = now.seconds - begin.seconds, .cpu_s = now.cpu_s - begin.cpu_s };
}

void pass_record(struct pass *p, enum row_id row, double amount, struct cost cost)
{
        double value = 0;

        switch (bench_rows[row].unit) {
        case UNIT_KOPS:
                value = amount / cost.seconds / 1000;
                break;
        case UNIT_MIBS:
                value = amount / cost.seconds;
                break;
        case UNIT_US:
                value = cost.seconds * 1e6 / amount;
                break;
        case UNIT_MS:
                value = cost.seconds * 1e3 / amount;
                break;
        }
        p->b->samples[row][p->threads - 1][p->t->id][p->round] = value;
        p->b->cpu_us[row][p->threads - 1][p->t->id][p->round] = cost.cpu_s * 1e6 / amount;
}

int pass_measure(struct pass *p, enum row_id row, uint64_t total, double amount, worker_op op,
                 worker_op finish)
{
        struct cost cost;
        int r;

        if (!pass_wants(p, row))
                return 0;
        r = pass_run(p, total, op, finish, &cost);
        if (r == 0)
                pass_record(p, row, amount, cost);
        return r;
}
