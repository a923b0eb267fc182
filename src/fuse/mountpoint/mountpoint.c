/* SPDX-License-Identifier: MIT */
#include "fuse/mountpoint/mountpoint.h"

#include "base/cleanup.h"
#include "fuse/mountpoint/fusermount.h"
#include "fuse/mountpoint/mountinfo.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#define DEVICE "/dev/fuse"

static int open_device(int *ret, struct err_text *text)
{
        int fd = open(DEVICE, O_RDWR | O_CLOEXEC);

        if (fd >= 0) {
                *ret = fd;
                return 0;
        }
        if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
                return err_set(text, ENODEV,
                               DEVICE " is missing: load the kernel's module with 'modprobe "
                                      "fuse', or let this container use the device");
        return err_set(text, errno, "cannot open " DEVICE ": %s", err_str(errno));
}

static int mount_directly(const char *dir, const struct fuse_mount_opts *opts, int fd, struct err_text *text)
{
        char data[160];
        struct stat st;

        if (stat(dir, &st) < 0)
                return err_set(text, errno, "%s: %s", dir, err_str(errno));
        snprintf(data, sizeof(data), "fd=%d,rootmode=%o,user_id=%u,group_id=%u,default_permissions%s", fd,
                 st.st_mode & S_IFMT, getuid(), getgid(), opts->allow_other ? ",allow_other" : "");
        if (mount(opts->source, dir, FUSE_MOUNT_TYPE, opts->flags, data) < 0)
                return err_set(text, errno, "cannot mount at %s: %s", dir, err_str(errno));
        return 0;
}

int fuse_mount(const char *dir, const struct fuse_mount_opts *opts, int *ret, struct err_text *text)
{
        _cleanup_close_ int fd = -1;
        int r;

        r = open_device(&fd, text);
        /* If only root may open the device, fusermount3 does. */
        if (r < 0 && r != -EACCES && r != -EPERM)
                return r;
        if (r == 0)
                r = mount_directly(dir, opts, fd, text);
        if (r == -EPERM || r == -EACCES)
                return fusermount_mount(dir, opts, ret, text);
        if (r < 0)
                return r;
        *ret = steal_fd(&fd);
        return 0;
}

int fuse_unmount(const char *dir, bool lazy, struct err_text *text)
{
        if (umount2(dir, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0)
                return 0;
        if (errno == EPERM)
                return fusermount_unmount(dir, lazy, text);
        return err_set(text, errno, "cannot unmount %s: %s", dir, err_str(errno));
}

int fuse_remount(const char *dir, unsigned long flags, struct err_text *text)
{
        if (mount(NULL, dir, NULL, MS_REMOUNT | flags, NULL) == 0)
                return 0;
        if (errno == EBUSY)
                return err_set(text, EBUSY,
                               "%s is busy: a file is open there for writing "
                               "('fuser -vm %s' shows by which process)",
                               dir, dir);
        return err_set(text, errno, "cannot remount %s: %s", dir, err_str(errno));
}

int fuse_unmount_dead(const char *dir)
{
        /* The descriptor refers to one mount, so the mount that is tested is the one unmounted. */
        _cleanup_close_ int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        char path[32];
        struct statfs st;

        if (fd < 0)
                return -errno;
        /* Not stat(2), which the kernel may answer from its cache. */
        if (fstatfs(fd, &st) == 0)
                return 0;
        /* ECANCELED: a ring whose thread is dead took the request. */
        if (errno != ENOTCONN && errno != ECONNABORTED && errno != ECANCELED)
                return -errno;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (umount2(path, MNT_DETACH) == 0)
                return 1;
        /* fusermount3 takes paths only. */
        return errno == EPERM && fusermount_unmount(dir, true, NULL) == 0 ? 1 : -errno;
}

int fuse_abort(const char *dir)
{
        _cleanup_mountinfo_ struct fuse_mountinfo at = { 0 };
        _cleanup_close_ int fd = -1;
        char path[64];

        if (fuse_mountinfo_at(dir, &at) < 0 || !fuse_mountinfo_is_ashlar(&at))
                return -ENOENT;
        snprintf(path, sizeof(path), "/sys/fs/fuse/connections/%u/abort", minor(at.dev));
        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd >= 0 && write(fd, "1", 1) == 1)
                return 0;
        /* Aborts even if it then finds the mount in use. */
        if (umount2(dir, MNT_FORCE | UMOUNT_NOFOLLOW) < 0 && errno != EBUSY)
                return -errno;
        return 0;
}
