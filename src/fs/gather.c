/* What is gathered, of which inodes, how much and for how long. */
#include "gather.h"

#include "block.h"
#include "gather_priv.h"
#include "inode.h"
#include "log.h"
#include "priv.h"
#include "rng.h"
#include "session.h"
#include "waitlist.h"

#include <assert.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#define INODE_BYTES (32u << 20)
#define TOTAL_BYTES (64u << 20)
#define THREADS     8u
#define AGE_MS      1000u

/* How long an inode that others extend too is written in order. */
#define CONTENDED_NS UINT64_C(10000000000)

/* Entries of inodes of which nothing is gathered any more; they save readers from reading twice. */
#define CLEAN_ENTRIES 1024u

#define BUCKETS 1024u /* a power of two */

/* An inode of which something is or was gathered. Locks: its own, and inside of it the gather's. */
struct entry {
        struct gather *gather;
        uint64_t ino;

        /* Under the gather's lock. */
        struct entry *next_in_bucket;
        struct entry *older, *newer;
        unsigned refs;
        size_t bytes;
        uint64_t dirty_since_ns; /* of the oldest write, or the last flush; 0: clean */
        bool queued;             /* JOB is submitted and holds a reference */
        struct fs_job job;
        uint64_t retired;        /* when something of it was last committed, or cut; changed under both locks */
        int failing;             /* why FROZEN could not be committed; changed under both locks */

        pthread_mutex_t lock;    /* protects what follows */
        struct fs_waitlist flushed;
        bool checked;            /* that it is a file */
        struct gather_batch dirty, frozen; /* frozen: being committed, or to be tried again; not changed while
                                            * it is FLUSHING */
        bool flushing;
        uint64_t freezes, retires;
        uint64_t attempts;       /* to commit */
        int last_result;         /* of the last one */
        int lost;                /* why something was dropped; 0 when that was told */
        uint64_t in_order_until_ns;
};

struct gather {
        struct fs *fs;
        size_t inode_bytes, total_bytes, block_bytes;
        unsigned age_ms;
        uint8_t pid[FMT_PID_SIZE];
        _Atomic uint64_t writing;
        _Atomic uint64_t epoch;  /* moves on with each commit */
        struct fs_workers *workers;
        pthread_t timer;

        pthread_mutex_t lock;    /* protects what follows */
        struct fs_waitlist room; /* there may be some */
        pthread_cond_t tick;     /* for the timer */
        struct entry *buckets[BUCKETS];
        struct entry *oldest, *newest;
        size_t entries, bytes;
        uint64_t floor;          /* the last `retired` of entries that are gone */
        uint64_t failures;
        int last_failure;
        bool stop;
};

static uint64_t now_ns(const struct gather *g)
{
        return g->fs->clock->monotonic_ns(g->fs->clock);
}

/* ---- entries ------------------------------------------------------------------------------------ */

static struct entry **bucket(struct gather *g, uint64_t ino)
{
        return &g->buckets[(ino * UINT64_C(0x9e3779b97f4a7c15)) >> 54];
}

_Static_assert(BUCKETS == 1 << 10, "a hash has 10 bits");

/* Under the lock. */
static struct entry *find(struct gather *g, uint64_t ino)
{
        struct entry *e = *bucket(g, ino);

        while (e && e->ino != ino)
                e = e->next_in_bucket;
        return e;
}

static void list_add(struct gather *g, struct entry *e)
{
        e->older = g->newest;
        e->newer = NULL;
        if (g->newest)
                g->newest->newer = e;
        else
                g->oldest = e;
        g->newest = e;
}

static void list_remove(struct gather *g, struct entry *e)
{
        if (e->older)
                e->older->newer = e->newer;
        else
                g->oldest = e->newer;
        if (e->newer)
                e->newer->older = e->older;
        else
                g->newest = e->older;
}

static void entry_free(struct entry *e)
{
        gather_blocks_free(&e->dirty.blocks);
        gather_blocks_free(&e->frozen.blocks);
        pthread_mutex_destroy(&e->lock);
        free(e);
}

