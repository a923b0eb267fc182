/* What the operations know: the file system, the options and the table of directory positions. Nothing of
 * the transport. */
#ifndef FUSE_CORE_H
#define FUSE_CORE_H

#include "af.h"
#include "dirpos.h"

struct af_core {
        struct fs *fs;
        struct af_opts opts;
        struct dirpos *positions;
};

#endif
