/* SPDX-License-Identifier: MIT */
#include "mounts.h"
#include "../kv/fdb/standin/standin.h"
#include "kv/layer/layer.h"
#include "kv/testing/testing.h"
#include "maint/maint.h"

#include <dlfcn.h>
#include <unistd.h>

static struct timespec site_now(const struct clock *c)
{
        const struct test_clock *t = (const struct test_clock *)c;

        return (struct timespec){ .tv_sec = atomic_load(&t->seconds), .tv_nsec = 5 };
}

static uint64_t site_monotonic_ns(const struct clock *c)
{
        return clock_system.monotonic_ns(&clock_system);
}

static void store_open(struct site *s, struct kv_store **ret)
{
        const struct kv_open_opts opts = { .flags = KV_OPEN_CREATE };
        struct err_text text = { "" };

        if (kv_testing_open(s->url, &opts, ret, &text) < 0)
                fail_msg("%s", text.text);
}

/* A cluster file that names a cluster inside the stand-in. */
static void make_cluster_file(struct site *s, const char *path)
{
        FILE *f = fopen(path, "w");

        assert_non_null(f);
        fputs("standin:standin@127.0.0.1:1\n", f);
        assert_int_equal(fclose(f), 0);
}

static void choose_url(struct site *s)
{
        const char *cluster = getenv("ASHLAR_TEST_CLUSTER"), *tmp = getenv("TMPDIR");
        uint64_t name;
        char path[80];

        snprintf(s->dir, sizeof(s->dir), "%s/ashlar-test-XXXXXX", tmp && strlen(tmp) < 32 ? tmp : "/tmp");
        assert_non_null(mkdtemp(s->dir));
        rng_system(&name, sizeof(name)); /* the cluster may hold stores of other runs */
        snprintf(path, sizeof(path), "%s/cluster", s->dir);
        if (!cluster)
                make_cluster_file(s, path);
        snprintf(s->url, sizeof(s->url), "fdb:%s?prefix=mounts-%016llx", cluster ? cluster : path,
                 (unsigned long long)name);
}

void site_standin_faults(bool on)
{
        const struct standin_faults faults = {
                .seed = fixture_number("ASHLAR_SEED", 1) | 1,
                .conflict_ppm = on ? 30000 : 0,
                .unknown_done_ppm = on ? 20000 : 0,
                .unknown_not_done_ppm = on ? 20000 : 0,
                .timed_out_ppm = on ? 10000 : 0,
                .cancelled_ppm = on ? 10000 : 0,
                .watch_broken_ppm = on ? 20000 : 0,
        };
        const char *path = getenv("ASHLAR_FDB_LIB");
        void *library = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
        standin_set_faults_fn set_faults;

        if (!library)
                return;
        *(void **)&set_faults = dlsym(library, "standin_set_faults");
        if (set_faults)
                set_faults(&faults);
        dlclose(library);
}

void site_format(struct site *s)
{
        const struct maint_mkfs_opts mkfs = { .block_size = 4096, .force = true };
        struct err_text text = { "" };

        if (maint_mkfs(s->bottom, &mkfs, &s->clock.clock, &text) < 0)
                fail_msg("%s", text.text);
}

void site_open(struct site *s, const char *spec)
{
        *s = (struct site){ .clock = { .clock = { site_now, site_monotonic_ns }, .seconds = 1000000000 } };
        if (strcmp(spec, "fdb") == 0)
                choose_url(s);
        else
                strcpy(s->url, "mem:");
        store_open(s, &s->bottom);
        if (strcmp(spec, "mem+remote") == 0)
                fixture_make_remote(s->bottom);
        site_format(s);
        if (s->dir[0])
                site_standin_faults(true);
}

static void print_violation(const char *violation, void *arg)
{
        print_error("violation: %s\n", violation);
}

void site_check(struct site *s, struct maint_check_result *ret)
{
        struct maint_check_result result;
        struct err_text text = { "" };

        if (maint_check(s->bottom, print_violation, NULL, NULL, &result, &text) < 0)
                fail_msg("maint_check: %s", text.text);
        assert_int_equal(result.violations, 0);
        if (ret)
                *ret = result;
}

static int clear_body(struct kv_txn *t, void *arg)
{
        return kv_clear_range(t, str(""), str("\xff"));
}

void site_close(struct site *s)
{
        char path[80];

        site_check(s, NULL);
        if (s->dir[0]) {
                site_standin_faults(false);
                assert_ok(kv_run(s->bottom, KV_WRITE | KV_IDEMPOTENT, clear_body, NULL));
                snprintf(path, sizeof(path), "%s/cluster", s->dir);
                unlink(path);
                assert_int_equal(rmdir(s->dir), 0);
        }
        assert_ok(kv_close(s->bottom));
}

static bool is_gone(const struct fmt_process *entry)
{
        return entry->unix_pid >= DEAD_PIDS;
}

