/* SPDX-License-Identifier: MIT */
#include "cmd/cmd.h"
#include "fs/fs.h"

#include <limits.h>
#include <unistd.h>

int cmd_store_open(const struct cmd_store_opts *o, struct cmd_store *ret, struct err_text *text)
{
        char host[HOST_NAME_MAX + 1] = "", owner[HOST_NAME_MAX + 128];
        const struct kv_open_opts opts = {
                .flags = o->flags,
                .owner = owner,
                .wait_ms = o->wait_ms,
                .connect_ms = o->timeout_ms,
        };
        int r;

        gethostname(host, sizeof(host) - 1);
        snprintf(owner, sizeof(owner), "ashlar %s, process %ld on %s", o->subcommand, (long)getpid(),
                 host[0] ? host : "this machine");
        r = kv_open(o->url, &opts, &ret->kv, text);
        if (r < 0)
                return r;
        ret->bounded = o->timeout_ms > 0;
        if (ret->bounded)
                deadline_begin(&ret->deadline, o->timeout_ms);
        return 0;
}

int cmd_store_close(struct cmd_store *s)
{
        int r = kv_close(s->kv);

        if (s->bounded)
                deadline_end(&s->deadline);
        return r;
}

int cmd_with_store(const struct cmd_store_opts *opts, cmd_body body, void *args)
{
        struct err_text text;
        struct cmd_store store;
        int r, q;

        if (cmd_store_open(opts, &store, &text) < 0)
                return cmd_failed(&text);
        r = body(store.kv, args, &text);
        q = cmd_store_close(&store);
        if (r >= 0 && q < 0)
                r = err_set(&text, -q, "cannot make the changes durable: %s", err_str(q));
        return r < 0 ? cmd_store_failed(opts->url, &text) : cmd_finish_output(r);
}

int cmd_check_fs(struct kv_store *store, struct err_text *text)
{
        const struct fs_open_opts opts = { .rdonly = true };
        struct fs *fs;
        int r = fs_open(store, &opts, &fs, text);

        if (r < 0)
                return r;
        fs_close(fs);
        return 0;
}
