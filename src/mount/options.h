/* SPDX-License-Identifier: MIT */
/* The options of a mount, as -o takes them. */
#ifndef MOUNT_OPTIONS_H
#define MOUNT_OPTIONS_H

#include "fuse/fuse.h"

/* Whether other mounts of the store may be there at the same time. */
enum mount_mode {
        MOUNT_BY_STORE, /* exclusive for stores on this machine, shared for others */
        MOUNT_EXCLUSIVE,
        MOUNT_SHARED,
};

struct mount_options {
        unsigned long flags; /* MS_*, for mount(2) */
        unsigned long given; /* the bits of FLAGS that options have set or cleared */
        bool remount;
        const char *fixed; /* an option that a remount cannot change; NULL: none was given */
        bool allow_other;
        enum mount_mode mode;
        unsigned timeout_s; /* how long a request waits for a store that is away; 0: no limit */
        struct fuse_opts fuse;
};

/* Sets the defaults: for root nosuid, nodev and open to all users; for other users open to them alone.
 * HELPER: for mount(8), which does not pass on its own defaults, so that those of root are suid and dev. The
 * environment variable ASHLAR_TRANSPORT sets the default transport. */
void mount_options_init(struct mount_options *o, bool helper);

/* The flags for access times, of which one is set, and their meaning. */
#define MOUNT_ATIME_FLAGS (MS_RELATIME | MS_NOATIME | MS_STRICTATIME)
enum fs_atime mount_flags_atime(unsigned long flags);

/* Whether O means a shared mount of the store URL. */
bool mount_options_shared(const struct mount_options *o, const char *url);

/* Adds LIST, options separated by commas; the last of contradicting ones counts. SLOPPY: ignore unknown ones.
 * EINVAL with TEXT for an unknown option or a bad value, EPERM for one that is for root only. */
int mount_options_parse(struct mount_options *o, const char *list, bool sloppy, struct err_text *text);

/* Calls FN for each group of options that belong together, for --help: their names, separated by commas, and
 * lines of text. */
void mount_options_describe(void (*fn)(const char *names, const char *help, void *arg), void *arg);

#endif
