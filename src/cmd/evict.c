/* SPDX-License-Identifier: MIT */
/* ashlar evict: ends the registration of mounts that are dead. */
#include "base/clock.h"
#include "cmd/cmd.h"
#include "cmd/mount_table.h"
#include "fs/fs.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A living mount's heartbeat counts on every 10 seconds. */
#define WAIT_S_DEFAULT 60u
#define WAIT_S_MAX     86400u

/* Between two looks. One that took longer than that many of them says nothing about the mounts: perhaps
 * the store was away, and their heartbeats with it. */
#define LOOK_MS    1000
#define SLOW_LOOKS 5

enum { OPT_FORCE = 256, OPT_ALL_STALE, OPT_WAIT };

struct evict_args {
        const char *store, *id;
        bool all_stale, force;
        unsigned wait_s;
};

static void print_help(void)
{
        printf("Usage: ashlar evict [--force] STORE ID\n"
               "       ashlar evict --all-stale [--wait SECONDS] STORE\n"
               "End the registration of the mount ID (see ashlar mounts) in STORE, because it is dead.\n"
               "Should it live nevertheless, it cannot change anything any more from that moment on, and\n"
               "what it had not written yet is lost.\n"
               "\n"
               "      --force         also if its process still runs on this machine\n"
               "      --all-stale     all mounts whose process is gone, and those whose heartbeat stands\n"
               "                      still\n"
               "      --wait SECONDS  for how long it must (default 60; less than 30 takes a living mount\n"
               "                      for dead)\n"
               "      --help          print this\n");
}

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

static int check_operands(int argc, char **argv, struct evict_args *a)
{
        int wanted = a->all_stale ? 1 : 2;

        if (optind == argc)
                return cmd_usage_error("evict", "no STORE given");
        if (argc - optind < wanted)
                return cmd_usage_error("evict", "give the ID of a mount, as 'ashlar mounts' prints it, or "
                                                "--all-stale");
        if (argc - optind > wanted)
                return cmd_usage_error("evict", "too many arguments: '%s'", argv[optind + wanted]);
        a->store = argv[optind];
        if (a->all_stale)
                return -1;
        a->id = argv[optind + 1];
        if (strlen(a->id) != MOUNT_ID_SIZE - 1 || strspn(a->id, "0123456789abcdef") != MOUNT_ID_SIZE - 1)
                return cmd_usage_error("evict", "'%s' is no ID of a mount: 'ashlar mounts' prints them",
                                       a->id);
        return -1;
}

/* The exit code to end with, or -1 to go on. */
static int parse_args(int argc, char **argv, struct evict_args *a)
{
        static const struct option options[] = {
                { "force", no_argument, NULL, OPT_FORCE },
                { "all-stale", no_argument, NULL, OPT_ALL_STALE },
                { "wait", required_argument, NULL, OPT_WAIT },
                { "help", no_argument, NULL, 'h' },
                { NULL, 0, NULL, 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, ":h", options, NULL)) >= 0) {
                switch (c) {
                case OPT_FORCE:
                        a->force = true;
                        break;
                case OPT_ALL_STALE:
                        a->all_stale = true;
                        break;
                case OPT_WAIT:
                        if (parse_seconds(optarg, &a->wait_s))
                                break;
                        return cmd_usage_error("evict", "'%s' is no number of seconds up to %u", optarg,
                                               WAIT_S_MAX);
                case 'h':
                        print_help();
                        return cmd_finish_output(CMD_OK);
                default:
                        return cmd_option_error("evict", argv, c);
                }
        }
        return check_operands(argc, argv, a);
}

/* ---- one ---------------------------------------------------------------------------------------- */

/* SEEN: the heartbeat that it must still have, or NULL. */
static int evict(struct kv_store *store, const struct mount_row *row, const uint64_t *seen,
                 struct err_text *text)
{
        int r = rec_evict(store, row->pid, seen);

