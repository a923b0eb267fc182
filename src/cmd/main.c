/* SPDX-License-Identifier: MIT */
/* Finds the subcommand, also by the name under which mount(8) and umount(8) call us. */
#include "cmd/cmd.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct subcommand {
        const char *name;
        int (*run)(int argc, char **argv);
        const char *alias; /* name of a link to this program that means this subcommand */
        const char *synopsis;
        const char *summary;
};

static const struct subcommand subcommands[] = {
        { "mkfs", cmd_mkfs, NULL, "mkfs [OPTIONS] STORE", "make an empty file system" },
        { "mount", cmd_mount, "mount.ashlar", "mount [-f] [-o OPTIONS] STORE DIR",
          "mount it at a directory" },
        { "umount", cmd_umount, "umount.fuse.ashlar", "umount DIR",
          "unmount, and wait until everything is committed" },
        { "mounts", cmd_mounts, NULL, "mounts [OPTIONS] STORE", "list who has it mounted" },
        { "evict", cmd_evict, NULL, "evict STORE ID", "end the registration of a dead mount" },
        { "fsck", cmd_fsck, NULL, "fsck [OPTIONS] STORE", "check every key and value; changes nothing" },
        { "keys", cmd_keys, NULL, "keys [OPTIONS] STORE [PREFIX]", "print keys and values, decoded" },
};

#define N_SUBCOMMANDS (sizeof(subcommands) / sizeof(subcommands[0]))

static void print_help(void)
{
        printf("Usage: ashlar COMMAND [ARGUMENTS]\n"
               "A POSIX file system whose metadata and data are keys and values in a transactional store.\n"
               "\n"
               "Commands:\n");
        for (size_t i = 0; i < N_SUBCOMMANDS; i++)
                printf("  %-35s %s\n", subcommands[i].synopsis, subcommands[i].summary);
        printf("  %-35s %s\n", "help [COMMAND]", "say more about a command");
        printf("\n"
               "  --help     print this\n"
               "  --version  print the version\n"
               "\n"
               "STORE is lmdb:PATH or a plain path (a directory that holds the store's files), or\n"
               "fdb:[CLUSTER_FILE][?prefix=NAME] (FoundationDB).\n");
}

static const struct subcommand *find(const char *name)
{
        for (size_t i = 0; i < N_SUBCOMMANDS; i++)
                if (strcmp(subcommands[i].name, name) == 0)
                        return &subcommands[i];
        return NULL;
}

static const struct subcommand *find_alias(const char *program)
{
        const char *slash = program ? strrchr(program, '/') : NULL;
        const char *base = slash ? slash + 1 : program;

        for (size_t i = 0; base && i < N_SUBCOMMANDS; i++)
                if (subcommands[i].alias && strcmp(subcommands[i].alias, base) == 0)
                        return &subcommands[i];
        return NULL;
}

static int help(int argc, char **argv)
{
        const struct subcommand *c;

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
        const struct subcommand *c = find_alias(argv[0]);

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
