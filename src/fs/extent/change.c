/* SPDX-License-Identifier: MIT */
/* The change of an inode by a write, beside data and size. */
#include "fs/extent/extent.h"

static struct timespec later_of(struct timespec a, struct timespec b)
{
        return time_before(a, b) ? b : a;
}

void extent_change_add(struct extent_change *c, unsigned flags, struct timespec now)
{
        const struct extent_change one = { .written = true,
                                           .mtime_set = !(flags & FS_WRITE_KEEP_TIMES),
                                           .kill_priv = flags & FS_WRITE_KILL_PRIV,
                                           .kill_caps = flags & (FS_WRITE_KILL_PRIV | FS_WRITE_KILL_CAPS),
                                           .mtime = now,
                                           .ctime = now };

        extent_change_merge(c, &one);
}

void extent_change_merge(struct extent_change *c, const struct extent_change *later)
{
        /* Writers may be overtaken between reading the clock and this. */
        if (later->mtime_set)
                c->mtime = c->mtime_set ? later_of(c->mtime, later->mtime) : later->mtime;
        if (later->written)
                c->ctime = c->written ? later_of(c->ctime, later->ctime) : later->ctime;
        c->mtime_set |= later->mtime_set;
        c->written |= later->written;
        c->kill_priv |= later->kill_priv;
        c->kill_caps |= later->kill_caps;
}

void extent_change_times(const struct extent_change *c, struct timespec *mtime, struct timespec *ctime)
{
        if (c->mtime_set)
                *mtime = c->mtime;
        if (c->written)
                *ctime = later_of(*ctime, c->ctime);
}
