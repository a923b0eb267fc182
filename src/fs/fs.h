/* SPDX-License-Identifier: MIT */
/* The file system's core: POSIX semantics over a store, free of FUSE.
 *
 * All functions may be called from any thread, return 0 (or a count) or a negative error (base/err.h),
 * and write RET parameters only on success. Permissions are the caller's business (the kernel checks
 * them: default_permissions); types, limits and existence are checked here.
 *
 * References: each function that returns an inode's attributes in a `struct fs_attr *` marked "+ref"
 * also takes one reference, which keeps the inode alive although its last name goes; fs_forget gives
 * references back. This is FUSE's lookup count. */
#ifndef FS_FS_H
#define FS_FS_H

#include "base/clock.h"
#include "base/err.h"
#include "base/slice.h"
#include "kv/kv.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/uio.h>

struct fs;

/* ---- life --------------------------------------------------------------------------------------- */

enum fs_atime { FS_RELATIME, FS_NOATIME, FS_STRICTATIME };

/* Writes are dirty in memory and committed in large transactions, several in flight: for stores behind a
 * network. See fs_write, fs_flush and fs_fsync. */
struct fs_writeback_opts {
        size_t inode_bytes; /* of one inode at most; half of it is worth a flush. 0: 32 MiB */
        size_t total_bytes; /* of all; writers wait at either bound. 0: 64 MiB */
        unsigned age_ms;    /* what is older is flushed. 0: 1000 */
        unsigned threads;   /* transactions in flight, beside those of callers. 0: 8 */
        uint8_t pid[16];    /* without a session: the mount's id under 'p'. As long as it is
                                    * there, others leave alone what is half written. Zeros: random,
                                    * so that they do not */
};

struct fs_session; /* session.h */

struct fs_open_opts {
        bool rdonly;      /* nothing is written; writing calls give EROFS */
        bool remountable; /* fs_remount may change that; otherwise a read-only file system stays so */
        enum fs_atime atime;
        const struct clock *clock; /* NULL: clock_system */
        /* This mount's registration in STORE or in what lies below it; outlives the file system.
         * NULL: nobody else writes to the store, by other means. A shared one leaves unlinked inodes
         * to whoever is alone. */
        struct fs_session *session;
        const struct fs_writeback_opts *writeback; /* NULL: each write is a transaction */
        bool no_read_ahead; /* otherwise it is done where the store is remote: see fs_read */
};

/* Opens the file system in STORE, which stays the caller's, and (unless rdonly) collects what an earlier
 * mount left under 'g', in the background. Errors with TEXT: ERR_NO_FS, ERR_NEWER, ERR_CORRUPT, ... */
int fs_open(struct kv_store *store, const struct fs_open_opts *opts, struct fs **ret, struct err_text *text);

/* Changes two of the options. RDONLY: commits everything first; the caller guarantees that no writing call is in
 * progress. EROFS: FS is not remountable; otherwise the error of the commit, and FS stays writable. */
int fs_remount(struct fs *fs, bool rdonly, enum fs_atime atime);

/* Flushes what is dirty, collects all unlinked inodes, whatever references remain (unless another mount
 * may use them), and frees FS. Takes NULL. The caller closes the store (which waits for it to be durable).
 * The error, if any, with which something that was dirty could not be committed: it is lost. */
int fs_close(struct fs *fs);

uint32_t fs_block_size(const struct fs *fs);

/* ---- inodes ------------------------------------------------------------------------------------- */

struct fs_attr {
        uint64_t ino;
        uint32_t mode, nlink, uid, gid;
        uint64_t rdev, size, blocks; /* blocks of 512 bytes */
        uint32_t blksize;
        struct timespec atime, mtime, ctime, btime;
};

/* Who creates: the owner of a new inode. */
struct fs_cred {
        uint32_t uid, gid;
};

int fs_lookup(struct fs *fs, uint64_t dir, struct slice name, struct fs_attr *ret /* +ref */);
void fs_forget(struct fs *fs, uint64_t ino, uint64_t n);
int fs_getattr(struct fs *fs, uint64_t ino, struct fs_attr *ret);

