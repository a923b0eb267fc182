/* SPDX-License-Identifier: MIT */
#include "mount/stack.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "format/format.h"
#include "fs/session/session.h"
#include "fuse/mountpoint/mountinfo.h"
#include "kv/layer/layer.h"
#include "mount/serve.h"
#include "mount/store_url.h"
#include "record/session_table.h"

#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

/* How long to wait for a mount of the same store that has unmounted, so that it is in no table of mounts, and
 * is still committing. */
#define ENDING_MOUNT_MS 10000u

/* Timeout for a store that is away, without the option timeout. Longer than a cluster takes to recover,
 * shorter than what systemd gives a process to end (90 s). */
#define TIMEOUT_MS 60000u

/* ---- deadlines ------------------------------------------------------------------------------------ */

unsigned mount_timeout_ms(const struct mount_job *job)
{
        unsigned timeout_s = job->options.timeout_s;

        return timeout_s > 0 ? timeout_s * 1000 : TIMEOUT_MS;
}

void mount_deadline_begin(const struct mount_job *job, struct deadline *d)
{
        if (!store_url_is_local(job->url))
                deadline_begin(d, mount_timeout_ms(job));
}

void mount_deadline_end(const struct mount_job *job, struct deadline *d)
{
        if (!store_url_is_local(job->url))
                deadline_end(d);
}

/* ---- opening -------------------------------------------------------------------------------------- */

static bool is_rdonly(const struct mount_stack *s)
{
        return s->job->options.flags & MS_RDONLY;
}

/* An exclusive mount of a local store locks it; otherwise mounts find one another by their
 * registrations. */
static bool takes_lock(const struct mount_stack *s)
{
        return !s->shared && store_url_is_local(s->job->url);
}

static int has_source(const struct fuse_mountinfo *m, void *arg)
{
        return fuse_mountinfo_is_ashlar(m) && strcmp(m->source, arg) == 0;
}

/* A mount that is in the table of mounts is not ending. */
static unsigned wait_ms(const struct mount_stack *s)
{
        return fuse_mountinfo_each(has_source, (void *)s->job->url) > 0 ? 0 : ENDING_MOUNT_MS;
}

static int open_store(struct mount_stack *s, unsigned wait_ms, struct err_text *text)
{
        char host[HOST_NAME_MAX + 1] = "", owner[PATH_MAX + 128];
        struct kv_open_opts opts = {
                .flags = takes_lock(s) ? KV_OPEN_EXCLUSIVE : 0,
                .owner = owner,
                .wait_ms = wait_ms,
        };
        int r;

        gethostname(host, sizeof(host) - 1);
        snprintf(owner, sizeof(owner), "pid %ld on %s, mounted at %s", (long)getpid(), host, s->job->dir);
        r = kv_open(s->job->url, &opts, &s->bottom, text);
        s->writable = true;
        if ((r == -EACCES || r == -EROFS) && is_rdonly(s) && takes_lock(s)) {
                opts.flags = KV_OPEN_RDONLY;
                s->writable = false;
                r = kv_open(s->job->url, &opts, &s->bottom, text);
        }
        if (r < 0)
                return r;
        s->store = s->bottom;
        return 0;
}

static int open_session(struct mount_stack *s, unsigned wait_ms, struct err_text *text)
{
        struct fs_session_opts opts = {
                .store = s->job->url,
                .mountpoint = s->job->dir,
                .exclusive = !s->shared,
                .wait_ms = wait_ms,
        };
        struct err_text why;
        int r;

        if (takes_lock(s))
                return 0;
        process_self(&opts.self);
        r = fs_session_open(s->bottom, &opts, &s->session, &why);
        return r < 0 ? err_set(text, -r, "%s: %s", s->job->url, why.text) : 0;
}

/* Saves round trips to a cluster for what was read or written before. */
static int open_cache(struct mount_stack *s)
{
        /* Registrations and markers are written past the cache. */
        const struct kv_cache_opts opts = { .prefixes = fmt_prefixes_without_processes() };
        struct fmt_key begin[FS_FRESH_RANGES], end[FS_FRESH_RANGES];
        int r;

        if (!kv_limits(s->bottom)->remote)
                return 0;
        r = kv_cache_open(s->bottom, &opts, &s->store);
        if (r < 0)
                return r;
        fs_session_fresh(s->session, begin, end);
        for (unsigned i = 0; i < FS_FRESH_RANGES && r >= 0; i++)
                r = kv_cache_fresh(s->store, fmt_slice(&begin[i]), fmt_slice(&end[i]));
        return r;
}

