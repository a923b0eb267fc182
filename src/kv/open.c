/* SPDX-License-Identifier: MIT */
/* Opens a store by its URL. */
#include "kv/open.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

static const struct {
        const char *scheme;
        int (*open)(const char *rest, const struct kv_open_opts *opts, struct kv_store **ret,
                    struct err_text *text);
} engines[] = {
        { "fdb", kv_fdb_open },
        { "lmdb", kv_lmdb_open },
};

/* The length of a URL's scheme before its colon; 0 for a plain path. A path that looks like a URL can be
 * written with "./" in front of it. */
static size_t scheme_len(const char *url)
{
        size_t n = 0;

        while (isalnum((unsigned char)url[n]) || (n > 0 && strchr("+-.", url[n]) && url[n]))
                n++;
        return n > 0 && url[n] == ':' ? n : 0;
}

int kv_open(const char *url, const struct kv_open_opts *opts, struct kv_store **ret, struct err_text *text)
{
        size_t n = scheme_len(url);

        if (url[0] == '\0')
                return err_set(text, EINVAL, "the store's name is empty; give a directory or lmdb:PATH");
        if (n == 0)
                return kv_lmdb_open(url, opts, ret, text);
        for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++)
                if (strlen(engines[i].scheme) == n && memcmp(engines[i].scheme, url, n) == 0)
                        return engines[i].open(url + n + 1, opts, ret, text);
        return err_set(text, EINVAL,
                       "%s: unknown kind of store '%.*s'; use lmdb:PATH, a plain path or fdb:", url, (int)n,
                       url);
}
