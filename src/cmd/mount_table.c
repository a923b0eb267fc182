/* SPDX-License-Identifier: MIT */
#include "cmd/mount_table.h"

#include "fs/session/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* State of mount_table_read. */
struct reading {
        struct mount_table *table;
        struct process_id self;
        bool local;
};

static void copy_text(char *out, size_t cap, struct slice text)
{
        size_t n = text.len < cap - 1 ? text.len : cap - 1;

        if (n > 0)
                memcpy(out, text.data, n);
        out[n] = '\0';
}

static enum mount_state state_of(const struct reading *g, const struct rec_session *m)
{
        const struct process_id *self = &g->self;
        const struct fmt_process *e = &m->entry;

        if (m->damaged)
                return MOUNT_UNKNOWN;
        if (fs_mount_is_gone(e, self, g->local))
                return MOUNT_GONE;
        /* If its process can be seen from here, it is not gone, so it runs. */
        if (*self->host && slice_eq(e->host, slice_str(self->host)) && *self->boot_id &&
            slice_eq(e->boot_id, slice_str(self->boot_id)) && e->pid_namespace != 0 &&
            e->pid_namespace == self->pid_namespace)
                return MOUNT_RUNS;
        return MOUNT_UNKNOWN;
}

static int add_row(const struct rec_session *m, void *arg)
{
        struct reading *g = arg;
        struct mount_table *t = g->table;
        struct mount_row *rows = reallocarray(t->rows, t->n + 1, sizeof(*rows)), *row;

        if (!rows)
                return -ENOMEM;
        t->rows = rows;
        row = &rows[t->n++];
        *row = (struct mount_row){
                .state = state_of(g, m),
                .damaged = m->damaged,
                .exclusive = m->entry.exclusive,
                .unix_pid = m->entry.unix_pid,
                .start_time = m->entry.start_time,
                .pid_namespace = m->entry.pid_namespace,
                .heartbeat = m->heartbeat,
                .since = m->entry.registered,
        };
        memcpy(row->pid, m->pid, FMT_PID_SIZE);
        for (size_t i = 0; i < FMT_PID_SIZE; i++)
                snprintf(row->id + 2 * i, 3, "%02x", m->pid[i]);
        copy_text(row->host, sizeof(row->host), m->entry.host);
        copy_text(row->boot_id, sizeof(row->boot_id), m->entry.boot_id);
        copy_text(row->mountpoint, sizeof(row->mountpoint), m->entry.mountpoint);
        copy_text(row->version, sizeof(row->version), m->entry.version);
        return 0;
}

int mount_table_read(struct kv_store *store, struct mount_table *ret)
{
        struct reading g = { .table = ret, .local = !kv_limits(store)->remote };

        *ret = (struct mount_table){ .n = 0 };
        process_self(&g.self);
        return rec_session_each(store, add_row, &g);
}

void mount_table_clear(struct mount_table *t)
{
        free(t->rows);
        *t = (struct mount_table){ .n = 0 };
}

const struct mount_row *mount_table_find(const struct mount_table *t, const char *id)
{
        for (size_t i = 0; i < t->n; i++)
                if (strcmp(t->rows[i].id, id) == 0)
                        return &t->rows[i];
        return NULL;
}
