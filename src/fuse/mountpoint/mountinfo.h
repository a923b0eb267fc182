/* SPDX-License-Identifier: MIT */
/* The mounts of this mount namespace, from /proc/self/mountinfo. Does not access the file systems, so a
 * dead mount does not block it. */
#ifndef FUSE_MOUNTPOINT_MOUNTINFO_H
#define FUSE_MOUNTPOINT_MOUNTINFO_H

#include <stdbool.h>
#include <sys/types.h>

struct fuse_mountinfo {
        unsigned long flags;          /* MS_*, as mount(2) takes them */
        unsigned owner;               /* of a FUSE mount: the user that mounted it */
        dev_t dev;                    /* st_dev of its files */
        char *target, *type, *source; /* owned */
};

void fuse_mountinfo_clear(struct fuse_mountinfo *m);
#define _cleanup_mountinfo_ __attribute__((cleanup(fuse_mountinfo_clear)))

/* Calls FN for each mount, in the order of mounting, until it returns other than 0, and returns that. M is
 * valid during the call. Negative: the table cannot be read. */
typedef int (*fuse_mountinfo_fn)(const struct fuse_mountinfo *m, void *arg);
int fuse_mountinfo_each(fuse_mountinfo_fn fn, void *arg);

/* Finds the mount that is visible at the path DIR. To be freed by fuse_mountinfo_clear. ENOENT: not a
 * mount point. */
int fuse_mountinfo_at(const char *dir, struct fuse_mountinfo *ret);

bool fuse_mountinfo_is_ashlar(const struct fuse_mountinfo *m);

#endif
