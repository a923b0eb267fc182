/* SPDX-License-Identifier: MIT */
/* maint_check: walks every key and compares the records with each other.
 *
 * Three passes: everything that belongs to no file; inodes with their blocks and garbage entries
 * (check_inodes.c); names and the tree (check_names.c). Between the passes 24 bytes are kept for each
 * inode. No stored value is trusted: damaged pairs are reported and skipped.
 *
 * The passes run in one read transaction, which does not see later changes. On a store that limits the age
 * of transactions this is tried first, and its reports are kept back; if it takes too long, the check
 * begins again and reads in many transactions. */
#include "base/array.h"
#include "base/cleanup.h"
#include "maint/check_internal.h"
#include "maint/maint.h"
#include "record/super.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/* ---- reporting ---------------------------------------------------------------------------------- */

static void report_line(struct check *c, const char *line)
{
        c->result.violations++;
        if (c->fn)
                c->fn(line, c->fn_arg);
}

void check_report(struct check *c, const char *format, ...)
{
        char line[512];
        va_list ap;

        va_start(ap, format);
        vsnprintf(line, sizeof(line), format, ap);
        va_end(ap);
        report_line(c, line);
}

void check_report_pair(struct check *c, const char *what, const struct check_cursor *cur)
{
        char line[4096];
        int n = snprintf(line, sizeof(line), "%s: ", what);

        fmt_describe(cur->key, cur->value, line + n, sizeof(line) - (size_t)n);
        report_line(c, line);
}

/* ---- nodes -------------------------------------------------------------------------------------- */

int check_nodes_add(struct check_nodes *nodes, const struct check_node *node)
{
        /* A large realloc moves pages instead of copying, and untouched pages are not resident. */
        if (array_reserve(&nodes->node, &nodes->cap, nodes->n + 1) < 0)
                return -ENOMEM;
        nodes->node[nodes->n++] = *node;
        return 0;
}

struct check_node *check_nodes_find(const struct check_nodes *nodes, uint64_t ino)
{
        size_t low = 0, high = nodes->n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (nodes->node[middle].ino < ino)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < nodes->n && nodes->node[low].ino == ino ? &nodes->node[low] : NULL;
}

/* ---- everything that belongs to no file ------------------------------------------------------- */

static void check_meta_counter(struct check *c, const struct check_cursor *cur)
{
        int64_t n;

        if (fmt_counter_decode(cur->value, &n) < 0) {
                check_report_pair(c, "damaged value", cur);
                return;
        }
        if (n < 0)
                check_report_pair(c, "negative counter", cur);
        else if (cur->parsed.which == FMT_COUNTER_NEXT_INO)
                c->next_ino = n;
        else if (cur->parsed.which == FMT_COUNTER_INODES)
                c->inodes = n;
        else if (cur->parsed.which == FMT_COUNTER_EPOCH)
                c->epoch = n;
}

static void check_other(struct check *c, const struct check_cursor *cur)
{
        struct fmt_process process;
        struct fmt_status status;
        int r = 0;

        switch (cur->parsed.kind) {
        case FMT_META:
                break; /* read by maint_check */
        case FMT_META_COUNTER:
                check_meta_counter(c, cur);
                break;
        case FMT_PROCESS:
                r = fmt_process_decode(cur->value, &c->scratch, &process);
                break;
        case FMT_STATUS:
                if (cur->parsed.name.len == 0) /* otherwise a marker: any bytes */
                        r = fmt_status_decode(cur->value, &status);
                break;
        default:
                check_report_pair(c, "key out of place", cur);
        }
        if (r < 0)
                check_report_pair(c, "damaged value", cur);
}

static int check_gap(struct check *c, struct slice begin, struct slice end)
{
        _cleanup_cursor_ struct check_cursor cur = { 0 };
        int r = check_cursor_start(c, &cur, begin, end);

        while (r >= 0 && cur.valid) {
                check_other(c, &cur);
                r = check_cursor_next(c, &cur);
        }
        return r;
}

/* The gaps between the parts that the other passes walk. */
static int check_others(struct check *c)
{
        struct fmt_key after = { .len = 0 }, begin, end;

        for (unsigned part = 0; part < REC_PARTS; part++) {
                int r;

                rec_part_keys(part, &begin, &end);
                r = check_gap(c, fmt_slice(&after), fmt_slice(&begin));
                if (r < 0)
                        return r;
                after = end;
        }
        return check_gap(c, fmt_slice(&after), rec_keys_end);
}

/* ---- the whole ---------------------------------------------------------------------------------- */

struct meta_read {
        struct check *check;
        struct err_text *text;
        bool damaged;
};