/* Under the lock. */
static void entry_remove(struct gather *g, struct entry *e)
{
        struct entry **at = bucket(g, e->ino);

        while (*at != e)
                at = &(*at)->next_in_bucket;
        *at = e->next_in_bucket;
        list_remove(g, e);
        g->entries--;
        if (e->retired > g->floor)
                g->floor = e->retired;
        entry_free(e);
}

/* Under the lock: looks at some of the oldest. What still has an error to tell stays, but for that of an
 * inode that is gone: mostly, nobody is left to be told. */
static void sweep(struct gather *g)
{
        for (unsigned i = 0; i < 4 && g->entries > CLEAN_ENTRIES; i++) {
                struct entry *e = g->oldest;

                if (e->refs == 0 && e->bytes == 0 && (!e->lost || e->lost == -ESTALE)) {
                        entry_remove(g, e);
                } else {
                        list_remove(g, e);
                        list_add(g, e);
                }
        }
}

/* A reference to the entry of INO; NULL: there is none. */
static struct entry *entry_get(struct gather *g, uint64_t ino)
{
        struct entry *e;

        pthread_mutex_lock(&g->lock);
        e = find(g, ino);
        if (e)
                e->refs++;
        pthread_mutex_unlock(&g->lock);
        return e;
}

static void entry_put(struct gather *g, struct entry *e)
{
        pthread_mutex_lock(&g->lock);
        assert(e->refs > 0);
        e->refs--;
        pthread_mutex_unlock(&g->lock);
}

static void flush_job(struct fs_job *job);

/* The same, and makes one. NULL: no memory. */
static struct entry *entry_make(struct gather *g, uint64_t ino)
{
        struct entry *e = entry_get(g, ino), *made;

        if (e)
                return e;
        made = calloc(1, sizeof(*made));
        if (!made)
                return NULL;
        pthread_mutex_init(&made->lock, NULL);
        made->gather = g;
        made->ino = ino;
        made->job.fn = flush_job;
        pthread_mutex_lock(&g->lock);
        e = find(g, ino);
        if (!e) {
                e = made;
                made = NULL;
                /* There may have been one before. */
                e->retired = g->floor;
                e->next_in_bucket = *bucket(g, ino);
                *bucket(g, ino) = e;
                list_add(g, e);
                g->entries++;
        }
        e->refs++;
        sweep(g);
        pthread_mutex_unlock(&g->lock);
        if (made)
                entry_free(made);
        return e;
}

/* ---- flushing ----------------------------------------------------------------------------------- */

/* Whether trying again cannot help: the inode or the mount is gone, or damaged. */
static bool is_final(int r)
{
        switch (r) {
        case -ENOENT:
        case -EISDIR:
        case -EINVAL:
        case -EFBIG:
        case -EROFS:
        case -ERR_CORRUPT:
        case -ERR_FENCED:
                return true;
        default:
                return false;
        }
}

/* Frees what of a batch is not needed any more. Under E's lock. */
static void batch_retire(struct gather *g, struct entry *e, struct gather_batch *b)
{
        size_t bytes = b->blocks.count * g->block_bytes;

        gather_blocks_free(&b->blocks);
        *b = (struct gather_batch){ .times = false };
        pthread_mutex_lock(&g->lock);
        e->bytes -= bytes;
        g->bytes -= bytes;
        e->retired = atomic_fetch_add(&g->epoch, 1) + 1;
        e->dirty_since_ns = e->bytes > 0 ? now_ns(g) : 0;
        fs_wake(&g->room);
        pthread_mutex_unlock(&g->lock);
}

