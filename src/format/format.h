/* SPDX-License-Identifier: MIT */
/* Every key and value byte of the store: pure encode, decode, validate. docs/FORMAT.md names each byte
 * and is checked by a test.
 *
 * Integers in keys are big-endian, so that keys sort by them. Values are protobuf messages (ashlar.proto)
 * but for the counters and times under \xfe, use counters and the M counters, which atomic operations change.
 * Decoders take any bytes and give ERR_CORRUPT for what the format does not allow; they never read
 * outside and never allocate without bound.
 * All functions: any thread, no global state.
 */
#ifndef FORMAT_FORMAT_H
#define FORMAT_FORMAT_H

#include "base/err.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#define FMT_NAME_MAX      255u  /* bytes of a file name, and of an xattr's name */
#define FMT_SYMLINK_MAX   4095u /* bytes of a symlink's target */
#define FMT_XATTR_MAX     65536u
#define FMT_FILE_SIZE_MAX ((uint64_t)INT64_MAX) /* bytes of a file: what off_t can say */
#define FMT_LINK_MAX      (UINT32_MAX / 2)
#define FMT_ROOT_INO      1u
#define FMT_PID_SIZE      16u /* a mount's id: random, first byte never 'l' */
#define FMT_VERSION       1u

/* Block sizes: bytes. A value in LMDB takes whole pages of 4,096 with a header of 16 in front, so
 * n * 4096 - 16 fills them exactly. */
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

/* A key being built; small enough for the stack. */
struct fmt_key {
        uint16_t len;
        uint8_t data[FMT_KEY_MAX];
};

static inline struct slice fmt_slice(const struct fmt_key *k)
{
        return slice_of(k->data, k->len);
}

/* Pseudo keys under \xfe. Those marked "value" carry one; the others only conflict. */
enum fmt_attr {
        FMT_ATTR_CHANGE = 'c', /* value: change counter, 64-bit LE, atomic add; every change touches it */
        FMT_ATTR_TIMES = 't',  /* value: mtime and ctime at once (fmt_time_encode), atomic byte-max;
                                * overrides both in the record where it is later or mtime was not set since */
        FMT_ATTR_NLINK = 'n',  /* value: subdirectories of a directory, 64-bit LE, atomic add */
        FMT_ATTR_BLOCKS = 'b', /* value: bytes of blocks that the record's `allocated` lacks, 64-bit LE,
                                * signed, atomic add by writers that leave the record alone */
        FMT_ATTR_SIZE = 's',   /* size changed */
        FMT_ATTR_CUT = 'k',    /* size shrank, or blocks that somebody was writing beyond it were given up */
        FMT_ATTR_OWNER = 'o',  /* uid, gid or mode changed */
        FMT_ATTR_EXIST = 'x',  /* nlink of a file or existence changed */
};

/* Counters of the whole file system under 'M', 64-bit LE. */
enum fmt_counter {
        FMT_COUNTER_NEXT_INO = 'i', /* next inode number that no mount has */
        FMT_COUNTER_INODES = 'n',   /* number of inodes */
        FMT_COUNTER_EPOCH = 'e',    /* epoch of the garbage entries */
};

void fmt_key_meta(struct fmt_key *k);                                 /* 'M' */
void fmt_key_meta_counter(struct fmt_key *k, enum fmt_counter which); /* 'M' which */
void fmt_key_inode(struct fmt_key *k, uint64_t ino);                  /* 'i' ino */
void fmt_key_lock(struct fmt_key *k, uint64_t ino, const uint8_t pid[FMT_PID_SIZE],
                  struct slice rest); /* 'i' ino \x00 pid rest */
void fmt_key_use(struct fmt_key *k, uint64_t ino, const uint8_t pid[FMT_PID_SIZE]); /* 'i' ino \x01 pid */
void fmt_key_xattr(struct fmt_key *k, uint64_t ino, struct slice name);             /* 'i' ino \x02 name */
void fmt_key_attr(struct fmt_key *k, uint64_t ino, enum fmt_attr attr);             /* 'i' ino \xfe attr */
void fmt_key_dirent(struct fmt_key *k, uint64_t dir, struct slice name); /* 'd' dir name; name may be empty:
                                                                          * the beginning of the directory */
