/* SPDX-License-Identifier: MIT */
/* ashlar fsck: checks a store, changes nothing. */
#include "cmd/cmd.h"
#include "cmd/json.h"
#include "cmd/mount_table.h"
#include "fs/fs.h"
#include "maint/maint.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Printed before the first violation, or at the end: not before we know that there is something to check. */
#define JSON_BEGIN "{\"violations\": ["

/* Options without a short form. */
enum { OPT_JSON = 256 };

struct fsck {
        const char *store;
        bool json, quiet;
        bool progress; /* show how far we are, on a terminal */
        uint64_t violations;
};

static void print_help(void)
{
        printf("Usage: ashlar fsck [OPTIONS] STORE\n"
               "Check every key and value of the file system in STORE and print what is wrong, one line\n"
               "each. Changes nothing. If the file system is mounted, its last durable state is checked.\n"
               "On a cluster a large file system is read in pieces: unmount it first, or changes made\n"
               "meanwhile may look like violations.\n"
               "\n"
               "      --json   print one JSON object\n"
               "  -q, --quiet  print violations only\n"
               "      --help   print this\n"
               "\n"
               "Exit code: 0 clean, 1 violations found or check not possible, 2 wrong arguments.\n");
}

/* The exit code to end with, or -1 to go on. */
static int parse_args(int argc, char **argv, struct fsck *a)
{
        static const struct option options[] = {
                { "json", no_argument, NULL, OPT_JSON },
                { "quiet", no_argument, NULL, 'q' },
                { "help", no_argument, NULL, 'h' },
                { NULL, 0, NULL, 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, ":qh", options, NULL)) >= 0) {
                switch (c) {
                case OPT_JSON:
                        a->json = true;
                        break;
                case 'q':
                        a->quiet = true;
                        break;
                case 'h':
                        print_help();
                        return cmd_finish_output(CMD_OK);
                default:
                        return cmd_option_error("fsck", argv, c);
                }
        }
        return cmd_store_operand("fsck", argc, argv, &a->store);
}

static void clear_progress(const struct fsck *a)
{
        if (a->progress)
                fputs("\r\033[K", stderr);
}

static void on_progress(uint64_t keys, void *arg)
{
        const struct fsck *a = arg;

        if (a->progress)
                fprintf(stderr, "\r%" PRIu64 " keys checked", keys);
}

static void on_violation(const char *violation, void *arg)
{
        struct fsck *a = arg;

        if (a->json) {
                fputs(a->violations > 0 ? ",\n  " : JSON_BEGIN "\n  ", stdout);
                json_string(stdout, slice_str(violation));
        } else {
                clear_progress(a);
                printf("%s\n", violation);
        }
        a->violations++;
}

static void print_summary(const struct fsck *a, const struct maint_check_result *r)
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
                       r->snapshot ? "" : "; read in pieces, so if it was in use, changes may be among them");
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

/* Opens the store so that nothing changes under the check if we can have that; beside a mount, or where we
 * may only read, what is durable now is what can be seen. *RET_BUSY is empty if nobody else has it. */
static int open_store(const struct fsck *a, struct kv_store **ret, struct err_text *ret_busy,
                      struct err_text *text)
{
        char owner[256];
        struct kv_open_opts opts = { .flags = KV_OPEN_EXCLUSIVE, .owner = owner };
        int r;

        cmd_owner("fsck", owner, sizeof(owner));
        ret_busy->text[0] = '\0';
        r = kv_open(a->store, &opts, ret, text);
        if (r != -EBUSY && r != -EACCES && r != -EROFS)
                return r;
        if (r == -EBUSY)
                *ret_busy = *text;
        opts.flags = KV_OPEN_RDONLY;
        return kv_open(a->store, &opts, ret, text);
}

/* A cluster has no lock: who has it mounted is in its table. */
static void look_for_mounts(struct kv_store *store, struct err_text *ret_busy)
{
        struct mount_table table;
        size_t n = 0;

        if (!kv_limits(store)->remote)
                return;
        if (mount_table_read(store, &table) >= 0)
                for (size_t i = 0; i < table.n; i++)
                        n += table.rows[i].state != MOUNT_GONE;
        if (n > 0)
                err_set(ret_busy, EBUSY, "the store is in use by %zu mounts ('ashlar mounts' lists them)", n);
        mount_table_clear(&table);
}

int cmd_fsck(int argc, char **argv)
{
        struct fsck args = { 0 };
        struct maint_check_result result;
        struct err_text text, busy;
        struct kv_store *store;
        int r;

        r = parse_args(argc, argv, &args);
        if (r >= 0)
                return r;
        args.progress = !args.quiet && isatty(STDERR_FILENO);
        if (open_store(&args, &store, &busy, &text) < 0)
                return cmd_failed(&text);
        look_for_mounts(store, &busy);
        if (busy.text[0] && !args.quiet)
                fprintf(stderr, "ashlar: %s; checking its last durable state\n", busy.text);
        r = maint_check(store, on_violation, &args, on_progress, &result, &text);
        kv_close(store);
        clear_progress(&args);
        if (r < 0)
                return cmd_store_failed(args.store, &text);
        if (args.json)
                print_json_end(&result, busy.text[0] != '\0');
        else if (!args.quiet)
                print_summary(&args, &result);
        return cmd_finish_output(result.violations == 0 ? CMD_OK : CMD_FAILED);
}
