#include "policy.h"

#include "kernel_abi.h"

#define BIT(opcode) (UINT64_C(1) << (opcode))

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
#define FEATURES                                                                                             \
        (FUSE_ASYNC_READ | FUSE_EXPORT_SUPPORT | FUSE_BIG_WRITES | FUSE_EXPLICIT_INVAL_DATA |                \
         FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS |               \
         FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS | FUSE_HANDLE_KILLPRIV_V2 | FUSE_INIT_EXT)

/* OPEN, OPENDIR: an open file costs nothing; the kernel keeps what it needs (page cache and cached
 * directories included) and sends neither OPEN nor RELEASE again.
 * FLUSH, ACCESS: nothing happens at close, and the kernel checks permissions.
 * GETLK, SETLK, SETLKW: not sent without their features.
 * INTERRUPT: nothing here waits for others.
 * LSEEK: pages that were changed through mmap(2), or are held by the writeback cache, are unknown here
 * until they are written back, so that SEEK_DATA would skip them and a copy of the file would hold zeros.
 * The kernel answers that there are no holes, which is always true enough.
 * BMAP, IOCTL, POLL: not for files of this kind. COPY_FILE_RANGE: the kernel copies by itself. */
#define NEVER                                                                                                \
        (BIT(FUSE_OPEN) | BIT(FUSE_OPENDIR) | BIT(FUSE_FLUSH) | BIT(FUSE_ACCESS) | BIT(FUSE_GETLK) |         \
         BIT(FUSE_SETLK) | BIT(FUSE_SETLKW) | BIT(FUSE_INTERRUPT) | BIT(FUSE_LSEEK) | BIT(FUSE_BMAP) |       \
         BIT(FUSE_IOCTL) | BIT(FUSE_POLL) | BIT(FUSE_COPY_FILE_RANGE))

#define NEVER_XATTR \
        (BIT(FUSE_SETXATTR) | BIT(FUSE_GETXATTR) | BIT(FUSE_LISTXATTR) | BIT(FUSE_REMOVEXATTR))

struct af_policy af_policy_exclusive(const struct af_opts *opts)
{
        return (struct af_policy){
                .features = FEATURES | (opts->writeback_cache ? FUSE_WRITEBACK_CACHE : 0),
                .never = NEVER | (opts->noxattr ? NEVER_XATTR : 0),
                .entry_valid_ms = AF_FOREVER_MS,
                .negative_valid_ms = AF_FOREVER_MS,
                .attr_valid_ms = AF_FOREVER_MS,
                .file_flags = FOPEN_KEEP_CACHE,
                .dir_flags = FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR,
        };
}