void fmt_key_dirent_after(struct fmt_key *k, uint64_t dir, struct slice name); /* just after that entry */
void fmt_key_dir_end(struct fmt_key *k, uint64_t dir);                /* just after all entries of dir */
void fmt_key_inode_end(struct fmt_key *k, uint64_t ino);              /* just after all keys 'i' ino ... */
void fmt_key_block(struct fmt_key *k, uint64_t ino, uint64_t offset); /* 'f' ino offset; also the beginning
                                                                       * of all forms of that block */
void fmt_key_block_end(struct fmt_key *k, uint64_t ino);              /* just after all blocks of ino */
void fmt_key_garbage(struct fmt_key *k, uint64_t ino);                /* 'g' ino */
void fmt_key_garbage_end(struct fmt_key *k);                          /* just after all of them */
void fmt_key_process(struct fmt_key *k, const uint8_t pid[FMT_PID_SIZE]); /* 'p' pid */
/* All 'p' pid: two ranges, HALF 0 and 1, between which 'p' 'l' lies. */
void fmt_key_processes(unsigned half, struct fmt_key *begin, struct fmt_key *end);
void fmt_key_status(struct fmt_key *k, const uint8_t pid[FMT_PID_SIZE]);     /* 'p' 'l' pid */
void fmt_key_status_end(struct fmt_key *k, const uint8_t pid[FMT_PID_SIZE]); /* just after its markers */

/* The first bytes of all keys but those under 'p', as a string: keys that change only by transactions of the
 * file system, while a mount writes 'p' beside them. */
const char *fmt_prefixes_without_processes(void);

/* Whether PID can be the id of a mount: the keys of 'p' could not be told apart otherwise. */
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

/* How a block is stored, from its key's tail: nothing (plain), 'z' \x01 algorithm (compressed), 'p', the
 * number of bytes of parity as 16 bits and those bytes, or 'z' and then 'p'. */
enum fmt_algorithm { FMT_LZ4 = 0, FMT_ZSTD = 1 };

/* What a key says. Slices point into the key. */
struct fmt_parsed_key {
        enum fmt_kind kind;
        uint64_t ino;       /* inode, or directory of a dirent */
        uint64_t offset;    /* blocks */
        struct slice name;  /* dirent, xattr: the name; lock: what follows the pid; status: what follows
                             * the pid (markers) */
        const uint8_t *pid; /* lock, use, process, status */
        uint8_t which;      /* attr, meta counter */
        bool compressed;
        enum fmt_algorithm algorithm;
        struct slice parity; /* len 0: none */
};

/* 0 or ERR_CORRUPT. */
int fmt_key_parse(struct slice key, struct fmt_parsed_key *ret);

/* ---- values ------------------------------------------------------------------------------------- */

/* Room for what a decoder unpacks; reused between decodes. What a decoded struct points to lives in it.
 * Needs no initialization; each decode starts afresh, so what an earlier one left in it is gone. */
struct fmt_scratch {
        size_t used;
        _Alignas(16) uint8_t data[8192];
};

struct fmt_meta {
        uint32_t version;    /* FMT_VERSION; newer gives ERR_NEWER */
        uint32_t block_size; /* bytes, fmt_block_size_valid */
        uint8_t uuid[16];
        uint64_t features; /* bits that a program must know to mount; unknown ones give ERR_NEWER */
        struct timespec created;
        struct slice label; /* at most 255 bytes */
};

struct fmt_inode {
        uint32_t mode; /* type and permissions */
        uint32_t uid, gid;
        uint32_t nlink;      /* directories: 1 (2 plus FMT_ATTR_NLINK is computed) */
        uint64_t size;       /* bytes; directories: 0 */
        uint64_t allocated;  /* bytes stored in blocks, each rounded up to 512, for st_blocks: modulo 2^64,
                               * and together with FMT_ATTR_BLOCKS */
        uint64_t rdev;       /* device files */
        uint64_t parent;     /* directories: the directory that holds it (root: itself) */
        uint64_t trim_from;  /* files, if not 0: blocks at and beyond this offset are dead and still to be
                               * cleared; 'g' names the inode meanwhile */
        struct slice writer; /* the mount (FMT_PID_SIZE) that is writing those blocks, before the size
                               * follows; empty: nobody */
        uint64_t writing;    /* which of its writes; not 0 if there is a writer */
        struct timespec atime, mtime, ctime, btime;
        struct slice target; /* symlinks */
};

struct fmt_dirent {
        uint64_t ino;
        uint32_t type; /* st_mode & S_IFMT */
};

