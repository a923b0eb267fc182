/* SPDX-License-Identifier: MIT */
/* The bytes of every key and value in a store: pure functions that encode, decode and validate.
 * docs/FORMAT.md names each byte, and a test checks its examples.
 *
 * Integers in keys are big-endian, so keys sort by them. Values are protobuf messages (ashlar.proto),
 * except those that atomic operations change: counters and times. Decoders accept any bytes, return
 * ERR_CORRUPT for what the format does not allow, never read outside the value and never allocate without
 * bound. Any thread. */
#ifndef FORMAT_FORMAT_H
#define FORMAT_FORMAT_H

#include "base/err.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#define FMT_NAME_MAX      255u   /* bytes of a file name, and of an extended attribute's name */
#define FMT_SYMLINK_MAX   4095u  /* bytes of a symbolic link's target */
#define FMT_XATTR_MAX     65536u /* bytes of an extended attribute */
#define FMT_FILE_SIZE_MAX ((uint64_t)INT64_MAX) /* bytes of a file: the range of off_t */
#define FMT_LINK_MAX      (UINT32_MAX / 2)
#define FMT_ROOT_INO      1u
#define FMT_PID_SIZE      16u /* bytes of a mount id: random, see fmt_pid_valid */
#define FMT_VERSION       1u

/* Block sizes in bytes. LMDB stores a large value in whole pages of 4,096 bytes behind a header of 16, so a
 * block of n * 4096 - 16 bytes fills its pages. */
#define FMT_BLOCK_SIZE_MIN  4080u
#define FMT_BLOCK_SIZE_MAX  65536u
#define FMT_BLOCK_SIZE_UNIT 16u

static inline bool fmt_block_size_valid(uint32_t size)
{
        return size >= FMT_BLOCK_SIZE_MIN && size <= FMT_BLOCK_SIZE_MAX && size % FMT_BLOCK_SIZE_UNIT == 0;
}

/* ---- keys --------------------------------------------------------------------------------------- */

/* Longest key: 'f' inode offset 'p' with 512 bytes of parity. */
#define FMT_KEY_MAX 600u

/* A key, for the stack. */
struct fmt_key {
        uint16_t len;
        uint8_t data[FMT_KEY_MAX];
};

static inline struct slice fmt_slice(const struct fmt_key *k)
{
        return slice_of(k->data, k->len);
}

/* Pseudo keys under \xfe. The first four are stored; the others exist only as conflicts. */
enum fmt_attr {
        /* Change counter, by atomic additions: every change of the inode increments it. */
        FMT_ATTR_CHANGE = 'c',
        /* mtime and ctime at once (fmt_time_encode), by atomic byte-max. Overrides the record's mtime, and
         * its ctime if that is earlier. */
        FMT_ATTR_TIMES = 't',
        /* Number of subdirectories, by atomic additions. */
        FMT_ATTR_NLINK = 'n',
        /* Bytes of blocks that the record's `allocated` lacks, signed, by atomic additions of writers that do
         * not write the record. */
        FMT_ATTR_BLOCKS = 'b',

        FMT_ATTR_SIZE = 's',  /* size changed */
        FMT_ATTR_CUT = 'k',   /* size shrank, or unfinished blocks beyond it were given up */
        FMT_ATTR_OWNER = 'o', /* uid, gid or mode changed */
        FMT_ATTR_EXIST = 'x', /* nlink of a file, or existence changed */
};

/* Counters of the whole file system, 'M' which. */
enum fmt_counter {
        FMT_COUNTER_NEXT_INO = 'i', /* next inode number that no mount has */
        FMT_COUNTER_INODES = 'n',   /* number of inodes */
        FMT_COUNTER_EPOCH = 'e',    /* epoch of the garbage entries */
};

/* Each function sets K to the key, or the bound of a range, in its comment. "Behind" is the first key after
 * all of those. */
void fmt_key_meta(struct fmt_key *k);                                 /* 'M' */
void fmt_key_meta_counter(struct fmt_key *k, enum fmt_counter which); /* 'M' which */

void fmt_key_inode(struct fmt_key *k, uint64_t ino);     /* 'i' ino */
void fmt_key_inode_end(struct fmt_key *k, uint64_t ino); /* behind all 'i' ino ... */
void fmt_key_lock(struct fmt_key *k, uint64_t ino, const uint8_t pid[FMT_PID_SIZE],
                  struct slice rest); /* 'i' ino \x00 pid rest */
void fmt_key_use(struct fmt_key *k, uint64_t ino, const uint8_t pid[FMT_PID_SIZE]); /* 'i' ino \x01 pid */
void fmt_key_xattr(struct fmt_key *k, uint64_t ino, struct slice name);             /* 'i' ino \x02 name */
void fmt_key_attr(struct fmt_key *k, uint64_t ino, enum fmt_attr attr);             /* 'i' ino \xfe attr */

