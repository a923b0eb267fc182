/* SPDX-License-Identifier: MIT */
#include "fuse/transport/ring_sched.h"

#include "base/cleanup.h"
#include "base/futex.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* How long a thread runs before others may have their turn: a request takes much less. A thread with a short
 * slice is preferred when it is woken (Linux 6.12). */
#define SLICE_NS UINT64_C(100000)

/* CPUs are looked at this often while they serve requests, and for a while after that. */
#define TICK_NS     (4 * 1000000L)
#define QUIET_TICKS 25u

/* A canary that ran so soon shows a CPU that has time; so many of them in a row end the normal class. (Under
 * load one of five is that lucky.) More are wanted where a thread that is in the idle class by mistake cannot
 * be taken out of it. */
#define SOON_NS         500000
#define SOON_ROW        8u
#define SOON_ROW_CAUGHT 32u
#define SOON_ROW_MAX    128u

/* The idle class was right if it lasted so many ticks. */
#define RIGHT_TICKS 250u

#define STACK_BYTES (64u << 10)

/* The kernel's own limit is no higher. */
#define CPUS_MAX 8192u

/* sched_setattr(2), which has no layer yet. */
struct attributes {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime_ns, deadline_ns, period_ns;
};

int fuse_sched_set(pid_t tid, enum fuse_sched_class class)
{
        struct attributes a = {
                .size = sizeof(a),
                .policy = class == FUSE_SCHED_IDLE ? SCHED_IDLE : SCHED_OTHER,
                .runtime_ns = SLICE_NS,
        };

        return syscall(SYS_sched_setattr, tid, &a, 0) < 0 ? -errno : 0;
}

void fuse_sched_pin(unsigned cpu)
{
        cpu_set_t *set = CPU_ALLOC(cpu + 1);
        size_t size = CPU_ALLOC_SIZE(cpu + 1);

        if (!set)
                return;
        CPU_ZERO_S(size, set);
        CPU_SET_S(cpu, size, set);
        sched_setaffinity(0, size, set);
        CPU_FREE(set);
}

void fuse_sched_unpin(void)
{
        cpu_set_t sets[CPUS_MAX / CPU_SETSIZE];

        /* What cpusets and taskset say may change while the mount lives. */
        if (sched_getaffinity(getpid(), sizeof(sets), sets) == 0)
                sched_setaffinity(0, sizeof(sets), sets);
}

static void *try_return(void *arg)
{
        bool *may = arg;

        *may = fuse_sched_set(0, FUSE_SCHED_IDLE) == 0 && fuse_sched_set(0, FUSE_SCHED_NORMAL) == 0;
        return NULL;
}

bool fuse_sched_may_return(void)
{
        pthread_t thread;
        bool may = false;

        if (pthread_create(&thread, NULL, try_return, &may) != 0)
                return false;
        pthread_join(thread, NULL);
        return may;
}

/* ---- judging CPUs ----------------------------------------------------------------------------------- */

struct cpu {
        _Alignas(64) atomic_uint served; /* requests; wraps */
        /* The rest is the judge's, but for what the canary writes. */
        unsigned seen_served, quiet_ticks;
        struct fuse_sched_verdict verdict;
        bool has_canary;
        bool rests; /* the last question is none of now */
        pthread_t canary;
        atomic_int canary_tid;
        struct fuse_sched *sched;
        unsigned number;
        int64_t asked_ns;
        int asked;           /* the number of the last question */
        atomic_int question; /* the same; a futex; -1: end */
        atomic_int answered; /* the last question that was answered */
        atomic_int_fast64_t answered_ns;
};

struct fuse_sched {
        fuse_sched_change_fn change;
        void *arg;
        pthread_t judge;
        atomic_int asleep; /* 1: nothing is served, the judge sleeps on it; 0: awake; -1: end */
        unsigned n_cpus;
        struct cpu cpus[];
};

