/* SPDX-License-Identifier: MIT */
#include "record/walk.h"

#include "base/array.h"

/* A chunk ends with the pair that reaches this many bytes. A cluster sends as much in a fraction of a
 * second. */
#define CHUNK_BYTES ((size_t)1 << 20)

/* Keys cleared by one transaction at most. */
#define CLEAR_KEYS_MAX 4096u

/* ---- ranges ------------------------------------------------------------------------------------- */

const struct slice rec_keys_begin = { .data = (const uint8_t *)"", .len = 0 };
const struct slice rec_keys_end = { .data = (const uint8_t *)"\xff\xff\xff\xff\xff\xff\xff\xff", .len = 8 };

void rec_part_keys(enum rec_part part, struct fmt_key *begin, struct fmt_key *end)
{
        switch (part) {
        case REC_PART_DIRENTS:
                fmt_key_dirent(begin, 0, slice_of(NULL, 0));
                fmt_key_dir_end(end, UINT64_MAX);
                break;
        case REC_PART_BLOCKS:
                fmt_key_block(begin, 0, 0);
                fmt_key_block_end(end, UINT64_MAX);
                break;
        case REC_PART_GARBAGE:
                fmt_key_garbage(begin, 0);
                fmt_key_garbage_end(end);
                break;
        case REC_PART_INODES:
                fmt_key_inode(begin, 0);
                fmt_key_inode_end(end, UINT64_MAX);
                break;
        }
        begin->len = 1; /* damaged keys may be shorter than those of number 0 */
}

/* ---- chunks ------------------------------------------------------------------------------------- */

/* In front of each key and its value in a chunk. */
struct pair {
        uint32_t key_len, value_len;
};

struct rec_walk_chunk {
        struct kv_store *store;
        uint8_t *data;
        size_t used, capacity, at;
        bool last; /* nothing follows */
        struct slice end;
        bool behind; /* the next chunk begins behind FROM; else at it */
        size_t from_len;
        uint8_t from[KV_KEY_MAX];
};

static int chunk_add(struct rec_walk_chunk *p, struct slice key, struct slice value)
{
        const struct pair pair = { .key_len = (uint32_t)key.len, .value_len = (uint32_t)value.len };
        size_t need = p->used + sizeof(pair) + key.len + value.len;
        uint8_t *at;

        if (key.len > KV_KEY_MAX)
                return -ERR_CORRUPT;
        if (array_reserve(&p->data, &p->capacity, need) < 0)
                return -ENOMEM;
        at = p->data + p->used;
        memcpy(at, &pair, sizeof(pair));
        memcpy(at + sizeof(pair), key.data, key.len);
        if (value.len > 0)
                memcpy(at + sizeof(pair) + key.len, value.data, value.len);
        p->used = need;
        return 0;
}

static int chunk_body(struct kv_txn *t, void *arg)
{
        _cleanup_range_ struct kv_range range = KV_RANGE_NONE;
        struct rec_walk_chunk *p = arg;
        struct slice key, value;
        int r;

        p->used = p->at = 0;
        p->last = false;
        kv_range_start(t, &range,
                       &(struct kv_range_opts){ .begin = slice_of(p->from, p->from_len),
                                                .end = p->end,
                                                .snapshot = true,
                                                .mode = KV_ITERATE });
        while (p->used < CHUNK_BYTES && (r = kv_range_next(&range, &key, &value)) > 0) {
                if (p->behind && slice_eq(key, slice_of(p->from, p->from_len)))
                        continue;
                r = chunk_add(p, key, value);
                if (r < 0)
                        return r;
        }
        if (p->used >= CHUNK_BYTES)
                return 0;
        p->last = r == 0;
        return r;
}

static int chunk_next(struct rec_walk_chunk *p, struct slice *ret_key, struct slice *ret_value)
{
        struct pair pair;

        if (p->at == p->used && !p->last) {
                int r = kv_run(p->store, KV_READ | KV_LATE, chunk_body, p);

                if (r < 0)
                        return r;
        }
        if (p->at == p->used)
                return 0;
        memcpy(&pair, p->data + p->at, sizeof(pair));
        *ret_key = slice_of(p->data + p->at + sizeof(pair), pair.key_len);
        *ret_value = slice_of(ret_key->data + pair.key_len, pair.value_len);
        p->at += sizeof(pair) + pair.key_len + pair.value_len;
        if (p->at == p->used) {
                memcpy(p->from, ret_key->data, pair.key_len);
                p->from_len = pair.key_len;
                p->behind = true;
        }
        return 1;
}

/* ---- walks -------------------------------------------------------------------------------------- */

int rec_walk_start(struct rec_walk *w, struct kv_store *store, struct kv_txn *txn, struct slice begin,
                   struct slice end)
{
        *w = (struct rec_walk){ .chunk = NULL };
        if (txn) {
                kv_range_start(txn, &w->range,
                               &(struct kv_range_opts){
                                       .begin = begin, .end = end, .snapshot = true, .mode = KV_ITERATE });
                return 0;
        }
        w->chunk = calloc(1, sizeof(*w->chunk));
        if (!w->chunk)
                return -ENOMEM;
        w->chunk->store = store;
        w->chunk->end = end;
        w->chunk->from_len = begin.len;
        if (begin.len > 0)
                memcpy(w->chunk->from, begin.data, begin.len);
        return 0;
}

int rec_walk_next(struct rec_walk *w, struct slice *ret_key, struct slice *ret_value)
{
        return w->chunk ? chunk_next(w->chunk, ret_key, ret_value)
                        : kv_range_next(&w->range, ret_key, ret_value);
}

void rec_walk_end(struct rec_walk *w)
{
        kv_range_end(&w->range);
        if (!w->chunk)
                return;
        free(w->chunk->data);
        free(w->chunk);
        w->chunk = NULL;
}

/* ---- clearing ----------------------------------------------------------------------------------- */

/* Finds the key behind which a transaction should not clear: 1 and the key in LAST, 0 if it may clear all. */
static int find_last(struct kv_txn *t, struct slice begin, struct slice end, uint8_t last[KV_KEY_MAX],
                     size_t *ret_len)
{
        _cleanup_range_ struct kv_range range = KV_RANGE_NONE;
        size_t keys = kv_txn_limits(t)->clear_keys, n = 0;
        struct slice key, value;
        int r;

        if (keys > CLEAR_KEYS_MAX)
                keys = CLEAR_KEYS_MAX;
        if (keys < 2)
                keys = 2;
        kv_range_start(t, &range,
                       &(struct kv_range_opts){
                               .begin = begin, .end = end, .limit = keys, .snapshot = true });
        while ((r = kv_range_next(&range, &key, &value)) > 0) {
                if (++n < keys)
                        continue;
                memcpy(last, key.data, key.len);
                *ret_len = key.len;
                return 1;
        }
        return r;
}

int rec_walk_clear(struct kv_txn *t, struct slice begin, struct slice end)
{
        uint8_t last[KV_KEY_MAX];
        size_t len;
        int r, more = find_last(t, begin, end, last, &len);

        if (more < 0)
                return more;
        r = kv_clear_range(t, begin, more ? slice_of(last, len) : end);
        return r < 0 ? r : more;
}
