/* SPDX-License-Identifier: MIT */
/* ashlar mkfs: makes an empty file system. */
#include "cmd/cmd.h"
#include "format/format.h"
#include "maint/maint.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LABEL_MAX 255u

struct args {
        struct maint_mkfs_opts fs;
        bool quiet;
};

/* Parses "32752", "64k", "64K" or "64KiB". */
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

static int set_block_size(void *args, const char *value)
{
        struct args *a = args;

        if (parse_block_size(value, &a->fs.block_size))
                return -1;
        return cmd_usage_error("mkfs", "block size '%s' is not a multiple of %u from %u to %u", value,
                               FMT_BLOCK_SIZE_UNIT, FMT_BLOCK_SIZE_MIN, FMT_BLOCK_SIZE_MAX);
}

static int set_label(void *args, const char *value)
{
        struct args *a = args;

        if (strlen(value) > LABEL_MAX)
                return cmd_usage_error("mkfs", "the label is longer than %u bytes", LABEL_MAX);
        a->fs.label = value;
        return -1;
}

static const struct cmd_option options[] = {
        { "block-size", 'b', "N", "bytes in a block: a multiple of 16 from 4080 to 65536; 4k to 64k",
          set_block_size },
        { "label", 'L', "TEXT", "a name for the file system, at most 255 bytes", set_label },
        { "force", .help = "erase a file system that is already there",
          .flag = offsetof(struct args, fs.force) },
        { "quiet", 'q', .help = "print nothing on success", .flag = offsetof(struct args, quiet) },
        { 0 },
};

static int make(struct kv_store *store, void *args, struct err_text *text)
{
        const struct args *a = args;

        return maint_mkfs(store, &a->fs, &clock_system, text);
}

static int run(int argc, char **argv)
{
        struct args args = { .fs = { .root_uid = getuid(), .root_gid = getgid() } };
        struct cmd_store_opts opts = { .subcommand = "mkfs", .flags = KV_OPEN_CREATE | KV_OPEN_EXCLUSIVE };
        const char *operands[CMD_OPERANDS_MAX];
        int r = cmd_parse(&cmd_mkfs, argc, argv, &args, operands);

        if (r >= 0)
                return r;
        opts.url = operands[0];
        r = cmd_with_store(&opts, make, &args);
        if (r != CMD_OK || args.quiet)
                return r;
        printf("%s: made an empty file system\n", opts.url);
        return cmd_finish_output(CMD_OK);
}

const struct cmd cmd_mkfs = {
        .name = "mkfs",
        .synopsis = "[OPTIONS] STORE",
        .summary = "make an empty file system",
        .about =
                "Make an empty file system in STORE (lmdb:PATH, a plain path, or fdb:), which is created if\n"
                "it does not exist. Its root directory belongs to the caller.",
        .options = options,
        .operands = { "STORE" },
        .required = 1,
        .run = run,
};
