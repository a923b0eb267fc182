/* SPDX-License-Identifier: MIT */
/* ashlar mount: parses the arguments; checks what they ask for and starts the process that serves, or
 * remounts. */
#include "base/cleanup.h"
#include "cmd/cmd.h"
#include "cmd/mount_start.h"
#include "mount/store_url.h"

#include <string.h>

/* The names by which mount(8) calls this program: for the type in fstab, and for that of a mount. */
#define HELPER         "mount.ashlar"
#define HELPER_REMOUNT "mount.fuse.ashlar"

/* Exit codes that mount(8) expects of it. */
enum { HELPER_USAGE = 1, HELPER_FAILED = 32 };

struct args {
        bool helper; /* called by mount(8) */
        bool foreground, fake, sloppy, verbose;
        struct mount_options options;
};

static int add_options(void *args, const char *list)
{
        struct args *a = args;
        struct err_text text;

        if (mount_options_parse(&a->options, list, a->sloppy, &text) < 0)
                return cmd_usage_error("mount", "%s", text.text);
        return -1;
}

static int set_rdonly(void *args, const char *value)
{
        return add_options(args, "ro");
}

static int set_writable(void *args, const char *value)
{
        return add_options(args, "rw");
}

static int set_debug(void *args, const char *value)
{
        struct args *a = args;

        a->options.fuse.debug = a->foreground = true;
        return -1;
}

/* mount(8) passes -f when nothing is to be mounted. */
static int set_f(void *args, const char *value)
{
        struct args *a = args;

        *(a->helper ? &a->fake : &a->foreground) = true;
        return -1;
}

static const struct cmd_option options[] = {
        { .letter = 'f', .help = "stay in the foreground and log to stderr", .apply = set_f },
        { .letter = 'd', .help = "the same, and log each request", .apply = set_debug },
        { .letter = 'r', .help = "like -o ro", .apply = set_rdonly },
        { .letter = 'w', .help = "like -o rw", .apply = set_writable },
        { .letter = 'v', .help = "print how it is mounted", .flag = offsetof(struct args, verbose) },
        /* Options that mount(8) may pass on. */
        { .letter = 's', .flag = offsetof(struct args, sloppy) },
        { .letter = 'n', .apply = cmd_ignore_option },
        { .letter = 't', .argument = "TYPE", .apply = cmd_ignore_option },
        { .letter = 'o',
          .argument = "OPTIONS",
          .help = "options, separated by commas:",
          .apply = add_options },
        { 0 },
};

static void print_option(const char *names, const char *help, void *out)
{
        char text[160];

        snprintf(text, sizeof(text), "      %s", names);
        cmd_print_option(out, text, 28, help);
}

static void print_mount_options(FILE *out)
{
        mount_options_describe(print_option, out);
}

static int start(struct args *a, const char *store, const char *given)
{
        _cleanup_free_ char *dir = NULL, *url = store_url_absolute(store);
        struct mount_job job = { .options = a->options };
        struct err_text text;

        if (!url) {
                err_set(&text, ENOMEM, "out of memory");
                return cmd_failed(&text);
        }
        if (mount_check(&a->options, url, given, &dir, &text) < 0)
                return cmd_failed(&text);
        if (a->fake)
                return CMD_OK;
        job.url = url;
        job.dir = dir;
        return a->foreground ? mount_run_foreground(&job) : mount_run_background(&job, a->verbose);
}

static int parse_and_start(int argc, char **argv, bool is_helper)
{
        struct args args = { .helper = is_helper };
        const char *operands[CMD_OPERANDS_MAX];
        int r;

        mount_options_init(&args.options, is_helper);
        r = cmd_parse(&cmd_mount, argc, argv, &args, operands);
        if (r >= 0)
                return r;
        if (args.options.remount && operands[0])
                return mount_remount(&args.options, is_helper, operands[operands[1] ? 1 : 0]);
        if (!operands[1])
                return cmd_usage_error("mount", "give a STORE and a DIR");
        return start(&args, operands[0], operands[1]);
}

static int run(int argc, char **argv)
{
        const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];
        bool is_helper = strcmp(name, HELPER) == 0 || strcmp(name, HELPER_REMOUNT) == 0;
        int r = parse_and_start(argc, argv, is_helper);

        if (r == CMD_OK || !is_helper)
                return r;
        return r == CMD_USAGE ? HELPER_USAGE : HELPER_FAILED;
}

const struct cmd cmd_mount = {
        .name = "mount",
        .aliases = { HELPER, HELPER_REMOUNT },
        .synopsis = "[OPTIONS] STORE DIR\n-o remount,OPTIONS DIR",
        .summary = "mount it at a directory",
        .about = "Mount the file system in STORE at the directory DIR and return when it can be used.",
        .notes = "Unmount with 'ashlar umount DIR'. Exit code: 0 mounted, 1 failed, 2 wrong arguments; "
                 "as\n" HELPER " 0, 32 and 1.",
        .options = options,
        .print_more_options = print_mount_options,
        .operands = { "STORE", "DIR" },
        .run = run,
};
