/* SPDX-License-Identifier: MIT */
/* A POSIX file system over a store, without FUSE.
 *
 * All functions may be called from any thread, return 0 (or a count) or a negative error (base/err.h), and
 * write RET parameters only on success. Types, limits and existence are checked here; permissions are not,
 * because the kernel checks them (mount option default_permissions).
 *
 * References: a function that returns attributes in a `struct fs_attr *` marked "+ref" also takes a reference
 * to the inode. An inode with references stays usable after its last name is gone. fs_forget returns
 * references. This is FUSE's lookup count. */
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

/* The write-back cache, for stores behind a network: written data stays dirty in memory until a flush commits
 * it in large transactions, several at a time. See fs_write, fs_flush and fs_fsync. */
struct fs_writeback_opts {
        size_t inode_bytes; /* of one inode at most; it is flushed from half of this. 0: 32 MiB */
        size_t total_bytes; /* of all inodes; writers wait at either bound. 0: 64 MiB */
        unsigned age_ms;    /* older data is flushed. 0: 1000 */
        unsigned threads;   /* transactions at a time, beside those of callers. 0: 8 */
        uint8_t pid[16];    /* the mount id without a session. As long as it is registered, other mounts leave
                             * its half written blocks alone. Zeros: a random one, so they do not */
};

struct fs_session; /* fs/session/session.h */
struct hash_seed;  /* base/hash.h */

struct fs_open_opts {
        bool rdonly;      /* nothing is written; functions that write give EROFS */
        bool remountable; /* fs_remount may change that; otherwise a read-only file system stays so */
        enum fs_atime atime;
        const struct clock *clock; /* NULL: clock_system */
        /* This mount's session in STORE, or in the store below it; outlives the file system. NULL: no other
         * mount can write to the store. A shared mount collects unlinked inodes only while no other mount is
         * registered. */
        struct fs_session *session;
        const struct fs_writeback_opts *writeback; /* NULL: each write is a transaction */
        bool no_read_ahead;                        /* otherwise done where the store is remote: see fs_read */
        const struct hash_seed *hash_seed; /* of tables in memory. NULL: random. For reproducible tests */
};

/* Opens the file system in STORE, which stays the caller's. Unless rdonly, a thread then collects what an
 * earlier mount left under 'g'. Errors with TEXT: ERR_NO_FS, ERR_NEWER, ERR_CORRUPT, or of the store. */
int fs_open(struct kv_store *store, const struct fs_open_opts *opts, struct fs **ret, struct err_text *text);

/* Changes two of the options. RDONLY: commits everything first; the caller guarantees that no writing call is
 * in progress. EROFS: FS is not remountable. An error of the commit: FS stays writable. */
int fs_remount(struct fs *fs, bool rdonly, enum fs_atime atime);

/* Flushes dirty data, collects all unlinked inodes whether referenced or not (unless another mount may use
 * them), and frees FS. Takes NULL. The caller closes the store, which waits until it is durable. Returns the
 * error, if any, with which dirty data could not be committed and is lost. */
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

/* The owner of a new inode. */
struct fs_cred {
        uint32_t uid, gid;
};

/* Finds NAME in DIR. "." and "..", of any inode, are the inode itself and its parent. */
int fs_lookup(struct fs *fs, uint64_t dir, struct slice name, struct fs_attr *ret /* +ref */);
/* Returns N references. */
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
        FS_SET_KILL_PRIV = 1 << 9, /* drop setuid, setgid and security.capability, unless it is a directory */
        FS_SET_CHOWN = 1 << 10,    /* a change of owner, also to the same one */
};

struct fs_setattr {
        unsigned set;            /* enum fs_set */
        uint32_t mode, uid, gid; /* mode: permission bits */
        uint64_t size;
        struct timespec atime, mtime, ctime;
};

/* Changes attributes. A change of size sets mtime and ctime (also to the same size), any other change ctime.
 * A change of owner clears setuid and setgid of files as chown(2) says. */
int fs_setattr(struct fs *fs, uint64_t ino, const struct fs_setattr *set, struct fs_attr *ret);

/* ---- names -------------------------------------------------------------------------------------- */

