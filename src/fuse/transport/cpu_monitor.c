/* SPDX-License-Identifier: MIT */
#include "fuse/transport/cpu_monitor.h"

#include "base/cleanup.h"
#include "base/futex.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* The interval between samples, and the ticks without requests after which a CPU is quiet. */
#define TICK_NS     (4 * 1000000L)
#define QUIET_TICKS 25u

/* A canary that ran within this time shows a CPU that has time. Under load one sample in five is that
 * prompt by chance, so the normal class ends after several in a row. More are required where a thread
 * cannot be taken out of the idle class. */
#define PROMPT_NS          500000
#define REQUIRED           8u
#define REQUIRED_NO_RETURN 32u
#define REQUIRED_MAX       128u

/* The idle class was no mistake if it lasted this many ticks. */
#define CONFIRMED_TICKS 250u

#define STACK_BYTES (64u << 10)

/* ---- the rule ---------------------------------------------------------------------------------------- */

void fuse_cpu_state_init(struct fuse_cpu_state *s, bool may_return)
{
        s->class = FUSE_SCHED_NORMAL;
        s->n_prompt = 0;
        s->n_required = s->n_required_min = may_return ? REQUIRED : REQUIRED_NO_RETURN;
}

static bool sample_idle(struct fuse_cpu_state *s, bool in_time)
{
        s->n_prompt = in_time ? s->n_prompt + 1 : 0;
        if (s->n_prompt >= CONFIRMED_TICKS)
                s->n_required = s->n_required_min;
        if (in_time)
                return false;
        if (s->n_required < REQUIRED_MAX)
                s->n_required *= 2;
        s->class = FUSE_SCHED_NORMAL;
        return true;
}

static bool sample_normal(struct fuse_cpu_state *s, bool in_time)
{
        s->n_prompt = in_time ? s->n_prompt + 1 : 0;
        if (s->n_prompt < s->n_required)
                return false;
        s->class = FUSE_SCHED_IDLE;
        s->n_prompt = 0;
        return true;
}

bool fuse_cpu_state_sample(struct fuse_cpu_state *s, bool answered, int64_t delay_ns)
{
        if (s->class == FUSE_SCHED_IDLE)
                return sample_idle(s, answered && delay_ns <= TICK_NS);
        return sample_normal(s, answered && delay_ns <= PROMPT_NS);
}

bool fuse_cpu_state_quiet(struct fuse_cpu_state *s)
{
        bool changes = s->class != FUSE_SCHED_NORMAL;

        s->class = FUSE_SCHED_NORMAL;
        s->n_prompt = 0;
        return changes;
}

/* ---- canaries ----------------------------------------------------------------------------------------- */

#define QUESTION_END (-1)

struct cpu {
        _Alignas(64) atomic_uint served; /* requests; wraps */
        /* The monitor's, except for what the canary writes. */
        unsigned seen_served, quiet_ticks;
        struct fuse_cpu_state state;
        bool has_canary;
        bool quiet; /* not measured; the last answer is old */
        pthread_t canary;
        atomic_int canary_tid;
        struct fuse_cpu_monitor *monitor;
        unsigned number;
        int64_t asked_ns;
        int asked;           /* the last question */
        atomic_int question; /* the same, or QUESTION_END; a futex */
        atomic_int answered; /* the last question that the canary answered */
        atomic_int_fast64_t answered_ns;
};

enum { AWAKE = 0, ASLEEP = 1, END = -1 };

