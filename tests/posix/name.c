/* SPDX-License-Identifier: MIT */
/* mkdir, rmdir, link, unlink, symlink, readlink, mknod and the walk along a path. */
#include "posix.h"

#include <limits.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

static const char *name_of(size_t len)
{
        static char name[PATH_MAX + 2];

        memset(name, 'n', len);
        name[len] = '\0';
        return name;
}

static void name_lengths(void)
{
        make(name_of(255), 0666, "x");
        CHECK(exists(name_of(255)));
        FAILS(open(name_of(256), O_WRONLY | O_CREAT, 0666), ENAMETOOLONG);
        FAILS(mkdir(name_of(256), 0777), ENAMETOOLONG);
        FAILS(unlink(name_of(256)), ENAMETOOLONG);
        make("f", 0666, "");
        FAILS(rename("f", name_of(256)), ENAMETOOLONG);
        FAILS(symlink("x", name_of(256)), ENAMETOOLONG);
        FAILS(mkdir(name_of(PATH_MAX), 0777), ENAMETOOLONG);
        OK(unlink(name_of(255)));
}

static void names_are_bytes(void)
{
        static const char *const names[] = { "\xff\xfe", " ",        "\n",  "a b", "*",
                                             "\\",       "\xc3\xa4", "...", ".x",  "x." };

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                make(names[i], 0666, names[i]);
                CHECK(strcmp(content(names[i]), names[i]) == 0);
        }
        CHECK(!exists("\xc3\x84"));
}

static void mkdir_errors(void)
{
        make("f", 0666, "");
        OK(mkdir("d", 0777));
        OK(symlink("nowhere", "dangling"));
        FAILS(mkdir("d", 0777), EEXIST);
        FAILS(mkdir("f", 0777), EEXIST);
        FAILS(mkdir("dangling", 0777), EEXIST);
        FAILS(mkdir("none/d", 0777), ENOENT);
        FAILS(mkdir("f/d", 0777), ENOTDIR);
        FAILS(mkdir(".", 0777), EEXIST);
        FAILS(mkdir("", 0777), ENOENT);
}

static void rmdir_errors(void)
{
        make("f", 0666, "");
        OK(mkdir("d", 0777));
        make("d/f", 0666, "");
        OK(symlink("d", "s"));
        FAILS(rmdir("d"), ENOTEMPTY);
        FAILS(rmdir("f"), ENOTDIR);
        FAILS(rmdir("s"), ENOTDIR);
        FAILS(rmdir("none"), ENOENT);
        FAILS(rmdir("d/."), EINVAL);
        FAILS(rmdir("d/.."), ENOTEMPTY);
        OK(unlink("d/f"));
        OK(rmdir("d"));
        CHECK(!exists("d"));
}

static void directory_links(void)
{
        EQUAL(stat_of(".").st_nlink, 2);
        OK(mkdir("a", 0777));
        OK(mkdir("b", 0777));
        make("f", 0666, "");
        EQUAL(stat_of(".").st_nlink, 4);
        EQUAL(stat_of("a").st_nlink, 2);
        OK(rename("a", "b/a"));
        EQUAL(stat_of(".").st_nlink, 3);
        EQUAL(stat_of("b").st_nlink, 3);
        OK(rmdir("b/a"));
        EQUAL(stat_of("b").st_nlink, 2);
}

static void removed_directory_is_dead(void)
{
        int fd;

        OK(mkdir("d", 0777));
        fd = OK(open("d", O_RDONLY | O_DIRECTORY));
        OK(rmdir("d"));
        FAILS(openat(fd, "f", O_WRONLY | O_CREAT, 0666), ENOENT);
        FAILS(mkdirat(fd, "d", 0777), ENOENT);
        make("f", 0666, "");
        FAILS(renameat(AT_FDCWD, "f", fd, "g"), ENOENT);
        FAILS(linkat(AT_FDCWD, "f", fd, "g", 0), ENOENT);
}

