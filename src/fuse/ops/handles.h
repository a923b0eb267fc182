/* SPDX-License-Identifier: MIT */
/* The handles of a shared mount that are open for writing, and whether they wrote. close(2) of a handle
 * that wrote waits for the flush and reports its errors; that of any other handle must do neither. All
 * functions: any thread. */
#ifndef FUSE_OPS_HANDLES_H
#define FUSE_OPS_HANDLES_H

#include <stdbool.h>
#include <stdint.h>

/* The number of all handles that are open for reading only. */
#define HANDLE_READING UINT64_C(0)
/* The number of a handle for which there was no memory: it counts as one that wrote. */
#define HANDLE_UNKNOWN UINT64_C(1)

struct handles;

/* NULL: no memory. */
struct handles *handles_new(void);
/* Takes NULL, and handles that are still open. */
void handles_free(struct handles *h);

/* Opens a handle of INO for writing; returns its number. */
uint64_t handles_open(struct handles *h, uint64_t ino);
void handles_close(struct handles *h, uint64_t ino, uint64_t number);

/* Notes that the handle is about to write. */
void handles_note_write(struct handles *h, uint64_t ino, uint64_t number);
/* Notes that pages of INO are written back, which any of its handles may have changed through a mapping. */
void handles_note_write_back(struct handles *h, uint64_t ino);
/* Whether the handle may have written. A number that is not open counts as one that did. */
bool handles_wrote(struct handles *h, uint64_t ino, uint64_t number);

#endif
