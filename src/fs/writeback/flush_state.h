/* SPDX-License-Identifier: MIT */
/* The state of an inode in the write-back cache. */
#ifndef FS_WRITEBACK_FLUSH_STATE_H
#define FS_WRITEBACK_FLUSH_STATE_H

#include <stdbool.h>

/* An inode has two batches. Writes go to the dirty one; a flush moves blocks from there to the frozen one and
 * commits that.
 *
 *     state       dirty     frozen
 *     CLEAN       empty     empty
 *     DIRTY       blocks    empty
 *     FLUSHING    either    blocks    an attempt commits the frozen batch, and adds dirty blocks that follow
 *     FINISHING   either    blocks    the same, but it adds nothing more
 *     FROZEN      either    blocks    the last attempt was interrupted by its caller
 *     FAILING     either    blocks    the last attempt failed, and another one may succeed
 *
 *     from                   event                                          to
 *     CLEAN                  a write                                        DIRTY
 *     DIRTY, FROZEN, FAILING an attempt begins                              FLUSHING
 *     FLUSHING               blocks are added while a thread waits          FINISHING
 *     FLUSHING, FINISHING    committed, nothing is dirty                    CLEAN
 *     FLUSHING, FINISHING    committed, more is dirty                       DIRTY
 *     FLUSHING, FINISHING    no attempt can succeed: all is dropped         CLEAN
 *     FLUSHING, FINISHING    interrupted by its caller                      FROZEN
 *     FLUSHING, FINISHING    failed                                         FAILING
 *     DIRTY                  cut, nothing is left                           CLEAN
 *     FROZEN, FAILING        cut, nothing is left                           CLEAN
 *     FROZEN, FAILING        cut, nothing frozen is left                    DIRTY
 *
 * A write in any other state changes only the dirty batch. docs/DESIGN.md has the diagram. */
enum flush_state { FLUSH_CLEAN, FLUSH_DIRTY, FLUSH_FLUSHING, FLUSH_FINISHING, FLUSH_FROZEN, FLUSH_FAILING };

#define FLUSH_STATES 6u

/* Whether an attempt is under way. */
static inline bool flush_state_is_active(enum flush_state s)
{
        return s == FLUSH_FLUSHING || s == FLUSH_FINISHING;
}

#endif
