/* SPDX-License-Identifier: MIT */
/* ashlar fsck: checks a store, changes nothing. */
#include "cmd/cmd.h"
#include "cmd/json.h"
#include "cmd/mount_table.h"
#include "fs/fs.h"
#include "maint/maint.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

/* Printed before the first violation or at the end: when it is known that there is a file system to check. */
#define JSON_BEGIN "{\"violations\": ["

struct args {
        bool json, quiet;
        const char *store;
        bool progress; /* show the number of keys seen, on a terminal */
        uint64_t violations;
        struct err_text busy; /* what else uses the store; empty: nothing */
};

static const struct cmd_option options[] = {
        { "json", .help = "print one JSON object", .flag = offsetof(struct args, json) },
        { "quiet", 'q', .help = "print violations only", .flag = offsetof(struct args, quiet) },
        { 0 },
};

static void clear_progress(const struct args *a)
{
        if (a->progress)
                fputs("\r\033[K", stderr);
}

static void on_progress(uint64_t keys, void *arg)
{
        const struct args *a = arg;

        if (a->progress)
                fprintf(stderr, "\r%" PRIu64 " keys checked", keys);
}

static void on_violation(const char *violation, void *arg)
{
        struct args *a = arg;

        if (a->json) {
                fputs(a->violations > 0 ? ",\n  " : JSON_BEGIN "\n  ", stdout);
                json_string(stdout, slice_str(violation));
        } else {
                clear_progress(a);
                printf("%s\n", violation);
        }
        a->violations++;
}

static void print_summary(const struct args *a, const struct maint_check_result *r)
{
        printf("%s: %" PRIu64 " inodes (%" PRIu64 " directories, %" PRIu64 " files, %" PRIu64
               " symlinks, %" PRIu64 " others), %" PRIu64 " names, %" PRIu64 " blocks with %" PRIu64
               " bytes, %" PRIu64 " extended attributes, %" PRIu64 " waiting to be collected\n",
               a->store, r->inodes, r->directories, r->files, r->symlinks, r->others, r->dirents, r->blocks,
               r->data_bytes, r->xattrs, r->garbage);
        if (r->violations == 0)
                printf("%s: clean\n", a->store);
        else
                printf("%s: %" PRIu64 " violations%s\n", a->store, r->violations,
                       r->snapshot ? ""
                                   : "; read by several transactions: concurrent changes may be among them");
}

static void print_json_end(const struct maint_check_result *r, bool in_use)
{
        bool clean = r->violations == 0;

        printf("%s],\n \"clean\": %s, \"in_use\": %s, \"snapshot\": %s,\n", clean ? JSON_BEGIN : "",
               clean ? "true" : "false", in_use ? "true" : "false", r->snapshot ? "true" : "false");
        printf(" \"inodes\": %" PRIu64 ", \"directories\": %" PRIu64 ", \"files\": %" PRIu64
               ", \"symlinks\": %" PRIu64 ", \"others\": %" PRIu64 ",\n",
               r->inodes, r->directories, r->files, r->symlinks, r->others);
        printf(" \"names\": %" PRIu64 ", \"blocks\": %" PRIu64 ", \"data_bytes\": %" PRIu64
               ", \"xattrs\": %" PRIu64 ", \"garbage\": %" PRIu64 "}\n",
               r->dirents, r->blocks, r->data_bytes, r->xattrs, r->garbage);
}

/* Opens the store exclusively if it can, so that nothing changes during the check. Beside a mount, or without
 * permission to write, it reads the last durable state. */
static int open_store(struct args *a, struct cmd_store *ret, struct err_text *text)
{
        struct cmd_store_opts opts = { .url = a->store, .subcommand = "fsck", .flags = KV_OPEN_EXCLUSIVE };
        int r = cmd_store_open(&opts, ret, text);

        if (r != -EBUSY && r != -EACCES && r != -EROFS)
                return r;
        if (r == -EBUSY)
                a->busy = *text;
        opts.flags = KV_OPEN_RDONLY;
        return cmd_store_open(&opts, ret, text);
}

/* A cluster has no lock; its mounts are registered. */
static void look_for_mounts(struct kv_store *store, struct args *a)
{
        struct mount_table table;
        size_t n = 0;

        if (!kv_limits(store)->remote)
                return;
        if (mount_table_read(store, &table) >= 0)
                for (size_t i = 0; i < table.n; i++)
                        n += table.rows[i].state != MOUNT_GONE;
        if (n > 0)
                err_set(&a->busy, EBUSY, "the store is in use by %zu mounts ('ashlar mounts' lists them)", n);
        mount_table_clear(&table);
}

static int run(int argc, char **argv)
{
        struct args args = { 0 };
        const char *operands[CMD_OPERANDS_MAX];
        struct maint_check_result result;
        struct err_text text;
        struct cmd_store store;
        int r = cmd_parse(&cmd_fsck, argc, argv, &args, operands);

        if (r >= 0)
                return r;
        args.store = operands[0];
        args.progress = !args.quiet && isatty(STDERR_FILENO);
        if (open_store(&args, &store, &text) < 0)
                return cmd_failed(&text);
        look_for_mounts(store.kv, &args);
        if (args.busy.text[0] && !args.quiet)
                fprintf(stderr, "ashlar: %s; checking its last durable state\n", args.busy.text);
        r = maint_check(store.kv, on_violation, &args, on_progress, &result, &text);
        cmd_store_close(&store);
        clear_progress(&args);
        if (r < 0)
                return cmd_store_failed(args.store, &text);
        if (args.json)
                print_json_end(&result, args.busy.text[0] != '\0');
        else if (!args.quiet)
                print_summary(&args, &result);
        return cmd_finish_output(result.violations == 0 ? CMD_OK : CMD_FAILED);
}

const struct cmd cmd_fsck = {
        .name = "fsck",
        .synopsis = "[OPTIONS] STORE",
        .summary = "check every key and value; changes nothing",
        .about = "Check every key and value of the file system in STORE and print what is wrong, one line\n"
                 "each. Changes nothing. If the file system is mounted, its last durable state is checked.\n"
                 "A large file system on a cluster is read by several transactions: unmount it first, or\n"
                 "concurrent changes may look like violations.",
        .notes = "Exit code: 0 clean, 1 violations found or check not possible, 2 wrong arguments.",
        .options = options,
        .operands = { "STORE" },
        .required = 1,
        .run = run,
};
