/* SPDX-License-Identifier: MIT */
/* Keys and values as text. */
#include "format/format.h"
#include "format/line.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/sysmacros.h>

/* Bytes shown of a value without fields: an extended attribute, a marker, a damaged value. */
#define RAW_SHOWN 64u

static const char *type_name(uint32_t mode)
{
        switch (mode & S_IFMT) {
        case S_IFREG:
                return "file";
        case S_IFDIR:
                return "directory";
        case S_IFLNK:
                return "symlink";
        case S_IFCHR:
                return "character-device";
        case S_IFBLK:
                return "block-device";
        case S_IFIFO:
                return "fifo";
        default:
                return "socket";
        }
}

static void add_raw(struct line *l, struct slice value)
{
        fmt_line_add(l, "%zu bytes ", value.len);
        fmt_line_quoted(l, value, RAW_SHOWN);
}

static void add_time(struct line *l, const char *name, struct timespec t)
{
        fmt_line_add(l, " %s=", name);
        fmt_line_time(l, t);
}

static void add_text(struct line *l, const char *name, struct slice text)
{
        fmt_line_add(l, " %s=", name);
        fmt_line_quoted(l, text, text.len);
}

static void add_pid(struct line *l, const struct fmt_parsed_key *k)
{
        fmt_line_hex(l, k->pid, FMT_PID_SIZE);
}

/* Each add_ function below describes one kind of pair; it returns an error, with nothing added since the
 * last colon, if the value is damaged. */

static int add_meta(struct line *l, struct slice value)
{
        struct fmt_scratch scratch;
        struct fmt_meta m;
        int r;

        fmt_line_add(l, "meta:");
        r = fmt_meta_decode(value, &scratch, &m);
        if (r == -ERR_NEWER) {
                fmt_line_add(l, " version=%" PRIu32 " features=0x%" PRIx64 " newer than this program",
                             m.version, m.features);
                return 0;
        }
        if (r < 0)
                return r;
        fmt_line_add(l, " version=%" PRIu32 " block_size=%" PRIu32 " uuid=", m.version, m.block_size);
        fmt_line_hex(l, m.uuid, sizeof(m.uuid));
        fmt_line_add(l, " features=0x%" PRIx64, m.features);
        add_time(l, "created", m.created);
        add_text(l, "label", m.label);
        return 0;
}

static int add_counter(struct line *l, struct slice value)
{
        int64_t n;
        int r = fmt_counter_decode(value, &n);

        if (r >= 0)
                fmt_line_add(l, " %" PRId64, n);
        return r;
}

static int add_meta_counter(struct line *l, const struct fmt_parsed_key *k, struct slice value)
{
        fmt_line_add(l, "meta %s:",
                     k->which == FMT_COUNTER_NEXT_INO ? "next-inode"
                     : k->which == FMT_COUNTER_INODES ? "inodes"
                                                      : "epoch");
        return add_counter(l, value);
}

static int add_inode(struct line *l, const struct fmt_parsed_key *k, struct slice value)
{
        struct fmt_scratch scratch;
        struct fmt_inode i;
        int r;

        fmt_line_add(l, "inode %" PRIu64 ":", k->ino);
        r = fmt_inode_decode(value, &scratch, &i);
        if (r < 0)
                return r;
        fmt_line_add(l, " %s mode=%04" PRIo32 " uid=%" PRIu32 " gid=%" PRIu32 " nlink=%" PRIu32,
                     type_name(i.mode), i.mode & 07777, i.uid, i.gid, i.nlink);
        fmt_line_add(l, " size=%" PRIu64 " allocated=%" PRIu64, i.size, i.allocated);
        if (i.parent != 0)
                fmt_line_add(l, " parent=%" PRIu64, i.parent);
        if (S_ISCHR(i.mode) || S_ISBLK(i.mode))
                fmt_line_add(l, " rdev=%u:%u", major(i.rdev), minor(i.rdev));
        if (i.trim_from != 0)
                fmt_line_add(l, " trim_from=%" PRIu64, i.trim_from);
        if (i.writer.len > 0) {
                fmt_line_add(l, " writer=");
                fmt_line_hex(l, i.writer.data, i.writer.len);
                fmt_line_add(l, " writing=%" PRIu64, i.writing);
        }
        if (S_ISLNK(i.mode))
                add_text(l, "target", i.target);
        add_time(l, "atime", i.atime);
        add_time(l, "mtime", i.mtime);
        add_time(l, "ctime", i.ctime);
        add_time(l, "btime", i.btime);
        return 0;
}

