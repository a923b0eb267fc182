/* SPDX-License-Identifier: MIT */
/* The checker's walks: in its transaction, or in chunks where no transaction lasts long enough. */
#include "maint/check_internal.h"

#define PROGRESS_KEYS 65536u

int check_cursor_start(struct check *c, struct check_cursor *cur, struct slice begin, struct slice end)
{
        int r = rec_walk_start(&cur->walk, c->store, c->txn, begin, end);

        return r < 0 ? r : check_cursor_next(c, cur);
}

int check_cursor_start_part(struct check *c, struct check_cursor *cur, enum rec_part part)
{
        rec_part_keys(part, &cur->begin, &cur->end);
        return check_cursor_start(c, cur, fmt_slice(&cur->begin), fmt_slice(&cur->end));
}

int check_cursor_next(struct check *c, struct check_cursor *cur)
{
        for (;;) {
                int r = rec_walk_next(&cur->walk, &cur->key, &cur->value);

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
        rec_walk_end(&cur->walk);
}
