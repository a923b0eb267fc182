/* SPDX-License-Identifier: MIT */
/* Building keys. key_parse.c is the other direction. */
#include "format/bytes.h"
#include "format/format.h"
#include "format/tags.h"

#include <assert.h>

static void start(struct fmt_key *k, uint8_t prefix)
{
        k->data[0] = prefix;
        k->len = 1;
}

static void add_byte(struct fmt_key *k, uint8_t byte)
{
        assert(k->len < FMT_KEY_MAX);
        k->data[k->len++] = byte;
}

static void add_number(struct fmt_key *k, uint64_t n)
{
        assert(k->len + sizeof(n) <= FMT_KEY_MAX);
        put_be64(k->data + k->len, n);
        k->len += sizeof(n);
}

static void add_bytes(struct fmt_key *k, const void *data, size_t len)
{
        assert(len <= FMT_KEY_MAX - k->len);
        if (len > 0)
                memcpy(k->data + k->len, data, len);
        k->len += (uint16_t)len;
}

bool fmt_pid_valid(const uint8_t pid[FMT_PID_SIZE])
{
        return pid[0] != TAG_STATUS;
}

static void add_pid(struct fmt_key *k, const uint8_t pid[FMT_PID_SIZE])
{
        /* Otherwise the entry 'p' pid could be taken for a status 'p' 'l' pid. */
        assert(fmt_pid_valid(pid));
        add_bytes(k, pid, FMT_PID_SIZE);
}

/* The first key after all that begin with PREFIX INO. */
static void end_of(struct fmt_key *k, uint8_t prefix, uint64_t ino)
{
        if (ino == UINT64_MAX) {
                start(k, prefix + 1);
                return;
        }
        start(k, prefix);
        add_number(k, ino + 1);
}

const char *fmt_prefixes_without_processes(void)
{
        static const char prefixes[] = { TAG_META, TAG_INODE, TAG_DIRENT, TAG_BLOCK, TAG_GARBAGE, '\0' };

        return prefixes;
}

void fmt_key_meta(struct fmt_key *k)
{
        start(k, TAG_META);
}

void fmt_key_meta_counter(struct fmt_key *k, enum fmt_counter which)
{
        start(k, TAG_META);
        add_byte(k, (uint8_t)which);
}

void fmt_key_inode(struct fmt_key *k, uint64_t ino)
{
        start(k, TAG_INODE);
        add_number(k, ino);
}

void fmt_key_lock(struct fmt_key *k, uint64_t ino, const uint8_t pid[FMT_PID_SIZE], struct slice rest)
{
        fmt_key_inode(k, ino);
        add_byte(k, TAG_INODE_LOCK);
        add_pid(k, pid);
        add_bytes(k, rest.data, rest.len);
}

void fmt_key_use(struct fmt_key *k, uint64_t ino, const uint8_t pid[FMT_PID_SIZE])
{
        fmt_key_inode(k, ino);
        add_byte(k, TAG_INODE_USE);
        add_pid(k, pid);
}

void fmt_key_xattr(struct fmt_key *k, uint64_t ino, struct slice name)
{
        assert(name.len <= FMT_NAME_MAX);
        fmt_key_inode(k, ino);
        add_byte(k, TAG_INODE_XATTR);
        add_bytes(k, name.data, name.len);
}

void fmt_key_attr(struct fmt_key *k, uint64_t ino, enum fmt_attr attr)
{
        fmt_key_inode(k, ino);
        add_byte(k, TAG_INODE_ATTR);
        add_byte(k, (uint8_t)attr);
}

void fmt_key_inode_end(struct fmt_key *k, uint64_t ino)
{
        end_of(k, TAG_INODE, ino);
}

void fmt_key_dirent(struct fmt_key *k, uint64_t dir, struct slice name)
{
        assert(name.len <= FMT_NAME_MAX);
        start(k, TAG_DIRENT);
        add_number(k, dir);
        add_bytes(k, name.data, name.len);
}

void fmt_key_dirent_after(struct fmt_key *k, uint64_t dir, struct slice name)
{
        fmt_key_dirent(k, dir, name);
        /* No name contains a zero byte, so nothing sorts between. */
        add_byte(k, 0);
}

void fmt_key_dir_end(struct fmt_key *k, uint64_t dir)
{
        end_of(k, TAG_DIRENT, dir);
}

void fmt_key_block(struct fmt_key *k, uint64_t ino, uint64_t offset)
{
        start(k, TAG_BLOCK);
        add_number(k, ino);
        add_number(k, offset);
}

void fmt_key_block_end(struct fmt_key *k, uint64_t ino)
{
        end_of(k, TAG_BLOCK, ino);
}

void fmt_key_garbage(struct fmt_key *k, uint64_t ino)
{
        start(k, TAG_GARBAGE);
        add_number(k, ino);
}

void fmt_key_garbage_end(struct fmt_key *k)
{
        start(k, TAG_GARBAGE + 1);
}

void fmt_key_process(struct fmt_key *k, const uint8_t pid[FMT_PID_SIZE])
{
        start(k, TAG_PROCESS);
        add_pid(k, pid);
}

void fmt_key_status(struct fmt_key *k, const uint8_t pid[FMT_PID_SIZE])
{
        start(k, TAG_PROCESS);
        add_byte(k, TAG_STATUS);
        add_pid(k, pid);
}

void fmt_key_status_end(struct fmt_key *k, const uint8_t pid[FMT_PID_SIZE])
{
        fmt_key_status(k, pid);
        /* The tag in front keeps it from running out. */
        while (k->data[k->len - 1] == 0xff)
                k->len--;
        k->data[k->len - 1]++;
}

void fmt_key_processes(unsigned half, struct fmt_key *begin, struct fmt_key *end)
{
        start(begin, TAG_PROCESS);
        start(end, TAG_PROCESS);
        if (half == 0) {
                add_byte(end, TAG_STATUS);
        } else {
                add_byte(begin, TAG_STATUS + 1);
                end->data[0]++;
        }
}
