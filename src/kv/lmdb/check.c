/* SPDX-License-Identifier: MIT */
/* Checks the structure of LMDB's file page by page, without LMDB. LMDB has no checksums: the check finds
 * damage that would make LMDB crash, not every changed byte. The layout is that of LMDB 0.9 on a 64-bit
 * little-endian machine; a file of another one has another magic number.
 *
 *   page     number u64, pad u16, flags u16; then lower u16 and upper u16 (bounds of its free space), or in
 *            overflow pages their count u32; then the offset of each node u16
 *   node     data size or child page 32 bits, flags u16 (in branches: bits 32 to 47 of the child page), key
 *            size u16; then the key, and the data or the number of its first overflow page
 *   header   pages 0 and 1: a page header, then struct meta
 */
#include "base/array.h"
#include "base/cleanup.h"
#include "kv/lmdb/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC   0xbeefc0deu
#define VERSION 1u
#define NO_PAGE UINT64_MAX

#define PAGE_HEADER 16u
#define NODE_HEADER 8u
#define DEPTH_MAX   32u
#define PAGE_MIN    512u
#define PAGE_MAX    32768u
#define VALUE_MAX   (UINT64_C(1) << 30) /* above the largest bucket */

enum { P_BRANCH = 0x01, P_LEAF = 0x02, P_OVERFLOW = 0x04, P_META = 0x08 };
enum { F_BIGDATA = 0x01 };
enum { TREE_FREE, TREE_MAIN };
#define TREE_FLAGS 0x7e /* order of a tree; the others belong to the environment */
#define FREE_FLAGS 0x08 /* MDB_INTEGERKEY */

struct tree {
        uint32_t pad;
        uint16_t flags, depth;
        uint64_t branch_pages, leaf_pages, overflow_pages, entries, root;
};

struct meta {
        uint32_t magic, version;
        uint64_t address, mapsize;
        struct tree trees[2];
        uint64_t last_page, txnid;
};

_Static_assert(sizeof(struct tree) == 48 && sizeof(struct meta) == 136, "LMDB's layout");

/* A page that is still to be checked. */
struct todo {
        uint64_t page;
        unsigned level; /* 0: root */
};

struct check {
        int fd;
        const char *path;
        struct err_text *text;
        uint32_t page_bytes;
        uint64_t file_pages; /* whole pages in the file */
        uint64_t last_page;
        uint64_t max_pages; /* to be read of each tree; 0: all */
        uint64_t pages;     /* read of this tree */
        uint8_t *seen;      /* a bit per page of the file */
        struct todo *todo;
        size_t todo_n, todo_cap;
        int tree; /* TREE_* */
        unsigned depth;
};

static int damaged(const struct check *c, uint64_t page, const char *what)
{
        return err_set(c->text, ERR_CORRUPT,
                       "%s: " LMDB_DATA " is damaged (page %llu: %s): restore the store from a backup",
                       c->path, (unsigned long long)page, what);
}

static uint16_t u16(const uint8_t *p)
{
        uint16_t v;

        memcpy(&v, p, sizeof(v));
        return v;
}

static uint64_t u64(const uint8_t *p)
{
        uint64_t v;

        memcpy(&v, p, sizeof(v));
        return v;
}

/* Reads LEN bytes at OFFSET; false at the end of the file or after an error. */
static bool read_at(int fd, void *buf, size_t len, uint64_t offset)
{
        uint8_t *p = buf;

        while (len > 0) {
                ssize_t n = pread(fd, p, len, (off_t)offset);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return false;
                p += n;
                offset += (uint64_t)n;
                len -= (size_t)n;
        }
        return true;
}

/* Marks COUNT pages as in use: ERR_CORRUPT if one is out of bounds or in use twice. */
static int claim(struct check *c, uint64_t page, uint64_t count)
{
        if (page < 2 || page > c->last_page || count > c->last_page - page + 1)
                return damaged(c, page, "out of bounds");
        if (page >= c->file_pages || count > c->file_pages - page)
                return damaged(c, page, "the file ends before it");
        for (uint64_t i = page; i < page + count; i++) {
                if (c->seen[i / 8] & 1u << i % 8)
                        return damaged(c, i, "in use twice");
                c->seen[i / 8] |= (uint8_t)(1u << i % 8);
        }
        return 0;
}

