/* SPDX-License-Identifier: MIT */
#include "reencode.h"

#include <assert.h>

static void append(struct fmt_key *k, const void *data, size_t len)
{
        assert(len <= FMT_KEY_MAX - k->len);
        if (len > 0)
                memcpy(k->data + k->len, data, len);
        k->len += (uint16_t)len;
}

static void block_key(const struct fmt_parsed_key *p, struct fmt_key *k)
{
        uint8_t compression[] = { 'z', 1, (uint8_t)p->algorithm };
        uint8_t parity[] = { 'p', (uint8_t)(p->parity.len >> 8), (uint8_t)p->parity.len };

        fmt_key_block(k, p->ino, p->offset);
        if (p->compressed)
                append(k, compression, sizeof(compression));
        if (p->parity.len > 0) {
                append(k, parity, sizeof(parity));
                append(k, p->parity.data, p->parity.len);
        }
}

void reencode_key(const struct fmt_parsed_key *p, struct fmt_key *k)
{
        switch (p->kind) {
        case FMT_META:
                fmt_key_meta(k);
                return;
        case FMT_META_COUNTER:
                fmt_key_meta_counter(k, (char)p->which);
                return;
        case FMT_INODE:
                fmt_key_inode(k, p->ino);
                return;
        case FMT_LOCK:
                fmt_key_lock(k, p->ino, p->pid, p->name);
                return;
        case FMT_USE:
                fmt_key_use(k, p->ino, p->pid);
                return;
        case FMT_XATTR:
                fmt_key_xattr(k, p->ino, p->name);
                return;
        case FMT_ATTR:
                fmt_key_attr(k, p->ino, p->which);
                return;
        case FMT_DIRENT:
                fmt_key_dirent(k, p->ino, p->name);
                return;
        case FMT_BLOCK:
                block_key(p, k);
                return;
        case FMT_GARBAGE:
                fmt_key_garbage(k, p->ino);
                return;
        case FMT_PROCESS:
                fmt_key_process(k, p->pid);
                return;
        case FMT_STATUS:
                fmt_key_status(k, p->pid);
                append(k, p->name.data, p->name.len);
                return;
        }
        assert(false);
}

static int counter(struct slice value, uint8_t *out)
{
        int64_t n;
        int r = fmt_counter_decode(value, &n);

        if (r < 0)
                return r;
        fmt_counter_encode(n, out);
        return 8;
}

static int attr(uint8_t which, struct slice value, uint8_t *out)
{
        struct timespec t;
        int r;

        switch (which) {
        case FMT_ATTR_CHANGE:
        case FMT_ATTR_NLINK:
                return counter(value, out);
        case FMT_ATTR_TIMES:
                r = fmt_time_decode(value, &t);
                if (r < 0)
                        return r;
                fmt_time_encode(t, out);
                return FMT_TIME_SIZE;
        default:
                return -ENODATA;
        }
}

int reencode_value(const struct fmt_parsed_key *p, struct slice value, uint8_t *out)
{
        struct fmt_scratch scratch;
        union {
                struct fmt_meta meta;
                struct fmt_inode inode;
                struct fmt_lock lock;
                struct fmt_dirent dirent;
                struct fmt_garbage garbage;
                struct fmt_process process;
                struct fmt_status status;
        } u;
        int r;

        switch (p->kind) {
        case FMT_META:
                r = fmt_meta_decode(value, &scratch, &u.meta);
                return r < 0 ? r : (int)fmt_meta_encode(&u.meta, out);
        case FMT_INODE:
                r = fmt_inode_decode(value, &scratch, &u.inode);
                return r < 0 ? r : (int)fmt_inode_encode(&u.inode, out);
        case FMT_LOCK:
                r = fmt_lock_decode(value, &u.lock);
                return r < 0 ? r : (int)fmt_lock_encode(&u.lock, out);
        case FMT_DIRENT:
                r = fmt_dirent_decode(value, &u.dirent);
                return r < 0 ? r : (int)fmt_dirent_encode(&u.dirent, out);
        case FMT_GARBAGE:
                r = fmt_garbage_decode(value, &u.garbage);
                return r < 0 ? r : (int)fmt_garbage_encode(&u.garbage, out);
        case FMT_PROCESS:
                r = fmt_process_decode(value, &scratch, &u.process);
                return r < 0 ? r : (int)fmt_process_encode(&u.process, out);
        case FMT_STATUS:
                if (p->name.len > 0)
                        return -ENODATA;
                r = fmt_status_decode(value, &u.status);
                return r < 0 ? r : (int)fmt_status_encode(&u.status, out);
        case FMT_META_COUNTER:
        case FMT_USE:
                return counter(value, out);
        case FMT_ATTR:
                return attr(p->which, value, out);
        case FMT_XATTR:
        case FMT_BLOCK:
                return -ENODATA;
        }
        return -ENODATA;
}
