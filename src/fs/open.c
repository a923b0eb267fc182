/* SPDX-License-Identifier: MIT */
/* Opening and closing a file system. */
#include "base/cleanup.h"
#include "fs/data/data.h"
#include "fs/gc/gc.h"
#include "fs/inode/inode.h"
#include "fs/run.h"
#include "fs/writeback/writeback.h"
#include "record/inode.h"
#include "record/super.h"

struct superblock {
        struct fmt_meta meta;
        struct fmt_scratch scratch; /* of META */
        struct rec_inode root;
        const char *what; /* was being read */
};

static int open_body(struct kv_txn *t, void *arg)
{
        struct superblock *s = arg;
        int r;

        s->what = "metadata block";
        r = rec_super_read(t, KV_SNAPSHOT, &s->scratch, &s->meta);
        if (r < 0)
                return r;
        s->what = "root directory";
        r = rec_inode_load(t, FMT_ROOT_INO, REC_INODE_DIR, KV_SNAPSHOT, &s->root);
        if (r < 0)
                return r == -ENOENT ? -ERR_CORRUPT : r;
        return S_ISDIR(s->root.rec.mode) && s->root.rec.nlink > 0 ? 0 : -ERR_CORRUPT;
}

static void fs_free(struct fs *fs)
{
        fs_gc_free(fs->gc);
        fs_inuse_free(fs->inuse);
        fs_hints_free(fs->hints);
        lock_destroy(&fs->numbers.lock);
        lock_destroy(&fs->reclaim.lock);
        free(fs);
}

DEFINE_CLEANUP(struct fs, fs_free);

static struct fs *fs_new(struct kv_store *store, const struct fs_open_opts *opts)
{
        _cleanup_(fs_free_ptr) struct fs *fs = calloc(1, sizeof(*fs));
        struct hash_seed seed;

        if (!fs)
                return NULL;
        lock_init(&fs->numbers.lock);
        lock_init(&fs->reclaim.lock);
        fs->store = store;
        fs->limits = kv_limits(store);
        fs->clock = opts->clock ? opts->clock : &clock_system;
        fs->rdonly = opts->rdonly;
        fs->remountable = !opts->rdonly || opts->remountable;
        fs->atime = opts->atime;
        fs->session = opts->session;
        fs->shared = opts->session && !fs_session_exclusive(opts->session);
        fs_numbers_init(fs);
        if (opts->hash_seed)
                seed = *opts->hash_seed;
        else
                hash_seed_init(&seed);
        fs->inuse = fs_inuse_new(&seed);
        if (!fs->inuse)
                return NULL;
        if (fs->limits->remote)
                fs->hints = fs_hints_new(&seed); /* without memory for them only slower */
        return steal_ptr(fs);
}

static int start_threads(struct fs *fs, const struct fs_open_opts *opts, struct err_text *text)
{
        int r;

        if (fs->remountable) {
                r = fs_gc_start(fs);
                if (r < 0)
                        return err_set(text, -r, "cannot start a thread: %s", err_str(r));
        }
        if (fs->remountable && opts->writeback) {
                r = fs_writeback_start(fs, opts->writeback);
                if (r < 0) {
                        fs_gc_stop(fs);
                        return err_set(text, -r, "cannot start the write-back cache: %s", err_str(r));
                }
        }
        if (fs->limits->remote && !opts->no_read_ahead)
                (void)fs_readahead_start(fs); /* without it only slower */
        return 0;
}

int fs_open(struct kv_store *store, const struct fs_open_opts *opts, struct fs **ret, struct err_text *text)
{
        _cleanup_(fs_free_ptr) struct fs *fs = fs_new(store, opts);
        struct superblock s;
        int r;

        if (!fs)
                return err_set(text, ENOMEM, "no memory");
        r = fs_run_read(fs, open_body, &s);
        if (r < 0)
                return rec_super_error(r, &s.meta, s.what, text);
        fs->block_size = s.meta.block_size;
        memcpy(fs->uuid, s.meta.uuid, sizeof(fs->uuid));
        r = start_threads(fs, opts, text);
        if (r < 0)
                return r;
        *ret = steal_ptr(fs);
        return 0;
}

static int make_rdonly(struct fs *fs)
{
        int r = fs_sync(fs);

        if (r < 0)
                return r;
        fs->rdonly = true;
        r = fs_gc_remounted(fs);
        if (r >= 0)
                r = fs_sync(fs); /* for what the collector committed in the meantime */
        if (r < 0) {
                fs->rdonly = false;
                (void)fs_gc_remounted(fs);
        }
        return r;
}

int fs_remount(struct fs *fs, bool rdonly, enum fs_atime atime)
{
        if (!rdonly && !fs->remountable)
                return -EROFS;
        if (rdonly && !fs->rdonly) {
                int r = make_rdonly(fs);

                if (r < 0)
                        return r;
        }
        fs->atime = atime;
        if (!rdonly && fs->rdonly) {
                fs->rdonly = false;
                (void)fs_gc_remounted(fs);
        }
        return 0;
}

/* What a full store could not take is flushed again when the collector has cleared all that it may, also what
 * this mount had open. */
int fs_close(struct fs *fs)
{
        int r, q;

        if (!fs)
                return 0;
        fs_readahead_stop(fs);
        r = fs->writeback ? fs_writeback_flush_all(fs) : 0;
        if (fs->gc)
                fs_gc_stop(fs);
        q = fs_writeback_stop(fs);
        fs_free(fs);
        return r >= 0 || r == -ENOSPC ? q : r;
}

uint32_t fs_block_size(const struct fs *fs)
{
        return fs->block_size;
}
