#include "policy.h"

#include <linux/fuse.h>

/* Each of these is safe and faster when nothing but this mount changes the file system:
 * PARALLEL_DIROPS: lookups and readdirs in one directory run side by side.
 * EXPLICIT_INVAL_DATA: pages stay cached although an own write changed mtime (AUTO_INVAL_DATA would drop
 * them).
 * HANDLE_KILLPRIV_V2: set-user-id bits go with the write itself, without a request to ask about them.
 * READDIRPLUS_AUTO: the first reply of a listing carries attributes, the others if they were wanted. With
 * attributes in each, `ls` of 20,000 names took 5 times as long and `find -size` a third; the first reply
 * alone holds all of most directories.
 *
 * And these are left out on purpose:
 * ATOMIC_O_TRUNC: OPEN is answered with ENOSYS, so truncation has to come as SETATTR, or it never would.
 * POSIX_LOCKS, FLOCK_LOCKS: the kernel keeps the locks of a file system that only it sees.
 * POSIX_ACL: not stored.
 * SETXATTR_EXT: longer requests, of no use without ACLs. */
static const uint64_t wanted =
        FUSE_ASYNC_READ | FUSE_EXPORT_SUPPORT | FUSE_BIG_WRITES | FUSE_EXPLICIT_INVAL_DATA |
        FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS |
        FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS | FUSE_HANDLE_KILLPRIV_V2 | FUSE_INIT_EXT;

uint64_t af_init_flags(const struct af_opts *opts, uint64_t offered)
{
        uint64_t flags = wanted;

        if (opts->writeback_cache)
                flags |= FUSE_WRITEBACK_CACHE;
        return flags & offered;
}
