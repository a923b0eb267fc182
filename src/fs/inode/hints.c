/* SPDX-License-Identifier: MIT */
#include "fs/inode/inode.h"
#include "record/inode.h"

#include <stdatomic.h>
#include <stdlib.h>

#define HINTS 32768u /* a power of two; 24 bytes each with the type */

/* Each name has one slot. The halves of two hints may mix, which makes a wrong guess. */
struct hint {
        _Atomic uint64_t name;  /* hash of directory and name */
        _Atomic uint64_t inode; /* number, and whether it is a directory in the lowest bit; 0: none */
};

struct fs_hints {
        struct hash_seed seed;
        struct hint at[HINTS];
        _Atomic uint64_t types[HINTS]; /* as hint.inode */
};

struct fs_hints *fs_hints_new(const struct hash_seed *seed)
{
        struct fs_hints *h = calloc(1, sizeof(*h));

        if (h)
                h->seed = *seed;
        return h;
}

void fs_hints_free(struct fs_hints *h)
{
        free(h);
}

static uint64_t pack(uint64_t ino, uint32_t type)
{
        return ino << 1 | S_ISDIR(type);
}

static size_t type_place(const struct fs_hints *hints, uint64_t ino)
{
        return hash_bytes(&hints->seed, slice_of(&ino, sizeof(ino))) % HINTS;
}

static uint64_t hash(const struct fs_hints *hints, uint64_t dir, struct slice name)
{
        const uint64_t both[] = { dir, hash_bytes(&hints->seed, name) };

        return hash_bytes(&hints->seed, slice_of(both, sizeof(both)));
}

void fs_hint(struct fs *fs, uint64_t dir, struct slice name, uint64_t ino, uint32_t type)
{
        struct hint *at;
        uint64_t h;

        if (!fs->hints)
                return;
        h = hash(fs->hints, dir, name);
        at = &fs->hints->at[h % HINTS];
        atomic_store_explicit(&at->name, h, memory_order_relaxed);
        atomic_store_explicit(&at->inode, pack(ino, type), memory_order_relaxed);
        atomic_store_explicit(&fs->hints->types[type_place(fs->hints, ino)], pack(ino, type),
                              memory_order_relaxed);
}

enum rec_inode_want fs_hint_want(const struct fs *fs, uint64_t ino)
{
        uint64_t packed = 0;

        if (ino == FMT_ROOT_INO)
                return REC_INODE_DIR;
        if (fs->hints)
                packed = atomic_load_explicit(&fs->hints->types[type_place(fs->hints, ino)],
                                              memory_order_relaxed);
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
                h = hash(fs->hints, dir, name);
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

void fs_guess_resolve(struct fs *fs, struct kv_txn *t, struct fs_guess *g, const struct fmt_dirent *d)
{
        if (!g->made || d->ino != g->dirent.ino || S_ISDIR(d->type) != S_ISDIR(g->dirent.type))
                start(fs, t, g, d);
}

int fs_guess_wait(struct kv_txn *t, struct fs_guess *g, const struct fmt_dirent *d, struct rec_inode *ret)
{
        return rec_inode_wait_dirent(t, &g->read, d, ret);
}
