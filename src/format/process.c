/* SPDX-License-Identifier: MIT */
/* 'p' pid -> ProcessTableEntry. */
#include "format/message.h"
#include "format/timestamp.h"

#include <assert.h>

/* Bytes of the texts. They are for people, so the encoder cuts longer ones. */
enum { HOST_MAX = 255, BOOT_ID_MAX = 64, MOUNTPOINT_MAX = 1000, VERSION_MAX = 64 };

static bool process_valid(const struct fmt_process *p)
{
        return p->ino_first <= p->ino_end && fmt_timestamp_valid(p->registered);
}

size_t fmt_process_encode(const struct fmt_process *p, uint8_t *out)
{
        Ashlar__ProcessTableEntry m = ASHLAR__PROCESS_TABLE_ENTRY__INIT;

        assert(process_valid(p));
        m.host = fmt_message_bytes(p->host, HOST_MAX);
        m.boot_id = fmt_message_bytes(p->boot_id, BOOT_ID_MAX);
        m.mountpoint = fmt_message_bytes(p->mountpoint, MOUNTPOINT_MAX);
        m.version = fmt_message_bytes(p->version, VERSION_MAX);
        m.unix_pid = p->unix_pid;
        m.start_time = p->start_time;
        m.registered_sec = p->registered.tv_sec;
        m.registered_nsec = (uint32_t)p->registered.tv_nsec;
        m.exclusive = p->exclusive;
        m.inode_first = p->ino_first;
        m.inode_end = p->ino_end;
        m.pid_namespace = p->pid_namespace;
        return fmt_message_pack(&m.base, FMT_SMALL_MAX, out);
}

int fmt_process_decode(struct slice value, struct fmt_scratch *scratch, struct fmt_process *ret)
{
        const Ashlar__ProcessTableEntry *m =
                fmt_message_unpack(&ashlar__process_table_entry__descriptor, value, FMT_SMALL_MAX, scratch);
        struct fmt_process p;

        if (!m)
                return -ERR_CORRUPT;
        if (m->host.len > HOST_MAX || m->boot_id.len > BOOT_ID_MAX || m->mountpoint.len > MOUNTPOINT_MAX ||
            m->version.len > VERSION_MAX)
                return -ERR_CORRUPT;
        p = (struct fmt_process){
                .host = fmt_message_slice(m->host),
                .boot_id = fmt_message_slice(m->boot_id),
                .mountpoint = fmt_message_slice(m->mountpoint),
                .version = fmt_message_slice(m->version),
                .unix_pid = m->unix_pid,
                .start_time = m->start_time,
                .exclusive = m->exclusive,
                .ino_first = m->inode_first,
                .ino_end = m->inode_end,
                .pid_namespace = m->pid_namespace,
        };
        if (!fmt_timestamp_make(m->registered_sec, m->registered_nsec, &p.registered) || !process_valid(&p))
                return -ERR_CORRUPT;
        *ret = p;
        return 0;
}
