/* SPDX-License-Identifier: MIT */
/* Copying out of a mapped file. */
#ifndef FUSE_TRANSPORT_MAPPED_H
#define FUSE_TRANSPORT_MAPPED_H

#include <stddef.h>

/* Has SIGBUS handled, for the whole process. Where it was not expected it ends the process as before. Any
 * thread, any number of times. */
void fuse_mapped_init(void);

/* 0, or EIO if there is a page of FROM that cannot be read (a disk error; a file that was cut off): that
 * raises SIGBUS, which would end the process. Then TO holds anything. After fuse_mapped_init; any thread. */
int fuse_mapped_copy(void *to, const void *from, size_t len);

#endif