        if (r == 0)
                printf("evicted %s\n", row->id);
        else if (r == -ENOENT || (r == -EBUSY && seen))
                r = 0; /* it went by itself, or lives after all */
        else
                err_set(text, -r, "cannot evict %s: %s", row->id, err_str(r));
        return r;
}

static int evict_one(struct kv_store *store, const struct evict_args *a, struct err_text *text)
{
        const struct mount_row *row;
        struct mount_table table;
        int r = mount_table_read(store, &table);

        if (r < 0) {
                err_set(text, -r, "cannot read the table of mounts: %s", err_str(r));
        } else if (!(row = mount_table_find(&table, a->id))) {
                r = err_set(text, ENOENT, "there is no mount %s", a->id);
        } else if (row->state == MOUNT_RUNS && !a->force) {
                r = err_set(text, EBUSY,
                            "the mount %s is alive (process %" PRIu64 " on this machine); "
                            "unmount it, or use --force",
                            a->id, row->unix_pid);
        } else {
                r = evict(store, row, NULL, text);
        }
        mount_table_clear(&table);
        return r;
}

/* ---- all that are stale -------------------------------------------------------------------------- */

/* A mount of which only the heartbeat can tell: how long it stood still. */
struct suspect {
        char id[MOUNT_ID_SIZE];
        uint64_t heartbeat, since_ns;
};

struct watching {
        struct kv_store *store;
        const struct evict_args *args;
        struct suspect *suspects;
        size_t n;
};

static uint64_t now_ns(void)
{
        return clock_system.monotonic_ns(&clock_system);
}

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

/* 1 if ROW has to be watched further. */
static int judge(struct watching *w, const struct mount_row *row, struct err_text *text)
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
                return 0; /* it lives */
        if (now_ns() - s->since_ns < (uint64_t)w->args->wait_s * 1000000000)
                return 1;
        return evict(w->store, row, &s->heartbeat, text);
}

/* 1 if some have to be watched further. */
static int look(struct watching *w, struct err_text *text)
{
        struct mount_table table = { .n = 0 };
        uint64_t begin = now_ns();
        bool more = false;
        int r = rec_probe_write(w->store);

        if (r >= 0)
                r = mount_table_read(w->store, &table);
        if (r < 0)
                err_set(text, -r, "cannot read the table of mounts: %s", err_str(r));
        if (now_ns() - begin > (uint64_t)SLOW_LOOKS * LOOK_MS * 1000000)
                w->n = 0; /* begin again */
        for (size_t i = 0; r >= 0 && i < table.n; i++) {
                r = judge(w, &table.rows[i], text);
                more = more || r > 0;
        }
        mount_table_clear(&table);
        return r < 0 ? r : more;
}

static int evict_stale(struct kv_store *store, const struct evict_args *a, struct err_text *text)
{
        const struct timespec pause = { .tv_sec = LOOK_MS / 1000, .tv_nsec = LOOK_MS % 1000 * 1000000 };
        struct watching w = { .store = store, .args = a };
        int r;

        while ((r = look(&w, text)) > 0)
                nanosleep(&pause, NULL);
        free(w.suspects);
        return r;
}

int cmd_evict(int argc, char **argv)
{
        struct evict_args args = { .wait_s = WAIT_S_DEFAULT };
        struct kv_open_opts opts = { .flags = 0 };
        struct kv_store *store;
        struct err_text text;
        char owner[256];
        int r;

        r = parse_args(argc, argv, &args);
        if (r >= 0)
                return r;
        cmd_owner("evict", owner, sizeof(owner));
        opts.owner = owner;
        if (kv_open(args.store, &opts, &store, &text) < 0)
                return cmd_failed(&text);
        r = cmd_check_fs(store, &text);
        if (r >= 0)
                r = args.all_stale ? evict_stale(store, &args, &text) : evict_one(store, &args, &text);
        kv_close(store);
        if (r < 0)
                return cmd_store_failed(args.store, &text);
        return cmd_finish_output(CMD_OK);
}