/* Checks an IDL: a count, then that many page numbers in descending order. */
static int check_free_list(struct check *c, uint64_t page, const uint8_t *data, uint64_t len)
{
        uint64_t n, last = NO_PAGE;

        if (len < 8 || len % 8 != 0)
                return damaged(c, page, "a list of free pages has a wrong size");
        n = u64(data);
        if (n > len / 8 - 1)
                return damaged(c, page, "a list of free pages is longer than its record");
        for (uint64_t i = 1; i <= n; i++) {
                uint64_t free_page = u64(data + 8 * i);

                if (free_page < 2 || free_page > c->last_page || free_page >= last)
                        return damaged(c, page, "a list of free pages holds a wrong page number");
                last = free_page;
                /* Free pages at the end need not be in the file. */
                if (free_page < c->file_pages) {
                        int r = claim(c, free_page, 1);

                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

/* Checks the data of a node that is stored in overflow pages. */
static int check_overflow(struct check *c, uint64_t page, uint64_t len)
{
        uint64_t count = (PAGE_HEADER - 1 + len) / c->page_bytes + 1;
        _cleanup_free_ uint8_t *list = NULL;
        uint8_t header[PAGE_HEADER];
        uint32_t stored;
        int r;

        if (page >= c->file_pages || !read_at(c->fd, header, sizeof(header), page * c->page_bytes))
                return damaged(c, page, "the file ends before it");
        memcpy(&stored, header + 12, sizeof(stored));
        if (u64(header) != page || u16(header + 10) != P_OVERFLOW || stored < count)
                return damaged(c, page, "not the overflow page of its record");
        r = claim(c, page, stored);
        if (r < 0 || c->tree != TREE_FREE)
                return r;
        c->pages += count;
        list = malloc(len);
        if (!list)
                return -ENOMEM;
        if (!read_at(c->fd, list, len, page * c->page_bytes + PAGE_HEADER))
                return damaged(c, page, "the file ends before it");
        return check_free_list(c, page, list, len);
}

static int check_leaf_node(struct check *c, uint64_t page, const uint8_t *node, size_t left)
{
        uint64_t len = (uint64_t)u16(node) | (uint64_t)u16(node + 2) << 16;
        unsigned flags = u16(node + 4), key_len = u16(node + 6);
        const uint8_t *data = node + NODE_HEADER + key_len;

        left -= NODE_HEADER + key_len;
        if (c->tree == TREE_FREE ? key_len != 8 : key_len == 0)
                return damaged(c, page, "a key has a wrong size");
        if (flags == F_BIGDATA) {
                if (left < 8 || len > VALUE_MAX)
                        return damaged(c, page, "a record has a wrong size");
                return check_overflow(c, u64(data), len);
        }
        if (flags != 0 || len > left)
                return damaged(c, page, "a record has a wrong size or kind");
        return c->tree == TREE_FREE ? check_free_list(c, page, data, len) : 0;
}

static int push(struct check *c, uint64_t page, unsigned level)
{
        if (array_reserve(&c->todo, &c->todo_cap, c->todo_n + 1) < 0)
                return -ENOMEM;
        c->todo[c->todo_n++] = (struct todo){ .page = page, .level = level };
        return 0;
}

/* Order of keys in a tree. */
static int key_cmp(const struct check *c, const uint8_t *a, const uint8_t *b)
{
        struct slice ka = slice_of(a + NODE_HEADER, u16(a + 6)), kb = slice_of(b + NODE_HEADER, u16(b + 6));

        if (c->tree == TREE_FREE && ka.len == 8 && kb.len == 8)
                return (u64(ka.data) > u64(kb.data)) - (u64(ka.data) < u64(kb.data));
        return slice_cmp(ka, kb);
}

static int check_node(struct check *c, const uint8_t *p, const struct todo *at, unsigned i, bool branch,
                      const uint8_t **prev)
{
        unsigned offset = u16(p + PAGE_HEADER + 2 * i), upper = u16(p + 14);
        const uint8_t *node = p + offset;
        uint64_t child;
        int r = 0;

        if (offset < upper || offset % 2 != 0 || offset + NODE_HEADER > c->page_bytes ||
            u16(node + 6) > LMDB_KEY_MAX || offset + NODE_HEADER + u16(node + 6) > c->page_bytes)
                return damaged(c, at->page, "a record lies outside of the page");
        if (branch && c->tree == TREE_FREE && i > 0 && u16(node + 6) != 8)
                return damaged(c, at->page, "a key has a wrong size");
        /* The first key of a branch is not used: its child holds all that is below the second. */
        if (i > (branch ? 1u : 0u) && key_cmp(c, *prev, node) >= 0)
                return damaged(c, at->page, "keys are out of order");
        *prev = node;
        if (branch) {
                child = (uint64_t)u16(node) | (uint64_t)u16(node + 2) << 16 | (uint64_t)u16(node + 4) << 32;
                r = claim(c, child, 1);
                return r < 0 ? r : push(c, child, at->level + 1);
        }
        return check_leaf_node(c, at->page, node, c->page_bytes - offset);
}

static int check_page(struct check *c, const struct todo *at, uint8_t *p)
{
        unsigned flags, lower, upper, n;
        const uint8_t *prev = NULL;
        bool branch = at->level + 1 < c->depth;
        int r;

        if (!read_at(c->fd, p, c->page_bytes, at->page * c->page_bytes))
                return damaged(c, at->page, "the file ends before it");
        flags = u16(p + 10);
        lower = u16(p + 12);
        upper = u16(p + 14);
        if (u64(p) != at->page || flags != (branch ? P_BRANCH : P_LEAF))
                return damaged(c, at->page, "not a page of the tree at this position");
        if (lower < PAGE_HEADER || lower % 2 != 0 || lower > upper || upper > c->page_bytes)
                return damaged(c, at->page, "its header is not valid");
        n = (lower - PAGE_HEADER) / 2;
        if (n < (branch && c->tree == TREE_MAIN ? 2u : 1u))
                return damaged(c, at->page, "it has too few records");
        for (unsigned i = 0; i < n; i++) {
                r = check_node(c, p, at, i, branch, &prev);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int check_tree(struct check *c, const struct tree *t, int which)
{
        _cleanup_free_ uint8_t *page = NULL;
        int r;

        c->tree = which;
        c->depth = t->depth;
        c->todo_n = 0;
        if (t->root == NO_PAGE)
                return 0;
        page = malloc(c->page_bytes);
        if (!page)
                return -ENOMEM;
        r = claim(c, t->root, 1);
        if (r < 0)
                return r;
        r = push(c, t->root, 0);
        if (r < 0)
                return r;
        for (c->pages = 0; c->todo_n > 0 && (c->max_pages == 0 || c->pages < c->max_pages); c->pages++) {
                struct todo at = c->todo[--c->todo_n];

                r = check_page(c, &at, page);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int check_tree_header(const struct check *c, const struct tree *t, unsigned flags, unsigned page)
{
        bool empty = t->root == NO_PAGE;

        if ((t->flags & TREE_FLAGS) != flags)
                return damaged(c, page, "a tree has flags that stores do not have");
        if (t->depth > DEPTH_MAX || (t->depth == 0) != empty || (empty && t->entries != 0))
                return damaged(c, page, "a tree has an impossible depth");
        return 0;
}

/* Reads one of the two headers. The page size in page 0 gives the offset of page 1. */
static int read_header(struct check *c, unsigned page, uint64_t offset, struct meta *ret)
{
        uint8_t buf[PAGE_HEADER + sizeof(struct meta)];
        struct meta m;

        if (!read_at(c->fd, buf, sizeof(buf), offset))
                return damaged(c, page, "the file is too short for a store");
        memcpy(&m, buf + PAGE_HEADER, sizeof(m));
        if (!(u16(buf + 10) & P_META) || m.magic != MAGIC)
                return damaged(c, page, "no LMDB file");
        if (m.version != VERSION)
                return damaged(c, page, "a version of LMDB's format that is not supported");
        if (m.trees[TREE_FREE].pad < PAGE_MIN || m.trees[TREE_FREE].pad > PAGE_MAX ||
            (m.trees[TREE_FREE].pad & (m.trees[TREE_FREE].pad - 1)))
                return damaged(c, page, "an impossible page size");
        *ret = m;
        return 0;
}

static int check_headers(struct check *c, struct meta *ret)
{
        struct meta m[2];
        unsigned newest;
        int r;

        r = read_header(c, 0, 0, &m[0]);
        if (r < 0)
                return r;
        c->page_bytes = m[0].trees[TREE_FREE].pad;
        r = read_header(c, 1, c->page_bytes, &m[1]);
        if (r < 0)
                return r;
        newest = m[0].txnid < m[1].txnid;
        if (m[1].trees[TREE_FREE].pad != c->page_bytes)
                return damaged(c, 1, "an impossible page size");
        /* Transaction N writes page N % 2, and LMDB's readers rely on that. */
        if (m[newest].txnid > 0 && m[newest].txnid % 2 != newest)
                return damaged(c, newest, "the transaction number of the other header");
        c->last_page = m[newest].last_page;
        if (c->last_page < 1 || c->last_page > (UINT64_C(1) << 46) / c->page_bytes)
                return damaged(c, newest, "an impossible number of pages");
        r = check_tree_header(c, &m[newest].trees[TREE_FREE], FREE_FLAGS, newest);
        if (r < 0)
                return r;
        r = check_tree_header(c, &m[newest].trees[TREE_MAIN], 0, newest);
        if (r < 0)
                return r;
        *ret = m[newest];
        return 0;
}

static int check_once(struct check *c, uint64_t max_pages)
{
        struct stat st;
        struct meta m;
        int r = check_headers(c, &m);

        if (r < 0)
                return r;
        if (fstat(c->fd, &st) < 0)
                return -errno;
        c->file_pages = (uint64_t)st.st_size / c->page_bytes;
        c->max_pages = c->file_pages > c->last_page ? max_pages : 0;
        c->seen = calloc(c->file_pages / 8 + 1, 1);
        if (!c->seen)
                return -ENOMEM;
        r = check_tree(c, &m.trees[TREE_FREE], TREE_FREE);
        if (r < 0)
                return r;
        return check_tree(c, &m.trees[TREE_MAIN], TREE_MAIN);
}

int lmdb_check_file(int fd, const char *path, uint64_t max_pages, struct err_text *text)
{
        struct check c = { .fd = fd, .path = path, .text = text };
        struct stat st;
        int r;

        if (fstat(fd, &st) < 0)
                return err_set(text, errno, "%s: cannot examine " LMDB_DATA ": %s", path, err_str(errno));
        if (!S_ISREG(st.st_mode))
                return err_set(text, ERR_CORRUPT, "%s: " LMDB_DATA " is not a file", path);
        r = check_once(&c, max_pages);
        free(c.seen);
        free(c.todo);
        if (r == -ENOMEM)
                return err_set(text, ENOMEM, "%s: out of memory", path);
        return r;
}