/* 'd' dir name. An empty name is the beginning of the directory. */
void fmt_key_dirent(struct fmt_key *k, uint64_t dir, struct slice name);
void fmt_key_dirent_after(struct fmt_key *k, uint64_t dir, struct slice name); /* behind 'd' dir name */
void fmt_key_dir_end(struct fmt_key *k, uint64_t dir);                         /* behind all 'd' dir ... */

/* 'f' ino offset. Also the beginning of all forms of that block. */
void fmt_key_block(struct fmt_key *k, uint64_t ino, uint64_t offset);
void fmt_key_block_end(struct fmt_key *k, uint64_t ino); /* behind all 'f' ino ... */

void fmt_key_garbage(struct fmt_key *k, uint64_t ino); /* 'g' ino */
void fmt_key_garbage_end(struct fmt_key *k);           /* behind all 'g' ... */

void fmt_key_process(struct fmt_key *k, const uint8_t pid[FMT_PID_SIZE]); /* 'p' pid */
/* The two ranges of all 'p' pid, HALF 0 and 1. 'p' 'l' is between them. */
void fmt_key_processes(unsigned half, struct fmt_key *begin, struct fmt_key *end);
void fmt_key_status(struct fmt_key *k, const uint8_t pid[FMT_PID_SIZE]);     /* 'p' 'l' pid */
void fmt_key_status_end(struct fmt_key *k, const uint8_t pid[FMT_PID_SIZE]); /* behind 'p' 'l' pid ... */

/* The first bytes of all keys but those under 'p', as a string: keys that only transactions of the file
 * system change. */
const char *fmt_prefixes_without_processes(void);

/* Whether PID can be a mount id. One that begins with 'l' cannot: its entry 'p' pid would look like a
 * status. */
bool fmt_pid_valid(const uint8_t pid[FMT_PID_SIZE]);

enum fmt_kind {
        FMT_META,
        FMT_META_COUNTER,
        FMT_INODE,
        FMT_LOCK,
        FMT_USE,
        FMT_XATTR,
        FMT_ATTR,
        FMT_DIRENT,
        FMT_BLOCK,
        FMT_GARBAGE,
        FMT_PROCESS,
        FMT_STATUS,
};

/* The form of a block, by the bytes behind its offset: none (plain); 'z' \x01 algorithm (compressed); 'p',
 * the number of bytes of parity as 16 bits, and those bytes; or 'z' ... 'p' ... (both). */
enum fmt_algorithm { FMT_LZ4 = 0, FMT_ZSTD = 1 };

/* A key taken apart. Slices point into the key. */
struct fmt_parsed_key {
        enum fmt_kind kind;
        uint64_t ino;       /* inode, or directory of a dirent */
        uint64_t offset;    /* blocks */
        struct slice name;  /* dirent, xattr: the name; lock, status: the bytes behind the pid */
        const uint8_t *pid; /* lock, use, process, status */
        uint8_t which;      /* attr: enum fmt_attr; meta counter: enum fmt_counter */
        bool compressed;
        enum fmt_algorithm algorithm;
        struct slice parity; /* len 0: none */
};

/* Returns 0 or ERR_CORRUPT. */
int fmt_key_parse(struct slice key, struct fmt_parsed_key *ret);

/* ---- values ------------------------------------------------------------------------------------- */

/* Memory of a decoder. Needs no initialization. What a decoded struct points to lives in it until the next
 * decode. */
struct fmt_scratch {
        size_t used;
        _Alignas(16) uint8_t data[8192];
};

struct fmt_meta {
        uint32_t version;    /* FMT_VERSION; newer gives ERR_NEWER */
        uint32_t block_size; /* bytes, fmt_block_size_valid */
        uint8_t uuid[16];
        uint64_t features; /* a program that does not know one of the bits must not mount: ERR_NEWER */
        struct timespec created;
        struct slice label; /* at most 255 bytes */
};

struct fmt_inode {
        uint32_t mode; /* type and permissions */
        uint32_t uid, gid;
        uint32_t nlink;      /* directories: 1; stat(2) shows 2 plus FMT_ATTR_NLINK */
        uint64_t size;       /* bytes; directories: 0 */
        uint64_t allocated;  /* bytes of the blocks, each rounded up to 512, for st_blocks: modulo 2^64, to be
                               * added to FMT_ATTR_BLOCKS */
        uint64_t rdev;       /* device files */
        uint64_t parent;     /* directories: the directory that holds it (root: itself) */
        uint64_t trim_from;  /* files, if not 0: blocks at and beyond this offset are dead and still to be
                               * cleared; until then 'g' lists the inode */
        struct slice writer; /* the mount (FMT_PID_SIZE) that is writing those blocks before it sets the size;
                               * empty: none is */
        uint64_t writing;    /* number of that mount's write; not 0 if there is a writer */
        struct timespec atime, mtime, ctime, btime;
        struct slice target; /* symbolic links */
};

