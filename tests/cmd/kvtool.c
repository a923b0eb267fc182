/* SPDX-License-Identifier: MIT */
/* Makes the stores that the tests of the command line need, and holds one.
 *
 *   kvtool newer STORE          sets an unknown version in the metadata block
 *   kvtool damage STORE         overwrites the metadata block with other bytes
 *   kvtool orphan STORE         adds a name in the root directory for an inode that does not exist
 *   kvtool mount STORE          registers a mount of another boot, and one whose entry cannot be read
 *   kvtool hold STORE OWNER     opens it exclusively, prints "held" and waits for the end of stdin
 *   kvtool foreign DIR          makes an LMDB database there that is no store
 */
#include "format/format.h"
#include "kv/kv.h"

#include <lmdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int set_newer(struct kv_txn *t, void *arg)
{
        struct fmt_scratch scratch = { 0 };
        uint8_t out[FMT_SMALL_MAX];
        struct fmt_meta meta;
        struct fmt_key key;
        struct slice value;
        int r;

        fmt_key_meta(&key);
        r = kv_get(t, fmt_slice(&key), 0, &value);
        if (r >= 0)
                r = fmt_meta_decode(value, &scratch, &meta);
        if (r < 0)
                return r;
        meta.version = FMT_VERSION + 1;
        return kv_set(t, fmt_slice(&key), slice_of(out, fmt_meta_encode(&meta, out)));
}

static int set_damaged(struct kv_txn *t, void *arg)
{
        struct fmt_key key;

        fmt_key_meta(&key);
        return kv_set(t, fmt_slice(&key), slice_str("\xff\xff\xff not a metadata block"));
}

static int set_orphan(struct kv_txn *t, void *arg)
{
        const struct fmt_dirent dirent = { .ino = 123456789, .type = S_IFREG };
        uint8_t out[FMT_DIRENT_MAX];
        struct fmt_key key;

        fmt_key_dirent(&key, FMT_ROOT_INO, slice_str("orphan"));
        return kv_set(t, fmt_slice(&key), slice_of(out, fmt_dirent_encode(&dirent, out)));
}

static int set_mounts(struct kv_txn *t, void *arg)
{
        const struct fmt_process process = {
                .host = slice_str("alpha"),
                .boot_id = slice_str("another boot"),
                .version = slice_str("0"),
                .mountpoint = slice_str("/mnt\x01here"),
                .unix_pid = 4242,
                .start_time = 1,
                .pid_namespace = 1,
                .exclusive = true,
                .registered = { .tv_sec = 1000000000 },
        };
        uint8_t pid[FMT_PID_SIZE] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };
        uint8_t out[FMT_SMALL_MAX];
        struct fmt_key key;
        int r;

        fmt_key_process(&key, pid);
        r = kv_set(t, fmt_slice(&key), slice_of(out, fmt_process_encode(&process, out)));
        if (r < 0)
                return r;
        pid[0] = 0xff;
        fmt_key_process(&key, pid);
        return kv_set(t, fmt_slice(&key), slice_str("\xff no entry"));
}

static int hold(struct kv_store *store)
{
        char c;

        printf("held\n");
        fflush(stdout);
        while (read(STDIN_FILENO, &c, 1) > 0)
                ;
        return 0;
}

static int make_foreign(const char *dir)
{
        MDB_val key = { 5, "hello" }, value = { 5, "world" };
        MDB_env *env;
        MDB_txn *txn;
        MDB_dbi dbi;
        int r;

        r = mdb_env_create(&env);
        if (r == 0)
                r = mdb_env_open(env, dir, 0, 0644);
        if (r == 0)
                r = mdb_txn_begin(env, NULL, 0, &txn);
        if (r == 0)
                r = mdb_dbi_open(txn, NULL, 0, &dbi);
        if (r == 0)
                r = mdb_put(txn, dbi, &key, &value, 0);
        if (r == 0)
                r = mdb_txn_commit(txn);
        if (r != 0) {
                fprintf(stderr, "kvtool: %s: %s\n", dir, mdb_strerror(r));
                return 1;
        }
        mdb_env_close(env);
        return 0;
}

int main(int argc, char **argv)
{
        struct kv_open_opts opts = { .flags = KV_OPEN_EXCLUSIVE, .owner = argc > 3 ? argv[3] : "kvtool" };
        struct kv_store *store;
        struct err_text text;
        kv_body body = NULL;
        int r;

        if (argc < 3)
                return 2;
        if (strcmp(argv[1], "foreign") == 0)
                return make_foreign(argv[2]);
        if (strcmp(argv[1], "newer") == 0)
                body = set_newer;
        else if (strcmp(argv[1], "damage") == 0)
                body = set_damaged;
        else if (strcmp(argv[1], "orphan") == 0)
                body = set_orphan;
        else if (strcmp(argv[1], "mount") == 0)
                body = set_mounts;
        else if (strcmp(argv[1], "hold") != 0)
                return 2;

        if (kv_open(argv[2], &opts, &store, &text) < 0) {
                fprintf(stderr, "kvtool: %s\n", text.text);
                return 1;
        }
        r = body ? kv_run(store, KV_WRITE, body, NULL) : hold(store);
        if (kv_close(store) < 0 || r < 0) {
                fprintf(stderr, "kvtool: %s: %s\n", argv[2], err_str(r));
                return 1;
        }
        return 0;
}
