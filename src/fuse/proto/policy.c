/* SPDX-License-Identifier: MIT */
#include "fuse/proto/policy.h"

#include "fuse/proto/kernel_abi.h"

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
#define FEATURES                                                                               \
        (FUSE_ASYNC_READ | FUSE_EXPORT_SUPPORT | FUSE_BIG_WRITES | FUSE_EXPLICIT_INVAL_DATA |  \
         FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS | \
         FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS | FUSE_HANDLE_KILLPRIV_V2 | FUSE_INIT_EXT)

/* OPEN, OPENDIR: an open file costs nothing; the kernel keeps what it needs (page cache and cached
 * directories included) and sends neither OPEN nor RELEASE again.
 * FLUSH, ACCESS: nothing happens at close, and the kernel checks permissions.
 * GETLK, SETLK, SETLKW: not sent without their features.
 * INTERRUPT: only where something waits, for a store that may be away.
 * LSEEK: pages that were changed through mmap(2), or are held by the writeback cache, are unknown here
 * until they are written back, so that SEEK_DATA would skip them and a copy of the file would hold zeros.
 * The kernel answers that there are no holes, which is always true enough.
 * BMAP, IOCTL, POLL: not for files of this kind. COPY_FILE_RANGE: the kernel copies by itself. */
#define NEVER                                                                                        \
        (BIT(FUSE_OPEN) | BIT(FUSE_OPENDIR) | BIT(FUSE_FLUSH) | BIT(FUSE_ACCESS) | BIT(FUSE_GETLK) | \
         BIT(FUSE_SETLK) | BIT(FUSE_SETLKW) | BIT(FUSE_LSEEK) | BIT(FUSE_BMAP) | BIT(FUSE_IOCTL) |   \
         BIT(FUSE_POLL) | BIT(FUSE_COPY_FILE_RANGE))

#define NEVER_XATTR (BIT(FUSE_SETXATTR) | BIT(FUSE_GETXATTR) | BIT(FUSE_LISTXATTR) | BIT(FUSE_REMOVEXATTR))

static uint64_t never_by_options(const struct fuse_opts *opts)
{
        return (opts->noxattr ? NEVER_XATTR : 0) | (opts->waits ? 0 : BIT(FUSE_INTERRUPT));
}

struct fuse_policy fuse_policy_exclusive(const struct fuse_opts *opts)
{
        return (struct fuse_policy){
                .features = FEATURES | (opts->writeback_cache ? FUSE_WRITEBACK_CACHE : 0),
                .never = NEVER | never_by_options(opts),
                .entry_valid_ms = FUSE_FOREVER_MS,
                .negative_valid_ms = FUSE_FOREVER_MS,
                .attr_valid_ms = FUSE_FOREVER_MS,
                .file_flags = FOPEN_KEEP_CACHE,
                .dir_flags = FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR,
        };
}

/* What others change shows when the kernel asks, so it asks each time: nothing but pages is kept, and
 * those of an open file only. Left out, of what an exclusive mount has:
 * EXPLICIT_INVAL_DATA: when a file's size changed, its cached pages are to be dropped. The last of them
 * has zeros where there are bytes now.
 * CACHE_SYMLINKS: a name may be a new link.
 * READDIRPLUS: attributes that are not kept until they are asked for are read for nothing.
 * WRITEBACK_CACHE: the kernel would own size and times. */
#define SHARED_FEATURES                                                                                 \
        ((FEATURES & ~(uint64_t)(FUSE_EXPLICIT_INVAL_DATA | FUSE_CACHE_SYMLINKS | FUSE_DO_READDIRPLUS | \
                                 FUSE_READDIRPLUS_AUTO)) |                                              \
         ABI_DIRECT_IO_ALLOW_MMAP)

/* Files and directories are opened with a handle, so that an open is seen (and drops the pages of an
 * earlier one) and so is a close (which waits until what was written is in the store). LSEEK stays away
 * for the same reason as above, locks because they are this machine's own. */
#define SHARED_NEVER                                                                                 \
        (BIT(FUSE_ACCESS) | BIT(FUSE_GETLK) | BIT(FUSE_SETLK) | BIT(FUSE_SETLKW) | BIT(FUSE_LSEEK) | \
         BIT(FUSE_BMAP) | BIT(FUSE_IOCTL) | BIT(FUSE_POLL) | BIT(FUSE_COPY_FILE_RANGE))

/* Appending handles bypass the page cache (ops_open.c). A kernel that offers the feature (6.6) drops the
 * cached pages that such a write changes. An older one does not, and who has the file open otherwise would
 * see zeros in the place of what was appended; there every handle bypasses it, and shared memory maps are
 * refused. */
struct fuse_policy fuse_policy_shared(const struct fuse_opts *opts, uint64_t offered)
{
        return (struct fuse_policy){
                .features = SHARED_FEATURES,
                .never = SHARED_NEVER | never_by_options(opts),
                .file_flags = offered & ABI_DIRECT_IO_ALLOW_MMAP ? 0 : FOPEN_DIRECT_IO,
        };
}
