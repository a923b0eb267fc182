/* SPDX-License-Identifier: MIT */
#include "stream.h"

#include "fs/gc/gc.h"
#include "fs/writeback/dirty_blocks.h"
#include "fs/writeback/writeback.h"
#include "kv/testing/testing.h"
#include "mounts.h"

#include <unistd.h>

#define FOREVER 1000000u /* ms */

uint8_t stream_pattern[STREAM_BYTES];

void must_fail(const char *cond, const char *file, int line)
{
        fprintf(stderr, "%s:%d: %s (ASHLAR_SEED=%s)\n", file, line, cond, getenv("ASHLAR_SEED"));
        abort();
}

/* ---- the counting store -------------------------------------------------------------------------------- */

struct spy_txn {
        struct filter_txn filter;
        bool blocks, record, garbage_set, garbage_cleared;
        uint64_t begin, end; /* of the blocks */
};

static struct spy *spy_of(struct kv_txn *t)
{
        return (struct spy *)t->store;
}

static int spy_begin(struct kv_store *s, unsigned flags, struct kv_txn **ret)
{
        return filter_begin_sized(s, flags, sizeof(struct spy_txn), ret);
}

static void note_block(struct spy_txn *t, struct slice key)
{
        struct fmt_parsed_key parsed;

        must(fmt_key_parse(key, &parsed) == 0);
        if (!t->blocks)
                t->begin = parsed.offset;
        t->blocks = true;
        t->end = parsed.offset + BLOCK;
}

static int spy_set(struct kv_txn *txn, struct slice key, struct slice value)
{
        struct spy_txn *t = (struct spy_txn *)txn;
        struct fmt_key record;

        fmt_key_inode(&record, spy_of(txn)->ino);
        if (key.data[0] == 'f')
                note_block(t, key);
        t->garbage_set |= key.data[0] == 'g';
        t->record |= slice_eq(key, fmt_slice(&record));
        return kv_set(filter_below(txn), key, value);
}

static int spy_clear(struct kv_txn *txn, struct slice key)
{
        ((struct spy_txn *)txn)->garbage_cleared |= key.data[0] == 'g';
        return kv_clear(filter_below(txn), key);
}

static void wait_for_writer(struct spy *s)
{
        for (int i = 0; atomic_load(&s->behind_writer) && fs_writeback_bytes(s->fs) < s->full_bytes; i++) {
                must(i < 200000);
                usleep(50);
        }
}

static void wait_for_turn(struct spy *s, const struct spy_txn *t)
{
        for (int i = 0; atomic_load(&s->behind_writer) && s->ahead_max > 0 &&
                        (atomic_load(&s->turn) != t->begin || atomic_load(&s->ahead) >= s->ahead_max);
             i++) {
                must(i < 200000);
                usleep(50);
        }
}

static void end_turn(struct spy *s, const struct spy_txn *t)
{
        if (t->record) {
                atomic_store(&s->ahead, 0);
        } else if (t->blocks) {
                atomic_fetch_add(&s->ahead, (t->end - t->begin) / BLOCK);
                atomic_store(&s->turn, t->end);
        }
}

static int spy_commit(struct kv_txn *txn)
{
        struct spy_txn *t = (struct spy_txn *)txn;
        struct spy *s = spy_of(txn);
        int r;

        if (txn->flags & KV_WRITE)
                wait_for_writer(s);
        if (t->blocks && !t->record)
                wait_for_turn(s, t);
        r = filter_commit(txn);
        if (r < 0)
                return r;
        end_turn(s, t);
        s->blind += t->blocks && kv_is_blind(txn);
        s->reading += t->blocks && !kv_is_blind(txn) && !t->record;
        s->intents += t->garbage_set;
        s->ended += t->garbage_cleared && t->record; /* a collector does not change the record */
        s->records += t->record;
        return r;
}

static int spy_close(struct kv_store *s)
{
        free(s); /* the store below belongs to B */
        return 0;
}

static struct spy *spy_open(struct kv_store *below)
{
        struct spy *s = calloc(1, sizeof(*s));

        assert_non_null(s);
        filter_init(&s->filter, "spy", below);
        s->filter.ops.close = spy_close;
        s->filter.ops.begin = spy_begin;
        s->filter.ops.commit = spy_commit;
        s->filter.ops.set = spy_set;
        s->filter.ops.clear = spy_clear;
        return s;
}

/* ---- mounts ---------------------------------------------------------------------------------------- */

static int register_body(struct kv_txn *t, void *arg)
{
        static const struct fmt_process process;
        uint8_t value[FMT_SMALL_MAX];
        struct fmt_key k;

        fmt_key_process(&k, arg);
        return kv_set(t, fmt_slice(&k), slice_of(value, fmt_process_encode(&process, value)));
}

static int unregister_body(struct kv_txn *t, void *arg)
{
        struct fmt_key k;

        fmt_key_process(&k, arg);
        return kv_clear(t, fmt_slice(&k));
}

