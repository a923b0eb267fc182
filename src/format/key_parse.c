/* SPDX-License-Identifier: MIT */
/* Parsing keys. Strict: only keys that keys.c builds (or block forms of a later version) are accepted, so a
 * parsed key determines the key. */
#include "format/bytes.h"
#include "format/format.h"
#include "format/tags.h"

/* The bytes of a key that are not parsed yet. Each take_ function fails without taking if too few are
 * left. */
struct cursor {
        const uint8_t *at, *end;
};

static size_t left(const struct cursor *c)
{
        return (size_t)(c->end - c->at);
}

static bool take_byte(struct cursor *c, uint8_t *ret)
{
        if (left(c) < 1)
                return false;
        *ret = *c->at++;
        return true;
}

static bool take_number(struct cursor *c, uint64_t *ret)
{
        if (left(c) < sizeof(*ret))
                return false;
        *ret = get_be64(c->at);
        c->at += sizeof(*ret);
        return true;
}

/* Inode 0 does not exist: it means "none" in FUSE and readdir(3). */
static bool take_ino(struct cursor *c, uint64_t *ret)
{
        return take_number(c, ret) && *ret != 0;
}

static bool take_pid(struct cursor *c, const uint8_t **ret)
{
        if (left(c) < FMT_PID_SIZE || *c->at == TAG_STATUS)
                return false;
        *ret = c->at;
        c->at += FMT_PID_SIZE;
        return true;
}

static bool take_tag(struct cursor *c, uint8_t tag)
{
        if (left(c) < 1 || *c->at != tag)
                return false;
        c->at++;
        return true;
}

static struct slice take_rest(struct cursor *c)
{
        struct slice s = slice_of(c->at, left(c));

        c->at = c->end;
        return s;
}

static bool is_xattr_name(struct slice name)
{
        return name.len >= 1 && name.len <= FMT_NAME_MAX && !memchr(name.data, 0, name.len);
}

static bool is_file_name(struct slice name)
{
        if (name.len < 1 || name.len > FMT_NAME_MAX)
                return false;
        if (name.data[0] == '.' && (name.len == 1 || (name.len == 2 && name.data[1] == '.')))
                return false;
        return !memchr(name.data, 0, name.len) && !memchr(name.data, '/', name.len);
}

static bool is_attr(uint8_t which)
{
        switch (which) {
        case FMT_ATTR_CHANGE:
        case FMT_ATTR_TIMES:
        case FMT_ATTR_NLINK:
        case FMT_ATTR_BLOCKS:
        case FMT_ATTR_SIZE:
        case FMT_ATTR_CUT:
        case FMT_ATTR_OWNER:
        case FMT_ATTR_EXIST:
                return true;
        default:
                return false;
        }
}

static bool parse_meta(struct cursor *c, struct fmt_parsed_key *k)
{
        k->kind = FMT_META;
        if (left(c) == 0)
                return true;
        k->kind = FMT_META_COUNTER;
        return take_byte(c, &k->which) && (k->which == 'i' || k->which == 'n' || k->which == 'e');
}

static bool parse_inode(struct cursor *c, struct fmt_parsed_key *k)
{
        uint8_t tag;

        if (!take_ino(c, &k->ino))
                return false;
        k->kind = FMT_INODE;
        if (!take_byte(c, &tag))
                return true;
        switch (tag) {
        case TAG_INODE_LOCK:
                k->kind = FMT_LOCK;
                if (!take_pid(c, &k->pid))
                        return false;
                k->name = take_rest(c);
                return true;
        case TAG_INODE_USE:
                k->kind = FMT_USE;
                return take_pid(c, &k->pid);
        case TAG_INODE_XATTR:
                k->kind = FMT_XATTR;
                k->name = take_rest(c);
                return is_xattr_name(k->name);
        case TAG_INODE_ATTR:
                k->kind = FMT_ATTR;
                return take_byte(c, &k->which) && is_attr(k->which);
        default:
                return false;
        }
}

static bool parse_dirent(struct cursor *c, struct fmt_parsed_key *k)
{
        k->kind = FMT_DIRENT;
        if (!take_ino(c, &k->ino))
                return false;
        k->name = take_rest(c);
        return is_file_name(k->name);
}

static bool parse_compression(struct cursor *c, struct fmt_parsed_key *k)
{
        uint8_t size, algorithm;

        if (!take_byte(c, &size) || size != COMPRESSED_ARGUMENT_SIZE || !take_byte(c, &algorithm))
                return false;
        k->compressed = true;
        k->algorithm = algorithm;
        return true;
}

static bool parse_parity(struct cursor *c, struct fmt_parsed_key *k)
{
        uint8_t high, low;
        size_t len;

        if (!take_byte(c, &high) || !take_byte(c, &low))
                return false;
        len = (size_t)high << 8 | low;
        if (len == 0 || len > PARITY_MAX || len != left(c))
                return false;
        k->parity = take_rest(c);
        return true;
}

static bool parse_block(struct cursor *c, struct fmt_parsed_key *k)
{
        k->kind = FMT_BLOCK;
        if (!take_ino(c, &k->ino) || !take_number(c, &k->offset))
                return false;
        if (take_tag(c, TAG_BLOCK_COMPRESSED) && !parse_compression(c, k))
                return false;
        if (take_tag(c, TAG_BLOCK_PARITY) && !parse_parity(c, k))
                return false;
        return true;
}

static bool parse_process(struct cursor *c, struct fmt_parsed_key *k)
{
        if (!take_tag(c, TAG_STATUS)) {
                k->kind = FMT_PROCESS;
                return take_pid(c, &k->pid);
        }
        k->kind = FMT_STATUS;
        if (!take_pid(c, &k->pid))
                return false;
        k->name = take_rest(c);
        return true;
}

static bool parse(struct cursor *c, struct fmt_parsed_key *k)
{
        uint8_t tag;

        if (!take_byte(c, &tag))
                return false;
        switch (tag) {
        case TAG_META:
                return parse_meta(c, k);
        case TAG_INODE:
                return parse_inode(c, k);
        case TAG_DIRENT:
                return parse_dirent(c, k);
        case TAG_BLOCK:
                return parse_block(c, k);
        case TAG_GARBAGE:
                k->kind = FMT_GARBAGE;
                return take_ino(c, &k->ino);
        case TAG_PROCESS:
                return parse_process(c, k);
        default:
                return false;
        }
}

int fmt_key_parse(struct slice key, struct fmt_parsed_key *ret)
{
        struct cursor c = { .at = key.data, .end = key.data + key.len };
        struct fmt_parsed_key k = { 0 };

        /* Every parser leaves bytes that it does not know, so a key with bytes left is not one of ours. */
        if (key.len == 0 || key.len > FMT_KEY_MAX || !parse(&c, &k) || left(&c) > 0)
                return -ERR_CORRUPT;
        *ret = k;
        return 0;
}
