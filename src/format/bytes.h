/* SPDX-License-Identifier: MIT */
/* Integers of fixed width as bytes, independent of the machine's byte order and alignment. */
#ifndef FORMAT_BYTES_H
#define FORMAT_BYTES_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline void put_be32(uint8_t *p, uint32_t v)
{
        v = htobe32(v);
        memcpy(p, &v, sizeof(v));
}

static inline void put_be64(uint8_t *p, uint64_t v)
{
        v = htobe64(v);
        memcpy(p, &v, sizeof(v));
}

static inline void put_le64(uint8_t *p, uint64_t v)
{
        v = htole64(v);
        memcpy(p, &v, sizeof(v));
}

static inline uint32_t get_be32(const uint8_t *p)
{
        uint32_t v;

        memcpy(&v, p, sizeof(v));
        return be32toh(v);
}

static inline uint64_t get_be64(const uint8_t *p)
{
        uint64_t v;

        memcpy(&v, p, sizeof(v));
        return be64toh(v);
}

static inline uint64_t get_le64(const uint8_t *p)
{
        uint64_t v;

        memcpy(&v, p, sizeof(v));
        return le64toh(v);
}

#endif