static void fill_pattern(void)
{
        for (uint64_t i = 0; i < STREAM_BYTES; i++)
                stream_pattern[i] = (uint8_t)(1 + (i * UINT64_C(0x9e3779b97f4a7c15) >> 40) % 250);
}

/* Each mount has its entry under 'p' and its markers under its mount id. */
static void open_mount(struct stream *s, struct fixture *f, struct fs_writeback_opts *writeback)
{
        struct fmt_key markers, entry;
        struct err_text text;

        fmt_key_process(&entry, writeback->pid);
        if (!s->unregistered) {
                assert_ok(kv_run(s->b.bottom, KV_WRITE | KV_IDEMPOTENT, register_body, writeback->pid));
                if (f == &s->a)
                        assert_ok(kv_set_fence(f->store, fmt_slice(&entry)));
        }
        fmt_key_status(&markers, writeback->pid);
        assert_ok(kv_set_markers(f->store, fmt_slice(&markers)));
        f->opts.writeback = writeback;
        assert_ok(fs_open(f->store, &f->opts, &f->fs, &text));
        f->opts.writeback = NULL;
        fs_gc_drain(f->fs);
}

void stream_open(struct stream *s, const char *spec, uint64_t seed, const struct stream_opts *o)
{
        size_t block_bytes = sizeof(struct dirty_block) + BLOCK;
        struct fs_writeback_opts a = { .inode_bytes = (o->blocks ? o->blocks : STREAM_BLOCKS) * block_bytes,
                                       .total_bytes =
                                               (o->total_blocks ? o->total_blocks : 1000) * block_bytes,
                                       .age_ms = o->age_ms ? o->age_ms : FOREVER,
                                       .threads = o->threads ? o->threads : 4,
                                       .pid = "a:.............." };
        struct fs_writeback_opts b = { .age_ms = FOREVER, .pid = "b:.............." };

        if (!stream_pattern[0])
                fill_pattern();
        *s = (struct stream){ .unregistered = o->unregistered };
        if (o->faults && strstr(spec, "+fault"))
                s->faults = fixture_faults;
        s->faults.seed = seed;
        s->faults.slow_ppm = 100000;
        s->faults.slow_us = 200;
        fixture_open(&s->b, strncmp(spec, "fdb", 3) == 0 ? "fdb+fault+remote" : "mem+fault+remote");
        kv_fault_set(s->b.fault, &s->faults);
        ((struct kv_limits *)(uintptr_t)kv_limits(s->b.store))->txn_plan_bytes = STREAM_PLAN;
        fs_close(s->b.fs);
        s->spy = spy_open(s->b.store);
        s->spy->full_bytes = a.inode_bytes;
        s->b.opts.no_read_ahead = true; /* so that a mount reads what another flushed at once */
        s->a = s->b;
        s->a.store = &s->spy->filter.base;
        s->a.opts.no_read_ahead = !o->read_ahead;
        open_mount(s, &s->a, &a);
        open_mount(s, &s->b, &b);
        s->standin_faults = o->faults && strcmp(spec, "fdb+fault") == 0;
        if (s->standin_faults)
                site_standin_faults(true);
        s->spy->fs = s->a.fs;
}

void stream_check(struct stream *s)
{
        fixture_check(&s->b, NULL);
        kv_fault_set(s->b.fault, &s->faults);
}

void stream_evict(struct stream *s)
{
        uint8_t a[] = "a:..............";

        s->evicted = true;
        must(kv_run(s->b.bottom, KV_WRITE | KV_IDEMPOTENT, unregister_body, a) == 0);
}

void stream_close(struct stream *s)
{
        uint8_t a[] = "a:..............", b[] = "b:..............";
        int r = fs_close(s->a.fs);

        if (s->standin_faults)
                site_standin_faults(false);
        if (!s->evicted)
                assert_ok(r);
        assert_ok(kv_close(s->a.store));
        assert_ok(kv_run(s->b.bottom, KV_WRITE | KV_IDEMPOTENT, unregister_body, a));
        stream_check(s);
        assert_ok(kv_run(s->b.bottom, KV_WRITE | KV_IDEMPOTENT, unregister_body, b));
        fixture_close(&s->b);
}

/* ---- writing ---------------------------------------------------------------------------------------- */

static void write_one(struct writer *w, uint64_t at, size_t len)
{
        unsigned flags = w->kill_from > 0 && at >= w->kill_from ? FS_WRITE_KILL_PRIV : 0;
        ssize_t n;

        atomic_store(&w->under_way, at + len);
        if (w->model)
                memcpy(w->model + at, stream_pattern + at, len);
        n = fs_write(w->s->a.fs, w->ino, at, slice_of(stream_pattern + at, len), flags);
        if (n < 0 && w->may_fail)
                w->result = (int)n;
        else
                must(n == (ssize_t)len);
}