/* Makes a regular file, fifo, socket, character or block device (RDEV), by the type in MODE. */
int fs_mknod(struct fs *fs, const struct fs_cred *cred, uint64_t dir, struct slice name, uint32_t mode,
             uint64_t rdev, struct fs_attr *ret /* +ref */);
/* Makes a regular file without a name (O_TMPFILE). It is collected with its last reference, unless fs_link
 * names it before. */
int fs_tmpfile(struct fs *fs, const struct fs_cred *cred, uint64_t dir, uint32_t mode,
               struct fs_attr *ret /* +ref */);
int fs_mkdir(struct fs *fs, const struct fs_cred *cred, uint64_t dir, struct slice name, uint32_t mode,
             struct fs_attr *ret /* +ref */);
int fs_symlink(struct fs *fs, const struct fs_cred *cred, uint64_t dir, struct slice name,
               struct slice target, struct fs_attr *ret /* +ref */);
/* Adds a name. ENOENT for a file that lost its last name; a file of fs_tmpfile gets its first. */
int fs_link(struct fs *fs, uint64_t ino, uint64_t dir, struct slice name, struct fs_attr *ret /* +ref */);
int fs_unlink(struct fs *fs, uint64_t dir, struct slice name);
int fs_rmdir(struct fs *fs, uint64_t dir, struct slice name);
/* Directories that a rename gave another parent. */
struct fs_moved {
        unsigned count;
        uint64_t dirs[2];
};

/* FLAGS: RENAME_NOREPLACE, RENAME_EXCHANGE (linux/fs.h). EINVAL for a directory into itself or below. RET may
 * be NULL. */
int fs_rename(struct fs *fs, uint64_t dir, struct slice name, uint64_t new_dir, struct slice new_name,
              unsigned flags, struct fs_moved *ret);
/* Copies the target with a zero byte to BUF, of FMT_SYMLINK_MAX + 1 bytes; returns its length. */
int fs_readlink(struct fs *fs, uint64_t ino, char *buf);

/* ---- directories -------------------------------------------------------------------------------- */

struct fs_entry {
        struct slice name; /* valid during the callback */
        uint64_t ino;
        uint32_t type; /* st_mode & S_IFMT */
        /* With FS_READDIR_PLUS; +ref if the callback takes the entry. Otherwise, and for an inode that is
         * missing or damaged: NULL. */
        const struct fs_attr *attr;
};

/* Called for each entry in the order of names, without "." and "..". Returns 1 if it took the entry, 0 to
 * stop before it. */
typedef int (*fs_entry_fn)(const struct fs_entry *entry, void *arg);

enum fs_readdir_flags {
        FS_READDIR_PLUS = 1 << 0,
        FS_READDIR_NOATIME = 1 << 1, /* the access time stays */
};

/* Calls FN for the entries whose names sort after AFTER (empty: all). A caller that continues after the last
 * name that it took neither skips nor repeats a name, also if the directory changes in between. Returns 1 at
 * the end, 0 if FN stopped. */
int fs_readdir(struct fs *fs, uint64_t dir, struct slice after, unsigned flags, fs_entry_fn fn, void *arg);

/* Returns the parent of a directory (of the root: itself), for "..". */
int fs_parent(struct fs *fs, uint64_t dir, uint64_t *ret);

/* ---- data --------------------------------------------------------------------------------------- */

/* Receives the data of fs_read without a copy: it is valid only during the call. Called exactly once. Ranges
 * of zeros point to static memory. The result becomes that of fs_read. */
typedef int (*fs_read_fn)(const struct iovec *iov, int n, size_t len, void *arg);

enum fs_read_flags { FS_READ_NOATIME = 1 << 0 /* the access time stays */ };

/* Reads up to LEN bytes at OFFSET, fewer only at the end of the file. On an error FN is not called.
 *
 * Where a read costs a round trip, sequential reads are served from data that was fetched ahead, up to 0.3
 * seconds before the call. The mount's own changes are always visible. Those that other mounts committed
 * before are visible after fs_drop_read_ahead: call it when a file is opened or a lock taken. */
int fs_read(struct fs *fs, uint64_t ino, uint64_t offset, size_t len, unsigned flags, fs_read_fn fn,
            void *arg);
void fs_drop_read_ahead(struct fs *fs, uint64_t ino);