struct fmt_garbage {
        uint64_t epoch; /* read with conflict by the unlink that wrote it */
};

/* The texts are for people: the encoder cuts host after 255 bytes, boot_id and version after 64, mountpoint
 * after 1,000. */
struct fmt_process { /* written once, at registration */
        struct slice host, boot_id, mountpoint, version;
        uint64_t unix_pid;
        uint64_t start_time; /* of the Unix process, field 22 of /proc/PID/stat */
        struct timespec registered;
        bool exclusive;
        uint64_t ino_first, ino_end; /* inode numbers handed to this mount at first, [first, end) */
        uint64_t pid_namespace;      /* in which unix_pid is meant */
};

struct fmt_status { /* rewritten by its mount */
        uint64_t heartbeat;
        uint64_t epoch_acknowledged;
};

struct fmt_lock {
        uint64_t start, end; /* bytes, end inclusive as in POSIX; UINT64_MAX: to the end of the file */
        uint32_t type;       /* F_RDLCK, F_WRLCK */
        uint64_t owner;      /* the kernel's lock owner */
        uint64_t unix_pid;
        uint64_t sequence;
        bool flock; /* flock(2), not fcntl(2) */
};

#define FMT_INODE_MAX  (FMT_SYMLINK_MAX + 256u)
#define FMT_DIRENT_MAX 32u
#define FMT_SMALL_MAX  1536u /* every other encoded value */

/* Encoders write at most the *_MAX above into OUT and return the length. What a decoder would reject is
 * asserted not to be encoded. */
size_t fmt_meta_encode(const struct fmt_meta *m, uint8_t *out);
size_t fmt_inode_encode(const struct fmt_inode *i, uint8_t *out);
size_t fmt_dirent_encode(const struct fmt_dirent *d, uint8_t *out);
size_t fmt_garbage_encode(const struct fmt_garbage *g, uint8_t *out);
size_t fmt_process_encode(const struct fmt_process *p, uint8_t *out);
size_t fmt_status_encode(const struct fmt_status *s, uint8_t *out);
size_t fmt_lock_encode(const struct fmt_lock *l, uint8_t *out);

/* Decoders validate; slices in *RET point into SCRATCH (or VALUE, where there is none). 0 or ERR_CORRUPT
 * (fmt_meta_decode also ERR_NEWER, with version and features filled in). */
int fmt_meta_decode(struct slice value, struct fmt_scratch *scratch, struct fmt_meta *ret);
int fmt_inode_decode(struct slice value, struct fmt_scratch *scratch, struct fmt_inode *ret);
int fmt_dirent_decode(struct slice value, struct fmt_dirent *ret);
int fmt_garbage_decode(struct slice value, struct fmt_garbage *ret);
int fmt_process_decode(struct slice value, struct fmt_scratch *scratch, struct fmt_process *ret);
int fmt_status_decode(struct slice value, struct fmt_status *ret);
int fmt_lock_decode(struct slice value, struct fmt_lock *ret);

/* 64-bit little-endian counters (two's complement; sums of atomic adds). */
void fmt_counter_encode(int64_t n, uint8_t out[8]);
int fmt_counter_decode(struct slice value, int64_t *ret);

/* A time that sorts bytewise: seconds + 2^63 as 64-bit BE, nanoseconds as 32-bit BE. */
#define FMT_TIME_SIZE 12u
void fmt_time_encode(struct timespec t, uint8_t out[FMT_TIME_SIZE]);
int fmt_time_decode(struct slice value, struct timespec *ret);

/* A block's value without its trailing zeros: the length that remains, 0 for an all-zero block. */
size_t fmt_block_trim(const void *data, size_t len);

/* Unpacks a stored block of the form that KEY says into OUT (block_size bytes); *RET_LEN is the length
 * without trailing zeros. Plain blocks without parity need no copy: use the value itself.
 * What OUT holds beyond that is undefined. ERR_CORRUPT; ENOTSUP for forms that this version cannot read
 * (parity, unknown algorithms); ENOMEM. */
int fmt_block_decode(const struct fmt_parsed_key *key, struct slice value, uint32_t block_size, uint8_t *out,
                     size_t *ret_len);

/* One line for people, as `ashlar keys` prints it: the decoded key and value, escaped; damaged ones say
 * so. At most CAP bytes with the final zero; returns the length. */
size_t fmt_describe(struct slice key, struct slice value, char *out, size_t cap);

#endif