static int add_lock(struct line *l, const struct fmt_parsed_key *k, struct slice value)
{
        struct fmt_lock lock;
        int r;

        fmt_line_add(l, "inode %" PRIu64 " lock ", k->ino);
        add_pid(l, k);
        fmt_line_add(l, " ");
        fmt_line_quoted(l, k->name, k->name.len);
        fmt_line_add(l, ":");
        r = fmt_lock_decode(value, &lock);
        if (r < 0)
                return r;
        fmt_line_add(l, " %s %s start=%" PRIu64, lock.flock ? "flock" : "posix",
                     lock.type == F_WRLCK ? "write" : "read", lock.start);
        if (lock.end != UINT64_MAX)
                fmt_line_add(l, " end=%" PRIu64, lock.end);
        fmt_line_add(l, " owner=0x%" PRIx64 " unix_pid=%" PRIu64 " sequence=%" PRIu64, lock.owner,
                     lock.unix_pid, lock.sequence);
        return 0;
}

static int add_use(struct line *l, const struct fmt_parsed_key *k, struct slice value)
{
        fmt_line_add(l, "inode %" PRIu64 " use ", k->ino);
        add_pid(l, k);
        fmt_line_add(l, ":");
        return add_counter(l, value);
}

static int add_xattr(struct line *l, const struct fmt_parsed_key *k, struct slice value)
{
        fmt_line_add(l, "inode %" PRIu64 " xattr ", k->ino);
        fmt_line_quoted(l, k->name, k->name.len);
        fmt_line_add(l, ":");
        if (value.len > FMT_XATTR_MAX)
                return -ERR_CORRUPT;
        fmt_line_add(l, " ");
        add_raw(l, value);
        return 0;
}

static int add_attr_time(struct line *l, struct slice value)
{
        struct timespec t;
        int r = fmt_time_decode(value, &t);

        if (r < 0)
                return r;
        fmt_line_add(l, " ");
        fmt_line_time(l, t);
        return 0;
}

static const char *attr_name(uint8_t which)
{
        switch (which) {
        case FMT_ATTR_CHANGE:
                return "change";
        case FMT_ATTR_TIMES:
                return "times";
        case FMT_ATTR_NLINK:
                return "subdirectories";
        case FMT_ATTR_BLOCKS:
                return "blocks";
        case FMT_ATTR_SIZE:
                return "size";
        case FMT_ATTR_CUT:
                return "cut";
        case FMT_ATTR_OWNER:
                return "owner";
        default:
                return "existence";
        }
}

static int add_attr(struct line *l, const struct fmt_parsed_key *k, struct slice value)
{
        fmt_line_add(l, "inode %" PRIu64 " attr %s:", k->ino, attr_name(k->which));
        switch (k->which) {
        case FMT_ATTR_CHANGE:
        case FMT_ATTR_NLINK:
        case FMT_ATTR_BLOCKS:
                return add_counter(l, value);
        case FMT_ATTR_TIMES:
                return add_attr_time(l, value);
        default:
                /* These keys exist only as conflicts; they are never stored. */
                return -ERR_CORRUPT;
        }
}

static int add_dirent(struct line *l, const struct fmt_parsed_key *k, struct slice value)
{
        struct fmt_dirent d;
        int r;

        fmt_line_add(l, "directory %" PRIu64 " entry ", k->ino);
        fmt_line_quoted(l, k->name, k->name.len);
        fmt_line_add(l, ":");
        r = fmt_dirent_decode(value, &d);
        if (r < 0)
                return r;
        fmt_line_add(l, " inode %" PRIu64 " %s", d.ino, type_name(d.type));
        return 0;
}

static void add_block_form(struct line *l, const struct fmt_parsed_key *k)
{
        if (!k->compressed)
                fmt_line_add(l, " plain");
        else if (k->algorithm == FMT_LZ4)
                fmt_line_add(l, " lz4");
        else if (k->algorithm == FMT_ZSTD)
                fmt_line_add(l, " zstd");
        else
                fmt_line_add(l, " algorithm=%u", (unsigned)k->algorithm);
        if (k->parity.len > 0)
                fmt_line_add(l, " parity=%zu", k->parity.len);
}

