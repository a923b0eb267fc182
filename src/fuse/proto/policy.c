/* SPDX-License-Identifier: MIT */
#include "fuse/proto/policy.h"

#include "fuse/transport/kernel_abi.h"

#define BIT(opcode) (UINT64_C(1) << (opcode))

/* Features of an exclusive mount. Each is safe and faster if only this mount changes the file system:
 * - PARALLEL_DIROPS: lookups and readdirs in one directory run in parallel.
 * - EXPLICIT_INVAL_DATA: cached pages survive an own write that changes mtime; AUTO_INVAL_DATA would drop
 *   them.
 * - HANDLE_KILLPRIV_V2: set-user-id bits are cleared by the write itself, without a request to ask for
 *   them.
 * - READDIRPLUS_AUTO: the first reply of a listing carries attributes, later ones do if the attributes
 *   were used. With attributes in each reply `ls` of 20,000 names took 5 times as long, and `find -size` a
 *   third; most directories fit in the first reply.
 *
 * Deliberately off:
 * - ATOMIC_O_TRUNC: OPEN is answered with ENOSYS, so truncation must arrive as SETATTR, or it would be
 *   lost.
 * - POSIX_LOCKS, FLOCK_LOCKS: the kernel manages the locks of a file system that nothing else mounts.
 * - POSIX_ACL: ACLs are not stored.
 * - SETXATTR_EXT: longer requests, useful for ACLs only. */
#define FEATURES                                                                               \
        (FUSE_ASYNC_READ | FUSE_EXPORT_SUPPORT | FUSE_BIG_WRITES | FUSE_EXPLICIT_INVAL_DATA |  \
         FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS | \
         FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS | FUSE_HANDLE_KILLPRIV_V2 | FUSE_INIT_EXT)

/* Requests that an exclusive mount refuses:
 * - OPEN, OPENDIR: the server keeps no state of open files. The kernel caches pages and directories all the
 *   same, and sends neither OPEN nor RELEASE again.
 * - FLUSH, ACCESS: close has no effect, and the kernel checks permissions.
 * - GETLK, SETLK, SETLKW: not sent without their features.
 * - BMAP, IOCTL, POLL: not supported. */
#define REFUSED                                                                                      \
        (BIT(FUSE_OPEN) | BIT(FUSE_OPENDIR) | BIT(FUSE_FLUSH) | BIT(FUSE_ACCESS) | BIT(FUSE_GETLK) | \
         BIT(FUSE_SETLK) | BIT(FUSE_SETLKW) | BIT(FUSE_BMAP) | BIT(FUSE_IOCTL) | BIT(FUSE_POLL))

#define REFUSED_XATTR (BIT(FUSE_SETXATTR) | BIT(FUSE_GETXATTR) | BIT(FUSE_LISTXATTR) | BIT(FUSE_REMOVEXATTR))

static uint64_t refused_by_options(const struct fuse_opts *opts)
{
        return (opts->noxattr ? REFUSED_XATTR : 0) | (opts->remote_store ? 0 : BIT(FUSE_INTERRUPT));
}

struct fuse_policy fuse_policy_exclusive(const struct fuse_opts *opts)
{
        return (struct fuse_policy){
                .features = FEATURES | (opts->writeback_cache ? FUSE_WRITEBACK_CACHE : 0),
                .refused = REFUSED | refused_by_options(opts),
                .entry_valid_ms = FUSE_FOREVER_MS,
                .negative_valid_ms = FUSE_FOREVER_MS,
                .attr_valid_ms = FUSE_FOREVER_MS,
                .file_flags = FOPEN_KEEP_CACHE,
                .dir_flags = FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR,
        };
}

/* Features of a shared mount. The kernel caches pages of open files only, and asks for everything else each
 * time. Off, in contrast to exclusive mounts:
 * - EXPLICIT_INVAL_DATA: if the size of a file changes, its cached pages must go. The last of them has zeros
 *   behind the old end.
 * - CACHE_SYMLINKS: another mount may replace a link.
 * - READDIRPLUS: attributes with a lifetime of zero are not used.
 * - WRITEBACK_CACHE: the kernel would own size and times. */
#define SHARED_FEATURES                                                                                 \
        ((FEATURES & ~(uint64_t)(FUSE_EXPLICIT_INVAL_DATA | FUSE_CACHE_SYMLINKS | FUSE_DO_READDIRPLUS | \
                                 FUSE_READDIRPLUS_AUTO)) |                                              \
         ABI_DIRECT_IO_ALLOW_MMAP)

/* Requests that a shared mount refuses. OPEN is sent, so that it drops cached pages, and so is FLUSH, which
 * commits written data. Locks: each machine has its own. */
#define SHARED_REFUSED                                                                              \
        (BIT(FUSE_ACCESS) | BIT(FUSE_GETLK) | BIT(FUSE_SETLK) | BIT(FUSE_SETLKW) | BIT(FUSE_BMAP) | \
         BIT(FUSE_IOCTL) | BIT(FUSE_POLL))

/* Appending handles bypass the page cache (ops/open.c). A kernel with DIRECT_IO_ALLOW_MMAP (6.6) drops the
 * cached pages that such a write changes. An older one does not, and other handles would read zeros where
 * data was appended; there every handle bypasses the cache, and shared memory maps fail. */
struct fuse_policy fuse_policy_shared(const struct fuse_opts *opts, uint64_t offered)
{
        return (struct fuse_policy){
                .features = SHARED_FEATURES,
                .refused = SHARED_REFUSED | refused_by_options(opts),
                .file_flags = offered & ABI_DIRECT_IO_ALLOW_MMAP ? 0 : FOPEN_DIRECT_IO,
        };
}

void fuse_policy_refuse_seeking(struct fuse_policy *p)
{
        p->refused |= BIT(FUSE_LSEEK);
}
