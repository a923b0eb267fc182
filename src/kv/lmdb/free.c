/* SPDX-License-Identifier: MIT */
/* LMDB 0.9's list of free pages has a record for each transaction that freed some. A writer reads records
 * from the oldest on, as far as no reader may still need their pages, until it has found what it needs. It
 * finds a single page as long as there is one. For a run of N pages it reads 60 * N more records at most, and
 * then takes the run from the end of the file.
 */
#include "kv/lmdb/internal.h"

#include "base/cleanup.h"

#include <stdio.h>
#include <stdlib.h>

/* How many records LMDB is certain to read for a run of N pages. */
#define RECORDS_READ(n) (60u * (n)-1)
/* For the shortest runs. */
#define RECORDS_READ_MIN RECORDS_READ(2)

/* Lengths of runs are counted by classes: a class in the records that LMDB reads for its shortest length. The
 * first class includes single pages. */
static const unsigned run_classes[] = { 1, 8, 16, 32, LMDB_RUN_MAX + 1 };
#define CLASSES (sizeof(run_classes) / sizeof(run_classes[0]) - 1)

/* Pages of a short record; LMDB cuts long ones into records of about 500 pages. */
#define SHORT_RECORD_PAGES 250u

/* ---- which records LMDB may use ----------------------------------------------------------------- */

/* Reads a line of mdb_reader_list: process, thread, and the number of the transaction that it sees or "-". */
static int on_reader(const char *line, void *arg)
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
                number = 0; /* unknown format: count no page as usable */
        if (number < *oldest)
                *oldest = number;
        return 0;
}

/* ---- counting ----------------------------------------------------------------------------------- */

struct map {
        uint8_t *bits;               /* one for each page; set: free */
        uint64_t pages, first, last; /* bounds of the set bits */
};

/* Marks the pages of RECORD, which holds a count and that many page numbers. Returns how many it marked. */
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

static void count_run(uint64_t length, const unsigned lengths[2], struct lmdb_free *f)
{
        for (unsigned n = lengths[0]; n < lengths[1] && n <= length; n++)
                f->runs[n] += length / n;
}

/* Counts runs of [LENGTHS[0], LENGTHS[1]) pages. */
static void count_runs(const struct map *map, const unsigned lengths[2], struct lmdb_free *f)
{
        uint64_t length = 0;

        for (uint64_t page = map->first; page <= map->last && page < map->pages; page++) {
                if (map->bits[page / 8] & 1u << page % 8) {
                        length++;
                        continue;
                }
                count_run(length, lengths, f);
                length = 0;
                if (map->bits[page / 8] == 0)
                        page |= 7; /* none in this byte of the map */
        }
        count_run(length, lengths, f);
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
                return 0; /* free pages may be holes, for which the disk may have no space */
        map.bits = bits = calloc(1, map.pages / 8 + 1);
        if (!bits)
                return -ENOMEM;
        mdb_reader_list(s->env, on_reader, &oldest);
        rc = mdb_cursor_open(t->txn, LMDB_FREE_DBI, &cursor);
        if (rc != 0)
                return lmdb_error(rc);
        while (ret->pages < enough && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
                uint64_t number;

                if (key.mv_size != sizeof(number))
                        continue;
                memcpy(&number, key.mv_data, sizeof(number));
                if (number >= oldest)
                        break;
                if (records == RECORDS_READ_MIN)
                        ret->fragmented = ret->pages < RECORDS_READ_MIN * SHORT_RECORD_PAGES;
                for (; class < CLASSES && records == RECORDS_READ(class == 0 ? 2 : run_classes[class]);
                     class ++)
                        count_runs(&map, &run_classes[class], ret);
                records++;
                ret->pages += mark_record(&map, value);
        }
        mdb_cursor_close(cursor);
        if (rc != 0 && rc != MDB_NOTFOUND)
                return lmdb_error(rc);
        for (; class < CLASSES; class ++)
                count_runs(&map, &run_classes[class], ret);
        return 0;
}

/* ---- what fits ---------------------------------------------------------------------------------- */

bool lmdb_pages_fit(const struct lmdb_pages *p, uint64_t end, const struct lmdb_free *f)
{
        uint64_t total = lmdb_pages_total(p);
        uint64_t in_runs = p->list_pages + (p->run_pages > 1 ? p->value_pages : 0);
        uint64_t longest = p->run_pages > p->list_run_pages ? p->run_pages : p->list_run_pages;

        /* Runs from the end of the file, single pages from anywhere. */
        if (in_runs <= end && total <= end + f->pages)
                return true;
        /* All from the free pages. Among their runs, a single page that is taken breaks one at most, a run
         * two, because it may overlap both. */
        return longest >= 1 && longest <= LMDB_RUN_MAX && total + p->relisted <= f->pages &&
               f->runs[longest] > p->singles + p->relisted + p->values + 2 * (p->runs + p->commits);
}