enum fs_set {
        FS_SET_MODE = 1 << 0,
        FS_SET_UID = 1 << 1,
        FS_SET_GID = 1 << 2,
        FS_SET_SIZE = 1 << 3,
        FS_SET_ATIME = 1 << 4,
        FS_SET_MTIME = 1 << 5,
        FS_SET_CTIME = 1 << 6,
        FS_SET_ATIME_NOW = 1 << 7,
        FS_SET_MTIME_NOW = 1 << 8,
        FS_SET_KILL_PRIV = 1 << 9, /* drop setuid, setgid (if group-executable) and security.capability */
};

struct fs_setattr {
        unsigned set;            /* enum fs_set */
        uint32_t mode, uid, gid; /* mode: permission bits */
        uint64_t size;
        struct timespec atime, mtime, ctime;
};

/* A change of size sets mtime and ctime (also to the same size), any other change ctime. A change of owner
 * clears setuid and setgid of files as chown(2) says. */
int fs_setattr(struct fs *fs, uint64_t ino, const struct fs_setattr *set, struct fs_attr *ret);

/* ---- names -------------------------------------------------------------------------------------- */

/* MODE with its type: regular file, fifo, socket, character or block device (RDEV). */
int fs_mknod(struct fs *fs, const struct fs_cred *cred, uint64_t dir, struct slice name, uint32_t mode,
             uint64_t rdev, struct fs_attr *ret /* +ref */);
/* A regular file without a name (O_TMPFILE), which is collected with its last reference unless fs_link names
 * it. */
int fs_tmpfile(struct fs *fs, const struct fs_cred *cred, uint64_t dir, uint32_t mode,
               struct fs_attr *ret /* +ref */);
int fs_mkdir(struct fs *fs, const struct fs_cred *cred, uint64_t dir, struct slice name, uint32_t mode,
             struct fs_attr *ret /* +ref */);
int fs_symlink(struct fs *fs, const struct fs_cred *cred, uint64_t dir, struct slice name,
               struct slice target, struct fs_attr *ret /* +ref */);
/* ENOENT for a file that lost its last name; one that never had any (fs_tmpfile) gets its first. */
int fs_link(struct fs *fs, uint64_t ino, uint64_t dir, struct slice name, struct fs_attr *ret /* +ref */);
int fs_unlink(struct fs *fs, uint64_t dir, struct slice name);
int fs_rmdir(struct fs *fs, uint64_t dir, struct slice name);
/* FLAGS: RENAME_NOREPLACE, RENAME_EXCHANGE (linux/fs.h). EINVAL for a directory into itself or below. */
int fs_rename(struct fs *fs, uint64_t dir, struct slice name, uint64_t new_dir, struct slice new_name,
              unsigned flags);
/* Copies the target; returns its length. BUF has room for FMT_SYMLINK_MAX + 1 bytes. */
int fs_readlink(struct fs *fs, uint64_t ino, char *buf);

/* ---- directories -------------------------------------------------------------------------------- */

struct fs_entry {
        struct slice name; /* valid during the callback */
        uint64_t ino;
        uint32_t type;              /* st_mode & S_IFMT */
        const struct fs_attr *attr; /* with FS_READDIR_PLUS, else NULL (also for an inode that is missing or
                                     * damaged); +ref if the callback takes it */
};

/* Called for each entry in order of names (without "." and ".."): 1 took it, 0 has no room for it. */
typedef int (*fs_entry_fn)(const struct fs_entry *entry, void *arg);

enum fs_readdir_flags { FS_READDIR_PLUS = 1 << 0 };

/* Hands out the entries whose names sort after AFTER (empty: from the beginning), so that a caller who
 * goes on after the last name that it took neither skips nor repeats one, whatever happens in between.
 * Returns 1 when the end was reached, 0 when FN stopped it. */
int fs_readdir(struct fs *fs, uint64_t dir, struct slice after, unsigned flags, fs_entry_fn fn, void *arg);

/* The parent of a directory (of the root: itself), for "..". */
int fs_parent(struct fs *fs, uint64_t dir, uint64_t *ret);

/* ---- data --------------------------------------------------------------------------------------- */

/* Receives what was read, straight from the store's memory; called exactly once, with the data valid only
 * during the call. Zero ranges point to a static page of zeros. Its result becomes fs_read's. */
