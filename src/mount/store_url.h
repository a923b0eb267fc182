/* SPDX-License-Identifier: MIT */
/* The name of a store that still means the same from another directory, and in another process's table
 * of mounts. */
#ifndef MOUNT_STORE_URL_H
#define MOUNT_STORE_URL_H

#include <stdbool.h>

/* STORE as "lmdb:" and an absolute path without symlinks, or as "fdb:", its cluster file in the same way
 * (also where FDB_CLUSTER_FILE or nobody named it) and its prefix; of another kind, or not there: as it is.
 * Free it; NULL: no memory. */
char *store_url_absolute(const char *store);

/* Whether STORE lies on this machine and can be locked by one process. */
bool store_url_is_local(const char *store);

/* Whether the files of the store URL (absolute) lie at the path DIR or below. */
bool store_url_is_inside(const char *url, const char *dir);

#endif