struct fuse_cpu_monitor {
        fuse_cpu_change_fn change;
        void *arg;
        pthread_t thread;
        atomic_int sleep; /* AWAKE, ASLEEP (all CPUs are quiet) or END; a futex */
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

static void *canary_main(void *arg)
{
        struct cpu *c = arg;
        int seen = 0, question;

        pthread_setname_np(pthread_self(), "fuse-canary");
        atomic_store(&c->canary_tid, gettid());
        fuse_sched_pin(c->number);
        fuse_sched_set(0, FUSE_SCHED_IDLE);
        while ((question = atomic_load(&c->question)) != QUESTION_END) {
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

static void ask_canary(struct cpu *c)
{
        if (!c->has_canary && start_thread(&c->canary, canary_main, c) < 0)
                return;
        c->has_canary = true;
        c->asked = c->asked == INT32_MAX ? 1 : c->asked + 1;
        c->asked_ns = now_ns();
        atomic_store(&c->question, c->asked);
        futex_wake(&c->question);
}

static void stop_canary(struct cpu *c)
{
        if (!c->has_canary)
                return;
        atomic_store(&c->question, QUESTION_END);
        futex_wake(&c->question);
        /* With the idle class it would end late on a busy CPU. */
        if (atomic_load(&c->canary_tid) != 0)
                fuse_sched_set(atomic_load(&c->canary_tid), FUSE_SCHED_NORMAL);
        pthread_join(c->canary, NULL);
}

/* ---- the monitor -------------------------------------------------------------------------------------- */

static void report_change(struct cpu *c)
{
        c->monitor->change(c->monitor->arg, c->number, c->state.class);
}

/* Evaluates the last question and asks the next one. An unanswered question is not asked again. */
static void sample_cpu(struct cpu *c)
{
        bool answered = atomic_load(&c->answered) == c->asked;

        if (!c->quiet &&
            fuse_cpu_state_sample(&c->state, answered, atomic_load(&c->answered_ns) - c->asked_ns))
                report_change(c);
        if (!answered)
                return;
        ask_canary(c);
        c->quiet = false;
}

static void quiet_cpu(struct cpu *c)
{
        if (!c->quiet && fuse_cpu_state_quiet(&c->state))
                report_change(c);
        c->quiet = true;
}

/* Whether the CPU has served requests recently. */
static bool tick_cpu(struct cpu *c)
{
        unsigned served = atomic_load_explicit(&c->served, memory_order_relaxed);

        c->quiet_ticks = served == c->seen_served ? c->quiet_ticks + 1 : 0;
        c->seen_served = served;
        if (c->quiet_ticks >= QUIET_TICKS) {
                quiet_cpu(c);
                return false;
        }
        sample_cpu(c);
        return true;
}

static bool tick_all(struct fuse_cpu_monitor *m)
{
        bool active = false;

        for (unsigned i = 0; i < m->n_cpus; i++)
                active |= tick_cpu(&m->cpus[i]);
        return active;
}

static void *monitor_main(void *arg)
{
        const struct timespec tick = { .tv_nsec = TICK_NS };
        struct fuse_cpu_monitor *m = arg;

        pthread_setname_np(pthread_self(), "fuse-sched");
        fuse_sched_set(0, FUSE_SCHED_NORMAL);
        while (atomic_load(&m->sleep) != END) {
                int awake = AWAKE;

                if (tick_all(m))
                        nanosleep(&tick, NULL);
                else if (atomic_compare_exchange_strong(&m->sleep, &awake, ASLEEP))
                        futex_wait(&m->sleep, ASLEEP, NULL);
        }
        return NULL;
}

void fuse_cpu_monitor_count(struct fuse_cpu_monitor *m, unsigned cpu)
{
        int asleep = ASLEEP;

        atomic_fetch_add_explicit(&m->cpus[cpu].served, 1, memory_order_relaxed);
        if (atomic_load_explicit(&m->sleep, memory_order_relaxed) == ASLEEP &&
            atomic_compare_exchange_strong(&m->sleep, &asleep, AWAKE))
                futex_wake(&m->sleep);
}

static void cpu_init(struct cpu *c, unsigned number, bool may_return, struct fuse_cpu_monitor *m)
{
        fuse_cpu_state_init(&c->state, may_return);
        c->quiet = true;
        c->quiet_ticks = QUIET_TICKS;
        c->monitor = m;
        c->number = number;
}

int fuse_cpu_monitor_new(unsigned n_cpus, bool may_return, fuse_cpu_change_fn change, void *arg,
                         struct fuse_cpu_monitor **ret)
{
        size_t size = sizeof(struct fuse_cpu_monitor) + n_cpus * sizeof(struct cpu);
        struct fuse_cpu_monitor *m = aligned_alloc(64, (size + 63) & ~(size_t)63);
        int r;

        if (!m)
                return -ENOMEM;
        memset(m, 0, size);
        m->change = change;
        m->arg = arg;
        m->n_cpus = n_cpus;
        for (unsigned i = 0; i < n_cpus; i++)
                cpu_init(&m->cpus[i], i, may_return, m);
        r = start_thread(&m->thread, monitor_main, m);
        if (r < 0) {
                free(m);
                return r;
        }
        *ret = m;
        return 0;
}

void fuse_cpu_monitor_free(struct fuse_cpu_monitor *m)
{
        if (!m)
                return;
        atomic_store(&m->sleep, END);
        futex_wake(&m->sleep);
        pthread_join(m->thread, NULL);
        for (unsigned i = 0; i < m->n_cpus; i++)
                stop_canary(&m->cpus[i]);
        free(m);
}
