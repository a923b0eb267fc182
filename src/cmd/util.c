/* SPDX-License-Identifier: MIT */
/* What the subcommands share: one-line messages and exit codes. */
#include "cmd/cmd.h"
#include "fs/fs.h"

#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

int cmd_usage_error(const char *subcommand, const char *format, ...)
{
        char line[512];
        va_list ap;

        va_start(ap, format);
        vsnprintf(line, sizeof(line), format, ap);
        va_end(ap);
        if (subcommand)
                fprintf(stderr, "ashlar: %s: %s (see ashlar %s --help)\n", subcommand, line, subcommand);
        else
                fprintf(stderr, "ashlar: %s (see ashlar --help)\n", line);
        return CMD_USAGE;
}

int cmd_failed(const struct err_text *t)
{
        fprintf(stderr, "ashlar: %s\n", t->text);
        return CMD_FAILED;
}

int cmd_store_failed(const char *store, const struct err_text *t)
{
        fprintf(stderr, "ashlar: %s: %s\n", store, t->text);
        return CMD_FAILED;
}

int cmd_option_error(const char *subcommand, char *const *argv, int result)
{
        const char *word = argv[optind - 1];

        if (result == ':')
                return cmd_usage_error(subcommand, "option '%s' needs an argument", word);
        /* A short option may stand in a group ("-qx"), so that its letter says more than the word. */
        if (optopt != 0 && optopt <= CHAR_MAX)
                return cmd_usage_error(subcommand, "unknown option '-%c'", optopt);
        return cmd_usage_error(subcommand, "unknown option '%s'", word);
}

int cmd_store_operand(const char *subcommand, int argc, char *const *argv, const char **ret_store)
{
        if (optind == argc)
                return cmd_usage_error(subcommand, "no STORE given");
        if (optind + 1 < argc)
                return cmd_usage_error(subcommand, "more than one STORE given: '%s'", argv[optind + 1]);
        *ret_store = argv[optind];
        return -1;
}

int cmd_finish_output(int exit_code)
{
        if (fflush(stdout) == 0 && !ferror(stdout))
                return exit_code;
        fprintf(stderr, "ashlar: cannot write the output: %s\n", err_str(errno));
        return CMD_FAILED;
}

int cmd_check_fs(struct kv_store *store, struct err_text *text)
{
        const struct fs_open_opts opts = { .rdonly = true };
        struct fs *fs;
        int r = fs_open(store, &opts, &fs, text);

        if (r >= 0)
                fs_close(fs);
        return r;
}

void cmd_owner(const char *subcommand, char *ret, size_t cap)
{
        char host[HOST_NAME_MAX + 1];

        if (gethostname(host, sizeof(host)) < 0)
                host[0] = '\0';
        host[sizeof(host) - 1] = '\0';
        snprintf(ret, cap, "ashlar %s, process %ld on %s", subcommand, (long)getpid(),
                 host[0] ? host : "this machine");
}
