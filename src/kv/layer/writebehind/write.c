/* SPDX-License-Identifier: MIT */
/* Writes: new versions in the active table, under the writing transaction's number, which no reader sees
 * yet. */
#include "base/array.h"
#include "kv/layer/writebehind/lookup.h"

#include <stdlib.h>

/* Values below this many bytes are not worth patching. */
#define WB_PATCHED_MIN 2048u

/* Finds or makes the entry of KEY in the active table and lists it as touched. CLEARED: the key will be
 * cleared. */
static int touch(struct kv_txn *base, struct slice key, bool cleared, struct mt_entry **ret)
{
        struct wb_store *wb = wb_of(base->store);
        struct wb_txn *t = wb_txn_of(base);
        struct memtable *mt = wb_active(t)->mt;
        const struct mt_version *head;
        struct mt_entry *e;

        if (array_reserve(&wb->touched, &wb->touched_cap, wb->touched_n + 1) < 0)
                return -ENOMEM;
        e = mt_insert(mt, mt_hash(mt, key), key);
        if (!e)
                return -ENOMEM;
        head = atomic_load_explicit(&e->head, memory_order_relaxed);
        if (!head || head->number <= t->durable) {
                t->load.keys++;
                t->load.sets += !cleared;
                t->load.bytes += key.len;
        } else {
                t->load.sets += head->cleared && !cleared;
        }
        wb->touched[wb->touched_n++] = e;
        *ret = e;
        return 0;
}

/* Counts BYTES more to be written below, for a value of TOTAL bytes. */
static void load_value(struct wb_txn *t, size_t bytes, size_t total)
{
        t->load.bytes += bytes;
        if (total > t->load.largest)
                t->load.largest = total;
}

/* Makes a version of KEY for this transaction; the caller fills in *RET. */
static int push(struct kv_txn *base, struct slice key, size_t len, bool cleared, void **ret)
{
        struct wb_txn *t = wb_txn_of(base);
        struct mt_version *v;
        struct mt_entry *e;
        int r = touch(base, key, cleared, &e);

        if (r < 0)
                return r;
        v = mt_push(wb_active(t)->mt, e, t->number, t->oldest_reader, len, cleared);
        if (!v)
                return -ENOMEM;
        load_value(t, len, len);
        if (ret)
                *ret = v->data;
        return 0;
}

int wb_set(struct kv_txn *t, struct slice key, struct slice value)
{
        void *data;
        int r = push(t, key, value.len, false, &data);

        if (r >= 0 && value.len > 0)
                memmove(data, value.data, value.len);
        return r;
}

int wb_set_reserve(struct kv_txn *t, struct slice key, size_t len, void **ret)
{
        return push(t, key, len, false, ret);
}

/* Writes the value of KEY, of TOTAL bytes, as a whole with DATA at AT. */
static int set_patched(struct kv_txn *base, struct slice key, size_t total, size_t at, struct slice data)
{
        struct kv_read read = wb_get(base, key, 0);
        void *out;
        size_t old;
        int r;

        if (read.err < 0 && read.err != -ENOENT)
                return read.err;
        old = read.err == 0 ? read.value.len : 0;
        /* The value read stays valid: a new version does not change older ones, and only a version that this
         * transaction made is written in place. */
        r = push(base, key, total, false, &out);
        if (r < 0)
                return r;
        if (old > 0 && out != read.value.data)
                memcpy(out, read.value.data, old);
        memset((uint8_t *)out + old, 0, total - old);
        memcpy((uint8_t *)out + at, data.data, data.len);
        return 0;
}

/* Whether to write a value of TOTAL bytes as a whole instead of adding a patch of LEN bytes on top of
 * HEAD. */
static bool whole_is_better(const struct mt_version *head, uint64_t number, size_t total, size_t len)
{
        if (total < WB_PATCHED_MIN || 2 * len >= total)
                return true;
        if (!head)
                return false;
        if (head->depth == 0)
                return head->number == number; /* in place */
        return head->depth == WB_PATCHES_MAX || 2 * (head->patched + len) >= total;
}

static int push_patch(struct kv_txn *base, struct slice key, size_t at, struct slice data, size_t total)
{
        struct wb_txn *t = wb_txn_of(base);
        struct mt_version *v;
        struct mt_entry *e;
        int r = touch(base, key, false, &e);

        if (r < 0)
                return r;
        v = mt_push_patch(wb_active(t)->mt, e, t->number, data.len, at, total);
        if (!v)
                return -ENOMEM;
        memcpy(v->data, data.data, data.len);
        return 0;
}

int wb_patch(struct kv_txn *base, struct slice key, size_t at, struct slice data)
{
        struct wb_txn *t = wb_txn_of(base);
        const struct memtable *mt = wb_active(t)->mt;
        struct kv_read read = wb_get(base, key, KV_LENGTH);
        const struct mt_version *head;
        const struct mt_entry *e;
        size_t old, total;

        if (read.err < 0 && read.err != -ENOENT)
                return read.err;
        if (data.len == 0)
                data.data = (const uint8_t *)"";
        old = read.err == 0 ? read.value.len : 0;
        total = at + data.len > old ? at + data.len : old;
        e = mt_find(mt, mt_hash(mt, key), key);
        head = e ? atomic_load_explicit(&e->head, memory_order_relaxed) : NULL;
        if (old == 0 || whole_is_better(head, t->number, total, data.len))
                return set_patched(base, key, total, at, data);
        /* The first change to the key in this table adds the whole value to its batch, later ones what they
         * add to its length. */
        load_value(t, head && head->number > t->durable ? total - old : total, total);
        return push_patch(base, key, at, data, total);
}

int wb_clear(struct kv_txn *t, struct slice key)
{
        return push(t, key, 0, true, NULL);
}

/* Clears the existing keys one by one, so that tables need not represent cleared ranges. */
int wb_clear_range(struct kv_txn *t, struct slice begin, struct slice end)
{
        struct kv_range range = { .txn = t, .opts = { .begin = begin, .end = end } };
        struct slice key, value;
        int r;

        wb_range_start(t, &range);
        while ((r = wb_range_next(&range, &key, &value)) > 0) {
                r = wb_clear(t, key);
                if (r < 0)
                        break;
        }
        wb_range_end(&range);
        return r;
}

int wb_atomic(struct kv_txn *t, enum kv_atomic_op op, struct slice key, struct slice operand)
{
        struct kv_read read = wb_get(t, key, 0);
        _cleanup_free_ uint8_t *large = NULL;
        struct slice old = { 0 };
        uint8_t small[64], *out = small;
        size_t len;

        if (read.err < 0 && read.err != -ENOENT)
                return read.err;
        if (read.err == 0)
                old = read.value.data ? read.value : slice_of("", 0);
        len = old.len > operand.len ? old.len : operand.len;
        if (len > sizeof(small)) {
                out = large = malloc(len);
                if (!large)
                        return -ENOMEM;
        }
        return wb_set(t, key, slice_of(out, kv_atomic_apply(op, old, operand, out)));
}
