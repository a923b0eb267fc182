/* SPDX-License-Identifier: MIT */
/* FoundationDB's client library, which the process loads at the first use. */
#ifndef KV_FDB_LIBRARY_H
#define KV_FDB_LIBRARY_H

#include "base/err.h"
#include "kv/fdb/capi.h"

/* Loads libfdb_c from $ASHLAR_FDB_LIB or the system's library path, selects the API version and starts the
 * network thread; later calls return the same functions. The library can be set up only once in a process, so
 * it stays until the process exits (the thread is stopped then), and a failure after loading is permanent:
 * every further call returns it. Any thread. Errors: ENOPKG (no library, or one that is too old), EIO, EPERM
 * (in a child process of the one that set it up). */
int fdb_library_get(const struct fdb_api **ret, struct err_text *text);

#endif
