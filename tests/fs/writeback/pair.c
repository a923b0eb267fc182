/* SPDX-License-Identifier: MIT */
#include "pair.h"
#include "fs/gc/gc.h"

#define PLAN 40000u /* five blocks a transaction */

uint8_t big[200 * BLOCK];

/* Registers a mount, so that collectors of others respect its intent records. */
static int register_body(struct kv_txn *t, void *arg)
{
        static const struct fmt_process process;
        uint8_t value[FMT_SMALL_MAX];
        struct fmt_key k;

        fmt_key_process(&k, arg);
        return kv_set(t, fmt_slice(&k), slice_of(value, fmt_process_encode(&process, value)));
}

static void open_one(struct fixture *f, const struct fs_writeback_opts *writeback, const char *pid)
{
        struct fs_writeback_opts opts = *writeback;
        struct err_text text;

        memcpy(opts.pid, pid, sizeof(opts.pid));
        /* With faults, and without a session. */
        if (!strstr(fixture_spec, "+fault"))
                assert_ok(kv_run(f->store, KV_WRITE, register_body, opts.pid));
        f->opts.writeback = &opts;
        f->opts.no_read_ahead = true; /* so that a mount reads what another flushed at once */
        assert_ok(fs_open(f->store, &f->opts, &f->fs, &text));
        f->opts.writeback = NULL;
}

void open_pair(struct pair *p, const char *spec, const struct fs_writeback_opts *opts)
{
        if (strstr(fixture_spec, "+fault") && strcmp(spec, "mem+remote") == 0)
                spec = "mem+fault+remote";
        fixture_open(&p->a, spec);
        ((struct kv_limits *)(uintptr_t)kv_limits(p->a.store))->txn_plan_bytes = PLAN;
        fs_close(p->a.fs);
        open_one(&p->a, opts, "a:..............");
        p->b = p->a;
        open_one(&p->b, opts, "b:..............");
        /* Its costs are not those of the test. */
        fs_gc_drain(p->a.fs);
        fs_gc_drain(p->b.fs);
}

void close_pair(struct pair *p)
{
        fs_close(p->b.fs);
        fixture_close(&p->a);
}

const struct fs_writeback_opts lazy = { .age_ms = FOREVER };

void write_at(struct fixture *f, uint64_t ino, uint64_t offset, const void *data, size_t len)
{
        assert_result(fs_write(f->fs, ino, offset, slice_of(data, len), 0), (int64_t)len, "fs_write",
                      __FILE__, __LINE__);
}

void fill_big(void)
{
        for (size_t i = 0; i < sizeof(big); i++)
                big[i] = (uint8_t)(1 + i % 251);
}
