/* SPDX-License-Identifier: MIT */
/* 'M' -> MetaBlock. */
#include "format/message.h"
#include "format/timestamp.h"

#include <assert.h>

/* Bits of fmt_meta.features that this program knows. None is assigned yet. */
#define FEATURES_KNOWN UINT64_C(0)

enum { LABEL_MAX = 255 };

static bool meta_valid(const struct fmt_meta *m)
{
        return m->version != 0 && fmt_block_size_valid(m->block_size) && m->label.len <= LABEL_MAX &&
               fmt_timestamp_valid(m->created);
}

size_t fmt_meta_encode(const struct fmt_meta *m, uint8_t *out)
{
        Ashlar__MetaBlock b = ASHLAR__META_BLOCK__INIT;

        assert(meta_valid(m));
        b.version = m->version;
        b.block_size = m->block_size;
        b.uuid = fmt_message_bytes(slice_of(m->uuid, sizeof(m->uuid)), sizeof(m->uuid));
        b.features = m->features;
        b.created_sec = m->created.tv_sec;
        b.created_nsec = (uint32_t)m->created.tv_nsec;
        b.label = fmt_message_bytes(m->label, LABEL_MAX);
        return fmt_message_pack(&b.base, FMT_SMALL_MAX, out);
}

int fmt_meta_decode(struct slice value, struct fmt_scratch *scratch, struct fmt_meta *ret)
{
        const Ashlar__MetaBlock *b =
                fmt_message_unpack(&ashlar__meta_block__descriptor, value, FMT_SMALL_MAX, scratch);
        struct fmt_meta m;

        if (!b)
                return -ERR_CORRUPT;
        /* First, because a newer version may define the other fields differently. */
        if (b->version > FMT_VERSION || (b->features & ~FEATURES_KNOWN) != 0) {
                *ret = (struct fmt_meta){ .version = b->version, .features = b->features };
                return -ERR_NEWER;
        }
        m = (struct fmt_meta){
                .version = b->version,
                .block_size = b->block_size,
                .features = b->features,
                .label = fmt_message_slice(b->label),
        };
        if (b->uuid.len != sizeof(m.uuid))
                return -ERR_CORRUPT;
        memcpy(m.uuid, b->uuid.data, sizeof(m.uuid));
        if (!fmt_timestamp_make(b->created_sec, b->created_nsec, &m.created) || !meta_valid(&m))
                return -ERR_CORRUPT;
        *ret = m;
        return 0;
}
