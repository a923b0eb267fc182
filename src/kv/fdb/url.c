/* SPDX-License-Identifier: MIT */
#include "kv/fdb/url.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define SYSTEM_FILE "/etc/foundationdb/fdb.cluster"
#define PARAMETER   "prefix="

/* Bytes before and after the name, as around a byte string in FoundationDB's tuples. */
enum { NAME_BEGIN = 0x01, NAME_END = 0x00 };

static bool name_is_valid(const char *name)
{
        size_t n = strlen(name);

        for (size_t i = 0; i < n; i++)
                if (!isalnum((unsigned char)name[i]) && !strchr("._-/", name[i]))
                        return false;
        return n > 0 && n <= FDB_NAME_MAX;
}

/* A name has no zero byte, so no prefix is a prefix of another one. */
static size_t make_prefix(const char *name, uint8_t *out)
{
        size_t n = strlen(name);

        out[0] = NAME_BEGIN;
        memcpy(out + 1, name, n);
        out[n + 1] = NAME_END;
        return n + 2;
}

static char *choose_file(const char *given, size_t len)
{
        const char *from_environment = getenv("FDB_CLUSTER_FILE");

        if (len > 0)
                return strndup(given, len);
        return strdup(from_environment && *from_environment ? from_environment : SYSTEM_FILE);
}

int fdb_url_parse(const char *rest, struct fdb_url *ret, struct err_text *text)
{
        const char *question = strchr(rest, '?'), *name = FDB_NAME_DEFAULT;

        if (question) {
                if (strncmp(question + 1, PARAMETER, strlen(PARAMETER)) != 0)
                        return err_set(text, EINVAL, "fdb:%s: after '?' only prefix=NAME may come", rest);
                name = question + 1 + strlen(PARAMETER);
        }
        if (!name_is_valid(name))
                return err_set(text, EINVAL, "fdb:%s: a prefix has 1 to %u letters, digits or . _ - /", rest,
                               FDB_NAME_MAX);
        ret->cluster_file = choose_file(rest, question ? (size_t)(question - rest) : strlen(rest));
        if (!ret->cluster_file)
                return err_set(text, ENOMEM, "out of memory");
        ret->prefix_len = make_prefix(name, ret->prefix);
        return 0;
}

void fdb_url_clear(struct fdb_url *u)
{
        free(u->cluster_file);
        u->cluster_file = NULL;
}
