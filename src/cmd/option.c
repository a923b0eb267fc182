/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "cmd/cmd.h"

#include <getopt.h>
#include <limits.h>
#include <string.h>

/* getopt_long returns this plus the index of a long option, so that it cannot be taken for a letter. */
#define LONG_BASE 256

static size_t count_options(const struct cmd *c)
{
        size_t n = 0;

        while (c->options[n].name || c->options[n].letter)
                n++;
        return n;
}

/* ---- --help --------------------------------------------------------------------------------------- */

void cmd_print_option(FILE *out, const char *option, int width, const char *help)
{
        if (help && (int)strlen(option) + 2 > width) {
                fprintf(out, "%s\n", option);
                option = "";
        }
        while (help) {
                const char *end = strchrnul(help, '\n');

                fprintf(out, "%-*s%.*s\n", width, option, (int)(end - help), help);
                option = "";
                help = *end ? end + 1 : NULL;
        }
}

/* Formats "  -b, --block-size N", aligned for options without a letter; returns the length. */
static int format_option(const struct cmd_option *o, char *ret, size_t cap)
{
        const char *blank = o->argument ? " " : "", *argument = o->argument ? o->argument : "";

        if (!o->name)
                return snprintf(ret, cap, "  -%c%s%s", o->letter, blank, argument);
        if (!o->letter)
                return snprintf(ret, cap, "      --%s%s%s", o->name, blank, argument);
        return snprintf(ret, cap, "  -%c, --%s%s%s", o->letter, o->name, blank, argument);
}

static int print_help(const struct cmd *c)
{
        static const struct cmd_option help = { .name = "help", .letter = 'h', .help = "print this" };
        size_t n = count_options(c);
        char text[80];
        int width = format_option(&help, text, sizeof(text)) + 2;
        const char *form = c->synopsis;

        for (const char *intro = "Usage:"; form; intro = "      ") {
                printf("%s ashlar %s %.*s\n", intro, c->name, (int)strcspn(form, "\n"), form);
                form = strchr(form, '\n');
                form = form ? form + 1 : NULL;
        }
        printf("%s\n\n", c->about);
        for (size_t i = 0; i < n; i++) {
                int len = c->options[i].help ? format_option(&c->options[i], text, sizeof(text)) : 0;

                width = len + 2 > width ? len + 2 : width;
        }
        format_option(&help, text, sizeof(text));
        cmd_print_option(stdout, text, width, help.help);
        for (size_t i = 0; i < n; i++) {
                format_option(&c->options[i], text, sizeof(text));
                cmd_print_option(stdout, text, width, c->options[i].help);
        }
        if (c->print_more_options)
                c->print_more_options(stdout);
        if (c->notes)
                printf("\n%s\n", c->notes);
        return cmd_finish_output(CMD_OK);
}

/* ---- parsing -------------------------------------------------------------------------------------- */

int cmd_ignore_option(void *args, const char *value)
{
        return -1;
}

static int usage_error(const struct cmd *c, char *const *argv, int result)
{
        const char *word = argv[optind - 1];

        if (result == ':')
                return cmd_usage_error(c->name, "option '%s' needs an argument", word);
        /* A short option may stand in a group ("-qx"), so that its letter says more than the word. */
        if (optopt != 0 && optopt <= CHAR_MAX)
                return cmd_usage_error(c->name, "unknown option '-%c'", optopt);
        return cmd_usage_error(c->name, "unknown option '%s'", word);
}

static int apply(const struct cmd_option *o, void *args)
{
        if (o->apply)
                return o->apply(args, optarg);
        *(bool *)((char *)args + o->flag) = true;
        return -1;
}

static const struct cmd_option *find_letter(const struct cmd *c, int letter)
{
        const struct cmd_option *o = c->options;

        while (o->letter != letter)
                o++;
        return o;
}

/* The same options for getopt_long. LETTERS has two characters for each option and four more. */
static void describe(const struct cmd *c, struct option *ret_long, char *letters)
{
        *letters++ = ':'; /* distinguishes a missing argument, and keeps getopt_long quiet */
        *letters++ = 'h';
        *ret_long++ = (struct option){ "help", no_argument, NULL, 'h' };
        for (size_t i = 0; c->options[i].name || c->options[i].letter; i++) {
                const struct cmd_option *o = &c->options[i];
                int has_arg = o->argument ? required_argument : no_argument;

                if (o->name)
                        *ret_long++ = (struct option){ o->name, has_arg, NULL, LONG_BASE + (int)i };
                if (o->letter)
                        *letters++ = o->letter;
                if (o->letter && o->argument)
                        *letters++ = ':';
        }
        *ret_long = (struct option){ 0 };
        *letters = '\0';
}

static int parse_operands(const struct cmd *c, char **argv, size_t n,
                          const char *ret_operands[CMD_OPERANDS_MAX])
{
        size_t max = 0;

        while (c->operands[max])
                max++;
        if (n < c->required)
                return cmd_usage_error(c->name, "no %s given", c->operands[n]);
        if (n > max)
                return cmd_usage_error(c->name, "more than one %s given: '%s'", c->operands[max - 1],
                                       argv[max]);
        for (size_t i = 0; i < CMD_OPERANDS_MAX; i++)
                ret_operands[i] = i < n ? argv[i] : NULL;
        return -1;
}

int cmd_parse(const struct cmd *c, int argc, char **argv, void *args,
              const char *ret_operands[CMD_OPERANDS_MAX])
{
        size_t n = count_options(c);
        _cleanup_free_ struct option *options = calloc(n + 2, sizeof(*options));
        _cleanup_free_ char *letters = calloc(n + 2, 2);
        int found, r;

        if (!options || !letters) {
                struct err_text text;

                err_set(&text, ENOMEM, "out of memory");
                return cmd_failed(&text);
        }
        describe(c, options, letters);
        while ((found = getopt_long(argc, argv, letters, options, NULL)) >= 0) {
                if (found == 'h')
                        return print_help(c);
                if (found == '?' || found == ':')
                        return usage_error(c, argv, found);
                r = apply(found >= LONG_BASE ? &c->options[found - LONG_BASE] : find_letter(c, found), args);
                if (r >= 0)
                        return r;
        }
        return parse_operands(c, argv + optind, (size_t)(argc - optind), ret_operands);
}
