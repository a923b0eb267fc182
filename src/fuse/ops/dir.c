/* SPDX-License-Identifier: MIT */
/* Listing directories: see dirpos.h for what a position is. */
#include "base/cleanup.h"
#include "fuse/ops/dirpos.h"
#include "fuse/ops/ops.h"
#include "fuse/proto/policy.h"

/* No listing gains from larger replies; the kernel asks for 4 to 32 KiB. */
#define LISTING_BYTES_MAX (64u << 10)

struct listing {
        const struct fuse_req *req;
        bool plus;
        uint8_t *buf;
        size_t used, cap;
        struct dirpos_chunk *names; /* those in buf; NULL if there was no memory for it */
};

static bool put(struct listing *l, struct slice name, uint64_t ino, uint32_t type, uint64_t next,
                const struct fs_attr *attr)
{
        uint8_t *at = l->buf + l->used;
        size_t room = l->cap - l->used, n;

        if (l->plus)
                n = fuse_put_direntplus(l->req->conn, at, room, name, ino, type, next, attr);
        else
                n = fuse_put_dirent(at, room, name, ino, type, next);
        l->used += n;
        return n > 0;
}

/* The kernel gives up on a whole listing that holds an entry which it does not understand. */
static bool is_presentable(struct slice name)
{
        return name.len > 0 && name.len <= DIRPOS_NAME_MAX;
}

static int put_entry(const struct fs_entry *e, void *arg)
{
        struct listing *l = arg;
        uint64_t next;

        if (!is_presentable(e->name))
                return 1;
        next = dirpos_of(l->req->conn->positions, e->name);
        if (!put(l, e->name, e->ino, e->type, next, e->attr))
                return 0;
        /* A name that is not remembered is found again by searching, as if it had been evicted. */
        if (l->names)
                dirpos_chunk_add(l->names, next, e->name);
        return 1;
}

/* "." and "..", which the store does not hold. */
static int put_dots(struct listing *l, uint64_t dir, uint64_t offset)
{
        uint64_t parent;
        int r;

        if (offset == DIRPOS_START)
                put(l, slice_str("."), dir, S_IFDIR, DIRPOS_DOT, NULL);
        if (offset <= DIRPOS_DOT) {
                r = fs_parent(l->req->conn->fs, dir, &parent);
                if (r < 0)
                        return r;
                put(l, slice_str(".."), parent, S_IFDIR, DIRPOS_DOTDOT, NULL);
        }
        return 0;
}

struct search {
        const struct dirpos *positions;
        uint64_t pos;
        bool found;
        struct dirpos_name name;
};

static int match_entry(const struct fs_entry *e, void *arg)
{
        struct search *s = arg;

        if (!is_presentable(e->name) || dirpos_of(s->positions, e->name) != s->pos)
                return 1;
        s->found = true;
        s->name.len = (uint8_t)e->name.len;
        memcpy(s->name.data, e->name.data, e->name.len);
        return 0;
}

/* The name after which the listing goes on. EINVAL if it is forgotten and gone: an error, not the end,
 * because a listing that silently lacks names would be taken for complete. */
static int find_position(struct fuse_conn *conn, uint64_t dir, uint64_t offset, struct dirpos_name *ret)
{
        struct search s = { .positions = conn->positions, .pos = offset };
        int r;

        if (dirpos_find(conn->positions, dir, offset, ret))
                return 0;
        r = fs_readdir(conn->fs, dir, slice_str(""), 0, match_entry, &s);
        if (r < 0)
                return r;
        if (!s.found)
                return -EINVAL;
        *ret = s.name;
        return 0;
}

static int list(struct listing *l, uint64_t dir, uint64_t offset)
{
        struct fuse_conn *conn = l->req->conn;
        struct dirpos_name after = { .len = 0 };
        int r;

        if (offset <= DIRPOS_DOT)
                r = put_dots(l, dir, offset);
        else if (offset == DIRPOS_DOTDOT)
                r = 0;
        else
                r = find_position(conn, dir, offset, &after);
        if (r < 0)
                return r;
        return fs_readdir(conn->fs, dir, slice_of(after.data, after.len), l->plus ? FS_READDIR_PLUS : 0,
                          put_entry, l);
}

void fuse_op_readdir(const struct fuse_req *r, uint64_t dir, uint64_t offset, size_t cap, bool plus)
{
        _cleanup_free_ uint8_t *buf = NULL;
        struct listing l = { .req = r, .plus = plus };
        int result;

        l.cap = cap < LISTING_BYTES_MAX ? cap : LISTING_BYTES_MAX;
        l.buf = buf = malloc(l.cap > 0 ? l.cap : 1);
        if (!buf) {
                fuse_reply_err(r, -ENOMEM);
                return;
        }
        l.names = dirpos_chunk_new(dir);
        result = list(&l, dir, offset);
        /* Remembered before the kernel can ask for what follows. */
        if (l.names)
                dirpos_remember(r->conn->positions, l.names);
        /* Entries that were taken hold references, so they are sent; the error comes with the next
         * request. */
        if (l.used > 0)
                fuse_reply_data(r, buf, l.used);
        else if (result == 0)
                fuse_reply_err(r, -EINVAL); /* not even one fits: an empty reply would mean the end */
        else
                fuse_reply_result(r, result < 0 ? result : 0);
}
