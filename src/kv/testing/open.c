/* SPDX-License-Identifier: MIT */
#include "kv/testing/mem/mem.h"
#include "kv/testing/testing.h"

#include <string.h>

int kv_testing_open(const char *url, const struct kv_open_opts *opts, struct kv_store **ret,
                    struct err_text *text)
{
        if (strncmp(url, "mem:", 4) == 0)
                return kv_mem_open(url + 4, opts, ret, text);
        return kv_open(url, opts, ret, text);
}