/* Under E's lock: what a flush of its frozen batch gave. */
static void flush_done(struct gather *g, struct entry *e, int r)
{
        pthread_mutex_lock(&g->lock);
        /* Interrupted by its caller is not failed. */
        e->failing = r < 0 && r != -EINTR && !is_final(r) ? r : 0;
        if (e->failing) {
                g->failures++;
                g->last_failure = r;
                fs_wake(&g->room);
        }
        if (e->bytes > 0)
                e->dirty_since_ns = now_ns(g);
        pthread_mutex_unlock(&g->lock);
        if (r >= 0) {
                batch_retire(g, e, &e->frozen);
                e->retires = e->freezes;
        } else if (is_final(r)) {
                e->lost = r == -ENOENT ? -ESTALE : r;
                batch_retire(g, e, &e->frozen);
                batch_retire(g, e, &e->dirty);
                e->retires = e->freezes;
        }
}

/* Under E's lock, which is released meanwhile: commits what is frozen, or else what is dirty. */
static int flush_once(struct gather *g, struct entry *e)
{
        struct gather_writer writer;
        bool in_order = now_ns(g) < e->in_order_until_ns, contended;
        int r;

        if (e->frozen.blocks.count == 0) {
                e->frozen = e->dirty;
                e->dirty = (struct gather_batch){ .times = false };
                e->freezes++;
        }
        memcpy(writer.pid, g->pid, sizeof(writer.pid));
        writer.writing = atomic_fetch_add(&g->writing, 1) + 1;
        e->flushing = true;
        pthread_mutex_unlock(&e->lock);
        r = fs_gather_commit(g->fs, g->workers, e->ino, &e->frozen, &writer, in_order, &contended);
        pthread_mutex_lock(&e->lock);
        e->flushing = false;
        if (contended)
                e->in_order_until_ns = now_ns(g) + CONTENDED_NS;
        flush_done(g, e, r);
        e->attempts++;
        e->last_result = r;
        fs_wake(&e->flushed);
        return r;
}

/* Under the gather's lock: has it flushed soon. */
static void kick(struct gather *g, struct entry *e)
{
        if (e->queued || e->bytes == 0)
                return;
        e->queued = true;
        e->refs++;
        fs_workers_submit(g->workers, &e->job);
}

/* Who does the work of a flush. */
enum flusher {
        FLUSH_HERE,       /* the caller: a thread of ours, which may take as long as it takes */
        FLUSH_SMALL_HERE, /* the caller, who may lose patience, if it can stop at any moment; else one of
                           * ours */
        FLUSH_ELSEWHERE,  /* one of ours, and the caller waits */
};

/* Under E's lock. */
static bool is_for_others(const struct gather *g, const struct entry *e, enum flusher who)
{
        const struct gather_batch *next = e->frozen.blocks.count > 0 ? &e->frozen : &e->dirty;

        return who == FLUSH_ELSEWHERE || (who == FLUSH_SMALL_HERE && !fs_gather_is_small(g->fs, next));
}

/* Has the next batch committed by a thread of ours, or waits for the one under way. Under E's lock, which
 * is released meanwhile. */
static int wait_for_others(struct gather *g, struct entry *e)
{
        uint64_t attempts = e->attempts;
        bool under_way = e->flushing;
        int r = 0;

        if (!under_way) {
                pthread_mutex_lock(&g->lock);
                kick(g, e);
                pthread_mutex_unlock(&g->lock);
        }
        while (r >= 0 && e->attempts == attempts && (e->flushing || e->frozen.blocks.count > 0 ||
                                                     e->dirty.blocks.count > 0))
                r = fs_wait(&e->flushed, &e->lock);
        /* What was under way may be somebody else's who lost patience. */
        return r < 0 || under_way ? r : e->last_result < 0 && e->last_result != -EINTR ? e->last_result : 0;
}

/* Commits what is there now. Under E's lock, which is released meanwhile. */
static int flush_locked(struct gather *g, struct entry *e, enum flusher who)
{
        uint64_t wanted = e->freezes + (e->dirty.blocks.count > 0);
        int r = 0;

        while (r >= 0 && e->retires < wanted) {
                /* Cut meanwhile. */
                if (!e->flushing && e->frozen.blocks.count == 0 && e->dirty.blocks.count == 0)
                        break;
                if (e->flushing || is_for_others(g, e, who))
                        r = wait_for_others(g, e);
                else
                        r = flush_once(g, e);
        }
        return r < 0 && is_final(r) ? e->lost : r;
}

