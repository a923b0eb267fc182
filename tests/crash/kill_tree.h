/* SPDX-License-Identifier: MIT */
/* The model of the kill test: a small tree of files in memory, operations on it, and the same operations on a
 * mounted directory. */
#ifndef KILL_TREE_H
#define KILL_TREE_H

#include "base/rng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TREE_ENTRIES 48u
#define TREE_PATH    64u
#define TREE_FILE    (96u * 1024u) /* bytes of a file at most */

struct tree_entry {
        char path[TREE_PATH]; /* relative */
        mode_t mode;          /* type and permissions */
        uint8_t *data;        /* files: content; symlinks: target */
        size_t size;
        uint64_t hash; /* of data; 0: not computed yet */
};

struct tree {
        struct tree_entry entries[TREE_ENTRIES]; /* sorted by path */
        size_t n;
};

enum op_kind {
        OP_CREATE,
        OP_MKDIR,
        OP_SYMLINK,
        OP_WRITE,
        OP_APPEND,
        OP_TRUNCATE,
        OP_CHMOD,
        OP_RENAME,
        OP_UNLINK,
        OP_RMDIR,
        OP_FSYNC_FILE,
        OP_FSYNC_DIR,
};

struct op {
        enum op_kind kind;
        char path[TREE_PATH], to[TREE_PATH];
        mode_t mode;
        uint64_t offset;
        size_t len;
        uint64_t seed;         /* of the bytes written */
        size_t skip;           /* bytes of the write before this part */
        uint64_t begin, acked; /* positions in the order of all events; acked 0: not acknowledged */
};

void tree_copy(struct tree *to, const struct tree *from);
void tree_clear(struct tree *t);
/* Equal trees have equal digests. */
uint64_t tree_digest(struct tree *t);
/* Reads the tree under DIR. 0 or a negative errno, and the path that failed in WHERE (512 bytes). */
int tree_load(struct tree *t, const char *dir, char *where);
/* Prints the differences of two trees. */
void tree_print_differences(struct tree *expected, struct tree *found);

/* Chooses an operation that will succeed on T. */
void op_choose(struct op *op, const struct tree *t, struct rng *rng);
void op_apply(const struct op *op, struct tree *t);
/* Splits OP into the requests that the file system sees, at most OP_PARTS, and returns their number: the
 * kernel cuts a write(2) at page boundaries. */
#define OP_PARTS 12u
size_t op_split(const struct op *op, struct op *parts);
/* Performs OP in the directory DIR: 0 or a negative errno. */
int op_perform(const struct op *op, const char *dir);
bool op_is_fsync(const struct op *op);
void op_print(const struct op *op);

#endif
