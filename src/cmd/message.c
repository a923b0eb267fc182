/* SPDX-License-Identifier: MIT */
#include "cmd/cmd.h"

#include <stdarg.h>

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

int cmd_finish_output(int exit_code)
{
        if (fflush(stdout) == 0 && !ferror(stdout))
                return exit_code;
        fprintf(stderr, "ashlar: cannot write the output: %s\n", err_str(errno));
        return CMD_FAILED;
}