static int add_block(struct line *l, const struct fmt_parsed_key *k, struct slice value)
{
        fmt_line_add(l, "inode %" PRIu64 " block %" PRIu64, k->ino, k->offset);
        add_block_form(l, k);
        fmt_line_add(l, ": %zu bytes", value.len);
        return 0;
}

static int add_garbage(struct line *l, const struct fmt_parsed_key *k, struct slice value)
{
        struct fmt_garbage g;
        int r;

        fmt_line_add(l, "garbage inode %" PRIu64 ":", k->ino);
        r = fmt_garbage_decode(value, &g);
        if (r >= 0)
                fmt_line_add(l, " epoch=%" PRIu64, g.epoch);
        return r;
}

static int add_process(struct line *l, const struct fmt_parsed_key *k, struct slice value)
{
        struct fmt_scratch scratch;
        struct fmt_process p;
        int r;

        fmt_line_add(l, "process ");
        add_pid(l, k);
        fmt_line_add(l, ":");
        r = fmt_process_decode(value, &scratch, &p);
        if (r < 0)
                return r;
        fmt_line_add(l, p.exclusive ? " exclusive" : " shared");
        add_text(l, "host", p.host);
        add_text(l, "boot_id", p.boot_id);
        fmt_line_add(l, " unix_pid=%" PRIu64 " start_time=%" PRIu64, p.unix_pid, p.start_time);
        add_text(l, "mountpoint", p.mountpoint);
        add_text(l, "version", p.version);
        add_time(l, "registered", p.registered);
        fmt_line_add(l, " inodes=%" PRIu64 "-%" PRIu64, p.ino_first, p.ino_end);
        if (p.pid_namespace != 0)
                fmt_line_add(l, " pid_namespace=%" PRIu64, p.pid_namespace);
        return 0;
}

static int add_status(struct line *l, const struct fmt_parsed_key *k, struct slice value)
{
        struct fmt_status s;
        int r;

        fmt_line_add(l, "status ");
        add_pid(l, k);
        if (k->name.len > 0) {
                fmt_line_add(l, " marker ");
                fmt_line_quoted(l, k->name, k->name.len);
                fmt_line_add(l, ": ");
                add_raw(l, value);
                return 0;
        }
        fmt_line_add(l, ":");
        r = fmt_status_decode(value, &s);
        if (r >= 0)
                fmt_line_add(l, " heartbeat=%" PRIu64 " epoch_acknowledged=%" PRIu64, s.heartbeat,
                             s.epoch_acknowledged);
        return r;
}

static int add_pair(struct line *l, const struct fmt_parsed_key *k, struct slice value)
{
        switch (k->kind) {
        case FMT_META:
                return add_meta(l, value);
        case FMT_META_COUNTER:
                return add_meta_counter(l, k, value);
        case FMT_INODE:
                return add_inode(l, k, value);
        case FMT_LOCK:
                return add_lock(l, k, value);
        case FMT_USE:
                return add_use(l, k, value);
        case FMT_XATTR:
                return add_xattr(l, k, value);
        case FMT_ATTR:
                return add_attr(l, k, value);
        case FMT_DIRENT:
                return add_dirent(l, k, value);
        case FMT_BLOCK:
                return add_block(l, k, value);
        case FMT_GARBAGE:
                return add_garbage(l, k, value);
        case FMT_PROCESS:
                return add_process(l, k, value);
        case FMT_STATUS:
                return add_status(l, k, value);
        }
        return -ERR_CORRUPT;
}

size_t fmt_describe(struct slice key, struct slice value, char *out, size_t cap)
{
        struct fmt_parsed_key k;
        struct line l;

        if (cap == 0)
                return 0;
        fmt_line_start(&l, out, cap);
        if (fmt_key_parse(key, &k) < 0) {
                fmt_line_add(&l, "damaged key ");
                add_raw(&l, key);
                fmt_line_add(&l, ": ");
                add_raw(&l, value);
        } else if (add_pair(&l, &k, value) < 0) {
                fmt_line_add(&l, " damaged value ");
                add_raw(&l, value);
        }
        return l.len;
}