static void flush_job(struct fs_job *job)
{
        struct entry *e = (struct entry *)((char *)job - offsetof(struct entry, job));
        struct gather *g = e->gather;

        pthread_mutex_lock(&e->lock);
        /* From here on it may be submitted again, for what comes meanwhile. Not before it has E's lock: whoever
         * waits for this flush would submit another one, which nobody waits for, and which would commit what
         * is written later as soon as that is there. */
        pthread_mutex_lock(&g->lock);
        e->queued = false;
        pthread_mutex_unlock(&g->lock);
        (void)flush_locked(g, e, FLUSH_HERE); /* the error is kept */
        pthread_mutex_unlock(&e->lock);
        entry_put(g, e);
}

static void kick_all(struct gather *g)
{
        for (struct entry *e = g->oldest; e; e = e->newer)
                kick(g, e);
}

static void *timer_main(void *arg)
{
        struct gather *g = arg;
        uint64_t age_ns = g->age_ms * UINT64_C(1000000);

        pthread_mutex_lock(&g->lock);
        while (!g->stop) {
                struct timespec until;
                uint64_t now = now_ns(g);

                for (struct entry *e = g->oldest; e; e = e->newer)
                        if (e->dirty_since_ns != 0 && now - e->dirty_since_ns >= age_ns)
                                kick(g, e);
                if (g->bytes == 0) {
                        pthread_cond_wait(&g->tick, &g->lock);
                        continue;
                }
                clock_gettime(CLOCK_MONOTONIC, &until);
                until.tv_nsec += (long)(age_ns / 4 % 1000000000);
                until.tv_sec += (time_t)(age_ns / 4 / 1000000000) + until.tv_nsec / 1000000000;
                until.tv_nsec %= 1000000000;
                pthread_cond_timedwait(&g->tick, &g->lock, &until);
        }
        pthread_mutex_unlock(&g->lock);
        return NULL;
}

/* ---- writing ------------------------------------------------------------------------------------ */

struct check {
        struct fs *fs;
        uint64_t ino;
};

static int check_body(struct kv_txn *t, void *arg)
{
        struct check *c = arg;
        struct fs_inode inode;
        int r = fs_inode_load(c->fs, t, c->ino, FS_INODE_RECORD, KV_SNAPSHOT, &inode);

        if (r >= 0 && !S_ISREG(inode.rec.mode))
                r = S_ISDIR(inode.rec.mode) ? -EISDIR : -EINVAL;
        return r;
}

/* Under E's lock, which is released meanwhile. An inode's type never changes, so once is enough; whether it
 * still exists is found when it is flushed. */
static int check_file(struct gather *g, struct entry *e)
{
        struct check c = { .fs = g->fs, .ino = e->ino };
        int r;

        if (e->checked)
                return 0;
        pthread_mutex_unlock(&e->lock);
        r = fs_run_read(g->fs, check_body, &c);
        pthread_mutex_lock(&e->lock);
        if (r >= 0)
                e->checked = true;
        return r;
}

/* Under the gather's lock. Whoever has nothing may have one block. */
static bool has_room(const struct gather *g, const struct entry *e)
{
        return (e->bytes == 0 || e->bytes + g->block_bytes <= g->inode_bytes) &&
               (g->bytes == 0 || g->bytes + g->block_bytes <= g->total_bytes);
}

/* Takes room for a block, once there is some. Under E's lock, which is released meanwhile: 0, 1 if it had
 * to be released, or why what takes the room cannot be flushed. */