static void *writer_main(void *arg)
{
        struct writer *w = arg;
        struct rng rng;

        rng_seed(&rng, w->seed);
        for (uint64_t at = 0; at < w->len && w->result == 0 && !atomic_load(&w->stop);) {
                size_t len = 1 + (size_t)rng_below(&rng, rng_below(&rng, 4) == 0 ? 300 : w->most);

                if (w->whole_blocks)
                        len = (len + BLOCK - 1) / BLOCK * BLOCK;
                if (len > w->len - at)
                        len = (size_t)(w->len - at);
                if (rng_below(&rng, 8) == 0)
                        tick(&w->s->b);
                write_one(w, at, len);
                at += len;
                atomic_store(&w->written, at);
                if (w->gap > 0 && rng_below(&rng, 3) == 0)
                        at += rng_below(&rng, w->gap);
        }
        atomic_store(&w->done, true);
        atomic_store(&w->s->spy->behind_writer, false);
        return NULL;
}

void writer_start(struct writer *w)
{
        assert_int_equal(pthread_create(&w->thread, NULL, writer_main, w), 0);
}

void writer_join(struct writer *w)
{
        pthread_join(w->thread, NULL);
}

/* ---- reading ---------------------------------------------------------------------------------------- */

static void compare(const struct reader *r, const uint8_t *got, uint64_t at, size_t len)
{
        const uint8_t *expected = (r->expected ? r->expected : stream_pattern) + at;

        for (size_t i = 0; i < len; i++)
                if (got[i] != expected[i] && (r->except == 0 || got[i] != r->except)) {
                        fprintf(stderr, "byte %llu is %02x, not %02x\n", (unsigned long long)(at + i), got[i],
                                expected[i]);
                        must_fail("wrong byte", __FILE__, __LINE__);
                }
}

#define READ_MAX 60000u

/* Chooses a range within [0, SIZE). */
static void read_one(struct reader *r, struct fixture *f, struct rng *rng, uint64_t size, bool at_end)
{
        static _Thread_local uint8_t buf[READ_MAX];
        uint64_t from = at_end && size > READ_MAX ? size - READ_MAX : 0;
        uint64_t at = from + rng_below(rng, size - from);
        size_t len = 1 + (size_t)rng_below(rng, rng_below(rng, 2) ? 5000 : READ_MAX), least;
        ssize_t n = get(f, r->w->ino, at, buf, len);

        least = len < size - at ? len : (size_t)(size - at);
        must(n >= (ssize_t)least);
        compare(r, buf, at, least);
        r->reads++;
}

static void *reader_main(void *arg)
{
        struct reader *r = arg;
        struct rng rng;

        rng_seed(&rng, r->seed);
        while (!atomic_load(&r->w->done)) {
                uint64_t least = atomic_load(&r->w->written);

                if (least == 0)
                        continue;
                must(attr(&r->w->s->a, r->w->ino).size >= least);
                read_one(r, &r->w->s->a, &rng, least, rng_below(&rng, 2));
        }
        return NULL;
}

static void *watcher_main(void *arg)
{
        struct timespec mtime = { 0 };
        struct reader *r = arg;
        uint64_t seen = 0;
        struct rng rng;
        bool done;

        rng_seed(&rng, r->seed);
        do {
                struct fs_attr a;

                done = atomic_load(&r->w->done);
                a = attr(&r->w->s->b, r->w->ino);
                must(a.size >= seen);
                must(a.size <= r->w->len);
                must(a.mtime.tv_sec >= mtime.tv_sec);
                mtime = a.mtime;
                /* The privilege bits are dropped before data written without them is visible. */
                must(r->w->kill_from == 0 || a.size <= r->w->kill_from + r->w->most || !(a.mode & 06000));
                seen = a.size;
                if (seen > 0)
                        read_one(r, &r->w->s->b, &rng, seen, rng_below(&rng, 3) > 0);
        } while (!done);
        return NULL;
}

void reader_start(struct reader *r)
{
        assert_int_equal(pthread_create(&r->thread, NULL, reader_main, r), 0);
}

void watcher_start(struct reader *r)
{
        assert_int_equal(pthread_create(&r->thread, NULL, watcher_main, r), 0);
}

void reader_join(struct reader *r)
{
        pthread_join(r->thread, NULL);
}

void stream_compare(struct fixture *f, uint64_t ino, const uint8_t *expected, uint64_t len)
{
        assert_int_equal(attr(f, ino).size, len);
        assert_data(f, ino, 0, expected, (size_t)len);
}

uint64_t stream_blocks_of(struct stream *s, const uint8_t *data, uint64_t len)
{
        uint64_t ino = new_file(&s->b, ROOT, "in one piece"), blocks;

        assert_int_equal(fs_write(s->b.fs, ino, 0, slice_of(data, (size_t)len), 0), len);
        assert_ok(fs_fsync(s->b.fs, ino));
        blocks = attr(&s->b, ino).blocks;
        assert_ok(fs_unlink(s->b.fs, ROOT, str("in one piece")));
        return blocks;
}