static int64_t now_ns(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static int start_thread(pthread_t *ret, void *(*fn)(void *), void *arg)
{
        pthread_attr_t attr;
        int r;

        pthread_attr_init(&attr);
        pthread_attr_setstacksize(&attr, STACK_BYTES);
        r = pthread_create(ret, &attr, fn, arg);
        pthread_attr_destroy(&attr);
        return -r;
}

static void *sing(void *arg)
{
        struct cpu *c = arg;
        int seen = 0, question;

        pthread_setname_np(pthread_self(), "fuse-canary");
        atomic_store(&c->canary_tid, gettid());
        fuse_sched_pin(c->number);
        fuse_sched_set(0, FUSE_SCHED_IDLE);
        while ((question = atomic_load(&c->question)) >= 0) {
                if (question == seen) {
                        futex_wait(&c->question, seen, NULL);
                        continue;
                }
                seen = question;
                atomic_store(&c->answered_ns, now_ns());
                atomic_store(&c->answered, seen);
        }
        return NULL;
}

static void ask(struct cpu *c)
{
        if (!c->has_canary && start_thread(&c->canary, sing, c) < 0)
                return;
        c->has_canary = true;
        c->asked = c->asked == INT32_MAX ? 1 : c->asked + 1;
        c->asked_ns = now_ns();
        atomic_store(&c->question, c->asked);
        futex_wake(&c->question);
}

bool fuse_sched_judge(struct fuse_sched_verdict *v, bool answered, int64_t delay_ns)
{
        bool in_time = answered && delay_ns <= (v->class == FUSE_SCHED_IDLE ? TICK_NS : SOON_NS);

        v->soon_row = in_time ? v->soon_row + 1 : 0;
        if (v->class == FUSE_SCHED_IDLE) {
                if (v->soon_row >= RIGHT_TICKS)
                        v->needed = v->least;
                if (in_time)
                        return false;
                if (v->needed < SOON_ROW_MAX)
                        v->needed *= 2;
                v->class = FUSE_SCHED_NORMAL;
                return true;
        }
        if (v->soon_row < v->needed)
                return false;
        v->class = FUSE_SCHED_IDLE;
        v->soon_row = 0;
        return true;
}

bool fuse_sched_rest(struct fuse_sched_verdict *v)
{
        bool changes = v->class != FUSE_SCHED_NORMAL;

        v->class = FUSE_SCHED_NORMAL;
        v->soon_row = 0;
        return changes;
}

void fuse_sched_verdict_init(struct fuse_sched_verdict *v, bool may_return)
{
        v->class = FUSE_SCHED_NORMAL;
        v->soon_row = 0;
        v->needed = v->least = may_return ? SOON_ROW : SOON_ROW_CAUGHT;
}

/* Looks at the answer to the last question. A question that is not answered yet is not asked again. */
static void judge_cpu(struct cpu *c)
{
        bool answered = atomic_load(&c->answered) == c->asked;

        if (!c->rests && fuse_sched_judge(&c->verdict, answered, atomic_load(&c->answered_ns) - c->asked_ns))
                c->sched->change(c->sched->arg, c->number, c->verdict.class);
        if (!answered)
                return;
        ask(c);
        c->rests = false;
}

static void let_rest(struct cpu *c)
{
        if (!c->rests && fuse_sched_rest(&c->verdict))
                c->sched->change(c->sched->arg, c->number, c->verdict.class);
        c->rests = true;
}

/* Whether any CPU is worth looking at. */
static bool judge_all(struct fuse_sched *s)
{
        bool active = false;

        for (unsigned i = 0; i < s->n_cpus; i++) {
                struct cpu *c = &s->cpus[i];
                unsigned served = atomic_load_explicit(&c->served, memory_order_relaxed);

                c->quiet_ticks = served == c->seen_served ? c->quiet_ticks + 1 : 0;
                c->seen_served = served;
                if (c->quiet_ticks >= QUIET_TICKS) {
                        let_rest(c);
                        continue;
                }
                active = true;
                judge_cpu(c);
        }
        return active;
}

static void *judge(void *arg)
{
        const struct timespec tick = { .tv_nsec = TICK_NS };
        struct fuse_sched *s = arg;

        pthread_setname_np(pthread_self(), "fuse-sched");
        fuse_sched_set(0, FUSE_SCHED_NORMAL);
        while (atomic_load(&s->asleep) >= 0) {
                int awake = 0;

                if (judge_all(s))
                        nanosleep(&tick, NULL);
                else if (atomic_compare_exchange_strong(&s->asleep, &awake, 1))
                        futex_wait(&s->asleep, 1, NULL);
        }
        return NULL;
}

void fuse_sched_note(struct fuse_sched *s, unsigned cpu)
{
        int asleep = 1;

        atomic_fetch_add_explicit(&s->cpus[cpu].served, 1, memory_order_relaxed);
        if (atomic_load_explicit(&s->asleep, memory_order_relaxed) == 1 &&
            atomic_compare_exchange_strong(&s->asleep, &asleep, 0))
                futex_wake(&s->asleep);
}

int fuse_sched_new(unsigned n_cpus, bool may_return, fuse_sched_change_fn change, void *arg,
                   struct fuse_sched **ret)
{
        size_t size = sizeof(struct fuse_sched) + n_cpus * sizeof(struct cpu);
        struct fuse_sched *s = aligned_alloc(64, (size + 63) & ~(size_t)63);
        int r;

        if (!s)
                return -ENOMEM;
        memset(s, 0, size);
        s->change = change;
        s->arg = arg;
        s->n_cpus = n_cpus;
        for (unsigned i = 0; i < n_cpus; i++) {
                fuse_sched_verdict_init(&s->cpus[i].verdict, may_return);
                s->cpus[i].rests = true;
                s->cpus[i].quiet_ticks = QUIET_TICKS;
                s->cpus[i].sched = s;
                s->cpus[i].number = i;
        }
        r = start_thread(&s->judge, judge, s);
        if (r < 0) {
                free(s);
                return r;
        }
        *ret = s;
        return 0;
}

void fuse_sched_free(struct fuse_sched *s)
{
        if (!s)
                return;
        atomic_store(&s->asleep, -1);
        futex_wake(&s->asleep);
        pthread_join(s->judge, NULL);
        for (unsigned i = 0; i < s->n_cpus; i++) {
                struct cpu *c = &s->cpus[i];

                if (!c->has_canary)
                        continue;
                atomic_store(&c->question, -1);
                futex_wake(&c->question);
                /* On a busy CPU the end would come late otherwise. */
                if (atomic_load(&c->canary_tid) != 0)
                        fuse_sched_set(atomic_load(&c->canary_tid), FUSE_SCHED_NORMAL);
                pthread_join(c->canary, NULL);
        }
        free(s);
}