static int take_room(struct gather *g, struct entry *e)
{
        uint64_t failures;
        bool waited = false;
        int r = 0;

        pthread_mutex_lock(&g->lock);
        failures = g->failures;
        while (!has_room(g, e)) {
                bool own = e->bytes + g->block_bytes > g->inode_bytes;

                if (g->failures != failures && (!own || e->failing)) {
                        r = own ? e->failing : g->last_failure;
                        break;
                }
                if (!waited)
                        pthread_mutex_unlock(&e->lock);
                waited = true;
                if (own)
                        kick(g, e);
                else
                        kick_all(g);
                r = fs_wait(&g->room, &g->lock);
                if (r < 0)
                        break;
        }
        if (r >= 0) {
                e->bytes += g->block_bytes;
                g->bytes += g->block_bytes;
                if (e->dirty_since_ns == 0) {
                        e->dirty_since_ns = now_ns(g);
                        pthread_cond_signal(&g->tick);
                }
        }
        pthread_mutex_unlock(&g->lock);
        if (waited)
                pthread_mutex_lock(&e->lock);
        return r < 0 ? r : waited;
}

static void give_room_back(struct gather *g, struct entry *e)
{
        pthread_mutex_lock(&g->lock);
        e->bytes -= g->block_bytes;
        g->bytes -= g->block_bytes;
        if (e->bytes == 0)
                e->dirty_since_ns = 0;
        fs_wake(&g->room);
        pthread_mutex_unlock(&g->lock);
}

/* Takes what lies in one block. Under E's lock, which may be released meanwhile. */
static int write_piece(struct gather *g, struct entry *e, uint64_t offset, struct slice data)
{
        struct fs *fs = g->fs;
        uint64_t block = fs_block_down(fs, offset);

        for (;;) {
                bool taken = !gather_blocks_find(&e->dirty.blocks, block);
                int r = taken ? take_room(g, e) : 0;

                if (r < 0)
                        return r;
                /* If it had to wait, somebody else may have brought the block meanwhile. */
                r = gather_blocks_write(&e->dirty.blocks, fs->block_size, offset, data);
                assert(taken || r != 1);
                if (taken && r != 1)
                        give_room_back(g, e);
                if (r != -EAGAIN)
                        return r;
                r = flush_locked(g, e, FLUSH_SMALL_HERE);
                if (r < 0)
                        return r;
        }
}

/* Under E's lock. */
static int write_pieces(struct gather *g, struct entry *e, uint64_t offset, struct slice data, unsigned flags,
                        size_t *ret_done)
{
        struct fs *fs = g->fs;
        int r = 0;

        while (r >= 0 && *ret_done < data.len) {
                uint64_t at = offset + *ret_done;
                size_t len = fs->block_size - (size_t)(at - fs_block_down(fs, at));

                if (len > data.len - *ret_done)
                        len = data.len - *ret_done;
                r = write_piece(g, e, at, slice_of(data.data + *ret_done, len));
                if (r < 0)
                        break;
                *ret_done += len;
                /* With each block, because the lock may have been released for a flush. */
                if (!(flags & FS_WRITE_KEEP_TIMES)) {
                        e->dirty.times = true;
                        e->dirty.time = fs_now(fs);
                }
                if (flags & FS_WRITE_KILL_PRIV)
                        e->dirty.kill_priv = true;
        }
        return r;
}

/* Under E's lock, behind a write: has it flushed now if there is enough for a flush that is worth its first and
 * last transaction, while the writer goes on; or if somebody waits for room. Who waits had everything flushed,
 * but what was written since, in room that was taken before, is not part of that. */
static void kick_if_wanted(struct gather *g, struct entry *e)
{
        bool large = !e->flushing && e->dirty.blocks.count * g->block_bytes >= g->inode_bytes / 2;

        pthread_mutex_lock(&g->lock);
        if (large || fs_is_waited_for(&g->room))
                kick(g, e);
        pthread_mutex_unlock(&g->lock);
}

void fs_gather_created(struct fs *fs, uint64_t ino)
{
        struct entry *e = fs->gather ? entry_make(fs->gather, ino) : NULL;

        if (!e)
                return;
        pthread_mutex_lock(&e->lock);
        e->checked = true;
        pthread_mutex_unlock(&e->lock);
        entry_put(fs->gather, e);
}

