/* SPDX-License-Identifier: MIT */
/* Which mounts have ended, as seen from this machine. */
#include "fs/session/internal.h"

bool session_same_text(struct slice text, const char *own)
{
        return *own && slice_eq(text, slice_str(own));
}

static bool is_on_this_machine(const struct fmt_process *entry, const struct process_id *self)
{
        return session_same_text(entry->host, self->host) &&
               session_same_text(entry->boot_id, self->boot_id) && entry->pid_namespace != 0 &&
               entry->pid_namespace == self->pid_namespace;
}

static bool process_has_ended(const struct fmt_process *entry)
{
        return process_is_gone(entry->unix_pid, entry->start_time);
}

/* Processes of an earlier boot have ended, but only this machine's boots are known: two machines may have the
 * same host name. */
static bool is_of_earlier_boot(const struct fmt_process *entry, const struct process_id *self, bool local)
{
        return local && *self->boot_id && entry->boot_id.len > 0 &&
               !session_same_text(entry->boot_id, self->boot_id);
}

bool session_is_gone(const struct fmt_process *entry, const struct process_id *self, bool local,
                     bool (*is_gone)(const struct fmt_process *))
{
        if (is_of_earlier_boot(entry, self, local))
                return true;
        return is_on_this_machine(entry, self) && (is_gone ? is_gone : process_has_ended)(entry);
}

bool fs_mount_is_gone(const struct fmt_process *entry, const struct process_id *self, bool local)
{
        return session_is_gone(entry, self, local, NULL);
}
