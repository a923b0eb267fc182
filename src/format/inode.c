/* SPDX-License-Identifier: MIT */
/* 'i' inode -> INodeRecord. */
#include "format/message.h"
#include "format/tags.h"
#include "format/timestamp.h"
#include "format/type.h"

#include <assert.h>

/* The writer of dead blocks and the number of its write are both set, or neither. */
static bool writer_valid(const struct fmt_inode *i)
{
        if (i->writer.len == 0)
                return i->writing == 0;
        return i->writer.len == FMT_PID_SIZE && i->writer.data[0] != TAG_STATUS && i->writing != 0 &&
               i->trim_from != 0;
}

static bool target_valid(struct slice target)
{
        return target.len >= 1 && target.len <= FMT_SYMLINK_MAX && !memchr(target.data, 0, target.len);
}

/* Rules of every stored record: checked when it is read, asserted when it is written. */
static bool inode_valid(const struct fmt_inode *i)
{
        bool dir = S_ISDIR(i->mode), device = S_ISCHR(i->mode) || S_ISBLK(i->mode);

        if (!fmt_type_known(i->mode & S_IFMT) || (i->mode & ~(uint32_t)(S_IFMT | 07777)) != 0)
                return false;
        if (i->size > INT64_MAX)
                return false;
        if (S_ISLNK(i->mode) ? !target_valid(i->target) : i->target.len > 0)
                return false;
        if (i->rdev != 0 && !device)
                return false;
        if ((i->trim_from != 0 && !S_ISREG(i->mode)) || !writer_valid(i))
                return false;
        /* Only a removed directory that is still open may have no parent. */
        if (dir ? i->size != 0 || (i->parent == 0 && i->nlink != 0) : i->parent != 0)
                return false;
        return fmt_timestamp_valid(i->atime) && fmt_timestamp_valid(i->mtime) &&
               fmt_timestamp_valid(i->ctime) && fmt_timestamp_valid(i->btime);
}

size_t fmt_inode_encode(const struct fmt_inode *i, uint8_t *out)
{
        Ashlar__INodeRecord m = ASHLAR__INODE_RECORD__INIT;

        assert(inode_valid(i));
        m.mode = i->mode;
        m.uid = i->uid;
        m.gid = i->gid;
        m.nlink = i->nlink;
        m.size = i->size;
        m.allocated = i->allocated;
        m.atime_sec = i->atime.tv_sec;
        m.atime_nsec = (uint32_t)i->atime.tv_nsec;
        m.mtime_sec = i->mtime.tv_sec;
        m.mtime_nsec = (uint32_t)i->mtime.tv_nsec;
        m.ctime_sec = i->ctime.tv_sec;
        m.ctime_nsec = (uint32_t)i->ctime.tv_nsec;
        m.btime_sec = i->btime.tv_sec;
        m.btime_nsec = (uint32_t)i->btime.tv_nsec;
        m.parent = i->parent;
        m.rdev = i->rdev;
        m.trim_from = i->trim_from;
        m.target = fmt_message_bytes(i->target, FMT_SYMLINK_MAX);
        m.writer = fmt_message_bytes(i->writer, FMT_PID_SIZE);
        m.writing = i->writing;
        return fmt_message_pack(&m.base, FMT_INODE_MAX, out);
}

int fmt_inode_decode(struct slice value, struct fmt_scratch *scratch, struct fmt_inode *ret)
{
        const Ashlar__INodeRecord *m =
                fmt_message_unpack(&ashlar__inode_record__descriptor, value, FMT_INODE_MAX, scratch);
        struct fmt_inode i;

        if (!m)
                return -ERR_CORRUPT;
        i = (struct fmt_inode){
                .mode = m->mode,
                .uid = m->uid,
                .gid = m->gid,
                .nlink = m->nlink,
                .size = m->size,
                .allocated = m->allocated,
                .rdev = m->rdev,
                .parent = m->parent,
                .trim_from = m->trim_from,
                .target = fmt_message_slice(m->target),
                .writer = fmt_message_slice(m->writer),
                .writing = m->writing,
        };
        if (!fmt_timestamp_make(m->atime_sec, m->atime_nsec, &i.atime) ||
            !fmt_timestamp_make(m->mtime_sec, m->mtime_nsec, &i.mtime) ||
            !fmt_timestamp_make(m->ctime_sec, m->ctime_nsec, &i.ctime) ||
            !fmt_timestamp_make(m->btime_sec, m->btime_nsec, &i.btime) || !inode_valid(&i))
                return -ERR_CORRUPT;
        *ret = i;
        return 0;
}
