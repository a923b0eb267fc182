/* SPDX-License-Identifier: MIT */
/* The middle pass of the checker: inodes with everything that belongs to them. Inodes, blocks and garbage
 * entries all sort by inode number, so one walk over the three side by side sees each inode as a whole,
 * and keeps only what the names are compared with. */
#include "maint/check_internal.h"
#include "maint/maint.h"

#include <inttypes.h>

/* The current inode of the walk. */
struct subject {
        uint64_t ino;
        bool found, damaged; /* the record */
        uint32_t mode, nlink;
        uint64_t size, allocated, parent, trim_from;
        int64_t subdirs; /* counter under \xfe */
        int64_t blocks;  /* counter under \xfe: what ALLOCATED lacks */
        uint64_t strays; /* keys without a record */
};

struct walk {
        struct check *c;
        struct check_cursor inodes, blocks, garbage;
};

static void walk_end(struct walk *w)
{
        check_cursor_end(&w->garbage);
        check_cursor_end(&w->blocks);
        check_cursor_end(&w->inodes);
}

/* ---- blocks ------------------------------------------------------------------------------------- */

/* Returns the bytes of the block under CUR without trailing zeros, or a negative number after reporting
 * why it has none. */
static int64_t block_bytes(struct check *c, const struct check_cursor *cur)
{
        size_t len;
        int r;

        if (!cur->parsed.compressed && cur->parsed.parity.len == 0) {
                if (c->block_size > 0 && cur->value.len > c->block_size) {
                        check_report_pair(c, "block longer than the block size", cur);
                        return -1;
                }
                return (int64_t)fmt_block_trim(cur->value.data, cur->value.len);
        }
        if (c->block_size == 0)
                return 0; /* cannot be unpacked without the block size */
        r = fmt_block_decode(&cur->parsed, cur->value, c->block_size, c->block, &len);
        if (r < 0) {
                check_report_pair(c,
                                  r == -ENOTSUP ? "block in a form that this version cannot read"
                                                : "damaged block",
                                  cur);
                return -1;
        }
        return (int64_t)len;
}

/* Checks a block that is part of its file, not to be cleared. */
static void check_live_block(struct check *c, const struct subject *s, const struct check_cursor *cur)
{
        uint64_t offset = cur->parsed.offset;
        int64_t len = block_bytes(c, cur);

        if (len < 0)
                return;
        if (offset >= s->size)
                check_report(c, "inode %" PRIu64 ": block at %" PRIu64 " beyond the size %" PRIu64, s->ino,
                             offset, s->size);
        else if ((uint64_t)len > s->size - offset)
                check_report(c,
                             "inode %" PRIu64 ": bytes beyond the size %" PRIu64 " in the block at %" PRIu64,
                             s->ino, s->size, offset);
        c->result.data_bytes += (uint64_t)len;
}

/* Checks all blocks of S; the walk's block cursor is at the first. */
static int check_blocks(struct walk *w, const struct subject *s)
{
        struct check *c = w->c;
        struct check_cursor *cur = &w->blocks;
        uint64_t live = 0, dead = 0, live_bytes = 0, dead_bytes = 0, last = 0;
        uint64_t total = s->allocated + (uint64_t)s->blocks;
        bool file = S_ISREG(s->mode);

        for (bool first = true; cur->valid && cur->parsed.ino == s->ino; first = false) {
                uint64_t offset = cur->parsed.offset;
                uint64_t allocated = (cur->value.len + 511) / 512 * 512;
                int r;

                c->result.blocks++;
                if (c->block_size > 0 && offset % c->block_size != 0)
                        check_report_pair(c, "block that overlaps others", cur);
                else if (!first && offset == last)
                        check_report_pair(c, "second form of one block", cur);
                if (s->trim_from > 0 && offset >= s->trim_from) {
                        dead++;
                        dead_bytes += allocated;
                } else {
                        live++;
                        live_bytes += allocated;
                        if (file && s->nlink > 0)
                                check_live_block(c, s, cur);
                }
                last = offset;
                r = check_cursor_next(c, cur);
                if (r < 0)
                        return r;
        }
        if (!file && live + dead > 0)
                check_report(c, "inode %" PRIu64 ": %" PRIu64 " blocks, but it is no regular file", s->ino,
                             live + dead);
        /* An unlinked inode's blocks are cleared in steps, which do not keep `allocated` exact. */
        if (!file || s->nlink == 0)
                return 0;
        if (total < live_bytes || total > live_bytes + dead_bytes)
                check_report(c,
                             "inode %" PRIu64 ": %" PRIu64 " bytes allocated, but %" PRIu64
                             " blocks that take %" PRIu64,
                             s->ino, total, live, live_bytes);
        return 0;
}

/* Whether CUR is at an inode before S, the current one. S NULL: the walk is at its end. */
static bool is_before(const struct check_cursor *cur, const struct subject *s)
{
        return cur->valid && (!s || cur->parsed.ino < s->ino);
}

