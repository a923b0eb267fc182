/* SPDX-License-Identifier: MIT */
/* Making a file system: the metadata block, the counters and the root directory. */
#include "base/rng.h"
#include "maint/maint.h"
#include "record/counter.h"
#include "record/inode.h"
#include "record/session.h"
#include "record/super.h"
#include "record/walk.h"

/* Large blocks suit long files, small ones small changes; see docs/DESIGN.md. The local size fills eight
 * pages of LMDB. */
#define BLOCK_SIZE_LOCAL  32752u
#define BLOCK_SIZE_REMOTE 32768u

struct contents {
        struct fmt_scratch scratch;
        struct fmt_meta meta;
};

/* What the store holds: 0 nothing, 1 a file system (also a damaged one), 2 something else. */
static int look_body(struct kv_txn *t, void *arg)
{
        struct contents *c = arg;
        _cleanup_range_ struct kv_range range = KV_RANGE_NONE;
        struct slice key, value;
        int r = rec_super_read(t, KV_SNAPSHOT, &c->scratch, &c->meta);

        if (r == 0 || r == -ERR_NEWER || r == -ERR_CORRUPT)
                return 1;
        if (r != -ERR_NO_FS)
                return r;
        kv_range_start(t, &range,
                       &(struct kv_range_opts){
                               .begin = rec_keys_begin, .end = rec_keys_end, .limit = 1, .snapshot = true });
        r = kv_range_next(&range, &key, &value);
        return r > 0 ? 2 : r;
}

/* EBUSY if a mount is registered; otherwise the transaction conflicts with registrations. */
static int check_not_mounted(struct kv_txn *t)
{
        int r = rec_session_is_only(t, NULL);

        if (r < 0)
                return r;
        return r > 0 ? 0 : -EBUSY;
}

/* The metadata block goes first, because no other key of a file system is lower: a half erased store has no
 * file system. A local store needs no look at the sessions, because its lock keeps mounts away. */
static int erase_body(struct kv_txn *t, void *arg)
{
        int r = kv_txn_limits(t)->remote ? check_not_mounted(t) : 0;

        return r < 0 ? r : rec_walk_clear(t, rec_keys_begin, rec_keys_end);
}

static int erase(struct kv_store *store)
{
        int r;

        do
                r = kv_run(store, KV_WRITE | KV_IDEMPOTENT | KV_RESERVE, erase_body, NULL);
        while (r > 0);
        return r;
}

struct make {
        struct fmt_meta meta;
        struct fmt_inode root;
};

static int make_body(struct kv_txn *t, void *arg)
{
        const struct make *m = arg;
        int r = rec_super_set(t, &m->meta);

        if (r < 0)
                return r;
        r = rec_counter_set(t, FMT_COUNTER_NEXT_INO, FMT_ROOT_INO + 1);
        if (r < 0)
                return r;
        r = rec_counter_set(t, FMT_COUNTER_INODES, 1);
        if (r < 0)
                return r;
        r = rec_counter_set(t, FMT_COUNTER_EPOCH, 0);
        return r < 0 ? r : rec_inode_store_new(t, FMT_ROOT_INO, &m->root);
}

static int check_options(const struct maint_mkfs_opts *opts, struct err_text *text)
{
        if (opts->block_size != 0 && !fmt_block_size_valid(opts->block_size))
                return err_set(text, EINVAL, "block size %u: must be a multiple of %u from %u to %u",
                               opts->block_size, FMT_BLOCK_SIZE_UNIT, FMT_BLOCK_SIZE_MIN, FMT_BLOCK_SIZE_MAX);
        if (opts->label && strlen(opts->label) > 255)
                return err_set(text, EINVAL, "the label is longer than 255 bytes");
        return 0;
}

/* Checks that the store is empty; with FORCE, empties it. */
static int prepare(struct kv_store *store, bool force, struct err_text *text)
{
        struct contents contents;
        int r = kv_run(store, KV_READ, look_body, &contents);

        if (r > 0 && !force)
                return err_set(text, EEXIST, "the store already holds %s; --force erases it",
                               r == 1 ? "a file system" : "something else");
        if (r > 0)
                r = erase(store);
        if (r == -EBUSY)
                return err_set(text, EBUSY, "the file system is mounted: 'ashlar mounts' says where");
        return r < 0 ? err_set(text, -r, "cannot prepare the store: %s", err_str(r)) : 0;
}

int maint_mkfs(struct kv_store *store, const struct maint_mkfs_opts *opts, const struct clock *clock,
               struct err_text *text)
{
        uint32_t local = kv_limits(store)->remote ? BLOCK_SIZE_REMOTE : BLOCK_SIZE_LOCAL;
        struct timespec now = clock ? clock->now(clock) : clock_system.now(&clock_system);
        struct make m = {
                .meta = {
                        .version = FMT_VERSION,
                        .block_size = opts->block_size != 0 ? opts->block_size : local,
                        .created = now,
                        .label = opts->label ? slice_str(opts->label) : slice_of(NULL, 0),
                },
                .root = {
                        .mode = S_IFDIR | (opts->root_mode != 0 ? opts->root_mode & 07777 : 0755),
                        .uid = opts->root_uid,
                        .gid = opts->root_gid,
                        .nlink = 1,
                        .parent = FMT_ROOT_INO,
                        .atime = now,
                        .mtime = now,
                        .ctime = now,
                        .btime = now,
                },
        };
        int r = check_options(opts, text);

        if (r < 0)
                return r;
        r = prepare(store, opts->force, text);
        if (r < 0)
                return r;
        rng_system(m.meta.uuid, sizeof(m.meta.uuid));
        m.meta.uuid[6] = (m.meta.uuid[6] & 0x0f) | 0x40; /* RFC 9562: version 4, random */
        m.meta.uuid[8] = (m.meta.uuid[8] & 0x3f) | 0x80;
        r = kv_run(store, KV_WRITE | KV_IDEMPOTENT, make_body, &m);
        if (r >= 0)
                r = kv_sync(store);
        return r < 0 ? err_set(text, -r, "cannot write the file system: %s", err_str(r)) : 0;
}
