/* Scheduling classes of ring threads: the rule, and that a CPU which is taken by others is noticed. That it
 * is noticed soon is measured by the benchmark and not here: a test must not depend on how busy the machine
 * is. */
#include "ring_sched.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define US 1000

static void test_rule(void **state)
{
        struct af_sched_verdict v = { .class = AF_SCHED_IDLE };

        for (int i = 0; i < 10; i++)
                assert_false(af_sched_judge(&v, true, 20 * US));
        /* Late, but within the tick: stays, and begins to count anew. */
        assert_false(af_sched_judge(&v, true, 3000 * US));
        assert_true(af_sched_judge(&v, false, 0));
        assert_int_equal(v.class, AF_SCHED_NORMAL);
        assert_false(af_sched_judge(&v, false, 0));
        assert_false(af_sched_judge(&v, true, 20 * US));
        assert_false(af_sched_judge(&v, true, 20 * US));
        assert_false(af_sched_judge(&v, true, 2000 * US)); /* luck does not count */
        assert_false(af_sched_judge(&v, true, 20 * US));
        assert_false(af_sched_judge(&v, true, 20 * US));
        assert_true(af_sched_judge(&v, true, 20 * US));
        assert_int_equal(v.class, AF_SCHED_IDLE);
        assert_true(af_sched_judge(&v, true, 500000 * US));
        assert_int_equal(v.class, AF_SCHED_NORMAL);
}

static void *change_class(void *arg)
{
        bool may_return = af_sched_may_return();
        int r;

        assert_int_equal(sched_getscheduler(0), SCHED_OTHER); /* the trial was another thread's */
        assert_int_equal(af_sched_set(0, AF_SCHED_NORMAL), 0);
        assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
        assert_int_equal(af_sched_set(0, AF_SCHED_IDLE), 0);
        assert_int_equal(sched_getscheduler(0), SCHED_IDLE);
        r = af_sched_set(0, AF_SCHED_NORMAL);
        assert_int_equal(r, may_return ? 0 : -EPERM);
        return NULL;
}

static void test_classes(void **state)
{
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, change_class, NULL), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
}

static atomic_bool stop_hog;

static void *hog(void *arg)
{
        af_sched_pin(0);
        while (!atomic_load(&stop_hog))
                ;
        return NULL;
}

static void on_change(void *arg, unsigned cpu, enum af_sched_class class)
{
        atomic_int *told = arg;

        assert_int_equal(cpu, 0);
        if (class == AF_SCHED_NORMAL)
                atomic_store(told, 1);
}

static void test_hog(void **state)
{
        const struct timespec pause = { .tv_nsec = 1000000 };
        struct af_sched *s;
        atomic_int told = 0;
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, hog, NULL), 0);
        assert_int_equal(af_sched_new(1, on_change, &told, &s), 0);
        /* As if requests were served all the time; without them nothing is judged. */
        for (int i = 0; i < 60000 && !atomic_load(&told); i++) {
                af_sched_note(s, 0);
                nanosleep(&pause, NULL);
        }
        af_sched_free(s);
        assert_true(atomic_load(&told));
        atomic_store(&stop_hog, true);
        assert_int_equal(pthread_join(thread, NULL), 0);
}

/* Ends although nothing is under way, or the canary never ran. */
static void test_end(void **state)
{
        struct af_sched *s;
        atomic_int told = 0;

        for (int i = 0; i < 20; i++) {
                assert_int_equal(af_sched_new(2, on_change, &told, &s), 0);
                if (i % 2 == 0)
                        af_sched_note(s, 0);
                af_sched_free(s);
        }
        af_sched_free(NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rule),
                cmocka_unit_test(test_classes),
                cmocka_unit_test(test_end),
                cmocka_unit_test(test_hog),
        };

        return cmocka_run_group_tests_name("ring_sched", tests, NULL, NULL);
}
