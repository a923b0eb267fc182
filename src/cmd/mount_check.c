/* SPDX-License-Identifier: MIT */
/* Checks of what ashlar mount and umount are given. */
#include "base/cleanup.h"
#include "cmd/mount_start.h"
#include "fuse/mountpoint/mountpoint.h"
#include "mount/store_url.h"

#include <string.h>
#include <sys/stat.h>

/* Dead mounts on top of one another that are cleared away. */
#define DEAD_MOUNTS_MAX 16

/* A dead mount makes every access to the directory fail, mounting included. Its watcher (watcher.h) may be
 * unmounting it at the same time. */
static int clear_dead_mounts(const char *dir, struct err_text *text)
{
        for (int i = 0; i < DEAD_MOUNTS_MAX; i++) {
                _cleanup_mountinfo_ struct fuse_mountinfo at = { 0 };
                int r;

                if (fuse_mountinfo_at(dir, &at) < 0 || !fuse_mountinfo_is_ashlar(&at))
                        return 0;
                r = fuse_unmount_dead(dir);
                if (r == 0)
                        return 0;
                if (r < 0 && r != -EINVAL)
                        return err_set(text, -r, "cannot unmount the dead mount at %s: %s", dir, err_str(r));
        }
        return 0;
}

static int check_dir(const char *given, char **ret, struct err_text *text)
{
        _cleanup_mountinfo_ struct fuse_mountinfo at = { 0 };
        _cleanup_free_ char *dir = realpath(given, NULL);
        struct stat st;
        int r;

        if (!dir && errno == ENOENT)
                return err_set(text, ENOENT, "mount point %s does not exist", given);
        if (!dir)
                return err_set(text, errno, "mount point %s: %s", given, err_str(errno));
        r = clear_dead_mounts(dir, text);
        if (r < 0)
                return r;
        if (stat(dir, &st) < 0)
                return err_set(text, errno, "mount point %s: %s", dir, err_str(errno));
        if (!S_ISDIR(st.st_mode))
                return err_set(text, ENOTDIR, "mount point %s is not a directory", dir);
        if (fuse_mountinfo_at(dir, &at) == 0 && fuse_mountinfo_is_ashlar(&at))
                return err_set(text, EBUSY,
                               "mount point %s is busy: %s is mounted there; unmount it with "
                               "'ashlar umount %s'",
                               dir, at.source, dir);
        *ret = steal_ptr(dir);
        return 0;
}

static int check_mode(const struct mount_options *o, const char *url, struct err_text *text)
{
        if (o->fuse.writeback_cache && mount_options_shared(o, url))
                return err_set(text, EINVAL,
                               "mount option 'writeback_cache' needs 'exclusive': what the "
                               "kernel buffers, other mounts would not see");
        return 0;
}

/* fusermount3 refuses it too, with a message that does not say what to do. */
static int check_allow_other(const struct mount_options *o, struct err_text *text)
{
        _cleanup_fclose_ FILE *f = NULL;
        _cleanup_free_ char *line = NULL;
        size_t cap = 0;

        if (geteuid() == 0 || !o->allow_other)
                return 0;
        f = fopen("/etc/fuse.conf", "re");
        while (f && getline(&line, &cap, f) > 0) {
                size_t blank = strspn(line, " \t"), word = strlen("user_allow_other");

                if (strncmp(line + blank, "user_allow_other", word) == 0 &&
                    strspn(line + blank + word, " \t\n") == strlen(line + blank + word))
                        return 0;
        }
        return err_set(text, EPERM, "option '%s' needs the line 'user_allow_other' in /etc/fuse.conf",
                       o->fuse.allow_root ? "allow_root" : "allow_other");
}

int mount_check(const struct mount_options *o, const char *url, const char *given, char **ret_dir,
                struct err_text *text)
{
        _cleanup_free_ char *dir = NULL;
        int r;

        r = check_mode(o, url, text);
        if (r < 0)
                return r;
        r = check_dir(given, &dir, text);
        if (r < 0)
                return r;
        r = check_allow_other(o, text);
        if (r < 0)
                return r;
        if (store_url_is_inside(url, dir))
                return err_set(text, EINVAL, "%s lies inside the mount point %s, which would hide it", url,
                               dir);
        *ret_dir = steal_ptr(dir);
        return 0;
}

int mount_find(const char *given, struct fuse_mountinfo *ret, struct err_text *text)
{
        _cleanup_free_ char *dir = realpath(given, NULL);
        int r;

        if (!dir)
                return err_set(text, errno, "%s: %s", given, err_str(errno));
        r = fuse_mountinfo_at(dir, ret);
        if (r == -ENOENT)
                return err_set(text, EINVAL, "%s is not a mount point", dir);
        if (r < 0)
                return err_set(text, -r, "cannot read the table of mounts: %s", err_str(r));
        if (!fuse_mountinfo_is_ashlar(ret))
                return err_set(text, EINVAL, "%s is not an ashlar file system but %s", dir, ret->type);
        return 0;
}