typedef int (*fs_read_fn)(const struct iovec *iov, int n, size_t len, void *arg);

/* Reads up to LEN bytes at OFFSET, fewer only at the end of the file. On an error FN is not called.
 *
 * Where a read costs a round trip, who reads a file from the front is served from what was fetched ahead, up
 * to 0.3 seconds before the call. The mount's own changes are always seen; to see those that others committed
 * before, whoever opens a file, or takes a lock, calls fs_drop_read_ahead first. */
int fs_read(struct fs *fs, uint64_t ino, uint64_t offset, size_t len, fs_read_fn fn, void *arg);
void fs_drop_read_ahead(struct fs *fs, uint64_t ino);

enum fs_write_flags {
        FS_WRITE_KILL_PRIV = 1 << 0,  /* as FS_SET_KILL_PRIV */
        FS_WRITE_APPEND = 1 << 1,     /* at the end of the file, chosen in the transaction */
        FS_WRITE_KEEP_TIMES = 1 << 2, /* the kernel sends the times later: mtime stays, ctime is set */
};

/* Writes all of it, or as much as was done before an error (> 0), or the error. Each block is atomic.
 *
 * Where writes are dirty this takes DATA into memory, and waits only where there is too much of it; all
 * functions of this mount see it at once, others when it is flushed: by fs_flush, fs_fsync, fs_sync, a change
 * of size, an append, fs_fallocate, fs_lseek, fs_setattr, its amount or its age (about a second). What a
 * flush cannot write stays and is tried again, as long as that may help; meanwhile writing, fs_flush and
 * fs_fsync of that inode give the error. It is dropped if the inode is gone (ESTALE), the mount was evicted
 * or the inode is damaged (EIO): fs_flush or fs_fsync tells that once. With FS_WRITE_APPEND nothing is
 * dirty: the data is committed when this returns. */
ssize_t fs_write(struct fs *fs, uint64_t ino, uint64_t offset, struct slice data, unsigned flags);

/* MODE as fallocate(2): 0 and KEEP_SIZE (nothing is reserved; size grows unless kept), PUNCH_HOLE |
 * KEEP_SIZE, ZERO_RANGE. EOPNOTSUPP for others. */
int fs_fallocate(struct fs *fs, uint64_t ino, int mode, uint64_t offset, uint64_t len);

/* SEEK_DATA, SEEK_HOLE. ENXIO beyond the end. */
int fs_lseek(struct fs *fs, uint64_t ino, uint64_t offset, int whence, uint64_t *ret);

/* Barrier: everything done before, on any file or directory, is durable on success. Also gives errors of
 * dirty writes that are still here, but does not count as telling those that are lost. */
int fs_sync(struct fs *fs);

/* What was written to INO before, and every other change before, is durable on success: for fsync of one
 * file, that need not wait for what is dirty of others. */
int fs_fsync(struct fs *fs, uint64_t ino);

/* For close(2): what was written to INO before is committed, so that others who open it see it. Without
 * dirty writes there is nothing to do. */
int fs_flush(struct fs *fs, uint64_t ino);

/* ---- extended attributes ------------------------------------------------------------------------ */

/* FLAGS: XATTR_CREATE, XATTR_REPLACE. */
int fs_setxattr(struct fs *fs, uint64_t ino, struct slice name, struct slice value, int flags);
/* Copies the value if CAP is large enough (ERANGE otherwise); CAP 0 only asks. Returns the length.
 * ENODATA. */
int fs_getxattr(struct fs *fs, uint64_t ino, struct slice name, void *buf, size_t cap);
/* Names with a zero byte after each, as listxattr(2). */
int fs_listxattr(struct fs *fs, uint64_t ino, char *buf, size_t cap);
int fs_removexattr(struct fs *fs, uint64_t ino, struct slice name);

/* ---- the whole ---------------------------------------------------------------------------------- */

struct fs_statfs {
        uint32_t block_size;          /* a unit for what follows, not that of files */
        uint64_t blocks, blocks_free; /* of block_size bytes */
        uint64_t inodes, inodes_free;
        uint8_t uuid[16];
};

int fs_statfs(struct fs *fs, struct fs_statfs *ret);

#endif
