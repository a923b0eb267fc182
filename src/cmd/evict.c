/* SPDX-License-Identifier: MIT */
/* ashlar evict: ends the registration of mounts that are dead. */
#include "base/clock.h"
#include "cmd/cmd.h"
#include "cmd/mount_table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A mount increments its heartbeat every 10 seconds. */
#define WAIT_S_DEFAULT 60u
#define WAIT_S_MAX     86400u

/* Interval between two readings of the table. A reading that takes longer than SLOW_READINGS intervals says
 * nothing about the mounts: the store may have been away, for their heartbeats too. */
#define READ_INTERVAL_MS 1000
#define SLOW_READINGS    5

struct args {
        const char *id;
        bool all_stale, force;
        unsigned wait_s;
};

static bool parse_seconds(const char *s, unsigned *ret)
{
        unsigned long n;
        char *end;

        if (*s < '0' || *s > '9')
                return false;
        n = strtoul(s, &end, 10);
        if (*end != '\0' || n > WAIT_S_MAX)
                return false;
        *ret = (unsigned)n;
        return true;
}

static int set_wait(void *args, const char *value)
{
        struct args *a = args;

        if (parse_seconds(value, &a->wait_s))
                return -1;
        return cmd_usage_error("evict", "'%s' is no number of seconds up to %u", value, WAIT_S_MAX);
}

static const struct cmd_option options[] = {
        { "force", .help = "even if its process still runs on this machine",
          .flag = offsetof(struct args, force) },
        { "all-stale",
          .help = "all mounts whose process is gone, and those of other machines whose heartbeat\n"
                  "has stopped",
          .flag = offsetof(struct args, all_stale) },
        { "wait", .argument = "SECONDS",
          .help = "how long it must have stopped (default 60; less than 30 evicts living mounts)",
          .apply = set_wait },
        { 0 },
};

/* Returns -1, or the exit code of a usage error. */
static int check_id(const struct args *a)
{
        if (a->all_stale && a->id)
                return cmd_usage_error("evict", "too many arguments: '%s'", a->id);
        if (a->all_stale)
                return -1;
        if (!a->id)
                return cmd_usage_error("evict", "give the ID of a mount, as 'ashlar mounts' prints it, or "
                                                "--all-stale");
        if (strlen(a->id) != MOUNT_ID_SIZE - 1 || strspn(a->id, "0123456789abcdef") != MOUNT_ID_SIZE - 1)
                return cmd_usage_error("evict", "'%s' is no ID of a mount: 'ashlar mounts' prints them",
                                       a->id);
        return -1;
}

/* ---- one mount ------------------------------------------------------------------------------------ */

/* Evicts the mount of ROW. With SEEN, only if its heartbeat still has that value. */
static int evict(struct kv_store *store, const struct mount_row *row, const uint64_t *seen,
                 struct err_text *text)
{
        int r = rec_session_evict(store, row->pid, seen);

        if (r == -ENOENT || (r == -EBUSY && seen))
                return 0; /* it ended by itself, or is alive */
        if (r < 0)
                return err_set(text, -r, "cannot evict %s: %s", row->id, err_str(r));
        printf("evicted %s\n", row->id);
        return 0;
}

static int evict_row(struct kv_store *store, const struct args *a, const struct mount_row *row,
                     struct err_text *text)
{
        if (!row)
                return err_set(text, ENOENT, "there is no mount %s", a->id);
        if (row->state == MOUNT_RUNS && !a->force)
                return err_set(text, EBUSY,
                               "the mount %s is alive (process %" PRIu64 " on this machine); "
                               "unmount it, or use --force",
                               a->id, row->unix_pid);
        return evict(store, row, NULL, text);
}

static int evict_one(struct kv_store *store, const struct args *a, struct err_text *text)
{
        struct mount_table table;
        int r = mount_table_read(store, &table);

        if (r < 0)
                err_set(text, -r, "cannot read the table of mounts: %s", err_str(r));
        else
                r = evict_row(store, a, mount_table_find(&table, a->id), text);
        mount_table_clear(&table);
        return r;
}

/* ---- all stale mounts ----------------------------------------------------------------------------- */

/* A mount that only its heartbeat can prove alive, and since when the heartbeat has had this value. */
struct suspect {
        char id[MOUNT_ID_SIZE];
        uint64_t heartbeat, since_ns;
};

