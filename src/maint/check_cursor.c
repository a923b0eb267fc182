/* SPDX-License-Identifier: MIT */
/* How the checker walks over keys: by one range read of the check's transaction, or, where no transaction
 * lasts long enough, by chunks that are read in a transaction each and copied. */
#include "base/cleanup.h"
#include "maint/check_internal.h"

#define PROGRESS_KEYS 65536u

/* A chunk is full with this many bytes, or somewhat more. A cluster sends as much
 * in a fraction of a second. */
#define CHUNK_BYTES ((size_t)1 << 20)

/* A pair in a chunk: its lengths, the key and the value. */
struct pair {
        uint32_t key_len, value_len;
};

/* ---- chunks ------------------------------------------------------------------------------------- */

static int chunk_add(struct check_chunk *k, struct slice key, struct slice value)
{
        struct pair pair = { .key_len = (uint32_t)key.len, .value_len = (uint32_t)value.len };
        size_t need = k->used + sizeof(pair) + key.len + value.len;
        uint8_t *at;

        if (need > k->capacity) {
                size_t capacity = need + CHUNK_BYTES / 4;
                uint8_t *more = realloc(k->data, capacity);

                if (!more)
                        return -ENOMEM;
                k->data = more;
                k->capacity = capacity;
        }
        at = k->data + k->used;
        memcpy(at, &pair, sizeof(pair));
        memcpy(at + sizeof(pair), key.data, key.len);
        if (value.len > 0)
                memcpy(at + sizeof(pair) + key.len, value.data, value.len);
        k->used = need;
        return 0;
}

/* Reads from k->from on. Runs anew from the beginning if it has to. */
static int chunk_body(struct kv_txn *t, void *arg)
{
        struct check_chunk *k = arg;
        struct slice key, value;
        struct kv_range range;
        int r;

        k->used = k->at = 0;
        kv_range_start(t, &range,
                       &(struct kv_range_opts){ .begin = slice_of(k->from, k->from_len),
                                                .end = k->end,
                                                .snapshot = true,
                                                .mode = KV_ITERATE });
        while ((r = kv_range_next(&range, &key, &value)) > 0) {
                r = chunk_add(k, key, value);
                if (r < 0 || k->used >= CHUNK_BYTES)
                        break;
        }
        k->last = r == 0 && k->used < CHUNK_BYTES;
        kv_range_end(&range);
        return r;
}

static void chunk_from(struct check_chunk *k, struct slice key)
{
        memcpy(k->from, key.data, key.len);
        k->from_len = key.len;
}

/* The next pair, as kv_range_next. */
static int chunk_next(struct check *c, struct check_chunk *k, struct slice *ret_key, struct slice *ret_value)
{
        struct pair pair;

        if (k->at == k->used) {
                int r = k->last ? 0 : kv_run(c->store, KV_READ, chunk_body, k);

                if (r < 0)
                        return r;
                if (k->at == k->used)
                        return 0;
        }
        memcpy(&pair, k->data + k->at, sizeof(pair));
        *ret_key = slice_of(k->data + k->at + sizeof(pair), pair.key_len);
        *ret_value = slice_of(ret_key->data + pair.key_len, pair.value_len);
        k->at += sizeof(pair) + pair.key_len + pair.value_len;
        if (k->at == k->used) {
                /* The next chunk begins just behind: with the smallest key that sorts after this one. */
                chunk_from(k, *ret_key);
                k->from[k->from_len++] = 0;
        }
        return 1;
}

/* ---- cursors ------------------------------------------------------------------------------------ */

int check_cursor_start(struct check *c, struct check_cursor *cur, struct slice begin, struct slice end)
{
        if (c->txn) {
                kv_range_start(c->txn, &cur->range,
                               &(struct kv_range_opts){
                                       .begin = begin, .end = end, .snapshot = true, .mode = KV_ITERATE });
                return check_cursor_next(c, cur);
        }
        cur->chunk = calloc(1, sizeof(*cur->chunk));
        if (!cur->chunk)
                return -ENOMEM;
        cur->chunk->end = end;
        chunk_from(cur->chunk, begin);
        return check_cursor_next(c, cur);
}

int check_cursor_next(struct check *c, struct check_cursor *cur)
{
        for (;;) {
                int r = cur->chunk ? chunk_next(c, cur->chunk, &cur->key, &cur->value)
                                   : kv_range_next(&cur->range, &cur->key, &cur->value);

                cur->valid = r > 0;
                if (r <= 0)
                        return r;
                if (++c->keys % PROGRESS_KEYS == 0 && c->progress)
                        c->progress(c->keys, c->progress_arg);
                if (fmt_key_parse(cur->key, &cur->parsed) == 0)
                        return 0;
                check_report_pair(c, "unknown key", cur);
        }
}

void check_cursor_end(struct check_cursor *cur)
{
        if (cur->range.txn)
                kv_range_end(&cur->range);
        if (cur->chunk) {
                free(cur->chunk->data);
                free(cur->chunk);
                cur->chunk = NULL;
        }
}
