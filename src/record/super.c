/* SPDX-License-Identifier: MIT */
#include "record/super.h"

int rec_super_read(struct kv_txn *t, unsigned flags, struct fmt_scratch *scratch, struct fmt_meta *ret)
{
        struct slice value;
        struct fmt_key k;
        int r;

        fmt_key_meta(&k);
        r = kv_get(t, fmt_slice(&k), flags, &value);
        if (r < 0)
                return r == -ENOENT ? -ERR_NO_FS : r;
        return fmt_meta_decode(value, scratch, ret);
}

int rec_super_set(struct kv_txn *t, const struct fmt_meta *meta)
{
        uint8_t value[FMT_SMALL_MAX];
        struct fmt_key k;

        fmt_key_meta(&k);
        return kv_set(t, fmt_slice(&k), slice_of(value, fmt_meta_encode(meta, value)));
}

int rec_super_error(int r, const struct fmt_meta *meta, const char *what, struct err_text *text)
{
        switch (r) {
        case -ERR_NO_FS:
                return err_set(text, ERR_NO_FS,
                               "the store holds no ashlar file system; make one with 'ashlar mkfs'");
        case -ERR_NEWER:
                return err_set(text, ERR_NEWER,
                               "the file system was made by a newer version of ashlar "
                               "(format %u, features %#llx); this is version " ASHLAR_VERSION,
                               meta->version, (unsigned long long)meta->features);
        case -ERR_CORRUPT:
                return err_set(text, ERR_CORRUPT, "the file system's %s is damaged", what);
        default:
                return err_set(text, -r, "cannot read the file system's %s: %s", what, err_str(r));
        }
}
