/* SPDX-License-Identifier: MIT */
/* The client library of the process: loaded, and its network thread started, at the first use. */
#ifndef KV_FDB_LIBRARY_H
#define KV_FDB_LIBRARY_H

#include "base/err.h"
#include "kv/fdb/capi.h"

/* Loads libfdb_c from $ASHLAR_FDB_LIB or the system's library path, selects the API version and starts the
 * thread that runs the network. The library can be set up once in a process and never again: so this one
 * lives as long as the process (the thread is stopped at exit), and after a failure behind the loading every
 * further call gives the same. Errors: ENOPKG (no library, or one that is too old), EIO, EPERM (a child
 * process of the one that set it up). Any thread. */
int fdb_library_get(const struct fdb_api **ret, struct err_text *text);

#endif
