/* SPDX-License-Identifier: MIT */
/* Extended attributes: xattr(7). */
#include "posix.h"

#include <sys/xattr.h>

static bool is_listed(const char *path, const char *name)
{
        char list[4096];
        ssize_t n = OK(listxattr(path, list, sizeof(list)));

        for (char *at = list; at < list + n; at += strlen(at) + 1)
                if (strcmp(at, name) == 0)
                        return true;
        return false;
}

static void set_get_list_remove(void)
{
        char buf[8];

        make("f", 0666, "");
        OK(setxattr("f", "user.a", "value", 5, 0));
        EQUAL(getxattr("f", "user.a", NULL, 0), 5);
        EQUAL(getxattr("f", "user.a", buf, sizeof(buf)), 5);
        CHECK(memcmp(buf, "value", 5) == 0);
        FAILS(getxattr("f", "user.a", buf, 4), ERANGE);
        CHECK(is_listed("f", "user.a"));
        FAILS(setxattr("f", "user.a", "", 0, XATTR_CREATE), EEXIST);
        FAILS(setxattr("f", "user.b", "", 0, XATTR_REPLACE), ENODATA);
        OK(setxattr("f", "user.a", "", 0, XATTR_REPLACE));
        EQUAL(getxattr("f", "user.a", buf, sizeof(buf)), 0);
        OK(removexattr("f", "user.a"));
        FAILS(getxattr("f", "user.a", NULL, 0), ENODATA);
        FAILS(removexattr("f", "user.a"), ENODATA);
        CHECK(!is_listed("f", "user.a"));
}

static void names_outside_namespaces(void)
{
        make("f", 0666, "");
        FAILS(setxattr("f", "foo", "v", 1, 0), EOPNOTSUPP);
        FAILS(setxattr("f", "foo.bar", "v", 1, 0), EOPNOTSUPP);
        FAILS(setxattr("f", "system.foo", "v", 1, 0), EOPNOTSUPP);
        FAILS(getxattr("f", "foo.bar", NULL, 0), EOPNOTSUPP);
        FAILS(removexattr("f", "foo.bar"), EOPNOTSUPP);
        FAILS(setxattr("f", "user.", "v", 1, 0), EINVAL);
        FAILS(setxattr("f", "trusted.", "v", 1, 0), EINVAL);
        FAILS(setxattr("f", "", "v", 1, 0), ERANGE);
}

static void name_and_value_limits(void)
{
        static const char too_big[65537];
        char name[300] = "user.";

        make("f", 0666, "");
        memset(name + 5, 'n', 250);
        name[255] = '\0';
        OK(setxattr("f", name, "v", 1, 0));
        CHECK(is_listed("f", name));
        name[255] = 'n';
        name[256] = '\0';
        FAILS(setxattr("f", name, "v", 1, 0), ERANGE);
        FAILS(setxattr("f", "user.big", too_big, sizeof(too_big), 0), E2BIG);
}

static void user_only_on_files_and_directories(void)
{
        OK(mkdir("d", 0777));
        OK(setxattr("d", "user.a", "v", 1, 0));
        OK(symlink("d", "s"));
        FAILS(lsetxattr("s", "user.a", "v", 1, 0), EPERM);
        FAILS(lgetxattr("s", "user.a", NULL, 0), ENODATA);
        OK(lsetxattr("s", "trusted.a", "v", 1, 0));
        OK(mkfifo("p", 0666));
        FAILS(setxattr("p", "user.a", "v", 1, 0), EPERM);
}

static void as_other(void *arg)
{
        FAILS(setxattr("f", "trusted.a", "v", 1, 0), EPERM);
        FAILS(getxattr("f", "trusted.a", NULL, 0), ENODATA);
        CHECK(!is_listed("f", "trusted.a"));
        CHECK(is_listed("f", "user.a"));
        FAILS(removexattr("f", "trusted.a"), EPERM);
        FAILS(setxattr("f", "security.foo", "v", 1, 0), EPERM);
}

static void trusted_is_hidden_from_users(void)
{
        make("f", 0666, "");
        OK(setxattr("f", "trusted.a", "v", 1, 0));
        OK(setxattr("f", "user.a", "v", 1, 0));
        CHECK(is_listed("f", "trusted.a"));
        as_user(USER_A, as_other, NULL);
}

static void set_on_d(void *arg)
{
        FAILS(setxattr("d", "user.a", "v", 1, 0), EPERM);
        FAILS(setxattr("f", "user.a", "v", 1, 0), EACCES);
        FAILS(getxattr("g", "user.a", NULL, 0), EACCES);
}

static void permissions(void)
{
        OK(mkdir("d", 01777)); /* sticky: only the owner */
        make("f", 0444, "");
        make("g", 0200, "");
        as_user(USER_A, set_on_d, NULL);
}

static void change_sets_ctime_only(void)
{
        struct stat before, after;

        make("f", 0666, "");
        before = stat_of("f");
        usleep(20000);
        OK(setxattr("f", "user.a", "v", 1, 0));
        after = stat_of("f");
        CHECK(after.st_ctim.tv_nsec != before.st_ctim.tv_nsec ||
              after.st_ctim.tv_sec > before.st_ctim.tv_sec);
        EQUAL(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
}

static const struct posix_test tests[] = {
        { "set_get_list_remove", set_get_list_remove },
        { "names_outside_namespaces", names_outside_namespaces },
        { "name_and_value_limits", name_and_value_limits },
        { "user_only_on_files_and_directories", user_only_on_files_and_directories },
        { "trusted_is_hidden_from_users", trusted_is_hidden_from_users },
        { "permissions", permissions },
        { "change_sets_ctime_only", change_sets_ctime_only },
        { NULL, NULL },
};

const struct posix_group posix_xattr = { "xattr", tests };
