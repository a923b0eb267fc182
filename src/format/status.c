/* SPDX-License-Identifier: MIT */
/* 'p' 'l' pid -> ProcessStatus. */
#include "format/message.h"

size_t fmt_status_encode(const struct fmt_status *s, uint8_t *out)
{
        Ashlar__ProcessStatus m = ASHLAR__PROCESS_STATUS__INIT;

        m.heartbeat = s->heartbeat;
        m.epoch_acknowledged = s->epoch_acknowledged;
        return fmt_message_pack(&m.base, FMT_SMALL_MAX, out);
}

int fmt_status_decode(struct slice value, struct fmt_status *ret)
{
        struct fmt_scratch scratch;
        const Ashlar__ProcessStatus *m =
                fmt_message_unpack(&ashlar__process_status__descriptor, value, FMT_SMALL_MAX, &scratch);

        if (!m)
                return -ERR_CORRUPT;
        *ret = (struct fmt_status){
                .heartbeat = m->heartbeat,
                .epoch_acknowledged = m->epoch_acknowledged,
        };
        return 0;
}
