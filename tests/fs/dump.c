/* SPDX-License-Identifier: MIT */
#include "dump.h"
#include "kv/testing/testing.h"

#include <assert.h>
#include <stdlib.h>

#define BATCH_BYTES (256u * 1024u)

static uint8_t *copy_of(struct slice s)
{
        uint8_t *p = malloc(s.len + 1); /* never NULL for an empty slice */

        assert(p);
        memcpy(p, s.data, s.len);
        return p;
}

struct slice dump_key(const struct dump_pair *p)
{
        return slice_of(p->key, p->key_len);
}

struct slice dump_value(const struct dump_pair *p)
{
        return slice_of(p->value, p->value_len);
}

void dump_free(struct dump *d)
{
        for (size_t i = 0; i < d->n; i++) {
                free(d->pairs[i].key);
                free(d->pairs[i].value);
        }
        free(d->pairs);
        *d = (struct dump){ 0 };
}

static void insert(struct dump *d, size_t at, struct slice key, struct slice value)
{
        d->pairs = reallocarray(d->pairs, d->n + 1, sizeof(d->pairs[0]));
        assert(d->pairs);
        memmove(&d->pairs[at + 1], &d->pairs[at], (d->n - at) * sizeof(d->pairs[0]));
        d->pairs[at] = (struct dump_pair){ copy_of(key), copy_of(value), key.len, value.len };
        d->n++;
}

static int load_body(struct kv_txn *t, void *arg)
{
        struct dump *d = arg;
        struct kv_range range;
        struct slice key, value;
        int r;

        dump_free(d);
        kv_range_start(t, &range,
                       &(struct kv_range_opts){ .begin = slice_str(""),
                                                .end = slice_str("\xff\xff\xff\xff") });
        while ((r = kv_range_next(&range, &key, &value)) > 0)
                insert(d, d->n, key, value);
        kv_range_end(&range);
        return r;
}

void dump_load(struct dump *d, struct kv_store *from)
{
        int r;

        *d = (struct dump){ 0 };
        r = kv_run(from, KV_READ, load_body, d);
        assert(r >= 0);
}

struct batch {
        const struct dump *dump;
        size_t first, end;
};

static int restore_body(struct kv_txn *t, void *arg)
{
        struct batch *b = arg;
        size_t bytes = 0;

        for (b->end = b->first; b->end < b->dump->n && bytes < BATCH_BYTES; b->end++) {
                const struct dump_pair *p = &b->dump->pairs[b->end];
                int r = kv_set(t, dump_key(p), dump_value(p));

                if (r < 0)
                        return r;
                bytes += p->key_len + p->value_len;
        }
        return 0;
}

void dump_restore(const struct dump *d, struct kv_store *to)
{
        for (struct batch b = { .dump = d }; b.first < d->n; b.first = b.end) {
                int r = kv_run(to, KV_WRITE, restore_body, &b);

                assert(r >= 0);
        }
}

struct kv_store *dump_open(const struct dump *d)
{
        struct kv_open_opts opts = { .flags = KV_OPEN_CREATE };
        struct err_text text;
        struct kv_store *store;
        int r = kv_testing_open("mem:", &opts, &store, &text);

        assert(r >= 0);
        dump_restore(d, store);
        return store;
}

/* Returns the index of the first pair whose key is not less than KEY. */
static size_t position(const struct dump *d, struct slice key)
{
        size_t i = 0;

        while (i < d->n && slice_cmp(dump_key(&d->pairs[i]), key) < 0)
                i++;
        return i;
}

static bool is_at(const struct dump *d, size_t i, struct slice key)
{
        return i < d->n && slice_eq(dump_key(&d->pairs[i]), key);
}

void dump_set(struct dump *d, struct slice key, struct slice value)
{
        size_t i = position(d, key);

        if (is_at(d, i, key)) {
                free(d->pairs[i].value);
                d->pairs[i].value = copy_of(value);
                d->pairs[i].value_len = value.len;
        } else {
                insert(d, i, key, value);
        }
}

void dump_delete(struct dump *d, struct slice key)
{
        size_t i = position(d, key);

        assert(is_at(d, i, key));
        free(d->pairs[i].key);
        free(d->pairs[i].value);
        d->n--;
        memmove(&d->pairs[i], &d->pairs[i + 1], (d->n - i) * sizeof(d->pairs[0]));
}

struct slice dump_get(const struct dump *d, struct slice key)
{
        size_t i = position(d, key);

        return is_at(d, i, key) ? dump_value(&d->pairs[i]) : slice_of(NULL, 0);
}
