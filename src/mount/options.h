/* SPDX-License-Identifier: MIT */
/* The options of a mount, as -o takes them. */
#ifndef MOUNT_OPTIONS_H
#define MOUNT_OPTIONS_H

#include "fuse/fuse.h"

/* Whether other mounts of the store may be there at the same time. */
enum mount_mode {
        MOUNT_BY_STORE, /* exclusive on this machine's stores, shared on others */
        MOUNT_EXCLUSIVE,
        MOUNT_SHARED,
};

struct mount_options {
        unsigned long flags; /* MS_*, for mount(2) */
        bool allow_other;
        enum fs_atime atime;
        enum mount_mode mode;
        unsigned timeout_s; /* how long a request waits for a store that is away; 0: without end */
        struct fuse_opts af;
};

/* What holds without any option: for root nosuid, nodev and open to all users; for others open to them
 * alone. The environment variable ASHLAR_TRANSPORT, where it is set, says which transport to use. */
void mount_options_init(struct mount_options *o);

/* Whether O means a shared mount of the store URL. */
bool mount_options_shared(const struct mount_options *o, const char *url);

/* Adds LIST, words separated by commas; the last of contradicting ones counts. SLOPPY: skip unknown ones.
 * EINVAL with TEXT for an unknown word or a bad value, EPERM for what only root may ask for. */
int mount_options_parse(struct mount_options *o, const char *list, bool sloppy, struct err_text *text);

#endif
