/* SPDX-License-Identifier: MIT */
/* opendir, readdir, telldir, seekdir, rewinddir, and what happens to a listing while names come and go. */
#include "posix.h"

#include <dirent.h>

enum { MANY = 3000 };

static const char *nth(const char *dir, int i)
{
        static char path[64];

        snprintf(path, sizeof(path), "%s/file-%05d", dir, i);
        return path;
}

static void fill(const char *dir, int n)
{
        OK(mkdir(dir, 0777));
        for (int i = 0; i < n; i++)
                OK(close(OK(open(nth(dir, i), O_WRONLY | O_CREAT, 0666))));
}

/* The number in a name of nth's; -1: none of them. */
static int number_of(const struct dirent *e)
{
        return strncmp(e->d_name, "file-", 5) == 0 ? atoi(e->d_name + 5) : -1;
}

static void entries(void)
{
        bool dot = false, dot_dot = false, f = false, d = false, s = false;
        struct dirent *e;
        DIR *dir;

        make("f", 0666, "");
        OK(mkdir("d", 0777));
        OK(symlink("x", "s"));
        dir = opendir(".");
        while ((e = readdir(dir))) {
                struct stat st = lstat_of(e->d_name);

                EQUAL(e->d_type, IFTODT(st.st_mode));
                if (strcmp(e->d_name, "..") != 0)
                        EQUAL(e->d_ino, st.st_ino);
                dot = dot || strcmp(e->d_name, ".") == 0;
                dot_dot = dot_dot || strcmp(e->d_name, "..") == 0;
                f = f || strcmp(e->d_name, "f") == 0;
                d = d || strcmp(e->d_name, "d") == 0;
                s = s || strcmp(e->d_name, "s") == 0;
        }
        CHECK(dot && dot_dot && f && d && s);
        closedir(dir);
}

static void dot_dot_of_a_moved_directory(void)
{
        struct dirent *e;
        DIR *dir;

        OK(mkdir("a", 0777));
        OK(mkdir("a/d", 0777));
        OK(mkdir("b", 0777));
        dir = opendir("a/d");
        while (readdir(dir))
                ;
        closedir(dir);
        OK(rename("a/d", "b/d"));
        dir = opendir("b/d");
        while ((e = readdir(dir)))
                if (strcmp(e->d_name, "..") == 0)
                        EQUAL(e->d_ino, stat_of("b").st_ino);
        closedir(dir);
}

static void each_name_once(void)
{
        static unsigned seen[MANY];
        struct dirent *e;
        DIR *dir;

        fill("d", MANY);
        dir = opendir("d");
        for (int round = 0; round < 2; round++) {
                while ((e = readdir(dir)))
                        if (number_of(e) >= 0)
                                seen[number_of(e)]++;
                rewinddir(dir);
        }
        for (int i = 0; i < MANY; i++)
                EQUAL(seen[i], 2);
        closedir(dir);
}

static void removal_while_listing(void)
{
        struct dirent *e;
        int n = 0;
        DIR *dir;

        fill("d", MANY);
        dir = opendir("d");
        while ((e = readdir(dir)))
                if (number_of(e) >= 0) {
                        OK(unlinkat(dirfd(dir), e->d_name, 0));
                        n++;
                }
        closedir(dir);
        EQUAL(n, MANY);
        OK(rmdir("d"));
}

/* Entries that stay are seen exactly once, while others are added and removed. */
static void changes_while_listing(void)
{
        static unsigned seen[MANY];
        char path[64];
        struct dirent *e;
        int n = 0;
        DIR *dir;

        fill("d", MANY);
        dir = opendir("d");
        while ((e = readdir(dir))) {
                int i = number_of(e);

                if (i < 0)
                        continue;
                seen[i]++;
                if (i % 2 == 0)
                        OK(unlinkat(dirfd(dir), e->d_name, 0)); /* odd ones stay */
                if (n++ < 500) {
                        snprintf(path, sizeof(path), "d/aa-%d", n);
                        make(path, 0666, "");
                        snprintf(path, sizeof(path), "d/zz-%d", n);
                        make(path, 0666, "");
                }
        }
        for (int i = 1; i < MANY; i += 2)
                EQUAL(seen[i], 1);
        closedir(dir);
}

static void tell_and_seek(void)
{
        static long at[MANY + 2];
        static char names[MANY + 2][256];
        struct dirent *e;
        int n = 0;
        DIR *dir;

        fill("d", MANY);
        dir = opendir("d");
        for (;;) {
                at[n] = telldir(dir);
                e = readdir(dir);
                if (!e)
                        break;
                strcpy(names[n++], e->d_name);
        }
        EQUAL(n, MANY + 2);
        for (int i = 0; i < n; i += 97) {
                seekdir(dir, at[i]);
                e = readdir(dir);
                CHECK(e && strcmp(e->d_name, names[i]) == 0);
        }
        /* A position is still right when the name before it is gone. */
        for (int i = 5; i < n; i += 1009) {
                if (names[i - 1][0] == '.' || names[i][0] == '.')
                        continue;
                OK(unlinkat(dirfd(dir), names[i - 1], 0));
                seekdir(dir, at[i]);
                e = readdir(dir);
                CHECK(e && strcmp(e->d_name, names[i]) == 0);
        }
        closedir(dir);
}

/* Streams of many directories at once, as a recursive removal has them. */
static void remove_tree(const char *path)
{
        char below[600];
        struct dirent *e;
        DIR *dir = opendir(path);

        CHECK(dir != NULL);
        for (errno = 0; (e = readdir(dir)); errno = 0) {
                if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
                        continue;
                snprintf(below, sizeof(below), "%s/%s", path, e->d_name);
                if (e->d_type == DT_DIR)
                        remove_tree(below);
                else
                        OK(unlink(below));
        }
        EQUAL(errno, 0);
        closedir(dir);
        OK(rmdir(path));
}

static void recursive_removal(void)
{
        char path[64];

        OK(mkdir("tree", 0777));
        for (int i = 0; i < 300; i++) {
                snprintf(path, sizeof(path), "tree/package-%d", i);
                OK(mkdir(path, 0777));
                for (int j = 0; j < 20; j++) {
                        snprintf(path, sizeof(path), "tree/package-%d/dir-%d", i, j);
                        OK(mkdir(path, 0777));
                        snprintf(path, sizeof(path), "tree/package-%d/dir-%d/f", i, j);
                        make(path, 0666, "");
                }
        }
        remove_tree("tree");
}

static void list_closed(void *arg)
{
        CHECK(opendir("closed") == NULL);
        EQUAL(errno, EACCES);
}

static void errors(void)
{
        make("f", 0666, "");
        CHECK(opendir("f") == NULL);
        EQUAL(errno, ENOTDIR);
        CHECK(opendir("none") == NULL);
        EQUAL(errno, ENOENT);
        OK(mkdir("closed", 0711));
        as_user(USER_A, list_closed, NULL);
}

static const struct posix_test tests[] = {
        { "entries", entries },
        { "dot_dot_of_a_moved_directory", dot_dot_of_a_moved_directory },
        { "each_name_once", each_name_once },
        { "removal_while_listing", removal_while_listing },
        { "changes_while_listing", changes_while_listing },
        { "tell_and_seek", tell_and_seek },
        { "recursive_removal", recursive_removal },
        { "errors", errors },
        { NULL, NULL },
};

const struct posix_group posix_dir = { "dir", tests };