enum fs_write_flags {
        FS_WRITE_KILL_PRIV = 1 << 0,  /* as FS_SET_KILL_PRIV */
        FS_WRITE_APPEND = 1 << 1,     /* at the end of the file, chosen in the transaction */
        FS_WRITE_KEEP_TIMES = 1 << 2, /* the kernel sends the times later: mtime stays, ctime is set */
        FS_WRITE_KILL_CAPS = 1 << 3,  /* drop security.capability alone */
};

/* Writes DATA: returns its length, a smaller count (> 0) if an error came after that many bytes, or the
 * error. Each block is written atomically.
 *
 * With a write-back cache, and without FS_WRITE_APPEND, this copies DATA to memory and waits only at the
 * cache's bounds. All functions of this mount see the data at once, other mounts after a flush. fs_flush,
 * fs_fsync, fs_sync, a change of size, an append, fs_fallocate, fs_lseek, fs_setattr, the amount of dirty
 * data and its age (about a second) cause one. Data that a flush cannot commit stays dirty and is flushed
 * again as long as that may succeed; until then fs_write, fs_flush and fs_fsync of the inode return the
 * error. It is dropped if the inode is gone (ESTALE), or if the mount was evicted or the inode is damaged
 * (EIO); fs_flush or fs_fsync reports that once. */
ssize_t fs_write(struct fs *fs, uint64_t ino, uint64_t offset, struct slice data, unsigned flags);

/* MODE as fallocate(2): 0 and KEEP_SIZE (reserve nothing; without KEEP_SIZE the size grows), PUNCH_HOLE |
 * KEEP_SIZE, ZERO_RANGE; EOPNOTSUPP for others. Sets mtime and ctime. */
int fs_fallocate(struct fs *fs, uint64_t ino, int mode, uint64_t offset, uint64_t len);

/* Copies LEN bytes from one file into another, or within one, as reads and writes in this order do; holes
 * stay holes. Returns how many were copied: fewer at the end of the source, after some MiB of data, or before
 * an error. EINVAL: the ranges overlap. */
int64_t fs_copy(struct fs *fs, uint64_t from_ino, uint64_t from, uint64_t to_ino, uint64_t to, uint64_t len);

/* WHENCE: SEEK_DATA or SEEK_HOLE. ENXIO beyond the end. */
int fs_lseek(struct fs *fs, uint64_t ino, uint64_t offset, int whence, uint64_t *ret);

/* Makes all changes before the call durable, those of dirty data as well. Returns errors of data that is
 * still dirty, but does not report lost data: fs_fsync and fs_flush of its inode do. */
int fs_sync(struct fs *fs);

/* Makes what was written to INO, and every other committed change, durable: fsync(2), which does not wait for
 * dirty data of other inodes. */
int fs_fsync(struct fs *fs, uint64_t ino);

/* Commits what was written to INO, so that other mounts see it: for close(2). Without a write-back cache
 * there is nothing to do. */
int fs_flush(struct fs *fs, uint64_t ino);

/* ---- extended attributes ------------------------------------------------------------------------ */

/* FLAGS: XATTR_CREATE, XATTR_REPLACE. */
int fs_setxattr(struct fs *fs, uint64_t ino, struct slice name, struct slice value, int flags);
/* Copies the value to BUF, of CAP bytes (ERANGE if that is too small); CAP 0 copies nothing. Returns the
 * length of the value. ENODATA. */
int fs_getxattr(struct fs *fs, uint64_t ino, struct slice name, void *buf, size_t cap);
/* Copies the names, each with a zero byte behind it, as listxattr(2); CAP as for fs_getxattr. */
int fs_listxattr(struct fs *fs, uint64_t ino, char *buf, size_t cap);
int fs_removexattr(struct fs *fs, uint64_t ino, struct slice name);

/* ---- the whole ---------------------------------------------------------------------------------- */

struct fs_statfs {
        uint32_t block_size;          /* the unit of BLOCKS; has nothing to do with fs_block_size */
        uint64_t blocks, blocks_free; /* of the store */
        uint64_t inodes, inodes_free;
        uint8_t uuid[16];
};

int fs_statfs(struct fs *fs, struct fs_statfs *ret);

#endif
