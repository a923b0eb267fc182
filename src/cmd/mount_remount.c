/* SPDX-License-Identifier: MIT */
/* ashlar mount -o remount. The kernel keeps the flags of the mount, the mount process the settings that
 * depend on them. The process must not be read-only before the kernel is, because the kernel's last writes
 * are for it, nor the kernel writable before the process is. */
#include "cmd/cmd.h"
#include "cmd/mount_start.h"
#include "fuse/mountpoint/mountpoint.h"
#include "mount/control.h"

#include <sys/mount.h>
#include <time.h>

/* How often a busy file system is tried again, and after how long. */
#define BUSY_TRIES    10u
#define BUSY_PAUSE_MS 50

/* mount(8) passes all flags, but those for access times only if they are set; otherwise what is not given
 * stays. */
static unsigned long new_flags(const struct mount_options *o, bool helper, unsigned long now)
{
        unsigned long given = helper ? o->given | ~(unsigned long)MOUNT_ATIME_FLAGS : o->given;

        return (now & ~given) | (o->flags & given);
}

/* The kernel may still wait for answers about a file that has just been closed. */
static int remount_rdonly(const char *dir, unsigned long flags, struct err_text *text)
{
        int r = fuse_remount(dir, flags, text);

        for (unsigned tries = 0; r == -EBUSY && tries < BUSY_TRIES; tries++) {
                nanosleep(&(struct timespec){ .tv_nsec = BUSY_PAUSE_MS * 1000000 }, NULL);
                r = fuse_remount(dir, flags, text);
        }
        return r;
}

static int remount(const struct fuse_mountinfo *at, unsigned long flags, struct err_text *text)
{
        const char *atime = flags & MS_NOATIME       ? "noatime"
                            : flags & MS_STRICTATIME ? "strictatime"
                                                     : "relatime";
        bool rdonly = flags & MS_RDONLY;
        char request[64];
        int r;

        snprintf(request, sizeof(request), "%s,%s", rdonly ? "ro" : "rw", atime);
        r = rdonly ? remount_rdonly(at->target, flags, text) : 0;
        if (r < 0)
                return r;
        r = mount_control_call(at->dev, at->owner, request, text);
        if (r < 0)
                return r;
        return rdonly ? 0 : fuse_remount(at->target, flags, text);
}

int mount_remount(const struct mount_options *o, bool helper, const char *given)
{
        _cleanup_mountinfo_ struct fuse_mountinfo at = { 0 };
        struct err_text text;
        int r;

        if (geteuid() != 0)
                r = err_set(&text, EPERM, "only root can remount");
        else if (o->fixed && !helper)
                r = err_set(&text, EINVAL,
                            "option '%s' cannot be changed while mounted: unmount and mount again", o->fixed);
        else
                r = mount_find(given, &at, &text);
        if (r >= 0)
                r = remount(&at, new_flags(o, helper, at.flags), &text);
        return r < 0 ? cmd_failed(&text) : CMD_OK;
}