ssize_t fs_gather_write(struct fs *fs, uint64_t ino, uint64_t offset, struct slice data, unsigned flags)
{
        struct gather *g = fs->gather;
        struct entry *e;
        size_t done = 0;
        int r;

        if (fs_is_lost(fs))
                return -ERR_FENCED;
        if (data.len > FS_SIZE_MAX - offset)
                data.len = (size_t)(FS_SIZE_MAX - offset);
        e = entry_make(g, ino);
        if (!e)
                return -ENOMEM;
        pthread_mutex_lock(&e->lock);
        r = check_file(g, e);
        /* More is not taken while what is here cannot be written. */
        if (r >= 0 && e->failing)
                r = flush_locked(g, e, FLUSH_SMALL_HERE);
        if (r >= 0)
                r = write_pieces(g, e, offset, data, flags, &done);
        kick_if_wanted(g, e);
        pthread_mutex_unlock(&e->lock);
        entry_put(g, e);
        return done > 0 ? (ssize_t)done : r;
}

size_t fs_gather_bytes(struct fs *fs)
{
        struct gather *g = fs->gather;
        size_t bytes;

        pthread_mutex_lock(&g->lock);
        bytes = g->bytes;
        pthread_mutex_unlock(&g->lock);
        return bytes;
}

/* ---- flushing from outside ---------------------------------------------------------------------- */

int fs_gather_flush(struct fs *fs, uint64_t ino)
{
        struct entry *e = fs->gather ? entry_get(fs->gather, ino) : NULL;
        int r;

        if (!e)
                return 0;
        pthread_mutex_lock(&e->lock);
        r = flush_locked(fs->gather, e, FLUSH_SMALL_HERE);
        /* Whose data is lost is told by fsync and close. */
        if (e->lost)
                r = 0;
        pthread_mutex_unlock(&e->lock);
        entry_put(fs->gather, e);
        return r;
}

int fs_gather_flush_tell(struct fs *fs, uint64_t ino)
{
        struct entry *e = fs->gather ? entry_get(fs->gather, ino) : NULL;
        int r;

        if (!e)
                return 0;
        pthread_mutex_lock(&e->lock);
        r = flush_locked(fs->gather, e, FLUSH_SMALL_HERE);
        if (e->lost) {
                r = e->lost;
                e->lost = 0;
        }
        pthread_mutex_unlock(&e->lock);
        entry_put(fs->gather, e);
        return r;
}

/* How many blocks' room that gives back. */
static size_t cut_batch(struct gather_batch *b, uint64_t size)
{
        size_t n = gather_blocks_cut(&b->blocks, size);

        if (b->blocks.count == 0) {
                gather_blocks_free(&b->blocks);
                *b = (struct gather_batch){ .times = false };
        }
        return n;
}

/* Under E's lock, and nothing is being flushed. */
static void cut(struct gather *g, struct entry *e, uint64_t size)
{
        size_t n = cut_batch(&e->frozen, size) + cut_batch(&e->dirty, size);

        for (; n > 0; n--)
                give_room_back(g, e);
        pthread_mutex_lock(&g->lock);
        /* Who is reading may have seen how long it was. */
        e->retired = atomic_fetch_add(&g->epoch, 1) + 1;
        if (e->frozen.blocks.count == 0)
                e->failing = 0;
        pthread_mutex_unlock(&g->lock);
        if (e->frozen.blocks.count == 0)
                e->retires = e->freezes;
        fs_wake(&e->flushed);
}

int fs_gather_flush_cut(struct fs *fs, uint64_t ino, uint64_t size)
{
        struct gather *g = fs->gather;
        struct entry *e = g ? entry_get(g, ino) : NULL;
        int r;

        if (!e)
                return 0;
        pthread_mutex_lock(&e->lock);
        r = flush_locked(g, e, FLUSH_SMALL_HERE);
        if (r == -ENOSPC || r == -EDQUOT) {
                r = 0;
                while (r >= 0 && e->flushing)
                        r = fs_wait(&e->flushed, &e->lock);
                if (r >= 0) {
                        cut(g, e, size);
                        r = flush_locked(g, e, FLUSH_SMALL_HERE);
                }
        }
        if (e->lost)
                r = 0;
        pthread_mutex_unlock(&e->lock);
        entry_put(g, e);
        return r;
}

