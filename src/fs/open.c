/* SPDX-License-Identifier: MIT */
/* Opening and closing a file system, and what concerns it as a whole. */
#include "base/cleanup.h"
#include "fs/data/data.h"
#include "fs/gc/gc.h"
#include "fs/inode/inode.h"
#include "fs/run.h"
#include "fs/session/session.h"
#include "fs/writeback/writeback.h"
#include "record/inode.h"
#include "record/super.h"

/* What fs_open reads. */
struct superblock {
        struct fs *fs;
        struct fmt_meta meta;
        struct fmt_scratch scratch; /* of the meta */
        struct rec_inode root;
        const char *what; /* is damaged or cannot be read */
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
        if (r == -ENOENT || (r >= 0 && (!S_ISDIR(s->root.rec.mode) || s->root.rec.nlink == 0)))
                r = -ERR_CORRUPT;
        return r;
}

static void fs_free(struct fs *fs)
{
        fs_inuse_free(fs->inuse);
        fs_hints_free(fs->hints);
        pthread_mutex_destroy(&fs->numbers.lock);
        pthread_mutex_destroy(&fs->reclaim.lock);
        free(fs);
}

DEFINE_CLEANUP(struct fs, fs_free);

int fs_open(struct kv_store *store, const struct fs_open_opts *opts, struct fs **ret, struct err_text *text)
{
        _cleanup_(fs_free_ptr) struct fs *fs = calloc(1, sizeof(*fs));
        struct superblock s;
        int r;

        if (!fs)
                return err_set(text, ENOMEM, "no memory");
        pthread_mutex_init(&fs->numbers.lock, NULL);
        pthread_mutex_init(&fs->reclaim.lock, NULL);
        fs->store = store;
        fs->limits = kv_limits(store);
        fs->clock = opts->clock ? opts->clock : &clock_system;
        fs->rdonly = opts->rdonly;
        fs->remountable = !opts->rdonly || opts->remountable;
        fs->atime = opts->atime;
        fs->session = opts->session;
        fs->shared = opts->session && !fs_session_exclusive(opts->session);
        fs_numbers_init(fs);
        fs->inuse = fs_inuse_new();
        if (!fs->inuse)
                return err_set(text, ENOMEM, "no memory");
        s.fs = fs;
        r = fs_run_read(fs, open_body, &s);
        if (r < 0)
                return rec_super_error(r, &s.meta, s.what, text);
        fs->block_size = s.meta.block_size;
        memcpy(fs->uuid, s.meta.uuid, sizeof(fs->uuid));
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
                (void)fs_readahead_start(fs); /* it also works without, slower */
        if (fs->limits->remote)
                fs->hints = fs_hints_new(); /* the same */
        *ret = steal_ptr(fs);
        return 0;
}

int fs_remount(struct fs *fs, bool rdonly, enum fs_atime atime)
{
        int r;

        if (!rdonly && !fs->remountable)
                return -EROFS;
        if (rdonly && !fs->rdonly) {
                r = fs_sync(fs);
                if (r < 0)
                        return r;
        }
        fs->atime = atime;
        if (rdonly == fs->rdonly)
                return 0;
        fs->rdonly = rdonly;
        fs_gc_remounted(fs);
        return rdonly ? fs_sync(fs) : 0; /* for what the collector has just committed */
}

int fs_close(struct fs *fs)
{
        int r;

        if (!fs)
                return 0;
        fs_readahead_stop(fs);
        r = fs_writeback_stop(fs);
        if (fs->gc)
                fs_gc_stop(fs);
        fs_free(fs);
        return r;
}

uint32_t fs_block_size(const struct fs *fs)
{
        return fs->block_size;
}
