/* SPDX-License-Identifier: MIT */
/* A file system in RAM, served by ashlar's own codec and transports (src/fuse) with the policy of an
 * exclusive mount. It measures the cost of the kernel's path with a file system that costs next to
 * nothing. It serves every request that ashlar must serve, FORGET included, and conforms to POSIX; it has
 * no extended attributes.
 *
 * The kernel's node id of an inode is its address. Each inode has a lock. Order: a directory before its
 * children, two directories (rename) by their addresses. The kernel serializes changes in a directory, so
 * the locks only separate readers from a writer. */
#ifndef MEMFS_H
#define MEMFS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/uio.h>

enum {
        MEM_BLOCK = 65536,     /* bytes of a block of data */
        MEM_READ_IOV_MAX = 64, /* blocks that one read touches at most */
};
#define MEM_FILE_MAX (INT64_C(1) << 40) /* bytes; bounds the table of blocks */

/* ---- data of a file (data.c) ---------------------------------------------------------------------- */

/* Absent blocks are zeros. The first block has only the bytes that a small file needs; the rest of it is
 * zeros. */
struct mem_data {
        uint8_t **blocks;
        size_t n_blocks;
        size_t first_size; /* bytes of blocks[0]; all others have MEM_BLOCK */
};

/* Writes; the caller holds the inode's lock for writing, and maintains the size of the file. ENOMEM,
 * EFBIG. */
int mem_data_write(struct mem_data *d, uint64_t offset, const void *data, size_t len);
/* Frees the data from SIZE on. */
void mem_data_truncate(struct mem_data *d, uint64_t size);
/* Points IOV at LEN bytes, which must lie inside the file; valid while the inode is locked. Returns the
 * number of ranges; they have fewer bytes if MEM_READ_IOV_MAX ranges are not enough. */
int mem_data_map(const struct mem_data *d, uint64_t offset, size_t len, struct iovec *iov);

/* ---- directories (dir.c) -------------------------------------------------------------------------- */

struct mem_inode;

struct mem_entry {
        struct mem_entry *next; /* in its bucket */
        uint64_t hash;
        struct mem_inode *inode; /* holds a reference */
        ino_t ino;               /* a copy, for listings */
        mode_t type;
        uint32_t slot;
        uint8_t len;
        char name[];
};

/* Entries in a hash table, and in slots in the order of their creation, so that positions in the directory
 * stay valid when entries are added or removed. */
struct mem_dir {
        struct mem_entry **buckets;
        size_t n_buckets; /* a power of two, or 0 */
        size_t n_entries;
        struct mem_slot {
                uint64_t position;
                struct mem_entry *entry; /* NULL: removed */
        } * slots;
        size_t n_slots, slots_allocated;
        uint64_t next_position;
};

enum { MEM_POSITION_DOT = 1, MEM_POSITION_DOTDOT, MEM_POSITION_FIRST };

void mem_dir_init(struct mem_dir *d);
void mem_dir_destroy(struct mem_dir *d);
struct mem_entry *mem_dir_find(const struct mem_dir *d, const char *name);
/* Takes over the caller's reference to INODE on success. NAME must be absent. -ENOMEM. */
int mem_dir_add(struct mem_dir *d, const char *name, struct mem_inode *inode);
/* Points the entry at another inode. The caller maintains references. */
void mem_entry_set(struct mem_entry *e, struct mem_inode *inode);
/* Frees the entry and passes its reference to the inode to the caller. */
void mem_dir_remove(struct mem_dir *d, struct mem_entry *e);
/* Returns the first slot whose position is above POSITION, or n_slots. */
size_t mem_dir_seek(const struct mem_dir *d, uint64_t position);

/* ---- inodes (inode.c) ----------------------------------------------------------------------------- */

struct mem_inode {
        pthread_rwlock_t
                lock; /* protects all fields but refs and the constant ones: type, st.st_ino, target */
        atomic_uint_fast64_t refs; /* directory entries and the kernel's lookups */
        mode_t type;               /* S_IFMT bits of the mode */
        struct stat st;
        struct mem_inode *parent; /* of a directory that has a name */
        union {
                struct mem_data data;
                struct mem_dir dir;
                char *target; /* of a symlink */
        };
};

/* Creates an inode with one reference and the nlink of an inode with one name. NULL: no memory. */
struct mem_inode *mem_inode_new(mode_t mode, uid_t uid, gid_t gid, dev_t rdev);
void mem_inode_ref(struct mem_inode *i);
/* Drops N references; the last one frees the inode. */
void mem_inode_unref(struct mem_inode *i, uint64_t n);
struct timespec mem_now(void);

#endif
