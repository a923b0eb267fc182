/* SPDX-License-Identifier: MIT */
/* The memtable against a sorted array, one seeded thread; and one writer beside readers. */
#include "base/rng.h"
#include "kv/layer/writebehind/memtable.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define KEYS  300
#define STEPS 40000

/* The expected value of each key. */
struct model {
        bool present;
        uint64_t value;
};

static uint64_t seed_get(void)
{
        const char *env = getenv("ASHLAR_SEED");
        uint64_t seed;

        if (env)
                seed = strtoull(env, NULL, 0);
        else
                rng_system(&seed, sizeof(seed));
        print_message("replay with ASHLAR_SEED=%llu\n", (unsigned long long)seed);
        return seed;
}

/* The hashes follow from the seed of the test, too. */
static struct memtable *table_new(struct rng *rng)
{
        struct hash_seed seed;

        rng_fill(rng, &seed, sizeof(seed));
        seed.factor |= 1;
        seed.last_factor |= 1;
        return mt_new(&seed);
}

/* Keys of different lengths that share beginnings, in the order of I. */
static struct slice key_of(unsigned i, char buf[32])
{
        int n = snprintf(buf, 32, "%c%05u%.*s", "df"[i / (KEYS / 2)], i, (int)(i % 7), "xxxxxxx");

        return slice_of(buf, (size_t)n);
}

static void check_against(struct memtable *mt, const struct model *model, uint64_t number)
{
        unsigned expect = 0;
        char buf[32];

        for (struct mt_entry *e = mt_seek_ge(mt, slice_of("", 0)); e; e = mt_next(e)) {
                const struct mt_version *v = mt_visible(e, number);
                uint64_t value;

                if (!v || v->cleared)
                        continue;
                while (!model[expect].present)
                        assert_true(++expect < KEYS);
                assert_true(slice_eq(mt_key(e), key_of(expect, buf)));
                assert_true(v->len >= sizeof(value));
                memcpy(&value, v->data, sizeof(value));
                assert_int_equal(value, model[expect].value);
                expect++;
        }
        while (expect < KEYS)
                assert_false(model[expect++].present);
}

static void random_steps(void **state)
{
        static struct model now[KEYS], snapshot[KEYS];
        struct mt_entry *touched[8];
        uint64_t number = 0, snapshot_number = 0;
        struct memtable *mt;
        struct rng rng;
        char buf[32];

        (void)state;
        memset(now, 0, sizeof(now));
        memset(snapshot, 0, sizeof(snapshot));
        rng_seed(&rng, seed_get());
        mt = table_new(&rng);
        assert_non_null(mt);
        for (unsigned step = 0; step < STEPS; step++) {
                unsigned writes = 1 + (unsigned)rng_below(&rng, 8);
                struct model before[KEYS];

                memcpy(before, now, sizeof(now));
                number++;
                for (unsigned w = 0; w < writes; w++) {
                        unsigned i = (unsigned)rng_below(&rng, KEYS);
                        bool cleared = rng_below(&rng, 4) == 0;
                        uint64_t value = rng_next(&rng);
                        size_t len = cleared ? 0 : sizeof(value) + (size_t)rng_below(&rng, 3000);
                        struct slice key = key_of(i, buf);
                        struct mt_version *v;

                        touched[w] = mt_insert(mt, mt_hash(mt, key), key);
                        assert_ptr_equal(touched[w], mt_find(mt, mt_hash(mt, key), key));
                        v = mt_push(mt, touched[w], number, snapshot_number, len, cleared);
                        assert_non_null(v);
                        if (!cleared) {
                                memset(v->data, 0x5a, len);
                                memcpy(v->data, &value, sizeof(value));
                        }
                        now[i] = (struct model){ .present = !cleared, .value = value };
                }
                if (rng_below(&rng, 5) == 0) {
                        for (unsigned w = 0; w < writes; w++)
                                mt_undo(mt, touched[w], number);
                        memcpy(now, before, sizeof(now));
                }
                if (step % 512 == 0) {
                        check_against(mt, now, number);
                        check_against(mt, snapshot, snapshot_number);
                        memcpy(snapshot, now, sizeof(now));
                        snapshot_number = number;
                }
        }
        for (unsigned i = 0; i < KEYS; i++) {
                struct slice key = key_of(i, buf);
                struct mt_entry *ge = mt_seek_ge(mt, key), *lt = mt_seek_lt(mt, key);

                assert_true(!lt || slice_cmp(mt_key(lt), key) < 0);
                assert_ptr_equal(lt ? mt_next(lt) : mt_seek_ge(mt, slice_of("", 0)), ge);
        }
        mt_free(mt);
}

#define RACE_KEYS 20000u

struct race {
        struct memtable *mt;
        _Atomic uint64_t published;
        _Atomic bool done;
};

/* Each transaction N sets keys N and N-1 (mod RACE_KEYS) to N: a reader at V sees no larger value, and
 * finds key V at V. */
static void *race_reader(void *arg)
{
        struct race *race = arg;
        uint64_t value;
        char buf[16];

        while (!atomic_load(&race->done)) {
                uint64_t number = atomic_load(&race->published);
                struct slice key = slice_of(buf, (size_t)snprintf(buf, sizeof(buf), "%06u",
                                                                  (unsigned)(number % RACE_KEYS)));
                struct mt_entry *e = mt_find(race->mt, mt_hash(race->mt, key), key);
                const struct mt_version *v = e ? mt_visible(e, number) : NULL;
                struct mt_entry *previous = NULL;
                unsigned n = 0;

                if (number > 0) {
                        assert_non_null(v);
                        memcpy(&value, v->data, sizeof(value));
                        assert_int_equal(value, number);
                }
                for (e = mt_seek_ge(race->mt, key); e && n < 200; e = mt_next(e), n++) {
                        assert_true(!previous || slice_cmp(mt_key(previous), mt_key(e)) < 0);
                        previous = e;
                }
        }
        return NULL;
}

static void one_writer_many_readers(void **state)
{
        struct race race = { 0 };
        pthread_t threads[2];
        struct rng rng;
        char buf[16];

        (void)state;
        rng_seed(&rng, seed_get());
        race.mt = table_new(&rng);
        for (int i = 0; i < 2; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, race_reader, &race), 0);
        for (uint64_t n = 1; n <= 3 * RACE_KEYS; n++) {
                for (unsigned k = 0; k < 2; k++) {
                        struct slice key = slice_of(buf, (size_t)snprintf(buf, sizeof(buf), "%06u",
                                                                          (unsigned)((n - k) % RACE_KEYS)));
                        struct mt_entry *e = mt_insert(race.mt, mt_hash(race.mt, key), key);

                        memcpy(mt_push(race.mt, e, n, 0, sizeof(n), false)->data, &n, sizeof(n));
                }
                atomic_store(&race.published, n);
        }
        atomic_store(&race.done, true);
        for (int i = 0; i < 2; i++)
                pthread_join(threads[i], NULL);
        mt_free(race.mt);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(random_steps),
                cmocka_unit_test(one_writer_many_readers),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
