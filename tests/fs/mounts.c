#include "mounts.h"

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

void site_open(struct site *s, bool remote)
{
        const struct kv_open_opts opts = { .flags = KV_OPEN_CREATE };
        const struct fs_mkfs_opts mkfs = { .block_size = 4096 };
        struct err_text text = { "" };

        *s = (struct site){ .clock = { .clock = { site_now, site_monotonic_ns }, .seconds = 1000000000 } };
        if (kv_open(remote ? "mem:remote" : "mem:", &opts, &s->bottom, &text) < 0 ||
            fs_mkfs(s->bottom, &mkfs, &s->clock.clock, &text) < 0)
                fail_msg("%s", text.text);
}

static void print_violation(const char *violation, void *arg)
{
        print_error("violation: %s\n", violation);
}

void site_check(struct site *s, struct fs_check_result *ret)
{
        struct fs_check_result result;
        struct err_text text = { "" };

        if (fs_check(s->bottom, print_violation, NULL, NULL, &result, &text) < 0)
                fail_msg("fs_check: %s", text.text);
        assert_int_equal(result.violations, 0);
        if (ret)
                *ret = result;
}

void site_close(struct site *s)
{
        site_check(s, NULL);
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

static int open_fs(struct mount *m, const struct mount_opts *o, struct err_text *text)
{
        const struct fs_open_opts opts = { .atime = FS_NOATIME, .clock = &m->site->clock.clock,
                                           .session = m->session };
        const struct kv_writebehind_opts behind = { .age_ms = 5 };

        m->store = m->handle;
        if (o->exclusive)
                assert_ok(kv_writebehind_open(m->handle, &behind, &m->store));
        return fs_open(m->store, &opts, &m->fs, text);
}

static int find_heartbeat(const struct fs_mount *found, void *arg)
{
        const struct mount *m = arg;

        return memcmp(found->pid, fs_session_pid(m->session), FMT_PID_SIZE) == 0 && found->heartbeat > 0;
}

/* The first heartbeat comes by itself: afterwards the store stands still. */
static void wait_for_heartbeat(struct mount *m)
{
        while (fs_mounts(m->site->bottom, find_heartbeat, m) != 1)
                usleep(500);
}

int mount_open(struct mount *m, struct site *s, const struct mount_opts *opts)
{
        struct err_text text = { "" };
        struct kv_fault_opts faults = opts->faults;
        int r;

        *m = (struct mount){ .site = s };
        faults.keep_below = true;
        assert_ok(kv_fault_open(s->bottom, &faults, &m->handle));
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
