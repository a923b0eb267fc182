/* SPDX-License-Identifier: MIT */
/* Which changes remove set-user-ID, set-group-ID and file capabilities: as Linux does (6.18, ext4). */
#include "posix.h"

#include <sys/mman.h>
#include <sys/xattr.h>

static const uint8_t capability[20] = { 0x01, 0x00, 0x00, 0x02, 0x00, 0x04 };

static void write_one(void *path)
{
        int fd = OK(open(path, O_WRONLY));

        EQUAL(write(fd, "y", 1), 1);
}

static void append_one(void *path)
{
        int fd = OK(open(path, O_WRONLY | O_APPEND));

        EQUAL(write(fd, "y", 1), 1);
}

static void write_direct(void *path)
{
        void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        int fd = OK(open(path, O_WRONLY | O_DIRECT));

        EQUAL(write(fd, page, 4096), 4096);
}

static void truncate_to_5(void *path)
{
        OK(truncate(path, 5));
}

static void open_truncating(void *path)
{
        OK(open(path, O_WRONLY | O_TRUNC));
}

static void allocate(void *path)
{
        int fd = OK(open(path, O_WRONLY));

        EQUAL(posix_fallocate(fd, 0, 100), 0);
}

static void punch(void *path)
{
        int fd = OK(open(path, O_WRONLY));

        OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 10));
}

static void change(mode_t before, void (*fn)(void *path), unsigned uid, mode_t after)
{
        make("f", before, "xxxxxxxxxxxxxxxxxxxx");
        OK(chmod("f", before));
        as_user(uid, fn, "f");
        EQUAL(mode_of("f"), after);
        OK(unlink("f"));
}

/* Every way of changing the data, by a user with write permission. */
static void all_writers(mode_t before, unsigned uid, mode_t after)
{
        change(before, write_one, uid, after);
        change(before, append_one, uid, after);
        change(before, write_direct, uid, after);
        change(before, truncate_to_5, uid, after);
        change(before, open_truncating, uid, after);
        change(before, allocate, uid, after);
        change(before, punch, uid, after);
}

static void writes_by_user_clear_setuid(void)
{
        all_writers(04777, USER_A, 0777);
        all_writers(04666, USER_A, 0666);
}

static void writes_by_user_clear_setgid(void)
{
        all_writers(02777, USER_A, 0777);
        all_writers(06777, USER_A, 0777);
}

/* Without execution for the group it once meant mandatory locking; a user outside of the group clears it all
 * the same. */
static void writes_by_user_clear_setgid_without_x(void)
{
        all_writers(02767, USER_A, 0767);
        all_writers(02666, USER_A, 0666);
}

static void writes_by_root_keep_bits(void)
{
        all_writers(06777, 0, 06777);
}

static void writes_remove_capabilities(void)
{
        static void (*const writers[])(void *) = { write_one, append_one, write_direct, truncate_to_5 };

        for (size_t i = 0; i < sizeof(writers) / sizeof(writers[0]); i++) {
                make("f", 0777, "xxxxxxxxxxxxxxxxxxxx");
                OK(setxattr("f", "security.capability", capability, sizeof(capability), 0));
                as_user(0, writers[i], "f");
                FAILS(getxattr("f", "security.capability", NULL, 0), ENODATA);
                OK(unlink("f"));
        }
}

static void chown_clears_bits(void)
{
        make("f", 0777, "");
        OK(chmod("f", 06777));
        OK(chown("f", USER_A, (gid_t)-1));
        EQUAL(mode_of("f"), 0777);
        OK(chmod("f", 06777));
        OK(chown("f", (uid_t)-1, USER_A));
        EQUAL(mode_of("f"), 0777);
        OK(chmod("f", 02767));
        OK(chown("f", USER_B, USER_B));
        EQUAL(mode_of("f"), 02767); /* a capable caller keeps it where the group may not execute */
}

static void chown_to_nobody_clears_bits(void)
{
        struct stat before, after;

        make("f", 0777, "");
        OK(chmod("f", 04755));
        before = stat_of("f");
        OK(chown("f", (uid_t)-1, (gid_t)-1));
        after = stat_of("f");
        EQUAL(after.st_mode & 07777, 0755);
        CHECK(after.st_ctim.tv_sec > before.st_ctim.tv_sec ||
              after.st_ctim.tv_nsec != before.st_ctim.tv_nsec);
}

static void chown_keeps_bits_of_directories(void)
{
        OK(mkdir("d", 0777));
        OK(chmod("d", 06777));
        OK(chown("d", USER_A, USER_A));
        EQUAL(mode_of("d"), 06777);
}

static void chmod_setgid(void *arg)
{
        OK(chmod("f", 02777));
}

static void chmod_of_other_group_drops_setgid(void)
{
        make("f", 0777, "");
        OK(chown("f", USER_A, USER_B));
        as_user(USER_A, chmod_setgid, NULL);
        EQUAL(mode_of("f"), 0777);
        OK(chown("f", USER_A, GROUP_C));
        as_user(USER_A, chmod_setgid, NULL);
        EQUAL(mode_of("f"), 02777);
}

static void make_below(void *arg)
{
        make("d/f", 0644, "");
        OK(mkdir("d/d", 0755));
}

static void setgid_directory_is_inherited(void)
{
        OK(mkdir("d", 0777));
        OK(chown("d", 0, GROUP_C));
        OK(chmod("d", 02777));
        as_user(USER_A, make_below, NULL);
        EQUAL(stat_of("d/f").st_gid, GROUP_C);
        EQUAL(mode_of("d/f"), 0644);
        EQUAL(stat_of("d/d").st_gid, GROUP_C);
        EQUAL(mode_of("d/d"), 02755);
}

static const struct posix_test tests[] = {
        { "writes_by_user_clear_setuid", writes_by_user_clear_setuid },
        { "writes_by_user_clear_setgid", writes_by_user_clear_setgid },
        { "writes_by_user_clear_setgid_without_x", writes_by_user_clear_setgid_without_x },
        { "writes_by_root_keep_bits", writes_by_root_keep_bits },
        { "writes_remove_capabilities", writes_remove_capabilities },
        { "chown_clears_bits", chown_clears_bits },
        { "chown_to_nobody_clears_bits", chown_to_nobody_clears_bits },
        { "chown_keeps_bits_of_directories", chown_keeps_bits_of_directories },
        { "chmod_of_other_group_drops_setgid", chmod_of_other_group_drops_setgid },
        { "setgid_directory_is_inherited", setgid_directory_is_inherited },
        { NULL, NULL },
};

const struct posix_group posix_setid = { "setid", tests };
