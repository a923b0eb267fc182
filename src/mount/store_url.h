/* SPDX-License-Identifier: MIT */
/* Names of stores that mean the same in any directory and any process. */
#ifndef MOUNT_STORE_URL_H
#define MOUNT_STORE_URL_H

#include <stdbool.h>

/* Returns STORE as "lmdb:" and an absolute path without symlinks, or as "fdb:", the path of its cluster file
 * (also of the default one) and its prefix; unchanged if it is of another kind or does not exist. To be
 * freed; NULL: no memory. */
char *store_url_absolute(const char *store);

/* Whether STORE is on this machine and can be locked by one process. */
bool store_url_is_local(const char *store);

/* Whether the files of the store URL (absolute) are at the path DIR or below. */
bool store_url_is_inside(const char *url, const char *dir);

#endif
