/* SPDX-License-Identifier: MIT */
#include "script.h"
#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

static void read_range(struct tx *x, const char *b, const char *e, size_t limit, bool reverse, bool snapshot)
{
        const struct kv_range_opts opts = {
                .begin = slice_str(b),
                .end = slice_str(e),
                .limit = limit,
                .reverse = reverse,
                .snapshot = snapshot,
        };
        struct slice key, value;
        _cleanup_range_ struct kv_range r = KV_RANGE_NONE;
        int more;

        kv_range_start(x->txn, &r, &opts);
        while ((more = kv_range_next(&r, &key, &value)) > 0)
                continue;
        tx_ok(x, more);
}

static void read_key(struct tx *x, const char *key, unsigned flags)
{
        struct slice value;
        int r = kv_get(x->txn, slice_str(key), flags, &value);

        if (r != -ENOENT)
                tx_ok(x, r);
}

static void perform(struct tx *x, const char *op, const char *a, const char *b)
{
        if (strcmp(op, "get") == 0)
                read_key(x, a, 0);
        else if (strcmp(op, "sget") == 0)
                read_key(x, a, KV_SNAPSHOT);
        else if (strcmp(op, "range") == 0)
                read_range(x, a, b, 0, false, false);
        else if (strcmp(op, "srange") == 0)
                read_range(x, a, b, 0, false, true);
        else if (strcmp(op, "first") == 0)
                read_range(x, a, b, 1, false, false);
        else if (strcmp(op, "last") == 0)
                read_range(x, a, b, 1, true, false);
        else if (strcmp(op, "set") == 0)
                tx_set(x, a, "set");
        else if (strcmp(op, "clear") == 0)
                tx_clear(x, a);
        else if (strcmp(op, "clearr") == 0)
                tx_clear_range(x, a, b);
        else if (strcmp(op, "add") == 0)
                tx_add(x, a, "\1");
        else if (strcmp(op, "rck") == 0)
                tx_ok(x, kv_conflict_key(x->txn, KV_CONFLICT_READ, slice_str(a)));
        else if (strcmp(op, "wck") == 0)
                tx_ok(x, kv_conflict_key(x->txn, KV_CONFLICT_WRITE, slice_str(a)));
        else if (strcmp(op, "rcr") == 0)
                tx_ok(x, kv_conflict_range(x->txn, KV_CONFLICT_READ, slice_str(a), slice_str(b)));
        else if (strcmp(op, "wcr") == 0)
                tx_ok(x, kv_conflict_range(x->txn, KV_CONFLICT_WRITE, slice_str(a), slice_str(b)));
        else
                fail_msg("script: unknown operation '%s'", op);
}

void script_perform(struct tx *x, const char *script)
{
        _cleanup_free_ char *copy = strdup(script);
        char *save, *word;

        for (word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
                char *inner, *op = strtok_r(word, ":", &inner);
                char *a = strtok_r(NULL, ":", &inner), *b = strtok_r(NULL, ":", &inner);

                perform(x, op, a ? a : "", b ? b : "");
        }
}
