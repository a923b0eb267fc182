/* SPDX-License-Identifier: MIT */
/* Free pages inside the file, as far as it is certain that LMDB will use them: how many there are, and how
 * many rows of consecutive ones.
 *
 * What LMDB does (0.9): its list has a record for each transaction that freed pages. A writer reads records
 * from the oldest on, as far as no reader may still need their pages, until it has what it looks for. A
 * single page it finds as long as there is one. For N pages in a row it reads 60 * N more records at most,
 * and then takes them from the end of the file.
 */
#include "kv/lmdb/internal.h"

#include "base/cleanup.h"

#include <stdio.h>
#include <stdlib.h>

/* LMDB's database of free pages. */
#define FREE_DBI ((MDB_dbi)0)

/* How many records LMDB certainly looks at for a row of N pages. */
#define LOOKED_AT(n) (60u * (n)-1)

/* For the shortest rows. */
#define RECORDS_LOOKED_AT LOOKED_AT(2)

/* Rows of several lengths are counted at a time, in the records that count for the shortest of them; the
 * first class has single pages, too. */
static const unsigned row_classes[] = { 1, 8, 16, 32, LMDB_ROW_MAX + 1 };
#define CLASSES (sizeof(row_classes) / sizeof(row_classes[0]) - 1)

/* LMDB cuts long records into ones of some 500 pages. */
#define RECORD_PAGES_FEW 250u

/* ---- which records LMDB may use ----------------------------------------------------------------- */

/* One line of LMDB's report about readers: process, thread, and the transaction that it sees or "-". */
static int note_reader(const char *line, void *arg)
{
        uint64_t *oldest = arg;
        unsigned long long number;
        char thread[32], seen[32];
        int pid;

        if (sscanf(line, " %d %31s %31s", &pid, thread, seen) != 3)
                return 0;
        if (strcmp(seen, "-") == 0)
                return 0;
        if (sscanf(seen, "%llu", &number) != 1)
                number = 0; /* not understood: take nothing for certain */
        if (number < *oldest)
                *oldest = number;
        return 0;
}

/* ---- counting ----------------------------------------------------------------------------------- */

struct map {
        uint8_t *bits;               /* one a page; set: free */
        uint64_t pages, first, last; /* bounds of what is set */
};

/* A record: a count, and as many page numbers. Returns how many. */
static uint64_t mark_record(struct map *map, MDB_val record)
{
        const uint8_t *words = record.mv_data;
        uint64_t n, page, marked = 0;

        if (record.mv_size < sizeof(n))
                return 0;
        memcpy(&n, words, sizeof(n));
        if (n >= record.mv_size / sizeof(n))
                return 0;
        for (uint64_t i = 1; i <= n; i++) {
                memcpy(&page, words + i * sizeof(page), sizeof(page));
                if (page >= map->pages)
                        continue;
                map->bits[page / 8] |= (uint8_t)(1u << page % 8);
                map->first = page < map->first ? page : map->first;
                map->last = page > map->last ? page : map->last;
                marked++;
        }
        return marked;
}

static void count_row(uint64_t length, const unsigned lengths[2], struct lmdb_free *f)
{
        for (unsigned n = lengths[0]; n < lengths[1] && n <= length; n++)
                f->rows[n] += length / n;
}

/* Rows of [LENGTHS[0], LENGTHS[1]) pages. */
static void count_rows(const struct map *map, const unsigned lengths[2], struct lmdb_free *f)
{
        uint64_t length = 0;

        for (uint64_t page = map->first; page <= map->last && page < map->pages; page++) {
                if (map->bits[page / 8] & 1u << page % 8) {
                        length++;
                        continue;
                }
                count_row(length, lengths, f);
                length = 0;
                if (map->bits[page / 8] == 0)
                        page |= 7; /* none in this byte */
        }
        count_row(length, lengths, f);
}

int lmdb_free_count(struct lmdb_store *s, struct lmdb_txn *t, uint64_t enough, struct lmdb_free *ret)
{
        uint64_t oldest = mdb_txn_id(t->txn);
        struct map map = { .pages = atomic_load(&s->used_end) / s->page_bytes, .first = UINT64_MAX };
        _cleanup_free_ uint8_t *bits = NULL;
        unsigned records = 0, class = 0;
        MDB_cursor *cursor;
        MDB_val key, value;
        int rc;

        *ret = (struct lmdb_free){ .pages = 0 };
        if (s->sparse)
                return 0; /* free pages may be holes, for which there is no room */
        map.bits = bits = calloc(1, map.pages / 8 + 1);
        if (!bits)
                return -ENOMEM;
        mdb_reader_list(s->env, note_reader, &oldest);
        rc = mdb_cursor_open(t->txn, FREE_DBI, &cursor);
        if (rc != 0)
                return lmdb_error(rc);
        while (ret->pages < enough && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
                uint64_t number;

                if (key.mv_size != sizeof(number))
                        continue;
                memcpy(&number, key.mv_data, sizeof(number));
                if (number >= oldest)
                        break;
                if (records == RECORDS_LOOKED_AT)
                        ret->split = ret->pages < RECORDS_LOOKED_AT * RECORD_PAGES_FEW;
                for (; class < CLASSES && records == LOOKED_AT(class == 0 ? 2 : row_classes[class]); class ++)
                        count_rows(&map, &row_classes[class], ret);
                records++;
                ret->pages += mark_record(&map, value);
        }
        mdb_cursor_close(cursor);
        if (rc != 0 && rc != MDB_NOTFOUND)
                return lmdb_error(rc);
        for (; class < CLASSES; class ++)
                count_rows(&map, &row_classes[class], ret);
        return 0;
}
