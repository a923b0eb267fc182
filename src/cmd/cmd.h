/* SPDX-License-Identifier: MIT */
/* The `ashlar` command: one file per subcommand. Each gets its own arguments (argv[0] is the
 * subcommand's name) and returns the exit code. */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include "base/err.h"

#include <stddef.h>

enum cmd_exit {
        CMD_OK = 0,
        CMD_FAILED = 1, /* the operation failed; fsck: violations were found */
        CMD_USAGE = 2,  /* wrong arguments */
};

int cmd_mkfs(int argc, char **argv);
int cmd_mount(int argc, char **argv);  /* also as mount.ashlar STORE DIR [-o OPTIONS] and by fstab */
int cmd_umount(int argc, char **argv); /* also as umount.fuse.ashlar DIR */
int cmd_mounts(int argc, char **argv);
int cmd_evict(int argc, char **argv);
int cmd_fsck(int argc, char **argv);
int cmd_keys(int argc, char **argv);

/* Prints "ashlar: " and one line to stderr; returns CMD_USAGE, having named --help. */
int cmd_usage_error(const char *subcommand, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints "ashlar: " and T's line to stderr; returns CMD_FAILED. */
int cmd_failed(const struct err_text *t);
/* The same with "STORE: " in front, for functions that do not know the store's name. */
int cmd_store_failed(const char *store, const struct err_text *t);

/* The usage error for what getopt_long() just refused with RESULT: '?' (unknown option) or ':' (argument
 * missing; needs an option string that begins with ':', which also keeps getopt_long quiet). */
int cmd_option_error(const char *subcommand, char *const *argv, int result);

/* The only operand, behind the options: -1 and *RET_STORE, or the exit code of a usage error. */
int cmd_store_operand(const char *subcommand, int argc, char *const *argv, const char **ret_store);

/* For the end of a subcommand that printed to stdout: EXIT_CODE, or CMD_FAILED with a line to stderr if
 * not all of the output could be written. */
int cmd_finish_output(int exit_code);

struct kv_store;

/* Whether STORE holds a file system that this version understands: an error with TEXT otherwise. */
int cmd_check_fs(struct kv_store *store, struct err_text *text);

/* Who we are, for others who find the store in use: "ashlar fsck, process 42 on HOST". */
void cmd_owner(const char *subcommand, char *ret, size_t cap);

#endif
