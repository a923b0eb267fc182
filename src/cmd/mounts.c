/* SPDX-License-Identifier: MIT */
/* ashlar mounts: lists who is registered in a store. */
#include "cmd/cmd.h"
#include "cmd/json.h"
#include "cmd/mount_table.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

/* Options without a short form. */
enum { OPT_JSON = 256 };

struct mounts_args {
        const char *store;
        bool json;
};

static void print_help(void)
{
        printf("Usage: ashlar mounts [OPTIONS] STORE\n"
               "List the mounts that are registered in STORE, one a line: its id, whether it is shared or\n"
               "exclusive, whether its process runs or is gone (as far as this machine can tell), since\n"
               "when, its process and host, and where it is mounted. A file system of LMDB files that is\n"
               "mounted by one mount alone (the default) has the store locked and is not registered.\n"
               "\n"
               "      --json  print one JSON object a line\n"
               "      --help  print this\n");
}

/* The exit code to end with, or -1 to go on. */
static int parse_args(int argc, char **argv, struct mounts_args *a)
{
        static const struct option options[] = {
                { "json", no_argument, NULL, OPT_JSON },
                { "help", no_argument, NULL, 'h' },
                { NULL, 0, NULL, 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, ":h", options, NULL)) >= 0) {
                switch (c) {
                case OPT_JSON:
                        a->json = true;
                        break;
                case 'h':
                        print_help();
                        return cmd_finish_output(CMD_OK);
                default:
                        return cmd_option_error("mounts", argv, c);
                }
        }
        return cmd_store_operand("mounts", argc, argv, &a->store);
}

static const char *state_name(enum mount_state state)
{
        switch (state) {
        case MOUNT_RUNS:
                return "runs";
        case MOUNT_GONE:
                return "gone";
        default:
                return "unknown";
        }
}

/* Text from the store in a form that is harmless to a terminal. */
static void print_text(const char *text)
{
        for (const char *c = text; *c; c++)
                putchar((unsigned char)*c < 0x20 || *c == 0x7f ? '?' : *c);
}

static void print_row(const struct mount_row *row)
{
        char since[32] = "?";
        struct tm tm;

        if (row->damaged) {
                printf("%s  damaged\n", row->id);
                return;
        }
        if (gmtime_r(&row->since.tv_sec, &tm))
                strftime(since, sizeof(since), "%Y-%m-%dT%H:%M:%SZ", &tm);
        printf("%s  %s  %s  %s  %" PRIu64 "@", row->id, row->exclusive ? "exclusive" : "shared",
               state_name(row->state), since, row->unix_pid);
        print_text(row->host);
        printf("  ");
        print_text(row->mountpoint);
        printf("\n");
}

static void print_json_text(const char *name, const char *text)
{
        printf(", \"%s\": ", name);
        json_string(stdout, slice_str(text));
}

static void print_json(const struct mount_row *row)
{
        printf("{\"id\": \"%s\", \"damaged\": %s, \"exclusive\": %s", row->id,
               row->damaged ? "true" : "false", row->exclusive ? "true" : "false");
        printf(", \"state\": \"%s\", \"since\": %lld", state_name(row->state), (long long)row->since.tv_sec);
        printf(", \"pid\": %" PRIu64 ", \"heartbeat\": %" PRIu64, row->unix_pid, row->heartbeat);
        print_json_text("host", row->host);
        print_json_text("mountpoint", row->mountpoint);
        print_json_text("version", row->version);
        printf("}\n");
}

int cmd_mounts(int argc, char **argv)
{
        const struct kv_open_opts opts = { .flags = KV_OPEN_RDONLY };
        struct mounts_args args = { 0 };
        struct mount_table table;
        struct kv_store *store;
        struct err_text text;
        int r;

        r = parse_args(argc, argv, &args);
        if (r >= 0)
                return r;
        if (kv_open(args.store, &opts, &store, &text) < 0)
                return cmd_failed(&text);
        r = cmd_check_fs(store, &text);
        if (r >= 0) {
                r = mount_table_read(store, &table);
                if (r < 0)
                        err_set(&text, -r, "cannot read the table of mounts: %s", err_str(r));
                for (size_t i = 0; r >= 0 && i < table.n; i++)
                        (args.json ? print_json : print_row)(&table.rows[i]);
                mount_table_clear(&table);
        }
        kv_close(store);
        if (r < 0)
                return cmd_store_failed(args.store, &text);
        return cmd_finish_output(CMD_OK);
}
