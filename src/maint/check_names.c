/* SPDX-License-Identifier: MIT */
/* The last pass of the checker: names, compared with the inodes that the middle pass found, and the tree
 * that they form. */
#include "maint/check_internal.h"

#include <inttypes.h>

/* The directory whose entries are being walked. */
struct directory {
        uint64_t ino;
        struct check_node *node; /* NULL: not a directory in use */
        uint64_t strays;         /* entries, if NODE is NULL */
};

static void directory_enter(struct check *c, struct directory *d, uint64_t ino)
{
        *d = (struct directory){ .ino = ino, .node = check_nodes_find(&c->nodes, ino) };
        if (d->node && !(d->node->flags & NODE_DAMAGED) && d->node->type != S_IFDIR >> 12)
                d->node = NULL;
        if (d->node && d->node->flags & NODE_UNLINKED)
                d->node = NULL; /* only an empty directory can be removed */
}

/* Reports all entries without a directory in one line. */
static void directory_leave(struct check *c, const struct directory *d)
{
        if (d->strays > 0)
                check_report(c, "inode %" PRIu64 " is no directory in use, but has %" PRIu64 " entries",
                             d->ino, d->strays);
}

/* Checks a name of a directory: there is exactly one, in the directory that the record names. */
static void check_subdirectory(struct check *c, const struct directory *d, struct check_node *child,
                               const struct check_cursor *cur)
{
        if (child->flags & NODE_NAMED)
                check_report_pair(c, "second name of a directory", cur);
        else if (child->parent != d->ino)
                check_report(c, "inode %" PRIu64 " is in directory %" PRIu64 ", but its parent is %" PRIu64,
                             child->ino, d->ino, child->parent);
        if (child->ino == FMT_ROOT_INO)
                check_report_pair(c, "name of the root directory", cur);
        child->flags |= NODE_NAMED;
}

static void check_name(struct check *c, struct directory *d, const struct check_cursor *cur)
{
        struct fmt_dirent entry;
        struct check_node *child;

        c->result.dirents++;
        if (!d->node)
                d->strays++;
        if (fmt_dirent_decode(cur->value, &entry) < 0) {
                check_report_pair(c, "damaged value", cur);
                return;
        }
        if (d->node && S_ISDIR(entry.type))
                d->node->missing--;
        child = check_nodes_find(&c->nodes, entry.ino);
        if (!child) {
                check_report_pair(c, "name without an inode", cur);
                return;
        }
        if (child->flags & NODE_DAMAGED)
                return;
        if (child->type != entry.type >> 12)
                check_report_pair(c, "type differs from the inode's", cur);
        if (child->flags & NODE_UNLINKED)
                check_report_pair(c, "name of an unlinked inode", cur);
        else if (child->type == S_IFDIR >> 12)
                check_subdirectory(c, d, child, cur);
        else if (child->missing > INT32_MIN)
                child->missing--;
}

/* Reports nodes whose records count another number than was found. */
static void check_counts(struct check *c)
{
        for (size_t i = 0; i < c->nodes.n; i++) {
                const struct check_node *node = &c->nodes.node[i];
                bool directory = node->type == S_IFDIR >> 12;

                if (node->flags & NODE_DAMAGED)
                        continue;
                if (directory && node->missing != 0)
                        check_report(c, "inode %" PRIu64 ": counts %" PRId32 " subdirectories %s than it has",
                                     node->ino, node->missing > 0 ? node->missing : -node->missing,
                                     node->missing > 0 ? "more" : "fewer");
                if (node->flags & NODE_UNLINKED)
                        continue;
                if (directory && !(node->flags & NODE_NAMED) && node->ino != FMT_ROOT_INO)
                        check_report(c, "inode %" PRIu64 " is a directory without a name", node->ino);
                if (!directory && node->missing != 0)
                        check_report(c, "inode %" PRIu64 ": link count is %" PRId32 " %s than its names",
                                     node->ino, node->missing > 0 ? node->missing : -node->missing,
                                     node->missing > 0 ? "more" : "fewer");
        }
}

/* Follows the parents of NODE to one whose path is known, and marks them all. Directories on a circle have
 * a name and the right parent each, but no path from the root leads to them. */
static void check_path(struct check *c, struct check_node *node)
{
        struct check_node *at = node;

        while (at && !(at->flags & (NODE_ROOTED | NODE_ON_PATH | NODE_DAMAGED)) &&
               at->type == S_IFDIR >> 12) {
                at->flags |= NODE_ON_PATH;
                at = check_nodes_find(&c->nodes, at->parent);
        }
        if (at && at->flags & NODE_ON_PATH)
                check_report(c, "inode %" PRIu64 " is a directory in a circle of parents", at->ino);
        for (at = node; at && at->flags & NODE_ON_PATH; at = check_nodes_find(&c->nodes, at->parent)) {
                at->flags &= (uint8_t)~NODE_ON_PATH;
                at->flags |= NODE_ROOTED;
        }
}

static void check_tree(struct check *c)
{
        struct check_node *root = check_nodes_find(&c->nodes, FMT_ROOT_INO);

        if (!root || (!(root->flags & NODE_DAMAGED) && root->type != S_IFDIR >> 12)) {
                check_report(c, "there is no root directory");
        } else if (!(root->flags & NODE_DAMAGED)) {
                root->flags |= NODE_ROOTED;
                if (root->parent != FMT_ROOT_INO)
                        check_report(c, "the root directory's parent is %" PRIu64, root->parent);
                if (root->flags & NODE_UNLINKED)
                        check_report(c, "the root directory is unlinked");
        }
        for (size_t i = 0; i < c->nodes.n; i++)
                if (c->nodes.node[i].flags & NODE_NAMED)
                        check_path(c, &c->nodes.node[i]);
}

int check_names(struct check *c)
{
        _cleanup_cursor_ struct check_cursor cur = { 0 };
        struct directory d = { 0 };
        int r = check_cursor_start_part(c, &cur, REC_PART_DIRENTS);

        for (bool first = true; r >= 0 && cur.valid; first = false) {
                if (first || cur.parsed.ino != d.ino) {
                        if (!first)
                                directory_leave(c, &d);
                        directory_enter(c, &d, cur.parsed.ino);
                }
                check_name(c, &d, &cur);
                r = check_cursor_next(c, &cur);
        }
        if (r < 0)
                return r;
        directory_leave(c, &d);
        check_counts(c);
        check_tree(c);
        return 0;
}
