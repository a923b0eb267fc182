/* SPDX-License-Identifier: MIT */
/* Finds the subcommand, also by the name under which mount(8) and umount(8) call this program. */
#include "cmd/cmd.h"

#include <string.h>

static const struct cmd *const commands[] = {
        &cmd_mkfs, &cmd_mount, &cmd_umount, &cmd_mounts, &cmd_evict, &cmd_fsck, &cmd_keys,
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_help(void)
{
        printf("Usage: ashlar COMMAND [ARGUMENTS]\n"
               "A POSIX file system whose metadata and data are keys and values in a transactional store.\n"
               "\n"
               "Commands:\n");
        for (size_t i = 0; i < N_COMMANDS; i++) {
                const struct cmd *c = commands[i];
                int n = printf("  %s %.*s", c->name, (int)strcspn(c->synopsis, "\n"), c->synopsis);

                printf("%*s %s\n", n < 37 ? 37 - n : 0, "", c->summary);
        }
        printf("  %-35s %s\n", "help [COMMAND]", "print the usage of a command");
        printf("\n"
               "  --help     print this\n"
               "  --version  print the version\n"
               "\n"
               "STORE is lmdb:PATH or a plain path (a directory that holds the store's files), or\n"
               "fdb:[CLUSTER_FILE][?prefix=NAME] (FoundationDB).\n");
}

static const struct cmd *find(const char *name)
{
        for (size_t i = 0; i < N_COMMANDS; i++)
                if (strcmp(commands[i]->name, name) == 0)
                        return commands[i];
        return NULL;
}

static const struct cmd *find_alias(const char *program)
{
        const char *slash = program ? strrchr(program, '/') : NULL;
        const char *base = slash ? slash + 1 : program;

        for (size_t i = 0; base && i < 2 * N_COMMANDS; i++) {
                const char *alias = commands[i / 2]->aliases[i % 2];

                if (alias && strcmp(alias, base) == 0)
                        return commands[i / 2];
        }
        return NULL;
}

static int help(int argc, char **argv)
{
        const struct cmd *c;

        if (argc < 2) {
                print_help();
                return cmd_finish_output(CMD_OK);
        }
        if (argc > 2)
                return cmd_usage_error(NULL, "help takes one command");
        c = find(argv[1]);
        if (!c)
                return cmd_usage_error(NULL, "unknown command '%s'", argv[1]);
        return c->run(2, (char *[]){ argv[1], (char[]){ "--help" }, NULL });
}

int main(int argc, char **argv)
{
        const struct cmd *c = find_alias(argv[0]);

        if (c)
                return c->run(argc, argv);
        if (argc < 2)
                return cmd_usage_error(NULL, "no command given");
        if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
                return help(1, argv);
        if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
                printf("ashlar %s\n", ASHLAR_VERSION);
                return cmd_finish_output(CMD_OK);
        }
        if (strcmp(argv[1], "help") == 0)
                return help(argc - 1, argv + 1);
        c = find(argv[1]);
        if (!c)
                return cmd_usage_error(NULL, "unknown %s '%s'", argv[1][0] == '-' ? "option" : "command",
                                       argv[1]);
        return c->run(argc - 1, argv + 1);
}
