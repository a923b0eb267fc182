/* SPDX-License-Identifier: MIT */
/* A file system in RAM, served by ashlar's own codec and transports (src/fuse) with the policy of an
 * exclusive mount: what the kernel's path costs when the file system below it costs nothing. It answers
 * every request that ashlar must answer (FORGET included) and keeps what POSIX asks for; it has no extended
 * attributes.
 *
 * The kernel's node id of an inode is its address. Locks: one per inode, a directory's before its
 * children's; two directories (rename) in the order of their addresses. The kernel lets only one changing
 * operation into a directory at a time, so those locks only part writers from readers. */
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

/* Absent blocks are zeros, and so is what lies behind the first block's bytes: a small file takes little. */
struct mem_data {
        uint8_t **blocks;
        size_t n_blocks;
        size_t first_size; /* bytes of blocks[0]; all others have MEM_BLOCK */
};

/* -ENOMEM, -EFBIG. The caller holds the inode's lock for writing, and knows the size of the file. */
int mem_data_write(struct mem_data *d, uint64_t offset, const void *data, size_t len);
/* Frees what lies at and behind SIZE. */
void mem_data_truncate(struct mem_data *d, uint64_t size);
/* Points IOV at LEN bytes, which must lie inside the file; valid under the lock. Returns the number of
 * parts, with fewer bytes than asked for if MEM_READ_IOV_MAX of them were not enough. */
int mem_data_map(const struct mem_data *d, uint64_t offset, size_t len, struct iovec *iov);

/* ---- directories (dir.c) -------------------------------------------------------------------------- */

struct mem_inode;

struct mem_entry {
        struct mem_entry *next; /* in its bucket */
        uint64_t hash;
        struct mem_inode *inode; /* holds a reference */
        ino_t ino;               /* the inode's, so that listings need not look there */
        mode_t type;
        uint32_t slot;
        uint8_t len;
        char name[];
};

/* Entries in a hash table, and in the order of their making in slots, so that a position in the directory
 * stays valid whatever is made or removed meanwhile. */
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
/* Points the entry at another inode; references are the caller's business. */
void mem_entry_set(struct mem_entry *e, struct mem_inode *inode);
/* Frees the entry; its reference to the inode goes to the caller. */
void mem_dir_remove(struct mem_dir *d, struct mem_entry *e);
/* The first slot whose position is above POSITION; n_slots if there is none. */
size_t mem_dir_seek(const struct mem_dir *d, uint64_t position);

/* ---- inodes (inode.c) ----------------------------------------------------------------------------- */

struct mem_inode {
        pthread_rwlock_t lock;     /* protects all but refs and what never changes: type, st.st_ino, target */
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

/* With one reference, and nlink as a first name gives it. NULL: no memory. */
struct mem_inode *mem_inode_new(mode_t mode, uid_t uid, gid_t gid, dev_t rdev);
void mem_inode_ref(struct mem_inode *i);
/* Gives N references back; frees with the last one. */
void mem_inode_unref(struct mem_inode *i, uint64_t n);
struct timespec mem_now(void);

#endif