static void link_counts(void)
{
        struct stat a, b;

        make("f", 0666, "x");
        OK(link("f", "g"));
        a = stat_of("f");
        b = stat_of("g");
        EQUAL(a.st_ino, b.st_ino);
        EQUAL(a.st_nlink, 2);
        OK(unlink("f"));
        EQUAL(stat_of("g").st_nlink, 1);
        CHECK(strcmp(content("g"), "x") == 0);
}

static void link_errors(void)
{
        make("f", 0666, "");
        OK(mkdir("d", 0777));
        OK(symlink("f", "s"));
        FAILS(link("f", "d"), EEXIST);
        FAILS(link("f", "s"), EEXIST);
        FAILS(link("d", "e"), EPERM);
        FAILS(link("none", "e"), ENOENT);
        FAILS(link("f", "none/e"), ENOENT);
        FAILS(link("f", "f/e"), ENOTDIR);
        OK(link("s", "s2")); /* a name for the symbolic link itself */
        CHECK(S_ISLNK(lstat_of("s2").st_mode));
        EQUAL(lstat_of("s").st_nlink, 2);
        OK(linkat(AT_FDCWD, "s", AT_FDCWD, "f2", AT_SYMLINK_FOLLOW));
        EQUAL(stat_of("f2").st_ino, stat_of("f").st_ino);
}

static void unlinked_file_lives_on(void)
{
        struct stat st;
        char buf[4] = "";
        int fd;

        make("f", 0666, "abc");
        fd = OK(open("f", O_RDWR));
        OK(unlink("f"));
        OK(fstat(fd, &st));
        EQUAL(st.st_nlink, 0);
        EQUAL(pread(fd, buf, 3, 0), 3);
        CHECK(strcmp(buf, "abc") == 0);
        EQUAL(pwrite(fd, "def", 3, 3), 3);
        OK(fstat(fd, &st));
        EQUAL(st.st_size, 6);
        make("f", 0666, "new");
        EQUAL(pread(fd, buf, 3, 3), 3);
        CHECK(strcmp(buf, "def") == 0);
}

static void unlink_errors(void)
{
        OK(mkdir("d", 0777));
        make("f", 0666, "");
        FAILS(unlink("d"), EISDIR);
        FAILS(unlink("none"), ENOENT);
        FAILS(unlink("f/x"), ENOTDIR);
        FAILS(unlink("f/"), ENOTDIR);
        OK(symlink("f", "s"));
        OK(unlink("s"));
        CHECK(exists("f"));
}

static void symlinks(void)
{
        char buf[PATH_MAX];
        const char *longest = name_of(4095);

        OK(symlink("some where", "s"));
        EQUAL(readlink("s", buf, sizeof(buf)), 10);
        EQUAL(readlink("s", buf, 4), 4);
        EQUAL(lstat_of("s").st_size, 10);
        EQUAL(mode_of("s"), 0777);
        FAILS(readlink(".", buf, sizeof(buf)), EINVAL);
        FAILS(symlink("x", "s"), EEXIST);
        FAILS(symlink("", "e"), ENOENT);
        OK(symlink(longest, "long"));
        EQUAL(readlink("long", buf, sizeof(buf)), 4095);
}

static void symlink_loops(void)
{
        OK(symlink("b", "a"));
        OK(symlink("a", "b"));
        FAILS(open("a", O_RDONLY), ELOOP);
        FAILS(chdir("a"), ELOOP);
        FAILS(open("a", O_WRONLY | O_CREAT, 0666), ELOOP);
        make("f", 0666, "x");
        OK(symlink("f", "s"));
        FAILS(open("s", O_RDONLY | O_NOFOLLOW), ELOOP);
        CHECK(strcmp(content("s"), "x") == 0);
}

