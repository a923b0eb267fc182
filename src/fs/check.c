/* fs_check: walks every key of one snapshot and compares what the records promise with what is there.
 *
 * Three passes in one read transaction: everything outside the ranges of files; inodes with their blocks and
 * garbage entries (check_inodes.c); names and the tree (check_names.c). Between the passes 24 bytes are kept
 * for each inode. Nothing that is stored is trusted: damaged pairs are reported and passed over.
 *
 * One snapshot must last for the whole walk: on a store with an age limit for transactions
 * (kv_limits.txn_ms) a walk that takes longer fails with ETIME. */
#include "check.h"
#include "cleanup.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define PROGRESS_KEYS 65536u

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

/* ---- cursors ------------------------------------------------------------------------------------ */

int check_cursor_start(struct check *c, struct check_cursor *cur, struct slice begin, struct slice end)
{
        kv_range_start(c->txn, &cur->range,
                       &(struct kv_range_opts){ .begin = begin, .end = end, .snapshot = true,
                                                .mode = KV_ITERATE });
        return check_cursor_next(c, cur);
}

int check_cursor_next(struct check *c, struct check_cursor *cur)
{
        for (;;) {
                int r = kv_range_next(&cur->range, &cur->key, &cur->value);

                cur->valid = r > 0;
                if (r <= 0)
                        return r;
                if (++c->keys % PROGRESS_KEYS == 0 && c->progress)
                        c->progress(c->keys, c->fn_arg);
                if (fmt_key_parse(cur->key, &cur->parsed) == 0)
                        return 0;
                check_report_pair(c, "unknown key", cur);
        }
}

void check_cursor_end(struct check_cursor *cur)
{
        if (cur->range.txn)
                kv_range_end(&cur->range);
}

/* ---- nodes -------------------------------------------------------------------------------------- */

int check_nodes_add(struct check_nodes *nodes, const struct check_node *node)
{
        if (nodes->n == nodes->cap) {
                /* A large realloc moves pages instead of copying, and what is not touched is not resident. */
                size_t cap = nodes->cap > 0 ? 2 * nodes->cap : 1024;
                struct check_node *more = reallocarray(nodes->node, cap, sizeof(*more));

                if (!more)
                        return -ENOMEM;
                nodes->node = more;
                nodes->cap = cap;
        }
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

/* ---- everything outside the ranges of files ------------------------------------------------------- */

static void check_meta_counter(struct check *c, const struct check_cursor *cur)
{
        int64_t n;

        if (fmt_counter_decode(cur->value, &n) < 0) {
                check_report_pair(c, "damaged value", cur);
                return;
        }
        if (n < 0)
                check_report_pair(c, "negative counter", cur);
        else if (cur->parsed.which == 'i')
                c->next_ino = n;
        else if (cur->parsed.which == 'n')
                c->inodes = n;
        else if (cur->parsed.which == 'e')
                c->epoch = n;
}

static void check_other(struct check *c, const struct check_cursor *cur)
{
        struct fmt_process process;
        struct fmt_status status;
        int r = 0;

        switch (cur->parsed.kind) {
        case FMT_META:
                break; /* read before */
        case FMT_META_COUNTER:
                check_meta_counter(c, cur);
                break;
        case FMT_PROCESS:
                r = fmt_process_decode(cur->value, &c->scratch, &process);
                break;
        case FMT_STATUS:
                if (cur->parsed.name.len == 0) /* otherwise a marker of kv_run: any bytes */
                        r = fmt_status_decode(cur->value, &status);
                break;
        default:
                check_report_pair(c, "key out of place", cur);
        }
        if (r < 0)
                check_report_pair(c, "damaged value", cur);
}

/* The gaps between the ranges that the other passes walk: 'd', 'f', 'g' and 'i'. The last end is not quite
 * that of all keys, but behind it begins what stores keep for themselves. */
static int check_others(struct check *c)
{
        static const struct { const char *begin, *end; } gaps[] = {
                { "", "d" }, { "e", "f" }, { "h", "i" }, { "j", "\xff\xff\xff\xff\xff\xff\xff\xff" },
        };

        for (size_t i = 0; i < sizeof(gaps) / sizeof(gaps[0]); i++) {
                struct check_cursor cur = { 0 };
                int r = check_cursor_start(c, &cur, slice_str(gaps[i].begin), slice_str(gaps[i].end));

                while (r >= 0 && cur.valid) {
                        check_other(c, &cur);
                        r = check_cursor_next(c, &cur);
                }
                check_cursor_end(&cur);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- the whole ---------------------------------------------------------------------------------- */

static int check_meta(struct check *c, struct err_text *text)
{
        struct slice value;
        struct fmt_meta meta;
        struct fmt_key key;
        int r;

        fmt_key_meta(&key);
        r = kv_get(c->txn, fmt_slice(&key), KV_SNAPSHOT, &value);
        if (r == -ENOENT)
                return err_set(text, ERR_NO_FS, "there is no ashlar file system in this store");
        if (r < 0)
                return r;
        r = fmt_meta_decode(value, &c->scratch, &meta);
        if (r == -ERR_NEWER)
                return err_set(text, ERR_NEWER,
                               "the file system has version %" PRIu32 " and features %#" PRIx64
                               ", which are newer than this program", meta.version, meta.features);
        if (r < 0)
                check_report(c, "the metadata block is damaged: sizes of blocks are not checked");
        else
                c->block_size = meta.block_size;
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

struct check_args {
        struct check *check;
        struct err_text *text;
};

static int check_body(struct kv_txn *t, void *arg)
{
        struct check_args *args = arg;
        struct check *c = args->check;
        int r;

        c->txn = t;
        r = check_meta(c, args->text);
        if (r >= 0)
                r = check_others(c);
        if (r >= 0)
                r = check_inodes(c);
        if (r >= 0)
                r = check_names(c);
        if (r >= 0)
                check_totals(c);
        /* What was reported cannot be taken back, so that the walk cannot begin again. */
        if (r == -ERR_CONFLICT)
                return err_set(args->text, ETIME, "the store does not let one transaction last long enough");
        if (r == -ERR_RETRY)
                return err_set(args->text, EIO, "the store failed during the check; run it again");
        return r;
}

int fs_check(struct kv_store *store, fs_check_fn fn, void *arg,
             void (*progress)(uint64_t keys, void *arg), struct fs_check_result *ret,
             struct err_text *text)
{
        _cleanup_free_ struct check *c = calloc(1, sizeof(*c));
        int r;

        if (!c)
                return err_set(text, ENOMEM, "%s", err_str(ENOMEM));
        c->fn = fn;
        c->fn_arg = arg;
        c->progress = progress;
        c->next_ino = c->inodes = c->epoch = -1;
        if (text)
                text->text[0] = '\0';
        r = kv_run(store, KV_READ, check_body, &(struct check_args){ .check = c, .text = text });
        free(c->nodes.node);
        if (r < 0) {
                if (text && text->text[0] == '\0')
                        err_set(text, -r, "cannot read the store: %s", err_str(r));
                return r;
        }
        *ret = c->result;
        return 0;
}