/* Reports blocks of inodes before S: they have no record. One line for each such inode. */
static int check_ownerless_blocks(struct walk *w, const struct subject *s)
{
        while (is_before(&w->blocks, s)) {
                uint64_t owner = w->blocks.parsed.ino, n = 0;

                for (; w->blocks.valid && w->blocks.parsed.ino == owner; n++) {
                        int r = check_cursor_next(w->c, &w->blocks);

                        if (r < 0)
                                return r;
                }
                w->c->result.blocks += n;
                check_report(w->c, "inode %" PRIu64 " does not exist, but has %" PRIu64 " blocks", owner, n);
        }
        return 0;
}

static int skip_blocks(struct walk *w, uint64_t ino)
{
        while (w->blocks.valid && w->blocks.parsed.ino == ino) {
                int r;

                w->c->result.blocks++;
                r = check_cursor_next(w->c, &w->blocks);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- garbage ------------------------------------------------------------------------------------ */

/* Checks the value of the entry under the garbage cursor. */
static int check_garbage_value(struct walk *w)
{
        struct fmt_garbage garbage;

        w->c->result.garbage++;
        if (fmt_garbage_decode(w->garbage.value, &garbage) < 0)
                check_report_pair(w->c, "damaged value", &w->garbage);
        else if (w->c->epoch >= 0 && garbage.epoch > (uint64_t)w->c->epoch)
                check_report_pair(w->c, "garbage of an epoch that has not begun", &w->garbage);
        return check_cursor_next(w->c, &w->garbage);
}

static int check_ownerless_garbage(struct walk *w, const struct subject *s)
{
        while (is_before(&w->garbage, s)) {
                int r;

                check_report(w->c, "inode %" PRIu64 " does not exist, but is listed as garbage",
                             w->garbage.parsed.ino);
                r = check_garbage_value(w);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* 'g' lists unlinked inodes and unfinished truncations, and nothing else. */
static int check_garbage(struct walk *w, const struct subject *s)
{
        bool listed = w->garbage.valid && w->garbage.parsed.ino == s->ino;

        if (!s->damaged) {
                if (listed && s->nlink > 0 && s->trim_from == 0)
                        check_report(w->c, "inode %" PRIu64 " is in use, but listed as garbage", s->ino);
                if (!listed && s->nlink == 0)
                        check_report(w->c, "inode %" PRIu64 " has no links, but is not listed as garbage",
                                     s->ino);
                if (!listed && s->nlink > 0 && s->trim_from > 0)
                        check_report(w->c, "inode %" PRIu64 " is half truncated, but not listed as garbage",
                                     s->ino);
        }
        return listed ? check_garbage_value(w) : 0;
}

/* ---- the record and the keys below it ------------------------------------------------------------ */

static void count_inode(struct maint_check_result *result, uint32_t mode)
{
        result->inodes++;
        if (S_ISREG(mode))
                result->files++;
        else if (S_ISDIR(mode))
                result->directories++;
        else if (S_ISLNK(mode))
                result->symlinks++;
        else
                result->others++;
}

static void check_record(struct check *c, struct subject *s, const struct check_cursor *cur)
{
        struct fmt_inode inode;

        s->found = true;
        if (fmt_inode_decode(cur->value, &c->scratch, &inode) < 0) {
                s->damaged = true;
                c->result.inodes++;
                check_report_pair(c, "damaged value", cur);
                return;
        }
        s->mode = inode.mode;
        s->nlink = inode.nlink;
        s->size = inode.size;
        s->allocated = inode.allocated;
        s->parent = inode.parent;
        s->trim_from = inode.trim_from;
        count_inode(&c->result, inode.mode);

        if (s->ino == 0 || (c->next_ino >= 0 && s->ino >= (uint64_t)c->next_ino))
                check_report(c, "inode %" PRIu64 " has a number that was never handed out", s->ino);
        if (S_ISREG(inode.mode) && inode.size > INT64_MAX)
                check_report(c, "inode %" PRIu64 ": impossible size %" PRIu64, s->ino, inode.size);
        if (S_ISDIR(inode.mode) && inode.nlink > 1)
                check_report(c, "inode %" PRIu64 " is a directory with %" PRIu32 " names by its record",
                             s->ino, inode.nlink);
        if (!S_ISREG(inode.mode) && inode.trim_from > 0)
                check_report(c, "inode %" PRIu64 " is half truncated, but no regular file", s->ino);
        if (c->block_size > 0 && inode.trim_from % c->block_size != 0)
                check_report(c, "inode %" PRIu64 ": is truncated from within a block, at %" PRIu64, s->ino,
                             inode.trim_from);
}

/* Checks a pseudo key. */
static void check_attr(struct check *c, struct subject *s, const struct check_cursor *cur)
{
        struct timespec t;
        int64_t n;

        switch (cur->parsed.which) {
        case FMT_ATTR_CHANGE:
                if (fmt_counter_decode(cur->value, &n) < 0)
                        check_report_pair(c, "damaged value", cur);
                break;
        case FMT_ATTR_NLINK:
                if (fmt_counter_decode(cur->value, &n) < 0)
                        check_report_pair(c, "damaged value", cur);
                else if (s->found && !s->damaged && !S_ISDIR(s->mode))
                        check_report_pair(c, "subdirectories of what is no directory", cur);
                else
                        s->subdirs = n;
                break;
        case FMT_ATTR_BLOCKS:
                if (fmt_counter_decode(cur->value, &n) < 0)
                        check_report_pair(c, "damaged value", cur);
                else if (s->found && !s->damaged && !S_ISREG(s->mode))
                        check_report_pair(c, "blocks of what is no regular file", cur);
                else
                        s->blocks = n;
                break;
        case FMT_ATTR_TIMES:
                if (fmt_time_decode(cur->value, &t) < 0)
                        check_report_pair(c, "damaged value", cur);
                break;
        default:
                check_report_pair(c, "value where only conflicts belong", cur);
        }
}

/* Checks one of the keys of an inode. */
static void check_inode_key(struct check *c, struct subject *s, const struct check_cursor *cur)
{
        struct fmt_lock lock;
        int64_t n;

        if (cur->parsed.kind != FMT_INODE && !s->found)
                s->strays++;
        switch (cur->parsed.kind) {
        case FMT_INODE:
                check_record(c, s, cur);
                break;
        case FMT_LOCK:
                if (fmt_lock_decode(cur->value, &lock) < 0)
                        check_report_pair(c, "damaged value", cur);
                break;
        case FMT_USE:
                if (fmt_counter_decode(cur->value, &n) < 0)
                        check_report_pair(c, "damaged value", cur);
                break;
        case FMT_XATTR:
                c->result.xattrs++;
                if (cur->value.len > FMT_XATTR_MAX)
                        check_report_pair(c, "extended attribute longer than the limit", cur);
                break;
        case FMT_ATTR:
                check_attr(c, s, cur);
                break;
        default:
                check_report_pair(c, "key that does not belong to an inode", cur);
        }
}

/* Keeps what the names are compared with. */
static int remember(struct check *c, const struct subject *s)
{
        struct check_node node = { .ino = s->ino, .type = (uint8_t)(s->mode >> 12) };

        if (s->damaged)
                node.flags |= NODE_DAMAGED;
        else if (s->nlink == 0)
                node.flags |= NODE_UNLINKED;
        if (!s->damaged && S_ISDIR(s->mode)) {
                node.parent = s->parent;
                if (s->subdirs < 0 || s->subdirs > INT32_MAX)
                        check_report(c, "inode %" PRIu64 ": impossible number of subdirectories %" PRId64,
                                     s->ino, s->subdirs);
                else
                        node.missing = (int32_t)s->subdirs;
        } else if (!s->damaged) {
                if (s->nlink > INT32_MAX)
                        check_report(c, "inode %" PRIu64 ": impossible link count %" PRIu32, s->ino,
                                     s->nlink);
                else
                        node.missing = (int32_t)s->nlink;
        }
        return check_nodes_add(&c->nodes, &node);
}

/* Checks the inode under the walk's cursor as a whole, and moves the cursors behind it. */
static int check_inode(struct walk *w)
{
        struct subject s = { .ino = w->inodes.parsed.ino };
        int r;

        while (w->inodes.valid && w->inodes.parsed.ino == s.ino) {
                check_inode_key(w->c, &s, &w->inodes);
                r = check_cursor_next(w->c, &w->inodes);
                if (r < 0)
                        return r;
        }
        if (s.strays > 0)
                check_report(w->c,
                             "inode %" PRIu64 " does not exist, but has %" PRIu64
                             " attributes, locks or counters",
                             s.ino, s.strays);
        r = check_ownerless_blocks(w, &s);
        if (r < 0)
                return r;
        r = check_ownerless_garbage(w, &s);
        if (r < 0 || !s.found)
                return r; /* without a record, its blocks are ownerless for the next inode */
        r = s.damaged ? skip_blocks(w, s.ino) : check_blocks(w, &s);
        if (r < 0)
                return r;
        r = check_garbage(w, &s);
        return r < 0 ? r : remember(w->c, &s);
}

int check_inodes(struct check *c)
{
        _cleanup_(walk_end) struct walk w = { .c = c };
        int r = check_cursor_start_part(c, &w.inodes, REC_PART_INODES);

        if (r < 0)
                return r;
        r = check_cursor_start_part(c, &w.blocks, REC_PART_BLOCKS);
        if (r < 0)
                return r;
        r = check_cursor_start_part(c, &w.garbage, REC_PART_GARBAGE);
        while (r >= 0 && w.inodes.valid)
                r = check_inode(&w);
        if (r < 0)
                return r;
        r = check_ownerless_blocks(&w, NULL);
        return r < 0 ? r : check_ownerless_garbage(&w, NULL);
}
