/* SPDX-License-Identifier: MIT */
#include "fs/inode/inode.h"
#include "record/inode.h"

#include <stdatomic.h>
#include <stdlib.h>

#define HINTS 32768u /* a power of two; 16 bytes each */

/* Each name has one place. The halves of two hints may mix: then the guess is wrong. */
struct hint {
        _Atomic uint64_t name;  /* hash of directory and name */
        _Atomic uint64_t inode; /* number, and whether it is a directory in the lowest bit; 0: none */
};

struct fs_hints {
        struct hint at[HINTS];
        _Atomic uint64_t types[HINTS]; /* as hint.inode */
};

struct fs_hints *fs_hints_new(void)
{
        return calloc(1, sizeof(struct fs_hints));
}

void fs_hints_free(struct fs_hints *h)
{
        free(h);
}

static uint64_t pack(uint64_t ino, uint32_t type)
{
        return ino << 1 | S_ISDIR(type);
}

static size_t type_place(uint64_t ino)
{
        return (ino * UINT64_C(0x9e3779b97f4a7c15) >> 32) % HINTS;
}

/* FNV-1a, and a multiplication that brings the high bits down. */
static uint64_t hash(uint64_t dir, struct slice name)
{
        uint64_t h = UINT64_C(0xcbf29ce484222325) ^ dir * UINT64_C(0x9e3779b97f4a7c15);

        for (size_t i = 0; i < name.len; i++)
                h = (h ^ name.data[i]) * UINT64_C(0x100000001b3);
        h *= UINT64_C(0x9e3779b97f4a7c15);
        return h ^ h >> 32;
}

void fs_hint(struct fs *fs, uint64_t dir, struct slice name, uint64_t ino, uint32_t type)
{
        struct hint *at;
        uint64_t h;

        if (!fs->hints)
                return;
        h = hash(dir, name);
        at = &fs->hints->at[h % HINTS];
        atomic_store_explicit(&at->name, h, memory_order_relaxed);
        atomic_store_explicit(&at->inode, pack(ino, type), memory_order_relaxed);
        atomic_store_explicit(&fs->hints->types[type_place(ino)], pack(ino, type), memory_order_relaxed);
}

enum rec_inode_want fs_hint_want(const struct fs *fs, uint64_t ino)
{
        uint64_t packed = 0;

        if (ino == FMT_ROOT_INO)
                return REC_INODE_DIR;
        if (fs->hints)
                packed = atomic_load_explicit(&fs->hints->types[type_place(ino)], memory_order_relaxed);
        if (packed >> 1 != ino)
                return REC_INODE_ATTR;
        return packed & 1 ? REC_INODE_DIR : REC_INODE_RECORD;
}

static void start(struct fs *fs, struct kv_txn *t, struct fs_guess *g, const struct fmt_dirent *d)
{
        enum rec_inode_want want = g->whole ? rec_inode_want_dirent(d) : REC_INODE_RECORD;

        rec_inode_start(t, &g->read, d->ino, want, g->flags);
}

void fs_guess_start(struct fs *fs, struct kv_txn *t, struct fs_guess *g, uint64_t dir, struct slice name,
                    bool whole, unsigned flags)
{
        uint64_t h, inode = 0;
        const struct hint *at;

        if (fs->hints) {
                h = hash(dir, name);
                at = &fs->hints->at[h % HINTS];
                if (atomic_load_explicit(&at->name, memory_order_relaxed) == h)
                        inode = atomic_load_explicit(&at->inode, memory_order_relaxed);
        }
        g->flags = flags;
        g->whole = whole;
        g->made = inode != 0;
        if (!g->made)
                return;
        g->dirent = (struct fmt_dirent){ .ino = inode >> 1, .type = inode & 1 ? S_IFDIR : S_IFREG };
        start(fs, t, g, &g->dirent);
}

void fs_guess_settle(struct fs *fs, struct kv_txn *t, struct fs_guess *g, const struct fmt_dirent *d)
{
        if (!g->made || d->ino != g->dirent.ino || S_ISDIR(d->type) != S_ISDIR(g->dirent.type))
                start(fs, t, g, d);
}

int fs_guess_wait(struct kv_txn *t, struct fs_guess *g, const struct fmt_dirent *d, struct rec_inode *ret)
{
        return rec_inode_wait_dirent(t, &g->read, d, ret);
}
