/* SPDX-License-Identifier: MIT */
/* A small tree of files in memory, operations on it, and the same operations on a mounted directory: what the
 * kill test remembers of what it did. */
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
        char path[TREE_PATH]; /* relative, without a slash in front */
        mode_t mode;          /* type and permissions */
        uint8_t *data;        /* files: content; symlinks: target */
        size_t size;
        uint64_t hash; /* of data; 0: to be computed */
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
        size_t skip;           /* so many of them come before this part */
        uint64_t begin, acked; /* global order of events; acked 0: not */
};

void tree_copy(struct tree *to, const struct tree *from);
void tree_clear(struct tree *t);
/* Equal trees have equal digests. */
uint64_t tree_digest(struct tree *t);
/* Reads the tree under DIR. 0 or a negative errno; WHERE (of 512 bytes) says for what. */
int tree_load(struct tree *t, const char *dir, char *where);
/* Prints where two trees differ. */
void tree_print_differences(struct tree *expected, struct tree *found);

/* An operation that will succeed on T. */
void op_choose(struct op *op, const struct tree *t, struct rng *rng);
void op_apply(const struct op *op, struct tree *t);
/* The kernel cuts a write(2) into requests at edges of pages, and each is an operation of its own for the
 * file system. Splits OP into such parts, of which there are at most OP_PARTS; returns their number. */
#define OP_PARTS 12u
size_t op_split(const struct op *op, struct op *parts);
/* The same on the directory DIR: 0 or a negative errno. */
int op_perform(const struct op *op, const char *dir);
bool op_is_fsync(const struct op *op);
void op_print(const struct op *op);

#endif