static int open_writebehind(struct mount_stack *s)
{
        struct kv_writebehind_opts opts = { 0 };
        struct fmt_key sequence, entry;

        if (s->session) {
                fs_session_batch_key(s->session, &sequence);
                opts.sequence = fmt_slice(&sequence);
        }
        if (s->store != s->bottom) {
                /* Over the cache, which does not have the fence of the store at the bottom. */
                fs_session_fence_key(s->session, &entry);
                opts.fence = fmt_slice(&entry);
        }
        return kv_writebehind_open(s->store, &opts, &s->store);
}

static int open_layers(struct mount_stack *s, struct err_text *text)
{
        int r;

        if (s->shared || !s->writable)
                return 0;
        r = open_cache(s);
        if (r >= 0)
                r = open_writebehind(s);
        return r < 0 ? err_set(text, -r, "cannot set up the write-behind overlay: %s", err_str(r)) : 0;
}

static int open_fs(struct mount_stack *s, struct err_text *text)
{
        const struct fs_writeback_opts writeback = { 0 };
        const struct fs_open_opts opts = {
                .session = s->session,
                .rdonly = is_rdonly(s),
                .remountable = s->writable,
                .atime = mount_flags_atime(s->job->options.flags),
                .writeback = s->shared ? &writeback : NULL,
        };
        struct err_text why;
        int r = fs_open(s->store, &opts, &s->fs, &why);

        return r < 0 ? err_set(text, -r, "%s: %s", s->job->url, why.text) : 0;
}

static int copy_target(const struct fuse_mountinfo *m, void *arg)
{
        struct fuse_mountinfo *first = arg;

        if (!has_source(m, first->source))
                return 0;
        first->target = strdup(m->target);
        return 1;
}

/* A second view of a mount on this machine needs no second mount of the store. */
static int explain_busy(const struct mount_stack *s, struct err_text *text)
{
        struct fuse_mountinfo first = { .source = (char *)s->job->url };
        _cleanup_free_ char *target = NULL;
        struct err_text why = *text;

        fuse_mountinfo_each(copy_target, &first);
        target = first.target;
        if (!target)
                return -EBUSY;
        return err_set(text, EBUSY, "%s; to see its files at %s too: mount --bind %s %s", why.text,
                       s->job->dir, target, s->job->dir);
}

int mount_stack_open(const struct mount_job *job, struct mount_stack *s, struct err_text *text)
{
        unsigned wait;
        int r;

        *s = (struct mount_stack){ .job = job, .shared = mount_options_shared(&job->options, job->url) };
        wait = wait_ms(s);
        r = open_store(s, wait, text);
        if (r >= 0)
                r = open_session(s, wait, text);
        if (r < 0)
                return r == -EBUSY ? explain_busy(s, text) : r;
        r = open_layers(s, text);
        if (r < 0)
                return r;
        r = open_fs(s, text);
        if (r < 0)
                return r;
        /* With the lock there is no other mount: registrations are left by shared mounts that died. */
        if (takes_lock(s) && !is_rdonly(s))
                (void)rec_session_clear_all(s->store);
        return 0;
}

int mount_stack_remount(struct mount_stack *s, unsigned long flags, struct err_text *text)
{
        struct deadline deadline;
        int r;

        mount_deadline_begin(s->job, &deadline);
        r = fs_remount(s->fs, flags & MS_RDONLY, mount_flags_atime(flags));
        mount_deadline_end(s->job, &deadline);
        if (r == -EROFS)
                return err_set(text, EROFS, "%s cannot be written to: it can only be mounted read-only",
                               s->job->url);
        if (r < 0)
                return err_set(text, -r, "%s: not everything could be committed: %s", s->job->url,
                               err_str(r));
        return 0;
}

/* ---- closing -------------------------------------------------------------------------------------- */

int mount_stack_commit(struct mount_stack *s)
{
        int lost, unsynced, r;

        lost = fs_close(s->fs);
        unsynced = s->session ? kv_sync(s->store) : 0;
        /* After a failure the registration stays: closing the store tries to commit again, and no other mount
         * may begin before that. */
        r = fs_session_close(s->session, unsynced < 0);
        if (s->session && (r < 0 || unsynced < 0))
                log_warning(
                        "%s: this mount is still registered: %s; the next one on this machine clears that, "
                        "or 'ashlar evict'",
                        s->job->url, err_str(r < 0 ? r : unsynced));
        s->session = NULL;
        s->fs = NULL;
        return lost < 0 ? lost : unsynced;
}

int mount_stack_close(struct mount_stack *s)
{
        struct deadline deadline;
        int r;

        mount_deadline_begin(s->job, &deadline);
        r = kv_close(s->store);
        mount_deadline_end(s->job, &deadline);
        s->store = s->bottom = NULL;
        return r;
}
