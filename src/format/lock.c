/* SPDX-License-Identifier: MIT */
/* 'i' inode \x00 pid, anything -> LockRecord. */
#include "format/message.h"

#include <assert.h>
#include <fcntl.h>

static bool lock_valid(const struct fmt_lock *l)
{
        return l->start <= l->end && (l->type == F_RDLCK || l->type == F_WRLCK);
}

size_t fmt_lock_encode(const struct fmt_lock *l, uint8_t *out)
{
        Ashlar__LockRecord m = ASHLAR__LOCK_RECORD__INIT;

        assert(lock_valid(l));
        m.start = l->start;
        m.end = l->end;
        /* Not the number itself: F_RDLCK and F_WRLCK differ between machines. */
        m.write = l->type == F_WRLCK;
        m.owner = l->owner;
        m.unix_pid = l->unix_pid;
        m.sequence = l->sequence;
        m.flock = l->flock;
        return fmt_message_pack(&m.base, FMT_SMALL_MAX, out);
}

int fmt_lock_decode(struct slice value, struct fmt_lock *ret)
{
        struct fmt_scratch scratch;
        const Ashlar__LockRecord *m =
                fmt_message_unpack(&ashlar__lock_record__descriptor, value, FMT_SMALL_MAX, &scratch);
        struct fmt_lock l;

        if (!m)
                return -ERR_CORRUPT;
        l = (struct fmt_lock){
                .start = m->start,
                .end = m->end,
                .type = m->write ? F_WRLCK : F_RDLCK,
                .owner = m->owner,
                .unix_pid = m->unix_pid,
                .sequence = m->sequence,
                .flock = m->flock,
        };
        if (!lock_valid(&l))
                return -ERR_CORRUPT;
        *ret = l;
        return 0;
}
