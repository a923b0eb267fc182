/* SPDX-License-Identifier: MIT */
/* Scheduling classes of ring threads: the rule, and that the monitor detects a busy CPU. How soon it does
 * is a matter of the benchmark: a test must not depend on the load of the machine. */
#include "fuse/transport/cpu_monitor.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define US 1000

static void prompt(struct fuse_cpu_state *v, unsigned times)
{
        for (unsigned i = 0; i < times; i++)
                assert_false(fuse_cpu_state_sample(v, true, 20 * US));
}

static void is_idle_after(struct fuse_cpu_state *v, unsigned times)
{
        prompt(v, times - 1);
        assert_int_equal(v->class, FUSE_SCHED_NORMAL);
        assert_true(fuse_cpu_state_sample(v, true, 20 * US));
        assert_int_equal(v->class, FUSE_SCHED_IDLE);
}

static void test_rule(void **state)
{
        struct fuse_cpu_state v;

        fuse_cpu_state_init(&v, true);
        assert_int_equal(v.class, FUSE_SCHED_NORMAL);
        assert_false(fuse_cpu_state_sample(&v, false, 0));
        assert_false(fuse_cpu_state_quiet(&v));
        is_idle_after(&v, 8);
        prompt(&v, 10);
        /* Late, but within the tick: the class stays. */
        assert_false(fuse_cpu_state_sample(&v, true, 3000 * US));
        assert_true(fuse_cpu_state_sample(&v, false, 0));
        assert_int_equal(v.class, FUSE_SCHED_NORMAL);
        assert_false(fuse_cpu_state_sample(&v, false, 0));
        /* The idle class ended early: twice as many are required. */
        prompt(&v, 12);
        assert_false(fuse_cpu_state_sample(&v, true, 2000 * US)); /* a late sample starts again */
        is_idle_after(&v, 16);
        assert_true(fuse_cpu_state_quiet(&v));
        assert_int_equal(v.class, FUSE_SCHED_NORMAL);
        is_idle_after(&v, 16);
        /* It lasted long: the requirement is reset, and doubled by the late sample that follows. */
        prompt(&v, 1000);
        assert_true(fuse_cpu_state_sample(&v, true, 500000 * US));
        assert_int_equal(v.class, FUSE_SCHED_NORMAL);
        is_idle_after(&v, 16);
        prompt(&v, 1000);
        assert_true(fuse_cpu_state_quiet(&v));
        is_idle_after(&v, 8);
        /* Where threads cannot leave the idle class, more are required. */
        fuse_cpu_state_init(&v, false);
        is_idle_after(&v, 32);
}

/* The requirement is bounded. */
static void test_rule_bound(void **state)
{
        struct fuse_cpu_state v;

        fuse_cpu_state_init(&v, true);
        for (int i = 0; i < 100; i++) {
                for (int row = 0; v.class == FUSE_SCHED_NORMAL; row++) {
                        assert_true(row < 250);
                        fuse_cpu_state_sample(&v, true, 20 * US);
                }
                assert_true(fuse_cpu_state_sample(&v, false, 0));
        }
}

static void *change_class(void *arg)
{
        bool may_return = fuse_sched_may_return();
        int r;

        assert_int_equal(sched_getscheduler(0), SCHED_OTHER); /* the trial ran in another thread */
        assert_int_equal(fuse_sched_set(0, FUSE_SCHED_NORMAL), 0);
        assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
        assert_int_equal(fuse_sched_set(0, FUSE_SCHED_IDLE), 0);
        assert_int_equal(sched_getscheduler(0), SCHED_IDLE);
        r = fuse_sched_set(0, FUSE_SCHED_NORMAL);
        assert_int_equal(r, may_return ? 0 : -EPERM);
        return NULL;
}

static void test_classes(void **state)
{
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, change_class, NULL), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
}

/* Returns a CPU on which this process may run. */
static unsigned own_cpu(void)
{
        cpu_set_t set;

        assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
        for (unsigned i = 0; i < CPU_SETSIZE; i++)
                if (CPU_ISSET(i, &set))
                        return i;
        fail();
        return 0;
}

static atomic_bool stop_hog;

static void *hog(void *arg)
{
        fuse_sched_pin(own_cpu());
        while (!atomic_load(&stop_hog))
                ;
        return NULL;
}

static void on_change(void *arg, unsigned cpu, enum fuse_sched_class class)
{
        atomic_int *current = arg;

        atomic_store(current, (int)class);
}

/* Reports requests until the class is WANTED, for MS milliseconds at most; a quiet CPU is not measured. */
static void serve(struct fuse_cpu_monitor *s, atomic_int *class, enum fuse_sched_class wanted, int ms)
{
        const struct timespec pause = { .tv_nsec = 1000000 };

        for (int i = 0; i < ms && (int)wanted != atomic_load(class); i++) {
                fuse_cpu_monitor_count(s, own_cpu());
                nanosleep(&pause, NULL);
        }
}

/* On a CPU with time, if this one has any, the class becomes idle; a spinning thread makes it normal. */
static void test_hog(void **state)
{
        struct fuse_cpu_monitor *s;
        atomic_int class = FUSE_SCHED_NORMAL;
        pthread_t thread;

        assert_int_equal(fuse_cpu_monitor_new(own_cpu() + 1, true, on_change, &class, &s), 0);
        serve(s, &class, FUSE_SCHED_IDLE, 1000);
        assert_int_equal(pthread_create(&thread, NULL, hog, NULL), 0);
        serve(s, &class, FUSE_SCHED_NORMAL, 60000);
        assert_int_equal(atomic_load(&class), FUSE_SCHED_NORMAL);
        fuse_cpu_monitor_free(s);
        atomic_store(&stop_hog, true);
        assert_int_equal(pthread_join(thread, NULL), 0);
}

/* Without requests the class returns to normal. */
static void test_quiet(void **state)
{
        const struct timespec pause = { .tv_nsec = 1000000 };
        struct fuse_cpu_monitor *s;
        atomic_int class = FUSE_SCHED_NORMAL;

        assert_int_equal(fuse_cpu_monitor_new(own_cpu() + 1, true, on_change, &class, &s), 0);
        serve(s, &class, FUSE_SCHED_IDLE, 1000);
        for (int i = 0; i < 60000 && atomic_load(&class) == FUSE_SCHED_IDLE; i++)
                nanosleep(&pause, NULL);
        assert_int_equal(atomic_load(&class), FUSE_SCHED_NORMAL);
        fuse_cpu_monitor_free(s);
}

/* The monitor ends while it sleeps, and before a canary has run. */
static void test_end(void **state)
{
        struct fuse_cpu_monitor *s;
        atomic_int class = 0;

        for (int i = 0; i < 20; i++) {
                assert_int_equal(fuse_cpu_monitor_new(2, i % 4 < 2, on_change, &class, &s), 0);
                if (i % 2 == 0)
                        fuse_cpu_monitor_count(s, 0);
                fuse_cpu_monitor_free(s);
        }
        fuse_cpu_monitor_free(NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rule),    cmocka_unit_test(test_rule_bound),
                cmocka_unit_test(test_classes), cmocka_unit_test(test_end),
                cmocka_unit_test(test_hog),     cmocka_unit_test(test_quiet),
        };

        return cmocka_run_group_tests_name("cpu_monitor", tests, NULL, NULL);
}
