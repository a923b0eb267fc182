/* SPDX-License-Identifier: MIT */
/* The types of inodes, as inode records and directory entries hold them: st_mode & S_IFMT. */
#ifndef FORMAT_TYPE_H
#define FORMAT_TYPE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* These are stored, so they must be the same everywhere; POSIX leaves the numbers open. */
_Static_assert(S_IFMT == 0170000 && S_IFREG == 0100000 && S_IFDIR == 0040000 && S_IFLNK == 0120000 &&
                       S_IFCHR == 0020000 && S_IFBLK == 0060000 && S_IFIFO == 0010000 && S_IFSOCK == 0140000,
               "file types have other numbers here than in stores");

static inline bool fmt_type_known(uint32_t type)
{
        switch (type) {
        case S_IFREG:
        case S_IFDIR:
        case S_IFLNK:
        case S_IFCHR:
        case S_IFBLK:
        case S_IFIFO:
        case S_IFSOCK:
                return true;
        default:
                return false;
        }
}

#endif