/* References to all of which something is gathered: their number, or ENOMEM. */
static int get_all(struct gather *g, struct entry ***ret)
{
        struct entry **all;
        int n = 0;

        pthread_mutex_lock(&g->lock);
        all = calloc(g->entries + 1, sizeof(*all));
        for (struct entry *e = g->oldest; all && e; e = e->newer)
                if (e->bytes > 0) {
                        e->refs++;
                        all[n++] = e;
                        kick(g, e);
                }
        pthread_mutex_unlock(&g->lock);
        *ret = all;
        return all ? n : -ENOMEM;
}

int fs_gather_flush_all(struct fs *fs)
{
        struct gather *g = fs->gather;
        struct entry **all;
        int n, first = 0;

        if (!g)
                return 0;
        n = get_all(g, &all);
        for (int i = 0; i < n; i++) {
                int r;

                pthread_mutex_lock(&all[i]->lock);
                r = flush_locked(g, all[i], FLUSH_ELSEWHERE);
                pthread_mutex_unlock(&all[i]->lock);
                entry_put(g, all[i]);
                /* Of an inode that is gone, those who had it open are told. */
                if (r < 0 && r != -ESTALE && first == 0)
                        first = r;
        }
        free(all);
        return n < 0 ? n : first;
}

/* ---- reading ------------------------------------------------------------------------------------ */

fs_gather_mark fs_gather_now(struct fs *fs)
{
        return fs->gather ? atomic_load(&fs->gather->epoch) : 0;
}

/* Whether an entry that is gone may have been committed since MARK. */
static int gone_since(struct gather *g, fs_gather_mark mark)
{
        bool gone;

        pthread_mutex_lock(&g->lock);
        gone = g->floor > mark;
        pthread_mutex_unlock(&g->lock);
        return gone;
}

/* The 512 bytes that blocks behind SIZE will take, which nobody has counted yet. */
static uint64_t blocks_behind(const struct fs *fs, const struct entry *e, uint64_t size)
{
        const struct gather_blocks *both[2] = { &e->frozen.blocks, &e->dirty.blocks };
        uint64_t n = 0;

        for (unsigned k = 0; k < 2; k++)
                for (size_t i = gather_blocks_seek(both[k], fs_block_up(fs, size)); i < both[k]->count; i++)
                        if (k == 0 || !gather_blocks_find(both[0], both[1]->at[i]->offset))
                                n += (gather_block_end(both[k]->at[i]) + 511) / 512;
        return n;
}

static void attr_over(const struct fs *fs, const struct entry *e, struct fs_attr *a)
{
        uint64_t end = gather_blocks_end(&e->frozen.blocks), dirty_end = gather_blocks_end(&e->dirty.blocks);
        const struct gather_batch *b = e->dirty.times ? &e->dirty : &e->frozen;

        a->blocks += blocks_behind(fs, e, a->size);
        if (dirty_end > end)
                end = dirty_end;
        if (end > a->size)
                a->size = end;
        if (e->frozen.kill_priv || e->dirty.kill_priv)
                (void)fs_priv_kill_mode(&a->mode);
        if (b->times) {
                a->mtime = b->time;
                if (fs_time_before(a->ctime, b->time))
                        a->ctime = b->time;
        }
}

int fs_gather_attr(struct fs *fs, fs_gather_mark mark, struct fs_attr *attr)
{
        struct gather *g = fs->gather;
        struct entry *e;
        int r;

        if (!g || !S_ISREG(attr->mode))
                return 0;
        e = entry_get(g, attr->ino);
        if (!e)
                return gone_since(g, mark);
        pthread_mutex_lock(&e->lock);
        r = e->retired > mark;
        if (r == 0)
                attr_over(fs, e, attr);
        pthread_mutex_unlock(&e->lock);
        entry_put(g, e);
        return r;
}