struct fmt_dirent {
        uint64_t ino;
        uint32_t type; /* st_mode & S_IFMT */
};

struct fmt_garbage {
        uint64_t epoch; /* of the unlink, which read it with conflict */
};

/* A mount's entry, written once, at registration. The texts are for people: the encoder cuts host after 255
 * bytes, boot_id and version after 64, mountpoint after 1,000. */
struct fmt_process {
        struct slice host, boot_id, mountpoint, version;
        uint64_t unix_pid;
        uint64_t start_time; /* of the Unix process, field 22 of /proc/PID/stat */
        struct timespec registered;
        bool exclusive;
        uint64_t ino_first, ino_end; /* the mount's first inode numbers, [first, end) */
        uint64_t pid_namespace;      /* of unix_pid */
};

/* A mount's status, which the mount keeps rewriting. */
struct fmt_status {
        uint64_t heartbeat;
        uint64_t epoch_acknowledged;
};

struct fmt_lock {
        uint64_t start, end; /* bytes, end inclusive; UINT64_MAX: to the end of the file */
        uint32_t type;       /* F_RDLCK, F_WRLCK */
        uint64_t owner;      /* the kernel's lock owner */
        uint64_t unix_pid;
        uint64_t sequence;
        bool flock; /* flock(2), not fcntl(2) */
};

#define FMT_INODE_MAX  (FMT_SYMLINK_MAX + 256u)
#define FMT_DIRENT_MAX 32u
#define FMT_SMALL_MAX  1536u /* every other encoded value */

/* Encoders write at most the *_MAX above to OUT and return the length. They assert what decoders reject. */
size_t fmt_meta_encode(const struct fmt_meta *m, uint8_t *out);
size_t fmt_inode_encode(const struct fmt_inode *i, uint8_t *out);
size_t fmt_dirent_encode(const struct fmt_dirent *d, uint8_t *out);
size_t fmt_garbage_encode(const struct fmt_garbage *g, uint8_t *out);
size_t fmt_process_encode(const struct fmt_process *p, uint8_t *out);
size_t fmt_status_encode(const struct fmt_status *s, uint8_t *out);
size_t fmt_lock_encode(const struct fmt_lock *l, uint8_t *out);

/* Decoders validate. Slices in *RET point into SCRATCH, or into VALUE where there is none. Return 0 or
 * ERR_CORRUPT; fmt_meta_decode also ERR_NEWER, with version and features filled in. */
int fmt_meta_decode(struct slice value, struct fmt_scratch *scratch, struct fmt_meta *ret);
int fmt_inode_decode(struct slice value, struct fmt_scratch *scratch, struct fmt_inode *ret);
int fmt_dirent_decode(struct slice value, struct fmt_dirent *ret);
int fmt_garbage_decode(struct slice value, struct fmt_garbage *ret);
int fmt_process_decode(struct slice value, struct fmt_scratch *scratch, struct fmt_process *ret);
int fmt_status_decode(struct slice value, struct fmt_status *ret);
int fmt_lock_decode(struct slice value, struct fmt_lock *ret);

/* Counters: 64-bit little-endian, two's complement, for atomic additions. */
void fmt_counter_encode(int64_t n, uint8_t out[8]);
int fmt_counter_decode(struct slice value, int64_t *ret);

/* Times that sort bytewise: seconds + 2^63 as 64-bit big-endian, nanoseconds as 32-bit big-endian. */
#define FMT_TIME_SIZE 12u
void fmt_time_encode(struct timespec t, uint8_t out[FMT_TIME_SIZE]);
int fmt_time_decode(struct slice value, struct timespec *ret);

/* Returns the length of a block without its trailing zeros; 0 for a block of zeros. */
size_t fmt_block_trim(const void *data, size_t len);

/* Unpacks a stored block, of the form that KEY has, to OUT (BLOCK_SIZE bytes). *RET_LEN is its length
 * without trailing zeros; OUT beyond that is undefined. Plain blocks without parity need no copy: use the
 * value itself. ERR_CORRUPT; ENOTSUP for forms that this version cannot read (parity, unknown algorithms);
 * ENOMEM. */
int fmt_block_decode(const struct fmt_parsed_key *key, struct slice value, uint32_t block_size, uint8_t *out,
                     size_t *ret_len);

/* Writes key and value, decoded and escaped, as one line of text for people; a damaged pair is marked as
 * such. At most CAP bytes with the final zero; returns the length. */
size_t fmt_describe(struct slice key, struct slice value, char *out, size_t cap);

#endif
