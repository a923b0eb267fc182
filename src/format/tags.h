/* SPDX-License-Identifier: MIT */
/* The bytes that distinguish the kinds of keys. */
#ifndef FORMAT_TAGS_H
#define FORMAT_TAGS_H

enum {
        TAG_META = 'M',
        TAG_INODE = 'i',
        TAG_DIRENT = 'd',
        TAG_BLOCK = 'f',
        TAG_GARBAGE = 'g',
        TAG_PROCESS = 'p',
        TAG_STATUS = 'l', /* after 'p' */

        /* After 'i' inode. */
        TAG_INODE_LOCK = 0x00,
        TAG_INODE_USE = 0x01,
        TAG_INODE_XATTR = 0x02,
        TAG_INODE_ATTR = 0xfe,

        /* After 'f' inode offset, in this order. */
        TAG_BLOCK_COMPRESSED = 'z', /* then the number of bytes that follow (1), then the algorithm */
        TAG_BLOCK_PARITY = 'p',     /* then the number of bytes that follow as 16-bit BE, then those */
};

#define COMPRESSED_ARGUMENT_SIZE 1u
#define PARITY_MAX               512u /* bytes */

#endif
