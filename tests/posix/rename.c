/* SPDX-License-Identifier: MIT */
/* rename(2), renameat2(2). */
#include "posix.h"

#include <linux/fs.h>

static int exchange(const char *a, const char *b)
{
        return renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
}

static int move_new(const char *a, const char *b)
{
        return renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_NOREPLACE);
}

static void replaces_files(void)
{
        ino_t ino;

        make("a", 0666, "new");
        make("b", 0666, "old");
        ino = stat_of("a").st_ino;
        OK(rename("a", "b"));
        CHECK(!exists("a"));
        EQUAL(stat_of("b").st_ino, ino);
        CHECK(strcmp(content("b"), "new") == 0);
        OK(rename("b", "b"));
        CHECK(exists("b"));
}

static void links_of_one_file(void)
{
        make("a", 0666, "x");
        OK(link("a", "b"));
        OK(rename("a", "b")); /* POSIX: nothing happens, both stay */
        CHECK(exists("a"));
        CHECK(exists("b"));
        EQUAL(stat_of("a").st_nlink, 2);
}

static void replaced_file_lives_on(void)
{
        struct stat st;
        char buf[4] = "";
        int fd;

        make("a", 0666, "new");
        make("b", 0666, "old");
        fd = OK(open("b", O_RDONLY));
        OK(rename("a", "b"));
        EQUAL(read(fd, buf, 3), 3);
        CHECK(strcmp(buf, "old") == 0);
        OK(fstat(fd, &st));
        EQUAL(st.st_nlink, 0);
}

static void types_must_match(void)
{
        make("f", 0666, "");
        OK(mkdir("d", 0777));
        OK(mkdir("full", 0777));
        make("full/f", 0666, "");
        OK(mkdir("empty", 0777));
        FAILS(rename("f", "d"), EISDIR);
        FAILS(rename("d", "f"), ENOTDIR);
        FAILS(rename("d", "full"), ENOTEMPTY);
        OK(rename("d", "empty"));
        FAILS(rename("none", "x"), ENOENT);
        FAILS(rename("f", "none/x"), ENOENT);
        FAILS(rename("f", "f/x"), ENOTDIR);
        FAILS(rename("f", "x/"), ENOTDIR);
        FAILS(rename("empty/.", "x"), EBUSY);
        FAILS(rename("empty/..", "x"), EBUSY);
}

static void not_into_itself(void)
{
        OK(mkdir("a", 0777));
        OK(mkdir("a/b", 0777));
        OK(mkdir("a/b/c", 0777));
        FAILS(rename("a", "a/x"), EINVAL);
        FAILS(rename("a", "a/b/c/x"), EINVAL);
        FAILS(rename("a/b", "a/b/c/x"), EINVAL);
        FAILS(rename("a/b", "a"), ENOTEMPTY);
        OK(rename("a/b/c", "c"));
        OK(rename("a", "c/a"));
        CHECK(exists("c/a/b"));
}

static void noreplace(void)
{
        make("a", 0666, "a");
        make("b", 0666, "b");
        FAILS(move_new("a", "b"), EEXIST);
        FAILS(move_new("a", "a"), EEXIST);
        OK(move_new("a", "c"));
        CHECK(strcmp(content("c"), "a") == 0);
        FAILS(move_new("none", "x"), ENOENT);
}

static void exchanges(void)
{
        make("f", 0666, "f");
        OK(mkdir("d", 0777));
        make("d/x", 0666, "x");
        OK(mkdir("e", 0777));
        OK(exchange("f", "d"));
        CHECK(S_ISDIR(stat_of("f").st_mode));
        CHECK(S_ISREG(stat_of("d").st_mode));
        OK(exchange("f", "e"));
        CHECK(exists("e/x"));
        OK(mkdir("f/sub", 0777));
        FAILS(exchange("f", "f/sub"), EINVAL);
        FAILS(exchange("f/sub", "f"), EINVAL);
        FAILS(exchange("f", "none"), ENOENT);
        FAILS(renameat2(AT_FDCWD, "f", AT_FDCWD, "e", RENAME_EXCHANGE | RENAME_NOREPLACE), EINVAL);
        OK(mkdir("p", 0777));
        OK(mkdir("q", 0777));
        OK(mkdir("p/d", 0777));
        make("q/f", 0666, "");
        OK(exchange("p/d", "q/f"));
        EQUAL(stat_of("p").st_nlink, 2);
        EQUAL(stat_of("q").st_nlink, 3);
}

static void sets_times(void)
{
        struct stat dir, file;

        make("a", 0666, "");
        dir = stat_of(".");
        file = stat_of("a");
        usleep(20000);
        OK(rename("a", "b"));
        CHECK(stat_of(".").st_mtim.tv_nsec != dir.st_mtim.tv_nsec);
        CHECK(stat_of(".").st_ctim.tv_nsec != dir.st_ctim.tv_nsec);
        CHECK(stat_of("b").st_ctim.tv_nsec != file.st_ctim.tv_nsec);
        EQUAL(stat_of("b").st_mtim.tv_nsec, file.st_mtim.tv_nsec);
}

static void move_dirs(void *arg)
{
        /* Moving a directory elsewhere changes its "..", so it must be writable. */
        FAILS(rename("a/theirs", "b/x"), EACCES);
        OK(rename("a/theirs", "a/renamed"));
        FAILS(rename("closed/f", "b/f"), EACCES);
        FAILS(rename("a/f", "closed/g"), EACCES);
}

static void permissions(void)
{
        OK(mkdir("a", 0777));
        OK(mkdir("b", 0777));
        OK(mkdir("a/theirs", 0755));
        make("a/f", 0666, "");
        OK(mkdir("closed", 0755));
        make("closed/f", 0666, "");
        as_user(USER_A, move_dirs, NULL);
}

static const struct posix_test tests[] = {
        { "replaces_files", replaces_files },
        { "links_of_one_file", links_of_one_file },
        { "replaced_file_lives_on", replaced_file_lives_on },
        { "types_must_match", types_must_match },
        { "not_into_itself", not_into_itself },
        { "noreplace", noreplace },
        { "exchanges", exchanges },
        { "sets_times", sets_times },
        { "permissions", permissions },
        { NULL, NULL },
};

const struct posix_group posix_rename = { "rename", tests };
