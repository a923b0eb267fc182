/* SPDX-License-Identifier: MIT */
/* A mount in the foreground over a stand-in for a cluster (tests/kv/fdb) inside this process: for away.sh.
 *
 *     standin_mount CLUSTER_FILE DIR [-o OPTIONS]
 *
 * Makes a file system, mounts it and reads commands for the cluster from its standard input: "refuse" (every
 * commit), "away" and "back". They are confirmed on standard error. When the mount has ended, the cluster is
 * back, and each name in the root directory is printed. The exit code is that of `ashlar mount -f`.
 */
#include "cmd/cmd.h"
#include "format/format.h"
#include "fs/fs.h"
#include "kv/kv.h"
#include "mount/serve.h"
#include "mount/signals.h"

#include "../kv/fdb/standin/standin.h"
#include "maint/maint.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static standin_set_bool_fn set_away;
static standin_set_faults_fn set_faults;

static void die(const char *what, const char *why)
{
        fprintf(stderr, "standin_mount: %s: %s\n", what, why);
        exit(99);
}

static void refuse(bool on)
{
        const struct standin_faults faults = { .seed = 1, .conflict_ppm = on ? 1000000 : 0 };

        set_faults(&faults);
}

static void back(void)
{
        refuse(false);
        set_away(false);
}

static void find_controls(void)
{
        void *library = dlopen(getenv("ASHLAR_FDB_LIB"), RTLD_NOW | RTLD_LOCAL);

        if (!library)
                die("no stand-in", dlerror());
        *(void **)&set_away = dlsym(library, "standin_set_away");
        *(void **)&set_faults = dlsym(library, "standin_set_faults");
        if (!set_away || !set_faults)
                die("no stand-in", dlerror());
}

static void *obey(void *unused)
{
        char line[64];

        while (fgets(line, sizeof(line), stdin)) {
                if (strcmp(line, "refuse\n") == 0)
                        refuse(true);
                else if (strcmp(line, "away\n") == 0)
                        set_away(true);
                else if (strcmp(line, "back\n") == 0)
                        back();
                else
                        die("order", line);
                fprintf(stderr, "done: %s", line);
        }
        return unused;
}

static struct kv_store *open_store(const char *url)
{
        const struct kv_open_opts opts = { .flags = KV_OPEN_CREATE };
        struct err_text text;
        struct kv_store *store;

        if (kv_open(url, &opts, &store, &text) < 0)
                die(url, text.text);
        return store;
}

static void make(const char *url)
{
        const struct maint_mkfs_opts opts = { .root_mode = 0777, .force = true };
        struct kv_store *store = open_store(url);
        struct err_text text;

        kv_set_markers(store, slice_str("plthe mark of a test"));
        if (maint_mkfs(store, &opts, &clock_system, &text) < 0)
                die(url, text.text);
        kv_close(store);
}

static int print_name(const struct fs_entry *e, void *arg)
{
        printf("%.*s\n", (int)e->name.len, (const char *)e->name.data);
        return 1;
}

static void print_names(const char *url)
{
        const struct fs_open_opts opts = { .rdonly = true };
        struct kv_store *store = open_store(url);
        struct err_text text;
        struct fs *fs;

        if (fs_open(store, &opts, &fs, &text) < 0)
                die(url, text.text);
        if (fs_readdir(fs, FMT_ROOT_INO, slice_str(""), 0, print_name, NULL) < 0)
                die(url, "cannot be read");
        fs_close(fs);
        kv_close(store);
}

int main(int argc, char **argv)
{
        struct mount_job job = { .dir = argc > 2 ? argv[2] : NULL };
        struct err_text text;
        pthread_t thread;
        char url[512];
        int r;

        if (argc < 3)
                die("usage", "standin_mount CLUSTER_FILE DIR [-o OPTIONS]");
        snprintf(url, sizeof(url), "fdb:%s?prefix=away", argv[1]);
        job.url = url;
        mount_options_init(&job.options, false);
        if (argc > 4 && mount_options_parse(&job.options, argv[4], false, &text) < 0)
                die("options", text.text);
        mount_signals_block(); /* before there are threads */
        make(url);
        find_controls();
        if (pthread_create(&thread, NULL, obey, NULL) != 0)
                die("set up", "no thread");
        pthread_detach(thread);
        r = mount_serve(&job, &text);
        if (r < 0)
                fprintf(stderr, "ashlar: %s\n", text.text);
        set_away(false); /* commits in progress are still refused after "refuse" */
        print_names(url);
        fflush(stdout);
        return r < 0 ? CMD_FAILED : CMD_OK;
}