uint64_t fs_gather_end(struct fs *fs, uint64_t ino)
{
        struct entry *e = fs->gather ? entry_get(fs->gather, ino) : NULL;
        uint64_t end, frozen_end;

        if (!e)
                return 0;
        pthread_mutex_lock(&e->lock);
        end = gather_blocks_end(&e->dirty.blocks);
        frozen_end = gather_blocks_end(&e->frozen.blocks);
        pthread_mutex_unlock(&e->lock);
        entry_put(fs->gather, e);
        return end > frozen_end ? end : frozen_end;
}

int fs_gather_apply(struct fs *fs, fs_gather_mark mark, uint64_t ino, uint64_t offset, uint8_t *buf,
                    size_t len)
{
        struct gather *g = fs->gather;
        struct entry *e;
        int r;

        if (!g)
                return 0;
        e = entry_get(g, ino);
        if (!e)
                return gone_since(g, mark);
        pthread_mutex_lock(&e->lock);
        r = e->retired > mark;
        if (r == 0 && buf) {
                gather_blocks_apply(&e->frozen.blocks, fs->block_size, offset, buf, len);
                gather_blocks_apply(&e->dirty.blocks, fs->block_size, offset, buf, len);
        }
        pthread_mutex_unlock(&e->lock);
        entry_put(g, e);
        return r;
}

/* ---- life --------------------------------------------------------------------------------------- */

static int timer_start(struct gather *g)
{
        sigset_t all, former;
        int r;

        /* Signals are for the program's own threads. */
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &former);
        r = pthread_create(&g->timer, NULL, timer_main, g);
        pthread_sigmask(SIG_SETMASK, &former, NULL);
        return -r;
}

static void gather_free(struct gather *g)
{
        fs_workers_free(g->workers);
        for (struct entry *e = g->oldest, *next; e; e = next) {
                next = e->newer;
                entry_free(e);
        }
        pthread_cond_destroy(&g->tick);
        pthread_mutex_destroy(&g->lock);
        free(g);
}

int fs_gather_start(struct fs *fs, const struct fs_gather_opts *opts)
{
        static const uint8_t none[FMT_PID_SIZE];
        struct gather *g = calloc(1, sizeof(*g));
        pthread_condattr_t attr;
        int r;

        if (!g)
                return -ENOMEM;
        g->fs = fs;
        g->inode_bytes = opts->inode_bytes ? opts->inode_bytes : INODE_BYTES;
        g->total_bytes = opts->total_bytes ? opts->total_bytes : TOTAL_BYTES;
        g->age_ms = opts->age_ms ? opts->age_ms : AGE_MS;
        g->block_bytes = sizeof(struct gather_block) + fs->block_size;
        memcpy(g->pid, fs->session ? fs_session_pid(fs->session) : opts->pid, sizeof(g->pid));
        if (memcmp(g->pid, none, sizeof(none)) == 0) {
                rng_system(g->pid, sizeof(g->pid));
                g->pid[0] &= 0xf; /* never 'l' */
        }
        pthread_mutex_init(&g->lock, NULL);
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_cond_init(&g->tick, &attr);
        pthread_condattr_destroy(&attr);
        g->workers = fs_workers_new(opts->threads ? opts->threads : THREADS);
        r = g->workers ? timer_start(g) : -ENOMEM;
        if (r < 0) {
                gather_free(g);
                return r;
        }
        fs->gather = g;
        return 0;
}

void fs_gather_stop(struct fs *fs)
{
        struct gather *g = fs->gather;
        int r;

        if (!g)
                return;
        r = fs_gather_flush_all(fs);
        pthread_mutex_lock(&g->lock);
        g->stop = true;
        pthread_cond_signal(&g->tick);
        pthread_mutex_unlock(&g->lock);
        pthread_join(g->timer, NULL);
        if (r < 0)
                log_warning("written data is lost: %s", err_str(r));
        fs->gather = NULL;
        gather_free(g);
}
