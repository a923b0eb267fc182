/* SPDX-License-Identifier: MIT */
/* ashlar mounts: lists the mounts that are registered in a store. */
#include "cmd/cmd.h"
#include "cmd/json.h"
#include "cmd/mount_table.h"

#include <inttypes.h>
#include <time.h>

struct args {
        bool json;
};

static const struct cmd_option options[] = {
        { "json", .help = "print one JSON object a line", .flag = offsetof(struct args, json) },
        { 0 },
};

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

/* Prints text from the store in a form that is harmless to a terminal. */
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

static int print_mounts(struct kv_store *store, void *args, struct err_text *text)
{
        const struct args *a = args;
        struct mount_table table;
        int r = cmd_check_fs(store, text);

        if (r < 0)
                return r;
        r = mount_table_read(store, &table);
        if (r < 0)
                err_set(text, -r, "cannot read the table of mounts: %s", err_str(r));
        for (size_t i = 0; r >= 0 && i < table.n; i++)
                (a->json ? print_json : print_row)(&table.rows[i]);
        mount_table_clear(&table);
        return r < 0 ? r : CMD_OK;
}

static int run(int argc, char **argv)
{
        struct args args = { 0 };
        struct cmd_store_opts opts = { .subcommand = "mounts", .flags = KV_OPEN_RDONLY };
        const char *operands[CMD_OPERANDS_MAX];
        int r = cmd_parse(&cmd_mounts, argc, argv, &args, operands);

        if (r >= 0)
                return r;
        opts.url = operands[0];
        return cmd_with_store(&opts, print_mounts, &args);
}

const struct cmd cmd_mounts = {
        .name = "mounts",
        .synopsis = "[OPTIONS] STORE",
        .summary = "list the mounts of a store",
        .about = "List the mounts that are registered in STORE, one a line: its id, whether it is shared or\n"
                 "exclusive, whether its process runs or is gone (as far as this machine can know), since\n"
                 "when, its process and host, and where it is mounted. A file system of LMDB files that is\n"
                 "mounted exclusively (the default) has the store locked and is not registered.",
        .options = options,
        .operands = { "STORE" },
        .required = 1,
        .run = run,
};
