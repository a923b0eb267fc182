/* SPDX-License-Identifier: MIT */
/* What is mounted where: /proc/self/mountinfo. Reading it does not touch the file systems, dead ones
 * included. */
#ifndef FUSE_MOUNTPOINT_MOUNTINFO_H
#define FUSE_MOUNTPOINT_MOUNTINFO_H

#include <stdbool.h>
#include <sys/types.h>

struct fuse_mountinfo {
        unsigned long flags;          /* MS_*, as mount(2) takes them */
        unsigned owner;               /* the user who mounted it, if it is FUSE's */
        dev_t dev;                    /* as stat(2) shows it */
        char *target, *type, *source; /* owned */
};

void fuse_mountinfo_clear(struct fuse_mountinfo *m);
#define _cleanup_mountinfo_ __attribute__((cleanup(fuse_mountinfo_clear)))

/* Calls FN for each mount, in the order of mounting, until it returns other than 0, which is returned. M
 * is FN's for the call. Negative: the table cannot be read. */
typedef int (*fuse_mountinfo_fn)(const struct fuse_mountinfo *m, void *arg);
int fuse_mountinfo_each(fuse_mountinfo_fn fn, void *arg);

/* The mount that is visible at exactly the path DIR. ENOENT: it is not a mount point. */
int fuse_mountinfo_at(const char *dir, struct fuse_mountinfo *ret);

bool fuse_mountinfo_is_ashlar(const struct fuse_mountinfo *m);

#endif
