/* SPDX-License-Identifier: MIT */
#include "kv/lmdb/version.h"

#include "kv/lmdb/internal.h"

_Static_assert(sizeof(size_t) == 8,
               "LMDB's files have the machine's word size, and check.c reads 64-bit ones");
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "LMDB's files have the machine's byte order, and check.c reads little-endian ones"
#endif

int lmdb_check_version(int major, int minor, int patch, struct err_text *text)
{
        if (major == LMDB_MAJOR && minor == LMDB_MINOR && patch >= LMDB_PATCH_MIN && patch <= LMDB_PATCH_MAX)
                return 0;
        return err_set(text, ENOTSUP, "LMDB %d.%d.%d is not supported: install liblmdb %d.%d.%d to %d.%d.%d",
                       major, minor, patch, LMDB_MAJOR, LMDB_MINOR, LMDB_PATCH_MIN, LMDB_MAJOR, LMDB_MINOR,
                       LMDB_PATCH_MAX);
}

int lmdb_check_sizes(unsigned key_bytes, unsigned page_bytes, const char *path, struct err_text *text)
{
        if (key_bytes < LMDB_KEY_MAX)
                return err_set(
                        text, ENOTSUP,
                        "this liblmdb was built for keys of %u bytes: install one that was built for %u "
                        "(MDB_MAXKEYSIZE)",
                        key_bytes, LMDB_KEY_MAX);
        if (page_bytes < LMDB_PAGE_MIN)
                return err_set(
                        text, ENOTSUP,
                        "%s: the store has pages of %u bytes, at least %u are supported: copy it to a new "
                        "store on this machine",
                        path, page_bytes, LMDB_PAGE_MIN);
        return 0;
}