static int meta_body(struct kv_txn *t, void *arg)
{
        struct meta_read *m = arg;
        struct fmt_meta meta;
        int r = rec_super_read(t, KV_SNAPSHOT, &m->check->scratch, &meta);

        if (r == -ERR_NO_FS)
                return err_set(m->text, ERR_NO_FS, "there is no ashlar file system in this store");
        if (r == -ERR_NEWER)
                return err_set(m->text, ERR_NEWER,
                               "the file system has version %" PRIu32 " and features %#" PRIx64
                               ", which are newer than this program",
                               meta.version, meta.features);
        if (r < 0 && r != -ERR_CORRUPT)
                return r;
        m->damaged = r < 0;
        m->check->block_size = r < 0 ? 0 : meta.block_size;
        return 0;
}

static void check_totals(struct check *c)
{
        if (c->next_ino < 0)
                check_report(c, "the next inode number is missing or damaged");
        if (c->inodes < 0)
                check_report(c, "the number of inodes is missing or damaged");
        else if ((uint64_t)c->inodes != c->result.inodes)
                check_report(c, "%" PRIu64 " inodes, but counted are %" PRId64, c->result.inodes, c->inodes);
}

static int walk(struct check *c, bool meta_damaged)
{
        int r;

        c->result = (struct maint_check_result){ .snapshot = c->txn };
        c->next_ino = c->inodes = c->epoch = -1;
        c->keys = 0;
        c->nodes.n = 0;
        if (meta_damaged)
                check_report(c, "the metadata block is damaged: sizes of blocks are not checked");
        r = check_others(c);
        if (r < 0)
                return r;
        r = check_inodes(c);
        if (r < 0)
                return r;
        r = check_names(c);
        if (r < 0)
                return r;
        check_totals(c);
        return 0;
}

/* The reports of a walk that may have to begin again. */
struct kept_lines {
        char *text; /* each with its zero byte */
        size_t len, capacity;
        bool full; /* no memory for more: the walk begins again, too */
};

static void keep_line(const char *line, void *arg)
{
        struct kept_lines *k = arg;
        size_t len = strlen(line) + 1;

        if (array_reserve(&k->text, &k->capacity, k->len + len) < 0) {
                k->full = true;
                return;
        }
        memcpy(k->text + k->len, line, len);
        k->len += len;
}

struct snapshot_walk {
        struct check *check;
        bool meta_damaged;
        struct kept_lines lines;
};

static int snapshot_body(struct kv_txn *t, void *arg)
{
        struct snapshot_walk *w = arg;
        int r;

        w->check->txn = t;
        w->lines.len = 0;
        r = walk(w->check, w->meta_damaged);
        w->check->txn = NULL;
        /* A walk that was too slow once would be too slow again: it does not run anew. */
        return r == -ERR_CONFLICT || r == -ERR_RETRY || (r >= 0 && w->lines.full) ? -ETIME : r;
}

/* Walks one snapshot if the store's transactions last long enough, else each key as it is when the walk
 * reads it. */
static int check_all(struct check *c, bool meta_damaged)
{
        struct snapshot_walk w = { .check = c, .meta_damaged = meta_damaged };
        maint_check_fn fn = c->fn;
        void *fn_arg = c->fn_arg;
        int r;

        /* A transaction without an age limit cannot be too slow: reports need not be kept back. */
        if (kv_limits(c->store)->txn_ms > 0) {
                c->fn = keep_line;
                c->fn_arg = &w.lines;
        }
        r = kv_run(c->store, KV_READ, snapshot_body, &w);
        c->fn = fn;
        c->fn_arg = fn_arg;
        if (r >= 0 && fn)
                for (size_t at = 0; at < w.lines.len; at += strlen(w.lines.text + at) + 1)
                        fn(w.lines.text + at, fn_arg);
        free(w.lines.text);
        return r == -ETIME && kv_limits(c->store)->txn_ms > 0 ? walk(c, meta_damaged) : r;
}

int maint_check(struct kv_store *store, maint_check_fn fn, void *arg,
                void (*progress)(uint64_t keys, void *arg), struct maint_check_result *ret,
                struct err_text *text)
{
        _cleanup_free_ struct check *c = calloc(1, sizeof(*c));
        struct meta_read meta = { .check = c, .text = text };
        int r;

        if (!c)
                return err_set(text, ENOMEM, "%s", err_str(ENOMEM));
        c->store = store;
        c->fn = fn;
        c->fn_arg = arg;
        c->progress = progress;
        c->progress_arg = arg;
        if (text)
                text->text[0] = '\0';
        r = kv_run(store, KV_READ, meta_body, &meta);
        if (r >= 0)
                r = check_all(c, meta.damaged);
        free(c->nodes.node);
        if (r < 0) {
                if (text && text->text[0] == '\0')
                        err_set(text, -r, "cannot read the store: %s", err_str(r));
                return r;
        }
        *ret = c->result;
        return 0;
}
