/* SPDX-License-Identifier: MIT */
/* The `ashlar` command: one file per subcommand, each with a struct cmd that describes it. Parsing and --help
 * follow the same tables, so that they cannot differ. */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include "base/deadline.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum cmd_exit {
        CMD_OK = 0,
        CMD_FAILED = 1, /* the operation failed; fsck: violations were found */
        CMD_USAGE = 2,  /* wrong arguments */
};

/* ---- subcommands and their options (option.c) ----------------------------------------------------- */

/* One option. -h and --help exist everywhere and are in no table. */
struct cmd_option {
        const char *name;     /* the long form without its dashes; NULL: none */
        char letter;          /* the short form; 0: none */
        const char *argument; /* the name of its argument in --help; NULL: it takes none */
        const char *help;     /* lines, separated by \n; NULL: accepted, and not shown */
        /* Applies it to ARGS, the subcommand's arguments; VALUE is NULL without an argument. Returns -1, or
         * the exit code of a usage error, which is printed. NULL: the bool at FLAG becomes true. */
        int (*apply)(void *args, const char *value);
        size_t flag; /* offset in the subcommand's arguments */
};

/* For options that are accepted and have no effect. */
int cmd_ignore_option(void *args, const char *value);

#define CMD_OPERANDS_MAX 2

struct cmd {
        const char *name;
        const char *aliases[2]; /* names of links to this program that mean this subcommand; or NULL */
        const char *synopsis;   /* what follows the name; several forms are separated by \n */
        const char *summary;    /* for the list of subcommands */
        const char *about;      /* paragraph of --help above the options, and below them (or NULL) */
        const char *notes;
        const struct cmd_option *options;           /* up to one with neither NAME nor LETTER */
        void (*print_more_options)(FILE *out);      /* prints lines behind those of OPTIONS; or NULL */
        const char *operands[CMD_OPERANDS_MAX + 1]; /* their names in messages */
        unsigned required;                          /* operands that must be given */
        /* Runs it; argv[0] is its name or alias. Returns the exit code. */
        int (*run)(int argc, char **argv);
};

extern const struct cmd cmd_mkfs, cmd_mount, cmd_umount, cmd_mounts, cmd_evict, cmd_fsck, cmd_keys;

/* Parses the arguments of C into ARGS and RET_OPERANDS (NULL for those not given). Returns -1, or the exit
 * code to end with: of --help, or of a usage error, which is printed. */
int cmd_parse(const struct cmd *c, int argc, char **argv, void *args,
              const char *ret_operands[CMD_OPERANDS_MAX]);

/* Prints an option of --help in WIDTH columns, or in a separate line, and its lines of help behind. */
void cmd_print_option(FILE *out, const char *option, int width, const char *help);

/* ---- messages (message.c) ------------------------------------------------------------------------- */

/* Prints "ashlar: " and one line to stderr; returns CMD_USAGE. The line names --help. */
int cmd_usage_error(const char *subcommand, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints "ashlar: " and T's line to stderr; returns CMD_FAILED. */
int cmd_failed(const struct err_text *t);
/* The same for an error whose text does not name the store. */
int cmd_store_failed(const char *store, const struct err_text *t);
/* For the end of a subcommand that printed to stdout. Returns EXIT_CODE, or CMD_FAILED with a line to stderr
 * if not all of the output could be written. */
int cmd_finish_output(int exit_code);

/* ---- the store of a subcommand (store.c) ---------------------------------------------------------- */

struct cmd_store_opts {
        const char *url;
        const char *subcommand; /* names this process to others that find the store in use */
        unsigned flags;         /* enum kv_open_flags */
        unsigned wait_ms;       /* how long to wait for an owner that is going away */
        unsigned timeout_ms; /* bounds the opening of a cluster, and all use of it until it is closed, by this
                                 * time each; 0: the default, and without end */
};

struct cmd_store {
        struct kv_store *kv;
        bool bounded;
        struct deadline deadline;
};

/* Opens a store; close it with cmd_store_close. Errors with TEXT (may be NULL), which names the store. */
int cmd_store_open(const struct cmd_store_opts *opts, struct cmd_store *ret, struct err_text *text);
/* As kv_close. */
int cmd_store_close(struct cmd_store *s);

/* Works on an open store with the subcommand's arguments. Returns an exit code, or a negative error with
 * TEXT, which does not name the store. */
typedef int (*cmd_body)(struct kv_store *store, void *args, struct err_text *text);

/* Opens the store, runs BODY and closes it. Returns the exit code; errors are printed in one line. */
int cmd_with_store(const struct cmd_store_opts *opts, cmd_body body, void *args);

/* Checks that STORE holds a file system that this version understands. Errors with TEXT. */
int cmd_check_fs(struct kv_store *store, struct err_text *text);

#endif
