/* SPDX-License-Identifier: MIT */
/* 'g' inode -> GarbageRecord. */
#include "format/message.h"

size_t fmt_garbage_encode(const struct fmt_garbage *g, uint8_t *out)
{
        Ashlar__GarbageRecord m = ASHLAR__GARBAGE_RECORD__INIT;

        m.epoch = g->epoch;
        return fmt_message_pack(&m.base, FMT_SMALL_MAX, out);
}

int fmt_garbage_decode(struct slice value, struct fmt_garbage *ret)
{
        struct fmt_scratch scratch;
        const Ashlar__GarbageRecord *m =
                fmt_message_unpack(&ashlar__garbage_record__descriptor, value, FMT_SMALL_MAX, &scratch);

        if (!m)
                return -ERR_CORRUPT;
        *ret = (struct fmt_garbage){ .epoch = m->epoch };
        return 0;
}
