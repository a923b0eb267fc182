/* SPDX-License-Identifier: MIT */
/* Directory listings. dirpos.h explains positions. */
#include "base/cleanup.h"
#include "fuse/ops/dirpos.h"
#include "fuse/ops/ops.h"

#include <fcntl.h>

/* Larger replies gain nothing; the kernel asks for 4 to 32 KiB. */
#define LISTING_BYTES_MAX (64u << 10)

/* A reply being filled. */
struct listing {
        const struct fuse_req *req;
        bool plus;
        uint8_t *buf;
        size_t used, cap;
        struct dirpos_chunk *names; /* the names in buf; NULL: no memory */
};

static bool put(struct listing *l, struct slice name, uint64_t ino, uint32_t type, uint64_t next,
                const struct fs_attr *attr)
{
        uint8_t *at = l->buf + l->used;
        size_t left = l->cap - l->used, n;

        if (l->plus)
                n = fuse_put_direntplus(l->req->conn, at, left, name, ino, type, next, attr);
        else
                n = fuse_put_dirent(at, left, name, ino, type, next);
        l->used += n;
        return n > 0;
}

/* The kernel fails a whole listing for one entry with an invalid name. */
static bool is_valid_name(struct slice name)
{
        return name.len > 0 && name.len <= DIRPOS_NAME_MAX;
}

static int put_entry(const struct fs_entry *e, void *arg)
{
        struct listing *l = arg;
        uint64_t next;

        if (!is_valid_name(e->name))
                return 1;
        next = dirpos_of(fuse_fs_conn_of(l->req)->positions, e->name);
        if (!put(l, e->name, e->ino, e->type, next, e->attr))
                return 0;
        /* On an error the name is found again by a search, as one that was dropped. */
        if (l->names)
                dirpos_chunk_add(l->names, next, e->name);
        return 1;
}

/* "." and ".." are not in the store. */
static int put_dots(struct listing *l, uint64_t dir, uint64_t offset)
{
        uint64_t parent;
        int r;

        if (offset == DIRPOS_START)
                put(l, slice_str("."), dir, S_IFDIR, DIRPOS_DOT, NULL);
        if (offset > DIRPOS_DOT)
                return 0;
        r = fs_parent(fuse_fs_of(l->req), dir, &parent);
        if (r < 0)
                return r;
        put(l, slice_str(".."), parent, S_IFDIR, DIRPOS_DOTDOT, NULL);
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

        if (!is_valid_name(e->name) || dirpos_of(s->positions, e->name) != s->pos)
                return 1;
        s->found = true;
        s->name.len = (uint8_t)e->name.len;
        memcpy(s->name.data, e->name.data, e->name.len);
        return 0;
}

/* Finds the name after which the listing continues. If it was dropped from the table and then removed, the
 * listing begins again: names may be repeated, but none is skipped, and programs that remove what they list,
 * which is where this happens, see only what they have not removed yet. */
static int find_position(const struct fuse_fs_conn *conn, uint64_t dir, uint64_t offset,
                         struct dirpos_name *ret)
{
        struct search s = { .positions = conn->positions, .pos = offset };
        int r;

        if (dirpos_find(conn->positions, dir, offset, ret))
                return 0;
        r = fs_readdir(conn->fs, dir, slice_str(""), 0, match_entry, &s);
        if (r < 0)
                return r;
        if (s.found)
                *ret = s.name;
        else
                ret->len = 0;
        return 0;
}

/* Fills L from position OFFSET. As fs_readdir. */
static int list(struct listing *l, uint64_t dir, uint64_t offset)
{
        const struct fuse_fs_conn *conn = fuse_fs_conn_of(l->req);
        struct dirpos_name after = { .len = 0 };
        unsigned flags = 0;
        int r;

        if (offset <= DIRPOS_DOTDOT)
                r = put_dots(l, dir, offset);
        else
                r = find_position(conn, dir, offset, &after);
        if (r < 0)
                return r;
        if (l->plus)
                flags |= FS_READDIR_PLUS;
        if (l->req->file_flags & O_NOATIME)
                flags |= FS_READDIR_NOATIME;
        return fs_readdir(conn->fs, dir, slice_of(after.data, after.len), flags, put_entry, l);
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
        /* Before the reply: the kernel's next request may need it. */
        if (l.names)
                dirpos_remember(fuse_fs_conn_of(r)->positions, l.names);
        /* Entries in the buffer hold references, so they are sent in spite of an error. The next request gets
         * the error. */
        if (l.used > 0)
                fuse_reply_data(r, buf, l.used);
        else if (result == 0)
                fuse_reply_err(r, -EINVAL); /* no entry fits; an empty reply would mean the end */
        else
                fuse_reply_result(r, result < 0 ? result : 0);
}
