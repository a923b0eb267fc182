/* SPDX-License-Identifier: MIT */
#include "kv/lmdb/key.h"

enum { MAPPED_EMPTY = 1, MAPPED_ZERO = 2 };

struct slice lmdb_key_map(struct slice key, uint8_t *buf)
{
        if (key.len > 0 && key.data[0] != 0)
                return key;
        buf[0] = 0;
        buf[1] = key.len == 0 ? MAPPED_EMPTY : MAPPED_ZERO;
        if (key.len > 0)
                memcpy(buf + 2, key.data, key.len);
        return slice_of(buf, key.len + 2);
}

int lmdb_key_unmap(struct slice mapped, struct slice *ret)
{
        if (mapped.len == 0 || mapped.len > LMDB_MAPPED_MAX)
                return -ERR_CORRUPT;
        if (mapped.data[0] != 0) {
                if (mapped.len > KV_KEY_MAX)
                        return -ERR_CORRUPT;
                *ret = mapped;
                return 0;
        }
        if (mapped.len == 2 && mapped.data[1] == MAPPED_EMPTY) {
                *ret = slice_of(mapped.data + 2, 0);
                return 0;
        }
        if (mapped.len < 3 || mapped.data[1] != MAPPED_ZERO || mapped.data[2] != 0)
                return -ERR_CORRUPT;
        *ret = slice_of(mapped.data + 2, mapped.len - 2);
        return 0;
}