static int open_session(struct mount *m, const struct mount_opts *o, struct err_text *text)
{
        struct fs_session_opts opts = {
                .store = "STORE",
                .mountpoint = o->mountpoint ? o->mountpoint : "/mnt",
                .exclusive = o->exclusive,
                .self = { .host = "alpha", .pid_namespace = 7, .start_time = 5 },
                .is_gone = is_gone,
                .clock = &m->site->clock.clock,
                .heartbeat_ms = o->heartbeat_ms ? o->heartbeat_ms : 3600000,
        };

        snprintf(opts.self.boot_id, sizeof(opts.self.boot_id), "%s", o->boot_id ? o->boot_id : "boot");
        opts.self.pid = o->unix_pid ? o->unix_pid : 1000;
        return fs_session_open(m->handle, &opts, &m->session, text);
}

/* Opens the layers that an exclusive mount has over its store, as src/mount/serve.c does. */
static void open_overlay(struct mount *m)
{
        const struct kv_cache_opts cached = { .prefixes = fmt_prefixes_without_processes() };
        struct kv_writebehind_opts behind = { .age_ms = 5 };
        struct fmt_key sequence, entry, begin[FS_FRESH_RANGES], end[FS_FRESH_RANGES];

        if (kv_limits(m->handle)->remote) {
                assert_ok(kv_cache_open(m->handle, &cached, &m->store));
                fs_session_fresh(m->session, begin, end);
                for (unsigned i = 0; i < FS_FRESH_RANGES; i++)
                        assert_ok(kv_cache_fresh(m->store, fmt_slice(&begin[i]), fmt_slice(&end[i])));
        }
        fs_session_batch_key(m->session, &sequence);
        behind.sequence = fmt_slice(&sequence);
        if (m->store != m->handle) {
                fmt_key_process(&entry, fs_session_pid(m->session));
                behind.fence = fmt_slice(&entry);
        }
        assert_ok(kv_writebehind_open(m->store, &behind, &m->store));
}

static int open_fs(struct mount *m, const struct mount_opts *o, struct err_text *text)
{
        const struct fs_writeback_opts writeback = { .age_ms = 5 };
        const struct fs_open_opts opts = { .atime = FS_NOATIME,
                                           .clock = &m->site->clock.clock,
                                           .session = m->session,
                                           .writeback = o->writeback ? &writeback : NULL,
                                           .no_read_ahead = true };

        m->store = m->handle;
        if (o->exclusive)
                open_overlay(m);
        return fs_open(m->store, &opts, &m->fs, text);
}

static int find_heartbeat(const struct rec_session *found, void *arg)
{
        const struct mount *m = arg;

        return memcmp(found->pid, fs_session_pid(m->session), FMT_PID_SIZE) == 0 && found->heartbeat > 0;
}

/* Waits for the first heartbeat; after it the store does not change by itself. */
static void wait_for_heartbeat(struct mount *m)
{
        while (rec_session_each(m->site->bottom, find_heartbeat, m) != 1)
                usleep(500);
}

int mount_open(struct mount *m, struct site *s, const struct mount_opts *opts)
{
        struct err_text text = { "" };
        struct kv_fault_opts faults = opts->faults;
        struct kv_store *below = s->bottom;
        int r;

        *m = (struct mount){ .site = s };
        faults.keep_below = s->dir[0] == '\0';
        if (s->dir[0])
                store_open(s, &below);
        assert_ok(kv_fault_open(below, &faults, &m->handle));
        r = open_session(m, opts, opts->text ? opts->text : &text);
        if (r < 0) {
                if (!opts->text)
                        fail_msg("%s: %s", err_str(r), text.text);
                assert_ok(kv_close(m->handle));
                return r;
        }
        wait_for_heartbeat(m);
        assert_ok(open_fs(m, opts, &text));
        return 0;
}

void mount_close(struct mount *m)
{
        bool lost = fs_session_lost(m->session);
        int r;

        fs_close(m->fs);
        r = kv_sync(m->store);
        lost = lost || fs_session_lost(m->session) || r == -ERR_FENCED;
        if (!lost)
                assert_ok(r);
        r = fs_session_close(m->session, r < 0);
        if (!lost)
                assert_ok(r);
        r = kv_close(m->store);
        if (!lost)
                assert_ok(r);
}

void mount_crash(struct mount *m)
{
        kv_fault_crash_at(m->handle, 0, false);
        fs_close(m->fs);
        fs_session_close(m->session, true);
        (void)kv_close(m->store);
}

/* ---- fingerprint -------------------------------------------------------------------------------- */

static void mix(uint64_t *h, struct slice s)
{
        for (size_t i = 0; i < s.len; i++)
                *h = (*h ^ s.data[i]) * UINT64_C(0x100000001b3);
        *h = (*h ^ s.len) * UINT64_C(0x9e3779b97f4a7c15);
}

static int sum_body(struct kv_txn *t, void *arg)
{
        uint64_t *h = arg;
        struct kv_range range;
        struct slice key, value;
        int r;

        *h = 1;
        kv_range_start(t, &range, &(struct kv_range_opts){ .begin = str(""), .end = str("\xff") });
        while ((r = kv_range_next(&range, &key, &value)) > 0) {
                mix(h, key);
                mix(h, value);
        }
        kv_range_end(&range);
        return r;
}

uint64_t site_sum(struct site *s)
{
        uint64_t h;

        assert_ok(kv_run(s->bottom, KV_READ, sum_body, &h));
        return h;
}
