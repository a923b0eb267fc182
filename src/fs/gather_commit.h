/* Committing what was gathered of one inode. Without locks: a batch does not change meanwhile. */
#ifndef FS_GATHER_COMMIT_H
#define FS_GATHER_COMMIT_H

#include "core.h"
#include "gather_blocks.h"
#include "workers.h"

/* What one flush commits. */
struct gather_batch {
        struct gather_blocks blocks;
        bool times;           /* set mtime and ctime to TIME */
        bool kill_priv;       /* as FS_WRITE_KILL_PRIV */
        struct timespec time; /* of the last write */
};

struct gather_writer {
        uint8_t pid[FMT_PID_SIZE];
        uint64_t writing; /* number of this write: never used before by that pid */
};

/* Whether BATCH is committed by transactions of the caller's thread alone. */
bool gather_is_small(const struct fs *fs, const struct gather_batch *batch);

/* Commits all of BATCH, or gives an error: then any part of it may be committed, and all of it may be
 * committed again. IN_ORDER: in transactions one after the other, each with the size up to its end,
 * because others extend the file too; sets *RET_CONTENDED if it found that so. */
int gather_commit(struct fs *fs, struct fs_workers *workers, uint64_t ino, const struct gather_batch *batch,
                  const struct gather_writer *writer, bool in_order, bool *ret_contended);

#endif