static void special_files(void)
{
        struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = "sock" };
        int fd = OK(socket(AF_UNIX, SOCK_STREAM, 0));

        OK(mknod("c", S_IFCHR | 0600, makedev(1, 3)));
        OK(mknod("b", S_IFBLK | 0600, makedev(300, 70000)));
        OK(mkfifo("p", 0640));
        OK(mknod("f", S_IFREG | 0604, 0));
        OK(bind(fd, (struct sockaddr *)&addr, sizeof(addr)));
        CHECK(S_ISCHR(stat_of("c").st_mode));
        EQUAL(major(stat_of("c").st_rdev), 1);
        EQUAL(minor(stat_of("c").st_rdev), 3);
        CHECK(S_ISBLK(stat_of("b").st_mode));
        EQUAL(major(stat_of("b").st_rdev), 300);
        EQUAL(minor(stat_of("b").st_rdev), 70000);
        CHECK(S_ISFIFO(stat_of("p").st_mode));
        EQUAL(mode_of("p"), 0640);
        CHECK(S_ISREG(stat_of("f").st_mode));
        EQUAL(mode_of("f"), 0604);
        CHECK(S_ISSOCK(stat_of("sock").st_mode));
        FAILS(open("p", O_WRONLY | O_NONBLOCK), ENXIO);
        FAILS(mkfifo("p", 0666), EEXIST);
}

static void change_a(void *arg)
{
        FAILS(unlink("sticky/a"), EPERM);
        FAILS(rename("sticky/a", "sticky/b"), EPERM);
        make("sticky/mine", 0666, "");
        FAILS(rename("sticky/mine", "sticky/a"), EPERM);
        OK(unlink("sticky/mine"));
        FAILS(unlink("closed/f"), EACCES);
        FAILS(mkdir("closed/d", 0777), EACCES);
        FAILS(open("closed/g", O_WRONLY | O_CREAT, 0666), EACCES);
        FAILS(symlink("x", "closed/s"), EACCES);
        make("own/f", 0666, "");
        FAILS(link("own/f", "closed/l"), EACCES);
        FAILS(rmdir("closed/sub"), EACCES);
        FAILS(access("nosearch/f", F_OK), EACCES);
        CHECK(access("f", R_OK) == 0);
        FAILS(access("f", W_OK), EACCES);
}

static void permissions_of_directories(void)
{
        make("f", 0644, "");
        OK(mkdir("sticky", 0777));
        make("sticky/a", 0666, "");
        OK(chmod("sticky", 01777));
        OK(mkdir("own", 0777));
        OK(mkdir("closed", 0755));
        make("closed/f", 0666, "");
        OK(mkdir("closed/sub", 0777));
        OK(mkdir("nosearch", 0777));
        make("nosearch/f", 0666, "");
        OK(chmod("nosearch", 0666));
        as_user(USER_A, change_a, NULL);
}

static void dot_dot_follows_moves(void)
{
        struct stat a, up;

        OK(mkdir("a", 0777));
        OK(mkdir("a/d", 0777));
        OK(mkdir("b", 0777));
        OK(rename("a/d", "b/d"));
        a = stat_of("b");
        up = stat_of("b/d/..");
        EQUAL(a.st_ino, up.st_ino);
}

static const struct posix_test tests[] = {
        { "name_lengths", name_lengths },
        { "names_are_bytes", names_are_bytes },
        { "mkdir_errors", mkdir_errors },
        { "rmdir_errors", rmdir_errors },
        { "directory_links", directory_links },
        { "removed_directory_is_dead", removed_directory_is_dead },
        { "link_counts", link_counts },
        { "link_errors", link_errors },
        { "unlinked_file_lives_on", unlinked_file_lives_on },
        { "unlink_errors", unlink_errors },
        { "symlinks", symlinks },
        { "symlink_loops", symlink_loops },
        { "special_files", special_files },
        { "permissions_of_directories", permissions_of_directories },
        { "dot_dot_follows_moves", dot_dot_follows_moves },
        { NULL, NULL },
};

const struct posix_group posix_name = { "name", tests };
