/* SPDX-License-Identifier: MIT */
/* ashlar mkfs: makes an empty file system. */
#include "cmd/cmd.h"
#include "format/format.h"
#include "fs/fs.h"
#include "maint/maint.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LABEL_MAX 255u

/* Options without a short form. */
enum { OPT_FORCE = 256 };

struct mkfs_args {
        const char *store;
        struct maint_mkfs_opts fs;
        bool quiet;
};

static void print_help(void)
{
        printf("Usage: ashlar mkfs [OPTIONS] STORE\n"
               "Make an empty file system in STORE (lmdb:PATH, a plain path, or fdb:), which is created if\n"
               "it does not exist. Its root directory belongs to the caller.\n"
               "\n"
               "  -b, --block-size N  bytes in a block: a multiple of 16 from 4080 to 65536; 4k to 64k\n"
               "  -L, --label TEXT    a name for the file system, at most 255 bytes\n"
               "      --force         erase a file system that is already there\n"
               "  -q, --quiet         say nothing on success\n"
               "      --help          print this\n");
}

/* "32752", "64k", "64K" or "64KiB". */
static bool parse_block_size(const char *s, uint32_t *ret)
{
        unsigned long n;
        char *end;

        if (*s < '0' || *s > '9')
                return false;
        n = strtoul(s, &end, 10);
        if (n > FMT_BLOCK_SIZE_MAX)
                return false;
        if (strcasecmp(end, "k") == 0 || strcasecmp(end, "kib") == 0)
                n *= 1024;
        else if (*end != '\0')
                return false;
        if (!fmt_block_size_valid((uint32_t)n))
                return false;
        *ret = (uint32_t)n;
        return true;
}

/* The exit code to end with, or -1 to go on. */
static int parse_args(int argc, char **argv, struct mkfs_args *a)
{
        static const struct option options[] = {
                { "block-size", required_argument, NULL, 'b' },
                { "label", required_argument, NULL, 'L' },
                { "force", no_argument, NULL, OPT_FORCE },
                { "quiet", no_argument, NULL, 'q' },
                { "help", no_argument, NULL, 'h' },
                { NULL, 0, NULL, 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, ":b:L:qh", options, NULL)) >= 0) {
                switch (c) {
                case 'b':
                        if (parse_block_size(optarg, &a->fs.block_size))
                                break;
                        return cmd_usage_error("mkfs",
                                               "block size '%s' is not a multiple of %u from %u to %u",
                                               optarg, FMT_BLOCK_SIZE_UNIT, FMT_BLOCK_SIZE_MIN,
                                               FMT_BLOCK_SIZE_MAX);
                case 'L':
                        if (strlen(optarg) <= LABEL_MAX) {
                                a->fs.label = optarg;
                                break;
                        }
                        return cmd_usage_error("mkfs", "the label is longer than %u bytes", LABEL_MAX);
                case OPT_FORCE:
                        a->fs.force = true;
                        break;
                case 'q':
                        a->quiet = true;
                        break;
                case 'h':
                        print_help();
                        return cmd_finish_output(CMD_OK);
                default:
                        return cmd_option_error("mkfs", argv, c);
                }
        }
        return cmd_store_operand("mkfs", argc, argv, &a->store);
}

int cmd_mkfs(int argc, char **argv)
{
        struct mkfs_args args = { .fs = { .root_uid = getuid(), .root_gid = getgid() } };
        struct kv_open_opts opts = { .flags = KV_OPEN_CREATE | KV_OPEN_EXCLUSIVE };
        struct kv_store *store;
        struct err_text text;
        char owner[256];
        int r, q;

        r = parse_args(argc, argv, &args);
        if (r >= 0)
                return r;
        cmd_owner("mkfs", owner, sizeof(owner));
        opts.owner = owner;
        if (kv_open(args.store, &opts, &store, &text) < 0)
                return cmd_failed(&text);
        r = maint_mkfs(store, &args.fs, &clock_system, &text);
        q = kv_close(store);
        if (r < 0)
                return cmd_store_failed(args.store, &text);
        if (q < 0) {
                err_set(&text, -q, "cannot make the new file system durable: %s", err_str(q));
                return cmd_store_failed(args.store, &text);
        }
        if (!args.quiet)
                printf("%s: made an empty file system\n", args.store);
        return cmd_finish_output(CMD_OK);
}