struct watching {
        struct kv_store *store;
        const struct args *args;
        struct suspect *suspects;
        size_t n;
};

static uint64_t now_ns(void)
{
        return clock_system.monotonic_ns(&clock_system);
}

/* Finds the suspect of ROW, or adds it. NULL: no memory. */
static struct suspect *find_suspect(struct watching *w, const struct mount_row *row)
{
        struct suspect *more;

        for (size_t i = 0; i < w->n; i++)
                if (strcmp(w->suspects[i].id, row->id) == 0)
                        return &w->suspects[i];
        more = reallocarray(w->suspects, w->n + 1, sizeof(*more));
        if (!more)
                return NULL;
        w->suspects = more;
        more += w->n++;
        *more = (struct suspect){ .heartbeat = row->heartbeat, .since_ns = now_ns() };
        memcpy(more->id, row->id, MOUNT_ID_SIZE);
        return more;
}

/* Evicts the mount of ROW if it is stale. Returns 1 if that is not known yet. */
static int check_row(struct watching *w, const struct mount_row *row, struct err_text *text)
{
        struct suspect *s;

        if (row->state == MOUNT_GONE)
                return evict(w->store, row, NULL, text);
        if (row->state == MOUNT_RUNS)
                return 0;
        s = find_suspect(w, row);
        if (!s)
                return err_set(text, ENOMEM, "out of memory");
        if (s->heartbeat != row->heartbeat)
                return 0; /* it is alive */
        if (now_ns() - s->since_ns < (uint64_t)w->args->wait_s * 1000000000)
                return 1;
        return evict(w->store, row, &s->heartbeat, text);
}

static int check_table(struct watching *w, const struct mount_table *table, struct err_text *text)
{
        bool more = false;

        for (size_t i = 0; i < table->n; i++) {
                int r = check_row(w, &table->rows[i], text);

                if (r < 0)
                        return r;
                more = more || r > 0;
        }
        return more;
}

/* Checks all mounts once. Returns 1 if some must be checked again. */
static int check_mounts(struct watching *w, struct err_text *text)
{
        struct mount_table table = { .n = 0 };
        uint64_t begin = now_ns();
        int r = rec_probe_write(w->store);

        if (r >= 0)
                r = mount_table_read(w->store, &table);
        if (now_ns() - begin > (uint64_t)SLOW_READINGS * READ_INTERVAL_MS * 1000000)
                w->n = 0; /* begin again */
        if (r < 0)
                err_set(text, -r, "cannot read the table of mounts: %s", err_str(r));
        else
                r = check_table(w, &table, text);
        mount_table_clear(&table);
        return r;
}

static int evict_stale(struct kv_store *store, const struct args *a, struct err_text *text)
{
        const struct timespec pause = { .tv_sec = READ_INTERVAL_MS / 1000,
                                        .tv_nsec = READ_INTERVAL_MS % 1000 * 1000000 };
        struct watching w = { .store = store, .args = a };
        int r;

        while ((r = check_mounts(&w, text)) > 0)
                nanosleep(&pause, NULL);
        free(w.suspects);
        return r;
}

static int work(struct kv_store *store, void *args, struct err_text *text)
{
        const struct args *a = args;
        int r = cmd_check_fs(store, text);

        if (r < 0)
                return r;
        return a->all_stale ? evict_stale(store, a, text) : evict_one(store, a, text);
}

static int run(int argc, char **argv)
{
        struct args args = { .wait_s = WAIT_S_DEFAULT };
        struct cmd_store_opts opts = { .subcommand = "evict" };
        const char *operands[CMD_OPERANDS_MAX];
        int r = cmd_parse(&cmd_evict, argc, argv, &args, operands);

        if (r >= 0)
                return r;
        opts.url = operands[0];
        args.id = operands[1];
        r = check_id(&args);
        return r >= 0 ? r : cmd_with_store(&opts, work, &args);
}

const struct cmd cmd_evict = {
        .name = "evict",
        .synopsis = "[--force] STORE ID\n--all-stale [--wait SECONDS] STORE",
        .summary = "end the registration of a dead mount",
        .about = "End the registration of the mount ID (see ashlar mounts) in STORE, because it is dead.\n"
                 "If it is alive nevertheless, it cannot change anything any more after that, and what it\n"
                 "had not committed is lost.",
        .options = options,
        .operands = { "STORE", "ID" },
        .required = 1,
        .run = run,
};
