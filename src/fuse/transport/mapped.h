/* SPDX-License-Identifier: MIT */
/* Copying from a mapped file, with an error instead of SIGBUS. */
#ifndef FUSE_TRANSPORT_MAPPED_H
#define FUSE_TRANSPORT_MAPPED_H

#include <stddef.h>

/* Installs the handler of SIGBUS, for the whole process. A SIGBUS outside fuse_mapped_copy still ends the
 * process. Any thread, any number of times. */
void fuse_mapped_init(void);

/* Copies LEN bytes. EIO if a page of FROM cannot be read (a disk error, or a file that was truncated), which
 * raises SIGBUS; the contents of TO are then undefined. After fuse_mapped_init; any thread. */
int fuse_mapped_copy(void *to, const void *from, size_t len);

#endif
